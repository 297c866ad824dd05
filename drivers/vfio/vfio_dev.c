/* SPDX-License-Identifier: BSD-3-Clause */
/* What is the same over both transports: bounds, mappings, the command register, the domain and its
 * addresses. */
#include "drivers/vfio/vfio_dev.h"

#define LOG_TAG "vfio"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/log.h"
#include "drivers/vfio/vfio_priv.h"

void vfio_dev_init(struct vfio_dev *dev, const struct vfio_dev_ops *ops, const char *name)
{
	*dev = (struct vfio_dev){ .ops = ops, .removal_fd = -1 };
	snprintf(dev->name, sizeof(dev->name), "%s", name);
	for (unsigned i = 0; i < VFIO_REGIONS; i++)
		dev->regions[i].fd = -1;
}

void vfio_dev_close(struct vfio_dev *dev)
{
	if (!dev)
		return;
	/* As far as it came; a device that has gone fails in all of them, which is as good. */
	if (dev->nvectors)
		(void)dev->ops->set_vectors(dev, NULL, 0);
	if (dev->attached) {
		(void)vfio_dev_bus_master(dev, false);
		dma_domain_detach(&dev->domain);
	}
	for (unsigned i = 0; i < dev->nmappings; i++) {
		if (dev->mappings[i].guarded)
			sigbus_range_del(dev->mappings[i].va);
		munmap(dev->mappings[i].va, dev->mappings[i].len);
	}
	vfio_iova_fini(&dev->iova);
	dev->ops->close(dev);
}

const char *vfio_dev_name(const struct vfio_dev *dev)
{
	return dev->name;
}

/* --- the domain --- */

/* The pages of the domain that hold @region. */
static int region_pages(const struct dma_region *region, uint64_t page, struct dma_region *ret)
{
	uint64_t va = (uintptr_t)region->va, head = va & (page - 1);
	uint64_t len = head + region->len;

	if (len < head || len > UINT64_MAX - (page - 1) ||
	    (region->fd >= 0 && region->fd_off < head))
		return -EINVAL;
	*ret = (struct dma_region){
		.va = (char *)region->va - head,
		.len = CC_ALIGN_UP(len, page),
		.fd = region->fd,
		.fd_off = region->fd >= 0 ? region->fd_off - head : 0,
	};
	return 0;
}

static int domain_alloc(struct vfio_dev *dev, uint64_t len, uint64_t *ret_iova, struct errbuf *eb)
{
	int err = vfio_iova_alloc(&dev->iova, len, ret_iova);

	if (err == -ENOSPC)
		errbuf_write(eb,
			     "%u pieces of memory are mapped, which is this device's limit: fewer, "
			     "larger memory regions are needed",
			     dev->iova.used_max);
	else if (err)
		errbuf_write(eb,
			     "no %llu MiB of device addresses are free in one piece: the IOMMU's "
			     "address space is used up",
			     (unsigned long long)(len >> 20));
	return err;
}

static int domain_map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	struct vfio_dev *dev = container_of(d, struct vfio_dev, domain);
	struct errbuf why = { "memory that cannot be mapped in whole pages" };
	struct dma_region pages = { 0 };
	uint64_t iova = 0;
	int err;

	err = region_pages(region, dev->iova.page_bytes, &pages);
	if (!err)
		err = domain_alloc(dev, pages.len, &iova, &why);
	if (!err) {
		err = dev->ops->map(dev, &pages, iova, &why);
		if (err)
			(void)vfio_iova_free(&dev->iova, iova, pages.len); /* just handed out */
	}
	if (!err) {
		*ret_iova = iova + (uint64_t)((char *)region->va - (char *)pages.va);
		return 0;
	}
	/* Whoever adds memory later has no place for the explanation. */
	if (dev->attached)
		log_warn("%s: %s", dev->name, why.text);
	else
		dev->why = why;
	return err;
}

static int domain_unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	struct vfio_dev *dev = container_of(d, struct vfio_dev, domain);
	const struct dma_region region = { .va = va, .len = len, .fd = -1 };
	struct dma_region pages;
	int err;

	if (region_pages(&region, dev->iova.page_bytes, &pages))
		return -EINVAL;
	iova -= (uint64_t)((char *)va - (char *)pages.va);
	err = dev->ops->unmap(dev, iova, pages.len);
	/* An address the device may still reach is not handed out again. */
	if (err && err != -ENODEV)
		log_warn("%s: %llu bytes at device address 0x%llx cannot be unmapped: %s",
			 dev->name, (unsigned long long)pages.len, (unsigned long long)iova,
			 strerror(-err));
	else
		(void)vfio_iova_free(&dev->iova, iova, pages.len); /* it was mapped */
	return err;
}

static const struct dma_domain_ops domain_ops = { .name = "vfio",
						  .map = domain_map,
						  .unmap = domain_unmap };

int vfio_dev_attach(struct vfio_dev *dev, const struct vfio_iommu *iommu, struct errbuf *eb)
{
	unsigned maps = CC_MIN(iommu->maps_max, (unsigned)DMA_REGIONS_MAX);
	int err =
		vfio_iova_init(&dev->iova, iommu->window, iommu->nwindows, iommu->page_bytes, maps);

	if (err)
		return errbuf_set(eb, err,
				  "%s: no usable device addresses (%u windows, pages of %llu "
				  "bytes, %u mappings)",
				  dev->name, iommu->nwindows, (unsigned long long)iommu->page_bytes,
				  maps);
	snprintf(dev->why.text, sizeof(dev->why.text), "no memory");
	err = dma_domain_attach(&dev->domain, &domain_ops);
	if (err) {
		errbuf_write(eb, "%.*s: %.*s", (int)sizeof(dev->name), dev->name,
			     ERRBUF_BYTES_MAX - VFIO_DEV_NAME_MAX, dev->why.text);
		return err;
	}
	dev->attached = true;
	return 0;
}

struct dma_domain *vfio_dev_domain(struct vfio_dev *dev)
{
	return &dev->domain;
}

/* --- regions --- */

uint64_t vfio_dev_region_bytes(const struct vfio_dev *dev, unsigned region)
{
	return region < VFIO_REGIONS ? dev->regions[region].bytes : 0;
}

/* A peer's file must really be there, and we must live on when it shrinks later. */
static int mapping_guard(struct vfio_dev *dev, const struct vfio_region *r, struct vfio_mapping *m,
			 uint64_t off)
{
	struct stat st;
	int err;

	if (!dev->shrunk)
		return 0;
	if (fstat(r->fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size < off || (uint64_t)st.st_size - off < m->len)
		return -ENOTSUP;
	err = sigbus_range_add(&(struct sigbus_range){ .va = m->va,
						       .len = m->len,
						       .page = sigbus_page_bytes(&st),
						       .what = "device region",
						       .owner = dev->shrunk });
	m->guarded = !err;
	return err;
}

int vfio_dev_region_map(struct vfio_dev *dev, unsigned region, uint64_t off, uint64_t len,
			void **ret_va)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t head = off & (page - 1);
	struct vfio_region *r = &dev->regions[region];
	struct vfio_mapping m = { 0 };
	int err;

	if (region > VFIO_DEV_BAR5 || len == 0 || off >= r->bytes || len > r->bytes - off)
		return -EINVAL;
	if (!vfio_region_maps(r, off, len, page))
		return -ENOTSUP;
	if (dev->nmappings == VFIO_MAPPINGS_MAX)
		return -EMFILE;
	m.len = CC_ALIGN_UP(head + len, page);
	m.va = mmap(NULL, m.len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		    (off_t)(r->fd_off + off - head));
	if (m.va == MAP_FAILED)
		return -errno;
	err = mapping_guard(dev, r, &m, r->fd_off + off - head);
	if (err) {
		munmap(m.va, m.len);
		return err;
	}
	dev->mappings[dev->nmappings++] = m;
	*ret_va = (char *)m.va + head;
	return 0;
}

static int region_access(struct vfio_dev *dev, unsigned region, uint64_t off, void *buf, size_t len,
			 bool write)
{
	bool word = len == 1 || len == 2 || len == 4 || len == 8;

	if (region >= VFIO_REGIONS || len == 0 || off >= dev->regions[region].bytes ||
	    len > dev->regions[region].bytes - off || (!word && region != VFIO_DEV_CONFIG))
		return -EINVAL;
	return dev->ops->access(dev, region, off, buf, len, write);
}

int vfio_dev_region_read(struct vfio_dev *dev, unsigned region, uint64_t off, void *ret_buf,
			 size_t len)
{
	return region_access(dev, region, off, ret_buf, len, false);
}

int vfio_dev_region_write(struct vfio_dev *dev, unsigned region, uint64_t off, const void *buf,
			  size_t len)
{
	return region_access(dev, region, off, (void *)(uintptr_t)buf, len, true);
}

void vfio_dev_post(struct vfio_dev *dev, unsigned region, uint64_t off, uint32_t value)
{
	assert(region <= VFIO_DEV_BAR5 && off % 4 == 0);
	assert(dev->regions[region].bytes >= 4 && off <= dev->regions[region].bytes - 4);
	dev->ops->post(dev, region, off, value);
}

/* --- the function --- */

int vfio_dev_bus_master(struct vfio_dev *dev, bool on)
{
	uint16_t command;
	int err =
		vfio_dev_region_read(dev, VFIO_DEV_CONFIG, PCI_COMMAND, &command, sizeof(command));

	if (err)
		return err;
	if (on)
		command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	else
		command &= (uint16_t)~PCI_COMMAND_MASTER;
	return vfio_dev_region_write(dev, VFIO_DEV_CONFIG, PCI_COMMAND, &command, sizeof(command));
}

/* What the command register said before holds afterwards, whoever restores it. */
int vfio_dev_reset(struct vfio_dev *dev)
{
	uint16_t command;
	int err;

	if (!dev->can_reset)
		return -ENOTSUP;
	err = dev->nvectors ? dev->ops->set_vectors(dev, NULL, 0) : 0;
	if (!err)
		err = vfio_dev_region_read(dev, VFIO_DEV_CONFIG, PCI_COMMAND, &command,
					   sizeof(command));
	if (!err)
		err = dev->ops->reset(dev);
	if (!err)
		err = vfio_dev_region_write(dev, VFIO_DEV_CONFIG, PCI_COMMAND, &command,
					    sizeof(command));
	return err;
}

unsigned vfio_dev_vectors(const struct vfio_dev *dev)
{
	return dev->nvectors;
}

int vfio_dev_set_vectors(struct vfio_dev *dev, const int *fds, unsigned n)
{
	if (n > dev->nvectors)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++)
		if (fds[i] < 0)
			return -EBADF;
	return dev->nvectors ? dev->ops->set_vectors(dev, fds, n) : 0;
}

int vfio_dev_removal_fd(const struct vfio_dev *dev)
{
	return dev->removal_fd;
}
