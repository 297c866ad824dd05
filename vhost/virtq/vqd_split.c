/* SPDX-License-Identifier: BSD-3-Clause */
/* The split layout, driver side (2.7). */
#include "vhost/virtq/vqd_priv.h"

static void vqd_split_put(struct virtq_desc *d, const struct vqd_buf *b, uint16_t flags,
			  uint16_t next)
{
	d->addr = le64_make(b->addr);
	d->len = le32_make(b->len);
	d->flags = le16_make((uint16_t)(flags | (b->device_writes ? VIRTQ_DESC_F_WRITE : 0)));
	d->next = le16_make(next);
}

/* The head's own table, in sequence. Returns the bytes the device may write. */
static uint32_t vqd_split_fill_table(struct vqd *q, uint16_t head, const struct vqd_buf *bufs,
				     unsigned n)
{
	size_t row = (size_t)head * q->c.indirect_max;
	struct virtq_desc *t = (struct virtq_desc *)q->c.indirect + row, *d;
	uint32_t in = 0;

	for (unsigned i = 0; i < n; i++) {
		bool more = i + 1 < n;

		vqd_split_put(&t[i], &bufs[i], more ? VIRTQ_DESC_F_NEXT : 0,
			      (uint16_t)(more ? i + 1 : 0));
		in += bufs[i].device_writes ? bufs[i].len : 0;
	}
	d = (struct virtq_desc *)q->c.desc + head;
	d->addr = le64_make(q->c.indirect_gpa + row * sizeof(*t));
	d->len = le32_make((uint32_t)(n * sizeof(*t)));
	d->flags = le16_make(VIRTQ_DESC_F_INDIRECT);
	d->next = le16_make(0);
	return in;
}

int vqd_split_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect,
		  void *cookie)
{
	struct virtq_avail *avail = q->c.avail;
	uint16_t head = q->free_head, at = head, last = head;
	unsigned ndesc = indirect ? 1 : n;
	struct vqd_slot *s = &q->slots[head];
	uint32_t in = 0;

	if (cc_unlikely(ndesc > q->nfree))
		return -ENOSPC;
	if (indirect) {
		assert(n <= q->c.indirect_max);
		in = vqd_split_fill_table(q, head, bufs, n);
		at = s->next;
	} else {
		for (unsigned i = 0; i < n; i++) {
			uint16_t next = q->slots[at].next;

			vqd_split_put((struct virtq_desc *)q->c.desc + at, &bufs[i],
				      i + 1 < n ? VIRTQ_DESC_F_NEXT : 0, next);
			in += bufs[i].device_writes ? bufs[i].len : 0;
			last = at;
			at = next;
		}
	}
	q->free_head = at;
	q->nfree = (uint16_t)(q->nfree - ndesc);
	s->cookie = cookie;
	s->in_bytes = in;
	s->last = last;
	s->ndesc = (uint16_t)ndesc;
	avail->ring[q->avail_idx & q->mask] = le16_make(head);
	q->avail_idx++;
	vqd_sent(q, head);
	return 0;
}

/* 2.7.7.1, 2.7.10 */
static bool vqd_split_wants_kick(struct vqd *q, uint16_t old)
{
	const volatile struct virtq_used *used = q->c.used;

	if (q->event_idx) {
		const volatile void *event_at = &used->ring[q->c.size];
		uint16_t event = le16_get(*(const volatile le16 *)event_at);

		return (uint16_t)(q->avail_idx - event - 1) < (uint16_t)(q->avail_idx - old);
	}
	return !(le16_get(used->flags) & VIRTQ_USED_F_NO_NOTIFY);
}

bool vqd_split_publish(struct vqd *q)
{
	volatile struct virtq_avail *avail = q->c.avail;
	uint16_t old = q->avail_pub;

	if (q->avail_idx == old)
		return false;
	barrier_release(); /* descriptors and ring before the index; partner: vqs_pop */
	avail->idx = le16_make(q->avail_idx);
	q->avail_pub = q->avail_idx;
	if (q->c.kick_fd < 0)
		return false;
	barrier_full(); /* the index before the look at the device's wishes; partner:
			   vqs_kick_enable */
	return vqd_split_wants_kick(q, old) && vqd_kick(q);
}

/* The chain goes back to the free list as it hangs together. */
static cc_always_inline void vqd_split_free(struct vqd *q, uint16_t head, struct vqd_slot *s)
{
	q->slots[s->last].next = q->free_head;
	q->free_head = head;
	q->nfree = (uint16_t)(q->nfree + s->ndesc);
	q->nchains--;
	s->ndesc = 0;
}

static bool vqd_split_look(struct vqd *q)
{
	const volatile struct virtq_used *used = q->c.used;

	if (q->used_idx == q->used_seen) {
		q->used_seen = le16_get(used->idx);
		barrier_acquire(); /* the index before entries and data; partner: vqs_flush */
	}
	return q->used_idx != q->used_seen;
}

bool vqd_split_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err)
{
	const volatile struct virtq_used *used = q->c.used;
	uint32_t id = q->run_id, written = q->run_written;
	struct vqd_slot *s = NULL;
	uint16_t head;

	if (cc_likely(!q->run_open)) {
		const volatile struct virtq_used_elem *u = &used->ring[q->used_idx & q->mask];

		if (!vqd_split_look(q))
			return false;
		id = le32_get(u->id);
		written = le32_get(u->len);
	}
	head = (uint16_t)id;
	if (cc_likely(id < q->c.size && (uint16_t)(q->used_seen - q->used_idx) <= q->nchains))
		s = vqd_match(q, &head, &written);
	if (cc_unlikely(!s)) {
		*ret_err = -EPROTO;
		return false;
	}
	q->used_idx++;
	*ret_cookie = s->cookie;
	*ret_written = written;
	vqd_split_free(q, head, s);
	return true;
}

bool vqd_split_call_enable(struct vqd *q)
{
	volatile struct virtq_avail *avail = q->c.avail;

	if (q->event_idx)
		avail->ring[q->c.size] = le16_make(q->used_idx);
	else if (q->calls_off)
		avail->flags = le16_make(0);
	barrier_full(); /* the wish before the second look; partner: vqs_flush */
	return vqd_split_look(q);
}

/* With EVENT_IDX the event index simply goes stale. */
void vqd_split_call_disable(struct vqd *q)
{
	volatile struct virtq_avail *avail = q->c.avail;

	if (!q->event_idx)
		avail->flags = le16_make(VIRTQ_AVAIL_F_NO_INTERRUPT);
}
