/* SPDX-License-Identifier: BSD-3-Clause */
/* The admission point of a channel: what may go to the driver now, and what waits. FIFO behind the depth. */
#ifndef CORE_IOSCHED_H
#define CORE_IOSCHED_H

#include "core/bdev.h"

void iosched_init(struct iosched *s);

/* Something left the driver: admit what waits, oldest first. */
void iosched_refill(struct bdev_chan *chan);

/**
 * iosched_admit - hand @bio to the driver when there is room and nobody waits, else let it wait.
 * Invariant I3: the driver never holds more than chan->depth. On the channel's reactor.
 */
void iosched_admit(struct bdev_chan *chan, struct bio *bio);

#endif
