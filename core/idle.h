/* SPDX-License-Identifier: BSD-3-Clause */
/* How long a source of work is polled in vain before it falls asleep: a window that follows what
 * comes. Pure: time is an argument. */
#ifndef CORE_IDLE_H
#define CORE_IDLE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The window of one source. It is looked at only when the source has left the poll list, so that a
 * poll which finds work costs nothing:
 *
 *                      work within the window: nothing changes, nothing is called
 *                    ┌───────────┐
 *   last work ───────┴───────────┼───────────────────────┬──────────────────────────────────► time
 *              polled in vain    │ asleep                 │
 *                                window                   max
 *   work comes while asleep:      near: grow to half as     far: shrink by a quarter; after some in
 *                                 much again as the gap     a row, try max once
 *
 * Why a try: what looks far may be near. The clock says when we were awake again, not when the
 * other side asked; the kernel's way from one to the other may be longer than the window. A try
 * that catches nothing doubles the number of far ones until the next (IDLE_FAR_MAX at most).
 */
struct idle_window {
	uint64_t window; /* poll in vain for so long */
	uint64_t woken;	 /* when it was last awake again */
	uint8_t far;	 /* far ones in a row */
	uint8_t far_max; /* so many before a try */
	bool is_trying;
};

/* One in so many far gaps is spent on a try: 1.6 % of max beside min. */
#define IDLE_FAR_MAX 64

/* In any unit, the same for all: the reactor's is ticks. min <= max. */
struct idle_bounds {
	uint64_t min, max;
};

/* The window begins at max: who comes is about to be used. */
void idle_init(struct idle_window *i, const struct idle_bounds *b, uint64_t now);

/* The bounds are others now. */
void idle_bound(struct idle_window *i, const struct idle_bounds *b);

/* Awake again for another reason than work of its own: nothing is learned. */
void idle_wake(struct idle_window *i, uint64_t now);

/* Work came after the source fell asleep: @last is when it had some before, @now when we saw that
 * it has again. */
void idle_end(struct idle_window *i, const struct idle_bounds *b, uint64_t last, uint64_t now);

#endif
