/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as a block device of this host's kernel, /dev/nbdN: the kernel's NBD client over socket pairs, no network.
 *
 *   reader ─► /dev/nbdN ─► socket pair ─► nbd_conn (a poller) ─► bdev
 *
 * For kernels without ublk: each request is a message, its data is copied through the socket. Each connection lives on
 * one reactor. When its server dies, I/O waits for NBD_WAIT_S; what was under way comes again half a minute after the
 * next server has taken over, for the kernel's client looks for lost requests only so often.
 */
#ifndef VDPA_NBD_H
#define VDPA_NBD_H

#include "core/base/errbuf.h"
#include "vdpa/door.h"

#define NBD_ID_MAX	1023
#define NBD_CONNS_LIMIT 16
#define NBD_DEPTH	128	     /* the kernel's client has so many requests under way on a connection */
#define NBD_BUF_BYTES	(128 * 1024) /* the longest that the kernel's client is told to send */
#define NBD_WAIT_S	3600	     /* for the next server */

extern const struct door_ops nbd_door; /* a queue is a connection, 1 without .queues; its depth is NBD_DEPTH */

/* A device of anybody goes, with the I/O that waits. Blocks. 0 or -errno with eb. */
int nbd_remove(unsigned id, struct errbuf *eb);

#endif
