/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces as block devices, through bdev_submit(): data, limits, events, sharing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "tests/unit/nvme_rig.h"

/*
 * Data and limits
 */

static void each_operation_does_what_it_says(void **state)
{
	char *a = buf_of(0), *b = buf_of(1);

	rig_open(NULL);
	a = buf_of(0);
	b = buf_of(1);
	fill(a, IO_BYTES, 1);
	assert_int_equal(do_io(BIO_WRITE, 8192, a, IO_BYTES), 0);
	assert_memory_equal(rig.f.ns[0].data + 8192, a, IO_BYTES);
	assert_int_equal(do_io(BIO_READ, 8192, b, IO_BYTES), 0);
	assert_memory_equal(a, b, IO_BYTES);
	assert_int_equal(do_io(BIO_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(rig.f.nflushes, 1);
	assert_int_equal(do_io(BIO_WRITE_ZEROES, 8192, NULL, 512), 0);
	assert_int_equal(rig.f.ns[0].data[8192], 0);
	assert_memory_equal(rig.f.ns[0].data + 8192 + 512, a + 512, IO_BYTES - 512);
	assert_int_equal(rig.f.ndeac, 1);
	assert_int_equal(do_io(BIO_DISCARD, 8192, NULL, IO_BYTES), 0);
	assert_int_equal(rig.f.nranges, 1);
	assert_int_equal(rig.f.ns[0].data[8192 + 512], 0);
	rig.io[0].bio.flags = BIO_FUA;
	start_on(rig.chan, &rig.io[0], BIO_WRITE, 0, a, IO_BYTES);
	wait_for(0);
	assert_int_equal(rig.f.nfua, 1);
	rig.io[0].bio.flags = BIO_NOUNMAP;
	start_on(rig.chan, &rig.io[0], BIO_WRITE_ZEROES, 0, NULL, IO_BYTES);
	wait_for(0);
	assert_int_equal(rig.f.ndeac, 1);
	assert_int_equal(do_io(BIO_READ, (uint64_t)BLOCKS * 512, a, 512), -EINVAL);
	rig_close();
}

static void shuffling(struct fake_nvme *f)
{
	f->shuffles = true;
}

static void small_queues(struct fake_nvme *f)
{
	f->mqes = 3;
	f->shuffles = true;
}

static void with_sgl(struct fake_nvme *f)
{
	f->sgls = 1;
	f->shuffles = true;
}

static void with_dbbuf(struct fake_nvme *f)
{
	f->oacs = NVME_OACS_DBBUF;
	f->event_wanted = false;
}

static void with_dbbuf_asleep(struct fake_nvme *f)
{
	f->oacs = NVME_OACS_DBBUF;
}

static void with_boundary(struct fake_nvme *f)
{
	f->ns[0].noiob = 16;
}

static void as_memory(struct fake_nvme *f)
{
	f->is_mapped = true;
}

static void one_queue(struct fake_nvme *f)
{
	f->queues_max = 1;
}

/* Random I/O of all shapes against a copy. */
static void model(unsigned seed, unsigned rounds)
{
	enum {
		SLOTS = 16,
		SLOT_BYTES = 1 << 20,
		AREA = 400 << 10
	};
	static uint8_t copy[SLOTS * SLOT_BYTES];

	memcpy(copy, rig.f.ns[0].data, sizeof(copy));
	for (unsigned round = 0; round < rounds; round++) {
		unsigned s = round % SLOTS;
		struct io *io = &rig.io[s];
		char *at = (char *)rig.mem.va + (size_t)s * AREA;
		uint64_t left, pos;

		if (round >= SLOTS) {
			wait_for(s);
			assert_int_equal(io->bio.status, 0);
			pos = io->bio.off;
			for (unsigned i = 0; io->bio.op == BIO_READ && i < io->bio.iovcnt; i++) {
				assert_memory_equal(io->iov[i].iov_base, copy + pos,
						    io->iov[i].iov_len);
				pos += io->iov[i].iov_len;
			}
		}
		*io = (struct io){ .bio = { .op = rand_r(&seed) % 5 ? (uint8_t)(rand_r(&seed) & 1)
								    : BIO_WRITE_ZEROES,
					    .len = (1 + (uint64_t)rand_r(&seed) %
								(rand_r(&seed) & 1 ? 16 : 512)) *
						   512,
					    .off = s * (uint64_t)SLOT_BYTES +
						   (uint64_t)rand_r(&seed) % 1024 * 512,
					    .done = on_done,
					    .iov = io->iov } };
		if (io->bio.op == BIO_WRITE_ZEROES)
			memset(copy + io->bio.off, 0, io->bio.len);
		left = io->bio.op == BIO_WRITE_ZEROES ? 0 : io->bio.len;
		at += (unsigned)rand_r(&seed) % 3 * 1000;
		pos = io->bio.off;
		while (left) {
			uint64_t n =
				io->bio.iovcnt == 7 ? left : 1 + (uint64_t)rand_r(&seed) % left;

			if (rand_r(&seed) & 1)
				n = CC_MIN(CC_ALIGN_UP(n, 512ull), left);
			io->iov[io->bio.iovcnt++] = (struct iovec){ at, n };
			if (io->bio.op == BIO_WRITE) {
				fill(at, n, (unsigned)rand_r(&seed));
				memcpy(copy + pos, at, n);
			}
			pos += n;
			at += n + (rand_r(&seed) & 1 ? (unsigned)rand_r(&seed) % 3 * 512 : 0);
			left -= n;
		}
		bdev_submit(rig.chan, &io->bio);
		if (rand_r(&seed) % 4 == 0)
			reactor_turn(rig.r);
	}
	for (unsigned s = 0; s < SLOTS; s++)
		wait_for(s);
	assert_memory_equal(copy, rig.f.ns[0].data, sizeof(copy));
}

static void data_survives_all_shapes(void **state)
{
	static void (*const makes[])(struct fake_nvme * f) = {
		shuffling,	   small_queues,  with_sgl,  with_dbbuf,
		with_dbbuf_asleep, with_boundary, as_memory, one_queue,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(makes); i++) {
		rig_open(makes[i]);
		model(i + 1, 600);
		if (makes[i] == with_sgl)
			assert_true(rig.f.nsgl > 0);
		if (makes[i] == with_boundary)
			assert_true(rig.f.largest <= 16 || rig.f.nzeroes);
		rig_close();
	}
}

static void shadow_doorbells_spare_the_device(void **state)
{
	rig_open(with_dbbuf);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	assert_true(rig.f.dbbuf_on);
	assert_true(rig.f.sq_doorbells <= 4);
	rig_close();
}

/* Doorbells and register reads are counted, not timed. */
static void doorbells_are_rung_once_for_many(void **state)
{
	unsigned nios = 0, sq, cq, reads;

	rig_open(NULL);
	sq = rig.f.sq_doorbells;
	cq = rig.f.cq_doorbells;
	reads = rig.f.nmmio_reads;
	for (unsigned round = 0; round < 100; round++) {
		struct bio_queue bios;
		struct bdev_batch batch = bdev_batch_begin(rig.chan, &bios);

		for (unsigned i = 0; i < 32; i++) {
			struct io *io = &rig.io[i];

			io->ndone = 0;
			io->iov[0] = (struct iovec){ buf_of(i), IO_BYTES };
			io->bio = (struct bio){ .op = BIO_READ,
						.off = i * IO_BYTES,
						.len = IO_BYTES,
						.iov = io->iov,
						.iovcnt = 1,
						.done = on_done };
			bdev_batch_add(&batch, &io->bio);
		}
		bdev_batch_submit(&batch);
		for (unsigned i = 0; i < 32; i++)
			wait_for(i);
		nios += 32;
	}
	assert_true((rig.f.sq_doorbells - sq) * 16 <= nios);
	assert_true((rig.f.cq_doorbells - cq) * 16 <= nios);
	/* the keeper looks once a second, on its own thread */
	assert_true(rig.f.nmmio_reads - reads < 60);
	rig_close();
}

static void two_formats(struct fake_nvme *f)
{
	fake_nvme_add_ns(f, 2, 1000, 12);
	fake_nvme_add_ns(f, 3, 1000, 9);
	f->ns[2].ms = 8;
	fake_nvme_add_ns(f, 4, 1000, 9);
	f->ns[3].csi = 2;
}

static const struct {
	const char *what;
	uint32_t nsid;
	struct nvme_bdev_opts opts;
	int err;
	const char *why;
} opens[] = {
	{ "512", 1, { 0 }, 0, NULL },
	{ "4096", 2, { 0 }, 0, NULL },
	{ "metadata", 3, { 0 }, -ENOTSUP, "8 bytes of metadata per block" },
	{ "zoned", 4, { 0 }, -ENOTSUP, "command set 2" },
	{ "beyond", 77, { 0 }, -ENODEV, "there are 1, 2, 3, 4" },
	{ "none", 0, { 0 }, -ENODEV, "there is no such number" },
	{ "all", NVME_NSID_ALL, { 0 }, -ENODEV, "there is no such number" },
	{ "part", 1, { .off = 4096, .bytes = 8192 }, 0, NULL },
	{ "part of 4096, off",
	  2,
	  { .off = 512 },
	  -EINVAL,
	  "multiples of its blocks of 4096 bytes" },
	{ "part beyond", 1, { .off = 4096, .bytes = BLOCKS * 512ull }, -EINVAL, "reach beyond" },
	{ "part at the end", 1, { .off = BLOCKS * 512ull }, -EINVAL, "reach beyond" },
	{ "part that wraps",
	  1,
	  { .off = 512, .bytes = UINT64_MAX - 511 },
	  -EINVAL,
	  "reach beyond" },
};

static void close_bdev(struct bdev *bdev)
{
	bool closed = false;

	bdev_close(bdev, set_true, &closed);
	for (uint64_t n = 0; n < TURNS_MAX && !closed; n++)
		reactor_turn(rig.r);
	assert_true(closed);
}

static void opening_says_what_is_wrong(void **state)
{
	rig_open(two_formats);
	for (unsigned i = 0; i < ARRAY_SIZE(opens); i++) {
		struct errbuf eb = { "" };
		struct bdev *bdev = NULL;
		int err = nvme_bdev_open(rig.c, opens[i].nsid, &opens[i].opts, &bdev, &eb);

		if (err != opens[i].err || (err && !strstr(eb.text, opens[i].why)))
			fail_msg("%s: %d, %s", opens[i].what, err, eb.text);
		if (!err)
			close_bdev(bdev);
	}
	rig_close();
}

static void protected(struct fake_nvme *f)
{
	f->ns[0].is_protected = true;
}

static void a_write_protected_namespace_is_read_only(void **state)
{
	rig_open(protected);
	assert_true(rig.bdev->lim.read_only);
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), 512), -EROFS);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), 512), 0);
	rig_close();
}

static void a_part_lies_where_it_should(void **state)
{
	rig_open_with(NULL, &(struct nvme_bdev_opts){ .off = 1 << 20, .bytes = 1 << 20 },
		      REACTOR_POLL);
	assert_int_equal(bdev_bytes(rig.bdev), 1 << 20);
	assert_string_equal(rig.bdev->shares, "fake0");
	memset(buf_of(0), 0x5a, IO_BYTES);
	assert_int_equal(do_io(BIO_WRITE, 512, buf_of(0), IO_BYTES), 0);
	assert_int_equal(rig.f.ns[0].data[(1 << 20) + 511], 0);
	assert_int_equal(rig.f.ns[0].data[(1 << 20) + 512], 0x5a);
	assert_int_equal(do_io(BIO_WRITE, 1 << 20, buf_of(0), 512), -EINVAL);
	assert_int_equal(do_io(BIO_DISCARD, 0, NULL, 1 << 20), 0);
	assert_int_equal(rig.f.ns[0].data[(1 << 20) + 512], 0);
	rig_close();
}

static void memory_that_no_device_reaches_is_an_error(void **state)
{
	static char own[IO_BYTES] __attribute__((aligned(4096)));

	rig_open(NULL);
	assert_int_equal(do_io(BIO_READ, 0, own, IO_BYTES), -EFAULT);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	rig_close();
}

/*
 * Events
 */

static void a_resize_reaches_the_listeners(void **state)
{
	rig_open(NULL);
	fake_nvme_resize_ns(&rig.f, 1, 2 * BLOCKS);
	for (uint64_t n = 0; n < TURNS_MAX && !rig.nresized; n++)
		reactor_turn(rig.r);
	assert_int_equal(rig.nresized, 1);
	assert_int_equal(bdev_bytes(rig.bdev), 2ull * BLOCKS * 512);
	assert_int_equal(do_io(BIO_WRITE, (uint64_t)BLOCKS * 512, buf_of(0), IO_BYTES), 0);
	/* and once more: the event request was renewed */
	fake_nvme_resize_ns(&rig.f, 1, BLOCKS);
	for (uint64_t n = 0; n < TURNS_MAX && rig.nresized < 2; n++)
		reactor_turn(rig.r);
	assert_int_equal(bdev_bytes(rig.bdev), (uint64_t)BLOCKS * 512);
	rig_close();
}

static void a_format_with_other_blocks_stops_the_disk(void **state)
{
	rig_open(NULL);
	pthread_mutex_lock(&rig.f.lock);
	rig.f.ns[0].shift = 12;
	pthread_mutex_unlock(&rig.f.lock);
	fake_nvme_resize_ns(&rig.f, 1, BLOCKS / 8);
	for (uint64_t n = 0; n < TURNS_MAX && !rig.nresized; n++)
		reactor_turn(rig.r);
	assert_int_equal(bdev_bytes(rig.bdev), 0);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), -EINVAL);
	assert_int_equal(nerrors, 1);
	rig_close();
}

static void *reset_main(void *arg)
{
	__atomic_store_n((int *)arg, nvme_ctrlr_reset(rig.c, false, NULL), __ATOMIC_RELEASE);
	return NULL;
}

struct looked {
	bool done;
	int err;
};

static void on_looked(void *arg, int err, const char *why)
{
	*(struct looked *)arg = (struct looked){ .done = true, .err = err };
}

/* Whoever looks while the controller is being reset sees the namespace, not that there is none. */
static void a_look_during_a_reset_waits_for_its_end(void **state)
{
	struct looked looked = { 0 };
	pthread_t thread;
	int err = 1; /* not yet */

	rig_open(NULL);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .is_admin = true,
							.opc = NVME_ADM_IDENTIFY,
							.count = 1,
							.deed = FAKE_NVME_SILENT });
	assert_int_equal(pthread_create(&thread, NULL, reset_main, &err), 0);
	for (uint64_t n = 0; n < TURNS_MAX && fake_nvme_count(&rig.f, &rig.f.nheld) < 1; n++)
		reactor_turn(rig.r);
	assert_int_equal(nvme_ctrlr_state(rig.c), NVME_CTRLR_RESETTING);
	bdev_resize(rig.bdev, 0, on_looked, &looked);
	for (unsigned n = 0; n < 10000 && !looked.done; n++) {
		reactor_turn(rig.r);
		(void)usleep(10);
	}
	fake_nvme_release(&rig.f);
	for (uint64_t n = 0; n < TURNS_MAX && !looked.done; n++)
		reactor_turn(rig.r);
	for (uint64_t n = 0; n < TURNS_MAX && __atomic_load_n(&err, __ATOMIC_ACQUIRE) == 1; n++)
		reactor_turn(rig.r);
	assert_int_equal(err, 0);
	(void)pthread_join(thread, NULL);
	assert_true(looked.done);
	assert_int_equal(looked.err, 0);
	assert_int_equal(bdev_bytes(rig.bdev), (uint64_t)BLOCKS * 512);
	rig_close();
}

/* The event about it may be lost with the admin queue. */
static void a_size_that_changed_before_a_reset_is_noticed(void **state)
{
	rig_open(NULL);
	pthread_mutex_lock(&rig.f.lock);
	rig.f.ns[0].blocks = BLOCKS / 2;
	pthread_mutex_unlock(&rig.f.lock);
	assert_int_equal(nvme_ctrlr_reset(rig.c, false, NULL), 0);
	for (uint64_t n = 0; n < TURNS_MAX && !rig.nresized; n++)
		reactor_turn(rig.r);
	assert_int_equal(rig.nresized, 1);
	assert_int_equal(bdev_bytes(rig.bdev), (uint64_t)BLOCKS / 2 * 512);
	rig_close();
}

/* How long threads that wait wait for a command. */
static void patience(uint32_t ms)
{
	__atomic_store_n(&rig.c->admin.timeout_ms, ms, __ATOMIC_RELAXED);
	if (rig.c->sync_io)
		__atomic_store_n(&rig.c->sync_io->timeout_ms, ms, __ATOMIC_RELAXED);
}

/* What a set-up thread has given up, the keeper ends: the next one finds a queue that works. */
static void commands_given_up_end_in_a_reset(void **state)
{
	static const struct fake_nvme_rule rules[] = {
		{ .opc = NVME_NVM_READ, .count = 1, .deed = FAKE_NVME_SILENT },
		{ .is_admin = true, .opc = NVME_ADM_IDENTIFY, .count = 1, .deed = FAKE_NVME_SILENT },
		{ .is_admin = true, .opc = NVME_ADM_CREATE_SQ, .count = 1, .deed = FAKE_NVME_SILENT },
	};
	int err;

	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		rig_open(NULL);
		/* sync_io is made when it is needed, with what stands here */
		rig.c->opts.io_timeout_ms = 300;
		patience(300);
		fake_nvme_rule(&rig.f, rules[i]);
		err = nvme_bdev_peek(rig.c, 1, 0, buf_of(0), IO_BYTES);
		assert_int_equal(err, -ETIMEDOUT);
		patience(NVME_ADMIN_TIMEOUT_MS);
		for (uint64_t n = 0; n < TURNS_MAX && fake_nvme_count(&rig.f, &rig.f.nenables) < 2;
		     n++)
			reactor_turn(rig.r);
		assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 2);
		wait_state(NVME_CTRLR_READY);
		patience(NVME_ADMIN_TIMEOUT_MS);
		rig.c->opts.io_timeout_ms = NVME_IO_TIMEOUT_MS;
		assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0); /* the reset needs our turns */
		assert_int_equal(nvme_bdev_peek(rig.c, 1, 0, buf_of(0), IO_BYTES), 0);
		rig_close();
	}
}

/*
 * More reactors than queues
 */

#define NREACTORS 4

struct worker_io {
	struct io io;
	struct bdev_chan *chan;
	unsigned left, nfailed;
	uint32_t done; /* atomic */
	char *buf;
	uint64_t off;
};

static void worker_done(struct bio *bio)
{
	struct worker_io *w = container_of(bio, struct worker_io, io.bio);

	w->nfailed += bio->status != 0;
	w->nfailed += reactor_self() != w->chan->reactor;
	if (--w->left == 0) {
		__atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
		return;
	}
	w->off = (w->off + IO_BYTES) % (1u << 20) + (w->off & ~((1ull << 20) - 1));
	w->io.iov[0] = (struct iovec){ w->buf, IO_BYTES };
	w->io.bio = (struct bio){ .op = w->left & 1 ? BIO_READ : BIO_WRITE,
				  .off = w->off,
				  .len = IO_BYTES,
				  .iov = w->io.iov,
				  .iovcnt = 1,
				  .done = worker_done };
	bdev_submit(w->chan, &w->io.bio);
}

static void worker_start_io(void *arg)
{
	struct worker_io *w = arg;

	w->io.bio.status = 0;
	w->left++;
	worker_done(&w->io.bio);
}

static void many_reactors(void (*make)(struct fake_nvme *f), bool with_reset)
{
	enum {
		PER_REACTOR = 8
	};
	static struct worker_io w[NREACTORS * PER_REACTOR];
	struct reactor *reactors[NREACTORS];
	struct bdev_chan *chans[NREACTORS];
	struct errbuf eb = { "" };

	ctrlr_opts.queues_max = 2;
	rig_open(make);
	memset(w, 0, sizeof(w));
	for (unsigned i = 0; i < NREACTORS; i++) {
		const struct reactor_opts ro = { .name = "data", .cpu = -1 };

		assert_int_equal(reactor_create(&ro, &reactors[i]), 0);
		assert_int_equal(reactor_start(reactors[i]), 0);
		assert_int_equal(bdev_chan_get(rig.bdev, reactors[i], &chans[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker_io){ .chan = chans[i % NREACTORS],
					   .left = 300,
					   .buf = buf_of(i),
					   .off = (uint64_t)i << 18 };
		w[i].off &= ~((1ull << 18) - 1);
		reactor_call(reactors[i % NREACTORS], worker_start_io, &w[i]);
	}
	if (with_reset)
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(nvme_ctrlr_reset(rig.c, false, &eb), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		for (uint64_t n = 0;
		     n < TURNS_MAX && !__atomic_load_n(&w[i].done, __ATOMIC_ACQUIRE); n++)
			reactor_turn(rig.r);
		assert_int_equal(w[i].done, 1);
		assert_int_equal(w[i].nfailed, 0);
	}
	for (unsigned i = 0; i < NREACTORS; i++)
		bdev_chan_put(chans[i]);
	rig_release();
	for (unsigned i = 0; i < NREACTORS; i++) {
		reactor_stop(reactors[i]);
		reactor_join(reactors[i]);
		reactor_destroy(reactors[i]);
	}
	rig_fini();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void more_reactors_than_queues(void **state)
{
	many_reactors(shuffling, false);
	many_reactors(one_queue, false);
}

static void more_reactors_than_queues_and_resets(void **state)
{
	many_reactors(shuffling, true);
}

/* A device that gives fewer queues after a reset: none is left for set-up threads, and the last is in use. */
static void the_last_queue_is_nobody_elses(void **state)
{
	const struct reactor_opts ro = { .name = "data", .cpu = -1 };
	struct bdev_chan *chan;
	struct reactor *r;

	rig_open(with_dbbuf);
	assert_int_equal(reactor_create(&ro, &r), 0);
	assert_int_equal(reactor_start(r), 0);
	assert_int_equal(bdev_chan_get(rig.bdev, r, &chan), 0);
	pthread_mutex_lock(&rig.f.lock);
	rig.f.queues_max = 2;
	pthread_mutex_unlock(&rig.f.lock);
	assert_int_equal(nvme_ctrlr_reset(rig.c, false, NULL), 0);
	assert_int_equal(nvme_bdev_peek(rig.c, 1, 0, buf_of(0), IO_BYTES), -EBUSY);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	bdev_chan_put(chan);
	rig_release();
	reactor_stop(r);
	reactor_join(r);
	reactor_destroy(r);
	rig_fini();
}

/* One timeout of the admin queue is enough to know it. */
static void a_silent_device_is_not_asked_for_each_queue(void **state)
{
	struct reactor *reactors[NREACTORS];
	struct bdev_chan *chans[NREACTORS];

	rig_open(NULL);
	for (unsigned i = 0; i < NREACTORS; i++) {
		const struct reactor_opts ro = { .name = "data", .cpu = -1 };

		assert_int_equal(reactor_create(&ro, &reactors[i]), 0);
		assert_int_equal(reactor_start(reactors[i]), 0);
		assert_int_equal(bdev_chan_get(rig.bdev, reactors[i], &chans[i]), 0);
	}
	for (unsigned i = 0; i < NREACTORS; i++)
		bdev_chan_put(chans[i]);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .is_admin = true,
							.any_opc = true,
							.count = 100,
							.deed = FAKE_NVME_SILENT });
	patience(300);
	rig_release();
	assert_int_equal(rig.f.rules[0].count, 99);
	for (unsigned i = 0; i < NREACTORS; i++) {
		reactor_stop(reactors[i]);
		reactor_join(reactors[i]);
		reactor_destroy(reactors[i]);
	}
	rig_fini();
}

/* Holds the life of the controller with a command that is not answered. */
static void *hold_main(void *arg)
{
	static uint8_t block[512];
	struct nvme_passthru cmd = {
		.opc = NVME_NVM_READ, .nsid = 1, .data = block, .data_bytes = sizeof(block)
	};

	*(int *)arg = nvme_ctrlr_io_passthru(rig.c, &cmd);
	return NULL;
}

/* Queues that are asked for while something else is going on are made by the keeper, all of them. */
static void late_queues(unsigned nrefused)
{
	enum {
		NLATE = 3
	};
	static struct worker_io w[NLATE];
	struct reactor *reactors[NLATE];
	struct bdev_chan *chans[NLATE];
	pthread_t holder;
	int held_err = -1;

	rig_open(NULL);
	memset(w, 0, sizeof(w));
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){
				       .any_opc = true, .count = 1, .deed = FAKE_NVME_SILENT });
	assert_int_equal(pthread_create(&holder, NULL, hold_main, &held_err), 0);
	while (fake_nvme_count(&rig.f, &rig.f.nheld) < 1)
		reactor_turn(rig.r);
	for (unsigned i = 0; i < NLATE; i++) {
		const struct reactor_opts ro = { .name = "data", .cpu = -1 };

		assert_int_equal(reactor_create(&ro, &reactors[i]), 0);
		assert_int_equal(reactor_start(reactors[i]), 0);
		assert_int_equal(bdev_chan_get(rig.bdev, reactors[i], &chans[i]), 0);
		w[i] = (struct worker_io){
			.chan = chans[i], .left = 10, .buf = buf_of(i), .off = (uint64_t)i << 20
		};
		reactor_call(reactors[i], worker_start_io, &w[i]);
	}
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .is_admin = true,
							.opc = NVME_ADM_CREATE_SQ,
							.skip = 1,
							.count = nrefused,
							.deed = FAKE_NVME_STATUS,
							.status = NVME_SC_INTERNAL });
	fake_nvme_release(&rig.f);
	for (unsigned i = 0; i < NLATE; i++) {
		for (uint64_t n = 0;
		     n < TURNS_MAX && !__atomic_load_n(&w[i].done, __ATOMIC_ACQUIRE); n++)
			reactor_turn(rig.r);
		assert_int_equal(w[i].done, 1);
		assert_int_equal(w[i].nfailed, 0);
	}
	(void)pthread_join(holder, NULL);
	assert_int_equal(held_err, 0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 1 + nrefused);
	for (unsigned i = 0; i < NLATE; i++)
		bdev_chan_put(chans[i]);
	rig_release();
	for (unsigned i = 0; i < NLATE; i++) {
		reactor_stop(reactors[i]);
		reactor_join(reactors[i]);
		reactor_destroy(reactors[i]);
	}
	rig_fini();
}

static void queues_that_come_late_all_run(void **state)
{
	late_queues(0);
	late_queues(1);
}

/* A reactor that has no queue when the controller fails: its I/O ends with errors, too. */
static void who_comes_to_a_failed_controller_is_told(void **state)
{
	const struct reactor_opts ro = { .name = "data", .cpu = -1 };
	struct worker_io w = { .left = 10, .buf = buf_of(0) };
	struct reactor *reactor;

	rig_open(NULL);
	fake_nvme_remove(&rig.f, true);
	wait_state(NVME_CTRLR_FAILED);
	assert_int_equal(reactor_create(&ro, &reactor), 0);
	assert_int_equal(reactor_start(reactor), 0);
	assert_int_equal(bdev_chan_get(rig.bdev, reactor, &w.chan), 0);
	reactor_call(reactor, worker_start_io, &w);
	for (uint64_t n = 0; n < TURNS_MAX && !__atomic_load_n(&w.done, __ATOMIC_ACQUIRE); n++)
		reactor_turn(rig.r);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.nfailed, 10);
	bdev_chan_put(w.chan);
	rig_release();
	reactor_stop(reactor);
	reactor_join(reactor);
	reactor_destroy(reactor);
	rig_fini();
}

static void released(void *arg)
{
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
}

static void the_controller_is_given_back_behind_the_disk(void **state)
{
	struct errbuf eb = { "" };
	bool is_released = false;
	struct bdev *bdev;

	rig_open(NULL);
	assert_int_equal(nvme_bdev_open(rig.c, 1,
					&(struct nvme_bdev_opts){ .release = released,
								  .release_arg = &is_released },
					&bdev, &eb),
			 0);
	close_bdev(bdev);
	for (uint64_t n = 0; n < TURNS_MAX && !__atomic_load_n(&is_released, __ATOMIC_ACQUIRE); n++)
		reactor_turn(rig.r);
	assert_true(is_released);
	for (unsigned n = 0; n < 1000; n++) {
		usleep(10);
		reactor_turn(rig.r);
	}
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_operation_does_what_it_says),
		cmocka_unit_test(data_survives_all_shapes),
		cmocka_unit_test(shadow_doorbells_spare_the_device),
		cmocka_unit_test(doorbells_are_rung_once_for_many),
		cmocka_unit_test(opening_says_what_is_wrong),
		cmocka_unit_test(a_write_protected_namespace_is_read_only),
		cmocka_unit_test(a_part_lies_where_it_should),
		cmocka_unit_test(memory_that_no_device_reaches_is_an_error),
		cmocka_unit_test(a_resize_reaches_the_listeners),
		cmocka_unit_test(a_format_with_other_blocks_stops_the_disk),
		cmocka_unit_test(more_reactors_than_queues),
		cmocka_unit_test(more_reactors_than_queues_and_resets),
		cmocka_unit_test(queues_that_come_late_all_run),
		cmocka_unit_test(who_comes_to_a_failed_controller_is_told),
		cmocka_unit_test(the_last_queue_is_nobody_elses),
		cmocka_unit_test(commands_given_up_end_in_a_reset),
		cmocka_unit_test(a_silent_device_is_not_asked_for_each_queue),
		cmocka_unit_test(a_look_during_a_reset_waits_for_its_end),
		cmocka_unit_test(a_size_that_changed_before_a_reset_is_noticed),
		cmocka_unit_test(the_controller_is_given_back_behind_the_disk),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
