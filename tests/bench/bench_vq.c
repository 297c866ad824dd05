/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains per second through a ring: driver and device take turns on one thread, in batches, so that
 * what is counted is our own code and not the traffic between two CPUs. One line a shape;
 * arguments: [chains] [shape substring].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mono.h"
#include "tests/unit/fake_guest.h"

#define BENCH_BATCH 32
#define BENCH_RUNS  5
#define BENCH_GPA \
	(FG_RING_GPA + 0x200000) /* one region with the tables, as most of a guest's memory is */

struct bench_shape {
	const char *name;
	bool packed, indirect, inflight;
	uint64_t features;
};

static const struct bench_shape bench_shapes[] = {
	{ "split/direct", false, false, false, 0 },
	{ "split/direct/inflight", false, false, true, 0 },
	{ "split/indirect", false, true, false, 0 },
	{ "split/indirect/inflight", false, true, true, 0 },
	{ "packed/direct", true, false, false, 0 },
	{ "packed/direct/inflight", true, false, true, 0 },
	{ "packed/indirect", true, true, false, 0 },
	{ "packed/indirect/inflight", true, true, true, 0 },
	{ "split/direct/inorder", false, false, false, VIRTIO_BIT(VIRTIO_F_IN_ORDER) },
	{ "packed/direct/inorder", true, false, false, VIRTIO_BIT(VIRTIO_F_IN_ORDER) },
};

struct bench_time {
	uint64_t driver, device; /* ticks */
};

static void bench_driver_add(struct fg *fg, bool indirect)
{
	for (unsigned i = 0; i < BENCH_BATCH; i++) {
		struct vqd_buf bufs[3] = {
			{ BENCH_GPA + 0x80000 + 64 * i, 16, false },
			{ BENCH_GPA + 4096 * i, 4096, true },
			{ BENCH_GPA + 0x80000 + 64 * i + 16, 1, true },
		};

		if (vqd_add(&fg->d, bufs, 3, indirect, fg))
			abort();
	}
	vqd_publish(&fg->d);
}

static void bench_device(struct fg *fg)
{
	struct vq_elem *e[VQ_BATCH];
	unsigned n = vq_pop(&fg->q, e, VQ_BATCH);

	if (n != BENCH_BATCH)
		abort();
	for (unsigned i = 0; i < n; i++)
		vq_push(&fg->q, e[i], e[i]->in_bytes);
	vq_flush(&fg->q);
}

static void bench_driver_get(struct fg *fg)
{
	void *cookie;
	uint32_t written;
	unsigned n = 0;
	int err;

	while (vqd_get(&fg->d, &cookie, &written, &err))
		n++;
	if (n != BENCH_BATCH || err)
		abort();
}

static struct bench_time bench_run(const struct bench_shape *s, unsigned long chains)
{
	struct fg_opts o = { .size = 256,
			     .packed = s->packed,
			     .inflight = s->inflight,
			     .features = s->features | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) };
	struct bench_time t = { 0 };
	struct fg fg;

	fg_init(&fg, &o);
	for (unsigned long i = 0; i < chains; i += BENCH_BATCH) {
		uint64_t a = mono_ticks(), b, c;

		bench_driver_add(&fg, s->indirect);
		b = mono_ticks();
		bench_device(&fg);
		c = mono_ticks();
		bench_driver_get(&fg);
		t.driver += b - a + mono_ticks() - c;
		t.device += c - b;
	}
	fg_fini(&fg);
	return t;
}

static int bench_cmp(const void *a, const void *b)
{
	const struct bench_time *x = a, *y = b;

	return (x->device > y->device) - (x->device < y->device);
}

int main(int argc, char **argv)
{
	unsigned long chains = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000000;
	const char *only = argc > 2 ? argv[2] : "";

	chains = (chains + BENCH_BATCH - 1) / BENCH_BATCH * BENCH_BATCH;
	mono_init();
	printf("%-28s %14s %14s %10s\n", "shape", "device ns", "driver ns", "device M/s");
	for (unsigned i = 0; i < ARRAY_SIZE(bench_shapes); i++) {
		struct bench_time t[BENCH_RUNS];
		double dev, drv;

		if (!strstr(bench_shapes[i].name, only))
			continue;
		for (unsigned r = 0; r < BENCH_RUNS; r++)
			t[r] = bench_run(&bench_shapes[i], chains);
		qsort(t, BENCH_RUNS, sizeof(t[0]), bench_cmp);
		dev = (double)mono_ticks_to_ns(t[BENCH_RUNS / 2].device) / (double)chains;
		drv = (double)mono_ticks_to_ns(t[BENCH_RUNS / 2].driver) / (double)chains;
		printf("%-28s %14.2f %14.2f %10.2f\n", bench_shapes[i].name, dev, drv, 1e3 / dev);
	}
	return 0;
}
