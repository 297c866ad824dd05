/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's configuration: defaults, the JSON file, and the checks. */
#include "tools/nvringd/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/cpulist.h"
#include "tools/nvringd/jdup.h"

const struct jread_field config_disk_fields[CONFIG_DISK_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_disk, name, "name", true),
	JREAD_ROW_TEXT(struct config_disk, uri, "uri", true),
	JREAD_ROW_BOOL(struct config_disk, read_only, "read_only"),
	CONFIG_QOS_ROWS(struct config_disk, qos),
};

const struct jread_field config_group_fields[CONFIG_GROUP_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_group, name, "name", true),
	CONFIG_LIMITS_ROWS(struct config_group, limits),
};

const struct jread_field config_export_fields[CONFIG_EXPORT_NFIELDS] = {
	JREAD_ROW_TEXT(struct config_export, disk, "disk", true),
	JREAD_ROW_TEXT(struct config_export, socket, "socket", true),
	JREAD_ROW_TEXT(struct config_export, name, "name", false),
	JREAD_ROW_TEXT(struct config_export, type, "type", false),
	JREAD_ROW_BOOL(struct config_export, read_only, "read_only"),
	JREAD_ROW_UINT(struct config_export, queues, "queues", 1, VDEV_QUEUES_MAX),
	JREAD_ROW_BOOL(struct config_export, packed, "packed"),
	JREAD_ROW_BOOL(struct config_export, write_cache, "write_cache"),
	JREAD_ROW_TEXT(struct config_export, serial, "serial", false),
	JREAD_ROW_MODE(struct config_export, mode, "mode"),
	JREAD_ROW_TEXT(struct config_export, cpus, "cpus", false),
};

void config_init(struct config *c)
{
	*c = (struct config){
		.mode = REACTOR_ADAPTIVE,
		.rebalance = true,
		.idle_min_us = REACTOR_IDLE_MIN_NS / MONO_NS_PER_US,
		.idle_max_us = REACTOR_IDLE_MAX_NS / MONO_NS_PER_US,
		.log_level = LOG_LEVEL_NOTICE,
		.lock_wait_ms = CONFIG_LOCK_WAIT_MS,
		.rpc_on = true,
	};
}

void config_fini(struct config *c)
{
	free(c->exports);
	free(c->disks);
	free(c->groups);
	free(c->vduses);
	free(c->attachs);
	free(c->pools);
	config_init(c);
}

void config_disk_init(struct config_disk *d)
{
	*d = (struct config_disk){ .qos = CONFIG_QOS_DEFAULT };
}

void config_export_init(struct config_export *e)
{
	*e = (struct config_export){
		.fd = -1,
		.queues = CONFIG_QUEUES_DEFAULT,
		.mode = 0600,
		.packed = true,
		.write_cache = true,
	};
}

int config_name_check(const char *where, const char *key, const char *name, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];

	for (const char *s = name; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._-+:", *s))
			return errbuf_set(eb, -EINVAL,
					  "%s: a name consists of letters, digits and . _ - + :",
					  jread_join(where, key, full));
	}
	if (name[0] == '\0' || !isalnum((unsigned char)name[0]))
		return errbuf_set(eb, -EINVAL, "%s: a name begins with a letter or a digit",
				  jread_join(where, key, full));
	return 0;
}

static int check_limits(const char *where, const struct qos_limits *lim, struct errbuf *eb)
{
	struct errbuf why;

	if (!qos_limits_check(lim, &why))
		return 0;
	return errbuf_set(eb, -EINVAL, "%.200s%s%.280s", where, where[0] ? ": " : "", why.text);
}

int config_disk_check(const struct config_disk *d, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	int err = config_name_check(d->where, "name", d->name, eb);

	if (err)
		return err;
	if (!strchr(d->uri, ':'))
		return errbuf_set(eb, -EINVAL, "%s: \"%.100s\" is no disk URI, did you mean file:%.100s?",
				  jread_join(d->where, "uri", full), d->uri, d->uri);
	return check_limits(d->where, &d->qos.limits, eb);
}

int config_group_check(const struct config_group *g, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	int err = config_name_check(g->where, "name", g->name, eb);

	if (err)
		return err;
	if (strcmp(g->name, CONFIG_QOS_GROUP_NONE) == 0)
		return errbuf_set(eb, -EINVAL, "%s: \"%s\" takes a disk out of its group, name it otherwise",
				  jread_join(g->where, "name", full), g->name);
	return check_limits(g->where, &g->limits, eb);
}

int config_export_check(const struct config_export *e, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct errbuf why;
	cpu_set_t set;

	if (e->cpus[0] && cpulist_parse(e->cpus, &set, &why))
		return errbuf_set(eb, -EINVAL, "%s: %.200s", jread_join(e->where, "cpus", full),
				  why.text);
	if (e->type[0] && strcmp(e->type, "vhost-user-blk") != 0)
		return errbuf_set(eb, -EINVAL, "%s: no export type \"%s\" (known: vhost-user-blk)",
				  jread_join(e->where, "type", full), e->type);
	if (e->name[0])
		return config_name_check(e->where, "name", e->name, eb);
	return 0;
}

static bool has_export_name(const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->nexports; i++) {
		if (strcmp(c->exports[i].name, name) == 0)
			return true;
	}
	return false;
}

static const struct config_disk *find_disk(const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->ndisks; i++) {
		if (strcmp(c->disks[i].name, name) == 0)
			return &c->disks[i];
	}
	return NULL;
}

bool config_has_disk(const struct config *c, const char *name)
{
	return find_disk(c, name) != NULL;
}

int config_add_disk(struct config *c, const struct config_disk *d, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct config_disk *disks;
	int err = config_disk_check(d, eb);

	if (err)
		return err;
	if (find_disk(c, d->name))
		return errbuf_set(eb, -EINVAL, "%s: there is another disk named \"%s\"",
				  jread_join(d->where, "name", full), d->name);
	if (c->ndisks == CONFIG_DISKS_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d disks", d->where, CONFIG_DISKS_MAX);
	disks = realloc(c->disks, (c->ndisks + 1) * sizeof(*disks));
	if (!disks)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->disks = disks;
	c->disks[c->ndisks++] = *d;
	return 0;
}

int config_add_export(struct config *c, const struct config_export *e, struct errbuf *eb)
{
	struct config_export *exports;
	char full[JREAD_WHERE_MAX];
	int err = config_export_check(e, eb);

	if (err)
		return err;
	if (e->name[0] && has_export_name(c, e->name))
		return errbuf_set(eb, -EINVAL, "%s: there is another export named \"%s\"",
				  jread_join(e->where, "name", full), e->name);
	for (unsigned i = 0; i < c->nexports; i++) {
		if (e->socket[0] && strcmp(c->exports[i].socket, e->socket) == 0)
			return errbuf_set(eb, -EINVAL, "%s: another export has the socket %s",
					  jread_join(e->where, "socket", full), e->socket);
	}
	if (c->nexports == CONFIG_EXPORTS_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d exports", e->where,
				  CONFIG_EXPORTS_MAX);
	exports = realloc(c->exports, (c->nexports + 1) * sizeof(*exports));
	if (!exports)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->exports = exports;
	c->exports[c->nexports++] = *e;
	return 0;
}

int config_idle(const struct config *c, struct reactor_idle *ret, struct errbuf *eb)
{
	if (c->idle_min_us > c->idle_max_us)
		return errbuf_set(
			eb, -EINVAL,
			"the shortest idle window, %u us, is more than the longest, %u us",
			c->idle_min_us, c->idle_max_us);
	ret->min_ns = c->idle_min_us * MONO_NS_PER_US;
	ret->max_ns = c->idle_max_us * MONO_NS_PER_US;
	return 0;
}

static bool has_group(const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->ngroups; i++) {
		if (strcmp(c->groups[i].name, name) == 0)
			return true;
	}
	return false;
}

int config_add_group(struct config *c, const struct config_group *g, struct errbuf *eb)
{
	struct config_group *groups;
	char full[JREAD_WHERE_MAX];
	int err = config_group_check(g, eb);

	if (err)
		return err;
	if (has_group(c, g->name))
		return errbuf_set(eb, -EINVAL, "%s: there is another group named \"%s\"",
				  jread_join(g->where, "name", full), g->name);
	if (c->ngroups == CONFIG_GROUPS_MAX)
		return errbuf_set(eb, -EINVAL, "%s: more than %d groups", g->where,
				  CONFIG_GROUPS_MAX);
	groups = realloc(c->groups, (c->ngroups + 1) * sizeof(*groups));
	if (!groups)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	c->groups = groups;
	c->groups[c->ngroups++] = *g;
	return 0;
}

static int check_group_of(const struct config *c, const struct config_disk *d, struct errbuf *eb)
{
	const char *group = d->qos.group;
	char full[JREAD_WHERE_MAX];

	if (!group[0] || strcmp(group, CONFIG_QOS_GROUP_NONE) == 0 || has_group(c, group))
		return 0;
	return errbuf_set(eb, -EINVAL, "%s: no group named \"%s\"",
			  jread_join(d->where, "group", full), group);
}

int config_finish(struct config *c, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct reactor_idle idle;

	if (config_idle(c, &idle, eb))
		return -EINVAL;
	for (unsigned i = 0; i < c->ndisks; i++) {
		int err = check_group_of(c, &c->disks[i], eb);

		if (err)
			return err;
	}
	for (unsigned i = 0; i < c->nexports; i++) {
		struct config_export *e = &c->exports[i];
		char name[BDEV_NAME_MAX];

		if (!find_disk(c, e->disk))
			return errbuf_set(eb, -EINVAL, "%s: no disk named \"%s\"",
					  jread_join(e->where, "disk", full), e->disk);
		snprintf(name, sizeof(name), "%s", e->disk);
		for (unsigned n = 2; !e->name[0] && has_export_name(c, name); n++)
			snprintf(name, sizeof(name), "%.55s.%u", e->disk, n);
		if (!e->name[0])
			memcpy(e->name, name, sizeof(name));
	}
	if (config_vduses_finish(c, eb))
		return -EINVAL;
	return config_attachs_finish(c, eb);
}

/*
 * The file
 */

/* The top level as it stands in the file, before the values are taken over. */
struct file_top {
	struct json_object *reactors, *rpc, *groups, *disks, *exports, *vduse, *attach, *pools;
	char log_level[16];
	unsigned lock_wait_ms;
};

static const struct jread_field top_fields[] = {
	JREAD_ROW_VALUE(struct file_top, reactors, "reactors"),
	JREAD_ROW_VALUE(struct file_top, rpc, "rpc"),
	JREAD_ROW_TEXT(struct file_top, log_level, "log_level", false),
	JREAD_ROW_UINT(struct file_top, lock_wait_ms, "lock_wait_ms", 0, CONFIG_LOCK_WAIT_MS_MAX),
	JREAD_ROW_VALUE(struct file_top, groups, "groups"),
	JREAD_ROW_VALUE(struct file_top, disks, "disks"),
	JREAD_ROW_VALUE(struct file_top, exports, "exports"),
	JREAD_ROW_VALUE(struct file_top, vduse, "vduse"),
	JREAD_ROW_VALUE(struct file_top, attach, "attach"),
	JREAD_ROW_VALUE(struct file_top, pools, "pools"),
};

struct file_reactors {
	char cpus[256], mode[16];
	bool rebalance;
	unsigned idle_min_us, idle_max_us;
};

static const struct jread_field reactors_fields[] = {
	JREAD_ROW_TEXT(struct file_reactors, cpus, "cpus", false),
	JREAD_ROW_TEXT(struct file_reactors, mode, "mode", false),
	JREAD_ROW_BOOL(struct file_reactors, rebalance, "rebalance"),
	JREAD_ROW_UINT(struct file_reactors, idle_min_us, "idle_min_us", 0, CONFIG_IDLE_US_MAX),
	JREAD_ROW_UINT(struct file_reactors, idle_max_us, "idle_max_us", 1, CONFIG_IDLE_US_MAX),
};

static const struct jread_field rpc_fields[] = {
	JREAD_ROW_BOOL(struct config, rpc_on, "enabled"),
	JREAD_ROW_TEXT(struct config, rpc, "socket", false),
};

static int parse_reactors(struct config *c, const char *top, struct json_object *obj,
			  struct errbuf *eb)
{
	char where[JREAD_WHERE_MAX], full[JREAD_WHERE_MAX];
	struct file_reactors r = {
		.rebalance = c->rebalance, .idle_min_us = c->idle_min_us, .idle_max_us = c->idle_max_us
	};
	struct errbuf why;
	cpu_set_t set;
	int err;

	jread_join(top, "reactors", where);
	err = jread_object(obj, where, reactors_fields, ARRAY_SIZE(reactors_fields), &r, eb);
	if (err)
		return err;
	if (r.mode[0] && reactor_mode_parse(r.mode, &c->mode))
		return errbuf_set(eb, -EINVAL, "%s: no mode \"%s\" (known: adaptive, poll, interrupt)",
				  jread_join(where, "mode", full), r.mode);
	if (r.cpus[0] && cpulist_parse(r.cpus, &set, &why))
		return errbuf_set(eb, -EINVAL, "%s: %.200s", jread_join(where, "cpus", full),
				  why.text);
	c->rebalance = r.rebalance;
	if (r.cpus[0])
		memcpy(c->cpus, r.cpus, sizeof(c->cpus));
	c->idle_min_us = r.idle_min_us;
	c->idle_max_us = r.idle_max_us;
	return 0;
}

/* Calls @one for each element of the array @arr with its place in @where. */
static int parse_array(struct config *c, const char *top, const char *key, struct json_object *arr,
		       int (*one)(struct config *c, const char *where, struct json_object *obj,
				  struct errbuf *eb),
		       struct errbuf *eb)
{
	char item[64], where[JREAD_WHERE_MAX];
	int err = 0;

	if (!json_object_is_type(arr, json_type_array))
		return errbuf_set(eb, -EINVAL, "%s: must be an array", jread_join(top, key, where));
	for (size_t i = 0; i < json_object_array_length(arr) && !err; i++) {
		snprintf(item, sizeof(item), "%s[%zu]", key, i);
		err = one(c, jread_join(top, item, where), json_object_array_get_idx(arr, i), eb);
	}
	return err;
}

static int parse_disk(struct config *c, const char *where, struct json_object *obj,
		      struct errbuf *eb)
{
	struct config_disk d;
	int err;

	config_disk_init(&d);
	snprintf(d.where, sizeof(d.where), "%s", where);
	err = jread_object(obj, where, config_disk_fields, CONFIG_DISK_NFIELDS, &d, eb);
	return err ? err : config_add_disk(c, &d, eb);
}

static int parse_group(struct config *c, const char *where, struct json_object *obj,
		       struct errbuf *eb)
{
	struct config_group g = { "" };
	int err;

	snprintf(g.where, sizeof(g.where), "%s", where);
	err = jread_object(obj, where, config_group_fields, CONFIG_GROUP_NFIELDS, &g, eb);
	return err ? err : config_add_group(c, &g, eb);
}

static int parse_export(struct config *c, const char *where, struct json_object *obj,
			struct errbuf *eb)
{
	struct config_export e;
	int err;

	config_export_init(&e);
	snprintf(e.where, sizeof(e.where), "%s", where);
	err = jread_object(obj, where, config_export_fields, CONFIG_EXPORT_NFIELDS, &e, eb);
	return err ? err : config_add_export(c, &e, eb);
}

static int parse_vduse(struct config *c, const char *where, struct json_object *obj,
		       struct errbuf *eb)
{
	struct config_vduse v;
	int err;

	config_vduse_init(&v);
	snprintf(v.where, sizeof(v.where), "%s", where);
	err = jread_object(obj, where, config_vduse_fields, CONFIG_VDUSE_NFIELDS, &v, eb);
	return err ? err : config_add_vduse(c, &v, eb);
}

static int parse_attach(struct config *c, const char *where, struct json_object *obj,
			struct errbuf *eb)
{
	struct config_attach a;
	int err;

	config_attach_init(&a);
	snprintf(a.where, sizeof(a.where), "%s", where);
	err = jread_object(obj, where, config_attach_fields, CONFIG_ATTACH_NFIELDS, &a, eb);
	return err ? err : config_add_attach(c, &a, eb);
}

static int parse_pool(struct config *c, const char *where, struct json_object *obj,
		      struct errbuf *eb)
{
	struct config_pool p = { "" };
	int err;

	snprintf(p.where, sizeof(p.where), "%s", where);
	err = jread_object(obj, where, config_pool_fields, CONFIG_POOL_NFIELDS, &p, eb);
	return err ? err : config_add_pool(c, &p, eb);
}

static int parse_top(struct config *c, const char *where, struct json_object *obj,
		     struct errbuf *eb)
{
	struct file_top top = { .lock_wait_ms = c->lock_wait_ms };
	char full[JREAD_WHERE_MAX];
	int err;

	err = jread_object(obj, where, top_fields, ARRAY_SIZE(top_fields), &top, eb);
	if (err)
		return err;
	c->lock_wait_ms = top.lock_wait_ms;
	if (top.log_level[0] && log_level_parse(top.log_level, &c->log_level))
		return errbuf_set(eb, -EINVAL,
				  "%s: no level \"%s\" (known: error, warn, notice, info, debug)",
				  jread_join(where, "log_level", full), top.log_level);
	if (top.reactors)
		err = parse_reactors(c, where, top.reactors, eb);
	if (!err && top.rpc)
		err = jread_object(top.rpc, jread_join(where, "rpc", full), rpc_fields,
				   ARRAY_SIZE(rpc_fields), c, eb);
	if (!err && top.groups)
		err = parse_array(c, where, "groups", top.groups, parse_group, eb);
	if (!err && top.disks)
		err = parse_array(c, where, "disks", top.disks, parse_disk, eb);
	if (!err && top.exports)
		err = parse_array(c, where, "exports", top.exports, parse_export, eb);
	if (!err && top.vduse)
		err = parse_array(c, where, "vduse", top.vduse, parse_vduse, eb);
	if (!err && top.attach)
		err = parse_array(c, where, "attach", top.attach, parse_attach, eb);
	if (!err && top.pools)
		err = parse_array(c, where, "pools", top.pools, parse_pool, eb);
	return err;
}

static unsigned line_of(const char *text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

int config_parse(struct config *c, const char *name, const char *text, size_t len,
		 struct errbuf *eb)
{
	struct json_tokener *tok;
	struct json_object *obj;
	char where[JREAD_WHERE_MAX];
	struct jdup dup;
	size_t end;
	int err;

	if (len > CONFIG_FILE_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "%.150s: larger than %d bytes", name,
				  CONFIG_FILE_BYTES_MAX);
	tok = json_tokener_new_ex(CONFIG_DEPTH_MAX);
	if (!tok)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	obj = json_tokener_parse_ex(tok, text, (int)len);
	end = json_tokener_get_parse_end(tok);
	if (json_tokener_get_error(tok) == json_tokener_continue) /* "null" ends with what follows */
		obj = json_tokener_parse_ex(tok, "\n", 1);
	snprintf(where, sizeof(where), "%.150s:", name);
	if (json_tokener_get_error(tok) == json_tokener_continue)
		err = errbuf_set(eb, -EINVAL, "%s line %u: the JSON text ends too early", where,
				 line_of(text, len));
	else if (json_tokener_get_error(tok) != json_tokener_success)
		err = errbuf_set(eb, -EINVAL, "%s line %u: not JSON: %s", where, line_of(text, end),
				 json_tokener_error_desc(json_tokener_get_error(tok)));
	else if (jdup_find(text, len, &dup))
		err = errbuf_set(eb, -EINVAL, "%s line %u: the key \"%.*s\" stands there twice", where,
				 line_of(text, dup.at), (int)CC_MIN(dup.len, 60u), dup.key);
	else
		err = parse_top(c, where, obj, eb);
	json_object_put(obj);
	json_tokener_free(tok);
	return err;
}

int config_load(struct config *c, const char *path, struct errbuf *eb)
{
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	size_t len = 0;
	ssize_t n = 0;
	int fd, err;

	if (!text)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = errbuf_set(eb, -errno, "%s: cannot read: %s", path, strerror(errno));
		goto out;
	}
	while (len <= CONFIG_FILE_BYTES_MAX &&
	       (n = read(fd, text + len, CONFIG_FILE_BYTES_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		err = errbuf_set(eb, -errno, "%s: cannot read: %s", path, strerror(errno));
	else
		err = config_parse(c, path, text, len, eb);
	close(fd);
out:
	free(text);
	return err;
}
