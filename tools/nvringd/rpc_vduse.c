/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about VDUSE devices. */
#include <json-c/json.h>
#include <string.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "vdpa/vduse.h"

static const struct jread_field create_fields[] = {
	JREAD_ROW_TEXT(struct config_vduse, name, "name", true),
	JREAD_ROW_TEXT(struct config_vduse, disk, "dev_name", true),
	JREAD_ROW_BOOL(struct config_vduse, read_only, "readonly"),
	JREAD_ROW_BOOL(struct config_vduse, packed, "packed_ring"),
	JREAD_ROW_BOOL(struct config_vduse, write_cache, "write_cache"),
	JREAD_ROW_UINT(struct config_vduse, queues, "queues", 1, VDEV_QUEUES_MAX),
	JREAD_ROW_TEXT(struct config_vduse, serial, "serial", false),
	JREAD_ROW_TEXT(struct config_vduse, cpus, "cpus", false),
};

static const struct config_vduse create_defaults = {
	.queues = CONFIG_VDUSE_QUEUES_DEFAULT,
	.packed = true,
	.write_cache = true,
};

static void create(struct rpc_call *call, const void *params)
{
	struct config_vduse v = *(const struct config_vduse *)params;
	struct wiring *w = rpc_wiring(call);
	struct errbuf eb;

	if (config_vduse_check(&v, &eb)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
		return;
	}
	if (wiring_find_vduse(w, v.name)) {
		rpc_fail(call, JSONRPC_STATE, "there is another VDUSE device named \"%s\"", v.name);
		return;
	}
	if (!rpc_disk_or_fail(call, v.disk))
		return;
	if (wiring_vduse_create(w, &v, &eb))
		rpc_fail(call, JSONRPC_STATE, "%s", eb.text);
	else
		rpc_answer(call, json_object_new_string(v.name));
}

static struct wiring_vduse *vduse_or_fail(struct rpc_call *call, const char *name)
{
	struct wiring_vduse *v = wiring_find_vduse(rpc_wiring(call), name);

	if (!v)
		rpc_fail(call, JSONRPC_STATE, "no VDUSE device named \"%s\"", name);
	return v;
}

static void delete(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring_vduse *v = vduse_or_fail(call, p->name);

	if (v)
		wiring_vduse_delete(v, rpc_done_true, call);
}

/* NULL when memory is out. */
static struct json_object *vduse_json(const struct wiring_vduse *v)
{
	struct vu_session_info info;
	struct json_object *obj;
	char cpus[256];

	if (vduse_get_info(v->door, &info))
		return NULL;
	obj = json_object_new_object();
	json_object_object_add(obj, "name", json_object_new_string(v->conf.name));
	json_object_object_add(obj, "dev_name", json_object_new_string(v->conf.disk));
	json_object_object_add(
		obj, "readonly",
		json_object_new_boolean(v->conf.read_only || v->disk->bdev->lim.read_only));
	json_object_object_add(obj, "queues", json_object_new_int((int)v->conf.queues));
	json_object_object_add(obj, "packed_ring", json_object_new_boolean(v->conf.packed));
	json_object_object_add(
		obj, "cpus",
		json_object_new_string(wiring_cpus_format(v->w, &v->may, cpus, sizeof(cpus))));
	json_object_object_add(obj, "attached", json_object_new_boolean(info.connected));
	json_object_object_add(obj, "umem", json_object_new_boolean(vduse_has_umem(v->door)));
	json_object_object_add(obj, "ending", json_object_new_boolean(v->ending));
	json_object_object_add(obj, "session", rpc_session_json(&info));
	vu_session_info_fini(&info);
	return obj;
}

static void get_devices(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring *w = rpc_wiring(call);
	struct json_object *arr;
	struct list *pos;

	if (p->name[0] && !vduse_or_fail(call, p->name))
		return;
	arr = json_object_new_array();
	list_for_each(pos, &w->vduses) {
		struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (!p->name[0] || strcmp(p->name, v->conf.name) == 0)
			json_object_array_add(arr, vduse_json(v));
	}
	rpc_answer(call, arr);
}

static const struct rpc_method methods[] = {
	{ .name = "vduse_create_blk_device", .fn = create, .defaults = &create_defaults,
	  RPC_PARAMS(struct config_vduse, create_fields) },
	{ .name = "vduse_delete_device", .fn = delete, RPC_PARAMS(struct rpc_name, rpc_name_fields) },
	{ .name = "vduse_get_devices", .fn = get_devices,
	  RPC_PARAMS(struct rpc_name, rpc_maybe_name_fields) },
};

const struct rpc_group rpc_vduse_group = { methods, ARRAY_SIZE(methods) };
