/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the device finds the data: buffers as Physical Region Pages (4.1.1).
 *
 *   data:  [  page 0 ][ page 1 ][ page 2 ] …       PRP1 = where it begins, at any dword
 *   PRP2 = nothing | page 1 | list of pages 1, 2, … (all but the first begin at offset 0)
 */
#ifndef DRIVERS_NVME_NVME_PRP_H
#define DRIVERS_NVME_NVME_PRP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "core/dma.h"
#include "drivers/nvme/nvme_spec.h"

#define NVME_PRP_ALIGN 4u /* of the first byte */

/* The range of the DMA registry that was looked up last. One per queue: its reactor's. */
struct nvme_xlat {
	const struct dma_domain *domain;
	uintptr_t va;
	uint64_t len;	  /* 0: nothing is remembered */
	uint64_t to_iova; /* iova - va */
	uint32_t gen;
};

static inline void nvme_xlat_init(struct nvme_xlat *x, const struct dma_domain *domain)
{
	*x = (struct nvme_xlat){ .domain = domain };
}

/*
 * Forgets the range when the registry has changed since. Before the buffers of an I/O are looked
 * up, or of several that are there already: the memory of an I/O stays where it is until its end,
 * so a range that held when it was submitted holds for it.
 */
static cc_always_inline void nvme_xlat_check(struct nvme_xlat *x)
{
	if (cc_unlikely(x->gen != dma_generation(x->domain)))
		x->len = 0;
}

/* Is [va, va + len) within the remembered range? */
static cc_always_inline bool nvme_xlat_knows(const struct nvme_xlat *x, uintptr_t va, uint64_t len)
{
	uint64_t into = va - x->va;

	return into < x->len && len <= x->len - into;
}

/* Address for the device, and how many bytes from there are contiguous; remembers the range.
 * DMA_IOVA_NONE: not in the registry. Behind nvme_xlat_check(). */
uint64_t nvme_xlat_iova(struct nvme_xlat *x, const void *va, uint64_t *ret_len);

struct nvme_prps {
	uint64_t prp1, prp2;
};

/* Room for a list. It does not cross a page of the device. */
struct nvme_list {
	void *va;
	uint64_t iova;
	uint32_t bytes;
};

/**
 * nvme_prp_build - PRPs of all @iov. 0, -EFAULT (not in the registry), -EINVAL (an inner border is
 * not on a page border), -E2BIG (the list is too short).
 */
int nvme_prp_build(struct nvme_xlat *x, const struct iovec *iov, unsigned iovcnt,
		   const struct nvme_list *list, struct nvme_prps *ret);

/* The usual buffer: one piece on at most two pages, in the remembered range. False: build it. */
static cc_always_inline bool nvme_prp_simple(const struct nvme_xlat *x, uintptr_t va, uint64_t len,
					     struct nvme_prps *ret)
{
	uint64_t iova, page_end;

	if (cc_unlikely(!nvme_xlat_knows(x, va, len)))
		return false;
	iova = va + x->to_iova;
	page_end = (iova | (NVME_PAGE_BYTES_MIN - 1)) + 1;
	ret->prp1 = iova;
	ret->prp2 = 0;
	if (cc_likely(iova + len <= page_end))
		return true;
	ret->prp2 = page_end;
	return iova + len <= page_end + NVME_PAGE_BYTES_MIN;
}

#endif
