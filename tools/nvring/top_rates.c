/* SPDX-License-Identifier: BSD-3-Clause */
/* Differences of counters. Whatever counts backwards has begun anew, and has no rate yet. */
#include "tools/nvring/top_rates.h"

#include <stdlib.h>
#include <string.h>

const char *const top_limit_keys[TOP_LIMITS] = {
	"iops", "read_iops", "write_iops", "bps", "read_bps", "write_bps",
};

static double seconds(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? (double)(now_ns - then_ns) / 1e9 : 0;
}

static double rate(uint64_t now, uint64_t then, double secs)
{
	return now > then && secs > 0 ? (double)(now - then) / secs : 0;
}

void top_snap_fini(struct top_snap *s)
{
	free(s->reactors);
	free(s->disks);
	free(s->groups);
	free(s->queues);
	*s = (struct top_snap){ 0 };
}

double top_seconds(const struct top_snap *now, const struct top_snap *then)
{
	return seconds(now->disks_ns, then->disks_ns);
}

/*
 * The same thing in the earlier snapshot; NULL: it was not there. Most often it stands in the same place, so the search
 * begins there.
 */

static const struct top_reactor *earlier_reactor(const struct top_snap *then, const struct top_reactor *r, size_t at)
{
	for (size_t i = 0; i < then->nreactors; i++) {
		const struct top_reactor *old = &then->reactors[(at + i) % then->nreactors];

		if (old->id == r->id)
			return old;
	}
	return NULL;
}

static const struct top_disk *earlier_disk(const struct top_snap *then, const struct top_disk *d, size_t at)
{
	for (size_t i = 0; i < then->ndisks; i++) {
		const struct top_disk *old = &then->disks[(at + i) % then->ndisks];

		if (strcmp(old->name, d->name) == 0)
			return old;
	}
	return NULL;
}

static const struct top_group *earlier_group(const struct top_snap *then, const struct top_group *g, size_t at)
{
	for (size_t i = 0; i < then->ngroups; i++) {
		const struct top_group *old = &then->groups[(at + i) % then->ngroups];

		if (strcmp(old->name, g->name) == 0)
			return old;
	}
	return NULL;
}

static const struct top_queue *earlier_queue(const struct top_snap *then, const struct top_queue *q, size_t at)
{
	for (size_t i = 0; i < then->nqueues; i++) {
		const struct top_queue *old = &then->queues[(at + i) % then->nqueues];

		if (old->index == q->index && old->connection == q->connection && strcmp(old->export, q->export) == 0)
			return old;
	}
	return NULL;
}

/*
 * Rates
 */

void top_reactor_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_reactor_rate *ret)
{
	const struct top_reactor *r = &now->reactors[i];
	const struct top_reactor *old = now->pid == then->pid ? earlier_reactor(then, r, i) : NULL;
	double busy, idle, sleep, all;

	*ret = (struct top_reactor_rate){ 0 };
	for (size_t q = 0; q < now->nqueues; q++)
		ret->queues += now->queues[q].reactor == r->id;
	if (!old)
		return;
	busy = rate(r->busy_ns, old->busy_ns, 1);
	idle = rate(r->idle_ns, old->idle_ns, 1);
	sleep = rate(r->sleep_ns, old->sleep_ns, 1);
	all = busy + idle + sleep;
	if (all <= 0)
		return;
	ret->busy = 100 * busy / all;
	ret->polling = 100 * idle / all;
	ret->asleep = 100 * sleep / all;
}

static bool op_is_older(const struct top_op *old, const struct top_op *op)
{
	return old->ios <= op->ios && old->bytes <= op->bytes;
}

static struct top_times times_between(const struct hist *now, const struct hist *then)
{
	struct hist h;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h.count[i] = now->count[i] > then->count[i] ? now->count[i] - then->count[i] : 0;
	return (struct top_times){ hist_quantile(&h, 0.50), hist_quantile(&h, 0.99) };
}

static void op_rate(const struct top_op *op, const struct top_op *old, double secs, struct top_op_rate *ret)
{
	ret->ios = rate(op->ios, old->ios, secs);
	ret->bytes = rate(op->bytes, old->bytes, secs);
	ret->latency = times_between(&op->latency, &old->latency);
	for (unsigned i = 0; i < TOP_PARTS; i++)
		ret->part[i] = times_between(&op->part[i], &old->part[i]);
}

static bool qos_is_older(const struct top_qos *old, const struct top_qos *qos)
{
	return old->delayed <= qos->delayed && old->throttled_us <= qos->throttled_us;
}

static void qos_rate(const struct top_qos *qos, const struct top_qos *old, double secs, struct top_qos_rate *ret)
{
	ret->delayed = rate(qos->delayed, old->delayed, secs);
	ret->throttled = rate(qos->throttled_us, old->throttled_us, secs) / 1e6 * 100;
}

void top_disk_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_disk_rate *ret)
{
	const struct top_disk *d = &now->disks[i];
	const struct top_disk *old = now->pid == then->pid ? earlier_disk(then, d, i) : NULL;
	double secs = top_seconds(now, then);

	*ret = (struct top_disk_rate){ .fresh = true };
	if (!old || !op_is_older(&old->read, &d->read) || !op_is_older(&old->write, &d->write) ||
	    old->others > d->others || old->queued > d->queued || old->errors > d->errors ||
	    !qos_is_older(&old->qos, &d->qos))
		return;
	ret->fresh = false;
	op_rate(&d->read, &old->read, secs, &ret->read);
	op_rate(&d->write, &old->write, secs, &ret->write);
	ret->others = rate(d->others, old->others, secs);
	ret->queued = rate(d->queued, old->queued, secs);
	ret->errors = d->errors - old->errors;
	qos_rate(&d->qos, &old->qos, secs, &ret->qos);
}

void top_group_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_qos_rate *ret)
{
	const struct top_group *g = &now->groups[i];
	const struct top_group *old = now->pid == then->pid ? earlier_group(then, g, i) : NULL;

	*ret = (struct top_qos_rate){ 0 };
	if (old && qos_is_older(&old->qos, &g->qos))
		qos_rate(&g->qos, &old->qos, seconds(now->groups_ns, then->groups_ns), ret);
}

void top_queue_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_queue_rate *ret)
{
	const struct top_queue *q = &now->queues[i];
	const struct top_queue *old = now->pid == then->pid ? earlier_queue(then, q, i) : NULL;
	double secs = seconds(now->queues_ns, then->queues_ns);

	*ret = (struct top_queue_rate){ .fresh = true };
	if (!old || old->requests > q->requests || old->kicks > q->kicks || old->calls > q->calls)
		return;
	ret->fresh = false;
	ret->requests = rate(q->requests, old->requests, secs);
	ret->kicks = rate(q->kicks, old->kicks, secs);
	ret->calls = rate(q->calls, old->calls, secs);
}
