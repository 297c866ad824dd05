/* SPDX-License-Identifier: BSD-3-Clause */
/* Somebody else's vhost-user-blk socket as a disk. */
#ifndef DRIVERS_VIRTIO_VUB_H
#define DRIVERS_VIRTIO_VUB_H

#include <stdbool.h>

#include "core/bdev.h"

struct vub_opts {
	bool read_only;
	struct reactor *control;
};

/**
 * vub_open - SOCKET[?queues=1…64&depth=1…512&packed=0|1&ro=0|1&connect=MS&patience=MS]
 * Each channel has a queue of its own, so there are as many channels as queues (default: one for each CPU, if the server
 * has so many). When the server goes away, I/O waits for its successor for @patience milliseconds (30 s; 0: for ever) and
 * fails from then on until there is one. 0, or -errno with the reason in @eb. Blocks: set-up thread. bdev_close() frees it.
 */
int vub_open(const char *text, const struct vub_opts *opts, struct bdev **ret_bdev, struct errbuf *eb);

#endif
