/* SPDX-License-Identifier: BSD-3-Clause */
/* What waits in a channel and why: limits, groups, minimums, a freeze, little room; and that it all ends well. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/qos.h"
#include "tests/unit/fake_bdev.h"

#define NIOS 256

static uint8_t page[128 * 1024] cc_aligned(4096);
static struct iovec whole_page = { page, 4096 }, large = { page, sizeof(page) };
static struct rig_io ios[NIOS];

static void prepare(struct rig_io *io, enum bio_op op, uint64_t off, struct iovec *iov)
{
	memset(io, 0, sizeof(*io));
	io->bio.op = (uint8_t)op;
	io->bio.off = off;
	io->bio.len = op == BIO_FLUSH ? 0 : iov->iov_len;
	io->bio.iov = iov;
	io->bio.iovcnt = op == BIO_READ || op == BIO_WRITE;
}

static void submit(unsigned from, unsigned n, enum bio_op op)
{
	for (unsigned i = from; i < from + n; i++) {
		prepare(&ios[i], op, (uint64_t)i * 4096, &whole_page);
		rig_submit(&ios[i]);
	}
}

static void submit_batch(unsigned from, unsigned n, enum bio_op op)
{
	for (unsigned i = from; i < from + n; i++)
		prepare(&ios[i], op, (uint64_t)i * 4096, &whole_page);
	rig_submit_batch(&ios[from], n);
}

static void turns(unsigned n)
{
	while (n--)
		reactor_turn(rig.r);
}

static struct qos_conf limit(enum qos_bucket_id id, uint64_t per_sec)
{
	struct qos_conf conf = { .weight = 0 };

	conf.limits.rate[id].per_sec = per_sec;
	return conf;
}

static void set(const struct qos_conf *conf)
{
	struct errbuf eb = { "" };

	assert_int_equal(qos_set(&rig.fake.bdev, conf, &eb), 0);
	turns(3); /* there, back, and what it begins */
}

/* Ends what the device holds and turns until @n are done. Never more than @rate allows. */
static void run_until(unsigned n, uint64_t rate, uint64_t start_ns)
{
	uint64_t burst = CC_MAX(rate / 2000, UINT64_C(1));

	while (rig.ndone < n) {
		uint64_t allowed;

		while (rig.fake.nheld)
			fake_end(&rig.fake, 0);
		turns(1);
		allowed = (mono_ns() - start_ns) * rate / MONO_NS_PER_SEC + 2 * burst + 1;
		assert_in_range(rig.fake.nsubmits, 0, allowed);
	}
}

static void without_limits_there_is_no_gate(void **state)
{
	struct qos_conf some = limit(QOS_TOTAL_IOS, 1000), none = { .weight = 0 };
	struct bdev_limits lim = { .depth = 64 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	turns(3);
	assert_ptr_equal(rig.chan->submit, rig.fake.bdev.ops->submit);
	assert_ptr_equal(rig.chan->submit_batch, rig.fake.bdev.ops->submit_batch);
	set(&some);
	assert_ptr_not_equal(rig.chan->submit, rig.fake.bdev.ops->submit);
	assert_ptr_not_equal(rig.chan->submit_batch, rig.fake.bdev.ops->submit_batch);
	set(&none);
	assert_ptr_equal(rig.chan->submit, rig.fake.bdev.ops->submit);
	assert_ptr_equal(rig.chan->submit_batch, rig.fake.bdev.ops->submit_batch);
	assert_int_equal(rig_close(), 0);
}

static void a_limit_holds(void **state)
{
	struct qos_conf conf = limit(QOS_TOTAL_IOS, 2000);
	struct bdev_limits lim = { .depth = 512 };
	struct qos_stats st;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	uint64_t start = mono_ns(); /* before: what is saved up begins inside */

	set(&conf);
	submit(0, 40, BIO_READ);
	submit_batch(40, 40, BIO_WRITE);
	assert_int_equal(bdev_chan_holder(rig.chan, &ios[30].bio), BDEV_HOLDER_SCHED);
	qos_get_stats(&rig.fake.bdev, &st);
	assert_in_range(st.waiting, 60, 79);
	run_until(80, 2000, start);
	qos_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(st.waiting, 0);
	assert_in_range(st.delayed, 70, 79);
	assert_true(st.throttled_ns > 20 * MONO_NS_PER_MS);
	assert_int_equal(rig_close(), 0);
}

static void a_high_limit_lets_batches_through(void **state)
{
	struct qos_conf conf = limit(QOS_TOTAL_IOS, 10000000);
	struct bdev_limits lim = { .depth = 512 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&conf);
	submit(0, 1, BIO_READ); /* sees what is saved up */
	submit_batch(1, 32, BIO_READ);
	submit_batch(33, 32, BIO_WRITE);
	assert_int_equal(rig.fake.nbatches, 2);
	assert_int_equal(rig.fake.nheld, 65);
	rig_settle();
	assert_int_equal(rig_close(), 0);
}

static void a_limit_of_reads_leaves_writes_alone(void **state)
{
	struct qos_conf conf = limit(QOS_READ_IOS, 1);
	struct bdev_limits lim = { .depth = 512, .has_flush = true };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&conf);
	submit(0, 10, BIO_READ);
	submit(10, 20, BIO_WRITE);
	submit(30, 1, BIO_FLUSH);
	assert_int_equal(rig.fake.nheld, 1 + 20 + 1);
	conf = (struct qos_conf){ .weight = 0 };
	set(&conf); /* they go when it is lifted */
	assert_int_equal(rig.fake.nheld, 31);
	rig_settle();
	assert_int_equal(rig.ndone, 31);
	assert_int_equal(rig_close(), 0);
}

static bool is_any(const struct bio *bio, const void *arg)
{
	return arg == NULL || &container_of(bio, struct rig_io, bio)->bio == arg;
}

static void what_waits_for_a_limit_is_cancelled(void **state)
{
	struct qos_conf conf = limit(QOS_WRITE_BYTES, 1024); /* one I/O in 4 s */
	struct bdev_limits lim = { .depth = 512 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&conf);
	submit(0, 5, BIO_WRITE);
	bdev_cancel(rig.chan, is_any, &ios[2].bio);
	turns(1);
	assert_int_equal(rig.ndone, 1);
	assert_int_equal(ios[2].bio.status, -ECANCELED);
	bdev_cancel(rig.chan, is_any, NULL);
	turns(1);
	assert_int_equal(rig.ndone, 4);
	rig_settle();
	assert_int_equal(rig.ndone, 5);
	assert_int_equal(ios[0].bio.status, 0);
	assert_int_equal(rig_close(), 0);
}

static void whoever_drains_does_not_wait_for_a_limit(void **state)
{
	struct qos_conf conf = limit(QOS_TOTAL_IOS, 1);
	struct bdev_limits lim = { .depth = 512 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&conf);
	submit(0, 5, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 1);
	bdev_drain_begin(&rig.fake.bdev);
	turns(2);
	assert_int_equal(rig.fake.nheld, 5);
	submit(5, 2, BIO_READ); /* nor what comes meanwhile */
	assert_int_equal(rig.fake.nheld, 7);
	bdev_drain_end(&rig.fake.bdev);
	submit(7, 1, BIO_READ); /* but all that was charged */
	assert_int_equal(rig.fake.nheld, 7);
	bdev_drain_begin(&rig.fake.bdev);
	turns(2);
	bdev_drain_end(&rig.fake.bdev);
	rig_settle();
	assert_int_equal(rig.ndone, 8);
	assert_int_equal(rig_close(), 0);
}

static void a_large_write_is_split_behind_the_limit(void **state)
{
	struct qos_conf conf = limit(QOS_TOTAL_IOS, 1);
	struct bdev_limits lim = { .depth = 512, .bytes_max = 4096 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&conf);
	prepare(&ios[0], BIO_WRITE, 0, &large);
	rig_submit(&ios[0]);
	assert_int_equal(rig.fake.nheld, 32); /* pieces of one I/O */
	prepare(&ios[1], BIO_WRITE, 0, &large);
	rig_submit(&ios[1]);
	assert_int_equal(rig.fake.nheld, 32);
	conf = (struct qos_conf){ .weight = 0 };
	set(&conf);
	rig_settle();
	assert_int_equal(rig.ndone, 2);
	assert_int_equal(rig_close(), 0);
}

/*
 * Freeze, depth, deadlines
 */

static void count(void *arg)
{
	++*(unsigned *)arg;
}

static void a_frozen_disk_rests(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	unsigned nfrozen = 0;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	submit(0, 2, BIO_WRITE);
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nfrozen), 0);
	assert_int_equal(nfrozen, 0);
	turns(3);
	submit(2, 1, BIO_WRITE);
	submit_batch(3, 4, BIO_READ);
	assert_int_equal(rig.fake.nheld, 2);
	fake_end(&rig.fake, 0);
	turns(3);
	assert_int_equal(nfrozen, 0);
	fake_end(&rig.fake, 0);
	turns(3);
	assert_int_equal(nfrozen, 1);
	assert_int_equal(rig.fake.nheld, 0);
	/* once more, while it is: at once */
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nfrozen), 0);
	assert_int_equal(nfrozen, 1);
	turns(3);
	assert_int_equal(nfrozen, 2);
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	assert_int_equal(rig.fake.nheld, 0);
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	assert_int_equal(rig.fake.nheld, 5);
	assert_ptr_equal(rig.chan->submit, rig.fake.bdev.ops->submit);
	rig_settle();
	assert_int_equal(rig.ndone, 7);
	assert_int_equal(rig_close(), 0);
}

static void frozen_again_before_the_first_was_complete(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	unsigned nfrozen = 0, nsecond = 0;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	submit(0, 1, BIO_WRITE);
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nfrozen), 0);
	turns(3);
	bdev_thaw(&rig.fake.bdev);
	turns(1);
	assert_int_equal(nfrozen, 1); /* it is called all the same */
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nsecond), 0);
	turns(5);
	assert_int_equal(nsecond, 0);
	fake_end(&rig.fake, 0);
	/* the news is under way while it is thawed and frozen anew, with an I/O that came in between */
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	assert_int_equal(nsecond, 1);
	submit(1, 1, BIO_WRITE);
	assert_int_equal(rig.fake.nheld, 1);
	assert_int_equal(bdev_freeze(&rig.fake.bdev, count, &nsecond), 0);
	turns(5);
	assert_int_equal(nsecond, 1);
	fake_end(&rig.fake, 0);
	turns(3);
	assert_int_equal(nsecond, 2);
	bdev_thaw(&rig.fake.bdev);
	turns(3);
	assert_int_equal(rig_close(), 0);
}

static void less_room_than_in_flight(void **state)
{
	struct bdev_limits lim = { .depth = 8 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	submit(0, 8, BIO_READ);
	bdev_set_depth(&rig.fake.bdev, 2);
	turns(2);
	submit(8, 1, BIO_READ);
	submit_batch(9, 4, BIO_READ);
	for (unsigned i = 0; i < 6; i++) {
		fake_end(&rig.fake, 0);
		assert_int_equal(rig.fake.nheld, 7 - i);
	}
	fake_end(&rig.fake, 0);
	assert_int_equal(rig.fake.nheld, 2); /* one goes, one comes */
	bdev_set_depth(&rig.fake.bdev, 0);
	turns(2);
	assert_int_equal(rig.fake.nheld, 6);
	rig_settle();
	assert_int_equal(rig.ndone, 13);
	assert_int_equal(rig_close(), 0);
}

static void reads_overtake_as_far_as_deadlines_say(void **state)
{
	struct bdev_limits lim = { .depth = 1 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	bdev_set_deadlines(&rig.fake.bdev, 0, 3600 * MONO_NS_PER_SEC);
	turns(2);
	submit(0, 1, BIO_WRITE);
	submit(1, 1, BIO_WRITE); /* waits */
	submit(2, 1, BIO_READ);	 /* overtakes it */
	fake_end(&rig.fake, 0);
	assert_ptr_equal(rig.fake.held[0], &ios[2].bio);
	bdev_set_deadlines(&rig.fake.bdev, 0, 1);
	turns(2);
	submit(3, 1, BIO_READ); /* too late to overtake */
	fake_end(&rig.fake, 0);
	assert_ptr_equal(rig.fake.held[0], &ios[1].bio);
	submit(4, 1, BIO_WRITE);
	bdev_set_deadlines(&rig.fake.bdev, 0, 0); /* what waits goes by arrival */
	turns(2);
	submit(5, 1, BIO_READ);
	fake_end(&rig.fake, 0);
	assert_ptr_equal(rig.fake.held[0], &ios[3].bio);
	fake_end(&rig.fake, 0);
	assert_ptr_equal(rig.fake.held[0], &ios[4].bio);
	rig_settle();
	assert_int_equal(rig.ndone, 6);
	assert_int_equal(rig_close(), 0);
}

/*
 * Groups
 */

static struct fake_bdev other;
static struct bdev_chan *other_chan;
static unsigned ndone_other;

static void done_other(struct bio *bio)
{
	(void)bio;
	ndone_other++;
}

static void open_other(void)
{
	struct bdev_limits lim = { .depth = 512 };

	ndone_other = 0;
	assert_int_equal(fake_open(&other, rig.r, RIG_BYTES, &lim), 0);
	memcpy(other.bdev.name, "fake1", sizeof("fake1"));
	assert_int_equal(bdev_chan_get(&other.bdev, rig.r, &other_chan), 0);
	turns(2);
}

static void close_other(void)
{
	bdev_chan_put(other_chan);
	bdev_close(&other.bdev, NULL, NULL);
	turns(4);
	assert_int_equal(other.nclosed, 1);
}

static struct rig_io other_ios[NIOS];

static void submit_other(unsigned from, unsigned n, enum bio_op op)
{
	for (unsigned i = from; i < from + n; i++) {
		prepare(&other_ios[i], op, (uint64_t)i * 4096, &whole_page);
		other_ios[i].bio.done = done_other;
		bdev_submit(other_chan, &other_ios[i].bio);
	}
}

static struct qos_group *make_group(enum qos_bucket_id id, uint64_t per_sec)
{
	struct qos_limits lim = limit(id, per_sec).limits;
	struct errbuf eb = { "" };
	struct qos_group *g;

	assert_int_equal(qos_group_create(rig.r, "gold", &lim, &g, &eb), 0);
	return g;
}

static void join(struct fake_bdev *f, struct qos_group *g, uint16_t weight, uint64_t min_ios)
{
	struct qos_conf conf = { .group = g, .weight = weight, .limits.min_ios = min_ios };
	struct errbuf eb = { "" };

	assert_int_equal(qos_set(&f->bdev, &conf, &eb), 0);
	turns(3);
}

static void drop_group(struct qos_group *g)
{
	struct errbuf eb = { "" };

	assert_int_equal(qos_group_ndisks(g), 0);
	assert_int_equal(qos_group_delete(g, NULL, NULL, &eb), 0);
	turns(4);
}

static void a_group_shares_by_weight(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	struct qos_group *g;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	open_other();
	g = make_group(QOS_TOTAL_IOS, 20000);
	join(&rig.fake, g, 100, 0);
	join(&other, g, 300, 0);
	assert_int_equal(qos_group_ndisks(g), 2);
	submit(0, NIOS, BIO_READ);
	submit_other(0, NIOS, BIO_READ);
	/* both have a backlog until the heavier one is through */
	while (other.nsubmits < NIOS - 16)
		turns(1);
	assert_in_range(rig.fake.nsubmits, (NIOS - 16) / 3 - 12, (NIOS - 16) / 3 + 24);
	join(&rig.fake, NULL, 0, 0); /* what waits goes, and is charged */
	assert_int_equal(rig.fake.nsubmits, NIOS);
	join(&other, NULL, 0, 0);
	assert_int_equal(other.nsubmits, NIOS);
	while (other.nheld)
		fake_end(&other, 0);
	rig_settle();
	assert_int_equal(ndone_other, NIOS);
	drop_group(g);
	close_other();
	assert_int_equal(rig_close(), 0);
}

static void a_promise_is_kept(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	struct qos_group *g;
	struct errbuf eb = { "" };
	uint64_t start;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	open_other();
	g = make_group(QOS_TOTAL_IOS, 2000);
	join(&rig.fake, g, 1, 1000);
	join(&other, g, 1000, 0);
	submit_other(0, NIOS, BIO_READ); /* has the group for itself by weight */
	turns(10);
	start = mono_ns();
	submit(0, 64, BIO_READ);
	while (rig.fake.nsubmits < 64)
		turns(1);
	/* by weight alone it had waited for a thousand of the other's */
	assert_in_range(other.nsubmits, 32, 200);
	assert_true(mono_ns() - start >= 55 * MONO_NS_PER_MS); /* and had no more than was promised */
	join(&other, NULL, 0, 0);
	while (other.nheld)
		fake_end(&other, 0);
	assert_int_equal(qos_group_delete(g, NULL, NULL, &eb), -EBUSY);
	assert_non_null(strstr(eb.text, "fake0"));
	rig_settle();
	join(&rig.fake, NULL, 0, 0);
	drop_group(g);
	close_other();
	assert_int_equal(rig_close(), 0);
}

/* The group goes last, when the disk's channels and the disk have gone before. */
static void a_disk_closes_inside_its_group(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	struct qos_group *g;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	g = make_group(QOS_READ_BYTES, 4096000);
	join(&rig.fake, g, 0, 0);
	submit(0, 20, BIO_READ);
	bdev_drain_begin(&rig.fake.bdev);
	turns(3);
	rig_settle();
	bdev_drain_end(&rig.fake.bdev);
	open_other(); /* comes under it with its first channel only now */
	join(&other, g, 0, 0);
	close_other();
	bdev_chan_put(rig.chan);
	turns(4);
	assert_int_equal(bdev_chan_get(&rig.fake.bdev, rig.r, &rig.chan), 0);
	turns(4);
	submit(20, 20, BIO_READ);
	assert_in_range(rig.fake.nheld, 0, 19);
	bdev_drain_begin(&rig.fake.bdev);
	turns(3);
	rig_settle();
	bdev_drain_end(&rig.fake.bdev);
	assert_int_equal(rig.ndone, 40);
	join(&rig.fake, NULL, 0, 0);
	drop_group(g);
	assert_int_equal(rig_close(), 0);
}

static void what_is_impossible_changes_nothing(void **state)
{
	struct bdev_limits lim = { .depth = 512 };
	struct qos_conf good = limit(QOS_READ_IOS, 500), less = limit(QOS_TOTAL_IOS, 999);
	struct qos_conf conf, now;
	struct errbuf eb = { "" };
	struct qos_group *g;

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	set(&good);
	g = make_group(QOS_TOTAL_IOS, 1000);
	conf = (struct qos_conf){ .weight = QOS_WEIGHT_MAX + 1 };
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "1001"));
	conf = (struct qos_conf){ .latency_ns = 10 };
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), -EINVAL);
	conf = (struct qos_conf){ .limits.min_ios = 10 };
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "group"));
	conf = (struct qos_conf){ .limits.min_ios = 1001, .group = g };
	assert_int_equal(qos_set(&rig.fake.bdev, &conf, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "gold"));
	qos_get(&rig.fake.bdev, &now);
	good.weight = QOS_WEIGHT_DEFAULT;
	assert_memory_equal(&now, &good, sizeof(now));
	conf.limits.min_ios = 1000;
	set(&conf);
	assert_int_equal(qos_group_set(g, &less.limits, &eb), -EINVAL);
	assert_int_equal(qos_group_limits(g)->rate[QOS_TOTAL_IOS].per_sec, 1000);
	set(&(struct qos_conf){ .weight = 0 });
	drop_group(g);
	assert_int_equal(rig_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_limits_there_is_no_gate),
		cmocka_unit_test(a_limit_holds),
		cmocka_unit_test(a_high_limit_lets_batches_through),
		cmocka_unit_test(a_limit_of_reads_leaves_writes_alone),
		cmocka_unit_test(what_waits_for_a_limit_is_cancelled),
		cmocka_unit_test(whoever_drains_does_not_wait_for_a_limit),
		cmocka_unit_test(a_large_write_is_split_behind_the_limit),
		cmocka_unit_test(a_frozen_disk_rests),
		cmocka_unit_test(frozen_again_before_the_first_was_complete),
		cmocka_unit_test(less_room_than_in_flight),
		cmocka_unit_test(reads_overtake_as_far_as_deadlines_say),
		cmocka_unit_test(a_group_shares_by_weight),
		cmocka_unit_test(a_promise_is_kept),
		cmocka_unit_test(a_disk_closes_inside_its_group),
		cmocka_unit_test(what_is_impossible_changes_nothing),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
