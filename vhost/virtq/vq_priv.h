/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the device side: slots, descriptors as read once, the careful walk, both
 * layouts. */
#ifndef VHOST_VIRTQ_VQ_PRIV_H
#define VHOST_VIRTQ_VQ_PRIV_H

#include "core/base/barrier.h"
#include "vhost/virtq/vq.h"
#include "vhost/virtq/vqi.h"

static cc_always_inline struct vq_elem *vq_slot(const struct vq *vq, uint16_t id)
{
	return (struct vq_elem *)(vq->slots + (size_t)id * vq->slot_bytes);
}

/* The second half of a descriptor comes in one load, so that length, flags and link belong
 * together. */
typedef uint64_t __attribute__((aligned(1), may_alias)) vq_word;

static cc_always_inline uint64_t vq_word_load(const volatile void *p, unsigned i)
{
	return le64toh(((const volatile vq_word *)p)[i]);
}

#define VQ_HI_LEN(hi)	 ((uint32_t)(hi))
#define VQS_HI_FLAGS(hi) ((uint16_t)((hi) >> 32)) /* of an entry of a split table */
#define VQS_HI_NEXT(hi)	 ((uint16_t)((hi) >> 48))
#define VQP_HI_ID(hi)	 ((uint16_t)((hi) >> 32))
#define VQP_HI_FLAGS(hi) ((uint16_t)((hi) >> 48))

/* Does [addr, addr+len) lie inside @r? A len of 0 does not. */
static cc_always_inline bool vq_region_has(const struct gmem_region *r, uint64_t addr, uint32_t len)
{
	uint64_t off = addr - r->gpa;

	return off < r->len && (uint64_t)len - 1 < r->len - off;
}

/* @r was hit. */
static cc_always_inline void vq_cache_set(struct vq *vq, const struct gmem_region *r)
{
	if (r == vq->cache)
		return;
	vq->cache_old = vq->cache;
	vq->cache = r;
}

/* The region of [addr, addr+len) when it lies inside one; NULL: look closer. len 0 gives NULL. */
static cc_always_inline const struct gmem_region *vq_region(struct vq *vq, uint64_t addr,
							    uint32_t len)
{
	const struct gmem_region *r;

	if (vq_region_has(vq->cache, addr, len))
		return vq->cache;
	if (vq_region_has(vq->cache_old, addr, len))
		return vq->cache_old;
	r = gmem_find(vq->gmem, addr);
	if (!r || !vq_region_has(r, addr, len))
		return NULL;
	vq_cache_set(vq, r);
	return r;
}

/*
 * What the last region says about buffers that begin in it: those shorter than VQ_NEAR_BYTES that
 * begin at least as much before its end need one comparison for the address of each and one for the
 * lengths of all (vq_near_lens()). Guests of more than 2 or 3 GiB have two regions, and any buffer in
 * any of them: where `two` is true, the one before the last counts as well. It is a constant, so that
 * the loops for one region keep all they need in registers.
 */
#define VQ_NEAR_BYTES (1u << 20)

struct vq_near {
	uint64_t gpa, room;
	char *va;
	uint64_t old_gpa, old_room;
	char *old_va;
};

static cc_always_inline uint64_t vq_near_room(const struct gmem_region *r)
{
	return r->len > VQ_NEAR_BYTES ? r->len - VQ_NEAR_BYTES : 0;
}

static cc_always_inline struct vq_near vq_near(const struct vq *vq)
{
	const struct gmem_region *r = vq->cache, *old = vq->cache_old;

	return (struct vq_near){ r->gpa,   vq_near_room(r),   r->va,
				 old->gpa, vq_near_room(old), old->va };
}

/* Have buffers been seen in two regions? */
static cc_always_inline bool vq_near_is_two(const struct vq *vq)
{
	return vq->cache_old->len != 0;
}

static cc_always_inline bool vq_near_va(const struct vq_near *near, bool two, uint64_t addr,
					char **ret_va)
{
	uint64_t off = addr - near->gpa;

	if (off < near->room) {
		*ret_va = near->va + off;
		return true;
	}
	off = addr - near->old_gpa;
	if (!two || cc_unlikely(off >= near->old_room))
		return false;
	*ret_va = near->old_va + off;
	return true;
}

static cc_always_inline bool vq_near_piece(const struct vq_near *near, bool two, uint64_t addr,
					   uint32_t len, struct iovec *iov)
{
	char *va;

	if (cc_unlikely(!vq_near_va(near, two, addr, &va)))
		return false;
	iov->iov_base = va;
	iov->iov_len = len;
	return true;
}

/* Are they all of the lengths that vq_near_piece() takes for granted, and none empty (an empty piece
 * vanishes, which is not the usual)? One comparison. */
static cc_always_inline bool vq_near_lens(uint32_t a, uint32_t b, uint32_t c)
{
	return ((a - 1) | (b - 1) | (c - 1)) < VQ_NEAR_BYTES;
}

/* Shape and sums of a chain of three: readable, of the kind that @writes says, writable. */
static cc_always_inline void vq_elem_three(struct vq_elem *e, const uint32_t len[3], bool writes)
{
	if (writes) {
		vq_elem_set_shape(e, 1, 2);
		e->out_bytes = len[0];
		e->in_bytes = len[1] + len[2];
	} else {
		vq_elem_set_shape(e, 2, 1);
		e->out_bytes = len[0] + len[1];
		e->in_bytes = len[2];
	}
}

/* vq_walk.c: a chain step by step, with every check and a reason for every refusal. */
struct vq_walk {
	struct vq *vq;
	struct vq_elem *e;
	unsigned n, nout; /* pieces so far */
	unsigned left;	  /* descriptors it may still take */
	bool writing;
	uint64_t out_bytes, in_bytes;
};

void vq_walk_begin(struct vq_walk *w, struct vq *vq, struct vq_elem *e);
/* One buffer. false: the queue is broken. */
bool vq_walk_buf(struct vq_walk *w, uint64_t addr, uint32_t len, bool writable);
/* The indirect table that ends a chain. */
bool vq_walk_table(struct vq_walk *w, uint64_t addr, uint32_t len);
bool vq_walk_end(struct vq_walk *w);

/* vq.c */
/* Take back elems[from, n) of a pop that ran into a bad chain. */
void vq_unpop(struct vq *vq, struct vq_elem **elems, unsigned from, unsigned n);
/* The dirty log, at once: @len bytes at @va of the rings. */
void vq_log_ring(struct vq *vq, const volatile void *va, uint64_t len);
/*
 * And with one barrier for a whole batch, before the driver sees the answers: what its chains were written to, and @n
 * entries of @entry_bytes of @ring from @first on, round its end.
 */
void vq_log_batch(struct vq *vq, const volatile void *ring, size_t entry_bytes, unsigned first, unsigned n);

/* vqs.c, vqp.c: the layouts */
int vqs_init(struct vq *vq, const struct vq_conf *conf, struct errbuf *eb);
unsigned vqs_pop(struct vq *vq, struct vq_elem **elems, unsigned max);
enum vq_flushed vqs_flush(struct vq *vq);
bool vqs_kick_enable(struct vq *vq);
void vqs_kick_disable(struct vq *vq);

int vqp_init(struct vq *vq, const struct vq_conf *conf, struct errbuf *eb);
unsigned vqp_pop(struct vq *vq, struct vq_elem **elems, unsigned max);
void vqp_put(struct vq *vq, struct vq_elem *e, uint32_t written);
enum vq_flushed vqp_flush(struct vq *vq);
bool vqp_kick_enable(struct vq *vq);
void vqp_kick_disable(struct vq *vq);

/*
 * vqi.c: recovery. All that is read comes from the copy that vqi_load() has checked; the region itself is shared
 * with the front-end, and only written to. What is repaired is repaired in both.
 */
struct vqi_region {
	void *copy, *shared;
};

/* Finish the last batch against the ring's @used_idx, list the heads in flight, oldest first. 0 or
 * -EINVAL. */
int vqi_split_recover(const struct vqi_region *reg, uint16_t used_idx, uint16_t *resume,
		      uint16_t *ret_n, uint64_t *ret_counter);

struct vqi_packed_found {
	bool fresh; /* never used: the ring's position is the front-end's business */
	uint16_t used_idx, free_head;
	bool used_wrap;
	uint16_t ndesc;	 /* ring descriptors of all chains in flight */
	uint16_t nchain; /* chains in resume */
	uint64_t counter;
};

/*
 * The same for packed: the descriptor in @ring at the old used index tells whether the last batch
 * was published. Copies the links of the entries to @next and @last.
 */
int vqi_packed_recover(const struct vqi_region *reg, const volatile struct virtq_pdesc *ring,
		       uint16_t *next, uint16_t *last, uint16_t *resume,
		       struct vqi_packed_found *ret_found);

/* The words that must change at once: { free_head, old_free_head } and { used position, old used
 * position }. */
struct vqi_packed_pos {
	uint16_t used_idx;
	bool used_wrap;
};
void vqi_packed_set_free(struct vqi_packed *r, uint16_t size, uint16_t free_head,
			 uint16_t old_free_head);
void vqi_packed_set_used(struct vqi_packed *r, struct vqi_packed_pos now,
			 struct vqi_packed_pos old);

#endif
