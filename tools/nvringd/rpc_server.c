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
#include <sys/un.h>
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

	if (reactor_fd_attach(s->control, &s->listener, s->fd, EPOLLIN, on_connect))
		log_error("cannot listen any more");
}

static void on_connect(struct reactor_fd *rfd, uint32_t events)
{
	struct rpc_server *s = container_of(rfd, struct rpc_server, listener);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

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

/* Is somebody listening behind the socket file? */
static bool is_live(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool live;

	if (fd < 0)
		return true; /* we do not know: keep our hands off */
	live = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0 || errno == EAGAIN;
	close(fd);
	return live;
}

static int bind_socket(int fd, const char *path, struct errbuf *eb)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;

	if (strlen(path) >= sizeof(sa.sun_path))
		return errbuf_set(eb, -ENAMETOOLONG, "rpc: %.150s: the path is too long", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	/* The mode of the fd becomes that of the file: no moment in which others could connect. */
	if (fchmod(fd, 0600))
		return errbuf_set(eb, -errno, "rpc: %s: %s", path, strerror(errno));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return errbuf_set(eb, -errno, "rpc: cannot make the socket %s: %s", path,
				  strerror(errno));
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return errbuf_set(eb, -EEXIST, "rpc: %s is there and not a socket", path);
	if (is_live(&sa))
		return errbuf_set(eb, -EADDRINUSE,
				  "rpc: another process listens on %s (an nvringd? give --rpc SOCKET)",
				  path);
	if (unlink(path) || bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return errbuf_set(eb, -errno, "rpc: cannot replace the stale socket %s: %s", path,
				  strerror(errno));
	return 0;
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
	int err;

	if (!s)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	s->w = w;
	s->control = w->control;
	list_init(&s->conns);
	deadline_init(&s->accept_again, on_accept_again);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0) {
		err = errbuf_set(eb, -errno, "rpc: socket: %s", strerror(errno));
		goto fail;
	}
	make_folder(path);
	err = bind_socket(s->fd, path, eb);
	if (err)
		goto fail;
	snprintf(s->path, sizeof(s->path), "%s", path);
	if (listen(s->fd, RPC_CLIENTS_MAX))
		err = -errno;
	else
		err = reactor_fd_attach(s->control, &s->listener, s->fd, EPOLLIN, on_connect);
	if (!err) {
		*ret_s = s;
		return 0;
	}
	errbuf_set(eb, err, "rpc: %s: %s", path, strerror(-err));
fail:
	rpc_server_destroy(s);
	return err;
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
	if (s->path[0])
		unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}
