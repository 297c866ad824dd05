/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring nvme: features, and any admin command. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvring/nvv.h"

/* The namespace: of the target only for features that namespaces have of their own, 5.27 figure 317. */
static uint32_t feature_ns(const struct nvv *v, uint64_t fid)
{
	switch (fid) {
	case NVME_FEAT_LBA_RANGE:
	case NVME_FEAT_ERR_RECOVERY:
	case NVME_FEAT_WRITE_PROTECT:
	case 0x82: /* reservations */
	case 0x83:
		return v->nsid;
	default:
		return v->given;
	}
}

static int show_feature(const struct nvv *v, unsigned fid, unsigned sel,
			const struct nvme_passthru *cmd)
{
	static const char *const sels[] = { "Current", "Default", "Saved", "Supported capabilities" };
	const char *name = nvp_feature_name(fid);

	if (v->raw)
		return cmd->data_bytes ? nvv_show_raw(cmd->data, cmd->data_bytes) :
					 nvv_show_raw(&cmd->result, sizeof(cmd->result));
	if (v->json) {
		struct json_object *obj = json_object_new_object();
		char hex[2 * 4096 + 1] = "";

		for (uint32_t i = 0; i < cmd->data_bytes && i < 4096; i++)
			snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)cmd->data)[i]);
		json_object_object_add(obj, "feature-id", json_object_new_uint64(fid));
		json_object_object_add(obj, "name", json_object_new_string(name));
		json_object_object_add(obj, "select", json_object_new_uint64(sel));
		json_object_object_add(obj, "value", json_object_new_uint64(cmd->result));
		if (cmd->data_bytes)
			json_object_object_add(obj, "data", json_object_new_string(hex));
		return nvv_show_json(obj);
	}
	/* as nvme-cli has it: no 0x before zeroes */
	printf("get-feature:0x%02x (%s), %s value:%s%08x\n", fid, name, sels[sel & 3],
	       cmd->result ? "0x" : "", cmd->result);
	nvp_hexdump(stdout, cmd->data, cmd->data_bytes);
	return CLI_OK;
}

int cli_nvme_get_feature(struct cli *cli)
{
	uint64_t fid = 0, sel = 0, cdw11 = 0, bytes = 0;
	uint8_t data[4096] = { 0 };
	struct nvme_passthru cmd;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && !cli_opt(cli, "feature-id"))
		rc = cli_error(CLI_FAILED, "--feature-id has to be given");
	if (!rc && (nvv_number(&v, "feature-id", UINT8_MAX, &fid) || nvv_number(&v, "sel", 3, &sel) ||
		    nvv_number(&v, "cdw11", UINT32_MAX, &cdw11) ||
		    (bytes = nvmecmd_feature_bytes((uint8_t)fid),
		     nvv_number(&v, "data-len", sizeof(data), &bytes))))
		rc = CLI_FAILED;
	if (fid == NVME_FEAT_HOST_ID && !cli_opt(cli, "cdw11"))
		cdw11 = bytes > 8; /* EXHID: 128 bits, 5.27.1.25 */
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_GET_FEATURES,
		.nsid = feature_ns(&v, fid),
		.cdw10 = (uint32_t)fid | NVME_FEAT_SEL(sel),
		.cdw11 = (uint32_t)cdw11,
		.data = data,
		.data_bytes = sel == 3 ? 0 : (uint32_t)bytes,
	};
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		rc = show_feature(&v, (unsigned)fid, (unsigned)sel, &cmd);
	nvv_close(&v);
	return rc;
}

int cli_nvme_set_feature(struct cli *cli)
{
	uint64_t fid = 0, value = 0, cdw12 = 0, bytes = 0;
	const char *path = cli_opt(cli, "data");
	struct nvme_passthru cmd;
	void *data = NULL;
	size_t len = 0;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && (!cli_opt(cli, "feature-id") || (!cli_opt(cli, "value") && !path)))
		rc = cli_error(CLI_FAILED, "--feature-id and --value have to be given");
	if (!rc && (nvv_number(&v, "feature-id", UINT8_MAX, &fid) ||
		    nvv_number(&v, "value", UINT32_MAX, &value) ||
		    nvv_number(&v, "cdw12", UINT32_MAX, &cdw12)))
		rc = CLI_FAILED;
	if (!rc && path)
		rc = nvv_read_file(path, 4096, &data, &len);
	bytes = nvmecmd_feature_bytes((uint8_t)fid);
	if (!rc && len < bytes)
		rc = cli_error(CLI_FAILED, "feature %#x comes with %u bytes: --data FILE", (unsigned)fid,
			       (unsigned)bytes);
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_SET_FEATURES,
		.nsid = feature_ns(&v, fid),
		.cdw10 = (uint32_t)fid | (cli_opt(cli, "save") ? NVME_FEAT_SAVE : 0),
		.cdw11 = (uint32_t)value,
		.cdw12 = (uint32_t)cdw12,
		.data = data,
		.data_bytes = (uint32_t)(bytes ? bytes : len),
	};
	if (!rc)
		rc = nvv_confirm(&v, "set feature %#x (%s) to %#x", (unsigned)fid,
				 nvp_feature_name((unsigned)fid), (unsigned)value);
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("set-feature:0x%02x (%s), value:0x%08x, cdw12:0x%08x, save:%d\n", (unsigned)fid,
		       nvp_feature_name((unsigned)fid), (unsigned)value, (unsigned)cdw12,
		       cli_opt(cli, "save") != NULL);
	nvv_close(&v);
	free(data);
	return rc;
}

/*
 * admin-passthru
 */

static int parse_passthru(struct nvv *v, struct nvme_passthru *cmd, uint64_t *ret_prefill)
{
	uint64_t opc = 0, bytes = 0, timeout = 0, w[10] = { 0 };
	static const char *const words[] = { "cdw2", "cdw3", "cdw10", "cdw11", "cdw12", "cdw13", "cdw14", "cdw15" };

	if (!cli_opt(v->cli, "opcode"))
		return cli_error(CLI_FAILED, "--opcode has to be given");
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (nvv_number(v, words[i], UINT32_MAX, &w[i]))
			return CLI_FAILED;
	}
	if (nvv_number(v, "opcode", UINT8_MAX, &opc) || nvv_number(v, "timeout", UINT32_MAX, &timeout) ||
	    nvv_number(v, "data-len", NVMECMD_DATA_BYTES_MAX, &bytes) ||
	    nvv_number(v, "prefill", UINT8_MAX, ret_prefill))
		return CLI_FAILED;
	*cmd = (struct nvme_passthru){
		.opc = (uint8_t)opc, .nsid = v->given, .data_bytes = (uint32_t)bytes,
		.timeout_ms = (uint32_t)timeout, .cdw2 = (uint32_t)w[0], .cdw3 = (uint32_t)w[1],
		.cdw10 = (uint32_t)w[2], .cdw11 = (uint32_t)w[3], .cdw12 = (uint32_t)w[4],
		.cdw13 = (uint32_t)w[5], .cdw14 = (uint32_t)w[6], .cdw15 = (uint32_t)w[7],
	};
	return 0;
}

/* Data of a command that writes to the device comes from --input-file; room for what it reads. */
static int passthru_data(struct nvv *v, struct nvme_passthru *cmd, uint64_t prefill)
{
	const char *path = cli_opt(v->cli, "input-file");
	bool to_dev = (cmd->opc & NVME_OPC_XFER_MASK) == NVME_OPC_XFER_TO_DEV;
	size_t len = 0;

	if (cmd->data_bytes && !(cmd->opc & NVME_OPC_XFER_MASK))
		return cli_error(CLI_FAILED, "opcode 0x%02x moves no data (its last two bits say so)", cmd->opc);
	if (cli_opt(v->cli, "read") && to_dev)
		return cli_error(CLI_FAILED, "--read: opcode 0x%02x writes to the device", cmd->opc);
	if (cli_opt(v->cli, "write") && !to_dev)
		return cli_error(CLI_FAILED, "--write: opcode 0x%02x does not write to the device", cmd->opc);
	if (path && to_dev) {
		if (nvv_read_file(path, NVMECMD_DATA_BYTES_MAX, &cmd->data, &len))
			return CLI_FAILED;
		if (len < cmd->data_bytes)
			return cli_error(CLI_FAILED, "%s: %zu bytes, less than --data-len", path, len);
		cmd->data_bytes = cmd->data_bytes ? cmd->data_bytes : (uint32_t)len;
		return 0;
	}
	cmd->data = malloc(cmd->data_bytes + 1u);
	if (!cmd->data)
		return cli_error(CLI_FAILED, "out of memory");
	memset(cmd->data, (int)prefill, cmd->data_bytes);
	return 0;
}

static int show_passthru(const struct nvv *v, const struct nvme_passthru *cmd)
{
	bool reads = (cmd->opc & NVME_OPC_XFER_MASK) == NVME_OPC_XFER_TO_HOST;

	if (v->raw)
		return reads ? nvv_show_raw(cmd->data, cmd->data_bytes) : CLI_OK;
	fprintf(stderr, "Admin Command %s is Success and result: 0x%08x\n", nvmecmd_name(cmd->opc), cmd->result);
	if (reads)
		nvp_hexdump(stdout, cmd->data, cmd->data_bytes);
	return CLI_OK;
}

int cli_nvme_admin_passthru(struct cli *cli)
{
	struct nvme_passthru cmd = { 0 };
	uint64_t prefill = 0;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = parse_passthru(&v, &cmd, &prefill);
	if (!rc)
		rc = passthru_data(&v, &cmd, prefill);
	if (!rc && (cli_opt(cli, "show-command") || cli_opt(cli, "dry-run")))
		printf("opcode : %02x\nnsid   : %08x\ncdw2   : %08x\ncdw3   : %08x\ndata_len : %08x\n"
		       "cdw10  : %08x\ncdw11  : %08x\ncdw12  : %08x\ncdw13  : %08x\ncdw14  : %08x\n"
		       "cdw15  : %08x\ntimeout_ms : %08x\n",
		       cmd.opc, cmd.nsid, cmd.cdw2, cmd.cdw3, cmd.data_bytes, cmd.cdw10, cmd.cdw11,
		       cmd.cdw12, cmd.cdw13, cmd.cdw14, cmd.cdw15, cmd.timeout_ms);
	if (!rc && !cli_opt(cli, "dry-run")) {
		if (nvmecmd_classify(&cmd, NULL) != NVMECMD_READ && nvmecmd_classify(&cmd, NULL) != NVMECMD_DENIED)
			rc = nvv_confirm(&v, "send %s (opcode 0x%02x), which changes the device",
					 nvmecmd_name(cmd.opc), cmd.opc);
		if (!rc)
			rc = nvv_ask(&v, &cmd);
		if (!rc)
			rc = show_passthru(&v, &cmd);
	}
	free(cmd.data);
	nvv_close(&v);
	return rc;
}
