/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One limit, and which reactor has which part of it.
 *
 *   control: period ─ order ─► each pool: settle, what was asked for? ─► control: all answered: split anew ─ order ─► …
 *
 * With one pool, it has all of it and no period runs. When nobody asked for anything in a period, all have even parts
 * and the period stops; whoever asks first (qos_ledger_wake) starts it again.
 */
#ifndef CORE_QOS_LEDGER_H
#define CORE_QOS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/deadline.h"
#include "core/qos_limit.h"
#include "core/qos_pool.h"

#define QOS_PERIOD_NS (10 * MONO_NS_PER_MS)

/* On the control thread, as all calls but one. */
struct qos_ledger {
	struct reactor *control;
	struct qos_limits limits;
	struct list pools;
	unsigned npools, nasked; /* nasked: answers of this period that are missing */
	struct deadline period;
	uint64_t split_ns; /* when the parts were made */
	bool is_running;
};

void qos_ledger_init(struct qos_ledger *l, struct reactor *control, const struct qos_limits *lim);
/* No pool is in it. */
void qos_ledger_fini(struct qos_ledger *l);

/* Checked limits. Reaches the pools by message. */
void qos_ledger_set_limits(struct qos_ledger *l, const struct qos_limits *lim);

/* @pool, just initialised, may belong to a running reactor already. */
void qos_ledger_join(struct qos_ledger *l, struct qos_pool *pool);

/* No order goes to @pool any more, but one may be under way until its reactor has answered what is sent to it now. */
void qos_ledger_leave(struct qos_pool *pool);

/* The same, for a pool in which nobody has a seat any more: qos_pool_fini() on its reactor, then ended(). */
void qos_ledger_end(struct qos_pool *pool, void (*ended)(struct qos_pool *pool));

/* On the pool's reactor: it was asleep and is asked for something. */
void qos_ledger_wake(struct qos_pool *pool);

#endif
