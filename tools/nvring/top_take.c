/* SPDX-License-Identifier: BSD-3-Clause */
/* Four calls of the control interface become one snapshot. */
#include "tools/nvring/top_take.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/mono.h"
#include "tools/nvring/cli.h"
#include "tools/nvring/client.h"
#include "tools/nvring/top_rates.h"
#include "tools/shared/jget.h"

static void text(char buf[TOP_NAME_MAX], struct json_object *obj, const char *key)
{
	snprintf(buf, TOP_NAME_MAX, "%s", jget_text(obj, key));
}

/* Room for @n rows, never for none: NULL means that memory is out. */
static void *rows(size_t n, size_t size, int *ret_rc, struct errbuf *eb)
{
	void *p = calloc(n ? n : 1, size);

	if (!p) {
		errbuf_set(eb, -ENOMEM, "out of memory");
		*ret_rc = CLI_FAILED;
	}
	return p;
}

/*
 * Reactors
 */

static void read_reactor(struct json_object *obj, struct top_reactor *r)
{
	r->id = (unsigned)jget_number(obj, "id");
	r->cpu = json_object_get_int(jget(obj, "lcore"));
	text(r->name, obj, "name");
	snprintf(r->mode, sizeof(r->mode), "%s", jget_text(obj, "mode"));
	r->busy_ns = jget_number(obj, "busy");
	r->idle_ns = jget_number(obj, "idle");
	r->sleep_ns = jget_number(obj, "sleep");
}

/* Those that serve queues, and behind them the one that controls. */
static int take_reactors(struct cli *cli, struct top_snap *s, struct errbuf *eb)
{
	struct json_object *answer = NULL, *arr, *control;
	int rc = client_try(cli, "framework_get_reactors", NULL, &answer, eb);

	if (rc)
		return rc;
	arr = jget(answer, "reactors");
	control = jget(answer, "control");
	s->pid = jget_number(answer, "pid");
	s->reactors = rows(jget_count(arr, "") + 1, sizeof(*s->reactors), &rc, eb);
	for (size_t i = 0; s->reactors && i < jget_count(arr, ""); i++)
		read_reactor(json_object_array_get_idx(arr, i), &s->reactors[s->nreactors++]);
	if (s->reactors && control)
		read_reactor(control, &s->reactors[s->nreactors++]);
	json_object_put(answer);
	return rc;
}

/*
 * Disks
 */

static void read_buckets(struct json_object *buckets, struct hist *h)
{
	for (size_t i = 0; i < jget_count(buckets, ""); i++) {
		struct json_object *b = json_object_array_get_idx(buckets, i);

		h->count[hist_index(jget_number(b, "0"))] += jget_number(b, "1");
	}
}

/* @set: the limits in @obj. */
static void read_qos(struct json_object *obj, struct json_object *set, struct top_qos *qos)
{
	struct json_object *stats = jget(obj, "qos_stats");

	for (unsigned i = 0; i < TOP_LIMITS; i++)
		qos->limits[i] = jget_number(set, top_limit_keys[i]);
	text(qos->group, set, "group");
	qos->frozen = jget_bool(obj, "frozen");
	qos->delayed = jget_number(stats, "delayed");
	qos->throttled_us = jget_number(stats, "throttled_us");
	qos->waiting = jget_number(stats, "waiting");
}

static void read_op(struct json_object *obj, struct top_op *op)
{
	op->ios = jget_number(obj, "ios");
	op->bytes = jget_number(obj, "bytes");
	read_buckets(jget(obj, "latency_buckets"), &op->latency);
	read_buckets(jget(obj, "scheduler_ns/buckets"), &op->part[TOP_SCHEDULER]);
	read_buckets(jget(obj, "driver_ns/buckets"), &op->part[TOP_DRIVER]);
	read_buckets(jget(obj, "notification_ns/buckets"), &op->part[TOP_NOTIFICATION]);
}

static void read_disk(struct json_object *obj, struct top_disk *d)
{
	struct json_object *ops = jget(obj, "operations");

	text(d->name, obj, "name");
	d->queued = jget_number(obj, "queued");
	json_object_object_foreach(ops, name, op) {
		(void)name; /* of each operation */
		d->errors += jget_number(op, "errors");
		d->others += jget_number(op, "ios");
	}
	read_op(jget(ops, "read"), &d->read);
	read_op(jget(ops, "write"), &d->write);
	d->others -= d->read.ios + d->write.ios;
	read_qos(obj, jget(obj, "qos"), &d->qos);
}

static int take_disks(struct cli *cli, struct top_snap *s, struct errbuf *eb)
{
	struct json_object *params = json_object_new_object(), *answer = NULL, *arr;
	int rc;

	json_object_object_add(params, "latency_buckets", json_object_new_boolean(1));
	rc = client_try(cli, "bdev_get_iostat", params, &answer, eb);
	if (rc)
		return rc;
	arr = jget(answer, "bdevs");
	s->disks_ns = jget_number(answer, "ticks");
	s->disks = rows(jget_count(arr, ""), sizeof(*s->disks), &rc, eb);
	for (size_t i = 0; s->disks && i < jget_count(arr, ""); i++) {
		struct json_object *obj = json_object_array_get_idx(arr, i);

		if (json_object_is_type(jget(obj, "operations"), json_type_object))
			read_disk(obj, &s->disks[s->ndisks++]);
	}
	json_object_put(answer);
	return rc;
}

/* For an answer that has no time of its own: *@ret_ns is the middle of the question. */
static int ask(struct cli *cli, const char *method, struct json_object **ret_answer, uint64_t *ret_ns, struct errbuf *eb)
{
	uint64_t before = mono_ns();
	int rc;

	*ret_answer = NULL;
	rc = client_try(cli, method, NULL, ret_answer, eb);
	*ret_ns = before + (mono_ns() - before) / 2;
	return rc;
}

static int take_groups(struct cli *cli, struct top_snap *s, struct errbuf *eb)
{
	struct json_object *answer;
	int rc = ask(cli, "qos_get_groups", &answer, &s->groups_ns, eb);

	if (rc)
		return rc;
	s->groups = rows(jget_count(answer, ""), sizeof(*s->groups), &rc, eb);
	for (size_t i = 0; s->groups && i < jget_count(answer, ""); i++) {
		struct json_object *obj = json_object_array_get_idx(answer, i);
		struct top_group *g = &s->groups[s->ngroups++];

		text(g->name, obj, "name");
		g->ndisks = (unsigned)jget_count(obj, "disks");
		read_qos(obj, jget(obj, "limits"), &g->qos);
	}
	json_object_put(answer);
	return rc;
}

/*
 * Queues: those that run
 */

static size_t count_queues(struct json_object *exports)
{
	size_t n = 0;

	for (size_t i = 0; i < jget_count(exports, ""); i++)
		n += jget_count(json_object_array_get_idx(exports, i), "sessions/0/queues");
	return n;
}

static void read_queues(struct json_object *export, struct top_snap *s)
{
	struct json_object *arr = jget(export, "sessions/0/queues");

	for (size_t i = 0; i < jget_count(arr, ""); i++) {
		struct json_object *obj = json_object_array_get_idx(arr, i);
		struct top_queue *q = &s->queues[s->nqueues];

		if (!jget_bool(obj, "started"))
			continue;
		text(q->export, export, "ctrlr");
		q->connection = jget_number(export, "connections");
		q->index = (unsigned)jget_number(obj, "index");
		q->reactor = (unsigned)jget_number(obj, "reactor");
		q->cpu = json_object_get_int(jget(obj, "cpu"));
		q->requests = jget_number(obj, "requests");
		q->kicks = jget_number(obj, "kicks");
		q->calls = jget_number(obj, "calls");
		q->inflight = (unsigned)jget_number(obj, "inflight");
		s->nqueues++;
	}
}

static int take_queues(struct cli *cli, struct top_snap *s, struct errbuf *eb)
{
	struct json_object *answer;
	int rc = ask(cli, "vhost_get_controllers", &answer, &s->queues_ns, eb);

	if (rc)
		return rc;
	s->queues = rows(count_queues(answer), sizeof(*s->queues), &rc, eb);
	for (size_t i = 0; s->queues && i < jget_count(answer, ""); i++)
		read_queues(json_object_array_get_idx(answer, i), s);
	json_object_put(answer);
	return rc;
}

int top_take(struct cli *cli, struct top_snap *ret, struct errbuf *eb)
{
	struct top_snap s = { 0 };
	int rc = take_reactors(cli, &s, eb);

	if (!rc)
		rc = take_disks(cli, &s, eb);
	if (!rc)
		rc = take_groups(cli, &s, eb);
	if (!rc)
		rc = take_queues(cli, &s, eb);
	if (rc)
		top_snap_fini(&s);
	else
		*ret = s;
	return rc;
}
