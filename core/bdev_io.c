/* SPDX-License-Identifier: BSD-3-Clause */
/* The way of an I/O through a channel: checks down, completion up. */
#include "core/bdev_priv.h"

#include <assert.h>
#include <errno.h>

#include "core/iosched.h"

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

cc_noinline void bdev_submit_slow(struct bdev_chan *chan, struct bio *bio)
{
	int rc = bio_check(chan, bio);

	if (rc != 0)
		bdev_answer_later(bio, CC_MIN(rc, 0));
	else
		iosched_enter(chan, bio, chan->has_gate ? IOSCHED_DISK : IOSCHED_LIMITS);
}

void bdev_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg)
{
	bdev_split_cancel(chan, match, arg);
	iosched_cancel(chan, match, arg);
}

void bdev_submit_each(struct bdev_chan *chan, struct bio_queue *bios)
{
	struct bio *bio;

	while ((bio = bio_queue_pop(bios)) != NULL)
		chan->to_driver(chan, bio);
}

cc_noinline void bdev_submit_all(struct bdev_chan *chan, struct bio_queue *bios, uint32_t n,
				 bool is_easy)
{
	struct bio *bio;

	if (cc_likely(is_easy && chan->inflight + n <= chan->depth)) {
		chan->inflight += n;
		if (n == 1)
			chan->submit(chan, bios->first);
		else
			chan->submit_batch(chan, bios);
		return;
	}
	while ((bio = bio_queue_pop(bios)) != NULL)
		bdev_submit(chan, bio);
}

static cc_noinline void bdev_set_latency(struct bdev_chan *chan, uint64_t ticks)
{
	chan->latency_ticks = ticks;
	chan->latency_bucket = hist_index(mono_ticks_to_ns(ticks));
}

/* @n I/Os that are like @bio and were submitted with it, of @bytes in sum. */
static cc_always_inline void bdev_account(struct bdev_chan *chan, const struct bio *bio, uint64_t n,
					  uint64_t bytes)
{
	struct bdev_op_stats *st = &chan->stats->op[bio->op];
	uint64_t ticks = chan->reactor->now_ticks - bio->submit_ticks;

	st->ios += n;
	if (cc_unlikely(bio->status < 0))
		st->errors += n;
	else
		st->bytes += bytes;
	if (cc_unlikely(ticks != chan->latency_ticks))
		bdev_set_latency(chan, ticks);
	st->latency.count[chan->latency_bucket] += n;
}

/* By itself, also when it may come in a list. */
static cc_always_inline void bio_end(struct bio *bio)
{
	bio->next = NULL;
	bio->done(bio);
}

void bdev_finish(struct bio *bio, int status)
{
	bio->status = status;
	if (status != -ECANCELED) /* it was not carried out */
		bdev_account(bio->chan, bio, 1, bio->len);
	bio_end(bio);
}

/* @n I/Os have left the driver. */
static cc_always_inline void bdev_left(struct bdev_chan *chan, uint32_t n)
{
	assert(chan->inflight >= n);
	chan->inflight -= n;
	if (cc_unlikely(chan->sched.is_watched))
		iosched_left(chan);
}

static void bdev_end_odd(struct bdev_chan *chan, struct bio *bio);

/* Its status is set. */
static cc_always_inline void bdev_end(struct bdev_chan *chan, struct bio *bio)
{
	if (cc_unlikely(bio->flags & BIO_ODD)) {
		bdev_end_odd(chan, bio);
		return;
	}
	bdev_account(chan, bio, 1, bio->len);
	bdev_left(chan, 1);
	bio_end(bio);
}

void bdev_complete(struct bio *bio, int status)
{
	bio->status = status;
	bdev_end(bio->chan, bio);
}

void bdev_answer_later(struct bio *bio, int status)
{
	struct bdev_chan *chan = bio->chan;

	bio->status = status;
	bio_queue_push(&chan->answered, bio);
	poller_mark_dirty(&chan->later_poller);
}

/* Counted together, and handed back together to those who want it so. */
static cc_always_inline bool bio_ends_with(const struct bio *bio, const struct bio *first, bio_done_fn done)
{
	return cc_likely(bio_is_like(bio, first)) && cc_likely(bio->done == done) &&
	       cc_likely(bio->submit_ticks == first->submit_ticks);
}

static void bio_end_list(struct bio *first)
{
	struct bio *next;

	if (first->flags & BIO_LISTED) {
		first->done(first);
		return;
	}
	for (; first; first = next) {
		next = first->next;
		bio_end(first);
	}
}

/* Ends @first and those behind it that end alike: most of them, when they were submitted in this
 * very turn. Returns the first of the others. */
static cc_always_inline struct bio *bdev_end_run(struct bdev_chan *chan, struct bio *first)
{
	struct bio *last = first, *next = first->next;
	bio_done_fn done = first->done;
	uint64_t bytes = first->len;
	uint32_t n = 1;

	if (cc_unlikely(first->flags & BIO_ODD) || cc_unlikely(first->status < 0)) {
		bdev_end(chan, first);
		return next;
	}
	while (next && bio_ends_with(next, first, done)) {
		last = next;
		bytes += next->len;
		n++;
		next = next->next;
	}
	last->next = NULL;
	bdev_account(chan, first, n, bytes);
	bdev_left(chan, n);
	bio_end_list(first);
	return next;
}

/* One of core's own, or one whose way has failed. The whole is counted, not its pieces; what was merged, each by itself. */
static cc_noinline void bdev_end_odd(struct bdev_chan *chan, struct bio *bio)
{
	struct bio *part;

	if (bio->flags & BIO_MERGED) {
		part = bdev_merge_take(chan, bio);
		while (part)
			part = bdev_end_run(chan, part);
		return;
	}
	if (bio->flags & BIO_PATH_FAILED && bio->status < 0 && iosched_take_back(chan, bio))
		return;
	if (!(bio->flags & BIO_PIECE))
		bdev_account(chan, bio, 1, bio->len);
	bdev_left(chan, 1);
	bio_end(bio);
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
	while (later)
		later = bdev_end_run(chan, later);
}

const struct poller_ops bdev_later_ops = {
	.name = "bdev-later",
	.flush = bdev_later_flush,
};
