/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of bdev, iosched, split, merge and bounce; nobody else. */
#ifndef CORE_BDEV_PRIV_H
#define CORE_BDEV_PRIV_H

#include "core/bdev.h"

/* bdev_chan.c */

/* Adds @src to @dst. */
void bdev_stats_merge(struct bdev_chan_stats *dst, const struct bdev_chan_stats *src);

/* bdev.c */

/* Something that kept a closing device alive has gone. Control thread. */
void bdev_maybe_closed(struct bdev *bdev);

/* bdev_freeze.c */

/* Something has gone that a freeze may have waited for. Control thread. */
void bdev_freeze_check(struct bdev *bdev);

/* split.c */

int bdev_split_init(struct bdev_chan *chan);
void bdev_split_fini(struct bdev_chan *chan);

/* The device cannot take @bio (checked: in bounds) as it is. */
bool bdev_split_is_needed(const struct bdev_chan *chan, const struct bio *bio);
/* Carry it out in pieces the device can take, and flush behind them when FUA has to be made so. */
void bdev_split_submit(struct bdev_chan *chan, struct bio *bio);
/* The done of every piece. */
void bdev_piece_done(struct bio *bio);
/* What the submitter knows: the whole of a piece, or @bio itself. */
const struct bio *bdev_submitted(const struct bio *bio);
/* Wholes that wait, for bdev_cancel(). */
void bdev_split_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg);

/* The piece @bio goes to the driver after it has waited. */
void bdev_piece_waited(const struct bio *bio);

/* merge.c */

int bdev_merge_init(struct bdev_chan *chan);
void bdev_merge_fini(struct bdev_chan *chan);

/* To the driver, as chan->submit_batch would: neighbours as one, as far as the device takes that as it is. */
void bdev_merge_submit_batch(struct bdev_chan *chan, struct bio_queue *bios);
/* @bio, which is BIO_MERGED, has left the driver: what it was made of, to be ended as a list by next, oldest first,
 * with status 0 and still counted as in flight. NULL: it has failed, and each is with the driver once more, alone.
 * When its way has failed, theirs has: they are handed out as that. */
struct bio *bdev_merge_take(struct bdev_chan *chan, struct bio *bio);
/* Is @part one of those that @bio was made of? */
bool bdev_merge_has(const struct bio *bio, const struct bio *part);

/* bdev_wait.c */

/* @bio, a piece or what was submitted, goes on to the driver after it has waited for its turn since
 * its submission. Several times for the same one: the last call counts. */
void bdev_waited(struct bdev_chan *chan, struct bio *bio);

/* How long @bio (no piece) has waited so far, to be counted when it ends. */
void bdev_wait_set(struct bio *bio, uint64_t ticks);
uint64_t bdev_wait_get(const struct bio *bio);

/* When the way of @bio first failed, on a clock of milliseconds that wraps: kept until it ends. */
void bdev_wait_set_failed(struct bio *bio, uint32_t now_ms);
/* False: it never has. */
bool bdev_wait_get_failed(const struct bio *bio, uint32_t *ret_ms);

/* Adds @src, which may be written meanwhile, to @dst. */
void bdev_wait_merge(struct bdev_wait_stats *dst, const struct bdev_wait_stats *src);

/* bounce.c */

/* A place in the iovs of a bio. */
struct bdev_cursor {
	uint32_t idx; /* of the iov */
	uint32_t pad;
	uint64_t off; /* into it */
};

/* A bounce buffer of BDEV_BOUNCE_BYTES, aligned for any device. */
struct bdev_bounce;

int bdev_bounce_init(struct bdev_chan *chan);
void bdev_bounce_fini(struct bdev_chan *chan);

/* NULL: all are taken. */
struct bdev_bounce *bdev_bounce_get(struct bdev_chan *chan);
void bdev_bounce_put(struct bdev_chan *chan, struct bdev_bounce *b);
void *bdev_bounce_va(const struct bdev_chan *chan, const struct bdev_bounce *b);

/* Copy @len bytes of @bio's buffers from place @at on into / out of the bounce buffer @va. */
void bdev_bounce_fill(void *va, const struct bio *bio, struct bdev_cursor at, uint64_t len);
void bdev_bounce_drain(const void *va, const struct bio *bio, struct bdev_cursor at, uint64_t len);

/* @at moved on by @len bytes. */
void bdev_cursor_advance(struct bdev_cursor *at, const struct bio *bio, uint64_t len);

/* bdev_io.c */

extern const struct poller_ops bdev_later_ops;

/* ops->submit_batch of a driver that has none. */
void bdev_submit_each(struct bdev_chan *chan, struct bio_queue *bios);

/* A bio that never went to the driver: done is called in this turn's flush. */
void bdev_answer_later(struct bio *bio, int status);

/* Count @bio, which did not go through bdev_complete(), and call done. Not from inside
 * bdev_submit(). */
void bdev_finish(struct bio *bio, int status);

#endif
