/* SPDX-License-Identifier: BSD-3-Clause */
/* URIs: sizes, percent-decoding, the table of options, hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/uri.h"

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* UINT64_MAX: refused */
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "4K", 4096 },
		{ "4k", 4096 },
		{ "64M", 64ull << 20 },
		{ "3G", 3ull << 30 },
		{ "2T", 2ull << 40 },
		{ "4Ki", 4096 },
		{ "64Mi", 64ull << 20 },
		{ "8388607Ti", 8388607ull << 40 },
		{ "8388608Ti", UINT64_MAX },
		{ "1i", UINT64_MAX },
		{ "1Kib", UINT64_MAX },
		{ "1KI", UINT64_MAX },
		{ "9223372036854775807", INT64_MAX },
		{ "8388607T", 8388607ull << 40 },
		{ "9223372036854775808", UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX },
		{ "99999999999999999999999999", UINT64_MAX },
		{ "8388608T", UINT64_MAX },
		{ "", UINT64_MAX },
		{ "K", UINT64_MAX },
		{ "-1", UINT64_MAX },
		{ "+1", UINT64_MAX },
		{ " 1", UINT64_MAX },
		{ "1 ", UINT64_MAX },
		{ "1KB", UINT64_MAX },
		{ "1.5G", UINT64_MAX },
		{ "0x10", UINT64_MAX },
		{ "1E", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = UINT64_MAX;
		int err = uri_size_parse(cases[i].text, &v);

		if (err != (cases[i].bytes == UINT64_MAX ? -EINVAL : 0) || v != cases[i].bytes)
			fail_msg("'%s': %d, %llu", cases[i].text, err, (unsigned long long)v);
	}
}

static void a_flag_is_taken_out_of_the_query(void **state)
{
	static const struct {
		const char *uri, *rest;
		int value; /* 7: untouched; -1: refused with rest as the reason */
	} cases[] = {
		{ "ram:1M", "ram:1M", 7 },
		{ "file:/a?direct=0", "file:/a?direct=0", 7 },
		{ "ram:1M?merge=1", "ram:1M", 1 },
		{ "ram:1M?merge=off", "ram:1M", 0 },
		{ "file:/a?merge=yes&direct=0", "file:/a?direct=0", 1 },
		{ "file:/a?direct=0&merge=1", "file:/a?direct=0", 1 },
		{ "file:/a?x=1&merge=1&y=%26&z", "file:/a?x=1&y=%26&z", 1 },
		{ "file:/merge=1", "file:/merge=1", 7 },
		{ "file:/a?merged=1&amerge=1&y=merge=1", "file:/a?merged=1&amerge=1&y=merge=1", 7 },
		{ "file:/a?", "file:/a?", 7 },
		{ "file:/a?merge=1&", "file:/a?", 1 },
		{ "file:/a?&&merge=1", "file:/a?&", 1 },
		{ "file:/a?b?merge=1", "file:/a?b?merge=1", 7 },
		{ "ram:1M?merge", "option 'merge' needs a value (merge=…)", -1 },
		{ "ram:1M?merge=2", "option merge=2: 0 or 1 is expected", -1 },
		{ "ram:1M?merge=", "option merge=: 0 or 1 is expected", -1 },
		{ "ram:1M?merge=1&merge=1", "option 'merge' is given twice", -1 },
		{ "ram:123456789012345678901234567890123456789", "longer than 39 characters", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_bad = cases[i].value < 0;
		char rest[40] = "untouched";
		struct errbuf eb = { "" };
		uint64_t v = 7;
		int err = uri_flag_take(cases[i].uri, "merge", rest, sizeof(rest), &v, &eb);

		if ((err < 0) != is_bad || v != (is_bad ? 7 : (uint64_t)cases[i].value) ||
		    strcmp(is_bad ? eb.text : rest, cases[i].rest) || (is_bad && strcmp(rest, "untouched")))
			fail_msg("%s: %d, %llu, '%s', '%s'", cases[i].uri, err, (unsigned long long)v, rest,
				 eb.text);
	}
}

static const char *const modes[] = { "auto", "on", "off", NULL };

struct result {
	char path[32];
	uint64_t direct, depth, size, mode;
};

static int parse(const char *text, struct result *r, struct errbuf *eb)
{
	const struct uri_opt opts[] = {
		{ "direct", URI_FLAG, 0, 1, NULL, &r->direct },
		{ "depth", URI_NUMBER, 1, 4096, NULL, &r->depth },
		{ "size", URI_SIZE, 512, 1ull << 40, NULL, &r->size },
		{ "locking", URI_CHOICE, 0, 0, modes, &r->mode },
	};

	memset(r, 0, sizeof(*r));
	memcpy(r->path, "untouched", sizeof("untouched"));
	r->direct = r->depth = r->size = r->mode = 7;
	return uri_parse(text, r->path, sizeof(r->path), opts, ARRAY_SIZE(opts), eb);
}

static void good_ones(void **state)
{
	static const struct {
		const char *text, *path;
		uint64_t direct, depth, size, mode;
	} cases[] = {
		{ "", "", 7, 7, 7, 7 },
		{ "/a/b", "/a/b", 7, 7, 7, 7 },
		{ "/a%20b%3Fc%25", "/a b?c%", 7, 7, 7, 7 },
		{ "%2f%2F", "//", 7, 7, 7, 7 },
		{ "\xc3\xa4", "\xc3\xa4", 7, 7, 7, 7 },
		{ "x?direct=1", "x", 1, 7, 7, 7 },
		{ "x?direct=off&depth=128&size=1G&locking=off", "x", 0, 128, 1ull << 30, 2 },
		{ "x?size=%31K", "x", 7, 7, 1024, 7 },
		{ "x?locking=auto", "x", 7, 7, 7, 0 },
		{ "a=b&c?depth=1", "a=b&c", 7, 1, 7, 7 },
		{ "0123456789012345678901234567890", "0123456789012345678901234567890", 7, 7, 7,
		  7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };
		struct result r;

		if (parse(cases[i].text, &r, &eb))
			fail_msg("'%s': %s", cases[i].text, eb.text);
		assert_string_equal(r.path, cases[i].path);
		assert_int_equal(r.direct, cases[i].direct);
		assert_int_equal(r.depth, cases[i].depth);
		assert_int_equal(r.size, cases[i].size);
		assert_int_equal(r.mode, cases[i].mode);
	}
}

static void bad_ones(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *says; /* part of the error line */
	} cases[] = {
		{ "x?foo=1", -EINVAL,
		  "unknown option 'foo' (known: direct, depth, size, locking, merge)" },
		{ "x?foo", -EINVAL, "unknown option 'foo'" },
		{ "x?=1", -EINVAL, "unknown option ''" },
		{ "x?&", -EINVAL, "unknown option ''" },
		{ "x?", -EINVAL, "unknown option ''" },
		{ "x?direct=1&", -EINVAL, "unknown option ''" },
		{ "x?direct", -EINVAL, "needs a value" },
		{ "x?direct=", -EINVAL, "0 or 1 is expected" },
		{ "x?direct=2", -EINVAL, "0 or 1 is expected" },
		{ "x?direct=1&direct=1", -EINVAL, "given twice" },
		{ "x?Direct=1", -EINVAL, "unknown option 'Direct'" },
		{ "x?directly=1", -EINVAL, "unknown option 'directly'" },
		{ "x?depth=0", -EINVAL, "from 1 to 4096" },
		{ "x?depth=4097", -EINVAL, "from 1 to 4096" },
		{ "x?depth=1K", -EINVAL, "from 1 to 4096" },
		{ "x?depth=-1", -EINVAL, "from 1 to 4096" },
		{ "x?depth=99999999999999999999", -EINVAL, "from 1 to 4096" },
		{ "x?size=2T", -EINVAL, "size" },
		{ "x?locking=maybe", -EINVAL, "one of auto, on, off" },
		{ "x?locking=on?", -EINVAL, "one of" },
		{ "x?depth=%", -EINVAL, "percent-encoding" },
		{ "x?depth=%3", -EINVAL, "percent-encoding" },
		{ "x?depth=%zz", -EINVAL, "percent-encoding" },
		{ "x?depth=1%00", -EINVAL, "percent-encoding" },
		{ "%", -EINVAL, "percent-encoding" },
		{ "a%4", -EINVAL, "percent-encoding" },
		{ "a%4?direct=1", -EINVAL, "percent-encoding" },
		{ "a%g0", -EINVAL, "percent-encoding" },
		{ "a%00b", -EINVAL, "percent-encoding" },
		{ "a\nb", -EINVAL, "control" },
		{ "a%0ab", -EINVAL, "control" },
		{ "01234567890123456789012345678901", -ENAMETOOLONG, "longer than 31" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };
		struct result r;
		int err = parse(cases[i].text, &r, &eb);

		if (err != cases[i].err || !strstr(eb.text, cases[i].says))
			fail_msg("'%s': %d '%s'", cases[i].text, err, eb.text);
		assert_string_equal(r.path, "untouched");
		assert_int_equal(r.direct, 7);
		assert_int_equal(parse(cases[i].text, &r, NULL), cases[i].err);
	}
}

static void a_text_is_taken_decoded_or_not_at_all(void **state)
{
	char path[32], text[URI_VALUE_MAX] = "untouched";
	uint64_t flag = 7;
	const struct uri_opt opts[] = {
		{ .key = "part", .kind = URI_TEXT, .ret_text = text },
		{ .key = "ro", .kind = URI_FLAG, .ret_value = &flag },
	};
	struct errbuf eb;

	(void)state;
	assert_int_equal(uri_parse("a", path, sizeof(path), opts, 2, &eb), 0);
	assert_string_equal(text, "untouched");
	assert_int_equal(uri_parse("a?part=x&ro=2", path, sizeof(path), opts, 2, &eb), -EINVAL);
	assert_string_equal(text, "untouched");
	assert_int_equal(uri_parse("a?part=", path, sizeof(path), opts, 2, &eb), -EINVAL);
	assert_string_equal(eb.text, "option 'part' needs a value (part=…)");
	assert_int_equal(uri_parse("a?part=%00", path, sizeof(path), opts, 2, &eb), -EINVAL);
	assert_int_equal(uri_parse("a?ro=1&part=name:my%20root%26", path, sizeof(path), opts, 2, &eb), 0);
	assert_string_equal(text, "name:my root&");
	assert_int_equal(flag, 1);
}

static void long_values_and_keys_stay_in_bounds(void **state)
{
	char *text = malloc(1 << 20);
	struct errbuf eb;
	struct result r;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', 1 << 20);
	text[(1 << 20) - 1] = '\0';
	assert_int_equal(parse(text, &r, &eb), -ENAMETOOLONG);
	memcpy(text, "x?depth=", 8);
	assert_int_equal(parse(text, &r, &eb), -ENAMETOOLONG);
	memcpy(text, "x?aepth=", 8);
	assert_int_equal(parse(text, &r, &eb), -EINVAL);
	memcpy(text, "x?aeptha", 8);
	assert_int_equal(parse(text, &r, &eb), -EINVAL);
	free(text);
}

/* Any bytes: an answer, and nothing out of bounds (the sanitizers look on). */
static void random_bytes(void **state)
{
	static const char alphabet[] = "?&==%%03KMdirectdepthsize/\x7f\xff";
	unsigned seed = 1;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		size_t len = (size_t)rand_r(&seed) % 48;
		char *text = malloc(len + 1);
		struct errbuf eb;
		struct result r;
		int err;

		assert_non_null(text);
		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[len] = '\0';
		err = parse(text, &r, &eb);
		assert_true(err == 0 || err == -EINVAL || err == -ENAMETOOLONG);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(a_flag_is_taken_out_of_the_query),
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones),
		cmocka_unit_test(a_text_is_taken_decoded_or_not_at_all),
		cmocka_unit_test(long_values_and_keys_stay_in_bounds),
		cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
