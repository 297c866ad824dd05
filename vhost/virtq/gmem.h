/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: a sorted table of regions, replaced whole on change, looked up without a lock.
 *
 *   front-end: gpa / uva ──┐                    control thread builds a new table (gmem_add, gmem_del),
 *   fd + offset ── mmap ── gmem_map (refcount)  each queue is told by message, the old one goes
 *                          shared by tables     when its last user has put it.
 */
#ifndef VHOST_VIRTQ_GMEM_H
#define VHOST_VIRTQ_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/cc.h"
#include "core/base/errbuf.h"

#define GMEM_REGIONS_MAX 512 /* > 509, what QEMU asks for with CONFIGURE_MEM_SLOTS */

struct sigbus_owner;
struct gmem_map; /* one mmap of a peer's fd; refcounted by the tables that hold it; control thread */

struct gmem_region {
	uint64_t gpa; /* guest physical */
	uint64_t uva; /* front-end virtual: ring addresses are given in it */
	uint64_t len; /* bytes */
	char *va;     /* ours */
	struct gmem_map *map;
};

/* A table: immutable once published. */
struct gmem {
	unsigned n;
	unsigned refs; /* control thread */
	struct gmem_region r[]; /* sorted by gpa, disjoint */
};

/* One region as the front-end describes it; fd stays the caller's. */
struct gmem_desc {
	uint64_t gpa, uva, len, mmap_off;
	int fd;
	struct sigbus_owner *owner; /* told when the file shrinks later; NULL: nobody */
	bool unsized;  /* a device's memory: the file tells no size, and pages come and go, so no DMA */
	bool readable; /* no more than that: what we write there, nobody else sees; no DMA */
};

/* An empty table with one reference. NULL: out of memory. */
struct gmem *gmem_create(void);

/**
 * gmem_add - a new table = @old + one region; @old is unchanged. Control thread; mmap may block shortly.
 * Checks: len > 0, no wrap of gpa+len, uva+len, mmap_off+len; within the size of the file (-EINVAL); no overlap
 * in gpa or uva (-EEXIST); GMEM_REGIONS_MAX (-ENOSPC). Registers the memory with the DMA registry.
 */
int gmem_add(const struct gmem *old, const struct gmem_desc *d, struct gmem **ret_new,
	     struct errbuf *eb);

/* A new table without the region of exactly this (gpa, uva, len): 0, -ENOENT, -ENOMEM. */
int gmem_del(const struct gmem *old, uint64_t gpa, uint64_t uva, uint64_t len,
	     struct gmem **ret_new);

/* References are the control thread's business. put of the last one unmaps what no other table holds. NULL is fine. */
struct gmem *gmem_get(struct gmem *g);
void gmem_put(struct gmem *g);

/* Slow look-ups for set-up: contiguous [.., len) inside one region or adjacent ones that are adjacent in va too; else NULL. */
void *gmem_uva_to_va(const struct gmem *g, uint64_t uva, uint64_t len);
void *gmem_gpa_to_va(const struct gmem *g, uint64_t gpa, uint64_t len);

/* Inverse for the dirty log: gpa of @va, or UINT64_MAX. */
uint64_t gmem_va_to_gpa(const struct gmem *g, const void *va);

/* The region that holds @gpa, or NULL. Binary search. */
const struct gmem_region *gmem_find(const struct gmem *g, uint64_t gpa);

/**
 * gmem_xlate - our address of @gpa, and at *@len (in: wanted, out: contiguous from there, <= wanted).
 * @cache: last region used by this queue, any valid region of @g or NULL. Returns NULL for an unmapped address.
 * The data path's look-up: one compare in the common case.
 */
static cc_always_inline void *gmem_xlate(const struct gmem *g, const struct gmem_region **cache,
					 uint64_t gpa, uint64_t *len)
{
	const struct gmem_region *r = *cache;

	if (cc_unlikely(!r || gpa - r->gpa >= r->len)) {
		r = gmem_find(g, gpa);
		if (!r)
			return NULL;
		*cache = r;
	}
	if (cc_unlikely(*len > r->len - (gpa - r->gpa)))
		*len = r->len - (gpa - r->gpa);
	return r->va + (gpa - r->gpa);
}

#endif
