/* SPDX-License-Identifier: BSD-3-Clause */
/* The move that takes most from the busier of two reactors. */
#include "core/rebalance.h"

#include <assert.h>

/* A move and what it brings. */
struct candidate {
	struct rebal_move move;
	unsigned gain;
};

/* Of what each reactor did, summed over its items. */
static void sum_work(const struct rebal_period *p, uint64_t *ret_work)
{
	for (unsigned i = 0; i < p->nreactors; i++)
		ret_work[i] = 0;
	for (unsigned i = 0; i < p->nitems; i++) {
		assert(p->items[i].at < p->nreactors);
		ret_work[p->items[i].at] += p->items[i].work;
	}
}

/* The reactor with least to do where @item may go, other than its own. False: there is none. */
static bool find_target(const struct rebal_period *p, const struct rebal_item *item,
			unsigned *ret_to)
{
	unsigned best = item->at;

	for (unsigned i = 0; i < p->nreactors; i++) {
		if (i == item->at || !place_set_has(item->may, i))
			continue;
		if (best == item->at || p->loads[i] < p->loads[best])
			best = i;
	}
	*ret_to = best;
	return best != item->at;
}

/* How much less the busier of the two has to do when one takes over @part of the other's load; 0:
 * not worth it. */
static unsigned gain_of(unsigned from, unsigned to, unsigned part)
{
	if (part < REBAL_PART_MIN || to + part + REBAL_GAP_MIN > from)
		return 0;
	return from - CC_MAX(from - part, to + part);
}

static bool rests(const struct rebal_item *item, uint64_t now_ns)
{
	unsigned doublings = CC_MIN(item->moves, (unsigned)REBAL_REST_DOUBLINGS);

	return now_ns - item->since_ns < REBAL_REST_NS << doublings;
}

/* What is best for item @i, if it is worth it. */
static bool consider(const struct rebal_period *p, unsigned i, const uint64_t *work,
		     struct candidate *ret)
{
	const struct rebal_item *item = &p->items[i];
	unsigned from = item->at, to, part, gain;

	if (!item->work || p->loads[from] < REBAL_BUSY_MIN || !find_target(p, item, &to))
		return false;
	part = (unsigned)(p->loads[from] * item->work / work[from]);
	gain = gain_of(p->loads[from], p->loads[to], part);
	*ret = (struct candidate){ .move = { .item = i, .from = from, .to = to, .part = part },
				   .gain = gain };
	return gain > 0;
}

bool rebal_decide(struct rebal *b, const struct rebal_period *p, struct rebal_move *ret)
{
	bool is_uneven[REACTOR_MAX] = { false };
	uint64_t work[REACTOR_MAX];
	struct candidate best = { .gain = 0 }, c;

	assert(p->nreactors <= REACTOR_MAX);
	sum_work(p, work);
	for (unsigned i = 0; i < p->nitems; i++) {
		if (!consider(p, i, work, &c))
			continue;
		is_uneven[c.move.from] = true;
		if (b->streak[c.move.from] + 1 >= REBAL_PERIODS &&
		    !rests(&p->items[i], p->now_ns) && c.gain > best.gain)
			best = c;
	}
	for (unsigned i = 0; i < p->nreactors; i++)
		b->streak[i] = is_uneven[i] ? (uint8_t)CC_MIN(b->streak[i] + 1, REBAL_PERIODS) : 0;
	if (!best.gain)
		return false;
	/* The next period sees half of each: they are measured anew. */
	b->streak[best.move.from] = b->streak[best.move.to] = 0;
	*ret = best.move;
	return true;
}
