/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed layout, device side (2.8): chains out of the ring. */
#include "vhost/virtq/vqp_priv.h"

/* A chain as read from the ring, once. */
struct vqp_chain {
	uint64_t desc[VQ_SIZE_MAX][2];
	unsigned n;
};

/*
 * The usual chain from @n descriptors in sequence (read ones, or an indirect table): readable, then
 * writable, each inside one region, without flags of @unusual. false: nothing is decided,
 * vqp_walk() starts over.
 */
static cc_noinline bool vqp_walk_usual(struct vq *vq, struct vq_elem *e, const volatile void *table,
				       unsigned n, uint64_t unusual)
{
	const struct gmem_region *r = vq->cache;
	uint64_t gpa = r->gpa, rlen = r->len, bytes = 0, out_bytes = 0;
	char *va = r->va;
	struct iovec *iov = e->iov, *in = NULL;

	if (cc_unlikely(n > VQ_IOVS_MAX))
		return false;
	for (unsigned i = 0; i < n; i++, iov++) {
		uint64_t hi = vq_word_load(table, 2 * i + 1), addr = vq_word_load(table, 2 * i);
		uint64_t off = addr - gpa;

		if (!(hi & VQP_WRITE) != !in || (hi & unusual)) {
			if (in || (hi & unusual))
				return false;
			out_bytes = bytes;
			in = iov;
		}
		if (cc_unlikely(off >= rlen || (uint64_t)VQ_HI_LEN(hi) - 1 >= rlen - off)) {
			r = vq_region(vq, addr, VQ_HI_LEN(hi));
			if (!r)
				return false;
			gpa = r->gpa;
			rlen = r->len;
			va = r->va;
			off = addr - gpa;
		}
		iov->iov_base = va + off;
		iov->iov_len = VQ_HI_LEN(hi);
		bytes += VQ_HI_LEN(hi);
	}
	if (!in) {
		out_bytes = bytes;
		in = iov;
	}
	if (cc_unlikely(bytes >> 32))
		return false;
	e->nout = (uint16_t)(in - e->iov);
	e->nin = (uint16_t)(iov - in);
	e->out_bytes = (uint32_t)out_bytes;
	e->in_bytes = (uint32_t)(bytes - out_bytes);
	cc_prefetch(e->iov->iov_base);
	return true;
}

/* Any chain, with reasons. */
static cc_noinline cc_cold bool vqp_walk(struct vq *vq, struct vq_elem *e,
					 const uint64_t (*desc)[2], unsigned n)
{
	struct vq_walk w;

	vq_walk_begin(&w, vq, e);
	for (unsigned i = 0; i < n; i++) {
		uint64_t addr = desc[i][0], hi = desc[i][1];

		if (hi & VQP_INDIRECT) {
			if (i + 1 < n || (hi & VQP_NEXT)) {
				vq_break(vq, "chain %u: INDIRECT together with NEXT", e->id);
				return false;
			}
			if (!vq_walk_table(&w, addr, VQ_HI_LEN(hi)))
				return false;
		} else if (!vq_walk_buf(&w, addr, VQ_HI_LEN(hi), hi & VQP_WRITE)) {
			return false;
		}
	}
	return vq_walk_end(&w);
}

/* The next chain of the ring, read once; the ring's position moves. false: none, or broken. */
static cc_always_inline bool vqp_read(struct vq *vq, struct vqp_chain *c)
{
	const volatile struct virtq_pdesc *ring = vq->packed.desc;
	uint16_t at = vq->avail_idx;
	uint64_t hi = vq_word_load(&ring[at], 1);
	unsigned n = 0, room;

	if (!vqp_is_avail(vq, hi))
		return false;
	barrier_acquire(); /* flags before address and the rest of the chain; partner: the driver's
			      write barrier */
	room = (unsigned)vq->size - vq->ntaken;
	for (;;) {
		if (cc_unlikely(n == room)) {
			vq_break(vq, "chain at %u overruns the ring", vq->avail_idx);
			return false;
		}
		c->desc[n][0] = vq_word_load(&ring[at], 0);
		c->desc[n][1] = hi;
		n++;
		if (!(hi & VQP_NEXT))
			break;
		at = (uint16_t)(at + 1 == vq->size ? 0 : at + 1);
		hi = vq_word_load(&ring[at], 1);
	}
	c->n = n;
	return true;
}

/* Copy the chain to the region: it counts once vqp_track_commit() has moved the free list beyond
 * it. */
static cc_always_inline void vqp_track(struct vq *vq, struct vq_elem *e, const struct vqp_chain *c)
{
	struct vqi_packed *r = vq->inflight;
	uint16_t head = vq->vqi_free, at = head, last = head;

	for (unsigned i = 0; i < c->n; i++) {
		struct vqi_packed_desc *d = &r->desc[at];

		d->addr = c->desc[i][0];
		d->len = VQ_HI_LEN(c->desc[i][1]);
		d->id = VQP_HI_ID(c->desc[i][1]);
		d->flags = VQP_HI_FLAGS(c->desc[i][1]);
		last = at;
		at = vq->vqi_next[at];
	}
	r->desc[head].num = (uint16_t)c->n;
	r->desc[head].last = last;
	r->desc[head].counter = vq->inflight_counter++;
	r->desc[head].inflight = 1;
	vq->vqi_last[head] = last;
	vq->vqi_free = at;
	e->vqi_slot = head;
}

static void vqp_track_commit(struct vq *vq)
{
	barrier_release(); /* entries before the list; partner: vqi_packed_recover in the next
			      process */
	vqi_packed_set_free(vq->inflight, vq->size, vq->vqi_free, vq->vqi_free);
}

/* The request that a chain's buffer id names, marked as taken. NULL: broken. */
static cc_always_inline struct vq_elem *vqp_claim(struct vq *vq, const struct vqp_chain *c)
{
	uint16_t id = VQP_HI_ID(c->desc[c->n - 1][1]);
	struct vq_elem *e = vq_slot(vq, id);

	if (cc_unlikely(id >= vq->size || e->inflight)) {
		vq_break(vq, "buffer id %u %s", id,
			 id >= vq->size ? "out of range" : "already in flight");
		return NULL;
	}
	e->inflight = 1;
	e->ndesc = (uint16_t)c->n;
	return e;
}

/* Where the indirect table lies in one piece; NULL: look closer. Begins to fetch it. */
static cc_always_inline const void *vqp_table(struct vq *vq, const uint64_t desc[2])
{
	const struct gmem_region *r;
	const char *table;

	if (cc_unlikely(!vq->indirect_ok) || cc_unlikely(VQ_HI_LEN(desc[1]) % 16))
		return NULL;
	r = vq_region(vq, desc[0], VQ_HI_LEN(desc[1]));
	if (cc_unlikely(!r))
		return NULL;
	table = r->va + (desc[0] - r->gpa);
	cc_prefetch(table);
	return table;
}

/* The indirect chains of a batch, whose tables were being fetched while the ring was read. */
struct vqp_later {
	uint64_t desc[VQ_BATCH][1][2];
	const void *table[VQ_BATCH];
	uint32_t set;
	unsigned n; /* chains so far */
};

static cc_always_inline bool vqp_walk_first(struct vq *vq, const struct vqp_chain *c,
					    struct vqp_later *l, struct vq_elem *e)
{
	unsigned i = l->n;

	if (c->n == 1 && (c->desc[0][1] & VQP_INDIRECT)) {
		l->desc[i][0][0] = c->desc[0][0];
		l->desc[i][0][1] = c->desc[0][1];
		l->table[i] = vqp_table(vq, c->desc[0]);
		l->set |= 1u << i;
		return true;
	}
	if (cc_likely(vqp_walk_usual(vq, e, c->desc, c->n, VQP_INDIRECT)))
		return true;
	return vqp_walk(vq, e, c->desc, c->n);
}

/* Chains from @from on are as if never taken. */
static void vqp_unpop(struct vq *vq, struct vq_elem **elems, unsigned from, unsigned n)
{
	unsigned back = 0;

	for (unsigned i = from; i < n; i++)
		back += elems[i]->ndesc;
	vq_unpop(vq, elems, from, n);
	if (vq->avail_idx < back) {
		back = vq->size - back;
		vq->avail_wrap = !vq->avail_wrap;
		vq->avail_idx = (uint16_t)(vq->avail_idx + back);
	} else {
		vq->avail_idx = (uint16_t)(vq->avail_idx - back);
	}
}

/* The usual request as a table of three: readable, either, writable. */
static cc_always_inline bool vqp_walk_table_three(const struct vq_near *near, bool two,
						  struct vq_elem *e, const void *table)
{
	uint32_t len[3];
	unsigned writes[3];

	for (unsigned i = 0; i < 3; i++) {
		uint64_t hi = vq_word_load(table, 2 * i + 1);

		len[i] = VQ_HI_LEN(hi);
		writes[i] = VQP_HI_FLAGS(hi) / VIRTQ_DESC_F_WRITE & 1;
		if (cc_unlikely(
			    !vq_near_piece(near, two, vq_word_load(table, 2 * i), len[i], &e->iov[i])))
			return false;
	}
	if (cc_unlikely(writes[0]) || cc_unlikely(!writes[2]) ||
	    cc_unlikely(!vq_near_lens(len[0], len[1], len[2])))
		return false;
	cc_prefetch(e->iov[0].iov_base);
	vq_elem_three(e, len, writes[1]);
	return true;
}

static cc_always_inline unsigned vqp_walk_later(struct vq *vq, bool two, struct vq_elem **elems,
						const struct vqp_later *l)
{
	struct vq_near near = vq_near(vq);

	for (uint32_t set = l->set; set; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctz(set);
		unsigned n = VQ_HI_LEN(l->desc[i][0][1]) / 16;
		const void *table = l->table[i];

		if (cc_likely(table && n == 3 && vqp_walk_table_three(&near, two, elems[i], table)))
			continue;
		if (!(table && vqp_walk_usual(vq, elems[i], table, n, 0)) &&
		    !vqp_walk(vq, elems[i], l->desc[i], 1)) {
			vqp_unpop(vq, elems, i, l->n);
			return i;
		}
		near = vq_near(vq);
	}
	return l->n;
}

/* After a restart: the chains that the region holds, in their old order. */
static cc_noinline cc_cold unsigned vqp_pop_resumed(struct vq *vq, struct vq_elem **elems,
						    unsigned max)
{
	const struct vqi_packed *r = vq->vqi_copy;
	struct vqp_chain c;
	unsigned n = 0;

	while (n < max && vq->resume_at != vq->resume_n) {
		uint16_t head = vq->resume[vq->resume_at], at = head;
		struct vq_elem *e;

		for (c.n = 0;; at = vq->vqi_next[at]) {
			const struct vqi_packed_desc *d = &r->desc[at];

			c.desc[c.n][0] = d->addr;
			c.desc[c.n][1] = (uint64_t)d->flags << 48 | (uint64_t)d->id << 32 | d->len;
			c.n++;
			if (at == vq->vqi_last[head])
				break;
		}
		e = vqp_claim(vq, &c);
		if (!e || !vqp_walk(vq, e, c.desc, c.n))
			break;
		e->vqi_slot = head;
		vq->resume_at++;
		elems[n++] = e;
	}
	return n;
}

/*
 * The usual request as a chain of three, not across the end of the ring, without detours: readable,
 * either, writable. NULL: another shape, or something wrong; nothing is decided.
 */
static cc_always_inline struct vq_elem *vqp_take_three(struct vq *vq, const struct vq_near *near,
						       bool two, uint64_t hi, struct vqp_chain *c)
{
	const uint64_t write = VQP_WRITE, next = VQP_NEXT, flags = 0xffffull << 48;
	const uint64_t state = (uint64_t)(vq->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED)
			       << 48;
	const volatile struct virtq_pdesc *d = &vq->packed.desc[vq->avail_idx];
	uint32_t len[3] = { VQ_HI_LEN(hi) };
	uint64_t mid, end, addr[3];
	struct vq_elem *e;

	if (cc_unlikely((hi & flags) != (state | next)) ||
	    cc_unlikely(vq->avail_idx + 3 > vq->size) || cc_unlikely(vq->ntaken + 3 > vq->size))
		return NULL;
	mid = vq_word_load(d, 3);
	end = vq_word_load(d, 5);
	e = vq_slot(vq, VQP_HI_ID(end));
	if (cc_unlikely(((mid | write) & flags) != (state | next | write)) ||
	    cc_unlikely((end & flags) != (state | write)) ||
	    cc_unlikely(VQP_HI_ID(end) >= vq->size) || cc_unlikely(e->inflight))
		return NULL;
	len[1] = VQ_HI_LEN(mid);
	len[2] = VQ_HI_LEN(end);
	for (unsigned i = 0; i < 3; i++) {
		addr[i] = vq_word_load(d, 2 * i);
		if (cc_unlikely(!vq_near_piece(near, two, addr[i], len[i], &e->iov[i])))
			return NULL;
	}
	if (cc_unlikely(!vq_near_lens(len[0], len[1], len[2])))
		return NULL;
	cc_prefetch(e->iov[0].iov_base);
	vq_elem_three(e, len, mid / write & 1);
	e->inflight = 1;
	e->ndesc = 3;
	c->n = 3;
	if (vq->inflight) {
		const uint64_t his[3] = { hi, mid, end };

		for (unsigned i = 0; i < 3; i++) {
			c->desc[i][0] = addr[i];
			c->desc[i][1] = his[i];
		}
	}
	return e;
}

/* Any other chain. NULL: broken. */
static cc_noinline struct vq_elem *vqp_take(struct vq *vq, struct vqp_chain *c, struct vqp_later *l)
{
	struct vq_elem *e;

	if (cc_unlikely(!vqp_read(vq, c)))
		return NULL;
	e = vqp_claim(vq, c);
	if (cc_unlikely(!e))
		return NULL;
	if (cc_unlikely(!vqp_walk_first(vq, c, l, e))) {
		e->inflight = 0;
		return NULL;
	}
	return e;
}

static cc_always_inline unsigned vqp_pop_near(struct vq *vq, bool two, struct vq_elem **elems,
					      unsigned max)
{
	struct vq_near near = vq_near(vq);
	struct vqp_chain c;
	struct vqp_later later;

	later.set = 0;
	for (later.n = 0; later.n < max; later.n++) {
		uint64_t hi = vq_word_load(&vq->packed.desc[vq->avail_idx], 1);
		struct vq_elem *e;

		if (!vqp_is_avail(vq, hi))
			break;
		barrier_acquire(); /* flags before address and the rest of the chain; partner: the
				      driver's write barrier */
		e = vqp_take_three(vq, &near, two, hi, &c);
		if (!e) {
			e = vqp_take(vq, &c, &later);
			if (cc_unlikely(!e))
				break;
			near = vq_near(vq);
		}
		if (vq->inflight)
			vqp_track(vq, e, &c);
		vqp_advance(vq, &vq->avail_idx, &vq->avail_wrap, c.n);
		vq->ntaken = (uint16_t)(vq->ntaken + c.n);
		elems[later.n] = e;
	}
	if (later.n && vq->inflight)
		vqp_track_commit(vq);
	return later.set ? vqp_walk_later(vq, two, elems, &later) : later.n;
}

static cc_noinline unsigned vqp_pop_one(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	return vqp_pop_near(vq, false, elems, max);
}

static cc_noinline unsigned vqp_pop_two(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	return vqp_pop_near(vq, true, elems, max);
}

unsigned vqp_pop(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	if (cc_unlikely(vq->resume_at != vq->resume_n))
		return vqp_pop_resumed(vq, elems, max);
	return vq_near_is_two(vq) ? vqp_pop_two(vq, elems, max) : vqp_pop_one(vq, elems, max);
}
