/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about attached disks, with SPDK's names; and one that tells all kinds. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring_attach.h"
#include "vdpa/fusefile.h"
#include "vdpa/nbd.h"
#include "vdpa/ublk.h"

static const struct jread_field ublk_start_fields[] = {
	JREAD_ROW_TEXT(struct config_attach, disk, "bdev_name", true),
	JREAD_ROW_UINT(struct config_attach, id, "ublk_id", 0, UBLK_ID_MAX),
	JREAD_ROW_UINT(struct config_attach, queues, "num_queues", 1, UBLK_QUEUES_LIMIT),
	JREAD_ROW_UINT(struct config_attach, depth, "queue_depth", 1, UBLK_DEPTH_LIMIT),
	JREAD_ROW_BOOL(struct config_attach, read_only, "readonly"),
};

static const struct config_attach ublk_defaults = { .as = "ublk", .id = CONFIG_ATTACH_ANY };

/* The disk's newest attachment has come to live. */
static struct wiring_attach *newest(struct wiring *w, const char *disk)
{
	struct wiring_attach *found = NULL;
	struct list *pos;

	list_for_each(pos, &w->attachs) {
		struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);

		if (a->live && strcmp(a->conf.disk, disk) == 0)
			found = a;
	}
	return found;
}

static void started(void *arg, int err, const char *why)
{
	struct rpc_call *call = arg;
	const struct config_attach *conf = rpc_params(call);
	struct wiring_attach *a;

	if (err) {
		rpc_fail(call, JSONRPC_STATE, "%s: %s", conf->disk, why);
		return;
	}
	a = newest(rpc_wiring(call), conf->disk);
	if (strcmp(conf->as, "ublk") == 0)
		rpc_answer(call, json_object_new_int((int)a->rec.id)); /* as SPDK does */
	else
		rpc_answer(call, json_object_new_string(a->rec.node));
}

static void start_disk(struct rpc_call *call, const void *params)
{
	const struct config_attach *conf = params;
	struct errbuf eb;

	if (config_attach_check(conf, &eb))
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
	else if (rpc_disk_or_fail(call, conf->disk))
		wiring_attach_create(rpc_wiring(call), conf, started, call);
}

static const struct jread_field nbd_start_fields[] = {
	JREAD_ROW_TEXT(struct config_attach, disk, "bdev_name", true),
	JREAD_ROW_UINT(struct config_attach, id, "nbd_id", 0, NBD_ID_MAX),
	JREAD_ROW_UINT(struct config_attach, queues, "num_connections", 1, NBD_CONNS_LIMIT),
	JREAD_ROW_BOOL(struct config_attach, read_only, "readonly"),
};

static const struct config_attach nbd_defaults = { .as = "nbd", .id = CONFIG_ATTACH_ANY };

static const struct jread_field fuse_start_fields[] = {
	JREAD_ROW_TEXT(struct config_attach, disk, "bdev_name", true),
	JREAD_ROW_UINT(struct config_attach, id, "fuse_id", 0, FUSEFILE_ID_MAX),
	JREAD_ROW_UINT(struct config_attach, depth, "queue_depth", 1, FUSEFILE_DEPTH_LIMIT),
	JREAD_ROW_TEXT(struct config_attach, path, "path", false),
	JREAD_ROW_BOOL(struct config_attach, read_only, "readonly"),
};

static const struct config_attach fuse_defaults = { .as = "fuse", .id = CONFIG_ATTACH_ANY };

struct stop_params {
	unsigned id;
	bool force;
};

static const struct jread_field ublk_stop_fields[] = {
	{ .key = "ublk_id", .type = JREAD_UINT, .required = true,
	  .offset = offsetof(struct stop_params, id), .max = UBLK_ID_MAX },
	JREAD_ROW_BOOL(struct stop_params, force, "force"),
};

static void stop_disk(struct rpc_call *call, const char *as, const struct stop_params *p)
{
	struct wiring_attach *a = wiring_find_attach(rpc_wiring(call), as, p->id);

	if (a)
		wiring_attach_delete(a, p->force, rpc_done_true, call);
	else
		rpc_fail(call, JSONRPC_STATE, "no disk of this nvringd is %s device %u", as, p->id);
}

static void ublk_stop_disk(struct rpc_call *call, const void *params)
{
	stop_disk(call, "ublk", params);
}

static const struct jread_field nbd_stop_fields[] = {
	{ .key = "nbd_id", .type = JREAD_UINT, .required = true, .offset = offsetof(struct stop_params, id),
	  .max = NBD_ID_MAX },
	JREAD_ROW_BOOL(struct stop_params, force, "force"),
};

static void nbd_stop_disk(struct rpc_call *call, const void *params)
{
	stop_disk(call, "nbd", params);
}

static const struct jread_field fuse_stop_fields[] = {
	{ .key = "fuse_id", .type = JREAD_UINT, .required = true, .offset = offsetof(struct stop_params, id),
	  .max = UBLK_ID_MAX },
	JREAD_ROW_BOOL(struct stop_params, force, "force"),
};

static void fuse_stop_disk(struct rpc_call *call, const void *params)
{
	stop_disk(call, "fuse", params);
}

static struct json_object *attach_json(const struct wiring_attach *a)
{
	struct json_object *obj = json_object_new_object();
	struct door_info info;
	char key[24];

	door_get_info(a->door, &info);
	snprintf(key, sizeof(key), "%s_device", a->conf.as);
	json_object_object_add(obj, key, json_object_new_string(info.node));
	json_object_object_add(obj, "as", json_object_new_string(a->conf.as));
	json_object_object_add(obj, "node", json_object_new_string(info.node));
	json_object_object_add(obj, "id", json_object_new_int((int)info.id));
	json_object_object_add(obj, "bdev_name", json_object_new_string(a->conf.disk));
	json_object_object_add(obj, "num_queues", json_object_new_int((int)info.queues));
	json_object_object_add(obj, "queue_depth", json_object_new_int((int)info.depth));
	json_object_object_add(obj, "readonly", json_object_new_boolean(info.read_only));
	json_object_object_add(obj, "adopted", json_object_new_boolean(info.adopted));
	json_object_object_add(obj, "ending", json_object_new_boolean(a->ending));
	json_object_object_add(obj, "ios", rpc_number(info.ios));
	json_object_object_add(obj, "errors", rpc_number(info.errors));
	return obj;
}

static struct json_object *attachs_json(struct wiring *w, const char *as)
{
	struct json_object *arr = json_object_new_array();
	struct list *pos;

	list_for_each(pos, &w->attachs) {
		struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);

		if (a->live && (!as || strcmp(as, a->conf.as) == 0))
			json_object_array_add(arr, attach_json(a));
	}
	return arr;
}

static void get_all(struct rpc_call *call, const void *params)
{
	(void)params;
	rpc_answer(call, attachs_json(rpc_wiring(call), NULL));
}

static void ublk_get_disks(struct rpc_call *call, const void *params)
{
	(void)params;
	rpc_answer(call, attachs_json(rpc_wiring(call), "ublk"));
}

static void nbd_get_disks(struct rpc_call *call, const void *params)
{
	(void)params;
	rpc_answer(call, attachs_json(rpc_wiring(call), "nbd"));
}

static void fuse_get_disks(struct rpc_call *call, const void *params)
{
	(void)params;
	rpc_answer(call, attachs_json(rpc_wiring(call), "fuse"));
}

static const struct rpc_method methods[] = {
	{ .name = "attach_get_disks", .fn = get_all },
	{ .name = "ublk_start_disk", .fn = start_disk, .defaults = &ublk_defaults,
	  RPC_PARAMS(struct config_attach, ublk_start_fields) },
	{ .name = "ublk_stop_disk", .fn = ublk_stop_disk,
	  RPC_PARAMS(struct stop_params, ublk_stop_fields) },
	{ .name = "ublk_get_disks", .fn = ublk_get_disks },
	{ .name = "nbd_start_disk", .fn = start_disk, .defaults = &nbd_defaults,
	  RPC_PARAMS(struct config_attach, nbd_start_fields) },
	{ .name = "nbd_stop_disk", .fn = nbd_stop_disk, RPC_PARAMS(struct stop_params, nbd_stop_fields) },
	{ .name = "nbd_get_disks", .fn = nbd_get_disks },
	{ .name = "fuse_start_disk", .fn = start_disk, .defaults = &fuse_defaults,
	  RPC_PARAMS(struct config_attach, fuse_start_fields) },
	{ .name = "fuse_stop_disk", .fn = fuse_stop_disk, RPC_PARAMS(struct stop_params, fuse_stop_fields) },
	{ .name = "fuse_get_disks", .fn = fuse_get_disks },
};

const struct rpc_group rpc_attach_group = { methods, ARRAY_SIZE(methods) };
