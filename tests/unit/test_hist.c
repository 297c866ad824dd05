/* SPDX-License-Identifier: BSD-3-Clause */
/* The histogram: buckets, quantiles, the last bucket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/hist.h"

static void buckets_are_contiguous(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < HIST_BUCKETS; i++) {
		assert_int_equal(hist_index(hist_bucket_low(i)), i);
		assert_int_equal(hist_index(hist_bucket_low(i + 1) - 1), i);
	}
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
}

static void quantiles_are_within_a_sixteenth(void **state)
{
	static struct hist h;

	(void)state;
	memset(&h, 0, sizeof(h));
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	for (uint64_t v = 1; v <= 10000; v++)
		hist_record(&h, v * 100);
	assert_int_equal(hist_total(&h), 10000);
	assert_in_range(hist_quantile(&h, 0.5), 470000, 530000);
	assert_in_range(hist_quantile(&h, 0.99), 930000, 1050000);
	assert_in_range((uint64_t)hist_mean(&h), 470000, 530000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_contiguous),
		cmocka_unit_test(quantiles_are_within_a_sixteenth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
