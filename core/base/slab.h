/* SPDX-License-Identifier: BSD-3-Clause */
/* A fixed number of equal objects, taken and returned in O(1) by one reactor. Freed slots are poisoned under ASan. */
#ifndef CORE_BASE_SLAB_H
#define CORE_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
	char *mem;	    /* count * stride bytes, cache-line aligned */
	uint32_t *free_idx; /* stack of free slots; [0, nfree) */
	uint32_t nfree, count;
	size_t stride;
};

/* @count objects of @bytes each, rounded up to cache lines. 0 or -ENOMEM. */
int slab_init(struct slab *s, uint32_t count, size_t bytes);
void slab_fini(struct slab *s);

/* An object (content undefined), or NULL when all are taken. */
void *slab_get(struct slab *s);
void slab_put(struct slab *s, void *obj);

#endif
