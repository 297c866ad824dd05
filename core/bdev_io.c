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
	else if (bdev_split_is_needed(chan, bio))
		bdev_split_submit(chan, bio);
	else
		iosched_admit(chan, bio);
}

static cc_noinline void bdev_set_latency(struct bdev_chan *chan, uint64_t ticks)
{
	chan->latency_ticks = ticks;
	chan->latency_bucket = hist_index(mono_ticks_to_ns(ticks));
}

static cc_always_inline void bdev_account(struct bdev_chan *chan, const struct bio *bio)
{
	struct bdev_op_stats *st = &chan->stats->op[bio->op];
	uint64_t ticks = chan->reactor->now_ticks - bio->submit_ticks;

	st->ios++;
	if (cc_unlikely(bio->status < 0))
		st->errors++;
	else
		st->bytes += bio->len;
	if (cc_unlikely(ticks != chan->latency_ticks))
		bdev_set_latency(chan, ticks);
	st->latency.count[chan->latency_bucket]++;
}

void bdev_finish(struct bio *bio, int status)
{
	bio->status = status;
	bdev_account(bio->chan, bio);
	bio->done(bio);
}

/* Its status is set. */
static cc_always_inline void bdev_end(struct bdev_chan *chan, struct bio *bio)
{
	assert(chan->inflight > 0);
	chan->inflight--;
	if (cc_likely(bio->done != bdev_piece_done)) /* the whole is counted, not its pieces */
		bdev_account(chan, bio);
	if (cc_unlikely(chan->sched.waiting.first))
		iosched_refill(chan);
	bio->done(bio);
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

/* I/Os of one kind that took equally long, counted together. */
struct bdev_run {
	bio_done_fn done;
	uint64_t submit_ticks, n, bytes;
	uint8_t op;
};

static cc_noinline void bdev_run_end(struct bdev_chan *chan, struct bdev_run *run)
{
	struct bdev_op_stats *st = &chan->stats->op[run->op];
	uint64_t ticks = chan->reactor->now_ticks - run->submit_ticks;

	st->ios += run->n;
	st->bytes += run->bytes;
	st->latency.count[hist_index(mono_ticks_to_ns(ticks))] += run->n;
	run->n = 0;
	run->bytes = 0;
}

/* The next kind. false: @bio is to be counted by itself. */
static cc_noinline bool bdev_run_begin(struct bdev_chan *chan, struct bdev_run *run,
				       const struct bio *bio)
{
	if (bio->status < 0 || bio->done == bdev_piece_done)
		return false;
	bdev_run_end(chan, run);
	run->done = bio->done;
	run->submit_ticks = bio->submit_ticks;
	run->op = bio->op;
	return true;
}

static cc_always_inline bool bdev_run_takes(const struct bdev_run *run, const struct bio *bio)
{
	return bio->done == run->done && bio->op == run->op &&
	       bio->submit_ticks == run->submit_ticks && bio->status == 0;
}

/* Most of them are of one kind, submitted in this very turn. */
static void bdev_later_end(struct bdev_chan *chan, struct bio *later)
{
	struct bdev_run run = { 0 };
	struct bio *next;

	for (; later; later = next) {
		next = later->next;
		if (cc_unlikely(!bdev_run_takes(&run, later)) &&
		    !bdev_run_begin(chan, &run, later)) {
			bdev_end(chan, later);
			continue;
		}
		run.n++;
		run.bytes += later->len;
		assert(chan->inflight > 0);
		chan->inflight--;
		if (cc_unlikely(chan->sched.waiting.first))
			iosched_refill(chan);
		later->done(later);
	}
	bdev_run_end(chan, &run);
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
	bdev_later_end(chan, later);
}

const struct poller_ops bdev_later_ops = {
	.name = "bdev-later",
	.flush = bdev_later_flush,
};
