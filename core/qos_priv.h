/* SPDX-License-Identifier: BSD-3-Clause */
/* What core/bdev and core/iosched ask of core/qos. Control thread. */
#ifndef CORE_QOS_PRIV_H
#define CORE_QOS_PRIV_H

#include "core/iosched.h"

/* A channel of a device comes under what is set for it: what may fail, 0 or -ENOMEM, then, when it is there, the rest. */
int qos_chan_prepare(struct bdev_chan *chan);
void qos_chan_join(struct bdev_chan *chan);

/* It is about to stop. */
void qos_chan_leave(struct bdev_chan *chan);

/* What is set for @bdev, but for the group's pool, which the channel has got already. */
void qos_fill_order(const struct bdev *bdev, struct iosched_order *order);

/* The device closes; it has no channel any more. */
void qos_close(struct bdev *bdev);

/* Pools of a group are held. NULL is none. */
void qos_group_pool_hold(struct qos_pool *pool);
void qos_group_pool_put(struct qos_pool *pool);

#endif
