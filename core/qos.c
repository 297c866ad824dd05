/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is set for disks and groups, and how it reaches the reactors:
 *
 *   qos_disk  ── ledger ─ orders ─► own pool of each channel
 *   qos_group ── ledger ─ orders ─► a pool on each reactor where one of its disks has a channel
 *   iosched_tell: gate or none, weight, minimum, seat at the group's pool
 */
#include "core/qos.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/qos_guard.h"
#include "core/qos_ledger.h"
#include "core/qos_priv.h"

struct qos_disk {
	struct list link; /* in the group's disks */
	struct bdev *bdev;
	struct qos_conf conf;
	struct qos_ledger ledger;
	struct qos_stats gone; /* of pools that are no more */
};

struct qos_group {
	char name[QOS_GROUP_NAME_MAX];
	struct list disks;
	unsigned ndisks;
	struct qos_ledger ledger;
	struct qos_stats gone;
	unsigned nending; /* pools that have left and are not freed yet; of the others, orders under way hold some */
	bool is_deleted;
	void (*told)(void *arg);
	void *told_arg;
};

static const struct qos_limits no_limits;

/*
 * Pools of a group
 */

static void stats_add_pool(struct qos_stats *st, const struct qos_pool *pool)
{
	uint64_t since = counter_get(pool->since_ns);
	uint64_t now = mono_ns();

	st->delayed += counter_get(pool->delayed);
	st->throttled_ns += counter_get(pool->throttled_ns);
	st->waiting += counter_get(pool->nwaiting);
	if (since && now > since)
		st->throttled_ns += now - since;
}

static void stats_add_ledger(struct qos_stats *st, const struct qos_ledger *l)
{
	const struct list *pos;

	list_for_each (pos, &l->pools)
		stats_add_pool(st, list_entry(pos, struct qos_pool, link));
}

static void group_maybe_free(struct qos_group *g)
{
	void (*told)(void *arg) = g->told;
	void *arg = g->told_arg;

	if (!g->is_deleted || g->nending || g->ledger.npools)
		return;
	qos_ledger_fini(&g->ledger);
	free(g);
	if (told)
		told(arg);
}

static void group_pool_ended(struct qos_pool *pool)
{
	struct qos_group *g = pool->owner;

	free(pool);
	g->nending--;
	group_maybe_free(g);
}

void qos_group_pool_hold(struct qos_pool *pool)
{
	if (pool)
		pool->refs++;
}

void qos_group_pool_put(struct qos_pool *pool)
{
	struct qos_group *g;

	if (!pool || --pool->refs > 0)
		return;
	g = pool->owner;
	stats_add_pool(&g->gone, pool);
	g->nending++;
	qos_ledger_end(pool, group_pool_ended);
}

/* The pool of @g on @r, held. NULL: no memory. */
static struct qos_pool *group_pool_get(struct qos_group *g, struct reactor *r)
{
	struct qos_pool *pool;
	struct list *pos;

	list_for_each (pos, &g->ledger.pools) {
		pool = list_entry(pos, struct qos_pool, link);
		if (pool->reactor == r) {
			pool->refs++;
			return pool;
		}
	}
	pool = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*pool), CACHELINE_BYTES));
	if (!pool)
		return NULL;
	qos_pool_init(pool, r, &g->ledger.limits);
	pool->refs = 1;
	pool->owner = g;
	qos_ledger_join(&g->ledger, pool);
	return pool;
}

/*
 * Disks
 */

static bool limits_are_none(const struct qos_limits *lim)
{
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		if (lim->rate[id].per_sec)
			return false;
	}
	return true;
}

void qos_fill_order(const struct bdev *bdev, struct iosched_order *order)
{
	const struct qos_disk *d = bdev->qos;

	order->weight = d ? d->conf.weight : QOS_WEIGHT_DEFAULT;
	order->is_limited = d && !limits_are_none(&d->conf.limits);
	order->promise = d ? d->conf.limits : no_limits;
}

int qos_chan_prepare(struct bdev_chan *chan)
{
	const struct qos_disk *d = chan->bdev->qos;
	struct iosched_gate *g = chan->sched.gate;

	if (!d || !d->conf.group)
		return 0;
	g->want.group = group_pool_get(d->conf.group, chan->reactor);
	return g->want.group ? 0 : -ENOMEM;
}

void qos_chan_join(struct bdev_chan *chan)
{
	if (chan->bdev->qos)
		qos_ledger_join(&chan->bdev->qos->ledger, &chan->sched.gate->own);
}

void qos_chan_leave(struct bdev_chan *chan)
{
	if (!chan->bdev->qos)
		return;
	stats_add_pool(&chan->bdev->qos->gone, &chan->sched.gate->own);
	qos_ledger_leave(&chan->sched.gate->own);
}

static struct qos_disk *disk_create(struct bdev *bdev)
{
	struct qos_disk *d = calloc(1, sizeof(*d));
	struct list *pos;

	if (!d)
		return NULL;
	d->bdev = bdev;
	d->conf.weight = QOS_WEIGHT_DEFAULT;
	list_init(&d->link);
	qos_ledger_init(&d->ledger, bdev->control, &no_limits);
	list_for_each (pos, &bdev->chans)
		qos_ledger_join(&d->ledger, &list_entry(pos, struct bdev_chan, link)->sched.gate->own);
	bdev->qos = d;
	return d;
}

static void disk_leave_group(struct qos_disk *d)
{
	if (!d->conf.group)
		return;
	d->conf.group->ndisks--;
	d->conf.group = NULL;
	list_del(&d->link);
}

void qos_close(struct bdev *bdev)
{
	struct qos_disk *d = bdev->qos;

	if (!d)
		return;
	disk_leave_group(d);
	qos_ledger_fini(&d->ledger);
	free(d);
	bdev->qos = NULL;
}

/*
 * Checks
 */

static int check_promise(const char *what, uint64_t sum, uint64_t limit, const char *group,
			 struct errbuf *eb)
{
	if (!limit || sum <= limit)
		return 0;
	return errbuf_set(eb, -EINVAL,
			  "the guaranteed minimums of group %s add up to %" PRIu64 " %s, its limit is %" PRIu64
			  "; lower one of them or raise the limit",
			  group, sum, what, limit);
}

/* @but: a disk that is to have @conf, or NULL. */
static int check_promises(const struct qos_group *g, const struct qos_limits *lim,
			  const struct qos_disk *but, const struct qos_conf *conf, struct errbuf *eb)
{
	uint64_t ios = conf ? conf->limits.min_ios : 0, bytes = conf ? conf->limits.min_bytes : 0;
	const struct list *pos;
	int err;

	list_for_each (pos, &g->disks) {
		const struct qos_disk *d = list_entry(pos, struct qos_disk, link);

		if (d == but)
			continue;
		ios += d->conf.limits.min_ios;
		bytes += d->conf.limits.min_bytes;
	}
	err = check_promise("IOPS", ios, lim->rate[QOS_TOTAL_IOS].per_sec, g->name, eb);
	return err ? err : check_promise("bytes/s", bytes, lim->rate[QOS_TOTAL_BYTES].per_sec,
					 g->name, eb);
}

static int check_conf(const struct bdev *bdev, const struct qos_conf *conf, struct errbuf *eb)
{
	const struct qos_limits *lim = &conf->limits;
	int err = qos_limits_check(lim, eb);

	if (err)
		return err;
	if (conf->weight > QOS_WEIGHT_MAX)
		return errbuf_set(eb, -EINVAL, "a weight of %u is not within 1..%u", conf->weight,
				  QOS_WEIGHT_MAX);
	if (conf->latency_ns &&
	    (conf->latency_ns < QOS_LATENCY_MIN_NS || conf->latency_ns > QOS_LATENCY_MAX_NS))
		return errbuf_set(eb, -EINVAL,
				  "a latency of %" PRIu64 " us is not within %" PRIu64 "..%" PRIu64,
				  conf->latency_ns / 1000, QOS_LATENCY_MIN_NS / 1000,
				  QOS_LATENCY_MAX_NS / 1000);
	if ((lim->min_ios || lim->min_bytes) && !conf->group)
		return errbuf_set(eb, -EINVAL,
				  "a guaranteed minimum is one within a group, and %s is in none; name a group",
				  bdev->name);
	if (!conf->group)
		return 0;
	return check_promises(conf->group, &conf->group->ledger.limits, bdev->qos, conf, eb);
}

/* Every channel gets the pool of its new group, or none. */
static int prepare_group(struct bdev *bdev, struct qos_group *group)
{
	struct list *pos;
	int err = 0;

	list_for_each (pos, &bdev->chans) {
		struct bdev_chan *chan = list_entry(pos, struct bdev_chan, link);
		struct iosched_gate *g = chan->sched.gate;

		g->next_group = group && !err ? group_pool_get(group, chan->reactor) : NULL;
		if (group && !g->next_group)
			err = -ENOMEM;
	}
	if (!err)
		return 0;
	list_for_each (pos, &bdev->chans)
		qos_group_pool_put(list_entry(pos, struct bdev_chan, link)->sched.gate->next_group);
	return err;
}

static void change_conf(struct qos_disk *d, const struct qos_conf *conf)
{
	struct list *pos;

	if (d->conf.group != conf->group) {
		disk_leave_group(d);
		if (conf->group) {
			conf->group->ndisks++;
			list_add_tail(&conf->group->disks, &d->link);
		}
	}
	d->conf = *conf;
	if (!d->conf.weight)
		d->conf.weight = QOS_WEIGHT_DEFAULT;
	list_for_each (pos, &d->bdev->chans) {
		struct bdev_chan *chan = list_entry(pos, struct bdev_chan, link);
		struct iosched_gate *g = chan->sched.gate;

		qos_group_pool_put(g->want.group);
		g->want.group = g->next_group;
		iosched_tell(chan);
	}
	qos_ledger_set_limits(&d->ledger, &d->conf.limits);
	qos_guard_update(d->bdev);
}

int qos_set(struct bdev *bdev, const struct qos_conf *conf, struct errbuf *eb)
{
	int err = check_conf(bdev, conf, eb);

	if (err)
		return err;
	if ((!bdev->qos && !disk_create(bdev)) || prepare_group(bdev, conf->group))
		return errbuf_set(eb, -ENOMEM, "%s: no memory for its limits", bdev->name);
	change_conf(bdev->qos, conf);
	return 0;
}

void qos_get(const struct bdev *bdev, struct qos_conf *ret)
{
	*ret = bdev->qos ? bdev->qos->conf : (struct qos_conf){ .weight = QOS_WEIGHT_DEFAULT };
}

void qos_get_stats(const struct bdev *bdev, struct qos_stats *ret)
{
	*ret = (struct qos_stats){ 0 };
	if (!bdev->qos)
		return;
	*ret = bdev->qos->gone;
	stats_add_ledger(ret, &bdev->qos->ledger);
}

/*
 * Groups
 */

static int check_group(const char *name, const struct qos_limits *lim, struct errbuf *eb)
{
	int err = qos_limits_check(lim, eb);

	if (!err && (lim->min_ios || lim->min_bytes))
		err = errbuf_set(eb, -EINVAL,
				 "group %s: only a disk has a guaranteed minimum, a group has none", name);
	return err;
}

int qos_group_create(struct reactor *control, const char *name, const struct qos_limits *lim,
		     struct qos_group **ret, struct errbuf *eb)
{
	int err = check_group(name, lim, eb);
	struct qos_group *g;

	if (err)
		return err;
	g = calloc(1, sizeof(*g));
	if (!g)
		return errbuf_set(eb, -ENOMEM, "group %s: no memory", name);
	snprintf(g->name, sizeof(g->name), "%s", name);
	list_init(&g->disks);
	qos_ledger_init(&g->ledger, control, lim);
	*ret = g;
	return 0;
}

int qos_group_delete(struct qos_group *g, void (*gone)(void *arg), void *arg, struct errbuf *eb)
{
	const struct qos_disk *d;

	if (!list_is_empty(&g->disks)) {
		d = list_entry(g->disks.next, struct qos_disk, link);
		return errbuf_set(eb, -EBUSY, "group %s has %u disk%s, %s among them; take it out first",
				  g->name, g->ndisks, g->ndisks == 1 ? "" : "s", d->bdev->name);
	}
	g->is_deleted = true;
	g->told = gone;
	g->told_arg = arg;
	group_maybe_free(g);
	return 0;
}

int qos_group_set(struct qos_group *g, const struct qos_limits *lim, struct errbuf *eb)
{
	int err = check_group(g->name, lim, eb);

	if (!err)
		err = check_promises(g, lim, NULL, NULL, eb);
	if (err)
		return err;
	qos_ledger_set_limits(&g->ledger, lim);
	return 0;
}

const char *qos_group_name(const struct qos_group *g)
{
	return g->name;
}

const struct qos_limits *qos_group_limits(const struct qos_group *g)
{
	return &g->ledger.limits;
}

unsigned qos_group_ndisks(const struct qos_group *g)
{
	return g->ndisks;
}

void qos_group_get_stats(const struct qos_group *g, struct qos_stats *ret)
{
	*ret = g->gone;
	stats_add_ledger(ret, &g->ledger);
}
