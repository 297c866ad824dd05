/* SPDX-License-Identifier: BSD-3-Clause */
/* The dirty log: offset applied once, bits in the right places, nothing beyond the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "vhost/virtq/dlog.h"

static int log_file(uint64_t bytes)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* CVE-2020-10722 */
static void wrapping_and_short_logs_are_refused(void **state)
{
	static const struct {
		uint64_t off, size;
	} rows[] = {
		{ 0, 0 },	  { 0, 8193 },	     { 1, 8192 },
		{ 8192, 1 },	  { UINT64_MAX, 2 }, { 2, UINT64_MAX },
		{ INT64_MAX, 1 }, { 1, INT64_MAX },  { UINT64_MAX - 4095, 4096 },
	};
	int fd = log_file(8192);
	struct dlog *log = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			dlog_create(&(struct dlog_desc){ rows[i].off, rows[i].size, fd, NULL },
				    &log, NULL),
			-EINVAL);
	assert_null(log);
	close(fd);
	assert_int_equal(dlog_create(&(struct dlog_desc){ 0, 4096, fd, NULL }, &log, NULL), -EBADF);
}

/* CVE-2026-86563: a log at a non-zero offset must not be shifted twice. */
static void offset_counts_once(void **state)
{
	static const uint64_t offs[] = { 0, 8, 4096, 4104, 12288 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		int fd = log_file(16384);
		struct dlog *log;
		uint8_t b[16384], want[16384] = { 0 };

		assert_int_equal(
			dlog_create(&(struct dlog_desc){ offs[i], 16, fd, NULL }, &log, NULL), 0);
		dlog_mark(log, 9 * 4096, 1);
		dlog_put(log);
		assert_int_equal(pread(fd, b, sizeof(b), 0), sizeof(b));
		want[offs[i] + 1] = 2;
		assert_memory_equal(b, want, sizeof(b));
		close(fd);
	}
}

static void ranges_mark_every_page_they_touch(void **state)
{
	static const struct {
		uint64_t gpa, len;
		uint8_t want[4];
	} rows[] = {
		{ 0, 0, { 0, 0, 0, 0 } },
		{ 0, 1, { 1, 0, 0, 0 } },
		{ 4095, 1, { 1, 0, 0, 0 } },
		{ 4095, 2, { 3, 0, 0, 0 } },
		{ 4096 * 7, 4097, { 0x80, 1, 0, 0 } },
		{ 4096 * 3, 4096 * 21, { 0xf8, 0xff, 0xff, 0 } },
		{ 4096 * 3, 4096 * 21 + 1, { 0xf8, 0xff, 0xff, 1 } },
		{ 4096 * 31, 1, { 0, 0, 0, 0x80 } },
		{ 4096 * 31, 1 << 20, { 0, 0, 0, 0x80 } }, /* runs out of the log */
		{ 4096 * 32, 4096, { 0, 0, 0, 0 } },	   /* begins beyond it */
		{ UINT64_MAX - 4095, 8192, { 0, 0, 0, 0 } },
		{ 0, UINT64_MAX, { 0xff, 0xff, 0xff, 0xff } },
		{ UINT64_MAX, UINT64_MAX, { 0, 0, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = log_file(8);
		uint8_t b[8];
		struct dlog *log;

		assert_int_equal(dlog_create(&(struct dlog_desc){ 2, 4, fd, NULL }, &log, NULL), 0);
		assert_ptr_equal(dlog_get(log), log);
		dlog_put(log);
		dlog_mark(log, rows[i].gpa, rows[i].len);
		dlog_put(log);
		assert_int_equal(pread(fd, b, sizeof(b), 0), sizeof(b));
		assert_memory_equal(b + 2, rows[i].want, 4);
		assert_int_equal(b[0] | b[1] | b[6] | b[7], 0);
		close(fd);
	}
	dlog_put(NULL);
}

static void bits_of_others_stay(void **state)
{
	int fd = log_file(4096);
	struct dlog *log;
	uint8_t b = 0x40;

	(void)state;
	assert_int_equal(pwrite(fd, &b, 1, 0), 1);
	assert_int_equal(dlog_create(&(struct dlog_desc){ 0, 4096, fd, NULL }, &log, NULL), 0);
	dlog_mark(log, 4096, 4096);
	assert_int_equal(log->bits[0], 0x42);
	dlog_put(log);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrapping_and_short_logs_are_refused),
		cmocka_unit_test(offset_counts_once),
		cmocka_unit_test(ranges_mark_every_page_they_touch),
		cmocka_unit_test(bits_of_others_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
