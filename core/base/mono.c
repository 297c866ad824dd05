/* SPDX-License-Identifier: BSD-3-Clause */
/* Measures how fast the tick counter runs. */
#include "core/base/mono.h"

uint64_t mono_mult = 1ull << MONO_SHIFT; /* one tick a nanosecond until measured */

#define MONO_MEASURE_NS (2 * MONO_NS_PER_MS)

void mono_init(void)
{
#if defined(__x86_64__)
	uint64_t t0 = mono_ns(), c0 = mono_ticks(), t1, c1;

	do {
		t1 = mono_ns();
		c1 = mono_ticks();
	} while (t1 - t0 < MONO_MEASURE_NS);
	if (c1 > c0)
		mono_mult = ((t1 - t0) << MONO_SHIFT) / (c1 - c0);
	if (mono_mult == 0)
		mono_mult = 1;
#endif
}
