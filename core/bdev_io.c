/* SPDX-License-Identifier: BSD-3-Clause */
/* The way of an I/O through a channel: checks down, completion up. */
#include "core/bdev_priv.h"

#include <assert.h>
#include <errno.h>

#include "core/iosched.h"

/* The short way is for reads and writes that the device takes as they are. A length of 0 wraps and
 * fails. */
static cc_always_inline bool bdev_takes_as_is(const struct bdev_chan *chan, const struct bio *bio)
{
	uint64_t bytes = bdev_bytes(chan->bdev);

	return ((chan->slow_ops >> bio->op) & 1) == 0 && (bio->flags & chan->slow_flags) == 0 &&
	       bio->len - 1 < chan->bytes_max && bio->iovcnt <= chan->iovs_max &&
	       ((bio->off | bio->len) & chan->block_mask) == 0 && bio->off <= bytes &&
	       bio->len <= bytes - bio->off &&
	       (chan->align_mask == 0 || bio_is_aligned(bio, chan->align_mask));
}

static int bio_check_range(const struct bdev_chan *chan, const struct bio *bio)
{
	uint64_t bytes = bdev_bytes(chan->bdev);

	if ((bio->off | bio->len) & chan->block_mask)
		return -EINVAL;
	return bio->off <= bytes && bio->len <= bytes - bio->off ? 0 : -EINVAL;
}

/* 0: may go on; 1: done, there is nothing to do; or -errno. */
static int bio_check(const struct bdev_chan *chan, const struct bio *bio)
{
	const struct bdev_limits *lim = &chan->bdev->lim;

	switch ((enum bio_op)bio->op) {
	case BIO_FLUSH:
		return lim->has_flush ? 0 : 1;
	case BIO_DISCARD:
		if (lim->discard_max == 0)
			return -EOPNOTSUPP;
		break;
	case BIO_WRITE_ZEROES:
		if (lim->zeroes_max == 0)
			return -EOPNOTSUPP;
		break;
	case BIO_READ:
	case BIO_WRITE:
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (lim->read_only && bio->op != BIO_READ)
		return -EROFS;
	if (bio_check_range(chan, bio) < 0)
		return -EINVAL;
	return bio->len == 0 ? 1 : 0;
}

static cc_noinline void bdev_submit_slow(struct bdev_chan *chan, struct bio *bio)
{
	int rc = bio_check(chan, bio);

	if (rc != 0)
		bdev_answer_later(bio, CC_MIN(rc, 0));
	else if (bdev_split_is_needed(chan, bio))
		bdev_split_submit(chan, bio);
	else
		iosched_admit(chan, bio);
}

void bdev_submit(struct bdev_chan *chan, struct bio *bio)
{
	assert(bio->op < BIO_OP_COUNT && bio->done);
	bio->chan = chan;
	bio->submit_ticks = chan->reactor->now_ticks;
	if (cc_likely(bdev_takes_as_is(chan, bio)))
		iosched_admit(chan, bio);
	else
		bdev_submit_slow(chan, bio);
}

static cc_always_inline void bdev_account(struct bdev_chan *chan, const struct bio *bio)
{
	struct bdev_op_stats *st = &chan->stats->op[bio->op];

	st->ios++;
	if (cc_unlikely(bio->status < 0))
		st->errors++;
	else
		st->bytes += bio->len;
	hist_record(&st->latency, mono_ticks_to_ns(chan->reactor->now_ticks - bio->submit_ticks));
}

void bdev_finish(struct bio *bio, int status)
{
	bio->status = status;
	bdev_account(bio->chan, bio);
	bio->done(bio);
}

void bdev_complete(struct bio *bio, int status)
{
	struct bdev_chan *chan = bio->chan;

	assert(chan->inflight > 0);
	chan->inflight--;
	bio->status = status;
	if (cc_likely(bio->done != bdev_piece_done)) /* the whole is counted, not its pieces */
		bdev_account(chan, bio);
	if (cc_unlikely(chan->sched.waiting.first))
		iosched_refill(chan);
	bio->done(bio);
}

void bdev_complete_later(struct bio *bio, int status)
{
	struct bdev_chan *chan = bio->chan;

	bio->status = status;
	bio_queue_push(&chan->later, bio);
	poller_mark_dirty(&chan->later_poller);
}

void bdev_answer_later(struct bio *bio, int status)
{
	struct bdev_chan *chan = bio->chan;

	bio->status = status;
	bio_queue_push(&chan->answered, bio);
	poller_mark_dirty(&chan->later_poller);
}

/* Takes what is there: what the callbacks add marks the poller dirty again. */
static void bdev_later_flush(struct poller *p)
{
	struct bdev_chan *chan = container_of(p, struct bdev_chan, later_poller);
	struct bio *answered = bio_queue_take_all(&chan->answered);
	struct bio *later = bio_queue_take_all(&chan->later), *next;

	for (; answered; answered = next) {
		next = answered->next;
		bdev_finish(answered, answered->status);
	}
	for (; later; later = next) {
		next = later->next;
		bdev_complete(later, later->status);
	}
}

const struct poller_ops bdev_later_ops = {
	.name = "bdev-later",
	.flush = bdev_later_flush,
};
