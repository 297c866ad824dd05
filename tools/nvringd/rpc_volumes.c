/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about pools and their volumes. */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/worker.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "tools/nvringd/wiring_attach.h"
#include "tools/nvringd/wiring_pool.h"
#include "tools/nvringd/wiring_volume.h"
#include "vhost/user/vu_server.h"

/*
 * Change
 */

#define ASK_ROW_NAME JREAD_ROW_TEXT(struct wiring_volume_ask, name, "name", true)
#define ASK_ROW_POOL JREAD_ROW_TEXT(struct wiring_volume_ask, pool, "pool", false)
#define ASK_ROW_SIZE JREAD_ROW_SIZE(struct wiring_volume_ask, bytes, "size", true)

static const struct jread_field create_fields[] = { ASK_ROW_NAME, ASK_ROW_POOL, ASK_ROW_SIZE };
static const struct jread_field resize_fields[] = {
	ASK_ROW_NAME, ASK_ROW_POOL, ASK_ROW_SIZE,
	JREAD_ROW_BOOL(struct wiring_volume_ask, may_shrink, "shrink"),
};
static const struct jread_field remove_fields[] = { ASK_ROW_NAME, ASK_ROW_POOL };
static const struct jread_field export_fields[] = {
	ASK_ROW_NAME, ASK_ROW_POOL,
	JREAD_ROW_TEXT(struct wiring_volume_ask, conf.socket, "socket", false),
	JREAD_ROW_BOOL(struct wiring_volume_ask, conf.read_only, "readonly"),
	JREAD_ROW_UINT(struct wiring_volume_ask, conf.queues, "queues", 1, VDEV_QUEUES_MAX),
	JREAD_ROW_MODE(struct wiring_volume_ask, conf.mode, "mode"),
};
static const struct jread_field unexport_fields[] = {
	ASK_ROW_NAME, ASK_ROW_POOL, JREAD_ROW_BOOL(struct wiring_volume_ask, force, "force"),
};

static const struct wiring_volume_ask ask_defaults = {
	.conf = { .fd = -1, .queues = CONFIG_QUEUES_DEFAULT, .mode = 0600, .packed = true, .write_cache = true },
};

/* wiring_volume_done_fn */
static void done(void *arg, int err, const char *text)
{
	struct rpc_call *call = arg;

	if (err)
		rpc_fail(call, JSONRPC_STATE, "%s", text);
	else
		rpc_answer(call, json_object_new_string(text));
}

static void start(struct rpc_call *call, const void *params, enum wiring_volume_op op)
{
	const struct wiring_volume_ask *ask = params;
	struct errbuf eb;

	if (pool_name_check(ask->name, &eb))
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "name: %s", eb.text);
	else if ((op == WIRING_VOLUME_CREATE || op == WIRING_VOLUME_RESIZE) && pool_size_check(ask->bytes, &eb))
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "size: %s", eb.text);
	else
		wiring_volume_start(rpc_wiring(call), op, ask, done, call);
}

static void volume_create(struct rpc_call *call, const void *params)
{
	start(call, params, WIRING_VOLUME_CREATE);
}

static void volume_resize(struct rpc_call *call, const void *params)
{
	start(call, params, WIRING_VOLUME_RESIZE);
}

static void volume_remove(struct rpc_call *call, const void *params)
{
	start(call, params, WIRING_VOLUME_REMOVE);
}

static void volume_export(struct rpc_call *call, const void *params)
{
	start(call, params, WIRING_VOLUME_EXPORT);
}

static void volume_unexport(struct rpc_call *call, const void *params)
{
	start(call, params, WIRING_VOLUME_UNEXPORT);
}

/*
 * Look: on a worker, since a directory may be slow
 */

struct look_pool {
	const struct wiring_pool *pool;
	struct pool_volume *volumes;
	size_t nvolumes;
	struct pool_space space;
	int err; /* and why there is nothing to see in it */
	struct errbuf eb;
};

struct look {
	struct worker worker;
	struct rpc_call *call;
	struct wiring *w;
	bool pools_only, is_named;
	unsigned n;
	struct look_pool pools[CONFIG_POOLS_MAX];
};

static int look_work(struct worker *worker)
{
	struct look *l = container_of(worker, struct look, worker);

	for (unsigned i = 0; i < l->n; i++) {
		struct look_pool *p = &l->pools[i];

		p->err = pool_list(p->pool->pool, &p->volumes, &p->nvolumes, &p->eb);
		if (!p->err)
			p->err = pool_space(p->pool->pool, &p->space, &p->eb);
	}
	return l->is_named ? l->pools[0].err : 0; /* one that is broken hides no other */
}

static struct json_object *pool_json(const struct look_pool *p)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name", json_object_new_string(p->pool->conf.name));
	json_object_object_add(obj, "uri", json_object_new_string(p->pool->conf.uri));
	json_object_object_add(obj, "volumes", rpc_number(p->nvolumes));
	json_object_object_add(obj, "size_bytes", rpc_number(p->space.bytes));
	json_object_object_add(obj, "free_bytes", rpc_number(p->space.free_bytes));
	if (p->err)
		json_object_object_add(obj, "trouble", json_object_new_string(p->eb.text));
	return obj;
}

static void add_served(struct wiring *w, const struct wiring_disk *d, struct json_object *obj)
{
	struct json_object *arr = json_object_new_array();
	struct vu_session_info info;
	struct list *pos;

	json_object_object_add(obj, "disk", d ? json_object_new_string(d->conf.name) : NULL);
	list_for_each(pos, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);
		struct json_object *one;

		if (!d || e->disk != d || vu_server_get_info(e->server, &info))
			continue;
		one = json_object_new_object();
		json_object_object_add(one, "ctrlr", json_object_new_string(e->conf.name));
		json_object_object_add(one, "socket", json_object_new_string(e->conf.socket));
		json_object_object_add(one, "peer_pid", info.connected ? json_object_new_int(info.peer_pid) : NULL);
		json_object_array_add(arr, one);
		vu_session_info_fini(&info);
	}
	json_object_object_add(obj, "exports", arr);
}

/* What it is on this host beside that: nodes, and names on the vDPA bus. */
static void add_devices(struct wiring *w, const struct wiring_disk *d, struct json_object *obj)
{
	struct json_object *arr = json_object_new_array();
	struct list *pos;

	list_for_each(pos, &w->attachs) {
		const struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);
		struct door_info info;

		if (!d || a->disk != d)
			continue;
		door_get_info(a->door, &info);
		json_object_array_add(arr, json_object_new_string(info.node));
	}
	list_for_each(pos, &w->vduses) {
		const struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (d && v->disk == d)
			json_object_array_add(arr, json_object_new_string(v->conf.name));
	}
	json_object_object_add(obj, "devices", arr);
}

static struct json_object *volume_json(struct wiring *w, const struct look_pool *p, const struct pool_volume *v)
{
	const struct wiring_disk *d = wiring_pool_volume_disk(w, p->pool, v->name);
	struct json_object *obj = json_object_new_object();
	char path[PATH_MAX];

	json_object_object_add(obj, "name", json_object_new_string(v->name));
	json_object_object_add(obj, "pool", json_object_new_string(p->pool->conf.name));
	json_object_object_add(obj, "size_bytes", rpc_number(v->bytes));
	json_object_object_add(obj, "used_bytes", rpc_number(v->used_bytes));
	if (pool_is_disk(p->pool->pool))
		json_object_object_add(obj, "offset_bytes", rpc_number(v->off));
	if (pool_image_path(p->pool->pool, v->name, path, sizeof(path)) == 0)
		json_object_object_add(obj, "path", json_object_new_string(path));
	add_served(w, d, obj);
	add_devices(w, d, obj);
	return obj;
}

static struct json_object *look_json(const struct look *l)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned i = 0; i < l->n; i++) {
		const struct look_pool *p = &l->pools[i];

		if (l->pools_only)
			json_object_array_add(arr, pool_json(p));
		for (size_t k = 0; k < p->nvolumes && !l->pools_only; k++)
			json_object_array_add(arr, volume_json(l->w, p, &p->volumes[k]));
	}
	return arr;
}

static void look_done(struct worker *worker, int err)
{
	struct look *l = container_of(worker, struct look, worker);
	struct wiring *w = l->w;

	if (err)
		rpc_fail(l->call, JSONRPC_STATE, "%s", l->pools[0].eb.text);
	else
		rpc_answer(l->call, look_json(l));
	for (unsigned i = 0; i < l->n; i++)
		free(l->pools[i].volumes);
	free(l);
	w->busy--;
	wiring_step(w);
}

struct list_params {
	char pool[POOL_NAME_MAX];
};

static const struct jread_field list_fields[] = {
	JREAD_ROW_TEXT(struct list_params, pool, "pool", false),
};

static void look_start(struct rpc_call *call, const char *pool, bool pools_only)
{
	struct wiring *w = rpc_wiring(call);
	struct look *l = NULL;
	struct list *pos;
	int err;

	if (pool[0] && !wiring_find_pool(w, pool)) {
		rpc_fail(call, JSONRPC_STATE, "no pool named \"%s\"", pool);
		return;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		rpc_fail(call, JSONRPC_INTERNAL, "out of memory");
		return;
	}
	l->call = call;
	l->w = w;
	l->pools_only = pools_only;
	l->is_named = pool[0];
	list_for_each(pos, &w->pools) {
		struct wiring_pool *p = list_entry(pos, struct wiring_pool, link);

		if (!pool[0] || strcmp(pool, p->conf.name) == 0)
			l->pools[l->n++].pool = p;
	}
	err = worker_start(&l->worker, look_work, look_done);
	if (err) {
		rpc_fail(call, JSONRPC_INTERNAL, "%s", strerror(-err));
		free(l);
		return;
	}
	w->busy++;
}

static void volume_list(struct rpc_call *call, const void *params)
{
	look_start(call, ((const struct list_params *)params)->pool, false);
}

static void pool_list_method(struct rpc_call *call, const void *params)
{
	look_start(call, "", true);
}

struct init_params {
	char name[POOL_NAME_MAX];
	bool force;
};

static const struct jread_field init_fields[] = {
	JREAD_ROW_TEXT(struct init_params, name, "name", true),
	JREAD_ROW_BOOL(struct init_params, force, "force"),
};

static void pool_init_method(struct rpc_call *call, const void *params)
{
	const struct init_params *p = params;
	struct wiring *w = rpc_wiring(call);
	struct wiring_pool *pool = wiring_find_pool(w, p->name);

	if (pool)
		wiring_pool_init(pool, w, p->force, rpc_done_true, call);
	else
		rpc_fail(call, JSONRPC_STATE, "no pool named \"%s\"", p->name);
}

#define ASK_METHOD(name_, fields_)                                                                 \
	{ .name = #name_, .fn = name_, .defaults = &ask_defaults,                                  \
	  RPC_PARAMS(struct wiring_volume_ask, fields_) }

static const struct rpc_method methods[] = {
	{ .name = "pool_list", .fn = pool_list_method },
	{ .name = "pool_init", .fn = pool_init_method, RPC_PARAMS(struct init_params, init_fields) },
	{ .name = "volume_list", .fn = volume_list, RPC_PARAMS(struct list_params, list_fields) },
	ASK_METHOD(volume_create, create_fields),
	ASK_METHOD(volume_resize, resize_fields),
	ASK_METHOD(volume_remove, remove_fields),
	ASK_METHOD(volume_export, export_fields),
	ASK_METHOD(volume_unexport, unexport_fields),
};

const struct rpc_group rpc_volume_group = { methods, ARRAY_SIZE(methods) };
