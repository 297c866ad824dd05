/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of this process that the server maps, too: what is in the DMA registry and has a file. */
#include "drivers/virtio/vub_priv.h"

#include <errno.h>

/* What the server did not take is in the domain all the same, up here, and its data is copied. */
#define FAR (1ull << 63)

static int vub_map(struct dma_domain *d, const struct dma_region *r, uint64_t *ret_iova)
{
	struct vub *dev = container_of(d, struct vub, domain);
	int err = r->fd < 0 ? -ENOTSUP : virtio_user_add_memory(dev->vu, r->va, r->len, r->fd, (off_t)r->fd_off);

	*ret_iova = (uintptr_t)r->va | (err ? FAR : 0);
	return 0;
}

static int vub_unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	struct vub *dev = container_of(d, struct vub, domain);

	return iova & FAR ? 0 : virtio_user_del_memory(dev->vu, va, len);
}

static const struct dma_domain_ops vub_dma_ops = {
	.name = "virtio-user",
	.map = vub_map,
	.unmap = vub_unmap,
};

int vub_dma_attach(struct vub *dev)
{
	int err = dma_domain_attach(&dev->domain, &vub_dma_ops);

	dev->domain_attached = !err;
	return err;
}

void vub_dma_detach(struct vub *dev)
{
	if (dev->domain_attached)
		dma_domain_detach(&dev->domain);
	dev->domain_attached = false;
}

bool vub_dma_reaches(const struct vub *dev, const struct bio *bio)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		size_t len = 0;
		uint64_t iova = dma_xlate(&dev->domain, bio->iov[i].iov_base, &len);

		if (iova & FAR || len < bio->iov[i].iov_len) /* nowhere at all is up there, too */
			return false;
	}
	return true;
}
