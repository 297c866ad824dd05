/* SPDX-License-Identifier: BSD-3-Clause */
/* The listening socket of the control interface. */
#include "tools/nvringd/rpc_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/nvringd/rpc_conn_priv.h"
#include "tools/nvringd/wiring.h"

#define LOG_TAG "rpc"
#include "core/base/log.h"

#define ACCEPT_AGAIN_MS 200

static void on_connect(struct reactor_fd *rfd, uint32_t events);

static void refuse(int fd)
{
	static const char busy[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-1,"
				   "\"message\":\"too many clients\"}}\n";

	/* A courtesy: when it does not fit, the close says the same. */
	(void)send(fd, busy, sizeof(busy) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void on_accept_again(struct deadline *d)
{
	struct rpc_server *s = container_of(d, struct rpc_server, accept_again);

	if (reactor_fd_attach(s->control, &s->listener, s->sock.fd, EPOLLIN, on_connect))
		log_error("cannot listen any more");
}

static void on_connect(struct reactor_fd *rfd, uint32_t events)
{
	struct rpc_server *s = container_of(rfd, struct rpc_server, listener);
	int fd = accept4(s->sock.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		/* It stays readable: look away for a while instead of spinning. */
		log_warn("cannot accept a client: %s", strerror(errno));
		reactor_fd_detach(&s->listener);
		deadline_arm(s->control, &s->accept_again,
			     mono_ns() + ACCEPT_AGAIN_MS * MONO_NS_PER_MS);
		return;
	}
	if (fd < 0)
		return; /* the client has gone already */
	if (s->nconns >= RPC_CLIENTS_MAX || rpc_conn_create(s, fd))
		refuse(fd);
}

/* The folder of the default socket may not be there yet; any other is the operator's business. */
static void make_folder(const char *path)
{
	if (strncmp(path, "/run/nvring/", 12) == 0)
		(void)mkdir("/run/nvring", 0755); /* bind will say what is wrong */
}

int rpc_server_create(struct wiring *w, const char *path, struct rpc_server **ret_s,
		      struct errbuf *eb)
{
	struct rpc_server *s = calloc(1, sizeof(*s));
	struct errbuf why;
	int err;

	if (!s)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	s->w = w;
	s->control = w->control;
	list_init(&s->conns);
	deadline_init(&s->accept_again, on_accept_again);
	s->sock.fd = -1;
	make_folder(path);
	err = unixsock_listen(path, 0600, RPC_CLIENTS_MAX, &s->sock, &why);
	if (err) {
		rpc_server_destroy(s);
		return errbuf_set(eb, err, "rpc: %.400s%s", why.text,
				  err == -EADDRINUSE ? " (an nvringd? give --rpc SOCKET)" : "");
	}
	snprintf(s->path, sizeof(s->path), "%s", path);
	*ret_s = s;
	return 0;
}

int rpc_server_start(struct rpc_server *s, struct errbuf *eb)
{
	int err = reactor_fd_attach(s->control, &s->listener, s->sock.fd, EPOLLIN, on_connect);

	return err ? errbuf_set(eb, err, "rpc: %s: %s", s->path, strerror(-err)) : 0;
}

void rpc_server_destroy(struct rpc_server *s)
{
	if (!s)
		return;
	while (!list_is_empty(&s->conns))
		rpc_conn_destroy(rpc_conn_of(s->conns.next));
	if (deadline_is_armed(&s->accept_again))
		deadline_cancel(&s->accept_again);
	reactor_fd_detach(&s->listener);
	unixsock_close(&s->sock, s->path);
	free(s);
}
