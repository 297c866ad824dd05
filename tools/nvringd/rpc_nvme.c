/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods about NVMe controllers that disks are on: list, health, reset, and admin commands by an allow-list.
 *
 *   control thread: checked, is a disk there exported? ─► worker thread: find, carry out, put ─► control thread: answer
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/worker.h"
#include "drivers/nvme/nvme_probe.h"
#include "tools/nvring/nvp.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "tools/shared/b64.h"
#include "tools/shared/diskuri.h"
#include "tools/shared/nvmecmd.h"

#define LOG_TAG "nvme"
#include "core/base/log.h"

#define KELVIN 273

/* Blocking work on a controller. */
struct nvme_job {
	struct worker worker;
	struct rpc_call *call;
	struct wiring *w;
	char name[NVME_ADDRESS_MAX];
	int (*work)(struct nvme_ctrlr *ctrlr, struct nvme_job *job);
	void (*answer)(struct nvme_job *job);
	struct nvme_passthru cmd;
	bool subsystem;
	struct nvme_log_smart smart;
	struct nvme_id_ctrlr id;
	struct errbuf eb;
};

static int job_work(struct worker *worker)
{
	struct nvme_job *job = container_of(worker, struct nvme_job, worker);
	struct nvme_ctrlr *ctrlr = nvme_probe_find(job->name);
	int err;

	if (!ctrlr)
		return errbuf_set(&job->eb, -ENODEV, "the controller has gone");
	nvme_ctrlr_get_id(ctrlr, &job->id);
	err = job->work(ctrlr, job);
	if (err && !job->eb.text[0])
		nvmecmd_explain(ctrlr, err, &job->eb);
	nvme_probe_put(ctrlr);
	return err;
}

static void job_done(struct worker *worker, int err)
{
	struct nvme_job *job = container_of(worker, struct nvme_job, worker);
	struct wiring *w = job->w;

	w->busy--;
	if (err)
		rpc_fail(job->call, JSONRPC_STATE, "%s", job->eb.text);
	else
		job->answer(job);
	free(job->cmd.data);
	free(job);
	wiring_step(w);
}

/* @job (taken over) under way, or the call answered. */
static void job_start(struct nvme_job *job)
{
	int err = worker_start(&job->worker, job_work, job_done);

	if (!err) {
		job->w->busy++;
		return;
	}
	rpc_fail(job->call, JSONRPC_INTERNAL, "cannot start a thread: %s", strerror(-err));
	free(job->cmd.data);
	free(job);
}

/*
 * Which controllers there are
 */

#define USER_PREFIX "vfio-user:"

/* As nvme_probe_find() takes it: a socket's controller may be named by the socket alone. */
static const char *address_of(struct nvme_ctrlr *ctrlr, char buf[NVME_ADDRESS_MAX])
{
	const char *name = nvme_ctrlr_name(ctrlr);
	bool is_bare = strchr(name, '/') && strncmp(name, USER_PREFIX, strlen(USER_PREFIX)) != 0;

	snprintf(buf, NVME_ADDRESS_MAX, "%s%.*s", is_bare ? USER_PREFIX : "",
		 (int)(NVME_ADDRESS_MAX - sizeof(USER_PREFIX)), name);
	return buf;
}

struct finding {
	const char *name;
	bool is_there;
	uint8_t fna;
};

static bool is_named(struct nvme_ctrlr *ctrlr, void *arg)
{
	struct finding *f = arg;
	char buf[NVME_ADDRESS_MAX];
	struct nvme_id_ctrlr id;

	f->is_there = strcmp(address_of(ctrlr, buf), f->name) == 0;
	if (!f->is_there)
		return true;
	nvme_ctrlr_get_id(ctrlr, &id);
	f->fna = id.fna;
	return false;
}

/* A new job on the controller @name, or NULL after the call has been answered. */
static struct nvme_job *job_create(struct rpc_call *call, const char *name, uint8_t *ret_fna)
{
	struct finding f = { .name = name };
	struct nvme_job *job = NULL;

	nvme_probe_for_each(is_named, &f);
	if (!f.is_there) {
		rpc_fail(call, JSONRPC_STATE, "no controller \"%s\" (bdev_nvme_get_controllers lists them)",
			 name);
		return NULL;
	}
	job = calloc(1, sizeof(*job));
	if (!job) {
		rpc_fail(call, JSONRPC_INTERNAL, "out of memory");
		return NULL;
	}
	job->call = call;
	job->w = rpc_wiring(call);
	snprintf(job->name, sizeof(job->name), "%s", name);
	if (ret_fna)
		*ret_fna = f.fna;
	return job;
}

/* The first exported disk on namespace @nsid (NVME_NSID_ALL: any) of the controller; NULL: none. */
static const struct wiring_disk *exported_disk(struct wiring *w, const char *name, uint32_t nsid)
{
	struct list *pos;

	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);
		char address[NVME_ADDRESS_MAX];
		uint32_t on;

		if (wiring_disk_exports(d) &&
		    diskuri_nvme(d->conf.uri, address, sizeof(address), &on) == 0 &&
		    strcmp(address, name) == 0 && (nsid == NVME_NSID_ALL || nsid == on))
			return d;
	}
	return NULL;
}

/* May what happens to @nsid happen? False after the call has been answered. */
static bool may_destroy(struct rpc_call *call, const char *name, uint32_t nsid, bool is_allowed)
{
	const struct wiring_disk *d = exported_disk(rpc_wiring(call), name, nsid);

	if (!d || is_allowed)
		return true;
	rpc_fail(call, JSONRPC_STATE,
		 "disk \"%s\" on %s is exported: delete its exports first (or allow_exported, --force-exported)",
		 d->conf.name, name);
	return false;
}

/*
 * List
 */

struct listing {
	struct json_object *arr;
	struct wiring *w;
	const char *name; /* "": all */
};

static void add_text(struct json_object *obj, const char *key, const char *field, size_t len)
{
	char buf[64];

	while (len && field[len - 1] == ' ')
		len--;
	json_object_object_add(obj, key, json_object_new_string(nvp_text(field, len, buf)));
}

static void add_identity(struct json_object *obj, const struct nvme_id_ctrlr *id)
{
	add_text(obj, "model_number", id->mn, sizeof(id->mn));
	add_text(obj, "serial_number", id->sn, sizeof(id->sn));
	add_text(obj, "firmware_revision", id->fr, sizeof(id->fr));
}

static struct json_object *disks_json(struct wiring *w, const char *name)
{
	struct json_object *arr = json_object_new_array();
	struct list *pos;

	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);
		char address[NVME_ADDRESS_MAX];
		uint32_t nsid;

		if (d->bdev && diskuri_nvme(d->conf.uri, address, sizeof(address), &nsid) == 0 &&
		    strcmp(address, name) == 0)
			json_object_array_add(arr, json_object_new_string(d->conf.name));
	}
	return arr;
}

/* In the words of SPDK; the others in ours. */
static const char *state_text(enum nvme_ctrlr_state state)
{
	return state == NVME_CTRLR_READY ? "enabled" : nvme_ctrlr_state_name(state);
}

static bool list_one(struct nvme_ctrlr *ctrlr, void *arg)
{
	struct listing *l = arg;
	char buf[NVME_ADDRESS_MAX];
	const char *name = address_of(ctrlr, buf), *socket = strchr(name, '/');
	struct nvme_id_ctrlr id;
	struct json_object *obj, *one, *trid, *ctrlrs;

	if (l->name[0] && strcmp(l->name, name) != 0)
		return true;
	nvme_ctrlr_get_id(ctrlr, &id);
	obj = json_object_new_object();
	one = json_object_new_object();
	trid = json_object_new_object();
	ctrlrs = json_object_new_array();
	json_object_object_add(trid, "trtype", json_object_new_string(socket ? "VFIOUSER" : "PCIe"));
	json_object_object_add(trid, "traddr", json_object_new_string(socket ? socket : name));
	json_object_object_add(one, "state", json_object_new_string(state_text(nvme_ctrlr_state(ctrlr))));
	json_object_object_add(one, "trid", trid);
	json_object_object_add(one, "cntlid", json_object_new_int(le16_get(id.cntlid)));
	json_object_array_add(ctrlrs, one);
	json_object_object_add(obj, "name", json_object_new_string(name));
	json_object_object_add(obj, "ctrlrs", ctrlrs);
	add_identity(obj, &id);
	json_object_object_add(obj, "disks", disks_json(l->w, name));
	json_object_array_add(l->arr, obj);
	return true;
}

struct name_params {
	char name[NVME_ADDRESS_MAX];
};

static const struct jread_field maybe_name_fields[] = {
	JREAD_ROW_TEXT(struct name_params, name, "name", false),
};

static const struct jread_field name_fields[] = {
	JREAD_ROW_TEXT(struct name_params, name, "name", true),
};

static void get_controllers(struct rpc_call *call, const void *params)
{
	const struct name_params *p = params;
	struct listing l = { json_object_new_array(), rpc_wiring(call), p->name };

	nvme_probe_for_each(list_one, &l);
	if (p->name[0] && json_object_array_length(l.arr) == 0) {
		json_object_put(l.arr);
		rpc_fail(call, JSONRPC_STATE, "no controller \"%s\"", p->name);
		return;
	}
	rpc_answer(call, l.arr);
}

/*
 * Health
 */

static int health_work(struct nvme_ctrlr *ctrlr, struct nvme_job *job)
{
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_GET_LOG_PAGE,
		.nsid = NVME_NSID_ALL,
		.cdw10 = NVME_LOG_SMART | NVME_LOG_RAE | (sizeof(job->smart) / 4 - 1) << 16,
		.data = &job->smart,
		.data_bytes = sizeof(job->smart),
	};
	int err = nvme_ctrlr_passthru(ctrlr, &cmd);

	if (!err && cmd.status)
		return errbuf_set(&job->eb, -EIO, "the controller refuses its SMART log: status 0x%x", cmd.status);
	return err;
}

static void health_answer(struct nvme_job *job)
{
	const struct nvme_log_smart *s = &job->smart;
	const struct {
		const char *key;
		const uint8_t *le;
	} wide[] = {
		{ "data_units_read", s->data_units_read },
		{ "data_units_written", s->data_units_written },
		{ "host_read_commands", s->host_reads },
		{ "host_write_commands", s->host_writes },
		{ "controller_busy_time", s->ctrl_busy_time },
		{ "power_cycles", s->power_cycles },
		{ "power_on_hours", s->power_on_hours },
		{ "unsafe_shutdowns", s->unsafe_shutdowns },
		{ "media_errors", s->media_errors },
		{ "num_err_log_entries", s->num_err_log_entries },
	};
	struct json_object *obj = json_object_new_object();

	add_identity(obj, &job->id);
	json_object_object_add(obj, "traddr", json_object_new_string(job->name));
	json_object_object_add(obj, "critical_warning", json_object_new_int(s->critical_warning));
	json_object_object_add(obj, "temperature_celsius",
			       json_object_new_int((s->temperature[0] | s->temperature[1] << 8) - KELVIN));
	json_object_object_add(obj, "available_spare_percentage", json_object_new_int(s->avail_spare));
	json_object_object_add(obj, "available_spare_threshold_percentage",
			       json_object_new_int(s->spare_thresh));
	json_object_object_add(obj, "percentage_used", json_object_new_int(s->percent_used));
	for (unsigned i = 0; i < ARRAY_SIZE(wide); i++)
		json_object_object_add(obj, wide[i].key, nvp_u128_json(wide[i].le));
	json_object_object_add(obj, "warning_temperature_time_minutes",
			       rpc_number(le32_get(s->warning_temp_time)));
	json_object_object_add(obj, "critical_composite_temperature_time_minutes",
			       rpc_number(le32_get(s->critical_comp_time)));
	rpc_answer(job->call, obj);
}

static void get_health(struct rpc_call *call, const void *params)
{
	const struct name_params *p = params;
	struct nvme_job *job = job_create(call, p->name, NULL);

	if (!job)
		return;
	job->work = health_work;
	job->answer = health_answer;
	job_start(job);
}

/*
 * Reset, rescan
 */

static void answer_true(struct nvme_job *job)
{
	rpc_answer(job->call, json_object_new_boolean(1));
}

static int reset_work(struct nvme_ctrlr *ctrlr, struct nvme_job *job)
{
	return nvme_ctrlr_reset(ctrlr, job->subsystem, &job->eb);
}

struct reset_params {
	char name[NVME_ADDRESS_MAX];
	bool subsystem, allow_write, allow_exported;
};

static const struct jread_field reset_fields[] = {
	JREAD_ROW_TEXT(struct reset_params, name, "name", true),
	JREAD_ROW_BOOL(struct reset_params, subsystem, "subsystem"),
	JREAD_ROW_BOOL(struct reset_params, allow_write, "allow_write"),
	JREAD_ROW_BOOL(struct reset_params, allow_exported, "allow_exported"),
};

/* As in SPDK, the call is the consent; only who uses the disk is asked for. */
static void reset_controller(struct rpc_call *call, const void *params)
{
	const struct reset_params *p = params;
	struct nvme_job *job;

	if (!may_destroy(call, p->name, NVME_NSID_ALL, p->allow_exported))
		return;
	job = job_create(call, p->name, NULL);
	if (!job)
		return;
	log_notice("%s: %s reset on request", job->name, p->subsystem ? "subsystem" : "controller");
	job->subsystem = p->subsystem;
	job->work = reset_work;
	job->answer = answer_true;
	job_start(job);
}

static int rescan_work(struct nvme_ctrlr *ctrlr, struct nvme_job *job)
{
	return nvme_ctrlr_rescan(ctrlr);
}

static void rescan_controller(struct rpc_call *call, const void *params)
{
	const struct name_params *p = params;
	struct nvme_job *job = job_create(call, p->name, NULL);

	if (!job)
		return;
	job->work = rescan_work;
	job->answer = answer_true;
	job_start(job);
}

/*
 * Any admin command
 */

struct send_params {
	char name[NVME_ADDRESS_MAX];
	char cmd_type[16], data_direction[16];
	char cmdbuf[B64_CHARS(sizeof(struct nvme_sqe)) + 8];
	struct json_object *data, *metadata;
	unsigned data_len, metadata_len, timeout_ms;
	bool allow_write, allow_exported;
};

static const struct jread_field send_fields[] = {
	JREAD_ROW_TEXT(struct send_params, name, "name", true),
	JREAD_ROW_TEXT(struct send_params, cmd_type, "cmd_type", true),
	JREAD_ROW_TEXT(struct send_params, data_direction, "data_direction", true),
	JREAD_ROW_TEXT(struct send_params, cmdbuf, "cmdbuf", true),
	JREAD_ROW_VALUE(struct send_params, data, "data"),
	JREAD_ROW_VALUE(struct send_params, metadata, "metadata"),
	JREAD_ROW_UINT(struct send_params, data_len, "data_len", 0, NVMECMD_DATA_BYTES_MAX),
	JREAD_ROW_UINT(struct send_params, metadata_len, "metadata_len", 0, 0),
	JREAD_ROW_UINT(struct send_params, timeout_ms, "timeout_ms", 0, UINT32_MAX),
	JREAD_ROW_BOOL(struct send_params, allow_write, "allow_write"),
	JREAD_ROW_BOOL(struct send_params, allow_exported, "allow_exported"),
};

/* The bytes for the device, or room for those from it. */
static int send_data(const struct send_params *p, struct nvme_passthru *cmd, struct errbuf *eb)
{
	const char *text = p->data ? json_object_get_string(p->data) : "";
	size_t chars = p->data ? (size_t)json_object_get_string_len(p->data) : 0, n = 0;
	size_t room = p->data ? chars / 4 * 3 + 3 : p->data_len;
	int err;

	if (p->data && !json_object_is_type(p->data, json_type_string))
		return errbuf_set(eb, -EINVAL, "data: not a text");
	cmd->data = room ? calloc(1, room) : NULL;
	if (room && !cmd->data)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	cmd->data_bytes = p->data_len;
	if (!p->data)
		return 0;
	err = b64_decode(text, chars, cmd->data, room, &n);
	if (err)
		return errbuf_set(eb, -EINVAL, "data: not base64url");
	if (p->data_len && p->data_len != n)
		return errbuf_set(eb, -EINVAL, "data_len: %u, but data has %zu bytes", p->data_len, n);
	cmd->data_bytes = (uint32_t)n;
	return 0;
}

/* Everything about the parameters that the tables cannot tell. */
static int send_parse(const struct send_params *p, struct nvme_passthru *cmd, struct errbuf *eb)
{
	static const char *const directions[] = { [NVME_OPC_XFER_TO_DEV] = "h2c", [NVME_OPC_XFER_TO_HOST] = "c2h" };
	struct nvme_sqe sqe;
	unsigned xfer;
	size_t n;

	if (strcmp(p->cmd_type, "admin") != 0)
		return errbuf_set(eb, -EINVAL, "cmd_type: \"admin\"; I/O goes through disks");
	if (strcmp(p->data_direction, "h2c") != 0 && strcmp(p->data_direction, "c2h") != 0)
		return errbuf_set(eb, -EINVAL, "data_direction: \"h2c\" or \"c2h\"");
	if (p->metadata)
		return errbuf_set(eb, -EINVAL, "metadata: no admin command has any");
	if (b64_decode(p->cmdbuf, strlen(p->cmdbuf), &sqe, sizeof(sqe), &n) || n != sizeof(sqe))
		return errbuf_set(eb, -EINVAL, "cmdbuf: not the base64url of 64 bytes");
	nvmecmd_from_sqe(&sqe, cmd);
	cmd->timeout_ms = p->timeout_ms;
	if (cmd->opc == NVMECMD_FABRICS)
		return 0;
	xfer = cmd->opc & NVME_OPC_XFER_MASK;
	if ((p->data || p->data_len) &&
	    (xfer == NVME_OPC_XFER_NONE || xfer == NVME_OPC_XFER_MASK ||
	     strcmp(directions[xfer], p->data_direction) != 0 || (p->data && xfer == NVME_OPC_XFER_TO_HOST)))
		return errbuf_set(eb, -EINVAL, "data_direction: opcode 0x%02x moves its data otherwise", cmd->opc);
	if (xfer == NVME_OPC_XFER_TO_DEV && p->data_len && !p->data)
		return errbuf_set(eb, -EINVAL, "data: missing");
	return send_data(p, cmd, eb);
}

static int send_work(struct nvme_ctrlr *ctrlr, struct nvme_job *job)
{
	return nvmecmd_run(ctrlr, &job->cmd);
}

static struct json_object *b64_json(const void *data, size_t len)
{
	char *text = malloc(B64_CHARS(len));
	struct json_object *obj;

	if (!text)
		return NULL;
	b64_encode(data, len, text);
	obj = json_object_new_string(text);
	free(text);
	return obj;
}

static void send_answer(struct nvme_job *job)
{
	const struct nvme_passthru *cmd = &job->cmd;
	struct json_object *obj = json_object_new_object();
	const struct nvme_cqe cqe = {
		.dw0 = le32_make(cmd->result),
		.dw1 = le32_make(cmd->result_high),
		.status = le16_make((uint16_t)(cmd->status << 1)),
	};

	json_object_object_add(obj, "cpl", b64_json(&cqe, sizeof(cqe)));
	if (!cmd->status && cmd->data_bytes &&
	    (cmd->opc & NVME_OPC_XFER_MASK) == NVME_OPC_XFER_TO_HOST)
		json_object_object_add(obj, "data", b64_json(cmd->data, cmd->data_bytes));
	rpc_answer(job->call, obj);
}

static void send_cmd(struct rpc_call *call, const void *params)
{
	const struct send_params *p = params;
	const struct nvmecmd_allow allow = { p->allow_write, p->allow_exported };
	struct nvme_passthru cmd = { 0 };
	struct nvme_job *job = NULL;
	enum nvmecmd_class class;
	const char *name;
	struct errbuf eb;
	uint8_t fna = 0;
	int err = send_parse(p, &cmd, &eb);

	if (!err)
		err = nvmecmd_check(&cmd, &allow, &eb);
	if (err)
		rpc_fail(call, err == -EINVAL ? JSONRPC_INVALID_PARAMS : JSONRPC_STATE, "%s", eb.text);
	else
		job = job_create(call, p->name, &fna);
	class = nvmecmd_classify(&cmd, &name);
	if (job && class == NVMECMD_DESTROY &&
	    !may_destroy(call, p->name, nvmecmd_victim(&cmd, fna), p->allow_exported)) {
		free(job);
		job = NULL;
	}
	if (!job) {
		free(cmd.data);
		return;
	}
	if (class != NVMECMD_READ)
		log_notice("%s: %s (opcode 0x%02x, namespace 0x%x) on request", job->name, name, cmd.opc, cmd.nsid);
	job->cmd = cmd;
	job->work = send_work;
	job->answer = send_answer;
	job_start(job);
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_nvme_get_controllers", .fn = get_controllers,
	  RPC_PARAMS(struct name_params, maybe_name_fields) },
	{ .name = "bdev_nvme_get_controller_health_info", .fn = get_health,
	  RPC_PARAMS(struct name_params, name_fields) },
	{ .name = "bdev_nvme_reset_controller", .fn = reset_controller,
	  RPC_PARAMS(struct reset_params, reset_fields) },
	{ .name = "bdev_nvme_rescan_controller", .fn = rescan_controller,
	  RPC_PARAMS(struct name_params, name_fields) },
	{ .name = "bdev_nvme_send_cmd", .fn = send_cmd, RPC_PARAMS(struct send_params, send_fields) },
};

const struct rpc_group rpc_nvme_group = { methods, ARRAY_SIZE(methods) };
