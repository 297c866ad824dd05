/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about disks: list, create, delete, resize, faults. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "drivers/fault/faultb.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "tools/shared/diskuri.h"

/*
 * List
 */

static struct json_object *io_types_json(const struct bdev_limits *lim)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "read", json_object_new_boolean(1));
	json_object_object_add(obj, "write", json_object_new_boolean(!lim->read_only));
	json_object_object_add(obj, "flush", json_object_new_boolean(lim->has_flush));
	json_object_object_add(obj, "unmap",
			       json_object_new_boolean(lim->discard_max && !lim->read_only));
	json_object_object_add(obj, "write_zeroes",
			       json_object_new_boolean(lim->zeroes_max && !lim->read_only));
	return obj;
}

static struct json_object *disk_json(const struct wiring_disk *d)
{
	struct json_object *obj = json_object_new_object();
	const struct bdev_limits *lim = &d->bdev->lim;
	uint64_t bytes = bdev_bytes(d->bdev);

	json_object_object_add(obj, "name", json_object_new_string(d->conf.name));
	json_object_object_add(obj, "product_name", json_object_new_string(d->bdev->ops->name));
	json_object_object_add(obj, "uri", json_object_new_string(d->conf.uri));
	json_object_object_add(obj, "serial", json_object_new_string(d->bdev->id));
	json_object_object_add(obj, "block_size", json_object_new_int((int)lim->block_bytes));
	json_object_object_add(obj, "num_blocks", rpc_number(bytes / lim->block_bytes));
	json_object_object_add(obj, "size_bytes", rpc_number(bytes));
	json_object_object_add(obj, "physical_block_size",
			       json_object_new_int((int)lim->phys_bytes));
	json_object_object_add(obj, "read_only", json_object_new_boolean(lim->read_only));
	json_object_object_add(obj, "claimed", json_object_new_boolean(wiring_disk_exports(d) > 0));
	json_object_object_add(obj, "exports", json_object_new_int((int)wiring_disk_exports(d)));
	json_object_object_add(obj, "supported_io_types", io_types_json(lim));
	rpc_qos_add(obj, d);
	return obj;
}

static void get_bdevs(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring *w = rpc_wiring(call);
	struct json_object *arr;
	struct list *pos;

	if (p->name[0] && !rpc_disk_or_fail(call, p->name))
		return;
	arr = json_object_new_array();
	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);

		if (d->bdev && (!p->name[0] || strcmp(p->name, d->conf.name) == 0))
			json_object_array_add(arr, disk_json(d));
	}
	rpc_answer(call, arr);
}

/*
 * Create
 */

static void create_disk(struct rpc_call *call, struct config_disk *conf)
{
	struct wiring *w = rpc_wiring(call);
	struct errbuf eb;

	conf->where[0] = '\0';
	if (config_disk_check(conf, &eb)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "%s", eb.text);
		return;
	}
	if (wiring_find_disk(w, conf->name)) {
		rpc_fail(call, JSONRPC_STATE, "there is another disk named \"%s\"", conf->name);
		return;
	}
	if (conf->qos.group[0] && strcmp(conf->qos.group, CONFIG_QOS_GROUP_NONE) != 0 &&
	    !wiring_find_group(w, conf->qos.group)) {
		rpc_fail(call, JSONRPC_STATE, "no group named \"%s\"", conf->qos.group);
		return;
	}
	wiring_disk_create(w, conf, rpc_done_name, call);
}

static const struct config_disk disk_defaults = { .qos = CONFIG_QOS_DEFAULT };

static void bdev_create(struct rpc_call *call, const void *params)
{
	struct config_disk conf = *(const struct config_disk *)params;

	create_disk(call, &conf);
}

/* null and malloc: a size in blocks. */
struct blocks_params {
	char name[BDEV_NAME_MAX];
	uint64_t num_blocks;
	unsigned block_size;
};

static const struct jread_field blocks_fields[] = {
	JREAD_ROW_TEXT(struct blocks_params, name, "name", true),
	JREAD_ROW_SIZE(struct blocks_params, num_blocks, "num_blocks", true),
	JREAD_ROW_UINT(struct blocks_params, block_size, "block_size", 512, 4096),
};

static const struct blocks_params blocks_defaults = { .block_size = 512 };

static void create_blocks(struct rpc_call *call, const struct blocks_params *p, const char *scheme)
{
	struct config_disk conf;

	if (p->num_blocks > INT64_MAX / p->block_size) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "num_blocks: too large");
		return;
	}
	config_disk_init(&conf);
	memcpy(conf.name, p->name, sizeof(conf.name));
	snprintf(conf.uri, sizeof(conf.uri), "%s:%" PRIu64, scheme, p->num_blocks * p->block_size);
	if (p->block_size != 512)
		snprintf(conf.uri + strlen(conf.uri), sizeof(conf.uri) - strlen(conf.uri),
			 "?block=%u", p->block_size);
	create_disk(call, &conf);
}

static void bdev_null_create(struct rpc_call *call, const void *params)
{
	create_blocks(call, params, "null");
}

static void bdev_malloc_create(struct rpc_call *call, const void *params)
{
	create_blocks(call, params, "ram");
}

/* uring and aio: a file name. */
struct file_params {
	char name[BDEV_NAME_MAX];
	char filename[BDEV_URI_MAX / 2];
	unsigned block_size;
	bool readonly;
};

static const struct jread_field file_fields[] = {
	JREAD_ROW_TEXT(struct file_params, name, "name", true),
	JREAD_ROW_TEXT(struct file_params, filename, "filename", true),
	JREAD_ROW_UINT(struct file_params, block_size, "block_size", 512, 4096),
	JREAD_ROW_BOOL(struct file_params, readonly, "readonly"),
};

static void bdev_file_create(struct rpc_call *call, const void *params)
{
	const struct file_params *p = params;
	struct config_disk conf;

	config_disk_init(&conf);
	memcpy(conf.name, p->name, sizeof(conf.name));
	conf.read_only = p->readonly;
	if (diskuri_from_path(p->filename, conf.uri, sizeof(conf.uri) - 24)) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "filename: too long");
		return;
	}
	if (p->block_size)
		snprintf(conf.uri + strlen(conf.uri), 24, "?block=%u", p->block_size);
	create_disk(call, &conf);
}

/*
 * Change
 */

static void bdev_delete(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring_disk *d = rpc_disk_or_fail(call, p->name);

	if (d)
		wiring_disk_delete(d, rpc_done_true, call);
}

struct resize_params {
	char name[BDEV_NAME_MAX];
	uint64_t size;
};

static const struct jread_field resize_fields[] = {
	JREAD_ROW_TEXT(struct resize_params, name, "name", true),
	JREAD_ROW_SIZE(struct resize_params, size, "size", false),
};

static void bdev_resize_method(struct rpc_call *call, const void *params)
{
	const struct resize_params *p = params;
	struct wiring_disk *d = rpc_disk_or_fail(call, p->name);

	if (d)
		wiring_disk_resize(d, p->size, rpc_done_true, call);
}

struct fault_params {
	char name[BDEV_NAME_MAX];
	char rules[BDEV_URI_MAX];
};

static const struct jread_field fault_fields[] = {
	JREAD_ROW_TEXT(struct fault_params, name, "name", true),
	JREAD_ROW_TEXT(struct fault_params, rules, "rules", false),
};

static void fault_set_rules(struct rpc_call *call, const void *params)
{
	const struct fault_params *p = params;
	struct wiring_disk *d = rpc_disk_or_fail(call, p->name);
	struct errbuf eb;
	int err;

	if (!d)
		return;
	err = faultb_set_rules(d->bdev, p->rules, &eb);
	if (err)
		rpc_fail(call, err == -EINVAL ? JSONRPC_INVALID_PARAMS : JSONRPC_STATE, "%s", eb.text);
	else
		rpc_answer(call, json_object_new_boolean(1));
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_get_bdevs", .fn = get_bdevs, RPC_PARAMS(struct rpc_name, rpc_maybe_name_fields) },
	{ .name = "bdev_create", .fn = bdev_create, .defaults = &disk_defaults, .fields = config_disk_fields,
	  .nfields = CONFIG_DISK_NFIELDS, .params_bytes = sizeof(struct config_disk) },
	{ .name = "bdev_null_create", .fn = bdev_null_create, .defaults = &blocks_defaults,
	  RPC_PARAMS(struct blocks_params, blocks_fields) },
	{ .name = "bdev_malloc_create", .fn = bdev_malloc_create, .defaults = &blocks_defaults,
	  RPC_PARAMS(struct blocks_params, blocks_fields) },
	{ .name = "bdev_uring_create", .fn = bdev_file_create, RPC_PARAMS(struct file_params, file_fields) },
	{ .name = "bdev_aio_create", .fn = bdev_file_create, RPC_PARAMS(struct file_params, file_fields) },
	{ .name = "bdev_delete", .fn = bdev_delete, RPC_PARAMS(struct rpc_name, rpc_name_fields) },
	{ .name = "bdev_resize", .fn = bdev_resize_method,
	  RPC_PARAMS(struct resize_params, resize_fields) },
	{ .name = "fault_set_rules", .fn = fault_set_rules,
	  RPC_PARAMS(struct fault_params, fault_fields) },
};

const struct rpc_group rpc_disk_group = { methods, ARRAY_SIZE(methods) };
