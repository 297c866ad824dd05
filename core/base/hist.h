/* SPDX-License-Identifier: BSD-3-Clause */
/* A log-linear histogram of nanoseconds: 16 steps an octave (within 6.25 %), fixed size, one writer. */
#ifndef CORE_BASE_HIST_H
#define CORE_BASE_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 4
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_OCTAVES  37 /* up to 2^40 ns, some 18 minutes; longer falls into the last bucket */
#define HIST_BUCKETS  (HIST_OCTAVES * HIST_SUB)

struct hist {
	uint64_t count[HIST_BUCKETS];
};

/* The highest HIST_SUB_BITS + 1 bits of @v, the first of them set; below 2 * HIST_SUB, @v itself.
 * Without a branch. */
static inline unsigned hist_index(uint64_t v)
{
	unsigned msb = (unsigned)__builtin_clzll(v | HIST_SUB) ^ 63;
	unsigned shift = msb - HIST_SUB_BITS, idx;

	idx = (shift << HIST_SUB_BITS) + (unsigned)(v >> shift);
	return idx < HIST_BUCKETS ? idx : HIST_BUCKETS - 1;
}

/* One sample of @ns. The owner's thread only; readers may look at any time (relaxed). */
static inline void hist_record(struct hist *h, uint64_t ns)
{
	h->count[hist_index(ns)]++;
}

/* Lowest value of bucket @idx, nanoseconds. */
uint64_t hist_bucket_low(unsigned idx);

/* Adds @src to @dst. @src may be written meanwhile. */
void hist_merge(struct hist *dst, const struct hist *src);

/* Samples in all. */
uint64_t hist_total(const struct hist *h);

/* The value below which the share @q (0..1, 0.9999 = p99.99) of the samples lies; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double q);

/* Mean of the samples (bucket centres), 0 when empty. */
double hist_mean(const struct hist *h);

#endif
