/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring nvme: log pages. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/nvring/nvv.h"

#define LOG_BYTES_MAX	    (16u << 20)
#define ERROR_LOG_DEFAULT   64
#define TELEMETRY_BYTES_MAX (1ull << 32) /* data areas are counted in 512 bytes; this is enough for all real ones */
#define TELEMETRY_CHUNK	    4096u
#define ENDURANCE_BYTES	    512u

/* Pages whose whole work is: read, show. */
static int show_log(struct cli *cli, const struct nvt_log *log, uint32_t bytes,
		    const struct nvp_page *page, const char *title)
{
	struct nvt_log one = *log;
	void *buf = calloc(1, bytes);
	char text[160];
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc && !buf)
		rc = cli_error(CLI_FAILED, "out of memory");
	one.nsid = v.given ? v.given : NVME_NSID_ALL;
	if (!rc)
		rc = nvv_log(&v, &one, buf, bytes);
	snprintf(text, sizeof(text), "%s for NVME device:%.64s namespace-id:%x", title, nvv_name(&v),
		 one.nsid);
	if (!rc)
		rc = nvv_show_page(&v, page, text, buf, bytes);
	nvv_close(&v);
	free(buf);
	return rc;
}

int cli_nvme_smart_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_SMART };

	return show_log(cli, &log, sizeof(struct nvme_log_smart), &nvp_smart, "Smart Log");
}

int cli_nvme_endurance_log(struct cli *cli)
{
	struct nvv v = { .cli = cli };
	uint64_t group = 0;
	struct nvt_log log = { .lid = NVME_LOG_ENDURANCE_GROUP };

	if (nvv_number(&v, "group-id", UINT16_MAX, &group))
		return CLI_FAILED;
	log.lsi = (uint16_t)group;
	return show_log(cli, &log, ENDURANCE_BYTES, &nvp_endurance, "Endurance Group Log");
}

int cli_nvme_error_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_ERROR, .nsid = NVME_NSID_ALL };
	struct nvme_id_ctrlr id;
	uint64_t n = ERROR_LOG_DEFAULT;
	struct nvme_log_error *errors = NULL;
	char title[160];
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_number(&v, "log-entries", UINT16_MAX, &n);
	if (!rc && n == 0)
		rc = cli_error(CLI_FAILED, "--log-entries: at least 1");
	if (!rc)
		rc = nvv_identify(&v, NVME_CNS_CTRLR, 0, &id);
	if (!rc) {
		n = CC_MIN(n, (uint64_t)id.elpe + 1); /* 0's based */
		errors = calloc(n, sizeof(*errors));
		rc = errors ? 0 : cli_error(CLI_FAILED, "out of memory");
	}
	if (!rc)
		rc = nvv_log(&v, &log, errors, (uint32_t)(n * sizeof(*errors)));
	snprintf(title, sizeof(title), "Error Log Entries for device:%.64s entries:%u", nvv_name(&v), (unsigned)n);
	if (!rc)
		rc = nvv_show_page(&v, &nvp_error_log, title, errors, n * sizeof(*errors));
	nvv_close(&v);
	free(errors);
	return rc;
}

int cli_nvme_self_test_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_SELF_TEST, .nsid = NVME_NSID_ALL };
	struct nvme_log_self_test page;
	uint64_t n = NVME_SELF_TEST_RESULTS;
	char title[160];
	size_t bytes;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_number(&v, "dst-entries", NVME_SELF_TEST_RESULTS, &n);
	if (!rc)
		rc = nvv_log(&v, &log, &page, sizeof(page));
	bytes = offsetof(struct nvme_log_self_test, result) + n * sizeof(page.result[0]);
	snprintf(title, sizeof(title), "Device Self Test Log for NVME device:%.64s", nvv_name(&v));
	if (!rc)
		rc = nvv_show_page(&v, &nvp_self_test, title, &page, bytes);
	nvv_close(&v);
	return rc;
}

int cli_nvme_fw_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_FW_SLOT, .nsid = NVME_NSID_ALL };
	struct nvme_log_fw page;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_log(&v, &log, &page, sizeof(page));
	if (!rc && v.raw)
		rc = nvv_show_raw(&page, sizeof(page));
	else if (!rc && v.json)
		rc = nvv_show_json(nvp_fw_log_json(nvv_name(&v), &page, sizeof(page)));
	else if (!rc)
		nvp_fw_log_print(stdout, nvv_name(&v), &page, sizeof(page));
	nvv_close(&v);
	return rc;
}

int cli_nvme_sanitize_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_SANITIZE, .nsid = NVME_NSID_ALL };
	struct nvme_log_sanitize page;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_log(&v, &log, &page, sizeof(page));
	if (!rc && v.raw)
		rc = nvv_show_raw(&page, sizeof(page));
	else if (!rc && v.json)
		rc = nvv_show_json(nvp_sanitize_json(nvv_name(&v), &page, sizeof(page)));
	else if (!rc)
		nvp_sanitize_print(stdout, &page, sizeof(page));
	nvv_close(&v);
	return rc;
}

int cli_nvme_effects_log(struct cli *cli)
{
	const struct nvt_log log = { .lid = NVME_LOG_EFFECTS, .nsid = NVME_NSID_ALL };
	struct nvme_log_effects page;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = nvv_log(&v, &log, &page, sizeof(page));
	if (!rc && v.raw)
		rc = nvv_show_raw(&page, sizeof(page));
	else if (!rc && v.json)
		rc = nvv_show_json(nvp_effects_json(&page, sizeof(page)));
	else if (!rc)
		nvp_effects_print(stdout, &page, sizeof(page));
	nvv_close(&v);
	return rc;
}

/* Any page by its number. */
static int parse_get_log(struct nvv *v, struct nvt_log *log, uint64_t *ret_bytes)
{
	uint64_t lid = 0, lsp = 0, lsi = 0;

	if (!cli_opt(v->cli, "log-id") || !cli_opt(v->cli, "log-len"))
		return cli_error(CLI_FAILED, "--log-id and --log-len have to be given");
	if (nvv_number(v, "log-id", UINT8_MAX, &lid) || nvv_number(v, "lsp", 0x7f, &lsp) ||
	    nvv_number(v, "lsi", UINT16_MAX, &lsi) || nvv_number(v, "lpo", UINT64_MAX, &log->off) ||
	    nvv_number(v, "log-len", LOG_BYTES_MAX, ret_bytes))
		return CLI_FAILED;
	if (*ret_bytes == 0 || *ret_bytes % 4 || log->off % 4)
		return cli_error(CLI_FAILED, "--log-len and --lpo: multiples of 4 bytes");
	log->lid = (uint8_t)lid;
	log->lsp = (uint8_t)lsp;
	log->lsi = (uint16_t)lsi;
	log->rae = cli_opt(v->cli, "rae");
	log->nsid = v->given ? v->given : NVME_NSID_ALL;
	return 0;
}

int cli_nvme_get_log(struct cli *cli)
{
	struct nvt_log log = { 0 };
	uint64_t bytes = 0;
	void *buf = NULL;
	struct nvv v;
	int rc = nvv_open(&v, cli);

	if (!rc)
		rc = parse_get_log(&v, &log, &bytes);
	if (!rc) {
		buf = calloc(1, bytes);
		rc = buf ? nvv_log(&v, &log, buf, (uint32_t)bytes) : cli_error(CLI_FAILED, "out of memory");
	}
	if (!rc && v.raw) {
		rc = nvv_show_raw(buf, bytes);
	} else if (!rc) {
		printf("Device:%s log-id:%u namespace-id:%#x\n", nvv_name(&v), log.lid, log.nsid);
		nvp_hexdump(stdout, buf, bytes);
	}
	nvv_close(&v);
	free(buf);
	return rc;
}

/*
 * Telemetry
 */

static int write_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len;) {
		ssize_t n = write(fd, at, len);

		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Header and data areas up to @area into @fd, piece by piece. */
static int copy_telemetry(struct nvv *v, struct nvt_log *log, unsigned area, int fd)
{
	uint8_t buf[TELEMETRY_CHUNK];
	uint64_t bytes, n;
	int rc = nvv_log(v, log, buf, sizeof(struct nvme_log_telemetry));

	bytes = rc ? 0 : nvp_telemetry_bytes(buf, sizeof(buf), area);
	if (!rc && (bytes == 0 || bytes > TELEMETRY_BYTES_MAX))
		rc = cli_error(CLI_FAILED, "the header of the log makes no sense: %" PRIu64 " bytes", bytes);
	log->lsp = 0; /* the report is made; read on */
	for (uint64_t at = 0; at < bytes && !rc; at += n) {
		n = CC_MIN(bytes - at, (uint64_t)sizeof(buf));
		log->off = at;
		log->rae = at + n < bytes;
		rc = nvv_log(v, log, buf, (uint32_t)n);
		if (!rc && write_all(fd, buf, n))
			rc = cli_error(CLI_FAILED, "%s: %s", cli_opt(v->cli, "output-file"), strerror(errno));
	}
	return rc;
}

int cli_nvme_telemetry_log(struct cli *cli)
{
	const char *path = cli_opt(cli, "output-file");
	struct nvt_log log = { .lid = NVME_LOG_TELEMETRY_HOST, .nsid = NVME_NSID_ALL, .rae = true };
	uint64_t area = 3, generate = 1;
	struct nvv v = { .cli = cli };
	int rc, fd = -1;

	if (!path)
		return cli_error(CLI_FAILED, "--output-file has to be given");
	rc = nvv_open(&v, cli);
	if (!rc && (nvv_number(&v, "data-area", 4, &area) || nvv_number(&v, "host-generate", 1, &generate)))
		rc = CLI_FAILED;
	if (cli_opt(cli, "controller-init"))
		log.lid = NVME_LOG_TELEMETRY_CTRLR;
	else
		log.lsp = (uint8_t)generate;
	if (!rc) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		rc = fd < 0 ? cli_error(CLI_FAILED, "%s: %s", path, strerror(errno)) : 0;
	}
	if (!rc)
		rc = copy_telemetry(&v, &log, (unsigned)area, fd);
	if (fd >= 0 && close(fd) && !rc)
		rc = cli_error(CLI_FAILED, "%s: %s", path, strerror(errno));
	nvv_close(&v);
	return rc;
}
