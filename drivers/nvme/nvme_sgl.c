/* SPDX-License-Identifier: BSD-3-Clause */
/* SGL descriptors out of buffers and the DMA registry. */
#include "drivers/nvme/nvme_sgl.h"

#include <errno.h>

static struct nvme_sgl_desc sgl_desc(uint8_t type, uint64_t addr, uint32_t len)
{
	return (struct nvme_sgl_desc){ .addr = le64_make(addr),
				       .len = le32_make(len),
				       .type = type };
}

/* Puts the piece behind the last one, into it when they touch. Returns how many there are, or
 * -E2BIG. */
static int sgl_add(struct nvme_sgl_desc *descs, uint32_t n, uint32_t max, uint64_t iova,
		   uint32_t len)
{
	if (n > 0) {
		struct nvme_sgl_desc *last = &descs[n - 1];

		if (le64_get(last->addr) + le32_get(last->len) == iova) {
			last->len = le32_make(le32_get(last->len) + len);
			return (int)n;
		}
	}
	if (n == max)
		return -E2BIG;
	descs[n] = sgl_desc(NVME_SGL_DATA_BLOCK, iova, len);
	return (int)n + 1;
}

int nvme_sgl_build(struct nvme_xlat *x, const struct iovec *iov, unsigned iovcnt,
		   const struct nvme_list *list, struct nvme_sgl_desc *ret)
{
	uint32_t max = list->bytes / (uint32_t)sizeof(*ret);
	struct nvme_sgl_desc *descs = list->va;
	int n = 0;

	nvme_xlat_check(x);
	for (unsigned i = 0; i < iovcnt; i++) {
		const char *va = iov[i].iov_base;
		uint64_t left = iov[i].iov_len, have;

		while (left) {
			uint64_t iova = nvme_xlat_iova(x, va, &have);

			if (iova == DMA_IOVA_NONE)
				return -EFAULT;
			have = CC_MIN(have, left);
			n = sgl_add(descs, (uint32_t)n, max, iova, (uint32_t)have);
			if (n < 0)
				return n;
			va += have;
			left -= have;
		}
	}
	if (n == 0)
		return -EINVAL;
	if (n == 1)
		*ret = descs[0];
	else
		*ret = sgl_desc(NVME_SGL_LAST_SEGMENT, list->iova,
				(uint32_t)n * (uint32_t)sizeof(*ret));
	return 0;
}
