/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a queue pair. */
#include "drivers/nvme/nvme_qpair.h"

#include <errno.h>
#include <string.h>

#include "core/dma.h"

/* Completion entries for each submission entry: the device is told of three queues full at once. */
#define CQ_FACTOR 4u

static_assert(offsetof(struct nvme_cqe, cid) % sizeof(uint32_t) == 0, "cid and status are a word");

static uint32_t pow2_floor(uint32_t n)
{
	return 1u << (31 - __builtin_clz(n));
}

static void qpair_set_sizes(struct nvme_qpair *q, const struct nvme_qpair_opts *opts)
{
	uint32_t max = pow2_floor(CC_MIN(opts->entries_max, NVME_QPAIR_ENTRIES_MAX * CQ_FACTOR));
	uint32_t sq = pow2_floor(CC_MIN(opts->entries, CC_MIN(max, NVME_QPAIR_ENTRIES_MAX)));
	uint32_t cq = CC_MIN(sq * CQ_FACTOR, max);

	assert(sq >= 2 && cq >= sq);
	q->sq_mask = sq - 1;
	q->cq_mask = cq - 1;
	q->cq_shift = (uint32_t)__builtin_ctz(cq);
	/* A full queue has one entry free. A quarter of the completion queue is slack when it
	 * cannot be larger. */
	q->depth = CC_MIN(sq - 1, CC_MAX(cq - cq / 4 - 1, 1u));
	q->cq_slack = cq - 1 - q->depth;
}

uint32_t nvme_qpair_depth(const struct nvme_qpair_opts *opts)
{
	struct nvme_qpair q;

	qpair_set_sizes(&q, opts);
	return q.depth;
}

int nvme_qpair_init(struct nvme_qpair *q, struct nvme_hw *hw, const struct nvme_qpair_opts *opts)
{
	uint64_t sq_bytes, cq_bytes, lists_bytes, iova;
	size_t have;
	int err;

	*q = (struct nvme_qpair){ .id = opts->id, .list_bytes = opts->list_bytes, .mem.fd = -1 };
	qpair_set_sizes(q, opts);
	sq_bytes = CC_ALIGN_UP((uint64_t)(q->sq_mask + 1) * sizeof(*q->sq), NVME_PAGE_BYTES_MIN);
	cq_bytes = CC_ALIGN_UP((uint64_t)(q->cq_mask + 1) * sizeof(*q->cq), NVME_PAGE_BYTES_MIN);
	lists_bytes = (uint64_t)q->depth * q->list_bytes;
	err = hugemem_alloc(&q->mem, sq_bytes + cq_bytes + lists_bytes, "nvring-nvme-queue");
	if (!err) {
		err = hugemem_dma_add(&q->mem);
		q->is_mapped = !err;
	}
	iova = err ? 0 : dma_xlate(hw->dma, q->mem.va, &have);
	if (!err && (iova == DMA_IOVA_NONE || have < sq_bytes + cq_bytes + lists_bytes))
		err = -EFAULT;
	if (err) {
		nvme_qpair_fini(q);
		return err;
	}
	q->sq = q->mem.va;
	q->cq = (struct nvme_cqe *)(void *)((char *)q->mem.va + sq_bytes);
	q->sq_iova = iova;
	q->cq_iova = iova + sq_bytes;
	q->lists.va = (char *)q->mem.va + sq_bytes + cq_bytes;
	q->lists.iova = q->cq_iova + cq_bytes;
	nvme_doorbell_init(&q->sq_db, hw, NVME_DB_SQ(opts->id, opts->stride));
	nvme_doorbell_init(&q->cq_db, hw, NVME_DB_CQ(opts->id, opts->stride));
	return 0;
}

void nvme_qpair_fini(struct nvme_qpair *q)
{
	if (q->is_mapped)
		hugemem_dma_del(&q->mem);
	if (q->mem.va)
		hugemem_free(&q->mem);
	*q = (struct nvme_qpair){ .mem.fd = -1 };
}

void nvme_qpair_reset(struct nvme_qpair *q)
{
	memset(q->cq, 0, (q->cq_mask + 1) * sizeof(*q->cq));
	q->sq_tail = 0;
	q->sq_told = 0;
	q->cq_head = 0;
	q->cq_told = 0;
	q->sq_db.last = 0;
	q->cq_db.last = 0;
}
