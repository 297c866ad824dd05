/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The port between a transport (vhost-user, vDPA, …) and a virtio device type (blk, scsi), and the
 * queue engine between them.
 *
 *   transport (control thread)                         engine (vdev.c, the queue's reactor) device
 * type vdev_queue_create ─► memory, channel               poll:  vq_pop
 * ───────────────────────────► ops->process(q, elems, n) vdev_queue_start  ─msg─► attach poller
 * flush: vq_flush ◄── vdev_queue_done ◄────── (each elem once) vdev_queue_stop   ─msg─► no new
 * chains, drain ─msg─► done on the control thread vdev_queue_destroy
 */
#ifndef VHOST_VDEV_H
#define VHOST_VDEV_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/base/hist.h"
#include "core/base/list.h"
#include "core/reactor.h"
#include "vhost/virtq/vq.h"

struct vdev;
struct vdev_queue;

#define VDEV_QUEUES_MAX 256
#define VDEV_CONFIG_MAX 256
#define VDEV_STATE_MAX	256
#define VDEV_KINDS_MAX	8 /* of requests that are counted apart */

/* What a device type knows beside queues and configuration space, and hands on when the driver moves
 * to another host: a few fields, little endian. Control thread, no queue runs. */
struct vdev_state_ops {
	/* Returns its size. */
	uint32_t (*save)(const struct vdev *dev, uint8_t state[VDEV_STATE_MAX]);
	/* From outside. 0, or -EINVAL with eb: nothing has changed. */
	int (*load)(struct vdev *dev, const uint8_t *state, uint32_t len, struct errbuf *eb);
};

/* A device type. process and cancel run on the queue's reactor, the rest on the control thread. */
struct vdev_ops {
	const char *name;
	uint32_t virtio_id;  /* 2 = block, 8 = scsi */
	uint32_t slot_bytes; /* of its request, struct vq_elem first */
	/* Device-type feature bits it offers now (ring and transport bits are the transport's). */
	uint64_t (*features)(const struct vdev *dev);
	/* Fill the whole config space; returns its size. */
	uint32_t (*config_get)(const struct vdev *dev, uint8_t config[VDEV_CONFIG_MAX]);
	/* The driver writes [off, off+len) of the config space. 0, -EINVAL, -EROFS. */
	int (*config_set)(struct vdev *dev, uint32_t off, const void *buf, uint32_t len);
	/* Take what one queue needs on q->reactor (a channel): q->priv. / Give it back; nothing is
	 * in flight. */
	int (*queue_open)(struct vdev_queue *q, struct errbuf *eb);
	void (*queue_close)(struct vdev_queue *q);
	/* @n chains to work on; each ends in vdev_queue_done() exactly once, possibly inside this
	 * call. */
	void (*process)(struct vdev_queue *q, struct vq_elem **elems, unsigned n);
	/* The queue is being suspended (q->suspending): chains that merely wait for the back end
	 * are to end in vdev_queue_left(), now or later; the others as ever. On its reactor. NULL:
	 * none ever waits. */
	void (*cancel)(struct vdev_queue *q);
	/* The device is reset (no queue runs): back to power-on state. */
	void (*reset)(struct vdev *dev);
	const struct vdev_state_ops *state; /* NULL: it has none */
};

/* Told on the control thread: the config space changed (resize, write cache). One per transport
 * session. */
struct vdev_listener {
	struct list link;
	void (*config_changed)(struct vdev_listener *l);
};

struct vdev {
	const struct vdev_ops *ops;
	struct list listeners;
	unsigned nqueues_max;
};

typedef void (*vdev_queue_fn)(struct vdev_queue *q, void *arg);

/*
 * How long answers took from the turn that brought them until the driver could see them and had
 * been called, if it wanted to be. A batch is measured together, by its first answer. The device
 * type gives the histograms when the queue is opened, one for each of its kinds of requests, and
 * tells with vdev_queue_count() what it has pushed.
 */
struct vdev_told {
	/* how it was told, and then by kind; NULL for what does not occur, and where none is
	 * counted */
	struct hist *how[VQ_FLUSHED_CALLED + 1];
	uint64_t since_ticks; /* the first answer that is not published yet, if there is one */
	uint32_t n[VDEV_KINDS_MAX]; /* that are not published yet */
	uint32_t kinds;		    /* of which there are some, as a set */
};

/* Engine state of one running queue. Lives on `reactor` between start and the end of stop. */
struct vdev_queue {
	struct vq vq;
	struct poller poller;
	struct vdev *dev;
	struct reactor *reactor, *control;
	void *priv;	   /* device type's */
	void *slots;	   /* requests */
	uint64_t features; /* negotiated */
	bool stopping, suspending;
	struct vdev_told told;
	/* told once on the control thread when the queue broke; the transport signals the err fd */
	vdev_queue_fn on_broken;
	void *on_broken_arg;
	bool broken_told;
	vdev_queue_fn on_stopped;
	void *on_stopped_arg;
	struct reactor_msg start_msg, stop_msg,
		broken_msg; /* each under way at most once at a time */
};

void vdev_init(struct vdev *dev, const struct vdev_ops *ops, unsigned nqueues_max);

/* Allocates requests and rings' run-time state on behalf of @r. Control thread. 0 or -errno with
 * eb. */
int vdev_queue_create(struct vdev *dev, struct reactor *control, struct reactor *r,
		      const struct vq_conf *conf, struct vdev_queue **ret_q, struct errbuf *eb);
/* Never started, or stopped. NULL is fine. Control thread. */
void vdev_queue_destroy(struct vdev_queue *q);

/* Begin to work (on its reactor, by message). Chains found in the inflight region come first. */
void vdev_queue_start(struct vdev_queue *q);

/* Take no new chains (those of the inflight region are not new), wait for those in flight, publish
 * them, then fn(q, arg) on the control thread. Once. */
void vdev_queue_stop(struct vdev_queue *q, vdev_queue_fn fn, void *arg);

/* The same, but chains that merely wait for the back end, or are yet to be taken again, are left in
 * the inflight region: it takes no longer than what the back end has under way. Without a region:
 * vdev_queue_stop(). */
void vdev_queue_suspend(struct vdev_queue *q, vdev_queue_fn fn, void *arg);

/* The first answer since the last flush, or one to a queue that has left the poll list. */
void vdev_queue_answered(struct vdev_queue *q);

/* Something was pushed. */
static cc_always_inline void vdev_queue_pushed(struct vdev_queue *q)
{
	if (cc_unlikely(!q->poller.is_dirty))
		vdev_queue_answered(q);
}

/* @n answers to requests of the kind @kind are being pushed in this very turn. */
static cc_always_inline void vdev_queue_count(struct vdev_queue *q, unsigned kind, unsigned n)
{
	assert(kind < VDEV_KINDS_MAX && q->told.how[VQ_FLUSHED_QUIET]);
	if (cc_likely(!q->told.kinds))
		q->told.since_ticks = q->reactor->now_ticks;
	q->told.n[kind] += n;
	q->told.kinds |= 1u << kind;
}

/* On the queue's reactor, by the device type: @e is answered. (Many at once: vq_run_*, then
 * vdev_queue_pushed().) */
static cc_always_inline void vdev_queue_done(struct vdev_queue *q, struct vq_elem *e,
					     uint32_t written)
{
	vq_push(&q->vq, e, written);
	vdev_queue_pushed(q);
}

/* @e, of a queue that is being suspended, is left to whoever takes the ring up next. */
static inline void vdev_queue_left(struct vdev_queue *q, struct vq_elem *e)
{
	assert(q->suspending);
	vq_leave(&q->vq, e);
	vdev_queue_pushed(q);
}

/* Run fn(q, arg) on the queue's reactor, then done(q, arg) on the control thread. For memory and
 * log changes. */
struct vdev_queue_call {
	struct reactor_msg msg;
	struct vdev_queue *q;
	vdev_queue_fn fn, done;
	void *arg;
};
void vdev_queue_call(struct vdev_queue *q, struct vdev_queue_call *call, vdev_queue_fn fn,
		     vdev_queue_fn done, void *arg);

/* On @r: fn for each of its queues that works or drains. Those that broke are not among them. For inspection. */
void vdev_queue_for_each(struct reactor *r, void (*fn)(struct vdev_queue *q, void *arg), void *arg);

void vdev_listener_add(struct vdev *dev, struct vdev_listener *l,
		       void (*config_changed)(struct vdev_listener *l));
void vdev_listener_del(struct vdev_listener *l);
/* Device type: the config space changed. */
void vdev_config_changed(struct vdev *dev);

#endif
