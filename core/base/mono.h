/* SPDX-License-Identifier: BSD-3-Clause */
/* The monotonic clock: exact (a vDSO call), and as a cheap counter for the data path. */
#ifndef CORE_BASE_MONO_H
#define CORE_BASE_MONO_H

#include <stdint.h>
#include <time.h>

#define MONO_NS_PER_SEC 1000000000ull
#define MONO_NS_PER_MS	1000000ull
#define MONO_NS_PER_US	1000ull

/* CLOCK_MONOTONIC in nanoseconds. Any thread. */
static inline uint64_t mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * MONO_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Ticks to nanoseconds: ns = ticks * mult >> MONO_SHIFT; set by mono_init(). Read only afterwards. */
#define MONO_SHIFT 24
extern uint64_t mono_mult;

/**
 * mono_init - measure the tick rate. Once, before any other thread; takes about a millisecond.
 * Where the counter is not usable, ticks are nanoseconds of CLOCK_MONOTONIC.
 */
void mono_init(void);

/* A free-running counter that costs some ten nanoseconds at most. */
static inline uint64_t mono_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc(); /* by its builtin: <x86intrin.h> is half a second of compiling */
#else
	return mono_ns();
#endif
}

/* A duration for system calls that wait. */
static inline struct timespec mono_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / MONO_NS_PER_SEC),
				  .tv_nsec = (long)(ns % MONO_NS_PER_SEC) };
}

/* A duration (not a point in time) in ticks as nanoseconds. */
static inline uint64_t mono_ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * mono_mult) >> MONO_SHIFT);
}

/* The inverse, for durations. */
static inline uint64_t mono_ns_to_ticks(uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns << MONO_SHIFT) / mono_mult);
}

#endif
