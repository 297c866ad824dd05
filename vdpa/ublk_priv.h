/* SPDX-License-Identifier: BSD-3-Clause */
/* A ublk device inside: what its life (ublk.c), its commands (ublk_setup.c) and its queues tell one another. */
#ifndef VDPA_UBLK_PRIV_H
#define VDPA_UBLK_PRIV_H

#include "core/hugemem.h"
#include "core/worker.h"
#include "vdpa/ublk.h"
#include "vdpa/ublk_ctl.h"
#include "vdpa/ublk_ring.h"

#define UBLK_NAME_MAX 64

/* One tag. The kernel's or ours; the bio's while it is under way. */
struct ublk_slot {
	struct bio bio;
	struct iovec iov;
	struct ublk_queue *q;
	uint16_t tag;
};

enum ublk_queue_state {
	UBLK_QUEUE_SERVES,
	UBLK_QUEUE_LEAVES, /* takes nothing new */
	UBLK_QUEUE_OVER,   /* nothing of it is under way, its poller is gone */
};

/* Lives on its reactor from start to over. */
struct ublk_queue {
	struct poller poller;
	struct ublk *u;
	struct ublk_ring *ring;
	struct bdev_chan *chan;
	struct reactor *reactor;
	struct ublk_slot *slots;
	uint8_t *bufs;
	unsigned index, depth;
	unsigned nheld; /* bios under way */
	enum ublk_queue_state state;
	uint64_t ios, errors; /* read by others */
	bool has_complained;
	struct reactor_msg start_msg, leave_msg, over_msg;
};

enum ublk_state {
	UBLK_NEW,
	UBLK_ADDING,
	UBLK_STARTING,
	UBLK_LIVE,
	UBLK_STOPPING,
	UBLK_GOING,
	UBLK_ENDED,
};

/* Control thread's, but for what the worker works on in ADDING, STARTING, STOPPING and GOING. */
struct ublk {
	struct door door;
	char name[UBLK_NAME_MAX];
	struct bdev *bdev;
	struct reactor *control;
	struct reactor **reactors;
	unsigned nreactors;
	int want_id, adopt;
	enum ublk_state state;
	struct ublk_ctl *ctl;
	int fd; /* the server's end */
	unsigned id, nqueues, depth;
	bool read_only, adopted, added, has_update_size;
	uint64_t bytes; /* as the kernel knows it */
	struct ublk_queue *queues;
	unsigned nover; /* queues that are */
	struct hugemem mem;
	struct worker worker;
	struct bdev_listener listener;
	bool resizing, resize_again;
	enum door_end how;
	door_done_fn done;
	void *done_arg;
	struct ublk *next_left; /* those that were left until this process ends */
	int err; /* why it ends */
	struct errbuf why;
};

/*
 * ublk_setup.c, worker threads
 */

/* A new device or the one to adopt, with rings and buffers; or nothing of it. 0 or -errno with u->why. */
int ublk_setup_add(struct ublk *u);
/* It serves, once each queue has its commands at the kernel. */
int ublk_setup_start(struct ublk *u);
/* No new I/O. */
int ublk_setup_stop(struct ublk *u);
/* Rings and buffers go, and the device with them where it shall. */
int ublk_setup_remove(struct ublk *u);
/* The kernel learns u->bytes. */
int ublk_setup_resize(struct ublk *u);

/*
 * ublk_queue.c
 */

/* Its channel is there. Posts a command for each tag. Control thread. */
void ublk_queue_start(struct ublk_queue *q);
/* It becomes OVER when its I/O has ended, and takes none. Once. Control thread. */
void ublk_queue_leave(struct ublk_queue *q);
/* ublk.c: @q is OVER. On the control thread. */
void ublk_queue_is_over(struct ublk_queue *q);

#endif
