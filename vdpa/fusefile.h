/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as a file of this host, by FUSE: for loop devices, QEMU and all else that takes a file.
 *
 *   reader, loop ─► /run/nvring/fuse/disk0 (a mount on a file) ─► /dev/fuse ─► fusefile_sess (a poller) ─► fusefile_io ─► bdev
 *
 * For kernels with neither ublk nor NBD. It does not outlive its server: whoever uses the file then sees errors, and what
 * remains is a dead mount, which the next one clears away. One queue, on one reactor: libfuse's session has one.
 */
#ifndef VDPA_FUSEFILE_H
#define VDPA_FUSEFILE_H

#include "vdpa/door.h"
#include "vdpa/fusefile_place.h"

#define FUSEFILE_DEPTH_DEFAULT 128
#define FUSEFILE_DEPTH_LIMIT   1024
#define FUSEFILE_BUF_BYTES     (128 * 1024) /* the longest READ or WRITE */

/*
 * One queue, on the first of .reactors, with .folder. No two of a process have the same id; from FUSEFILE_ID_MAX + 1 on at
 * paths of their own. Claimed: open. What was closed just now may take a moment to arrive: that blocks so long.
 */
extern const struct door_ops fusefile_door;

#endif
