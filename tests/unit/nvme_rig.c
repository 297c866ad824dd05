/* SPDX-License-Identifier: BSD-3-Clause */
/* The rig of the tests of NVMe disks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"
#include "tests/unit/nvme_rig.h"

struct nvme_rig rig;
struct nvme_ctrlr_opts ctrlr_opts;
unsigned nerrors, nwarnings;

static void count_errors(enum log_level level, const char *tag, const char *text)
{
	if (level == LOG_LEVEL_ERROR)
		(void)__atomic_fetch_add(&nerrors, 1, __ATOMIC_RELAXED);
	else if (level == LOG_LEVEL_WARN)
		(void)__atomic_fetch_add(&nwarnings, 1, __ATOMIC_RELAXED);
}

char *buf_of(unsigned i)
{
	return (char *)rig.mem.va + i * IO_BYTES;
}

static void on_resized(struct bdev_listener *l)
{
	rig.nresized++;
}

void rig_open_with(void (*make)(struct fake_nvme *f), const struct nvme_bdev_opts *opts,
		   enum reactor_mode mode)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1, .mode = mode };
	struct errbuf eb = { "" };

	memset(&rig, 0, sizeof(rig));
	nerrors = 0;
	nwarnings = 0;
	log_set_sink(count_errors);
	assert_int_equal(reactor_create(&ro, &rig.r), 0);
	reactor_adopt(rig.r);
	assert_int_equal(hugemem_alloc(&rig.mem, 8u << 20, "test"), 0);
	assert_int_equal(hugemem_dma_add(&rig.mem), 0);
	fake_nvme_init(&rig.f, BLOCKS);
	if (make)
		make(&rig.f);
	fake_nvme_start(&rig.f);
	ctrlr_opts.control = rig.r;
	if (nvme_ctrlr_open(&rig.f.hw, &ctrlr_opts, &rig.c, &eb))
		fail_msg("%s", eb.text);
	if (nvme_bdev_open(rig.c, 1, opts, &rig.bdev, &eb))
		fail_msg("%s", eb.text);
	bdev_listener_add(rig.bdev, &rig.listener, on_resized);
	assert_int_equal(bdev_chan_get(rig.bdev, rig.r, &rig.chan), 0);
	reactor_turn(rig.r);
}

void rig_open(void (*make)(struct fake_nvme *f))
{
	rig_open_with(make, &(struct nvme_bdev_opts){ 0 }, REACTOR_POLL);
}

void set_true(void *arg)
{
	*(bool *)arg = true;
}

struct closing {
	pthread_t thread;
	bool done;
};

static void *close_main(void *arg)
{
	struct closing *cl = arg;

	nvme_ctrlr_close(rig.c);
	__atomic_store_n(&cl->done, true, __ATOMIC_RELEASE);
	return NULL;
}

void rig_release(void)
{
	struct closing cl = { 0 };
	bool closed = false;

	if (rig.chan)
		bdev_chan_put(rig.chan);
	bdev_close(rig.bdev, set_true, &closed);
	for (uint64_t i = 0; i < TURNS_MAX && !closed; i++)
		reactor_turn(rig.r);
	assert_true(closed);
	/* as in the product: on a thread that may wait */
	assert_int_equal(pthread_create(&cl.thread, NULL, close_main, &cl), 0);
	while (!__atomic_load_n(&cl.done, __ATOMIC_ACQUIRE))
		reactor_turn(rig.r);
	(void)pthread_join(cl.thread, NULL);
	for (unsigned i = 0; i < 10; i++)
		reactor_turn(rig.r);
}

void rig_fini(void)
{
	assert_int_equal(fake_nvme_fini(&rig.f), 0);
	hugemem_dma_del(&rig.mem);
	hugemem_free(&rig.mem);
	assert_int_equal(dma_region_count(), 0);
	reactor_destroy(rig.r);
	log_set_sink(NULL);
}

void rig_close(void)
{
	rig_release();
	rig_fini();
}

void on_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);

	assert_ptr_equal(reactor_self(), bio->chan->reactor);
	io->ndone++;
}

void start_on(struct bdev_chan *chan, struct io *io, enum bio_op op, uint64_t off, void *buf,
	      uint64_t len)
{
	io->ndone = 0;
	io->iov[0] = (struct iovec){ buf, len };
	io->bio = (struct bio){ .op = (uint8_t)op,
				.off = off,
				.len = len,
				.iov = io->iov,
				.done = on_done,
				.flags = io->bio.flags };
	io->bio.iovcnt = op == BIO_READ || op == BIO_WRITE;
	bdev_submit(chan, &io->bio);
	assert_int_equal(io->ndone, 0);
}

void start(unsigned i, enum bio_op op, uint64_t off, void *buf, uint64_t len)
{
	rig.io[i].bio.flags = 0;
	start_on(rig.chan, &rig.io[i], op, off, buf, len);
}

/* A command ages by the reactor's clock: the device has seen it before it is old, whatever else the
 * machine does. */
static void turn(void)
{
	static uint64_t kept_up_ns;

	reactor_turn(rig.r);
	if (mono_ns() - kept_up_ns < MONO_NS_PER_MS)
		return;
	fake_nvme_keep_up(&rig.f);
	kept_up_ns = mono_ns();
}

void wait_for(unsigned i)
{
	for (uint64_t n = 0; n < TURNS_MAX && !rig.io[i].ndone; n++)
		turn();
	assert_int_equal(rig.io[i].ndone, 1);
}

int do_io(enum bio_op op, uint64_t off, void *buf, uint64_t len)
{
	start(0, op, off, buf, len);
	wait_for(0);
	return rig.io[0].bio.status;
}

void wait_state(enum nvme_ctrlr_state state)
{
	for (uint64_t n = 0; n < TURNS_MAX && nvme_ctrlr_state(rig.c) != state; n++)
		turn();
	assert_int_equal(nvme_ctrlr_state(rig.c), state);
}

void fill(char *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(rand_r(&seed) >> 8);
}
