/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's memory as it was mapped for the device: IOVA to our address, every access checked.
 */
#ifndef TOOLS_SSD_SSD_DMA_H
#define TOOLS_SSD_SSD_DMA_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sigbus.h"

#define SSD_DMA_ALIGN	    4096u /* of what comes with a file: IOVA, length, offset */
#define SSD_DMA_REGIONS_MAX 65535 /* as the kernel's dma_entry_limit */

struct ssd_dma_region {
	uint64_t iova, len;
	uint8_t *va; /* of iova; NULL: came without a file, cannot be reached */
	void *map;   /* what mmap gave, a page or so before va */
	uint64_t maplen;
	bool readable, writable;
};

struct ssd_dma {
	struct ssd_dma_region *region; /* sorted by iova, disjoint */
	unsigned n, room;
	unsigned last;	     /* where the last look-up ended */
	uint64_t generation; /* changes with the table */
	struct sigbus_owner lost;
};

/* 0 or -errno. */
int ssd_dma_init(struct ssd_dma *d);
void ssd_dma_fini(struct ssd_dma *d);

/**
 * ssd_dma_map - @want->iova, len, readable and writable; @fd at @offset, or -1. @fd stays the
 * caller's. 0, -EINVAL (empty, beyond the file or 64 bits), -EEXIST (overlaps another), -ENOSPC
 * (too many), -errno of mmap.
 */
int ssd_dma_map(struct ssd_dma *d, const struct ssd_dma_region *want, int fd, uint64_t offset);

/* Exactly one region, or with @all every one. 0 or -ENOENT. */
int ssd_dma_unmap(struct ssd_dma *d, uint64_t iova, uint64_t len, bool all);

/* Our address of @len bytes at @iova within one region, which the device may read or (@write)
 * write; else NULL. */
uint8_t *ssd_dma_at(struct ssd_dma *d, uint64_t iova, uint64_t len, bool write);

#endif
