/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O queues and who has them. A queue belongs to the first reactor that asked for it until the
 * controller is closed; all channels of that reactor share it. When the device has no more, further
 * reactors use the queue with the fewest users, by message. The last queue of the device is set
 * aside for set-up threads, unless it is the only one.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

uint32_t nvme_queues_list_bytes(const struct nvme_ctrlr_info *info)
{
	uint32_t prps = info->xfer_bytes_max / NVME_PAGE_BYTES_MIN * (uint32_t)sizeof(le64);

	return CC_MAX(prps, info->has_sgl ? NVME_IOQ_SGL_BYTES_MIN : NVME_IOQ_LIST_BYTES_MIN);
}

static unsigned queues_max(struct nvme_ctrlr *c)
{
	struct nvme_said said;

	nvme_get_said(c, &said);
	return said.queues > 1 ? said.queues - 1 : said.queues;
}

static void queue_start(struct reactor_msg *msg)
{
	struct nvme_ioq *q = container_of(msg, struct nvme_ioq, start_msg);

	nvme_ioq_attach(q);
}

static void queue_start_and_thaw(struct reactor_msg *msg)
{
	struct nvme_ioq *q = container_of(msg, struct nvme_ioq, start_msg);

	nvme_ioq_attach(q);
	nvme_ioq_thaw(q);
}

static int queue_alloc(struct nvme_ctrlr *c, struct reactor *r, struct nvme_ioq **ret_ioq)
{
	struct nvme_said said;
	struct nvme_ioq_opts o;

	nvme_get_said(c, &said);
	o = (struct nvme_ioq_opts){
		.qp = {
			.id = (uint16_t)(c->nioqs + 1),
			.entries = c->opts.depth,
			.entries_max = said.cap.entries_max,
			.stride = said.cap.stride,
			.list_bytes = nvme_queues_list_bytes(&said.info),
		},
		.timeout_ns = c->opts.io_timeout_ms * MONO_NS_PER_MS,
		.retry_ms = c->info.retry_ms, /* read while commands are under way, which no reset allows */
		.use_sgl = said.info.has_sgl,
		.vector = -1,
		.irq_fd = -1,
	};
	if (c->nvectors && !c->opts.poll_only) {
		/* vector 0 is the admin queue's, unless there is no other */
		o.vector = c->nvectors > 1 ? 1 + (int)(c->nioqs % (c->nvectors - 1)) : 0;
		/* a descriptor of its own: several may listen to one vector */
		o.irq_fd = fcntl(c->vector_fds[o.vector], F_DUPFD_CLOEXEC, 0);
		if (o.irq_fd < 0)
			return -errno;
	}
	return nvme_ioq_create(c, r, &o, ret_ioq);
}

/* The device makes its side of it. life_lock is held. */
static int queue_create(struct nvme_ctrlr *c, struct nvme_ioq *q, struct errbuf *eb)
{
	int err = nvme_ioq_fill(q, c->hw);

	if (err)
		return errbuf_set(eb, err, "memory of an I/O queue: %s", strerror(-err));
	nvme_qpair_reset(&q->qp);
	nvme_dbbuf_attach(c, &q->qp);
	err = nvme_admin_create_queues(&c->admin, &q->qp, q->vector, eb);
	__atomic_store_n(&q->is_created, !err, __ATOMIC_RELAXED);
	q->is_new = !err;
	return err;
}

static void queue_watch(struct reactor_msg *msg)
{
	nvme_ioq_watch(container_of(msg, struct nvme_ioq, watch_msg));
}

/* Reactors of other queues find it. c->lock is held. */
static void queue_list(struct nvme_ctrlr *c, struct nvme_ioq *q)
{
	unsigned n = c->nioqs;

	c->ioqs[n] = q;
	/* Partner: the acquire in nvme_ioq_share.c. */
	__atomic_store_n(&c->nioqs, n + 1, __ATOMIC_RELEASE);
	if (n == 1) /* the first one may be busy, and was alone until now */
		reactor_send(c->ioqs[0]->reactor, &c->ioqs[0]->watch_msg, queue_watch);
}

/* Known from now on, and on its way to its reactor. -ENODEV: the controller has failed meanwhile.
 */
static int queue_enter(struct nvme_ctrlr *c, struct nvme_ioq *q)
{
	int err = 0;

	pthread_mutex_lock(&c->lock);
	if (c->state == NVME_CTRLR_FAILED) {
		err = -ENODEV;
	} else {
		queue_list(c, q);
		q->is_new = false;
		reactor_send(q->reactor, &q->start_msg,
			     q->is_created ? queue_start_and_thaw : queue_start);
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* Makes a new one for @r. Control thread: nobody else adds queues. */
static int queue_add(struct nvme_ctrlr *c, struct reactor *r, struct nvme_ioq **ret_ioq)
{
	struct errbuf eb = { "" };
	struct nvme_ioq *q;
	bool has_life;
	int err = queue_alloc(c, r, &q);

	if (err)
		return err;
	/* Whoever holds it may be resetting, which takes long: the keeper makes the queue
	 * afterwards. */
	has_life = pthread_mutex_trylock(&c->life_lock) == 0;
	if (has_life)
		err = nvme_check_ready(c);
	if (!err && has_life)
		err = queue_create(c, q, &eb);
	if (!err)
		err = queue_enter(c, q);
	if (has_life)
		pthread_mutex_unlock(&c->life_lock);
	else
		nvme_ctrlr_wake_keeper(c);
	nvme_report(c, err);
	if (err) {
		log_error("%s: no I/O queue for another reactor: %s", c->name,
			  eb.text[0] ? eb.text : strerror(-err));
		nvme_ioq_destroy(q);
		return err;
	}
	*ret_ioq = q;
	return 0;
}

/* Of a controller that has failed: a queue whose I/O ends with errors, so that whoever comes now is
 * told so, too. Control thread. */
static int queue_add_dead(struct nvme_ctrlr *c, struct reactor *r, struct nvme_ioq **ret_ioq)
{
	struct nvme_ioq *q;
	int err = queue_alloc(c, r, &q);

	if (err)
		return err;
	nvme_ioq_kill(q);
	pthread_mutex_lock(&c->lock);
	queue_list(c, q);
	reactor_send(r, &q->start_msg, queue_start);
	pthread_mutex_unlock(&c->lock);
	*ret_ioq = q;
	return 0;
}

int nvme_queues_get(struct nvme_ctrlr *c, struct reactor *r, struct nvme_ioq **ret_ioq,
		    bool *ret_remote)
{
	struct nvme_ioq *q = NULL;
	int err;

	for (unsigned i = 0; i < c->nioqs && !q; i++)
		if (c->ioqs[i]->reactor == r)
			q = c->ioqs[i];
	if (!q && c->nioqs < queues_max(c)) {
		err = nvme_ctrlr_state(c) == NVME_CTRLR_FAILED ? -ENODEV : queue_add(c, r, &q);
		if (err && nvme_ctrlr_state(c) == NVME_CTRLR_FAILED)
			err = queue_add_dead(c, r, &q);
		/* the device gives less than it said: as if there were no more */
		if (err && (err == -ENODEV || c->nioqs == 0))
			return err;
	}
	for (unsigned i = 0; i < c->nioqs && !(q && q->reactor == r); i++)
		if (!q || c->ioqs[i]->nusers < q->nusers)
			q = c->ioqs[i];
	if (!q)
		return -ENODEV;
	__atomic_store_n(&q->nusers, q->nusers + 1, __ATOMIC_RELAXED);
	*ret_ioq = q;
	*ret_remote = q->reactor != r;
	return 0;
}

void nvme_queues_put(struct nvme_ctrlr *c, struct nvme_ioq *q)
{
	(void)c;
	assert(q->nusers > 0);
	__atomic_store_n(&q->nusers, q->nusers - 1, __ATOMIC_RELAXED);
}

unsigned nvme_queues_count(struct nvme_ctrlr *c)
{
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = c->nioqs;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void call_on(struct reactor *r, void (*fn)(void *arg), void *arg)
{
	if (reactor_self() == r)
		fn(arg);
	else
		reactor_call(r, fn, arg);
}

void nvme_queues_call(struct nvme_ctrlr *c, void (*fn)(void *ioq))
{
	unsigned n = nvme_queues_count(c);

	for (unsigned i = 0; i < n; i++)
		call_on(c->ioqs[i]->reactor, fn, c->ioqs[i]);
}

int nvme_queues_create_all(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < nvme_queues_count(c) && !err; i++)
		if (!c->ioqs[i]->is_created)
			err = queue_create(c, c->ioqs[i], eb);
	return err;
}

/* One that has come since create_all() is not thawed: the device does not know it yet. */
void nvme_queues_thaw(struct nvme_ctrlr *c)
{
	unsigned n = nvme_queues_count(c);

	for (unsigned i = 0; i < n; i++) {
		struct nvme_ioq *q = c->ioqs[i];

		if (!q->is_new)
			continue;
		q->is_new = false;
		call_on(q->reactor, nvme_ioq_thaw, q);
	}
}

/* The queue of set-up threads. life_lock is held. */
static int sync_open(struct nvme_ctrlr *c)
{
	struct nvme_qpair_opts o = {
		.id = (uint16_t)c->queues,
		.entries_max = c->cap.entries_max,
		.stride = c->cap.stride,
	};
	struct nvme_syncq *q;
	int err;

	if (c->sync_io)
		return 0;
	if (nvme_queues_count(c) >= c->queues)
		return -EBUSY; /* the last queue is a reactor's */
	q = calloc(1, sizeof(*q));
	err = q ? nvme_syncq_init(q, c->hw, &o) : -ENOMEM;
	if (err) {
		free(q);
		return err;
	}
	q->timeout_ms = c->opts.io_timeout_ms;
	nvme_dbbuf_attach(c, &q->qp);
	err = nvme_admin_create_queues(&c->admin, &q->qp, -1, NULL);
	if (err) {
		nvme_syncq_fini(q);
		free(q);
		return err;
	}
	c->sync_io = q;
	return 0;
}

/* The device does not know it any more. life_lock is held. */
static void sync_drop(struct nvme_ctrlr *c)
{
	if (!c->sync_io)
		return;
	nvme_syncq_fini(c->sync_io);
	free(c->sync_io);
	c->sync_io = NULL;
}

int nvme_queues_exec(struct nvme_ctrlr *c, struct nvme_passthru *cmd)
{
	int err;

	pthread_mutex_lock(&c->life_lock);
	err = nvme_check_ready(c);
	if (!err)
		err = sync_open(c);
	if (!err)
		err = nvme_syncq_exec(c->sync_io, cmd);
	/* a device that does not give the queue back may still write to it: then it stays */
	if (c->sync_io && c->queues == 1 && err != -ETIMEDOUT &&
	    !nvme_admin_delete_queues(&c->admin, &c->sync_io->qp))
		sync_drop(c);
	pthread_mutex_unlock(&c->life_lock);
	nvme_report(c, err);
	return err;
}

void nvme_queues_lost(struct nvme_ctrlr *c)
{
	sync_drop(c);
	for (unsigned i = 0; i < nvme_queues_count(c); i++) {
		__atomic_store_n(&c->ioqs[i]->is_created, false, __ATOMIC_RELAXED);
		c->ioqs[i]->is_new = false;
	}
}

void nvme_queues_close(struct nvme_ctrlr *c)
{
	for (unsigned i = 0; i < c->nioqs; i++)
		nvme_ioq_destroy(c->ioqs[i]);
	c->nioqs = 0;
	sync_drop(c);
}
