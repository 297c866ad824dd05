/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands as functions. */
#include "drivers/nvme/nvme_admin.h"

#include <errno.h>
#include <string.h>

#include "drivers/nvme/nvme_status.h"

static int admin_check(int err, const struct nvme_passthru *cmd, const char *what,
		       struct errbuf *eb)
{
	switch (err) {
	case 0:
		break;
	case -ETIMEDOUT:
		return errbuf_set(eb, err, "%s: no answer in time", what);
	case -EPROTO:
		return errbuf_set(eb, err, "%s: it answers what was not asked", what);
	default:
		return errbuf_set(eb, err, "%s: %s", what, strerror(-err));
	}
	if (NVME_STATUS_CODE(cmd->status) == NVME_SC_SUCCESS)
		return 0;
	return errbuf_set(eb, nvme_status_errno(cmd->status), "%s: %s (status 0x%x)", what,
			  nvme_status_name(cmd->status), NVME_STATUS_CODE(cmd->status));
}

int nvme_admin_exec(struct nvme_syncq *q, struct nvme_passthru *cmd, const char *what,
		    struct errbuf *eb)
{
	return admin_check(nvme_syncq_exec(q, cmd), cmd, what, eb);
}

int nvme_admin_identify(struct nvme_syncq *q, uint32_t cns, uint32_t nsid, void *ret_page,
			struct errbuf *eb)
{
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_IDENTIFY,
		.nsid = nsid,
		.cdw10 = cns & 0xff,
		.cdw11 = cns & 0xff000000u, /* CSI */
		.data = ret_page,
		.data_bytes = NVME_ID_BYTES,
	};

	return nvme_admin_exec(q, &cmd, "Identify", eb);
}

int nvme_admin_get_log(struct nvme_syncq *q, uint8_t lid, uint32_t nsid, void *ret_page,
		       uint32_t bytes)
{
	uint32_t dwords = bytes / 4 - 1; /* 0's based, 5.16 */
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_GET_LOG_PAGE,
		.nsid = nsid,
		.cdw10 = (dwords & 0xffff) << 16 | lid,
		.cdw11 = dwords >> 16,
		.data = ret_page,
		.data_bytes = bytes,
	};

	return nvme_admin_exec(q, &cmd, "Get Log Page", NULL);
}

int nvme_admin_set_feature(struct nvme_syncq *q, uint8_t fid, uint32_t cdw11, uint32_t *ret_dw0,
			   struct errbuf *eb)
{
	struct nvme_passthru cmd = { .opc = NVME_ADM_SET_FEATURES, .cdw10 = fid, .cdw11 = cdw11 };
	int err = nvme_admin_exec(q, &cmd, "Set Features", eb);

	if (!err && ret_dw0)
		*ret_dw0 = cmd.result;
	return err;
}

static int queue_exec(struct nvme_syncq *q, struct nvme_passthru *cmd, uint64_t prp1,
		      const char *what, struct errbuf *eb)
{
	const struct nvme_prps prps = { .prp1 = prp1 };

	return admin_check(nvme_syncq_exec_prps(q, cmd, &prps), cmd, what, eb);
}

static int queue_delete(struct nvme_syncq *q, uint8_t opc, uint16_t id)
{
	struct nvme_passthru cmd = { .opc = opc, .cdw10 = id };

	return nvme_admin_exec(q, &cmd, "Delete I/O Queue", NULL);
}

int nvme_admin_create_queues(struct nvme_syncq *q, const struct nvme_qpair *qp, int vector,
			     struct errbuf *eb)
{
	struct nvme_passthru cq = {
		.opc = NVME_ADM_CREATE_CQ,
		.cdw10 = NVME_QUEUE_SIZE(qp->id, qp->cq_mask + 1),
		.cdw11 = NVME_QUEUE_PC,
	};
	struct nvme_passthru sq = {
		.opc = NVME_ADM_CREATE_SQ,
		.cdw10 = NVME_QUEUE_SIZE(qp->id, qp->sq_mask + 1),
		.cdw11 = NVME_QUEUE_PC | NVME_SQ_CQID(qp->id),
	};
	int err;

	if (vector >= 0)
		cq.cdw11 |= NVME_CQ_IEN | NVME_CQ_IV(vector);
	err = queue_exec(q, &cq, qp->cq_iova, "Create I/O Completion Queue", eb);
	if (err)
		return err;
	err = queue_exec(q, &sq, qp->sq_iova, "Create I/O Submission Queue", eb);
	if (err)
		(void)queue_delete(q, NVME_ADM_DELETE_CQ, qp->id); /* empty, whether it goes or not */
	return err;
}

int nvme_admin_delete_queues(struct nvme_syncq *q, const struct nvme_qpair *qp)
{
	int err = queue_delete(q, NVME_ADM_DELETE_SQ, qp->id);

	return err ? err : queue_delete(q, NVME_ADM_DELETE_CQ, qp->id);
}

int nvme_admin_abort(struct nvme_syncq *q, uint16_t sqid, uint16_t cid)
{
	struct nvme_passthru cmd = { .opc = NVME_ADM_ABORT, .cdw10 = (uint32_t)cid << 16 | sqid };
	int err = nvme_admin_exec(q, &cmd, "Abort", NULL);

	/* 5.1: bit 0 of dw0 set: it was not aborted */
	return err ? err : cmd.result & 1 ? -EBUSY : 0;
}
