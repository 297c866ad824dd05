/* SPDX-License-Identifier: BSD-3-Clause */
/* What waits in a channel: for limits, and behind them for room. */
#include "core/iosched.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bdev_priv.h"

static void seat_go_disk(struct bdev_chan *chan, struct bio *bio)
{
	bdev_waited(chan, bio);
	iosched_enter(chan, bio, IOSCHED_GROUP);
}

static void seat_go_group(struct bdev_chan *chan, struct bio *bio)
{
	bdev_waited(chan, bio);
	iosched_enter(chan, bio, IOSCHED_LIMITS);
}

int iosched_init(struct bdev_chan *chan)
{
	static const struct qos_limits none;
	struct iosched *s = &chan->sched;
	struct iosched_gate *g = calloc(1, sizeof(*g));

	for (unsigned class = 0; class < QOS_CLASSES; class++)
		bio_queue_init(&s->waiting[class]);
	s->gate = g;
	if (!g)
		return -ENOMEM;
	g->chan = chan;
	iosched_path_init(&g->path);
	qos_pool_init(&g->own, chan->reactor, &none);
	qos_seat_init(&g->seat[IOSCHED_DISK], chan, seat_go_disk);
	qos_seat_init(&g->seat[IOSCHED_GROUP], chan, seat_go_group);
	qos_seat_take(&g->seat[IOSCHED_DISK], &g->own, QOS_WEIGHT_DEFAULT);
	qos_budget_init(&g->promise.budget, &none, 0);
	g->promise.own = &g->own;
	return 0;
}

void iosched_stop(struct bdev_chan *chan)
{
	struct iosched_gate *g = chan->sched.gate;

	assert(chan->sched.nwaiting == 0);
	iosched_path_stop(chan);
	for (unsigned i = 0; i < IOSCHED_LIMITS; i++) {
		assert(qos_seat_is_idle(&g->seat[i]));
		qos_seat_leave(&g->seat[i]);
	}
	qos_pool_fini(&g->own);
}

/*
 * Room
 */

void iosched_wait(struct bdev_chan *chan, struct bio *bio)
{
	struct iosched *s = &chan->sched;
	enum qos_class class = qos_class_of((enum bio_op)bio->op);

	/* watched, but not held back */
	if (cc_unlikely(s->path == IOSCHED_PATH_TRYING) && !s->nwaiting && !s->is_frozen &&
	    chan->inflight < chan->depth) {
		chan->inflight++;
		chan->to_driver(chan, bio);
		return;
	}
	/* one queue keeps the order within a turn */
	bio_queue_push(&s->waiting[s->has_patience ? class : 0], bio);
	s->nwaiting++;
	s->is_watched = true;
	chan->stats->queued++;
}

/* The one whose time is up first. */
static struct bio *pop_waiting(struct iosched *s)
{
	const struct bio *r = s->waiting[QOS_CLASS_READ].first;
	const struct bio *w = s->waiting[QOS_CLASS_WRITE].first;
	enum qos_class class = QOS_CLASS_READ;

	if (!r || (w && (int64_t)(w->submit_ticks + s->patience_ticks[QOS_CLASS_WRITE] -
				  r->submit_ticks - s->patience_ticks[QOS_CLASS_READ]) < 0))
		class = QOS_CLASS_WRITE;
	s->nwaiting--;
	return bio_queue_pop(&s->waiting[class]);
}

/* Nothing holds them back. */
static cc_always_inline void refill(struct bdev_chan *chan)
{
	struct iosched *s = &chan->sched;

	while (s->nwaiting && chan->inflight < chan->depth) {
		struct bio *bio = pop_waiting(s);

		chan->inflight++;
		bdev_waited(chan, bio);
		chan->to_driver(chan, bio);
	}
}

void iosched_resume(struct bdev_chan *chan)
{
	if (iosched_path_refill(chan))
		refill(chan);
	iosched_update_watch(&chan->sched);
	if (chan->sched.is_frozen && chan->inflight == 0)
		iosched_tell_empty(chan);
}

cc_noinline void iosched_left(struct bdev_chan *chan)
{
	struct iosched *s = &chan->sched;

	if (cc_unlikely(s->is_frozen || s->path != IOSCHED_PATH_GOOD)) {
		iosched_path_answers(chan);
		iosched_resume(chan);
		return;
	}
	refill(chan);
	s->is_watched = s->nwaiting != 0;
}

/*
 * Limits
 */

void iosched_enter(struct bdev_chan *chan, struct bio *bio, enum iosched_stage stage)
{
	struct qos_seat *seats = chan->sched.gate->seat;

	for (unsigned i = stage; i < IOSCHED_LIMITS; i++) {
		if (seats[i].pool && !qos_seat_pass(&seats[i], bio, bdev_is_draining(chan->bdev)))
			return;
	}
	if (bdev_split_is_needed(chan, bio))
		bdev_split_submit(chan, bio);
	else
		iosched_admit(chan, bio);
}

/* What a batch counts, by class. */
struct gate_sum {
	uint32_t ios[QOS_CLASSES];
	uint64_t bytes[QOS_CLASSES];
};

static cc_always_inline bool seat_passes_class(struct qos_seat *seat, enum qos_class class,
					       const struct gate_sum *sum)
{
	return !sum->ios[class] ||
	       qos_seat_pass_fast(seat, class, sum->ios[class], sum->bytes[class]);
}

/* All or nothing. */
static cc_always_inline bool seat_passes(struct qos_seat *seat, const struct gate_sum *sum)
{
	if (cc_unlikely(!seat_passes_class(seat, QOS_CLASS_READ, sum)))
		return false;
	if (cc_likely(seat_passes_class(seat, QOS_CLASS_WRITE, sum)))
		return true;
	qos_seat_give_back(seat, QOS_CLASS_READ, sum->ios[QOS_CLASS_READ],
			   sum->bytes[QOS_CLASS_READ]);
	return false;
}

/* *@ret_stage: from where on they are to go one by one. */
static cc_always_inline bool gate_passes(struct bdev_chan *chan, const struct gate_sum *sum,
					 enum iosched_stage *ret_stage)
{
	struct iosched_gate *g = chan->sched.gate;

	*ret_stage = IOSCHED_DISK;
	if (cc_unlikely(chan->sched.is_watched || !seat_passes(&g->seat[IOSCHED_DISK], sum)))
		return false;
	*ret_stage = IOSCHED_GROUP;
	return !g->seat[IOSCHED_GROUP].pool || seat_passes(&g->seat[IOSCHED_GROUP], sum);
}

/* Easy I/O for which there is room, and which has it already. */
static void gate_submit(struct bdev_chan *chan, struct bio *bio)
{
	struct qos_seat *seats = chan->sched.gate->seat;
	enum qos_class class = qos_class_of((enum bio_op)bio->op);
	enum iosched_stage stage = IOSCHED_DISK;

	if (cc_likely(!chan->sched.is_watched &&
		      qos_seat_pass_fast(&seats[IOSCHED_DISK], class, 1, bio->len))) {
		stage = IOSCHED_GROUP;
		if (!seats[IOSCHED_GROUP].pool ||
		    cc_likely(qos_seat_pass_fast(&seats[IOSCHED_GROUP], class, 1, bio->len))) {
			chan->to_driver(chan, bio);
			return;
		}
	}
	chan->inflight--;
	iosched_enter(chan, bio, stage);
}

static void gate_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	struct gate_sum sum = { 0 };
	enum iosched_stage stage;
	struct bio *bio;

	for (bio = bios->first; bio; bio = bio->next) {
		enum qos_class class = qos_class_of((enum bio_op)bio->op);

		sum.ios[class]++;
		sum.bytes[class] += bio->len;
	}
	if (cc_likely(gate_passes(chan, &sum, &stage))) {
		chan->to_driver_batch(chan, bios);
		return;
	}
	chan->inflight -= sum.ios[QOS_CLASS_READ] + sum.ios[QOS_CLASS_WRITE];
	while ((bio = bio_queue_pop(bios)) != NULL)
		iosched_enter(chan, bio, stage);
}

void iosched_set_gate(struct bdev_chan *chan, bool wants_gate)
{
	chan->sched.wants_gate = wants_gate;
	iosched_update_gate(chan);
}

void iosched_update_gate(struct bdev_chan *chan)
{
	bool has_gate = chan->sched.wants_gate || chan->sched.path == IOSCHED_PATH_HELD;

	chan->has_gate = has_gate;
	chan->submit = has_gate ? gate_submit : chan->to_driver;
	chan->submit_batch = has_gate ? gate_submit_batch : chan->to_driver_batch;
}

/*
 * Inspection, cancelling
 */

/* Of @from, one of those that nwaiting counts. */
static void pick(struct iosched *s, struct bio_queue *from, bdev_match_fn match, const void *arg,
		 struct bio_queue *ret_bios)
{
	struct bio *bio = bio_queue_take_all(from), *next;

	for (; bio; bio = next) {
		next = bio->next;
		if (match(bdev_submitted(bio), arg)) {
			s->nwaiting--;
			bio->flags &= (uint8_t)~BIO_PATH_FAILED;
			bio_queue_push(ret_bios, bio);
		} else {
			bio_queue_push(from, bio);
		}
	}
}

void iosched_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg)
{
	struct iosched *s = &chan->sched;
	struct bio_queue bios;
	struct bio *bio;

	bio_queue_init(&bios);
	for (unsigned i = 0; i < IOSCHED_LIMITS; i++)
		qos_seat_pick(&s->gate->seat[i], match, arg, &bios);
	pick(s, &s->gate->path.again, match, arg, &bios);
	for (unsigned class = 0; class < QOS_CLASSES; class++)
		pick(s, &s->waiting[class], match, arg, &bios);
	iosched_update_watch(s);
	while ((bio = bio_queue_pop(&bios)) != NULL)
		bdev_answer_later(bio, -ECANCELED);
}

bool iosched_holds(const struct bdev_chan *chan, const struct bio *bio)
{
	const struct iosched *s = &chan->sched;

	for (unsigned i = 0; i < IOSCHED_LIMITS; i++)
		if (qos_seat_holds(&s->gate->seat[i], bio))
			return true;
	return bio_queue_has(&s->gate->path.again, bio) ||
	       bio_queue_has(&s->waiting[QOS_CLASS_READ], bio) ||
	       bio_queue_has(&s->waiting[QOS_CLASS_WRITE], bio);
}
