/* SPDX-License-Identifier: BSD-3-Clause */
/* Many producers, one consumer: an intrusive inbox. Lock-free; the consumer takes everything at once. */
#ifndef CORE_BASE_MPSC_H
#define CORE_BASE_MPSC_H

#include <stdbool.h>
#include <stddef.h>

struct mpsc_node {
	struct mpsc_node *next;
};

struct mpsc {
	struct mpsc_node *head; /* newest first; atomic */
};

static inline void mpsc_init(struct mpsc *q)
{
	__atomic_store_n(&q->head, NULL, __ATOMIC_RELAXED);
}

/**
 * mpsc_push - hand @n over. Any thread.
 * Returns true when the queue was empty before, that is when the consumer may need a wake-up.
 * Full barrier: what the producer wrote before is visible to the consumer, and a later load of the
 * consumer's "sleeping" flag is not moved ahead of the push.
 */
static inline bool mpsc_push(struct mpsc *q, struct mpsc_node *n)
{
	struct mpsc_node *old = __atomic_load_n(&q->head, __ATOMIC_RELAXED);

	do {
		n->next = old;
	} while (!__atomic_compare_exchange_n(&q->head, &old, n, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	return old == NULL;
}

static inline bool mpsc_is_empty(struct mpsc *q)
{
	return __atomic_load_n(&q->head, __ATOMIC_SEQ_CST) == NULL;
}

/* Takes all nodes, oldest first, linked by next. Consumer only. NULL when empty. */
static inline struct mpsc_node *mpsc_take_all(struct mpsc *q)
{
	struct mpsc_node *n, *fifo = NULL;

	if (__atomic_load_n(&q->head, __ATOMIC_RELAXED) == NULL)
		return NULL;
	n = __atomic_exchange_n(&q->head, NULL, __ATOMIC_ACQUIRE);
	while (n) {
		struct mpsc_node *next = n->next;

		n->next = fifo;
		fifo = n;
		n = next;
	}
	return fifo;
}

#endif
