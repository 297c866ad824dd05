/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake block device of the unit tests. */
#include "tests/unit/fake_bdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_bdev *fake_of(struct bdev *bdev)
{
	return container_of(bdev, struct fake_bdev, bdev);
}

static bool crosses(uint64_t off, uint64_t len, uint64_t boundary)
{
	return boundary && len && off / boundary != (off + len - 1) / boundary;
}

static bool is_legal(const struct bdev_limits *l, uint64_t bytes, const struct bio *bio)
{
	uint64_t max = bio->op == BIO_DISCARD	     ? l->discard_max
		       : bio->op == BIO_WRITE_ZEROES ? l->zeroes_max
						     : l->bytes_max;
	uint64_t sum = 0;

	if (bio->op == BIO_FLUSH)
		return l->has_flush;
	if (bio->len == 0 || bio->len > max || (bio->off | bio->len) % l->block_bytes ||
	    bio->off + bio->len > bytes ||
	    (bio->op <= BIO_WRITE && crosses(bio->off, bio->len, l->boundary_bytes)))
		return false;
	if ((bio->flags & BIO_FUA) && bio->op != BIO_READ && !l->has_fua && l->has_flush)
		return false;
	if (bio->op != BIO_READ && l->read_only)
		return false;
	if (bio->op != BIO_READ && bio->op != BIO_WRITE)
		return true;
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		if (((uintptr_t)bio->iov[i].iov_base | bio->iov[i].iov_len) % l->buf_align)
			return false;
		sum += bio->iov[i].iov_len;
	}
	if (l->seam_bytes && bio_seam_bits(bio) % l->seam_bytes)
		return false;
	return sum == bio->len && bio->iovcnt <= l->iovs_max;
}

static void fake_trace(struct fake_bdev *f, const struct bio *bio)
{
	size_t n = strlen(f->trace);

	(void)snprintf(f->trace + n, sizeof(f->trace) - n, "%c%s%s %llu+%llu\n", "RWFDZ"[bio->op],
		       (bio->flags & BIO_FUA) ? "!" : "", (bio->flags & BIO_NOUNMAP) ? "~" : "",
		       (unsigned long long)bio->off, (unsigned long long)bio->len);
}

static void fake_do(struct fake_bdev *f, struct bio *bio)
{
	uint64_t at = bio->off;

	if (!f->data)
		return;
	if (bio->op == BIO_DISCARD || bio->op == BIO_WRITE_ZEROES) {
		memset(f->data + at, 0, bio->len);
		return;
	}
	for (unsigned i = 0; bio->op != BIO_FLUSH && i < bio->iovcnt; i++) {
		if (bio->op == BIO_READ)
			memcpy(bio->iov[i].iov_base, f->data + at, bio->iov[i].iov_len);
		else
			memcpy(f->data + at, bio->iov[i].iov_base, bio->iov[i].iov_len);
		at += bio->iov[i].iov_len;
	}
}

static void fake_submit(struct bdev_chan *chan, struct bio *bio)
{
	struct fake_bdev *f = fake_of(chan->bdev);

	f->nsubmits++;
	f->violations += !is_legal(&chan->bdev->lim, chan->bdev->bytes, bio);
	fake_trace(f, bio);
	memset(bio->drv, 0xdd, sizeof(bio->drv)); /* the driver's while it holds the bio */
	if (f->auto_later) {
		if (f->fail_with == 0)
			fake_do(f, bio);
		if (f->fail_with < 0 && f->fails_path)
			bdev_path_failed(bio, f->fail_with);
		else
			bdev_complete_later(bio, f->fail_with);
		return;
	}
	f->held[f->nheld++] = bio;
	f->nheld_max = CC_MAX(f->nheld_max, f->nheld);
	f->violations += f->nheld > chan->depth;
}

static void fake_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	struct bio *bio;

	fake_of(chan->bdev)->nbatches++;
	while ((bio = bio_queue_pop(bios)) != NULL)
		fake_submit(chan, bio);
}

void fake_end(struct fake_bdev *f, unsigned i)
{
	struct bio *bio = f->held[i];

	f->held[i] = f->held[--f->nheld];
	if (f->fail_with == 0)
		fake_do(f, bio);
	if (f->fail_with < 0 && f->fails_path)
		bdev_path_failed(bio, f->fail_with);
	else
		bdev_complete(bio, f->fail_with);
}

static void fake_close(struct bdev *bdev)
{
	struct fake_bdev *f = fake_of(bdev);

	f->nclosed++;
	free(f->data);
	f->data = NULL;
}

static int fake_chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	fake_of(bdev)->ncreated++;
	return 0;
}

static void fake_chan_destroy(struct bdev *bdev, struct bdev_chan *chan)
{
	fake_of(bdev)->ndestroyed++;
}

static void fake_chan_start(struct bdev_chan *chan)
{
	fake_of(chan->bdev)->nstarted++;
}

static void fake_chan_stop(struct bdev_chan *chan)
{
	fake_of(chan->bdev)->nstopped++;
}

static int fake_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	if (fake_of(bdev)->resize_fails)
		return errbuf_set(eb, -ENOSPC, "no room");
	*ret_bytes = bytes ? bytes : bdev->bytes;
	return 0;
}

static const struct bdev_ops fake_ops = {
	.name = "fake",
	.close = fake_close,
	.chan_create = fake_chan_create,
	.chan_destroy = fake_chan_destroy,
	.chan_start = fake_chan_start,
	.chan_stop = fake_chan_stop,
	.submit = fake_submit,
	.submit_batch = fake_submit_batch,
	.resize = fake_resize,
};

int fake_open(struct fake_bdev *f, struct reactor *control, uint64_t bytes,
	      const struct bdev_limits *lim)
{
	memset(f, 0, sizeof(*f));
	f->bdev.control = control;
	memcpy(f->bdev.name, "fake0", sizeof("fake0"));
	f->data = calloc(1, bytes ? bytes : 1);
	return bdev_init(&f->bdev, &fake_ops, bytes, lim);
}

struct rig rig;

static void rig_done_one(struct bio *bio)
{
	struct rig_io *io = container_of(bio, struct rig_io, bio);

	rig.violations += rig.in_submit;
	rig.violations += io->done != 0;
	rig.violations += reactor_self() != rig.r;
	io->done++;
	rig.ndone++;
}

static void rig_done(struct bio *bio)
{
	unsigned n = 0;

	if (!(bio->flags & BIO_LISTED)) {
		rig_done_one(bio);
		return;
	}
	rig.violations += bio->next && bio->status;
	for (struct bio *b = bio; b; b = b->next, n++) {
		rig.violations += b->op != bio->op || b->flags != bio->flags ||
				  b->status != bio->status || b->done != bio->done;
		rig_done_one(b);
	}
	if (rig.ncalls < ARRAY_SIZE(rig.listed))
		rig.listed[rig.ncalls] = n;
	rig.ncalls++;
}

void rig_submit_batch(struct rig_io *ios, unsigned n)
{
	struct bio_queue bios;
	struct bdev_batch batch = bdev_batch_begin(rig.chan, &bios);

	for (unsigned i = 0; i < n; i++) {
		ios[i].bio.done = rig_done;
		ios[i].done = 0;
		bdev_batch_add(&batch, &ios[i].bio);
	}
	rig.in_submit = true;
	bdev_batch_submit(&batch);
	rig.in_submit = false;
}

void rig_submit(struct rig_io *io)
{
	io->bio.done = rig_done;
	io->done = 0;
	rig.in_submit = true;
	bdev_submit(rig.chan, &io->bio);
	rig.in_submit = false;
}

static int rig_open_as(const struct bdev_limits *lim, bool merges)
{
	struct reactor_opts o = { .name = "rig", .cpu = -1 };
	int err;

	memset(&rig, 0, sizeof(rig));
	err = reactor_create(&o, &rig.r);
	if (err)
		return err;
	reactor_adopt(rig.r);
	err = fake_open(&rig.fake, rig.r, RIG_BYTES, lim);
	rig.fake.bdev.merges = merges;
	if (!err)
		err = bdev_chan_get(&rig.fake.bdev, rig.r, &rig.chan);
	if (err) {
		free(rig.fake.data);
		reactor_destroy(rig.r);
		return err;
	}
	reactor_turn(rig.r);
	return 0;
}

int rig_open(const struct bdev_limits *lim)
{
	return rig_open_as(lim, false);
}

int rig_open_merging(const struct bdev_limits *lim)
{
	return rig_open_as(lim, true);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

unsigned rig_close(void)
{
	const struct fake_bdev *f = &rig.fake;
	bool closed = false;

	bdev_chan_put(rig.chan);
	bdev_close(&rig.fake.bdev, set_true, &closed);
	rig.violations += closed;
	for (unsigned i = 0; i < 10 && !closed; i++)
		reactor_turn(rig.r);
	rig.violations += !closed || f->nclosed != 1 || f->nstarted != f->ncreated ||
			  f->nstopped != f->nstarted || f->ndestroyed != f->ncreated;
	reactor_destroy(rig.r);
	return rig.violations + f->violations;
}

void rig_settle(void)
{
	do {
		while (rig.fake.nheld)
			fake_end(&rig.fake, (unsigned)rand() % rig.fake.nheld);
		reactor_turn(rig.r);
	} while (rig.fake.nheld || rig.r->dirty_first);
}
