/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of a limit: exactly the whole, by demand, nobody starves; and four reactors that keep one
 * limit together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "core/qos_share.h"
#include "tests/unit/rnd.h"

#define REACTORS  4
#define STEP_NS	  (20 * MONO_NS_PER_US)
#define PERIOD_NS (10 * MONO_NS_PER_MS)
#define STEPS	  200000u /* 4 s */
#define SECOND	  50000u  /* steps */

static void splits_of_note(void **state)
{
	static const struct {
		uint64_t demand[4], capacity;
		uint32_t parts[4];
	} row[] = {
		{ { 0, 0, 0, 0 }, 100, { 16384, 16384, 16384, 16384 } },
		{ { 0, 0, 0, 1 }, 100, { 1, 1, 1, 65533 } },
		{ { 9, 9, 9, 9 }, 1, { 16384, 16384, 16384, 16384 } },
		{ { 0, 50, 0, 50 }, 100, { 1, 32767, 1, 32767 } },
		{ { 1, 0, 0, 3000 }, 65536, { 2048 + 30243, 1, 1, 3000 + 30243 } },
		{ { UINT64_MAX, UINT64_MAX, 0, 1 }, UINT64_MAX, { 31744, 31743, 1, 2048 } },
		{ { UINT64_C(1) << 60, 1, 0, 0 }, 1, { 32767, 32767, 1, 1 } },
		{ { 8192, 65536, 65536, 65536 }, 65536, { 8192, 19115, 19115, 19114 } },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		uint32_t got[4];

		qos_share_split(row[i].demand, 4, row[i].capacity, got);
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(got[k], row[i].parts[k]);
	}
}

/* Rounded up; the random demands are small enough for 64 bits. */
static uint64_t asked_parts(uint64_t demand, uint64_t capacity)
{
	return (demand * QOS_PARTS + capacity - 1) / capacity;
}

/* What must hold of any split. */
static void check_split(const uint64_t *demand, unsigned n, uint64_t capacity)
{
	uint32_t got[QOS_SHARES_MAX], sum = 0;
	uint64_t all = 0, min = QOS_PARTS / (n * QOS_SHARE_MIN_DIV);

	memset(got, 0xff, sizeof(got));
	qos_share_split(demand, n, capacity, got);
	for (unsigned i = 0; i < n; i++) {
		assert_in_range(got[i], 1, QOS_PARTS);
		sum += got[i];
		all += demand[i];
	}
	assert_int_equal(sum, QOS_PARTS);
	for (unsigned i = 0; i < n && all; i++) {
		if (!demand[i]) {
			assert_int_equal(got[i], 1);
			continue;
		}
		assert_true(got[i] >= min);
		/* less than its demand: then nobody has more than it, or more than he asked for or
		 * the least */
		if (got[i] >= QOS_PARTS || asked_parts(demand[i], capacity) <= got[i])
			continue;
		for (unsigned k = 0; k < n; k++) {
			uint64_t fair = asked_parts(demand[k], capacity);

			assert_true(got[k] <= got[i] + 1 || got[k] == min);
			assert_true(got[k] <= (fair > min ? fair : min));
		}
	}
}

static void any_split_is_whole_and_fair(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 3000; s++) {
		uint64_t demand[QOS_SHARES_MAX], capacity;
		unsigned n;

		sow(s);
		n = s % 3 ? 1 + (unsigned)rnd(8) : 1 + (unsigned)rnd(QOS_SHARES_MAX);
		capacity = 1 + rnd(UINT64_C(1) << (1 + rnd(40)));
		for (unsigned i = 0; i < n; i++)
			demand[i] = rnd(3) ? rnd(1 + 2 * capacity / (1 + rnd(n))) : 0;
		check_split(demand, n, capacity);
	}
}

/* A reactor of the simulation: wants @per_mille / 1000 I/Os a step for a while, then something
 * else. */
struct sim {
	struct qos_budget b;
	uint64_t waiting, went; /* went: in this period */
	uint64_t until, per_mille;
};

static uint32_t admitted[STEPS + 1]; /* in all, before the step */

static void rebalance(struct sim *r, uint64_t capacity, uint64_t now)
{
	uint64_t demand[REACTORS];
	uint32_t got[REACTORS], parts[QOS_BUCKETS];

	for (unsigned i = 0; i < REACTORS; i++) {
		demand[i] = r[i].went + r[i].waiting;
		r[i].went = 0;
	}
	qos_share_split(demand, REACTORS, capacity, got);
	for (unsigned i = 0; i < REACTORS; i++) {
		for (unsigned id = 0; id < QOS_BUCKETS; id++)
			parts[id] = got[i];
		qos_budget_set_parts(&r[i].b, parts, now);
	}
}

static void sim_step(struct sim *r, uint64_t now, unsigned i, uint32_t *sum)
{
	if (now >= r->until) { /* one of the four always presses; the others by chance, hard or not
				  at all */
		r->until = now + MONO_NS_PER_MS * (50 + rnd(500));
		r->per_mille = i == 0 ? 5000 : rnd(2) * rnd(4000);
	}
	if (rnd(1000) < r->per_mille || r->per_mille > 1000)
		r->waiting += 1 + r->per_mille / 1000;
	if (r->waiting > 128)
		r->waiting = 128; /* the queue is full */
	while (r->waiting && !qos_budget_take(&r->b, now, BIO_READ, 1, 4096)) {
		r->waiting--;
		r->went++;
		(*sum)++;
	}
}

static void four_reactors_keep_one_limit(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 12; n++) {
		struct qos_limits l = { .rate[QOS_TOTAL_IOS] = { 2000, 0 } };
		struct sim r[REACTORS] = { { .waiting = 0 } };
		uint64_t rate, low, high;
		uint32_t sum = 0;

		sow(5000 + n);
		rate = l.rate[QOS_TOTAL_IOS].per_sec = 2000 + rnd(40000);
		for (unsigned i = 0; i < REACTORS; i++)
			qos_budget_init(&r[i].b, &l, 0);
		rebalance(r, 1 + rate / 100, 0);
		for (unsigned s = 0; s < STEPS; s++) {
			uint64_t now = s * STEP_NS;

			admitted[s] = sum;
			if (s && now % PERIOD_NS == 0)
				rebalance(r, 1 + rate / 100, now);
			for (unsigned i = 0; i < REACTORS; i++)
				sim_step(&r[i], now, i, &sum);
		}
		admitted[STEPS] = sum;
		/* above: one burst and an I/O of each at most; below: while parts follow a demand
		 * that has gone */
		high = rate + rate / 2000 + REACTORS + 1;
		low = rate - rate * 3 / 100;
		for (unsigned s = 0; s + SECOND <= STEPS; s++)
			assert_in_range(admitted[s + SECOND] - admitted[s], low, high);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splits_of_note),
		cmocka_unit_test(any_split_is_whole_and_fair),
		cmocka_unit_test(four_reactors_keep_one_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
