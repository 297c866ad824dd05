/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NVMe driver inside a guest: a namespace as a disk on a reactor of its own, which sleeps when
 * it can.
 *
 *   nvme_disk ADDRESS NSID ACTION…
 *
 * Actions, in order: "id"; "write SEED", "verify SEED" (the first 32 MiB, stamped); "sleep" (single
 * reads, the reactor asleep in between); "reset"; "resets N" (under I/O); "removal" (I/O until the device is
 * taken away); "file SEED PATH" (the stamps, no device). A line for each on standard output;
 * "error: …" and status 1 for the first that fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "core/bdev.h"
#include "core/hugemem.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_probe.h"

#define AREA_BYTES (32u << 20)
#define IO_BYTES   65536u
#define DEPTH	   32u
#define WAIT_NS	   (120 * MONO_NS_PER_SEC)

struct io {
	struct bio bio;
	struct iovec iov[2];
	char *buf;
};

static struct disk {
	struct reactor *control, *data;
	struct nvme_ctrlr *ctrlr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct hugemem mem;
	struct io io[DEPTH];
	/* one run over the area, on the data reactor */
	enum bio_op op;
	unsigned seed, next, left, errors, different;
	bool endless;
	uint32_t running; /* atomic */
} d;

static void die(const char *what, int err, const struct errbuf *eb)
{
	fprintf(stderr, "error: %s: %s\n", what, eb && eb->text[0] ? eb->text : strerror(-err));
	exit(1);
}

static void stamp(char *buf, unsigned seed, unsigned idx)
{
	for (unsigned i = 0; i < IO_BYTES / sizeof(uint64_t); i++)
		((uint64_t *)(void *)buf)[i] = ((uint64_t)seed << 40) ^ ((uint64_t)idx << 16) ^
					       (i * 0x9e3779b97f4a7c15ull);
}

static bool is_stamped(const char *buf, unsigned seed, unsigned idx)
{
	static char want[IO_BYTES];

	stamp(want, seed, idx);
	return !memcmp(buf, want, IO_BYTES);
}

static void on_done(struct bio *bio);

static void io_next(struct io *io)
{
	unsigned idx = d.next++ % (AREA_BYTES / IO_BYTES);

	/* two pieces, cut inside a page */
	io->iov[0] = (struct iovec){ io->buf, 4096 + 512 };
	io->iov[1] = (struct iovec){ io->buf + 4096 + 512, IO_BYTES - 4096 - 512 };
	io->bio = (struct bio){ .op = (uint8_t)d.op,
				.off = (uint64_t)idx * IO_BYTES,
				.len = IO_BYTES,
				.iov = io->iov,
				.iovcnt = 2,
				.done = on_done };
	if (d.op == BIO_WRITE)
		stamp(io->buf, d.seed, idx);
	bdev_submit(d.chan, &io->bio);
}

static void on_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);

	d.errors += bio->status != 0;
	if (!bio->status && d.op == BIO_READ &&
	    !is_stamped(io->buf, d.seed, (unsigned)(bio->off / IO_BYTES)))
		d.different++;
	if (d.next < AREA_BYTES / IO_BYTES || (d.endless && !d.errors))
		io_next(io);
	else if (--d.left == 0)
		__atomic_store_n(&d.running, 0, __ATOMIC_RELEASE);
}

static void run_start(void *arg)
{
	d.next = 0;
	d.left = DEPTH;
	d.errors = 0;
	d.different = 0;
	for (unsigned i = 0; i < DEPTH; i++)
		io_next(&d.io[i]);
}

static void begin(enum bio_op op, unsigned seed, bool endless)
{
	d.op = op;
	d.seed = seed;
	d.endless = endless;
	__atomic_store_n(&d.running, 1, __ATOMIC_RELEASE);
	reactor_call(d.data, run_start, NULL);
}

/* The control reactor is this thread. */
static void await_end(void)
{
	uint64_t until = mono_ns() + WAIT_NS;

	while (__atomic_load_n(&d.running, __ATOMIC_ACQUIRE)) {
		(void)reactor_turn(d.control);
		usleep(500);
		if (mono_ns() > until)
			die("I/O does not end", -ETIMEDOUT, NULL);
	}
}

static void pass(enum bio_op op, unsigned seed)
{
	begin(op, seed, false);
	await_end();
	if (d.errors || d.different) {
		fprintf(stderr, "error: %u errors, %u blocks that differ\n", d.errors, d.different);
		exit(1);
	}
	printf("%s %u\n", op == BIO_READ ? "verified" : "wrote", seed);
}

static void sleeps(void)
{
	struct reactor_stats before, after;
	unsigned n = 50;

	reactor_get_stats(d.data, &before);
	for (unsigned i = 0; i < n; i++) {
		usleep(2000); /* the reactor falls asleep */
		begin(BIO_READ, 1, false);
		d.different = 0;
		await_end();
	}
	reactor_get_stats(d.data, &after);
	if (after.sleeps - before.sleeps < n || d.errors)
		die("it does not sleep", -EIO, NULL);
	printf("sleeps\n");
}

static void resets(unsigned n)
{
	struct errbuf eb = { "" };

	begin(BIO_WRITE, 77, true);
	for (unsigned i = 0; i < n; i++) {
		int err = nvme_ctrlr_reset(d.ctrlr, false, &eb);

		if (err)
			die("reset", err, &eb);
	}
	d.endless = false;
	await_end();
	if (d.errors)
		die("I/O under resets", -EIO, NULL);
	pass(BIO_WRITE, 78);
	pass(BIO_READ, 78);
	printf("resets %u\n", n);
}

static void reset_idle(void)
{
	struct errbuf eb = { "" };
	int err = nvme_ctrlr_reset(d.ctrlr, false, &eb);

	if (err)
		die("reset", err, &eb);
	printf("reset\n");
}

static void removal(void)
{
	printf("unplug\n");
	(void)fflush(stdout);
	begin(BIO_WRITE, 99, true);
	await_end();
	while (nvme_ctrlr_state(d.ctrlr) != NVME_CTRLR_FAILED)
		usleep(1000);
	printf("removal\n");
}

static void file(unsigned seed, const char *path)
{
	static char buf[IO_BYTES];
	FILE *f = fopen(path, "w");

	for (unsigned i = 0; f && i < AREA_BYTES / IO_BYTES; i++) {
		stamp(buf, seed, i);
		if (fwrite(buf, IO_BYTES, 1, f) != 1)
			die(path, -EIO, NULL);
	}
	if (!f || fclose(f))
		die(path, -EIO, NULL);
}

static void open_disk(const char *address, unsigned nsid)
{
	const struct reactor_opts co = { .name = "control", .cpu = -1 },
				  da = { .name = "data", .cpu = -1 };
	struct nvme_ctrlr_opts opts = { 0 };
	struct errbuf eb = { "" };
	int err = reactor_create(&co, &d.control);

	if (!err)
		err = reactor_create(&da, &d.data);
	if (!err)
		err = reactor_start(d.data);
	if (!err)
		err = hugemem_alloc(&d.mem, DEPTH * IO_BYTES, "nvme-disk");
	if (!err)
		err = hugemem_dma_add(&d.mem);
	if (err)
		die("set-up", err, NULL);
	reactor_adopt(d.control);
	for (unsigned i = 0; i < DEPTH; i++)
		d.io[i].buf = (char *)d.mem.va + (size_t)i * IO_BYTES;
	opts.control = d.control;
	err = nvme_probe_get(address, &opts, &d.ctrlr, &eb);
	if (!err)
		err = nvme_bdev_open(d.ctrlr, nsid, &(struct nvme_bdev_opts){ 0 }, &d.bdev, &eb);
	if (!err)
		err = bdev_chan_get(d.bdev, d.data, &d.chan);
	if (err)
		die("open", err, &eb);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void close_disk(void)
{
	bool closed = false;

	bdev_chan_put(d.chan);
	bdev_close(d.bdev, set_true, &closed);
	while (!closed) {
		(void)reactor_turn(d.control);
		usleep(100);
	}
	nvme_probe_put(d.ctrlr);
	reactor_stop(d.data);
	reactor_join(d.data);
	hugemem_dma_del(&d.mem);
	printf("closed, %u regions left\n", dma_region_count());
}

static void say_id(void)
{
	struct nvme_id_ctrlr id;

	nvme_ctrlr_get_id(d.ctrlr, &id);
	printf("id %.4s %u-byte blocks %llu bytes\n", id.sn, d.bdev->lim.block_bytes,
	       (unsigned long long)bdev_bytes(d.bdev));
}

int main(int argc, char **argv)
{
	mono_init();
	if (argc < 4)
		die("usage: nvme_disk ADDRESS NSID ACTION…", -EINVAL, NULL);
	if (!strcmp(argv[3], "file")) {
		file((unsigned)atol(argv[4]), argv[5]);
		return 0;
	}
	open_disk(argv[1], (unsigned)atol(argv[2]));
	for (int i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "id"))
			say_id();
		else if (!strcmp(argv[i], "write"))
			pass(BIO_WRITE, (unsigned)atol(argv[++i]));
		else if (!strcmp(argv[i], "verify"))
			pass(BIO_READ, (unsigned)atol(argv[++i]));
		else if (!strcmp(argv[i], "sleep"))
			sleeps();
		else if (!strcmp(argv[i], "reset"))
			reset_idle();
		else if (!strcmp(argv[i], "resets"))
			resets((unsigned)atol(argv[++i]));
		else if (!strcmp(argv[i], "removal"))
			removal();
		else
			die(argv[i], -EINVAL, NULL);
	}
	close_disk();
	return 0;
}
