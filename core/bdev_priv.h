/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by bdev.c, bdev_chan.c, bdev_io.c, split.c and bounce.c; nobody else. */
#ifndef CORE_BDEV_PRIV_H
#define CORE_BDEV_PRIV_H

#include "core/bdev.h"

/* bdev_chan.c */

/* Adds @src to @dst. */
void bdev_stats_merge(struct bdev_chan_stats *dst, const struct bdev_chan_stats *src);

/* bdev.c */

/* Something that kept a closing device alive has gone. Control thread. */
void bdev_maybe_closed(struct bdev *bdev);

/* bdev_io.c */

extern const struct poller_ops bdev_later_ops;

/* A bio that never went to the driver: done is called in this turn's flush. */
void bdev_answer_later(struct bio *bio, int status);

/* Count @bio, which did not go through bdev_complete(), and call done. Not from inside
 * bdev_submit(). */
void bdev_finish(struct bio *bio, int status);

#endif
