/* SPDX-License-Identifier: BSD-3-Clause */
/* Latency targets of disks, kept by how much their neighbours may have in the SSD at once. On the control thread. */
#ifndef CORE_QOS_GUARD_H
#define CORE_QOS_GUARD_H

#include <stdint.h>

#include "core/bdev.h"

/*
 * Neighbours are disks whose bdev->shares is the same and not "", or which are in the same group (core/qos.h). One without
 * a target, or with a less strict one, is throttled (bdev_set_depth()) while the target is missed, never below its
 * guaranteed minimum. How: core/qos_latency.h.
 *
 * What counts are reads and writes, submit to done. A bucket of the histogram is late when all of it is: up to 6.25 %
 * above the target may still pass for in time. As many of them as waited for a limit of the disk's own (qos_stats.delayed)
 * are left out, the late ones first: a disk that is at its own limit all the time is not protected.
 *
 * Costs nothing while no disk has a target; while those that have one are idle, a look at them each QOS_GUARD_IDLE_NS.
 */
#define QOS_GUARD_IDLE_NS (250 * MONO_NS_PER_MS)

/* Since its first channel. */
struct qos_guard_stats {
	uint32_t depth;	      /* each channel's, for the sake of its neighbours; 0: as deep as ever */
	uint64_t cuts;	      /* how often that was lowered */
	uint64_t ios, misses; /* of a disk with a target: judged, and late */
	uint64_t in_vain;     /* how often the neighbours were throttled and it did not help */
};

/* core/bdev*: the disk gets a channel; none is made when this fails. 0, also when it is attached already; or -ENOMEM. */
int qos_guard_attach(struct bdev *bdev);
/* It closes. Harmless when not attached. */
void qos_guard_detach(struct bdev *bdev);

/* core/qos: qos_set() has changed something. Harmless when not attached: the first channel looks for itself. */
void qos_guard_update(struct bdev *bdev);

void qos_guard_get_stats(const struct bdev *bdev, struct qos_guard_stats *ret);

#endif
