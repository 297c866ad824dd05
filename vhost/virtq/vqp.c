/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed layout, device side (2.8): set-up, used descriptors, notifications. Taking chains:
 * vqp_pop.c. */
#include <errno.h>
#include <string.h>

#include "vhost/virtq/vqp_priv.h"

/*
 * The last process may have died between the used descriptors of a batch and their first flags.
 * Those places are ours still, but the driver would take them for used once it gets there: give
 * them back their flags.
 */
static void vqp_repair(struct vq *vq)
{
	uint16_t at = vq->used_idx;
	bool wrap = vq->used_wrap;

	for (unsigned i = 0; i < vq->ntaken; i++) {
		uint16_t flags = le16_get(vq->packed.desc[at].flags);
		uint16_t avail = wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;

		if ((flags & VQP_STATE) == (wrap ? VQP_STATE : 0))
			vq->packed.desc[at].flags = le16_make(avail);
		vqp_advance(vq, &at, &wrap, 1);
	}
}

static int vqp_recover(struct vq *vq, const struct vq_conf *conf, struct errbuf *eb)
{
	struct vqi_packed_found f;
	struct vqi_packed_pos pos;
	const struct vqi_region reg = { vq->vqi_copy, conf->inflight };
	int err = vqi_packed_recover(&reg, vq->packed.desc, vq->vqi_next, vq->vqi_last, vq->resume,
				     &f);

	if (err)
		return errbuf_set(eb, err, "queue %u: inflight region is not consistent",
				  conf->index);
	vq->vqi_free = f.free_head;
	vq->inflight_counter = f.counter;
	vq->resume_n = f.nchain;
	if (f.fresh) {
		pos = (struct vqi_packed_pos){ vq->used_idx, vq->used_wrap };
		vqi_packed_set_used(conf->inflight, pos, pos);
		return 0;
	}
	vq->used_idx = vq->avail_idx = f.used_idx;
	vq->used_wrap = vq->avail_wrap = f.used_wrap;
	vqp_advance(vq, &vq->avail_idx, &vq->avail_wrap, f.ndesc);
	vq->ntaken = f.ndesc;
	vqp_repair(vq);
	return 0;
}

int vqp_init(struct vq *vq, const struct vq_conf *conf, struct errbuf *eb)
{
	unsigned ahead;

	if ((uintptr_t)conf->desc % 16 || (uintptr_t)conf->avail % 4 || (uintptr_t)conf->used % 4)
		return errbuf_set(eb, -EINVAL, "queue %u: ring not aligned (2.8)", conf->index);
	if (conf->avail_idx >= conf->size || conf->used_idx >= conf->size)
		return errbuf_set(eb, -EINVAL, "queue %u: positions %u and %u, size %u",
				  conf->index, conf->avail_idx, conf->used_idx, conf->size);
	vq->packed.desc = conf->desc;
	vq->packed.driver = conf->avail;
	vq->packed.device = conf->used;
	vq->avail_idx = conf->avail_idx;
	vq->avail_wrap = conf->avail_wrap;
	vq->used_idx = conf->used_idx;
	vq->used_wrap = conf->used_wrap;
	ahead = vq->avail_idx + (vq->avail_wrap != vq->used_wrap) * conf->size - vq->used_idx;
	if (ahead > conf->size)
		return errbuf_set(eb, -EINVAL, "queue %u: avail %u/%d and used %u/%d do not fit",
				  conf->index, vq->avail_idx, vq->avail_wrap, vq->used_idx,
				  vq->used_wrap);
	vq->ntaken = (uint16_t)ahead;
	if (conf->inflight) {
		int err = vqp_recover(vq, conf, eb);

		if (err)
			return err;
	}
	vq->used_pub = vq->used_idx;
	vq->packed.device->flags = le16_make(VIRTQ_EVENT_F_ENABLE);
	return 0;
}

/*
 * A used descriptor. Flags of the first one of a batch wait for the flush: the driver stops there.
 * So does its mark in the dirty log: one that comes before the flags may be gone by then, and the
 * page copied without them.
 */
static void vqp_put_used(struct vq *vq, uint16_t at, bool wrap, uint16_t id, uint32_t len)
{
	volatile struct virtq_pdesc *d = &vq->packed.desc[at];
	uint16_t flags = (uint16_t)((wrap ? VQP_STATE : 0) | (len ? VIRTQ_DESC_F_WRITE : 0));

	d->id = le16_make(id);
	d->len = le32_make(len);
	if (!vq->batch_open) {
		vq->batch_open = true;
		vq->batch_first = at;
		vq->batch_first_flags = flags;
		return;
	}
	d->flags = le16_make(flags);
}

static void vqp_end_run(struct vq *vq)
{
	bool wrap = vq->run_first >= vq->used_idx ? !vq->used_wrap : vq->used_wrap;

	vqp_put_used(vq, vq->run_first, wrap, vq->run_id, vq->run_written);
	vq->run_open = false;
}

/*
 * 2.8.10: one used descriptor may stand for several chains in order; the driver takes all but the
 * last one as written in full, so only such chains are passed over.
 */
static void vqp_put_in_order(struct vq *vq, struct vq_elem *e, uint32_t written)
{
	if (vq->run_open && !vq->run_whole)
		vqp_end_run(vq);
	if (!vq->run_open)
		vq->run_first = vq->used_idx;
	vq->run_open = true;
	vq->run_id = e->id;
	vq->run_written = written;
	vq->run_whole = written == e->in_bytes;
}

void vqp_put(struct vq *vq, struct vq_elem *e, uint32_t written)
{
	if (vq->in_order)
		vqp_put_in_order(vq, e, written);
	else
		vqp_put_used(vq, vq->used_idx, vq->used_wrap, e->id, written);
	vqp_advance(vq, &vq->used_idx, &vq->used_wrap, e->ndesc);
	if (vq->inflight)
		vq->batch[vq->nbatch++] = e->vqi_slot;
}

/* Before the flags: the batch goes to the free list, the old state stays beside it. Returns the new
 * head. */
static uint16_t vqp_batch_link(struct vq *vq, struct vqi_packed *r, struct vqi_packed_pos now,
			       struct vqi_packed_pos old)
{
	uint16_t head = vq->vqi_free;

	for (unsigned i = 0; i < vq->nbatch; i++) {
		uint16_t last = vq->vqi_last[vq->batch[i]];

		vq->vqi_next[last] = head;
		cc_write_once(r->desc[last].next, head);
		head = vq->batch[i];
	}
	barrier_release(); /* links before the list, the list before the position, all before the
			      ring's flags */
	vqi_packed_set_free(r, vq->size, head, vq->vqi_free);
	barrier_release();
	vqi_packed_set_used(r, now, old);
	return head;
}

static void vqp_batch_clear(struct vq *vq, struct vqi_packed *r, uint16_t head,
			    struct vqi_packed_pos now)
{
	barrier_release(); /* after the flags */
	for (unsigned i = 0; i < vq->nbatch; i++)
		cc_write_once(r->desc[vq->batch[i]].inflight, 0);
	barrier_release();
	vqi_packed_set_free(r, vq->size, head, head);
	barrier_release();
	vqi_packed_set_used(r, now, now);
	vq->vqi_free = head;
	vq->nbatch = 0;
}

/* 2.8.10. @n: ring descriptors passed since the last decision; the event lies in them, counted back
 * from here? */
static bool vqp_wants_call(struct vq *vq, unsigned n)
{
	uint32_t word = le32toh(cc_read_once(*(const uint32_t *)vq->packed.driver));
	uint16_t off_wrap = (uint16_t)word, flags = (uint16_t)(word >> 16);
	unsigned back;

	if (flags != VIRTQ_EVENT_F_DESC || !vq->event_idx)
		return flags != VIRTQ_EVENT_F_DISABLE;
	if (!vq->signalled_valid)
		return true;
	back = vq->used_idx + ((off_wrap >> 15) != vq->used_wrap) * vq->size - (off_wrap & 0x7fffu);
	return back - 1 < n;
}

enum vq_flushed vqp_flush(struct vq *vq)
{
	struct vqi_packed_pos now, old;
	unsigned n;
	uint16_t head = 0;
	bool wants_call;

	if (vq->run_open)
		vqp_end_run(vq);
	if (!vq->batch_open)
		return VQ_FLUSHED_NOTHING;
	n = (unsigned)vq->used_idx - vq->used_pub + (vq->used_idx <= vq->used_pub ? vq->size : 0);
	now = (struct vqi_packed_pos){ vq->used_idx, vq->used_wrap };
	old = (struct vqi_packed_pos){ vq->used_pub, vq->used_idx <= vq->used_pub ? !vq->used_wrap
										  : vq->used_wrap };
	if (vq->inflight)
		head = vqp_batch_link(vq, vq->inflight, now, old);
	/* all descriptors that are given back: those that nothing is written to lie on the same pages */
	if (cc_unlikely(vq->log))
		vq_log_batch(vq, vq->packed.desc, sizeof(struct virtq_pdesc), vq->used_pub, n);
	barrier_release(); /* everything before the first flags; partner: the driver's read barrier
			    */
	vq->packed.desc[vq->batch_first].flags = le16_make(vq->batch_first_flags);
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, &vq->packed.desc[vq->batch_first], sizeof(struct virtq_pdesc));
	if (vq->inflight)
		vqp_batch_clear(vq, vq->inflight, head, now);
	vq->batch_open = false;
	vq->used_pub = vq->used_idx;
	assert(n <= vq->ntaken);
	vq->ntaken = (uint16_t)(vq->ntaken - n);
	if (vq->call_fd < 0)
		return VQ_FLUSHED_QUIET;
	barrier_full(); /* flags before the look at the driver's wishes; partner: its barrier after
			   setting them */
	wants_call = vqp_wants_call(vq, n);
	if (wants_call)
		vq_call(vq);
	vq->signalled_valid = true;
	return wants_call ? VQ_FLUSHED_CALLED : VQ_FLUSHED_QUIET;
}

/* Wish first, then the switch that makes it count. */
bool vqp_kick_enable(struct vq *vq)
{
	volatile struct virtq_pevent *dev = vq->packed.device;

	if (vq->event_idx) {
		dev->off_wrap = le16_make((uint16_t)(vq->avail_idx | vq->avail_wrap << 15));
		barrier_release(); /* offset before the flags that make it count; partner: the
				      driver's read barrier */
		dev->flags = le16_make(VIRTQ_EVENT_F_DESC);
	} else if (vq->kicks_off) {
		dev->flags = le16_make(VIRTQ_EVENT_F_ENABLE);
	}
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, dev, sizeof(*dev));
	barrier_full(); /* the wish before the second look; partner: the driver's barrier after its
			   flags */
	return vqp_is_avail(vq, vq_word_load(&vq->packed.desc[vq->avail_idx], 1));
}

void vqp_kick_disable(struct vq *vq)
{
	if (vq->kicks_off)
		return;
	vq->packed.device->flags = le16_make(VIRTQ_EVENT_F_DISABLE);
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, vq->packed.device, sizeof(struct virtq_pevent));
}
