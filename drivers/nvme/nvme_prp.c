/* SPDX-License-Identifier: BSD-3-Clause */
/* PRP entries and lists out of buffers and the DMA registry. */
#include "drivers/nvme/nvme_prp.h"

#include <errno.h>

#define PAGE (uint64_t) NVME_PAGE_BYTES_MIN

uint64_t nvme_xlat_iova(struct nvme_xlat *x, const void *va, uint64_t *ret_len)
{
	uint64_t into;

	if (!nvme_xlat_knows(x, (uintptr_t)va, 1)) {
		struct dma_range r = dma_find(x->domain, va, &x->gen);

		x->va = r.va;
		x->len = r.len;
		x->to_iova = r.iova - r.va;
		if (r.len == 0)
			return DMA_IOVA_NONE;
	}
	into = (uintptr_t)va - x->va;
	*ret_len = x->len - into;
	return (uintptr_t)va + x->to_iova;
}

/* Entries so far: the first is PRP1, the others go to the list, until it is clear how many there
 * are. */
struct prp_state {
	uint64_t first, second;
	uint64_t end; /* of the data so far */
	le64 *list;
	uint32_t n, max;
};

static int prp_add(struct prp_state *s, uint64_t iova)
{
	if (s->n == 0) {
		s->first = iova;
	} else {
		if (s->n > s->max)
			return -E2BIG;
		if (s->n == 1)
			s->second = iova;
		s->list[s->n - 1] = le64_make(iova);
	}
	s->n++;
	return 0;
}

/* [iova, iova + len) follows the data so far. */
static int prp_add_range(struct prp_state *s, uint64_t iova, uint64_t len)
{
	uint64_t end = iova + len, page;
	int err = 0;

	if (s->n == 0 || iova != s->end) {
		if (s->n > 0 && ((s->end | iova) & (PAGE - 1)))
			return -EINVAL;
		err = prp_add(s, iova);
		page = CC_ALIGN_DOWN(iova, PAGE) + PAGE;
	} else {
		/* goes on in the page that is there, or begins a new one */
		page = CC_ALIGN_UP(iova, PAGE);
	}
	for (; page < end && !err; page += PAGE)
		err = prp_add(s, page);
	s->end = end;
	return err;
}

int nvme_prp_build(struct nvme_xlat *x, const struct iovec *iov, unsigned iovcnt,
		   const struct nvme_list *list, struct nvme_prps *ret)
{
	struct prp_state s = { .list = list->va, .max = list->bytes / (uint32_t)sizeof(le64) };

	nvme_xlat_check(x);
	for (unsigned i = 0; i < iovcnt; i++) {
		const char *va = iov[i].iov_base;
		uint64_t left = iov[i].iov_len, have;

		while (left) {
			uint64_t iova = nvme_xlat_iova(x, va, &have);
			int err;

			if (iova == DMA_IOVA_NONE)
				return -EFAULT;
			have = CC_MIN(have, left);
			err = prp_add_range(&s, iova, have);
			if (err)
				return err;
			va += have;
			left -= have;
		}
	}
	if (s.n == 0 || s.first & (NVME_PRP_ALIGN - 1))
		return -EINVAL;
	ret->prp1 = s.first;
	ret->prp2 = s.n == 1 ? 0 : s.n == 2 ? s.second : list->iova;
	return 0;
}
