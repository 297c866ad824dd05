/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the listening half of the control interface and its connections. */
#ifndef TOOLS_NVRINGD_RPC_CONN_PRIV_H
#define TOOLS_NVRINGD_RPC_CONN_PRIV_H

#include <stdbool.h>

#include "core/base/list.h"
#include "core/base/unixsock.h"
#include "core/deadline.h"
#include "core/reactor.h"
#include "tools/nvringd/rpc_server.h"

struct rpc_conn;

struct rpc_server {
	struct wiring *w;
	struct reactor *control;
	struct reactor_fd listener;
	struct deadline accept_again; /* after a lack of file descriptors */
	struct list conns;
	unsigned nconns;
	struct unixsock sock;
	char path[108];
};

/* Takes @fd over. 0 or -ENOMEM (then the fd stays the caller's). */
int rpc_conn_create(struct rpc_server *s, int fd);
/* A call under way keeps the storage until it is answered. */
void rpc_conn_destroy(struct rpc_conn *c);
struct rpc_conn *rpc_conn_of(struct list *link);

#endif
