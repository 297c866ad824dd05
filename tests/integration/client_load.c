/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client_load SOCKET QUEUES [packed] [sleep] [no-inflight] [loop]: load on a disk through libnvring-client, a thread for each
 * queue, until standard input ends. Each thread has a share of the first 8 MiB: it stamps all of it, reads it back, looks at
 * every stamp, and begins anew. What is wrong is one line and exit status 1. Rounds and sizes go to standard output.
 */
#include <nvring_client.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK	   4096u
#define BYTES	   (8u << 20)
#define DEPTH	   32u
#define QUEUES_MAX 8u
#define WAIT_MS	   200

struct load {
	struct nvrc_queue *q;
	pthread_t thread;
	unsigned index;
	uint64_t first, blocks; /* its share */
	char *mem;		/* DEPTH blocks */
	bool *seen;		/* the results of a pass, by block */
	unsigned rounds;
};

static bool sleeps, loops;
static bool stop; /* atomic */
static unsigned nqueues;

static void die(const char *what, const struct load *l, long long detail)
{
	printf("wrong: queue %u, round %u: %s (%lld)\n", l->index, l->rounds, what, detail);
	fflush(stdout);
	_exit(1);
}

static void stamp(char *block, uint64_t number, unsigned round)
{
	uint64_t *w = (uint64_t *)block;

	for (unsigned i = 0; i < BLOCK / 8; i++)
		w[i] = number << 32 ^ (uint64_t)round << 12 ^ i;
}

static void expect_stamp(const struct load *l, const char *block, uint64_t number)
{
	char want[BLOCK];

	stamp(want, number, l->rounds);
	if (memcmp(want, block, BLOCK))
		die("not what was written, at block", l, (long long)number);
}

static void rest(struct load *l)
{
	struct pollfd p = { .fd = nvrc_fd(l->q), .events = POLLIN };

	if (sleeps && !loops) {
		(void)nvrc_wait(l->q, WAIT_MS);
		return;
	}
	if (!loops)
		return;
	if (!nvrc_arm(l->q))
		(void)poll(&p, 1, WAIT_MS);
	nvrc_disarm(l->q);
}

/* Results until @room of the DEPTH slots are free again; a cookie is 1 + the number of the block within the share. */
static void collect(struct load *l, unsigned room, bool reads, unsigned *busy)
{
	struct nvrc_result res[8];

	while (DEPTH - *busy < room) {
		int n = nvrc_poll(l->q, res, 8);

		if (n < 0)
			die(strerror(-n), l, n);
		if (n == 0)
			rest(l);
		for (int i = 0; i < n; i++) {
			uint64_t at = (uintptr_t)res[i].cookie - 1;

			if (res[i].status)
				die(strerror(-res[i].status), l, (long long)at);
			if (at >= l->blocks || l->seen[at])
				die("a result twice, or of no request", l, (long long)at);
			l->seen[at] = true;
			if (reads)
				expect_stamp(l, l->mem + at % DEPTH * BLOCK, l->first + at);
		}
		*busy -= (unsigned)n;
	}
}

/* All of the share. Batches, so that a buffer belongs to one request. */
static void pass(struct load *l, bool reads)
{
	unsigned busy = 0;
	int err;

	memset(l->seen, 0, l->blocks);
	for (uint64_t at = 0; at < l->blocks; at++) {
		struct iovec iov = { l->mem + at % DEPTH * BLOCK, BLOCK };

		if (at % DEPTH == 0)
			collect(l, DEPTH, reads, &busy);
		if (reads)
			memset(iov.iov_base, 0xee, BLOCK);
		else
			stamp(iov.iov_base, l->first + at, l->rounds);
		err = nvrc_submit(l->q, reads ? NVRC_READ : NVRC_WRITE, (l->first + at) * BLOCK, BLOCK, &iov, 1,
				  (void *)(uintptr_t)(at + 1));
		if (err)
			die("submit", l, err);
		busy++;
		if (at % DEPTH == DEPTH - 1)
			nvrc_push(l->q);
	}
	nvrc_push(l->q);
	collect(l, DEPTH, reads, &busy);
	for (uint64_t at = 0; at < l->blocks; at++) {
		if (!l->seen[at])
			die("no result of block", l, (long long)at);
	}
}

static void *work(void *arg)
{
	struct load *l = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pass(l, false);
		pass(l, true);
		l->rounds++;
		printf("round %u %u\n", l->index, l->rounds);
	}
	return NULL;
}

static void resized(void *arg, uint64_t bytes)
{
	(void)arg;
	printf("resized %llu\n", (unsigned long long)bytes);
}

static void options(struct nvrc_opts *o, char **words)
{
	for (; *words; words++) {
		sleeps |= !strcmp(*words, "sleep");
		loops |= !strcmp(*words, "loop");
		o->flags |= !strcmp(*words, "packed") ? NVRC_PACKED : 0;
		o->flags |= !strcmp(*words, "no-inflight") ? NVRC_NO_INFLIGHT : 0;
	}
	o->flags |= sleeps || loops ? NVRC_SLEEP : 0;
}

int main(int argc, char **argv)
{
	struct nvrc_opts o = { .size = sizeof(o), .connect_ms = 20000, .reconnect_ms = 30000, .resized = resized };
	static struct load loads[QUEUES_MAX];
	struct nvrc *disk;
	char why[512], c;

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	nqueues = (unsigned)strtoul(argv[2], NULL, 10);
	o.path = argv[1];
	o.queues = nqueues;
	options(&o, argv + 3);
	if (nqueues < 1 || nqueues > QUEUES_MAX || nvrc_open(&o, &disk, why, sizeof(why))) {
		printf("%s\n", why);
		return 1;
	}
	for (unsigned i = 0; i < nqueues; i++) {
		struct load *l = &loads[i];

		*l = (struct load){ .q = nvrc_queue(disk, i), .index = i, .blocks = BYTES / BLOCK / nqueues };
		l->first = i * l->blocks;
		l->mem = nvrc_alloc(disk, DEPTH * BLOCK);
		l->seen = calloc(l->blocks, sizeof(*l->seen));
		if (!l->mem || !l->seen || pthread_create(&l->thread, NULL, work, l))
			return 1;
	}
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < nqueues; i++) {
		pthread_join(loads[i].thread, NULL);
		free(loads[i].seen);
	}
	nvrc_close(disk);
	printf("all right\n");
	return 0;
}
