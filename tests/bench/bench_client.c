/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_client SOCKET [seconds=S] [ios=N] [depth=N] [ring=N] [packed]: 4 KiB random reads through
 * libnvring-client, one thread. With ios, batches of @depth with a nap in between, so that no
 * poll is in vain (it says how many were): for callgrind,
 * which counts what lies below bench_target(). Prints JSON. Driven by tests/bench/client.
 */
#include <nvring_client.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	  4096u
#define DEPTH_MAX 256u
#define NAP_US	  10000
#define CHECK	  1024 /* polls between two looks at the clock */

struct bench {
	struct nvrc_queue *q;
	struct iovec iov[DEPTH_MAX];
	uint64_t blocks, rnd;
	unsigned depth;
	double seconds;
	unsigned long ios, empty; /* empty: polls in vain */
};

void bench_target(struct bench *b, unsigned n, struct nvrc_result *res);

static uint64_t next_block(struct bench *b)
{
	b->rnd ^= b->rnd << 13;
	b->rnd ^= b->rnd >> 7;
	b->rnd ^= b->rnd << 17;
	return b->rnd % b->blocks;
}

static void submit(struct bench *b, struct iovec *iov)
{
	if (nvrc_submit(b->q, NVRC_READ, next_block(b) * BLOCK, BLOCK, iov, 1, iov))
		abort();
}

/* The measured code: @n new requests, or (0) all results of the last ones. */
__attribute__((noinline)) void bench_target(struct bench *b, unsigned n, struct nvrc_result *res)
{
	for (unsigned i = 0; i < n; i++)
		submit(b, &b->iov[i]);
	if (n)
		nvrc_push(b->q);
	for (unsigned got = n ? b->depth : 0; got < b->depth;) {
		int polled = nvrc_poll(b->q, res, b->depth);

		if (polled < 0)
			abort();
		got += (unsigned)polled;
		b->empty += !polled;
	}
}

static void counted(struct bench *b)
{
	struct nvrc_result res[DEPTH_MAX];

	for (unsigned long i = 0; i < b->ios; i += b->depth) {
		bench_target(b, b->depth, res);
		while (!nvrc_arm(b->q))
			usleep(NAP_US);
		nvrc_disarm(b->q);
		usleep(NAP_US); /* the rest of the batch */
		bench_target(b, 0, res);
	}
	printf("{\"empty\": %lu}\n", b->empty);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void timed(struct bench *b)
{
	struct nvrc_result res[DEPTH_MAX];
	double t0 = now(), t = t0;
	unsigned long done = 0;
	int n;

	for (unsigned i = 0; i < b->depth; i++)
		submit(b, &b->iov[i]);
	nvrc_push(b->q);
	while (t - t0 < b->seconds) {
		for (unsigned k = 0; k < CHECK; k++) {
			n = nvrc_poll(b->q, res, 32);
			for (int i = 0; i < n; i++) {
				if (res[i].status)
					abort();
				submit(b, res[i].cookie);
			}
			if (n < 0)
				abort();
			if (n)
				nvrc_push(b->q);
			done += (unsigned long)n;
		}
		t = now();
	}
	printf("{\"iops\": %.0f}\n", (double)done / (t - t0));
}

int main(int argc, char **argv)
{
	struct nvrc_opts o = { .size = sizeof(o), .connect_ms = 5000, .ring = 128 };
	static struct bench b = { .rnd = 88172645463325252ull, .depth = 32, .seconds = 3 };
	struct nvrc_info info = { .size = sizeof(info) };
	struct nvrc *disk;
	char why[512], *mem;

	if (argc < 2)
		return 2;
	o.path = argv[1];
	for (int i = 2; i < argc; i++) {
		const char *value = strchr(argv[i], '=');

		value = value ? value + 1 : "";
		if (!strncmp(argv[i], "seconds=", 8))
			b.seconds = strtod(value, NULL);
		else if (!strncmp(argv[i], "ios=", 4))
			b.ios = strtoul(value, NULL, 10);
		else if (!strncmp(argv[i], "depth=", 6))
			b.depth = (unsigned)strtoul(value, NULL, 10);
		else if (!strncmp(argv[i], "ring=", 5))
			o.ring = (uint32_t)strtoul(value, NULL, 10);
		else if (!strcmp(argv[i], "packed"))
			o.flags |= NVRC_PACKED;
	}
	o.depth = b.depth;
	if (b.depth < 1 || b.depth > DEPTH_MAX || nvrc_open(&o, &disk, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	(void)nvrc_get_info(disk, &info); /* its size is right */
	b.blocks = info.bytes / BLOCK;
	b.q = nvrc_queue(disk, 0);
	mem = nvrc_alloc(disk, (size_t)b.depth * BLOCK);
	for (unsigned i = 0; i < b.depth; i++)
		b.iov[i] = (struct iovec){ mem + (size_t)i * BLOCK, BLOCK };
	if (b.ios)
		counted(&b);
	else
		timed(&b);
	nvrc_close(disk);
	return 0;
}
