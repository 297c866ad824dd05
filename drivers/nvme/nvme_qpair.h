/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A submission and a completion queue: their memory, where we are in them, their doorbells. Who the
 * commands belong to is the business of nvme_syncq.h (threads that wait) and nvme_ioq.h (reactors).
 *
 *   sq_tail ──► entries written, told at flush          cq_head ──► entries read, told when room is
 * needed
 *
 * Both indexes run free; sizes are powers of two, so that the entry is a mask away and the phase a
 * shift. The completion queue is larger than the submission queue where the device allows it: with
 * n commands under way it has room for n more entries than we have told it, plus the slack. Nothing
 * here reads a register, and neither SQHD nor SQID of a completion: nothing depends on them.
 */
#ifndef DRIVERS_NVME_NVME_QPAIR_H
#define DRIVERS_NVME_NVME_QPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/hugemem.h"
#include "drivers/nvme/nvme_prp.h"
#include "drivers/nvme/nvme_regs.h"
#include "drivers/nvme/nvme_spec.h"

#define NVME_QPAIR_ENTRIES_MAX 4096u

struct nvme_qpair {
	/* submit */
	struct nvme_sqe *sq;
	uint32_t sq_mask, sq_tail;
	uint32_t sq_told;
	/* reap */
	uint32_t cq_told;
	uint32_t cq_mask, cq_shift, cq_head;
	uint32_t cq_slack; /* entries that may be read without telling */
	struct nvme_cqe *cq;
	struct nvme_doorbell sq_db, cq_db;
	/* cold */
	uint16_t id;
	uint32_t depth; /* commands under way at most */
	uint64_t sq_iova, cq_iova;
	struct nvme_list lists; /* room of the user's, list_bytes for each of depth commands */
	uint32_t list_bytes;
	bool is_mapped;
	struct hugemem mem;
};

struct nvme_qpair_opts {
	uint16_t id;
	uint32_t entries;     /* of the submission queue; rounded down to a power of two */
	uint32_t entries_max; /* CAP.MQES */
	uint32_t stride;      /* of the doorbells */
	uint32_t list_bytes;  /* a power of two up to a page, for each command; 0: none */
};

/* Commands under way at most, of a queue made with such options. */
uint32_t nvme_qpair_depth(const struct nvme_qpair_opts *opts);

/* Memory and doorbells; the device is not told. 0, -ENOMEM, or what the DMA registry says. */
int nvme_qpair_init(struct nvme_qpair *q, struct nvme_hw *hw, const struct nvme_qpair_opts *opts);
/* The device does not know the queues any more. Harmless on a zeroed one. */
void nvme_qpair_fini(struct nvme_qpair *q);

/* As new. The device does not know the queues (any more). */
void nvme_qpair_reset(struct nvme_qpair *q);

/* Of command @slot < depth. */
static inline struct nvme_list nvme_qpair_list(const struct nvme_qpair *q, uint32_t slot)
{
	uint64_t off = (uint64_t)slot * q->list_bytes;

	return (struct nvme_list){
		.va = (char *)q->lists.va + off,
		.iova = q->lists.iova + off,
		.bytes = q->list_bytes,
	};
}

/* The next submission entry, to be filled in now. No more than depth commands are under way. */
static cc_always_inline struct nvme_sqe *nvme_qpair_next(struct nvme_qpair *q)
{
	return &q->sq[q->sq_tail++ & q->sq_mask];
}

/* Tell the device of all entries. */
static inline void nvme_qpair_flush(struct nvme_qpair *q)
{
	if (q->sq_told == q->sq_tail)
		return;
	q->sq_told = q->sq_tail;
	nvme_doorbell_ring(&q->sq_db, q->sq_tail & q->sq_mask);
}

/* CID and status of a completion, in one word. */
#define NVME_QPAIR_CID(word)	((uint16_t)(word))
#define NVME_QPAIR_STATUS(word) NVME_CQE_STATUS((word) >> 16)

/* The completion at @head: true with its word, or there is none yet. */
static cc_always_inline bool nvme_qpair_peek(const struct nvme_qpair *q, uint32_t head,
					     uint32_t *ret_word)
{
	const struct nvme_cqe *cqe = &q->cq[head & q->cq_mask];
	/* Partner: the device, which writes the entry and at last its phase. */
	le32 word = { __atomic_load_n((const uint32_t *)(const void *)&cqe->cid,
				      __ATOMIC_ACQUIRE) };

	*ret_word = le32_get(word);
	/* the phase tag is 1 on the first lap */
	return ((*ret_word >> 16) ^ (head >> q->cq_shift)) & 1;
}

/* Everything before @head has been read. */
static cc_always_inline void nvme_qpair_advance(struct nvme_qpair *q, uint32_t head)
{
	q->cq_head = head;
	if (cc_unlikely(head - q->cq_told > q->cq_slack)) {
		q->cq_told = head;
		nvme_doorbell_ring(&q->cq_db, head & q->cq_mask);
	}
}

/* Tell the device how far we have read, room or not: before going to sleep. */
static inline void nvme_qpair_tell_head(struct nvme_qpair *q)
{
	if (q->cq_told == q->cq_head)
		return;
	q->cq_told = q->cq_head;
	nvme_doorbell_ring(&q->cq_db, q->cq_head & q->cq_mask);
}

#endif
