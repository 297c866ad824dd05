/* SPDX-License-Identifier: BSD-3-Clause */
/* CPU lists, sizes and disk URIs: the small texts of the tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "core/base/cc.h"
#include "core/base/cpulist.h"
#include "tools/shared/diskuri.h"
#include "tools/shared/size.h"

static const struct {
	const char *text, *formatted; /* NULL: refused */
} lists[] = {
	{ "0", "0" },	  { "0-3,8", "0-3,8" }, { "1,0", "0-1" }, { "5-5", "5" }, { "0,0", "0" },
	{ "1023", "1023" }, { "", NULL },	{ "a", NULL },	  { "3-1", NULL }, { "1,", NULL },
	{ "1-", NULL },	  { "-1", NULL },	{ "1024", NULL }, { "0 1", NULL }, { "0-99999999999", NULL },
};

static void cpu_lists_are_read_and_written(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct errbuf eb = { "" };
		char buf[64];
		cpu_set_t set;

		if (lists[i].formatted) {
			assert_int_equal(cpulist_parse(lists[i].text, &set, &eb), 0);
			assert_string_equal(cpulist_format(&set, buf, sizeof(buf)),
					    lists[i].formatted);
		} else {
			assert_int_equal(cpulist_parse(lists[i].text, &set, &eb), -EINVAL);
		}
	}
}

static const struct {
	uint64_t bytes;
	const char *text;
} sizes[] = {
	{ 0, "0 B" },
	{ 1023, "1023 B" },
	{ 1024, "1 KiB" },
	{ 1536, "1.5 KiB" },
	{ 10ull << 30, "10 GiB" },
	{ UINT64_MAX, "16 EiB" },
};

static void sizes_are_short(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char buf[SIZE_TEXT_MAX];

		assert_string_equal(size_format(sizes[i].bytes, buf), sizes[i].text);
	}
}

static void counts_are_decimal(void **state)
{
	static const struct {
		const char *text;
		uint64_t count; /* UINT64_MAX: refused */
	} counts[] = {
		{ "0", 0 },
		{ "1001", 1001 },
		{ "10k", 10000 },
		{ "3M", 3000000 },
		{ "1G", 1000000000 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", UINT64_MAX },
		{ "9223372036854775k", UINT64_C(9223372036854775000) },
		{ "9223372036854776k", UINT64_MAX },
		{ "9223372037G", UINT64_MAX },
		{ "99999999999999999999999", UINT64_MAX },
		{ "", UINT64_MAX },
		{ "k", UINT64_MAX },
		{ "-1", UINT64_MAX },
		{ "+1", UINT64_MAX },
		{ " 1", UINT64_MAX },
		{ "1 ", UINT64_MAX },
		{ "1.5k", UINT64_MAX },
		{ "1e3", UINT64_MAX },
		{ "1K", UINT64_MAX }, /* 1024 or 1000? */
		{ "1Ki", UINT64_MAX },
		{ "1kk", UINT64_MAX },
		{ "1T", UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint64_t v = UINT64_MAX;
		int err = size_count_parse(counts[i].text, &v);

		assert_int_equal(err, counts[i].count == UINT64_MAX ? -EINVAL : 0);
		assert_true(v == counts[i].count);
	}
}

static const struct {
	const char *text, *uri;
} uris[] = {
	{ "disk.img", "file:disk.img" },
	{ "/a b/c", "file:/a b/c" },
	{ "what?.img", "file:what%3F.img" },
	{ "100%", "file:100%25" },
	{ "file:x?direct=0", "file:x?direct=0" },
	{ "ram:1G", "ram:1G" },
};

static void paths_become_uris(void **state)
{
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
		assert_int_equal(diskuri_from_text(uris[i].text, buf, sizeof(buf)), 0);
		assert_string_equal(buf, uris[i].uri);
	}
	assert_int_equal(diskuri_from_text("abc", buf, 9), 0);
	assert_int_equal(diskuri_from_text("abcd", buf, 9), -ENAMETOOLONG);
	assert_int_equal(diskuri_from_text("ab?", buf, 9), -ENAMETOOLONG);
	assert_int_equal(diskuri_from_text("ram:1234G", buf, 9), -ENAMETOOLONG);
}

static const struct {
	const char *uri, *address; /* NULL: not on NVMe */
	uint32_t nsid;
} nvmes[] = {
	{ "nvme:0000:01:00.0/1", "0000:01:00.0", 1 },
	{ "nvme:01:00.0/12?part=1", "0000:01:00.0", 12 },
	{ "nvme:0000:0A:00.0/1?ro=1", "0000:0a:00.0", 1 },
	{ "nvme%2e:01:00.0/1", NULL, 0 },
	{ "nvme:01:00%2e0/%31", "0000:01:00.0", 1 },
	{ "nvme+vfio-user:/a/b/3", "vfio-user:/a/b", 3 },
	{ "nvme+vfio-user:/%61/b%3Fc/3?part=name:a/9", "vfio-user:/a/b?c", 3 },
	{ "fault:read@nvme+vfio-user:a/1", "vfio-user:a", 1 },
	{ "fault:@fault:@nvme:01:00.0/1", "0000:01:00.0", 1 },
	{ "fault:@ram:1M", NULL, 0 },
	{ "file:/a/1", NULL, 0 },
	{ "nvme:01:00.0", NULL, 0 },
	{ "nvme:01:00.0/0", NULL, 0 },
	{ "nvme:01:00.0/1x", NULL, 0 },
	{ "nvme:nowhere/1", NULL, 0 },
};

static void one_controller_has_one_name(void **state)
{
	char buf[64], small[11];
	uint32_t nsid = 0;

	for (size_t i = 0; i < sizeof(nvmes) / sizeof(nvmes[0]); i++) {
		assert_int_equal(diskuri_nvme(nvmes[i].uri, buf, sizeof(buf), &nsid), nvmes[i].address ? 0 : -ENOTSUP);
		if (!nvmes[i].address)
			continue;
		assert_string_equal(buf, nvmes[i].address);
		assert_int_equal(nsid, nvmes[i].nsid);
	}
	assert_int_equal(diskuri_nvme("nvme+vfio-user:a/1", small, sizeof(small), &nsid), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpu_lists_are_read_and_written),
		cmocka_unit_test(sizes_are_short),
		cmocka_unit_test(counts_are_decimal),
		cmocka_unit_test(paths_become_uris),
		cmocka_unit_test(one_controller_has_one_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
