/* SPDX-License-Identifier: BSD-3-Clause */
/* What both transports have in common, and the border between vfio_dev.c and them. */
#ifndef DRIVERS_VFIO_VFIO_PRIV_H
#define DRIVERS_VFIO_VFIO_PRIV_H

#include "core/base/errbuf.h"
#include "core/dma.h"
#include "core/sigbus.h"
#include "drivers/vfio/vfio_dev.h"
#include "drivers/vfio/vfio_info.h"
#include "drivers/vfio/vfio_iova.h"

#define VFIO_REGIONS	  (VFIO_DEV_CONFIG + 1)
#define VFIO_MAPPINGS_MAX 32 /* registers, doorbells, a memory buffer of a controller */

struct vfio_dev;

/* The transport. Callers have checked region, bounds and vectors; where there is an @eb, it is
 * filled in on failure. */
struct vfio_dev_ops {
	/* Reads into @buf, or writes from it. */
	int (*access)(struct vfio_dev *dev, unsigned region, uint64_t off, void *buf, size_t len,
		      bool write);
	/* Any thread. */
	void (*post)(struct vfio_dev *dev, unsigned region, uint64_t off, uint32_t value);
	int (*set_vectors)(struct vfio_dev *dev, const int *fds, unsigned n);
	int (*reset)(struct vfio_dev *dev);
	/* @region is whole pages of the domain. */
	int (*map)(struct vfio_dev *dev, const struct dma_region *region, uint64_t iova,
		   struct errbuf *eb);
	int (*unmap)(struct vfio_dev *dev, uint64_t iova, uint64_t len);
	/* Closes what the transport opened, however far it came, and frees the memory of @dev. */
	void (*close)(struct vfio_dev *dev);
};

struct vfio_mapping {
	void *va;
	size_t len;
	bool guarded; /* registered with core/sigbus */
};

/* Embedded by the transport, which owns it. */
struct vfio_dev {
	const struct vfio_dev_ops *ops;
	char name[VFIO_DEV_NAME_MAX];
	struct vfio_region regions[VFIO_REGIONS];
	bool can_reset;
	unsigned nvectors;
	int removal_fd;
	struct sigbus_owner *shrunk; /* regions are files of a peer, who may shrink them; NULL: they
					are the kernel's */
	struct dma_domain domain;
	bool attached;
	struct vfio_iova iova; /* guarded by the DMA registry: only used in map and unmap */
	struct errbuf why;     /* map failed while the domain was being attached */
	unsigned nmappings;
	struct vfio_mapping mappings[VFIO_MAPPINGS_MAX];
};

/* The transport has set up nothing yet; from here on vfio_dev_close() cleans up. */
void vfio_dev_init(struct vfio_dev *dev, const struct vfio_dev_ops *ops, const char *name);

/* The last step of open: the domain is attached, all memory known so far is mapped. */
int vfio_dev_attach(struct vfio_dev *dev, const struct vfio_iommu *iommu, struct errbuf *eb);

#endif
