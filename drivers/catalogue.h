/* SPDX-License-Identifier: BSD-3-Clause */
/* "Open this URI": the one list of drivers. The daemon, the CLI, the benchmark and the tests all
 * use it. */
#ifndef DRIVERS_CATALOGUE_H
#define DRIVERS_CATALOGUE_H

#include "core/bdev.h"

/*
 * Any of them with merge=1 (behind the last URI of a stack, for all of it): neighbours in a batch go as one.
 *
 *   null:SIZE                       writes vanish, reads give zeroes-or-whatever; for measuring
 *   ram:SIZE                        memory of this process
 *   file:PATH[?direct=0|1&ro=0|1&locking=auto|on|off&depth=N&block=512|4096]
 *   nvme:0000:01:00.0/1[?part=…&offset=…&size=…&ro=0|1&queues=N&depth=N&timeout=MS&irq=0|1]
 *                                   namespace 1 of the SSD at that address, which vfio-pci holds
 *   nvme+vfio-user:SOCKET/1[?…]     the same of a software SSD
 *   virtio-user:SOCKET[?queues=N&depth=N&packed=0|1&ro=0|1&connect=MS&patience=MS]
 *                                   another server's vhost-user-blk socket
 *   fault:RULES@URI                 stacked: delay, error, drop, torn write by operation, range,
 * probability Sizes take K, M, G, T (powers of 1024).
 */

struct bdev_open_opts {
	const char *name; /* the disk's name; NULL: made from the URI */
	bool read_only;
	unsigned lock_wait_ms; /* wait for another process's lock to go (a dead one's I/O may still
				  be landing) */
	struct reactor *control;
};

/* May block (set-up thread or before the reactors run). 0 or -errno with one line in eb that names
 * the URI and the reason. */
int bdev_open(const char *uri, const struct bdev_open_opts *opts, struct bdev **ret_bdev,
	      struct errbuf *eb);

#endif
