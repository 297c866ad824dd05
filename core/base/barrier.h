/* SPDX-License-Identifier: BSD-3-Clause */
/* Ordering of memory shared with a guest or another process; every use names its partner. */
#ifndef CORE_BASE_BARRIER_H
#define CORE_BASE_BARRIER_H

/* Loads before stay before loads and stores after. On x86 a compiler barrier. */
static inline void barrier_acquire(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/* Loads and stores before stay before stores after. On x86 a compiler barrier. */
static inline void barrier_release(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* Stores before stay before loads after: the expensive one. Used where a notification may be lost. */
static inline void barrier_full(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void barrier_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

#endif
