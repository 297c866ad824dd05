/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of reactors. */
#include "core/placement.h"

#include <assert.h>

unsigned place_set_count(const struct place_set *set)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REACTOR_MAX / 64; i++)
		n += (unsigned)__builtin_popcountll(set->bits[i]);
	return n;
}

struct place_set place_near(const struct place_set *may, const int *nodes, unsigned n, int node)
{
	struct place_set near = { { 0 } };

	assert(n <= REACTOR_MAX);
	for (unsigned i = 0; i < n && node != PLACE_NODE_ANY; i++) {
		if (nodes[i] == node && place_set_has(may, i))
			place_set_add(&near, i);
	}
	return place_set_count(&near) ? near : *may;
}
