/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA registry: which memory of this process devices may reach, and the port to an IOMMU
 * domain.
 *
 *   dma_region_add(region) ──► every attached domain: ops->map ──► its table {va, len, iova}
 *   reader on any reactor: dma_xlate(domain, va) in the current table, no lock; tables are replaced
 * whole.
 *
 * A domain has two tables and a generation. The writer fills the table that is not current and then
 * moves the generation on; a reader that finds the generation moved while it searched, searches
 * again. Nothing is freed under a reader, nobody waits for readers.
 */
#ifndef CORE_DMA_H
#define CORE_DMA_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"

struct dma_domain;

#define DMA_REGIONS_MAX 4096
#define DMA_IOVA_NONE	UINT64_MAX

/* Memory of this process. The file is for domains that live in another process (vfio-user) and map
 * it there. */
struct dma_region {
	void *va;
	size_t len;
	int fd;		 /* what is mapped at va, or -1: no file that could be handed on */
	uint64_t fd_off; /* of va in it */
};

struct dma_domain_ops {
	const char *name;
	/* Make @region reachable; the domain chooses the iova. May block (set-up threads only). 0
	 * or -errno; -ENOTSUP: this domain needs a file and there is none. */
	int (*map)(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova);
	/* The inverse; called after the last I/O on it is done. */
	int (*unmap)(struct dma_domain *d, void *va, size_t len, uint64_t iova);
};

struct dma_range {
	uintptr_t va;
	size_t len;
	uint64_t iova;
};

struct dma_table {
	unsigned n;
	struct dma_range range[]; /* sorted by va, disjoint */
};

/* Embedded by the implementation. Owned by whoever attached it. */
struct dma_domain {
	const struct dma_domain_ops *ops;
	struct dma_table *table[2]; /* [gen & 1] is current; allocated at attach for DMA_REGIONS_MAX */
	uint32_t gen;		    /* atomic */
	struct list link;
};

/* Maps all regions known so far into @d. 0, -ENOMEM or the first -errno of map (everything undone). Control thread. */
int dma_domain_attach(struct dma_domain *d, const struct dma_domain_ops *ops);
/* Unmaps all regions from @d. Nobody translates in it any more. */
void dma_domain_detach(struct dma_domain *d);

/* 0, -EINVAL (empty, wraps), -EEXIST (overlaps), -ENOSPC, -EMFILE, or what map said (nothing
 * changed then). The registry duplicates the fd: domains may come later. Control or set-up thread,
 * serialised inside. */
int dma_region_add(const struct dma_region *region);
/* After the last I/O that uses it is done; exactly a region that was added. 0 or -ENOENT. */
int dma_region_del(void *va, size_t len);
unsigned dma_region_count(void);

/**
 * dma_xlate - iova of @va and how many bytes from there are contiguous. Any reactor, no lock.
 * DMA_IOVA_NONE when the address is in no region.
 */
uint64_t dma_xlate(const struct dma_domain *d, const void *va, size_t *ret_len);

/**
 * dma_find - the whole range that @va lies in, for readers that remember it: it holds while
 * dma_generation() is *ret_gen. Any reactor, no lock. len is 0 when the address is in no region.
 */
struct dma_range dma_find(const struct dma_domain *d, const void *va, uint32_t *ret_gen);

static inline uint32_t dma_generation(const struct dma_domain *d)
{
	return __atomic_load_n(&d->gen, __ATOMIC_ACQUIRE);
}

#endif
