/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk as something that programs of this host open, a block device or a file: one shape for all ways, so that who attaches
 * a disk need not know which it is. What a way has beyond that stands in its own header (ublk, nbd, fusefile).
 *
 *        door_create       door_start    done ok      door_stop          done
 *   none ───────────► new ──────────────────────► live ─────────────────────► ended ─ door_destroy
 *                      └─ door_start, done with an error ────────────────────►
 *
 * VDUSE is none: it takes a virtio device and not a disk, has a name and no node, and what remains of it is not for us to
 * choose but for whoever has it on the vDPA bus.
 */
#ifndef VDPA_DOOR_H
#define VDPA_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/bdev.h"

#define DOOR_ID_NONE  (-1)
#define DOOR_NODE_MAX 256

/* Copied, but for bdev and reactors, which outlive it. A door takes from it what it knows. */
struct door_opts {
	const char *name;    /* in log lines */
	const char *backend; /* the disk, for whoever takes the device over */
	struct bdev *bdev;
	struct reactor *control;
	struct reactor *const *reactors; /* queues go round them */
	unsigned nreactors;
	int id;		    /* N of the node, or DOOR_ID_NONE: a free one */
	int adopt;	    /* what an earlier server of this very disk left, if it is still there; or DOOR_ID_NONE */
	unsigned queues;    /* 0: as many as is good */
	unsigned depth;	    /* of each; 0: the default */
	const char *folder; /* of files */
	const char *path;   /* of a file, instead: one that is not there; NULL: none */
	bool read_only;
};

struct door_info {
	char node[DOOR_NODE_MAX]; /* what others open */
	unsigned id, queues, depth;
	bool live, read_only, adopted;
	uint64_t ios, errors;
};

enum door_end {
	DOOR_END_REMOVE, /* it goes; who uses it sees errors */
	DOOR_END_LEAVE,	 /* I/O in flight ends, all other waits for the next server. This process ends soon. */
};

/* err 0, or -errno with the reason. Control thread, exactly once. */
typedef void (*door_done_fn)(void *arg, int err, const char *why);

struct door {
	const struct door_ops *ops;
};

struct door_ops {
	const char *as;	   /* "ublk" */
	bool ends_with_us; /* nothing of it stays for another server: there is no DOOR_END_LEAVE */
	int (*create)(const struct door_opts *opts, struct door **ret, struct errbuf *eb);
	void (*start)(struct door *d, door_done_fn done, void *arg);
	void (*stop)(struct door *d, enum door_end how, door_done_fn done, void *arg);
	void (*destroy)(struct door *d);
	void (*get_info)(const struct door *d, struct door_info *ret);
	bool (*is_claimed)(const struct door *d);
	void (*tell_user)(const struct door *d, char *buf, size_t len); /* NULL: not known */
};

/* 0, or -errno with eb: what can be said without the kernel. Control thread, as all below. */
static inline int door_create(const struct door_ops *ops, const struct door_opts *opts, struct door **ret,
			      struct errbuf *eb)
{
	return ops->create(opts, ret, eb);
}

/* Once. After an error nothing is left of it but what door_destroy() frees. */
static inline void door_start(struct door *d, door_done_fn done, void *arg)
{
	d->ops->start(d, done, arg);
}

/* Of a live one, once. I/O in flight ends first. */
static inline void door_stop(struct door *d, enum door_end how, door_done_fn done, void *arg)
{
	d->ops->stop(d, how, done, arg);
}

/* Not started, or ended. NULL is fine. */
static inline void door_destroy(struct door *d)
{
	if (d)
		d->ops->destroy(d);
}

static inline void door_get_info(const struct door *d, struct door_info *ret)
{
	d->ops->get_info(d, ret);
}

/* Mounted, or held by somebody. Blocks shortly. */
static inline bool door_is_claimed(const struct door *d)
{
	return d->ops->is_claimed(d);
}

/* Who claims it, or "". */
static inline void door_tell_user(const struct door *d, char *buf, size_t len)
{
	buf[0] = '\0';
	if (d->ops->tell_user)
		d->ops->tell_user(d, buf, len);
}

#endif
