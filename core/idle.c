/* SPDX-License-Identifier: BSD-3-Clause */
/* The window of one source of work. */
#include "core/idle.h"

#include <assert.h>

#include "core/base/cc.h"

void idle_init(struct idle_window *i, const struct idle_bounds *b, uint64_t now)
{
	assert(b->min <= b->max);
	*i = (struct idle_window){ .window = b->max, .woken = now, .far_max = 1 };
}

void idle_bound(struct idle_window *i, const struct idle_bounds *b)
{
	assert(b->min <= b->max);
	i->window = CC_MIN(CC_MAX(i->window, b->min), b->max);
}

void idle_wake(struct idle_window *i, uint64_t now)
{
	i->woken = now;
}

/* Max would have caught it. */
static void idle_near(struct idle_window *i, const struct idle_bounds *b, uint64_t gap)
{
	i->far = 0;
	i->is_trying = false;
	i->window = CC_MAX(i->window, CC_MIN(gap + gap / 2, b->max));
}

/* Max would not have caught it, as far as the clock can tell. */
static void idle_far(struct idle_window *i, const struct idle_bounds *b)
{
	if (i->is_trying) {
		i->is_trying = false;
		i->far_max = (uint8_t)CC_MIN(i->far_max * 2, IDLE_FAR_MAX);
		i->window = b->min;
		return;
	}
	i->window -= CC_MIN(i->window / 4 + 1, i->window - b->min);
	if (++i->far <= i->far_max)
		return;
	i->far = 0;
	i->is_trying = true;
	i->window = b->max;
}

void idle_end(struct idle_window *i, const struct idle_bounds *b, uint64_t last, uint64_t now)
{
	assert(i->window >= b->min && i->window <= b->max);
	/* Busy for longer than any window in one go: what was polled for has paid. */
	if (last > i->woken && last - i->woken > b->max) {
		i->far = 0;
		i->far_max = 1;
		i->is_trying = false;
	}
	if (now - last <= b->max)
		idle_near(i, b, now - last);
	else
		idle_far(i, b);
	i->woken = now;
	assert(i->window >= b->min && i->window <= b->max);
}
