/* SPDX-License-Identifier: BSD-3-Clause */
/* Two roads to a controller behind one set of calls: the daemon's control interface, or the driver in this process. */
#include "tools/nvring/nvt.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nvme/nvme_probe.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/nvt_name.h"
#include "tools/shared/b64.h"
#include "tools/shared/diskuri.h"
#include "tools/shared/jget.h"

struct nvt {
	struct cli *cli;
	char address[NVME_ADDRESS_MAX];
	uint32_t nsid;
	struct nvmecmd_allow allow;
	struct nvme_ctrlr *ctrlr; /* NULL: the daemon's */
};

const char *nvt_address(const struct nvt *t)
{
	return t->address;
}

uint32_t nvt_nsid(const struct nvt *t)
{
	return t->nsid;
}

bool nvt_is_held(const struct nvt *t)
{
	return !t->ctrlr;
}

void nvt_allow(struct nvt *t, const struct nvmecmd_allow *allow)
{
	t->allow = *allow;
}

/*
 * Who holds it
 */

/* A call whose failure is -errno: -ENOTCONN when there is no daemon, else -EIO. */
static int call(struct cli *cli, const char *method, struct json_object *params,
		struct json_object **ret, struct errbuf *eb)
{
	int rc = client_try(cli, method, params, ret, eb);

	return rc == CLI_OK ? 0 : rc == CLI_UNREACHABLE ? -ENOTCONN : -EIO;
}

int nvt_held(struct cli *cli, char ret[][NVME_ADDRESS_MAX], struct errbuf *eb)
{
	struct json_object *list = NULL;
	int err = call(cli, "bdev_nvme_get_controllers", NULL, &list, eb);
	size_t n = err ? 0 : jget_count(list, "");

	if (n > NVT_CTRLRS_MAX)
		n = NVT_CTRLRS_MAX;
	for (size_t i = 0; i < n; i++)
		snprintf(ret[i], NVME_ADDRESS_MAX, "%s",
			 jget_text(json_object_array_get_idx(list, i), "name"));
	json_object_put(list);
	return err ? err : (int)n;
}

/* Two spellings of one socket are one controller. */
static bool is_same_address(const char *a, const char *b)
{
	struct nvt_name x, y;

	if (strcmp(a, b) == 0)
		return true;
	return nvt_name_parse(a, &x) == 0 && nvt_name_parse(b, &y) == 0 &&
	       x.kind == NVT_NAME_ADDRESS && y.kind == NVT_NAME_ADDRESS &&
	       strcmp(x.address, y.address) == 0;
}

static int find_disk(struct nvt *t, const char *name, struct errbuf *eb)
{
	struct json_object *params = json_object_new_object(), *list = NULL;
	int err;

	json_object_object_add(params, "name", json_object_new_string(name));
	err = call(t->cli, "bdev_get_bdevs", params, &list, eb);
	if (err == -EIO)
		return errbuf_set(eb, -ENOENT, "%s: no such disk, controller address or socket", name);
	if (err)
		return errbuf_set(eb, err,
				  "%s: no controller address or socket, and no daemon that could have a disk of that name",
				  name);
	err = diskuri_nvme(jget_text(list, "0/uri"), t->address, sizeof(t->address), &t->nsid);
	json_object_put(list);
	return err ? errbuf_set(eb, err, "%s: the disk is not on an NVMe controller", name) : 0;
}

/* *ret_held: the daemon has it. */
static int resolve(struct nvt *t, const char *target, bool *ret_held, struct errbuf *eb)
{
	char (*held)[NVME_ADDRESS_MAX] = calloc(NVT_CTRLRS_MAX, sizeof(*held));
	struct nvt_name name;
	struct errbuf why;
	int n, err = held ? nvt_name_parse(target, &name) : -ENOMEM;

	if (err) {
		free(held);
		return errbuf_set(eb, err, "%.80s: %s", target, strerror(-err));
	}
	n = nvt_held(t->cli, held, &why);
	*ret_held = false;
	t->nsid = name.nsid;
	if (name.kind == NVT_NAME_DISK)
		err = find_disk(t, target, eb);
	else if (name.kind == NVT_NAME_ADDRESS)
		snprintf(t->address, sizeof(t->address), "%s", name.address);
	else if ((int)name.number < n)
		snprintf(t->address, sizeof(t->address), "%s", held[name.number]);
	else if (n == -ENOTCONN)
		err = errbuf_set(eb, -ENODEV, "%s: %s", target, why.text);
	else
		err = errbuf_set(eb, -ENODEV, "%s: nvringd holds %d controller%s ('nvring nvme list' shows them)",
				 target, n < 0 ? 0 : n, n == 1 ? "" : "s");
	for (int i = 0; i < n && !err && !*ret_held; i++) {
		*ret_held = is_same_address(held[i], t->address);
		if (*ret_held)
			memcpy(t->address, held[i], sizeof(t->address));
	}
	free(held);
	return err;
}

int nvt_open(struct cli *cli, const char *target, struct nvt **ret_t, struct errbuf *eb)
{
	const struct nvme_ctrlr_opts opts = { .no_io = true, .poll_only = true };
	struct nvt *t = calloc(1, sizeof(*t));
	bool is_held;
	int err;

	if (!t)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	t->cli = cli;
	err = resolve(t, target, &is_held, eb);
	if (!err && !is_held)
		err = nvme_probe_get(t->address, &opts, &t->ctrlr, eb);
	if (err)
		free(t);
	else
		*ret_t = t;
	return err;
}

void nvt_close(struct nvt *t)
{
	if (!t)
		return;
	if (t->ctrlr)
		nvme_probe_put(t->ctrlr);
	free(t);
}

/*
 * Commands
 */

static void add_b64(struct json_object *obj, const char *key, const void *data, size_t len)
{
	char *text = malloc(B64_CHARS(len));

	if (!text)
		return; /* the daemon will miss it and say so */
	b64_encode(data, len, text);
	json_object_object_add(obj, key, json_object_new_string(text));
	free(text);
}

static void add_allow(const struct nvt *t, struct json_object *params)
{
	if (t->allow.write)
		json_object_object_add(params, "allow_write", json_object_new_boolean(1));
	if (t->allow.exported)
		json_object_object_add(params, "allow_exported", json_object_new_boolean(1));
}

static struct json_object *name_params(const struct nvt *t)
{
	struct json_object *params = json_object_new_object();

	json_object_object_add(params, "name", json_object_new_string(t->address));
	return params;
}

static struct json_object *send_params(const struct nvt *t, const struct nvme_passthru *cmd)
{
	struct json_object *params = name_params(t);
	bool to_host = (cmd->opc & NVME_OPC_XFER_MASK) == NVME_OPC_XFER_TO_HOST;
	struct nvme_sqe sqe;

	nvmecmd_to_sqe(cmd, &sqe);
	json_object_object_add(params, "cmd_type", json_object_new_string("admin"));
	json_object_object_add(params, "data_direction",
			       json_object_new_string(to_host ? "c2h" : "h2c"));
	add_b64(params, "cmdbuf", &sqe, sizeof(sqe));
	if (cmd->data_bytes && to_host)
		json_object_object_add(params, "data_len", json_object_new_uint64(cmd->data_bytes));
	else if (cmd->data_bytes)
		add_b64(params, "data", cmd->data, cmd->data_bytes);
	if (cmd->timeout_ms)
		json_object_object_add(params, "timeout_ms", json_object_new_uint64(cmd->timeout_ms));
	add_allow(t, params);
	return params;
}

static int take_answer(struct json_object *result, struct nvme_passthru *cmd, struct errbuf *eb)
{
	const char *text = jget_text(result, "cpl");
	struct nvme_cqe cqe;
	size_t n = 0;

	if (b64_decode(text, strlen(text), &cqe, sizeof(cqe), &n) || n != sizeof(cqe))
		return errbuf_set(eb, -EBADMSG, "the daemon's answer makes no sense");
	cmd->status = NVME_CQE_STATUS(le16_get(cqe.status));
	cmd->result = le32_get(cqe.dw0);
	cmd->result_high = le32_get(cqe.dw1);
	text = jget_text(result, "data");
	if (*text && b64_decode(text, strlen(text), cmd->data, cmd->data_bytes, &n))
		return errbuf_set(eb, -EBADMSG, "the daemon's answer makes no sense");
	return 0;
}

static int admin_by_daemon(struct nvt *t, struct nvme_passthru *cmd, struct errbuf *eb)
{
	struct json_object *result = NULL;
	unsigned timeout_s = t->cli->timeout_s;
	int err;

	/* The daemon is to say that the controller is late, before we say that the daemon is. */
	if (cmd->timeout_ms / 1000 + 10 > timeout_s)
		t->cli->timeout_s = cmd->timeout_ms / 1000 + 10;
	err = call(t->cli, "bdev_nvme_send_cmd", send_params(t, cmd), &result, eb);
	t->cli->timeout_s = timeout_s;
	if (!err)
		err = take_answer(result, cmd, eb);
	json_object_put(result);
	return err;
}

int nvt_admin(struct nvt *t, struct nvme_passthru *cmd, struct errbuf *eb)
{
	int err = nvmecmd_check(cmd, &t->allow, eb);

	if (err)
		return err;
	if (cmd->data_bytes > NVMECMD_DATA_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "%u bytes of data: more than %u in one command",
				  cmd->data_bytes, NVMECMD_DATA_BYTES_MAX);
	if (!t->ctrlr)
		return admin_by_daemon(t, cmd, eb);
	err = nvmecmd_run(t->ctrlr, cmd);
	if (err)
		nvmecmd_explain(t->ctrlr, err, eb);
	return err;
}

int nvt_read_reg(struct nvt *t, uint32_t off, unsigned bytes, uint64_t *ret_value,
		 struct errbuf *eb)
{
	struct nvme_passthru cmd = {
		.opc = NVMECMD_FABRICS,
		.nsid = NVMECMD_PROPERTY_GET,
		.cdw10 = bytes == 8,
		.cdw11 = off,
	};
	int err = nvt_admin(t, &cmd, eb);

	if (!err)
		*ret_value = (uint64_t)cmd.result_high << 32 | cmd.result;
	return err;
}

int nvt_reset(struct nvt *t, bool subsystem, struct errbuf *eb)
{
	struct json_object *params, *result = NULL;
	int err;

	if (!t->allow.write)
		return errbuf_set(eb, -EACCES, "a reset was not allowed");
	if (t->ctrlr)
		return nvme_ctrlr_reset(t->ctrlr, subsystem, eb);
	params = name_params(t);
	if (subsystem)
		json_object_object_add(params, "subsystem", json_object_new_boolean(1));
	add_allow(t, params);
	err = call(t->cli, "bdev_nvme_reset_controller", params, &result, eb);
	json_object_put(result);
	return err;
}

int nvt_rescan(struct nvt *t, struct errbuf *eb)
{
	struct json_object *result = NULL;
	int err;

	if (t->ctrlr)
		err = nvme_ctrlr_rescan(t->ctrlr);
	else
		return call(t->cli, "bdev_nvme_rescan_controller", name_params(t), &result, eb) ?
			       -EIO :
			       (json_object_put(result), 0);
	return err ? errbuf_set(eb, err, "%s: %s", t->address, strerror(-err)) : 0;
}
