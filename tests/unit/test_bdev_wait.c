/* SPDX-License-Identifier: BSD-3-Clause */
/* The latency in two parts, by a clock that the test moves: before the driver had an I/O, and from
 * then on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/bdev.h"
#include "tests/unit/fake_bdev.h"

#define NIOS 64

static char buf[64 * 4096];
static struct iovec iovs[NIOS];
static struct rig_io ios[NIOS];
static struct bdev_chan_stats st;

/* Ticks are nanoseconds here: nobody has measured them (mono_init). Between two turns time stands
 * still but for this. */
static void later(uint64_t ns)
{
	rig.r->now_ticks += ns;
}

static void submit(unsigned i, enum bio_op op, uint64_t len)
{
	iovs[i] = (struct iovec){ buf, len };
	ios[i] = (struct rig_io){
		.bio = { .op = (uint8_t)op, .iov = &iovs[i], .iovcnt = 1, .len = len }
	};
	rig_submit(&ios[i]);
}

/* Just these samples, and no others. */
static void assert_hist(const struct hist *h, unsigned n, const uint64_t *ns)
{
	struct hist left = *h;

	assert_int_equal(hist_total(h), n);
	for (unsigned i = 0; i < n; i++) {
		if (left.count[hist_index(ns[i])] == 0)
			fail_msg("no sample of %llu ns", (unsigned long long)ns[i]);
		left.count[hist_index(ns[i])]--;
	}
}

#define SAMPLES(h, ...)                                                        \
	assert_hist(h, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), \
		    (uint64_t[]){ __VA_ARGS__ })

static void get_parts(enum bdev_stat_op op, struct hist *sched, struct hist *driver)
{
	bdev_get_stats(&rig.fake.bdev, &st);
	bdev_stats_scheduler(&st, op, sched);
	bdev_stats_driver(&st, op, driver);
}

static void who_never_waits_is_all_the_drivers(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 8 }), 0);
	submit(0, BIO_READ, 4096);
	submit(1, BIO_READ, 4096);
	submit(2, BIO_WRITE, 4096);
	later(1000);
	fake_end(&rig.fake, 0);
	later(50000);
	fake_end(&rig.fake, 0);
	fake_end(&rig.fake, 0);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&sched, 0, 0);
	SAMPLES(&driver, 1000, 51000);
	get_parts(BDEV_STAT_WRITE, &sched, &driver);
	SAMPLES(&driver, 51000);
	for (unsigned i = 0; i < BDEV_STAT_COUNT; i++)
		assert_int_equal(hist_total(&st.waited[i].total), 0);
	assert_int_equal(rig_close(), 0);
}

static void who_waits_for_room_is_the_schedulers_first(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1 }), 0);
	for (unsigned i = 0; i < 3; i++)
		submit(i, BIO_READ, 4096);
	submit(3, BIO_WRITE, 4096);
	later(1000);
	fake_end(&rig.fake, 0);
	later(3000);
	fake_end(&rig.fake, 0);
	later(5000);
	rig.fake.fail_with = -EIO; /* counted as ever */
	fake_end(&rig.fake, 0);
	later(70000);
	fake_end(&rig.fake, 0);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&st.op[BDEV_STAT_READ].latency, 1000, 4000, 9000);
	SAMPLES(&st.waited[BDEV_STAT_READ].total, 4000, 9000);
	SAMPLES(&sched, 0, 1000, 4000);
	SAMPLES(&driver, 1000, 3000, 5000);
	get_parts(BDEV_STAT_WRITE, &sched, &driver);
	SAMPLES(&sched, 9000);
	SAMPLES(&driver, 70000);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ios[i].done, 1);
	assert_int_equal(rig_close(), 0);
}

/* A wait that ends in the turn in which it began took no time, and costs nothing. */
static void no_time_is_no_wait(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1 }), 0);
	submit(0, BIO_READ, 4096);
	submit(1, BIO_READ, 4096);
	fake_end(&rig.fake, 0);
	assert_ptr_equal(ios[1].bio.done, ios[0].bio.done);
	later(2000);
	fake_end(&rig.fake, 0);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&sched, 0, 0);
	SAMPLES(&driver, 0, 2000);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_READ].total), 0);
	assert_int_equal(rig_close(), 0);
}

/* Four pieces, one at a time: they wait all at once, which is one wait. */
static void pieces_that_wait_count_once(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1, .bytes_max = 4096 }), 0);
	submit(0, BIO_READ, 4 * 4096);
	for (unsigned i = 0; i < 4; i++) {
		later(1000);
		fake_end(&rig.fake, 0);
	}
	assert_int_equal(ios[0].done, 1);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&st.op[BDEV_STAT_READ].latency, 4000);
	SAMPLES(&sched, 3000);
	SAMPLES(&driver, 1000);
	assert_int_equal(rig_close(), 0);
}

/* A flush behind a write begins when the write is done, and does not wait before; then it has to.
 */
static void a_flush_behind_a_write(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1, .has_flush = true }), 0);
	iovs[0] = (struct iovec){ buf, 4096 };
	ios[0] = (struct rig_io){
		.bio = { .op = BIO_WRITE, .flags = BIO_FUA, .iov = iovs, .iovcnt = 1, .len = 4096 }
	};
	rig_submit(&ios[0]);
	later(1000);
	fake_end(&rig.fake, 0);
	later(500);
	fake_end(&rig.fake, 0);
	assert_int_equal(ios[0].done, 1);
	get_parts(BDEV_STAT_WRITE, &sched, &driver);
	SAMPLES(&sched, 0);
	SAMPLES(&driver, 1500);
	rig_submit(&ios[0]);
	submit(1, BIO_READ, 4096);
	later(7000);
	fake_end(&rig.fake, 0); /* the read goes first */
	later(200);
	fake_end(&rig.fake, 0);
	later(30);
	fake_end(&rig.fake, 0);
	get_parts(BDEV_STAT_WRITE, &sched, &driver);
	SAMPLES(&sched, 0, 200);
	SAMPLES(&driver, 1500, 7030);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&sched, 7000);
	SAMPLES(&driver, 200);
	assert_int_equal(rig_close(), 0);
}

/* One more misaligned read than there are buffers. */
static void who_waits_for_a_bounce_buffer(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(
		rig_open(&(struct bdev_limits){ .depth = 2 * BDEV_BOUNCES, .buf_align = 512 }), 0);
	for (unsigned i = 0; i <= BDEV_BOUNCES; i++) {
		iovs[i] = (struct iovec){ buf + 1, 512 };
		ios[i] = (struct rig_io){
			.bio = { .op = BIO_READ, .iov = &iovs[i], .iovcnt = 1, .len = 512 }
		};
		rig_submit(&ios[i]);
	}
	assert_int_equal(rig.fake.nheld, BDEV_BOUNCES);
	later(10000);
	fake_end(&rig.fake, 0);
	later(600);
	while (rig.fake.nheld)
		fake_end(&rig.fake, 0);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	assert_int_equal(hist_total(&sched), BDEV_BOUNCES + 1);
	assert_int_equal(sched.count[0], BDEV_BOUNCES);
	assert_int_equal(sched.count[hist_index(10000)], 1);
	SAMPLES(&st.waited[BDEV_STAT_READ].driver, 600);
	assert_int_equal(driver.count[hist_index(10600)], BDEV_BOUNCES - 1);
	assert_int_equal(rig_close(), 0);
}

static bool is_it(const struct bio *bio, const void *arg)
{
	return bio == arg;
}

/* What was not carried out does not count, whether it only waited or some of it was under way. */
static void what_is_cancelled_does_not_count(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1, .bytes_max = 4096 }), 0);
	submit(0, BIO_READ, 4096);
	submit(1, BIO_READ, 4096);
	submit(2, BIO_READ, 3 * 4096);
	later(1000);
	bdev_cancel(rig.chan, is_it, &ios[1].bio);
	fake_end(&rig.fake, 0); /* a piece of the third goes */
	later(1000);
	bdev_cancel(rig.chan, is_it, &ios[2].bio);
	fake_end(&rig.fake, 0);
	rig_settle();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].bio.status, i ? -ECANCELED : 0);
	}
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&sched, 0);
	SAMPLES(&driver, 1000);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_READ].total), 0);
	assert_int_equal(rig_close(), 0);
}

/* Two submitters whose I/Os waited together and end together, each with lists of its own. */
static unsigned nlisted[2][8], ncalls[2];

static void note_list(struct bio *bio, unsigned who)
{
	unsigned n = 0;

	for (struct bio *b = bio; b; b = b->next, n++)
		rig.ndone++;
	nlisted[who][ncalls[who]++] = n;
}

static void first_done(struct bio *bio)
{
	note_list(bio, 0);
}

static void second_done(struct bio *bio)
{
	note_list(bio, 1);
}

static void lists_go_back_to_whom_they_belong(void **state)
{
	static const bio_done_fn done[] = { first_done,	 first_done,  second_done,
					    second_done, second_done, first_done };
	unsigned n = ARRAY_SIZE(done);

	(void)state;
	memset(ncalls, 0, sizeof(ncalls));
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = n }), 0);
	for (unsigned i = 0; i < n; i++)
		submit(i, BIO_WRITE, 512);
	for (unsigned i = 0; i < n; i++) {
		iovs[n + i] = (struct iovec){ buf, 512 };
		ios[n + i].bio = (struct bio){ .op = BIO_READ,
					       .flags = BIO_LISTED,
					       .iov = &iovs[n + i],
					       .iovcnt = 1,
					       .len = 512,
					       .done = done[i] };
		bdev_submit(rig.chan, &ios[n + i].bio);
	}
	later(1000);
	rig.fake.auto_later = true;
	while (rig.fake.nheld)
		fake_end(&rig.fake, 0);
	reactor_turn(rig.r);
	assert_int_equal(rig.ndone, 2 * n);
	assert_int_equal(ncalls[0], 2);
	assert_int_equal(nlisted[0][0], 2);
	assert_int_equal(nlisted[0][1], 1);
	assert_int_equal(ncalls[1], 1);
	assert_int_equal(nlisted[1][0], 3);
	bdev_get_stats(&rig.fake.bdev, &st);
	assert_int_equal(hist_total(&st.waited[BDEV_STAT_READ].total), n);
	assert_int_equal(st.waited[BDEV_STAT_READ].scheduler.count[hist_index(1000)], n);
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(ios[n + i].bio.done, done[i]);
	assert_int_equal(rig_close(), 0);
}

static unsigned again_left;

static void again_done(struct bio *bio)
{
	rig.ndone++;
	if (again_left-- > 0)
		bdev_submit(rig.chan, bio);
}

/* The same bio, submitted again from its done: it waits anew. */
static void an_io_that_comes_again(void **state)
{
	struct hist sched, driver;

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ .depth = 1 }), 0);
	again_left = 1;
	submit(0, BIO_WRITE, 512);
	iovs[1] = (struct iovec){ buf, 512 };
	ios[1].bio = (struct bio){
		.op = BIO_READ, .iov = &iovs[1], .iovcnt = 1, .len = 512, .done = again_done
	};
	bdev_submit(rig.chan, &ios[1].bio);
	later(1000);
	fake_end(&rig.fake, 0);
	later(300);
	fake_end(&rig.fake, 0);
	later(40);
	fake_end(&rig.fake, 0);
	assert_int_equal(rig.ndone, 3);
	get_parts(BDEV_STAT_READ, &sched, &driver);
	SAMPLES(&sched, 0, 1000);
	SAMPLES(&driver, 40, 300);
	assert_int_equal(rig_close(), 0);
}

/* Whatever waits for what: the parts make up the whole, within what a bucket is wide. */
static void the_parts_make_up_the_whole(void **state)
{
	double total = 0, parts = 0;

	(void)state;
	srand(7);
	assert_int_equal(
		rig_open(&(struct bdev_limits){ .depth = 3, .bytes_max = 8192, .has_flush = true }),
		0);
	for (unsigned round = 0; round < 2000; round++) {
		unsigned i = (unsigned)rand() % NIOS;

		later((unsigned)rand() % 5000);
		if ((ios[i].done || !ios[i].bio.chan) && rand() % 2)
			submit(i, rand() % 2 ? BIO_READ : BIO_WRITE,
			       512u * (1 + (unsigned)rand() % 40));
		else if (rig.fake.nheld)
			fake_end(&rig.fake, (unsigned)rand() % rig.fake.nheld);
	}
	while (rig.fake.nheld) {
		later(1);
		fake_end(&rig.fake, 0);
	}
	for (unsigned op = BDEV_STAT_READ; op <= BDEV_STAT_WRITE; op++) {
		struct hist sched, driver;
		uint64_t n;

		get_parts((enum bdev_stat_op)op, &sched, &driver);
		n = st.op[op].ios;
		assert_true(n > 100);
		assert_int_equal(hist_total(&sched), n);
		assert_int_equal(hist_total(&driver), n);
		assert_true(hist_total(&st.waited[op].total) > 50);
		total += hist_mean(&st.op[op].latency) * (double)n;
		parts += (hist_mean(&sched) + hist_mean(&driver)) * (double)n;
	}
	assert_true(parts > total * (1 - 1.0 / HIST_SUB) && parts < total * (1 + 1.0 / HIST_SUB));
	assert_int_equal(rig_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_never_waits_is_all_the_drivers),
		cmocka_unit_test(who_waits_for_room_is_the_schedulers_first),
		cmocka_unit_test(no_time_is_no_wait),
		cmocka_unit_test(pieces_that_wait_count_once),
		cmocka_unit_test(a_flush_behind_a_write),
		cmocka_unit_test(who_waits_for_a_bounce_buffer),
		cmocka_unit_test(what_is_cancelled_does_not_count),
		cmocka_unit_test(lists_go_back_to_whom_they_belong),
		cmocka_unit_test(an_io_that_comes_again),
		cmocka_unit_test(the_parts_make_up_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
