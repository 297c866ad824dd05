/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-blk device type (Virtio 1.2, section 5.2) on a bdev. */
#ifndef VHOST_BLK_VBLK_H
#define VHOST_BLK_VBLK_H

#include <stdbool.h>

#include "core/bdev.h"
#include "vhost/vdev.h"

struct vblk; /* control thread; queues on their reactors */

struct vblk_opts {
	bool read_only;	  /* besides the bdev's own */
	unsigned nqueues; /* num_queues in the config space; 1 … VDEV_QUEUES_MAX */
	unsigned seg_max; /* 0: 126 */
	bool no_discard, no_write_zeroes; /* do not offer */
	bool write_through;		  /* start with the write cache off (CONFIG_WCE) */
	const char *serial;		  /* GET_ID; NULL: bdev->id */
};

/* 0, -EINVAL, -ENOMEM with eb. The bdev stays the caller's and must outlive it. */
int vblk_create(struct bdev *bdev, const struct vblk_opts *opts, struct vblk **ret_dev,
		struct errbuf *eb);
/* No transport uses it any more. NULL is fine. */
void vblk_destroy(struct vblk *dev);

struct vdev *vblk_vdev(struct vblk *dev);

/* The I/O of slot @i while its chain is in flight; NULL: nothing there, or no queue of a block device. On its reactor. */
const struct bio *vblk_queue_inflight(const struct vdev_queue *q, unsigned i);

#endif
