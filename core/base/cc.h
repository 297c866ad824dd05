/* SPDX-License-Identifier: BSD-3-Clause */
/* What the compiler can do for us, spelt once. */
#ifndef CORE_BASE_CC_H
#define CORE_BASE_CC_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CACHELINE_BYTES 64

#define cc_likely(x)	__builtin_expect(!!(x), 1)
#define cc_unlikely(x)	__builtin_expect(!!(x), 0)
#define cc_prefetch(p)	__builtin_prefetch((p), 0, 3)

/* Fetch a line to write to. The compiler makes a plain prefetch of it unless told the CPU; every x86-64 knows
 * (or ignores) the real one. */
#if defined(__x86_64__)
#define cc_prefetch_w(p) __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)(p)))
#else
#define cc_prefetch_w(p) __builtin_prefetch((p), 1, 3)
#endif

#define cc_aligned(n)	   __attribute__((aligned(n)))
#define cc_packed	   __attribute__((packed))
#define cc_printf(fmt, va) __attribute__((format(printf, fmt, va)))
#define cc_must_check	   __attribute__((warn_unused_result))
#define cc_noinline	   __attribute__((noinline))
#define cc_always_inline   inline __attribute__((always_inline))
#define cc_cold		   __attribute__((cold))
/* Of a function that looks at another thread's counters: what it sees may be a moment old. */
#define cc_looks_on	   __attribute__((noinline, no_sanitize("thread")))
#define cc_cleanup(fn)	   __attribute__((cleanup(fn)))

/* The struct of type `type` that holds `ptr` as its member `member`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define CC_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CC_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Load and store of one word shared with another thread or process, exactly once, no ordering. */
#define cc_read_once(x)	    (*(const volatile __typeof__(x) *)&(x))
#define cc_write_once(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* Round @x up/down to the power of two @a. */
#define CC_ALIGN_UP(x, a)   (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define CC_ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define CC_IS_POW2(x)	    ((x) != 0 && ((x) & ((x) - 1)) == 0)

#endif
