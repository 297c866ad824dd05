/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes to a file that is shared with a peer who may make them wait: they end, whatever the peer does.
 *
 *   stall_write ─► timer of this thread under way? ─► write(2) ─► the peer makes it wait
 *                  no: set it, once in STALL_NS                    │
 *                                         timer ─► signal ─► EINTR ◄┘ and again until we are out of it
 *
 * O_NONBLOCK belongs to the open file, not to the descriptor: who shares the file may clear it at any time,
 * and an eventfd knows no other way of not waiting. A write that does not wait is never disturbed.
 */
#ifndef CORE_STALL_H
#define CORE_STALL_H

#include <stddef.h>
#include <sys/types.h>

#include "core/base/mono.h"

/* A write waits at most this long; while there are writes, the thread is interrupted this often at most. */
#define STALL_NS (10 * MONO_NS_PER_MS)

/*
 * The guard of the calling thread; reactors have one while they run. Without it stall_write() is write().
 * System calls of this thread that wait may fail with EINTR up to STALL_NS after a stall_write().
 * Harmless twice. 0 or -errno: -EAGAIN beyond RLIMIT_SIGPENDING.
 */
int stall_guard_start(void);
void stall_guard_stop(void);

/* As write(2). -1 with EINTR: it would have waited for the peer, and nothing was written. */
ssize_t stall_write(int fd, const void *buf, size_t len);

#endif
