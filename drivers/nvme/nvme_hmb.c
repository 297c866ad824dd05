/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host Memory Buffer (5.27.1.11): memory that a controller without its own asks for. It uses it
 * from Set Features until it is told to stop, or disabled.
 */
#include <errno.h>
#include <string.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

#define HMB_BYTES_MAX (64ull << 20) /* what we lend at most */

static int hmb_alloc(struct nvme_ctrlr *c, uint64_t bytes)
{
	struct nvme_hmb *h = &c->hmb;
	struct nvme_hmb_desc *desc;
	size_t have;
	uint64_t iova;
	int err;

	/* one piece: the domain maps a region as a whole; the list of it lies behind */
	err = hugemem_alloc(&h->mem, bytes + NVME_PAGE_BYTES_MIN, "nvring-nvme-hmb");
	if (err)
		return err;
	err = hugemem_dma_add(&h->mem);
	h->is_mapped = !err;
	iova = err ? DMA_IOVA_NONE : dma_xlate(c->hw->dma, h->mem.va, &have);
	if (iova == DMA_IOVA_NONE || have < bytes + NVME_PAGE_BYTES_MIN) {
		nvme_hmb_fini(c);
		return err ? err : -EFAULT;
	}
	desc = (struct nvme_hmb_desc *)(void *)((char *)h->mem.va + bytes);
	desc->badd = le64_make(iova);
	desc->bsize = le32_make((uint32_t)(bytes / NVME_PAGE_BYTES_MIN));
	h->list_iova = iova + bytes;
	h->npieces = 1;
	h->bytes = bytes;
	return 0;
}

static int hmb_set(struct nvme_ctrlr *c, uint32_t cdw11)
{
	const struct nvme_hmb *h = &c->hmb;
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_SET_FEATURES,
		.cdw10 = NVME_FEAT_HMB,
		.cdw11 = cdw11,
	};

	if (cdw11 & NVME_HMB_ENABLE) {
		cmd.cdw12 = (uint32_t)(h->bytes / NVME_PAGE_BYTES_MIN);
		cmd.cdw13 = (uint32_t)h->list_iova;
		cmd.cdw14 = (uint32_t)(h->list_iova >> 32);
		cmd.cdw15 = h->npieces;
	}
	return nvme_admin_exec(&c->admin, &cmd, "Set Features", NULL);
}

void nvme_hmb_enable(struct nvme_ctrlr *c)
{
	uint64_t bytes = CC_MIN(c->info.hmb_bytes, HMB_BYTES_MAX);
	bool is_again = c->hmb.is_mapped; /* after a reset: the same memory, content as it was */
	int err = 0;

	c->hmb.is_on = false;
	if (bytes == 0 || bytes < c->info.hmb_bytes_min || bytes < c->info.hmb_piece_min)
		return;
	if (!is_again)
		err = hmb_alloc(c, bytes);
	if (!err)
		err = hmb_set(c, NVME_HMB_ENABLE | (is_again ? NVME_HMB_RETURN : 0));
	c->hmb.is_on = !err;
	if (err)
		log_notice("%s: goes without its host memory buffer: %s", c->name, strerror(-err));
}

void nvme_hmb_disable(struct nvme_ctrlr *c)
{
	if (c->hmb.is_on)
		(void)hmb_set(c, 0); /* it is disabled next in any case */
	c->hmb.is_on = false;
}

void nvme_hmb_fini(struct nvme_ctrlr *c)
{
	if (c->hmb.is_mapped)
		hugemem_dma_del(&c->hmb.mem);
	hugemem_free(&c->hmb.mem);
	c->hmb.is_mapped = false;
}
