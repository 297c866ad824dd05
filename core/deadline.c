/* SPDX-License-Identifier: BSD-3-Clause */
/* Deadlines of a reactor: a sorted list. */
#include "core/deadline.h"

#include <assert.h>

#include "core/reactor_priv.h"

void deadline_init(struct deadline *d, deadline_fn fn)
{
	*d = (struct deadline){ .fn = fn };
	list_init(&d->link);
}

void deadline_arm(struct reactor *r, struct deadline *d, uint64_t at_ns)
{
	struct list *pos;

	assert(reactor_is_mine(r));
	assert(d->fn);
	deadline_cancel(d);
	d->reactor = r;
	d->at_ns = at_ns;
	/* From the back: most deadlines are armed later than those before them. Equal ones stay in
	 * order. */
	for (pos = r->priv->deadlines.prev; pos != &r->priv->deadlines; pos = pos->prev)
		if (list_entry(pos, struct deadline, link)->at_ns <= at_ns)
			break;
	list_add_head(pos, &d->link);
}

void deadline_cancel(struct deadline *d)
{
	if (!d->reactor)
		return;
	assert(reactor_is_mine(d->reactor));
	list_del(&d->link);
	d->reactor = NULL;
}

unsigned reactor_run_deadlines(struct reactor *r)
{
	struct list *all = &r->priv->deadlines, due;
	unsigned n = 0;
	uint64_t now;

	/* now_ns comes from the tick counter and may be a little ahead: never fire early. */
	if (list_entry(all->next, struct deadline, link)->at_ns > r->now_ns)
		return 0;
	now = mono_ns();

	/* Collected first, so that one that arms itself again for "now" waits for the next turn. */
	list_init(&due);
	while (!list_is_empty(all)) {
		struct deadline *d = list_entry(all->next, struct deadline, link);

		if (d->at_ns > now)
			break;
		list_del(&d->link);
		list_add_tail(&due, &d->link);
	}
	while (!list_is_empty(&due)) {
		struct deadline *d = list_entry(due.next, struct deadline, link);

		list_del(&d->link);
		d->reactor = NULL;
		d->fn(d);
		n++;
	}
	return n;
}
