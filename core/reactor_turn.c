/* SPDX-License-Identifier: BSD-3-Clause */
/* The turn of a reactor: inbox, deadlines, polls, flushes; and how it looks at fds and sleeps. */
#include "core/reactor_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/base/barrier.h"
#include "core/deadline.h"

void reactor_rebase(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;

	pr->base_ticks = r->now_ticks;
	pr->base_ns = mono_ns();
	r->now_ns = CC_MAX(pr->base_ns, r->now_ns); /* never backwards: it stands still until the clock is there */
}

void reactor_update_now(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	uint64_t since;

	r->now_ticks = mono_ticks();
	since = r->now_ticks - pr->base_ticks;
	if (cc_unlikely(since > pr->rebase_ticks))
		reactor_rebase(r);
	else
		r->now_ns = CC_MAX(pr->base_ns + mono_ticks_to_ns(since), r->now_ns);
}

static void reactor_read_inbox(struct reactor *r)
{
	struct mpsc_node *n = mpsc_take_all(&r->priv->inbox), *next;
	unsigned count = 0;

	for (; n; n = next) {
		struct reactor_msg *msg = container_of(n, struct reactor_msg, node);

		next = n->next; /* fn owns the storage from here on */
		msg->fn(msg);
		count++;
	}
	if (count) {
		counter_add(r->priv->messages, count);
		r->work += count;
	}
}

void reactor_take_asked(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	struct reactor_idle idle;

	/* Partner: reactor_set_idle(), which counts after it has stored. */
	pr->cur_asked = __atomic_load_n(&pr->asked, __ATOMIC_ACQUIRE);
	pr->cur_mode = pr->cur_asked & REACTOR_ASKED_MODE;
	idle = reactor_get_idle(r);
	pr->idle.min = mono_ns_to_ticks(idle.min_ns);
	pr->idle.max = mono_ns_to_ticks(idle.max_ns);
}

/* All pollers that rest are hot again: what "idle" means has changed. */
static void reactor_apply_asked(struct reactor *r)
{
	struct list *lists[] = { &r->cold, &r->armed }, *pos, *tmp;

	reactor_take_asked(r);
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each_safe (pos, tmp, lists[i])
			poller_make_hot(list_entry(pos, struct poller, link));
	list_for_each (pos, &r->hot)
		idle_bound(&list_entry(pos, struct poller, link)->idle, &r->priv->idle);
}

static void reactor_poll_one(struct reactor *r, struct poller *p)
{
	struct reactor_priv *pr = r->priv;
	unsigned n;

	pr->current = p;
	n = p->ops->poll(p);
	if (n) {
		r->work += n;
		if (pr->current)
			p->last_work_ticks = r->now_ticks;
		return;
	}
	if (!pr->current || p->state != POLLER_HOT)
		return;
	if (r->now_ticks - p->last_work_ticks > pr->idle.min ||
	    cc_unlikely(pr->cur_mode == REACTOR_INTERRUPT))
		poller_found_nothing(p);
}

static void reactor_poll_hot(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;

	pr->cursor = r->hot.next;
	while (pr->cursor != &r->hot) {
		struct poller *p = list_entry(pr->cursor, struct poller, link);

		pr->cursor = pr->cursor->next;
		reactor_poll_one(r, p);
	}
	pr->cursor = NULL;
	pr->current = NULL;
}

static void reactor_poll_cold(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	struct poller *p;
	unsigned n;

	if (list_is_empty(&r->cold) || (r->work && r->now_ticks - pr->last_cold < pr->cold_ticks))
		return;
	pr->last_cold = r->now_ticks;
	p = list_entry(r->cold.next, struct poller, link);
	list_del(&p->link);
	list_add_tail(&r->cold, &p->link);
	pr->current = p;
	n = p->ops->poll(p);
	r->work += n;
	if (n && pr->current)
		poller_return(p);
	pr->current = NULL;
}

static void reactor_flush(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	struct poller *p;

	if (!r->dirty_first)
		return;
	r->now_ticks = mono_ticks();
	for (unsigned round = 0; r->dirty_first && round < REACTOR_FLUSH_ROUNDS; round++) {
		/* A round: those that are dirty now. */
		pr->round_last = container_of(r->dirty_last, struct poller, dirty_next);
		do {
			p = r->dirty_first;
			r->dirty_first = p->dirty_next;
			if (!r->dirty_first)
				r->dirty_last = &r->dirty_first;
			p->is_dirty = false;
			if (p == pr->round_last)
				pr->round_last = NULL;
			if (p->ops->flush)
				p->ops->flush(p);
		} while (pr->round_last);
	}
}

/* The time since the last turn began was spent on what that turn found. */
static void reactor_account(struct reactor *r, uint64_t from)
{
	struct reactor_priv *pr = r->priv;

	if (pr->turn_work)
		counter_add(pr->busy_ticks, r->now_ticks - from);
	else
		counter_add(pr->idle_turn_ticks, r->now_ticks - from);
}

unsigned reactor_once(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	uint64_t from = pr->turn_ticks;

	reactor_update_now(r);
	reactor_account(r, from);
	pr->turn_ticks = r->now_ticks;
	counter_add(pr->turns, 1);

	if (cc_unlikely(counter_get(pr->asked) != pr->cur_asked))
		reactor_apply_asked(r);
	reactor_read_inbox(r);
	if (!list_is_empty(&pr->deadlines))
		r->work += reactor_run_deadlines(r);
	reactor_poll_hot(r);
	reactor_poll_cold(r);
	reactor_flush(r);
	/* What fds bring between two turns belongs to the next. */
	pr->turn_work = r->work;
	r->work = 0;
	return pr->turn_work;
}

void reactor_forget_events(struct reactor *r, const void *ptr)
{
	struct reactor_priv *pr = r->priv;

	for (int i = pr->next_event; i < pr->nevents; i++) {
		uint64_t owner = pr->events[i].data.u64 & ~(uint64_t)REACTOR_TAG_POLLER;

		if (owner == (uintptr_t)ptr)
			pr->events[i].data.u64 = 0;
	}
}

static void reactor_dispatch(struct reactor *r, struct epoll_event *events, int n)
{
	struct reactor_priv *pr = r->priv;

	pr->events = events;
	pr->next_event = 0;
	pr->nevents = n;
	while (pr->next_event < pr->nevents) {
		const struct epoll_event *ev = &events[pr->next_event++];
		uint64_t owner = ev->data.u64;

		if (owner & REACTOR_TAG_POLLER) {
			/* Armed: hot, that is polled in this turn. Hot or cold: it will be looked
			 * at anyway. At rest: of work that has been found long since. */
			struct poller *p = (void *)(uintptr_t)(owner - REACTOR_TAG_POLLER);

			if (p->is_armed)
				poller_return(p);
		} else if (owner) {
			struct reactor_fd *rfd = (void *)(uintptr_t)owner;

			r->work++;
			rfd->fn(rfd, ev->events);
		}
	}
	pr->nevents = 0;
	pr->events = NULL;
}

void reactor_look(struct reactor *r, bool now_if_cold)
{
	struct reactor_priv *pr = r->priv;
	struct epoll_event events[REACTOR_EVENTS];
	uint64_t since = r->now_ticks - pr->last_look;
	bool is_due;
	int n;

	if (pr->cur_mode == REACTOR_POLL)
		is_due = pr->nfds && (now_if_cold || since > pr->look_poll_ticks);
	else
		is_due = (pr->nfds || pr->nwatched) &&
			 (since > pr->look_ticks || (now_if_cold && list_is_empty(&r->hot)));
	if (!is_due)
		return;
	pr->last_look = r->now_ticks;
	n = epoll_wait(pr->epfd, events, REACTOR_EVENTS, 0);
	if (n <= 0)
		return;
	r->now_ticks = mono_ticks(); /* the gaps end here */
	reactor_dispatch(r, events, n);
}

bool reactor_may_sleep(const struct reactor *r)
{
	return list_is_empty(&r->hot) && !r->dirty_first && r->priv->cur_mode != REACTOR_POLL;
}

/* Nanoseconds until the next deadline as a timespec, or NULL for ever. */
static const struct timespec *reactor_timeout(const struct reactor *r, struct timespec *ts)
{
	const struct list *all = &r->priv->deadlines;
	uint64_t at, now;

	if (list_is_empty(all))
		return NULL;
	at = list_entry(all->next, struct deadline, link)->at_ns;
	now = mono_ns();
	*ts = mono_timespec(at > now ? at - now : 0);
	return ts;
}

/* epoll_pwait2 (Linux 5.11) knows nanoseconds; older kernels wait for whole milliseconds, rounded
 * up. */
static int reactor_wait(struct reactor *r, struct epoll_event *events, const struct timespec *ts)
{
	int n = epoll_pwait2(r->priv->epfd, events, REACTOR_EVENTS, ts, NULL);
	int64_t ms = -1;

	if (n >= 0 || errno != ENOSYS)
		return n;
	if (ts)
		ms = CC_MIN((int64_t)ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000,
			    (int64_t)INT32_MAX);
	return epoll_wait(r->priv->epfd, events, REACTOR_EVENTS, (int)ms);
}

void reactor_sleep(struct reactor *r)
{
	struct reactor_priv *pr = r->priv;
	struct epoll_event events[REACTOR_EVENTS];
	struct timespec ts;
	const struct timespec *timeout = reactor_timeout(r, &ts);
	int n;

	reactor_update_now(r);
	reactor_account(r, pr->turn_ticks);
	counter_set(pr->sleep_since, r->now_ticks);
	/*
	 * The second look at the inbox. Partner: reactor_wake(). Either the sender's push comes
	 * before our look, or our store comes before its look at `sleeping`, and it writes to
	 * wake_fd.
	 */
	__atomic_store_n(&pr->sleeping, 1, __ATOMIC_RELAXED);
	barrier_full();
	if (!mpsc_is_empty(&pr->inbox) || counter_get(pr->stop) ||
	    counter_get(pr->asked) != pr->cur_asked) {
		ts = (struct timespec){ 0 };
		timeout = &ts;
	} else {
		counter_add(pr->sleeps, 1);
	}
	n = reactor_wait(r, events, timeout);
	__atomic_store_n(&pr->sleeping, 0, __ATOMIC_RELAXED);

	r->now_ticks = mono_ticks();
	counter_add(pr->sleep_ticks, r->now_ticks - pr->sleep_since);
	counter_set(pr->sleep_since, 0);
	reactor_rebase(r);
	pr->turn_ticks = r->now_ticks;
	pr->last_look = r->now_ticks;
	if (n > 0)
		reactor_dispatch(r, events, n);
}

unsigned reactor_turn(struct reactor *r)
{
	reactor_look(r, true);
	return reactor_once(r);
}
