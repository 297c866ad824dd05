/* SPDX-License-Identifier: BSD-3-Clause */
/* The registry of mappings that may shrink, read by the signal handler without a lock, and the
 * handler. */
#include "core/sigbus.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"

#define SIGBUS_CHUNK_RANGES 256
#define SIGBUS_HUGE_MAX	    (1u << 30) /* the largest page that st_blksize may announce */

/* Slots are atomic word by word; that the words of one belong together is the generation's
 * business. */
struct sigbus_slot {
	uintptr_t va; /* 0: free */
	size_t len, page;
	const char *what;
	struct sigbus_owner *owner;
};

/* Chunks are never freed: the handler may walk them at any time. */
struct sigbus_chunk {
	struct sigbus_chunk *next;
	struct sigbus_slot slot[SIGBUS_CHUNK_RANGES];
};

static struct sigbus_chunk first_chunk;
static unsigned generation;				 /* odd: a slot changes */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* writers of the slots among themselves */
static struct sigaction action_before;

#define slot_load(x)	 __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define slot_store(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/*
 * The registry
 */
static void slot_write(struct sigbus_slot *slot, const struct sigbus_slot *v)
{
	slot_store(generation, generation + 1);
	barrier_full(); /* odd before the words; partner: range_find */
	slot_store(slot->va, v->va);
	slot_store(slot->len, v->len);
	slot_store(slot->page, v->page);
	slot_store(slot->what, v->what);
	slot_store(slot->owner, v->owner);
	__atomic_store_n(&generation, generation + 1, __ATOMIC_RELEASE);
}

static struct sigbus_slot *slot_find(uintptr_t va)
{
	for (struct sigbus_chunk *c = &first_chunk; c; c = c->next) {
		for (unsigned i = 0; i < SIGBUS_CHUNK_RANGES; i++) {
			if (c->slot[i].va == va)
				return &c->slot[i];
		}
	}
	return NULL;
}

static struct sigbus_slot *slot_make(void)
{
	struct sigbus_chunk *c = calloc(1, sizeof(*c)), *last = &first_chunk;

	if (!c)
		return NULL;
	while (last->next)
		last = last->next;
	__atomic_store_n(&last->next, c, __ATOMIC_RELEASE);
	return &c->slot[0];
}

int sigbus_range_add(const struct sigbus_range *r)
{
	const struct sigbus_slot v = { (uintptr_t)r->va, r->len, r->page, r->what, r->owner };
	struct sigbus_slot *slot;

	assert(r->va && CC_IS_POW2(r->page));
	pthread_mutex_lock(&lock);
	slot = slot_find(0);
	if (!slot)
		slot = slot_make();
	if (slot)
		slot_write(slot, &v);
	pthread_mutex_unlock(&lock);
	return slot ? 0 : -ENOMEM;
}

void sigbus_range_del(const void *va)
{
	const struct sigbus_slot none = { 0 };
	struct sigbus_slot *slot;

	pthread_mutex_lock(&lock);
	slot = slot_find((uintptr_t)va);
	assert(va && slot);
	if (slot)
		slot_write(slot, &none);
	pthread_mutex_unlock(&lock);
}

/*
 * In the handler: system calls and atomics only
 */
static bool range_look(uintptr_t at, struct sigbus_slot *ret)
{
	const struct sigbus_chunk *c = &first_chunk;

	for (; c; c = __atomic_load_n(&c->next, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < SIGBUS_CHUNK_RANGES; i++) {
			const struct sigbus_slot *s = &c->slot[i];
			uintptr_t va = slot_load(s->va);

			if (!va || at - va >= slot_load(s->len))
				continue;
			*ret = (struct sigbus_slot){ va, slot_load(s->len), slot_load(s->page),
						     slot_load(s->what), slot_load(s->owner) };
			return true;
		}
	}
	return false;
}

/* The range of @at cannot change, it is in use; others may, and the walk starts over. */
static bool range_find(uintptr_t at, struct sigbus_slot *ret)
{
	for (;;) {
		unsigned before = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
		bool found = range_look(at, ret);

		barrier_acquire(); /* the words before the generation; partner: slot_write */
		if (!(before & 1) && __atomic_load_n(&generation, __ATOMIC_RELAXED) == before)
			return found;
		barrier_cpu_relax();
	}
}

/* Zero pages from the page of @at to the end. The raw call: sanitizers' wrappers are not for
 * handlers. */
static bool range_replace(const struct sigbus_slot *s, uintptr_t at)
{
	uintptr_t from = CC_MAX(CC_ALIGN_DOWN(at, s->page), s->va);
	long rc = syscall(SYS_mmap, from, s->va + s->len - from, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0L);

	return rc == (long)from;
}

static void owner_tell(const struct sigbus_slot *s)
{
	const uint64_t one = 1;

	if (!s->owner)
		return;
	__atomic_store_n(&s->owner->what, s->what, __ATOMIC_RELEASE);
	/* full: it has been told already */
	if (syscall(SYS_write, s->owner->fd, &one, sizeof(one)) < 0)
		return;
}

static void guard_handle(int signo, siginfo_t *si, void *context)
{
	int err = errno;
	struct sigbus_slot s;

	(void)context;
	/* BUS_MCEERR_*: broken hardware; zeroes would pass for the guest's data */
	if (si->si_code == BUS_ADRERR && range_find((uintptr_t)si->si_addr, &s) &&
	    range_replace(&s, (uintptr_t)si->si_addr))
		owner_tell(&s);
	else
		(void)sigaction(signo, &action_before, NULL); /* the access comes again, and dies */
	errno = err;
}

int sigbus_guard_start(void)
{
	struct sigaction sa = { .sa_sigaction = guard_handle, .sa_flags = SA_SIGINFO };

	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now))
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == guard_handle)
		return 0;
	action_before = now;
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGBUS, &sa, NULL) ? -errno : 0;
}

int sigbus_owner_init(struct sigbus_owner *o)
{
	o->what = NULL;
	o->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return o->fd < 0 ? -errno : 0;
}

void sigbus_owner_fini(struct sigbus_owner *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}

size_t sigbus_page_bytes(const struct stat *st)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), blk = (size_t)st->st_blksize;

	return blk > page && blk <= SIGBUS_HUGE_MAX && CC_IS_POW2(blk) ? blk : page;
}
