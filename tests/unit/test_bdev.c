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

#define DISK_BYTES RIG_BYTES

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
		struct iovec iov = { buf, checks[i].len };
		struct rig_io io = { .bio = { .op = checks[i].op,
					      .flags = checks[i].flags,
					      .off = checks[i].off,
					      .len = checks[i].len,
					      .iov = &iov,
					      .iovcnt = 1 } };

		assert_int_equal(rig_open(&checks[i].lim), 0);
		rig_submit(&io);
		assert_int_equal(rig.fake.nheld, checks[i].to_driver);
		assert_int_equal(rig.chan->inflight, checks[i].to_driver);
		if (rig.fake.nheld)
			fake_end(&rig.fake, 0);
		reactor_turn(rig.r);
		if (io.done != 1 || io.bio.status != checks[i].status)
			fail_msg("%s: done %u times, status %d", checks[i].what, io.done,
				 io.bio.status);
		assert_int_equal(rig.chan->inflight, 0);
		assert_int_equal(rig_close(), 0);
	}
}

/* What a channel did counts while it lives, on its way out, and when it is gone. */
static void statistics_outlive_the_channel(void **state)
{
	static char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct bdev_chan_stats st;
	struct rig_io io;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){}), 0);
	io = (struct rig_io){ .bio = { .op = BIO_READ, .len = sizeof(buf), .iov = &iov, .iovcnt = 1 } };
	rig_submit(&io);
	rig_settle();
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_READ].ios, 1);
	bdev_chan_put(rig.chan);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_READ].ios, 1);
	for (unsigned i = 0; i < 4; i++)
		reactor_turn(rig.r);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_READ].ios, 1);
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &rig.chan), 0);
	reactor_turn(rig.r);
	assert_int_equal(rig_close(), 0);
}

static void the_depth_is_never_exceeded_and_waiting_is_fifo(void **state)
{
	struct bdev_limits lim = { .depth = 4 };
	struct rig_io io[64] = { 0 };
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	unsigned left = ARRAY_SIZE(io);

	(void)state;
	srand(1);
	assert_int_equal(rig_open(&lim), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		io[i].bio = (struct bio){
			.op = BIO_READ, .iov = &iov, .iovcnt = 1, .off = i * 512, .len = 512
		};
		rig_submit(&io[i]);
		assert_int_equal(rig.chan->inflight, CC_MIN(i + 1, 4u));
	}
	for (; left; left--) {
		assert_int_equal(rig.fake.nheld, CC_MIN(left, 4u));
		fake_end(&rig.fake, (unsigned)rand() % rig.fake.nheld);
	}
	/* The driver saw them in the order of submission, whatever the order of completion. */
	for (unsigned i = 0, at = 0; i < ARRAY_SIZE(io); i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "R %u+512\n", i * 512);
		assert_memory_equal(rig.fake.trace + at, line, strlen(line));
		at += (unsigned)strlen(line);
		assert_int_equal(io[i].done, 1);
	}
	assert_int_equal(rig.chan->stats->queued, ARRAY_SIZE(io) - 4);
	assert_int_equal(rig_close(), 0);
}

/* A closed loop over a device that answers at once: done submits again, and the reactor still takes
 * messages. */
static struct rig_io loop_io;
static unsigned loop_left;

static bool is_odd(const struct bio *bio, const void *arg)
{
	(void)arg;
	return bio->off / 512 & 1;
}

/* It covers what was answered before; what is in flight is nothing to it (docs/ORDERING.md). */
static void a_flush_waits_for_nobody(void **state)
{
	struct bdev_limits lim = { .has_flush = true };
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	struct rig_io writes[2] = { 0 }, flush = { .bio = { .op = BIO_FLUSH } };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	for (unsigned i = 0; i < 2; i++) {
		writes[i].bio = (struct bio){
			.op = BIO_WRITE, .iov = &iov, .iovcnt = 1, .off = i * 512, .len = 512
		};
		rig_submit(&writes[i]);
	}
	fake_end(&rig.fake, 0); /* answered, and so covered: it is with the device first */
	rig_submit(&flush);
	assert_string_equal(rig.fake.trace, "W 0+512\nW 512+512\nF 0+0\n");
	assert_int_equal(rig.fake.nheld, 2);
	fake_end(&rig.fake, 1);
	assert_int_equal(writes[0].done, 1);
	assert_int_equal(writes[1].done, 0);
	assert_int_equal(flush.done, 1);
	rig_settle();
	assert_int_equal(rig_close(), 0);
}

static void what_waits_can_be_cancelled(void **state)
{
	struct bdev_limits lim = { .depth = 4 };
	struct rig_io io[16] = { 0 };
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	bdev_cancel(rig.chan, is_odd, NULL); /* there is nothing */
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		io[i].bio = (struct bio){
			.op = BIO_READ, .iov = &iov, .iovcnt = 1, .off = i * 512, .len = 512
		};
		rig_submit(&io[i]);
	}
	rig.in_submit = true; /* not from inside */
	bdev_cancel(rig.chan, is_odd, NULL);
	rig.in_submit = false;
	reactor_turn(rig.r);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		assert_int_equal(io[i].done, i >= 4 && i & 1);
		assert_int_equal(io[i].bio.status, io[i].done ? -ECANCELED : 0);
	}
	assert_int_equal(rig.fake.nheld, 4);
	for (unsigned n = 4; n < ARRAY_SIZE(io); n += 2) { /* the others are in line as before */
		fake_end(&rig.fake, 0);
		if (n < 12)
			assert_ptr_equal(rig.fake.held[3], &io[n].bio);
	}
	rig_settle();
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		assert_int_equal(io[i].done, 1);
	assert_int_equal(rig.chan->stats->op[BIO_READ].ios, 10);
	assert_int_equal(rig.chan->stats->op[BIO_READ].errors, 0);
	assert_int_equal(rig_close(), 0);
}

static void loop_done(struct bio *bio)
{
	rig.violations += rig.in_submit;
	loop_io.done++;
	if (loop_left == 0)
		return;
	loop_left--;
	rig.in_submit = true;
	bdev_submit(rig.chan, bio);
	rig.in_submit = false;
}

static void a_closed_loop_does_not_hold_the_turn(void **state)
{
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	struct bdev_limits lim = { 0 };
	unsigned turns = 0;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig.fake.auto_later = true;
	loop_left = 999;
	loop_io = (struct rig_io){
		.bio = { .op = BIO_WRITE, .iov = &iov, .iovcnt = 1, .len = 512, .done = loop_done }
	};
	bdev_submit(rig.chan, &loop_io.bio);
	assert_int_equal(loop_io.done, 0);
	while (loop_left && turns++ < 1000)
		reactor_turn(rig.r);
	reactor_turn(rig.r);
	assert_int_equal(loop_io.done, 1000);
	assert_in_range(turns, 10, 999);
	assert_int_equal(rig_close(), 0);
}

static void a_channel_is_shared_and_its_numbers_stay(void **state)
{
	struct bdev_limits lim = { .depth = 1 };
	static struct bdev_chan_stats st;
	static char buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct rig_io io = { .bio = { .op = BIO_READ, .iov = &iov, .iovcnt = 1, .len = 4096 } };
	struct bdev_chan *again;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &again), 0);
	assert_ptr_equal(again, rig.chan);
	bdev_chan_put(again);
	for (unsigned i = 0; i < 3; i++) {
		rig.fake.fail_with = i == 2 ? -EIO : 0;
		rig_submit(&io);
		rig_settle();
		assert_int_equal(io.bio.status, rig.fake.fail_with);
	}
	bdev_chan_put(rig.chan);
	/* Put and taken again before the old one is gone: a new one. */
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &rig.chan), 0);
	for (unsigned i = 0; i < 4; i++)
		reactor_turn(rig.r);
	assert_int_equal(rig.fake.ncreated, 2);
	assert_int_equal(rig.fake.ndestroyed, 1);
	rig.fake.fail_with = 0;
	rig_submit(&io);
	rig_settle();
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BIO_READ].ios, 4);
	assert_int_equal(st.op[BIO_READ].errors, 1);
	assert_int_equal(st.op[BIO_READ].bytes, 3 * 4096);
	assert_int_equal(hist_total(&st.op[BIO_READ].latency), 4);
	assert_int_equal(st.op[BIO_WRITE].ios, 0);
	assert_int_equal(rig_close(), 0);
}

static void get_and_put_before_the_reactor_turns(void **state)
{
	struct bdev_limits lim = { 0 };
	struct bdev_chan *a;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	bdev_chan_put(rig.chan);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &a), 0);
		bdev_chan_put(a);
	}
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &rig.chan), 0);
	assert_int_equal(rig_close(), 0);
}

static const struct {
	const char *what;
	struct bdev_limits lim;
	bool is_ok;
} limits[] = {
	{ "defaults", {}, true },
	{ "4096", { .block_bytes = 4096, .buf_align = 4096 }, true },
	{ "block 256", { .block_bytes = 256 }, false },
	{ "block 3000", { .block_bytes = 3000 }, false },
	{ "block too large", { .block_bytes = 2 * BDEV_BLOCK_MAX }, false },
	{ "physical smaller", { .block_bytes = 4096, .phys_bytes = 512 }, false },
	{ "align beyond block", { .buf_align = 1024 }, false },
	{ "align 3", { .buf_align = 3 }, false },
	{ "depth", { .depth = BDEV_DEPTH_MAX + 1 }, false },
	{ "iovs", { .iovs_max = BDEV_IOVS_MAX + 1 }, false },
	{ "boundary 3000", { .boundary_bytes = 3000 }, false },
	{ "boundary inside a block", { .block_bytes = 4096, .boundary_bytes = 2048 }, false },
	{ "bytes below a block", { .bytes_max = 100 }, false },
	{ "one large block", { .block_bytes = BDEV_BLOCK_MAX, .bytes_max = BDEV_BLOCK_MAX }, true },
};

static void limits_are_checked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		int rc = rig_open(&limits[i].lim);

		if ((rc == 0) != limits[i].is_ok)
			fail_msg("%s: %d", limits[i].what, rc);
		if (rc == 0)
			assert_int_equal(rig_close(), 0);
	}
}

struct resized {
	struct bdev_listener l;
	unsigned told, done;
	int err;
	bool why;
};

static void on_resized(struct bdev_listener *l)
{
	container_of(l, struct resized, l)->told++;
}

static void on_resize_done(void *arg, int err, const char *why)
{
	struct resized *rs = arg;

	rs->done++;
	rs->err = err;
	rs->why = why != NULL;
}

/* The worker answers when it likes: turn until then. */
static void await(const unsigned *n, unsigned want)
{
	while (*n < want)
		reactor_turn(rig.r);
}

static void a_resize_is_told_and_bounds_move(void **state)
{
	struct bdev_limits lim = { 0 };
	struct resized rs = { 0 };
	static char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	struct rig_io io = {
		.bio = { .op = BIO_READ, .iov = &iov, .iovcnt = 1, .off = 4096, .len = 512 }
	};

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	bdev_listener_add(&rig.fake.bdev, &rs.l, on_resized);
	bdev_resize(&rig.fake.bdev, 4096, on_resize_done, &rs);
	bdev_resize(&rig.fake.bdev, 8192, on_resize_done, &rs); /* busy */
	assert_int_equal(rs.done, 0);
	await(&rs.done, 2);
	assert_int_equal(rs.told, 1);
	assert_int_equal(bdev_bytes(&rig.fake.bdev), 4096);
	rig_submit(&io);
	rig_settle();
	assert_int_equal(io.bio.status, -EINVAL);

	rig.fake.resize_fails = true;
	bdev_resize(&rig.fake.bdev, 8192, on_resize_done, &rs);
	await(&rs.done, 3);
	assert_int_equal(rs.err, -ENOSPC);
	assert_true(rs.why);
	assert_int_equal(rs.told, 1);
	rig.fake.resize_fails = false;
	bdev_resize(&rig.fake.bdev, 1000, on_resize_done, &rs);
	await(&rs.done, 4);
	assert_int_equal(rs.err, -EINVAL);
	bdev_resize(&rig.fake.bdev, 0, on_resize_done, &rs); /* no change: nobody is told */
	await(&rs.done, 5);
	assert_int_equal(rs.err, 0);
	assert_int_equal(rs.told, 1);
	bdev_listener_del(&rs.l);
	assert_int_equal(rig_close(), 0);
}

/* A channel on another thread: set up and taken down from here, used there. */
struct elsewhere {
	struct bdev_chan *chan;
	struct rig_io io;
	struct iovec iov;
	struct reactor *r;
	unsigned wrong;
	uint32_t done; /* atomic */
};

static void elsewhere_done(struct bio *bio)
{
	struct elsewhere *e = container_of(bio, struct elsewhere, io.bio);

	e->wrong += reactor_self() != e->r || bio->status != 0;
	if (++e->io.done < 100)
		bdev_submit(e->chan, bio);
	else
		__atomic_store_n(&e->done, 1, __ATOMIC_RELEASE);
}

static void elsewhere_begin(void *arg)
{
	struct elsewhere *e = arg;

	bdev_submit(e->chan, &e->io.bio);
}

static void a_channel_on_another_thread(void **state)
{
	struct bdev_limits lim = { .bytes_max = 512 };
	struct reactor_opts o = { .name = "data", .cpu = -1 };
	static char buf[4096];
	static struct elsewhere e;
	struct bdev_chan_stats *st = calloc(1, sizeof(*st));

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig.fake.auto_later = true;
	assert_int_equal(reactor_create(&o, &e.r), 0);
	assert_int_equal(reactor_start(e.r), 0);
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, e.r, &e.chan), 0);
	e.iov = (struct iovec){ buf, sizeof(buf) };
	e.io.bio = (struct bio){
		.op = BIO_WRITE, .iov = &e.iov, .iovcnt = 1, .len = 4096, .done = elsewhere_done
	};
	reactor_call(e.r, elsewhere_begin, &e);
	while (!__atomic_load_n(&e.done, __ATOMIC_ACQUIRE))
		reactor_turn(rig.r);
	assert_int_equal(e.wrong, 0);
	bdev_chan_put(e.chan);
	while (rig.fake.ndestroyed == 0)
		reactor_turn(rig.r);
	bdev_get_stats(&rig.fake.bdev, st);
	assert_int_equal(st->op[BIO_WRITE].ios, 100);
	assert_int_equal(st->splits, 100);
	reactor_stop(e.r);
	reactor_join(e.r);
	reactor_destroy(e.r);
	free(st);
	assert_int_equal(rig_close(), 0);
}

static void who_holds_an_io(void **state)
{
	static char buf[16384];
	struct iovec small = { buf, 512 }, large = { buf, sizeof(buf) };
	const struct bdev_limits lim = { .depth = 1, .bytes_max = 4096 };
	struct rig_io io[3] = {
		{ .bio = { .op = BIO_READ, .len = 512, .iov = &small, .iovcnt = 1 } },
		{ .bio = { .op = BIO_READ, .len = 512, .iov = &small, .iovcnt = 1 } },
		{ .bio = { .op = BIO_READ, .len = sizeof(buf), .iov = &large, .iovcnt = 1 } },
	};

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
		rig_submit(&io[i]);
	assert_int_equal(bdev_chan_holder(rig.chan, &io[0].bio), BDEV_HOLDER_DRIVER);
	assert_int_equal(bdev_chan_holder(rig.chan, &io[1].bio), BDEV_HOLDER_SCHED);
	assert_int_equal(bdev_chan_holder(rig.chan, &io[2].bio), BDEV_HOLDER_SPLIT);
	while (io[0].done + io[1].done + io[2].done < 3) {
		if (rig.fake.nheld)
			fake_end(&rig.fake, 0);
		reactor_turn(rig.r);
	}
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_io_is_checked_and_answered_once_later),
		cmocka_unit_test(who_holds_an_io),
		cmocka_unit_test(statistics_outlive_the_channel),
		cmocka_unit_test(the_depth_is_never_exceeded_and_waiting_is_fifo),
		cmocka_unit_test(a_flush_waits_for_nobody),
		cmocka_unit_test(what_waits_can_be_cancelled),
		cmocka_unit_test(a_closed_loop_does_not_hold_the_turn),
		cmocka_unit_test(a_channel_is_shared_and_its_numbers_stay),
		cmocka_unit_test(get_and_put_before_the_reactor_turns),
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(a_resize_is_told_and_bounds_move),
		cmocka_unit_test(a_channel_on_another_thread),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
