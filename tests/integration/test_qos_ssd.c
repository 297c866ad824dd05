/* SPDX-License-Identifier: BSD-3-Clause */
/* A latency target on a disk whose SSD has a noisy neighbour: it is throttled, and let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/qos_guard.h"
#include "tests/bench/noisy_rig.h"

#define WAIT_NS (60 * MONO_NS_PER_SEC) /* a test that hangs ends one day */
#define QD	128

static uint32_t cap_of(const struct noisy *n)
{
	struct qos_guard_stats st;

	qos_guard_get_stats(n->disk[NOISY_NEIGHBOUR].bdev, &st);
	return st.depth;
}

static void await_cap(struct noisy *n, bool wanted)
{
	uint64_t until = mono_ns() + WAIT_NS;

	while ((cap_of(n) != 0) != wanted) {
		noisy_run(n, MONO_NS_PER_MS);
		assert_true(mono_ns() < until);
	}
}

/* The device really has no more of the neighbour's I/O than its cap. */
static void await_obeyed(struct noisy *n)
{
	const struct bdev_chan *chan = n->disk[NOISY_NEIGHBOUR].chan;
	uint64_t until = mono_ns() + WAIT_NS;

	while (!cap_of(n) || cap_of(n) >= QD / 2 || chan->inflight > cap_of(n)) {
		noisy_run(n, MONO_NS_PER_MS);
		assert_true(mono_ns() < until);
	}
}

static void await_all_sent(struct noisy *n)
{
	uint64_t until = mono_ns() + WAIT_NS;

	while (n->disk[NOISY_NEIGHBOUR].chan->inflight != QD) {
		noisy_run(n, MONO_NS_PER_MS);
		assert_true(mono_ns() < until);
	}
}

static void the_neighbour_is_throttled_while_the_victim_is_there(void **state)
{
	/* 4 at a time, 1 ms each: 32 ms for the victim behind all of the neighbour's */
	struct noisy *n = noisy_open(getenv("NVRING_SSD"), "1000,4");
	struct qos_guard_stats st;

	noisy_load(n, NOISY_NEIGHBOUR, QD);
	noisy_load(n, NOISY_VICTIM, 1);
	noisy_run(n, MONO_NS_PER_SEC / 2);
	assert_int_equal(cap_of(n), 0); /* no target yet */
	await_all_sent(n);
	noisy_set_target(n, 10 * MONO_NS_PER_MS);
	await_obeyed(n);
	qos_guard_get_stats(n->disk[NOISY_VICTIM].bdev, &st);
	assert_true(st.ios >= st.misses && st.misses > 0);
	assert_int_equal(st.depth, 0);

	noisy_load(n, NOISY_VICTIM, 0); /* it goes silent: lifted after a while */
	await_cap(n, false);
	await_all_sent(n);

	noisy_load(n, NOISY_VICTIM, 1); /* and back */
	await_obeyed(n);
	noisy_set_target(n, 0); /* lifted at once */
	assert_int_equal(cap_of(n), 0);

	noisy_set_target(n, 10 * MONO_NS_PER_MS); /* all ends in the midst of it */
	await_obeyed(n);
	assert_int_equal(n->disk[NOISY_NEIGHBOUR].errors + n->disk[NOISY_VICTIM].errors, 0);
	noisy_close(n);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_neighbour_is_throttled_while_the_victim_is_there),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
