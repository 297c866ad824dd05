/* SPDX-License-Identifier: BSD-3-Clause */
/* The file driver inside: the device, and what its parts tell one another. */
#ifndef DRIVERS_URING_URB_PRIV_H
#define DRIVERS_URING_URB_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"

#define URB_ZEROES_BYTES \
	(1u << 20) /* one write of the zeroes that replace a missing FALLOC_FL_ZERO_RANGE */
#define URB_BYTES_MAX (1u << 20) /* one READ or WRITE */
#define URB_RANGE_MAX                                                               \
	(1u << 30) /* one DISCARD or WRITE_ZEROES; a bound on how long one may take \
		    */

struct urb_discard_thread;

/* How a DISCARD is told to the kernel. */
enum urb_discard {
	URB_DISCARD_OFF,
	URB_DISCARD_PUNCH, /* fallocate: files; block devices that can write zeroes by unmapping */
	URB_DISCARD_COMMAND, /* block devices, kernel 6.12 and later */
	URB_DISCARD_IOCTL,   /* block devices otherwise: BLKDISCARD blocks, so a thread does it */
	URB_DISCARD_AUTO,    /* as an option only */
};

/* Constant once it is open, save the size. */
struct urb {
	struct bdev bdev;
	int fd;
	bool is_blk, is_direct, is_locked;
	bool is_fixed;	   /* registered buffers: a user of urb_pin_get() */
	uint32_t io_align; /* of offset and length, 1 when buffered */
	enum urb_discard discard;
	struct urb_discard_thread *discard_thread; /* URB_DISCARD_IOCTL; else NULL */
	const void *zeroes;			   /* URB_ZEROES_BYTES, read-only */
};

/* What the file or device is and wants. */
struct urb_shape {
	bool is_blk, is_direct;
	uint32_t block_bytes; /* the smallest logical block it takes */
	uint32_t phys_bytes;
	uint32_t io_align; /* 1 when buffered */
	uint32_t opt_io_bytes;
	uint64_t bytes; /* as it is, maybe no multiple of a block */
	enum urb_discard discard;
	bool rotational;
	int numa_node; /* of the block device, the file's file system included */
};

/*
 * urb_probe.c: blocking, set-up threads
 */

/* The size of an open file or block device. 0 or -errno. */
int urb_probe_bytes(int fd, bool is_blk, uint64_t *ret_bytes);

/*
 * Looks at @fd, and makes it direct where @direct asks for it (0 no, 1 must, 2 if possible).
 * 0, -ENOTSUP (must, but cannot), or -errno; the reason in @eb.
 */
int urb_probe(int fd, unsigned direct, bool read_only, struct urb_shape *ret, struct errbuf *eb);

/* bdev->shares of @fd: "dev MAJOR:MINOR" of the block device it is or lies on, of a partition its
 * whole disk. "": file systems without a device of their own. What lies below (LVM, loop) is not
 * looked for. */
void urb_probe_shares(int fd, char ret_shares[BDEV_SHARES_MAX]);

/* An SQE that discards on a block device. */
struct io_uring_sqe;
void urb_prep_discard(struct io_uring_sqe *sqe, int fd, uint64_t off, uint64_t len);

/* Is there an io_uring for us? 0 or -errno with the reason in @eb. */
int urb_probe_ring(struct errbuf *eb);

/*
 * urb_discard.c: one thread for a device; bios come from any of its channels
 */
int urb_discard_thread_create(int fd, struct urb_discard_thread **ret);
/* Nothing is under way any more. NULL is fine. */
void urb_discard_thread_destroy(struct urb_discard_thread *t);
/* Takes @bio, which completes on its channel's reactor. On that reactor. */
void urb_discard_submit(struct urb_discard_thread *t, struct bio *bio);

/*
 * urb_chan.c: the functions of the bdev port that work on a channel
 */
int urb_chan_create(struct bdev *bdev, struct bdev_chan *chan);
void urb_chan_destroy(struct bdev *bdev, struct bdev_chan *chan);
void urb_chan_start(struct bdev_chan *chan);
void urb_chan_stop(struct bdev_chan *chan);
void urb_chan_submit(struct bdev_chan *chan, struct bio *bio);

#endif
