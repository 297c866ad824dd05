/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator's histogram: buckets, quantiles, moments, merging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tools/bench/bench_hist.h"

static void buckets_are_contiguous(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < BENCH_HIST_BUCKETS; i++) {
		assert_int_equal(bench_hist_index(bench_hist_low(i)), i);
		assert_int_equal(bench_hist_index(bench_hist_low(i + 1) - 1), i);
	}
	assert_int_equal(bench_hist_index(UINT64_MAX), BENCH_HIST_BUCKETS - 1);
}

static void quantiles_are_within_a_hundredth(void **state)
{
	static struct bench_hist h;

	(void)state;
	memset(&h, 0, sizeof(h));
	assert_true(bench_hist_quantile(&h, 0.5) == 0);
	for (uint64_t v = 1; v <= 100000; v++)
		bench_hist_record(&h, v * 10);
	assert_int_equal(h.n, 100000);
	assert_int_equal(h.min, 10);
	assert_int_equal(h.max, 1000000);
	assert_in_range((uint64_t)bench_hist_quantile(&h, 0.5), 496000, 504000);
	assert_in_range((uint64_t)bench_hist_quantile(&h, 0.9999), 992000, 1000000);
	assert_in_range((uint64_t)bench_hist_quantile(&h, 1.0), 999990, 1000000);
	assert_int_equal((uint64_t)bench_hist_mean(&h), 500005);
	assert_in_range((uint64_t)bench_hist_stddev(&h), 288670, 288680);
}

static void one_sample_is_every_quantile(void **state)
{
	static struct bench_hist h;

	(void)state;
	memset(&h, 0, sizeof(h));
	bench_hist_record(&h, 123456789);
	assert_int_equal((uint64_t)bench_hist_quantile(&h, 0.5), 123456789);
	assert_int_equal((uint64_t)bench_hist_quantile(&h, 0.9999), 123456789);
	assert_true(bench_hist_stddev(&h) == 0);
}

static void merging_is_recording_both(void **state)
{
	static struct bench_hist a, b, both;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memset(&both, 0, sizeof(both));
	for (uint64_t v = 0; v < 5000; v++) {
		bench_hist_record(v & 1 ? &a : &b, v * v);
		bench_hist_record(&both, v * v);
	}
	bench_hist_merge(&a, &b);
	assert_int_equal(a.n, both.n);
	assert_int_equal(a.min, both.min);
	assert_int_equal(a.max, both.max);
	assert_int_equal(a.sum, both.sum);
	assert_memory_equal(a.count, both.count, sizeof(a.count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_contiguous),
		cmocka_unit_test(quantiles_are_within_a_hundredth),
		cmocka_unit_test(one_sample_is_every_quantile),
		cmocka_unit_test(merging_is_recording_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
