/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as a block device of this host's kernel, /dev/ublkbN, by ublk.
 *
 *   reader, file system ─► /dev/ublkbN ─► blk-mq queue ─► command of an io_uring ─► poller (ublk_queue) ─► bdev
 *
 * Each queue lives on one reactor. The device outlives its server: I/O waits until the next one adopts it.
 *
 *             ublk_start                    done ok              ublk_stop                        done
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
#include "core/bdev.h"

struct ublk;

#define UBLK_ID_NONE	    (-1)
#define UBLK_ID_MAX	    ((1 << 20) - 1) /* the kernel's minors */
#define UBLK_QUEUES_LIMIT   64		    /* the kernel gives one per CPU at most */
#define UBLK_DEPTH_LIMIT    1024
#define UBLK_DEPTH_DEFAULT  128
#define UBLK_BUF_BYTES	    (128 * 1024) /* the largest READ or WRITE; one buffer for each I/O */

struct ublk_opts {
	const char *name; /* in log lines */
	struct bdev *bdev;
	struct reactor *control;
	struct reactor *const *reactors; /* queues go round them */
	unsigned nreactors;
	int id;		 /* N of /dev/ublkbN, or UBLK_ID_NONE: the kernel's choice */
	int adopt;	 /* the device that an earlier server of this very disk left, if it is still there; or UBLK_ID_NONE */
	unsigned queues; /* 0: one per reactor */
	unsigned depth;	 /* of each; 0: the default */
	bool read_only;
};

/* How it ends. */
enum ublk_end {
	UBLK_END_REMOVE, /* the device goes; who uses it sees errors */
	UBLK_END_LEAVE,	 /* I/O in flight ends, all other waits for the next server. This process ends soon. */
};

/* err 0, or -errno with the reason. Control thread, exactly once. */
typedef void (*ublk_done_fn)(void *arg, int err, const char *why);

/* 0, or -errno with eb: what can be said without the kernel. Control thread, as all below. */
int ublk_create(const struct ublk_opts *opts, struct ublk **ret, struct errbuf *eb);

/* Once. After an error nothing is left of it but what ublk_destroy() frees. */
void ublk_start(struct ublk *u, ublk_done_fn done, void *arg);

/* Of a live one, once. I/O in flight ends first. */
void ublk_stop(struct ublk *u, enum ublk_end how, ublk_done_fn done, void *arg);

/* Not started, or ended. NULL is fine. */
void ublk_destroy(struct ublk *u);

struct ublk_info {
	unsigned id, queues, depth;
	bool live, read_only, adopted;
	uint64_t ios, errors;
};

void ublk_get_info(const struct ublk *u, struct ublk_info *ret);

/* Mounted, or held by somebody for himself. Blocks shortly. */
bool ublk_is_claimed(const struct ublk *u);

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
