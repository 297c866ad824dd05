/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The namespace under a pool: a worker thread that reads or writes its table waits for the control reactor, where the I/O
 * runs. The control thread itself never waits.
 *
 *   worker: disk_io ─ message ─► control: io_begin ─ message ─► io_submit ─► bdev … io_done ─ semaphore ─► worker
 */
#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hugemem.h"
#include "drivers/catalogue.h"
#include "tools/nvringd/wiring_pool.h"

#define BUF_BYTES   (128u << 10)
#define PIECE_BYTES (UINT64_C(1) << 30) /* of what is zeroed or discarded: between two, nvringd may end */

struct wiring_pool_disk {
	struct wiring *w;
	struct bdev *bdev;
	struct bdev_chan *chan; /* on the control reactor, from the first I/O on */
	struct hugemem buf;
	/* One I/O at a time: the worker's until the message is sent, and again when the semaphore is up. */
	struct reactor_msg msg;
	struct bio bio;
	struct iovec iov;
	bool may_stop; /* not begun when nvringd ends */
	int status;
	sem_t ended;
};

/*
 * On the control reactor
 */

static void io_end(struct wiring_pool_disk *d, int status)
{
	d->status = status;
	sem_post(&d->ended);
}

static void io_done(struct bio *bio)
{
	io_end(container_of(bio, struct wiring_pool_disk, bio), bio->status);
}

static void io_submit(struct reactor_msg *msg)
{
	struct wiring_pool_disk *d = container_of(msg, struct wiring_pool_disk, msg);

	bdev_submit(d->chan, &d->bio);
}

static void io_begin(struct reactor_msg *msg)
{
	struct wiring_pool_disk *d = container_of(msg, struct wiring_pool_disk, msg);
	int err = d->may_stop && d->w->stopping ? -ECANCELED : 0;

	if (!err && !d->chan)
		err = bdev_chan_get(d->bdev, d->w->control, &d->chan);
	if (err)
		io_end(d, err);
	else
		reactor_send(d->w->control, &d->msg, io_submit); /* a new channel is usable from the next message on */
}

/*
 * On worker threads
 */

static int disk_io(struct wiring_pool_disk *d, enum bio_op op, uint64_t off, uint64_t len)
{
	d->iov = (struct iovec){ d->buf.va, (size_t)len };
	d->bio = (struct bio){ .op = (uint8_t)op, .off = off, .len = len, .done = io_done };
	if (op == BIO_READ || op == BIO_WRITE) {
		assert(len <= BUF_BYTES);
		d->bio.iov = &d->iov;
		d->bio.iovcnt = 1;
	}
	reactor_send(d->w->control, &d->msg, io_begin);
	while (sem_wait(&d->ended))
		; /* EINTR */
	return d->status;
}

static int disk_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct wiring_pool_disk *d = arg;
	int err = 0;

	for (size_t at = 0, n; at < len && !err; at += n) {
		n = CC_MIN(len - at, (size_t)BUF_BYTES);
		err = disk_io(d, BIO_READ, off + at, n);
		if (!err)
			memcpy((char *)buf + at, d->buf.va, n);
	}
	return err;
}

static int disk_write(void *arg, uint64_t off, const void *buf, size_t len)
{
	struct wiring_pool_disk *d = arg;
	int err = 0;

	for (size_t at = 0, n; at < len && !err; at += n) {
		n = CC_MIN(len - at, (size_t)BUF_BYTES);
		memcpy(d->buf.va, (const char *)buf + at, n);
		err = disk_io(d, BIO_WRITE, off + at, n);
	}
	return err;
}

static int disk_flush(void *arg)
{
	return disk_io(arg, BIO_FLUSH, 0, 0);
}

/* In pieces; nothing is lost when it ends between two. */
static int disk_pieces(struct wiring_pool_disk *d, enum bio_op op, uint64_t piece, uint64_t off, uint64_t len)
{
	int err = 0;

	d->may_stop = true;
	for (uint64_t at = 0, n; at < len && !err; at += n) {
		n = CC_MIN(len - at, piece);
		err = disk_io(d, op, off + at, n);
	}
	d->may_stop = false;
	return err;
}

static int disk_zero(void *arg, uint64_t off, uint64_t len)
{
	struct wiring_pool_disk *d = arg;

	if (d->bdev->lim.zeroes_max)
		return disk_pieces(d, BIO_WRITE_ZEROES, PIECE_BYTES, off, len);
	memset(d->buf.va, 0, BUF_BYTES);
	return disk_pieces(d, BIO_WRITE, BUF_BYTES, off, len);
}

static int disk_discard(void *arg, uint64_t off, uint64_t len)
{
	struct wiring_pool_disk *d = arg;

	return d->bdev->lim.discard_max ? disk_pieces(d, BIO_DISCARD, PIECE_BYTES, off, len) : 0;
}

static void disk_get_size(void *arg, uint32_t *ret_block_bytes, uint64_t *ret_blocks)
{
	const struct wiring_pool_disk *d = arg;

	*ret_block_bytes = d->bdev->lim.block_bytes;
	*ret_blocks = bdev_bytes(d->bdev) / d->bdev->lim.block_bytes;
}

struct pool_disk wiring_pool_disk_port(struct wiring_pool_disk *d)
{
	return (struct pool_disk){
		.read = disk_read,
		.write = disk_write,
		.flush = disk_flush,
		.zero = disk_zero,
		.discard = disk_discard,
		.get_size = disk_get_size,
		.arg = d,
	};
}

/*
 * Open and close, on the control thread
 */

static void disk_free(struct wiring_pool_disk *d)
{
	if (d->buf.va) {
		hugemem_dma_del(&d->buf);
		hugemem_free(&d->buf);
	}
	sem_destroy(&d->ended);
	free(d);
}

static void disk_closed(void *arg)
{
	struct wiring_pool_disk *d = arg;
	struct wiring *w = d->w;

	disk_free(d);
	w->busy--;
	wiring_step(w);
}

void wiring_pool_disk_close(struct wiring_pool_disk *d)
{
	d->w->busy++;
	if (d->chan)
		bdev_chan_put(d->chan);
	bdev_close(d->bdev, disk_closed, d);
}

/* Memory that the device reaches. */
static int make_buffer(struct wiring_pool_disk *d)
{
	int err = hugemem_alloc(&d->buf, BUF_BYTES, "nvring-pool");

	if (err)
		return err;
	err = hugemem_dma_add(&d->buf);
	if (err) {
		hugemem_free(&d->buf);
		d->buf.va = NULL;
	}
	return err;
}

int wiring_pool_disk_open(struct wiring *w, const struct config_pool *conf, struct wiring_pool_disk **ret,
			  struct errbuf *eb)
{
	struct wiring_pool_disk *d = calloc(1, sizeof(*d));
	struct bdev_open_opts opts = { .name = conf->name, .control = w->control, .lock_wait_ms = w->conf.lock_wait_ms };
	int err;

	if (!d)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	d->w = w;
	sem_init(&d->ended, 0, 0);
	err = make_buffer(d);
	if (err)
		(void)errbuf_set(eb, err, "no memory for the partition table: %s", strerror(-err));
	else
		err = bdev_open(conf->uri, &opts, &d->bdev, eb);
	if (err)
		disk_free(d);
	else
		*ret = d;
	return err;
}
