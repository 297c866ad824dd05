/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits of I/Os and bytes per second: may this I/O go now, and if not, when? Pure: time is an
 * argument. */
#ifndef CORE_QOS_LIMIT_H
#define CORE_QOS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bio.h"

struct errbuf;

/* What a limit may be. */
#define QOS_IOS_MAX	    UINT64_C(1000000000) /* I/Os per second */
#define QOS_BYTES_MIN	    UINT64_C(1024)	 /* bytes per second */
#define QOS_BYTES_MAX	    (UINT64_C(1) << 40)
#define QOS_BURST_SEC_MAX   3600	   /* a burst is at most what the rate gives in this time */
#define QOS_BURST_BYTES_MIN UINT64_C(4096) /* the least burst that is said: one small I/O */

/*
 * What is saved up when no burst is said: what the rate gives in this time. An idle disk that
 * starts to press so gets 5 % more than its rate in the first 10 ms and 0.05 % more in the first
 * second, and a reactor that asks again up to this much too late still gets the full rate.
 */
#define QOS_BURST_DEFAULT_NS UINT64_C(500000)

/* DISCARD and WRITE_ZEROES move no data but keep the device busy: they count as at most this each.
 */
#define QOS_NODATA_BYTES_MAX UINT64_C(131072)

/* A budget belongs to one reactor, which has this many parts of the whole limit, or fewer. */
#define QOS_PARTS UINT32_C(65536)

/* After a limit was lowered, a debt is repaid within this time, or within what it was due to take.
 */
#define QOS_DEBT_NS_MAX UINT64_C(1000000000)

enum qos_bucket_id {
	QOS_READ_IOS,
	QOS_READ_BYTES,
	QOS_WRITE_IOS,
	QOS_WRITE_BYTES,
	QOS_TOTAL_IOS,
	QOS_TOTAL_BYTES,
	QOS_BUCKETS,
};

/* What of one kind of I/O is limited together. */
enum qos_class {
	QOS_CLASS_READ,
	QOS_CLASS_WRITE, /* and all else */
	QOS_CLASSES,
};

static inline enum qos_class qos_class_of(enum bio_op op)
{
	return op == BIO_READ ? QOS_CLASS_READ : QOS_CLASS_WRITE;
}

struct qos_rate {
	uint64_t per_sec; /* 0: no limit */
	uint64_t burst; /* may be saved up, in I/Os or bytes; 0: QOS_BURST_DEFAULT_NS of the rate */
};

/* The limits of a disk or of a group. */
struct qos_limits {
	struct qos_rate rate[QOS_BUCKETS];
	/* Guaranteed minimum, 0: none. Only checked here, against the limits: core/qos_pool keeps it. */
	uint64_t min_ios, min_bytes;
};

/* 0, or -EINVAL and the reason in @eb (may be NULL): a limit that no disk could keep. */
int qos_limits_check(const struct qos_limits *lim, struct errbuf *eb);

/* Billionths of a QOS_PARTSth of an I/O or byte: a nanosecond adds a whole number, nothing is ever
 * rounded. */
__extension__ typedef __int128 qos_level;

/* level < 0 is a debt: something larger than what was saved up has gone. */
struct qos_bucket {
	qos_level level, cap;
	uint64_t fill;	/* per nanosecond; 0: no limit */
	uint64_t at_ns; /* level is of then */
};

/* What may go by a subtraction alone, with no look at the time. */
struct qos_slack {
	uint64_t ios, bytes;
};

/* What @ios of kind @op with @bytes in all count for limits of bytes. */
uint64_t qos_cost_bytes(enum bio_op op, uint32_t ios, uint64_t bytes);

/* One reactor's part of the limits. Storage is the user's; on one reactor. */
struct qos_budget {
	/* of what the buckets hold, as found by the last look at them */
	struct qos_slack slack[QOS_CLASSES];
	struct qos_slack given[QOS_CLASSES]; /* slack at its start: the difference has gone */
	uint64_t went[QOS_BUCKETS];	     /* since the start, all but what slack hides; wraps */
	struct qos_bucket bucket[QOS_BUCKETS];
	uint32_t parts[QOS_BUCKETS]; /* of QOS_PARTS, each at least 1 */
	struct qos_limits limits;
};

/* @lim has passed qos_limits_check(). Starts with full buckets and the whole of each limit. */
void qos_budget_init(struct qos_budget *b, const struct qos_limits *lim, uint64_t now_ns);

/**
 * qos_budget_set_limits - other limits from now on. Savings above the new burst are lost. A debt
 * stays what it is in I/Os or bytes, except that a lower rate does not make anybody wait for longer
 * than QOS_DEBT_NS_MAX, or than before if that was longer. A limit that is new starts full.
 */
void qos_budget_set_limits(struct qos_budget *b, const struct qos_limits *lim, uint64_t now_ns);

/**
 * qos_budget_set_parts - other parts (1..QOS_PARTS) of the whole from now on, e.g. of
 * qos_share_split(). Debts stay to the last byte: reactors that exchange parts never gain by it.
 * Whoever waits for the time that qos_budget_take() gave asks again after this and after
 * qos_budget_set_limits().
 */
void qos_budget_set_parts(struct qos_budget *b, const uint32_t parts[QOS_BUCKETS], uint64_t now_ns);

/**
 * qos_budget_take - may @ios I/Os of kind @op (enum bio_op) with @bytes in all go now?
 * Return: 0: yes, and they are counted. Else the earliest time at which the answer is yes if nobody
 * else takes before; always later than @now_ns, except at the end of time (UINT64_MAX).
 *
 * Yes is said whenever no bucket concerned is in debt, however large the I/O: nothing waits for
 * ever, and in any time t at most rate * t + burst + one call's I/O goes. So ask for small batches.
 * (With qos_budget_take_slack() in between, the burst counts twice.)
 * READ and WRITE count I/Os and bytes; FLUSH is a write of no bytes, which no byte limit delays;
 * DISCARD and WRITE_ZEROES are writes of at most QOS_NODATA_BYTES_MAX each.
 * Time that runs backwards stands still.
 */
uint64_t qos_budget_take(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
			 uint64_t bytes);

/**
 * qos_budget_take_slack - the same for READ and WRITE, by what the last qos_budget_take() found saved up: true: counted, go.
 * False: ask qos_budget_take().
 */
static cc_always_inline bool qos_budget_take_slack(struct qos_budget *b, enum qos_class class,
						   uint32_t ios, uint64_t bytes)
{
	struct qos_slack *s = &b->slack[class];

	if (cc_unlikely(ios > s->ios || bytes > s->bytes))
		return false;
	s->ios -= ios;
	s->bytes -= bytes;
	return true;
}

/* Counts what has gone by slack, and takes the rest of it back: went and the buckets are exact then. */
void qos_budget_settle(struct qos_budget *b, uint64_t now_ns);

/* It goes whatever the buckets say. They go into debt by it. */
void qos_budget_charge(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
		       uint64_t bytes);

/* It has gone: counted as far as something is saved up, no debt is made. */
void qos_budget_use_up(struct qos_budget *b, uint64_t now_ns, enum bio_op op, uint32_t ios,
		       uint64_t bytes);

#endif
