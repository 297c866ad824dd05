/* SPDX-License-Identifier: BSD-3-Clause */
/* The careful walk along a chain: what the layouts' straight lines do not cover, and the reason for
 * every refusal. */
#include <string.h>

#include "vhost/virtq/vq_priv.h"

void vq_walk_begin(struct vq_walk *w, struct vq *vq, struct vq_elem *e)
{
	*w = (struct vq_walk){ .vq = vq, .e = e, .left = VQ_CHAIN_MAX };
}

static bool vq_walk_refuse(struct vq_walk *w, const char *what, uint64_t value)
{
	vq_break(w->vq, "chain %u: %s (%#llx)", w->e->id, what, (unsigned long long)value);
	return false;
}

bool vq_walk_buf(struct vq_walk *w, uint64_t addr, uint32_t len, bool writable)
{
	if (w->left-- == 0)
		return vq_walk_refuse(w, "too many descriptors", VQ_CHAIN_MAX);
	if (writable && !w->writing) {
		w->writing = true;
		w->nout = w->n;
	} else if (!writable && w->writing) {
		return vq_walk_refuse(w, "readable buffer behind a writable one", addr);
	}
	*(writable ? &w->in_bytes : &w->out_bytes) += len;
	for (uint64_t rest = len; rest;) {
		uint64_t part = rest;
		const struct gmem_region *r = w->vq->cache;
		char *va = gmem_xlate(w->vq->gmem, &r, addr, &part);

		if (!va)
			return vq_walk_refuse(w, "buffer outside guest memory", addr);
		vq_cache_set(w->vq, r);
		if (w->n == VQ_IOVS_MAX)
			return vq_walk_refuse(w, "too many pieces", VQ_IOVS_MAX);
		w->e->iov[w->n].iov_base = va;
		w->e->iov[w->n].iov_len = part;
		w->n++;
		addr += part;
		rest -= part;
	}
	return true;
}

/* Entry @i of a table that may lie in several regions: copied, once. */
static bool vq_table_load(struct vq *vq, uint64_t table, unsigned i, uint64_t ret_word[2])
{
	uint64_t addr = table + 16ull * i, part;
	char copy[16];

	for (unsigned have = 0; have < sizeof(copy); have += (unsigned)part) {
		const struct gmem_region *r = vq->cache;
		const char *va;

		part = sizeof(copy) - have;
		va = gmem_xlate(vq->gmem, &r, addr + have, &part);
		if (!va)
			return false;
		vq_cache_set(vq, r);
		memcpy(copy + have, va, part);
	}
	/* the compiler must not go back to guest memory for it */
	__asm__ __volatile__("" : : "r"(copy) : "memory");
	ret_word[0] = vq_word_load(copy, 0);
	ret_word[1] = vq_word_load(copy, 1);
	return true;
}

/* 2.7.5.3 and 2.8.7: split tables are linked by next, packed ones are read in sequence, their other
 * flags ignored. */
bool vq_walk_table(struct vq_walk *w, uint64_t addr, uint32_t len)
{
	bool packed = w->vq->is_packed;
	unsigned n = len / 16;

	if (!w->vq->indirect_ok)
		return vq_walk_refuse(w, "indirect descriptor, feature not negotiated", addr);
	if (len == 0 || len % 16)
		return vq_walk_refuse(w, "indirect table of odd length", len);
	if (packed && n > VQ_CHAIN_MAX)
		return vq_walk_refuse(w, "indirect table too long", len);
	for (unsigned i = 0;;) {
		uint64_t word[2];
		uint16_t flags;

		if (!vq_table_load(w->vq, addr, i, word))
			return vq_walk_refuse(w, "indirect table outside guest memory", addr);
		flags = packed ? VQP_HI_FLAGS(word[1]) & VIRTQ_DESC_F_WRITE : VQS_HI_FLAGS(word[1]);
		if (flags & VIRTQ_DESC_F_INDIRECT)
			return vq_walk_refuse(w, "nested indirect table", word[0]);
		if (!vq_walk_buf(w, word[0], VQ_HI_LEN(word[1]), flags & VIRTQ_DESC_F_WRITE))
			return false;
		if (packed ? i + 1 == n : !(flags & VIRTQ_DESC_F_NEXT))
			return true;
		i = packed ? i + 1 : VQS_HI_NEXT(word[1]);
		if (i >= n)
			return vq_walk_refuse(w, "link out of the indirect table", i);
	}
}

bool vq_walk_end(struct vq_walk *w)
{
	if ((w->out_bytes | w->in_bytes) >> 32)
		return vq_walk_refuse(w, "4 GiB or more", w->out_bytes | w->in_bytes);
	w->e->nout = (uint16_t)(w->writing ? w->nout : w->n);
	w->e->nin = (uint16_t)(w->n - w->e->nout);
	w->e->out_bytes = (uint32_t)w->out_bytes;
	w->e->in_bytes = (uint32_t)w->in_bytes;
	return true;
}
