/* SPDX-License-Identifier: BSD-3-Clause */
/* The floor under every round trip: how long a cache line takes to another CPU and back. */
#include "tools/bench/bench_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "core/base/mono.h"

#define ROUNDS_BATCH 1000
#define BATCHES	     200
#define TIME_MAX_NS  (500 * MONO_NS_PER_MS) /* when the CPUs are busy with others */

struct pingpong {
	uint32_t ball cc_aligned(2 * CACHELINE_BYTES); /* odd: the other's turn */
	uint32_t stop cc_aligned(2 * CACHELINE_BYTES);
	unsigned cpu;
};

static int pin(pthread_t t, unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return -pthread_setaffinity_np(t, sizeof(set), &set);
}

static void *pong(void *arg)
{
	struct pingpong *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
		uint32_t ball = __atomic_load_n(&p->ball, __ATOMIC_ACQUIRE);

		if (ball & 1)
			__atomic_store_n(&p->ball, ball + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static double batch_ns(struct pingpong *p)
{
	uint64_t t0 = mono_ticks();

	for (unsigned i = 0; i < ROUNDS_BATCH; i++) {
		uint32_t ball = __atomic_load_n(&p->ball, __ATOMIC_RELAXED);

		__atomic_store_n(&p->ball, ball + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&p->ball, __ATOMIC_ACQUIRE) != ball + 2)
			;
	}
	return (double)mono_ticks_to_ns(mono_ticks() - t0) / ROUNDS_BATCH;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The tenth of short batches: those that were interrupted, or waited for the CPU, do not count. */
static double measure(struct pingpong *p)
{
	uint64_t end = mono_ns() + TIME_MAX_NS;
	double ns[BATCHES];
	unsigned n = 0;

	while (n < BATCHES && (n == 0 || mono_ns() < end))
		ns[n++] = batch_ns(p);
	qsort(ns, n, sizeof(ns[0]), compare);
	return ns[n / 10];
}

int bench_pingpong(unsigned cpu_a, unsigned cpu_b, double *ret_ns)
{
	struct pingpong p = { 0 };
	cpu_set_t before;
	pthread_t other;
	int err;

	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return -errno;
	err = pin(pthread_self(), cpu_a);
	if (err)
		return err;
	err = -pthread_create(&other, NULL, pong, &p);
	if (!err) {
		err = pin(other, cpu_b);
		if (!err)
			*ret_ns = measure(&p);
		__atomic_store_n(&p.stop, 1, __ATOMIC_RELAXED);
		pthread_join(other, NULL);
	}
	(void)sched_setaffinity(0, sizeof(before), &before); /* it was ours before */
	return err;
}
