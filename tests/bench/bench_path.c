/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole path of the target in one thread: ring → vblk → null bdev → ring. The driver's side
 * fills and empties the ring in between; only what bench_target() does counts. Instructions:
 * tests/bench/instructions.
 *
 * --nvme: instead of the null bdev, the NVMe driver with a device that answers between two turns.
 * --uri: instead of it, any disk.
 * --seq: one block behind the other instead of random ones.
 *
 *   bench_path [--packed] [--indirect] [--inflight] [--write] [--event-idx] [--depth N] [--block
 * BYTES] [--ios N] [--idle QUEUES] [--mode poll|adaptive] [--two-regions] [--nvme] [--uri URI] [--seq]
 * [--limit disk|group] [--log] [--json]
 *
 * --idle: so many further queues of the same reactor are started and never used.
 * --two-regions: the data lies in another memory region than headers and status, as in a guest of
 * more than 2 or 3 GiB.
 * --limit: the disk has limits that it never reaches; group: and it is in a group that has some.
 * --log: pages that are written to are marked in a dirty log, as during a migration.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "core/dma.h"
#include "core/qos.h"
#include "drivers/catalogue.h"
#include "tests/bench/bench_ssd.h"
#include "tests/ring/ring.h"
#include "vhost/blk/vblk.h"
#include "vhost/blk/vblk_spec.h"
#include "vhost/virtq/dlog.h"

#define DISK_URI "null:64G"

/* Buffers are far from the end of the region, as in a guest. */
#define MEM_BYTES   (64u << 20)
#define APART_BYTES (4u << 20) /* rings, headers and status, far from the end of theirs, too */

struct conf {
	bool packed, indirect, inflight, event_idx, write, two_regions, nvme, seq, log, json;
	const char *uri;
	unsigned depth, block, idle;
	unsigned long ios;
	enum reactor_mode mode;
	const char *limit; /* NULL: none */
};

/* What one slot of the driver needs: header and status share a line, as in Linux. */
struct slot {
	struct vblk_hdr hdr;
	uint8_t status;
	uint8_t pad[47];
};
static_assert(sizeof(struct slot) == 64, "a line");

struct bench {
	struct conf c;
	struct reactor *r;
	struct bdev *bdev;
	struct bench_ssd ssd;
	uint64_t sectors;
	struct vblk *dev;
	struct vdev_queue *q;
	struct ring ring;
	struct slot *slots;
	char *data;
	uint64_t seed, next_sector, target_ticks;
	unsigned long submitted, errors;
	struct idle {
		struct ring ring;
		struct vdev_queue *q;
	} *idle;
	unsigned stopped;
	struct qos_group *group;
	struct dlog *log;
};

/* The part that counts: one turn of the target's reactor. */
void bench_target(struct reactor *r);
cc_noinline void bench_target(struct reactor *r)
{
	reactor_turn(r);
	__asm__ __volatile__("" ::: "memory"); /* no tail call: callgrind watches the return */
}

static cc_noinline void die(const char *what, int err, const struct errbuf *eb)
{
	fprintf(stderr, "bench_path: %s: %s\n", what,
		eb && eb->text[0] ? eb->text : strerror(-err));
	exit(1);
}

static void idle_open(struct bench *b)
{
	const struct ring_opts ring = { .size = 128, .eventfds = true, .packed = b->c.packed,
					.features = VIRTIO_BIT(VBLK_F_FLUSH) };
	struct errbuf eb = { "" };

	b->idle = calloc(b->c.idle + 1, sizeof(*b->idle));
	if (!b->idle)
		die("idle queues", -ENOMEM, NULL);
	for (unsigned i = 0; i < b->c.idle; i++) {
		struct idle *idle = &b->idle[i];
		int err = ring_init(&idle->ring, &ring);

		if (err)
			die("ring", err, NULL);
		idle->ring.conf.index = (uint16_t)(i + 1);
		err = vdev_queue_create(vblk_vdev(b->dev), b->r, b->r, &idle->ring.conf, &idle->q,
					&eb);
		if (err)
			die("queue", err, &eb);
		vdev_queue_start(idle->q);
	}
}

/* Far above what one thread does. */
static void bench_limit(struct bench *b)
{
	struct qos_conf conf = { .weight = 0 };
	struct errbuf eb = { "" };
	int err;

	conf.limits.rate[QOS_TOTAL_IOS].per_sec = 50000000;
	conf.limits.rate[QOS_TOTAL_BYTES].per_sec = UINT64_C(1) << 38;
	if (strcmp(b->c.limit, "group") == 0) {
		err = qos_group_create(b->r, "bench", &conf.limits, &conf.group, &eb);
		if (err)
			die("group", err, &eb);
	}
	err = qos_set(b->bdev, &conf, &eb);
	if (err)
		die("limit", err, &eb);
	b->group = conf.group;
	for (unsigned i = 0; i < 4; i++) /* the orders go to and fro */
		reactor_turn(b->r);
}

/* Of all the ring's memory, the used ring included. */
static void bench_log(struct bench *b)
{
	const uint64_t pages = ring_gpa(&b->ring, b->ring.mem + b->ring.mem_bytes) / DLOG_PAGE_BYTES + 1;
	struct dlog_desc d = { .size = pages / 8 + 1, .fd = memfd_create("log", MFD_CLOEXEC) };
	struct errbuf eb = { "" };
	int err = ftruncate(d.fd, (off_t)d.size) ? -errno : dlog_create(&d, &b->log, &eb);

	if (err)
		die("log", err, &eb);
	close(d.fd);
	b->ring.conf.log = b->log;
	b->ring.conf.log_used_gpa = ring_gpa(&b->ring, b->ring.conf.used);
}

static void bench_open(struct bench *b)
{
	const struct reactor_opts ro = { .name = "bench", .cpu = -1, .mode = b->c.mode };
	const struct vblk_opts vo = { .nqueues = 1 + b->c.idle };
	const struct ring_opts ring = {
		.size = 256,
		.packed = b->c.packed,
		.inflight = b->c.inflight,
		.features = VIRTIO_BIT(VBLK_F_FLUSH) |
			    (b->c.event_idx ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0),
		.indirect_max = b->c.indirect ? 3 : 0,
		.data_bytes = APART_BYTES + MEM_BYTES + b->c.depth * b->c.block,
		.data_apart = b->c.two_regions ? APART_BYTES : 0,
	};
	struct errbuf eb = { "" };
	int err;

	mono_init();
	err = reactor_create(&ro, &b->r);
	if (err)
		die("reactor", err, NULL);
	reactor_adopt(b->r);
	err = b->c.nvme ? bench_ssd_open(&b->ssd, b->r, &b->bdev, &eb)
			: bdev_open(b->c.uri, &(struct bdev_open_opts){ .control = b->r }, &b->bdev, &eb);
	if (err)
		die("disk", err, &eb);
	b->bdev->control = b->r;
	b->sectors = bdev_bytes(b->bdev) >> VBLK_SECTOR_SHIFT;
	err = vblk_create(b->bdev, &vo, &b->dev, &eb);
	if (err)
		die("vblk", err, &eb);
	err = ring_init(&b->ring, &ring);
	if (!err)
		err = dma_region_add(&(struct dma_region){
			.va = b->ring.mem, .len = b->ring.mem_bytes, .fd = -1 });
	if (err)
		die("ring", err, NULL);
	if (b->c.log)
		bench_log(b);
	err = vdev_queue_create(vblk_vdev(b->dev), b->r, b->r, &b->ring.conf, &b->q, &eb);
	if (err)
		die("queue", err, &eb);
	vdev_queue_start(b->q);
	idle_open(b);
	reactor_turn(b->r);
	if (b->c.limit)
		bench_limit(b);
	if (b->c.nvme)
		bench_ssd_take_over(&b->ssd);
	b->slots = (struct slot *)b->ring.data;
	b->data = b->ring.data + APART_BYTES;
	b->seed = 88172645463325252ull;
}

static void on_stopped(struct vdev_queue *q, void *arg)
{
	((struct bench *)arg)->stopped++;
}

static void bench_close(struct bench *b)
{
	vdev_queue_stop(b->q, on_stopped, b);
	for (unsigned i = 0; i < b->c.idle; i++)
		vdev_queue_stop(b->idle[i].q, on_stopped, b);
	while (b->stopped < 1 + b->c.idle)
		reactor_turn(b->r);
	vdev_queue_destroy(b->q);
	for (unsigned i = 0; i < b->c.idle; i++) {
		vdev_queue_destroy(b->idle[i].q);
		ring_fini(&b->idle[i].ring);
	}
	free(b->idle);
	vblk_destroy(b->dev);
	bdev_close(b->bdev, NULL, NULL);
	for (unsigned i = 0; i < 8; i++)
		reactor_turn(b->r);
	if (b->group)
		(void)qos_group_delete(b->group, NULL, NULL, NULL); /* its disk has gone */
	for (unsigned i = 0; i < 4; i++)
		reactor_turn(b->r);
	(void)dma_region_del(b->ring.mem, b->ring.mem_bytes); /* it was added */
	dlog_put(b->log);
	ring_fini(&b->ring);
	reactor_destroy(b->r);
}

static uint64_t random_sector(struct bench *b)
{
	const uint64_t per_block = b->c.block >> VBLK_SECTOR_SHIFT;

	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 7;
	b->seed ^= b->seed << 17;
	return b->seed % (b->sectors / per_block) * per_block;
}

/* Where the next I/O goes. */
static uint64_t next_sector(struct bench *b)
{
	const uint64_t per_block = b->c.block >> VBLK_SECTOR_SHIFT;
	uint64_t sector = b->next_sector;

	if (!b->c.seq)
		return random_sector(b);
	b->next_sector = sector + 2 * per_block <= b->sectors ? sector + per_block : 0;
	return sector;
}

static void submit(struct bench *b, uintptr_t i)
{
	struct slot *s = &b->slots[i];
	const struct vqd_buf bufs[] = {
		ring_buf(&b->ring, &s->hdr, sizeof(s->hdr), false),
		ring_buf(&b->ring, b->data + i * b->c.block, b->c.block, !b->c.write),
		ring_buf(&b->ring, &s->status, 1, true),
	};

	s->hdr.type = le32_make(b->c.write ? VBLK_T_OUT : VBLK_T_IN);
	s->hdr.sector = le64_make(next_sector(b));
	s->status = 0xff;
	if (vqd_add(&b->ring.vqd, bufs, ARRAY_SIZE(bufs), b->c.indirect, (void *)i))
		die("ring", -ENOSPC, NULL);
	b->submitted++;
}

/* The ring stays full: as many new requests as answers. */
static void bench_run(struct bench *b)
{
	unsigned inflight = 0;

	for (unsigned i = 0; i < b->c.depth; i++)
		submit(b, i);
	inflight = b->c.depth;
	while (inflight) {
		uint64_t from;
		uint32_t written;
		void *cookie;
		int err;

		vqd_publish(&b->ring.vqd);
		from = mono_ticks();
		bench_target(b->r);
		b->target_ticks += mono_ticks() - from;
		if (b->c.nvme)
			bench_ssd_turn(&b->ssd);
		while (vqd_get(&b->ring.vqd, &cookie, &written, &err)) {
			b->errors += b->slots[(uintptr_t)cookie].status != VBLK_S_OK;
			inflight--;
			if (b->submitted < b->c.ios) {
				submit(b, (uintptr_t)cookie);
				inflight++;
			}
		}
		if (b->q->vq.broken)
			die(b->q->vq.why, -EPROTO, NULL);
	}
}

static void report(const struct bench *b, uint64_t ns)
{
	double n = (double)b->submitted;
	double target = (double)mono_ticks_to_ns(b->target_ticks) / n;

	if (b->c.json)
		printf("{\"ios\": %lu, \"errors\": %lu, \"target_ns\": %.1f, \"both_ns\": %.1f}\n",
		       b->submitted, b->errors, target, (double)ns / n);
	else
		printf("%lu I/Os, %lu errors: %.1f ns in the target (%.2f M/s), %.1f ns with the "
		       "driver's side\n",
		       b->submitted, b->errors, target, 1e3 / target, (double)ns / n);
}

static const struct option options[] = {
	{ "packed", no_argument, NULL, 'p' },	   { "indirect", no_argument, NULL, 'i' },
	{ "inflight", no_argument, NULL, 'f' },	   { "write", no_argument, NULL, 'w' },
	{ "event-idx", no_argument, NULL, 'e' },   { "depth", required_argument, NULL, 'd' },
	{ "block", required_argument, NULL, 'b' }, { "ios", required_argument, NULL, 'n' },
	{ "nvme", no_argument, NULL, 'v' },	   { "uri", required_argument, NULL, 'u' },
	{ "seq", no_argument, NULL, 's' },	   { "limit", required_argument, NULL, 'l' },
	{ "json", no_argument, NULL, 'j' },	   { "idle", required_argument, NULL, 'q' },
	{ "mode", required_argument, NULL, 'm' },  { "two-regions", no_argument, NULL, 'r' },
	{ "log", no_argument, NULL, 'g' },
	{ NULL, 0, NULL, 0 },
};

static void conf_parse(struct conf *c, int argc, char **argv)
{
	int opt;

	*c = (struct conf){ .depth = 32, .block = 4096, .ios = 4000000, .mode = REACTOR_POLL, .uri = DISK_URI };
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		c->packed |= opt == 'p';
		c->indirect |= opt == 'i';
		c->inflight |= opt == 'f';
		c->write |= opt == 'w';
		c->event_idx |= opt == 'e';
		c->two_regions |= opt == 'r';
		c->nvme |= opt == 'v';
		c->log |= opt == 'g';
		c->seq |= opt == 's';
		if (opt == 'u')
			c->uri = optarg;
		c->json |= opt == 'j';
		if (opt == 'd')
			c->depth = (unsigned)strtoul(optarg, NULL, 0);
		if (opt == 'b')
			c->block = (unsigned)strtoul(optarg, NULL, 0);
		if (opt == 'n')
			c->ios = strtoul(optarg, NULL, 0);
		if (opt == 'l')
			c->limit = optarg;
		if (opt == 'q')
			c->idle = (unsigned)strtoul(optarg, NULL, 0);
		if (opt == '?' || (opt == 'm' && reactor_mode_parse(optarg, &c->mode)))
			exit(2);
	}
	/* 256 ring entries, three of them an I/O without indirect tables */
	if (c->depth < 1 || c->depth > (c->indirect ? 256 : 85) || c->block < 512 ||
	    c->block % 512 || c->ios < c->depth || c->idle >= VDEV_QUEUES_MAX) {
		fprintf(stderr, "bench_path: depth, block, ios or idle out of range\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct bench b;
	uint64_t from;

	conf_parse(&b.c, argc, argv);
	bench_open(&b);
	from = mono_ns();
	bench_run(&b);
	report(&b, mono_ns() - from);
	if (!b.c.nvme) /* see bench_ssd_take_over() */
		bench_close(&b);
	return b.errors != 0;
}
