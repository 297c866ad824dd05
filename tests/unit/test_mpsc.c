/* SPDX-License-Identifier: BSD-3-Clause */
/* The inbox: first in, first out, for one and for many producers; nothing lost, nothing twice. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/mpsc.h"

#define PRODUCERS 4
#define ITEMS	  50000

struct item {
	struct mpsc_node node;
	unsigned from, no;
};

static void one_producer_is_fifo(void **state)
{
	struct item it[3] = { { .no = 0 }, { .no = 1 }, { .no = 2 } };
	struct mpsc_node *n;
	struct mpsc q;
	unsigned want = 0;

	(void)state;
	mpsc_init(&q);
	assert_true(mpsc_is_empty(&q));
	assert_null(mpsc_take_all(&q));
	assert_true(mpsc_push(&q, &it[0].node));
	assert_false(mpsc_push(&q, &it[1].node));
	assert_false(mpsc_push(&q, &it[2].node));
	assert_false(mpsc_is_empty(&q));
	for (n = mpsc_take_all(&q); n; n = n->next)
		assert_int_equal(container_of(n, struct item, node)->no, want++);
	assert_int_equal(want, 3);
	assert_true(mpsc_is_empty(&q));
	assert_true(mpsc_push(&q, &it[0].node));
}

static struct mpsc shared;
static struct item items[PRODUCERS][ITEMS];

static void *produce(void *arg)
{
	struct item *mine = arg;

	for (unsigned i = 0; i < ITEMS; i++)
		(void)mpsc_push(&shared, &mine[i].node);
	return NULL;
}

static void many_producers_keep_their_order(void **state)
{
	pthread_t thread[PRODUCERS];
	unsigned next[PRODUCERS] = { 0 }, left = PRODUCERS * ITEMS;

	(void)state;
	mpsc_init(&shared);
	for (unsigned p = 0; p < PRODUCERS; p++) {
		for (unsigned i = 0; i < ITEMS; i++)
			items[p][i] = (struct item){ .from = p, .no = i };
		pthread_create(&thread[p], NULL, produce, items[p]);
	}
	while (left) {
		for (struct mpsc_node *n = mpsc_take_all(&shared); n; n = n->next) {
			struct item *it = container_of(n, struct item, node);

			assert_int_equal(it->no, next[it->from]++);
			left--;
		}
	}
	for (unsigned p = 0; p < PRODUCERS; p++)
		pthread_join(thread[p], NULL);
	assert_true(mpsc_is_empty(&shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_producer_is_fifo),
		cmocka_unit_test(many_producers_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
