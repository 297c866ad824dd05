/* SPDX-License-Identifier: BSD-3-Clause */
/* Deficit round robin with a quantum of one unit for the default weight, which skips rounds in which nobody could
 * send. Deficits are kept in units divided by that weight. */
#include "core/qos_drr.h"

#include <assert.h>

uint32_t qos_drr_cost(enum bio_op op, uint64_t bytes)
{
	uint64_t units = bytes / QOS_COST_BYTES + (bytes % QOS_COST_BYTES != 0);

	if (op == BIO_FLUSH || !units)
		return 1;
	if ((op == BIO_DISCARD || op == BIO_WRITE_ZEROES) && units > QOS_COST_NODATA_MAX)
		return QOS_COST_NODATA_MAX;
	return units < QOS_COST_MAX ? (uint32_t)units : QOS_COST_MAX;
}

void qos_drr_init(struct qos_drr *d)
{
	list_init(&d->round);
	d->ntenants = 0;
}

void qos_tenant_init(struct qos_tenant *t, uint16_t weight)
{
	*t = (struct qos_tenant){ .weight = weight, .nparts = 1 };
	list_init(&t->link);
	qos_tenant_set_weight(t, weight);
}

void qos_tenant_set_weight(struct qos_tenant *t, uint16_t weight)
{
	assert(weight >= 1 && weight <= QOS_WEIGHT_MAX);
	t->weight = weight;
}

void qos_tenant_set_parts(struct qos_tenant *t, uint16_t nparts)
{
	assert(nparts >= 1);
	t->nparts = nparts;
}

void qos_drr_attach(struct qos_drr *d, struct qos_tenant *t, uint32_t head)
{
	assert(!t->head && head && head <= QOS_COST_MAX);
	t->head = head;
	t->deficit = 0;
	t->fed = false;
	list_add_tail(&d->round, &t->link);
	d->ntenants++;
}

void qos_drr_detach(struct qos_drr *d, struct qos_tenant *t)
{
	if (!t->head)
		return;
	assert(d->ntenants > 0);
	list_del(&t->link);
	d->ntenants--;
	t->head = 0;
}

static uint64_t price(const struct qos_tenant *t)
{
	return (uint64_t)t->head * QOS_WEIGHT_DEFAULT * t->nparts;
}

/* One round from whose turn it is, or less: the first that can send, NULL if nobody can. */
static struct qos_tenant *visit_all(struct qos_drr *d)
{
	for (unsigned i = 0; i < d->ntenants; i++) {
		struct qos_tenant *t = list_entry(d->round.next, struct qos_tenant, link);

		if (!t->fed)
			t->deficit += t->weight;
		t->fed = true;
		if (t->deficit >= price(t))
			return t;
		t->fed = false;
		list_del(&t->link);
		list_add_tail(&d->round, &t->link);
	}
	return NULL;
}

/* Nobody could send. Everybody gets at once what the rounds would give in which nobody can, either.
 */
static void skip_rounds(struct qos_drr *d)
{
	uint64_t rounds = UINT64_MAX;
	struct list *pos;

	for (pos = d->round.next; pos != &d->round; pos = pos->next) {
		const struct qos_tenant *t = list_entry(pos, struct qos_tenant, link);
		uint64_t more = (price(t) - t->deficit - 1) / t->weight;

		rounds = more < rounds ? more : rounds;
	}
	for (pos = d->round.next; pos != &d->round; pos = pos->next) {
		struct qos_tenant *t = list_entry(pos, struct qos_tenant, link);

		t->deficit += rounds * t->weight;
		assert(t->deficit < price(t));
	}
}

struct qos_tenant *qos_drr_next(struct qos_drr *d)
{
	struct qos_tenant *t;

	if (!d->ntenants)
		return NULL;
	t = visit_all(d);
	if (!t) {
		skip_rounds(d);
		t = visit_all(d);
	}
	assert(t);
	return t;
}

void qos_drr_sent(struct qos_drr *d, struct qos_tenant *t, uint32_t head)
{
	assert(t->head && t->deficit >= price(t) && head <= QOS_COST_MAX);
	if (!head) {
		qos_drr_detach(d, t);
		return;
	}
	t->deficit -= price(t);
	t->head = head;
}
