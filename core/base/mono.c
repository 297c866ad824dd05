/* SPDX-License-Identifier: BSD-3-Clause */
/* Measures how fast the tick counter runs. */
#include "core/base/mono.h"

uint64_t mono_mult = 1ull << MONO_SHIFT; /* one tick a nanosecond until measured */

#define MONO_MEASURE_NS (2 * MONO_NS_PER_MS)
#define MONO_TRIES	16

#if defined(__x86_64__)
/* The clock and the counter at one moment: of some tries the one that was interrupted least. */
static uint64_t mono_pair(uint64_t *ret_ticks)
{
	uint64_t best = UINT64_MAX, ns = 0;

	for (unsigned i = 0; i < MONO_TRIES; i++) {
		uint64_t before = mono_ticks(), now = mono_ns(), gap = mono_ticks() - before;

		if (gap >= best)
			continue;
		best = gap;
		ns = now;
		*ret_ticks = before + gap / 2;
	}
	return ns;
}
#endif

void mono_init(void)
{
#if defined(__x86_64__)
	uint64_t c0 = 0, c1 = 0, t0 = mono_pair(&c0), t1;

	while (mono_ns() - t0 < MONO_MEASURE_NS)
		;
	t1 = mono_pair(&c1);
	if (c1 > c0)
		mono_mult = ((t1 - t0) << MONO_SHIFT) / (c1 - c0);
	if (mono_mult == 0)
		mono_mult = 1;
#endif
}
