/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the way to the device fails: what comes back waits at the head of the others, and goes again after a pause.
 *
 *        iosched_take_back                      pause_over
 *   GOOD ─────────────────► HELD: nothing is ─────────────► TRYING: those who came back,
 *    ▲ ▲                    sent              ◄─────────────        then the others
 *    │ │                     │                 take_back: twice       │
 *    │ └─ iosched_path_order ┤                 the pause              │
 *    │    drain, no timeout  │                                        │
 *    ├──── pause_over ───────┘                                        │
 *    │     nothing waits                                              │
 *    └───────────────────────────── iosched_path_answers ◄────────────┘
 *                                   something ends otherwise
 *
 * The way is that of all I/O of the channel, so all of it waits: to try with the rest would be in vain, and let it
 * overtake. That also bounds how many can have failed and not ended: as many as the device holds.
 *
 * Each has its time, from its first failure, or, if it came when others had failed already, from when it came. It ends at
 * the first failure behind that: whoever waited long for something else still gets a try.
 */
#include <assert.h>
#include <errno.h>

#include "core/bdev_priv.h"
#include "core/iosched.h"

/* Short at first: another way may be there at once. */
#define PAUSE_MIN_NS MONO_NS_PER_MS
#define PAUSE_MAX_NS (100 * MONO_NS_PER_MS)

static void pause_over(struct deadline *d);

void iosched_path_init(struct iosched_path *p)
{
	bio_queue_init(&p->again);
	deadline_init(&p->timer, pause_over);
}

static void set_state(struct bdev_chan *chan, enum iosched_path_state state)
{
	struct iosched *s = &chan->sched;

	/* a try comes behind a pause; and while some that came back still wait for theirs, nothing is good */
	assert(state != IOSCHED_PATH_TRYING || s->path == IOSCHED_PATH_HELD);
	assert(state != IOSCHED_PATH_GOOD || !s->gate->path.again.first);
	s->path = (uint8_t)state;
	iosched_update_watch(s);
	iosched_update_gate(chan);
}

static void pause_over(struct deadline *d)
{
	struct iosched_gate *g = container_of(d, struct iosched_gate, path.timer);
	struct bdev_chan *chan = g->chan;

	set_state(chan, chan->sched.nwaiting ? IOSCHED_PATH_TRYING : IOSCHED_PATH_GOOD);
	iosched_resume(chan);
}

/* Whatever else is under way: nothing is sent for a while. */
static void path_hold(struct bdev_chan *chan)
{
	struct iosched_path *p = &chan->sched.gate->path;
	uint64_t now = chan->reactor->now_ns;

	if (chan->sched.path == IOSCHED_PATH_HELD)
		return;
	if (chan->sched.path == IOSCHED_PATH_GOOD) {
		p->since_ns = now;
		p->pause_ns = PAUSE_MIN_NS;
	} else {
		p->pause_ns = CC_MIN(2 * p->pause_ns, PAUSE_MAX_NS);
	}
	set_state(chan, IOSCHED_PATH_HELD);
	deadline_arm(chan->reactor, &p->timer, now + p->pause_ns);
}

/* For how long the way has failed @bio, now that it does; noted when it is the first time. */
static uint64_t path_age_ns(struct bdev_chan *chan, struct bio *bio)
{
	const struct iosched_path *p = &chan->sched.gate->path;
	uint64_t now = chan->reactor->now_ns, age;
	uint32_t now_ms = (uint32_t)(now / MONO_NS_PER_MS), failed_ms;

	if (bdev_wait_get_failed(bio, &failed_ms))
		return (uint32_t)(now_ms - failed_ms) * MONO_NS_PER_MS;
	age = CC_MIN(now - p->since_ns, mono_ticks_to_ns(chan->reactor->now_ticks - bio->submit_ticks));
	bdev_wait_set_failed(bio, now_ms - (uint32_t)(age / MONO_NS_PER_MS));
	return age;
}

bool iosched_take_back(struct bdev_chan *chan, struct bio *bio)
{
	struct iosched *s = &chan->sched;
	struct iosched_path *p = &s->gate->path;

	assert(bio->status < 0 && chan->inflight > 0);
	if (!p->timeout_ns)
		return false;
	if (bdev_is_draining(chan->bdev)) {
		bio->status = -EIO;
		return false;
	}
	path_hold(chan);
	if (path_age_ns(chan, bio) >= p->timeout_ns)
		return false;
	chan->stats->requeued++;
	bio_queue_push(&p->again, bio);
	s->nwaiting++;
	chan->inflight--;
	iosched_resume(chan); /* it is held, but a freeze may have waited for this one */
	return true;
}

bool iosched_path_refill(struct bdev_chan *chan)
{
	struct iosched *s = &chan->sched;

	if (s->is_frozen || s->path == IOSCHED_PATH_HELD)
		return false;
	while (s->gate->path.again.first && chan->inflight < chan->depth) {
		struct bio *bio = bio_queue_pop(&s->gate->path.again);

		/* as if for the first time */
		bio->status = 0;
		bio->flags &= (uint8_t)~BIO_PATH_FAILED;
		assert(s->nwaiting > 0);
		s->nwaiting--;
		chan->inflight++;
		bdev_waited(chan, bio);
		chan->to_driver(chan, bio);
	}
	return !s->gate->path.again.first;
}

void iosched_path_answers(struct bdev_chan *chan)
{
	/* what was sent before it failed says nothing; nor does one success, while others still wait to be tried */
	if (chan->sched.path == IOSCHED_PATH_TRYING && !chan->sched.gate->path.again.first)
		set_state(chan, IOSCHED_PATH_GOOD);
}

/* They end as if the device had them still: iosched_take_back() does not want them any more. */
static void give_up(struct bdev_chan *chan)
{
	struct iosched *s = &chan->sched;
	struct bio *bio;

	while ((bio = bio_queue_pop(&s->gate->path.again))) {
		s->nwaiting--;
		chan->inflight++;
		bdev_complete_later(bio, bio->status);
	}
	deadline_cancel(&s->gate->path.timer);
	set_state(chan, IOSCHED_PATH_GOOD);
}

void iosched_path_order(struct bdev_chan *chan, uint64_t timeout_ns, bool is_draining)
{
	chan->sched.gate->path.timeout_ns = timeout_ns;
	if (chan->sched.path != IOSCHED_PATH_GOOD && (is_draining || !timeout_ns))
		give_up(chan);
}

void iosched_path_stop(struct bdev_chan *chan)
{
	struct iosched_path *p = &chan->sched.gate->path;

	assert(!p->again.first);
	deadline_cancel(&p->timer);
}
