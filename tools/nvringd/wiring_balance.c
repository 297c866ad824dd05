/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks at the reactors' time and the queues' requests, asks core/rebalance, moves. */
#include "tools/nvringd/wiring_balance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/deadline.h"
#include "core/rebalance.h"
#include "tools/nvringd/wiring.h"
#include "vhost/user/vu_server.h"

#define LOG_TAG "balance"
#include "core/base/log.h"

/* Which queue an item is. */
struct queue_ref {
	struct wiring_export *e;
	unsigned index;
	struct vu_queue_note *note;
};

/* A move under way; the export may be gone when it ends. */
struct under_way {
	bool active;
	char name[BDEV_NAME_MAX];
	unsigned index, from, to;
	unsigned load_from, load_to, part; /* of REBAL_FULL */
};

struct wiring_balance {
	struct wiring *w;
	struct deadline next;
	struct rebal rebal;
	/* the period */
	uint64_t seen_ns;
	uint64_t busy_ns[REACTOR_MAX];
	unsigned loads[REACTOR_MAX];
	struct rebal_item *items;
	struct queue_ref *refs;
	unsigned nitems, room;
	struct wiring_export *of; /* being collected */
	/* the move */
	struct under_way move;
	uint64_t moves;
};

static void balance_tick(struct deadline *d);

static bool is_wanted(const struct wiring *w)
{
	return w->conf.rebalance && w->nreactors > 1 && w->nexports && !w->stopping;
}

/* What each reactor was busy since the last look. */
static void measure(struct wiring_balance *b)
{
	const struct wiring *w = b->w;
	uint64_t now = mono_ns(), span = now - b->seen_ns;

	for (unsigned i = 0; i < w->nreactors; i++) {
		struct reactor_stats st;
		uint64_t busy;

		reactor_get_stats(w->reactors[i], &st);
		busy = st.busy_ns - b->busy_ns[i];
		b->busy_ns[i] = st.busy_ns;
		b->loads[i] =
			span ? (unsigned)CC_MIN(busy * REBAL_FULL / span, (uint64_t)REBAL_FULL) : 0;
	}
	b->seen_ns = now;
}

static bool is_anyone_busy(const struct wiring_balance *b)
{
	for (unsigned i = 0; i < b->w->nreactors; i++) {
		if (b->loads[i] >= REBAL_BUSY_MIN)
			return true;
	}
	return false;
}

/* Room for one more. False: memory is out, and this period goes without the rest. */
static bool grow(struct wiring_balance *b)
{
	unsigned room = b->room ? b->room * 2 : 64;
	struct rebal_item *items;
	struct queue_ref *refs;

	if (b->nitems < b->room)
		return true;
	items = realloc(b->items, room * sizeof(*items));
	if (items)
		b->items = items;
	refs = realloc(b->refs, room * sizeof(*refs));
	if (refs)
		b->refs = refs;
	if (!items || !refs)
		return false;
	b->room = room;
	return true;
}

static void collect_queue(const struct vu_queue_load *load, void *arg)
{
	struct wiring_balance *b = arg;
	uint64_t work = load->requests - load->note->requests;

	load->note->requests = load->requests;
	if (!grow(b))
		return;
	b->items[b->nitems] = (struct rebal_item){
		.at = load->reactor_id,
		.work = work,
		.may = &b->of->near,
		.since_ns = load->since_ns,
		.moves = load->note->moves,
	};
	b->refs[b->nitems++] = (struct queue_ref){ b->of, load->index, load->note };
}

static void collect(struct wiring_balance *b)
{
	struct list *pos;

	b->nitems = 0;
	list_for_each (pos, &b->w->exports) {
		b->of = list_entry(pos, struct wiring_export, link);
		if (!b->of->ending)
			vu_server_for_each_load(b->of->server, collect_queue, b);
	}
}

static unsigned percent(unsigned load)
{
	return (load * 100 + REBAL_FULL / 2) / REBAL_FULL;
}

static void moved(void *arg, int err, const char *why)
{
	struct wiring_balance *b = arg;
	struct under_way *m = &b->move;

	m->active = false;
	if (err) {
		log_info("%s: queue %u stays on reactor %u: %s", m->name, m->index, m->from, why);
		return;
	}
	b->moves++;
	log_notice("%s: queue %u moved from reactor %u (%u %% busy, %u %% of it this queue's) to "
		   "reactor %u (%u %%)",
		   m->name, m->index, m->from, percent(m->load_from),
		   m->load_from ? m->part * 100 / m->load_from : 0, m->to, percent(m->load_to));
}

/* -EBUSY: its session waits for something else just now; the next period asks again. */
static void begin_move(struct wiring_balance *b, const struct rebal_move *move)
{
	const struct queue_ref *ref = &b->refs[move->item];
	struct errbuf eb;
	int err;

	b->move = (struct under_way){
		.active = true,
		.index = ref->index,
		.from = move->from,
		.to = move->to,
		.load_from = b->loads[move->from],
		.load_to = b->loads[move->to],
		.part = move->part,
	};
	snprintf(b->move.name, sizeof(b->move.name), "%s", ref->e->conf.name);
	ref->note->moves++; /* the queue may be gone when the call returns */
	err = wiring_export_move(ref->e, ref->index, move->to, moved, b, &eb);
	if (!err)
		return;
	ref->note->moves--;
	b->move.active = false;
	if (err != -EBUSY)
		log_info("%s: queue %u stays on reactor %u: %s", b->move.name, ref->index,
			 move->from, eb.text);
}

static void spread(struct wiring_balance *b)
{
	struct rebal_period p = { .loads = b->loads, .nreactors = b->w->nreactors };
	struct rebal_move move;

	collect(b);
	p.items = b->items;
	p.nitems = b->nitems;
	p.now_ns = mono_ns();
	if (rebal_decide(&b->rebal, &p, &move))
		begin_move(b, &move);
}

static void balance_tick(struct deadline *d)
{
	struct wiring_balance *b = container_of(d, struct wiring_balance, next);

	measure(b);
	if (b->move.active)
		; /* what is measured meanwhile is neither before nor after */
	else if (is_anyone_busy(b))
		spread(b);
	else
		rebal_init(&b->rebal);
	wiring_balance_update(b);
}

void wiring_balance_update(struct wiring_balance *b)
{
	if (!b)
		return;
	if (!is_wanted(b->w)) {
		deadline_cancel(&b->next);
		rebal_init(&b->rebal);
	} else if (!deadline_is_armed(&b->next)) {
		deadline_arm(b->w->control, &b->next, mono_ns() + REBAL_PERIOD_NS);
	}
}

uint64_t wiring_balance_moves(const struct wiring_balance *b)
{
	return b->moves;
}

int wiring_balance_create(struct wiring *w, struct errbuf *eb)
{
	struct wiring_balance *b = calloc(1, sizeof(*b));

	if (!b)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	b->w = w;
	deadline_init(&b->next, balance_tick);
	rebal_init(&b->rebal);
	b->seen_ns = mono_ns();
	w->balance = b;
	return 0;
}

void wiring_balance_destroy(struct wiring_balance *b)
{
	if (!b)
		return;
	deadline_cancel(&b->next);
	free(b->items);
	free(b->refs);
	free(b);
}
