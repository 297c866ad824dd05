/* SPDX-License-Identifier: BSD-3-Clause */
/* A command on its way to the driver. */
#include <errno.h>
#include <string.h>

#include "tools/shared/nvmecmd.h"

static int property_get(struct nvme_ctrlr *ctrlr, struct nvme_passthru *cmd)
{
	uint64_t value;
	int err;

	if (cmd->cdw11 > NVME_REG_DOORBELLS - 8)
		return -EINVAL;
	err = nvme_ctrlr_read_reg(ctrlr, cmd->cdw11, cmd->cdw10 & 1 ? 8 : 4, &value);
	if (err)
		return err;
	cmd->status = NVME_SC_SUCCESS;
	cmd->result = (uint32_t)value;
	cmd->result_high = (uint32_t)(value >> 32);
	return 0;
}

int nvmecmd_run(struct nvme_ctrlr *ctrlr, struct nvme_passthru *cmd)
{
	if (cmd->opc == NVMECMD_FABRICS)
		return property_get(ctrlr, cmd);
	/* The driver waits for this page with an event of its own: it must not be taken away from it. */
	if (cmd->opc == NVME_ADM_GET_LOG_PAGE && (cmd->cdw10 & 0xff) == NVME_LOG_CHANGED_NS)
		cmd->cdw10 |= NVME_LOG_RAE;
	return nvme_ctrlr_passthru(ctrlr, cmd);
}

void nvmecmd_explain(const struct nvme_ctrlr *ctrlr, int err, struct errbuf *eb)
{
	enum nvme_ctrlr_state state = nvme_ctrlr_state(ctrlr);
	const char *name = nvme_ctrlr_name(ctrlr);

	if (err == -ENODEV && state == NVME_CTRLR_FAILED)
		errbuf_write(eb, "%s: the controller has failed: delete all its disks, then create them anew", name);
	else if (err == -ENODEV)
		errbuf_write(eb, "%s: the controller is %s: try again", name, nvme_ctrlr_state_name(state));
	else
		errbuf_write(eb, "%s: the controller does not answer: %s", name, strerror(-err));
}
