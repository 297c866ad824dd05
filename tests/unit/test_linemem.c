/* SPDX-License-Identifier: BSD-3-Clause */
/* Pieces of odd sizes: zeroed, and each alone on its lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/linemem.h"

#define PIECES 200

static uintptr_t line_of(const char *at)
{
	return (uintptr_t)at / CACHELINE_BYTES;
}

static void no_two_share_a_line(void **state)
{
	char *piece[PIECES];
	size_t len[PIECES];

	(void)state;
	for (unsigned i = 0; i < PIECES; i++) {
		len[i] = 1 + i * 7 % 193;
		piece[i] = linemem_calloc(len[i], 1);
		assert_non_null(piece[i]);
		for (size_t k = 0; k < len[i]; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], 0xff, len[i]);
		if (i % 3 == 2) { /* holes, to be filled again */
			free(piece[i - 1]);
			piece[i - 1] = linemem_calloc(len[i - 1], 1);
		}
	}
	for (unsigned i = 0; i < PIECES; i++) {
		assert_int_equal((uintptr_t)piece[i] % CACHELINE_BYTES, 0);
		for (unsigned k = 0; k < i; k++)
			assert_true(line_of(piece[k] + len[k] - 1) < line_of(piece[i]) ||
				    line_of(piece[i] + len[i] - 1) < line_of(piece[k]));
	}
	for (unsigned i = 0; i < PIECES; i++)
		free(piece[i]);
}

static void what_is_too_much_is_refused(void **state)
{
	volatile size_t half = SIZE_MAX / 2;

	(void)state;
	assert_null(linemem_calloc(half, 3));
	assert_null(linemem_calloc(half, 2));
	assert_null(linemem_calloc(SIZE_MAX, 1));
	free(linemem_calloc(0, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_share_a_line),
		cmocka_unit_test(what_is_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
