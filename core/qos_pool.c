/* SPDX-License-Identifier: BSD-3-Clause */
/* Who waits for a limit on a reactor, and who goes next. */
#include "core/qos_pool.h"

#include <assert.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/qos_ledger.h"

static void pool_timer(struct deadline *d)
{
	qos_pool_run(container_of(d, struct qos_pool, timer));
}

void qos_pool_init(struct qos_pool *pool, struct reactor *r, const struct qos_limits *lim)
{
	memset(pool, 0, sizeof(*pool));
	pool->reactor = r;
	qos_budget_init(&pool->budget, lim, mono_ns());
	for (unsigned class = 0; class < QOS_CLASSES; class++)
		qos_drr_init(&pool->drr[class]);
	deadline_init(&pool->timer, pool_timer);
	list_init(&pool->promised);
	list_init(&pool->link);
}

void qos_pool_fini(struct qos_pool *pool)
{
	assert(pool->nwaiting == 0 && list_is_empty(&pool->promised));
	deadline_cancel(&pool->timer);
}

/* Never later than armed already. */
static void pool_arm(struct qos_pool *pool, uint64_t at_ns)
{
	uint64_t soonest = pool->reactor->now_ns + QOS_PAUSE_NS;

	if (at_ns < soonest)
		at_ns = soonest;
	if (!deadline_is_armed(&pool->timer) || at_ns < pool->timer.at_ns)
		deadline_arm(pool->reactor, &pool->timer, at_ns);
}

/*
 * Waiting
 */

/* Adds @sign times what @bio counts to what waits. */
static void count_waiting(struct qos_seat *seat, const struct bio *bio, int64_t sign)
{
	struct qos_pool *pool = seat->pool;
	unsigned mine = bio->op == BIO_READ ? QOS_READ_IOS : QOS_WRITE_IOS;
	uint64_t ios = (uint64_t)sign;
	uint64_t bytes = (uint64_t)sign * qos_cost_bytes((enum bio_op)bio->op, 1, bio->len);

	pool->waits[mine] += ios;
	pool->waits[mine + 1] += bytes;
	pool->waits[QOS_TOTAL_IOS] += ios;
	pool->waits[QOS_TOTAL_BYTES] += bytes;
	seat->wait_ios += ios;
	seat->wait_bytes += bytes;
	counter_add(pool->nwaiting, ios);
}

static void seat_wait(struct qos_seat *seat, enum qos_class class, struct bio *bio)
{
	struct qos_pool *pool = seat->pool;

	if (pool->nwaiting == 0)
		counter_set(pool->since_ns, pool->reactor->now_ns);
	counter_add(pool->delayed, 1);
	if (!seat->waiting[class].first)
		qos_drr_attach(&pool->drr[class], &seat->tenant[class],
			       qos_drr_cost((enum bio_op)bio->op, bio->len));
	bio_queue_push(&seat->waiting[class], bio);
	count_waiting(seat, bio, 1);
}

static void count_gone(struct qos_seat *seat, const struct bio *bio)
{
	struct qos_pool *pool = seat->pool;

	count_waiting(seat, bio, -1);
	if (pool->nwaiting)
		return;
	counter_add(pool->throttled_ns, pool->reactor->now_ns - pool->since_ns);
	counter_set(pool->since_ns, 0);
}

static uint32_t head_cost(const struct bio_queue *q)
{
	return q->first ? qos_drr_cost((enum bio_op)q->first->op, q->first->len) : 0;
}

/* The oldest of @class; the round knows what comes behind it. */
static struct bio *seat_pop(struct qos_seat *seat, enum qos_class class)
{
	struct bio *bio = bio_queue_pop(&seat->waiting[class]);

	count_gone(seat, bio);
	return bio;
}

/* It goes out of turn. */
static struct bio *seat_pop_early(struct qos_seat *seat, enum qos_class class)
{
	struct bio *bio = seat_pop(seat, class);

	qos_drr_detach(&seat->pool->drr[class], &seat->tenant[class]);
	if (seat->waiting[class].first)
		qos_drr_attach(&seat->pool->drr[class], &seat->tenant[class],
			       head_cost(&seat->waiting[class]));
	return bio;
}

/*
 * The guaranteed minimum
 */

void qos_promise_set(struct qos_promise *p, const struct qos_limits *lim, uint64_t now_ns)
{
	struct qos_limits rates = { 0 };

	rates.rate[QOS_TOTAL_IOS].per_sec = lim->min_ios;
	rates.rate[QOS_TOTAL_BYTES].per_sec = lim->min_bytes;
	if (memcmp(&rates, &p->budget.limits, sizeof(rates)) != 0)
		qos_budget_set_limits(&p->budget, &rates, now_ns);
	qos_budget_set_parts(&p->budget, p->own->budget.parts, now_ns);
}

/* What has gone by other ways has used it up. */
static void promise_update(const struct qos_seat *seat, uint64_t now_ns)
{
	struct qos_promise *p = seat->promise;
	uint64_t ios, bytes;

	qos_budget_settle(&p->own->budget, now_ns);
	if (memcmp(p->budget.parts, p->own->budget.parts, sizeof(p->budget.parts)) != 0)
		qos_budget_set_parts(&p->budget, p->own->budget.parts, now_ns);
	ios = p->own->budget.went[QOS_TOTAL_IOS] - seat->wait_ios;
	bytes = p->own->budget.went[QOS_TOTAL_BYTES] - seat->wait_bytes;
	if (ios - p->seen_ios <= UINT32_MAX) /* else it wrapped: what is passed now is not seen yet */
		qos_budget_use_up(&p->budget, now_ns, BIO_WRITE, (uint32_t)(ios - p->seen_ios),
				  bytes - p->seen_bytes);
	p->seen_ios = ios;
	p->seen_bytes = bytes;
}

/* 0: @bio may go by the minimum, and is counted. Else when it may; UINT64_MAX: there is none. */
static uint64_t promise_take(const struct qos_seat *seat, uint64_t now_ns, const struct bio *bio)
{
	struct qos_promise *p = seat->promise;
	uint64_t at;

	if (!p)
		return UINT64_MAX;
	promise_update(seat, now_ns);
	at = qos_budget_take(&p->budget, now_ns, (enum bio_op)bio->op, 1, bio->len);
	qos_budget_settle(&p->budget, now_ns); /* no slack: every one is asked for */
	if (at)
		return at;
	p->seen_ios++;
	p->seen_bytes += qos_cost_bytes((enum bio_op)bio->op, 1, bio->len);
	return 0;
}

/* Those who have less than what they were promised. Returns when to look again. */
static uint64_t pool_run_promised(struct qos_pool *pool)
{
	uint64_t now = pool->reactor->now_ns, next = UINT64_MAX;
	struct list *pos;

	list_for_each (pos, &pool->promised) {
		struct qos_seat *seat = list_entry(pos, struct qos_seat, link);

		for (unsigned class = 0; class < QOS_CLASSES; class++) {
			struct bio *bio;

			while ((bio = seat->waiting[class].first) != NULL) {
				uint64_t at = promise_take(seat, now, bio);

				if (at) {
					next = CC_MIN(next, at);
					break;
				}
				qos_budget_charge(&pool->budget, now, (enum bio_op)bio->op, 1, bio->len);
				seat->go(seat->chan, seat_pop_early(seat, class));
			}
		}
	}
	return next;
}

/*
 * Going
 */

/* In their turn, as far as the budget goes. Returns when to look again. */
static uint64_t pool_run_class(struct qos_pool *pool, enum qos_class class)
{
	uint64_t now = pool->reactor->now_ns;
	struct qos_tenant *t;

	while ((t = qos_drr_next(&pool->drr[class])) != NULL) {
		struct qos_seat *seat = container_of(t, struct qos_seat, tenant[class]);
		struct bio *bio = seat->waiting[class].first;
		uint64_t at = qos_budget_take(&pool->budget, now, (enum bio_op)bio->op, 1, bio->len);

		if (at)
			return at;
		bio = seat_pop(seat, class);
		qos_drr_sent(&pool->drr[class], t, head_cost(&seat->waiting[class]));
		seat->go(seat->chan, bio);
	}
	return UINT64_MAX;
}

void qos_pool_run(struct qos_pool *pool)
{
	uint64_t next = pool_run_promised(pool);

	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		uint64_t at = pool_run_class(pool, (enum qos_class)class);

		next = CC_MIN(next, at);
	}
	if (next != UINT64_MAX)
		pool_arm(pool, next);
}

void qos_pool_demand(struct qos_pool *pool, uint64_t *ret_demand)
{
	qos_budget_settle(&pool->budget, pool->reactor->now_ns);
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		ret_demand[id] = pool->budget.went[id] - pool->told[id] + pool->waits[id];
		pool->told[id] = pool->budget.went[id];
	}
}

/*
 * Seats
 */

void qos_seat_init(struct qos_seat *seat, struct bdev_chan *chan,
		   void (*go)(struct bdev_chan *chan, struct bio *bio))
{
	memset(seat, 0, sizeof(*seat));
	seat->chan = chan;
	seat->go = go;
	list_init(&seat->link);
	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		bio_queue_init(&seat->waiting[class]);
		qos_tenant_init(&seat->tenant[class], QOS_WEIGHT_DEFAULT);
	}
}

void qos_seat_take(struct qos_seat *seat, struct qos_pool *pool, uint16_t weight)
{
	assert(!seat->pool && qos_seat_is_idle(seat));
	seat->pool = pool;
	qos_seat_set_weight(seat, weight);
}

void qos_seat_set_promise(struct qos_seat *seat, struct qos_promise *promise)
{
	list_del(&seat->link);
	seat->promise = promise;
	if (promise)
		list_add_tail(&seat->pool->promised, &seat->link);
}

void qos_seat_flush(struct qos_seat *seat)
{
	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		while (seat->waiting[class].first) {
			struct bio *bio = seat_pop_early(seat, (enum qos_class)class);

			qos_budget_charge(&seat->pool->budget, seat->pool->reactor->now_ns,
					  (enum bio_op)bio->op, 1, bio->len);
			seat->go(seat->chan, bio);
		}
	}
}

void qos_seat_leave(struct qos_seat *seat)
{
	if (!seat->pool)
		return;
	qos_seat_flush(seat);
	qos_seat_set_promise(seat, NULL);
	seat->pool = NULL;
}

void qos_seat_set_weight(struct qos_seat *seat, uint16_t weight)
{
	for (unsigned class = 0; class < QOS_CLASSES; class++)
		qos_tenant_set_weight(&seat->tenant[class], weight);
}

bool qos_seat_pass(struct qos_seat *seat, struct bio *bio, bool is_urgent)
{
	enum qos_class class = qos_class_of((enum bio_op)bio->op);
	struct qos_pool *pool = seat->pool;
	uint64_t now = pool->reactor->now_ns, at = 0, by_promise;

	if (pool->is_asleep)
		qos_ledger_wake(pool);
	if (list_is_empty(&pool->drr[class].round)) {
		at = qos_budget_take(&pool->budget, now, (enum bio_op)bio->op, 1, bio->len);
		if (!at)
			return true;
	}
	if (is_urgent) {
		qos_budget_charge(&pool->budget, now, (enum bio_op)bio->op, 1, bio->len);
		return true;
	}
	by_promise = seat->waiting[class].first ? UINT64_MAX : promise_take(seat, now, bio);
	if (!by_promise) {
		qos_budget_charge(&pool->budget, now, (enum bio_op)bio->op, 1, bio->len);
		return true;
	}
	seat_wait(seat, class, bio);
	at = at ? CC_MIN(at, by_promise) : by_promise;
	if (at != UINT64_MAX)
		pool_arm(pool, at);
	return false;
}

void qos_seat_pick(struct qos_seat *seat, bool (*match)(const struct bio *bio, const void *arg),
		   const void *arg, struct bio_queue *ret_bios)
{
	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		struct bio_queue *q = &seat->waiting[class];
		struct bio *bio = bio_queue_take_all(q), *next;

		if (!bio)
			continue;
		qos_drr_detach(&seat->pool->drr[class], &seat->tenant[class]);
		for (; bio; bio = next) {
			next = bio->next;
			if (match(bio, arg)) {
				count_gone(seat, bio);
				bio_queue_push(ret_bios, bio);
			} else {
				bio_queue_push(q, bio);
			}
		}
		if (q->first)
			qos_drr_attach(&seat->pool->drr[class], &seat->tenant[class], head_cost(q));
	}
}

bool qos_seat_holds(const struct qos_seat *seat, const struct bio *bio)
{
	return bio_queue_has(&seat->waiting[QOS_CLASS_READ], bio) ||
	       bio_queue_has(&seat->waiting[QOS_CLASS_WRITE], bio);
}
