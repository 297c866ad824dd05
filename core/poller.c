/* SPDX-License-Identifier: BSD-3-Clause */
/* Pollers: entering and leaving a reactor, and the moves between hot, cold and armed. */
#include "core/reactor_priv.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LOG_TAG "reactor"
#include "core/base/log.h"

static uint32_t *poller_counter(struct poller *p)
{
	struct reactor_priv *pr = p->reactor->priv;

	switch ((enum poller_state)p->state) {
	case POLLER_HOT:
		return &pr->nhot;
	case POLLER_COLD:
		return &pr->ncold;
	case POLLER_ARMED:
		return &pr->narmed;
	case POLLER_DETACHED:
		break;
	}
	return NULL;
}

static struct list *poller_home(struct poller *p)
{
	struct reactor *r = p->reactor;

	switch ((enum poller_state)p->state) {
	case POLLER_HOT:
		return &r->hot;
	case POLLER_COLD:
		return &r->cold;
	case POLLER_ARMED:
		return &r->armed;
	case POLLER_DETACHED:
		break;
	}
	return NULL;
}

void poller_set_state(struct poller *p, enum poller_state state)
{
	struct reactor_priv *pr = p->reactor->priv;
	uint32_t *counter = poller_counter(p);

	if (counter)
		counter_add(*counter, -1u);
	if (pr->cursor == &p->link)
		pr->cursor = p->link.next;
	list_del(&p->link);
	p->state = (uint8_t)state;
	if (state == POLLER_DETACHED)
		return;
	list_add_tail(poller_home(p), &p->link);
	counter = poller_counter(p);
	counter_add(*counter, 1);
}

/* Work just now, as far as the window is concerned. */
static void poller_touch(struct poller *p)
{
	p->last_work_ticks = p->reactor->now_ticks;
	idle_wake(&p->idle, p->last_work_ticks);
}

void poller_make_hot(struct poller *p)
{
	bool was_armed = p->is_armed;

	if (p->state == POLLER_HOT || !p->ops->poll)
		return;
	poller_set_state(p, POLLER_HOT);
	p->is_armed = false;
	poller_touch(p);
	if (was_armed && p->ops->disarm)
		p->ops->disarm(p);
}

void poller_return(struct poller *p)
{
	struct idle_window *i = &p->idle;

	idle_bound(i, &p->reactor->priv->idle); /* they may have changed while it slept */
	idle_end(i, &p->reactor->priv->idle, p->last_work_ticks, p->reactor->now_ticks);
	poller_make_hot(p);
}

static void poller_arm(struct poller *p)
{
	if (p->is_deaf)
		return;
	if (p->ops->arm && p->ops->arm(p)) {
		poller_touch(p);
		if (p->ops->disarm)
			p->ops->disarm(p);
		return;
	}
	poller_set_state(p, POLLER_ARMED);
	p->is_armed = true;
}

void poller_found_nothing(struct poller *p)
{
	uint64_t since = p->reactor->now_ticks - p->last_work_ticks;
	uint32_t mode = p->reactor->priv->cur_mode;

	if (p->ops->expects && !p->ops->expects(p))
		poller_set_state(p, POLLER_ARMED);
	else if (mode == REACTOR_INTERRUPT)
		poller_arm(p);
	else if (since <= p->idle.window)
		return;
	else if (mode == REACTOR_POLL)
		poller_set_state(p, POLLER_COLD);
	else
		poller_arm(p);
}

/* The reactor goes on writing it. */
cc_looks_on uint64_t poller_window_ns(const struct poller *p)
{
	return mono_ticks_to_ns(cc_read_once(p->idle.window));
}

/*
 * The fd is watched edge-triggered from attach to detach, so that arming costs no system call.
 * Nothing is lost: an edge that epoll reports while the poller is hot belongs to work that was
 * there before, which the next poll or the second look of arm() finds; every later write to the
 * eventfd is a new edge.
 */
static void poller_watch(struct poller *p)
{
	struct reactor_priv *pr = p->reactor->priv;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	p->is_deaf = false;
	if (p->fd < 0)
		return;
	ev.data.u64 = (uintptr_t)p | REACTOR_TAG_POLLER;
	if (epoll_ctl(pr->epfd, EPOLL_CTL_ADD, p->fd, &ev) < 0) {
		log_warn("poller %s: fd %d cannot be watched (%s): it is polled for good",
			 p->ops->name, p->fd, strerror(errno));
		p->is_deaf = true;
		return;
	}
	pr->nwatched++;
}

static void poller_unwatch(struct poller *p)
{
	struct reactor_priv *pr = p->reactor->priv;

	if (p->fd < 0 || p->is_deaf)
		return;
	/* The owner may have closed it already: then it has left epoll by itself. */
	(void)epoll_ctl(pr->epfd, EPOLL_CTL_DEL, p->fd, NULL);
	pr->nwatched--;
	reactor_forget_events(p->reactor, p);
}

void poller_attach(struct reactor *r, struct poller *p, const struct poller_ops *ops, int fd)
{
	assert(reactor_is_mine(r));
	assert(ops->poll || ops->flush);
	*p = (struct poller){ .ops = ops, .reactor = r, .fd = fd, .state = POLLER_DETACHED };
	list_init(&p->link);
	p->last_work_ticks = r->now_ticks;
	idle_init(&p->idle, &r->priv->idle, r->now_ticks);
	poller_watch(p);
	poller_set_state(p, ops->poll ? POLLER_HOT : POLLER_ARMED);
	counter_add(r->priv->npollers, 1);
}

static void poller_drop_flush(struct poller *p)
{
	struct reactor *r = p->reactor;
	struct poller **at = &r->dirty_first, *before = NULL;

	if (!p->is_dirty)
		return;
	while (*at != p) {
		before = *at;
		at = &before->dirty_next;
	}
	*at = p->dirty_next;
	if (r->priv->round_last == p)
		r->priv->round_last = before;
	if (r->dirty_last == &p->dirty_next)
		r->dirty_last = at;
	p->is_dirty = false;
}

void poller_detach(struct poller *p)
{
	struct reactor *r = p->reactor;

	if (!r || p->state == POLLER_DETACHED)
		return;
	assert(reactor_is_mine(r));
	poller_drop_flush(p);
	poller_unwatch(p);
	p->is_armed = false;
	if (r->priv->current == p)
		r->priv->current = NULL;
	poller_set_state(p, POLLER_DETACHED);
	counter_add(r->priv->npollers, -1u);
}

void poller_set_fd(struct poller *p, int fd)
{
	assert(p->state != POLLER_DETACHED);
	poller_unwatch(p);
	p->fd = fd;
	poller_watch(p);
	poller_make_hot(p);
}

void poller_wake(struct poller *p)
{
	if (p->state == POLLER_ARMED || p->state == POLLER_COLD)
		poller_make_hot(p);
}

void poller_for_each(struct reactor *r, const struct poller_ops *ops,
		     void (*fn)(struct poller *p, void *arg), void *arg)
{
	struct list *const lists[] = { &r->hot, &r->cold, &r->armed };
	struct list *pos;

	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		list_for_each(pos, lists[i]) {
			struct poller *p = list_entry(pos, struct poller, link);

			if (p->ops == ops)
				fn(p, arg);
		}
	}
}
