/* SPDX-License-Identifier: BSD-3-Clause */
/* Files and block devices of the host, through io_uring. */
#ifndef DRIVERS_URING_URB_H
#define DRIVERS_URING_URB_H

#include <stdbool.h>

#include "core/bdev.h"

struct urb_opts {
	bool read_only;
	unsigned lock_wait_ms; /* how long another process may still hold the image's lock; see
				  urb_lock_priv.h */
};

/**
 * urb_open - PATH[?OPTION=…&…]: a regular file or a block device
 *
 *   direct=0|1         past the page cache (O_DIRECT). Not given: where the file system can, else
 * buffered with a notice ro=0|1             open read-only locking=auto|on|off  image locks as QEMU
 * takes them; auto: unless the file system has no such locks depth=1…4096       I/Os in flight per
 * reactor (128) block=512|…|65536  logical block; not given: what the file or device asks for
 *   fixed=0|1  registered buffers: memory that I/O was done in stays pinned; see urb_pin_priv.h
 *   discard=auto|off|punch|command|ioctl  how DISCARD is done; all but auto, off and punch are for
 * block devices size=SIZE&create=1 make a new sparse file of that size; an existing one must have
 * it already
 *
 * 0 or -errno with the reason in @eb: -ENOENT, -EACCES, -EISDIR, -EINVAL (options, size, kind of
 * file), -EBUSY (locked by another process), … Set-up thread; may wait lock_wait_ms. bdev_close()
 * closes it.
 */
int urb_open(const char *text, const struct urb_opts *opts, struct bdev **ret_bdev,
	     struct errbuf *eb);

#endif
