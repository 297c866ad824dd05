/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When a ring runs.
 *
 *   not ready ──driver OK: vduse_ring_learn──► ready ──memory complete: ring_start──► running
 *       ▲                                      │  ▲                                       │
 *       │                                      │  └── kick: the memory is looked at ──┐   │
 *       │                                      └────── memory incomplete: watched ────┘   │
 *       └── status 0: vduse_ring_forget ◄── drained: ring_stopped ◄── vduse_ring_stop ────┘
 *
 * Why a ring may wait: the kernel makes the region that requests lie in with the first request, tells nobody, and
 * kicks. A request that lay outside of what we know would break its queue.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vdpa/vduse_priv.h"
#include "vhost/virtq/vqi.h"

#define LOG_TAG "vduse"
#include "core/base/log.h"

void vduse_ring_init(struct vduse_ring *ring, struct vduse *v, unsigned index)
{
	memset(ring, 0, sizeof(*ring));
	ring->v = v;
	ring->index = index;
	ring->kick_fd = -1;
}

int vduse_ring_setup(struct vduse_ring *ring, struct errbuf *eb)
{
	struct vduse_vq_config conf = { .index = ring->index, .max_size = VDUSE_QUEUE_SIZE };
	const struct vduse *v = ring->v;
	int err = v->sys->ioctl(v->fd, VDUSE_VQ_SETUP, &conf);

	if (err < 0)
		return errbuf_set(eb, err, "/dev/vduse/%s: queue %u of size %d: %s", v->name,
				  ring->index, VDUSE_QUEUE_SIZE, strerror(-err));
	ring->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ring->kick_fd < 0 ? errbuf_set(eb, -errno, "eventfd: %s", strerror(errno)) : 0;
}

void vduse_ring_fini(struct vduse_ring *ring)
{
	assert(!ring->q);
	reactor_fd_detach(&ring->kick_rfd);
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	ring->kick_fd = -1;
}

/* As vq_base() has it. */
static uint32_t base_of(const struct vduse_vq_info *info, bool packed)
{
	if (!packed)
		return info->split.avail_index;
	return (info->packed.last_avail_idx & 0x7fffu) |
	       (info->packed.last_avail_counter & 1u) << 15 |
	       (info->packed.last_used_idx & 0x7fffu) << 16 |
	       (info->packed.last_used_counter & 1u) << 31;
}

/* A reset makes the kernel forget the eventfd. A kick that came before it is given it is not lost. */
static int ring_take_kicks(const struct vduse_ring *ring, struct errbuf *eb)
{
	struct vduse_vq_eventfd kick = { .index = ring->index, .fd = ring->kick_fd };
	const struct vduse *v = ring->v;
	int err = v->sys->ioctl(v->fd, VDUSE_VQ_SETUP_KICKFD, &kick);

	return err < 0 ? errbuf_set(eb, err, "queue %u: its kicks: %s", ring->index,
				    strerror(-err)) :
			 0;
}

int vduse_ring_learn(struct vduse_ring *ring, struct errbuf *eb)
{
	struct vduse_vq_info info = { .index = ring->index };
	const struct vduse *v = ring->v;
	int err = v->sys->ioctl(v->fd, VDUSE_VQ_GET_INFO, &info);

	assert(!ring->q);
	if (err < 0)
		return errbuf_set(eb, err, "queue %u: %s", ring->index, strerror(-err));
	if (info.ready && (info.num == 0 || info.num > VDUSE_QUEUE_SIZE))
		return errbuf_set(eb, -EINVAL, "queue %u: size %u, %d was offered", ring->index,
				  info.num, VDUSE_QUEUE_SIZE);
	ring->ready = info.ready;
	ring->broken = false;
	ring->why[0] = '\0';
	ring->size = (uint16_t)info.num;
	ring->desc = info.desc_addr;
	ring->driver = info.driver_addr;
	ring->device = info.device_addr;
	ring->base = base_of(&info, vduse_is_packed(v));
	return ring->ready ? ring_take_kicks(ring, eb) : 0;
}

void vduse_ring_forget(struct vduse_ring *ring)
{
	assert(!ring->q);
	vqi_clear(vduse_log_region(&ring->v->log, ring->index));
	ring->ready = ring->broken = false;
	ring->base = 0;
}

void vduse_ring_call(void *arg)
{
	struct vduse_ring *ring = arg;

	/* -EINVAL: the driver has gone, or wants no calls */
	(void)ring->v->sys->ioctl(ring->v->fd, VDUSE_VQ_INJECT_IRQ, &ring->index);
}

static void ring_break(struct vduse_ring *ring, const char *why)
{
	if (ring->broken)
		return;
	ring->broken = true;
	snprintf(ring->why, sizeof(ring->why), "%.95s", why);
	log_error("%s: queue %u is broken: %s", ring->v->name, ring->index, why);
}

static void ring_broke(struct vdev_queue *q, void *arg)
{
	ring_break(arg, q->vq.why);
}

/*
 * Stop
 */
static void ring_stopped(struct vdev_queue *q, void *arg)
{
	struct vduse_ring *ring = arg;

	ring->base = vq_base(&q->vq);
	ring->before.chains += q->vq.cnt.chains;
	ring->before.polls += q->vq.cnt.polls;
	ring->before.empty_polls += q->vq.cnt.empty_polls;
	ring->before.kicks += q->vq.cnt.kicks;
	ring->before.calls += q->vq.cnt.calls;
	vdev_queue_destroy(q);
	ring->q = NULL;
	vduse_wait_done(ring->v);
}

void vduse_ring_stop(struct vduse_ring *ring)
{
	if (!ring->q)
		return;
	vduse_wait_add(ring->v);
	vdev_queue_stop(ring->q, ring_stopped, ring);
}

void vduse_rings_stop(struct vduse *v)
{
	for (unsigned i = 0; i < v->nrings; i++)
		vduse_ring_stop(&v->rings[i]);
}

/*
 * Start
 */
static int ring_part(const struct vduse_ring *ring, const char *what, uint64_t iova, uint64_t len,
		     uint64_t align, void **ret, struct errbuf *eb)
{
	void *va = gmem_gpa_to_va(ring->v->mem.gmem, iova, len);

	if (!va)
		return errbuf_set(eb, -EFAULT, "%s at %#llx (%llu bytes) is not mapped", what,
				  (unsigned long long)iova, (unsigned long long)len);
	if (iova % align || (uintptr_t)va % align)
		return errbuf_set(eb, -EINVAL, "%s at %#llx is not aligned to %llu", what,
				  (unsigned long long)iova, (unsigned long long)align);
	*ret = va;
	return 0;
}

/* Virtio 1.2, 2.7 and 2.8. Without EVENT_IDX the split ring ends before the event fields. */
static int ring_map(const struct vduse_ring *ring, struct vq_conf *c, struct errbuf *eb)
{
	unsigned event = c->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX) ? 0 : 2;
	uint64_t avail = c->packed ? sizeof(struct virtq_pevent) : VIRTQ_AVAIL_BYTES(c->size) - event;
	uint64_t used = c->packed ? sizeof(struct virtq_pevent) : VIRTQ_USED_BYTES(c->size) - event;
	int err = ring_part(ring, "descriptor area", ring->desc, VIRTQ_DESC_BYTES(c->size), 16,
			    &c->desc, eb);

	if (!err)
		err = ring_part(ring, "driver area", ring->driver, avail, c->packed ? 4 : 2,
				&c->avail, eb);
	return err ? err : ring_part(ring, "device area", ring->device, used, 4, &c->used, eb);
}

static int ring_create(struct vduse_ring *ring, struct errbuf *eb)
{
	struct vduse *v = ring->v;
	struct vq_conf c = {
		.index = (uint16_t)ring->index,
		.size = ring->size,
		.packed = vduse_is_packed(v),
		.features = v->features,
		.kick_fd = ring->kick_fd,
		.call_fd = -1,
		.call = vduse_ring_call,
		.call_arg = ring,
		.gmem = v->mem.gmem,
		.inflight = vduse_log_region(&v->log, ring->index),
	};
	unsigned at = (v->first_reactor + ring->index) % v->nnear;
	int err = ring_map(ring, &c, eb);

	if (err)
		return err;
	if (!c.packed && !CC_IS_POW2(c.size))
		return errbuf_set(eb, -EINVAL, "size %u of a split ring is no power of two", c.size);
	/* without a word of the log: where the driver begins */
	c.avail_idx = (uint16_t)(c.packed ? ring->base & 0x7fff : ring->base);
	c.avail_wrap = ring->base >> 15 & 1;
	c.used_idx = ring->base >> 16 & 0x7fff;
	c.used_wrap = ring->base >> 31;
	return vdev_queue_create(v->dev, v->control, v->reactors[at], &c, &ring->q, eb);
}

static void ring_start(struct vduse_ring *ring)
{
	struct errbuf eb;

	reactor_fd_detach(&ring->kick_rfd);
	if (ring_create(ring, &eb)) {
		ring_break(ring, eb.text);
		return;
	}
	ring->q->on_broken = ring_broke;
	ring->q->on_broken_arg = ring;
	vdev_queue_start(ring->q);
}

bool vduse_rings_run(const struct vduse *v)
{
	for (unsigned i = 0; i < v->nrings; i++) {
		if (v->rings[i].q)
			return true;
	}
	return false;
}

/* The first request of all, or a kick for nothing. The kick itself is left for the queue to find. */
static void ring_kicked(struct reactor_fd *rfd, uint32_t events)
{
	struct vduse_ring *ring = container_of(rfd, struct vduse_ring, kick_rfd);
	struct vduse *v = ring->v;
	struct errbuf eb;
	uint64_t kicks;

	(void)events;
	assert(!vduse_rings_run(v)); /* they wait together */
	if (vduse_mem_learn(v, &eb))
		vduse_fail(v, eb.text);
	else if (v->mem.complete)
		vduse_rings_start(v);
	else /* nobody kicks for what is not there */
		(void)!read(ring->kick_fd, &kicks, sizeof(kicks));
}

static void ring_watch(struct vduse_ring *ring)
{
	if (!ring->kick_rfd.reactor &&
	    reactor_fd_attach(ring->v->control, &ring->kick_rfd, ring->kick_fd, EPOLLIN, ring_kicked))
		ring_break(ring, "its kicks cannot be watched");
}

void vduse_rings_start(struct vduse *v)
{
	if (!(v->status & VDUSE_STATUS_DRIVER_OK) || v->failed)
		return;
	for (unsigned i = 0; i < v->nrings; i++) {
		struct vduse_ring *ring = &v->rings[i];

		if (!ring->ready || ring->broken || ring->q)
			continue;
		if (v->mem.complete)
			ring_start(ring);
		else
			ring_watch(ring);
	}
}

void vduse_rings_rest(struct vduse *v)
{
	for (unsigned i = 0; i < v->nrings; i++)
		reactor_fd_detach(&v->rings[i].kick_rfd);
}
