/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control thread wants of a channel's scheduler, told by one message that goes to and fro.
 *
 *   control: want ─ order ─► reactor: order_apply ─ back ─► control: has want changed meanwhile? again
 *                            frozen, and empty:  ─ empty_msg ─► control: bdev_freeze_check
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/bdev_priv.h"
#include "core/iosched.h"
#include "core/qos_priv.h"

static void order_group(struct bdev_chan *chan, const struct iosched_order *o)
{
	struct iosched_gate *g = chan->sched.gate;
	struct qos_seat *seat = &g->seat[IOSCHED_GROUP];
	bool has_promise = o->group && (o->promise.min_ios || o->promise.min_bytes);

	if (seat->pool != o->group) {
		qos_seat_leave(seat);
		if (o->group)
			qos_seat_take(seat, o->group, o->weight);
	}
	if (!o->group)
		return;
	qos_seat_set_weight(seat, o->weight);
	if (has_promise)
		qos_promise_set(&g->promise, &o->promise, chan->reactor->now_ns);
	qos_seat_set_promise(seat, has_promise ? &g->promise : NULL);
	qos_pool_run(o->group);
}

static void order_apply(struct bdev_chan *chan)
{
	struct iosched *s = &chan->sched;
	struct iosched_gate *g = s->gate;
	const struct iosched_order *o = &g->order;
	uint32_t depth = chan->bdev->lim.depth;

	chan->depth = o->depth ? CC_MIN(o->depth, depth) : depth;
	chan->weight = o->weight;
	for (unsigned class = 0; class < QOS_CLASSES; class++)
		s->patience_ticks[class] = mono_ns_to_ticks(o->patience_ns[class]);
	s->has_patience = o->patience_ns[QOS_CLASS_READ] || o->patience_ns[QOS_CLASS_WRITE];
	s->is_frozen = o->is_frozen;
	g->freeze = o->freeze;
	iosched_update_watch(s);
	iosched_set_gate(chan, o->is_limited || o->group || o->is_frozen);
	iosched_path_order(chan, o->path_timeout_ns, bdev_is_draining(chan->bdev));
	order_group(chan, o);
	if (o->shall_flush) {
		for (unsigned i = 0; i < IOSCHED_LIMITS; i++)
			qos_seat_flush(&g->seat[i]);
	}
	iosched_resume(chan);
}

/*
 * To and fro
 */

static void order_answered(struct reactor_msg *msg);

static void order_arrived(struct reactor_msg *msg)
{
	struct iosched_gate *g = container_of(msg, struct iosched_gate, order.msg);

	order_apply(g->chan);
	reactor_send(g->chan->bdev->control, msg, order_answered);
}

static void order_send(struct iosched_gate *g)
{
	g->is_ordered = true;
	g->is_stale = false;
	g->order = g->want;
	g->want.shall_flush = false;
	qos_group_pool_hold(g->order.group);
	reactor_send(g->chan->reactor, &g->order.msg, order_arrived);
}

static void order_answered(struct reactor_msg *msg)
{
	struct iosched_gate *g = container_of(msg, struct iosched_gate, order.msg);

	g->is_ordered = false;
	qos_group_pool_put(g->group);
	g->group = g->order.group;
	if (g->is_stale && !g->is_leaving)
		order_send(g);
}

static void order(struct iosched_gate *g)
{
	if (g->is_leaving)
		return;
	if (g->is_ordered)
		g->is_stale = true;
	else
		order_send(g);
}

void iosched_tell(struct bdev_chan *chan)
{
	const struct bdev *bdev = chan->bdev;
	struct iosched_gate *g = chan->sched.gate;

	g->want.depth = bdev->depth;
	memcpy(g->want.patience_ns, bdev->patience_ns, sizeof(bdev->patience_ns));
	g->want.path_timeout_ns = bdev->path_timeout_ns;
	g->want.is_frozen = bdev->nfreezes > 0;
	g->want.freeze = bdev->freeze;
	qos_fill_order(bdev, &g->want);
	order(g);
}

void iosched_release(struct bdev_chan *chan)
{
	chan->sched.gate->want.shall_flush = true;
	order(chan->sched.gate);
}

/*
 * Freezing
 */

/* The reactor has nothing of it any more, unless it was thawed and frozen again meanwhile. */
static void empty_arrived(struct reactor_msg *msg)
{
	struct iosched_gate *g = container_of(msg, struct iosched_gate, empty_msg);
	struct bdev *bdev = g->chan->bdev;

	g->emptied = g->empty_freeze;
	__atomic_store_n(&g->is_telling, false, __ATOMIC_RELEASE);
	if (g->is_leaving)
		return;
	if (g->emptied == bdev->freeze)
		bdev_freeze_check(bdev);
	else
		order(g); /* to be told again */
}

void iosched_tell_empty(struct bdev_chan *chan)
{
	struct iosched_gate *g = chan->sched.gate;

	if (g->empty_freeze == g->freeze || __atomic_load_n(&g->is_telling, __ATOMIC_ACQUIRE))
		return;
	g->empty_freeze = g->freeze;
	__atomic_store_n(&g->is_telling, true, __ATOMIC_RELAXED);
	reactor_send(chan->bdev->control, &g->empty_msg, empty_arrived);
}

/*
 * The end
 */

void iosched_leave(struct bdev_chan *chan)
{
	struct iosched_gate *g = chan->sched.gate;

	/* what is under way comes back before the channel has stopped */
	g->is_leaving = true;
	qos_chan_leave(chan);
}

void iosched_fini(struct bdev_chan *chan)
{
	struct iosched_gate *g = chan->sched.gate;

	if (!g)
		return;
	assert(!g->is_ordered);
	qos_group_pool_put(g->group);
	qos_group_pool_put(g->want.group);
	free(g);
}
