/* SPDX-License-Identifier: BSD-3-Clause */
/* The split layout, device side (2.7). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vhost/virtq/vq_priv.h"

/* A descriptor in loads of its own: flags and link come in one. The address may be odd (indirect
 * tables). */
struct vqs_step {
	uint64_t addr;
	uint32_t len, link; /* flags | next << 16 */
} __attribute__((packed, aligned(1), may_alias));

static cc_always_inline struct vqs_step vqs_step(const volatile void *table, unsigned at)
{
	const volatile struct vqs_step *d = (const volatile struct vqs_step *)table + at;

	return (struct vqs_step){ le64toh(d->addr), le32toh(d->len), le32toh(d->link) };
}

static volatile le16 *vqs_avail_event(struct vq *vq)
{
	volatile void *behind = &vq->split.used->ring[vq->size];

	return behind;
}

int vqs_init(struct vq *vq, const struct vq_conf *conf, struct errbuf *eb)
{
	if (!CC_IS_POW2(conf->size))
		return errbuf_set(eb, -EINVAL, "queue %u: size %u is not a power of two",
				  conf->index, conf->size);
	if ((uintptr_t)conf->desc % 16 || (uintptr_t)conf->avail % 2 || (uintptr_t)conf->used % 4)
		return errbuf_set(eb, -EINVAL, "queue %u: ring not aligned (2.7)", conf->index);
	vq->split.desc = conf->desc;
	vq->split.avail = conf->avail;
	vq->split.used = conf->used;
	vq->mask = (uint16_t)(conf->size - 1);
	vq->avail_idx = conf->avail_idx;
	vq->used_idx = le16_get(vq->split.used->idx);
	if (conf->inflight) {
		const struct vqi_region reg = { vq->vqi_copy, conf->inflight };
		int err = vqi_split_recover(&reg, vq->used_idx, vq->resume, &vq->resume_n,
					    &vq->inflight_counter);

		if (err)
			return errbuf_set(eb, err,
					  "queue %u: inflight region does not fit used index %u",
					  conf->index, vq->used_idx);
		vq->vqi_free = ((const struct vqi_split *)reg.copy)->last_batch_head;
		vq->avail_idx = (uint16_t)(vq->used_idx + vq->resume_n);
	}
	if ((uint16_t)(vq->avail_idx - vq->used_idx) > conf->size)
		return errbuf_set(eb, -EINVAL,
				  "queue %u: avail index %u and used index %u do not fit size %u",
				  conf->index, vq->avail_idx, vq->used_idx, conf->size);
	vq->used_pub = vq->used_idx;
	vq->split.used->flags = le16_make(0);
	if (vq->event_idx)
		*vqs_avail_event(vq) = le16_make(vq->avail_idx);
	return 0;
}

/* Any chain, from the ring on, with reasons. */
static cc_noinline cc_cold bool vqs_walk(struct vq *vq, struct vq_elem *e)
{
	unsigned left = vq->size;
	struct vq_walk w;

	vq_walk_begin(&w, vq, e);
	for (uint16_t at = e->id;;) {
		struct vqs_step d = vqs_step(vq->split.desc, at);
		unsigned flags = d.link & 0xffff;

		at = (uint16_t)(d.link >> 16);
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			if (flags & VIRTQ_DESC_F_NEXT) {
				vq_break(vq, "chain %u: INDIRECT together with NEXT", e->id);
				return false;
			}
			if (!vq_walk_table(&w, d.addr, d.len))
				return false;
			break;
		}
		if (!vq_walk_buf(&w, d.addr, d.len, flags & VIRTQ_DESC_F_WRITE))
			return false;
		if (!(flags & VIRTQ_DESC_F_NEXT))
			break;
		if (at >= vq->size || --left == 0) {
			vq_break(vq, "chain %u: %s (%u)", e->id,
				 at >= vq->size ? "link out of the ring" : "longer than the ring",
				 at);
			return false;
		}
	}
	return vq_walk_end(&w);
}

/* The step's buffer as one piece. false: not inside one region, or empty. */
static cc_always_inline bool vqs_piece(struct vq *vq, const struct gmem_region **r,
				       const struct vqs_step *d, struct iovec *iov)
{
	uint64_t off = d->addr - (*r)->gpa;

	if (cc_unlikely(off >= (*r)->len || (uint64_t)d->len - 1 >= (*r)->len - off)) {
		*r = vq_region(vq->gmem, d->addr, d->len);
		if (!*r)
			return false;
		vq->cache = *r;
		off = d->addr - (*r)->gpa;
	}
	iov->iov_base = (*r)->va + off;
	iov->iov_len = d->len;
	return true;
}

/*
 * The usual chain, any length: readable buffers, then writable ones, each inside one region, from
 * descriptor @at of a table of @n at @table (the ring's or an indirect one). Whatever is not usual:
 * false, and nothing is decided; vqs_walk() starts over.
 */
static cc_noinline bool vqs_walk_usual(struct vq *vq, struct vq_elem *e, const volatile void *table,
				       unsigned n, unsigned at)
{
	struct vqs_step d = vqs_step(table, at);
	const struct gmem_region *r = vq->cache;
	struct iovec *iov = e->iov, *end = iov + VQ_IOVS_MAX, *in = NULL;
	uint64_t bytes = 0, out_bytes = 0;

	for (;; d = vqs_step(table, d.link >> 16)) {
		if (!(d.link & VIRTQ_DESC_F_WRITE) != !in) {
			if (in)
				return false;
			out_bytes = bytes;
			in = iov;
		}
		if ((d.link & VIRTQ_DESC_F_INDIRECT) || !vqs_piece(vq, &r, &d, iov))
			return false;
		iov++;
		bytes += d.len;
		if (!(d.link & VIRTQ_DESC_F_NEXT))
			break;
		if ((d.link >> 16) >= n || iov == end)
			return false;
	}
	if (bytes >> 32)
		return false;
	if (!in) {
		out_bytes = bytes;
		in = iov;
	}
	e->nout = (uint16_t)(in - e->iov);
	e->nin = (uint16_t)(iov - in);
	e->out_bytes = (uint32_t)out_bytes;
	e->in_bytes = (uint32_t)(bytes - out_bytes);
	cc_prefetch(e->iov->iov_base);
	return true;
}

/*
 * The chain that nearly all requests are, without a loop: a readable buffer, one of either kind, a
 * writable one. false: another shape, nothing is decided.
 */
static cc_always_inline bool vqs_walk_three(const struct vq_near *near, struct vq_elem *e,
					    const volatile void *table, unsigned n,
					    struct vqs_step d)
{
	const uint16_t next = VIRTQ_DESC_F_NEXT, write = VIRTQ_DESC_F_WRITE;
	struct iovec *iov = e->iov;
	uint32_t len[3];
	unsigned writes;

	if (cc_unlikely((uint16_t)d.link != next) || cc_unlikely((d.link >> 16) >= n) ||
	    cc_unlikely(!vq_near_piece(near, d.addr, d.len, &iov[0])))
		return false;
	cc_prefetch(iov[0].iov_base);
	len[0] = d.len;
	d = vqs_step(table, d.link >> 16);
	if (cc_unlikely((uint16_t)(d.link | write) != (next | write)) ||
	    cc_unlikely((d.link >> 16) >= n) ||
	    cc_unlikely(!vq_near_piece(near, d.addr, d.len, &iov[1])))
		return false;
	len[1] = d.len;
	writes = (d.link / write) & 1;
	d = vqs_step(table, d.link >> 16);
	if (cc_unlikely((uint16_t)d.link != write) ||
	    cc_unlikely(!vq_near_piece(near, d.addr, d.len, &iov[2])))
		return false;
	len[2] = d.len;
	vq_elem_three(e, len, writes);
	return true;
}

/* An indirect table in one piece, on its way to the cache. */
struct vqs_table {
	const void *va; /* NULL: not usual */
	unsigned n;
};

static cc_noinline struct vqs_table vqs_table_far(struct vq *vq, struct vqs_step d)
{
	const struct gmem_region *r = vq->cache;
	struct iovec iov;

	if (d.len % 16 || (d.link & VIRTQ_DESC_F_NEXT) || !vqs_piece(vq, &r, &d, &iov))
		return (struct vqs_table){ NULL, 0 };
	cc_prefetch(iov.iov_base);
	return (struct vqs_table){ iov.iov_base, d.len / 16 };
}

static cc_always_inline struct vqs_table vqs_table(struct vq *vq, const struct vq_near *near,
						   struct vqs_step d)
{
	struct iovec iov;

	if (cc_unlikely(!vq->indirect_ok))
		return (struct vqs_table){ NULL, 0 };
	if (cc_unlikely(d.len % 16) || cc_unlikely(d.link & VIRTQ_DESC_F_NEXT) ||
	    cc_unlikely(!vq_near_piece(near, d.addr, d.len, &iov)))
		return vqs_table_far(vq, d);
	cc_prefetch(iov.iov_base);
	return (struct vqs_table){ iov.iov_base, d.len / 16 };
}

/* The indirect chains of a batch, elems[i] for each bit i of @set. Returns how many of @n chains
 * are good. */
static unsigned vqs_walk_tables(struct vq *vq, struct vq_elem **elems, unsigned n,
				const struct vqs_table *table, uint32_t set)
{
	struct vq_near near = vq_near(vq);

	for (; set; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctz(set);
		const struct vqs_table *t = &table[i];

		if (cc_unlikely(i >= n))
			break;
		if (cc_likely(t->va &&
			      vqs_walk_three(&near, elems[i], t->va, t->n, vqs_step(t->va, 0))))
			continue;
		if (!(t->va && vqs_walk_usual(vq, elems[i], t->va, t->n, 0)) &&
		    !vqs_walk(vq, elems[i]))
			return i;
		near = vq_near(vq);
	}
	return n;
}

/* Second and third look at a batch: the chains; tables are fetched while direct chains are walked.
 */
static unsigned vqs_walk_batch(struct vq *vq, struct vq_elem **elems, unsigned n)
{
	const volatile struct virtq_desc *ring = vq->split.desc;
	struct vq_near near = vq_near(vq);
	struct vqs_table table[VQ_BATCH];
	unsigned size = vq->size, i;
	uint32_t indirect = 0;

	for (i = 0; i < n; i++) {
		struct vq_elem *e = elems[i];
		struct vqs_step d = vqs_step(ring, e->id);

		if (d.link & VIRTQ_DESC_F_INDIRECT) {
			indirect |= 1u << i;
			table[i] = vqs_table(vq, &near, d);
			continue;
		}
		if (cc_likely(vqs_walk_three(&near, e, ring, size, d)))
			continue;
		if (!vqs_walk_usual(vq, e, ring, size, e->id) && !vqs_walk(vq, e))
			break;
		near = vq_near(vq);
	}
	if (indirect)
		i = vqs_walk_tables(vq, elems, i, table, indirect);
	if (cc_unlikely(i < n))
		vq_unpop(vq, elems, i, n);
	return i;
}

/* After a restart: what the last process had taken comes first, in its old order. Already in the
 * region. */
static cc_noinline cc_cold unsigned vqs_pop_resumed(struct vq *vq, struct vq_elem **elems,
						    unsigned max)
{
	unsigned n = CC_MIN(max, (unsigned)(vq->resume_n - vq->resume_at));

	for (unsigned i = 0; i < n; i++) {
		elems[i] = vq_slot(vq, vq->resume[vq->resume_at + i]);
		elems[i]->inflight = 1;
	}
	n = vqs_walk_batch(vq, elems, n);
	vq->resume_at = (uint16_t)(vq->resume_at + n);
	return n;
}

/* The store order of "Inflight I/O tracking": a head counts once its flag is set, its place in line
 * comes before. */
static cc_always_inline void vqs_track(struct vqi_split *r, uint16_t head, uint64_t counter)
{
	cc_write_once(r->desc[head].counter, counter);
	barrier_release(); /* partner: vqi_split_recover in the next process */
	cc_write_once(r->desc[head].inflight, 1);
}

/* Take @n heads from @idx on; their descriptors begin to arrive. Returns how many are good. */
static unsigned vqs_take_heads(struct vq *vq, uint16_t idx, struct vq_elem **elems, unsigned n)
{
	const volatile le16 *ring = vq->split.avail->ring;
	const volatile struct virtq_desc *desc = vq->split.desc;
	struct vqi_split *track = vq->inflight;
	uint64_t counter = vq->inflight_counter;
	unsigned size = vq->size, mask = vq->mask, at = idx, i;
	uint32_t slot_bytes = vq->slot_bytes;
	char *slots = vq->slots;

	for (i = 0; i < n; i++) {
		unsigned head = le16_get(ring[at++ & mask]);
		struct vq_elem *e = (struct vq_elem *)(slots + (size_t)head * slot_bytes);

		if (cc_unlikely(head >= size || e->inflight)) {
			vq_break(vq, "head %u %s", head,
				 head >= size ? "out of the ring" : "already in flight");
			break;
		}
		cc_prefetch((const void *)&desc[head]);
		e->inflight = 1;
		elems[i] = e;
		if (track)
			vqs_track(track, (uint16_t)head, counter + i);
	}
	vq->inflight_counter = counter + i;
	return i;
}

unsigned vqs_pop(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	uint16_t idx = vq->avail_idx, there = le16_get(vq->split.avail->idx);
	unsigned n = (uint16_t)(there - idx);

	if (cc_unlikely(vq->resume_at != vq->resume_n))
		return vqs_pop_resumed(vq, elems, max);
	if (!n)
		return 0;
	if (cc_unlikely(n > vq->size || (uint16_t)(there - vq->used_pub) > vq->size)) {
		vq_break(vq, "avail index jumps from %u to %u", idx, there);
		return 0;
	}
	barrier_acquire(); /* the index before ring and descriptors; partner: the driver's write
			      barrier */
	n = vqs_take_heads(vq, idx, elems, CC_MIN(n, max));
	n = vqs_walk_batch(vq, elems, n);
	vq->avail_idx = (uint16_t)(idx + n);
	return n;
}

/* The batch as it lies in vq->batch, a ring: one run, or two where it wraps. */
struct vqs_runs {
	const uint16_t *id[2];
	unsigned n[2];
};

static cc_always_inline struct vqs_runs vqs_runs(const struct vq *vq)
{
	unsigned at = vq->used_pub & vq->mask, n = (uint16_t)(vq->used_idx - vq->used_pub);
	unsigned n0 = CC_MIN(n, vq->size - at);

	return (struct vqs_runs){ { vq->batch + at, vq->batch }, { n0, n - n0 } };
}

/* Link the batch before the index is stored, so that a successor can tell which chains the index
 * stands for. */
static void vqs_batch_link(struct vq *vq, const struct vqs_runs *runs, struct vqi_split *r)
{
	struct vqi_split_desc *desc = r->desc;
	size_t head = vq->vqi_free;

	for (unsigned k = 0; k < 2; k++) {
		for (const uint16_t *id = runs->id[k], *end = id + runs->n[k]; id != end; id++) {
			cc_write_once(desc[*id].next, (uint16_t)head);
			head = *id;
		}
	}
	cc_write_once(r->last_batch_head, (uint16_t)head);
	vq->vqi_free = (uint16_t)head;
}

static void vqs_batch_clear(const struct vqs_runs *runs, struct vqi_split *r, uint16_t used_idx)
{
	struct vqi_split_desc *desc = r->desc;

	barrier_release(); /* after the index of the used ring */
	for (unsigned k = 0; k < 2; k++)
		for (const uint16_t *id = runs->id[k], *end = id + runs->n[k]; id != end; id++)
			cc_write_once(desc[*id].inflight, 0);
	barrier_release();
	cc_write_once(r->used_idx, used_idx);
}

/* 2.7.7.2 and 2.7.10. @old: used index at the last decision. */
static bool vqs_wants_call(struct vq *vq, uint16_t old)
{
	if (vq->event_idx) {
		uint16_t event = le16_get(vq->split.avail->ring[vq->size]);

		return !vq->signalled_valid ||
		       (uint16_t)(vq->used_idx - event - 1) < (uint16_t)(vq->used_idx - old);
	}
	return !(le16_get(vq->split.avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

void vqs_flush(struct vq *vq)
{
	uint16_t old = vq->used_pub;
	struct vqs_runs runs;

	if (vq->used_idx == vq->used_pub)
		return;
	if (vq->inflight) {
		runs = vqs_runs(vq);
		vqs_batch_link(vq, &runs, vq->inflight);
	}
	barrier_release(); /* data, used entries and links before the index; partner: the driver's
			      read barrier */
	vq->split.used->idx = le16_make(vq->used_idx);
	if (vq->inflight)
		vqs_batch_clear(&runs, vq->inflight, vq->used_idx);
	if (cc_unlikely(vq->log)) {
		for (uint16_t i = vq->used_pub; i != vq->used_idx; i++)
			vq_log_ring(vq, &vq->split.used->ring[i & vq->mask],
				    sizeof(struct virtq_used_elem));
		vq_log_ring(vq, vq->split.used, 4);
	}
	vq->used_pub = vq->used_idx;
	if (vq->call_fd < 0)
		return;
	barrier_full(); /* the index before the look at the driver's wishes; partner: its barrier
			   after setting them */
	if (vqs_wants_call(vq, old))
		vq_call(vq);
	vq->signalled_valid = true;
}

bool vqs_kick_enable(struct vq *vq)
{
	if (vq->event_idx) {
		*vqs_avail_event(vq) = le16_make(vq->avail_idx);
		if (cc_unlikely(vq->log))
			vq_log_ring(vq, vqs_avail_event(vq), 2);
	} else if (vq->kicks_off) {
		vq->split.used->flags = le16_make(0);
		if (cc_unlikely(vq->log))
			vq_log_ring(vq, vq->split.used, 2);
	}
	barrier_full(); /* the wish before the second look; partner: the driver's barrier after its
			   index */
	return le16_get(vq->split.avail->idx) != vq->avail_idx;
}

/* With EVENT_IDX the event index simply goes stale: it comes round once in 65536 chains. */
void vqs_kick_disable(struct vq *vq)
{
	if (vq->event_idx || vq->kicks_off)
		return;
	vq->split.used->flags = le16_make(VIRTQ_USED_F_NO_NOTIFY);
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, vq->split.used, 2);
}
