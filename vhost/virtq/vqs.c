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
		const struct gmem_region *found = vq_region(vq, d->addr, d->len);

		if (!found)
			return false;
		*r = found;
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

/* A table of descriptors, the ring's or an indirect one, and its number of entries times 2^16: what
 * a link, which has the flags below it, must stay under. */
struct vqs_table {
	const volatile void *va;
	uint32_t n, link_end;
};

static cc_always_inline struct vqs_table vqs_table(const volatile void *va, uint32_t n)
{
	return (struct vqs_table){ va, n, CC_MIN(n, (uint32_t)UINT16_MAX) << 16 };
}

/* The step that @link leads to. Its flags are below 2^12, so that one shift makes the offset. */
static cc_always_inline struct vqs_step vqs_step_next(const struct vqs_table *t, uint32_t link)
{
	return vqs_step((const volatile char *)t->va + (link >> 12), 0);
}

/* Where the loops below look for buffers: in one region or in two, each a loop of its own. */
struct vqs_way {
	struct vq_near near;
	bool two; /* a constant */
};

/* The last descriptor of three, and the sums; @writes is a constant. */
static cc_always_inline bool vqs_walk_third(const struct vqs_way *way, struct vq_elem *e,
					    const struct vqs_step *d, const uint32_t len[2],
					    bool writes)
{
	if (cc_unlikely((uint16_t)d->link != VIRTQ_DESC_F_WRITE) ||
	    cc_unlikely(!vq_near_piece(&way->near, way->two, d->addr, d->len, &e->iov[2])) ||
	    cc_unlikely(!vq_near_lens(len[0], len[1], d->len)))
		return false;
	vq_elem_three(e, (const uint32_t[3]){ len[0], len[1], d->len }, writes);
	return true;
}

/*
 * The chain that nearly all requests are, without a loop: a readable buffer, one of either kind, a
 * writable one. false: another shape, nothing is decided.
 */
static cc_always_inline bool vqs_walk_three(const struct vqs_way *way, struct vq_elem *e,
					    const struct vqs_table *t, struct vqs_step d)
{
	const uint16_t next = VIRTQ_DESC_F_NEXT, write = VIRTQ_DESC_F_WRITE;
	uint32_t len[2] = { d.len }, link;
	struct iovec *iov = e->iov;

	if (cc_unlikely((uint16_t)d.link != next) || cc_unlikely(d.link >= t->link_end) ||
	    cc_unlikely(!vq_near_piece(&way->near, way->two, d.addr, d.len, &iov[0])))
		return false;
	cc_prefetch(iov[0].iov_base);
	d = vqs_step_next(t, d.link);
	link = d.link;
	len[1] = d.len;
	if (cc_unlikely(link >= t->link_end) ||
	    cc_unlikely(!vq_near_piece(&way->near, way->two, d.addr, d.len, &iov[1])))
		return false;
	if ((uint16_t)link == (next | write)) {
		d = vqs_step_next(t, link);
		return vqs_walk_third(way, e, &d, len, true);
	}
	if (cc_unlikely((uint16_t)link != next))
		return false;
	d = vqs_step_next(t, link);
	return vqs_walk_third(way, e, &d, len, false);
}

/*
 * Two loops without a call in them, so that all they need stays in registers. Each returns how far
 * it came: to @n, or to the first chain that is not of the usual kind.
 */
static cc_always_inline unsigned vqs_walk_direct(const struct vq *vq, bool two,
						 struct vq_elem **elems, unsigned i, unsigned n)
{
	const struct vqs_table ring = vqs_table(vq->split.desc, vq->size);
	const struct vqs_way way = { vq_near(vq), two };
	struct vq_elem **e = elems + i, **end = elems + n;

	while (e != end && cc_likely(vqs_walk_three(&way, *e, &ring, vqs_step(ring.va, (*e)->id))))
		e++;
	return (unsigned)(e - elems);
}

/* The tables of a run of indirect chains, on their way to the cache while the later ones are looked
 * up. */
static cc_always_inline unsigned vqs_fetch_tables(struct vq *vq, bool two, struct vq_elem **elems,
						  unsigned n, struct vqs_table *table)
{
	const volatile void *ring = vq->split.desc;
	const struct vq_near near = vq_near(vq);
	unsigned i;

	for (i = 0; i < n; i++) {
		struct vqs_step d = vqs_step(ring, elems[i]->id);
		char *va;

		if (cc_unlikely((uint16_t)d.link != VIRTQ_DESC_F_INDIRECT) ||
		    cc_unlikely(!vq_near_va(&near, two, d.addr, &va)) ||
		    cc_unlikely(d.len - 1 >= VQ_NEAR_BYTES) || cc_unlikely(d.len % 16 != 0)) /* 0 is none */
			break;
		table[i] = vqs_table(va, d.len / 16);
		cc_prefetch(va);
		vq->guess.table = va;
	}
	return i;
}

static cc_noinline unsigned vqs_fetch_tables_one(struct vq *vq, struct vq_elem **elems, unsigned n,
						 struct vqs_table *table)
{
	return vqs_fetch_tables(vq, false, elems, n, table);
}

static cc_noinline unsigned vqs_fetch_tables_two(struct vq *vq, struct vq_elem **elems, unsigned n,
						 struct vqs_table *table)
{
	return vqs_fetch_tables(vq, true, elems, n, table);
}

/* A run of indirect chains from @i on, likewise. */
static cc_always_inline unsigned vqs_walk_indirect(struct vq *vq, bool two, struct vq_elem **elems,
						   unsigned i, unsigned n)
{
	struct vqs_table table[VQ_BATCH];
	struct vqs_way way = { vq_near(vq), two };

	n = i + (two ? vqs_fetch_tables_two : vqs_fetch_tables_one)(vq, elems + i, n - i, table);
	for (const struct vqs_table *t = table; i < n; i++, t++) {
		if (cc_likely(vqs_walk_three(&way, elems[i], t, vqs_step(t->va, 0))))
			continue;
		if (!vqs_walk_usual(vq, elems[i], t->va, t->n, 0))
			break;
		way.near = vq_near(vq);
	}
	return i;
}

/* Any chain: the usual one of any length, or what it takes a closer look at. */
static cc_noinline bool vqs_walk_one(struct vq *vq, struct vq_elem *e)
{
	struct vqs_step d = vqs_step(vq->split.desc, e->id);
	const struct gmem_region *r = vq->cache;
	struct iovec table;

	if (!(d.link & VIRTQ_DESC_F_INDIRECT))
		return vqs_walk_usual(vq, e, vq->split.desc, vq->size, e->id) || vqs_walk(vq, e);
	if (vq->indirect_ok && d.len % 16 == 0 && !(d.link & VIRTQ_DESC_F_NEXT) &&
	    vqs_piece(vq, &r, &d, &table) &&
	    vqs_walk_usual(vq, e, table.iov_base, d.len / 16, 0))
		return true;
	return vqs_walk(vq, e);
}

static cc_noinline unsigned vqs_walk_direct_one(struct vq *vq, struct vq_elem **elems, unsigned i,
						unsigned n)
{
	return vqs_walk_direct(vq, false, elems, i, n);
}

static cc_noinline unsigned vqs_walk_direct_two(struct vq *vq, struct vq_elem **elems, unsigned i,
						unsigned n)
{
	return vqs_walk_direct(vq, true, elems, i, n);
}

static cc_noinline unsigned vqs_walk_indirect_one(struct vq *vq, struct vq_elem **elems, unsigned i,
						  unsigned n)
{
	return vqs_walk_indirect(vq, false, elems, i, n);
}

static cc_noinline unsigned vqs_walk_indirect_two(struct vq *vq, struct vq_elem **elems, unsigned i,
						  unsigned n)
{
	return vqs_walk_indirect(vq, true, elems, i, n);
}

/* Second and third look at a batch: the chains. */
static unsigned vqs_walk_batch(struct vq *vq, struct vq_elem **elems, unsigned n)
{
	unsigned i = 0;

	while (i < n) {
		bool two = vq_near_is_two(vq);

		i = (two ? vqs_walk_direct_two : vqs_walk_direct_one)(vq, elems, i, n);
		if (i < n && vq->indirect_ok)
			i = (two ? vqs_walk_indirect_two : vqs_walk_indirect_one)(vq, elems, i, n);
		if (i == n)
			break;
		if (!vqs_walk_one(vq, elems[i])) {
			vq_unpop(vq, elems, i, n);
			break;
		}
		i++;
	}
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

static cc_noinline cc_cold void vqs_break_head(struct vq *vq, unsigned head)
{
	vq_break(vq, "head %u %s", head, head >= vq->size ? "out of the ring" : "already in flight");
}

/* Take the heads of [ring, end); their descriptors begin to arrive. Returns behind the last good
 * one. */
static cc_always_inline struct vq_elem **vqs_take_run(struct vq *vq, const volatile uint16_t *ring,
						      const volatile uint16_t *end,
						      struct vq_elem **out)
{
	const volatile struct virtq_desc *desc = vq->split.desc;
	struct vqi_split *track = vq->inflight;
	uint64_t counter = vq->inflight_counter;
	size_t size = vq->size, slot_bytes = vq->slot_bytes;
	char *slots = vq->slots;

#pragma GCC unroll 8
	for (; ring != end; ring++) {
		size_t head = le16toh(*ring);
		struct vq_elem *e = (struct vq_elem *)(slots + head * slot_bytes);

		if (cc_unlikely(head >= size) || cc_unlikely(e->inflight)) {
			vqs_break_head(vq, (unsigned)head);
			break;
		}
		cc_prefetch((const void *)&desc[head]);
		e->inflight = 1;
		*out++ = e;
		if (track)
			vqs_track(track, (uint16_t)head, counter++);
	}
	vq->inflight_counter = counter;
	return out;
}

/* The one head at @idx, without the loops. Returns how many are good. */
static cc_always_inline unsigned vqs_take_one(struct vq *vq, uint16_t idx, struct vq_elem **elems)
{
	unsigned head = le16_get(vq->split.avail->ring[idx & vq->mask]);
	struct vq_elem *e = vq_slot(vq, (uint16_t)head);

	if (cc_unlikely(head >= vq->size) || cc_unlikely(e->inflight)) {
		vqs_break_head(vq, head);
		return 0;
	}
	e->inflight = 1;
	elems[0] = e;
	if (vq->inflight)
		vqs_track(vq->inflight, (uint16_t)head, vq->inflight_counter++);
	return 1;
}

/* @n heads from @idx on: one run, or two where the ring wraps. Returns how many are good. */
static cc_noinline unsigned vqs_take_heads(struct vq *vq, uint16_t idx, struct vq_elem **elems, unsigned n)
{
	const volatile uint16_t *ring = (const volatile uint16_t *)vq->split.avail->ring;
	unsigned at = idx & vq->mask, n0 = CC_MIN(n, vq->size - at);
	struct vq_elem **out = vqs_take_run(vq, ring + at, ring + at + n0, elems);

	if (cc_unlikely(n0 < n) && !vq->broken)
		out = vqs_take_run(vq, ring, ring + (n - n0), out);
	return (unsigned)(out - elems);
}

/*
 * At low depth nothing hides the way of a cache line from the driver's CPU, and index, ring entry,
 * descriptor and header would come one after another. Drivers take the head that came back last:
 * fetch what the last chain used while the ring entry is on its way. A wrong guess costs nothing
 * but the fetch.
 */
#define VQS_FEW 2

static cc_always_inline void vqs_fetch_guess(const struct vq *vq, uint16_t idx)
{
	cc_prefetch((const void *)&vq->split.avail->ring[idx & vq->mask]);
	cc_prefetch(vq->guess.desc);
	cc_prefetch(vq->guess.table);
	cc_prefetch_w(vq->guess.header);
	cc_prefetch_w((const void *)&vq->split.used->ring[vq->used_idx & vq->mask]);
}

static cc_always_inline void vqs_guess(struct vq *vq, const struct vq_elem *e)
{
	vq->guess.desc = (const void *)&vq->split.desc[e->id];
	vq->guess.header = e->iov[0].iov_base;
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
	n = CC_MIN(n, max);
	if (n <= VQS_FEW)
		vqs_fetch_guess(vq, idx);
	n = n == 1 ? vqs_take_one(vq, idx, elems) : vqs_take_heads(vq, idx, elems, n);
	n = vqs_walk_batch(vq, elems, n);
	if (n - 1 < VQS_FEW)
		vqs_guess(vq, elems[n - 1]);
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
#pragma GCC unroll 8
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
	for (unsigned k = 0; k < 2; k++) {
#pragma GCC unroll 8
		for (const uint16_t *id = runs->id[k], *end = id + runs->n[k]; id != end; id++)
			cc_write_once(desc[*id].inflight, 0);
	}
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

/* Data, used entries and links before the index; partner: the driver's read barrier. */
static cc_always_inline void vqs_publish(struct vq *vq)
{
	barrier_release();
	vq->split.used->idx = le16_make(vq->used_idx);
}

static cc_noinline void vqs_publish_tracked(struct vq *vq)
{
	struct vqs_runs runs = vqs_runs(vq);

	vqs_batch_link(vq, &runs, vq->inflight);
	vqs_publish(vq);
	vqs_batch_clear(&runs, vq->inflight, vq->used_idx);
}

/* At low depth the driver waits for this very answer: as few steps as can be until it is out. */
static cc_always_inline void vqs_publish_one(struct vq *vq)
{
	struct vqi_split *r = vq->inflight;
	size_t id = vq->batch[vq->used_pub & vq->mask];

	cc_write_once(r->desc[id].next, vq->vqi_free);
	cc_write_once(r->last_batch_head, (uint16_t)id);
	vq->vqi_free = (uint16_t)id;
	vqs_publish(vq);
	barrier_release(); /* after the index of the used ring */
	cc_write_once(r->desc[id].inflight, 0);
	barrier_release();
	cc_write_once(r->used_idx, vq->used_idx);
}

enum vq_flushed vqs_flush(struct vq *vq)
{
	uint16_t old = vq->used_pub;
	bool wants_call;

	if (vq->used_idx == vq->used_pub)
		return VQ_FLUSHED_NOTHING;
	if (cc_unlikely(vq->log))
		vq_log_batch(vq, vq->split.used->ring, sizeof(struct virtq_used_elem), old & vq->mask,
			     (uint16_t)(vq->used_idx - old));
	if (!vq->inflight)
		vqs_publish(vq);
	else if ((uint16_t)(vq->used_idx - old) == 1)
		vqs_publish_one(vq);
	else
		vqs_publish_tracked(vq);
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, vq->split.used, 4);
	vq->used_pub = vq->used_idx;
	if (vq->call_fd < 0)
		return VQ_FLUSHED_QUIET;
	barrier_full(); /* the index before the look at the driver's wishes; partner: its barrier
			   after setting them */
	wants_call = vqs_wants_call(vq, old);
	if (wants_call)
		vq_call(vq);
	vq->signalled_valid = true;
	return wants_call ? VQ_FLUSHED_CALLED : VQ_FLUSHED_QUIET;
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
