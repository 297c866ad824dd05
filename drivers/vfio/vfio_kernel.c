/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transport over /dev/vfio:
 *
 *   sysfs: function ─► group ─ vfio_group_open ─► group fd ─ vfio_type1_open ─► container fd:
 * MAP_DMA, UNMAP_DMA │ └ GET_DEVICE_FD ─► device fd: regions, interrupts, reset
 */
#include <assert.h>
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "drivers/vfio/vfio_dev.h"
#include "drivers/vfio/vfio_group_priv.h"
#include "drivers/vfio/vfio_priv.h"
#include "drivers/vfio/vfio_type1_priv.h"

#define REGION_INFO_BYTES 1024 /* with VFIO_AREAS_MAX areas and what else there may be */

struct vfio_kernel {
	struct vfio_dev dev;
	int container, group, device;
};

static struct vfio_kernel *vfio_kernel_of(struct vfio_dev *dev)
{
	return container_of(dev, struct vfio_kernel, dev);
}

static int kernel_access(struct vfio_dev *dev, unsigned region, uint64_t off, void *buf, size_t len,
			 bool write)
{
	const struct vfio_region *r = &dev->regions[region];
	off_t at = (off_t)(r->fd_off + off);
	ssize_t n = write ? pwrite(r->fd, buf, len, at) : pread(r->fd, buf, len, at);

	if (n == (ssize_t)len)
		return 0;
	return n < 0 && (errno == ENODEV || errno == EINVAL) ? -errno : -EIO;
}

static void kernel_post(struct vfio_dev *dev, unsigned region, uint64_t off, uint32_t value)
{
	/* Nobody waits, nobody is told: a device that has gone shows in the removal fd. */
	(void)kernel_access(dev, region, off, &value, sizeof(value), true);
}

static int irqs_set(int device, unsigned index, const int *fds, unsigned n)
{
	/* struct vfio_irq_set ends in an array of any length */
	uint32_t words[sizeof(struct vfio_irq_set) / sizeof(uint32_t) + VFIO_DEV_VECTORS_MAX];
	struct vfio_irq_set *set = (struct vfio_irq_set *)words;

	assert(n <= VFIO_DEV_VECTORS_MAX);
	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(*set) + n * sizeof(int)),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			 (n ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = index,
		.count = n,
	};
	if (n)
		memcpy(set->data, fds, n * sizeof(int));
	return ioctl(device, VFIO_DEVICE_SET_IRQS, set) < 0 ? -errno : 0;
}

static int kernel_set_vectors(struct vfio_dev *dev, const int *fds, unsigned n)
{
	int device = vfio_kernel_of(dev)->device;

	/* The vectors that are enabled are those that were set first: more of them need a new
	 * start. Nothing enabled is an error of no interest. */
	(void)irqs_set(device, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0);
	return n ? irqs_set(device, VFIO_PCI_MSIX_IRQ_INDEX, fds, n) : 0;
}

static int kernel_reset(struct vfio_dev *dev)
{
	return ioctl(vfio_kernel_of(dev)->device, VFIO_DEVICE_RESET) < 0 ? -errno : 0;
}

static int kernel_map(struct vfio_dev *dev, const struct dma_region *region, uint64_t iova,
		      struct errbuf *eb)
{
	return vfio_type1_map(vfio_kernel_of(dev)->container, region, iova, eb);
}

static int kernel_unmap(struct vfio_dev *dev, uint64_t iova, uint64_t len)
{
	return vfio_type1_unmap(vfio_kernel_of(dev)->container, iova, len);
}

static void kernel_close(struct vfio_dev *dev)
{
	struct vfio_kernel *k = vfio_kernel_of(dev);

	if (dev->removal_fd >= 0) {
		(void)irqs_set(k->device, VFIO_PCI_REQ_IRQ_INDEX, NULL, 0);
		close(dev->removal_fd);
	}
	/* The device first: the group is in use as long as it is open, and so is the container. */
	if (k->device >= 0)
		close(k->device);
	if (k->group >= 0)
		close(k->group);
	if (k->container >= 0)
		close(k->container);
	free(k);
}

static const struct vfio_dev_ops kernel_ops = {
	.access = kernel_access,
	.post = kernel_post,
	.set_vectors = kernel_set_vectors,
	.reset = kernel_reset,
	.map = kernel_map,
	.unmap = kernel_unmap,
	.close = kernel_close,
};

static int region_read(struct vfio_kernel *k, unsigned index)
{
	union {
		struct vfio_region_info info;
		uint8_t bytes[REGION_INFO_BYTES];
	} u = { .info = { .argsz = sizeof(u), .index = index } };
	struct vfio_region *r = &k->dev.regions[index];
	int err;

	if (ioctl(k->device, VFIO_DEVICE_GET_REGION_INFO, &u.info) < 0)
		return -errno;
	err = vfio_region_parse(&u, sizeof(u), r);
	r->fd = k->device;
	return err;
}

static unsigned irqs_count(struct vfio_kernel *k, unsigned index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(k->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	return info.count;
}

/* The kernel's wish to have the device back. Without it the function works, and unplugging waits
 * for our end. */
static void removal_watch(struct vfio_kernel *k)
{
	int fd;

	if (irqs_count(k, VFIO_PCI_REQ_IRQ_INDEX) == 0)
		return;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd >= 0 && irqs_set(k->device, VFIO_PCI_REQ_IRQ_INDEX, &fd, 1) == 0)
		k->dev.removal_fd = fd;
	else if (fd >= 0)
		close(fd);
}

static int device_open(struct vfio_kernel *k, const char *bdf, struct errbuf *eb)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int err = 0;

	k->device = ioctl(k->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (k->device < 0 || ioctl(k->device, VFIO_DEVICE_GET_INFO, &info) < 0) {
		err = -errno;
		return errbuf_set(eb, err, "%s: VFIO does not hand out the device: %s", bdf,
				  strerror(-err));
	}
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions <= VFIO_DEV_CONFIG)
		return errbuf_set(eb, -ENOTSUP, "%s: not a PCI function to VFIO", bdf);
	k->dev.can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	for (unsigned i = 0; i < VFIO_REGIONS && !err; i++)
		err = i == VFIO_PCI_ROM_REGION_INDEX ? 0 : region_read(k, i);
	if (err)
		return errbuf_set(eb, err, "%s: its regions: %s", bdf, strerror(-err));
	k->dev.nvectors =
		CC_MIN(irqs_count(k, VFIO_PCI_MSIX_IRQ_INDEX), (unsigned)VFIO_DEV_VECTORS_MAX);
	removal_watch(k);
	return 0;
}

int vfio_kernel_open(const char *bdf, struct vfio_dev **ret_dev, struct errbuf *eb)
{
	struct vfio_kernel *k = calloc(1, sizeof(*k));
	struct vfio_iommu iommu;
	int err;

	if (!k)
		return errbuf_set(eb, -ENOMEM, "%.32s: no memory", bdf);
	vfio_dev_init(&k->dev, &kernel_ops, bdf);
	k->container = k->group = k->device = -1;
	vfio_type1_memlock_raise();
	err = vfio_group_open(bdf, &k->group, eb);
	if (!err)
		err = vfio_type1_open(bdf, k->group, &k->container, &iommu, eb);
	if (!err)
		err = device_open(k, bdf, eb);
	if (!err)
		err = vfio_dev_attach(&k->dev, &iommu, eb);
	if (err) {
		vfio_dev_close(&k->dev);
		return err;
	}
	*ret_dev = &k->dev;
	return 0;
}
