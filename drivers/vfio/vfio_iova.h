/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses for devices: which IOVA a piece of memory gets. Pure bookkeeping; nobody is asked.
 *
 *   windows of the IOMMU   |0   fedfffff| MSI |fef00000            2^39-1|
 *   handed out                  ████      ───        ██ ████████
 *
 * The lowest free place is taken that lies in one window, at a multiple of the largest page size
 * the length allows, so that the IOMMU can use big pages. Never address 0: too many devices take it
 * for "none".
 */
#ifndef DRIVERS_VFIO_VFIO_IOVA_H
#define DRIVERS_VFIO_VFIO_IOVA_H

#include <stdint.h>

#define VFIO_IOVA_WINDOWS_MAX 32

/* Where a device's domain has no word about its windows: what every IOMMU we know can do, around
 * the MSI window of x86. */
#define VFIO_IOVA_LAST_DEFAULT 0x7fffffffffull /* 39 bits */
#define VFIO_IOVA_MSI_FIRST    0xfee00000ull
#define VFIO_IOVA_MSI_LAST     0xfeefffffull

struct vfio_span {
	uint64_t first;
	uint64_t last; /* inclusive: 2^64 - 1 can be said */
};

struct vfio_iova {
	uint64_t page_bytes; /* the smallest the IOMMU maps */
	unsigned nwindows;
	struct vfio_span window[VFIO_IOVA_WINDOWS_MAX]; /* sorted, disjoint */
	unsigned nused, used_max;
	struct vfio_span *used; /* sorted, disjoint */
};

/**
 * vfio_iova_init - @windows in any order, they may touch and overlap; @used_max mappings at most at
 * a time. 0, -EINVAL (page size no power of two of 4 KiB or more, no usable window), -E2BIG (more
 * than VFIO_IOVA_WINDOWS_MAX windows), -ENOMEM.
 */
int vfio_iova_init(struct vfio_iova *a, const struct vfio_span *windows, unsigned n,
		   uint64_t page_bytes, unsigned used_max);
void vfio_iova_fini(struct vfio_iova *a);

/* Windows of an IOMMU that tells none. Returns how many (2). */
unsigned vfio_iova_windows_default(struct vfio_span windows[2]);

/* @len bytes (a multiple of the page size). 0, -EINVAL, -ENOSPC (the mapping limit), -ENOMEM (no
 * room that long). */
int vfio_iova_alloc(struct vfio_iova *a, uint64_t len, uint64_t *ret_iova);

/* Exactly what was handed out. 0 or -ENOENT. */
int vfio_iova_free(struct vfio_iova *a, uint64_t iova, uint64_t len);

#endif
