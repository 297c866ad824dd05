/* SPDX-License-Identifier: BSD-3-Clause */
/* Where work may go: sets of data reactors, and those that are near a device. Pure. */
#ifndef CORE_PLACEMENT_H
#define CORE_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/reactor.h"

#define PLACE_NODE_ANY (-1) /* a CPU or a device that says nothing of its NUMA node */

/* Of data reactors, by number. */
struct place_set {
	uint64_t bits[REACTOR_MAX / 64];
};

static inline void place_set_add(struct place_set *set, unsigned reactor)
{
	set->bits[reactor / 64] |= UINT64_C(1) << reactor % 64;
}

static inline bool place_set_has(const struct place_set *set, unsigned reactor)
{
	return set->bits[reactor / 64] >> reactor % 64 & 1;
}

unsigned place_set_count(const struct place_set *set);

/**
 * place_near - those of @may whose CPU is on @node, the device's; when there is none, or one of the
 * two is unknown, all of @may. @nodes: of the CPUs of the @n reactors.
 */
struct place_set place_near(const struct place_set *may, const int *nodes, unsigned n, int node);

#endif
