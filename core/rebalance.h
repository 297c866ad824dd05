/* SPDX-License-Identifier: BSD-3-Clause */
/* Which piece of work goes to another reactor when one has too much to do and another has room.
 * Pure. */
#ifndef CORE_REBALANCE_H
#define CORE_REBALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mono.h"
#include "core/placement.h"

#define REBAL_FULL 1000 /* the load of a reactor that never rests: the unit of all loads */
/* Who is less busy than this is no bottleneck; a move would only disturb. */
#define REBAL_BUSY_MIN 500
/* With the queue, the other reactor has still so much less to do than the first one had: nothing is
 * swapped, and nothing that small differences in what was measured would turn round. */
#define REBAL_GAP_MIN 150
/* Not worth the stop: less than each of 256 queues takes of a reactor which they fill. */
#define REBAL_PART_MIN 3
/* So many periods in a row: a burst is over before. */
#define REBAL_PERIODS 3
/* What has just come to a reactor stays there; each move doubles that, this often at most. */
#define REBAL_REST_NS	     (10 * MONO_NS_PER_SEC)
#define REBAL_REST_DOUBLINGS 6
/* The unit of time in which loads and work are measured. */
#define REBAL_PERIOD_NS MONO_NS_PER_SEC

/* What can be moved: a virtqueue. */
struct rebal_item {
	unsigned at;   /* its reactor */
	uint64_t work; /* done in this period, below 2^40: its part of what its reactor did */
	const struct place_set *may; /* where it may go */
	uint64_t since_ns;	     /* when it came to its reactor */
	unsigned moves;		     /* rebal_decide() has said of it so far */
};

/* All that was seen in a period. */
struct rebal_period {
	const unsigned *loads; /* of the reactors: 0 … REBAL_FULL */
	unsigned nreactors;
	const struct rebal_item *items;
	unsigned nitems;
	uint64_t now_ns;
};

struct rebal_move {
	unsigned item, from, to;
	unsigned part; /* the item's, of the load of @from */
};

/* What is remembered of the periods before. */
struct rebal {
	uint8_t streak[REACTOR_MAX]; /* periods in a row in which something should have left it; to
					REBAL_PERIODS */
};

static inline void rebal_init(struct rebal *b)
{
	*b = (struct rebal){ .streak = { 0 } };
}

/**
 * rebal_decide - the one move of this period that helps most, if there is any; call once a period.
 *
 * Each lowers the load of the busier reactor, and the sum of the squares of the loads by at least
 * 2 * REBAL_PART_MIN * REBAL_GAP_MIN: under a steady load it comes to an end. Under one that is
 * not, the rests grow.
 */
bool rebal_decide(struct rebal *b, const struct rebal_period *p, struct rebal_move *ret);

#endif
