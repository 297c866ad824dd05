/* SPDX-License-Identifier: BSD-3-Clause */
/* The admission point of a channel: what may go to the driver now, and what waits. FIFO behind the
 * depth. */
#ifndef CORE_IOSCHED_H
#define CORE_IOSCHED_H

#include "core/bdev.h"

void iosched_init(struct iosched *s);

/* Let @bio wait: no room, or others wait already. */
void iosched_wait(struct bdev_chan *chan, struct bio *bio);

/* Something left the driver: admit what waits, oldest first. */
void iosched_refill(struct bdev_chan *chan);

/* What waits and is picked by @match is answered with -ECANCELED, pieces by what they are part of. */
void iosched_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg);

/**
 * iosched_admit - hand @bio to the driver when there is room and nobody waits, else let it wait.
 * Invariant I3: the driver never holds more than chan->depth. On the channel's reactor.
 */
static cc_always_inline void iosched_admit(struct bdev_chan *chan, struct bio *bio)
{
	if (cc_likely(chan->inflight < chan->depth && !chan->sched.waiting.first)) {
		chan->inflight++;
		chan->submit(chan, bio);
	} else {
		iosched_wait(chan, bio);
	}
}

#endif
