/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk opened by URI on a reactor of the test's own thread, with I/O that waits, and a model to
 * compare with. */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include "core/bdev.h"
#include "drivers/catalogue.h"

#define RIG_IOVS_MAX 64

struct disk_rig {
	struct reactor *r;
	struct bdev *bdev;
	struct bdev_chan *chan;
};

struct rig_io {
	struct bio bio;
	struct iovec iov[RIG_IOVS_MAX];
	unsigned ndone;
	unsigned order; /* of completion, over all I/Os */
};

/* Makes the reactor, once per test. */
void rig_init(struct disk_rig *rig);
void rig_fini(struct disk_rig *rig);

/* Fails the test with the error line when the disk does not open. */
void rig_open(struct disk_rig *rig, const char *uri);
/* Opens with the options given (control is filled in), without a channel. */
int rig_try(struct disk_rig *rig, const char *uri, struct bdev_open_opts opts, struct errbuf *eb);
void rig_chan(struct disk_rig *rig);
void rig_close(struct disk_rig *rig);

void rig_turn(struct disk_rig *rig, unsigned turns);

/* One buffer, not waited for. */
void rig_start(struct disk_rig *rig, struct rig_io *io, enum bio_op op, uint64_t off, void *buf,
	       uint64_t len);
/* As io->bio.op, off, len, flags, iov, iovcnt say. */
void rig_submit(struct disk_rig *rig, struct rig_io *io);
/* The same with pieces of the caller's. */
void rig_submit_iov(struct disk_rig *rig, struct rig_io *io, struct iovec *iov);
int rig_wait(struct disk_rig *rig, struct rig_io *io);

/* One buffer, waited for; the status. */
int rig_rw(struct disk_rig *rig, enum bio_op op, uint64_t off, void *buf, uint64_t len);
/* The same with flags. */
int rig_io(struct disk_rig *rig, enum bio_op op, unsigned flags, uint64_t off, void *buf,
	   uint64_t len);

/* Waits; the result of the resize, its reason in @eb. */
int rig_resize(struct disk_rig *rig, uint64_t bytes, struct errbuf *eb);

/**
 * rig_model - @rounds of up to 16 concurrent random operations on the whole disk, compared with a
 * copy in memory. Buffers of any alignment, up to 64 pieces, transfers beyond the device's limits.
 * Discarded means zeroes here.
 */
void rig_model(struct disk_rig *rig, unsigned seed, unsigned rounds);

#endif
