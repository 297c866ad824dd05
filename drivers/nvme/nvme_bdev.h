/* SPDX-License-Identifier: BSD-3-Clause */
/* A namespace, or a part of one, as a block device. */
#ifndef DRIVERS_NVME_NVME_BDEV_H
#define DRIVERS_NVME_NVME_BDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct bdev;
struct bdev_chan;
struct bio;
struct nvme_ctrlr;

/* Where the block device lies in the namespace. */
struct nvme_bdev_opts {
	uint64_t off;	/* bytes, whole blocks */
	uint64_t bytes; /* 0: up to the end, and following it when the namespace is resized */
	bool read_only;
	/* Called when the block device goes, with arg: gives the controller back. May block: worker thread. NULL: nothing. */
	void (*release)(void *arg);
	void *release_arg;
};

/**
 * nvme_bdev_open - namespace @nsid of @ctrlr. 0; -ENODEV (no such namespace, with those there are in @eb), -ENOTSUP (a
 * format with metadata or another command set), -EINVAL (opts beyond the end). Several may be open on one namespace.
 */
int nvme_bdev_open(struct nvme_ctrlr *ctrlr, uint32_t nsid, const struct nvme_bdev_opts *opts,
		   struct bdev **ret_bdev, struct errbuf *eb);

/* How large a namespace is, in bytes, and its blocks. Errors as of nvme_bdev_open(). */
int nvme_bdev_size(struct nvme_ctrlr *ctrlr, uint32_t nsid, uint64_t *ret_bytes,
		   uint32_t *ret_block_bytes, struct errbuf *eb);

/**
 * nvme_bdev_where - queue and command id of an I/O that the driver holds. False: it waits for a command, is with another
 * reactor's queue, or @chan is no channel of a namespace. Walks the commands: for inspection, on the channel's reactor.
 */
bool nvme_bdev_where(const struct bdev_chan *chan, const struct bio *bio, uint16_t *ret_qid, uint16_t *ret_cid);

/* Read @bytes at @off of a namespace and wait, for what has to be known before a block device is made (partition
 * tables). Whole blocks. Set-up threads. 0 or -errno. */
int nvme_bdev_peek(struct nvme_ctrlr *ctrlr, uint32_t nsid, uint64_t off, void *ret_buf, uint32_t bytes);

#endif
