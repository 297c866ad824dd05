/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One io_uring for each channel.
 *
 *   submit ─► SQE ─── flush ─► io_uring_enter ─► kernel ─► CQE ─── poll ─► io_next ─┬─► another SQE
 * of the same bio └─► bdev_complete
 *
 * A bio has at most one SQE under way, and the ring has as many entries as the channel is deep:
 * there is always a free SQE. One bio may take several SQEs, one after the other: the rest of a
 * short transfer, the sync behind zeroes that must be durable, the pieces where zeroes have to be
 * written.
 */
#include "drivers/uring/urb_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_TAG "file"
#include "core/base/barrier.h"
#include "core/base/linemem.h"
#include "core/base/log.h"
#include "drivers/uring/urb_fixed_priv.h"

#define POLL_MAX  128 /* completions in one poll: others want their turn too */
#define RETRY_MAX 64  /* EAGAIN and EINTR in a row on one I/O */

struct urb_chan {
	struct io_uring ring;
	struct poller poller;
	struct bdev_chan *chan;
	struct urb *dev;
	struct urb_fixed *fixed; /* NULL: no registered buffers */
	int event_fd;	/* the kernel's, while armed */
	unsigned flags; /* IORING_SETUP_* that the kernel granted */
	bool no_punch;	/* the file system refused it once */
	bool no_zero_range;
};

enum step {
	STEP_DATA,    /* the READ or WRITE itself */
	STEP_DISCARD, /* the command for block devices */
	STEP_PUNCH,
	STEP_ZERO_RANGE,
	STEP_ZERO_WRITE, /* zeroes as data */
	STEP_SYNC,
};

/* What is remembered of a bio between two SQEs; lives in bio->drv. */
struct urb_io {
	uint64_t done_bytes;
	uint32_t retries;
	uint32_t step;
};
static_assert(sizeof(struct urb_io) <= sizeof(((struct bio *)0)->drv), "fits into the bio");

static struct urb_io *io_of(struct bio *bio)
{
	return (struct urb_io *)(void *)bio->drv;
}

/* The rest of a transfer that stopped somewhere: up to the end of the iov in which it stopped. */
static void prep_rest(struct io_uring_sqe *sqe, const struct bio *bio, uint64_t done)
{
	const struct iovec *iov = bio->iov;
	uint64_t skip = done;

	while (skip >= iov->iov_len)
		skip -= iov++->iov_len;
	if (bio->op == BIO_READ)
		io_uring_prep_read(sqe, 0, (char *)iov->iov_base + skip,
				   (unsigned)(iov->iov_len - skip), bio->off + done);
	else
		io_uring_prep_write(sqe, 0, (char *)iov->iov_base + skip,
				    (unsigned)(iov->iov_len - skip), bio->off + done);
}

/* Through a registered buffer: the kernel neither looks for the pages nor takes hold of them.
 * False: this one cannot. */
static bool prep_fixed(struct urb_chan *uc, struct io_uring_sqe *sqe, const struct bio *bio)
{
	void *va = bio->iov->iov_base;
	int idx;

	if (!urb_fixed_is_one(bio))
		return false;
	idx = urb_fixed_find(uc->fixed, va, bio->len);
	if (idx < 0)
		return false;
	if (bio->op == BIO_READ)
		io_uring_prep_read_fixed(sqe, 0, va, (unsigned)bio->len, bio->off, idx);
	else
		io_uring_prep_write_fixed(sqe, 0, va, (unsigned)bio->len, bio->off, idx);
	uc->chan->stats->fixed++;
	return true;
}

static void prep_plain(struct io_uring_sqe *sqe, const struct bio *bio, uint64_t done)
{
	if (done || bio->iovcnt == 1)
		prep_rest(sqe, bio, done);
	else if (bio->op == BIO_READ)
		io_uring_prep_readv(sqe, 0, bio->iov, bio->iovcnt, bio->off);
	else
		io_uring_prep_writev(sqe, 0, bio->iov, bio->iovcnt, bio->off);
}

static void prep_data(struct urb_chan *uc, struct io_uring_sqe *sqe, const struct bio *bio,
		      uint64_t done)
{
	if (!uc->fixed || done || !prep_fixed(uc, sqe, bio))
		prep_plain(sqe, bio, done);
	if (bio->op == BIO_WRITE && bio->flags & BIO_FUA)
		sqe->rw_flags = RWF_DSYNC;
}

/* The next SQE of @bio, as its step says. Goes to the kernel with this turn's flush. */
static void io_issue(struct urb_chan *uc, struct bio *bio)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uc->ring);
	const struct urb_io *io = io_of(bio);

	assert(sqe);
	switch ((enum step)io->step) {
	case STEP_DATA:
		prep_data(uc, sqe, bio, io->done_bytes);
		break;
	case STEP_DISCARD:
		urb_prep_discard(sqe, 0, bio->off, bio->len);
		break;
	case STEP_PUNCH:
		io_uring_prep_fallocate(sqe, 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)bio->off, (off_t)bio->len);
		break;
	case STEP_ZERO_RANGE:
		io_uring_prep_fallocate(sqe, 0, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					(off_t)bio->off, (off_t)bio->len);
		break;
	case STEP_ZERO_WRITE:
		io_uring_prep_write(sqe, 0, uc->dev->zeroes,
				    (unsigned)CC_MIN(bio->len - io->done_bytes, URB_ZEROES_BYTES),
				    bio->off + io->done_bytes);
		break;
	case STEP_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE; /* file 0 of the ring */
	io_uring_sqe_set_data(sqe, bio);
	poller_mark_dirty(&uc->poller);
}

static enum step first_step(const struct urb_chan *uc, const struct bio *bio)
{
	switch ((enum bio_op)bio->op) {
	case BIO_FLUSH:
		return STEP_SYNC;
	case BIO_DISCARD:
		return uc->dev->discard == URB_DISCARD_COMMAND ? STEP_DISCARD : STEP_PUNCH;
	case BIO_WRITE_ZEROES:
		if (!(bio->flags & BIO_NOUNMAP) && !uc->no_punch)
			return STEP_PUNCH;
		return uc->no_zero_range ? STEP_ZERO_WRITE : STEP_ZERO_RANGE;
	default:
		return STEP_DATA;
	}
}

void urb_chan_submit(struct bdev_chan *chan, struct bio *bio)
{
	struct urb_chan *uc = chan->drv;

	if (bio->op == BIO_DISCARD && uc->dev->discard_thread) {
		urb_discard_submit(uc->dev->discard_thread, bio);
		return;
	}
	*io_of(bio) = (struct urb_io){ .step = first_step(uc, bio) };
	if (cc_unlikely(uc->poller.state != POLLER_HOT))
		poller_wake(&uc->poller);
	io_issue(uc, bio);
}

/* What lies behind the end of the file reads as zeroes: the last block may be longer than the file.
 */
static void zero_rest(const struct bio *bio, uint64_t done)
{
	for (unsigned i = 0; i < bio->iovcnt; i++) {
		uint64_t skip = CC_MIN(done, bio->iov[i].iov_len);

		memset((char *)bio->iov[i].iov_base + skip, 0, bio->iov[i].iov_len - skip);
		done -= skip;
	}
}

/* 1: go on with the next SQE; 0 or -errno: the bio is done. */
static int data_next(const struct urb_chan *uc, struct bio *bio, int res)
{
	struct urb_io *io = io_of(bio);
	uint64_t got, done;

	if (res < 0)
		return res;
	got = io->done_bytes + (unsigned)res;
	if (cc_likely(got == bio->len))
		return 0;
	/* Direct I/O can only go on at an aligned place. */
	done = CC_ALIGN_DOWN(got, (uint64_t)uc->dev->io_align);
	if (done > io->done_bytes) {
		io->done_bytes = done;
		return 1;
	}
	if (bio->op != BIO_READ || uc->dev->is_blk)
		return -EIO;
	zero_rest(bio, got);
	return 0;
}

static int sync_if_fua(struct bio *bio)
{
	if (!(bio->flags & BIO_FUA))
		return 0;
	io_of(bio)->step = STEP_SYNC;
	return 1;
}

/* A range operation the file system does not have is replaced by the next best; a discard is only a
 * wish. */
static int range_next(struct urb_chan *uc, struct bio *bio, int res)
{
	struct urb_io *io = io_of(bio);

	if (!res)
		return sync_if_fua(bio);
	if (res != -EOPNOTSUPP || bio->op == BIO_DISCARD)
		return res;
	if (io->step == STEP_PUNCH)
		uc->no_punch = true;
	else
		uc->no_zero_range = true;
	io->step = uc->no_zero_range ? STEP_ZERO_WRITE : STEP_ZERO_RANGE;
	return 1;
}

static int zero_write_next(struct bio *bio, int res)
{
	struct urb_io *io = io_of(bio);

	if (res <= 0)
		return res ? res : -EIO;
	io->done_bytes += (unsigned)res;
	return io->done_bytes < bio->len ? 1 : sync_if_fua(bio);
}

/* One completion. */
static void io_next(struct urb_chan *uc, struct bio *bio, int res)
{
	struct urb_io *io = io_of(bio);
	int rc = res;

	if (cc_unlikely(res == -EAGAIN || res == -EINTR)) {
		if (++io->retries <= RETRY_MAX) {
			io_issue(uc, bio);
			return;
		}
	} else {
		io->retries = 0;
	}
	switch ((enum step)io->step) {
	case STEP_DATA:
		rc = data_next(uc, bio, res);
		break;
	case STEP_PUNCH:
	case STEP_ZERO_RANGE:
		rc = range_next(uc, bio, res);
		break;
	case STEP_ZERO_WRITE:
		rc = zero_write_next(bio, res);
		break;
	case STEP_DISCARD:
	case STEP_SYNC:
		rc = CC_MIN(res, 0);
		break;
	}
	if (cc_unlikely(rc > 0))
		io_issue(uc, bio);
	else
		bdev_complete(bio, rc);
}

static unsigned reap(struct urb_chan *uc)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	/* Callbacks add SQEs, but touch no CQE. */
	io_uring_for_each_cqe(&uc->ring, head, cqe)
	{
		if (n == POLL_MAX)
			break;
		n++;
		io_next(uc, io_uring_cqe_get_data(cqe), cqe->res);
	}
	io_uring_cq_advance(&uc->ring, n);
	return n;
}

/* Completions that the kernel keeps until we come by (COOP_TASKRUN, DEFER_TASKRUN). */
static bool has_task_work(const struct urb_chan *uc)
{
	return cc_read_once(*uc->ring.sq.kflags) & IORING_SQ_TASKRUN;
}

static unsigned urb_poll(struct poller *p)
{
	struct urb_chan *uc = container_of(p, struct urb_chan, poller);
	unsigned n;

	if (!uc->chan->inflight)
		return 0;
	n = reap(uc);
	if (!n && has_task_work(uc)) {
		(void)io_uring_get_events(&uc->ring); /* nothing lost on an error: the flag stays */
		n = reap(uc);
	}
	/* What a flush could not hand over, for lack of kernel memory. */
	if (cc_unlikely(io_uring_sq_ready(&uc->ring)))
		poller_mark_dirty(p);
	return n;
}

static void urb_flush(struct poller *p)
{
	struct urb_chan *uc = container_of(p, struct urb_chan, poller);

	/* On an error the SQEs stay where they are, and the next poll sees them. */
	if (uc->flags & IORING_SETUP_DEFER_TASKRUN)
		(void)io_uring_submit_and_get_events(&uc->ring);
	else
		(void)io_uring_submit(&uc->ring);
}

static bool urb_arm(struct poller *p)
{
	struct urb_chan *uc = container_of(p, struct urb_chan, poller);

	(void)io_uring_cq_eventfd_toggle(&uc->ring, true);
	/* Partner: the kernel's between writing a CQE (or the task work flag) and reading the
	 * eventfd flag. */
	barrier_full();
	return io_uring_cq_ready(&uc->ring) || has_task_work(uc) || io_uring_sq_ready(&uc->ring);
}

static void urb_disarm(struct poller *p)
{
	struct urb_chan *uc = container_of(p, struct urb_chan, poller);
	uint64_t count;

	(void)io_uring_cq_eventfd_toggle(&uc->ring, false);
	if (read(uc->event_fd, &count, sizeof(count)) < 0)
		return; /* EAGAIN: nothing was signalled */
}

static bool urb_expects(const struct poller *p)
{
	return container_of(p, struct urb_chan, poller)->chan->inflight != 0;
}

static const struct poller_ops urb_poller_ops = {
	.name = "file",
	.poll = urb_poll,
	.flush = urb_flush,
	.arm = urb_arm,
	.disarm = urb_disarm,
	.expects = urb_expects,
};

/* The best ring this kernel has: one issuer and its own time to look at completions (6.1), less
 * interrupts (5.19), plain. */
static int ring_init(struct urb_chan *uc, unsigned depth)
{
	static const unsigned tries[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int err = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(tries) && err == -EINVAL; i++) {
		struct io_uring_params params = { .flags = tries[i] };

		err = io_uring_queue_init_params(depth, &uc->ring, &params);
		uc->flags = tries[i];
	}
	return err;
}

int urb_chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	struct urb *dev = container_of(bdev, struct urb, bdev);
	struct urb_chan *uc = linemem_calloc(1, sizeof(*uc));
	int err;

	if (!uc)
		return -ENOMEM;
	uc->chan = chan;
	uc->dev = dev;
	uc->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (uc->event_fd < 0) {
		err = -errno;
		goto free_chan;
	}
	err = ring_init(uc, bdev->lim.depth);
	if (err)
		goto close_fd;
	err = io_uring_register_files(&uc->ring, &dev->fd, 1);
	if (!err)
		err = io_uring_register_eventfd(&uc->ring, uc->event_fd);
	if (err)
		goto exit_ring;
	(void)io_uring_cq_eventfd_toggle(&uc->ring, false);
	if (dev->is_fixed) {
		err = urb_fixed_create(&uc->ring, chan->reactor, &uc->fixed);
		if (err)
			urb_pin_complain("a ring cannot have registered buffers", err);
	}
	chan->drv = uc;
	return 0;
exit_ring:
	io_uring_queue_exit(&uc->ring);
close_fd:
	(void)close(uc->event_fd);
free_chan:
	free(uc);
	log_error("%s: no io_uring for another channel: %s", bdev->name, strerror(-err));
	return err;
}

void urb_chan_destroy(struct bdev *bdev, struct bdev_chan *chan)
{
	struct urb_chan *uc = chan->drv;

	(void)bdev;
	urb_fixed_destroy(uc->fixed);
	io_uring_queue_exit(&uc->ring);
	(void)close(uc->event_fd);
	free(uc);
}

void urb_chan_start(struct bdev_chan *chan)
{
	struct urb_chan *uc = chan->drv;

	/* The thread that enables the ring is its one issuer from now on. */
	if (uc->flags & IORING_SETUP_R_DISABLED) {
		/* io_uring_enable_rings() is declared, but not exported by liburing 2.3. */
		long err = syscall(SYS_io_uring_register, uc->ring.ring_fd,
				   IORING_REGISTER_ENABLE_RINGS, NULL, 0);

		assert(!err);
		(void)err;
	}
	(void)io_uring_register_ring_fd(
		&uc->ring); /* saves a look-up in each system call, if it works */
	if (uc->fixed)
		urb_fixed_start(uc->fixed);
	poller_attach(chan->reactor, &uc->poller, &urb_poller_ops, uc->event_fd);
}

void urb_chan_stop(struct bdev_chan *chan)
{
	struct urb_chan *uc = chan->drv;

	poller_detach(&uc->poller);
	if (uc->fixed)
		urb_fixed_stop(uc->fixed);
	(void)io_uring_unregister_ring_fd(&uc->ring); /* belongs to this thread */
}
