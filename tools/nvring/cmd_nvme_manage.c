/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring nvme: what changes or destroys. Each asks first. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvring/nvv.h"

#define FORMAT_TIMEOUT_MS   600000
#define NS_TIMEOUT_MS	    120000
#define FW_TIMEOUT_MS	    120000
#define SANITIZE_TIMEOUT_MS 600000
#define FW_BYTES_MAX	    (256u << 20)
#define FW_XFER_DEFAULT	    4096
#define SELF_TEST_LOOK_S    2

/*
 * Format
 */

/* Which of the namespace's formats has blocks of @bytes and no metadata. */
static int find_format(struct nvv *v, uint64_t bytes, uint64_t *ret_lbaf)
{
	struct nvme_id_ns id;

	if (nvv_identify(v, NVME_CNS_NS, v->nsid, &id))
		return CLI_FAILED;
	for (unsigned i = 0; i <= id.nlbaf && i < ARRAY_SIZE(id.lbaf); i++) {
		if (id.lbaf[i].lbads < 64 && bytes == 1ull << id.lbaf[i].lbads &&
		    !le16_get(id.lbaf[i].ms)) {
			*ret_lbaf = i;
			return 0;
		}
	}
	return cli_error(CLI_FAILED, "--block-size: namespace %u has no format of %llu bytes without metadata",
			 v->nsid, (unsigned long long)bytes);
}

static int current_format(struct nvv *v, uint64_t *ret_lbaf)
{
	struct nvme_id_ns id;

	if (v->nsid == NVME_NSID_ALL)
		return 0;
	if (nvv_identify(v, NVME_CNS_NS, v->nsid, &id))
		return CLI_FAILED;
	*ret_lbaf = NVME_FLBAS_INDEX(id.flbas);
	return 0;
}

static int parse_format(struct nvv *v, struct nvme_passthru *cmd)
{
	uint64_t lbaf = 0, ses = 0, pi = 0, pil = 0, ms = 0, block = 0, timeout = FORMAT_TIMEOUT_MS;

	if (nvv_number(v, "block-size", UINT32_MAX, &block) || nvv_number(v, "ses", 2, &ses) ||
	    nvv_number(v, "pi", 3, &pi) || nvv_number(v, "pil", 1, &pil) ||
	    nvv_number(v, "ms", 1, &ms) || nvv_number(v, "timeout", UINT32_MAX, &timeout))
		return CLI_FAILED;
	if (block && cli_opt(v->cli, "lbaf"))
		return cli_error(CLI_FAILED, "--lbaf or --block-size, not both");
	if (block ? find_format(v, block, &lbaf) : current_format(v, &lbaf))
		return CLI_FAILED;
	if (nvv_number(v, "lbaf", 63, &lbaf))
		return CLI_FAILED;
	*cmd = (struct nvme_passthru){
		.opc = NVME_ADM_FORMAT,
		.nsid = v->nsid,
		/* LBAFL 3:0, MSET 4, PI 7:5, PIL 8, SES 11:9, LBAFU 13:12 */
		.cdw10 = (uint32_t)((lbaf & 0xf) | ms << 4 | pi << 5 | pil << 8 | ses << 9 |
				    (lbaf >> 4) << 12),
		.timeout_ms = (uint32_t)timeout,
	};
	return 0;
}

/* Some controllers format or erase all namespaces when one is named. */
static int confirm_format(struct nvv *v, const struct nvme_passthru *cmd)
{
	struct nvme_id_ctrlr id;

	if (nvv_identify(v, NVME_CNS_CTRLR, 0, &id))
		return CLI_FAILED;
	if (nvmecmd_victim(cmd, id.fna) != NVME_NSID_ALL)
		return nvv_confirm(v, "format namespace %#x: all its data will be lost", v->nsid);
	return nvv_confirm(v, "format all namespaces (%s): all their data will be lost",
			   v->nsid == NVME_NSID_ALL ? "as asked" : "this controller does not format one alone");
}

int cli_nvme_format(struct cli *cli)
{
	struct nvme_passthru cmd;
	struct errbuf eb;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_need_ns(&v);
	if (!rc)
		rc = parse_format(&v, &cmd);
	if (!rc)
		rc = confirm_format(&v, &cmd);
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("Success formatting namespace:%x\n", v.nsid);
	if (!rc && cli_opt(cli, "reset") && nvt_reset(v.t, false, &eb))
		rc = nvv_fail(&eb);
	nvv_close(&v);
	return rc;
}

/*
 * Sanitize
 */

static int parse_sanitize(struct nvv *v, struct nvme_passthru *cmd)
{
	static const char *const names[] = { "", "exit-failure", "start-block-erase", "start-overwrite",
					     "start-crypto-erase" };
	const char *text = cli_opt(v->cli, "sanact");
	uint64_t act = 0, passes = 1, pattern = 0;

	for (unsigned i = 1; text && i < ARRAY_SIZE(names); i++)
		act = strcmp(text, names[i]) == 0 ? i : act;
	if (!act && nvv_number(v, "sanact", NVME_SANACT_CRYPTO, &act))
		return CLI_FAILED;
	if (!act)
		return cli_error(CLI_FAILED, "--sanact: 1 to 4, or exit-failure, start-block-erase, "
					     "start-overwrite, start-crypto-erase");
	if (nvv_number(v, "owpass", 16, &passes) || nvv_number(v, "ovrpat", UINT32_MAX, &pattern))
		return CLI_FAILED;
	*cmd = (struct nvme_passthru){
		.opc = NVME_ADM_SANITIZE,
		/* SANACT 2:0, AUSE 3, OWPASS 7:4 (0 is 16), OIPBP 8, No-Deallocate 9 */
		.cdw10 = (uint32_t)(act | (cli_opt(v->cli, "ause") ? 1u << 3 : 0) |
				    (act == NVME_SANACT_OVERWRITE ? (passes & 0xf) << 4 : 0) |
				    (cli_opt(v->cli, "oipbp") ? 1u << 8 : 0) |
				    (cli_opt(v->cli, "no-dealloc") ? 1u << 9 : 0)),
		.cdw11 = (uint32_t)pattern,
		.timeout_ms = SANITIZE_TIMEOUT_MS,
	};
	return 0;
}

int cli_nvme_sanitize(struct cli *cli)
{
	struct nvme_passthru cmd;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = parse_sanitize(&v, &cmd);
	if (!rc && (cmd.cdw10 & 7) == NVME_SANACT_EXIT_FAILURE)
		rc = nvv_confirm(&v, "leave the failure mode of sanitize");
	else if (!rc)
		rc = nvv_confirm(&v, "sanitize: all data of all namespaces will be lost, for ever");
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	nvv_close(&v);
	return rc;
}

/*
 * Self-test
 */

static int self_test_wait(struct nvv *v)
{
	const struct nvt_log log = { .lid = NVME_LOG_SELF_TEST, .nsid = NVME_NSID_ALL };
	struct nvme_log_self_test page;
	int rc;

	for (;;) {
		rc = nvv_log(v, &log, &page, sizeof(page));
		if (rc)
			return rc;
		if (!(page.current_op & 0xf))
			break;
		sleep(SELF_TEST_LOOK_S);
	}
	printf("Operation Result : %#x\n", page.result[0].status & 0xf);
	return page.result[0].status & 0xf ? cli_error(CLI_FAILED, "the self-test found something") : CLI_OK;
}

int cli_nvme_self_test(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_SELF_TEST, .nsid = NVME_NSID_ALL };
	struct nvme_log_self_test page;
	struct nvme_passthru cmd;
	uint64_t code = 0;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_number(&v, "self-test-code", 0xf, &code);
	if (!rc && !code) {
		rc = nvv_log(&v, &log, &page, sizeof(page));
		if (!rc)
			printf("Current operation  : %#x\nCurrent Completion : %u%%\n", page.current_op & 0xf,
			       page.completion & 0x7f);
		nvv_close(&v);
		return rc;
	}
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_SELF_TEST,
		.nsid = v.given ? v.given : NVME_NSID_ALL,
		.cdw10 = (uint32_t)code,
	};
	if (!rc)
		rc = nvv_confirm(&v, code == NVME_STC_ABORT ? "abort the self-test" : "start a self-test");
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		puts(code == NVME_STC_ABORT ? "Self-test aborted" : "Self-test started");
	if (!rc && cli_opt(cli, "wait"))
		rc = self_test_wait(&v);
	nvv_close(&v);
	return rc;
}

/*
 * Namespaces
 */

static int parse_create(struct nvv *v, struct nvme_id_ns *id, uint64_t *ret_timeout)
{
	uint64_t nsze = 0, ncap = 0, flbas = 0, dps = 0, nmic = 0, block = 0, ana = 0, set = 0;

	if (!cli_opt(v->cli, "nsze"))
		return cli_error(CLI_FAILED, "--nsze has to be given, in blocks");
	if (nvv_number(v, "nsze", UINT64_MAX, &nsze) || (ncap = nsze, nvv_number(v, "ncap", UINT64_MAX, &ncap)) ||
	    nvv_number(v, "flbas", UINT8_MAX, &flbas) || nvv_number(v, "dps", UINT8_MAX, &dps) ||
	    nvv_number(v, "nmic", UINT8_MAX, &nmic) || nvv_number(v, "block-size", UINT32_MAX, &block) ||
	    nvv_number(v, "anagrp-id", UINT32_MAX, &ana) || nvv_number(v, "nvmset-id", UINT16_MAX, &set) ||
	    nvv_number(v, "timeout", UINT32_MAX, ret_timeout))
		return CLI_FAILED;
	if (block) {
		v->nsid = NVME_NSID_ALL; /* the formats that all have, 5.17.2.1 */
		if (find_format(v, block, &flbas))
			return CLI_FAILED;
	}
	memset(id, 0, sizeof(*id));
	id->nsze = le64_make(nsze);
	id->ncap = le64_make(ncap);
	id->flbas = (uint8_t)flbas;
	id->dps = (uint8_t)dps;
	id->nmic = (uint8_t)nmic;
	id->anagrpid = le32_make((uint32_t)ana);
	id->nvmsetid = le16_make((uint16_t)set);
	return 0;
}

int cli_nvme_create_ns(struct cli *cli)
{
	uint64_t timeout = NS_TIMEOUT_MS;
	struct nvme_passthru cmd;
	struct nvme_id_ns id;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = parse_create(&v, &id, &timeout);
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_NS_MGMT,
		.data = &id,
		.data_bytes = sizeof(id),
		.timeout_ms = (uint32_t)timeout,
	};
	if (!rc)
		rc = nvv_confirm(&v, "create a namespace");
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("create-ns: Success, created nsid:%u\n", cmd.result);
	nvv_close(&v);
	return rc;
}

int cli_nvme_delete_ns(struct cli *cli)
{
	uint64_t timeout = NS_TIMEOUT_MS;
	struct nvme_passthru cmd;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_number(&v, "timeout", UINT32_MAX, &timeout);
	if (!rc && !v.nsid)
		rc = cli_error(CLI_FAILED, "--namespace-id has to be given");
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_NS_MGMT,
		.nsid = v.nsid,
		.cdw10 = 1,
		.timeout_ms = (uint32_t)timeout,
	};
	if (!rc)
		rc = nvv_confirm(&v, "delete namespace %#x: all its data will be lost", v.nsid);
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("delete-ns: Success, deleted nsid:%u\n", v.nsid);
	nvv_close(&v);
	return rc;
}

/* "0,1"; without: the controller itself. */
static int parse_controllers(struct nvv *v, struct nvme_ctrlr_list *ret)
{
	const char *text = cli_opt(v->cli, "controllers");
	struct nvme_id_ctrlr id;
	unsigned n = 0;

	memset(ret, 0, sizeof(*ret));
	if (!text) {
		if (nvv_identify(v, NVME_CNS_CTRLR, 0, &id))
			return CLI_FAILED;
		ret->id[n++] = id.cntlid;
	}
	while (text && *text) {
		char *end;
		unsigned long one = strtoul(text, &end, 0);

		if (end == text || (*end && *end != ',') || one > UINT16_MAX || n == NVME_CTRLR_LIST_MAX)
			return cli_error(CLI_FAILED, "--controllers: numbers with commas between them, not '%s'",
					 cli_opt(v->cli, "controllers"));
		ret->id[n++] = le16_make((uint16_t)one);
		text = *end ? end + 1 : end;
	}
	ret->num = le16_make((uint16_t)n);
	return 0;
}

static int change_attachment(struct cli *cli, bool detach)
{
	const char *name = detach ? "detach" : "attach";
	struct nvme_ctrlr_list list;
	struct nvme_passthru cmd;
	struct errbuf eb;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && !v.nsid)
		rc = cli_error(CLI_FAILED, "--namespace-id has to be given");
	if (!rc)
		rc = parse_controllers(&v, &list);
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_NS_ATTACH,
		.nsid = v.nsid,
		.cdw10 = detach,
		.data = &list,
		.data_bytes = sizeof(list),
		.timeout_ms = NS_TIMEOUT_MS,
	};
	if (!rc)
		rc = nvv_confirm(&v, "%s namespace %#x", name, v.nsid);
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("%s-ns: Success, nsid:%u\n", name, v.nsid);
	if (!rc && nvt_rescan(v.t, &eb))
		rc = nvv_fail(&eb);
	nvv_close(&v);
	return rc;
}

int cli_nvme_attach_ns(struct cli *cli)
{
	return change_attachment(cli, false);
}

int cli_nvme_detach_ns(struct cli *cli)
{
	return change_attachment(cli, true);
}

int cli_nvme_ns_rescan(struct cli *cli)
{
	struct errbuf eb;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && nvt_rescan(v.t, &eb))
		rc = nvv_fail(&eb);
	nvv_close(&v);
	return rc;
}

/*
 * Resets
 */

static int reset(struct cli *cli, bool subsystem)
{
	struct errbuf eb;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_confirm(&v, "reset the %s", subsystem ? "subsystem with all its controllers" : "controller");
	if (!rc && nvt_reset(v.t, subsystem, &eb))
		rc = nvv_fail(&eb);
	nvv_close(&v);
	return rc;
}

int cli_nvme_reset(struct cli *cli)
{
	return reset(cli, false);
}

int cli_nvme_subsystem_reset(struct cli *cli)
{
	return reset(cli, true);
}

/*
 * Firmware
 */

static int send_firmware(struct nvv *v, const uint8_t *fw, size_t len, uint64_t xfer, uint64_t offset)
{
	uint8_t *piece = calloc(1, xfer);
	int rc = piece ? 0 : cli_error(CLI_FAILED, "out of memory");

	for (size_t at = 0; at < len && !rc; at += xfer) {
		size_t n = CC_MIN(len - at, (size_t)xfer), dwords = (n + 3) / 4;
		struct nvme_passthru cmd = {
			.opc = NVME_ADM_FW_DOWNLOAD,
			.cdw10 = (uint32_t)dwords - 1, /* 0's based */
			.cdw11 = (uint32_t)((offset + at) / 4),
			.data = piece,
			.data_bytes = (uint32_t)dwords * 4,
			.timeout_ms = FW_TIMEOUT_MS,
		};

		memset(piece, 0, xfer);
		memcpy(piece, fw + at, n);
		rc = nvv_ask(v, &cmd);
	}
	free(piece);
	return rc;
}

/* Pieces are multiples of FWUG, which is in 4 KiB; 0 and 255 say nothing. */
static int parse_download(struct nvv *v, uint64_t *ret_xfer, uint64_t *ret_offset)
{
	struct nvme_id_ctrlr id;

	*ret_xfer = FW_XFER_DEFAULT;
	if (nvv_identify(v, NVME_CNS_CTRLR, 0, &id))
		return CLI_FAILED;
	if (id.fwug && id.fwug != 0xff)
		*ret_xfer = id.fwug * 4096u;
	if (nvv_number(v, "xfer", NVMECMD_DATA_BYTES_MAX, ret_xfer) ||
	    nvv_number(v, "offset", UINT32_MAX, ret_offset))
		return CLI_FAILED;
	if (!*ret_xfer || *ret_xfer % 4 || *ret_offset % 4)
		return cli_error(CLI_FAILED, "--xfer and --offset: multiples of 4 bytes");
	return 0;
}

int cli_nvme_fw_download(struct cli *cli)
{
	const char *path = cli_opt(cli, "fw");
	uint64_t xfer = 0, offset = 0;
	void *fw = NULL;
	size_t len = 0;
	struct nvv v;
	int rc;

	if (!path)
		return cli_error(CLI_FAILED, "--fw FILE has to be given");
	rc = nvv_open(&v, cli);
	if (!rc)
		rc = parse_download(&v, &xfer, &offset);
	if (!rc)
		rc = nvv_read_file(path, FW_BYTES_MAX, &fw, &len);
	if (!rc)
		rc = nvv_confirm(&v, "load the firmware image %s (fw-commit makes it the one in use)", path);
	if (!rc)
		rc = send_firmware(&v, fw, len, xfer, offset);
	if (!rc)
		puts("Firmware download success");
	nvv_close(&v);
	free(fw);
	return rc;
}

int cli_nvme_fw_commit(struct cli *cli)
{
	uint64_t slot = 0, action = 0, bpid = 0;
	struct nvme_passthru cmd;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && (nvv_number(&v, "slot", 7, &slot) || nvv_number(&v, "action", 7, &action) ||
		    nvv_number(&v, "bpid", 1, &bpid)))
		rc = CLI_FAILED;
	cmd = (struct nvme_passthru){
		.opc = NVME_ADM_FW_COMMIT,
		.cdw10 = (uint32_t)(slot | action << 3 | bpid << 31),
		.timeout_ms = FW_TIMEOUT_MS,
	};
	if (!rc)
		rc = nvv_confirm(&v, "commit the firmware to slot %u, action %u", (unsigned)slot, (unsigned)action);
	if (!rc)
		rc = nvv_ask(&v, &cmd);
	if (!rc)
		printf("Success committing firmware action:%u slot:%u\n", (unsigned)action, (unsigned)slot);
	nvv_close(&v);
	return rc;
}
