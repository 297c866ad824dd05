/* SPDX-License-Identifier: BSD-3-Clause */
/* When a queue moves and when it does not; and a machine in a model, under steady and malicious loads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/rebalance.h"
#include "tests/unit/rnd.h"
#include "tests/unit/sanitized.h"

#define REACTORS_MAX 8
#define ITEMS_MAX    32
#define LONG_AGO     (UINT64_C(1000000) * MONO_NS_PER_SEC) /* "now" in the tables; everything has rested */

static const struct place_set *anywhere(void)
{
	static struct place_set set;

	memset(&set, 0xff, sizeof(set));
	return &set;
}

/*
 * Single decisions
 */

struct row {
	const char *what;
	unsigned loads[3];
	struct {
		unsigned at;
		uint64_t work;
	} items[4];
	int item, to; /* the move; -1: none */
};

/* Three periods of the same; what the last says. The ones before must say nothing. */
static bool third_time(const struct row *r, struct rebal_item *items, struct rebal_move *ret)
{
	const struct rebal_period p = { r->loads, 3, items, 4, LONG_AGO };
	struct rebal b;

	rebal_init(&b);
	for (unsigned i = 1; i < REBAL_PERIODS; i++)
		assert_false(rebal_decide(&b, &p, ret));
	return rebal_decide(&b, &p, ret);
}

static void decisions_of_note(void **state)
{
	static const struct row rows[] = {
		{ "half of it goes where nothing is", { 1000, 0, 0 }, { { 0, 50 }, { 0, 50 } }, 0, 1 },
		{ "to the least busy one", { 1000, 300, 200 }, { { 0, 50 }, { 0, 50 }, { 1, 9 }, { 2, 9 } }, 0, 2 },
		{ "one queue that fills a reactor stays", { 1000, 0, 0 }, { { 0, 99 } }, -1, -1 },
		{ "the large one would swap it all", { 900, 100, 100 }, { { 0, 85 }, { 0, 5 }, { 1, 9 }, { 2, 9 } }, 1, 1 },
		{ "a mere swap is none", { 900, 100, 100 }, { { 0, 85 }, { 1, 5 }, { 1, 5 }, { 2, 9 } }, -1, -1 },
		{ "not the large one, the small one", { 1000, 400, 400 }, { { 0, 70 }, { 0, 30 } }, 1, 1 },
		{ "the better of two that fit", { 1000, 50, 60 }, { { 0, 78 }, { 0, 22 } }, 1, 1 },
		{ "nobody is busy", { 490, 0, 0 }, { { 0, 50 }, { 0, 50 } }, -1, -1 },
		{ "all are busy", { 1000, 900, 950 }, { { 0, 50 }, { 0, 50 }, { 1, 9 }, { 2, 9 } }, -1, -1 },
		{ "too little to gain", { 600, 450, 460 }, { { 0, 10 }, { 0, 10 }, { 1, 9 }, { 2, 9 } }, -1, -1 },
		{ "a queue that does nearly nothing", { 1000, 100, 0 }, { { 0, 998 }, { 0, 2 } }, -1, -1 },
		{ "small ones go one by one", { 1000, 800, 900 }, { { 0, 40 }, { 0, 960 }, { 1, 9 }, { 2, 9 } }, 0, 1 },
		{ "but not too far", { 1000, 820, 900 }, { { 0, 40 }, { 0, 960 }, { 1, 9 }, { 2, 9 } }, -1, -1 },
		{ "idle queues are not moved", { 1000, 0, 0 }, { { 0, 0 }, { 0, 100 } }, -1, -1 },
		{ "no queue did anything", { 1000, 0, 0 }, { { 0, 0 }, { 0, 0 } }, -1, -1 },
		{ "the better of two busy ones", { 800, 1000, 0 }, { { 0, 50 }, { 0, 50 }, { 1, 50 }, { 1, 50 } }, 2, 2 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct rebal_item items[4];
		struct rebal_move move = { .item = 99 };
		bool moves;

		print_message("%s\n", r->what);
		for (unsigned k = 0; k < 4; k++)
			items[k] = (struct rebal_item){ .at = r->items[k].at, .work = r->items[k].work, .may = anywhere() };
		moves = third_time(r, items, &move);
		assert_int_equal(moves, r->item >= 0);
		if (!moves)
			continue;
		assert_int_equal(move.item, r->item);
		assert_int_equal(move.from, r->items[r->item].at);
		assert_int_equal(move.to, r->to);
	}
}

static void a_queue_stays_where_it_may_be(void **state)
{
	static const struct row r = { "", { 1000, 100, 300 }, { { 0, 50 }, { 0, 50 } }, 0, 0 };
	struct rebal_item items[4] = { { .at = 0, .work = 50 }, { .at = 0, .work = 50 } };
	struct place_set none = { { 0 } }, last = { { 0 } };
	struct rebal_move move;

	(void)state;
	place_set_add(&none, 0);
	place_set_add(&last, 0);
	place_set_add(&last, 2);
	for (unsigned i = 0; i < 4; i++)
		items[i].may = &none;
	assert_false(third_time(&r, items, &move));
	items[1].may = &last;
	assert_true(third_time(&r, items, &move));
	assert_int_equal(move.item, 1);
	assert_int_equal(move.to, 2);
}

/* Also when the imbalance has been there for long: it goes as soon as the rest is over. */
static void a_queue_rests_longer_after_each_move(void **state)
{
	static const unsigned loads[] = { 1000, 0 };

	(void)state;
	for (unsigned moves = 0; moves < 10; moves++) {
		unsigned doublings = CC_MIN(moves, (unsigned)REBAL_REST_DOUBLINGS);
		struct rebal_item items[] = {
			{ .at = 0, .work = 5, .may = anywhere(), .since_ns = LONG_AGO, .moves = moves },
			{ .at = 0, .work = 5, .may = anywhere(), .since_ns = LONG_AGO, .moves = moves },
		};
		struct rebal_period p = { .loads = loads, .nreactors = 2, .items = items, .nitems = 2 };
		struct rebal_move move;
		struct rebal b;
		unsigned n = 0;

		rebal_init(&b);
		do
			p.now_ns = LONG_AGO + ++n * REBAL_PERIOD_NS;
		while (!rebal_decide(&b, &p, &move));
		assert_int_equal(n, (REBAL_REST_NS / REBAL_PERIOD_NS) << doublings);
	}
}

static void a_burst_moves_nothing(void **state)
{
	static const unsigned busy[] = { 1000, 0 }, calm[] = { 200, 0 };
	struct rebal_item items[] = {
		{ .at = 0, .work = 5, .may = anywhere() },
		{ .at = 0, .work = 5, .may = anywhere() },
	};
	struct rebal_period p = { .nreactors = 2, .items = items, .nitems = 2, .now_ns = LONG_AGO };
	struct rebal_move move;
	struct rebal b;

	(void)state;
	rebal_init(&b);
	for (unsigned i = 0; i < 1000; i++) {
		p.loads = i % REBAL_PERIODS ? busy : calm;
		assert_false(rebal_decide(&b, &p, &move));
	}
}

/*
 * A machine in a model
 */

struct machine {
	unsigned nreactors, nitems;
	uint64_t demand[ITEMS_MAX]; /* what the item would take of a reactor of its own; may be more than there is */
	struct rebal_item items[ITEMS_MAX];
	struct place_set may[ITEMS_MAX];
	unsigned loads[REACTORS_MAX];
	uint64_t now_ns;
	struct rebal b;
};

static uint64_t demand_at(const struct machine *m, unsigned reactor)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nitems; i++)
		sum += m->items[i].at == reactor ? m->demand[i] : 0;
	return sum;
}

/* A period goes by: a reactor that is asked for more than it has gives each its part. */
static void machine_run(struct machine *m)
{
	for (unsigned r = 0; r < m->nreactors; r++) {
		uint64_t asked = demand_at(m, r), has = CC_MIN(asked, (uint64_t)REBAL_FULL);

		m->loads[r] = (unsigned)has;
		for (unsigned i = 0; i < m->nitems; i++) {
			if (m->items[i].at == r)
				m->items[i].work = asked ? m->demand[i] * has * 1000 / asked : 0;
		}
	}
	m->now_ns += REBAL_PERIOD_NS;
}

static bool machine_decide(struct machine *m, struct rebal_move *ret)
{
	const struct rebal_period p = { m->loads, m->nreactors, m->items, m->nitems, m->now_ns };

	if (!rebal_decide(&m->b, &p, ret))
		return false;
	assert_true(ret->item < m->nitems && ret->to < m->nreactors);
	assert_int_equal(ret->from, m->items[ret->item].at);
	assert_int_not_equal(ret->from, ret->to);
	assert_true(place_set_has(&m->may[ret->item], ret->to));
	return true;
}

static void machine_move(struct machine *m, const struct rebal_move *move)
{
	struct rebal_item *item = &m->items[move->item];

	item->at = move->to;
	item->since_ns = m->now_ns;
	item->moves++;
}

static void machine_init(struct machine *m, unsigned nreactors, unsigned nitems)
{
	*m = (struct machine){ .nreactors = nreactors, .nitems = nitems, .now_ns = LONG_AGO };
	rebal_init(&m->b);
	for (unsigned i = 0; i < nitems; i++) {
		m->may[i] = *anywhere();
		m->items[i] = (struct rebal_item){ .may = &m->may[i] };
	}
}

static uint64_t sum_of_squares(const struct machine *m)
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < m->nreactors; r++)
		sum += demand_at(m, r) * demand_at(m, r);
	return sum;
}

/* Random queues on random reactors, some confined: it settles, and each step was one for the better. */
static void a_steady_load_settles(void **state)
{
	unsigned moved = 0;

	(void)state;
	for (unsigned n = 0; n < IF_SANITIZED(500, 2000); n++) {
		struct machine m;
		struct rebal_move move;
		unsigned calm = 0;

		sow(n);
		machine_init(&m, (unsigned)(2 + rnd(REACTORS_MAX - 1)), (unsigned)(1 + rnd(ITEMS_MAX)));
		for (unsigned i = 0; i < m.nitems; i++) {
			m.demand[i] = rnd(4) ? rnd(300) : rnd(3000);
			m.items[i].at = (unsigned)rnd(1 + rnd(m.nreactors));
			for (unsigned r = 0; r < m.nreactors && rnd(3) == 0; r++)
				m.may[i].bits[0] &= ~(1u << rnd(m.nreactors));
		}
		for (uint64_t before = sum_of_squares(&m); calm < 1000; calm++) {
			uint64_t after;
			unsigned from, to;

			machine_run(&m);
			if (!machine_decide(&m, &move))
				continue;
			from = m.loads[move.from];
			to = m.loads[move.to];
			machine_move(&m, &move);
			machine_run(&m);
			assert_true(to + move.part + REBAL_GAP_MIN <= from); /* no swap of the imbalance */
			after = sum_of_squares(&m);
			assert_true(after + 2 * REBAL_PART_MIN * REBAL_GAP_MIN <= before);
			before = after;
			calm = 0;
			moved++;
		}
	}
	assert_true(moved > 1000);
}

/* All on one reactor, as after a crowd has left: spread as far as it goes, and none moves twice. */
static void a_heap_is_spread(void **state)
{
	static const struct {
		unsigned nreactors, nitems, demand;
	} row[] = { { 4, 16, 200 }, { 2, 32, 55 }, { 8, 32, 200 }, { 3, 3, 900 }, { 2, 2, 1500 } };

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(row); k++) {
		struct machine m;
		struct rebal_move move;
		unsigned moves = 0;

		machine_init(&m, row[k].nreactors, row[k].nitems);
		for (unsigned i = 0; i < m.nitems; i++)
			m.demand[i] = row[k].demand;
		for (unsigned t = 0; t < 1000; t++) {
			machine_run(&m);
			if (!machine_decide(&m, &move))
				continue;
			machine_move(&m, &move);
			assert_int_equal(m.items[move.item].moves, 1);
			moves++;
		}
		for (unsigned r = 0; r < m.nreactors; r++)
			assert_true(demand_at(&m, r) <= CC_MAX((unsigned)REBAL_FULL, row[k].demand));
		assert_true(moves < row[k].nitems);
	}
}

/* A load that runs away from wherever the queue has just come to: moves become rare. */
static void a_load_that_plays_with_it_tires(void **state)
{
	const unsigned hours = 2;
	struct machine m;
	struct rebal_move move;
	unsigned moves = 0, late = 0;

	(void)state;
	machine_init(&m, 2, 3);
	m.items[2].at = 1;
	for (unsigned t = 0; t < hours * 3600; t++) {
		/* whoever is alone is idle, so that the two others should part */
		for (unsigned i = 0; i < 3; i++) {
			unsigned together = 0;

			for (unsigned k = 0; k < 3; k++)
				together += m.items[k].at == m.items[i].at;
			m.demand[i] = together > 1 ? 500 : 20;
		}
		machine_run(&m);
		if (!machine_decide(&m, &move))
			continue;
		machine_move(&m, &move);
		moves++;
		late += t >= (hours - 1) * 3600;
	}
	print_message("%u moves in %u hours, %u in the last\n", moves, hours, late);
	assert_true(moves > 6);
	/* each of the three rests 640 s by then */
	assert_true(late <= 3 * 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decisions_of_note),
		cmocka_unit_test(a_queue_stays_where_it_may_be),
		cmocka_unit_test(a_queue_rests_longer_after_each_move),
		cmocka_unit_test(a_burst_moves_nothing),
		cmocka_unit_test(a_steady_load_settles),
		cmocka_unit_test(a_heap_is_spread),
		cmocka_unit_test(a_load_that_plays_with_it_tires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
