/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A limit on one reactor, and who waits for it there: channels with seats at a pool.
 *
 *   channel ── qos_seat_pass ─► budget says yes ─────────────────────────► goes on
 *                               no: waits at the seat ─ timer ─ by weight ─► seat->go
 *
 * The pool of a disk has the seat of one channel; that of a group those of all its disks' channels on this reactor.
 * Everything on the pool's reactor unless said otherwise.
 */
#ifndef CORE_QOS_POOL_H
#define CORE_QOS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/bio.h"
#include "core/deadline.h"
#include "core/qos_drr.h"
#include "core/qos_limit.h"
#include "core/reactor.h"

struct qos_ledger;
struct qos_group;

/* While somebody waits, the limit is looked at this often at most: burst makes good what comes late. */
#define QOS_PAUSE_NS (20 * MONO_NS_PER_US)

/* What the control thread tells a pool, and what the pool answers. The ledger's, while it is not under way. */
struct qos_order {
	struct reactor_msg msg;
	struct qos_limits limits;
	uint32_t parts[QOS_BUCKETS];
	uint64_t demand[QOS_BUCKETS]; /* answer: what went since the last answer, and what waits */
	bool shall_sleep;	      /* no more questions until the pool has called wake */
	bool is_last;		      /* the pool ends */
};

struct qos_pool {
	struct qos_budget budget;
	struct reactor *reactor;
	struct qos_drr drr[QOS_CLASSES];
	struct deadline timer;
	struct list promised; /* seats with a guaranteed minimum */
	uint64_t waits[QOS_BUCKETS];
	uint64_t told[QOS_BUCKETS]; /* budget.went at the last answer */
	bool is_asleep;
	bool is_waking; /* atomic: wake_msg is under way */
	/* counters: this reactor writes, anybody reads */
	uint64_t nwaiting, delayed, throttled_ns, since_ns;
	/* the ledger's, control thread */
	struct reactor *control;
	struct qos_ledger *ledger;
	struct list link;
	struct qos_order order;
	struct reactor_msg wake_msg;
	uint32_t parts[QOS_BUCKETS];
	uint64_t demand[QOS_BUCKETS];			  /* of this period, as answered so far */
	bool is_ordered, is_stale;			  /* an order is under way; and old already */
	bool owes_answer;				  /* in this period */
	bool shall_sleep;
	void (*ended)(struct qos_pool *pool);
	uint32_t refs;		 /* of a group's pool: who holds it */
	struct qos_group *owner; /* of the same */
};

/* A guaranteed minimum: what has gone is told from the own pool of the disk. */
struct qos_promise {
	struct qos_budget budget;
	struct qos_pool *own;
	uint64_t seen_ios, seen_bytes;
};

struct qos_seat {
	struct qos_pool *pool; /* NULL: no such limit */
	struct bdev_chan *chan;
	void (*go)(struct bdev_chan *chan, struct bio *bio); /* what has waited goes on */
	struct bio_queue waiting[QOS_CLASSES];
	struct qos_tenant tenant[QOS_CLASSES];
	uint64_t wait_ios, wait_bytes;
	struct qos_promise *promise; /* NULL: none */
	struct list link;	     /* in pool->promised */
};

/* Any thread; then it belongs to @r. */
void qos_pool_init(struct qos_pool *pool, struct reactor *r, const struct qos_limits *lim);

/* Nobody waits any more; its timer goes. */
void qos_pool_fini(struct qos_pool *pool);

/* Something has changed: whoever may go goes. */
void qos_pool_run(struct qos_pool *pool);

/* Settles the budget and says what was asked for since the last time, and what waits, in each bucket. */
void qos_pool_demand(struct qos_pool *pool, uint64_t *ret_demand);

/* Any thread. */
void qos_seat_init(struct qos_seat *seat, struct bdev_chan *chan,
		   void (*go)(struct bdev_chan *chan, struct bio *bio));

/* @seat is at no pool. */
void qos_seat_take(struct qos_seat *seat, struct qos_pool *pool, uint16_t weight);

/* From now on the minimum of @lim. */
void qos_promise_set(struct qos_promise *p, const struct qos_limits *lim, uint64_t now_ns);

/* NULL: none. */
void qos_seat_set_promise(struct qos_seat *seat, struct qos_promise *promise);

/* All that waits there goes on. */
void qos_seat_leave(struct qos_seat *seat);

void qos_seat_set_weight(struct qos_seat *seat, uint16_t weight);

/* All that waits goes on, and is charged. */
void qos_seat_flush(struct qos_seat *seat);

/* @bio may go on: true. Else it waits at the seat. @is_urgent: it may in any case, and is charged. */
bool qos_seat_pass(struct qos_seat *seat, struct bio *bio, bool is_urgent);

/* What waits there and is picked by @match is taken out and pushed to @ret_bios. */
void qos_seat_pick(struct qos_seat *seat, bool (*match)(const struct bio *bio, const void *arg),
		   const void *arg, struct bio_queue *ret_bios);

bool qos_seat_holds(const struct qos_seat *seat, const struct bio *bio);

static inline bool qos_seat_is_idle(const struct qos_seat *seat)
{
	return seat->wait_ios == 0;
}

/* May I/Os of one class, reads or writes, go by slack alone? Counted if so. */
static cc_always_inline bool qos_seat_pass_fast(struct qos_seat *seat, enum qos_class class,
						uint32_t ios, uint64_t bytes)
{
	return cc_likely(list_is_empty(&seat->pool->drr[class].round)) &&
	       qos_budget_take_slack(&seat->pool->budget, class, ios, bytes);
}

/* What qos_seat_pass_fast() has just counted does not go after all. */
static inline void qos_seat_give_back(struct qos_seat *seat, enum qos_class class, uint32_t ios,
				      uint64_t bytes)
{
	seat->pool->budget.slack[class].ios += ios;
	seat->pool->budget.slack[class].bytes += bytes;
}

#endif
