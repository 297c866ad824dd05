/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to a vfio-user server: one request at a time and its reply, and posts beside it.
 *
 *   conn_call ── lock ── send ── wait for the reply, answer the server's own commands with an error
 * ── unlock conn_post ── send                                  (any thread, no lock)
 *
 * Every message we send is small enough that the stream socket takes it whole or not at all, so
 * messages of several threads do not mix. Whatever goes wrong on the wire ends the connection for
 * good: it is shut down, the removal fd becomes readable, all further calls say -ENODEV.
 */
#ifndef DRIVERS_VFIO_VFIO_USER_CONN_PRIV_H
#define DRIVERS_VFIO_VFIO_USER_CONN_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define VFIO_USER_FDS_MAX   16	 /* in one message of ours */
#define VFIO_USER_REPLY_MAX 8192 /* bytes of a reply's body */

struct vfio_user_conn {
	int fd;
	const char *name; /* for messages */
	uint64_t reply_ns;
	pthread_mutex_t lock; /* guards the receiving side: who holds it waits for a reply */
	uint16_t msg_id;      /* atomic */
	bool dead;	      /* atomic; set once */
	bool quiet; /* while the device is being opened: the reason goes to @why, not to the log */
	struct errbuf why;
};

/* One request. */
struct vfio_user_call {
	uint16_t cmd;
	const void *body;
	size_t body_len;
	const void *data; /* follows the body; may be NULL */
	size_t data_len;
	const int *fds;
	unsigned nfds;
	size_t reply_min; /* a shorter one is a broken server */
	void *reply;	  /* VFIO_USER_REPLY_MAX bytes */
	size_t reply_len;
	int *ret_fd; /* takes one fd, or -1; NULL: the reply has none */
};

/* @fd stays the caller's, to be closed after _fini. */
void vfio_user_conn_init(struct vfio_user_conn *c, int fd, const char *name, unsigned reply_ms);
void vfio_user_conn_fini(struct vfio_user_conn *c);

/* 0; the server's error as -errno; -ENODEV: the connection has ended before; -EPROTO, -ETIMEDOUT:
 * it has ended now. */
int vfio_user_conn_call(struct vfio_user_conn *c, struct vfio_user_call *call);

/* A command without a reply. Any thread. Waits a second at most for a server that does not take it.
 */
void vfio_user_conn_post(struct vfio_user_conn *c, uint16_t cmd, const void *body, size_t len);

/* The peer has broken the protocol: ends the connection, for the reason given. Returns -EPROTO. */
int vfio_user_conn_break(struct vfio_user_conn *c, const char *reason);

#endif
