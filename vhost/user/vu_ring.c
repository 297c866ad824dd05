/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a ring runs: start, stop, its place in memory.
 *
 *            SET_VRING_KICK, ENABLE(1), features or memory come, the last of them: ring_start
 *   stopped ─────────────────────────────────────────────────────────────────────────────────►
 * running ▲ │ └──────────── drained: ring_stopped keeps the position ◄── vu_ring_stop
 * ──────────────────┘ GET_VRING_BASE, ENABLE(0), status 0, RESET_DEVICE, memory gone, disconnect
 *
 * GET_VRING_BASE also forgets the kick, so that only the next SET_VRING_KICK starts the ring again.
 *
 * What the inflight region says of a stopped ring is true until the front-end is told the position,
 * or names another one: then the region is cleared, and the front-end's word counts. Not before: a
 * crash before the answer is out must find the position in the region.
 */
#include "vhost/user/vu_ring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/stall.h"
#include "vhost/user/vu_log.h"
#include "vhost/virtq/vqi.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

#define VU_BREAKS_LOGGED 16 /* in one connection: a front-end cannot fill the log */

/* Queues per data reactor, over all devices. Control thread. */
static unsigned reactor_load[REACTOR_MAX];

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vu_ring_init(struct vu_ring *ring, struct vu_session *s, unsigned index)
{
	memset(ring, 0, sizeof(*ring));
	ring->s = s;
	ring->index = (uint16_t)index;
	ring->home = -1;
	ring->kick_fd = ring->call_fd = ring->err_fd = ring->new_fd = -1;
}

void vu_ring_fini(struct vu_ring *ring)
{
	assert(!ring->q);
	close_fd(&ring->kick_fd);
	close_fd(&ring->call_fd);
	close_fd(&ring->err_fd);
	close_fd(&ring->new_fd);
}

/*
 * Running queues
 */
static void ring_call_done(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	(void)q;
	vu_wait_done(ring->s);
}

void vu_ring_call(struct vu_ring *ring, vdev_queue_fn fn)
{
	vu_wait_add(ring->s);
	vdev_queue_call(ring->q, &ring->call, fn, ring_call_done, ring);
}

static bool ring_holds_up(const struct vu_ring *ring)
{
	return __atomic_load_n(&ring->s->held_up, __ATOMIC_RELAXED);
}

/* Full or closed: the front-end does not want to know. */
static void ring_tell_broken(struct vu_ring *ring)
{
	const uint64_t one = 1;

	if (ring->err_fd < 0 || ring_holds_up(ring) ||
	    stall_write(ring->err_fd, &one, sizeof(one)) >= 0)
		return;
	if (errno == EINTR)
		vu_session_held_up(ring->s);
	else
		log_debug("%s: queue %u: error notification: %s", ring->s->conf.name, ring->index,
			  strerror(errno));
}

void vu_ring_break(struct vu_ring *ring, const char *why)
{
	/* a ring of zeroes breaks as well: the loss is told already, and ends the session */
	bool is_lost = __atomic_load_n(&ring->s->lost.what, __ATOMIC_ACQUIRE) != NULL;
	bool is_loud;

	if (ring->broken)
		return;
	is_loud = !is_lost && !ring_holds_up(ring) && ring->s->breaks++ < VU_BREAKS_LOGGED;
	ring->broken = true;
	snprintf(ring->why, sizeof(ring->why), "%s", why);
	log_at(is_loud ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "%s: queue %u is broken: %s",
	       ring->s->conf.name, ring->index, why);
	ring_tell_broken(ring);
}

static void ring_broke(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	if (ring_holds_up(ring))
		vu_session_held_up(ring->s);
	vu_ring_break(ring, q->vq.why);
}

/* A queue counts from its start, a ring from the connection's. */
static void ring_keep_counters(struct vu_ring *ring, const struct vq_counters *c)
{
	ring->before.chains += c->chains;
	ring->before.polls += c->polls;
	ring->before.empty_polls += c->empty_polls;
	ring->before.kicks += c->kicks;
	ring->before.calls += c->calls;
}

static void ring_stopped(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	if (ring_holds_up(ring)) /* in its last flush, too, which nobody tells of */
		vu_session_held_up(ring->s);
	ring->base = vq_base(&q->vq);
	ring->kept = q->vq.inflight != NULL;
	ring->left = ring->kept && !q->vq.broken && vq_has_taken(&q->vq);
	reactor_load[q->reactor->id % REACTOR_MAX]--;
	ring_keep_counters(ring, &q->vq.cnt);
	vdev_queue_destroy(q);
	ring->q = NULL;
	vu_wait_done(ring->s);
}

void vu_ring_stop(struct vu_ring *ring)
{
	const struct vu_session *s = ring->s;

	vu_wait_add(ring->s);
	if (vu_session_has(s, VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT))
		vdev_queue_suspend(ring->q, ring_stopped, ring);
	else
		vdev_queue_stop(ring->q, ring_stopped, ring);
}

void vu_ring_forget(struct vu_ring *ring)
{
	const struct vu_session *s = ring->s;
	struct errbuf eb;
	void *region;

	assert(!ring->q);
	ring->kept = ring->left = false;
	if (!vu_inflight_region(&s->inflight, ring->index, vu_session_is_packed(s), 0, &region, &eb) &&
	    region)
		vqi_clear(region);
}

/*
 * Start
 */
struct ring_layout {
	uint64_t desc, avail, used; /* bytes of the three parts */
	uint64_t desc_align, avail_align, used_align;
};

/* Virtio 1.2, 2.7 and 2.8. Without EVENT_IDX the split ring ends before the event fields. */
static struct ring_layout ring_layout(const struct vu_session *s, uint32_t size)
{
	unsigned event = s->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX) ? 0 : 2;

	if (vu_session_is_packed(s))
		return (struct ring_layout){ VIRTQ_DESC_BYTES(size),
					     sizeof(struct virtq_pevent),
					     sizeof(struct virtq_pevent),
					     16,
					     4,
					     4 };
	return (struct ring_layout){ VIRTQ_DESC_BYTES(size),
				     VIRTQ_AVAIL_BYTES(size) - event,
				     VIRTQ_USED_BYTES(size) - event,
				     16,
				     2,
				     4 };
}

static int ring_part(const struct vu_ring *ring, const char *what, uint64_t uva, uint64_t len,
		     uint64_t align, void **ret)
{
	struct errbuf *eb = &ring->s->eb;
	void *va = gmem_uva_to_va(ring->s->mem.gmem, uva, len);

	if (uva % align || (uintptr_t)va % align)
		return errbuf_set(eb, -EINVAL, "queue %u: %s at %#llx is not aligned to %llu",
				  ring->index, what, (unsigned long long)uva,
				  (unsigned long long)align);
	if (!va)
		return errbuf_set(eb, -EFAULT,
				  "queue %u: %s at %#llx (%llu bytes) is not in guest memory",
				  ring->index, what, (unsigned long long)uva,
				  (unsigned long long)len);
	*ret = va;
	return 0;
}

static int ring_map(struct vu_ring *ring)
{
	const struct ring_layout l = ring_layout(ring->s, ring->size);
	int err;

	err = ring_part(ring, "descriptor area", ring->addr.desc, l.desc, l.desc_align,
			&ring->desc);
	if (!err)
		err = ring_part(ring, "driver area", ring->addr.avail, l.avail, l.avail_align,
				&ring->avail);
	if (!err)
		err = ring_part(ring, "device area", ring->addr.used, l.used, l.used_align,
				&ring->used);
	return err;
}

enum vu_ring_place vu_ring_place(const struct vu_ring *ring, const struct gmem *g)
{
	const struct ring_layout l = ring_layout(ring->s, ring->size);
	void *desc = gmem_uva_to_va(g, ring->addr.desc, l.desc);
	void *avail = gmem_uva_to_va(g, ring->addr.avail, l.avail);
	void *used = gmem_uva_to_va(g, ring->addr.used, l.used);

	if (!desc || !avail || !used)
		return VU_RING_LOST;
	return desc == ring->desc && avail == ring->avail && used == ring->used ? VU_RING_SAME
										: VU_RING_MOVED;
}

/* The near data reactor with the fewest queues; among equals the next one after the last choice. */
static unsigned reactor_choose(const struct vu_session *s, unsigned first)
{
	unsigned best = first % s->conf.nnear;

	for (unsigned i = 1; i < s->conf.nnear; i++) {
		unsigned at = (first + i) % s->conf.nnear;

		if (reactor_load[s->conf.reactors[at]->id % REACTOR_MAX] <
		    reactor_load[s->conf.reactors[best]->id % REACTOR_MAX])
			best = at;
	}
	return best;
}

/* Positions: the packed ring's word carries all four; the split ring's used index stands in its
 * memory. */
static void ring_positions(const struct vu_ring *ring, struct vq_conf *c)
{
	if (c->packed) {
		c->avail_idx = ring->base & 0x7fff;
		c->avail_wrap = ring->base >> 15 & 1;
		c->used_idx = ring->base >> 16 & 0x7fff;
		c->used_wrap = ring->base >> 31;
	} else {
		c->avail_idx = (uint16_t)ring->base;
		c->used_idx = le16_get(((volatile struct virtq_used *)ring->used)->idx);
	}
}

/* A driver that starts from the beginning finds the device type as after power-on; one that goes on
 * finds it as it was. */
static void reset_if_due(struct vu_session *s)
{
	uint32_t start = vu_session_is_packed(s) ? 0x80008000u : 0;

	if (!s->reset_due)
		return;
	s->reset_due = false;
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].base != start && s->rings[i].base != 0)
			return;
	}
	s->conf.dev->ops->reset(s->conf.dev);
}

static int ring_start(struct vu_ring *ring)
{
	struct vu_session *s = ring->s;
	struct vq_conf c = {
		.index = ring->index,
		.size = (uint16_t)ring->size,
		.packed = vu_session_is_packed(s),
		.features = s->features,
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
		.held_up = &s->held_up,
		.gmem = s->mem.gmem,
	};
	unsigned at = ring->home >= 0 ? (unsigned)ring->home : reactor_choose(s, ring->index);
	int err = ring_map(ring);

	if (!err)
		err = vu_inflight_region(&s->inflight, ring->index, c.packed, c.size, &c.inflight,
					 &s->eb);
	if (err)
		return err;
	c.desc = ring->desc;
	c.avail = ring->avail;
	c.used = ring->used;
	ring_positions(ring, &c);
	vu_log_of(ring, &c.log, &c.log_used_gpa);
	reset_if_due(s);
	err = vdev_queue_create(s->conf.dev, s->conf.control, s->conf.reactors[at], &c, &ring->q,
				&s->eb);
	if (err)
		return err;
	ring->reactor_at = at;
	ring->since_ns = mono_ns();
	ring->kept = ring->left = ring->broken = false;
	ring->why[0] = '\0';
	reactor_load[ring->q->reactor->id % REACTOR_MAX]++;
	ring->q->on_broken = ring_broke;
	ring->q->on_broken_arg = ring;
	vdev_queue_start(ring->q);
	return 0;
}

int vu_ring_try_start(struct vu_ring *ring)
{
	const struct vu_session *s = ring->s;

	if (ring->q || !s->features_set || s->features_bad || s->mem.gmem->n == 0 ||
	    ring->size == 0 || !ring->addr_set || !ring->kicked || !ring->enabled)
		return 0;
	if (!vu_session_is_packed(s) && !CC_IS_POW2(ring->size))
		return errbuf_set(&ring->s->eb, -EINVAL,
				  "queue %u: size %u of a split ring is not a power of two",
				  ring->index, ring->size);
	return ring_start(ring);
}

void vu_rings_try_start(struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		if (vu_ring_try_start(&s->rings[i]))
			log_debug("%s: not started yet: %s", s->conf.name, s->eb.text);
	}
}
