/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading the fine histogram. */
#include "tools/bench/bench_hist.h"

#include <math.h>

uint64_t bench_hist_low(unsigned idx)
{
	unsigned octave = idx >> BENCH_HIST_SUB_BITS;
	uint64_t sub = idx & (BENCH_HIST_SUB - 1);

	if (octave == 0)
		return sub;
	return (sub + BENCH_HIST_SUB) << (octave - 1);
}

void bench_hist_merge(struct bench_hist *dst, const struct bench_hist *src)
{
	if (src->n == 0)
		return;
	if (dst->n == 0 || src->min < dst->min)
		dst->min = src->min;
	if (src->max > dst->max)
		dst->max = src->max;
	dst->n += src->n;
	dst->sum += src->sum;
	dst->sum_sq += src->sum_sq;
	for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++)
		dst->count[i] += src->count[i];
}

double bench_hist_quantile(const struct bench_hist *h, double q)
{
	double want = q * (double)h->n, seen = 0, v;
	unsigned i;

	if (h->n == 0)
		return 0;
	for (i = 0; i < BENCH_HIST_BUCKETS - 1; i++) {
		if (seen + (double)h->count[i] >= want && h->count[i])
			break;
		seen += (double)h->count[i];
	}
	v = (double)bench_hist_low(i);
	if (i < BENCH_HIST_BUCKETS - 1 && h->count[i])
		v += (double)(bench_hist_low(i + 1) - bench_hist_low(i)) * (want - seen) /
		     (double)h->count[i];
	if (v < (double)h->min)
		return (double)h->min;
	return v > (double)h->max ? (double)h->max : v;
}

double bench_hist_mean(const struct bench_hist *h)
{
	return h->n ? (double)h->sum / (double)h->n : 0;
}

double bench_hist_stddev(const struct bench_hist *h)
{
	double mean = bench_hist_mean(h), var;

	if (h->n < 2)
		return 0;
	var = h->sum_sq / (double)h->n - mean * mean;
	return var > 0 ? sqrt(var) : 0;
}
