/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed layout, driver side (2.8). */
#include "vhost/virtq/vqd_priv.h"

#define VQDP_STATE (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

static cc_always_inline void vqd_packed_advance(const struct vqd *q, uint16_t *idx, bool *wrap,
						unsigned n)
{
	unsigned next = *idx + n;

	if (next >= q->c.size) {
		next -= q->c.size;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)next;
}

/* One ring place. The first flags of a batch wait for publish: the device stops there. */
static cc_always_inline void vqd_packed_put(struct vqd *q, const struct vqd_buf *b, uint16_t id,
					    uint16_t flags)
{
	struct virtq_pdesc *d = (struct virtq_pdesc *)q->c.desc + q->avail_idx;

	flags |= q->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
	d->addr = le64_make(b->addr);
	d->len = le32_make(b->len);
	d->id = le16_make(id);
	if (q->batch_open) {
		d->flags = le16_make(flags);
	} else {
		q->batch_open = true;
		q->first_at = q->avail_idx;
		q->first_flags = flags;
	}
	vqd_packed_advance(q, &q->avail_idx, &q->avail_wrap, 1);
}

static uint16_t vqd_packed_flags(const struct vqd_buf *b, bool more)
{
	return (uint16_t)((b->device_writes ? VIRTQ_DESC_F_WRITE : 0) |
			  (more ? VIRTQ_DESC_F_NEXT : 0));
}

static void vqd_packed_fill_table(struct vqd *q, uint16_t id, const struct vqd_buf *bufs,
				  unsigned n)
{
	size_t row = (size_t)id * q->c.indirect_max;
	struct virtq_pdesc *t = (struct virtq_pdesc *)q->c.indirect + row;
	const struct vqd_buf table = { .addr = q->c.indirect_gpa + row * sizeof(*t),
				       .len = (uint32_t)(n * sizeof(*t)) };

	for (unsigned i = 0; i < n; i++) {
		t[i].addr = le64_make(bufs[i].addr);
		t[i].len = le32_make(bufs[i].len);
		t[i].id = le16_make(0);
		t[i].flags = le16_make(vqd_packed_flags(&bufs[i], false));
	}
	vqd_packed_put(q, &table, id, VIRTQ_DESC_F_INDIRECT);
}

int vqd_packed_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect,
		   void *cookie)
{
	unsigned ndesc = indirect ? 1 : n;
	uint16_t id = q->free_head;
	struct vqd_slot *s = &q->slots[id];
	uint32_t in = 0;

	if (cc_unlikely(ndesc > q->nfree))
		return -ENOSPC;
	assert(id < q->c.size);
	if (indirect) {
		assert(n <= q->c.indirect_max);
		vqd_packed_fill_table(q, id, bufs, n);
	}
	for (unsigned i = 0; i < n; i++) {
		if (!indirect)
			vqd_packed_put(q, &bufs[i], id, vqd_packed_flags(&bufs[i], i + 1 < n));
		in += bufs[i].device_writes ? bufs[i].len : 0;
	}
	q->free_head = s->next;
	q->nfree = (uint16_t)(q->nfree - ndesc);
	s->cookie = cookie;
	s->in_bytes = in;
	s->ndesc = (uint16_t)ndesc;
	vqd_sent(q, id);
	return 0;
}

/* 2.8.10. @n ring places published; the event lies in them, counted back from here? */
static bool vqd_packed_wants_kick(struct vqd *q, unsigned n)
{
	uint32_t word = le32toh(cc_read_once(*(const uint32_t *)q->c.used));
	uint16_t off_wrap = (uint16_t)word, flags = (uint16_t)(word >> 16);
	unsigned back;

	if (flags != VIRTQ_EVENT_F_DESC || !q->event_idx)
		return flags != VIRTQ_EVENT_F_DISABLE;
	back = q->avail_idx + ((off_wrap >> 15) != q->avail_wrap) * q->c.size -
	       (off_wrap & 0x7fffu);
	return back - 1 < n;
}

bool vqd_packed_publish(struct vqd *q)
{
	volatile struct virtq_pdesc *ring = q->c.desc;
	unsigned n;

	if (!q->batch_open)
		return false;
	barrier_release(); /* everything before the first flags; partner: vqp_read */
	ring[q->first_at].flags = le16_make(q->first_flags);
	n = (unsigned)q->avail_idx - q->avail_pub + (q->avail_idx <= q->avail_pub ? q->c.size : 0);
	q->batch_open = false;
	q->avail_pub = q->avail_idx;
	if (q->c.kick_fd < 0)
		return false;
	barrier_full(); /* flags before the look at the device's wishes; partner: vqp_kick_enable */
	return vqd_packed_wants_kick(q, n) && vqd_kick(q);
}

static cc_always_inline bool vqd_packed_look(const struct vqd *q)
{
	const volatile struct virtq_pdesc *ring = q->c.desc;

	return (le16_get(ring[q->used_idx].flags) & VQDP_STATE) == (q->used_wrap ? VQDP_STATE : 0);
}

bool vqd_packed_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err)
{
	const volatile struct virtq_pdesc *d =
		(const volatile struct virtq_pdesc *)q->c.desc + q->used_idx;
	uint32_t written = q->run_written;
	uint16_t id = q->run_id;
	struct vqd_slot *s;

	if (q->nchains == 0)
		return false; /* nothing is with the device: what the ring shows is old */
	if (cc_likely(!q->run_open)) {
		if (!vqd_packed_look(q))
			return false;
		barrier_acquire(); /* flags before the rest and the data; partner: vqp_flush */
		id = le16_get(d->id);
		written = le32_get(d->len);
	}
	s = id < q->c.size ? vqd_match(q, &id, &written) : NULL;
	if (cc_unlikely(!s)) {
		*ret_err = -EPROTO;
		return false;
	}
	vqd_packed_advance(q, &q->used_idx, &q->used_wrap, s->ndesc);
	*ret_cookie = s->cookie;
	*ret_written = written;
	q->nfree = (uint16_t)(q->nfree + s->ndesc);
	q->nchains--;
	s->ndesc = 0;
	s->next = q->free_head;
	q->free_head = id;
	return true;
}

/* Wish first, then the switch that makes it count. */
bool vqd_packed_call_enable(struct vqd *q)
{
	volatile struct virtq_pevent *drv = q->c.avail;

	if (q->event_idx) {
		drv->off_wrap = le16_make((uint16_t)(q->used_idx | q->used_wrap << 15));
		barrier_release(); /* offset before the flags that make it count; partner: vqp_flush
				    */
		drv->flags = le16_make(VIRTQ_EVENT_F_DESC);
	} else if (q->calls_off) {
		drv->flags = le16_make(VIRTQ_EVENT_F_ENABLE);
	}
	barrier_full(); /* the wish before the second look; partner: vqp_flush */
	return q->nchains && vqd_packed_look(q);
}

void vqd_packed_call_disable(struct vqd *q)
{
	volatile struct virtq_pevent *drv = q->c.avail;

	drv->flags = le16_make(VIRTQ_EVENT_F_DISABLE);
}
