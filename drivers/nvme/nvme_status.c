/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes as a table. */
#include "drivers/nvme/nvme_status.h"

#include <errno.h>

#include "core/base/cc.h"
#include "drivers/nvme/nvme_spec.h"

struct status_row {
	uint16_t code; /* SCT and SC */
	int16_t err;
	bool may_retry;
	const char *name;
};

/* What is not here is -EIO. Retried is what may pass by itself: 3.3.3.2.1 leaves it to DNR, but a
 * field that is invalid once is invalid again. */
static const struct status_row rows[] = {
	{ NVME_SC_SUCCESS, 0, false, "success" },
	{ NVME_SC_INVALID_OPCODE, -EOPNOTSUPP, false, "invalid command opcode" },
	{ NVME_SC_INVALID_FIELD, -EINVAL, false, "invalid field in command" },
	{ NVME_SC_CID_CONFLICT, -EIO, false, "command id conflict" },
	{ NVME_SC_DATA_TRANSFER, -EIO, true, "data transfer error" },
	{ NVME_SC_POWER_LOSS, -EIO, true, "aborted due to power loss" },
	{ NVME_SC_INTERNAL, -EIO, true, "internal error" },
	{ NVME_SC_ABORT_REQUESTED, -ETIMEDOUT, true, "aborted by request" },
	{ NVME_SC_ABORT_SQ_DELETED, -EIO, true, "aborted, queue deleted" },
	{ NVME_SC_ABORT_FUSED_FAIL, -EIO, false, "aborted, fused command failed" },
	{ NVME_SC_ABORT_FUSED_MISSING, -EIO, false, "aborted, fused command missing" },
	{ NVME_SC_INVALID_NS, -ENODEV, false, "invalid namespace or format" },
	{ NVME_SC_SEQUENCE, -EIO, false, "command sequence error" },
	{ NVME_SC_INVALID_SGL_SEG, -EINVAL, false, "invalid SGL segment descriptor" },
	{ NVME_SC_INVALID_SGL_COUNT, -EINVAL, false, "invalid number of SGL descriptors" },
	{ NVME_SC_INVALID_SGL_LEN, -EINVAL, false, "invalid SGL length" },
	{ NVME_SC_INVALID_SGL_TYPE, -EINVAL, false, "invalid SGL descriptor type" },
	{ NVME_SC_INVALID_PRP_OFFSET, -EINVAL, false, "invalid PRP offset" },
	{ NVME_SC_SANITIZE_FAILED, -EIO, false, "sanitize failed" },
	{ NVME_SC_SANITIZE_IN_PROGRESS, -EBUSY, true, "sanitize in progress" },
	{ NVME_SC_NS_WRITE_PROTECTED, -EROFS, false, "namespace is write protected" },
	{ NVME_SC_COMMAND_INTERRUPTED, -EIO, true, "command interrupted" },
	{ NVME_SC_TRANSIENT_TRANSPORT, -EIO, true, "transient transport error" },
	{ NVME_SC_LBA_RANGE, -EINVAL, false, "LBA out of range" },
	{ NVME_SC_CAPACITY, -ENOSPC, false, "capacity exceeded" },
	{ NVME_SC_NS_NOT_READY, -EIO, true, "namespace not ready" },
	{ NVME_SC_RESERVATION_CONFLICT, -EBUSY, false, "reservation conflict" },
	{ NVME_SC_FORMAT_IN_PROGRESS, -EBUSY, true, "format in progress" },
	{ NVME_SC_INVALID_CQ, -EINVAL, false, "invalid completion queue" },
	{ NVME_SC_INVALID_QID, -EINVAL, false, "invalid queue identifier" },
	{ NVME_SC_INVALID_QUEUE_SIZE, -EINVAL, false, "invalid queue size" },
	{ NVME_SC_ABORT_LIMIT, -EBUSY, false, "abort command limit exceeded" },
	{ NVME_SC_AER_LIMIT, -EBUSY, false, "asynchronous event request limit exceeded" },
	{ NVME_SC_INVALID_FW_SLOT, -EINVAL, false, "invalid firmware slot" },
	{ NVME_SC_CONFLICTING_ATTRIBUTES, -EINVAL, false, "conflicting attributes" },
	{ NVME_SC_INVALID_PI, -EINVAL, false, "invalid protection information" },
	{ NVME_SC_WRITE_TO_RO, -EROFS, false, "write to read-only range" },
	{ NVME_SC_CMD_SIZE_LIMIT, -EINVAL, false, "command size limit exceeded" },
	{ NVME_SC_WRITE_FAULT, -EIO, true, "write fault" },
	{ NVME_SC_READ_ERROR, -EIO, true, "unrecovered read error" },
	{ NVME_SC_GUARD_CHECK, -EILSEQ, false, "guard check error" },
	{ NVME_SC_APPTAG_CHECK, -EILSEQ, false, "application tag check error" },
	{ NVME_SC_REFTAG_CHECK, -EILSEQ, false, "reference tag check error" },
	{ NVME_SC_COMPARE_FAILED, -EILSEQ, false, "compare failure" },
	{ NVME_SC_ACCESS_DENIED, -EACCES, false, "access denied" },
	{ NVME_SC_UNWRITTEN_BLOCK, -EIO, false, "deallocated or unwritten block" },
	{ NVME_SC_INTERNAL_PATH_ERROR, -EIO, true, "internal path error" },
	{ NVME_SC_ANA_PERSISTENT_LOSS, -ENODEV, false, "asymmetric access persistent loss" },
	{ NVME_SC_ANA_INACCESSIBLE, -EIO, true, "asymmetric access inaccessible" },
	{ NVME_SC_ANA_TRANSITION, -EIO, true, "asymmetric access transition" },
	{ NVME_SC_CTRLR_PATH_ERROR, -EIO, true, "controller pathing error" },
	{ NVME_SC_HOST_PATH_ERROR, -EIO, true, "host pathing error" },
	{ NVME_SC_HOST_ABORTED, -EIO, true, "aborted by host" },
};

static const struct status_row *status_find(uint16_t status)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].code == NVME_STATUS_CODE(status))
			return &rows[i];
	return NULL;
}

int nvme_status_errno(uint16_t status)
{
	const struct status_row *row = status_find(status);

	return row ? row->err : -EIO;
}

bool nvme_status_may_retry(uint16_t status)
{
	const struct status_row *row = status_find(status);

	if (status & NVME_STATUS_DNR)
		return false;
	/* Unknown ones: the device's word for it is the absence of DNR; path errors are about the
	 * way. */
	return row ? row->may_retry : NVME_STATUS_SCT(status) != NVME_SCT_COMMAND;
}

bool nvme_status_is_path(uint16_t status)
{
	return NVME_STATUS_SCT(status) == NVME_SCT_PATH && !(status & NVME_STATUS_DNR);
}

const char *nvme_status_name(uint16_t status)
{
	const struct status_row *row = status_find(status);

	return row ? row->name : "unknown status";
}
