/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as a block device of this host's kernel, /dev/ublkbN, by ublk.
 *
 *   reader, file system ─► /dev/ublkbN ─► blk-mq queue ─► command of an io_uring ─► poller (ublk_queue) ─► bdev
 *
 * Each queue lives on one reactor. The device outlives its server: I/O waits until the next one adopts it.
 *
 *             door_start                    done ok              door_stop                        done
 *   NEW ────────────────► ADDING ─► STARTING ──────► LIVE ──────────────────► STOPPING ─► GOING ──────► ENDED
 *                            │         │ fails                                   ▲
 *                            │ fails   └─────────────────────────────────────────┘
 *                            └──────────────────────────────────────────────────────────────► ENDED
 */
#ifndef VDPA_UBLK_H
#define VDPA_UBLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"
#include "vdpa/door.h"

#define UBLK_ID_MAX	    ((1 << 20) - 1) /* the kernel's minors */
#define UBLK_QUEUES_LIMIT   64		    /* the kernel gives one per CPU at most */
#define UBLK_DEPTH_LIMIT    1024
#define UBLK_DEPTH_DEFAULT  128
#define UBLK_BUF_BYTES	    (128 * 1024) /* the largest READ or WRITE; one buffer for each I/O */

extern const struct door_ops ublk_door;

/*
 * Devices of anybody, from any thread that may block
 */

struct ublk_peek {
	pid_t server; /* 0: none */
	bool live, waits; /* waits: for a new server */
	unsigned queues, depth;
	uint64_t bytes;
	bool read_only;
};

/* 0, -ENODEV (no such device), or what the control device says, with eb. */
int ublk_look(unsigned id, struct ublk_peek *ret, struct errbuf *eb);

/* A device without a server goes, with the I/O that waits. 0, -EBUSY (it has one), or as above. */
int ublk_remove(unsigned id, struct errbuf *eb);

#endif
