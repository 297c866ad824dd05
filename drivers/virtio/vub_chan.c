/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path: one queue for each channel.
 *
 *   submit ─► [copy] ─► virtio_user_submit ─── flush: virtio_user_flush ─► server
 *                    bdev_complete ◄─ [copy] ◄─ poll: virtio_user_poll ◄──┘
 *
 * Without a server: submit ─► held ─► submitted when it is back, or failed.
 */
#include "drivers/virtio/vub_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOG_TAG "virtio-user"
#include "core/base/linemem.h"
#include "core/base/log.h"

#define POLL_MAX 32 /* results in one poll */

static const enum virtio_user_op op_codes[BIO_OP_COUNT] = {
	[BIO_READ] = VIRTIO_USER_READ,
	[BIO_WRITE] = VIRTIO_USER_WRITE,
	[BIO_FLUSH] = VIRTIO_USER_FLUSH,
	[BIO_DISCARD] = VIRTIO_USER_DISCARD,
	[BIO_WRITE_ZEROES] = VIRTIO_USER_WRITE_ZEROES,
};

static bool has_data(const struct bio *bio)
{
	return bio->op <= BIO_WRITE;
}

static void copy_out(const struct bio *bio, char *buf)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		memcpy(buf, bio->iov[i].iov_base, bio->iov[i].iov_len);
		buf += bio->iov[i].iov_len;
	}
}

static void copy_in(const struct bio *bio, const char *buf)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		memcpy(bio->iov[i].iov_base, buf, bio->iov[i].iov_len);
		buf += bio->iov[i].iov_len;
	}
}

/* There is room in the queue: the channel is no deeper. */
static void io_submit(struct vub_chan *vc, struct bio *bio)
{
	struct vub_io *io = vc->free[--vc->nfree];
	struct iovec one = { io->buf, bio->len };
	bool data = has_data(bio);
	int err;

	io->bio = bio;
	io->is_copied = data && !vub_dma_reaches(vc->dev, bio);
	if (io->is_copied) {
		vc->chan->stats->bounces++;
		vc->chan->stats->bounced_bytes += bio->len;
	}
	if (io->is_copied && bio->op == BIO_WRITE)
		copy_out(bio, io->buf);
	err = virtio_user_submit(vc->q, op_codes[bio->op], bio->op == BIO_FLUSH ? 0 : bio->off,
				 bio->op == BIO_FLUSH ? 0 : bio->len, io->is_copied ? &one : bio->iov,
				 !data ? 0 : io->is_copied ? 1 : bio->iovcnt, io);
	if (cc_unlikely(err)) {
		io->bio = NULL;
		vc->free[vc->nfree++] = io;
		bdev_complete_later(bio, err == -ENOSPC ? -EIO : err);
		return;
	}
	poller_mark_dirty(&vc->poller);
}

void vub_chan_submit(struct bdev_chan *chan, struct bio *bio)
{
	struct vub_chan *vc = chan->drv;

	if (cc_unlikely(vc->state == VUB_WAITS)) {
		bio_queue_push(&vc->held, bio);
		return;
	}
	if (cc_unlikely(vc->state == VUB_FAILS)) {
		bdev_complete_later(bio, -EIO);
		return;
	}
	if (cc_unlikely(vc->poller.state != POLLER_HOT))
		poller_wake(&vc->poller);
	io_submit(vc, bio);
}

static void io_done(struct vub_chan *vc, struct vub_io *io, int status)
{
	struct bio *bio = io->bio;

	if (io->is_copied && bio->op == BIO_READ && !status)
		copy_in(bio, io->buf);
	io->bio = NULL;
	vc->free[vc->nfree++] = io;
	bdev_complete(bio, status);
}

static unsigned vub_poll(struct poller *p)
{
	struct vub_chan *vc = container_of(p, struct vub_chan, poller);
	struct virtio_user_done done[POLL_MAX];
	int n;

	if (cc_unlikely(vc->state != VUB_RUNS))
		return 0;
	n = virtio_user_poll(vc->q, done, POLL_MAX);
	if (cc_unlikely(n < 0)) {
		/* Gone, or it lies: the keeper sees to it. What comes until then goes into the ring. */
		if (n != -EPIPE)
			virtio_user_give_up(vc->dev->vu);
		vub_keeper_wake(vc->dev);
		return 0;
	}
	for (int i = 0; i < n; i++)
		io_done(vc, done[i].cookie, done[i].status);
	return (unsigned)n;
}

static void vub_flush(struct poller *p)
{
	struct vub_chan *vc = container_of(p, struct vub_chan, poller);

	virtio_user_flush(vc->q);
}

static bool vub_arm(struct poller *p)
{
	struct vub_chan *vc = container_of(p, struct vub_chan, poller);

	return vc->state == VUB_RUNS && virtio_user_arm(vc->q);
}

static void vub_disarm(struct poller *p)
{
	struct vub_chan *vc = container_of(p, struct vub_chan, poller);

	if (vc->state == VUB_RUNS)
		virtio_user_disarm(vc->q);
}

static bool vub_expects(const struct poller *p)
{
	const struct vub_chan *vc = container_of(p, struct vub_chan, poller);

	return vc->state == VUB_RUNS && vc->nfree != vc->dev->depth;
}

static const struct poller_ops vub_poller_ops = {
	.name = "virtio-user",
	.poll = vub_poll,
	.flush = vub_flush,
	.arm = vub_arm,
	.disarm = vub_disarm,
	.expects = vub_expects,
};

static void fail_all(struct vub_chan *vc)
{
	struct bio *bio;

	for (uint32_t i = 0; i < vc->dev->depth; i++) {
		struct vub_io *io = &vc->ios[i];

		if (!io->bio)
			continue;
		bdev_complete_later(io->bio, -EIO);
		io->bio = NULL;
		vc->free[vc->nfree++] = io;
	}
	while ((bio = bio_queue_pop(&vc->held)))
		bdev_complete_later(bio, -EIO);
}

void vub_chan_set(struct vub_chan *vc, enum vub_state state)
{
	struct bio *bio;

	vc->state = state;
	if (state == VUB_FAILS)
		fail_all(vc);
	if (state != VUB_RUNS)
		return;
	while ((bio = bio_queue_pop(&vc->held)))
		io_submit(vc, bio);
	poller_wake(&vc->poller);
}

/*
 * Set-up
 */

static int index_take(struct vub *dev, unsigned *ret)
{
	int err = -ENOSPC;

	pthread_mutex_lock(&dev->lock);
	for (unsigned i = 0; i < dev->queues && err; i++) {
		if (dev->used[i])
			continue;
		dev->used[i] = true;
		*ret = i;
		err = 0;
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

static void ios_init(struct vub_chan *vc)
{
	uint64_t depth = vc->dev->depth;

	for (uint32_t i = 0; i < depth; i++) {
		vc->ios[i].buf = vc->dev->bufs + (vc->index * depth + i) * VUB_BYTES_MAX;
		vc->free[i] = &vc->ios[i];
	}
	vc->nfree = (uint32_t)depth;
	bio_queue_init(&vc->held);
	list_init(&vc->link);
}

int vub_chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	struct vub *dev = container_of(bdev, struct vub, bdev);
	struct vub_chan *vc = linemem_calloc(1, sizeof(*vc));
	int err = vc ? index_take(dev, &vc->index) : -ENOMEM;

	if (err) {
		if (err == -ENOSPC)
			log_warn("%s: all %u queues are in use: one for each reactor; see option queues",
				 bdev->name, (unsigned)dev->queues);
		free(vc);
		return err;
	}
	vc->dev = dev;
	vc->chan = chan;
	vc->q = virtio_user_queue(dev->vu, vc->index);
	vc->ios = linemem_calloc(dev->depth, sizeof(*vc->ios));
	vc->free = linemem_calloc(dev->depth, sizeof(struct vub_io *));
	chan->drv = vc;
	if (!vc->ios || !vc->free) {
		vub_chan_destroy(bdev, chan);
		return -ENOMEM;
	}
	ios_init(vc);
	return 0;
}

void vub_chan_destroy(struct bdev *bdev, struct bdev_chan *chan)
{
	struct vub *dev = container_of(bdev, struct vub, bdev);
	struct vub_chan *vc = chan->drv;

	pthread_mutex_lock(&dev->lock);
	dev->used[vc->index] = false;
	pthread_mutex_unlock(&dev->lock);
	free(vc->free);
	free(vc->ios);
	free(vc);
	chan->drv = NULL;
}

void vub_chan_start(struct bdev_chan *chan)
{
	struct vub_chan *vc = chan->drv;

	poller_attach(chan->reactor, &vc->poller, &vub_poller_ops, virtio_user_fd(vc->q));
	pthread_mutex_lock(&vc->dev->lock);
	list_add_tail(&vc->dev->chans, &vc->link);
	vc->state = vc->dev->state;
	pthread_mutex_unlock(&vc->dev->lock);
}

void vub_chan_stop(struct bdev_chan *chan)
{
	struct vub_chan *vc = chan->drv;

	pthread_mutex_lock(&vc->dev->lock);
	list_del(&vc->link);
	pthread_mutex_unlock(&vc->dev->lock);
	poller_detach(&vc->poller);
}
