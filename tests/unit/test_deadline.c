/* SPDX-License-Identifier: BSD-3-Clause */
/* Deadlines: in order, once, movable, cancellable from inside, and kept while the reactor sleeps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/deadline.h"
#include "core/reactor.h"

struct alarm {
	struct deadline d;
	char name;
	bool again; /* arms itself for the past */
	struct alarm *cancels;
};

static char fired[64];

static void alarm_fire(struct deadline *d)
{
	struct alarm *a = container_of(d, struct alarm, d);
	size_t n = strlen(fired);

	assert_false(deadline_is_armed(d));
	if (n + 1 < sizeof(fired))
		fired[n] = a->name;
	if (a->again)
		deadline_arm(reactor_self(), d, 1);
	if (a->cancels)
		deadline_cancel(&a->cancels->d);
}

static struct reactor *adopt(void)
{
	struct reactor_opts o = { .name = "test", .cpu = -1 };
	struct reactor *r;

	assert_int_equal(reactor_create(&o, &r), 0);
	reactor_adopt(r);
	memset(fired, 0, sizeof(fired));
	return r;
}

static const uint64_t far_away = 1000000 * MONO_NS_PER_SEC;

static void due_ones_fire_in_order_of_time_and_of_arming(void **state)
{
	struct reactor *r = adopt();
	struct alarm a[5] = {
		{ .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' }, { .name = 'e' }
	};
	static const uint64_t at[] = { 30, 10, 20, 10, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		deadline_init(&a[i].d, alarm_fire);
		assert_false(deadline_is_armed(&a[i].d));
		deadline_arm(r, &a[i].d, at[i]);
	}
	assert_int_equal(reactor_turn(r), 4);
	assert_string_equal(fired, "bdca");
	assert_true(deadline_is_armed(&a[4].d));
	deadline_arm(r, &a[4].d, 5); /* moved */
	reactor_turn(r);
	reactor_turn(r);
	assert_string_equal(fired, "bdcae");
	deadline_cancel(&a[4].d);
	reactor_destroy(r);
}

static void cancel_and_rearm_from_inside(void **state)
{
	struct reactor *r = adopt();
	struct alarm again = { .name = 'x', .again = true }, victim = { .name = 'v' };
	struct alarm killer = { .name = 'k', .cancels = &victim }, later = { .name = 'l' };

	(void)state;
	deadline_init(&again.d, alarm_fire);
	deadline_init(&victim.d, alarm_fire);
	deadline_init(&killer.d, alarm_fire);
	deadline_init(&later.d, alarm_fire);
	deadline_arm(r, &again.d, 1);
	deadline_arm(r, &killer.d, 2);
	deadline_arm(r, &victim.d, 3); /* due in the same turn, and cancelled in it */
	deadline_arm(r, &later.d, r->now_ns + far_away);
	reactor_turn(r);
	assert_string_equal(fired, "xk");
	reactor_turn(r);
	assert_string_equal(fired, "xkx"); /* armed again for the past: the next turn */
	deadline_cancel(&again.d);
	deadline_cancel(&later.d);
	reactor_turn(r);
	assert_string_equal(fired, "xkx");
	reactor_destroy(r);
}

static void stop_reactor(struct deadline *d)
{
	assert_true(mono_ns() >= d->at_ns);
	reactor_stop(reactor_self());
}

/* Without the deadline this would sleep for ever. */
static void a_sleeping_reactor_wakes_for_it(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		struct reactor *r = adopt();
		struct deadline d;

		reactor_set_mode(r, (enum reactor_mode)m);
		deadline_init(&d, stop_reactor);
		deadline_arm(r, &d, mono_ns() + 1500 * MONO_NS_PER_US);
		reactor_run(r);
		assert_false(deadline_is_armed(&d));
		reactor_destroy(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(due_ones_fire_in_order_of_time_and_of_arming),
		cmocka_unit_test(cancel_and_rearm_from_inside),
		cmocka_unit_test(a_sleeping_reactor_wakes_for_it),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
