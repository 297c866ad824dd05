/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool of equal objects: one allocation, a stack of free slots. */
#include "core/base/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/linemem.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#endif

#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size)	((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

int slab_init(struct slab *s, uint32_t count, size_t bytes)
{
	size_t stride = CC_ALIGN_UP(CC_MAX(bytes, (size_t)1), CACHELINE_BYTES);

	memset(s, 0, sizeof(*s));
	if (count == 0)
		return 0;
	s->mem = aligned_alloc(CACHELINE_BYTES, stride * count);
	s->free_idx = linemem_calloc(count, sizeof(*s->free_idx));
	if (!s->mem || !s->free_idx) {
		slab_fini(s);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++)
		s->free_idx[i] = count - 1 - i;
	s->count = count;
	s->nfree = count;
	s->stride = stride;
	ASAN_POISON_MEMORY_REGION(s->mem, stride * count);
	return 0;
}

void slab_fini(struct slab *s)
{
	assert(s->nfree == s->count);
	if (s->mem)
		ASAN_UNPOISON_MEMORY_REGION(s->mem, s->stride * s->count);
	free(s->mem);
	free(s->free_idx);
	memset(s, 0, sizeof(*s));
}

void *slab_get(struct slab *s)
{
	char *obj;

	if (s->nfree == 0)
		return NULL;
	obj = s->mem + (size_t)s->free_idx[--s->nfree] * s->stride;
	ASAN_UNPOISON_MEMORY_REGION(obj, s->stride);
	return obj;
}

void slab_put(struct slab *s, void *obj)
{
	size_t off = (size_t)((char *)obj - s->mem);

	assert(s->nfree < s->count);
	assert(off % s->stride == 0 && off / s->stride < s->count);
	s->free_idx[s->nfree++] = (uint32_t)(off / s->stride);
	ASAN_POISON_MEMORY_REGION(obj, s->stride);
}
