/* SPDX-License-Identifier: BSD-3-Clause */
/* The window against patterns of arrival: what pays is polled, what does not costs a bounded share
 * of the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/idle.h"
#include "tests/unit/rnd.h"

#define US 1000u

static const struct idle_bounds usual = { 10 * US, 200 * US };

/* A source, and a CPU of its own that takes some time to wake up. */
struct world {
	struct idle_window idle;
	struct idle_bounds b;
	uint64_t last; /* work was found */
	uint64_t wake; /* from the event to being awake */
	uint64_t passed, spun;
	unsigned sleeps, events;
};

static void world_make(struct world *w, const struct idle_bounds *b, uint64_t wake)
{
	*w = (struct world){ .b = *b, .wake = wake, .last = 1000000 };
	idle_init(&w->idle, b, w->last);
}

/* The next event comes @gap after the last one was handled. */
static void event(struct world *w, uint64_t gap)
{
	uint64_t at = w->last + gap;

	w->events++;
	if (gap <= w->idle.window) {
		w->spun += gap;
	} else {
		w->spun += w->idle.window;
		w->sleeps++;
		at += w->wake;
		idle_end(&w->idle, &w->b, w->last, at);
	}
	w->passed += at - w->last;
	w->last = at;
	assert_in_range(w->idle.window, w->b.min, w->b.max);
}

/* From here on. */
static void forget(struct world *w)
{
	w->passed = w->spun = 0;
	w->sleeps = w->events = 0;
}

static void steady(struct world *w, uint64_t gap, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		event(w, gap);
}

static void depth_one_at_the_latency_of_a_device(void **state)
{
	static const struct {
		uint64_t us;
		bool is_polled;
	} row[] = { { 10, true }, { 100, true }, { 190, true }, { 1000, false }, { 10000, false } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct world w;

		world_make(&w, &usual, 30 * US);
		w.idle.window = usual.min; /* silent before */
		steady(&w, row[i].us * US, 200);
		forget(&w);
		steady(&w, row[i].us * US, 1000);
		if (row[i].is_polled)
			assert_int_equal(w.sleeps, 0);
		else
			assert_int_equal(w.sleeps, w.events);
	}
}

static void a_trickle_of_100_a_second_costs_a_thousandth(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 50 * US);
	steady(&w, 10000 * US, 200);
	/* the shrinking itself, from max, and the tries on the way */
	assert_true(w.spun < 10 * usual.max + 200 * usual.min);
	forget(&w);
	steady(&w, 10000 * US, 6400);
	assert_in_range(w.spun * 100000 / w.passed, 90, 140);
}

static void silence_costs_one_window(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 50 * US);
	event(&w, UINT64_C(3600000000) * US);
	assert_int_equal(w.spun, usual.max);
}

static void bursts_are_polled_inside_and_slept_between(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 30 * US);
	for (unsigned i = 0; i < 1100; i++) {
		if (i == 100)
			forget(&w);
		steady(&w, 20 * US, 64);
		event(&w, 10000 * US);
	}
	/* once between two bursts, and seldom inside of one, where the window has become too short
	 */
	assert_in_range(w.sleeps, 1000, 1500);
	/* of that, what lies between events inside of the bursts is 1.28 ms in 11.3 */
	assert_true((w.spun - UINT64_C(1000) * 64 * 20 * US) * 1000 < w.passed * 10);
}

/* A second of silence, and it is awake for gaps of 150 us as before. */
static void silence_is_survived(struct world *w)
{
	event(w, 1000000 * US);
	forget(w);
	steady(w, 150 * US, 1000);
	assert_in_range(w->sleeps, 0, 2);
}

static void a_silence_does_not_make_it_forget(void **state)
{
	static const unsigned wakes_us[] = { 5, 30, 100, 190 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wakes_us); i++) {
		struct world w;

		world_make(&w, &usual, wakes_us[i] * US);
		steady(&w, 150 * US, 1000);
		silence_is_survived(&w);
	}
}

static void a_busy_spell_wipes_out_the_tries_in_vain(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 100 * US);
	steady(&w, 10000 * US, 500);
	assert_int_equal(w.idle.far_max, IDLE_FAR_MAX);
	steady(&w, 150 * US, 500);
	silence_is_survived(&w);
}

static void gaps_that_vary_are_polled(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 0);
	w.idle.window = usual.min;
	sow(1);
	for (unsigned i = 0; i < 1000; i++)
		event(&w, 100 * US + rnd(40 * US));
	assert_in_range(w.sleeps, 1, 1);
}

static void alternating_gaps_stay_bounded(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 30 * US);
	for (unsigned i = 0; i < 1100; i++) {
		if (i == 100)
			forget(&w);
		event(&w, 150 * US);
		event(&w, 10000 * US);
	}
	/* never more than max for each of the two, in 10.15 ms */
	assert_true(w.spun * 1000 < w.passed * 36);
}

/* The kernel takes longer to wake us than the window is long: measured, every gap is a far one. */
static void a_slow_wake_up_does_not_hide_a_near_event(void **state)
{
	struct world w;

	(void)state;
	world_make(&w, &usual, 5000 * US);
	w.idle.window = usual.min;
	w.idle.far_max = IDLE_FAR_MAX;
	steady(&w, 20 * US, IDLE_FAR_MAX + 1);
	forget(&w);
	steady(&w, 20 * US, 1000);
	assert_int_equal(w.sleeps, 0);
}

static struct idle_bounds any_bounds(void)
{
	struct idle_bounds b;

	b.max = 1 + rnd(rnd(2) ? 1000 : 1000 * US);
	b.min = rnd(4) ? rnd(b.max + 1) : 0;
	return b;
}

static void any_steady_gap_below_max_is_polled_in_the_end(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3000; n++) {
		struct idle_bounds b;
		struct world w;
		uint64_t gap;

		sow(n);
		b = any_bounds();
		world_make(&w, &b, rnd(3 * b.max + 1));
		for (unsigned i = (unsigned)rnd(300); i; i--) /* any past */
			event(&w, rnd(2) ? rnd(b.max) : rnd(100 * b.max));
		gap = rnd(b.max + 1);
		steady(&w, gap, 2 * IDLE_FAR_MAX + 16);
		forget(&w);
		steady(&w, gap, 100);
		assert_int_equal(w.sleeps, 0);
	}
}

static void any_gaps_beyond_max_cost_a_bounded_share(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3000; n++) {
		struct idle_bounds b;
		struct world w;

		sow(n);
		b = any_bounds();
		world_make(&w, &b, rnd(2) ? 0 : rnd(3 * b.max + 1));
		for (unsigned i = 0; i < 4 * IDLE_FAR_MAX; i++)
			event(&w, b.max + 1 + rnd(20 * b.max));
		forget(&w);
		for (unsigned i = 0; i < 10 * IDLE_FAR_MAX; i++)
			event(&w, b.max + 1 + rnd(20 * b.max));
		assert_int_equal(w.sleeps, w.events);
		assert_true(w.spun <= b.min * w.events + 11 * b.max);
	}
}

static void bounds_hold_whatever_comes(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 300; n++) {
		struct idle_bounds b;
		struct world w;

		sow(n);
		b = any_bounds();
		world_make(&w, &b, rnd(2 * b.max));
		for (unsigned i = 0; i < 2000; i++) {
			event(&w, rnd(3) ? rnd(2 * b.max) : rnd(1000 * b.max));
			if (rnd(20) == 0)
				idle_wake(&w.idle, w.last);
			if (rnd(50))
				continue;
			w.b = b = any_bounds();
			idle_bound(&w.idle, &b);
			assert_in_range(w.idle.window, b.min, b.max);
		}
	}
}

static void equal_bounds_are_a_fixed_window(void **state)
{
	static const struct idle_bounds fixed = { 50 * US, 50 * US };
	struct world w;

	(void)state;
	world_make(&w, &fixed, 20 * US);
	sow(1);
	for (unsigned i = 0; i < 1000; i++) {
		event(&w, rnd(100 * US));
		assert_int_equal(w.idle.window, 50 * US);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depth_one_at_the_latency_of_a_device),
		cmocka_unit_test(a_trickle_of_100_a_second_costs_a_thousandth),
		cmocka_unit_test(silence_costs_one_window),
		cmocka_unit_test(bursts_are_polled_inside_and_slept_between),
		cmocka_unit_test(a_silence_does_not_make_it_forget),
		cmocka_unit_test(a_busy_spell_wipes_out_the_tries_in_vain),
		cmocka_unit_test(gaps_that_vary_are_polled),
		cmocka_unit_test(alternating_gaps_stay_bounded),
		cmocka_unit_test(a_slow_wake_up_does_not_hide_a_near_event),
		cmocka_unit_test(any_steady_gap_below_max_is_polled_in_the_end),
		cmocka_unit_test(any_gaps_beyond_max_cost_a_bounded_share),
		cmocka_unit_test(bounds_hold_whatever_comes),
		cmocka_unit_test(equal_bounds_are_a_fixed_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
