/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FUSE's messages, by libfuse's low-level interface, on one reactor: the file's requests in, replies out when the disk has
 * answered. The one module that knows libfuse; where it is not installed, fusefile_none.c says so.
 */
#ifndef VDPA_FUSEFILE_SESS_H
#define VDPA_FUSEFILE_SESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"
#include "vdpa/fusefile_io.h"

struct fuse_session;

/* Where the data of a write begins in what the kernel sends: behind two headers. There, a buffer is aligned. */
#define FUSEFILE_HEAD_BYTES 80
/* libfuse wants room for headers beside the data, a page of it. */
#define FUSEFILE_SPARE_BYTES 4096

/* Owned by whoever opens it; the reactor's from start to over(), which runs on the control thread. */
struct fusefile_sess {
	/* set by the owner */
	const char *name;
	struct reactor *reactor, *control;
	struct bdev *bdev;
	struct fusefile_slot *slots; /* with data, edge and mem */
	unsigned nslots;
	uint32_t io_bytes_max;
	bool read_only;
	void (*over)(struct fusefile_sess *s);
	void *owner;
	/* the reactor's */
	struct fuse_session *fuse;
	struct fusefile_io io;
	struct poller poller;
	struct fusefile_slot *free;
	struct fusefile_slot *cur; /* has the request that is looked at; NULL: it is on its way */
	bool is_ready;		   /* the kernel has said hello */
	bool leaves, is_gone;	   /* gone: unmounted */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	unsigned nopen; /* read by others, as are these */
	uint64_t ios, errors;
	struct reactor_msg start_msg, leave_msg, over_msg;
};

/* Was this nvring built with libfuse? 0, or -ENOTSUP with eb. */
int fusefile_sess_check(struct errbuf *eb);

/* @fd: of the mount; its end is now fusefile_sess_close()'s. 0 or -errno with eb: it is still the caller's. */
int fusefile_sess_open(struct fusefile_sess *s, int fd, struct errbuf *eb);
/* Not started, or over. Whoever still uses the file sees errors. */
void fusefile_sess_close(struct fusefile_sess *s);

/* Control thread. */
void fusefile_sess_start(struct fusefile_sess *s, struct bdev_chan *chan);
/* Nothing new; over() when nothing is under way. */
void fusefile_sess_leave(struct fusefile_sess *s);

#endif
