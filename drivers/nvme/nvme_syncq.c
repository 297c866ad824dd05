/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that threads wait for. */
#include "drivers/nvme/nvme_syncq.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/base/mono.h"

/* Waiting: first turns, then sleeps that grow. */
#define WAIT_SPINS	  200u
#define WAIT_SLEEP_NS	  10000u
#define WAIT_SLEEP_NS_MAX 1000000u

enum slot_state {
	SLOT_FREE,
	SLOT_WAITED,   /* somebody waits */
	SLOT_DONE,     /* answered, not yet fetched */
	SLOT_GIVEN_UP, /* under way, nobody waits any more */
	SLOT_EVENT,    /* nobody ever waited */
};

static int data_init(struct nvme_syncq *q, struct nvme_hw *hw)
{
	size_t have;
	int err = hugemem_alloc(&q->data, NVME_SYNCQ_DATA_BYTES, "nvring-nvme-data");

	if (err)
		return err;
	err = hugemem_dma_add(&q->data);
	if (err)
		return err;
	q->data_mapped = true;
	q->data_iova = dma_xlate(hw->dma, q->data.va, &have);
	return q->data_iova == DMA_IOVA_NONE || have < NVME_SYNCQ_DATA_BYTES ? -EFAULT : 0;
}

int nvme_syncq_init(struct nvme_syncq *q, struct nvme_hw *hw, const struct nvme_qpair_opts *opts)
{
	struct nvme_qpair_opts o = *opts;
	int err;

	*q = (struct nvme_syncq){ .data.fd = -1 };
	pthread_mutex_init(&q->lock, NULL);
	pthread_mutex_init(&q->data_lock, NULL);
	o.entries = NVME_SYNCQ_ENTRIES;
	/* one command has data at a time, and its list is as long as the data need */
	o.list_bytes = NVME_SYNCQ_DATA_BYTES / NVME_PAGE_BYTES_MIN * (uint32_t)sizeof(le64);
	err = nvme_qpair_init(&q->qp, hw, &o);
	if (!err)
		err = data_init(q, hw);
	nvme_xlat_init(&q->xlat, hw->dma);
	if (err)
		nvme_syncq_fini(q);
	return err;
}

void nvme_syncq_fini(struct nvme_syncq *q)
{
	if (q->data_mapped)
		hugemem_dma_del(&q->data);
	hugemem_free(&q->data);
	nvme_qpair_fini(&q->qp);
	pthread_mutex_destroy(&q->lock);
	pthread_mutex_destroy(&q->data_lock);
	*q = (struct nvme_syncq){ .data.fd = -1, .qp.mem.fd = -1 };
}

void nvme_syncq_reset(struct nvme_syncq *q)
{
	pthread_mutex_lock(&q->lock);
	nvme_qpair_reset(&q->qp);
	for (unsigned i = 0; i < ARRAY_SIZE(q->slot); i++) {
		struct nvme_syncq_slot *s = &q->slot[i];

		if (s->state == SLOT_WAITED) {
			s->state = SLOT_DONE;
			s->is_lost = true;
		} else if (s->state != SLOT_DONE) {
			s->state = SLOT_FREE;
		}
	}
	q->data_lost = false;
	q->is_dead = false;
	q->is_lying = false;
	pthread_mutex_unlock(&q->lock);
}

void nvme_syncq_kill(struct nvme_syncq *q)
{
	pthread_mutex_lock(&q->lock);
	q->is_dead = true;
	pthread_mutex_unlock(&q->lock);
}

static void slot_end(struct nvme_syncq *q, struct nvme_syncq_slot *s, const struct nvme_cqe *cqe,
		     uint16_t status)
{
	s->status = status;
	s->dw0 = le32_get(cqe->dw0);
	s->dw1 = le32_get(cqe->dw1);
	switch ((enum slot_state)s->state) {
	case SLOT_WAITED:
		s->state = SLOT_DONE;
		break;
	case SLOT_GIVEN_UP:
		s->state = SLOT_FREE;
		if (s->has_data)
			q->data_lost = false;
		break;
	case SLOT_EVENT:
		s->state = SLOT_FREE;
		q->event(q->event_arg, s->dw0, status);
		break;
	case SLOT_FREE:
	case SLOT_DONE:
		q->is_lying = true;
		break;
	}
}

/* Under the lock. */
static void syncq_reap(struct nvme_syncq *q)
{
	uint32_t head = q->qp.cq_head, word;

	while (!q->is_lying && nvme_qpair_peek(&q->qp, head, &word)) {
		uint16_t cid = NVME_QPAIR_CID(word);

		if (cid >= q->qp.depth)
			q->is_lying = true;
		else
			slot_end(q, &q->slot[cid], &q->qp.cq[head & q->qp.cq_mask],
				 NVME_QPAIR_STATUS(word));
		head++;
	}
	nvme_qpair_advance(&q->qp, head);
}

int nvme_syncq_poll(struct nvme_syncq *q)
{
	bool is_lying;

	pthread_mutex_lock(&q->lock);
	if (!q->is_dead)
		syncq_reap(q);
	/* nobody polls hot here: the device knows at once how far we have read */
	if (!q->is_dead)
		nvme_qpair_tell_head(&q->qp);
	is_lying = q->is_lying;
	pthread_mutex_unlock(&q->lock);
	return is_lying ? -EPROTO : 0;
}

/* A free slot, or NULL. Under the lock. */
static struct nvme_syncq_slot *slot_get(struct nvme_syncq *q, enum slot_state state)
{
	for (unsigned i = 0; i < CC_MIN(q->qp.depth, NVME_SYNCQ_ENTRIES); i++) {
		if (q->slot[i].state != SLOT_FREE)
			continue;
		q->slot[i] = (struct nvme_syncq_slot){ .state = (uint8_t)state };
		return &q->slot[i];
	}
	return NULL;
}

static void sqe_fill(struct nvme_sqe *sqe, const struct nvme_passthru *cmd, uint16_t cid,
		     const struct nvme_prps *prps)
{
	*sqe = (struct nvme_sqe){
		.opc = cmd->opc,
		.cid = le16_make(cid),
		.nsid = le32_make(cmd->nsid),
		.cdw2 = le32_make(cmd->cdw2),
		.cdw3 = le32_make(cmd->cdw3),
		.prp1 = le64_make(prps->prp1),
		.prp2 = le64_make(prps->prp2),
		.cdw10 = le32_make(cmd->cdw10),
		.cdw11 = le32_make(cmd->cdw11),
		.cdw12 = le32_make(cmd->cdw12),
		.cdw13 = le32_make(cmd->cdw13),
		.cdw14 = le32_make(cmd->cdw14),
		.cdw15 = le32_make(cmd->cdw15),
	};
}

/* Under the lock. @prps: NULL, the data's. */
static int syncq_send(struct nvme_syncq *q, const struct nvme_passthru *cmd,
		      const struct nvme_prps *prps, struct nvme_syncq_slot *s)
{
	uint16_t cid = (uint16_t)(s - q->slot);
	struct nvme_prps own = { 0 };

	if (!prps && cmd->data_bytes) {
		const struct iovec iov = { q->data.va, CC_ALIGN_UP(cmd->data_bytes, 4u) };
		struct nvme_list list = nvme_qpair_list(&q->qp, cid);
		int err = nvme_prp_build(&q->xlat, &iov, 1, &list, &own);

		if (err)
			return err;
		s->has_data = true;
	}
	sqe_fill(nvme_qpair_next(&q->qp), cmd, cid, prps ? prps : &own);
	nvme_qpair_flush(&q->qp);
	return 0;
}

static int syncq_start(struct nvme_syncq *q, const struct nvme_passthru *cmd,
		       const struct nvme_prps *prps, enum slot_state state,
		       struct nvme_syncq_slot **ret_slot)
{
	struct nvme_syncq_slot *s;
	int err;

	pthread_mutex_lock(&q->lock);
	if (q->is_dead)
		err = -ENODEV;
	else if (q->is_lying)
		err = -EPROTO;
	else if (cmd->data_bytes && q->data_lost)
		err = -EBUSY;
	else
		err = (s = slot_get(q, state)) ? 0 : -EBUSY;
	if (!err) {
		err = syncq_send(q, cmd, prps, s);
		if (err)
			s->state = SLOT_FREE;
		else
			*ret_slot = s;
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}

/* Under the lock. -EAGAIN: not yet. Otherwise the slot is no longer the caller's. */
static int syncq_fetch(struct nvme_syncq *q, struct nvme_syncq_slot *s, struct nvme_passthru *cmd,
		       bool is_last)
{
	if (s->state == SLOT_DONE) {
		cmd->result = s->dw0;
		cmd->result_high = s->dw1;
		cmd->status = s->status;
		s->state = SLOT_FREE;
		return s->is_lost ? -ENODEV : 0;
	}
	if (!q->is_dead && !q->is_lying && !is_last)
		return -EAGAIN;
	s->state = SLOT_GIVEN_UP;
	q->data_lost |= s->has_data;
	return q->is_dead ? -ENODEV : q->is_lying ? -EPROTO : -ETIMEDOUT;
}

void nvme_syncq_hurry(struct nvme_syncq *q)
{
	__atomic_store_n(&q->in_haste, true, __ATOMIC_RELAXED);
}

static bool is_overdue(const struct nvme_syncq *q, const struct nvme_passthru *cmd, uint64_t since)
{
	uint64_t own_ms = __atomic_load_n(&q->timeout_ms, __ATOMIC_RELAXED);
	uint64_t ms = cmd->timeout_ms ? cmd->timeout_ms : own_ms;

	if (__atomic_load_n(&q->in_haste, __ATOMIC_RELAXED))
		ms = CC_MIN(ms, own_ms);
	return mono_ns() - since >= ms * MONO_NS_PER_MS;
}

static int syncq_wait(struct nvme_syncq *q, struct nvme_syncq_slot *s, struct nvme_passthru *cmd)
{
	uint64_t since = mono_ns();
	struct timespec ts = { 0, WAIT_SLEEP_NS };
	int err;

	for (unsigned i = 0;; i++) {
		bool is_last = is_overdue(q, cmd, since);

		pthread_mutex_lock(&q->lock);
		if (!q->is_dead)
			syncq_reap(q);
		err = syncq_fetch(q, s, cmd, is_last);
		pthread_mutex_unlock(&q->lock);
		if (err != -EAGAIN)
			return err;
		if (i < WAIT_SPINS) {
			barrier_cpu_relax();
			continue;
		}
		(void)nanosleep(&ts, NULL);
		ts.tv_nsec = CC_MIN(ts.tv_nsec * 2, (long)WAIT_SLEEP_NS_MAX);
	}
}

int nvme_syncq_exec_prps(struct nvme_syncq *q, struct nvme_passthru *cmd,
			 const struct nvme_prps *prps)
{
	struct nvme_syncq_slot *s;
	int err = syncq_start(q, cmd, prps, SLOT_WAITED, &s);

	return err ? err : syncq_wait(q, s, cmd);
}

int nvme_syncq_exec(struct nvme_syncq *q, struct nvme_passthru *cmd)
{
	unsigned xfer = cmd->opc & NVME_OPC_XFER_MASK;
	int err;

	if (cmd->data_bytes > NVME_SYNCQ_DATA_BYTES || (cmd->data_bytes && !cmd->data))
		return -EINVAL;
	if (!cmd->data_bytes)
		return nvme_syncq_exec_prps(q, cmd, NULL);
	pthread_mutex_lock(&q->data_lock);
	if (!cc_read_once(q->data_lost)) {
		memset(q->data.va, 0, cmd->data_bytes);
		if (xfer & NVME_OPC_XFER_TO_DEV)
			memcpy(q->data.va, cmd->data, cmd->data_bytes);
	}
	err = nvme_syncq_exec_prps(q, cmd, NULL);
	if (!err && xfer & NVME_OPC_XFER_TO_HOST)
		memcpy(cmd->data, q->data.va, cmd->data_bytes);
	pthread_mutex_unlock(&q->data_lock);
	return err;
}

int nvme_syncq_post_event_request(struct nvme_syncq *q, uint8_t opc)
{
	const struct nvme_passthru cmd = { .opc = opc };
	struct nvme_syncq_slot *s;

	return syncq_start(q, &cmd, NULL, SLOT_EVENT, &s);
}
