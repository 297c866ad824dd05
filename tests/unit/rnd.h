/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that look random and are the same in each run: xorshift, one sequence per test program. */
#ifndef TESTS_UNIT_RND_H
#define TESTS_UNIT_RND_H

#include <stdint.h>

static uint64_t rnd_state;

/* 0 … @below - 1 */
static inline uint64_t rnd(uint64_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state % below;
}

/* Sequence @n from its start. */
static inline void sow(uint64_t n)
{
	rnd_state = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < 10; i++)
		rnd(2);
}

#endif
