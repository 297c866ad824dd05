/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device on a fake bdev with one queue, its driver in the same process: what the tests of
 * vblk share. */
#ifndef TESTS_UNIT_VBLK_RIG_H
#define TESTS_UNIT_VBLK_RIG_H

#include "tests/ring/ring.h"
#include "tests/unit/fake_bdev.h"
#include "vhost/blk/vblk.h"
#include "vhost/blk/vblk_request.h"

#define DISK_BYTES (1024 * 1024)
#define NONE	   0xffu /* a status byte nobody wrote */

extern struct reactor *r;
extern struct fake_bdev fake;
extern struct vblk *dev;
extern struct vdev_queue *q;
extern struct ring ring;
extern uint8_t *hdr, *status, *data; /* in the driver's memory */
extern unsigned broken_calls, stopped_calls;
extern const struct bdev_limits limits; /* of a capable disk */

void turns(unsigned n);
/* Do the queues that are opened from now on have an inflight region? */
extern bool tracked;
/* Counts; for vdev_queue_stop(). */
void on_stopped(struct vdev_queue *queue, void *arg);

/* Device and queue apart, where a test wants its own limits, options or features. */
void device_open(const struct bdev_limits *lim, const struct vblk_opts *opts);
void device_close(void);
void queue_open_with(uint64_t features, bool packed);
void queue_close(void);
uint64_t offered(void);

/* A capable disk, everything negotiated, split ring. */
void open_all(void);
void close_all(void);

/* One chain of @bufs; returns the used length. UINT32_MAX: not answered. */
uint32_t run(const struct vqd_buf *bufs, unsigned n);
void header(uint32_t type, uint64_t sector);

/* The usual framing: header, @len bytes of data in the direction of the type, status. */
uint32_t request(uint32_t type, uint64_t sector, uint32_t len, bool device_writes);

/* Segment @i of a DISCARD or WRITE_ZEROES in `data`. */
void seg(unsigned i, uint64_t sector, uint32_t n, uint32_t flags);

/* What the disk was asked for since the last look. */
void trace_is(const char *want);

#endif
