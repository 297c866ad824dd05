/* SPDX-License-Identifier: BSD-3-Clause */
/* Which reactors are near a device, on machines that this one is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/placement.h"

#define N 8

/* @text: a letter for each reactor, "x" it is in the set. */
static struct place_set set_of(const char *text)
{
	struct place_set set = { { 0 } };

	for (unsigned i = 0; text[i]; i++) {
		if (text[i] == 'x')
			place_set_add(&set, i);
	}
	return set;
}

static void near_is_the_node_of_the_device(void **state)
{
	static const struct {
		const char *what;
		int nodes[N], node;
		const char *may, *near;
	} row[] = {
		{ "two sockets", { 0, 0, 0, 0, 1, 1, 1, 1 }, 1, "xxxxxxxx", "....xxxx" },
		{ "interleaved", { 0, 1, 0, 1, 0, 1, 0, 1 }, 0, "xxxxxxxx", "x.x.x.x." },
		{ "of those it may use", { 0, 1, 0, 1, 0, 1, 0, 1 }, 0, "xxx.....", "x.x....." },
		{ "it may use none there", { 0, 0, 0, 0, 1, 1, 1, 1 }, 1, "xx......", "xx......" },
		{ "no CPU there has a reactor", { 0, 0, 0, 0, 0, 0, 0, 0 }, 3, "xxxx.xxx", "xxxx.xxx" },
		{ "the device does not say", { 0, 0, 0, 0, 1, 1, 1, 1 }, -1, "xxxxxxxx", "xxxxxxxx" },
		{ "nor do the CPUs", { -1, -1, -1, -1, -1, -1, -1, -1 }, 0, "xxxxxxxx", "xxxxxxxx" },
		{ "neither does", { -1, -1, -1, -1, -1, -1, -1, -1 }, -1, "xx.xxxxx", "xx.xxxxx" },
		{ "one CPU does not say", { -1, 1, -1, -1, -1, -1, -1, -1 }, 1, "xxxxxxxx", ".x......" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct place_set may = set_of(row[i].may), want = set_of(row[i].near);
		struct place_set got = place_near(&may, row[i].nodes, N, row[i].node);

		print_message("%s\n", row[i].what);
		assert_memory_equal(&got, &want, sizeof(want));
	}
}

static void a_set_holds_every_reactor(void **state)
{
	struct place_set set = { { 0 } };

	(void)state;
	for (unsigned i = 0; i < REACTOR_MAX; i++) {
		assert_false(place_set_has(&set, i));
		assert_int_equal(place_set_count(&set), i);
		place_set_add(&set, i);
		place_set_add(&set, i);
		assert_true(place_set_has(&set, i));
	}
	assert_int_equal(place_set_count(&set), REACTOR_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_is_the_node_of_the_device),
		cmocka_unit_test(a_set_holds_every_reactor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
