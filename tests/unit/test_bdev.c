/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices and channels: checks, completion exactly once and never inside submit, life, resize,
 * statistics. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/bdev.h"
#include "tests/unit/fake_bdev.h"

#define DISK_BYTES (1024 * 1024)

static struct reactor *r;
static struct fake_bdev fake;
static struct bdev_chan *chan;
static bool in_submit;
static unsigned violations;

struct io {
	struct bio bio;
	struct iovec iov;
	unsigned done;
};

static void io_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);

	violations += in_submit;
	violations += io->done != 0;
	violations += reactor_self() != r;
	io->done++;
}

static void submit(struct bio *bio)
{
	in_submit = true;
	bdev_submit(chan, bio);
	in_submit = false;
}

static void open_fake(const struct bdev_limits *lim)
{
	struct reactor_opts o = { .name = "test", .cpu = -1 };

	assert_int_equal(reactor_create(&o, &r), 0);
	reactor_adopt(r);
	assert_int_equal(fake_open(&fake, r, DISK_BYTES, lim), 0);
	assert_int_equal(bdev_chan_get(&fake.bdev, r, &chan), 0);
	reactor_turn(r);
	assert_int_equal(fake.nstarted, 1);
	violations = 0;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void close_fake(void)
{
	bool closed = false;

	bdev_chan_put(chan);
	bdev_close(&fake.bdev, set_true, &closed);
	assert_false(closed);
	for (unsigned i = 0; i < 10 && !closed; i++)
		reactor_turn(r);
	assert_true(closed);
	assert_int_equal(fake.nclosed, 1);
	assert_int_equal(fake.nstopped, fake.nstarted);
	assert_int_equal(fake.ndestroyed, fake.ncreated);
	assert_int_equal(fake.violations, 0);
	assert_int_equal(violations, 0);
	reactor_destroy(r);
}

static const struct {
	const char *what;
	struct bdev_limits lim;
	int status;
	uint64_t off, len;
	uint8_t op, flags;
	bool to_driver;
} checks[] = {
	{ "a read", {}, 0, 0, 4096, BIO_READ, 0, true },
	{ "the last block", {}, 0, DISK_BYTES - 512, 512, BIO_WRITE, 0, true },
	{ "beyond the end", {}, -EINVAL, DISK_BYTES - 512, 1024, BIO_WRITE, 0, false },
	{ "off + len wraps", {}, -EINVAL, UINT64_MAX - 511, 1024, BIO_READ, 0, false },
	{ "off far out", {}, -EINVAL, UINT64_MAX - 511, 512, BIO_READ, 0, false },
	{ "no whole block", {}, -EINVAL, 0, 100, BIO_READ, 0, false },
	{ "off inside a block", {}, -EINVAL, 100, 512, BIO_READ, 0, false },
	{ "512 on 4096", { .block_bytes = 4096 }, -EINVAL, 512, 4096, BIO_READ, 0, false },
	{ "nothing", {}, 0, 0, 0, BIO_READ, 0, false },
	{ "nothing at the end", {}, 0, DISK_BYTES, 0, BIO_WRITE, 0, false },
	{ "write to read-only", { .read_only = true }, -EROFS, 0, 512, BIO_WRITE, 0, false },
	{ "read of read-only", { .read_only = true }, 0, 0, 512, BIO_READ, 0, true },
	{ "discard on read-only",
	  { .read_only = true, .discard_max = 4096 },
	  -EROFS,
	  0,
	  512,
	  BIO_DISCARD,
	  0,
	  false },
	{ "zeroes on read-only",
	  { .read_only = true, .zeroes_max = 4096 },
	  -EROFS,
	  0,
	  512,
	  BIO_WRITE_ZEROES,
	  0,
	  false },
	{ "no discard", {}, -EOPNOTSUPP, 0, 512, BIO_DISCARD, 0, false },
	{ "no zeroes", {}, -EOPNOTSUPP, 0, 512, BIO_WRITE_ZEROES, 0, false },
	{ "discard", { .discard_max = 4096 }, 0, 0, 4096, BIO_DISCARD, 0, true },
	{ "zeroes", { .zeroes_max = 4096 }, 0, 512, 4096, BIO_WRITE_ZEROES, 0, true },
	{ "discard beyond the end",
	  { .discard_max = 1 << 30 },
	  -EINVAL,
	  512,
	  DISK_BYTES,
	  BIO_DISCARD,
	  0,
	  false },
	{ "flush without a cache", {}, 0, 0, 0, BIO_FLUSH, 0, false },
	{ "flush", { .has_flush = true }, 0, 0, 0, BIO_FLUSH, 0, true },
	{ "flush ignores off and len",
	  { .has_flush = true },
	  0,
	  77,
	  1ull << 60,
	  BIO_FLUSH,
	  0,
	  true },
	{ "FUA the device knows",
	  { .has_flush = true, .has_fua = true },
	  0,
	  0,
	  512,
	  BIO_WRITE,
	  BIO_FUA,
	  true },
};

static void each_io_is_checked_and_answered_once_later(void **state)
{
	static char buf[4096];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		struct io io = { .bio = { .op = checks[i].op,
					  .flags = checks[i].flags,
					  .off = checks[i].off,
					  .len = checks[i].len,
					  .done = io_done } };

		open_fake(&checks[i].lim);
		if (checks[i].len <= sizeof(buf) && checks[i].op <= BIO_WRITE) {
			io.iov = (struct iovec){ buf, checks[i].len };
			io.bio.iov = &io.iov;
			io.bio.iovcnt = 1;
		}
		submit(&io.bio);
		assert_int_equal(fake.nheld, checks[i].to_driver);
		assert_int_equal(chan->inflight, checks[i].to_driver);
		if (fake.nheld)
			fake_end(&fake, 0);
		reactor_turn(r);
		if (io.done != 1 || io.bio.status != checks[i].status)
			fail_msg("%s: done %u times, status %d", checks[i].what, io.done,
				 io.bio.status);
		assert_int_equal(chan->inflight, 0);
		close_fake();
	}
}

static void the_depth_is_never_exceeded_and_waiting_is_fifo(void **state)
{
	struct bdev_limits lim = { .depth = 4 };
	struct io io[64] = { 0 };
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	unsigned left = ARRAY_SIZE(io);

	(void)state;
	srand(1);
	open_fake(&lim);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		io[i].bio = (struct bio){ .op = BIO_READ,
					  .iov = &iov,
					  .iovcnt = 1,
					  .off = i * 512,
					  .len = 512,
					  .done = io_done };
		submit(&io[i].bio);
		assert_int_equal(chan->inflight, CC_MIN(i + 1, 4u));
	}
	for (; left; left--) {
		assert_int_equal(fake.nheld, CC_MIN(left, 4u));
		fake_end(&fake, (unsigned)rand() % fake.nheld);
	}
	/* The order in which the driver saw them is the order of submission, whatever the order of
	 * completion. */
	for (unsigned i = 0, at = 0; i < ARRAY_SIZE(io); i++) {
		char line[32];

		snprintf(line, sizeof(line), "R %u+512\n", i * 512);
		assert_memory_equal(fake.trace + at, line, strlen(line));
		at += (unsigned)strlen(line);
		assert_int_equal(io[i].done, 1);
	}
	assert_int_equal(chan->stats->queued, ARRAY_SIZE(io) - 4);
	close_fake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_io_is_checked_and_answered_once_later),
		cmocka_unit_test(the_depth_is_never_exceeded_and_waiting_is_fifo),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
