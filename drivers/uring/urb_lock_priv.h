/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Image locks, as QEMU's file driver takes them: one byte of the file for each permission.
 *
 *   byte 100 + n  locked (shared) by whoever uses permission n
 *   byte 200 + n  locked (shared) by whoever does not let others use permission n
 *   n: 0 consistent read, 1 write, 2 write unchanged, 3 resize
 *
 * To open: lock the own bytes, then test that nobody holds the opposite ones. The locks are OFD
 * locks: they belong to the open file and vanish with it. That makes them the means of a safe
 * restart: an io_uring request of a killed process keeps the open file, and with it the lock, until
 * it has landed. Whoever waits for the lock knows that no write of the dead process can come any
 * more and overwrite newer data.
 *
 * A disk holds what QEMU's own disks hold: read and write (or read alone), and lets nobody else
 * write.
 */
#ifndef DRIVERS_URING_URB_LOCK_PRIV_H
#define DRIVERS_URING_URB_LOCK_PRIV_H

#include <stdbool.h>

#define URB_HOLDER_MAX 64

/**
 * urb_lock_take - the locks of a disk on @fd, tried for up to @wait_ms. Blocks; set-up thread.
 * 0; -EBUSY: another process holds the image; or the -errno of fcntl (-EINVAL, -ENOLCK,
 * -EOPNOTSUPP: no locks here).
 */
int urb_lock_take(int fd, bool read_only, unsigned wait_ms);

/* "process 4711, nvringd", one that has the file open, or "another process" if none can be seen. Set-up thread. */
void urb_lock_holder(int fd, char ret[URB_HOLDER_MAX]);

/* Give them back now: the ring's reference would keep them a moment longer than close(). */
void urb_lock_release(int fd);

/* Around a resize: nobody else relies on the size. 0 or -EBUSY, …; afterwards
 * urb_lock_resize_end(). */
int urb_lock_resize_begin(int fd);
void urb_lock_resize_end(int fd);

#endif
