/* SPDX-License-Identifier: BSD-3-Clause */
/* The file driver on real files: content, ends of files, sizes, holes, wake-ups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"
#include "tests/unit/disk_rig.h"

static struct disk_rig rig;
static char path[64], uri[256];
static unsigned notices;
static char notice[256];

static void sink(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	notices++;
	(void)snprintf(notice, sizeof(notice), "%s", text);
}

/* The build directory is on a disk; /dev/shm is where direct I/O may be missing. */
static void make_file(const char *dir, off_t bytes)
{
	int fd;

	(void)snprintf(path, sizeof(path), "%s/nvring-test-XXXXXX", dir);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static void open_file(const char *query)
{
	(void)snprintf(uri, sizeof(uri), "file:%s%s", path, query);
	rig_open(&rig, uri);
}

static int set_up(void **state)
{
	(void)state;
	notices = 0;
	path[0] = '\0';
	log_set_sink(sink);
	rig_init(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_fini(&rig);
	if (path[0])
		unlink(path);
	log_set_sink(NULL);
	return 0;
}

static void model_direct(void **state)
{
	(void)state;
	make_file(".", 6 << 20);
	open_file("");
	if (rig.bdev->lim.buf_align == 1)
		print_message("no direct I/O in the build directory\n");
	rig_model(&rig, 1, 150);
	rig_close(&rig);
}

static void model_buffered(void **state)
{
	(void)state;
	make_file(".", 6 << 20);
	open_file("?direct=0");
	assert_int_equal(rig.bdev->lim.buf_align, 1);
	rig_model(&rig, 2, 150);
	rig_close(&rig);
}

static void model_tmpfs(void **state)
{
	(void)state;
	make_file("/dev/shm", 6 << 20);
	open_file("");
	rig_model(&rig, 3, 150);
	rig_close(&rig);
}

static void model_shallow_and_4k(void **state)
{
	(void)state;
	make_file(".", 6 << 20);
	open_file("?depth=1&block=4096");
	assert_int_equal(rig.bdev->lim.block_bytes, 4096);
	rig_model(&rig, 4, 60);
	rig_close(&rig);
}

/* What we wrote is what others see in the file, at the same place. */
static void the_file_is_the_disk(void **state)
{
	static char buf[8192], want[8192];
	int fd;

	(void)state;
	make_file(".", 1 << 20);
	open_file("");
	memset(want, 0xab, sizeof(want));
	memcpy(buf, want, sizeof(buf));
	assert_int_equal(rig_io(&rig, BIO_WRITE, BIO_FUA, 12288, buf, sizeof(buf)), 0);
	assert_int_equal(rig_rw(&rig, BIO_FLUSH, 0, NULL, 0), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, buf, sizeof(buf), 12288), sizeof(buf));
	assert_memory_equal(buf, want, sizeof(buf));
	assert_int_equal(pread(fd, buf, 1, 12287), 1);
	assert_int_equal(buf[0], 0);
	close(fd);
	rig_close(&rig);
}

/* Disks on one SSD can be told from others: by a device that has a queue, which partitions have
 * not. */
static void it_says_what_it_lies_on(void **state)
{
	char sys[128];
	struct stat st;

	(void)state;
	make_file("/dev/shm", 1 << 20);
	open_file("");
	assert_string_equal(rig.bdev->shares, "");
	rig_close(&rig);
	unlink(path);
	make_file(".", 1 << 20);
	open_file("");
	assert_int_equal(stat(path, &st), 0);
	if (major(st.st_dev)) {
		assert_memory_equal(rig.bdev->shares, "dev ", 4);
		(void)snprintf(sys, sizeof(sys), "/sys/dev/block/%s/queue", rig.bdev->shares + 4);
		assert_int_equal(access(sys, F_OK), 0);
	} else {
		assert_string_equal(rig.bdev->shares, "");
	}
	rig_close(&rig);
}

static long blocks(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_blocks;
}

static void discard_gives_blocks_back(void **state)
{
	static char buf[1 << 20];

	(void)state;
	make_file(".", 4 << 20);
	open_file("");
	if (!rig.bdev->lim.discard_max) {
		print_message("this file system cannot punch holes\n");
		rig_close(&rig);
		return;
	}
	memset(buf, 1, sizeof(buf));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(rig_rw(&rig, BIO_WRITE, (uint64_t)i << 20, buf, sizeof(buf)), 0);
	assert_int_equal(rig_io(&rig, BIO_WRITE_ZEROES, BIO_NOUNMAP | BIO_FUA, 0, NULL, 1 << 20),
			 0);
	assert_true(blocks() >= (4 << 20) / 512);
	assert_int_equal(rig_rw(&rig, BIO_DISCARD, 1 << 20, NULL, 1 << 20), 0);
	assert_int_equal(rig_io(&rig, BIO_WRITE_ZEROES, BIO_FUA, 2 << 20, NULL, 1 << 20), 0);
	assert_true(blocks() <= (2 << 20) / 512 + 64);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_rw(&rig, BIO_READ, (uint64_t)i << 20, buf, sizeof(buf)), 0);
		for (size_t j = 0; j < sizeof(buf); j++)
			assert_int_equal(buf[j], 0);
	}
	rig_close(&rig);
}

/* tmpfs has no ZERO_RANGE: zeroes that keep their blocks are written, in several pieces. */
static void zeroes_are_written_where_nothing_else_helps(void **state)
{
	static char buf[4 << 20];

	(void)state;
	make_file("/dev/shm", sizeof(buf));
	open_file("");
	for (unsigned round = 0; round < 2; round++) { /* found out, and known */
		memset(buf, 1, sizeof(buf));
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, buf, sizeof(buf)), 0);
		assert_int_equal(rig_io(&rig, BIO_WRITE_ZEROES, BIO_NOUNMAP | BIO_FUA, 4096, NULL,
					sizeof(buf) - 8192),
				 0);
		assert_true(blocks() >= (long)sizeof(buf) / 512);
		assert_int_equal(rig_rw(&rig, BIO_READ, 0, buf, sizeof(buf)), 0);
		for (size_t i = 0; i < sizeof(buf); i++) {
			if (buf[i] != (i < 4096 || i >= sizeof(buf) - 4096))
				fail_msg("byte %zu", i);
		}
	}
	rig_close(&rig);
}

/* Somebody cut the file behind our back: the rest reads as zeroes, for any place of the cut. */
static void behind_the_end_are_zeroes(void **state)
{
	static const off_t cuts[] = { 0, 100, 512, 4096, 5000, 8192, 10000 };
	static char buf[16384 + 3];

	(void)state;
	make_file(".", 1 << 20);
	for (unsigned round = 0; round < 2 * ARRAY_SIZE(cuts); round++) {
		off_t cut = cuts[round / 2];
		struct rig_io io = { 0 };

		assert_int_equal(truncate(path, 1 << 20), 0);
		open_file(round % 2 ? "?direct=0" : "");
		memset(buf, 0x77, sizeof(buf));
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, buf, 16384), 0);
		assert_int_equal(rig_rw(&rig, BIO_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(truncate(path, cut), 0);
		io.bio.op = BIO_READ;
		io.bio.len = 16384;
		io.bio.iovcnt = 3;
		io.iov[0] = (struct iovec){ buf, 1000 };
		io.iov[1] = (struct iovec){ buf + 1001, 8000 };
		io.iov[2] = (struct iovec){ buf + 9002, 7384 };
		rig_submit(&rig, &io);
		assert_int_equal(rig_wait(&rig, &io), 0);
		for (off_t i = 0; i < 16384; i++) {
			char c = buf[i + (i >= 1000) + (i >= 9000)];

			if (c != (i < cut ? 0x77 : 0))
				fail_msg("cut %ld, byte %ld: %d", (long)cut, (long)i, c);
		}
		rig_close(&rig);
	}
}

static void odd_sizes_are_rounded_down(void **state)
{
	(void)state;
	make_file(".", (1 << 20) + 700);
	open_file("?direct=0");
	assert_int_equal(bdev_bytes(rig.bdev), (1 << 20) + 512);
	assert_int_equal(notices, 1);
	assert_non_null(strstr(notice, "188 bytes"));
	rig_close(&rig);
}

static void resize(void **state)
{
	struct errbuf eb = { "" };
	static char buf[4096];
	struct stat st;

	(void)state;
	make_file(".", 1 << 20);
	open_file("");
	assert_int_equal(rig_resize(&rig, 4 << 20, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 4 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 << 20);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, (4 << 20) - 4096, buf, 4096), 0);
	assert_int_equal(rig_resize(&rig, 65536, &eb), 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 65536, buf, 4096), -EINVAL);
	assert_int_equal(rig_resize(&rig, 65537, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "multiple of"));
	assert_int_equal(rig_resize(&rig, UINT64_MAX & ~0xffffull, &eb), -EINVAL);
	/* Somebody else made it larger: look again. */
	assert_int_equal(truncate(path, 2 << 20), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 65536);
	assert_int_equal(rig_resize(&rig, 0, &eb), 0);
	assert_int_equal(bdev_bytes(rig.bdev), 2 << 20);
	rig_close(&rig);
}

static void read_only(void **state)
{
	struct errbuf eb = { "" };
	static char buf[4096];

	(void)state;
	make_file(".", 1 << 20);
	open_file("?ro=1");
	assert_true(rig.bdev->lim.read_only);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, buf, 4096), 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, buf, 4096), -EROFS);
	assert_int_equal(rig_resize(&rig, 2 << 20, &eb), -EROFS);
	rig_close(&rig);
}

static void create(void **state)
{
	struct errbuf eb = { "" };
	struct stat st;

	(void)state;
	make_file(".", 0);
	unlink(path);
	open_file("?create=1&size=3M");
	assert_int_equal(bdev_bytes(rig.bdev), 3 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rig_close(&rig);
	/* The same again finds it; another size is a mistake, and the file stays as it is. */
	open_file("?create=1&size=3M");
	rig_close(&rig);
	(void)snprintf(uri, sizeof(uri), "file:%s?create=1&size=1M", path);
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, &eb), -EEXIST);
	assert_non_null(strstr(eb.text, "3145728 bytes instead of 1048576"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 << 20);
	/* What cannot become a disk is not left behind. */
	unlink(path);
	(void)snprintf(uri, sizeof(uri), "file:%s?create=1&size=4611686018427387904", path);
	assert_true(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, &eb) < 0);
	assert_int_equal(stat(path, &st), -1);
}

/* I/O on a reactor with a thread of its own, which sleeps in between: no wake-up is lost. */
struct chain {
	struct bio bio;
	struct iovec iov;
	struct reactor_msg msg;
	struct bdev_chan *chan;
	unsigned left, errors;
	sem_t *end;
};

static void chain_done(struct bio *bio)
{
	struct chain *c = container_of(bio, struct chain, bio);

	c->errors += bio->status != 0;
	if (--c->left == 0) {
		sem_post(c->end);
		return;
	}
	c->bio.off = (c->bio.off + 4096) % (1 << 20);
	bdev_submit(c->chan, &c->bio);
}

static void chain_start(struct reactor_msg *msg)
{
	struct chain *c = container_of(msg, struct chain, msg);

	bdev_submit(c->chan, &c->bio);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void sleeper(enum reactor_mode mode, const char *query)
{
	struct reactor_opts o = { .name = "data", .cpu = -1, .mode = mode, .idle = { 1000, 1000 } };
	static char buf[2][4096] cc_aligned(4096);
	struct reactor *data;
	struct chain c[2];
	bool closed = false;
	sem_t end;

	make_file(".", 1 << 20);
	(void)snprintf(uri, sizeof(uri), "file:%s%s", path, query);
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, NULL), 0);
	assert_int_equal(reactor_create(&o, &data), 0);
	assert_int_equal(reactor_start(data), 0);
	sem_init(&end, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		c[i] = (struct chain){ .iov = { buf[i], 4096 }, .left = 2000, .end = &end };
		assert_int_equal(bdev_chan_get(rig.bdev, data, &c[i].chan), 0);
		c[i].bio.op = i ? BIO_WRITE : BIO_READ;
		c[i].bio.iov = &c[i].iov;
		c[i].bio.iovcnt = 1;
		c[i].bio.len = 4096;
		c[i].bio.done = chain_done;
		reactor_send(data, &c[i].msg, chain_start);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sem_wait(&end), 0);
	assert_int_equal(c[0].errors + c[1].errors, 0);
	bdev_chan_put(c[0].chan);
	bdev_chan_put(c[1].chan);
	/* The channel stops on its own thread, in its own time. */
	bdev_close(rig.bdev, set_true, &closed);
	while (!closed) {
		rig_turn(&rig, 1);
		usleep(100);
	}
	rig.bdev = NULL;
	reactor_stop(data);
	reactor_join(data);
	reactor_destroy(data);
	sem_destroy(&end);
}

static void interrupt_mode_loses_no_wake_up(void **state)
{
	(void)state;
	sleeper(REACTOR_INTERRUPT, "");
}

static void adaptive_mode_loses_no_wake_up(void **state)
{
	(void)state;
	sleeper(REACTOR_ADAPTIVE, "?direct=0");
}

/* A whole iov table, and one piece more. */
static void many_pieces(void **state)
{
	enum {
		PIECES = BDEV_IOVS_MAX + 6
	};
	static struct iovec iov[PIECES];
	static char buf[PIECES][512] cc_aligned(4096), back[PIECES * 512] cc_aligned(4096);
	struct rig_io io = { 0 };

	(void)state;
	make_file(".", 1 << 20);
	open_file("");
	for (unsigned i = 0; i < PIECES; i++) {
		memset(buf[i], (int)i, 512);
		iov[i] = (struct iovec){ buf[i], 512 };
	}
	io.bio.op = BIO_WRITE;
	io.bio.len = PIECES * 512;
	io.bio.off = 8192;
	io.bio.iovcnt = PIECES;
	rig_submit_iov(&rig, &io, iov);
	assert_int_equal(rig_wait(&rig, &io), 0);
	assert_int_equal(rig_rw(&rig, BIO_READ, 8192, back, sizeof(back)), 0);
	assert_memory_equal(back, buf, sizeof(back));
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(model_direct, set_up, tear_down),
		cmocka_unit_test_setup_teardown(model_buffered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(model_tmpfs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(model_shallow_and_4k, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_file_is_the_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_says_what_it_lies_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(discard_gives_blocks_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(zeroes_are_written_where_nothing_else_helps, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(behind_the_end_are_zeroes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(odd_sizes_are_rounded_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(resize, set_up, tear_down),
		cmocka_unit_test_setup_teardown(read_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(create, set_up, tear_down),
		cmocka_unit_test_setup_teardown(interrupt_mode_loses_no_wake_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adaptive_mode_loses_no_wake_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_pieces, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
