/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks on one SSD, on one reactor, each kept busy: what each of them gets.
 *
 *   bench_weights ADDRESS [--time SECONDS] NSID:OP:BYTES:DEPTH:WEIGHT…
 *
 * ADDRESS as in a nvme: URI; OP r or w. Prints JSON: I/Os, bytes and cost (4-KiB units) per second, share of the cost,
 * p50 and p99. tests/bench/weights runs it against nvring-ssd.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/qos.h"
#include "core/base/mono.h"
#include "core/bdev.h"
#include "core/hugemem.h"
#include "core/qos_drr.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_probe.h"

#define DISKS_MAX  8u
#define DEPTH_MAX  255u
#define BYTES_MAX  (1u << 20)
#define WARM_UP_NS MONO_NS_PER_SEC

struct disk {
	struct bdev *bdev;
	struct bdev_chan *chan;
	unsigned nsid, bytes, depth, weight;
	char op;
	uint64_t ios, seed;
	struct hist latency;
	struct slot {
		struct bio bio;
		struct iovec iov;
		struct disk *disk;
		uint64_t from_ticks;
	} slot[DEPTH_MAX];
};

static struct bench {
	struct reactor *r;
	struct hugemem mem;
	struct disk disk[DISKS_MAX];
	unsigned ndisks;
} b;

static cc_noinline void die(const char *what, const char *why)
{
	fprintf(stderr, "bench_weights: %s: %s\n", what, why);
	exit(1);
}

static void slot_submit(struct slot *s)
{
	struct disk *d = s->disk;

	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	s->iov = (struct iovec){ b.mem.va, d->bytes };
	s->bio.off = d->seed % (bdev_bytes(d->bdev) / d->bytes) * d->bytes;
	s->bio.len = d->bytes;
	s->bio.iov = &s->iov;
	s->bio.iovcnt = 1;
	s->from_ticks = mono_ticks();
	bdev_submit(d->chan, &s->bio);
}

static void slot_done(struct bio *bio)
{
	struct slot *s = container_of(bio, struct slot, bio);

	if (bio->status)
		die("I/O", strerror(-bio->status));
	s->disk->ios++;
	hist_record(&s->disk->latency, mono_ticks_to_ns(mono_ticks() - s->from_ticks));
	slot_submit(s);
}

static void disk_parse(const char *text)
{
	struct disk *d = &b.disk[b.ndisks];

	if (b.ndisks == DISKS_MAX ||
	    sscanf(text, "%u:%c:%u:%u:%u", &d->nsid, &d->op, &d->bytes, &d->depth, &d->weight) != 5 ||
	    !d->depth || d->depth > DEPTH_MAX || d->bytes < 512 || d->bytes > BYTES_MAX || d->weight < 1 ||
	    d->weight > QOS_WEIGHT_MAX)
		die(text, "NSID:OP:BYTES:DEPTH:WEIGHT is expected, of at most 8 disks");
	b.ndisks++;
}

static void bench_open(const char *address)
{
	const struct reactor_opts ro = { .name = "bench", .cpu = -1, .mode = REACTOR_POLL };
	struct nvme_ctrlr_opts co = { 0 };
	char copy[NVME_ADDRESS_MAX];
	struct errbuf eb = { "" };
	struct nvme_ctrlr *c;

	if (reactor_create(&ro, &b.r))
		die("reactor", "cannot be made");
	reactor_adopt(b.r);
	co.control = b.r;
	(void)snprintf(copy, sizeof(copy), "%s", address);
	if (hugemem_alloc(&b.mem, BYTES_MAX, "bench") || hugemem_dma_add(&b.mem))
		die("memory", "there is none");
	if (nvme_probe_get(copy, &co, &c, &eb))
		die(address, eb.text);
	for (unsigned i = 0; i < b.ndisks; i++) {
		struct disk *d = &b.disk[i];

		if (nvme_bdev_open(c, d->nsid, &(struct nvme_bdev_opts){ 0 }, &d->bdev, &eb))
			die(address, eb.text);
		if (bdev_chan_get(d->bdev, b.r, &d->chan))
			die(address, "no channel");
		if (qos_set(d->bdev, &(struct qos_conf){ .weight = (uint16_t)d->weight }, &eb))
			die(address, eb.text);
		d->seed = 88172645463325252ull + i;
	}
	for (unsigned i = 0; i < 4; i++) /* weights go by message */
		reactor_turn(b.r);
}

static void bench_start(void)
{
	for (unsigned k = 0; k < DEPTH_MAX; k++)
		for (unsigned i = 0; i < b.ndisks; i++) {
			struct slot *s = &b.disk[i].slot[k];

			if (k >= b.disk[i].depth)
				continue;
			s->disk = &b.disk[i];
			s->bio.op = b.disk[i].op == 'w' ? BIO_WRITE : BIO_READ;
			s->bio.done = slot_done;
			slot_submit(s);
		}
}

static void turn_for(uint64_t ns)
{
	uint64_t until = mono_ns() + ns;

	while (mono_ns() < until)
		for (unsigned i = 0; i < 4; i++) /* weights go by message */
		reactor_turn(b.r);
}

static void print(double seconds)
{
	double cost[DISKS_MAX], sum = 0;

	for (unsigned i = 0; i < b.ndisks; i++) {
		const struct disk *d = &b.disk[i];

		cost[i] = (double)(d->ios * qos_drr_cost(d->op == 'w' ? BIO_WRITE : BIO_READ, d->bytes)) / seconds;
		sum += cost[i];
	}
	printf("[");
	for (unsigned i = 0; i < b.ndisks; i++) {
		const struct disk *d = &b.disk[i];

		printf("%s{\"weight\": %u, \"op\": \"%c\", \"bytes\": %u, \"depth\": %u, \"iops\": %.0f, \"mb_per_s\": %.1f, "
		       "\"cost_share\": %.4f, \"p50_us\": %.1f, \"p99_us\": %.1f}",
		       i ? ",\n " : "", d->weight, d->op, d->bytes, d->depth, (double)d->ios / seconds,
		       (double)(d->ios * d->bytes) / seconds / 1e6, cost[i] / sum,
		       (double)hist_quantile(&d->latency, 0.5) / 1e3, (double)hist_quantile(&d->latency, 0.99) / 1e3);
	}
	printf("]\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "time", required_argument, NULL, 't' }, { 0 } };
	double seconds = 5;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 't' || (seconds = strtod(optarg, NULL)) <= 0)
			die("usage", "bench_weights ADDRESS [--time SECONDS] NSID:OP:BYTES:DEPTH:WEIGHT...");
	}
	if (argc - optind < 2)
		die("usage", "bench_weights ADDRESS [--time SECONDS] NSID:OP:BYTES:DEPTH:WEIGHT...");
	for (int i = optind + 1; i < argc; i++)
		disk_parse(argv[i]);
	mono_init();
	bench_open(argv[optind]);
	bench_start();
	turn_for(WARM_UP_NS);
	for (unsigned i = 0; i < b.ndisks; i++) {
		b.disk[i].ios = 0;
		memset(&b.disk[i].latency, 0, sizeof(b.disk[i].latency));
	}
	turn_for((uint64_t)(seconds * 1e9));
	print(seconds);
	fflush(stdout);
	_exit(0); /* everything is under way, and the device goes next */
}
