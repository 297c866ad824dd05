/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The look at all disks that a latency target concerns, once in a period.
 *
 *   channels' counters ─► look() ─► struct qos_neighbour ┐
 *   victim's histogram ─► look() ─► struct qos_latency ──┴► cap of each neighbour, the lowest of all
 *                                                           victims ─► bdev_set_depth()
 */
#include "core/qos_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/deadline.h"
#include "core/qos.h"
#include "core/qos_latency.h"

#define LOG_TAG "qos"
#include "core/base/log.h"

/* What is kept of a disk that has channels. */
struct qos_guard_disk {
	struct list link; /* in the guard */
	struct bdev *bdev;
	struct qos_conf conf;
	struct qos_guard_disk *ssd; /* the first disk of the same SSD; NULL: nobody knows which */
	bool is_lower;	/* of a disk that is here, too, and stands for both */
	bool concerned; /* has a target, or is a neighbour of one that has */
	/* counters at the last look */
	bool seen;
	uint64_t seen_ns;
	uint64_t ios, bytes; /* of all kinds */
	uint64_t judged, late, delayed;
	/* what it did since the look before */
	uint64_t ios_per_sec, bytes_per_sec;
	struct qos_latency_sample sample;
	/* as a neighbour; depths over all channels */
	uint32_t peak, nbusy;
	uint32_t cap, cap_next; /* 0: none */
	bool full;
	struct qos_latency latency; /* as a victim */
	struct qos_guard_stats stats;
};

struct qos_guard {
	struct reactor *control;
	struct list disks;
	unsigned ndisks, ntargets;
	struct deadline deadline;
	/* of one step; ndisks of each, or more */
	struct qos_neighbour *neighbour;
	struct qos_guard_disk **of;
	unsigned nroom;
};

static struct qos_guard_disk *disk_of(struct list *pos)
{
	return list_entry(pos, struct qos_guard_disk, link);
}

/*
 * Who concerns whom
 */
static bool is_neighbour(const struct qos_guard_disk *v, const struct qos_guard_disk *d)
{
	if (d == v || d->is_lower || (d->conf.latency_ns && d->conf.latency_ns <= v->conf.latency_ns))
		return false;
	return (v->ssd && v->ssd == d->ssd) || (v->conf.group && v->conf.group == d->conf.group);
}

/* What it stands on counts, when it does not say itself. */
static const char *shares_of(const struct bdev *bdev)
{
	while (!bdev->shares[0] && bdev->lower)
		bdev = bdev->lower;
	return bdev->shares;
}

static bool is_same_ssd(const struct qos_guard_disk *a, const struct qos_guard_disk *b)
{
	const char *name = shares_of(a->bdev);

	return name[0] && !strcmp(name, shares_of(b->bdev));
}

static void find_ssd(struct qos_guard *g, struct qos_guard_disk *d)
{
	struct list *pos;

	d->ssd = NULL;
	d->is_lower = false;
	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *other = disk_of(pos);

		if (!d->ssd && is_same_ssd(d, other)) /* itself at the latest */
			d->ssd = other;
		d->is_lower |= other->bdev->lower == d->bdev;
	}
}

static bool is_concerned(struct qos_guard *g, const struct qos_guard_disk *d)
{
	struct list *pos;

	if (d->conf.latency_ns)
		return true;
	list_for_each (pos, &g->disks) {
		const struct qos_guard_disk *v = disk_of(pos);

		if (v->conf.latency_ns && is_neighbour(v, d))
			return true;
	}
	return false;
}

/* @cap over all of its channels; 0: none. */
static void set_cap(struct qos_guard_disk *d, uint32_t cap)
{
	uint32_t nchans = 0, depth;
	struct list *pos;

	list_for_each (pos, &d->bdev->chans)
		nchans++;
	if (d->nbusy)
		nchans = CC_MIN(nchans, d->nbusy);
	depth = cap / CC_MAX(nchans, 1);
	if (cap && !depth)
		depth = 1;
	if (depth >= d->bdev->lim.depth)
		cap = depth = 0;
	d->cap = cap;
	if (depth == d->stats.depth)
		return;
	if (depth && (!d->stats.depth || depth < d->stats.depth))
		d->stats.cuts++;
	d->stats.depth = depth;
	bdev_set_depth(d->bdev, depth);
}

static void forget(struct qos_guard_disk *d)
{
	d->seen = false;
	d->peak = d->nbusy = 0;
	d->full = false;
	set_cap(d, 0);
}

/* Disks, targets or groups have changed. */
static void arrange(struct qos_guard *g)
{
	struct list *pos;

	g->ntargets = 0;
	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *d = disk_of(pos);

		find_ssd(g, d);
		g->ntargets += d->conf.latency_ns != 0;
	}
	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *d = disk_of(pos);

		d->concerned = is_concerned(g, d);
		if (!d->concerned)
			forget(d);
	}
	if (!g->ntargets)
		deadline_cancel(&g->deadline);
	else if (!deadline_is_armed(&g->deadline))
		deadline_arm(g->control, &g->deadline, mono_ns() + QOS_LATENCY_PERIOD_NS);
}

/*
 * What they did
 */
struct totals {
	unsigned first_late; /* the first bucket that is; 0: nobody asks */
	uint64_t ios, bytes, judged, late;
};

static cc_looks_on void add_totals(void *arg, const struct bdev_chan_stats *st)
{
	struct totals *t = arg;

	for (unsigned op = 0; op < BDEV_STAT_COUNT; op++) {
		t->ios += cc_read_once(st->op[op].ios);
		t->bytes += cc_read_once(st->op[op].bytes);
	}
	for (unsigned op = BDEV_STAT_READ; t->first_late && op <= BDEV_STAT_WRITE; op++) {
		t->judged += cc_read_once(st->op[op].ios);
		for (unsigned i = t->first_late; i < HIST_BUCKETS; i++)
			t->late += cc_read_once(st->op[op].latency.count[i]);
	}
}

static struct totals totals_of(const struct qos_guard_disk *d)
{
	struct totals t = {
		.first_late = d->conf.latency_ns ? hist_index(d->conf.latency_ns) + 1 : 0,
	};

	bdev_for_each_stats(d->bdev, add_totals, &t);
	return t;
}

/* What the device holds of it now. */
static cc_looks_on void look_into_device(struct qos_guard_disk *d)
{
	uint32_t inflight = 0, nbusy = 0;
	struct list *pos;

	d->full = false;
	list_for_each (pos, &d->bdev->chans) {
		uint32_t n = cc_read_once(list_entry(pos, struct bdev_chan, link)->inflight);

		inflight += n;
		nbusy += n != 0;
		d->full |= d->stats.depth && n >= d->stats.depth;
	}
	/* a look now and then may well fall between two bursts: what was seen fades only slowly */
	d->peak = CC_MAX(inflight, (uint32_t)((uint64_t)d->peak * 3 / 4));
	d->nbusy = CC_MAX(nbusy, d->nbusy * 3 / 4);
	d->sample.waits = inflight != 0;
}

/* Counters are read while they move, and may be behind what was seen of them. */
static uint64_t growth(uint64_t *was, uint64_t now)
{
	uint64_t n = now > *was ? now - *was : 0;

	*was += n;
	return n;
}

static void remember(struct qos_guard_disk *d, const struct totals *t, uint64_t delayed)
{
	d->ios = t->ios;
	d->bytes = t->bytes;
	d->judged = t->judged;
	d->late = t->late;
	d->delayed = delayed;
	d->seen = true;
}

/* Those that waited for a limit of their own are not the neighbours' fault. */
static void leave_out(struct qos_latency_sample *s, uint64_t delayed)
{
	s->ios -= CC_MIN(s->ios, delayed);
	s->misses -= CC_MIN(s->misses, delayed);
}

static void look(struct qos_guard_disk *d, uint64_t now)
{
	double seconds = (double)(now - d->seen_ns) / (double)MONO_NS_PER_SEC;
	struct totals t = totals_of(d);
	struct qos_stats qs;

	qos_get_stats(d->bdev, &qs);
	look_into_device(d);
	if (!d->seen)
		remember(d, &t, qs.delayed);
	d->ios_per_sec = (uint64_t)((double)growth(&d->ios, t.ios) / seconds);
	d->bytes_per_sec = (uint64_t)((double)growth(&d->bytes, t.bytes) / seconds);
	d->sample.ios = growth(&d->judged, t.judged);
	d->sample.misses = growth(&d->late, t.late);
	/* an I/O may be in one counter and not yet in the other */
	d->sample.misses = CC_MIN(d->sample.misses, d->sample.ios);
	leave_out(&d->sample, growth(&d->delayed, qs.delayed));
	d->stats.ios += d->sample.ios;
	d->stats.misses += d->sample.misses;
	d->seen_ns = now;
}

/*
 * What follows
 */
static uint32_t floor_of(const struct qos_guard_disk *d)
{
	const struct qos_limits *lim = &d->conf.limits;
	uint32_t depth = d->cap ? CC_MIN(d->peak, d->cap) : d->peak;
	uint32_t least = CC_MAX(d->nbusy, 1);
	uint32_t ios = qos_neighbour_floor(depth, d->ios_per_sec, lim->min_ios, least);
	uint32_t bytes = qos_neighbour_floor(depth, d->bytes_per_sec, lim->min_bytes, least);

	return CC_MAX(ios, bytes);
}

static unsigned collect(struct qos_guard *g, const struct qos_guard_disk *v)
{
	unsigned count = 0;
	struct list *pos;

	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *d = disk_of(pos);

		if (!is_neighbour(v, d))
			continue;
		g->of[count] = d;
		g->neighbour[count++] = (struct qos_neighbour){
			.peak = d->peak,
			.full = d->full,
			.applied = d->cap,
			.floor = floor_of(d),
			.weight = d->conf.weight,
		};
	}
	return count;
}

static void say(struct qos_guard_disk *v, enum qos_latency_event event)
{
	unsigned long long us = v->conf.latency_ns / MONO_NS_PER_US;

	switch (event) {
	case QOS_LATENCY_IN_VAIN:
		log_warn("%s: latency target of %llu us is missed, and to throttle its neighbours does not "
			 "help; they go on freely, and it is tried again now and then",
			 v->bdev->name, us);
		break;
	case QOS_LATENCY_AT_LEAST:
		log_notice("%s: latency target of %llu us is missed though its neighbours are throttled "
			   "as far as may be",
			   v->bdev->name, us);
		break;
	case QOS_LATENCY_NOTHING:
		break;
	}
}

static void protect(struct qos_guard *g, struct qos_guard_disk *v, uint64_t now)
{
	unsigned count = collect(g, v), nvain = v->latency.nvain;

	say(v, qos_latency_step(&v->latency, now, &v->sample, g->neighbour, count));
	v->stats.in_vain += v->latency.nvain > nvain;
	for (unsigned i = 0; i < count; i++) {
		uint32_t cap = g->neighbour[i].cap, *next = &g->of[i]->cap_next;

		if (cap && (!*next || cap < *next))
			*next = cap;
	}
}

static void step(struct deadline *dl)
{
	struct qos_guard *g = container_of(dl, struct qos_guard, deadline);
	uint64_t now = mono_ns(), next = QOS_GUARD_IDLE_NS;
	struct list *pos;

	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *d = disk_of(pos);

		d->cap_next = 0;
		if (d->concerned)
			look(d, now);
	}
	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *v = disk_of(pos);

		if (!v->conf.latency_ns)
			continue;
		protect(g, v, now);
		if (!qos_latency_is_silent(&v->latency, now))
			next = QOS_LATENCY_PERIOD_NS;
	}
	list_for_each (pos, &g->disks) {
		struct qos_guard_disk *d = disk_of(pos);

		if (d->concerned)
			set_cap(d, d->cap_next);
	}
	deadline_arm(g->control, &g->deadline, now + next);
}

/*
 * Life
 */
static struct qos_guard *guard_get(struct reactor *control)
{
	struct qos_guard *g = control->guard;

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->control = control;
	list_init(&g->disks);
	deadline_init(&g->deadline, step);
	control->guard = g;
	return g;
}

static void guard_put(struct qos_guard *g)
{
	if (g->ndisks)
		return;
	deadline_cancel(&g->deadline);
	g->control->guard = NULL;
	free(g->neighbour);
	free(g->of);
	free(g);
}

/* So that a step allocates nothing. */
static int guard_reserve(struct qos_guard *g, unsigned n)
{
	unsigned room = g->nroom ? 2 * g->nroom : 16;
	void *p;

	if (n <= g->nroom)
		return 0;
	p = realloc(g->neighbour, room * sizeof(*g->neighbour));
	if (!p)
		return -ENOMEM;
	g->neighbour = p;
	p = realloc(g->of, room * sizeof(struct qos_guard_disk *));
	if (!p)
		return -ENOMEM;
	g->of = p;
	g->nroom = room;
	return 0;
}

int qos_guard_attach(struct bdev *bdev)
{
	struct qos_guard *g;
	struct qos_guard_disk *d;

	if (bdev->guard)
		return 0;
	g = guard_get(bdev->control);
	if (!g)
		return -ENOMEM;
	d = calloc(1, sizeof(*d));
	if (!d || guard_reserve(g, g->ndisks + 1)) {
		free(d);
		guard_put(g);
		return -ENOMEM;
	}
	d->bdev = bdev;
	bdev->guard = d;
	list_add_tail(&g->disks, &d->link);
	g->ndisks++;
	qos_latency_init(&d->latency);
	qos_guard_update(bdev);
	return 0;
}

void qos_guard_detach(struct bdev *bdev)
{
	struct qos_guard *g = bdev->control->guard;
	struct qos_guard_disk *d = bdev->guard;

	if (!d)
		return;
	set_cap(d, 0); /* what waits goes before it closes */
	list_del(&d->link);
	free(d);
	bdev->guard = NULL;
	g->ndisks--;
	arrange(g);
	guard_put(g);
}

void qos_guard_update(struct bdev *bdev)
{
	struct qos_guard_disk *d = bdev->guard;
	uint64_t was;

	if (!d)
		return;
	was = d->conf.latency_ns;
	qos_get(bdev, &d->conf);
	if (d->conf.latency_ns != was) {
		d->seen = false; /* other buckets are late now */
		qos_latency_init(&d->latency);
	}
	arrange(bdev->control->guard);
}

void qos_guard_get_stats(const struct bdev *bdev, struct qos_guard_stats *ret)
{
	const struct qos_guard_disk *d = bdev->guard;

	*ret = (struct qos_guard_stats){ 0 };
	if (d)
		*ret = d->stats;
}
