/* SPDX-License-Identifier: BSD-3-Clause */
/* The control thread's side of a limit that several reactors share. */
#include "core/qos_ledger.h"

#include <assert.h>
#include <string.h>

#include "core/qos_share.h"

/* Whoever woke up waits for its part only so long. */
#define QOS_FIRST_PERIOD_NS (1 * MONO_NS_PER_MS)

/*
 * Orders
 */

static void pool_answered(struct reactor_msg *msg);

/* On the pool's reactor. */
static void pool_ordered(struct reactor_msg *msg)
{
	struct qos_pool *pool = container_of(msg, struct qos_pool, order.msg);
	struct qos_order *o = &pool->order;
	uint64_t now = pool->reactor->now_ns;

	qos_pool_demand(pool, o->demand);
	if (o->is_last) {
		qos_pool_fini(pool);
	} else {
		if (memcmp(&pool->budget.limits, &o->limits, sizeof(o->limits)) != 0)
			qos_budget_set_limits(&pool->budget, &o->limits, now);
		qos_budget_set_parts(&pool->budget, o->parts, now);
		pool->is_asleep = o->shall_sleep && pool->nwaiting == 0;
		qos_pool_run(pool);
	}
	reactor_send(pool->control, &o->msg, pool_answered);
}

static void pool_order(struct qos_pool *pool)
{
	struct qos_order *o = &pool->order;

	if (pool->is_ordered) {
		pool->is_stale = true;
		return;
	}
	pool->is_ordered = true;
	pool->is_stale = false;
	o->is_last = !pool->ledger;
	if (pool->ledger)
		o->limits = pool->ledger->limits;
	memcpy(o->parts, pool->parts, sizeof(o->parts));
	o->shall_sleep = pool->shall_sleep;
	reactor_send(pool->reactor, &o->msg, pool_ordered);
}

static void order_all(struct qos_ledger *l)
{
	struct list *pos;

	list_for_each (pos, &l->pools)
		pool_order(list_entry(pos, struct qos_pool, link));
}

/*
 * Periods
 */

static void ledger_split(struct qos_ledger *l);

static void ledger_answered(struct qos_ledger *l, struct qos_pool *pool)
{
	if (!pool->owes_answer)
		return;
	pool->owes_answer = false;
	assert(l->nasked > 0);
	if (--l->nasked == 0)
		ledger_split(l);
}

static void pool_answered(struct reactor_msg *msg)
{
	struct qos_pool *pool = container_of(msg, struct qos_pool, order.msg);

	pool->is_ordered = false;
	if (pool->order.is_last) {
		pool->ended(pool);
		return;
	}
	for (unsigned id = 0; id < QOS_BUCKETS; id++)
		pool->demand[id] += pool->order.demand[id];
	if (pool->is_stale && (pool->ledger || pool->ended))
		pool_order(pool);
	else if (pool->ledger)
		ledger_answered(pool->ledger, pool);
}

static void period_begin(struct qos_ledger *l)
{
	struct list *pos;

	if (l->nasked) /* somebody is slow: what it says counts for the next one, too */
		return;
	list_for_each (pos, &l->pools) {
		list_entry(pos, struct qos_pool, link)->owes_answer = true;
		l->nasked++;
	}
	order_all(l);
}

static void period_due(struct deadline *d)
{
	period_begin(container_of(d, struct qos_ledger, period));
}

static void ledger_even(struct qos_ledger *l, bool shall_sleep)
{
	uint64_t none[QOS_SHARES_MAX] = { 0 };
	uint32_t parts[QOS_SHARES_MAX];
	unsigned i = 0;
	struct list *pos;

	if (!l->npools)
		return;
	qos_share_split(none, l->npools, 1, parts);
	list_for_each (pos, &l->pools) {
		struct qos_pool *pool = list_entry(pos, struct qos_pool, link);

		for (unsigned id = 0; id < QOS_BUCKETS; id++)
			pool->parts[id] = parts[i];
		pool->shall_sleep = shall_sleep && l->npools > 1;
		i++;
	}
}

/* What the limit gives in @ns; without a limit, what was asked for. */
static uint64_t capacity_of(const struct qos_ledger *l, unsigned id, uint64_t ns, uint64_t asked)
{
	__extension__ unsigned __int128 n = l->limits.rate[id].per_sec;

	n = n ? n * ns / MONO_NS_PER_SEC : asked;
	return n > UINT64_MAX ? UINT64_MAX : CC_MAX((uint64_t)n, UINT64_C(1));
}

/* Returns whether anything was asked for. */
static bool ledger_split_bucket(struct qos_ledger *l, unsigned id, uint64_t ns)
{
	uint64_t demand[QOS_SHARES_MAX], asked = 0;
	uint32_t parts[QOS_SHARES_MAX];
	unsigned n = 0, i = 0;
	struct list *pos;

	list_for_each (pos, &l->pools) {
		struct qos_pool *pool = list_entry(pos, struct qos_pool, link);

		demand[n] = pool->demand[id];
		pool->demand[id] = 0;
		asked += demand[n++];
	}
	qos_share_split(demand, n, capacity_of(l, id, ns, asked), parts);
	list_for_each (pos, &l->pools)
		list_entry(pos, struct qos_pool, link)->parts[id] = parts[i++];
	return asked != 0;
}

/* All have answered. */
static void ledger_split(struct qos_ledger *l)
{
	uint64_t now = mono_ns();
	bool is_asked = false;
	struct list *pos;

	if (l->npools < 2)
		return;
	for (unsigned id = 0; id < QOS_BUCKETS; id++)
		is_asked |= ledger_split_bucket(l, id, now - l->split_ns);
	l->split_ns = now;
	if (is_asked) {
		list_for_each (pos, &l->pools)
			list_entry(pos, struct qos_pool, link)->shall_sleep = false;
		deadline_arm(l->control, &l->period, now + QOS_PERIOD_NS);
	} else {
		ledger_even(l, true);
		l->is_running = false;
	}
	order_all(l);
}

static void ledger_start(struct qos_ledger *l)
{
	if (l->is_running || l->npools < 2)
		return;
	l->is_running = true;
	l->split_ns = mono_ns();
	deadline_arm(l->control, &l->period, l->split_ns + QOS_FIRST_PERIOD_NS);
}

static void pool_woke(struct reactor_msg *msg)
{
	struct qos_pool *pool = container_of(msg, struct qos_pool, wake_msg);

	__atomic_store_n(&pool->is_waking, false, __ATOMIC_RELEASE);
	if (pool->ledger)
		ledger_start(pool->ledger);
}

void qos_ledger_wake(struct qos_pool *pool)
{
	pool->is_asleep = false;
	if (__atomic_load_n(&pool->is_waking, __ATOMIC_ACQUIRE))
		return;
	__atomic_store_n(&pool->is_waking, true, __ATOMIC_RELAXED);
	reactor_send(pool->control, &pool->wake_msg, pool_woke);
}

/*
 * Who is in it
 */

void qos_ledger_init(struct qos_ledger *l, struct reactor *control, const struct qos_limits *lim)
{
	memset(l, 0, sizeof(*l));
	l->control = control;
	l->limits = *lim;
	list_init(&l->pools);
	deadline_init(&l->period, period_due);
}

void qos_ledger_fini(struct qos_ledger *l)
{
	assert(l->npools == 0);
	deadline_cancel(&l->period);
}

void qos_ledger_set_limits(struct qos_ledger *l, const struct qos_limits *lim)
{
	l->limits = *lim;
	order_all(l);
}

/* Others have come or gone. */
static void ledger_changed(struct qos_ledger *l)
{
	ledger_even(l, !l->is_running);
	if (l->npools < 2) {
		deadline_cancel(&l->period);
		l->is_running = false;
	}
	order_all(l);
}

void qos_ledger_join(struct qos_ledger *l, struct qos_pool *pool)
{
	assert(l->npools < QOS_SHARES_MAX);
	pool->ledger = l;
	pool->control = l->control;
	list_add_tail(&l->pools, &pool->link);
	l->npools++;
	ledger_changed(l);
}

void qos_ledger_leave(struct qos_pool *pool)
{
	struct qos_ledger *l = pool->ledger;

	if (!l)
		return;
	pool->ledger = NULL;
	pool->is_stale = false;
	list_del(&pool->link);
	l->npools--;
	if (pool->owes_answer && --l->nasked == 0)
		ledger_split(l);
	pool->owes_answer = false;
	ledger_changed(l);
}

void qos_ledger_end(struct qos_pool *pool, void (*ended)(struct qos_pool *pool))
{
	pool->ended = ended;
	qos_ledger_leave(pool);
	pool_order(pool);
}
