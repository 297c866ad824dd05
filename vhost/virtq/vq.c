/* SPDX-License-Identifier: BSD-3-Clause */
/* The device side of a virtqueue: what both layouts share. */
#include "vhost/virtq/vq.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/linemem.h"
#include "core/stall.h"
#include "vhost/virtq/vq_priv.h"

#define VQ_CALLED_OTHERWISE INT_MAX /* no fd, and not "none": the layouts only ask whether it is negative */

/* Where no region was hit yet: nothing is inside. */
static const struct gmem_region vq_nowhere;

static unsigned vq_pow2_up(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

/* One allocation for the small tables, one mapping for the rows of pieces. */
static int vq_alloc(struct vq *vq)
{
	unsigned norder = vq->in_order ? vq_pow2_up(vq->size) : 0;
	unsigned nvqi = vq->is_packed && vq->inflight ? vq->size : 0;
	unsigned nresume = vq->inflight ? vq->size : 0;
	uint16_t *t = linemem_calloc(vq->size + nresume + norder + 2u * nvqi, sizeof(*t));

	if (!t)
		return -ENOMEM;
	vq->tables = t;
	vq->batch = t;
	vq->resume = t + vq->size;
	vq->order = vq->resume + nresume;
	vq->order_mask = (uint16_t)(norder - 1);
	vq->vqi_next = vq->order + norder;
	vq->vqi_last = vq->vqi_next + nvqi;
	vq->iovs = mmap(NULL, vq->size * VQ_IOV_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vq->iovs == MAP_FAILED) {
		vq->iovs = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void vq_slots_init(struct vq *vq)
{
	for (unsigned i = 0; i < vq->size; i++)
		*vq_slot(vq, (uint16_t)i) = (struct vq_elem){
			.iov = (struct iovec *)(vq->iovs + i * VQ_IOV_BYTES),
			.id = (uint16_t)i,
		};
}

/* What was noted is marked, with one barrier for all. */
static void log_noted(struct vq *vq)
{
	if (!vq->nnotes)
		return;
	barrier_full(); /* data and descriptors before a look at their bits; partner: whoever takes the bits, then copies
			   the pages */
	for (unsigned i = 0; i < vq->nnotes; i++)
		dlog_mark_behind_barrier(vq->log, vq->notes[i].gpa, vq->notes[i].len);
	vq->nnotes = 0;
}

static void log_note(struct vq *vq, uint64_t gpa, uint64_t len)
{
	if (gpa == UINT64_MAX)
		return;
	if (vq->nnotes == VQ_NOTES)
		log_noted(vq);
	vq->notes[vq->nnotes++] = (struct vq_note){ gpa, len };
}

/*
 * Pieces are in our addresses, the log is in the guest's. All writable pieces count, however little
 * was written: a failed request has its status behind the data.
 */
static void log_note_elem(struct vq *vq, const struct vq_elem *e)
{
	for (unsigned i = e->nout; i < (unsigned)e->nout + e->nin; i++)
		log_note(vq, gmem_va_to_gpa(vq->gmem, e->iov[i].iov_base), e->iov[i].iov_len);
}

/* UINT64_MAX: the rings are not logged. */
static uint64_t ring_gpa(const struct vq *vq, const volatile void *va)
{
	if (vq->log_used_gpa == UINT64_MAX)
		return UINT64_MAX;
	if (vq->is_packed)
		return gmem_va_to_gpa(vq->gmem, (const void *)va);
	return vq->log_used_gpa + ((uintptr_t)va - (uintptr_t)vq->split.used);
}

void vq_log_ring(struct vq *vq, const volatile void *va, uint64_t len)
{
	uint64_t gpa = ring_gpa(vq, va);

	if (gpa != UINT64_MAX)
		dlog_mark(vq->log, gpa, len);
}

void vq_log_batch(struct vq *vq, const volatile void *ring, size_t entry_bytes, unsigned first, unsigned n)
{
	unsigned to_end = CC_MIN(n, vq->size - first);

	log_note(vq, ring_gpa(vq, (const volatile char *)ring + first * entry_bytes), to_end * entry_bytes);
	if (n > to_end)
		log_note(vq, ring_gpa(vq, ring), (n - to_end) * entry_bytes);
	log_noted(vq);
}

/*
 * A ring that starts while the log is on: what was written to it just now, and what the process
 * before may have written without living long enough to mark it.
 */
static void vq_log_start(struct vq *vq)
{
	uint64_t event = vq->event_idx ? 0 : 2; /* without it the used ring ends before the event */

	if (!vq->log)
		return;
	if (vq->is_packed) {
		vq_log_ring(vq, vq->packed.desc, VIRTQ_DESC_BYTES(vq->size));
		vq_log_ring(vq, vq->packed.device, sizeof(struct virtq_pevent));
	} else {
		vq_log_ring(vq, vq->split.used, VIRTQ_USED_BYTES(vq->size) - event);
	}
}

int vq_init(struct vq *vq, const struct vq_conf *conf, void *slots, uint32_t slot_bytes,
	    struct errbuf *eb)
{
	int err;

	assert(slot_bytes >= sizeof(struct vq_elem) && slot_bytes % 8 == 0);
	if (conf->size == 0 || conf->size > VQ_SIZE_MAX)
		return errbuf_set(eb, -EINVAL, "queue %u: size %u, 1 to %d can be", conf->index,
				  conf->size, VQ_SIZE_MAX);
	memset(vq, 0, sizeof(*vq));
	vq->gmem = conf->gmem;
	vq->cache = vq->cache_old = &vq_nowhere;
	vq->slots = slots;
	vq->slot_bytes = slot_bytes;
	vq->size = conf->size;
	vq->is_packed = conf->packed;
	vq->event_idx = conf->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	vq->in_order = conf->features & VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	vq->indirect_ok = conf->features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
	vq->call_fd = conf->call ? VQ_CALLED_OTHERWISE : conf->call_fd;
	vq->call = conf->call;
	vq->call_arg = conf->call_arg;
	vq->kick_fd = conf->kick_fd;
	vq->held_up = conf->held_up;
	vq->inflight = conf->inflight;
	vq->index = conf->index;
	err = vq_alloc(vq);
	if (err)
		errbuf_set(eb, err, "queue %u: out of memory", conf->index);
	else if (vq->inflight)
		err = vqi_load(vq->inflight, vq->is_packed, vq->size, &vq->vqi_copy, eb);
	if (!err) {
		vq_slots_init(vq);
		err = vq->is_packed ? vqp_init(vq, conf, eb) : vqs_init(vq, conf, eb);
	}
	if (err) {
		vq_fini(vq);
		return err;
	}
	vq_set_log(vq, conf->log, conf->log_used_gpa);
	vq_log_start(vq);
	return 0;
}

void vq_fini(struct vq *vq)
{
	if (vq->iovs)
		munmap(vq->iovs, vq->size * VQ_IOV_BYTES);
	free(vq->tables);
	free(vq->vqi_copy);
	vq->vqi_copy = NULL;
	vq->iovs = NULL;
	vq->tables = NULL;
}

void vq_break(struct vq *vq, const char *fmt, ...)
{
	va_list ap;

	if (vq->broken)
		return; /* the first reason counts */
	va_start(ap, fmt);
	vsnprintf(vq->why, sizeof(vq->why), fmt, ap);
	va_end(ap);
	vq->broken = true;
}

void vq_unpop(struct vq *vq, struct vq_elem **elems, unsigned from, unsigned n)
{
	assert(vq->broken);
	for (unsigned i = from; i < n; i++)
		elems[i]->inflight = 0;
}

unsigned vq_pop(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	unsigned n;

	assert(max > 0 && max <= VQ_BATCH);
	vq->cnt.polls++;
	if (cc_unlikely(vq->broken))
		n = 0;
	else
		n = vq->is_packed ? vqp_pop(vq, elems, max) : vqs_pop(vq, elems, max);
	if (!n) {
		vq->cnt.empty_polls++;
		return 0;
	}
	vq->cnt.chains += n;
	vq->ninflight = (uint16_t)(vq->ninflight + n);
	if (cc_unlikely(vq->in_order)) {
		for (unsigned i = 0; i < n; i++)
			vq->order[vq->order_tail++ & vq->order_mask] = elems[i]->id;
	}
	return n;
}

/* Into the used ring, in whatever layout. */
static void vq_release(struct vq *vq, struct vq_elem *e, uint32_t written)
{
	if (vq->log)
		log_note_elem(vq, e);
	if (vq->is_packed)
		vqp_put(vq, e, written);
	else
		vqs_put(vq, e, written);
	e->inflight = 0;
}

/* 2.7.9, 2.8.10: used in the order taken; what is done early waits. */
static void vq_release_in_order(struct vq *vq)
{
	while (vq->order_head != vq->order_tail) {
		struct vq_elem *e = vq_slot(vq, vq->order[vq->order_head & vq->order_mask]);

		if (!e->done)
			return;
		e->done = 0;
		vq->order_head++;
		vq_release(vq, e, e->written);
	}
}

cc_noinline void vq_push_other(struct vq *vq, struct vq_elem *e, uint32_t written)
{
	if (vq->in_order) {
		e->done = 1;
		e->written = written;
		vq_release_in_order(vq);
	} else {
		vq_release(vq, e, written);
	}
}

void vq_leave(struct vq *vq, struct vq_elem *e)
{
	assert(vq->inflight && e->inflight && !e->done);
	assert(vq->ninflight > 0);
	vq->ninflight--;
	(void)e; /* it stays marked: its head is not the driver's */
}

enum vq_flushed vq_flush(struct vq *vq)
{
	return vq->is_packed ? vqp_flush(vq) : vqs_flush(vq);
}

void vq_call(struct vq *vq)
{
	const uint64_t one = 1;

	if (vq->held_up && __atomic_load_n(vq->held_up, __ATOMIC_RELAXED))
		return;
	vq->cnt.calls++;
	if (vq->call) {
		vq->call(vq->call_arg);
		return;
	}
	/* EAGAIN: the counter is full, so the driver has been called; anything else is the
	 * front-end's loss. EINTR: it has cleared O_NONBLOCK, and lets us wait. */
	if (stall_write(vq->call_fd, &one, sizeof(one)) >= 0 || errno != EINTR)
		return;
	if (vq->held_up)
		__atomic_store_n(vq->held_up, true, __ATOMIC_RELAXED);
	vq_break(vq, "its call fd makes us wait");
}

bool vq_kick_enable(struct vq *vq)
{
	bool more = vq->is_packed ? vqp_kick_enable(vq) : vqs_kick_enable(vq);

	vq->kicks_off = false;
	return (more || vq->resume_at != vq->resume_n) && !vq->broken;
}

/* The driver shares the file and may have cleared its O_NONBLOCK: not to wait is asked for with
 * every read. */
static bool vq_kick_read(int fd, uint64_t *ret_kicks)
{
	struct iovec iov = { ret_kicks, sizeof(*ret_kicks) };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP) /* some sockets and pipes of older kernels */
		n = read(fd, ret_kicks, sizeof(*ret_kicks));
	return n == sizeof(*ret_kicks);
}

void vq_kick_disable(struct vq *vq)
{
	uint64_t kicks;

	if (vq->kick_fd >= 0 && vq_kick_read(vq->kick_fd, &kicks))
		vq->cnt.kicks += kicks;
	if (vq->is_packed)
		vqp_kick_disable(vq);
	else
		vqs_kick_disable(vq);
	vq->kicks_off = true;
}

void vq_set_gmem(struct vq *vq, const struct gmem *g)
{
	vq->gmem = g;
	vq->cache = vq->cache_old = &vq_nowhere;
}

bool vq_uses_range(const struct vq *vq, const void *va, uint64_t len)
{
	for (unsigned id = 0; id < vq->size; id++) {
		const struct vq_elem *e = vq_slot(vq, (uint16_t)id);

		if (!e->inflight || e->done)
			continue;
		for (unsigned i = 0; i < (unsigned)e->nout + e->nin; i++) {
			uintptr_t at = (uintptr_t)e->iov[i].iov_base;

			if (at < (uintptr_t)va + len && (uintptr_t)va < at + e->iov[i].iov_len)
				return true;
		}
	}
	return false;
}

void vq_set_log(struct vq *vq, struct dlog *log, uint64_t log_used_gpa)
{
	log_noted(vq); /* in the log of now */
	vq->log = log;
	vq->log_used_gpa = log_used_gpa;
	vq->plain = !vq->is_packed && !vq->in_order && !log;
}

bool vq_has_taken(const struct vq *vq)
{
	return vq->is_packed ? vq->ntaken != 0 : vq->avail_idx != vq->used_pub;
}

uint32_t vq_base(const struct vq *vq)
{
	if (!vq->is_packed)
		return vq->avail_idx;
	return (uint32_t)vq->avail_idx | (uint32_t)vq->avail_wrap << 15 |
	       (uint32_t)vq->used_idx << 16 | (uint32_t)vq->used_wrap << 31;
}

/* Walk @n pieces from byte @off, copying to or from them. */
static size_t vq_copy(const struct iovec *iov, unsigned n, size_t off, char *buf, size_t len,
		      bool in)
{
	size_t did = 0;

	for (unsigned i = 0; i < n && did < len; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = CC_MIN(iov[i].iov_len - off, len - did);
		if (in)
			memcpy((char *)iov[i].iov_base + off, buf + did, part);
		else
			memcpy(buf + did, (char *)iov[i].iov_base + off, part);
		did += part;
		off = 0;
	}
	return did;
}

size_t vq_elem_read(const struct vq_elem *e, size_t off, void *buf, size_t len)
{
	return vq_copy(e->iov, e->nout, off, buf, len, false);
}

size_t vq_elem_write(const struct vq_elem *e, size_t off, const void *buf, size_t len)
{
	return vq_copy(e->iov + e->nout, e->nin, off, (char *)buf, len, true);
}
