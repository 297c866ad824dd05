/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function held through VFIO, by one of two transports behind one interface:
 *
 *   vfio_kernel_open(BDF)   /dev/vfio: container, group, device (type1v2)
 *   vfio_user_open(SOCKET)  the same device interface over a UNIX socket, served by another process
 *
 * Everything blocks shortly and is for the control thread and set-up threads, except vfio_dev_post() and what
 * goes through a mapping.
 */
#ifndef DRIVERS_VFIO_VFIO_DEV_H
#define DRIVERS_VFIO_VFIO_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/dma.h"

#define VFIO_DEV_NAME_MAX    128 /* BDF or socket path, as shown in messages */
#define VFIO_DEV_VECTORS_MAX 256 /* MSI-X vectors we ever use */

/* Regions: numbers of <linux/vfio.h>, the same over vfio-user. */
enum vfio_dev_region {
	VFIO_DEV_BAR0 = 0,
	VFIO_DEV_BAR5 = 5,
	VFIO_DEV_CONFIG = 7, /* PCI configuration space */
};

struct vfio_dev;

/**
 * vfio_kernel_open - take the function @bdf ("0000:01:00.0"), which must be bound to vfio-pci and alone in its
 * IOMMU group (or among functions bound to vfio-pci). 0 or -errno with the reason and the mend in @eb:
 * -ENODEV (no such function), -ENOTSUP (not bound to vfio-pci; no IOMMU), -EBUSY (group held by somebody else),
 * -EPERM, -ENOMEM (RLIMIT_MEMLOCK).
 */
int vfio_kernel_open(const char *bdf, struct vfio_dev **ret_dev, struct errbuf *eb);

/* Connect to the vfio-user server at @path. 0 or -errno with eb; a peer that is not a vfio-user server: -EPROTO. */
int vfio_user_open(const char *path, struct vfio_dev **ret_dev, struct errbuf *eb);

/* Interrupts off, bus mastering off, domain detached (everything is unmapped), fds closed. NULL is fine. */
void vfio_dev_close(struct vfio_dev *dev);

const char *vfio_dev_name(const struct vfio_dev *dev);

/* The IOMMU domain of the device, attached to the DMA registry from open to close. */
struct dma_domain *vfio_dev_domain(struct vfio_dev *dev);

/* Size of a region in bytes; 0: there is none. */
uint64_t vfio_dev_region_bytes(const struct vfio_dev *dev, unsigned region);

/**
 * vfio_dev_region_map - [off, off + len) of a BAR in our address space. 0, -ENOTSUP (this part cannot be mapped:
 * use read, write and post), -EINVAL, -errno of mmap. The mapping is the device's, until vfio_dev_close().
 * Pages start at multiples of the page size.
 */
int vfio_dev_region_map(struct vfio_dev *dev, unsigned region, uint64_t off, uint64_t len,
			void **ret_va);

/* Read or write @len bytes (1, 2, 4, 8, or for config space any) at @off. 0, -EINVAL, -EIO, -ENODEV (the device has gone). */
int vfio_dev_region_read(struct vfio_dev *dev, unsigned region, uint64_t off, void *ret_buf, size_t len);
int vfio_dev_region_write(struct vfio_dev *dev, unsigned region, uint64_t off, const void *buf, size_t len);

/* A 4-byte write nobody waits for: doorbells of a BAR that cannot be mapped. Any thread, never blocks for long. */
void vfio_dev_post(struct vfio_dev *dev, unsigned region, uint64_t off, uint32_t value);

/* PCI command register: memory space and bus mastering. */
int vfio_dev_bus_master(struct vfio_dev *dev, bool on);

/* Function level reset. 0, -ENOTSUP, -errno. Interrupts must be set anew. */
int vfio_dev_reset(struct vfio_dev *dev);

/* MSI-X vectors the device has (at most VFIO_DEV_VECTORS_MAX). */
unsigned vfio_dev_vectors(const struct vfio_dev *dev);

/**
 * vfio_dev_set_vectors - vector i signals eventfd fds[i], for i < n; n = 0: interrupts off. The fds stay the
 * caller's. Replaces what was set before. 0 or -errno.
 */
int vfio_dev_set_vectors(struct vfio_dev *dev, const int *fds, unsigned n);

/**
 * vfio_dev_removal_fd - becomes readable (and stays so) when the device is asked back or has gone: VFIO's request
 * interrupt, or the end of the vfio-user connection. To be watched, not read. -1: the device cannot tell.
 */
int vfio_dev_removal_fd(const struct vfio_dev *dev);

#endif
