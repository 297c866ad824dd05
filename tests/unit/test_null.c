/* SPDX-License-Identifier: BSD-3-Clause */
/* The null device: answers everything, moves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/disk_rig.h"

static struct disk_rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_fini(&rig);
	return 0;
}

static void leaves_the_buffer_alone(void **state)
{
	char buf[4096], want[4096];

	(void)state;
	rig_open(&rig, "null:1G");
	assert_int_equal(bdev_bytes(rig.bdev), 1ull << 30);
	memset(buf, 0x5a, sizeof(buf));
	memset(want, 0x5a, sizeof(want));
	assert_int_equal(rig_rw(&rig, BIO_READ, 4096, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, want, sizeof(buf));
	for (unsigned op = 0; op < BIO_OP_COUNT; op++)
		assert_int_equal(rig_rw(&rig, (enum bio_op)op, 0, buf, sizeof(buf)), 0);
	assert_int_equal(rig_rw(&rig, BIO_DISCARD, 0, NULL, 1ull << 30), 0);
	assert_int_equal(rig_rw(&rig, BIO_READ, 1ull << 30, buf, 512), -EINVAL);
	rig_close(&rig);
}

static void zero_gives_zeroes(void **state)
{
	char buf[4096], want[4096] = { 0 };
	struct rig_io io = { 0 };

	(void)state;
	rig_open(&rig, "null:1G?zero=1");
	memset(buf, 0x5a, sizeof(buf));
	io.bio.op = BIO_READ;
	io.bio.len = 1024;
	io.bio.iovcnt = 2;
	io.iov[0] = (struct iovec){ buf + 1, 1000 };
	io.iov[1] = (struct iovec){ buf + 2000, 24 };
	rig_submit(&rig, &io);
	assert_int_equal(rig_wait(&rig, &io), 0);
	assert_int_equal(buf[0], 0x5a);
	assert_memory_equal(buf + 1, want, 1000);
	assert_int_equal(buf[1001], 0x5a);
	assert_memory_equal(buf + 2000, want, 24);
	assert_int_equal(buf[2024], 0x5a);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0], 0x5a);
	rig_close(&rig);
}

static void options_and_resize(void **state)
{
	struct errbuf eb = { "" };

	(void)state;
	rig_open(&rig, "null:1M?block=4096&depth=7");
	assert_int_equal(rig.bdev->lim.block_bytes, 4096);
	assert_int_equal(rig.bdev->lim.depth, 7);
	assert_int_equal(rig_resize(&rig, 8192, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 8192);
	assert_int_equal(rig_resize(&rig, 0, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 8192);
	assert_int_equal(rig_resize(&rig, 4097, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "multiple of 4096"));
	rig_close(&rig);
}

/* More than the depth at once: the rest waits its turn. */
static void many_at_once(void **state)
{
	static struct rig_io io[64];
	static char buf[512];

	(void)state;
	rig_open(&rig, "null:1M?depth=3");
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		rig_start(&rig, &io[i], i % 2 ? BIO_READ : BIO_WRITE, i * 512, buf, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		assert_int_equal(rig_wait(&rig, &io[i]), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leaves_the_buffer_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(zero_gives_zeroes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(options_and_resize, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
