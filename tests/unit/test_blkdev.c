/* SPDX-License-Identifier: BSD-3-Clause */
/* The file driver on a block device: a loop device, where this machine lets us have one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/disk_rig.h"

static struct disk_rig rig;
static char path[64], loop[64];

/* The first line of what @cmd prints; false when it fails. */
static bool run(const char *cmd, char *line, int bytes)
{
	FILE *f = popen(cmd, "re");
	bool got;

	assert_non_null(f);
	got = fgets(line, bytes, f) != NULL;
	line[got ? strcspn(line, "\n") : 0] = '\0';
	return pclose(f) == 0;
}

/* Each test brings its own, because a test that skips does so by itself. */
static void attach(const char *options)
{
	char cmd[256];
	int fd;

	(void)snprintf(path, sizeof(path), "./nvring-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 6 << 20), 0);
	close(fd);
	(void)snprintf(cmd, sizeof(cmd), "losetup %s -f --show %s 2>/dev/null", options, path);
	if (!run(cmd, loop, sizeof(loop)) || !loop[0]) {
		print_message("no loop device to be had here (needs root and the loop driver)\n");
		unlink(path);
		skip();
	}
	rig_init(&rig);
}

/* Also after a failure: a loop device left behind would outlive the test. */
static int tear_down(void **state)
{
	char cmd[128], line[64];

	(void)state;
	if (!loop[0])
		return 0;
	rig_fini(&rig);
	(void)snprintf(cmd, sizeof(cmd), "losetup -d %s", loop);
	loop[0] = '\0';
	unlink(path);
	return run(cmd, line, sizeof(line)) ? 0 : -1;
}

static void check_shares(void)
{
	char shares[32];
	struct stat st;

	assert_int_equal(stat(loop, &st), 0);
	(void)snprintf(shares, sizeof(shares), "dev %u:%u", major(st.st_rdev), minor(st.st_rdev));
	assert_string_equal(rig.bdev->shares, shares);
}

static void model(void **state)
{
	static const char *const queries[] = { "", "?direct=0", "?discard=punch", "?discard=ioctl",
					       "?depth=2" };

	(void)state;
	attach("");
	for (unsigned i = 0; i < ARRAY_SIZE(queries); i++) {
		char uri[160];

		(void)snprintf(uri, sizeof(uri), "file:%s%s", loop, queries[i]);
		rig_open(&rig, uri);
		assert_int_equal(bdev_bytes(rig.bdev), 6 << 20);
		assert_true(rig.bdev->lim.discard_max > 0);
		check_shares();
		rig_model(&rig, i, 40);
		rig_close(&rig);
	}
}

static void blocks_of_4k(void **state)
{
	char uri[160];

	(void)state;
	attach("-b 4096");
	(void)snprintf(uri, sizeof(uri), "file:%s", loop);
	rig_open(&rig, uri);
	assert_int_equal(rig.bdev->lim.block_bytes, 4096);
	rig_model(&rig, 9, 40);
	rig_close(&rig);
	(void)snprintf(uri, sizeof(uri), "file:%s?block=512", loop);
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, NULL), -EINVAL);
}

static long blocks(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_blocks;
}

/* It really reaches the device: the file below gets its hole. */
static void discard_reaches_the_device(void **state)
{
	static const char *const queries[] = { "", "?discard=punch", "?discard=ioctl" };
	static char buf[1 << 20];

	(void)state;
	attach("");
	memset(buf, 1, sizeof(buf));
	for (unsigned i = 0; i < ARRAY_SIZE(queries); i++) {
		char uri[160];

		(void)snprintf(uri, sizeof(uri), "file:%s%s", loop, queries[i]);
		rig_open(&rig, uri);
		for (unsigned j = 0; j < 6; j++)
			assert_int_equal(
				rig_rw(&rig, BIO_WRITE, (uint64_t)j << 20, buf, sizeof(buf)), 0);
		assert_int_equal(rig_rw(&rig, BIO_FLUSH, 0, NULL, 0), 0);
		assert_true(blocks() >= (6 << 20) / 512);
		assert_int_equal(rig_rw(&rig, BIO_DISCARD, 1 << 20, NULL, 4 << 20), 0);
		assert_true(blocks() <= (2 << 20) / 512 + 64);
		rig_close(&rig);
	}
	(void)snprintf(buf, sizeof(buf), "file:%s?discard=off", loop);
	rig_open(&rig, buf);
	assert_int_equal(rig_rw(&rig, BIO_DISCARD, 0, NULL, 4096), -EOPNOTSUPP);
	rig_close(&rig);
}

static void its_size_is_looked_at_again(void **state)
{
	struct errbuf eb = { "" };
	char cmd[128], line[64];

	(void)state;
	attach("");
	(void)snprintf(cmd, sizeof(cmd), "file:%s", loop);
	rig_open(&rig, cmd);
	assert_int_equal(rig_resize(&rig, 8 << 20, &eb), -EOPNOTSUPP);
	assert_non_null(strstr(eb.text, "by its own tools"));
	assert_int_equal(truncate(path, 8 << 20), 0);
	(void)snprintf(cmd, sizeof(cmd), "losetup -c %s", loop);
	assert_true(run(cmd, line, sizeof(line)));
	assert_int_equal(rig_resize(&rig, 0, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 8 << 20);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(model, tear_down),
		cmocka_unit_test_teardown(blocks_of_4k, tear_down),
		cmocka_unit_test_teardown(discard_reaches_the_device, tear_down),
		cmocka_unit_test_teardown(its_size_is_looked_at_again, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
