/* SPDX-License-Identifier: BSD-3-Clause */
/* What malloc gives begins behind the end of another's, often on the same line. */
#include "core/base/linemem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"

void *linemem_calloc(size_t n, size_t bytes)
{
	size_t len;
	void *mem;

	if (__builtin_mul_overflow(n, bytes, &len) || len > SIZE_MAX - CACHELINE_BYTES)
		return NULL;
	len = CC_ALIGN_UP(CC_MAX(len, (size_t)1), CACHELINE_BYTES);
	mem = aligned_alloc(CACHELINE_BYTES, len);
	return mem ? memset(mem, 0, len) : NULL;
}
