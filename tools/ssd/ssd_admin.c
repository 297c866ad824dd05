/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands: I/O queues, Abort, doorbell buffers; the others have files of their own. */
#include <string.h>

#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

static uint16_t queue_size_check(const struct ssd *s, uint32_t entries)
{
	return entries < 2 || entries > s->opts.mqes ? NVME_SC_INVALID_QUEUE_SIZE : 0;
}

/* 5.4 */
static uint16_t create_cq(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), cdw11 = le32_get(cmd->sqe.cdw11);
	uint16_t id = (uint16_t)cdw10, vector = (uint16_t)(cdw11 >> 16);
	uint32_t entries = (cdw10 >> 16) + 1;
	struct ssd_cq *cq;

	if (id == 0 || id > s->opts.queues || s->cq[id].live)
		return NVME_SC_INVALID_QID;
	if (queue_size_check(s, entries))
		return NVME_SC_INVALID_QUEUE_SIZE;
	if (!(cdw11 & NVME_QUEUE_PC) || NVME_FIELD(s->cc, 20, 4) != 4) /* CAP.CQR; CC.IOCQES */
		return NVME_SC_INVALID_FIELD;
	if (le64_get(cmd->sqe.prp1) & (s->page - 1))
		return NVME_SC_INVALID_PRP_OFFSET;
	if ((cdw11 & NVME_CQ_IEN) && vector > s->opts.queues)
		return NVME_SC_INVALID_VECTOR;
	cq = &s->cq[id];
	cq->id = id;
	cq->size = entries;
	cq->irq = cdw11 & NVME_CQ_IEN;
	cq->vector = vector;
	cq->ring = (struct ssd_window){ .iova = le64_get(cmd->sqe.prp1),
					.len = entries * sizeof(struct nvme_cqe) };
	return ssd_queue_open(s, NULL, cq) ? NVME_SC_DATA_TRANSFER : 0;
}

/* 5.5 */
static uint16_t create_sq(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10), cdw11 = le32_get(cmd->sqe.cdw11);
	uint16_t id = (uint16_t)cdw10, cqid = (uint16_t)(cdw11 >> 16);
	uint32_t entries = (cdw10 >> 16) + 1;
	struct ssd_sq *sq;

	if (id == 0 || id > s->opts.queues || s->sq[id].live)
		return NVME_SC_INVALID_QID;
	if (cqid == 0 || cqid > s->opts.queues || !s->cq[cqid].live)
		return cqid == 0 || cqid > s->opts.queues ? NVME_SC_INVALID_QID
							  : NVME_SC_INVALID_CQ;
	if (queue_size_check(s, entries))
		return NVME_SC_INVALID_QUEUE_SIZE;
	if (!(cdw11 & NVME_QUEUE_PC) || NVME_FIELD(s->cc, 16, 4) != 6)
		return NVME_SC_INVALID_FIELD;
	if (le64_get(cmd->sqe.prp1) & (s->page - 1))
		return NVME_SC_INVALID_PRP_OFFSET;
	sq = &s->sq[id];
	sq->id = id;
	sq->cqid = cqid;
	sq->size = entries;
	sq->ring = (struct ssd_window){ .iova = le64_get(cmd->sqe.prp1),
					.len = entries * sizeof(struct nvme_sqe) };
	return ssd_queue_open(s, sq, NULL) ? NVME_SC_DATA_TRANSFER : 0;
}

static uint16_t delete_sq(struct ssd *s, struct ssd_cmd *cmd)
{
	uint16_t id = (uint16_t)le32_get(cmd->sqe.cdw10);

	if (id == 0 || id > s->opts.queues || !s->sq[id].live)
		return NVME_SC_INVALID_QID;
	ssd_queue_close_sq(s, &s->sq[id]);
	return 0;
}

static uint16_t delete_cq(struct ssd *s, struct ssd_cmd *cmd)
{
	uint16_t id = (uint16_t)le32_get(cmd->sqe.cdw10);

	if (id == 0 || id > s->opts.queues || !s->cq[id].live)
		return NVME_SC_INVALID_QID;
	if (s->cq[id].nsqs)
		return NVME_SC_INVALID_QUEUE_DELETE;
	ssd_queue_close_cq(s, &s->cq[id]);
	return 0;
}

/* 5.1: dw0 bit 0 says that it was not aborted. */
static uint16_t abort_command(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint16_t sqid = (uint16_t)cdw10, cid = (uint16_t)(cdw10 >> 16);

	cmd->dw0 = 1;
	if (sqid > s->opts.queues || !s->sq[sqid].live)
		return 0;
	if (ssd_queue_abort(s, sqid, cid)) {
		cmd->dw0 = 0;
		return 0;
	}
	for (unsigned i = 0; sqid == 0 && i < s->naers; i++) {
		struct ssd_cmd aer = s->aer[i];

		if (le16_get(aer.sqe.cid) != cid)
			continue;
		s->naers--;
		memmove(&s->aer[i], &s->aer[i + 1], (s->naers - i) * sizeof(aer));
		ssd_queue_complete(s, &aer, NVME_SC_ABORT_REQUESTED);
		cmd->dw0 = 0;
		break;
	}
	return 0;
}

/* 5.8: two pages, one for the host's doorbells, one for ours. */
static uint16_t dbbuf_config(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t shadow = le64_get(cmd->sqe.prp1), eventidx = le64_get(cmd->sqe.prp2);

	if (!s->opts.dbbuf)
		return NVME_SC_INVALID_OPCODE;
	if (!shadow || !eventidx || ((shadow | eventidx) & (s->page - 1)))
		return NVME_SC_INVALID_FIELD;
	if (!ssd_dma_at(&s->dma, shadow, s->page, true) ||
	    !ssd_dma_at(&s->dma, eventidx, s->page, true))
		return NVME_SC_DATA_TRANSFER;
	ssd_queue_shadow(s, shadow, eventidx);
	return 0;
}

/* What a sanitize operation forbids, 5.24: everything that reads or changes data or format. */
static bool sanitize_allows(uint8_t opc)
{
	switch (opc) {
	case NVME_ADM_FORMAT:
	case NVME_ADM_NS_MGMT:
	case NVME_ADM_NS_ATTACH:
	case NVME_ADM_FW_COMMIT:
	case NVME_ADM_FW_DOWNLOAD:
	case NVME_ADM_SELF_TEST:
		return false;
	default:
		return true;
	}
}

typedef uint16_t (*admin_fn)(struct ssd *s, struct ssd_cmd *cmd);

static uint16_t keep_alive(struct ssd *s, struct ssd_cmd *cmd)
{
	(void)cmd;
	s->alive_ns = mono_ns();
	return 0;
}

static const admin_fn handlers[256] = {
	[NVME_ADM_DELETE_SQ] = delete_sq,	    [NVME_ADM_CREATE_SQ] = create_sq,
	[NVME_ADM_GET_LOG_PAGE] = ssd_get_log_page, [NVME_ADM_DELETE_CQ] = delete_cq,
	[NVME_ADM_CREATE_CQ] = create_cq,	    [NVME_ADM_IDENTIFY] = ssd_identify,
	[NVME_ADM_ABORT] = abort_command,	    [NVME_ADM_SET_FEATURES] = ssd_set_features,
	[NVME_ADM_GET_FEATURES] = ssd_get_features, [NVME_ADM_ASYNC_EVENT] = ssd_event_request,
	[NVME_ADM_NS_MGMT] = ssd_ns_mgmt,	    [NVME_ADM_FW_COMMIT] = ssd_fw_commit,
	[NVME_ADM_FW_DOWNLOAD] = ssd_fw_download,   [NVME_ADM_SELF_TEST] = ssd_self_test,
	[NVME_ADM_NS_ATTACH] = ssd_ns_attach,	    [NVME_ADM_KEEP_ALIVE] = keep_alive,
	[NVME_ADM_DBBUF_CONFIG] = dbbuf_config,	    [NVME_ADM_FORMAT] = ssd_format,
	[NVME_ADM_SANITIZE] = ssd_sanitize_start,
};

uint16_t ssd_admin_exec(struct ssd *s, struct ssd_cmd *cmd)
{
	uint8_t opc = cmd->sqe.opc;

	if (!handlers[opc])
		return NVME_SC_INVALID_OPCODE;
	if (!s->opts.capacity && (opc == NVME_ADM_NS_MGMT || opc == NVME_ADM_NS_ATTACH))
		return NVME_SC_INVALID_OPCODE;
	if (s->sanitize.action && !sanitize_allows(opc))
		return NVME_SC_SANITIZE_IN_PROGRESS;
	return handlers[opc](s, cmd);
}
