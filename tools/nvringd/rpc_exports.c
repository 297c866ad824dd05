/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about exports: create, delete, and what a session looks like from inside. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "tools/nvringd/featnames.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "vhost/user/vu_server.h"

/*
 * Create and delete. The keys are SPDK's, the struct is that of the configuration.
 */

static const struct jread_field create_fields[] = {
	JREAD_ROW_TEXT(struct config_export, name, "ctrlr", true),
	JREAD_ROW_TEXT(struct config_export, disk, "dev_name", true),
	JREAD_ROW_TEXT(struct config_export, socket, "socket", false),
	JREAD_ROW_BOOL(struct config_export, read_only, "readonly"),
	JREAD_ROW_BOOL(struct config_export, packed, "packed_ring"),
	JREAD_ROW_BOOL(struct config_export, write_cache, "write_cache"),
	JREAD_ROW_UINT(struct config_export, queues, "queues", 1, VDEV_QUEUES_MAX),
	JREAD_ROW_TEXT(struct config_export, serial, "serial", false),
	JREAD_ROW_MODE(struct config_export, mode, "mode"),
	JREAD_ROW_TEXT(struct config_export, cpus, "cpus", false),
};

static const struct config_export create_defaults = {
	.fd = -1,
	.queues = CONFIG_QUEUES_DEFAULT,
	.mode = 0600,
	.packed = true,
	.write_cache = true,
};

/* Nobody named a socket: CTRLR.sock beside the control socket. 0 or -ENAMETOOLONG. */
static int default_socket(const struct wiring *w, struct config_export *e)
{
	char path[CONFIG_SOCKET_MAX];
	int n;

	memcpy(path, w->rpc_path, sizeof(path));
	n = snprintf(e->socket, sizeof(e->socket), "%s/%s.sock", dirname(path), e->name);
	return n < 0 || (size_t)n >= sizeof(e->socket) ? -ENAMETOOLONG : 0;
}

static void create_blk(struct rpc_call *call, const void *params)
{
	struct config_export e = *(const struct config_export *)params;
	struct wiring *w = rpc_wiring(call);
	struct errbuf eb;

	if (config_export_check(&e, &eb)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
		return;
	}
	if (wiring_find_export(w, e.name)) {
		rpc_fail(call, JSONRPC_STATE, "there is another export named \"%s\"", e.name);
		return;
	}
	if (!e.socket[0] && default_socket(w, &e)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "socket: the path would be too long");
		return;
	}
	if (!rpc_disk_or_fail(call, e.disk))
		return;
	if (wiring_export_create(w, &e, &eb))
		rpc_fail(call, JSONRPC_STATE, "%s", eb.text);
	else
		rpc_answer(call, json_object_new_string(e.socket));
}

struct ctrlr_params {
	char ctrlr[BDEV_NAME_MAX];
};

static const struct jread_field ctrlr_fields[] = {
	JREAD_ROW_TEXT(struct ctrlr_params, ctrlr, "ctrlr", true),
};

static const struct jread_field maybe_ctrlr_fields[] = {
	JREAD_ROW_TEXT(struct ctrlr_params, ctrlr, "name", false),
};

static struct wiring_export *export_or_fail(struct rpc_call *call, const char *name)
{
	struct wiring_export *e = wiring_find_export(rpc_wiring(call), name);

	if (!e)
		rpc_fail(call, JSONRPC_STATE, "no export named \"%s\"", name);
	return e;
}

static void delete_ctrlr(struct rpc_call *call, const void *params)
{
	const struct ctrlr_params *p = params;
	struct wiring_export *e = export_or_fail(call, p->ctrlr);

	if (e)
		wiring_export_delete(e, rpc_done_true, call);
}

struct move_params {
	char ctrlr[BDEV_NAME_MAX];
	unsigned queue, reactor;
};

static const struct jread_field move_fields[] = {
	JREAD_ROW_TEXT(struct move_params, ctrlr, "ctrlr", true),
	{ .key = "queue", .type = JREAD_UINT, .required = true,
	  .offset = offsetof(struct move_params, queue), .max = VDEV_QUEUES_MAX - 1 },
	{ .key = "reactor", .type = JREAD_UINT, .required = true,
	  .offset = offsetof(struct move_params, reactor), .max = REACTOR_MAX - 1 },
};

static void move_queue(struct rpc_call *call, const void *params)
{
	const struct move_params *p = params;
	struct wiring_export *e = export_or_fail(call, p->ctrlr);
	struct errbuf eb;

	if (e && wiring_export_move(e, p->queue, p->reactor, rpc_done_true, call, &eb))
		rpc_fail(call, JSONRPC_STATE, "%s", eb.text);
}

/*
 * A session as JSON
 */

static struct json_object *hex(uint64_t v)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "0x%" PRIx64, v);
	return json_object_new_string(buf);
}

static struct json_object *names(uint64_t bits, const char *(*name_of)(unsigned bit))
{
	struct json_object *arr = json_object_new_array();
	char buf[16];

	for (unsigned i = 0; i < 64; i++) {
		const char *name = name_of(i);

		if (!(bits >> i & 1))
			continue;
		snprintf(buf, sizeof(buf), "BIT_%u", i);
		json_object_array_add(arr, json_object_new_string(name ? name : buf));
	}
	return arr;
}

static struct json_object *queue_json(const struct vu_queue_info *q)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "index", json_object_new_int((int)q->index));
	json_object_object_add(obj, "started", json_object_new_boolean(q->started));
	json_object_object_add(obj, "enabled", json_object_new_boolean(q->enabled));
	json_object_object_add(obj, "broken", json_object_new_boolean(q->broken));
	if (q->broken)
		json_object_object_add(obj, "why", json_object_new_string(q->why));
	json_object_object_add(obj, "layout",
			       json_object_new_string(q->packed ? "packed" : "split"));
	json_object_object_add(obj, "size", json_object_new_int(q->size));
	json_object_object_add(obj, "avail_idx", json_object_new_int(q->avail_idx));
	json_object_object_add(obj, "used_idx", json_object_new_int(q->used_idx));
	json_object_object_add(obj, "inflight", json_object_new_int(q->inflight));
	json_object_object_add(obj, "reactor", json_object_new_int((int)q->reactor_id));
	json_object_object_add(obj, "cpu", json_object_new_int(q->reactor_cpu));
	json_object_object_add(obj, "window", rpc_number(q->window_ns));
	json_object_object_add(obj, "requests", rpc_number(q->cnt.chains));
	json_object_object_add(obj, "polls", rpc_number(q->cnt.polls));
	json_object_object_add(obj, "empty_polls", rpc_number(q->cnt.empty_polls));
	json_object_object_add(obj, "kicks", rpc_number(q->cnt.kicks));
	json_object_object_add(obj, "calls", rpc_number(q->cnt.calls));
	return obj;
}

static struct json_object *region_json(const struct vu_region_info *r)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "gpa", hex(r->gpa));
	json_object_object_add(obj, "uva", hex(r->uva));
	json_object_object_add(obj, "bytes", rpc_number(r->len));
	return obj;
}

struct json_object *rpc_session_json(const struct vu_session_info *s)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *queues = json_object_new_array(), *regions = json_object_new_array();
	bool started = false;
	int inflight = 0;

	for (unsigned i = 0; i < s->nqueues; i++) {
		started |= s->queues[i].started;
		inflight += s->queues[i].inflight;
		json_object_array_add(queues, queue_json(&s->queues[i]));
	}
	for (unsigned i = 0; i < s->nregions; i++)
		json_object_array_add(regions, region_json(&s->regions[i]));
	json_object_object_add(obj, "state", json_object_new_string(s->state));
	json_object_object_add(obj, "started", json_object_new_boolean(started));
	json_object_object_add(obj, "peer_pid", json_object_new_int(s->peer_pid));
	json_object_object_add(obj, "max_queues", json_object_new_int((int)s->nqueues));
	json_object_object_add(obj, "inflight_task_cnt", json_object_new_int(inflight));
	json_object_object_add(obj, "device_status", json_object_new_int(s->status));
	json_object_object_add(obj, "features", hex(s->features));
	json_object_object_add(obj, "feature_names", names(s->features, featnames_virtio_blk));
	json_object_object_add(obj, "protocol_features", hex(s->protocol_features));
	json_object_object_add(obj, "protocol_feature_names",
			       names(s->protocol_features, featnames_vhost_user));
	json_object_object_add(obj, "regions", regions);
	json_object_object_add(obj, "queues", queues);
	return obj;
}

static struct json_object *block_json(const struct wiring_export *e)
{
	struct json_object *obj = json_object_new_object(), *blk = json_object_new_object();

	json_object_object_add(blk, "bdev", json_object_new_string(e->conf.disk));
	json_object_object_add(
		blk, "readonly",
		json_object_new_boolean(e->conf.read_only || e->disk->bdev->lim.read_only));
	json_object_object_add(blk, "transport", json_object_new_string("vhost_user_blk"));
	json_object_object_add(blk, "packed_ring", json_object_new_boolean(e->conf.packed));
	json_object_object_add(blk, "queues", json_object_new_int((int)e->conf.queues));
	json_object_object_add(obj, "block", blk);
	return obj;
}

/* NULL when memory is out. */
static struct json_object *export_json(const struct wiring_export *e)
{
	struct json_object *obj, *sessions;
	struct vu_session_info info;
	char cpus[256];

	if (vu_server_get_info(e->server, &info))
		return NULL;
	obj = json_object_new_object();
	sessions = json_object_new_array();
	json_object_object_add(obj, "ctrlr", json_object_new_string(e->conf.name));
	json_object_object_add(obj, "socket",
			       e->conf.socket[0] ? json_object_new_string(e->conf.socket) : NULL);
	json_object_object_add(obj, "backend_specific", block_json(e));
	json_object_object_add(obj, "numa_node", json_object_new_int(e->disk->bdev->numa_node));
	json_object_object_add(
		obj, "cpus",
		json_object_new_string(wiring_cpus_format(e->w, &e->may, cpus, sizeof(cpus))));
	json_object_object_add(
		obj, "near_cpus",
		json_object_new_string(wiring_cpus_format(e->w, &e->near, cpus, sizeof(cpus))));
	json_object_object_add(obj, "connections", rpc_number(info.connections));
	json_object_object_add(obj, "ending", json_object_new_boolean(e->ending));
	if (info.connected)
		json_object_array_add(sessions, rpc_session_json(&info));
	json_object_object_add(obj, "sessions", sessions);
	vu_session_info_fini(&info);
	return obj;
}

static void get_controllers(struct rpc_call *call, const void *params)
{
	const struct ctrlr_params *p = params;
	struct wiring *w = rpc_wiring(call);
	struct json_object *arr;
	struct list *pos;

	if (p->ctrlr[0] && !export_or_fail(call, p->ctrlr))
		return;
	arr = json_object_new_array();
	list_for_each(pos, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (!p->ctrlr[0] || strcmp(p->ctrlr, e->conf.name) == 0)
			json_object_array_add(arr, export_json(e));
	}
	rpc_answer(call, arr);
}

static const struct rpc_method methods[] = {
	{ .name = "vhost_create_blk_controller", .fn = create_blk, .defaults = &create_defaults,
	  RPC_PARAMS(struct config_export, create_fields) },
	{ .name = "vhost_delete_controller", .fn = delete_ctrlr,
	  RPC_PARAMS(struct ctrlr_params, ctrlr_fields) },
	{ .name = "vhost_move_queue", .fn = move_queue, RPC_PARAMS(struct move_params, move_fields) },
	{ .name = "vhost_get_controllers", .fn = get_controllers,
	  RPC_PARAMS(struct ctrlr_params, maybe_ctrlr_fields) },
};

const struct rpc_group rpc_export_group = { methods, ARRAY_SIZE(methods) };
