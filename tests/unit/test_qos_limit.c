/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits against an ideal that flows: every window of a saturated disk, bursts, mixtures, changes,
 * the ends of time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/errbuf.h"
#include "core/base/mono.h"
#include "core/qos_limit.h"
#include "tests/unit/rnd.h"
#include "tests/unit/sanitized.h"

__extension__ typedef __int128 wide;

#define SEEDS	    40
#define BIN_NS	    100000u
#define BINS	    30000u  /* 3 s */
#define LATE_NS_MAX 400000u /* between two looks of the reactor; less than QOS_BURST_DEFAULT_NS */
#define S	    MONO_NS_PER_SEC
#define MIB	    (UINT64_C(1) << 20)
#define IS_BYTES(i) ((i)&1)

static struct qos_limits only(unsigned id, uint64_t per_sec, uint64_t burst)
{
	struct qos_limits l = { .min_ios = 0 };

	l.rate[id] = (struct qos_rate){ per_sec, burst };
	return l;
}

static void impossible_limits_are_named(void **state)
{
	static const struct {
		struct qos_limits l;
		const char *says; /* NULL: fine */
	} row[] = {
		{ { .min_ios = 0 }, NULL },
		{ { .rate[QOS_READ_IOS] = { 1, 0 } }, NULL },
		{ { .rate[QOS_READ_IOS] = { QOS_IOS_MAX, 0 } }, NULL },
		{ { .rate[QOS_READ_IOS] = { QOS_IOS_MAX + 1, 0 } },
		  "read IOPS limit 1000000001 is not within" },
		{ { .rate[QOS_WRITE_BYTES] = { 1023, 0 } },
		  "write bytes/s limit 1023 is not within 1024.." },
		{ { .rate[QOS_WRITE_BYTES] = { QOS_BYTES_MAX, 0 } }, NULL },
		{ { .rate[QOS_WRITE_BYTES] = { UINT64_MAX, UINT64_MAX } },
		  "write bytes/s limit 1844674407370" },
		{ { .rate[QOS_TOTAL_BYTES] = { 1024, 4095 } },
		  "a burst of 4095 is not within 4096..3686400" },
		{ { .rate[QOS_TOTAL_BYTES] = { 1024, 4096 } }, NULL },
		{ { .rate[QOS_TOTAL_IOS] = { 100000, 49 } },
		  "a burst of 49 is not within 50..360000000" },
		{ { .rate[QOS_TOTAL_IOS] = { 100000, 50 } }, NULL },
		{ { .rate[QOS_TOTAL_IOS] = { 1, 3601 } }, "a burst of 3601 is not within 1..3600" },
		{ { .rate[QOS_TOTAL_IOS] = { 0, 5 } }, "total IOPS: a burst of 5 without a limit" },
		{ { .rate[QOS_TOTAL_IOS] = { 500, 0 }, .min_ios = 500 }, NULL },
		{ { .rate[QOS_TOTAL_IOS] = { 500, 0 }, .min_ios = 501 },
		  "minimum of 501 is above the total IOPS" },
		{ { .rate[QOS_READ_BYTES] = { 5000, 0 }, .min_bytes = 5001 },
		  "above the read bytes/s limit of 5000" },
	};
	struct errbuf eb;

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_int_equal(qos_limits_check(&row[i].l, NULL), row[i].says ? -EINVAL : 0);
		eb.text[0] = 0;
		assert_int_equal(qos_limits_check(&row[i].l, &eb), row[i].says ? -EINVAL : 0);
		if (row[i].says)
			assert_non_null(strstr(eb.text, row[i].says));
		else
			assert_string_equal(eb.text, "");
		assert_null(strchr(eb.text, '\n'));
	}
}

static uint64_t upto[BINS + 1]; /* admitted before the bin */

static void check_windows(uint64_t rate, uint64_t one, unsigned bins, unsigned percent)
{
	wide ideal = (wide)rate * bins * BIN_NS; /* in billionths */
	wide slack = ideal * percent / 100 + (wide)one * S;

	for (unsigned i = 0; i + bins <= BINS; i++) {
		wide got = (wide)(upto[i + bins] - upto[i]) * S;

		assert_true(got <= ideal + slack);
		assert_true(got >= ideal - slack);
	}
}

/* Always more to do than may be done, looked at by a reactor that comes late at random. */
static void saturate(unsigned id, uint64_t rate, uint32_t ios, uint64_t bytes)
{
	struct qos_limits l = only(id, rate, 0);
	enum bio_op op = id < QOS_WRITE_IOS || id >= QOS_TOTAL_IOS ? BIO_READ : BIO_WRITE;
	uint64_t start = rnd(UINT64_C(1) << 62), now, sum = 0;
	struct qos_budget b;
	unsigned bin = 0;

	assert_int_equal(qos_limits_check(&l, NULL), 0);
	qos_budget_init(&b, &l, start);
	for (now = 0; now < BINS * (uint64_t)BIN_NS; now += 1 + rnd(LATE_NS_MAX)) {
		while (bin <= now / BIN_NS)
			upto[bin++] = sum;
		while (!qos_budget_take(&b, start + now, op, ios, bytes)) {
			sum += IS_BYTES(id) ? bytes : ios;
			assert_true(sum <= 8 * rate + bytes + ios); /* else it would never end */
		}
	}
	while (bin <= BINS)
		upto[bin++] = sum;
}

static void a_saturated_disk_has_its_rate_in_every_window(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SEEDS; n++) {
		unsigned id = n % QOS_BUCKETS;
		uint64_t rate, bytes, one;
		uint32_t ios;

		sow(n);
		rate = IS_BYTES(id) ? QOS_BYTES_MIN << rnd(31) : 1 + rnd(UINT64_C(1) << rnd(30));
		rate = n == 0	? 1
		       : n == 2 ? QOS_IOS_MAX
		       : n == 1 ? QOS_BYTES_MIN
		       : n == 3 ? QOS_BYTES_MAX
				: rate;
		ios = IS_BYTES(id) ? 1 : 1 + (uint32_t)(rate / 100000);
		bytes = IS_BYTES(id) && rate / 50000 > 4096 ? rate / 50000 : 4096;
		one = IS_BYTES(id) ? bytes : ios;
		saturate(id, rate, ios, bytes);
		check_windows(rate, one, 100, 5);   /* 10 ms */
		check_windows(rate, one, 10000, 1); /* 1 s */
	}
}

/* What a bucket should have counted, and the most it was ever above its rate since any earlier
 * moment. */
struct meter {
	wide low, count, peak;
};

static void meter_add(struct meter *m, uint64_t rate, uint64_t now, uint64_t amount)
{
	wide before = m->count - (wide)rate * now;

	if (before < m->low)
		m->low = before;
	m->count += (wide)amount * S;
	if (before + (wide)amount * S - m->low > m->peak)
		m->peak = before + (wide)amount * S - m->low;
}

/* What the documentation says that an I/O counts, in words of its own. */
static uint64_t counts(unsigned id, enum bio_op op, uint64_t bytes)
{
	if ((id < QOS_WRITE_IOS && op != BIO_READ) ||
	    (id >= QOS_WRITE_IOS && id < QOS_TOTAL_IOS && op == BIO_READ))
		return 0;
	if (!IS_BYTES(id))
		return 1;
	if (op == BIO_FLUSH)
		return 0;
	return op >= BIO_DISCARD && bytes > 131072 ? 131072 : bytes;
}

static struct qos_limits some_limits(void)
{
	struct qos_limits l = { .min_ios = 0 };

	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		if (rnd(3) == 0)
			continue;
		l.rate[id].per_sec = IS_BYTES(id) ? 4 * MIB + rnd(1024 * MIB) : 1000 + rnd(100000);
		if (rnd(2))
			l.rate[id].burst = IS_BYTES(id)
						   ? l.rate[id].per_sec / 1000 + 4096 + rnd(MIB)
						   : 51 + rnd(1000);
	}
	assert_int_equal(qos_limits_check(&l, NULL), 0);
	return l;
}

/* Pauses and presses, all kinds, all six limits: no window of any length is above rate * t + burst
 * + one I/O; and the time that is promised is the earliest one. */
static void never_above_rate_and_burst(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SEEDS; n++) {
		struct meter m[QOS_BUCKETS] = { { 0 } };
		struct qos_limits l;
		struct qos_budget b, copy;
		uint64_t now = 0;

		sow(1000 + n);
		l = some_limits();
		qos_budget_init(&b, &l, 0);
		for (unsigned i = 0; i < 30000; i++) {
			enum bio_op op = (enum bio_op)rnd(BIO_OP_COUNT);
			uint64_t bytes = op == BIO_FLUSH ? 0 : 512 * (1 + rnd(rnd(20) ? 64 : 2048)),
				 at;

			now += rnd(1000) ? rnd(20000) : rnd(100000000);
			at = qos_budget_take(&b, now, op, 1, bytes);
			if (at) {
				assert_true(at > now);
				copy = b;
				assert_true(qos_budget_take(&copy, at - 1, op, 1, bytes) == at);
				copy = b;
				assert_true(qos_budget_take(&copy, at, op, 1, bytes) == 0);
				continue;
			}
			for (unsigned id = 0; id < QOS_BUCKETS; id++)
				meter_add(&m[id], l.rate[id].per_sec, now, counts(id, op, bytes));
		}
		for (unsigned id = 0; id < QOS_BUCKETS; id++) {
			const struct qos_rate *r = &l.rate[id];
			wide burst = r->burst ? (wide)r->burst * S
					      : (wide)r->per_sec * QOS_BURST_DEFAULT_NS;

			if (r->per_sec)
				assert_true(m[id].peak <=
					    burst + (wide)(IS_BYTES(id) ? MIB : 1) * S);
		}
	}
}

/* As an I/O path does it: by slack while there is any. Nothing is lost, nothing counted twice, and the burst is there
 * twice at most. */
static void slack_counts_late_but_counts(void **state)
{
	uint64_t by_slack = 0;

	(void)state;
	for (unsigned n = 0; n < SEEDS; n++) {
		struct meter m[QOS_BUCKETS] = { { 0 } };
		struct qos_limits l;
		struct qos_budget b;
		uint64_t now = 0, sum[QOS_BUCKETS] = { 0 };

		sow(2000 + n);
		l = some_limits();
		qos_budget_init(&b, &l, 0);
		for (unsigned i = 0; i < 30000; i++) {
			enum bio_op op = (enum bio_op)rnd(2);
			uint64_t bytes = 512 * (1 + rnd(64));

			now += rnd(1000) ? rnd(20000) : rnd(100000000);
			if (qos_budget_take_slack(&b, qos_class_of(op), 1, bytes))
				by_slack++;
			else if (qos_budget_take(&b, now, op, 1, bytes))
				continue;
			for (unsigned id = 0; id < QOS_BUCKETS; id++) {
				meter_add(&m[id], l.rate[id].per_sec, now, counts(id, op, bytes));
				sum[id] += counts(id, op, bytes);
			}
		}
		qos_budget_settle(&b, now);
		for (unsigned id = 0; id < QOS_BUCKETS; id++) {
			const struct qos_rate *r = &l.rate[id];
			wide burst = r->burst ? (wide)r->burst * S
					      : (wide)r->per_sec * QOS_BURST_DEFAULT_NS;

			assert_int_equal(b.went[id], sum[id]);
			if (r->per_sec)
				assert_true(m[id].peak <= 2 * burst +
						(wide)(IS_BYTES(id) ? 32768 : 1) * S);
		}
	}
	assert_true(by_slack > 10000);
}

static void charging_makes_debt_and_using_up_does_not(void **state)
{
	struct qos_limits l = only(QOS_TOTAL_IOS, 1000, 10);
	struct qos_budget b;

	(void)state;
	qos_budget_init(&b, &l, 0);
	qos_budget_use_up(&b, 0, BIO_WRITE, 4, 4096);
	assert_true(b.bucket[QOS_TOTAL_IOS].level == 6 * (qos_level)S * QOS_PARTS);
	qos_budget_use_up(&b, 0, BIO_READ, 100, 4096);
	assert_true(b.bucket[QOS_TOTAL_IOS].level == 0);
	assert_int_equal(qos_budget_take(&b, 0, BIO_READ, 1, 4096), 0); /* into debt */
	qos_budget_charge(&b, 0, BIO_READ, 2, 8192);
	assert_int_equal(qos_budget_take(&b, 0, BIO_READ, 1, 4096), 3 * MONO_NS_PER_MS);
	qos_budget_use_up(&b, 0, BIO_READ, 100, 4096);
	assert_int_equal(qos_budget_take(&b, 0, BIO_READ, 1, 4096), 3 * MONO_NS_PER_MS);
}

/* How full the fullest of @l is after @now: parts of a million. */
static uint64_t tightest(const struct qos_limits *l, const uint64_t *sum, unsigned from,
			 unsigned to, uint64_t now)
{
	uint64_t most = 0;

	for (unsigned id = from; id < to; id++) {
		uint64_t ppm = l->rate[id].per_sec ? (uint64_t)((wide)sum[id] * S * 1000000 /
								l->rate[id].per_sec / now)
						   : 0;

		most = ppm > most ? ppm : most;
	}
	return most;
}

/* Readers and writers press at the same time: each is held by a limit that is really full. */
static void mixed_limits_are_used_up(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SEEDS; n++) {
		uint64_t sum[QOS_BUCKETS] = { 0 }, now, end = 3 * S, bytes, total, rd, wr;
		struct qos_limits l;
		struct qos_budget b;

		sow(2000 + n);
		l = some_limits();
		l.rate[QOS_READ_IOS].per_sec = 1000 + rnd(50000); /* so that somebody stops each */
		l.rate[QOS_WRITE_IOS].per_sec = 1000 + rnd(50000);
		bytes = 512 * (1 + rnd(64));
		qos_budget_init(&b, &l, 0);
		for (now = 0; now < end; now += 1 + rnd(LATE_NS_MAX)) {
			bool going[2] = { true, true };

			while (going[0] || going[1]) {
				enum bio_op op = rnd(2) ? BIO_WRITE : BIO_READ;

				if (qos_budget_take(&b, now, op, 1, bytes)) {
					going[op == BIO_WRITE] = false;
					continue;
				}
				for (unsigned id = 0; id < QOS_BUCKETS; id++)
					sum[id] += counts(id, op, bytes);
				assert_true(sum[QOS_READ_IOS] + sum[QOS_WRITE_IOS] < 1000000);
			}
		}
		total = tightest(&l, sum, QOS_TOTAL_IOS, QOS_BUCKETS, end);
		rd = tightest(&l, sum, QOS_READ_IOS, QOS_WRITE_IOS, end);
		wr = tightest(&l, sum, QOS_WRITE_IOS, QOS_TOTAL_IOS, end);
		assert_true((rd > 990000 || total > 990000) && (wr > 990000 || total > 990000));
	}
}

/* The n-th of a saturated disk goes at the nanosecond at which n-1 are paid for, weeks later, too.
 */
static void nothing_drifts(void **state)
{
	static const uint64_t rates[] = { 1, 3, 7, 999983, QOS_IOS_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct qos_limits l = only(QOS_TOTAL_IOS, rates[i], 0);
		uint64_t start = UINT64_C(1) << 62, now = start;
		struct qos_budget b;

		qos_budget_init(&b, &l, start);
		for (uint64_t n = 0; n < IF_SANITIZED(300000, 3000000); n++) {
			wide owed = (wide)n * S - (wide)rates[i] * QOS_BURST_DEFAULT_NS;
			uint64_t at =
				start +
				(owed <= 0 ? 0 : (uint64_t)((owed + rates[i] - 1) / rates[i]));
			uint64_t later = qos_budget_take(&b, now, BIO_READ, 1, 0);

			if (later) {
				now = later;
				assert_true(qos_budget_take(&b, now, BIO_READ, 1, 0) == 0);
			}
			assert_true(now == at);
		}
	}
}

static void a_large_one_goes_into_debt(void **state)
{
	struct qos_limits l = only(QOS_WRITE_BYTES, MIB, 4096);
	struct qos_budget b;

	(void)state;
	qos_budget_init(&b, &l, 0);
	assert_true(qos_budget_take(&b, 0, BIO_WRITE, 1, 10 * MIB + 4096) == 0);
	assert_true(qos_budget_take(&b, 0, BIO_WRITE, 1, 1) == 10 * S);
	assert_true(qos_budget_take(&b, 0, BIO_DISCARD, 1, 1) == 10 * S);
	assert_true(qos_budget_take(&b, 0, BIO_FLUSH, 1, 0) == 0); /* of no bytes */
	assert_true(qos_budget_take(&b, 0, BIO_READ, 1, MIB) == 0);
	assert_true(qos_budget_take(&b, 10 * S - 1, BIO_WRITE, 1, 1) == 10 * S);
	assert_true(qos_budget_take(&b, 10 * S, BIO_DISCARD, 2, UINT64_C(1) << 50) == 0);
	assert_true(qos_budget_take(&b, 10 * S, BIO_WRITE, 1, 1) == 10 * S + S / 4);
}

static uint64_t wait_of(struct qos_budget *b, uint64_t now)
{
	struct qos_budget copy = *b;
	uint64_t at = qos_budget_take(&copy, now, BIO_WRITE, 1, 4096);

	return at ? at - now : 0;
}

static void limits_change_while_in_debt(void **state)
{
	struct qos_limits slow = only(QOS_TOTAL_BYTES, MIB, 0),
			  fast = only(QOS_TOTAL_BYTES, 16 * MIB, 0);
	struct qos_limits crawl = only(QOS_TOTAL_BYTES, 1024, 0), none = { .min_ios = 0 };
	struct qos_budget b;
	uint64_t wait;

	(void)state;
	qos_budget_init(&b, &slow, 0);
	assert_true(qos_budget_take(&b, 0, BIO_WRITE, 1, 4 * MIB) == 0);
	wait = 4 * S - QOS_BURST_DEFAULT_NS;
	assert_true(wait_of(&b, 0) == wait);
	qos_budget_set_limits(&b, &fast, 0); /* faster: the same bytes, sooner */
	assert_true(wait_of(&b, 0) == wait / 16);
	qos_budget_set_limits(&b, &slow, 0); /* and back: it was not given away, up to a second */
	assert_true(wait_of(&b, 0) == S);
	qos_budget_set_limits(&b, &crawl, 0);
	assert_true(wait_of(&b, 0) == S);
	qos_budget_set_limits(&b, &none, 0);
	assert_true(wait_of(&b, 0) == 0);
	qos_budget_set_limits(&b, &crawl, 0);
	assert_true(qos_budget_take(&b, 0, BIO_WRITE, 1, 64 * 1024) == 0);
	wait = wait_of(&b, 0);
	assert_true(wait > 63 * S && wait <= 64 * S);
	crawl.rate[QOS_TOTAL_BYTES].per_sec = 2000;
	qos_budget_set_limits(&b, &crawl, S);
	assert_true(wait_of(&b, S) < 33 * S);
	crawl.rate[QOS_TOTAL_BYTES].per_sec =
		1500; /* slower again: not longer than it was due to take */
	wait = wait_of(&b, S);
	qos_budget_set_limits(&b, &crawl, S);
	assert_true(wait_of(&b, S) <= wait && wait_of(&b, S) > wait - 2);
	/* savings: no more than the new burst */
	qos_budget_init(&b, &fast, 0);
	qos_budget_set_limits(&b, &slow, 0);
	assert_true(b.bucket[QOS_TOTAL_BYTES].level == b.bucket[QOS_TOTAL_BYTES].cap);
}

static void parts_change_and_no_debt_is_lost(void **state)
{
	struct qos_limits l = only(QOS_TOTAL_IOS, 1, 0);
	struct qos_budget b;
	uint32_t parts[QOS_BUCKETS];
	uint64_t now = 0, gone = 0;

	(void)state;
	sow(3);
	qos_budget_init(&b, &l, 0);
	for (unsigned i = 0; i < 100000; i++) { /* 1000 s */
		for (unsigned id = 0; id < QOS_BUCKETS; id++)
			parts[id] = i % 2 ? 1 : QOS_PARTS / 2;
		qos_budget_set_parts(&b, parts, now);
		now += 10 * MONO_NS_PER_MS;
		gone += !qos_budget_take(&b, now, BIO_READ, 1, 512);
	}
	assert_in_range(gone, 249, 252);
}

static void the_ends_of_time(void **state)
{
	struct qos_limits fast =
		only(QOS_READ_BYTES, QOS_BYTES_MAX, QOS_BYTES_MAX * QOS_BURST_SEC_MAX);
	struct qos_limits slow = only(QOS_READ_BYTES, QOS_BYTES_MIN, 0);
	struct qos_budget b;
	uint32_t least[QOS_BUCKETS] = { 1, 1, 1, 1, 1, 1 };

	(void)state;
	qos_budget_init(&b, &fast, 0);
	assert_true(qos_budget_take(&b, 0, BIO_READ, UINT32_MAX, UINT64_MAX) == 0);
	assert_true(qos_budget_take(&b, 0, BIO_READ, 1, 1) == 16773616 * UINT64_C(1000000000));
	assert_true(qos_budget_take(&b, UINT64_MAX, BIO_READ, 1, UINT64_MAX) == 0);
	assert_true(qos_budget_take(&b, UINT64_MAX, BIO_READ, 1, 1) == UINT64_MAX);
	qos_budget_init(&b, &slow, UINT64_MAX - S);
	qos_budget_set_parts(&b, least, UINT64_MAX - S);
	assert_true(qos_budget_take(&b, UINT64_MAX - S, BIO_READ, 1, UINT64_MAX) == 0);
	assert_true(qos_budget_take(&b, UINT64_MAX - S, BIO_READ, 1, 1) == UINT64_MAX);
	qos_budget_set_limits(&b, &fast, UINT64_MAX);
	qos_budget_set_limits(&b, &slow, UINT64_MAX);
	assert_true(b.bucket[QOS_READ_BYTES].level < 0);
	/* backwards: as if it stood still */
	qos_budget_init(&b, &slow, 10 * S);
	assert_true(qos_budget_take(&b, 10 * S, BIO_READ, 1, 1024) == 0);
	assert_true(qos_budget_take(&b, 1, BIO_READ, 1, 1) == 11 * S - QOS_BURST_DEFAULT_NS);
	assert_true(qos_budget_take(&b, 11 * S, BIO_READ, 1, 1) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_limits_are_named),
		cmocka_unit_test(a_saturated_disk_has_its_rate_in_every_window),
		cmocka_unit_test(never_above_rate_and_burst),
		cmocka_unit_test(slack_counts_late_but_counts),
		cmocka_unit_test(charging_makes_debt_and_using_up_does_not),
		cmocka_unit_test(mixed_limits_are_used_up),
		cmocka_unit_test(nothing_drifts),
		cmocka_unit_test(a_large_one_goes_into_debt),
		cmocka_unit_test(limits_change_while_in_debt),
		cmocka_unit_test(parts_change_and_no_debt_is_lost),
		cmocka_unit_test(the_ends_of_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
