/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long an I/O waited before the driver had it, and how long the driver then took. Only those
 * that waited pay for it:
 *
 *   limits, room ─► bdev_waited: done is wait_done now, the submitter's is kept ─► driver
 *   submitter's done ◄─ wait_done: total, waited, driver time recorded ◄─ bdev_account
 *
 * One that came back because its way to the device failed waits until the driver has it for the last time.
 *
 * All the others have waited for nothing, and the driver had them all the time: that follows from
 * the counts, see bdev_stats_scheduler() and bdev_stats_driver().
 */
#include <errno.h>

#include "core/bdev_priv.h"

static struct bio *wait_end(struct bio *first);
static void wait_done(struct bio *bio);

/* Of those that wait_us and failed_ms are of: their way to the device has failed before. */
static void again_done(struct bio *bio)
{
	wait_done(bio);
}

/* Of those with BIO_LISTED a list, of one operation; of the others one. */
static void wait_done(struct bio *bio)
{
	while (bio)
		bio = wait_end(bio);
}

static void wait_count(const struct bio *bio)
{
	struct bdev_wait_stats *st = &bio->chan->stats->waited[bio->op];
	uint64_t total = bio->chan->reactor->now_ticks - bio->submit_ticks;
	uint64_t waited = bio->wait_ticks;

	if (cc_unlikely(bio->done == again_done))
		waited = CC_MIN(bdev_wait_get(bio), total); /* rounded, it may be more */

	hist_record(&st->total, mono_ticks_to_ns(total));
	hist_record(&st->scheduler, mono_ticks_to_ns(waited));
	hist_record(&st->driver, mono_ticks_to_ns(total - waited));
}

/* Those from @first on that have one done go back to it together. Returns the first of the others.
 */
static struct bio *wait_end(struct bio *first)
{
	bio_done_fn done = first->submitter_done;
	struct bio *last = NULL, *bio = first;

	do {
		/* what was not carried out is not counted, nor is a piece beside its whole */
		if (bio->status != -ECANCELED && !(bio->flags & BIO_PIECE))
			wait_count(bio);
		bio->done = done;
		last = bio;
		bio = bio->next;
	} while (bio && bio->submitter_done == done);
	last->next = NULL;
	done(first);
	return bio;
}

void bdev_wait_set(struct bio *bio, uint64_t ticks)
{
	if (cc_unlikely(bio->done == again_done)) {
		bio->wait_us = (uint32_t)CC_MIN(mono_ticks_to_ns(ticks) / MONO_NS_PER_US,
						(uint64_t)UINT32_MAX);
		return;
	}
	if (bio->done != wait_done) {
		bio->submitter_done = bio->done;
		bio->done = wait_done;
	}
	bio->wait_ticks = ticks;
}

uint64_t bdev_wait_get(const struct bio *bio)
{
	if (bio->done == again_done)
		return mono_ns_to_ticks(bio->wait_us * MONO_NS_PER_US);
	return bio->done == wait_done ? bio->wait_ticks : 0;
}

void bdev_wait_set_failed(struct bio *bio, uint32_t now_ms)
{
	uint64_t waited = bdev_wait_get(bio);

	if (bio->done != wait_done)
		bio->submitter_done = bio->done;
	bio->done = again_done;
	bio->failed_ms = now_ms;
	bdev_wait_set(bio, waited);
}

bool bdev_wait_get_failed(const struct bio *bio, uint32_t *ret_ms)
{
	if (bio->done != again_done)
		return false;
	*ret_ms = bio->failed_ms;
	return true;
}

void bdev_waited(struct bdev_chan *chan, struct bio *bio)
{
	uint64_t now = chan->reactor->now_ticks;

	if (bio->submit_ticks == now)
		return; /* in the same turn, which is no time */
	if (bio->flags & BIO_PIECE)
		bdev_piece_waited(bio);
	else
		bdev_wait_set(bio, now - bio->submit_ticks);
}

void bdev_wait_merge(struct bdev_wait_stats *dst, const struct bdev_wait_stats *src)
{
	hist_merge(&dst->total, &src->total);
	hist_merge(&dst->scheduler, &src->scheduler);
	hist_merge(&dst->driver, &src->driver);
}

/* The counters may have been read while I/Os ended: never below 0. */
static uint64_t sub(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void bdev_stats_scheduler(const struct bdev_chan_stats *st, enum bdev_stat_op op, struct hist *ret)
{
	const struct bdev_wait_stats *waited = &st->waited[op];

	*ret = waited->scheduler;
	ret->count[0] += sub(hist_total(&st->op[op].latency), hist_total(&waited->total));
}

void bdev_stats_driver(const struct bdev_chan_stats *st, enum bdev_stat_op op, struct hist *ret)
{
	const struct bdev_wait_stats *waited = &st->waited[op];

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		ret->count[i] = sub(st->op[op].latency.count[i], waited->total.count[i]) +
				waited->driver.count[i];
}
