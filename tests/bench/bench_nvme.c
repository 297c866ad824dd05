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
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_ctrlr.h"
#include "tests/unit/fake_nvme.h"

#define DISK_BLOCKS (64u << 10)
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

/* The device's side of the one I/O queue: its rings, found through what the driver told the fake controller. */
struct device {
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	uint32_t sq_size, cq_size, head, tail;
	uint16_t phase;
	unsigned long sq_doorbells, cq_doorbells;
	uint32_t last_tail, last_head;
};

struct bench {
	struct conf c;
	struct fake_nvme fake;
	struct nvme_ctrlr *ctrlr;
	struct reactor *r;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct hugemem mem;
	struct slot *slots;
	struct bio_queue idle;
	struct device dev;
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
	return b.seed % (DISK_BLOCKS * 512ull / b.c.block) * b.c.block;
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

/* Answers all there is. */
static void device_turn(void)
{
	struct device *d = &b.dev;
	uint32_t tail = __atomic_load_n(&b.fake.db[2], __ATOMIC_ACQUIRE);
	uint32_t head = __atomic_load_n(&b.fake.db[3], __ATOMIC_ACQUIRE);

	d->sq_doorbells += tail != d->last_tail;
	d->cq_doorbells += head != d->last_head;
	d->last_tail = tail;
	d->last_head = head;
	while (d->head != tail) {
		struct nvme_cqe *cqe = &d->cq[d->tail];
		uint32_t word = le16_get(d->sq[d->head].cid) | (uint32_t)d->phase << 16;

		d->head = (d->head + 1) % d->sq_size;
		__atomic_store_n((uint32_t *)(void *)&cqe->cid, htole32(word), __ATOMIC_RELEASE);
		if (++d->tail == d->cq_size) {
			d->tail = 0;
			d->phase ^= 1;
		}
	}
}

static void device_init(void)
{
	struct fake_nvme *f = &b.fake;

	/* the fake's thread ends here; from now on we are the device */
	__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	(void)pthread_join(f->thread, NULL);
	f->has_thread = false;
	b.dev = (struct device){
		.sq = (void *)(uintptr_t)(f->sq[1].addr - FAKE_NVME_IOVA_OFF),
		.cq = (void *)(uintptr_t)(f->cq[1].addr - FAKE_NVME_IOVA_OFF),
		.sq_size = f->sq[1].size,
		.cq_size = f->cq[1].size,
		.phase = 1,
	};
}

static void bench_open(void)
{
	const struct reactor_opts ro = { .name = "bench", .cpu = -1, .mode = REACTOR_POLL };
	struct nvme_ctrlr_opts co = { .io_timeout_ms = 3600000 };
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
	fake_nvme_init(&b.fake, DISK_BLOCKS);
	b.fake.is_mapped = true;
	fake_nvme_start(&b.fake);
	co.control = b.r;
	err = nvme_ctrlr_open(&b.fake.hw, &co, &b.ctrlr, &eb);
	if (!err)
		err = nvme_bdev_open(b.ctrlr, 1, &(struct nvme_bdev_opts){ 0 }, &b.bdev, &eb);
	if (!err)
		err = bdev_chan_get(b.bdev, b.r, &b.chan);
	if (err)
		die("controller", err, &eb);
	reactor_turn(b.r);
	device_init();
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
		device_turn();
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
