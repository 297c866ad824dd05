/* SPDX-License-Identifier: BSD-3-Clause */
/* One command: what the fault rules say about it, its handler, its answer. */
#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

/* What a rule may ask for: the blocks of I/O commands that carry them in cdw10 to 12. */
static void io_describe(const struct ssd_cmd *cmd, struct ssd_fault_io *io)
{
	*io = (struct ssd_fault_io){
		.qid = cmd->sqid,
		.opc = cmd->sqe.opc,
		.nsid = le32_get(cmd->sqe.nsid),
	};
	if (!cmd->sqid)
		return;
	switch (cmd->sqe.opc) {
	case NVME_NVM_READ:
	case NVME_NVM_WRITE:
	case NVME_NVM_COMPARE:
	case NVME_NVM_VERIFY:
	case NVME_NVM_WRITE_ZEROES:
	case NVME_NVM_WRITE_UNCORRECTABLE:
		io->lba = le32_get(cmd->sqe.cdw10) | (uint64_t)le32_get(cmd->sqe.cdw11) << 32;
		io->nblocks = (le32_get(cmd->sqe.cdw12) & 0xffff) + 1;
		break;
	default:
		break;
	}
}

/* Errors that may be gone when the same command comes again; all others carry DNR. */
static bool status_may_pass(uint16_t status)
{
	switch (NVME_STATUS_CODE(status)) {
	case NVME_SC_DATA_TRANSFER:
	case NVME_SC_INTERNAL:
	case NVME_SC_NS_NOT_READY:
	case NVME_SC_FORMAT_IN_PROGRESS:
	case NVME_SC_SANITIZE_IN_PROGRESS:
	case NVME_SC_COMMAND_INTERRUPTED:
	case NVME_SC_SELF_TEST_IN_PROGRESS:
	case NVME_SC_ABORT_REQUESTED:
	case NVME_SC_ABORT_LIMIT:
	case NVME_SC_AER_LIMIT:
		return true;
	default:
		return false;
	}
}

/* These are successes that say when the new firmware runs. */
static bool status_is_notice(uint16_t status)
{
	uint16_t code = NVME_STATUS_CODE(status);

	return code == NVME_SC_FW_NEEDS_CONV_RESET || code == NVME_SC_FW_NEEDS_RESET ||
	       code == NVME_SC_FW_NEEDS_SUBSYS_RESET;
}

static void finish(struct ssd *s, struct ssd_cmd *cmd, uint16_t status)
{
	if (status && !status_is_notice(status)) {
		ssd_log_error(s, cmd, status);
		status |= NVME_STATUS_M;
	}
	ssd_queue_complete(s, cmd, status);
}

static uint16_t handle(struct ssd *s, struct ssd_cmd *cmd)
{
	uint16_t status;

	if (cmd->sqe.flags & NVME_CMD_FUSE_MASK)
		status = NVME_SC_INVALID_FIELD;
	else
		status = cmd->sqid ? ssd_io_exec(s, cmd) : ssd_admin_exec(s, cmd);
	if (status && status != SSD_LATER && !status_may_pass(status) && !status_is_notice(status))
		status |= NVME_STATUS_DNR;
	return status;
}

void ssd_exec_now(struct ssd *s, struct ssd_cmd *cmd, const struct ssd_fault_effect *effect)
{
	struct ssd_cmd wrong;
	uint16_t status;

	switch (effect->end) {
	case SSD_FAULT_STATUS:
		finish(s, cmd, effect->status);
		return;
	case SSD_FAULT_DROP:
		return;
	case SSD_FAULT_CFS:
		ssd_ctrlr_fatal(s, "by a fault rule");
		return;
	case SSD_FAULT_HANG:
		log_notice("hangs by a fault rule, until it is reset");
		s->hung = true;
		return;
	case SSD_FAULT_REMOVE:
		ssd_ctrlr_remove(s, true);
		return;
	case SSD_FAULT_PASS:
	case SSD_FAULT_DUP:
	case SSD_FAULT_BADCID:
		break;
	}
	status = handle(s, cmd);
	if (status == SSD_LATER)
		return;
	wrong = *cmd;
	if (effect->end == SSD_FAULT_BADCID)
		wrong.sqe.cid = le16_make((uint16_t)~le16_get(cmd->sqe.cid));
	if (effect->end != SSD_FAULT_PASS)
		ssd_queue_complete(s, &wrong, status);
	if (effect->end != SSD_FAULT_BADCID)
		finish(s, cmd, status);
}

/* The channel that is free first has it next; how long until it is done. */
static uint64_t service_ns(struct ssd *s)
{
	uint64_t now = mono_ns(), *first = &s->channel_free_ns[0];

	for (unsigned i = 1; i < s->opts.nchannels; i++)
		if (s->channel_free_ns[i] < *first)
			first = &s->channel_free_ns[i];
	*first = CC_MAX(*first, now) + s->opts.service_us * MONO_NS_PER_US;
	return *first - now;
}

void ssd_exec(struct ssd *s, const struct ssd_cmd *fetched)
{
	static const struct ssd_fault_effect none = { .end = SSD_FAULT_PASS };
	const struct ssd_fault_effect *effect = &none;
	struct ssd_fault_effect served;
	struct ssd_cmd cmd = *fetched;

	if (cc_unlikely(s->faults.n)) {
		struct ssd_fault_io io;

		io_describe(&cmd, &io);
		effect = ssd_fault_decide(&s->faults, &io);
		if (effect)
			s->counters.faults++;
		else
			effect = &none;
	}
	if (s->opts.service_us && cmd.sqid) {
		served = *effect;
		served.delay_ns += service_ns(s);
		effect = &served;
	}
	if (effect->delay_ns && ssd_queue_hold(s, &cmd, effect))
		return;
	ssd_exec_now(s, &cmd, effect);
}
