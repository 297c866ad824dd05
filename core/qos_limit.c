/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits as token buckets that go into debt, in exact integers. */
#include "core/qos_limit.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "core/base/errbuf.h"

#define NS_PER_SEC UINT64_C(1000000000)

/* The largest numbers that a level meets: time since the last look, and the cost of one call. */
static_assert(QOS_IOS_MAX <= QOS_BYTES_MAX && QOS_BYTES_MAX <= UINT64_C(1) << 40 &&
		      QOS_PARTS <= 1u << 16,
	      "2^40 per second * 2^16 parts * 2^64 ns fit into 127 bits");
static_assert(NS_PER_SEC < UINT64_C(1) << 30, "2^64 bytes * 2^30 * 2^16 fit into 127 bits");

static const char *const bucket_name[QOS_BUCKETS] = {
	[QOS_READ_IOS] = "read IOPS",	[QOS_READ_BYTES] = "read bytes/s",
	[QOS_WRITE_IOS] = "write IOPS", [QOS_WRITE_BYTES] = "write bytes/s",
	[QOS_TOTAL_IOS] = "total IOPS", [QOS_TOTAL_BYTES] = "total bytes/s",
};

static bool is_bytes(unsigned id)
{
	return id == QOS_READ_BYTES || id == QOS_WRITE_BYTES || id == QOS_TOTAL_BYTES;
}

static int check_burst(unsigned id, const struct qos_rate *r, struct errbuf *eb)
{
	const uint64_t per_sec = NS_PER_SEC / QOS_BURST_DEFAULT_NS;
	uint64_t one = is_bytes(id) ? QOS_BURST_BYTES_MIN : 1;
	uint64_t low = r->per_sec / per_sec + (r->per_sec % per_sec != 0);
	uint64_t high = r->per_sec * QOS_BURST_SEC_MAX;

	if (low < one)
		low = one;
	if (high < low)
		high = low;
	if (!r->burst || (r->burst >= low && r->burst <= high))
		return 0;
	return errbuf_set(eb, -EINVAL,
			  "%s limit %" PRIu64 ": a burst of %" PRIu64 " is not within %" PRIu64
			  "..%" PRIu64 " (one I/O and %" PRIu64
			  " us up to %d s of the rate); leave it out for the default",
			  bucket_name[id], r->per_sec, r->burst, low, high,
			  QOS_BURST_DEFAULT_NS / 1000, QOS_BURST_SEC_MAX);
}

static int check_rate(const struct qos_limits *lim, unsigned id, struct errbuf *eb)
{
	const struct qos_rate *r = &lim->rate[id];
	uint64_t low = is_bytes(id) ? QOS_BYTES_MIN : 1;
	uint64_t high = is_bytes(id) ? QOS_BYTES_MAX : QOS_IOS_MAX;
	uint64_t min = is_bytes(id) ? lim->min_bytes : lim->min_ios;

	if (!r->per_sec && r->burst)
		return errbuf_set(eb, -EINVAL,
				  "%s: a burst of %" PRIu64 " without a limit; set the limit, too",
				  bucket_name[id], r->burst);
	if (!r->per_sec)
		return 0;
	if (r->per_sec < low || r->per_sec > high)
		return errbuf_set(eb, -EINVAL,
				  "%s limit %" PRIu64 " is not within %" PRIu64 "..%" PRIu64,
				  bucket_name[id], r->per_sec, low, high);
	if (min > r->per_sec)
		return errbuf_set(eb, -EINVAL,
				  "a guaranteed minimum of %" PRIu64
				  " is above the %s limit of %" PRIu64
				  "; lower the one or raise the other",
				  min, bucket_name[id], r->per_sec);
	return check_burst(id, r, eb);
}

int qos_limits_check(const struct qos_limits *lim, struct errbuf *eb)
{
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		int err = check_rate(lim, id, eb);

		if (err)
			return err;
	}
	return 0;
}

/* What one I/O or byte is in a level. */
static qos_level level_of(uint64_t amount)
{
	return (qos_level)amount * NS_PER_SEC * QOS_PARTS;
}

static void settle(struct qos_bucket *k, uint64_t now_ns)
{
	if (now_ns <= k->at_ns)
		return;
	k->level += (qos_level)k->fill * (now_ns - k->at_ns);
	if (k->level > k->cap)
		k->level = k->cap;
	k->at_ns = now_ns;
}

/* Rate and burst of limit and parts; the level stays. */
static void tune(struct qos_budget *b, unsigned id)
{
	const struct qos_rate *r = &b->limits.rate[id];
	struct qos_bucket *k = &b->bucket[id];

	assert(b->parts[id] >= 1 && b->parts[id] <= QOS_PARTS);
	k->fill = r->per_sec * b->parts[id];
	if (r->burst)
		k->cap = (qos_level)r->burst * NS_PER_SEC * b->parts[id];
	else
		k->cap = (qos_level)k->fill * QOS_BURST_DEFAULT_NS;
	if (k->level > k->cap)
		k->level = k->cap;
}

/* The rate fell from @old_fill: see qos_budget_set_limits(). */
static void ease_debt(struct qos_bucket *k, uint64_t old_fill)
{
	qos_level most = (qos_level)k->fill * QOS_DEBT_NS_MAX, due;

	if (k->level >= 0 || k->fill >= old_fill)
		return;
	due = -k->level / old_fill * k->fill; /* less than the debt: cannot overflow */
	if (most < due)
		most = due;
	if (k->level < -most)
		k->level = -most;
}

void qos_budget_init(struct qos_budget *b, const struct qos_limits *lim, uint64_t now_ns)
{
	assert(!qos_limits_check(lim, NULL));
	*b = (struct qos_budget){ .limits = *lim };
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		b->parts[id] = QOS_PARTS;
		tune(b, id);
		b->bucket[id].level = b->bucket[id].cap;
		b->bucket[id].at_ns = now_ns;
	}
}

void qos_budget_set_limits(struct qos_budget *b, const struct qos_limits *lim, uint64_t now_ns)
{
	assert(!qos_limits_check(lim, NULL));
	qos_budget_settle(b, now_ns);
	b->limits = *lim;
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		struct qos_bucket *k = &b->bucket[id];
		uint64_t old_fill = k->fill;

		tune(b, id);
		if (!old_fill || !k->fill)
			k->level = k->cap;
		else
			ease_debt(k, old_fill);
	}
}

void qos_budget_set_parts(struct qos_budget *b, const uint32_t parts[QOS_BUCKETS], uint64_t now_ns)
{
	qos_budget_settle(b, now_ns);
	for (unsigned id = 0; id < QOS_BUCKETS; id++) {
		b->parts[id] = parts[id];
		tune(b, id);
	}
}

/* When the debt of @k, settled at @now_ns, is repaid. */
static uint64_t repaid_at(const struct qos_bucket *k, uint64_t now_ns)
{
	qos_level ns = (-k->level + k->fill - 1) / k->fill;
	uint64_t from = now_ns > k->at_ns ? now_ns : k->at_ns;

	return ns < (qos_level)(UINT64_MAX - from) ? from + (uint64_t)ns : UINT64_MAX;
}

uint64_t qos_cost_bytes(enum bio_op op, uint32_t ios, uint64_t bytes)
{
	uint64_t most = ios * QOS_NODATA_BYTES_MAX;

	switch (op) {
	case BIO_READ:
	case BIO_WRITE:
		return bytes;
	case BIO_DISCARD:
	case BIO_WRITE_ZEROES:
		return bytes < most ? bytes : most;
	case BIO_FLUSH:
	case BIO_OP_COUNT:
		break;
	}
	return 0;
}

/* What one take concerns. */
struct claim {
	struct qos_bucket *bucket[4];
	uint64_t amount[4];
	unsigned n;
};

static struct claim claim_of(struct qos_budget *b, enum bio_op op, uint32_t ios, uint64_t bytes)
{
	unsigned mine = op == BIO_READ ? QOS_READ_IOS : QOS_WRITE_IOS;
	uint64_t nbytes = qos_cost_bytes(op, ios, bytes);

	static_assert(QOS_READ_BYTES == QOS_READ_IOS + 1 && QOS_WRITE_BYTES == QOS_WRITE_IOS + 1,
		      "pairs");
	return (struct claim){
		.bucket = { &b->bucket[mine], &b->bucket[QOS_TOTAL_IOS], &b->bucket[mine + 1],
			    &b->bucket[QOS_TOTAL_BYTES] },
		.amount = { ios, ios, nbytes, nbytes },
		.n = nbytes ? 4 : 2, /* no bytes, no business with byte limits */
	};
}

static void count_went(struct qos_budget *b, enum qos_class class, uint64_t ios, uint64_t bytes)
{
	unsigned mine = class == QOS_CLASS_READ ? QOS_READ_IOS : QOS_WRITE_IOS;

	b->went[mine] += ios;
	b->went[mine + 1] += bytes;
	b->went[QOS_TOTAL_IOS] += ios;
	b->went[QOS_TOTAL_BYTES] += bytes;
}

static void claim_pay(struct qos_budget *b, const struct claim *c, enum bio_op op)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->bucket[i]->fill)
			c->bucket[i]->level -= level_of(c->amount[i]);
	count_went(b, qos_class_of(op), c->amount[0], c->amount[2]);
}

/* How many I/Os or bytes @k has saved up. */
static uint64_t saved(const struct qos_bucket *k)
{
	qos_level n;

	if (!k->fill)
		return UINT64_MAX;
	if (k->level <= 0)
		return 0;
	n = k->level / level_of(1);
	return n < (qos_level)UINT64_MAX ? (uint64_t)n : UINT64_MAX;
}

/* Half of what both classes may use, for one of them. */
static uint64_t fair_half(const struct qos_bucket *k)
{
	uint64_t n = saved(k);

	return n == UINT64_MAX ? n : n / 2;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The buckets are settled. */
static void give_slack(struct qos_budget *b)
{
	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		unsigned mine = class == QOS_CLASS_READ ? QOS_READ_IOS : QOS_WRITE_IOS;
		struct qos_slack *s = &b->slack[class];

		s->ios = lesser(saved(&b->bucket[mine]), fair_half(&b->bucket[QOS_TOTAL_IOS]));
		s->bytes = lesser(saved(&b->bucket[mine + 1]), fair_half(&b->bucket[QOS_TOTAL_BYTES]));
		b->given[class] = *s;
	}
}

void qos_budget_settle(struct qos_budget *b, uint64_t now_ns)
{
	for (unsigned class = 0; class < QOS_CLASSES; class++) {
		enum bio_op op = class == QOS_CLASS_READ ? BIO_READ : BIO_WRITE;
		uint64_t ios = b->given[class].ios - b->slack[class].ios;
		uint64_t bytes = b->given[class].bytes - b->slack[class].bytes;
		struct claim c = claim_of(b, op, 0, bytes);

		c.amount[0] = c.amount[1] = ios;
		claim_pay(b, &c, op);
		b->given[class] = b->slack[class] = (struct qos_slack){ 0 };
	}
	for (unsigned id = 0; id < QOS_BUCKETS; id++)
		settle(&b->bucket[id], now_ns);
}

uint64_t qos_budget_take(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
			 uint64_t bytes)
{
	struct claim c = claim_of(b, op, ios, bytes);
	uint64_t wait = 0;

	qos_budget_settle(b, now_ns);
	for (unsigned i = 0; i < c.n; i++) {
		const struct qos_bucket *k = c.bucket[i];

		if (k->fill && k->level < 0) {
			uint64_t at = repaid_at(k, now_ns);

			wait = at > wait ? at : wait;
		}
	}
	if (wait)
		return wait;
	claim_pay(b, &c, op);
	give_slack(b);
	return 0;
}

void qos_budget_charge(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
		       uint64_t bytes)
{
	struct claim c = claim_of(b, op, ios, bytes);

	qos_budget_settle(b, now_ns);
	claim_pay(b, &c, op);
}

void qos_budget_use_up(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
		       uint64_t bytes)
{
	struct claim c = claim_of(b, op, ios, bytes);

	qos_budget_settle(b, now_ns);
	for (unsigned i = 0; i < c.n; i++) {
		qos_level *level = &c.bucket[i]->level, cost = level_of(c.amount[i]);

		if (c.bucket[i]->fill && *level > 0)
			*level = *level > cost ? *level - cost : 0;
	}
}
