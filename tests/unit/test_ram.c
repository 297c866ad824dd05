/* SPDX-License-Identifier: BSD-3-Clause */
/* The RAM disk: what is written is read, what is discarded goes back to the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
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

static void model_512(void **state)
{
	(void)state;
	rig_open(&rig, "ram:6M");
	rig_model(&rig, 1, 300);
	rig_close(&rig);
}

static void model_4096(void **state)
{
	(void)state;
	rig_open(&rig, "ram:1M?block=4096&depth=5");
	rig_model(&rig, 2, 300);
	rig_close(&rig);
}

/* Resident shared memory of this process, KiB. */
static unsigned long shmem_kib(void)
{
	unsigned long kib = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "RssShmem: %lu kB", &kib) == 1)
			break;
	}
	fclose(f);
	return kib;
}

static void memory_comes_and_goes(void **state)
{
	static char buf[1 << 20];
	unsigned long before;

	(void)state;
	rig_open(&rig, "ram:1G"); /* untouched: costs nothing */
	before = shmem_kib();
	memset(buf, 0x11, sizeof(buf));
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(rig_rw(&rig, BIO_WRITE, (uint64_t)i << 20, buf, sizeof(buf)), 0);
	if (rig.bdev->lim.discard_align > 65536) {
		print_message("huge pages: nothing is given back\n");
	} else {
		assert_in_range(shmem_kib(), before + 15 * 1024, before + 18 * 1024);
		assert_int_equal(rig_rw(&rig, BIO_DISCARD, 512, NULL, (16 << 20) - 1024), 0);
		assert_in_range(shmem_kib(), 0, before + 1024);
	}
	/* The blocks at both ends were not part of it. */
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, buf, 512), 0);
	assert_int_equal(buf[511], 0x11);
	assert_int_equal(rig_rw(&rig, BIO_READ, (16 << 20) - 512, buf, 512), 0);
	assert_int_equal(buf[0], 0x11);
	assert_int_equal(rig_rw(&rig, BIO_READ, 512, buf, 512), 0);
	assert_int_equal(buf[0] | buf[511], 0);
	rig_close(&rig);
}

static void size_is_fixed(void **state)
{
	struct errbuf eb = { "" };

	(void)state;
	rig_open(&rig, "ram:1M");
	assert_int_equal(rig_resize(&rig, 2 << 20, &eb), -EOPNOTSUPP);
	assert_int_equal(bdev_bytes(rig.bdev), 1 << 20);
	rig_close(&rig);
}

static void read_only(void **state)
{
	struct errbuf eb = { "" };
	char buf[512] = { 0 };

	(void)state;
	assert_int_equal(rig_try(&rig, "ram:1M", (struct bdev_open_opts){ .read_only = true }, &eb),
			 0);
	rig_chan(&rig);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, buf, 512), -EROFS);
	assert_int_equal(rig_rw(&rig, BIO_DISCARD, 0, NULL, 512), -EROFS);
	assert_int_equal(rig_rw(&rig, BIO_WRITE_ZEROES, 0, NULL, 512), -EROFS);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(model_512, set_up, tear_down),
		cmocka_unit_test_setup_teardown(model_4096, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(size_is_fixed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_only, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
