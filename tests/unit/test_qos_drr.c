/* SPDX-License-Identifier: BSD-3-Clause */
/* Shares by weight, whatever the sizes; nobody waits for ever, idling earns nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/qos_drr.h"
#include "tests/unit/rnd.h"

#define TENANTS 8

static void cost_is_in_units_of_4_kib(void **state)
{
	static const struct {
		enum bio_op op;
		uint64_t bytes;
		uint32_t cost;
	} row[] = {
		{ BIO_READ, 0, 1 },
		{ BIO_READ, 512, 1 },
		{ BIO_READ, 4096, 1 },
		{ BIO_WRITE, 4097, 2 },
		{ BIO_WRITE, 131072, 32 },
		{ BIO_WRITE, 1 << 20, 256 },
		{ BIO_WRITE, UINT64_MAX, QOS_COST_MAX },
		{ BIO_FLUSH, 0, 1 },
		{ BIO_FLUSH, UINT64_MAX, 1 },
		{ BIO_DISCARD, 8192, 2 },
		{ BIO_DISCARD, UINT64_MAX, 32 },
		{ BIO_WRITE_ZEROES, 1 << 30, 32 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++)
		assert_int_equal(qos_drr_cost(row[i].op, row[i].bytes), row[i].cost);
}

/* 4 KiB or 128 KiB; tenant @i prefers one or the other by the seed. */
static uint32_t mixed(unsigned i)
{
	return qos_drr_cost(BIO_READ, rnd(10) < (i * 3 + rnd_state % 2) % 10 ? 131072 : 4096);
}

static void weights_1_2_4_get_their_shares(void **state)
{
	static const uint16_t weight[][3] = { { 1, 2, 4 }, { 100, 200, 400 }, { 250, 500, 1000 } };

	(void)state;
	for (unsigned n = 0; n < 60; n++) {
		uint64_t got[3] = { 0 }, all = 0;
		struct qos_tenant t[3], *next;
		struct qos_drr d;

		sow(n);
		qos_drr_init(&d);
		for (unsigned i = 0; i < 3; i++) {
			qos_tenant_init(&t[i], weight[n % 3][i]);
			qos_drr_attach(&d, &t[i], mixed(i));
		}
		while (all < 1000000) {
			next = qos_drr_next(&d);
			assert_non_null(next);
			assert_ptr_equal(qos_drr_next(&d), next);
			got[next - t] += next->head;
			all += next->head;
			qos_drr_sent(&d, next, mixed((unsigned)(next - t)));
		}
		for (unsigned i = 0; i < 3; i++) {
			uint64_t ideal = all * (UINT64_C(1) << i) / 7;

			assert_in_range(got[i], ideal - ideal * 3 / 100, ideal + ideal * 3 / 100);
		}
	}
}

/* At every moment, and for any two that always have something: what they got per weight differs by
 * no more than one visit and the largest I/O of each. */
static void nobody_ever_falls_behind(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 40; n++) {
		uint64_t got[TENANTS] = { 0 }, largest = 1 + rnd(n % 4 ? 300 : 1000000);
		struct qos_tenant t[TENANTS], *next;
		struct qos_drr d;

		sow(100 + n);
		qos_drr_init(&d);
		for (unsigned i = 0; i < TENANTS; i++) {
			qos_tenant_init(&t[i], (uint16_t)(1 + rnd(QOS_WEIGHT_MAX)));
			qos_drr_attach(&d, &t[i], (uint32_t)(1 + rnd(largest)));
		}
		for (unsigned k = 0; k < 20000; k++) {
			next = qos_drr_next(&d);
			got[next - t] += next->head;
			qos_drr_sent(&d, next, (uint32_t)(1 + rnd(largest)));
			for (unsigned i = 1; i < TENANTS; i++) {
				double a = (double)got[i] / t[i].weight,
				       b = (double)got[i - 1] / t[i - 1].weight;
				double most = 1 + (double)largest / t[i].weight +
					      (double)largest / t[i - 1].weight;

				assert_true(a - b <= most && b - a <= most);
			}
		}
	}
}

static void idling_earns_nothing(void **state)
{
	struct qos_tenant busy, lazy, *next;
	uint64_t got = 0;
	struct qos_drr d;

	(void)state;
	qos_drr_init(&d);
	assert_null(qos_drr_next(&d));
	qos_tenant_init(&busy, 1000);
	qos_tenant_init(&lazy, 1000);
	qos_drr_attach(&d, &lazy, 3);
	qos_drr_attach(&d, &busy, 1);
	assert_ptr_equal(qos_drr_next(&d), &lazy);
	qos_drr_sent(&d, &lazy, 0); /* 7 unused */
	for (unsigned i = 0; i < 10000; i++) {
		assert_ptr_equal(qos_drr_next(&d), &busy);
		qos_drr_sent(&d, &busy, 1);
	}
	qos_drr_attach(&d, &lazy, 1);
	for (unsigned i = 0; i < 400; i++) {
		next = qos_drr_next(&d);
		got += next == &lazy;
		qos_drr_sent(&d, next, 1);
	}
	assert_in_range(got, 100, 200);
	qos_drr_detach(&d, &lazy);
	qos_drr_detach(&d, &lazy);
	assert_ptr_equal(qos_drr_next(&d), &busy);
	qos_drr_detach(&d, &busy);
	assert_null(qos_drr_next(&d));
}

/* Those with a turn, those without, come and go at random: whoever has something is served within a
 * round. */
static void whoever_comes_and_goes_is_served(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 40; n++) {
		unsigned since[TENANTS] = { 0 };
		struct qos_tenant t[TENANTS], *next;
		struct qos_drr d;

		sow(200 + n);
		qos_drr_init(&d);
		for (unsigned i = 0; i < TENANTS; i++)
			qos_tenant_init(&t[i], (uint16_t)(1 + rnd(4)));
		for (unsigned k = 0; k < 20000; k++) {
			unsigned who = (unsigned)rnd(TENANTS), in = 0;

			if (!t[who].head) {
				since[who] = k;
				qos_drr_attach(&d, &t[who], (uint32_t)(1 + rnd(8)));
			} else if (!rnd(8)) {
				qos_drr_detach(&d, &t[who]);
			} else {
				qos_tenant_set_weight(&t[who], (uint16_t)(1 + rnd(4)));
			}
			for (unsigned i = 0; i < TENANTS; i++)
				in += t[i].head != 0;
			next = qos_drr_next(&d);
			assert_int_equal(d.ntenants, in);
			assert_true(!in == !next);
			if (!next)
				continue;
			since[next - t] = k;
			qos_drr_sent(&d, next, (uint32_t)rnd(9));
			for (unsigned i = 0; i < TENANTS;
			     i++) /* 8 rounds of at most 8 * (4 + 8) small I/Os */
				assert_true(!t[i].head || k - since[i] < 800);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cost_is_in_units_of_4_kib),
		cmocka_unit_test(weights_1_2_4_get_their_shares),
		cmocka_unit_test(nobody_ever_falls_behind),
		cmocka_unit_test(idling_earns_nothing),
		cmocka_unit_test(whoever_comes_and_goes_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
