/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of its neighbours' I/O an SSD may hold at once, so that a disk keeps its latency target. Pure: time is an
 * argument. */
#ifndef CORE_QOS_LATENCY_H
#define CORE_QOS_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/mono.h"

#define QOS_LATENCY_PERIOD_NS (50 * MONO_NS_PER_MS) /* between two steps */
#define QOS_LATENCY_SILENT_NS (2 * MONO_NS_PER_SEC) /* without I/O for so long: the neighbours are free */

/* What the disk with the target, the victim, did in a period. */
struct qos_latency_sample {
	uint64_t ios, misses; /* ended; took longer than the target */
	bool waits;	      /* has I/O under way: not silent, even when none ended */
};

/* A disk on the same SSD without a target, or with a less strict one. Depths are sums over its channels. */
struct qos_neighbour {
	uint32_t peak;	  /* the most I/Os the device has held of it of late; 0: idle */
	bool full;	  /* it had as much there as its cap lets it */
	uint32_t applied; /* the cap in force, which others may have lowered; 0: none */
	uint32_t floor;	  /* its cap is never below: qos_neighbour_floor() */
	uint16_t weight;
	uint32_t cap; /* from qos_latency_step(); 0: none */
};

/* What is worth a line in the log. */
enum qos_latency_event {
	QOS_LATENCY_NOTHING,
	QOS_LATENCY_IN_VAIN, /* the neighbours at their least did not help: they are free for give_up_ns */
	QOS_LATENCY_AT_LEAST, /* they helped, but not enough: they stay at their least */
};

/*
 * One victim, and one window: the I/Os that all its neighbours together may have in the device. Storage is the user's.
 *
 *          missed: cut, by how much was late             missed by the last step: back to good
 *   FREE ────────────────────────────────► window ◄─────────────────────────────────────────┐
 *    ▲                                       │  met: towards bad, ever more gently; rests    │
 *    ├── victim silent, window not needed ───┤  below it, then tries bad itself ─────────────┘
 *    └── at its least, and in vain ──────────┘
 */
struct qos_latency {
	uint32_t window; /* 0: the neighbours are free */
	uint32_t good;	 /* the last one with which the target was met; 0: none yet */
	uint32_t bad;	 /* the last one with which it was missed; UINT32_MAX: none that still counts */
	uint32_t stride; /* of growth while bad is unknown */
	/* since the last verdict */
	uint64_t ios, misses;
	unsigned periods;
	bool settles; /* the next period still shows what was in the device before the cut */
	uint64_t seen_ns; /* the victim's last I/O */
	uint64_t rest_ns, try_ns; /* how long it rests below bad, and until when; 0: it does not rest */
	uint64_t unused_ns; /* since when the neighbours do not fill the window; 0: they do */
	/* at its least, and missed all the same */
	uint64_t least_ns, least_ios, least_misses; /* since; 0: it is not so */
	unsigned free_share; /* parts in 1024 that were late when the first cut was made */
	bool said_least;
	unsigned nvain; /* times in a row */
	uint64_t give_up_ns, free_until_ns;
};

void qos_latency_init(struct qos_latency *l);

/**
 * qos_latency_step - a period has passed: sets the cap of each of the @count neighbours.
 *
 * The target is missed when more than 1 % of the I/Os took longer, and two at least: one late I/O proves nothing. It
 * is met when that cannot be said of 100 I/Os, or of those of a second. While it is missed the window falls to a
 * quarter (half of the I/Os are late), to a half (an eighth are) or by an eighth, from what the neighbours really have
 * in the device; while it is met the window grows. It goes to the neighbours by weight; what one does not need the
 * others have. Idle ones get what they would have if they came, and count for nothing.
 */
enum qos_latency_event qos_latency_step(struct qos_latency *l, uint64_t now_ns,
					const struct qos_latency_sample *v, struct qos_neighbour *n,
					unsigned count);

/* Without I/O for QOS_LATENCY_SILENT_NS. */
static inline bool qos_latency_is_silent(const struct qos_latency *l, uint64_t now_ns)
{
	return now_ns - l->seen_ns > QOS_LATENCY_SILENT_NS;
}

/**
 * qos_neighbour_floor - the depth that a guaranteed minimum needs.
 * @depth: in use in a time in which it did @rate of what @min is a minimum of (both per second; @min 0: none). @least:
 * the answer without a minimum, at least 1. With more depth than the device can use the answer is too high, and
 * becomes right as the depth falls.
 */
uint32_t qos_neighbour_floor(uint32_t depth, uint64_t rate, uint64_t min, uint32_t least);

#endif
