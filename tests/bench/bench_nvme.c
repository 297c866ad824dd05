/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NVMe driver alone, against a device that answers at once: submit and complete, through bdev. The device's side runs
 * in between and does not count; what it sees of the doorbells does.
 *
 *   bench_nvme [--depth N] [--ios N] [--write] [--block BYTES] [--single] [--json]
 *
 * --single: bdev_submit() for each instead of a batch. Instructions: tests/bench/instructions --nvme, or callgrind with
 * --toggle-collect=bench_driver.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mono.h"
#include "core/bdev.h"
#include "core/hugemem.h"
#include "tests/bench/bench_ssd.h"

#define DEPTH_MAX   255u

struct conf {
	unsigned depth, block;
	unsigned long ios;
	bool write, single, json;
};

struct slot {
	struct bio bio;
	struct iovec iov;
};

struct bench {
	struct conf c;
	struct reactor *r;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct hugemem mem;
	struct slot *slots;
	struct bio_queue idle;
	struct bench_ssd dev;
	unsigned long started, done, errors;
	uint64_t ticks, seed;
};

static cc_noinline void die(const char *what, int err, const struct errbuf *eb)
{
	fprintf(stderr, "bench_nvme: %s: %s\n", what, eb && eb->text[0] ? eb->text : strerror(-err));
	exit(1);
}

static struct bench b;

static void on_done(struct bio *bio)
{
	struct bio *next;

	for (; bio; bio = next) {
		next = bio->next;
		b.errors += bio->status != 0;
		b.done++;
		bio_queue_push(&b.idle, bio);
	}
}

static uint64_t next_off(void)
{
	b.seed ^= b.seed << 13;
	b.seed ^= b.seed >> 7;
	b.seed ^= b.seed << 17;
	return b.seed % (BENCH_SSD_BLOCKS * 512ull / b.c.block) * b.c.block;
}

/* The part that counts: hand over what is idle, turn, take what is done. */
void bench_driver(struct reactor *r);
cc_noinline void bench_driver(struct reactor *r)
{
	struct bio *bio = bio_queue_take_all(&b.idle), *next;
	struct bdev_batch batch;
	struct bio_queue bios;

	if (b.c.single) {
		for (; bio; bio = next) {
			next = bio->next;
			bdev_submit(b.chan, bio);
		}
	} else {
		batch = bdev_batch_begin(b.chan, &bios);
		for (; bio; bio = next) {
			next = bio->next;
			bdev_batch_add(&batch, bio);
		}
		bdev_batch_submit(&batch);
	}
	reactor_turn(r);
	__asm__ __volatile__("" ::: "memory"); /* no tail call: callgrind watches the return */
}

static void bench_open(void)
{
	const struct reactor_opts ro = { .name = "bench", .cpu = -1, .mode = REACTOR_POLL };
	struct errbuf eb = { "" };
	int err;

	mono_init();
	err = reactor_create(&ro, &b.r);
	if (err)
		die("reactor", err, NULL);
	reactor_adopt(b.r);
	err = hugemem_alloc(&b.mem, (size_t)b.c.depth * b.c.block, "bench");
	if (!err)
		err = hugemem_dma_add(&b.mem);
	if (err)
		die("memory", err, NULL);
	err = bench_ssd_open(&b.dev, b.r, &b.bdev, &eb);
	if (!err)
		err = bdev_chan_get(b.bdev, b.r, &b.chan);
	if (err)
		die("controller", err, &eb);
	reactor_turn(b.r);
	bench_ssd_take_over(&b.dev);
	b.slots = calloc(b.c.depth, sizeof(*b.slots));
	bio_queue_init(&b.idle);
	b.seed = 88172645463325252ull;
	for (unsigned i = 0; i < b.c.depth; i++)
		bio_queue_push(&b.idle, &b.slots[i].bio);
}

static void prepare(void)
{
	for (struct bio *bio = b.idle.first; bio; bio = bio->next) {
		struct slot *s = container_of(bio, struct slot, bio);

		s->iov = (struct iovec){ (char *)b.mem.va + (size_t)(s - b.slots) * b.c.block, b.c.block };
		bio->op = b.c.write ? BIO_WRITE : BIO_READ;
		bio->flags = BIO_LISTED;
		bio->iovcnt = 1;
		bio->iov = &s->iov;
		bio->off = next_off();
		bio->len = b.c.block;
		bio->done = on_done;
	}
}

static void bench_run(void)
{
	while (b.done < b.c.ios) {
		uint64_t from;

		prepare();
		from = mono_ticks();
		bench_driver(b.r);
		b.ticks += mono_ticks() - from;
		bench_ssd_turn(&b.dev);
	}
}

static void conf_parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "depth", required_argument, NULL, 'd' }, { "ios", required_argument, NULL, 'n' },
		{ "block", required_argument, NULL, 'b' }, { "write", no_argument, NULL, 'w' },
		{ "single", no_argument, NULL, 's' },	   { "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	int opt;

	b.c = (struct conf){ .depth = 128, .block = 4096, .ios = 5000000 };
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;

		b.c.depth = opt == 'd' ? (unsigned)n : b.c.depth;
		b.c.block = opt == 'b' ? (unsigned)n : b.c.block;
		b.c.ios = opt == 'n' ? n : b.c.ios;
		b.c.write |= opt == 'w';
		b.c.single |= opt == 's';
		b.c.json |= opt == 'j';
		if (opt == '?')
			exit(2);
	}
	if (b.c.depth < 1 || b.c.depth > DEPTH_MAX || b.c.block < 512 || b.c.block % 512)
		die("--depth 1 to 255, --block a multiple of 512", -EINVAL, NULL);
}

int main(int argc, char **argv)
{
	double ns, per_io;

	conf_parse(argc, argv);
	bench_open();
	bench_run();
	if (b.errors)
		die("errors", -EIO, NULL);
	ns = (double)mono_ticks_to_ns(b.ticks);
	per_io = ns / (double)b.done;
	if (b.c.json)
		printf("{\"depth\": %u, \"block\": %u, \"ios\": %lu, \"ns_per_io\": %.1f, \"sq_doorbells_per_io\": %.4f, "
		       "\"cq_doorbells_per_io\": %.4f}\n",
		       b.c.depth, b.c.block, b.done, per_io, (double)b.dev.sq_doorbells / (double)b.done,
		       (double)b.dev.cq_doorbells / (double)b.done);
	else
		printf("depth %3u, %5u bytes: %6.1f ns per I/O, %5.1f M IOPS; doorbell writes per I/O: SQ %.4f, CQ %.4f\n",
		       b.c.depth, b.c.block, per_io, 1000.0 / per_io, (double)b.dev.sq_doorbells / (double)b.done,
		       (double)b.dev.cq_doorbells / (double)b.done);
	return 0; /* nothing is under way, and the device has no thread any more to be closed with */
}
