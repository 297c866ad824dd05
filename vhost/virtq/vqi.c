/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight region: make it, distrust it, read from it what a dead process had taken. */
#include "vhost/virtq/vqi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "vhost/virtq/vq_priv.h"

#define VQI_VERSION	1
#define VQI_COUNTER_MAX (1ull << 62) /* a century of chains; beyond it the order could wrap */

uint64_t vqi_bytes(bool packed, uint16_t size)
{
	uint64_t bytes = packed ? sizeof(struct vqi_packed) + 32ull * size
				: sizeof(struct vqi_split) + 16ull * size;

	return CC_ALIGN_UP(bytes, CACHELINE_BYTES);
}

void vqi_format(void *region, bool packed, uint16_t size, uint64_t features)
{
	memset(region, 0, vqi_bytes(packed, size));
	if (packed) {
		struct vqi_packed *r = region;

		r->features = features;
		r->version = VQI_VERSION;
		r->desc_num = size;
		r->used_wrap_counter = 1;
		r->old_used_wrap_counter = 1;
		for (unsigned i = 0; i < size; i++)
			r->desc[i].next = (uint16_t)(i + 1); /* the last one: size, the end */
	} else {
		struct vqi_split *r = region;

		r->features = features;
		r->version = VQI_VERSION;
		r->desc_num = size;
	}
}

void vqi_clear(void *region)
{
	static_assert(offsetof(struct vqi_split, version) == 8 &&
			      offsetof(struct vqi_packed, version) == 8,
		      "one word");
	cc_write_once(*(vq_word *)((char *)region + 8), 0);
}

static int vqi_split_check(const struct vqi_split *r, uint16_t size, struct errbuf *eb)
{
	if (r->last_batch_head >= size)
		return errbuf_set(eb, -EINVAL, "inflight region: last batch at %u of %u",
				  r->last_batch_head, size);
	for (unsigned i = 0; i < size; i++) {
		const struct vqi_split_desc *d = &r->desc[i];

		if (d->inflight > 1 || d->next >= size ||
		    (d->inflight && d->counter > VQI_COUNTER_MAX))
			return errbuf_set(
				eb, -EINVAL,
				"inflight region: entry %u: flag %u next %u counter %#llx", i,
				d->inflight, d->next, (unsigned long long)d->counter);
	}
	return 0;
}

static bool vqi_list_ends(const struct vqi_packed *r, uint16_t at, uint16_t size)
{
	for (unsigned left = size; at < size; at = r->desc[at].next)
		if (left-- == 0)
			return false;
	return true;
}

static int vqi_packed_check(const struct vqi_packed *r, uint16_t size, struct errbuf *eb)
{
	if (r->free_head > size || r->old_free_head > size || r->used_idx >= size ||
	    r->old_used_idx >= size || r->used_wrap_counter > 1 || r->old_used_wrap_counter > 1)
		return errbuf_set(eb, -EINVAL,
				  "inflight region: free %u/%u used %u/%u, ring size %u",
				  r->free_head, r->old_free_head, r->used_idx, r->old_used_idx,
				  size);
	for (unsigned i = 0; i < size; i++) {
		const struct vqi_packed_desc *d = &r->desc[i];

		if (d->inflight > 1 || d->next > size ||
		    (d->inflight &&
		     (d->last >= size || d->num > size || d->counter > VQI_COUNTER_MAX)))
			return errbuf_set(eb, -EINVAL,
					  "inflight region: entry %u: flag %u next %u last %u num "
					  "%u counter %#llx",
					  i, d->inflight, d->next, d->last, d->num,
					  (unsigned long long)d->counter);
	}
	if (!vqi_list_ends(r, r->free_head, size) || !vqi_list_ends(r, r->old_free_head, size))
		return errbuf_set(eb, -EINVAL, "inflight region: the free list is a loop");
	return 0;
}

int vqi_check(void *region, uint64_t bytes, bool packed, uint16_t size, struct errbuf *eb)
{
	/* features, version and desc_num lie alike in both layouts */
	const struct vqi_split *r = region;
	uint64_t need = packed ? sizeof(struct vqi_packed) + 32ull * size
			       : sizeof(struct vqi_split) + 16ull * size;

	static_assert(offsetof(struct vqi_split, version) == offsetof(struct vqi_packed, version) &&
			      offsetof(struct vqi_split, desc_num) ==
				      offsetof(struct vqi_packed, desc_num),
		      "one header");
	if (size == 0 || size > VQ_SIZE_MAX || bytes < need)
		return errbuf_set(eb, -EINVAL,
				  "inflight region of %llu bytes, a queue of %u needs %llu",
				  (unsigned long long)bytes, size, (unsigned long long)need);
	if (r->version == 0) {
		vqi_format(region, packed, size, 0);
		return 0;
	}
	if (r->version != VQI_VERSION || r->desc_num != size)
		return errbuf_set(eb, -EINVAL,
				  "inflight region: version %u for %u entries, the queue has %u",
				  r->version, r->desc_num, size);
	return packed ? vqi_packed_check(region, size, eb) : vqi_split_check(region, size, eb);
}

int vqi_load(void *region, bool packed, uint16_t size, void **ret_copy, struct errbuf *eb)
{
	uint64_t bytes = vqi_bytes(packed, size);
	struct vqi_split *copy = aligned_alloc(CACHELINE_BYTES, bytes);
	bool is_blank;
	int err;

	if (!copy)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	memcpy(copy, region, bytes);
	barrier_full(); /* the compiler must not look at the region again */
	is_blank = copy->version == 0;
	err = vqi_check(copy, bytes, packed, size, eb);
	if (err) {
		free(copy);
		return err;
	}
	if (is_blank)
		memcpy(region, copy, bytes);
	*ret_copy = copy;
	return 0;
}

/* What qsort needs: the order and the place. */
struct vqi_ref {
	uint64_t counter;
	uint16_t at;
};

static int vqi_ref_cmp(const void *a, const void *b)
{
	const struct vqi_ref *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static void vqi_sort(struct vqi_ref *ref, unsigned n, uint16_t *ret_order)
{
	qsort(ref, n, sizeof(*ref), vqi_ref_cmp);
	for (unsigned i = 0; i < n; i++)
		ret_order[i] = ref[i].at;
}

static bool vqi_split_any(const struct vqi_split *r)
{
	for (unsigned i = 0; i < r->desc_num; i++)
		if (r->desc[i].inflight)
			return true;
	return false;
}

int vqi_split_recover(const struct vqi_region *reg, uint16_t used_idx, uint16_t *resume,
		      uint16_t *ret_n, uint64_t *ret_counter)
{
	struct vqi_ref ref[VQ_SIZE_MAX];
	struct vqi_split *c = reg->copy, *r = reg->shared;
	uint16_t size = c->desc_num, at = c->last_batch_head;
	uint16_t batch = (uint16_t)(used_idx - c->used_idx);
	uint64_t counter = 0;
	unsigned n = 0;

	/* with nothing in flight the indexes may differ by anything: a fresh region, or rings set
	 * up anew */
	if (vqi_split_any(c)) {
		if (batch > size)
			return -EINVAL;
		for (; batch; batch--) {
			c->desc[at].inflight = 0;
			cc_write_once(r->desc[at].inflight, 0);
			at = c->desc[at].next;
		}
	}
	barrier_release(); /* flags first: should we die here too, the next one does it again */
	cc_write_once(r->used_idx, used_idx);
	for (unsigned i = 0; i < size; i++) {
		if (!c->desc[i].inflight)
			continue;
		ref[n++] = (struct vqi_ref){ c->desc[i].counter, (uint16_t)i };
		counter = CC_MAX(counter, c->desc[i].counter);
	}
	vqi_sort(ref, n, resume);
	*ret_n = (uint16_t)n;
	*ret_counter = counter + 1;
	return 0;
}

/* One aligned 8-byte store each: a reader after a crash finds both halves of the old or of the new
 * state. */
void vqi_packed_set_free(struct vqi_packed *r, uint16_t size, uint16_t free_head,
			 uint16_t old_free_head)
{
	const uint16_t half[4] = { VQI_VERSION, size, free_head, old_free_head };
	uint64_t word;

	static_assert(offsetof(struct vqi_packed, version) == 8 &&
			      offsetof(struct vqi_packed, old_free_head) == 14,
		      "one word");
	memcpy(&word, half, sizeof(word));
	cc_write_once(*(vq_word *)((char *)r + 8), word);
}

void vqi_packed_set_used(struct vqi_packed *r, struct vqi_packed_pos now, struct vqi_packed_pos old)
{
	const uint16_t half[3] = { now.used_idx, old.used_idx,
				   (uint16_t)(now.used_wrap | old.used_wrap << 8) };
	uint64_t word = 0;

	static_assert(offsetof(struct vqi_packed, used_idx) == 16 &&
			      offsetof(struct vqi_packed, old_used_wrap_counter) == 21,
		      "one word");
	memcpy(&word, half, sizeof(half));
	cc_write_once(*(vq_word *)((char *)r + 16), word);
}

static bool vqi_packed_is_fresh(const struct vqi_packed *r)
{
	if (r->used_idx || r->old_used_idx || !r->used_wrap_counter || !r->old_used_wrap_counter)
		return false;
	for (unsigned i = 0; i < r->desc_num; i++)
		if (r->desc[i].num)
			return false;
	return true;
}

/* The chain that starts at @head: its entries must be nobody else's. Number of entries, 0: broken.
 */
static unsigned vqi_packed_chain(const struct vqi_packed *r, unsigned head, bool *taken)
{
	unsigned at = head, num = r->desc[head].num;

	if (num == 0 || num > r->desc_num)
		return 0;
	for (unsigned i = 0; i < num; i++) {
		if (at >= r->desc_num || taken[at])
			return 0;
		taken[at] = true;
		if (i + 1 < num)
			at = r->desc[at].next;
	}
	return at == r->desc[head].last ? num : 0;
}

/* Was the batch that the region speaks of published? Then finish it, else take it back. */
static void vqi_packed_settle(const struct vqi_region *reg, const volatile struct virtq_pdesc *ring)
{
	struct vqi_packed *c = reg->copy, *r = reg->shared;
	struct vqi_packed_pos now = { c->used_idx, c->used_wrap_counter };
	struct vqi_packed_pos old = { c->old_used_idx, c->old_used_wrap_counter };

	if (now.used_idx != old.used_idx || now.used_wrap != old.used_wrap) {
		uint16_t flags = le16_get(ring[old.used_idx].flags);
		uint16_t avail = old.used_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;

		if ((flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) != avail) {
			c->old_free_head = c->free_head;
			vqi_packed_set_free(r, c->desc_num, c->free_head, c->free_head);
			old = now;
		}
	}
	barrier_release(); /* commit the list before the position: in between we would come here
			      again */
	c->free_head = c->old_free_head;
	vqi_packed_set_free(r, c->desc_num, c->free_head, c->free_head);
	c->used_idx = old.used_idx;
	c->used_wrap_counter = old.used_wrap;
	vqi_packed_set_used(r, old, old);
}

int vqi_packed_recover(const struct vqi_region *reg, const volatile struct virtq_pdesc *ring,
		       uint16_t *next, uint16_t *last, uint16_t *resume,
		       struct vqi_packed_found *ret_found)
{
	bool taken[VQ_SIZE_MAX] = { false };
	struct vqi_ref ref[VQ_SIZE_MAX];
	struct vqi_packed *c = reg->copy, *r = reg->shared;
	struct vqi_packed_found f = { .fresh = vqi_packed_is_fresh(c) };
	unsigned nfree = 0, size = c->desc_num;

	vqi_packed_settle(reg, ring);
	for (unsigned at = c->free_head; at < size; at = c->desc[at].next) {
		if (taken[at])
			return -EINVAL;
		taken[at] = true;
		c->desc[at].inflight = 0;
		cc_write_once(r->desc[at].inflight, 0);
		nfree++;
	}
	for (unsigned i = 0; i < size; i++) {
		next[i] = c->desc[i].next;
		last[i] = c->desc[i].last;
	}
	for (unsigned i = 0; i < size; i++) {
		unsigned num;

		if (!c->desc[i].inflight)
			continue;
		num = vqi_packed_chain(c, i, taken);
		if (num == 0)
			return -EINVAL;
		f.ndesc = (uint16_t)(f.ndesc + num);
		f.counter = CC_MAX(f.counter, c->desc[i].counter);
		ref[f.nchain++] = (struct vqi_ref){ c->desc[i].counter, (uint16_t)i };
	}
	if (nfree + f.ndesc != size)
		return -EINVAL; /* entries that are neither free nor in flight */
	vqi_sort(ref, f.nchain, resume);
	f.counter++;
	f.free_head = c->free_head;
	f.used_idx = c->used_idx;
	f.used_wrap = c->used_wrap_counter;
	*ret_found = f;
	return 0;
}
