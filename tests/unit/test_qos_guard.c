/* SPDX-License-Identifier: BSD-3-Clause */
/* The guard over disks whose counters the test writes: whom it throttles, what it counts, when it lets go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/qos.h"
#include "core/qos_guard.h"
#include "core/reactor_priv.h"
#include "tests/unit/fake_bdev.h"

#define DISKS	  4
#define TARGET_NS (100 * MONO_NS_PER_US)
#define WAIT_NS	  (60 * MONO_NS_PER_SEC) /* a test that hangs ends one day */
#define BUSY	  256

enum {
	VICTIM,
	NEIGHBOUR,
	OTHER,
	UNKNOWN,
};

static struct fixture {
	struct reactor *r;
	struct fake_bdev disk[DISKS];
	struct bdev_chan *chan[DISKS];
	uint32_t fits; /* depth of the neighbours that the target allows */
	uint64_t in_time_ns, late_ns;
} fx;

static const struct bdev_limits deep = { .depth = 1024 };

static uint32_t depth_of(unsigned i)
{
	struct qos_guard_stats st;

	qos_guard_get_stats(&fx.disk[i].bdev, &st);
	return st.depth;
}

static void open_disk(unsigned i, const char *shares)
{
	assert_int_equal(fake_open(&fx.disk[i], fx.r, 1 << 20, &deep), 0);
	(void)snprintf(fx.disk[i].bdev.shares, BDEV_SHARES_MAX, "%s", shares);
	assert_int_equal(bdev_chan_get(&fx.disk[i].bdev, fx.r, &fx.chan[i]), 0);
}

static void close_disk(unsigned i)
{
	fx.chan[i]->inflight = 0;
	bdev_chan_put(fx.chan[i]);
	bdev_close(&fx.disk[i].bdev, NULL, NULL);
	for (unsigned n = 0; n < 1000 && !fx.disk[i].nclosed; n++)
		reactor_turn(fx.r);
	assert_int_equal(fx.disk[i].nclosed, 1);
	fx.chan[i] = NULL;
}

static void set_target(unsigned i, uint64_t ns, struct qos_group *g)
{
	struct qos_conf c = { .latency_ns = ns, .group = g };

	assert_int_equal(qos_set(&fx.disk[i].bdev, &c, NULL), 0);
	qos_guard_update(&fx.disk[i].bdev);
}

static int set_up(void **state)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1 };

	memset(&fx, 0, sizeof(fx));
	assert_int_equal(reactor_create(&ro, &fx.r), 0);
	reactor_adopt(fx.r);
	open_disk(VICTIM, "ssd0");
	open_disk(NEIGHBOUR, "ssd0");
	open_disk(OTHER, "ssd1");
	open_disk(UNKNOWN, "");
	fx.fits = 4;
	fx.in_time_ns = TARGET_NS / 2;
	fx.late_ns = 3 * TARGET_NS;
	(void)state;
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < DISKS; i++)
		if (fx.chan[i])
			close_disk(i);
	assert_null(fx.r->guard);
	assert_true(list_is_empty(&fx.r->priv->deadlines));
	reactor_destroy(fx.r);
	(void)state;
	return 0;
}

static void did(unsigned i, uint64_t ios, uint64_t latency_ns)
{
	struct bdev_op_stats *st = &fx.chan[i]->stats->op[BDEV_STAT_READ];

	st->ios += ios;
	st->bytes += ios * 4096;
	st->latency.count[hist_index(latency_ns)] += ios;
}

/* All but the victim have as much in the device as they may; it feels what its neighbour has there. */
static void load(void)
{
	for (unsigned i = NEIGHBOUR; i < DISKS; i++) {
		if (!fx.chan[i])
			continue;
		fx.chan[i]->inflight = depth_of(i) ? depth_of(i) : BUSY;
		did(i, 10, fx.late_ns);
	}
	if (fx.chan[VICTIM])
		did(VICTIM, 10, fx.chan[NEIGHBOUR]->inflight > fx.fits ? fx.late_ns : fx.in_time_ns);
}

static void turn(void)
{
	reactor_turn(fx.r);
	usleep(1000);
}

/* Until the neighbour's cap is what is wanted: low enough, or none. */
static void await_cap(bool with_load, bool wanted)
{
	uint64_t until = mono_ns() + WAIT_NS;
	uint32_t depth;

	do {
		if (with_load)
			load();
		turn();
		depth = depth_of(NEIGHBOUR);
		assert_true(mono_ns() < until);
	} while (wanted ? !depth || depth > fx.fits : depth);
}

static void the_neighbour_on_the_same_ssd_is_throttled_and_let_go(void **state)
{
	set_target(VICTIM, TARGET_NS, NULL);
	await_cap(true, true);
	assert_int_equal(depth_of(VICTIM), 0);
	assert_int_equal(depth_of(OTHER), 0);
	assert_int_equal(depth_of(UNKNOWN), 0);
	await_cap(false, false); /* the victim is silent */
	await_cap(true, true);
	(void)state;
}

static void a_group_makes_neighbours_too(void **state)
{
	const struct qos_limits none = { .min_ios = 0 };
	struct qos_group *g;

	assert_int_equal(qos_group_create(fx.r, "g", &none, &g, NULL), 0);
	close_disk(NEIGHBOUR);
	memset(&fx.disk[NEIGHBOUR], 0, sizeof(fx.disk[NEIGHBOUR]));
	open_disk(NEIGHBOUR, "");
	set_target(NEIGHBOUR, 0, g);
	set_target(VICTIM, TARGET_NS, g);
	await_cap(true, true);
	assert_int_equal(depth_of(UNKNOWN), 0);
	set_target(NEIGHBOUR, 0, NULL); /* out of the group: at once */
	assert_int_equal(depth_of(NEIGHBOUR), 0);
	set_target(VICTIM, 0, NULL);
	assert_int_equal(qos_group_delete(g, NULL, NULL, NULL), 0);
	(void)state;
}

static void without_target_the_neighbours_are_free_at_once(void **state)
{
	assert_true(list_is_empty(&fx.r->priv->deadlines));
	set_target(VICTIM, TARGET_NS, NULL);
	assert_false(list_is_empty(&fx.r->priv->deadlines));
	await_cap(true, true);
	set_target(VICTIM, 0, NULL);
	assert_int_equal(depth_of(NEIGHBOUR), 0);
	assert_true(list_is_empty(&fx.r->priv->deadlines));
	set_target(VICTIM, TARGET_NS, NULL);
	await_cap(true, true);
	close_disk(VICTIM);
	assert_int_equal(depth_of(NEIGHBOUR), 0);
	assert_true(list_is_empty(&fx.r->priv->deadlines));
	(void)state;
}

static void a_neighbour_may_close_while_it_is_throttled(void **state)
{
	set_target(VICTIM, TARGET_NS, NULL);
	await_cap(true, true);
	close_disk(NEIGHBOUR);
	for (unsigned i = 0; i < 100; i++)
		turn();
	(void)state;
}

static void a_stricter_disk_is_no_neighbour(void **state)
{
	set_target(VICTIM, TARGET_NS, NULL);
	set_target(NEIGHBOUR, TARGET_NS, NULL);
	for (unsigned i = 0; i < 500; i++) {
		load();
		turn();
	}
	assert_int_equal(depth_of(NEIGHBOUR), 0);
	set_target(NEIGHBOUR, TARGET_NS + 1, NULL);
	await_cap(true, true);
	(void)state;
}

/* Until the guard has seen @ios of the victim. */
static void await_ios(uint64_t ios, struct qos_guard_stats *st)
{
	uint64_t until = mono_ns() + WAIT_NS;

	do {
		turn();
		qos_guard_get_stats(&fx.disk[VICTIM].bdev, st);
		assert_true(mono_ns() < until);
	} while (st->ios < ios);
	assert_int_equal(st->ios, ios);
}

static void what_counts_as_late(void **state)
{
	uint64_t above = hist_bucket_low(hist_index(TARGET_NS) + 1);
	struct qos_guard_stats st;

	did(VICTIM, 1000, 5 * TARGET_NS); /* before there was a target */
	set_target(VICTIM, TARGET_NS, NULL);
	for (unsigned i = 0; i < 200; i++)
		turn();
	did(VICTIM, 7, TARGET_NS);
	did(VICTIM, 5, above - 1);
	did(VICTIM, 3, above);
	did(VICTIM, 2, UINT64_MAX);
	fx.chan[VICTIM]->stats->op[BDEV_STAT_FLUSH].ios += 9; /* a flush takes what it takes */
	fx.chan[VICTIM]->stats->op[BDEV_STAT_FLUSH].latency.count[HIST_BUCKETS - 1] += 9;
	await_ios(17, &st);
	assert_int_equal(st.misses, 5);
	(void)state;
}

static void a_leaving_channel_takes_nothing_away(void **state)
{
	const struct reactor_opts ro = { .name = "second", .cpu = -1 };
	struct qos_guard_stats st;
	struct bdev_chan *second;
	struct reactor *r2;

	assert_int_equal(reactor_create(&ro, &r2), 0);
	assert_int_equal(bdev_chan_get(&fx.disk[VICTIM].bdev, r2, &second), 0);
	reactor_adopt(r2);
	reactor_turn(r2);
	reactor_adopt(fx.r);
	set_target(VICTIM, TARGET_NS, NULL);
	for (unsigned i = 0; i < 200; i++)
		turn();
	second->stats->op[BDEV_STAT_READ].ios += 40;
	second->stats->op[BDEV_STAT_READ].latency.count[0] += 40;
	await_ios(40, &st);
	bdev_chan_put(second); /* gone from the list, not yet in bdev->gone */
	did(VICTIM, 5, TARGET_NS);
	for (unsigned i = 0; i < 200; i++) {
		turn();
		qos_guard_get_stats(&fx.disk[VICTIM].bdev, &st);
		assert_in_range(st.ios, 40, 45);
	}
	reactor_adopt(r2);
	reactor_turn(r2);
	reactor_adopt(fx.r);
	await_ios(45, &st);
	assert_int_equal(st.misses, 0);
	reactor_destroy(r2);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define GUARD_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		GUARD_TEST(the_neighbour_on_the_same_ssd_is_throttled_and_let_go),
		GUARD_TEST(a_group_makes_neighbours_too),
		GUARD_TEST(without_target_the_neighbours_are_free_at_once),
		GUARD_TEST(a_neighbour_may_close_while_it_is_throttled),
		GUARD_TEST(a_stricter_disk_is_no_neighbour),
		GUARD_TEST(what_counts_as_late),
		GUARD_TEST(a_leaving_channel_takes_nothing_away),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
