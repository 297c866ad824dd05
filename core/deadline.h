/* SPDX-License-Identifier: BSD-3-Clause */
/* Points in time at which a reactor calls back. */
#ifndef CORE_DEADLINE_H
#define CORE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"

struct reactor;
struct deadline;

typedef void (*deadline_fn)(struct deadline *d);

/* Storage is the user's; lives on one reactor; must be cancelled before it goes. */
struct deadline {
	struct list link; /* sorted by at_ns in the reactor */
	uint64_t at_ns;
	deadline_fn fn;
	struct reactor *reactor; /* NULL while not armed */
};

void deadline_init(struct deadline *d, deadline_fn fn);

/**
 * deadline_arm - call fn at @at_ns (mono_ns) or as soon after as the reactor turns; re-arming moves it.
 * On the reactor's own thread only. fn may arm again. O(number of armed deadlines): few and long by design.
 */
void deadline_arm(struct reactor *r, struct deadline *d, uint64_t at_ns);

/* Harmless when not armed. On the reactor's own thread only. */
void deadline_cancel(struct deadline *d);

static inline bool deadline_is_armed(const struct deadline *d)
{
	return d->reactor != NULL;
}

#endif
