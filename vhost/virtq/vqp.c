/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed layout, device side (2.8). */
#include <errno.h>
#include <string.h>

#include "vhost/virtq/vq_priv.h"

#define VQP_WRITE    ((uint64_t)VIRTQ_DESC_F_WRITE << 48)
#define VQP_NEXT     ((uint64_t)VIRTQ_DESC_F_NEXT << 48)
#define VQP_INDIRECT ((uint64_t)VIRTQ_DESC_F_INDIRECT << 48)
#define VQP_STATE    (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

/* A chain as read from the ring, once. */
struct vqp_chain {
	uint64_t desc[VQ_SIZE_MAX][2];
	unsigned n;
};

/* One step of @n descriptors along the ring. */
static cc_always_inline void vqp_advance(const struct vq *vq, uint16_t *idx, bool *wrap, unsigned n)
{
	unsigned next = *idx + n;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)next;
}

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
	int err = vqi_packed_recover(conf->inflight, vq->packed.desc, vq->vqi_next, vq->vqi_last,
				     vq->resume, &f);

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
 * The usual chain from @n descriptors in sequence (read ones, or an indirect table): readable, then
 * writable, each inside one region, without flags of @unusual. false: nothing is decided, vqp_walk()
 * starts over.
 */
static cc_always_inline bool vqp_walk_usual(struct vq *vq, struct vq_elem *e,
					    const volatile void *table, unsigned n,
					    uint64_t unusual)
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
			r = vq_region(vq->gmem, addr, VQ_HI_LEN(hi));
			if (!r)
				return false;
			vq->cache = r;
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

static cc_always_inline bool vqp_is_avail(const struct vq *vq, uint64_t hi)
{
	return (VQP_HI_FLAGS(hi) & VQP_STATE) ==
	       (vq->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED);
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
static void vqp_track(struct vq *vq, struct vq_elem *e, const struct vqp_chain *c)
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
	vqi_packed_set_free(vq->inflight, vq->vqi_free, vq->vqi_free);
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
	uint32_t len = VQ_HI_LEN(desc[1]);
	const struct gmem_region *r = vq->cache;
	uint64_t off = desc[0] - r->gpa;

	if (cc_unlikely(!vq->indirect_ok || len % 16))
		return NULL;
	if (cc_unlikely(off >= r->len || (uint64_t)len - 1 >= r->len - off)) {
		r = vq_region(vq->gmem, desc[0], len);
		if (!r)
			return NULL;
		vq->cache = r;
		off = desc[0] - r->gpa;
	}
	cc_prefetch(r->va + off);
	return r->va + off;
}

/* The indirect chains of a batch, whose tables were being fetched while the ring was read. */
struct vqp_later {
	uint64_t desc[VQ_BATCH][1][2];
	const void *table[VQ_BATCH];
	uint32_t set;
};

static cc_always_inline bool vqp_walk_first(struct vq *vq, struct vq_elem *e,
					    const struct vqp_chain *c, struct vqp_later *l,
					    unsigned i)
{
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

static unsigned vqp_walk_later(struct vq *vq, struct vq_elem **elems, unsigned n,
			       const struct vqp_later *l)
{
	for (uint32_t set = l->set; set; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctz(set);

		if (i >= n)
			break;
		if (cc_likely(l->table[i] && vqp_walk_usual(vq, elems[i], l->table[i],
							    VQ_HI_LEN(l->desc[i][0][1]) / 16, 0)))
			continue;
		if (vqp_walk(vq, elems[i], l->desc[i], 1))
			continue;
		vqp_unpop(vq, elems, i, n);
		return i;
	}
	return n;
}

/* After a restart: the chains that the region holds, in their old order. */
static cc_noinline cc_cold unsigned vqp_pop_resumed(struct vq *vq, struct vq_elem **elems,
						    unsigned max)
{
	const struct vqi_packed *r = vq->inflight;
	struct vqp_chain c;
	unsigned n = 0;

	while (n < max && vq->resume_at != vq->resume_n) {
		uint16_t head = vq->resume[vq->resume_at], at = head;
		struct vq_elem *e;

		for (c.n = 0;; at = vq->vqi_next[at]) {
			const struct vqi_packed_desc *d = &r->desc[at];

			c.desc[c.n][0] = cc_read_once(d->addr);
			c.desc[c.n][1] = (uint64_t)cc_read_once(d->flags) << 48 |
					 (uint64_t)cc_read_once(d->id) << 32 | cc_read_once(d->len);
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

unsigned vqp_pop(struct vq *vq, struct vq_elem **elems, unsigned max)
{
	struct vqp_chain c;
	struct vqp_later later;
	unsigned n = 0;

	if (cc_unlikely(vq->resume_at != vq->resume_n))
		return vqp_pop_resumed(vq, elems, max);
	later.set = 0;
	while (n < max && vqp_read(vq, &c)) {
		struct vq_elem *e = vqp_claim(vq, &c);

		if (cc_unlikely(!e))
			break;
		if (vq->inflight)
			vqp_track(vq, e, &c);
		if (cc_unlikely(!vqp_walk_first(vq, e, &c, &later, n))) {
			e->inflight = 0;
			break;
		}
		vqp_advance(vq, &vq->avail_idx, &vq->avail_wrap, c.n);
		vq->ntaken = (uint16_t)(vq->ntaken + c.n);
		elems[n++] = e;
	}
	if (n && vq->inflight)
		vqp_track_commit(vq);
	return later.set ? vqp_walk_later(vq, elems, n, &later) : n;
}

/* A used descriptor. Flags of the first one of a batch wait for the flush: the driver stops there.
 */
static void vqp_put_used(struct vq *vq, uint16_t at, bool wrap, uint16_t id, uint32_t len)
{
	volatile struct virtq_pdesc *d = &vq->packed.desc[at];
	uint16_t flags = (uint16_t)((wrap ? VQP_STATE : 0) | (len ? VIRTQ_DESC_F_WRITE : 0));

	d->id = le16_make(id);
	d->len = le32_make(len);
	if (vq->batch_open) {
		d->flags = le16_make(flags);
	} else {
		vq->batch_open = true;
		vq->batch_first = at;
		vq->batch_first_flags = flags;
	}
	if (cc_unlikely(vq->log))
		vq_log_ring(vq, d, sizeof(*d));
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
	vqi_packed_set_free(r, head, vq->vqi_free);
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
	vqi_packed_set_free(r, head, head);
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

void vqp_flush(struct vq *vq)
{
	struct vqi_packed_pos now, old;
	unsigned n;
	uint16_t head = 0;

	if (vq->run_open)
		vqp_end_run(vq);
	if (!vq->batch_open)
		return;
	n = (unsigned)vq->used_idx - vq->used_pub + (vq->used_idx <= vq->used_pub ? vq->size : 0);
	now = (struct vqi_packed_pos){ vq->used_idx, vq->used_wrap };
	old = (struct vqi_packed_pos){ vq->used_pub, vq->used_idx <= vq->used_pub ? !vq->used_wrap
										  : vq->used_wrap };
	if (vq->inflight)
		head = vqp_batch_link(vq, vq->inflight, now, old);
	barrier_release(); /* everything before the first flags; partner: the driver's read barrier
			    */
	vq->packed.desc[vq->batch_first].flags = le16_make(vq->batch_first_flags);
	if (vq->inflight)
		vqp_batch_clear(vq, vq->inflight, head, now);
	vq->batch_open = false;
	vq->used_pub = vq->used_idx;
	assert(n <= vq->ntaken);
	vq->ntaken = (uint16_t)(vq->ntaken - n);
	if (vq->call_fd < 0)
		return;
	barrier_full(); /* flags before the look at the driver's wishes; partner: its barrier after
			   setting them */
	if (vqp_wants_call(vq, n))
		vq_call(vq);
	vq->signalled_valid = true;
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
