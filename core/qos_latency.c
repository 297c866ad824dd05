/* SPDX-License-Identifier: BSD-3-Clause */
/* The window of a victim's neighbours: falls fast, grows gently towards where it failed last. */
#include "core/qos_latency.h"

#include <assert.h>

#include "core/base/cc.h"

#define MISSES_PROVE 2	 /* late I/Os that are no accident */
#define IOS_PROVE    100 /* I/Os that must be seen before one in a hundred means something */
#define PERIODS_MAX  20	 /* for a victim with less than that: a verdict each second */

/*
 * Trying a window that has failed costs a period of late I/Os: 50 ms in 16 s are 0.3 % of them, well
 * within the 1 % that may be late.
 */
#define REST_MIN_NS (4 * MONO_NS_PER_SEC)
#define REST_MAX_NS (16 * MONO_NS_PER_SEC)

#define UNUSED_NS   (2 * MONO_NS_PER_SEC) /* a window that nobody fills and that never failed: not needed */
#define LEAST_NS    (1 * MONO_NS_PER_SEC) /* at its least, before it is said to be in vain */
#define FLOOR_MARGIN   0.125 /* a minimum is kept when it is nearly reached, too */
#define GIVE_UP_MIN_NS (10 * MONO_NS_PER_SEC)
#define GIVE_UP_MAX_NS (320 * MONO_NS_PER_SEC)

enum verdict {
	UNKNOWN,
	MET,
	MISSED,
};

/*
 * The neighbours
 */
static bool is_busy(const struct qos_neighbour *n)
{
	return n->peak > 0;
}

/* The depth it has use for, one more than it was seen to use, so that it can show that it wants more. */
static uint32_t wants(const struct qos_neighbour *n)
{
	return n->full ? UINT32_MAX : n->peak + 1;
}

static uint32_t add_up(uint32_t a, uint32_t b)
{
	return a < UINT32_MAX - b ? a + b : UINT32_MAX;
}

static uint32_t floors(const struct qos_neighbour *n, unsigned count)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		if (is_busy(&n[i]))
			sum = add_up(sum, CC_MIN(n[i].floor, wants(&n[i])));
	return sum;
}

static uint32_t in_use(const struct qos_neighbour *n, unsigned count)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum = add_up(sum, n[i].peak);
	return sum;
}

static uint32_t part_of(uint32_t whole, uint16_t weight, uint32_t weights)
{
	return weights ? (uint32_t)((uint64_t)whole * weight / weights) : whole;
}

/* Those whose part is settled by what they want or must have, in front of what is shared by weight. cap 0: still open. */
static void share_settled(struct qos_neighbour *n, unsigned count, uint32_t *left, uint32_t *weights)
{
	bool again = true;

	while (again) {
		again = false;
		for (unsigned i = 0; i < count; i++) {
			uint32_t part = part_of(*left, n[i].weight, *weights);

			if (!is_busy(&n[i]) || n[i].cap)
				continue;
			if (wants(&n[i]) > part && n[i].floor < part)
				continue;
			n[i].cap = CC_MAX(CC_MIN(wants(&n[i]), part), n[i].floor);
			*left -= CC_MIN(*left, n[i].cap);
			*weights -= n[i].weight;
			again = true;
		}
	}
}

static void share_out(struct qos_neighbour *n, unsigned count, uint32_t window)
{
	uint32_t left = window, weights = 0, all;

	for (unsigned i = 0; i < count; i++) {
		n[i].cap = 0;
		weights += is_busy(&n[i]) ? n[i].weight : 0;
	}
	all = weights;
	share_settled(n, count, &left, &weights);
	for (unsigned i = 0; i < count; i++) {
		if (!is_busy(&n[i])) {
			n[i].cap = CC_MAX(part_of(window, n[i].weight, all + n[i].weight),
					  n[i].floor);
		} else if (!n[i].cap) {
			n[i].cap = CC_MAX(part_of(left, n[i].weight, weights), n[i].floor);
			left -= CC_MIN(left, n[i].cap);
			weights -= n[i].weight;
		}
	}
}

/* Somebody would have more in the device if the window were larger. */
static bool is_felt(const struct qos_neighbour *n, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (n[i].full && n[i].cap <= n[i].applied)
			return true;
	return false;
}

/* What was learnt is forgotten, except that it was in vain. */
static void set_free(struct qos_latency *l)
{
	l->window = 0;
	l->good = 0;
	l->bad = UINT32_MAX;
	l->stride = 1;
	l->rest_ns = REST_MIN_NS;
	l->try_ns = 0;
	l->unused_ns = 0;
	l->least_ns = 0;
	l->said_least = false;
	l->settles = false;
}

void qos_latency_init(struct qos_latency *l)
{
	*l = (struct qos_latency){ .seen_ns = 0 };
	set_free(l);
}

/*
 * The verdict
 */
static enum verdict judge(struct qos_latency *l, const struct qos_latency_sample *v)
{
	if (l->settles) { /* what was in the device before the cut */
		l->settles = false;
		return UNKNOWN;
	}
	l->ios += v->ios;
	l->misses += v->misses;
	l->periods++;
	if (l->misses >= MISSES_PROVE && l->misses * 100 > l->ios)
		return MISSED;
	return l->ios >= IOS_PROVE || (l->ios && l->periods >= PERIODS_MAX) ? MET : UNKNOWN;
}

static unsigned missed_share(uint64_t misses, uint64_t ios)
{
	return (unsigned)(misses * 1024 / CC_MAX(ios, 1));
}

static uint32_t cut(uint32_t window, unsigned share)
{
	if (share > 512)
		return window / 4;
	if (share > 128)
		return window / 2;
	return window - CC_MAX(window / 8, 1);
}

/* Nothing is left to be cut. */
static enum qos_latency_event missed_at_least(struct qos_latency *l, uint64_t now_ns)
{
	unsigned share;

	if (!l->least_ns) {
		l->least_ns = now_ns;
		l->least_ios = l->least_misses = 0;
	}
	l->least_ios += l->ios;
	l->least_misses += l->misses;
	if (now_ns - l->least_ns < LEAST_NS)
		return QOS_LATENCY_NOTHING;
	l->least_ns = 0;
	share = missed_share(l->least_misses, l->least_ios);
	if (share > l->free_share / 2) {
		l->give_up_ns = l->nvain ? CC_MIN(2 * l->give_up_ns, GIVE_UP_MAX_NS) :
					   GIVE_UP_MIN_NS;
		l->free_until_ns = now_ns + l->give_up_ns;
		set_free(l);
		return l->nvain++ ? QOS_LATENCY_NOTHING : QOS_LATENCY_IN_VAIN;
	}
	if (l->said_least)
		return QOS_LATENCY_NOTHING;
	l->said_least = true;
	return QOS_LATENCY_AT_LEAST;
}

static enum qos_latency_event missed(struct qos_latency *l, uint64_t now_ns,
				     const struct qos_neighbour *n, unsigned count)
{
	uint32_t least = CC_MAX(floors(n, count), 1), used = in_use(n, count);
	unsigned share = missed_share(l->misses, l->ios);
	uint32_t from = l->window ? CC_MIN(l->window, used) : used;

	if (!used) /* nobody else is there */
		return QOS_LATENCY_NOTHING;
	if (!l->window)
		l->free_share = share;
	else if (l->window <= least)
		return missed_at_least(l, now_ns);
	if (l->good && l->good < l->window) { /* it was the last step that did it */
		bool tried = l->window == l->bad;

		l->rest_ns = tried ? CC_MIN(2 * l->rest_ns, REST_MAX_NS) : REST_MIN_NS;
		l->bad = l->window;
		l->window = l->good;
	} else {
		l->bad = from;
		l->window = cut(from, share);
		l->good = 0;
	}
	l->window = CC_MAX(l->window, least);
	l->try_ns = 0;
	l->settles = true;
	return QOS_LATENCY_NOTHING;
}

/* The step towards bad gets smaller; then it rests; then bad is tried, and when it has become good, forgotten. */
static void grow(struct qos_latency *l, uint64_t now_ns)
{
	if (l->window >= l->bad) {
		l->bad = UINT32_MAX;
		l->rest_ns = REST_MIN_NS;
		l->stride = 1;
	}
	if (l->bad == UINT32_MAX) {
		l->window = add_up(l->window, l->stride);
		l->stride = CC_MIN(2 * l->stride, l->window / 2 + 1);
	} else if (l->window + 1 < l->bad) {
		l->window += CC_MAX((l->bad - 1 - l->window) / 4, 1);
	} else if (!l->try_ns) {
		l->try_ns = now_ns + l->rest_ns;
	} else if (now_ns >= l->try_ns) {
		l->window = l->bad;
		l->try_ns = 0;
	}
}

static void met(struct qos_latency *l, uint64_t now_ns, const struct qos_neighbour *n,
		unsigned count)
{
	l->nvain = 0;
	l->least_ns = 0;
	l->said_least = false;
	if (!l->window)
		return;
	l->good = l->window;
	if (is_felt(n, count)) {
		l->unused_ns = 0;
		grow(l, now_ns);
	} else if (!l->unused_ns) {
		l->unused_ns = now_ns;
	} else if (l->bad == UINT32_MAX && now_ns - l->unused_ns > UNUSED_NS) {
		set_free(l);
	}
}

static enum qos_latency_event decide(struct qos_latency *l, uint64_t now_ns,
				     const struct qos_latency_sample *v,
				     const struct qos_neighbour *n, unsigned count)
{
	enum qos_latency_event event = QOS_LATENCY_NOTHING;

	if (v->ios || v->waits) {
		l->seen_ns = now_ns;
	} else if (qos_latency_is_silent(l, now_ns)) {
		uint64_t seen_ns = l->seen_ns;

		qos_latency_init(l);
		l->seen_ns = seen_ns;
	}
	if (now_ns < l->free_until_ns)
		return QOS_LATENCY_NOTHING;
	switch (judge(l, v)) {
	case UNKNOWN:
		return QOS_LATENCY_NOTHING;
	case MET:
		met(l, now_ns, n, count);
		break;
	case MISSED:
		event = missed(l, now_ns, n, count);
		break;
	}
	l->ios = l->misses = 0;
	l->periods = 0;
	return event;
}

enum qos_latency_event qos_latency_step(struct qos_latency *l, uint64_t now_ns,
					const struct qos_latency_sample *v, struct qos_neighbour *n,
					unsigned count)
{
	enum qos_latency_event event;

	share_out(n, count, l->window); /* what it is now, for is_felt() */
	event = decide(l, now_ns, v, n, count);
	if (l->window)
		share_out(n, count, l->window);
	for (unsigned i = 0; !l->window && i < count; i++)
		n[i].cap = 0;
	return event;
}

uint32_t qos_neighbour_floor(uint32_t depth, uint64_t rate, uint64_t min, uint32_t least)
{
	double need;

	assert(least >= 1);
	if (!min || !rate)
		return least;
	need = (double)depth * (double)min / (double)rate * (1 + FLOOR_MARGIN);
	if (need >= (double)UINT32_MAX)
		return UINT32_MAX;
	return CC_MAX((uint32_t)need + 1, least);
}
