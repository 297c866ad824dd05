/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device and its queues as vblk.c (control thread) and vblk_io.c (reactors) share them.
 */
#ifndef VHOST_BLK_VBLK_PRIV_H
#define VHOST_BLK_VBLK_PRIV_H

#include "core/bdev.h"
#include "vhost/blk/vblk_request.h"
#include "vhost/vdev.h"

struct vblk {
	struct vdev vdev;
	struct bdev *bdev;
	struct bdev_listener listener;
	uint64_t features; /* offered */
	uint32_t discard_sectors_max, zeroes_sectors_max;
	uint32_t seg_max;
	bool read_only;
	bool writeback, writeback_initial; /* CONFIG_WCE */
	char id[VBLK_ID_BYTES];
	/* BIO_FUA while every write must be durable, else 0. Written by the control thread, read by
	 * queues. */
	uint8_t fua;
};

/* One queue's view of the device; lives on its reactor. */
struct vblk_queue {
	struct bdev_chan *chan;
	struct vblk *dev;
	uint8_t fua; /* BIO_FUA: FLUSH was not negotiated, writes are write-through (5.2.6.2) */
	bool read_only;
	struct vblk_rules rules;
	struct vblk_range (
		*ranges)[VBLK_SEGS_MAX]; /* a row per slot, or NULL: neither command negotiated */
	size_t ranges_bytes;
};

/* A slot: head i (split) or buffer id i (packed). Three cache lines, the first two are touched by
 * every request. */
struct vblk_req {
	struct vq_elem elem;
	struct vdev_queue *q; /* set when the queue is opened */
	uint8_t *status;
	uint8_t cut_front, cut_back; /* while its data are trimmed */
	uint8_t range_at, range_n;   /* DISCARD, WRITE_ZEROES: next, and how many */
	struct bio bio cc_aligned(CACHELINE_BYTES);
};
static_assert(sizeof(struct vblk_req) == 3 * CACHELINE_BYTES, "hot part: two lines");
static_assert(offsetof(struct vblk_req, elem) == 0, "vdev.h: vq_elem first");

/* vdev_ops.process, cancel */
void vblk_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n);
void vblk_cancel(struct vdev_queue *q);

#endif
