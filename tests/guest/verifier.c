/* SPDX-License-Identifier: BSD-3-Clause */
/* In guests: writes stamped blocks to a disk with O_DIRECT and reads them back for a while, then
 * all once more. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/*
 * Each thread owns a stretch of the disk and knows the generation that each of its blocks must
 * carry. A block is 512 stamps of 8 bytes, each of them made from thread, block, generation and its
 * place: a lost, an old, a torn and a misplaced write all show.
 */
enum {
	BLOCK_BYTES = 4096,
	BLOCK_STAMPS = BLOCK_BYTES / 8,
	RUN_BLOCKS_MAX = 32,
	THREADS_MAX = 64,
	FLUSH_EVERY = 64,
	TICKS_PER_SECOND = 4,
};

struct stretch {
	pthread_t thread;
	unsigned id;
	unsigned seed;
	int fd;
	uint64_t nblocks;
	uint32_t *generation; /* per block; 0: never written */
	uint64_t *from;	      /* of writes */
	uint64_t *into;	      /* of reads: from now on written to by the device alone */
};

static struct stretch stretches[THREADS_MAX];
static volatile bool stopping;
static volatile bool bad;
static uint64_t total_ops;
static uint64_t slowest_ns;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t stamp(const struct stretch *s, uint64_t block, unsigned place)
{
	uint64_t x = ((uint64_t)s->id << 56) ^ (block << 36) ^
		     ((uint64_t)s->generation[block] << 10) ^ place;

	x *= 0x9e3779b97f4a7c15u; /* an odd factor: no two inputs meet */
	return x ^ (x >> 29);
}

static void account(uint64_t start_ns)
{
	uint64_t took = now_ns() - start_ns;
	uint64_t seen = __atomic_load_n(&slowest_ns, __ATOMIC_RELAXED);

	while (took > seen && !__atomic_compare_exchange_n(&slowest_ns, &seen, took, true,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	__atomic_fetch_add(&total_ops, 1, __ATOMIC_RELAXED);
}

static void complain(const struct stretch *s, const char *what, uint64_t block)
{
	printf("VERIFIER BAD thread %u block %llu: %s\n", s->id, (unsigned long long)block, what);
	bad = true;
}

static off_t offset_of(const struct stretch *s, uint64_t block)
{
	return (off_t)((s->id * s->nblocks + block) * BLOCK_BYTES);
}

static void write_run(struct stretch *s, uint64_t first, uint64_t count)
{
	size_t bytes = count * BLOCK_BYTES;
	uint64_t start;
	ssize_t n;

	for (uint64_t i = 0; i < count; i++) {
		s->generation[first + i]++;
		for (unsigned k = 0; k < BLOCK_STAMPS; k++)
			s->from[i * BLOCK_STAMPS + k] = stamp(s, first + i, k);
	}
	start = now_ns();
	n = pwrite(s->fd, s->from, bytes, offset_of(s, first));
	if (n != (ssize_t)bytes)
		complain(s, n < 0 ? strerror(errno) : "short write", first);
	account(start);
}

static void read_run(struct stretch *s, uint64_t first, uint64_t count)
{
	size_t bytes = count * BLOCK_BYTES;
	uint64_t start = now_ns();
	ssize_t n;

	n = pread(s->fd, s->into, bytes, offset_of(s, first));
	if (n != (ssize_t)bytes) {
		complain(s, n < 0 ? strerror(errno) : "short read", first);
		return;
	}
	account(start);
	for (uint64_t i = 0; i < count; i++) {
		if (!s->generation[first + i])
			continue;
		for (unsigned k = 0; k < BLOCK_STAMPS; k++) {
			if (s->into[i * BLOCK_STAMPS + k] == stamp(s, first + i, k))
				continue;
			complain(s, "other data than written", first + i);
			return;
		}
	}
}

static void *work(void *arg)
{
	struct stretch *s = arg;
	unsigned turn = 0;

	while (!stopping && !bad) {
		uint64_t count = 1 + (uint64_t)rand_r(&s->seed) % RUN_BLOCKS_MAX;
		uint64_t first = (uint64_t)rand_r(&s->seed) % (s->nblocks - count + 1);

		if (rand_r(&s->seed) & 1)
			write_run(s, first, count);
		else
			read_run(s, first, count);
		if (++turn % FLUSH_EVERY == 0 && fdatasync(s->fd) < 0)
			complain(s, strerror(errno), first);
	}
	for (uint64_t block = 0; block + RUN_BLOCKS_MAX <= s->nblocks && !bad;
	     block += RUN_BLOCKS_MAX)
		read_run(s, block, RUN_BLOCKS_MAX);
	return NULL;
}

/* There to stay. */
static uint64_t *buffer(void)
{
	size_t bytes = (size_t)RUN_BLOCKS_MAX * BLOCK_BYTES;
	void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);

	if (made == MAP_FAILED)
		return NULL;
	memset(made, 0xee, bytes);
	return made;
}

/* Where @at lies in the guest's memory; 0: only root may know. */
static uint64_t page_number(int pagemap, const void *at)
{
	uint64_t entry = 0;
	off_t place = (off_t)((uintptr_t)at / BLOCK_BYTES * sizeof(entry));

	if (pread(pagemap, &entry, sizeof(entry), place) != sizeof(entry))
		return 0;
	return entry & ((1ull << 55) - 1);
}

/* A migration is judged by these pages: what is not the same there on the other side was lost by
 * the device, not by the CPU. */
static void tell_pages(const struct stretch *s)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	printf("VERIFIER into");
	for (unsigned i = 0; i < RUN_BLOCKS_MAX; i++)
		printf(" %llx",
		       (unsigned long long)page_number(pagemap, s->into + i * BLOCK_STAMPS));
	printf("\n");
	close(pagemap);
}

static bool prepare(struct stretch *s, unsigned id, const char *path, uint64_t mib)
{
	s->id = id;
	s->seed = id * 7919 + 1;
	s->nblocks = mib * (1048576 / BLOCK_BYTES);
	s->generation = calloc(s->nblocks, sizeof(*s->generation));
	s->fd = open(path, O_RDWR | O_DIRECT);
	if (s->fd < 0) {
		perror(path);
		return false;
	}
	s->from = buffer();
	s->into = buffer();
	if (!s->generation || !s->from || !s->into)
		return false;
	tell_pages(s);
	return true;
}

/* Often: tests wait for these lines. */
static void report(unsigned seconds, const char *stop_file)
{
	const struct timespec tick = { .tv_nsec = 1000000000 / TICKS_PER_SECOND };
	uint64_t before = 0;

	for (unsigned t = 1; t <= seconds * TICKS_PER_SECOND && !bad; t++) {
		nanosleep(&tick, NULL);
		uint64_t ops = __atomic_load_n(&total_ops, __ATOMIC_RELAXED);
		uint64_t worst = __atomic_exchange_n(&slowest_ns, 0, __ATOMIC_RELAXED);

		printf("VERIFIER tick %u ops %llu slowest_ms %llu\n", t,
		       (unsigned long long)(ops - before), (unsigned long long)(worst / 1000000));
		before = ops;
		if (stop_file && access(stop_file, F_OK) == 0)
			break;
	}
}

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr,
			"usage: verifier DEVICE SECONDS THREADS MIB_PER_THREAD [STOP_FILE]\n");
		return 2;
	}
	unsigned seconds = (unsigned)strtoul(argv[2], NULL, 10);
	unsigned nthreads = (unsigned)strtoul(argv[3], NULL, 10);
	unsigned mib = (unsigned)strtoul(argv[4], NULL, 10);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (nthreads < 1 || nthreads > THREADS_MAX || mib < 1)
		return 2;
	for (unsigned i = 0; i < nthreads; i++) {
		if (!prepare(&stretches[i], i, argv[1], mib))
			return 2;
	}
	for (unsigned i = 0; i < nthreads; i++) {
		if (pthread_create(&stretches[i].thread, NULL, work, &stretches[i]) != 0)
			return 2;
	}
	report(seconds, argc > 5 ? argv[5] : NULL);
	stopping = true;
	for (unsigned i = 0; i < nthreads; i++)
		pthread_join(stretches[i].thread, NULL);
	printf(bad ? "VERIFIER FAILED\n" : "VERIFIER OK ops %llu\n", (unsigned long long)total_ops);
	return bad;
}
