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

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/bdev.h"
#include "vdpa/fusefile_place.h"

struct fusefile;

#define FUSEFILE_DEPTH_DEFAULT 128
#define FUSEFILE_DEPTH_LIMIT   1024
#define FUSEFILE_BUF_BYTES     (128 * 1024) /* the longest READ or WRITE */

struct fusefile_opts {
	const char *name; /* in log lines */
	struct bdev *bdev;
	struct reactor *control, *reactor;
	const char *folder; /* of disk0, disk1, … */
	int id;		    /* N of it, or -1: a free one */
	const char *path;   /* instead: a file that is not there; NULL: none */
	unsigned depth;	    /* 0: the default */
	bool read_only;
};

typedef void (*fusefile_done_fn)(void *arg, int err, const char *why);

/* As in vdpa/ublk.h. */
int fusefile_create(const struct fusefile_opts *opts, struct fusefile **ret, struct errbuf *eb);
void fusefile_start(struct fusefile *f, fusefile_done_fn done, void *arg);
void fusefile_stop(struct fusefile *f, fusefile_done_fn done, void *arg);
void fusefile_destroy(struct fusefile *f);

struct fusefile_info {
	const char *path;
	unsigned id; /* no two of a process have the same; from FUSEFILE_ID_MAX + 1 on at paths of their own */
	unsigned depth;
	bool live, read_only;
	uint64_t ios, errors;
};

void fusefile_get_info(const struct fusefile *f, struct fusefile_info *ret);

/* Does anybody have it open? What was closed just now may take a moment to arrive: blocks so long. */
bool fusefile_is_open(const struct fusefile *f);

#endif
