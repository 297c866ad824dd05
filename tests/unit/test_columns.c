/* SPDX-License-Identifier: BSD-3-Clause */
/* What a terminal makes of a text: widths, where it is cut, and what never reaches it. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tools/nvring/columns.h"

static void widths(void **state)
{
	static const struct {
		const char *text;
		size_t columns;
	} rows[] = {
		{ "", 0 },
		{ "disk", 4 },
		{ "gr\xc3\xb6\xc3\x9f"
		  "e",
		  5 },				   /* two bytes, one column */
		{ "\xe7\xa3\x81\xe7\x9b\x98", 4 }, /* three bytes, two columns */
		{ "e\xcc\x81", 1 },		   /* an accent of its own */
		{ "a\xff"
		  "b",
		  3 },		   /* no character at all */
		{ "\xe7\xa3", 2 }, /* the beginning of one */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (columns_of(rows[i].text, strlen(rows[i].text)) != rows[i].columns)
			fail_msg("row %u: %zu columns", i,
				 columns_of(rows[i].text, strlen(rows[i].text)));
	}
}

static void a_text_is_cut_between_characters(void **state)
{
	static const char text[] = "a\xe7\xa3\x81\xc3\xb6z";
	static const struct {
		size_t max, bytes, columns;
	} rows[] = { { 0, 0, 0 }, { 1, 1, 1 }, { 2, 1, 1 }, { 3, 4, 3 },
		     { 4, 6, 4 }, { 5, 7, 5 }, { 99, 7, 5 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t columns;

		assert_int_equal(columns_fit(text, strlen(text), rows[i].max, &columns),
				 rows[i].bytes);
		assert_int_equal(columns, rows[i].columns);
	}
}

/* Escape, a C1 control character, half a character, and an end that looks like more. */
static void what_steers_a_terminal_is_replaced(void **state)
{
	static const char *const rows[][2] = {
		{ "plain \xc3\xb6\xe7\xa3\x81", "plain \xc3\xb6\xe7\xa3\x81" },
		{ "\x1b[2J", "?[2J" },
		{ "a\xc2\x9b"
		  "2J",
		  "a?2J" },
		{ "a\x9b"
		  "2J\x7f\n",
		  "a?2J??" },
		{ "a\xe7\xa3", "a??" },
		{ "", "" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char buf[32];

		snprintf(buf, sizeof(buf), "%s", rows[i][0]);
		columns_clean(buf);
		assert_string_equal(buf, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widths),
		cmocka_unit_test(a_text_is_cut_between_characters),
		cmocka_unit_test(what_steers_a_terminal_is_replaced),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		puts("SKIP: no locale C.UTF-8");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
