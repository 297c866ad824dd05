/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics of disks: counters as SPDK names them, and latencies with percentiles. */
#include <json-c/json.h>
#include <string.h>

#include "core/base/mono.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"

struct stat_params {
	char name[BDEV_NAME_MAX];
	bool buckets;
};

static const struct jread_field stat_fields[] = {
	JREAD_ROW_TEXT(struct stat_params, name, "name", false),
	JREAD_ROW_BOOL(struct stat_params, buckets, "latency_buckets"),
};

static const struct {
	const char *key;
	double q;
} quantiles[] = {
	{ "p50", 0.50 }, { "p90", 0.90 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "p99.99", 0.9999 },
	{ "max", 1.0 },
};

/* Name of an operation, and its counters in SPDK's answer. */
static const struct {
	const char *name, *ios, *bytes;
} ops[BDEV_STAT_COUNT] = {
	[BDEV_STAT_READ] = { "read", "num_read_ops", "bytes_read" },
	[BDEV_STAT_WRITE] = { "write", "num_write_ops", "bytes_written" },
	[BDEV_STAT_FLUSH] = { "flush", "num_flush_ops", NULL },
	[BDEV_STAT_DISCARD] = { "unmap", "num_unmap_ops", "bytes_unmapped" },
	[BDEV_STAT_ZEROES] = { "write_zeroes", "num_write_zeroes_ops", "bytes_zeroed" },
};

/* [lowest nanosecond, samples] of each bucket that is not empty: two such answers can be subtracted, quantiles cannot. */
static struct json_object *buckets_json(const struct hist *h)
{
	struct json_object *arr = json_object_new_array();

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		struct json_object *b;

		if (!h->count[i])
			continue;
		b = json_object_new_array_ext(2);
		json_object_array_add(b, rpc_number(hist_bucket_low(i)));
		json_object_array_add(b, rpc_number(h->count[i]));
		json_object_array_add(arr, b);
	}
	return arr;
}

static void add_quantiles(struct json_object *obj, const struct hist *h)
{
	json_object_object_add(obj, "mean", rpc_number((unsigned long long)hist_mean(h)));
	for (unsigned i = 0; i < ARRAY_SIZE(quantiles); i++)
		json_object_object_add(obj, quantiles[i].key,
				       rpc_number(hist_quantile(h, quantiles[i].q)));
}

/* Nanoseconds, and of how many samples. */
static struct json_object *part_json(const struct hist *h, bool buckets)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "count", rpc_number(hist_total(h)));
	add_quantiles(obj, h);
	if (buckets)
		json_object_object_add(obj, "buckets", buckets_json(h));
	return obj;
}

static struct json_object *scheduler_json(const struct bdev_chan_stats *st, enum bdev_stat_op op,
					  bool buckets)
{
	struct json_object *obj;
	struct hist h;

	bdev_stats_scheduler(st, op, &h);
	obj = part_json(&h, buckets);
	json_object_object_add(obj, "waited", rpc_number(hist_total(&st->waited[op].total)));
	return obj;
}

static struct json_object *driver_json(const struct bdev_chan_stats *st, enum bdev_stat_op op,
				       bool buckets)
{
	struct hist h;

	bdev_stats_driver(st, op, &h);
	return part_json(&h, buckets);
}

static struct json_object *notification_json(const struct bdev_chan_stats *st, enum bdev_stat_op op,
					     bool buckets)
{
	const struct hist *quiet = &st->notify[BDEV_NOTIFY_QUIET][op];
	const struct hist *called = &st->notify[BDEV_NOTIFY_CALLED][op];
	struct json_object *obj;
	struct hist h = *quiet;

	hist_merge(&h, called);
	obj = part_json(&h, buckets);
	json_object_object_add(obj, "called", part_json(called, buckets));
	json_object_object_add(obj, "suppressed", part_json(quiet, buckets));
	return obj;
}

static struct json_object *op_json(const struct bdev_chan_stats *all, enum bdev_stat_op op,
				   bool buckets)
{
	struct json_object *obj = json_object_new_object(), *lat = json_object_new_object();
	const struct bdev_op_stats *st = &all->op[op];

	json_object_object_add(obj, "ios", rpc_number(st->ios));
	json_object_object_add(obj, "bytes", rpc_number(st->bytes));
	json_object_object_add(obj, "errors", rpc_number(st->errors));
	add_quantiles(lat, &st->latency);
	json_object_object_add(obj, "latency_ns", lat);
	if (buckets)
		json_object_object_add(obj, "latency_buckets", buckets_json(&st->latency));
	json_object_object_add(obj, "scheduler_ns", scheduler_json(all, op, buckets));
	json_object_object_add(obj, "driver_ns", driver_json(all, op, buckets));
	json_object_object_add(obj, "notification_ns", notification_json(all, op, buckets));
	return obj;
}

/* How the I/Os reached the device: as they were, or not. */
static cc_looks_on void add_ways(struct json_object *obj, const struct bdev_chan_stats *st)
{
	json_object_object_add(obj, "splits", rpc_number(st->splits));
	json_object_object_add(obj, "bounces", rpc_number(st->bounces));
	json_object_object_add(obj, "bounced_bytes", rpc_number(st->bounced_bytes));
	json_object_object_add(obj, "fixed", rpc_number(st->fixed));
	json_object_object_add(obj, "queued", rpc_number(st->queued));
	json_object_object_add(obj, "merged", rpc_number(st->merged));
	json_object_object_add(obj, "requeued", rpc_number(st->requeued));
}

/* The channels that are there now; the sums above hold those that are gone, too. */
static struct json_object *chans_json(const struct bdev *bdev)
{
	struct json_object *arr = json_object_new_array();
	struct list *pos;

	list_for_each (pos, &bdev->chans) {
		const struct bdev_chan *chan = list_entry(pos, struct bdev_chan, link);
		struct json_object *obj = json_object_new_object();

		json_object_object_add(obj, "reactor", json_object_new_string(chan->reactor->name));
		add_ways(obj, chan->stats);
		json_object_array_add(arr, obj);
	}
	return arr;
}

static struct json_object *disk_stats_json(const struct wiring_disk *d, bool buckets)
{
	static struct bdev_chan_stats st; /* large; control thread only */
	struct json_object *obj = json_object_new_object(), *each = json_object_new_object();

	bdev_get_stats(d->bdev, &st);
	json_object_object_add(obj, "name", json_object_new_string(d->conf.name));
	for (unsigned i = 0; i < BDEV_STAT_COUNT; i++) {
		json_object_object_add(obj, ops[i].ios, rpc_number(st.op[i].ios));
		if (ops[i].bytes)
			json_object_object_add(obj, ops[i].bytes, rpc_number(st.op[i].bytes));
		json_object_object_add(each, ops[i].name,
				       op_json(&st, (enum bdev_stat_op)i, buckets));
	}
	add_ways(obj, &st);
	json_object_object_add(obj, "channels", chans_json(d->bdev));
	json_object_object_add(obj, "operations", each);
	rpc_qos_add(obj, d);
	return obj;
}

static void get_iostat(struct rpc_call *call, const void *params)
{
	const struct stat_params *p = params;
	struct wiring *w = rpc_wiring(call);
	struct json_object *obj, *arr;
	struct list *pos;

	if (p->name[0] && !rpc_disk_or_fail(call, p->name))
		return;
	obj = json_object_new_object();
	arr = json_object_new_array();
	json_object_object_add(obj, "tick_rate", rpc_number(MONO_NS_PER_SEC));
	json_object_object_add(obj, "ticks", rpc_number(mono_ns()));
	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);

		if (d->bdev && (!p->name[0] || strcmp(p->name, d->conf.name) == 0))
			json_object_array_add(arr, disk_stats_json(d, p->buckets));
	}
	json_object_object_add(obj, "bdevs", arr);
	rpc_answer(call, obj);
}

static const struct rpc_method methods[] = {
	{ .name = "bdev_get_iostat", .fn = get_iostat, .fields = stat_fields,
	  .nfields = ARRAY_SIZE(stat_fields), .params_bytes = sizeof(struct stat_params) },
};

const struct rpc_group rpc_stats_group = { methods, ARRAY_SIZE(methods) };
