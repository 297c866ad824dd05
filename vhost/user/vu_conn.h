/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One vhost-user socket, never blocking: whole messages with their fds in, whole messages out.
 *
 *   vu_conn_read ─► 1: c->in is a message; the caller works on it ─► vu_conn_next ─► vu_conn_read …
 *   vu_conn_send ─► 1: the peer does not read; vu_conn_flush when the socket is writable, nothing
 * is read meanwhile
 */
#ifndef VHOST_USER_VU_CONN_H
#define VHOST_USER_VU_CONN_H

#include <stdbool.h>

#include "core/base/errbuf.h"
#include "vhost/user/vu_wire.h"

struct vu_conn {
	int fd; /* owned; -1: closed */
	struct vu_msg in;
	unsigned got; /* bytes of `in` so far, header first */
	/* a reply on its way out */
	struct vu_msg out;
	unsigned sent;
	bool sending;
};

/* Takes @fd over. One thread uses @c. */
void vu_conn_init(struct vu_conn *c, int fd);
/* Closes the socket and every fd in unread or unsent messages. Harmless twice. */
void vu_conn_fini(struct vu_conn *c);

/**
 * vu_conn_read - go on with the current message.
 * 1: complete, 0: more must come first, -EPIPE: the peer closed between messages, -ECONNRESET:
 * inside of one, -EPROTO: too long or too many fds, or what recvmsg says. With eb.
 */
int vu_conn_read(struct vu_conn *c, struct errbuf *eb);

/* Forget the current message (fds that nobody took are closed) and begin the next. */
void vu_conn_next(struct vu_conn *c);

/* Send @m; its fds are closed afterwards (taken over). Nothing else may be on its way. 0, 1: not
 * all yet, -errno. */
int vu_conn_send(struct vu_conn *c, struct vu_msg *m);
/* Go on sending. 0: done, 1: not all yet, -errno. */
int vu_conn_flush(struct vu_conn *c);

#endif
