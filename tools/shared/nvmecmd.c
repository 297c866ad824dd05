/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of admin commands, and the few that need a look at more than the opcode. */
#include "tools/shared/nvmecmd.h"

#include <errno.h>
#include <string.h>

#define OPC_VIRT_MGMT	  0x1c
#define OPC_MI_SEND	  0x1d
#define OPC_MI_RECV	  0x1e
#define OPC_CAPACITY_MGMT 0x20
#define OPC_LOCKDOWN	  0x24
#define OPC_VENDOR	  0xc0

#define FEAT_PREDICTABLE_LATENCY 0x13
#define FEAT_METADATA_CTRLR_MORE 0x7d
#define FEAT_METADATA_CTRLR	 0x7e
#define FEAT_METADATA_NS	 0x7f

/* Where the opcode alone says it. What is not here is denied. */
static const struct {
	uint8_t opc;
	enum nvmecmd_class class;
	const char *name;
} commands[] = {
	{ NVME_ADM_DELETE_SQ, NVMECMD_DENIED, "Delete I/O Submission Queue" },
	{ NVME_ADM_CREATE_SQ, NVMECMD_DENIED, "Create I/O Submission Queue" },
	{ NVME_ADM_GET_LOG_PAGE, NVMECMD_READ, "Get Log Page" },
	{ NVME_ADM_DELETE_CQ, NVMECMD_DENIED, "Delete I/O Completion Queue" },
	{ NVME_ADM_CREATE_CQ, NVMECMD_DENIED, "Create I/O Completion Queue" },
	{ NVME_ADM_IDENTIFY, NVMECMD_READ, "Identify" },
	{ NVME_ADM_ABORT, NVMECMD_DENIED, "Abort" },
	{ NVME_ADM_SET_FEATURES, NVMECMD_WRITE, "Set Features" },
	{ NVME_ADM_GET_FEATURES, NVMECMD_READ, "Get Features" },
	{ NVME_ADM_ASYNC_EVENT, NVMECMD_DENIED, "Asynchronous Event Request" },
	{ NVME_ADM_NS_MGMT, NVMECMD_DESTROY, "Namespace Management" },
	{ NVME_ADM_FW_COMMIT, NVMECMD_WRITE, "Firmware Commit" },
	{ NVME_ADM_FW_DOWNLOAD, NVMECMD_WRITE, "Firmware Image Download" },
	{ NVME_ADM_SELF_TEST, NVMECMD_WRITE, "Device Self-test" },
	{ NVME_ADM_NS_ATTACH, NVMECMD_DESTROY, "Namespace Attachment" },
	{ NVME_ADM_KEEP_ALIVE, NVMECMD_DENIED, "Keep Alive" },
	{ NVME_ADM_DIRECTIVE_SEND, NVMECMD_WRITE, "Directive Send" },
	{ NVME_ADM_DIRECTIVE_RECV, NVMECMD_READ, "Directive Receive" },
	{ OPC_VIRT_MGMT, NVMECMD_DENIED, "Virtualization Management" },
	{ OPC_MI_SEND, NVMECMD_DESTROY, "NVMe-MI Send" },
	{ OPC_MI_RECV, NVMECMD_READ, "NVMe-MI Receive" },
	{ OPC_CAPACITY_MGMT, NVMECMD_DESTROY, "Capacity Management" },
	{ OPC_LOCKDOWN, NVMECMD_WRITE, "Lockdown" },
	{ NVME_ADM_DBBUF_CONFIG, NVMECMD_DENIED, "Doorbell Buffer Config" },
	{ NVMECMD_FABRICS, NVMECMD_DENIED, "Fabrics" },
	{ NVME_ADM_FORMAT, NVMECMD_DESTROY, "Format NVM" },
	{ NVME_ADM_SECURITY_SEND, NVMECMD_DESTROY, "Security Send" },
	{ NVME_ADM_SECURITY_RECV, NVMECMD_READ, "Security Receive" },
	{ NVME_ADM_SANITIZE, NVMECMD_DESTROY, "Sanitize" },
	{ NVME_ADM_GET_LBA_STATUS, NVMECMD_READ, "Get LBA Status" },
};

/* Features that the driver has set for itself, and the one that stops writes. */
static enum nvmecmd_class set_features_class(uint32_t cdw10)
{
	switch (cdw10 & 0xff) {
	case NVME_FEAT_NUM_QUEUES:
	case NVME_FEAT_IRQ_CONFIG:
	case NVME_FEAT_ASYNC_EVENT:
	case NVME_FEAT_HMB:
	case NVME_FEAT_KATO:
	case NVME_FEAT_HOST_BEHAVIOR:
		return NVMECMD_DENIED;
	case NVME_FEAT_WRITE_PROTECT:
		return NVMECMD_DESTROY;
	default:
		return NVMECMD_WRITE;
	}
}

/* Commands of which some forms do more, or less, than their table row says. */
static enum nvmecmd_class refine(const struct nvme_passthru *cmd, enum nvmecmd_class class)
{
	switch (cmd->opc) {
	case NVME_ADM_SET_FEATURES:
		return set_features_class(cmd->cdw10);
	case NVME_ADM_NS_MGMT: /* SEL 0: create */
	case NVME_ADM_NS_ATTACH: /* SEL 0: attach */
		return cmd->cdw10 & 0xf ? NVMECMD_DESTROY : NVMECMD_WRITE;
	case NVME_ADM_FW_COMMIT: /* CA 3: at once, without a reset */
		return (cmd->cdw10 >> 3 & 7) == 3 ? NVMECMD_DESTROY : NVMECMD_WRITE;
	case NVMECMD_FABRICS: /* the type of command stands where nsid is in others */
		return (cmd->nsid & 0xff) == NVMECMD_PROPERTY_GET ? NVMECMD_READ : NVMECMD_DENIED;
	default:
		return class;
	}
}

enum nvmecmd_class nvmecmd_classify(const struct nvme_passthru *cmd, const char **ret_name)
{
	const char *name = cmd->opc >= OPC_VENDOR ? "a vendor's command" : "an unknown command";
	enum nvmecmd_class class = cmd->opc >= OPC_VENDOR ? NVMECMD_DESTROY : NVMECMD_DENIED;

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].opc != cmd->opc)
			continue;
		name = commands[i].name;
		class = refine(cmd, commands[i].class);
		break;
	}
	if (ret_name)
		*ret_name = name;
	return class;
}

const char *nvmecmd_name(uint8_t opc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].opc == opc)
			return commands[i].name;
	}
	return "Unknown";
}

uint32_t nvmecmd_victim(const struct nvme_passthru *cmd, uint8_t fna)
{
	switch (cmd->opc) {
	case NVME_ADM_FORMAT: /* FNA 0: formats apply to all namespaces, 1: erasing does */
		if (fna & 1 || (fna & 2 && cmd->cdw10 >> 9 & 7))
			return NVME_NSID_ALL;
		break;
	case NVME_ADM_NS_MGMT:
	case NVME_ADM_NS_ATTACH:
	case NVME_ADM_SET_FEATURES:
		break;
	default:
		return NVME_NSID_ALL;
	}
	return cmd->nsid ? cmd->nsid : NVME_NSID_ALL;
}

uint32_t nvmecmd_feature_bytes(uint8_t fid)
{
	switch (fid) {
	case NVME_FEAT_LBA_RANGE:
	case NVME_FEAT_HMB: /* when it is read, 5.27.1.10 */
	case FEAT_METADATA_CTRLR_MORE:
	case FEAT_METADATA_CTRLR:
	case FEAT_METADATA_NS:
		return 4096;
	case NVME_FEAT_APST:
		return 256;
	case NVME_FEAT_TIMESTAMP:
		return 8;
	case FEAT_PREDICTABLE_LATENCY:
	case NVME_FEAT_HOST_BEHAVIOR:
		return NVME_HOST_BEHAVIOR_BYTES;
	case NVME_FEAT_HOST_ID:
		return 16;
	default:
		return 0;
	}
}

static uint64_t feature_told_bytes(const struct nvme_passthru *cmd)
{
	uint8_t fid = cmd->cdw10 & 0xff;

	if (cmd->opc == NVME_ADM_GET_FEATURES && (cmd->cdw10 >> 8 & 7) == 3)
		return 0; /* SEL: supported capabilities, in dword 0 */
	if (fid == NVME_FEAT_HOST_ID && !(cmd->cdw11 & 1))
		return 8; /* EXHID: or all 16 */
	return nvmecmd_feature_bytes(fid);
}

/* The data that the device will move, as far as the command itself says so. */
static uint64_t told_bytes(const struct nvme_passthru *cmd)
{
	switch (cmd->opc) {
	case NVME_ADM_IDENTIFY:
		return NVME_ID_BYTES;
	case NVME_ADM_GET_LOG_PAGE: /* NUMDU, NUMDL */
		return ((uint64_t)(cmd->cdw11 & 0xffff) << 16 | cmd->cdw10 >> 16) * 4 + 4;
	case NVME_ADM_GET_FEATURES:
	case NVME_ADM_SET_FEATURES:
		return feature_told_bytes(cmd);
	case NVME_ADM_NS_MGMT: /* SEL 0: create */
		return cmd->cdw10 & 0xf ? 0 : NVME_ID_BYTES;
	case NVME_ADM_NS_ATTACH:
		return NVME_ID_BYTES;
	case NVME_ADM_FW_DOWNLOAD:
	case NVME_ADM_DIRECTIVE_SEND:
	case NVME_ADM_DIRECTIVE_RECV: /* NUMD */
		return (uint64_t)cmd->cdw10 * 4 + 4;
	case NVME_ADM_SECURITY_SEND:
	case NVME_ADM_SECURITY_RECV: /* TL, AL */
		return cmd->cdw11;
	case NVME_ADM_GET_LBA_STATUS: /* MNDW */
		return (uint64_t)cmd->cdw12 * 4 + 4;
	default:
		return 0;
	}
}

int nvmecmd_check(const struct nvme_passthru *cmd, const struct nvmecmd_allow *allow,
		  struct errbuf *eb)
{
	const char *name;
	enum nvmecmd_class class = nvmecmd_classify(cmd, &name);

	if (class == NVMECMD_DENIED)
		return errbuf_set(eb, -EPERM, "%s (opcode 0x%02x) is not passed on: it is the driver's own business",
				  name, cmd->opc);
	if (class != NVMECMD_READ && !allow->write)
		return errbuf_set(eb, -EACCES, "%s (opcode 0x%02x) changes the device, and that was not allowed",
				  name, cmd->opc);
	/* Beyond the data's pages the device would follow what no longer is a page's address. */
	if (told_bytes(cmd) > cmd->data_bytes)
		return errbuf_set(eb, -EINVAL, "%s (opcode 0x%02x) moves %llu bytes: data of %u bytes is too short", name,
				  cmd->opc, (unsigned long long)told_bytes(cmd), cmd->data_bytes);
	return 0;
}

void nvmecmd_to_sqe(const struct nvme_passthru *cmd, struct nvme_sqe *ret)
{
	*ret = (struct nvme_sqe){
		.opc = cmd->opc,
		.nsid = le32_make(cmd->nsid),
		.cdw2 = le32_make(cmd->cdw2),
		.cdw3 = le32_make(cmd->cdw3),
		.cdw10 = le32_make(cmd->cdw10),
		.cdw11 = le32_make(cmd->cdw11),
		.cdw12 = le32_make(cmd->cdw12),
		.cdw13 = le32_make(cmd->cdw13),
		.cdw14 = le32_make(cmd->cdw14),
		.cdw15 = le32_make(cmd->cdw15),
	};
}

void nvmecmd_from_sqe(const struct nvme_sqe *sqe, struct nvme_passthru *ret)
{
	*ret = (struct nvme_passthru){
		.opc = sqe->opc,
		.nsid = le32_get(sqe->nsid),
		.cdw2 = le32_get(sqe->cdw2),
		.cdw3 = le32_get(sqe->cdw3),
		.cdw10 = le32_get(sqe->cdw10),
		.cdw11 = le32_get(sqe->cdw11),
		.cdw12 = le32_get(sqe->cdw12),
		.cdw13 = le32_get(sqe->cdw13),
		.cdw14 = le32_get(sqe->cdw14),
		.cdw15 = le32_get(sqe->cdw15),
	};
}
