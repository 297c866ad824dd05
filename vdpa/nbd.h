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

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/bdev.h"

struct nbd;

#define NBD_ID_NONE	(-1)
#define NBD_ID_MAX	1023
#define NBD_CONNS_LIMIT 16
#define NBD_DEPTH	128	     /* the kernel's client has so many requests under way on a connection */
#define NBD_BUF_BYTES	(128 * 1024) /* the longest that the kernel's client is told to send */
#define NBD_WAIT_S	3600	     /* for the next server */

struct nbd_opts {
	const char *name; /* in log lines */
	const char *backend; /* the disk, for whoever takes the device over */
	struct bdev *bdev;
	struct reactor *control;
	struct reactor *const *reactors; /* connections go round them */
	unsigned nreactors;
	int id;	       /* N of /dev/nbdN, or NBD_ID_NONE */
	int adopt;     /* what an earlier server of this very disk left, or NBD_ID_NONE */
	unsigned conns; /* 0: 1 */
	bool read_only;
};

typedef void (*nbd_done_fn)(void *arg, int err, const char *why);

/* As in vdpa/ublk.h. */
int nbd_create(const struct nbd_opts *opts, struct nbd **ret, struct errbuf *eb);
void nbd_start(struct nbd *n, nbd_done_fn done, void *arg);
/* @leave: the device stays, and its I/O waits; this process ends soon. */
void nbd_stop(struct nbd *n, bool leave, nbd_done_fn done, void *arg);
void nbd_destroy(struct nbd *n);

struct nbd_info {
	unsigned id, conns;
	bool live, read_only, adopted;
	uint64_t ios, errors;
};

void nbd_get_info(const struct nbd *n, struct nbd_info *ret);
bool nbd_is_claimed(const struct nbd *n);

/* A device of anybody goes, with the I/O that waits. Blocks. 0 or -errno with eb. */
int nbd_remove(unsigned id, struct errbuf *eb);

#endif
