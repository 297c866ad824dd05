/* SPDX-License-Identifier: BSD-3-Clause */
/* Methods about what disks are granted: limits, groups, freezes. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"

#define FREEZE_MS_MAX 86400000 /* a day */

#define MIB 20 /* as a shift: SPDK counts in them */

/* 0, or the error and what @eb says. */
static void answer(struct rpc_call *call, int err, const struct errbuf *eb)
{
	if (err)
		rpc_fail(call, err == -EINVAL ? JSONRPC_INVALID_PARAMS : JSONRPC_STATE, "%s", eb->text);
	else
		rpc_answer(call, json_object_new_boolean(1));
}

/*
 * Disks
 */

static struct json_object *stats_json(const struct qos_stats *st)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "delayed", rpc_number(st->delayed));
	json_object_object_add(obj, "throttled_us", rpc_number(st->throttled_ns / 1000));
	json_object_object_add(obj, "waiting", rpc_number(st->waiting));
	return obj;
}

/* As SPDK shows them: 0 is none. */
static struct json_object *spdk_json(const struct qos_limits *lim)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "rw_ios_per_sec", rpc_number(lim->rate[QOS_TOTAL_IOS].per_sec));
	json_object_object_add(obj, "rw_mbytes_per_sec",
			       rpc_number(lim->rate[QOS_TOTAL_BYTES].per_sec >> MIB));
	json_object_object_add(obj, "r_mbytes_per_sec",
			       rpc_number(lim->rate[QOS_READ_BYTES].per_sec >> MIB));
	json_object_object_add(obj, "w_mbytes_per_sec",
			       rpc_number(lim->rate[QOS_WRITE_BYTES].per_sec >> MIB));
	return obj;
}

void rpc_qos_add(struct json_object *obj, const struct wiring_disk *d)
{
	struct json_object *in_force;
	struct config_qos q;
	struct qos_stats st;

	wiring_disk_get_qos(d, &q);
	qos_get_stats(d->bdev, &st);
	in_force = json_object_new_object();
	config_qos_build(&q, in_force);
	json_object_object_add(obj, "assigned_rate_limits", spdk_json(&q.limits));
	json_object_object_add(obj, "qos", in_force);
	json_object_object_add(obj, "qos_stats", stats_json(&st));
	json_object_object_add(obj, "frozen", json_object_new_boolean(d->frozen));
}

static void change_qos(struct rpc_call *call, const char *name, const struct config_qos *named)
{
	struct wiring_disk *d = rpc_disk_or_fail(call, name);
	struct errbuf eb;

	if (d)
		answer(call, wiring_disk_set_qos(d, named, &eb), &eb);
}

struct qos_params {
	char name[BDEV_NAME_MAX];
	struct config_qos qos;
};

static const struct jread_field qos_fields[] = {
	JREAD_ROW_TEXT(struct qos_params, name, "name", true),
	CONFIG_QOS_ROWS(struct qos_params, qos),
};

static const struct qos_params qos_defaults = { .qos = CONFIG_QOS_KEEP_ALL };

static void bdev_set_qos(struct rpc_call *call, const void *params)
{
	const struct qos_params *p = params;

	change_qos(call, p->name, &p->qos);
}

/* Whole MiB, and 0 removes. */
struct spdk_params {
	char name[BDEV_NAME_MAX];
	uint64_t rw_ios, rw_mib, r_mib, w_mib;
};

static const struct jread_field spdk_fields[] = {
	JREAD_ROW_TEXT(struct spdk_params, name, "name", true),
	JREAD_ROW_COUNT(struct spdk_params, rw_ios, "rw_ios_per_sec", 0, QOS_IOS_MAX),
	JREAD_ROW_COUNT(struct spdk_params, rw_mib, "rw_mbytes_per_sec", 0, QOS_BYTES_MAX >> MIB),
	JREAD_ROW_COUNT(struct spdk_params, r_mib, "r_mbytes_per_sec", 0, QOS_BYTES_MAX >> MIB),
	JREAD_ROW_COUNT(struct spdk_params, w_mib, "w_mbytes_per_sec", 0, QOS_BYTES_MAX >> MIB),
};

static const struct spdk_params spdk_defaults = {
	.rw_ios = CONFIG_QOS_KEEP,
	.rw_mib = CONFIG_QOS_KEEP,
	.r_mib = CONFIG_QOS_KEEP,
	.w_mib = CONFIG_QOS_KEEP,
};

static uint64_t bytes_of(uint64_t mib)
{
	return mib == CONFIG_QOS_KEEP ? mib : mib << MIB;
}

static void bdev_set_qos_limit(struct rpc_call *call, const void *params)
{
	const struct spdk_params *p = params;
	struct config_qos named = CONFIG_QOS_KEEP_ALL;

	if (p->rw_ios == CONFIG_QOS_KEEP && p->rw_mib == CONFIG_QOS_KEEP &&
	    p->r_mib == CONFIG_QOS_KEEP && p->w_mib == CONFIG_QOS_KEEP) {
		rpc_fail(call, JSONRPC_INVALID_PARAMS, "no limit is named, not even one to remove (0)");
		return;
	}
	named.limits.rate[QOS_TOTAL_IOS].per_sec = p->rw_ios;
	named.limits.rate[QOS_TOTAL_BYTES].per_sec = bytes_of(p->rw_mib);
	named.limits.rate[QOS_READ_BYTES].per_sec = bytes_of(p->r_mib);
	named.limits.rate[QOS_WRITE_BYTES].per_sec = bytes_of(p->w_mib);
	change_qos(call, p->name, &named);
}

struct freeze_params {
	char name[BDEV_NAME_MAX];
	unsigned timeout_ms;
};

static const struct jread_field freeze_fields[] = {
	JREAD_ROW_TEXT(struct freeze_params, name, "name", true),
	JREAD_ROW_UINT(struct freeze_params, timeout_ms, "timeout_ms", 1, FREEZE_MS_MAX),
};

static void freeze(struct rpc_call *call, const void *params)
{
	const struct freeze_params *p = params;
	struct wiring_disk *d = rpc_disk_or_fail(call, p->name);

	if (d)
		wiring_disk_freeze(d, p->timeout_ms, rpc_done_true, call);
}

static void thaw(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring_disk *d = rpc_disk_or_fail(call, p->name);
	struct errbuf eb;

	if (!d)
		return;
	if (wiring_disk_thaw(d, &eb))
		rpc_fail(call, JSONRPC_STATE, "%s", eb.text);
	else
		rpc_answer(call, json_object_new_boolean(1));
}

/*
 * Groups
 */

static struct wiring_group *group_or_fail(struct rpc_call *call, const char *name)
{
	struct wiring_group *g = wiring_find_group(rpc_wiring(call), name);

	if (!g)
		rpc_fail(call, JSONRPC_STATE, "no group named \"%s\"", name);
	return g;
}

static void create_group(struct rpc_call *call, const void *params)
{
	struct config_group conf = *(const struct config_group *)params;
	struct errbuf eb;
	int err;

	conf.where[0] = '\0';
	err = config_group_check(&conf, &eb);
	if (!err)
		err = wiring_group_create(rpc_wiring(call), &conf, &eb);
	answer(call, err, &eb);
}

static const struct config_group group_defaults = { .limits = CONFIG_LIMITS_KEEP };

static void set_group(struct rpc_call *call, const void *params)
{
	const struct config_group *named = params;
	struct wiring_group *g = group_or_fail(call, named->name);
	struct errbuf eb;

	if (g)
		answer(call, wiring_group_set(g, &named->limits, &eb), &eb);
}

static void delete_group(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring_group *g = group_or_fail(call, p->name);
	struct errbuf eb;

	if (g)
		answer(call, wiring_group_delete(g, &eb), &eb);
}

static struct json_object *disks_json(struct wiring *w, const struct qos_group *group)
{
	struct json_object *arr = json_object_new_array();
	struct list *pos;

	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);
		struct qos_conf conf;

		if (!d->bdev)
			continue;
		qos_get(d->bdev, &conf);
		if (conf.group == group)
			json_object_array_add(arr, json_object_new_string(d->conf.name));
	}
	return arr;
}

static struct json_object *group_json(struct wiring *w, const struct qos_group *group)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *lim = json_object_new_object();
	struct qos_stats st;

	qos_group_get_stats(group, &st);
	config_limits_build(qos_group_limits(group), lim);
	json_object_object_add(obj, "name", json_object_new_string(qos_group_name(group)));
	json_object_object_add(obj, "limits", lim);
	json_object_object_add(obj, "disks", disks_json(w, group));
	json_object_object_add(obj, "qos_stats", stats_json(&st));
	return obj;
}

static void get_groups(struct rpc_call *call, const void *params)
{
	const struct rpc_name *p = params;
	struct wiring *w = rpc_wiring(call);
	struct json_object *arr;
	struct list *pos;

	if (p->name[0] && !group_or_fail(call, p->name))
		return;
	arr = json_object_new_array();
	list_for_each(pos, &w->groups) {
		const struct qos_group *g = list_entry(pos, struct wiring_group, link)->group;

		if (!p->name[0] || strcmp(p->name, qos_group_name(g)) == 0)
			json_object_array_add(arr, group_json(w, g));
	}
	rpc_answer(call, arr);
}

#define GROUP_CONF                                                                                 \
	.fields = config_group_fields, .nfields = CONFIG_GROUP_NFIELDS,                            \
	.params_bytes = sizeof(struct config_group)

static const struct rpc_method methods[] = {
	{ .name = "bdev_set_qos", .fn = bdev_set_qos, .defaults = &qos_defaults,
	  RPC_PARAMS(struct qos_params, qos_fields) },
	{ .name = "bdev_set_qos_limit", .fn = bdev_set_qos_limit, .defaults = &spdk_defaults,
	  RPC_PARAMS(struct spdk_params, spdk_fields) },
	{ .name = "bdev_freeze", .fn = freeze, RPC_PARAMS(struct freeze_params, freeze_fields) },
	{ .name = "bdev_thaw", .fn = thaw, RPC_PARAMS(struct rpc_name, rpc_name_fields) },
	{ .name = "qos_create_group", .fn = create_group, GROUP_CONF },
	{ .name = "qos_set_group", .fn = set_group, .defaults = &group_defaults, GROUP_CONF },
	{ .name = "qos_delete_group", .fn = delete_group, RPC_PARAMS(struct rpc_name, rpc_name_fields) },
	{ .name = "qos_get_groups", .fn = get_groups,
	  RPC_PARAMS(struct rpc_name, rpc_maybe_name_fields) },
};

const struct rpc_group rpc_qos_group = { methods, ARRAY_SIZE(methods) };
