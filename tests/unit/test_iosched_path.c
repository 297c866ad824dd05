/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O whose way to the device fails: what is sent again, when, in which order, and how it ends. By a
 * clock that the test moves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/iosched.h"
#include "core/qos.h"
#include "tests/unit/fake_bdev.h"

#define NIOS	256
#define MS	MONO_NS_PER_MS
#define FAR_NS	(3600 * MONO_NS_PER_SEC) /* ahead of the real clock: no real turn ends a pause */
#define PAUSES	100			 /* until a test that hangs fails */

static uint8_t buf[NIOS * 4096] cc_aligned(4096);
static struct iovec iovs[NIOS];
static struct rig_io ios[NIOS];
static uint64_t base_ns, base_ticks; /* ticks are nanoseconds: nobody has measured them */
static uint64_t clock_ns;

static void set_clock(uint64_t ns)
{
	clock_ns = ns;
	rig.r->now_ns = base_ns + ns;
	rig.r->now_ticks = base_ticks + ns;
}

static void turns(unsigned n)
{
	while (n--)
		reactor_turn(rig.r);
	set_clock(clock_ns);
}

static void open_rig(const struct bdev_limits *lim)
{
	assert_int_equal(rig_open(lim), 0);
	reactor_turn(rig.r);
	reactor_turn(rig.r);
	base_ns = rig.r->now_ns + FAR_NS;
	base_ticks = rig.r->now_ticks + FAR_NS;
	set_clock(0);
}

static struct deadline *pause_timer(void)
{
	return &rig.chan->sched.gate->path.timer;
}

/* What ends later ends; time stands still. */
static void flush(void)
{
	rig.chan->later_poller.ops->flush(&rig.chan->later_poller);
}

/* The clock goes on by @ns, and calls as a reactor would. */
static void later(uint64_t ns)
{
	struct deadline *t = pause_timer();

	set_clock(clock_ns + ns);
	if (!deadline_is_armed(t) || t->at_ns > rig.r->now_ns)
		return;
	deadline_cancel(t);
	t->fn(t);
	flush();
}

/* Until the pause is over; how long it was. */
static uint64_t sit_out(void)
{
	uint64_t ns;

	assert_true(deadline_is_armed(pause_timer()));
	ns = pause_timer()->at_ns - rig.r->now_ns;
	if (ns > 1)
		later(ns - 1);
	assert_int_equal(rig.chan->sched.path, IOSCHED_PATH_HELD);
	later(1);
	return ns;
}

static void prepare(unsigned i, enum bio_op op)
{
	iovs[i] = (struct iovec){ buf + (size_t)i * 4096, 4096 };
	ios[i] = (struct rig_io){ .bio = { .op = (uint8_t)op, .off = (uint64_t)i * 4096 % RIG_BYTES,
					   .len = op == BIO_FLUSH ? 0 : 4096, .iov = &iovs[i],
					   .iovcnt = op == BIO_READ || op == BIO_WRITE } };
}

static void submit(unsigned from, unsigned n, enum bio_op op)
{
	for (unsigned i = from; i < from + n; i++) {
		prepare(i, op);
		rig_submit(&ios[i]);
	}
}

static unsigned held_at(unsigned i)
{
	for (unsigned k = 0; k < rig.fake.nheld; k++) {
		if (rig.fake.held[k] == &ios[i].bio)
			return k;
	}
	fail_msg("I/O %u is not with the device", i);
	return 0;
}

static void end(unsigned i, int status)
{
	rig.fake.fail_with = status;
	rig.fake.fails_path = false;
	fake_end(&rig.fake, held_at(i));
	flush();
}

static void fail_path(unsigned i)
{
	rig.fake.fail_with = -EIO;
	rig.fake.fails_path = true;
	fake_end(&rig.fake, held_at(i));
	flush();
}

static void fail_all(void)
{
	rig.fake.fail_with = -EIO;
	rig.fake.fails_path = true;
	for (unsigned i = rig.fake.nheld; i > 0; i--)
		fake_end(&rig.fake, 0);
	flush();
}

static void works(void)
{
	rig.fake.fail_with = 0;
	rig.fake.fails_path = false;
}

/* All else goes well from now on. */
static void settle(void)
{
	works();
	for (unsigned i = 0; i < PAUSES; i++) {
		while (rig.fake.nheld)
			fake_end(&rig.fake, 0);
		flush();
		turns(1);
		if (deadline_is_armed(pause_timer()))
			(void)sit_out();
	}
	assert_int_equal(rig.fake.nheld, 0);
	assert_int_equal(rig.chan->sched.nwaiting, 0);
}

static uint64_t requeued(void)
{
	static struct bdev_chan_stats st;

	bdev_get_stats(&rig.fake.bdev, &st);
	return st.requeued;
}

static void in_their_order_ahead_of_the_others(void **state)
{
	static const unsigned order[] = { 2, 0, 3, 1 };

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 6, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 4);
	for (unsigned i = 0; i < 4; i++)
		fail_path(order[i]);
	assert_int_equal(rig.chan->inflight, 0);
	assert_int_equal(rig.fake.nheld, 0);
	submit(6, 1, BIO_READ); /* to be tried in vain: it waits behind them */
	assert_int_equal(rig.fake.nheld, 0);
	assert_int_equal(bdev_chan_holder(rig.chan, &ios[2].bio), BDEV_HOLDER_SCHED);
	assert_int_equal(sit_out(), MS);
	assert_int_equal(rig.fake.nheld, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(rig.fake.held[i], &ios[order[i]].bio);
		assert_int_equal(rig.fake.held[i]->status, 0);
		assert_int_equal(rig.fake.held[i]->flags, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		end(order[i], 0);
	for (unsigned i = 4; i < 7; i++)
		(void)held_at(i);
	assert_int_equal(rig.chan->sched.path, IOSCHED_PATH_GOOD);
	assert_ptr_equal(rig.chan->submit, rig.fake.bdev.ops->submit);
	settle();
	assert_int_equal(rig.ndone, 7);
	assert_int_equal(requeued(), 4);
	assert_int_equal(rig_close(), 0);
}

static void the_pause_doubles_until_the_way_answers(void **state)
{
	static const uint64_t ms[] = { 1, 2, 4, 8, 16, 32, 64, 100, 100, 100 };

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	for (unsigned round = 0; round < 3; round++) {
		submit(0, 1, BIO_WRITE);
		for (unsigned i = 0; i < ARRAY_SIZE(ms); i++) {
			fail_path(0);
			assert_int_equal(sit_out(), ms[i] * MS);
			assert_int_equal(rig.fake.nheld, 1);
		}
		/* an error of the device's is an answer, too */
		end(0, round == 1 ? -ENOSPC : 0);
		assert_int_equal(ios[0].bio.status, round == 1 ? -ENOSPC : 0);
		assert_int_equal(ios[0].bio.flags & BIO_PATH_FAILED, 0);
	}
	assert_int_equal(rig_close(), 0);
}

/* While it is tried, there is no reason for others to wait. */
static void whoever_comes_while_it_is_tried_goes(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4, .bytes_max = 4096, .has_flush = true });
	submit(0, 1, BIO_WRITE);
	fail_path(0);
	(void)sit_out();
	assert_int_equal(rig.chan->sched.path, IOSCHED_PATH_TRYING);
	submit(1, 1, BIO_READ);
	submit(2, 1, BIO_FLUSH); /* not the easy way */
	assert_int_equal(rig.fake.nheld, 3);
	submit(3, 2, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 4);
	settle();
	assert_int_equal(rig.ndone, 5);
	assert_int_equal(rig_close(), 0);
}

/* What ended well, or was sent before the way failed, does not end the pause. */
static void a_late_success_does_not_end_the_pause(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 2, BIO_WRITE);
	fail_path(0);
	end(1, 0);
	assert_int_equal(rig.fake.nheld, 0);
	assert_int_equal(sit_out(), MS);
	assert_int_equal(rig.fake.nheld, 1);
	settle();
	assert_int_equal(rig_close(), 0);
}

/* Fails all until @i has ended; the clock then. */
static uint64_t until_done(unsigned i)
{
	while (!ios[i].done) {
		fail_all();
		if (!ios[i].done)
			(void)sit_out();
	}
	return clock_ns;
}

static void it_ends_at_the_bound(void **state)
{
	static struct bdev_chan_stats st;
	uint64_t ns;

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 1 });
	submit(0, 1, BIO_WRITE);
	later(7 * MONO_NS_PER_SEC); /* the device's: nothing has failed yet */
	fail_path(0);
	later(MS / 2);
	submit(1, 1, BIO_WRITE); /* comes later, and has its time from then on, though it never gets a turn */
	ns = until_done(0);
	assert_in_range(ns, 37 * MONO_NS_PER_SEC, 37 * MONO_NS_PER_SEC + 100 * MS);
	assert_int_equal(ios[0].bio.status, -EIO);
	assert_true(ios[0].bio.flags & BIO_PATH_FAILED); /* for whoever knows another way */
	assert_int_equal(ios[1].done, 0);
	ns = until_done(1);
	assert_in_range(ns, 37 * MONO_NS_PER_SEC, 37 * MONO_NS_PER_SEC + 200 * MS);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_WRITE].errors, 2);
	assert_int_equal(st.op[BDEV_STAT_WRITE].ios, 2);
	/* the whole time, and nearly all of it before the driver had it for the last time */
	assert_in_range(hist_quantile(&st.op[BDEV_STAT_WRITE].latency, 0.1), 29 * MONO_NS_PER_SEC,
			40 * MONO_NS_PER_SEC);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_WRITE].total), 2);
	assert_in_range(hist_quantile(&st.waited[BDEV_STAT_WRITE].scheduler, 0.1),
			29 * MONO_NS_PER_SEC, 40 * MONO_NS_PER_SEC);
	settle();
	assert_int_equal(rig_close(), 0);
}

/* A way that fails some and not others: who always has bad luck ends, too. */
static void a_way_that_works_for_others_does_not_prolong_it(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 2 });
	bdev_set_path_timeout(&rig.fake.bdev, 50 * MS);
	turns(3);
	submit(0, 1, BIO_WRITE);
	for (unsigned i = 0; !ios[0].done; i++) {
		assert_true(i < PAUSES);
		submit(1, 1, BIO_READ);
		end(1, 0);
		fail_path(0);
		if (!ios[0].done)
			assert_int_equal(sit_out(), MS);
	}
	assert_int_equal(clock_ns, 50 * MS);
	settle();
	assert_int_equal(rig_close(), 0);
}

static void without_a_timeout_it_fails_at_once(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 3, BIO_WRITE);
	fail_path(0);
	fail_path(1);
	bdev_set_path_timeout(&rig.fake.bdev, 0); /* also what waits by now */
	turns(3);
	assert_int_equal(ios[0].bio.status, -EIO);
	assert_int_equal(ios[1].bio.status, -EIO);
	assert_true(ios[1].bio.flags & BIO_PATH_FAILED);
	assert_int_equal(rig.ndone, 2);
	fail_path(2);
	assert_int_equal(rig.ndone, 3);
	assert_false(deadline_is_armed(pause_timer()));
	assert_int_equal(rig.chan->sched.path, IOSCHED_PATH_GOOD);
	submit(3, 1, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 1);
	settle();
	assert_int_equal(requeued(), 2);
	assert_int_equal(rig_close(), 0);
}

static void whoever_drains_does_not_wait_for_it(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 4, BIO_WRITE);
	for (unsigned i = 0; i < 3; i++)
		fail_path(i);
	submit(4, 1, BIO_WRITE);
	bdev_drain_begin(&rig.fake.bdev);
	turns(3);
	assert_int_equal(rig.ndone, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ios[i].bio.status, -EIO);
	rig.fake.fail_with = -ENODEV; /* nor what is tried now */
	rig.fake.fails_path = true;
	fake_end(&rig.fake, held_at(3));
	fake_end(&rig.fake, held_at(4));
	flush();
	assert_int_equal(rig.ndone, 5);
	assert_int_equal(ios[3].bio.status, -EIO);
	assert_int_equal(ios[4].bio.status, -EIO);
	bdev_drain_end(&rig.fake.bdev);
	turns(3);
	submit(5, 1, BIO_WRITE);
	fail_path(5);
	assert_int_equal(rig.ndone, 5);
	settle();
	assert_int_equal(rig.ndone, 6);
	assert_int_equal(rig_close(), 0);
}

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void a_frozen_disk_keeps_it(void **state)
{
	unsigned nfrozen = 0;

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 2, BIO_WRITE);
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nfrozen), 0);
	turns(3);
	fail_path(0);
	turns(3);
	assert_int_equal(nfrozen, 0);
	fail_path(1); /* that was the last that the device had */
	turns(3);
	assert_int_equal(nfrozen, 1);
	later(60 * MONO_NS_PER_SEC); /* longer than it may take */
	submit(2, 1, BIO_READ);
	assert_int_equal(rig.fake.nheld, 0);
	assert_int_equal(rig.ndone, 0);
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	assert_int_equal(rig.fake.nheld, 3); /* each gets a try */
	assert_ptr_equal(rig.fake.held[0], &ios[0].bio);
	end(0, 0);
	fail_path(1); /* its last one */
	assert_int_equal(ios[1].bio.status, -EIO);
	settle();
	assert_int_equal(rig.ndone, 3);
	assert_int_equal(rig_close(), 0);
}

/* Thawed in the middle of a pause: it goes on. */
static void a_thaw_does_not_end_the_pause(void **state)
{
	unsigned nfrozen = 0;

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 1, BIO_WRITE);
	fail_path(0);
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nfrozen), 0);
	turns(3);
	assert_int_equal(nfrozen, 1);
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	submit(1, 1, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 0);
	assert_int_equal(sit_out(), MS);
	assert_int_equal(rig.fake.nheld, 2);
	settle();
	assert_int_equal(rig_close(), 0);
}

static bool is_it(const struct bio *bio, const void *arg)
{
	return !arg || bio == arg;
}

static void it_can_be_cancelled(void **state)
{
	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	submit(0, 4, BIO_WRITE);
	fail_all();
	bdev_cancel(rig.chan, is_it, &ios[1].bio);
	flush();
	assert_int_equal(rig.ndone, 1);
	assert_int_equal(ios[1].bio.status, -ECANCELED);
	assert_int_equal(ios[1].bio.flags, 0);
	bdev_cancel(rig.chan, is_it, NULL);
	flush();
	assert_int_equal(rig.ndone, 4);
	(void)sit_out(); /* nothing is left to try it with */
	assert_int_equal(rig.chan->sched.path, IOSCHED_PATH_GOOD);
	assert_int_equal(rig_close(), 0);
}

static void limits_count_it_once(void **state)
{
	struct qos_conf conf = { .weight = 0 };
	struct errbuf eb = { "" };
	struct qos_stats st;

	(void)state;
	open_rig(&(struct bdev_limits){ .depth = 4 });
	conf.limits.rate[QOS_TOTAL_IOS].per_sec = 1;
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), 0);
	turns(3);
	submit(0, 1, BIO_WRITE); /* has all there was */
	for (unsigned i = 0; i < 5; i++) {
		fail_path(0);
		(void)sit_out();
		assert_int_equal(rig.fake.nheld, 1);
	}
	qos_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.delayed, 0);
	conf = (struct qos_conf){ .weight = 0 };
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), 0);
	settle();
	assert_int_equal(rig_close(), 0);
}

/* Pieces come back by themselves; the whole is counted once, and has all its data. */
static void a_piece_is_sent_again(void **state)
{
	static struct bdev_chan_stats st;
	struct iovec all = { buf, 64 * 4096 };
	struct rig_io io = { .bio = { .op = BIO_WRITE, .flags = BIO_FUA, .len = all.iov_len, .iov = &all,
				      .iovcnt = 1 } };

	(void)state;
	for (size_t i = 0; i < all.iov_len; i++)
		buf[i] = (uint8_t)(i * 7 + i / 4096);
	open_rig(&(struct bdev_limits){ .depth = 4, .bytes_max = 4096, .has_flush = true });
	rig_submit(&io);
	for (unsigned i = 0; !io.done; i++) {
		assert_true(i < 10 * PAUSES);
		works();
		if (i % 3 == 0) {
			rig.fake.fail_with = -EIO;
			rig.fake.fails_path = true;
		}
		if (rig.fake.nheld)
			fake_end(&rig.fake, 0);
		flush();
		if (!io.done && !rig.fake.nheld)
			(void)sit_out();
	}
	assert_int_equal(io.bio.status, 0);
	assert_memory_equal(rig.fake.data, buf, all.iov_len);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_WRITE].ios, 1);
	assert_int_equal(st.op[BDEV_STAT_WRITE].errors, 0);
	assert_int_equal(hist_total(&st.op[BDEV_STAT_WRITE].latency), 1);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_WRITE].total), 1);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_FLUSH].total), 0);
	assert_true(st.requeued > 10);
	/* one that fails for good tells so of the whole */
	bdev_set_path_timeout(&rig.fake.bdev, 0);
	turns(3);
	rig_submit(&io);
	works();
	fake_end(&rig.fake, 0);
	fail_all();
	settle(); /* the others are on their way already */
	assert_int_equal(io.done, 1);
	assert_int_equal(io.bio.status, -EIO);
	assert_true(io.bio.flags & BIO_PATH_FAILED);
	assert_int_equal(rig_close(), 0);
}

static void what_was_merged_goes_again_one_by_one(void **state)
{
	static struct bdev_chan_stats st;

	(void)state;
	assert_int_equal(rig_open_merging(&(struct bdev_limits){ .depth = 8 }), 0);
	reactor_turn(rig.r);
	reactor_turn(rig.r);
	base_ns = rig.r->now_ns + FAR_NS;
	base_ticks = rig.r->now_ticks + FAR_NS;
	set_clock(0);
	for (unsigned i = 0; i < 4; i++)
		prepare(i, BIO_WRITE);
	rig_submit_batch(ios, 4);
	assert_int_equal(rig.fake.nheld, 1);
	assert_int_equal(rig.chan->inflight, 4);
	fail_all();
	assert_int_equal(rig.chan->inflight, 0);
	assert_int_equal(sit_out(), MS);
	assert_int_equal(rig.fake.nheld, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_ptr_equal(rig.fake.held[i], &ios[i].bio);
	fail_path(2);
	settle();
	assert_int_equal(rig.ndone, 4);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.op[BDEV_STAT_WRITE].ios, 4);
	assert_int_equal(st.op[BDEV_STAT_WRITE].errors, 0);
	assert_int_equal(rig_close(), 0);
}

/*
 * Anything, in any order
 */

static void nobody(void *arg)
{
	(void)arg;
}

struct storm {
	unsigned seed, nfreezes;
	unsigned nsubmitted;
};

static unsigned pick(struct storm *st, unsigned n)
{
	return (unsigned)rand_r(&st->seed) % n;
}

static void storm_submit(struct storm *st)
{
	static const enum bio_op ops[] = { BIO_READ, BIO_WRITE, BIO_WRITE, BIO_FLUSH };
	unsigned n = 1 + pick(st, 6);

	if (st->nsubmitted + n > NIOS)
		return;
	for (unsigned i = st->nsubmitted; i < st->nsubmitted + n; i++)
		prepare(i, ops[pick(st, ARRAY_SIZE(ops))]);
	if (pick(st, 2)) {
		rig_submit_batch(&ios[st->nsubmitted], n);
	} else {
		for (unsigned i = st->nsubmitted; i < st->nsubmitted + n; i++)
			rig_submit(&ios[i]);
	}
	st->nsubmitted += n;
}

static void storm_end(struct storm *st)
{
	if (!rig.fake.nheld)
		return;
	works();
	if (pick(st, 3)) {
		rig.fake.fail_with = -EIO;
		rig.fake.fails_path = pick(st, 8) != 0;
	}
	fake_end(&rig.fake, pick(st, rig.fake.nheld));
}

static void storm_order(struct storm *st)
{
	switch (pick(st, 5)) {
	case 0:
		if (st->nfreezes++ < 2)
			assert_int_equal(bdev_freeze(&rig.fake.bdev, nobody, NULL), 0);
		else
			st->nfreezes--;
		break;
	case 1:
		if (st->nfreezes) {
			st->nfreezes--;
			bdev_thaw(&rig.fake.bdev);
		}
		break;
	case 2:
		bdev_set_depth(&rig.fake.bdev, 1 + pick(st, 8));
		break;
	case 3:
		bdev_set_path_timeout(&rig.fake.bdev, pick(st, 4) * 20 * MS);
		break;
	default:
		bdev_drain_begin(&rig.fake.bdev);
		turns(pick(st, 3));
		bdev_drain_end(&rig.fake.bdev);
		break;
	}
	turns(pick(st, 4));
}

static void storm_step(struct storm *st)
{
	unsigned what = pick(st, 32);

	if (what < 6)
		storm_submit(st);
	else if (what < 20)
		storm_end(st);
	else if (what < 27)
		later(pick(st, 10) * MS / 2);
	else if (what < 29)
		bdev_cancel(rig.chan, is_it, &ios[pick(st, NIOS)].bio);
	else
		storm_order(st);
	flush();
	assert_true(rig.fake.nheld <= rig.chan->inflight + 1);
}

static void a_storm(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++) {
		struct storm st = { .seed = seed };

		open_rig(&(struct bdev_limits){ .depth = 8, .has_flush = true });
		for (unsigned i = 0; i < 400; i++) {
			storm_step(&st);
			rig.fake.trace[0] = '\0';
		}
		for (; st.nfreezes; st.nfreezes--)
			bdev_thaw(&rig.fake.bdev);
		bdev_set_depth(&rig.fake.bdev, 0);
		turns(4);
		settle();
		for (unsigned i = 0; i < st.nsubmitted; i++)
			assert_int_equal(ios[i].done, 1);
		assert_int_equal(rig.ndone, st.nsubmitted);
		rig.fake.violations = 0; /* less room than is in flight, by order */
		assert_int_equal(rig_close(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_their_order_ahead_of_the_others),
		cmocka_unit_test(the_pause_doubles_until_the_way_answers),
		cmocka_unit_test(whoever_comes_while_it_is_tried_goes),
		cmocka_unit_test(a_late_success_does_not_end_the_pause),
		cmocka_unit_test(it_ends_at_the_bound),
		cmocka_unit_test(a_way_that_works_for_others_does_not_prolong_it),
		cmocka_unit_test(without_a_timeout_it_fails_at_once),
		cmocka_unit_test(whoever_drains_does_not_wait_for_it),
		cmocka_unit_test(a_frozen_disk_keeps_it),
		cmocka_unit_test(a_thaw_does_not_end_the_pause),
		cmocka_unit_test(it_can_be_cancelled),
		cmocka_unit_test(limits_count_it_once),
		cmocka_unit_test(a_piece_is_sent_again),
		cmocka_unit_test(what_was_merged_goes_again_one_by_one),
		cmocka_unit_test(a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
