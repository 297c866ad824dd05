/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user server: a UNIX socket behind which one virtio device is driven by one front-end at
 * a time. */
#ifndef VHOST_USER_VU_SERVER_H
#define VHOST_USER_VU_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"
#include "core/reactor.h"
#include "vhost/vdev.h"

struct vu_server;

struct vu_server_opts {
	const char *name; /* in log lines: the disk's name */
	const char *path; /* socket to make; NULL: use fd */
	int fd; /* inherited socket, listening or connected (told apart by SO_ACCEPTCONN); -1: none.
		   Taken over */
	mode_t mode; /* of the socket file; 0: 0600 */
	struct vdev *dev;
	struct reactor *control;
	struct reactor **reactors; /* data reactors for its queues; copied */
	unsigned nreactors;
	unsigned nnear; /* queues go to one of the first so many unless they are moved; 0: to any */
	bool no_packed;		   /* do not offer RING_PACKED */
	void (*on_end)(void *arg); /* an inherited connected socket ended; may be NULL */
	void *on_end_arg;
};

/**
 * vu_server_create - bind (a stale socket file of a dead process is replaced, a live one is
 * -EADDRINUSE), listen, serve. Control thread. 0 or -errno with eb; nothing is left behind on
 * failure.
 */
int vu_server_create(const struct vu_server_opts *opts, struct vu_server **ret_s,
		     struct errbuf *eb);

/* Ends the session (I/O in flight is waited for), removes the socket file, then done(arg) on the
 * control thread. */
void vu_server_destroy(struct vu_server *s, void (*done)(void *arg), void *arg);

/**
 * vu_server_move_queue - the running queue @index goes on on reactors[@reactor_at], also after later
 * stops of this connection: no I/O is lost, done twice or reordered. What it has in flight ends first.
 * Control thread. 0: done(arg, err, why) follows on the control thread, possibly from inside; -errno
 * with eb: it stays where it is (-EINVAL, -ENOTCONN no such running queue, -EIO broken, -EBUSY).
 */
typedef void (*vu_moved_fn)(void *arg, int err, const char *why);
int vu_server_move_queue(struct vu_server *s, unsigned index, unsigned reactor_at, vu_moved_fn done,
			 void *arg, struct errbuf *eb);

/* What a balancer keeps of a queue; of zeroes when the front-end connects, and ours to store only.
 */
struct vu_queue_note {
	uint64_t requests; /* when it looked last */
	unsigned moves;	   /* of its */
};

/* A running queue, for whoever spreads the load. */
struct vu_queue_load {
	unsigned index;
	unsigned reactor_id;
	uint64_t requests; /* since the front-end connected */
	uint64_t since_ns; /* when it began to run where it runs */
	struct vu_queue_note *note;
};

/* fn for each running queue; it moves none. Control thread; counters may move meanwhile. */
void vu_server_for_each_load(const struct vu_server *s,
			     void (*fn)(const struct vu_queue_load *load, void *arg), void *arg);

/* A plain picture of the session for the control interface. */
struct vu_queue_info {
	unsigned index;
	bool started, enabled, packed, broken;
	char why[96];
	uint16_t size, avail_idx, used_idx, inflight;
	int reactor_cpu;
	unsigned reactor_id;
	uint64_t window_ns; /* polled in vain for so long before it sleeps */
	struct vq_counters cnt; /* since the front-end connected, over moves and stops */
};

struct vu_region_info {
	uint64_t gpa, uva, len;
};

struct vu_session_info {
	bool connected;
	const char *state; /* "CONNECTED", "RUNNING", … */
	pid_t peer_pid;
	uint64_t features, protocol_features;
	uint8_t status;
	unsigned nregions, nqueues; /* queues that have been configured */
	struct vu_region_info *regions;
	struct vu_queue_info *queues;
	uint64_t connections; /* so far */
};

/* Allocates regions and queues: vu_session_info_fini(). Control thread; counters may move
 * meanwhile. 0, -ENOMEM. */
int vu_server_get_info(const struct vu_server *s, struct vu_session_info *ret);
void vu_session_info_fini(struct vu_session_info *info);

#endif
