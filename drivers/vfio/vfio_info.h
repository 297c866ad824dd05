/* SPDX-License-Identifier: BSD-3-Clause */
/* What a VFIO device or IOMMU tells about itself: its info structs with their capability chains,
 * parsed once. Pure. */
#ifndef DRIVERS_VFIO_VFIO_INFO_H
#define DRIVERS_VFIO_VFIO_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/vfio/vfio_iova.h"

#define VFIO_AREAS_MAX 16 /* mappable parts of a region; a device has one or two */

struct vfio_area {
	uint64_t off, len;
};

struct vfio_region {
	uint64_t bytes; /* 0: there is none */
	uint64_t fd_off;
	int fd; /* what to map or, the kernel's, to read and write; -1: nothing */
	unsigned nareas;
	struct vfio_area area[VFIO_AREAS_MAX]; /* what can be mapped */
};

/**
 * vfio_region_parse - struct vfio_region_info with its capabilities, of which @len bytes are there.
 * fd is -1 afterwards. What can be mapped is empty unless it is told completely. 0 or -EPROTO (too
 * short, a size or offset beyond 2^63).
 */
int vfio_region_parse(const void *info, size_t len, struct vfio_region *ret_region);

/* Whether [off, off + len) can be mapped, whole pages of @page bytes included. */
bool vfio_region_maps(const struct vfio_region *r, uint64_t off, uint64_t len, uint64_t page);

struct vfio_iommu {
	uint64_t page_bytes;
	unsigned maps_max;
	unsigned nwindows;
	struct vfio_span window[VFIO_IOVA_WINDOWS_MAX];
};

/* struct vfio_iommu_type1_info; where it tells no windows, the default ones. 0 or -EPROTO. */
int vfio_iommu_parse(const void *info, size_t len, struct vfio_iommu *ret_iommu);

#endif
