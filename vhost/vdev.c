/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue engine: one poller per virtqueue between the ring (vq) and the device type (vdev_ops).
 */
#include "vhost/vdev.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* One queue takes at most this many batches per turn, so that a full ring does not starve its
 * neighbours. */
#define VDEV_BATCHES_PER_POLL 4

static struct vdev_queue *queue_of(struct poller *p)
{
	return container_of(p, struct vdev_queue, poller);
}

/*
 * On the queue's reactor
 * ----------------------
 * attached, !stopping ──stop──► stopping ──last chain pushed and flushed──► detached, told control
 *          │                        ├─ what the inflight region holds was in flight: taken first
 *          │                        └─ suspending: what can be left there is left there
 *          └──────broken──────► detached, told control ──stop, last chain──► told control
 */
static void queue_tell_stopped(struct reactor_msg *msg)
{
	struct vdev_queue *q = container_of(msg, struct vdev_queue, stop_msg);

	q->on_stopped(q, q->on_stopped_arg);
}

static void queue_tell_broken(struct reactor_msg *msg)
{
	struct vdev_queue *q = container_of(msg, struct vdev_queue, broken_msg);

	if (q->on_broken)
		q->on_broken(q, q->on_broken_arg);
}

/* One clock for all that was published. */
static cc_always_inline void queue_count_told(struct vdev_queue *q, struct hist *hists)
{
	unsigned bucket = hist_index(mono_ticks_to_ns(mono_ticks() - q->told.since_ticks));
	unsigned left = q->told.kinds;

	do {
		unsigned kind = (unsigned)__builtin_ctz(left);

		hists[kind].count[bucket] += q->told.n[kind];
		q->told.n[kind] = 0;
		left &= left - 1;
	} while (cc_unlikely(left));
	q->told.kinds = 0;
}

/*
 * Where nothing is published, answers may wait nonetheless (IN_ORDER, for an older one): they go on
 * waiting. Where some are and others wait on, all are counted now.
 */
static cc_always_inline void queue_publish(struct vdev_queue *q)
{
	enum vq_flushed how = vq_flush(&q->vq);

	if (cc_likely(how != VQ_FLUSHED_NOTHING && q->told.kinds))
		queue_count_told(q, q->told.how[how]);
}

static cc_cold void queue_broke(struct vdev_queue *q)
{
	assert(!q->broken_told); /* only an attached poller gets here, and this detaches it */
	q->broken_told = true;
	queue_publish(q); /* what was answered before the break */
	poller_detach(&q->poller);
	reactor_send(q->control, &q->broken_msg, queue_tell_broken);
}

/* The last chain is back: publish and answer. Nothing touches @q on this reactor afterwards. */
static cc_cold void queue_stopped(struct vdev_queue *q)
{
	queue_publish(q);
	poller_detach(&q->poller);
	reactor_send(q->control, &q->stop_msg, queue_tell_stopped);
}

/* Is there something of the process before that must be taken again before the queue may stop? */
static bool queue_has_resumed(const struct vdev_queue *q)
{
	return !q->suspending && vq_has_resumed(&q->vq);
}

/* Nothing in flight, neither here nor left over from the process before. */
static bool queue_is_drained(const struct vdev_queue *q)
{
	return q->vq.ninflight == 0 && !queue_has_resumed(q);
}

/* Of a stopping queue: only what is to be taken again. The flush ends the stop. */
static cc_cold unsigned queue_poll_resumed(struct vdev_queue *q)
{
	struct vq_elem *elems[VQ_BATCH];
	unsigned n;

	if (!queue_has_resumed(q))
		return 0;
	n = vq_pop(&q->vq, elems, VQ_BATCH);
	if (n)
		q->dev->ops->process(q, elems, n);
	if (q->vq.broken)
		poller_mark_dirty(&q->poller);
	return n;
}

static unsigned queue_poll(struct poller *p)
{
	struct vdev_queue *q = queue_of(p);
	struct vq_elem *elems[VQ_BATCH];
	unsigned total = 0, n;

	if (cc_unlikely(q->stopping))
		return queue_poll_resumed(q);
	for (unsigned i = 0; i < VDEV_BATCHES_PER_POLL; i++) {
		n = vq_pop(&q->vq, elems, VQ_BATCH);
		if (!n)
			break;
		q->dev->ops->process(q, elems, n);
		total += n;
		if (n < VQ_BATCH)
			break;
	}
	if (cc_unlikely(q->vq.broken))
		queue_broke(q);
	return total;
}

static void queue_flush(struct poller *p)
{
	struct vdev_queue *q = queue_of(p);

	queue_publish(q);
	if (cc_likely(!q->stopping && !q->vq.broken))
		return;
	if (q->vq.broken)
		queue_broke(q);
	if (q->stopping && queue_is_drained(q))
		queue_stopped(q);
}

/* Without a kick fd nobody can wake us: stay hot. */
static bool queue_arm(struct poller *p)
{
	struct vdev_queue *q = queue_of(p);

	if (q->stopping)
		return queue_has_resumed(q);
	return q->vq.kick_fd < 0 || vq_kick_enable(&q->vq);
}

static void queue_disarm(struct poller *p)
{
	vq_kick_disable(&queue_of(p)->vq);
}

static const struct poller_ops queue_poller_ops = {
	.name = "vdev_queue",
	.poll = queue_poll,
	.flush = queue_flush,
	.arm = queue_arm,
	.disarm = queue_disarm,
};

void vdev_queue_answered(struct vdev_queue *q)
{
	if (cc_likely(!q->broken_told)) {
		poller_mark_dirty(&q->poller);
		return;
	}
	/* broken: no poller any more, nothing to publish */
	if (q->stopping && queue_is_drained(q))
		queue_stopped(q);
}

/*
 * Others have had the ring. What they published last they may not have called for: they were killed in between, or the
 * front-end lost the call while their connection ended. A driver that waits for just that would wait for ever.
 */
static bool queue_goes_on(const struct vdev_queue *q)
{
	const struct vq *vq = &q->vq;

	return vq->used_idx != 0 || (vq->is_packed && !vq->used_wrap);
}

static void queue_start(struct reactor_msg *msg)
{
	struct vdev_queue *q = container_of(msg, struct vdev_queue, start_msg);

	poller_attach(q->reactor, &q->poller, &queue_poller_ops, q->vq.kick_fd);
	vq_kick_disable(&q->vq);
	if (queue_goes_on(q) && q->vq.call_fd >= 0)
		vq_call(&q->vq);
}

static void queue_stop(struct reactor_msg *msg)
{
	struct vdev_queue *q = container_of(msg, struct vdev_queue, stop_msg);

	q->stopping = true;
	if (queue_is_drained(q))
		queue_stopped(q);
	else if (queue_has_resumed(q))
		poller_wake(&q->poller);
}

static void queue_suspend(struct reactor_msg *msg)
{
	struct vdev_queue *q = container_of(msg, struct vdev_queue, stop_msg);

	q->suspending = true;
	if (q->vq.ninflight && q->dev->ops->cancel)
		q->dev->ops->cancel(q);
	queue_stop(msg);
}

/*
 * On the control thread
 * ---------------------
 */
static size_t slots_bytes(const struct vdev *dev, uint16_t size)
{
	return (size_t)size * dev->ops->slot_bytes;
}

/* Anonymous memory: zeroed, and resident only as far as the driver uses its ring. */
static void *slots_map(const struct vdev *dev, uint16_t size)
{
	void *va = mmap(NULL, slots_bytes(dev, size), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return va == MAP_FAILED ? NULL : va;
}

int vdev_queue_create(struct vdev *dev, struct reactor *control, struct reactor *r,
		      const struct vq_conf *conf, struct vdev_queue **ret_q, struct errbuf *eb)
{
	struct vdev_queue *q;
	int err;

	if (conf->size == 0 || conf->size > VQ_SIZE_MAX || conf->index >= dev->nqueues_max)
		return errbuf_set(eb, -EINVAL, "queue %u of size %u: out of range", conf->index,
				  conf->size);
	q = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*q), CACHELINE_BYTES));
	if (!q)
		return errbuf_set(eb, -ENOMEM, "out of memory for queue %u", conf->index);
	memset(q, 0, sizeof(*q));
	q->dev = dev;
	q->reactor = r;
	q->control = control;
	q->features = conf->features;
	q->slots = slots_map(dev, conf->size);
	if (!q->slots) {
		err = errbuf_set(eb, -ENOMEM, "out of memory for the requests of queue %u",
				 conf->index);
		goto out_free;
	}
	err = vq_init(&q->vq, conf, q->slots, dev->ops->slot_bytes, eb);
	if (err)
		goto out_unmap;
	err = dev->ops->queue_open(q, eb);
	if (err)
		goto out_fini;
	*ret_q = q;
	return 0;

out_fini:
	vq_fini(&q->vq);
out_unmap:
	munmap(q->slots, slots_bytes(dev, conf->size));
out_free:
	free(q);
	return err;
}

void vdev_queue_destroy(struct vdev_queue *q)
{
	size_t bytes;

	if (!q)
		return;
	bytes = slots_bytes(q->dev, q->vq.size);
	q->dev->ops->queue_close(q);
	vq_fini(&q->vq);
	munmap(q->slots, bytes);
	free(q);
}

void vdev_queue_start(struct vdev_queue *q)
{
	reactor_send(q->reactor, &q->start_msg, queue_start);
}

void vdev_queue_stop(struct vdev_queue *q, vdev_queue_fn fn, void *arg)
{
	q->on_stopped = fn;
	q->on_stopped_arg = arg;
	reactor_send(q->reactor, &q->stop_msg, queue_stop);
}

void vdev_queue_suspend(struct vdev_queue *q, vdev_queue_fn fn, void *arg)
{
	q->on_stopped = fn;
	q->on_stopped_arg = arg;
	reactor_send(q->reactor, &q->stop_msg, q->vq.inflight ? queue_suspend : queue_stop);
}

static void queue_call_done(struct reactor_msg *msg)
{
	struct vdev_queue_call *call = container_of(msg, struct vdev_queue_call, msg);

	call->done(call->q, call->arg);
}

static void queue_call_run(struct reactor_msg *msg)
{
	struct vdev_queue_call *call = container_of(msg, struct vdev_queue_call, msg);

	call->fn(call->q, call->arg);
	reactor_send(call->q->control, &call->msg, queue_call_done);
}

void vdev_queue_call(struct vdev_queue *q, struct vdev_queue_call *call, vdev_queue_fn fn,
		     vdev_queue_fn done, void *arg)
{
	call->q = q;
	call->fn = fn;
	call->done = done;
	call->arg = arg;
	reactor_send(q->reactor, &call->msg, queue_call_run);
}

struct queue_visit {
	void (*fn)(struct vdev_queue *q, void *arg);
	void *arg;
};

static void queue_visit(struct poller *p, void *arg)
{
	struct queue_visit *v = arg;

	v->fn(queue_of(p), v->arg);
}

void vdev_queue_for_each(struct reactor *r, void (*fn)(struct vdev_queue *q, void *arg), void *arg)
{
	struct queue_visit v = { fn, arg };

	poller_for_each(r, &queue_poller_ops, queue_visit, &v);
}

void vdev_init(struct vdev *dev, const struct vdev_ops *ops, unsigned nqueues_max)
{
	assert(nqueues_max >= 1 && nqueues_max <= VDEV_QUEUES_MAX);
	assert(ops->slot_bytes >= sizeof(struct vq_elem));
	dev->ops = ops;
	dev->nqueues_max = nqueues_max;
	list_init(&dev->listeners);
}

void vdev_listener_add(struct vdev *dev, struct vdev_listener *l,
		       void (*config_changed)(struct vdev_listener *l))
{
	l->config_changed = config_changed;
	list_add_tail(&dev->listeners, &l->link);
}

void vdev_listener_del(struct vdev_listener *l)
{
	list_del(&l->link);
}

void vdev_config_changed(struct vdev *dev)
{
	struct list *pos, *tmp;

	list_for_each_safe (pos, tmp, &dev->listeners) {
		struct vdev_listener *l = list_entry(pos, struct vdev_listener, link);

		l->config_changed(l);
	}
}
