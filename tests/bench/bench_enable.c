/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From SET_VRING_ENABLE to the first answer: a front-end connects, shares its memory, describes ring 0, and takes the
 * time from before that message to the answer of a read. So often, each time anew, at a vhost-user-blk socket of
 * whatever server.
 *
 *   bench_enable SOCKET [TIMES]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tests/integration/vu_frontend.h"
#include "vhost/virtq/virtio_spec.h"

#define SIZE	  64
#define TIMES_MAX 100000
#define GIVE_UP	  (20 * MONO_NS_PER_SEC)
#define PAUSE	  (2 * MONO_NS_PER_MS) /* for the server to end the session before */
#define PROTOCOL \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_CONFIG))

static const char *path;
static unsigned times = 1000;
static uint64_t took[TIMES_MAX];

/* Spins: what is measured is the server. */
static void read_one(struct fe *fe)
{
	uint64_t end = mono_ns() + GIVE_UP, one = 1;

	if (fe_blk_submit(fe, 0))
		assert_int_equal(write(fe->q[0].kick, &one, sizeof(one)), sizeof(one));
	while (!fe_blk_is_done(fe, 0))
		assert_true(mono_ns() < end);
}

static uint64_t once(void)
{
	const struct vu_vring_state on = { 0, 1 };
	struct fe fe;
	uint64_t from;

	fe_open(&fe, path);
	(void)fe_get(&fe, VU_GET_FEATURES);
	(void)fe_get(&fe, VU_GET_PROTOCOL_FEATURES); /* rte_vhost's features are wider after that */
	fe_negotiate(&fe, FE_FEATURES, PROTOCOL);
	fe_share(&fe);
	fe_prepare(&fe, 0, SIZE);
	(void)fe_get(&fe, VU_GET_FEATURES); /* it has them all */
	from = mono_ns();
	assert_true(fe_send(&fe, VU_SET_VRING_ENABLE, 0, &on, sizeof(on), NULL, 0));
	read_one(&fe);
	from = mono_ns() - from;
	fe_close(&fe);
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE }, NULL);
	return from;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(void **state)
{
	(void)state;
	for (unsigned i = 0; i < times; i++)
		took[i] = once();
	qsort(took, times, sizeof(took[0]), by_time);
	printf("%u times, µs: least %.0f, median %.0f, p90 %.0f, p99 %.0f, most %.0f\n", times, (double)took[0] / 1e3,
	       (double)took[times / 2] / 1e3, (double)took[times * 9 / 10] / 1e3,
	       (double)took[times * 99 / 100] / 1e3, (double)took[times - 1] / 1e3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(measure) };

	if (argc > 2)
		times = (unsigned)strtoul(argv[2], NULL, 10);
	if (argc < 2 || argc > 3 || times < 1 || times > TIMES_MAX) {
		fprintf(stderr, "usage: bench_enable SOCKET [1 to %u]\n", TIMES_MAX);
		return 2;
	}
	path = argv[1];
	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
