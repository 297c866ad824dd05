/* SPDX-License-Identifier: BSD-3-Clause */
/* An inflight region that another thread changes while the device reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/barrier.h"
#include "tests/unit/fake_guest.h"

static const struct vqd_buf bufs[] = {
	{ FG_DATA_GPA, 16, false },
	{ FG_DATA_GPA + 4096, 100, true },
	{ FG_DATA_GPA + 32, 1, true },
};

#define SCRIBBLES 1000

struct scribbler {
	uint16_t *at; /* the region, as halfwords */
	uint64_t n;
	bool stop; /* atomic */
};

/* All of the region flips between what is honest and what would lead far out of every table. */
static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint16_t *honest = malloc(s->n * sizeof(*honest));

	memcpy(honest, s->at, s->n * sizeof(*honest));
	for (unsigned i = 0; !__atomic_load_n(&s->stop, __ATOMIC_RELAXED); i++) {
		uint64_t k = i % 3 == 0 ? 5 : i * 7919u % s->n; /* desc_num above all */

		__atomic_store_n(&s->at[k], (uint16_t)(0xf000 | i), __ATOMIC_RELAXED);
		for (unsigned spin = i % 64; spin; spin--)
			barrier_cpu_relax();
		__atomic_store_n(&s->at[k], honest[k], __ATOMIC_RELAXED);
		for (unsigned spin = i % 49; spin; spin--)
			barrier_cpu_relax();
	}
	free(honest);
	return NULL;
}

/* CVE-2021-3839's class, by time of check and time of use. Every start is refused or is whole. */
static void regions_that_change_while_they_are_read(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fg_opts o = { .size = 64, .packed = packed, .inflight = true };
		struct scribbler s = { .n = vqi_bytes(packed, 64) / 2 };
		struct vq_elem *e[VQ_BATCH];
		void *honest = malloc(s.n * 2);
		pthread_t thread;
		struct fg fg;

		fg_init(&fg, &o);
		s.at = fg.inflight;
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 10);
		memcpy(honest, fg.inflight, s.n * 2);
		assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
		for (unsigned i = 0; i < SCRIBBLES; i++) {
			fg_device_drop(&fg);
			if (fg_device_start(&fg))
				continue;
			assert_true(fg.q.resume_n <= 64);
			(void)vq_pop(&fg.q, e, VQ_BATCH);
		}
		__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		memcpy(fg.inflight, honest, s.n * 2);
		fg_device_drop(&fg);
		assert_int_equal(fg_device_start(&fg), 0);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 10);
		free(honest);
		fg_fini(&fg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_that_change_while_they_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
