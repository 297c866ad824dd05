/* SPDX-License-Identifier: BSD-3-Clause */
/* A fine histogram of clock ticks: 128 steps an octave (within 0.8 %), with exact mean, spread,
 * minimum and maximum. */
#ifndef TOOLS_BENCH_BENCH_HIST_H
#define TOOLS_BENCH_BENCH_HIST_H

#include <stdint.h>

#define BENCH_HIST_SUB_BITS 7
#define BENCH_HIST_SUB	    (1u << BENCH_HIST_SUB_BITS)
#define BENCH_HIST_OCTAVES \
	36 /* to 2^42 ticks: some 20 minutes; longer falls into the last bucket */
#define BENCH_HIST_BUCKETS (BENCH_HIST_OCTAVES * BENCH_HIST_SUB)

struct bench_hist {
	uint64_t n, sum, min, max; /* min: 0 while empty */
	double sum_sq;
	uint64_t count[BENCH_HIST_BUCKETS];
};

static inline unsigned bench_hist_index(uint64_t v)
{
	unsigned msb, idx;

	if (v < BENCH_HIST_SUB)
		return (unsigned)v;
	msb = 63 - (unsigned)__builtin_clzll(v);
	idx = ((msb - BENCH_HIST_SUB_BITS + 1) << BENCH_HIST_SUB_BITS) +
	      (unsigned)((v >> (msb - BENCH_HIST_SUB_BITS)) & (BENCH_HIST_SUB - 1));
	return idx < BENCH_HIST_BUCKETS ? idx : BENCH_HIST_BUCKETS - 1;
}

/* One sample. The owner's thread. */
static inline void bench_hist_record(struct bench_hist *h, uint64_t ticks)
{
	h->count[bench_hist_index(ticks)]++;
	h->sum += ticks;
	h->sum_sq += (double)ticks * (double)ticks;
	if (h->n++ == 0 || ticks < h->min)
		h->min = ticks;
	if (ticks > h->max)
		h->max = ticks;
}

/* Lowest value of bucket @idx. */
uint64_t bench_hist_low(unsigned idx);

void bench_hist_merge(struct bench_hist *dst, const struct bench_hist *src);

/* The value below which the share @q (0..1) of the samples lies, interpolated in its bucket, never
 * beyond min and max. */
double bench_hist_quantile(const struct bench_hist *h, double q);

double bench_hist_mean(const struct bench_hist *h);
double bench_hist_stddev(const struct bench_hist *h);

#endif
