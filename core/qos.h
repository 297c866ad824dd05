/* SPDX-License-Identifier: BSD-3-Clause */
/* What an operator grants a disk and demands of it: limits, weight, minimum, latency; and groups of disks that share a
 * limit. All on the control thread. */
#ifndef CORE_QOS_H
#define CORE_QOS_H

#include <stdint.h>

#include "core/bdev.h"
#include "core/qos_drr.h"
#include "core/qos_limit.h"

#define QOS_GROUP_NAME_MAX 64
#define QOS_LATENCY_MIN_NS UINT64_C(1000)
#define QOS_LATENCY_MAX_NS UINT64_C(10000000000)

struct qos_group;

struct qos_conf {
	struct qos_limits limits; /* all 0: none */
	struct qos_group *group;  /* whose limits it is under, too; NULL: none */
	uint64_t latency_ns; /* 99 % of its I/O should take no longer; if it does, its neighbours wait. 0: no target */
	uint16_t weight;	  /* 1..QOS_WEIGHT_MAX; 0 stands for QOS_WEIGHT_DEFAULT */
};

/* Since the disk was opened, or the group made. */
struct qos_stats {
	uint64_t delayed;      /* I/Os that had to wait for a limit */
	uint64_t throttled_ns; /* time in which at least one did, summed over the reactors */
	uint64_t waiting;      /* I/Os that wait for a limit now */
};

/* From now on, for what waits, too. 0, or -EINVAL, -ENOMEM and the reason in @eb: nothing has changed. */
int qos_set(struct bdev *bdev, const struct qos_conf *conf, struct errbuf *eb);

/* What is in force. */
void qos_get(const struct bdev *bdev, struct qos_conf *ret);
void qos_get_stats(const struct bdev *bdev, struct qos_stats *ret);

/* @name is the caller's to keep unique. 0, or -EINVAL, -ENOMEM and the reason in @eb. */
int qos_group_create(struct reactor *control, const char *name, const struct qos_limits *lim,
		     struct qos_group **ret, struct errbuf *eb);

/* gone(arg) when the last reactor has let go of it, perhaps from inside this call (NULL: nobody asks). -EBUSY with @eb
 * while disks are in it. */
int qos_group_delete(struct qos_group *g, void (*gone)(void *arg), void *arg, struct errbuf *eb);

/* As qos_set(). The minimums of its disks must fit in. A group's own minimum has no meaning: -EINVAL. */
int qos_group_set(struct qos_group *g, const struct qos_limits *lim, struct errbuf *eb);

const char *qos_group_name(const struct qos_group *g);
const struct qos_limits *qos_group_limits(const struct qos_group *g);
unsigned qos_group_ndisks(const struct qos_group *g);
void qos_group_get_stats(const struct qos_group *g, struct qos_stats *ret);

#endif
