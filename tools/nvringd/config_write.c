/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration back to its file: a JSON value, and a write that survives a crash. */
#include "tools/nvringd/config.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/shared/diskuri.h"
#include "tools/shared/jsonfile.h"

/* A relative path is made absolute: the file may be loaded from anywhere. As it was when it gets too long. */
static struct json_object *absolute_path(const char *path, size_t max)
{
	char cwd[PATH_MAX], buf[PATH_MAX + CONFIG_SOCKET_MAX];
	int len;

	if (path[0] == '/' || !getcwd(cwd, sizeof(cwd)))
		return json_object_new_string(path);
	len = snprintf(buf, sizeof(buf), "%s/%s", cwd, path);
	return json_object_new_string(len > 0 && (size_t)len < max ? buf : path);
}

/* The same for a file: URI. */
static struct json_object *absolute_uri(const char *uri)
{
	char buf[BDEV_URI_MAX];

	diskuri_absolute(uri, buf, sizeof(buf));
	return json_object_new_string(buf);
}

static struct json_object *build_reactors(const struct config *c)
{
	struct json_object *obj = json_object_new_object();

	if (c->cpus[0])
		json_object_object_add(obj, "cpus", json_object_new_string(c->cpus));
	json_object_object_add(obj, "mode", json_object_new_string(reactor_mode_name(c->mode)));
	json_object_object_add(obj, "rebalance", json_object_new_boolean(c->rebalance));
	json_object_object_add(obj, "idle_min_us", json_object_new_int((int)c->idle_min_us));
	json_object_object_add(obj, "idle_max_us", json_object_new_int((int)c->idle_max_us));
	return obj;
}

static struct json_object *build_disk(const struct config_disk *d)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name", json_object_new_string(d->name));
	json_object_object_add(obj, "uri", absolute_uri(d->uri));
	json_object_object_add(obj, "read_only", json_object_new_boolean(d->read_only));
	config_qos_build(&d->qos, obj);
	return obj;
}

static struct json_object *build_group(const struct config_group *g)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name", json_object_new_string(g->name));
	config_limits_build(&g->limits, obj);
	return obj;
}

static struct json_object *build_export(const struct config_export *e)
{
	struct json_object *obj = json_object_new_object();
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", e->mode & 0777);
	json_object_object_add(obj, "name", json_object_new_string(e->name));
	json_object_object_add(obj, "disk", json_object_new_string(e->disk));
	json_object_object_add(obj, "type", json_object_new_string("vhost-user-blk"));
	json_object_object_add(obj, "socket", absolute_path(e->socket, CONFIG_SOCKET_MAX));
	json_object_object_add(obj, "mode", json_object_new_string(mode));
	json_object_object_add(obj, "read_only", json_object_new_boolean(e->read_only));
	json_object_object_add(obj, "queues", json_object_new_int((int)e->queues));
	json_object_object_add(obj, "packed", json_object_new_boolean(e->packed));
	json_object_object_add(obj, "write_cache", json_object_new_boolean(e->write_cache));
	if (e->serial[0])
		json_object_object_add(obj, "serial", json_object_new_string(e->serial));
	if (e->cpus[0])
		json_object_object_add(obj, "cpus", json_object_new_string(e->cpus));
	return obj;
}

static struct json_object *build_vduse(const struct config_vduse *v)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "name", json_object_new_string(v->name));
	json_object_object_add(obj, "disk", json_object_new_string(v->disk));
	json_object_object_add(obj, "read_only", json_object_new_boolean(v->read_only));
	json_object_object_add(obj, "queues", json_object_new_int((int)v->queues));
	json_object_object_add(obj, "packed", json_object_new_boolean(v->packed));
	json_object_object_add(obj, "write_cache", json_object_new_boolean(v->write_cache));
	if (v->serial[0])
		json_object_object_add(obj, "serial", json_object_new_string(v->serial));
	if (v->cpus[0])
		json_object_object_add(obj, "cpus", json_object_new_string(v->cpus));
	return obj;
}

static void add_vduses(const struct config *c, struct json_object *top)
{
	struct json_object *arr;

	if (!c->nvduses)
		return;
	arr = json_object_new_array();
	for (unsigned i = 0; i < c->nvduses; i++)
		json_object_array_add(arr, build_vduse(&c->vduses[i]));
	json_object_object_add(top, "vduse", arr);
}

struct json_object *config_build(const struct config *c)
{
	struct json_object *top = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	struct json_object *exports = json_object_new_array();
	struct json_object *groups;

	json_object_object_add(top, "reactors", build_reactors(c));
	json_object_object_add(top, "log_level",
			       json_object_new_string(log_level_name(c->log_level)));
	json_object_object_add(top, "lock_wait_ms", json_object_new_int((int)c->lock_wait_ms));
	if (c->rpc[0]) {
		struct json_object *rpc = json_object_new_object();

		json_object_object_add(rpc, "socket", absolute_path(c->rpc, CONFIG_SOCKET_MAX));
		json_object_object_add(top, "rpc", rpc);
	}
	if (c->ngroups) {
		groups = json_object_new_array();
		for (unsigned i = 0; i < c->ngroups; i++)
			json_object_array_add(groups, build_group(&c->groups[i]));
		json_object_object_add(top, "groups", groups);
	}
	for (unsigned i = 0; i < c->ndisks; i++)
		json_object_array_add(disks, build_disk(&c->disks[i]));
	json_object_object_add(top, "disks", disks);
	for (unsigned i = 0; i < c->nexports; i++) {
		if (c->exports[i].socket[0]) /* an inherited fd ends with this process */
			json_object_array_add(exports, build_export(&c->exports[i]));
	}
	json_object_object_add(top, "exports", exports);
	add_vduses(c, top);
	config_attachs_build(c, top);
	config_pools_build(c, top);
	return top;
}

int config_save(const char *path, struct json_object *json, struct errbuf *eb)
{
	return jsonfile_save(path, json, 0600, eb);
}
