/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes completion entries: a device that posts anything at any time, into the completion queue of
 * an I/O queue with commands under way. Whatever it says, each I/O ends at most once, none of those
 * it has never seen ends, and when the controller is failed in the end, all do.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mono.h"
#include "core/bdev.h"
#include "core/hugemem.h"
#include "drivers/nvme/nvme_ctrlr.h"
#include "drivers/nvme/nvme_ioq.h"
#include "tests/unit/fake_nvme.h"

#define NIOS	 16u
#define IO_BYTES 4096u

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

struct io {
	struct bio bio;
	struct iovec iov;
	bool is_busy;
};

static struct fake_nvme fake; /* opened once; its controller is who the queue complains to */
static struct nvme_ctrlr *ctrlr;
static struct reactor *r;
static struct hugemem mem;
static struct io ios[NIOS];

/* A disk on a queue of our own, which no device knows. */
static struct nvme_ioq *ioq;
static struct nvme_target target;

static void quiet(enum log_level level, const char *tag, const char *text)
{
}

static void on_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);

	check(io->is_busy);
	io->is_busy = false;
}

static void start(struct bdev_chan *chan, unsigned i)
{
	struct io *io = &ios[i];

	if (io->is_busy)
		return;
	io->is_busy = true;
	io->iov = (struct iovec){ (char *)mem.va + i * IO_BYTES, IO_BYTES };
	io->bio = (struct bio){ .op = i & 1,
				.off = i * IO_BYTES,
				.len = IO_BYTES,
				.iov = &io->iov,
				.iovcnt = 1,
				.done = on_done };
	bdev_submit(chan, &io->bio);
}

/* Two bytes an action: post an entry (where, id, status, phase), start an I/O, or let the driver
 * look. */
static void play(struct bdev_chan *chan, const uint8_t *at, size_t left)
{
	struct nvme_cqe *cq = ioq->qp.cq;
	uint32_t size = ioq->qp.cq_mask + 1, tail = 0, lap = 0;

	while (left >= 4) {
		uint32_t word = at[1] | (uint32_t)at[2] << 8 | (uint32_t)at[3] << 16;

		switch (at[0] & 3) {
		case 0:
			start(chan, at[1] % NIOS);
			break;
		case 1:
			reactor_turn(r);
			break;
		case 2: /* as a device would: the next entry, an id it was given, mostly success */
			word = le16_get(ioq->qp.sq[at[1] & ioq->qp.sq_mask].cid);
			word ^= at[0] & 0x40 ? at[2] : 0;
			word |= (uint32_t) !(lap & 1) << 16;
			word |= at[0] & 0x80 ? (uint32_t)at[3] << 17 : 0;
			memcpy(&cq[tail].cid, &word, sizeof(word));
			if (++tail == size) {
				tail = 0;
				lap++;
			}
			break;
		case 3: /* anything anywhere near */
			word |= (uint32_t)(at[0] >> 2) << 24;
			memcpy(&cq[(tail + (at[0] >> 6)) % size].cid, &word, sizeof(word));
			break;
		}
		at += 4;
		left -= 4;
	}
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static int chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	nvme_tenant_init(&target.tenant);
	chan->drv = &target;
	return 0;
}

static void no_close(struct bdev *bdev)
{
}

static const struct bdev_ops ops = {
	.name = "fuzz",
	.close = no_close,
	.chan_create = chan_create,
	.submit = nvme_ioq_submit,
	.submit_batch = nvme_ioq_submit_batch,
};

static void init_once(void)
{
	const struct reactor_opts ro = { .name = "fuzz", .cpu = -1, .mode = REACTOR_POLL };
	struct nvme_ctrlr_opts co = { .queues_max = 1 };
	struct errbuf eb;

	if (r)
		return;
	log_set_sink(quiet);
	mono_init();
	check(!reactor_create(&ro, &r));
	reactor_adopt(r);
	check(!hugemem_alloc(&mem, NIOS * IO_BYTES, "fuzz") && !hugemem_dma_add(&mem));
	fake_nvme_init(&fake, 1024);
	fake_nvme_start(&fake);
	co.control = r;
	check(!nvme_ctrlr_open(&fake.hw, &co, &ctrlr, &eb));
}

static void queue_open(void)
{
	static const uint32_t retry_ms[4] = { 0, 1, 2, 3 };
	const struct nvme_ioq_opts o = {
		.qp = { .id = 3,
			.entries = 8,
			.entries_max = 16,
			.stride = FAKE_NVME_STRIDE,
			.list_bytes = 64 },
		.timeout_ns = 3600 * MONO_NS_PER_SEC,
		.retry_ms = retry_ms,
		.vector = -1,
		.irq_fd = -1,
	};

	check(!nvme_ioq_create(ctrlr, r, &o, &ioq) && !nvme_ioq_fill(ioq, &fake.hw));
	target = (struct nvme_target){ .ioq = ioq, .shift = 9, .nsid = 1 };
	nvme_ioq_attach(ioq);
	nvme_ioq_thaw(ioq);
}

/* As a controller that fails: what is under way ends. */
static void queue_close(struct bdev_chan *chan)
{
	nvme_ioq_freeze(ioq);
	nvme_ioq_kill(ioq);
	while (chan->inflight)
		reactor_turn(r);
	for (unsigned i = 0; i < NIOS; i++)
		check(!ios[i].is_busy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct bdev_limits lim = { .depth = 7, .buf_align = 4, .has_fua = true };
	struct bdev bdev = { 0 };
	struct bdev_chan *chan;
	bool closed = false;

	init_once();
	memset(ios, 0, sizeof(ios));
	queue_open();
	bdev.control = r;
	check(!bdev_init(&bdev, &ops, 1u << 20, &lim) && !bdev_chan_get(&bdev, r, &chan));
	reactor_turn(r);
	play(chan, bytes, size);
	queue_close(chan);
	bdev_chan_put(chan);
	bdev_close(&bdev, set_true, &closed);
	while (!closed)
		reactor_turn(r);
	nvme_ioq_detach(ioq);
	nvme_ioq_destroy(ioq);
	return 0;
}
