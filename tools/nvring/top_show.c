/* SPDX-License-Identifier: BSD-3-Clause */
/* Reactors, disks, groups, queues: one table or array each. */
#include "tools/nvring/top_show.h"

#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "tools/nvring/show.h"
#include "tools/nvring/table.h"
#include "tools/nvring/top_rates.h"
#include "tools/shared/size.h"

/*
 * Tables
 */

static const char *percent(double v, char buf[SHOW_TEXT_MAX])
{
	snprintf(buf, SHOW_TEXT_MAX, "%.1f", v);
	return buf;
}

/* Short numbers keep a digit behind the point: one I/O in ten seconds is not none. */
static const char *rate(double v, char buf[SHOW_TEXT_MAX])
{
	snprintf(buf, SHOW_TEXT_MAX, "%.*f", v > 0 && v < 100 ? 1 : 0, v);
	return buf;
}

static const char *cpu(int v, char buf[SHOW_TEXT_MAX])
{
	snprintf(buf, SHOW_TEXT_MAX, "%d", v);
	return v < 0 ? "-" : buf;
}

static void show_reactor_rates(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t = table_create(">REACTOR|NAME|>CPU|MODE|>BUSY %|>POLLING %|>ASLEEP %|>QUEUES");

	for (size_t i = 0; i < now->nreactors; i++) {
		const struct top_reactor *r = &now->reactors[i];
		struct top_reactor_rate rt;
		char b[6][SHOW_TEXT_MAX];

		top_reactor_rate(now, then, i, &rt);
		table_row(t, show_count(r->id, b[0]), r->name, cpu(r->cpu, b[1]), r->mode, percent(rt.busy, b[2]),
			  percent(rt.polling, b[3]), percent(rt.asleep, b[4]), show_count(rt.queues, b[5]));
	}
	table_write(t, to);
}

/*
 * Disks, in one of two tables. A column more is a head and a put_…() in the same place of the row.
 */
struct row {
	const char *cells[TABLE_COLUMNS_MAX];
	char texts[TABLE_COLUMNS_MAX][SHOW_TEXT_MAX];
	unsigned n;
};

static void put_text(struct row *r, const char *text)
{
	assert(r->n < TABLE_COLUMNS_MAX);
	r->cells[r->n++] = text;
}

static void put_rate(struct row *r, double v)
{
	put_text(r, rate(v, r->texts[r->n]));
}

static void put_count(struct row *r, uint64_t n)
{
	put_text(r, show_count(n, r->texts[r->n]));
}

static void put_times(struct row *r, const struct top_times *times)
{
	put_text(r, show_ns(times->p50_ns, r->texts[r->n]));
	put_text(r, show_ns(times->p99_ns, r->texts[r->n]));
}

static void put_op(struct row *r, const struct top_op_rate *op)
{
	put_rate(r, op->ios);
	put_rate(r, op->bytes / 1e6);
	put_times(r, &op->latency);
}

static void show_disk_rates(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t = table_create("DISK|>READ/s|>MB/s|>P50|>P99|>WRITE/s|>MB/s|>P50|>P99|>OTHER/s|>QUEUED/s|>ERRORS");

	for (size_t i = 0; i < now->ndisks; i++) {
		struct top_disk_rate d;
		struct row r = { .n = 0 };

		top_disk_rate(now, then, i, &d);
		put_text(&r, now->disks[i].name);
		put_op(&r, &d.read);
		put_op(&r, &d.write);
		put_rate(&r, d.others);
		put_rate(&r, d.queued);
		put_count(&r, d.errors);
		table_row_of(t, r.cells);
	}
	table_write(t, to);
}

/* One kind of I/O of one disk, if there was any. */
static void add_op_times(struct table *t, const char *disk, const char *name, const struct top_op_rate *op)
{
	struct row r = { .n = 0 };

	if (op->ios == 0)
		return;
	put_text(&r, disk);
	put_text(&r, name);
	put_rate(&r, op->ios);
	put_times(&r, &op->latency);
	put_times(&r, &op->part[TOP_SCHEDULER]);
	put_times(&r, &op->part[TOP_DRIVER]);
	put_times(&r, &op->part[TOP_NOTIFICATION]);
	table_row_of(t, r.cells);
}

static void show_disk_times(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t = table_create(
		"DISK|OPERATION|>IO/s|>P50|>P99|>SCHED P50|>P99|>DRIVER P50|>P99|>NOTIFY P50|>P99");

	for (size_t i = 0; i < now->ndisks; i++) {
		struct top_disk_rate d;

		top_disk_rate(now, then, i, &d);
		add_op_times(t, now->disks[i].name, "read", &d.read);
		add_op_times(t, now->disks[i].name, "write", &d.write);
	}
	table_write(t, to);
}

/* "iops 5000, bps 10 MiB/s, group gold"; "": it does as it pleases. */
static const char *limits_text(const struct top_qos *qos, char *buf, size_t len)
{
	char size[SIZE_TEXT_MAX];
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < TOP_LIMITS; i++) {
		const char *key = top_limit_keys[i];

		if (!qos->limits[i] || n >= len)
			continue;
		if (strstr(key, "bps"))
			n += (size_t)snprintf(buf + n, len - n, "%s%s %s/s", n ? ", " : "", key,
					      size_format(qos->limits[i], size));
		else
			n += (size_t)snprintf(buf + n, len - n, "%s%s %" PRIu64, n ? ", " : "", key,
					      qos->limits[i]);
	}
	if (qos->group[0] && n < len)
		n += (size_t)snprintf(buf + n, len - n, "%sgroup %s", n ? ", " : "", qos->group);
	if (qos->frozen && n < len)
		snprintf(buf + n, len - n, "%sfrozen", n ? ", " : "");
	return buf;
}

/* Of the disks that have any; nothing when none has. */
static void show_limits(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t = NULL;

	for (size_t i = 0; i < now->ndisks; i++) {
		const struct top_disk *d = &now->disks[i];
		char limits[256], b[3][SHOW_TEXT_MAX];
		struct top_disk_rate rt;

		if (!limits_text(&d->qos, limits, sizeof(limits))[0])
			continue;
		if (!t)
			t = table_create("DISK|>DELAYED/s|>THROTTLED %|>WAITING|LIMITS");
		top_disk_rate(now, then, i, &rt);
		table_row(t, d->name, rate(rt.qos.delayed, b[0]), percent(rt.qos.throttled, b[1]),
			  show_count(d->qos.waiting, b[2]), limits);
	}
	if (!t)
		return;
	table_write(t, to);
	fputc('\n', to);
}

static void show_groups(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t;

	if (!now->ngroups)
		return;
	t = table_create("GROUP|>DISKS|>DELAYED/s|>THROTTLED %|>WAITING|LIMITS");
	for (size_t i = 0; i < now->ngroups; i++) {
		const struct top_group *g = &now->groups[i];
		char limits[256], b[4][SHOW_TEXT_MAX];
		struct top_qos_rate rt;

		top_group_rate(now, then, i, &rt);
		limits_text(&g->qos, limits, sizeof(limits));
		table_row(t, g->name, show_count(g->ndisks, b[0]), rate(rt.delayed, b[1]),
			  percent(rt.throttled, b[2]), show_count(g->qos.waiting, b[3]),
			  limits[0] ? limits : NULL);
	}
	table_write(t, to);
	fputc('\n', to);
}

static void show_queue_rates(FILE *to, const struct top_snap *now, const struct top_snap *then)
{
	struct table *t = table_create("EXPORT|>QUEUE|>REACTOR|>CPU|>REQUESTS/s|>KICKS/s|>CALLS/s|>IN FLIGHT");

	for (size_t i = 0; i < now->nqueues; i++) {
		const struct top_queue *q = &now->queues[i];
		struct top_queue_rate rt;
		char b[7][SHOW_TEXT_MAX];

		top_queue_rate(now, then, i, &rt);
		table_row(t, q->export, show_count(q->index, b[0]), show_count(q->reactor, b[1]), cpu(q->cpu, b[2]),
			  rate(rt.requests, b[3]), rate(rt.kicks, b[4]), rate(rt.calls, b[5]),
			  show_count(q->inflight, b[6]));
	}
	table_write(t, to);
}

void top_show(FILE *to, const struct top_snap *now, const struct top_snap *then, enum top_view view)
{
	fprintf(to, "nvringd, pid %" PRIu64 ", over %.1f s\n\n", now->pid, top_seconds(now, then));
	show_reactor_rates(to, now, then);
	fputc('\n', to);
	if (view == TOP_VIEW_LATENCY)
		show_disk_times(to, now, then);
	else
		show_disk_rates(to, now, then);
	fputc('\n', to);
	show_limits(to, now, then);
	show_groups(to, now, then);
	show_queue_rates(to, now, then);
}

/*
 * JSON
 */

static void add_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

static void add_count(struct json_object *obj, const char *key, uint64_t n)
{
	json_object_object_add(obj, key, json_object_new_uint64(n));
}

static void add_real(struct json_object *obj, const char *key, double v)
{
	json_object_object_add(obj, key, json_object_new_double(v));
}

static struct json_object *reactor_json(const struct top_snap *now, const struct top_snap *then, size_t i)
{
	struct json_object *obj = json_object_new_object();
	const struct top_reactor *r = &now->reactors[i];
	struct top_reactor_rate rt;

	top_reactor_rate(now, then, i, &rt);
	add_count(obj, "id", r->id);
	add_text(obj, "name", r->name);
	json_object_object_add(obj, "cpu", json_object_new_int(r->cpu));
	add_text(obj, "mode", r->mode);
	add_real(obj, "busy_percent", rt.busy);
	add_real(obj, "polling_percent", rt.polling);
	add_real(obj, "asleep_percent", rt.asleep);
	add_count(obj, "queues", rt.queues);
	return obj;
}

static void add_times(struct json_object *obj, const struct top_times *times)
{
	add_count(obj, "p50_ns", times->p50_ns);
	add_count(obj, "p99_ns", times->p99_ns);
}

static struct json_object *op_json(const struct top_op_rate *op)
{
	static const char *const names[TOP_PARTS] = {
		[TOP_SCHEDULER] = "scheduler",
		[TOP_DRIVER] = "driver",
		[TOP_NOTIFICATION] = "notification",
	};
	struct json_object *obj = json_object_new_object();

	add_real(obj, "ios_per_s", op->ios);
	add_real(obj, "bytes_per_s", op->bytes);
	add_times(obj, &op->latency);
	for (unsigned i = 0; i < TOP_PARTS; i++) {
		struct json_object *part = json_object_new_object();

		add_times(part, &op->part[i]);
		json_object_object_add(obj, names[i], part);
	}
	return obj;
}

static void add_qos(struct json_object *obj, const struct top_qos *qos, const struct top_qos_rate *rt)
{
	struct json_object *limits = json_object_new_object();

	for (unsigned i = 0; i < TOP_LIMITS; i++) {
		if (qos->limits[i])
			add_count(limits, top_limit_keys[i], qos->limits[i]);
	}
	if (qos->group[0])
		add_text(limits, "group", qos->group);
	json_object_object_add(obj, "limits", limits);
	add_real(obj, "delayed_per_s", rt->delayed);
	add_real(obj, "throttled_percent", rt->throttled);
	add_count(obj, "waiting", qos->waiting);
}

static struct json_object *disk_json(const struct top_snap *now, const struct top_snap *then, size_t i)
{
	struct json_object *obj = json_object_new_object();
	struct top_disk_rate d;

	top_disk_rate(now, then, i, &d);
	add_text(obj, "name", now->disks[i].name);
	json_object_object_add(obj, "fresh", json_object_new_boolean(d.fresh));
	json_object_object_add(obj, "read", op_json(&d.read));
	json_object_object_add(obj, "write", op_json(&d.write));
	add_real(obj, "other_per_s", d.others);
	add_real(obj, "queued_per_s", d.queued);
	add_count(obj, "errors", d.errors);
	json_object_object_add(obj, "frozen", json_object_new_boolean(now->disks[i].qos.frozen));
	add_qos(obj, &now->disks[i].qos, &d.qos);
	return obj;
}

static struct json_object *group_json(const struct top_snap *now, const struct top_snap *then, size_t i)
{
	struct json_object *obj = json_object_new_object();
	const struct top_group *g = &now->groups[i];
	struct top_qos_rate rt;

	top_group_rate(now, then, i, &rt);
	add_text(obj, "name", g->name);
	add_count(obj, "disks", g->ndisks);
	add_qos(obj, &g->qos, &rt);
	return obj;
}

static struct json_object *queue_json(const struct top_snap *now, const struct top_snap *then, size_t i)
{
	struct json_object *obj = json_object_new_object();
	const struct top_queue *q = &now->queues[i];
	struct top_queue_rate rt;

	top_queue_rate(now, then, i, &rt);
	add_text(obj, "export", q->export);
	add_count(obj, "index", q->index);
	add_count(obj, "reactor", q->reactor);
	json_object_object_add(obj, "cpu", json_object_new_int(q->cpu));
	json_object_object_add(obj, "fresh", json_object_new_boolean(rt.fresh));
	add_real(obj, "requests_per_s", rt.requests);
	add_real(obj, "kicks_per_s", rt.kicks);
	add_real(obj, "calls_per_s", rt.calls);
	add_count(obj, "inflight", q->inflight);
	return obj;
}

struct json_object *top_json(const struct top_snap *now, const struct top_snap *then)
{
	struct json_object *obj = json_object_new_object();
	struct json_object *reactors = json_object_new_array(), *disks = json_object_new_array();
	struct json_object *groups = json_object_new_array(), *queues = json_object_new_array();

	for (size_t i = 0; i < now->nreactors; i++)
		json_object_array_add(reactors, reactor_json(now, then, i));
	for (size_t i = 0; i < now->ndisks; i++)
		json_object_array_add(disks, disk_json(now, then, i));
	for (size_t i = 0; i < now->ngroups; i++)
		json_object_array_add(groups, group_json(now, then, i));
	for (size_t i = 0; i < now->nqueues; i++)
		json_object_array_add(queues, queue_json(now, then, i));
	add_count(obj, "pid", now->pid);
	add_real(obj, "seconds", top_seconds(now, then));
	json_object_object_add(obj, "reactors", reactors);
	json_object_object_add(obj, "disks", disks);
	json_object_object_add(obj, "groups", groups);
	json_object_object_add(obj, "queues", queues);
	return obj;
}
