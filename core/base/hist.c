/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading side of the histogram. */
#include "core/base/hist.h"

#include "core/base/cc.h"

uint64_t hist_bucket_low(unsigned idx)
{
	unsigned octave = idx >> HIST_SUB_BITS;

	if (octave == 0)
		return idx;
	return (uint64_t)(HIST_SUB | (idx & (HIST_SUB - 1))) << (octave - 1);
}

cc_looks_on void hist_merge(struct hist *dst, const struct hist *src)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		dst->count[i] += cc_read_once(src->count[i]);
}

cc_looks_on uint64_t hist_total(const struct hist *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		n += cc_read_once(h->count[i]);
	return n;
}

/* Middle of a bucket: what a sample in it is worth. */
static double bucket_value(unsigned idx)
{
	uint64_t low = hist_bucket_low(idx);

	return (double)low + (double)(hist_bucket_low(idx + 1) - low - 1) / 2.0;
}

cc_looks_on uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t total = hist_total(h), seen = 0, rank;

	if (total == 0)
		return 0;
	rank = (uint64_t)(q * (double)total);
	if ((double)rank < q * (double)total || rank == 0)
		rank++;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += cc_read_once(h->count[i]);
		if (seen >= rank)
			return (uint64_t)bucket_value(i);
	}
	return (uint64_t)bucket_value(HIST_BUCKETS - 1);
}

cc_looks_on double hist_mean(const struct hist *h)
{
	double sum = 0;
	uint64_t n = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		uint64_t c = cc_read_once(h->count[i]);

		n += c;
		sum += (double)c * bucket_value(i);
	}
	return n ? sum / (double)n : 0;
}
