/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's IOMMU container of type1v2: opened for a group, memory mapped and unmapped. This
 * border is where an implementation on iommufd would stand beside it.
 */
#ifndef DRIVERS_VFIO_VFIO_TYPE1_PRIV_H
#define DRIVERS_VFIO_VFIO_TYPE1_PRIV_H

#include "core/base/errbuf.h"
#include "core/dma.h"
#include "drivers/vfio/vfio_info.h"

/* A container with @group of the function @bdf in it, and what its IOMMU can do. 0 or -errno with
 * eb. */
int vfio_type1_open(const char *bdf, int group, int *ret_container, struct vfio_iommu *ret_iommu,
		    struct errbuf *eb);

/* Whole pages. 0 or -errno with eb; -ENOMEM tells of RLIMIT_MEMLOCK with numbers. */
int vfio_type1_map(int container, const struct dma_region *region, uint64_t iova,
		   struct errbuf *eb);
int vfio_type1_unmap(int container, uint64_t iova, uint64_t len);

/* The soft limit of locked memory goes up to the hard one, which is all that an unprivileged
 * process may do. */
void vfio_type1_memlock_raise(void);

#endif
