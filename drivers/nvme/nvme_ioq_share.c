/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose I/O goes next when the channels of a queue want more than it holds: deficit round robin by
 * weight and cost.
 *
 *   submit ─► tenant.waiting ─ flush: whose turn it is, while less than the window is under way ─►
 * slot
 *
 * Slots alone would share nothing: 128 KiB take one as 4 KiB do, and whoever fills them with large
 * I/O makes all others wait in the device. So no more than a window of cost is under way: 4 KiB for
 * each slot of the queue. What waits here instead of in the device goes by weight, whatever the
 * device does.
 *
 * Who comes new finds the window full of what was sent before there was anybody to share with.
 * Until that has drained, only tenants with less under way than their part of the window get slots:
 * a newcomer's comes with the next completion. Afterwards it waits for its turn in the round, a
 * window at most.
 *
 * When slots run out, the queue is shared at once. When they do not, but more than a window is under way for several
 * tenants, a look once in a while finds it, which costs the short way nothing.
 *
 * Queues of other reactors share the device, too, and it serves them as commands come, or by turns.
 * Each look tells the others the weights that are active here and what is under way; the window of a
 * queue is as small beside the largest one as its weights are, but takes what the others leave of
 * one full window. A disk that several reactors serve counts for a part on each.
 *
 * A tenant that keeps less under way than its part never waits for more than that, and what it
 * leaves goes to the others.
 */
#include <assert.h>

#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "drivers/nvme/nvme_ioq.h"

/* A smaller queue lets so much through all the same: two of 128 KiB. */
#define WINDOW_MIN 64u

/* Weights are told in parts: those of a disk are divided by the queues it is active on. */
#define WEIGHT_PARTS 64u

/* How long several tenants may have more than a window under way before somebody sees it. */
#define LOOK_NS MONO_NS_PER_MS

/* How long nobody has had to wait for another one when the queue is no longer shared. A tenant with
 * one I/O at a time is idle in between. */
#define QUIET_NS (10 * MONO_NS_PER_MS)

void nvme_share_init(struct nvme_share *s)
{
	*s = (struct nvme_share){ 0 };
	qos_drr_init(&s->drr);
	list_init(&s->active);
}

void nvme_tenant_init(struct nvme_tenant *tn)
{
	*tn = (struct nvme_tenant){ 0 };
	qos_tenant_init(&tn->drr, QOS_WEIGHT_DEFAULT);
	bio_queue_init(&tn->waiting);
	list_init(&tn->link);
}

static uint32_t bio_cost(const struct bio *bio)
{
	return qos_drr_cost((enum bio_op)bio->op, bio->len);
}

static uint32_t bio_head(const struct bio *bio)
{
	return bio ? bio_cost(bio) : 0;
}

static uint64_t window_full(const struct nvme_ioq *q)
{
	return CC_MAX(q->qp.depth, WINDOW_MIN);
}

static uint64_t share_window(const struct nvme_ioq *q)
{
	return q->share.window ? q->share.window : window_full(q);
}

static uint64_t tenant_weight(const struct nvme_tenant *tn)
{
	return (uint64_t)tn->drr.weight * WEIGHT_PARTS / tn->drr.nparts;
}

static struct nvme_tenant *tenant_of(const struct bio *bio)
{
	struct nvme_target *t = bio->chan->drv;

	return &t->tenant;
}

/* One more I/O of the channel of @bio. */
static struct nvme_tenant *tenant_enter(struct nvme_share *s, const struct bio *bio)
{
	struct nvme_target *t = bio->chan->drv;
	struct nvme_tenant *tn = &t->tenant;

	if (!t->is_remote) /* a remote one's comes with each I/O */
		qos_tenant_set_weight(&tn->drr, bio->chan->weight);
	if (tn->nios++ == 0) {
		list_add_tail(&s->active, &tn->link);
		s->nactive++;
	}
	return tn;
}

static void tenant_leave(struct nvme_share *s, struct nvme_tenant *tn)
{
	assert(tn->nios > 0);
	if (--tn->nios > 0)
		return;
	assert(!tn->cost && !tn->waiting.first);
	list_del(&tn->link);
	s->nactive--;
}

void nvme_ioq_share(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;

	assert(q->mode == NVME_IOQ_RUNNING && !s->nactive && !s->cost && !s->nwaiting);
	q->mode = NVME_IOQ_SHARED;
	s->nspare = q->nfree;
	q->nfree = 0;
	for (uint32_t i = 0; i < q->qp.depth; i++) {
		const struct bio *bio = q->slots[i].bio;
		struct nvme_tenant *tn;
		uint32_t cost;

		if (!bio)
			continue;
		tn = tenant_enter(s, bio);
		cost = bio_cost(bio);
		tn->cost += cost;
		s->cost += cost;
	}
	s->peak = s->cost;
	s->is_over = s->cost > share_window(q);
	s->is_back = false;
	s->needed_ns = q->reactor->now_ns;
}

/* Enough for all again. Nothing waits. */
static void share_end(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;

	assert(!s->nwaiting && !s->drr.ntenants);
	while (!list_is_empty(&s->active)) {
		struct nvme_tenant *tn = list_entry(s->active.next, struct nvme_tenant, link);

		list_del(&tn->link);
		tn->nios = 0;
		tn->cost = 0;
	}
	s->nactive = 0;
	s->cost = 0;
	q->mode = NVME_IOQ_RUNNING;
	q->nfree = s->nspare;
	s->nspare = 0;
}

void nvme_ioq_wait(struct nvme_ioq *q, struct bio *bio)
{
	struct nvme_share *s = &q->share;
	struct nvme_tenant *tn;

	if (q->mode == NVME_IOQ_RUNNING)
		nvme_ioq_share(q);
	tn = tenant_enter(s, bio);
	if (!tn->waiting.first)
		qos_drr_attach(&s->drr, &tn->drr, bio_head(bio));
	bio_queue_push(&tn->waiting, bio);
	s->nwaiting++;
	if (q->mode == NVME_IOQ_SHARED)
		nvme_ioq_mark(q);
}

void nvme_ioq_left(struct nvme_ioq *q, const struct bio *bio)
{
	struct nvme_share *s = &q->share;
	struct nvme_tenant *tn = tenant_of(bio);
	uint32_t cost = bio_cost(bio);

	assert(q->mode != NVME_IOQ_RUNNING && tn->cost >= cost && s->cost >= cost);
	tn->cost -= cost;
	s->cost -= cost;
	tenant_leave(s, tn);
	if (s->nwaiting && q->mode == NVME_IOQ_SHARED)
		nvme_ioq_mark(q);
}

/* The next of @tn goes. Its turn has come, or it goes beside the round. */
static void tenant_send(struct nvme_ioq *q, struct nvme_tenant *tn, bool is_turn)
{
	struct nvme_share *s = &q->share;
	struct bio *bio = bio_queue_pop(&tn->waiting);
	uint32_t cost = bio_cost(bio), head = bio_head(tn->waiting.first);

	if (is_turn) {
		qos_drr_sent(&s->drr, &tn->drr, head);
	} else {
		qos_drr_detach(&s->drr, &tn->drr);
		if (head)
			qos_drr_attach(&s->drr, &tn->drr, head);
	}
	s->nwaiting--;
	tn->cost += cost;
	s->cost += cost;
	s->peak = CC_MAX(s->peak, s->cost);
	nvme_ioq_start(q, bio); /* at last: @tn may be gone when it ends in here */
}

static struct nvme_tenant *share_turn(struct nvme_share *s)
{
	struct qos_tenant *t = qos_drr_next(&s->drr);

	return t ? container_of(t, struct nvme_tenant, drr) : NULL;
}

/* Somebody who waits with less under way than its part of the window. */
static struct nvme_tenant *share_newcomer(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;
	uint64_t weights = 0;
	struct list *pos;

	list_for_each (pos, &s->active)
		weights += tenant_weight(list_entry(pos, struct nvme_tenant, link));
	list_for_each (pos, &s->active) {
		struct nvme_tenant *tn = list_entry(pos, struct nvme_tenant, link);

		if (tn->waiting.first && tn->cost * weights < share_window(q) * tenant_weight(tn))
			return tn;
	}
	return NULL;
}

/* One I/O, if one may go. */
static bool share_step(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;
	struct nvme_tenant *tn;

	if (!s->nwaiting || !s->nspare)
		return false;
	if (s->cost < share_window(q)) {
		s->is_over = false;
		tenant_send(q, share_turn(s), true);
		return true;
	}
	tn = s->is_over ? share_newcomer(q) : NULL;
	if (tn)
		tenant_send(q, tn, false);
	return tn;
}

void nvme_ioq_pump(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;
	uint64_t now = q->reactor->now_ns;

	assert(q->mode == NVME_IOQ_SHARED);
	while (share_step(q))
		;
	if (s->nwaiting && (s->nactive > 1 || s->nothers))
		s->needed_ns = now;
	if (now - s->needed_ns <= QUIET_NS || s->nwaiting > s->nspare)
		return;
	while (s->nwaiting) /* the only one may have all slots */
		tenant_send(q, share_turn(s), true);
	share_end(q);
}

/* What a look sees here. */
struct sight {
	unsigned ntenants;
	uint64_t weights, disks, cost;
};

static void told_store(struct nvme_told *told, const struct sight *si)
{
	__atomic_store_n(&told->weights, si->weights, __ATOMIC_RELAXED);
	__atomic_store_n(&told->disks, si->disks, __ATOMIC_RELAXED);
	__atomic_store_n(&told->cost, si->cost, __ATOMIC_RELAXED);
}

/* The queue at @i of those there are; NULL: it is @q, or has no I/O. */
static const struct nvme_told *told_of(const struct nvme_ioq *q, unsigned i)
{
	const struct nvme_ioq *other = q->ctrlr->ioqs[i];

	return other != q && __atomic_load_n(&other->told.weights, __ATOMIC_RELAXED) ? &other->told : NULL;
}

/* Partner: the release when a queue comes. */
static unsigned queues_count(const struct nvme_ioq *q)
{
	return __atomic_load_n(&q->ctrlr->nioqs, __ATOMIC_ACQUIRE);
}

static void sight_add(struct nvme_ioq *q, struct nvme_tenant *tn, struct sight *si)
{
	const struct nvme_target *t = container_of(tn, struct nvme_target, tenant);
	uint16_t nparts = 1;

	for (unsigned i = 0, n = queues_count(q); i < n; i++) {
		const struct nvme_told *told = told_of(q, i);

		nparts += told && __atomic_load_n(&told->disks, __ATOMIC_RELAXED) & t->disk;
	}
	qos_tenant_set_parts(&tn->drr, nparts);
	si->ntenants++;
	si->weights += tenant_weight(tn);
	si->disks |= t->disk;
}

/* Of a RUNNING queue, which keeps no books. */
static void sight_of_slots(struct nvme_ioq *q, struct sight *si)
{
	for (uint32_t i = 0; i < q->qp.depth; i++) {
		const struct bio *bio = q->slots[i].bio;
		struct nvme_target *t;

		if (!bio)
			continue;
		t = bio->chan->drv;
		si->cost += bio_cost(bio);
		if (t->tenant.look == q->share.nlooks)
			continue;
		t->tenant.look = q->share.nlooks;
		if (!t->is_remote)
			qos_tenant_set_weight(&t->tenant.drr, bio->chan->weight);
		sight_add(q, &t->tenant, si);
	}
}

static struct sight share_look_here(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;
	struct sight si = { 0 };
	struct list *pos;

	s->nlooks++;
	if (q->mode == NVME_IOQ_RUNNING) {
		sight_of_slots(q, &si);
		return si;
	}
	list_for_each (pos, &s->active)
		sight_add(q, list_entry(pos, struct nvme_tenant, link), &si);
	si.cost = s->peak; /* now it may be little, between an answer and what follows it */
	s->peak = s->cost;
	return si;
}

/* The part of the device that is this queue's until the next look. */
static void share_look_around(struct nvme_ioq *q, const struct sight *si)
{
	struct nvme_share *s = &q->share;
	uint64_t largest = si->weights, cost = 0, full = window_full(q), before = share_window(q);

	s->nothers = 0;
	for (unsigned i = 0, n = queues_count(q); i < n; i++) {
		const struct nvme_told *told = told_of(q, i);

		if (!told)
			continue;
		s->nothers++;
		largest = CC_MAX(largest, __atomic_load_n(&told->weights, __ATOMIC_RELAXED));
		cost += __atomic_load_n(&told->cost, __ATOMIC_RELAXED);
	}
	s->window = full;
	if (largest > si->weights)
		s->window = CC_MAX(full * si->weights / largest, cost < full ? full - cost : 1);
	s->window = CC_MAX(s->window, 1u);
	if (s->window > before && s->nwaiting)
		nvme_ioq_mark(q);
}

void nvme_ioq_tell_idle(struct nvme_ioq *q)
{
	told_store(&q->told, &(struct sight){ 0 });
	q->share.window = 0;
	q->share.nothers = 0;
}

static bool is_in_company(const struct nvme_ioq *q)
{
	return __atomic_load_n(&q->nusers, __ATOMIC_RELAXED) > 1 || queues_count(q) > 1;
}

void nvme_ioq_watch(struct nvme_ioq *q)
{
	if (nvme_ioq_is_live(q) && is_in_company(q) &&
	    !deadline_is_armed(&q->look))
		deadline_arm(q->reactor, &q->look, q->reactor->now_ns + LOOK_NS);
}

void nvme_ioq_look(struct deadline *d)
{
	struct nvme_ioq *q = container_of(d, struct nvme_ioq, look);
	struct sight si;

	if (!nvme_ioq_is_live(q))
		return;
	if (q->nfree + q->share.nspare == q->qp.depth && !q->share.nwaiting) {
		nvme_ioq_tell_idle(q);
		deadline_cancel(&q->tick); /* so that the next I/O winds up both of them */
		return;
	}
	si = share_look_here(q);
	told_store(&q->told, &si);
	share_look_around(q, &si);
	if (q->mode == NVME_IOQ_RUNNING && (si.ntenants > 1 || q->share.nothers) &&
	    si.cost > share_window(q))
		nvme_ioq_share(q);
	nvme_ioq_watch(q);
}

struct bio *nvme_ioq_take(struct nvme_ioq *q)
{
	struct nvme_share *s = &q->share;
	struct nvme_tenant *tn;
	struct bio *bio;

	if (!s->nwaiting)
		return NULL;
	tn = list_entry(s->active.next, struct nvme_tenant, link);
	bio = bio_queue_pop(&tn->waiting);
	assert(bio);
	qos_drr_detach(&s->drr, &tn->drr);
	s->nwaiting--;
	tenant_leave(s, tn);
	return bio;
}
