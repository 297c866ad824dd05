/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for room in a channel: first come, first served. */
#include "core/iosched.h"

#include <assert.h>
#include <errno.h>

#include "core/bdev_priv.h"

void iosched_init(struct iosched *s)
{
	bio_queue_init(&s->waiting);
	s->nwaiting = 0;
}

void iosched_wait(struct bdev_chan *chan, struct bio *bio)
{
	bio_queue_push(&chan->sched.waiting, bio);
	chan->sched.nwaiting++;
	chan->stats->queued++;
}

void iosched_refill(struct bdev_chan *chan)
{
	while (chan->inflight < chan->depth) {
		struct bio *bio = bio_queue_pop(&chan->sched.waiting);

		if (!bio)
			return;
		assert(chan->sched.nwaiting > 0);
		chan->sched.nwaiting--;
		chan->inflight++;
		chan->submit(chan, bio);
	}
	assert(chan->inflight == chan->depth);
}

void iosched_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg)
{
	struct bio *bio = bio_queue_take_all(&chan->sched.waiting), *next;

	for (; bio; bio = next) {
		next = bio->next;
		if (!match(bdev_submitted(bio), arg)) {
			bio_queue_push(&chan->sched.waiting, bio);
			continue;
		}
		chan->sched.nwaiting--;
		bdev_answer_later(bio, -ECANCELED);
	}
}
