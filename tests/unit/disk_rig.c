/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk opened by URI on a reactor of the test's own thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/disk_rig.h"

#define MODEL_DEPTH 16
#define MODEL_BYTES (4u << 20)	 /* of the disk that are looked at */
#define TURNS_MAX   1000000000ull /* a test that hangs ends one day, on any machine */

void rig_init(struct disk_rig *rig)
{
	struct reactor_opts o = { .name = "test", .cpu = -1, .mode = REACTOR_POLL };

	memset(rig, 0, sizeof(*rig));
	mono_init();
	assert_int_equal(reactor_create(&o, &rig->r), 0);
	reactor_adopt(rig->r);
}

void rig_turn(struct disk_rig *rig, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++)
		(void)reactor_turn(rig->r);
}

void rig_fini(struct disk_rig *rig)
{
	if (rig->bdev)
		return; /* the test failed in the middle */
	rig_turn(rig, 50); /* what closes behind another */
	reactor_adopt(NULL);
	reactor_destroy(rig->r);
}

int rig_try(struct disk_rig *rig, const char *uri, struct bdev_open_opts opts, struct errbuf *eb)
{
	opts.control = rig->r;
	rig->bdev = NULL;
	return bdev_open(uri, &opts, &rig->bdev, eb);
}

void rig_chan(struct disk_rig *rig)
{
	assert_int_equal(bdev_chan_get(rig->bdev, rig->r, &rig->chan), 0);
	rig_turn(rig, 4);
}

void rig_open(struct disk_rig *rig, const char *uri)
{
	struct errbuf eb = { "" };

	if (rig_try(rig, uri, (struct bdev_open_opts){ 0 }, &eb))
		fail_msg("%s", eb.text);
	rig_chan(rig);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

void rig_close(struct disk_rig *rig)
{
	bool closed = false;

	if (rig->chan)
		bdev_chan_put(rig->chan);
	bdev_close(rig->bdev, set_true, &closed);
	for (uint64_t i = 0; i < TURNS_MAX && !closed; i++)
		rig_turn(rig, 1);
	assert_true(closed);
	rig_turn(rig, 20);
	rig->chan = NULL;
	rig->bdev = NULL;
}

static void io_done(struct bio *bio)
{
	static unsigned order;
	bool listed = bio->flags & BIO_LISTED;

	do {
		struct rig_io *io = container_of(bio, struct rig_io, bio);

		io->ndone++;
		io->order = order++;
		bio = bio->next;
	} while (listed && bio);
}

void rig_submit(struct disk_rig *rig, struct rig_io *io)
{
	rig_submit_iov(rig, io, io->iov);
}

void rig_submit_iov(struct disk_rig *rig, struct rig_io *io, struct iovec *iov)
{
	io->ndone = 0;
	io->bio.done = io_done;
	io->bio.iov = iov;
	bdev_submit(rig->chan, &io->bio);
	assert_int_equal(io->ndone, 0);
}

void rig_start(struct disk_rig *rig, struct rig_io *io, enum bio_op op, uint64_t off, void *buf,
	       uint64_t len)
{
	memset(io, 0, sizeof(*io));
	io->bio.op = (uint8_t)op;
	io->bio.off = off;
	io->bio.len = len;
	if (op == BIO_READ || op == BIO_WRITE) {
		io->bio.iovcnt = 1;
		io->iov[0] = (struct iovec){ buf, len };
	}
	rig_submit(rig, io);
}

int rig_wait(struct disk_rig *rig, struct rig_io *io)
{
	for (uint64_t i = 0; i < TURNS_MAX && !io->ndone; i++)
		(void)reactor_turn(rig->r);
	assert_int_equal(io->ndone, 1);
	return io->bio.status;
}

int rig_io(struct disk_rig *rig, enum bio_op op, unsigned flags, uint64_t off, void *buf,
	   uint64_t len)
{
	struct rig_io io = { .iov = { { buf, len } } };

	io.bio.op = (uint8_t)op;
	io.bio.flags = (uint8_t)flags;
	io.bio.off = off;
	io.bio.len = len;
	io.bio.iovcnt = op == BIO_READ || op == BIO_WRITE;
	rig_submit(rig, &io);
	return rig_wait(rig, &io);
}

int rig_rw(struct disk_rig *rig, enum bio_op op, uint64_t off, void *buf, uint64_t len)
{
	return rig_io(rig, op, 0, off, buf, len);
}

struct resized {
	bool done;
	int err;
	struct errbuf *eb;
};

static void resize_done(void *arg, int err, const char *why)
{
	struct resized *res = arg;

	res->done = true;
	res->err = err;
	if (err)
		(void)errbuf_set(res->eb, err, "%s", why ? why : "");
}

int rig_resize(struct disk_rig *rig, uint64_t bytes, struct errbuf *eb)
{
	struct resized res = { .eb = eb };

	bdev_resize(rig->bdev, bytes, resize_done, &res);
	for (uint64_t i = 0; i < TURNS_MAX && !res.done; i++)
		(void)reactor_turn(rig->r);
	assert_true(res.done);
	return res.err;
}

struct model_io {
	struct rig_io io;
	char *mem; /* allocation around the buffers */
	size_t used;
};

static uint64_t pick(unsigned *seed, uint64_t n)
{
	return ((uint64_t)rand_r(seed) << 16 ^ (uint64_t)rand_r(seed)) % n;
}

/* Cuts @len bytes into pieces at random places with gaps between, each at any address. */
static void cut(struct model_io *m, uint64_t len, bool easy, unsigned *seed)
{
	unsigned pieces = 1 + (unsigned)(pick(seed, 3) ? pick(seed, 4) : pick(seed, RIG_IOVS_MAX));
	bool aligned = easy || pick(seed, 2);
	char *p;

	if (aligned)
		pieces = 1;
	assert_int_equal(posix_memalign((void **)&m->mem, 4096, len + RIG_IOVS_MAX * 16 + 4096), 0);
	p = m->mem + (aligned ? 0 : pick(seed, 4096));
	m->io.bio.iovcnt = 0;
	while (len) {
		uint64_t n = m->io.bio.iovcnt + 1u == pieces ? len : 1 + pick(seed, len);

		m->io.iov[m->io.bio.iovcnt++] = (struct iovec){ p, n };
		len -= n;
		p += n + pick(seed, 16);
	}
}

static void fill(const struct rig_io *io, unsigned *seed)
{
	for (unsigned i = 0; i < io->bio.iovcnt; i++) {
		for (size_t j = 0; j < io->iov[i].iov_len; j++)
			((char *)io->iov[i].iov_base)[j] = (char)(rand_r(seed) >> 8);
	}
}

/* Effect of the operation on the copy, or for reads the comparison. */
static void model_apply(const struct rig_io *io, char *copy)
{
	char *at = copy + io->bio.off;

	if (io->bio.op == BIO_DISCARD || io->bio.op == BIO_WRITE_ZEROES)
		memset(at, 0, io->bio.len);
	for (unsigned i = 0; i < io->bio.iovcnt; i++) {
		if (io->bio.op == BIO_WRITE)
			memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
		else if (memcmp(at, io->iov[i].iov_base, io->iov[i].iov_len))
			fail_msg("read of %llu bytes at %llu differs in piece %u",
				 (unsigned long long)io->bio.len, (unsigned long long)io->bio.off,
				 i);
		at += io->iov[i].iov_len;
	}
}

/* A random operation within [from, to); @easy: one that most devices take as it is. */
static void model_fill(struct disk_rig *rig, struct model_io *m, uint64_t from, uint64_t to,
		       bool easy, unsigned *seed)
{
	static const enum bio_op ops[] = { BIO_READ,  BIO_READ,	   BIO_READ,
					   BIO_WRITE, BIO_WRITE,   BIO_WRITE,
					   BIO_FLUSH, BIO_DISCARD, BIO_WRITE_ZEROES };
	uint64_t block = rig->bdev->lim.block_bytes, n = (to - from) / block;
	struct bio *bio = &m->io.bio;

	memset(m, 0, sizeof(*m));
	bio->op = (uint8_t)ops[pick(seed, easy ? 6 : ARRAY_SIZE(ops))];
	bio->off = from + pick(seed, n) * block;
	bio->len = (1 + pick(seed, (to - bio->off) / block)) * block;
	if ((easy || pick(seed, 4)) && bio->len > 16 * block)
		bio->len = (1 + pick(seed, 16)) * block;
	if (bio->op == BIO_WRITE && !pick(seed, 4))
		bio->flags = BIO_FUA;
	if (bio->op == BIO_WRITE_ZEROES)
		bio->flags = (uint8_t)((pick(seed, 2) ? BIO_FUA : 0) |
				       (pick(seed, 2) ? BIO_NOUNMAP : 0));
	if (bio->op == BIO_READ || bio->op == BIO_WRITE)
		cut(m, bio->len, easy, seed);
	if (bio->op == BIO_WRITE)
		fill(&m->io, seed);
}

/* One by one, or as a batch; those of a batch may come back listed. */
static void model_submit(struct disk_rig *rig, struct model_io *ios, unsigned n, bool batched,
			 unsigned *seed)
{
	struct bio_queue bios;
	struct bdev_batch batch = bdev_batch_begin(rig->chan, &bios);

	for (unsigned i = 0; i < n; i++) {
		struct rig_io *io = &ios[i].io;

		if (!batched) {
			rig_submit(rig, io);
			continue;
		}
		io->bio.done = io_done;
		io->bio.iov = io->iov;
		if (pick(seed, 4))
			io->bio.flags |= BIO_LISTED;
		bdev_batch_add(&batch, &io->bio);
	}
	bdev_batch_submit(&batch);
}

void rig_model(struct disk_rig *rig, unsigned seed, unsigned rounds)
{
	uint64_t bytes = CC_MIN(bdev_bytes(rig->bdev), MODEL_BYTES);
	uint64_t block = rig->bdev->lim.block_bytes;
	static struct model_io ios[MODEL_DEPTH];
	char *copy = calloc(1, bytes);

	assert_non_null(copy);
	assert_int_equal(rig_io(rig, BIO_WRITE_ZEROES, 0, 0, NULL, bytes), 0);
	for (unsigned round = 0; round < rounds; round++) {
		/* Neighbours that do not overlap: each has its own stretch of the disk. */
		unsigned n = 1 + (unsigned)pick(&seed, MODEL_DEPTH);
		uint64_t stretch = bytes / block / n * block;

		for (unsigned i = 0; i < n; i++)
			model_fill(rig, &ios[i], i * stretch, (i + 1) * stretch, round % 4 == 1,
				   &seed);
		model_submit(rig, ios, n, round % 2, &seed);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(rig_wait(rig, &ios[i].io), 0);
			model_apply(&ios[i].io, copy);
			free(ios[i].mem);
		}
	}
	free(copy);
}
