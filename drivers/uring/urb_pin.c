/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory pinned for direct I/O: the set of the process, and the thread that pins. */
#include "drivers/uring/urb_pin_priv.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_TAG "file"
#include "core/base/cc.h"
#include "core/base/log.h"
#include "core/worker.h"
#include "drivers/uring/urb_table_priv.h"

/* <linux/mman.h> of Linux 5.14 */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE ((uintptr_t)sysconf(_SC_PAGESIZE))
#define TOUCH_STEP \
	(16ull << 20) /* pages touched by one call: others wait for the address space so long */

/*
 *   FREE ─ map ─► IDLE ─ want ─► WANTED ─► BUSY ─┬─► READY
 *    ▲                                           └─► FAILED, for as long as it is there
 *    └──────── unmap, from any of them
 */
enum pin_state {
	PIN_FREE,
	PIN_IDLE,
	PIN_WANTED,
	PIN_BUSY,
	PIN_READY,
	PIN_FAILED,
};

/* What holds the pages of a region. */
struct anchor {
	struct list link; /* in set.anchors, without users in set.leaving */
	uint32_t serial;
	unsigned refs; /* the region as long as it is there, and each ring */
	struct io_uring ring;
};

/* At the index of its first piece. */
struct pin {
	uint64_t word; /* atomic: serial and state, PIN_WORD() */
	uint32_t npieces;
	char *va;
	uint64_t len;
	struct anchor *anchor; /* READY */
};

#define PIN_WORD(serial, state) ((uint64_t)(serial) << 32 | (uint32_t)(state))

/* Users come and go under users_lock, everything else is under set_lock, but for what
 * urb_pin_want() does. Order: users_lock, the DMA registry's lock, set_lock. */
static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t set_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	unsigned users;
	struct dma_domain domain;
	struct list links, anchors, leaving;
	struct pin pin[URB_PIECES_MAX];
	uint32_t serial[URB_PIECES_MAX]; /* of the region that has the piece; 0: none */
	uint32_t last_serial;
	bool has_complained;
	bool can_clone; /* constant while there are users */
	bool stop; /* atomic */
	sem_t wake;
	pthread_t thread;
} set = {
	.links = { &set.links, &set.links },
	.anchors = { &set.anchors, &set.anchors },
	.leaving = { &set.leaving, &set.leaving },
};

static enum pin_state pin_state(const struct pin *p)
{
	return (enum pin_state)(uint32_t)__atomic_load_n(&p->word, __ATOMIC_ACQUIRE);
}

static void pin_set(struct pin *p, uint32_t serial, enum pin_state state)
{
	__atomic_store_n(&p->word, PIN_WORD(serial, state), __ATOMIC_RELEASE);
}

void urb_pin_lock(void)
{
	pthread_mutex_lock(&set_lock);
}

void urb_pin_unlock(void)
{
	pthread_mutex_unlock(&set_lock);
}

bool urb_pin_can_clone(void)
{
	return set.can_clone;
}

const struct dma_domain *urb_pin_domain(void)
{
	return &set.domain;
}

static void tell_links(void)
{
	struct list *pos;

	list_for_each (pos, &set.links) {
		struct urb_pin_link *l = list_entry(pos, struct urb_pin_link, link);

		l->changed(l);
	}
}

void urb_pin_attach(struct urb_pin_link *l)
{
	urb_pin_lock();
	list_add_tail(&set.links, &l->link);
	urb_pin_unlock();
}

void urb_pin_detach(struct urb_pin_link *l)
{
	urb_pin_lock();
	list_del(&l->link);
	urb_pin_unlock();
}

uint32_t urb_pin_serial(uint32_t i)
{
	return set.serial[i];
}

bool urb_pin_next(uint32_t from, struct urb_pinned *ret)
{
	for (uint32_t i = from; i < URB_PIECES_MAX; i++) {
		const struct pin *p = &set.pin[i];

		if (!set.serial[i] || pin_state(p) != PIN_READY)
			continue;
		*ret = (struct urb_pinned){
			.at = { .serial = set.serial[i], .first = i },
			.npieces = p->npieces,
			.ring = p->anchor->ring.ring_fd,
			.va = p->va,
			.len = p->len,
		};
		return true;
	}
	return false;
}

static struct anchor *anchor_find(uint32_t serial)
{
	struct list *pos;

	list_for_each (pos, &set.anchors) {
		struct anchor *a = list_entry(pos, struct anchor, link);

		if (a->serial == serial)
			return a;
	}
	return NULL;
}

static void anchor_put(struct anchor *a)
{
	assert(a->refs > 0);
	if (--a->refs > 0)
		return;
	list_del(&a->link);
	list_add_tail(&set.leaving, &a->link);
	(void)sem_post(&set.wake);
}

void urb_pin_hold(uint32_t serial)
{
	anchor_find(serial)->refs++;
}

void urb_pin_release(uint32_t serial)
{
	anchor_put(anchor_find(serial));
}

void urb_pin_complain(const char *what, int err)
{
	if (__atomic_exchange_n(&set.has_complained, true, __ATOMIC_RELAXED))
		return;
	log_warn("fixed=1: %s: %s%s; going on without, there and wherever it happens again", what,
		 strerror(-err), err == -ENOMEM ? " (more than RLIMIT_MEMLOCK allows?)" : "");
}

/*
 * The registry's side
 */

/* The first run of @n free pieces, or URB_PIECES_MAX. */
static uint32_t run_find(uint64_t n)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < URB_PIECES_MAX; i++) {
		len = set.serial[i] ? 0 : len + 1;
		if (len == n)
			return i + 1 - len;
	}
	return URB_PIECES_MAX;
}

static uint32_t serial_next(void)
{
	if (++set.last_serial == 0)
		set.last_serial = 1;
	return set.last_serial;
}

/* Never fails: what finds no room is memory like any other. */
static int pin_map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	uint64_t n = urb_pieces(region->len);
	uint32_t serial, first;

	(void)d;
	urb_pin_lock();
	serial = serial_next();
	first = run_find(n);
	if (first < URB_PIECES_MAX) {
		struct pin *p = &set.pin[first];

		p->npieces = (uint32_t)n;
		p->va = region->va;
		p->len = region->len;
		for (uint32_t i = 0; i < n; i++)
			set.serial[first + i] = serial;
		pin_set(p, serial, PIN_IDLE);
	}
	urb_pin_unlock();
	if (first == URB_PIECES_MAX)
		urb_pin_complain("no room for another region", -ENOSPC);
	*ret_iova = (uint64_t)serial << 32 | first;
	return 0;
}

/* The pin thread may be at it: it will find that the region is another's, or nobody's. */
static int pin_unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	struct urb_place at = urb_place_of(iova);
	enum pin_state was;
	struct pin *p;

	(void)d;
	(void)va;
	if (at.first == URB_PIECES_MAX)
		return 0;
	p = &set.pin[at.first];
	urb_pin_lock();
	assert(set.serial[at.first] == at.serial && p->len == len);
	(void)len;
	for (uint32_t i = 0; i < p->npieces; i++)
		set.serial[at.first + i] = 0;
	was = pin_state(p);
	pin_set(p, 0, PIN_FREE);
	if (was == PIN_READY) {
		anchor_put(p->anchor);
		tell_links();
	}
	urb_pin_unlock();
	return 0;
}

static const struct dma_domain_ops pin_ops = {
	.name = "io_uring",
	.map = pin_map,
	.unmap = pin_unmap,
};

/*
 * The pin thread
 */

/* One region, as it was when the thread took it. */
struct pin_job {
	struct pin *pin;
	uint32_t serial, npieces;
	char *va;
	uint64_t len;
};

void urb_pin_want(struct urb_place at)
{
	uint64_t idle = PIN_WORD(at.serial, PIN_IDLE);

	if (__atomic_compare_exchange_n(&set.pin[at.first].word, &idle,
					PIN_WORD(at.serial, PIN_WANTED), false, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		(void)sem_post(&set.wake);
}

static bool job_take(struct pin_job *ret)
{
	bool found = false;

	urb_pin_lock();
	for (uint32_t i = 0; i < URB_PIECES_MAX && !found; i++) {
		struct pin *p = &set.pin[i];

		if (!set.serial[i] || pin_state(p) != PIN_WANTED)
			continue;
		*ret = (struct pin_job){ p, set.serial[i], p->npieces, p->va, p->len };
		pin_set(p, ret->serial, PIN_BUSY);
		found = true;
	}
	urb_pin_unlock();
	return found;
}

/* Nobody needs it any more. */
static bool job_is_void(const struct pin_job *job)
{
	return __atomic_load_n(&set.stop, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&job->pin->word, __ATOMIC_RELAXED) !=
		       PIN_WORD(job->serial, PIN_BUSY);
}

/*
 * The pages of a piece exist from now on, so that the kernel finds all of them in one quick walk.
 * The region may be unmapped meanwhile, and something else of ours be mapped there: that gets
 * pages, which is all.
 */
static int piece_touch(const struct pin_job *job, char *va, uint64_t len)
{
	uintptr_t at = CC_ALIGN_DOWN((uintptr_t)va, PAGE),
		  end = CC_ALIGN_UP((uintptr_t)va + len, PAGE);

	for (; at < end; at += TOUCH_STEP) {
		if (job_is_void(job))
			return -ECANCELED;
		if (madvise((void *)at, CC_MIN(TOUCH_STEP, end - at), MADV_POPULATE_WRITE))
			return -errno;
	}
	return 0;
}

static int job_pin(const struct pin_job *job, struct io_uring *anchor)
{
	/* A page first: memory that cannot be pinned at all is not touched. */
	int err = urb_table_set(anchor, 0, job->va, CC_MIN(job->len, (uint64_t)PAGE), 0);

	for (uint32_t i = 0; i < job->npieces && !err; i++) {
		uint64_t into = (uint64_t)i << URB_PIECE_SHIFT;

		err = piece_touch(job, job->va + into, CC_MIN(job->len - into, URB_PIECE_BYTES));
		if (!err && set.can_clone)
			err = urb_table_set(anchor, i, job->va, job->len, i);
	}
	return err;
}

static void anchor_close(struct anchor *a)
{
	if (!a)
		return;
	io_uring_queue_exit(&a->ring);
	free(a);
}

/* An anchor for all of the region, or NULL with *ret_err. */
static struct anchor *anchor_open(const struct pin_job *job, int *ret_err)
{
	struct anchor *a = calloc(1, sizeof(*a));
	int err = a ? io_uring_queue_init(1, &a->ring, 0) : -ENOMEM;

	*ret_err = err;
	if (err) {
		free(a);
		return NULL;
	}
	a->serial = job->serial;
	a->refs = 1;
	err = io_uring_register_buffers_sparse(&a->ring, job->npieces);
	if (!err)
		err = job_pin(job, &a->ring);
	*ret_err = err;
	if (!err)
		return a;
	anchor_close(a);
	return NULL;
}

static void job_run(const struct pin_job *job)
{
	int err;
	struct anchor *a = anchor_open(job, &err);
	bool is_void;

	urb_pin_lock();
	is_void = job_is_void(job);
	if (!is_void && a) {
		list_add_tail(&set.anchors, &a->link);
		job->pin->anchor = a;
		a = NULL;
		pin_set(job->pin, job->serial, PIN_READY);
		tell_links();
	} else if (!is_void) {
		pin_set(job->pin, job->serial, PIN_FAILED);
	}
	urb_pin_unlock();
	anchor_close(a);
	if (err && !is_void)
		urb_pin_complain("memory cannot be pinned", err);
}

static void close_leaving(void)
{
	struct list *node;

	for (;;) {
		urb_pin_lock();
		node = list_pop(&set.leaving);
		urb_pin_unlock();
		if (!node)
			return;
		anchor_close(list_entry(node, struct anchor, link));
	}
}

static void *pin_main(void *arg)
{
	struct pin_job job;

	(void)arg;
	(void)pthread_setname_np(pthread_self(), "pin"); /* cosmetic */
	while (!__atomic_load_n(&set.stop, __ATOMIC_ACQUIRE)) {
		while (sem_wait(&set.wake) && errno == EINTR)
			;
		while (!__atomic_load_n(&set.stop, __ATOMIC_ACQUIRE) && job_take(&job))
			job_run(&job);
		close_leaving();
	}
	return NULL;
}

/*
 * Users
 */

static int thread_start(void)
{
	int err;

	if (sem_init(&set.wake, 0, 0))
		return -errno;
	__atomic_store_n(&set.stop, false, __ATOMIC_RELAXED);
	err = worker_thread_create(&set.thread, pin_main, NULL);
	if (err)
		(void)sem_destroy(&set.wake);
	return err;
}

static void thread_stop(void)
{
	__atomic_store_n(&set.stop, true, __ATOMIC_RELEASE);
	(void)sem_post(&set.wake);
	(void)pthread_join(set.thread, NULL);
	(void)sem_destroy(&set.wake);
}

static int set_open(struct errbuf *eb)
{
	int err = urb_table_probe(&set.can_clone, eb);

	if (err)
		return err;
	err = dma_domain_attach(&set.domain, &pin_ops);
	if (err)
		return errbuf_set(eb, err, "%s", strerror(-err));
	__atomic_store_n(&set.has_complained, false, __ATOMIC_RELAXED);
	err = thread_start();
	if (!err)
		return 0;
	dma_domain_detach(&set.domain);
	return errbuf_set(eb, err, "no thread: %s", strerror(-err));
}

int urb_pin_get(struct errbuf *eb)
{
	int err = 0;

	pthread_mutex_lock(&users_lock);
	if (set.users == 0)
		err = set_open(eb);
	if (!err)
		set.users++;
	pthread_mutex_unlock(&users_lock);
	return err;
}

void urb_pin_put(void)
{
	pthread_mutex_lock(&users_lock);
	assert(set.users > 0);
	if (--set.users == 0) {
		dma_domain_detach(&set.domain);
		thread_stop();
		close_leaving();
	}
	pthread_mutex_unlock(&users_lock);
}
