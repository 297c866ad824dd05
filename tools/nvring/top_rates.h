/* SPDX-License-Identifier: BSD-3-Clause */
/* Two snapshots of a daemon's counters, and what happened a second between them. Pure. */
#ifndef TOOLS_NVRING_TOP_RATES_H
#define TOOLS_NVRING_TOP_RATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/hist.h"

#define TOP_NAME_MAX 64

struct top_reactor {
	unsigned id;
	int cpu;
	char name[TOP_NAME_MAX], mode[16];
	uint64_t busy_ns, idle_ns, sleep_ns;
};

/* Where the time went: until the driver had it, until it was done (both together: the latency), until the guest knew. */
enum top_part {
	TOP_SCHEDULER,
	TOP_DRIVER,
	TOP_NOTIFICATION,
	TOP_PARTS,
};

struct top_op {
	uint64_t ios, bytes;
	struct hist latency, part[TOP_PARTS];
};

/* The limits of a disk that are told, by these names. */
#define TOP_LIMITS 6
extern const char *const top_limit_keys[TOP_LIMITS];

/* What a disk or a group is granted, and what that held back. */
struct top_qos {
	uint64_t limits[TOP_LIMITS]; /* 0: none */
	char group[TOP_NAME_MAX];    /* "": none */
	bool frozen;
	uint64_t delayed, throttled_us, waiting;
};

struct top_disk {
	char name[TOP_NAME_MAX];
	struct top_op read, write;
	uint64_t others, queued, errors; /* flush, discard, zeroes; waited for room; of all operations */
	struct top_qos qos;
};

struct top_group {
	char name[TOP_NAME_MAX];
	unsigned ndisks;
	struct top_qos qos;
};

struct top_queue {
	char export[TOP_NAME_MAX];
	unsigned index, reactor;
	int cpu;
	uint64_t connection; /* counters of another session are other counters */
	uint64_t requests, kicks, calls;
	unsigned inflight;
};

/* What one look at the daemon found; each kind with the time of the look. */
struct top_snap {
	uint64_t pid; /* of the daemon; 0: no look yet */
	uint64_t disks_ns, groups_ns, queues_ns;
	struct top_reactor *reactors;
	struct top_disk *disks;
	struct top_group *groups;
	struct top_queue *queues;
	size_t nreactors, ndisks, ngroups, nqueues;
};

/* Shares of the time accounted for between the snapshots: 0 … 100; all 0 without any. */
struct top_reactor_rate {
	double busy, polling, asleep;
	unsigned queues; /* how many it serves */
};

/* Of the interval; 0: nothing happened. */
struct top_times {
	uint64_t p50_ns, p99_ns;
};

struct top_op_rate {
	double ios, bytes; /* a second */
	struct top_times latency, part[TOP_PARTS];
};

struct top_qos_rate {
	double delayed;	  /* I/Os a second that had to wait for a limit */
	double throttled; /* share of the interval in which one did: 100 for each reactor where one always did */
};

struct top_disk_rate {
	bool fresh; /* not in the earlier snapshot, or counting anew since: everything is 0 */
	struct top_op_rate read, write;
	double others, queued; /* a second */
	uint64_t errors; /* in the interval */
	struct top_qos_rate qos;
};

struct top_queue_rate {
	bool fresh;
	double requests, kicks, calls; /* a second */
};

void top_snap_fini(struct top_snap *s);

/* Row @i of @now, compared with the row of the same thing in @then, wherever that stands. */
void top_reactor_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_reactor_rate *ret);
void top_disk_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_disk_rate *ret);
void top_group_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_qos_rate *ret);
void top_queue_rate(const struct top_snap *now, const struct top_snap *then, size_t i, struct top_queue_rate *ret);

/* The interval between both, by the looks at the disks. */
double top_seconds(const struct top_snap *now, const struct top_snap *then);

#endif
