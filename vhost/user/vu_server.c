/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server: one socket, one session at a time.
 *
 *   accept ─► no session: begin one    ─► it ends (drained) ─► accept again; meanwhile newcomers
 * wait in the backlog └► a session lives: refuse
 */
#include "vhost/user/vu_server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/unixsock.h"
#include "vhost/user/vu_move.h"
#include "vhost/user/vu_session.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

#define VU_SOCKET_MODE	    0600
#define VU_BACKLOG	    8 /* a front-end that comes back waits here until the old session has drained */
#define VU_ACCEPTS_PER_WAKE 8
#define VU_REFUSALS_LOG_NS  MONO_NS_PER_SEC /* at most one line in so long */
/* Whoever held up our threads (for STALL_NS at a time, core/stall.h) may come again after this, so that
 * doing so over and over takes a hundredth of them. */
#define VU_HELD_UP_REST_NS MONO_NS_PER_SEC

struct vu_server {
	char *name, *path; /* path: NULL when inherited */
	struct vu_session_conf conf;
	struct reactor **reactors;
	struct unixsock listener; /* fd -1: an inherited connection only */
	struct reactor_fd rfd;
	struct vu_session *session;
	uint64_t connections, refused_ns;
	struct deadline rest; /* armed: nobody is accepted until then */
	void (*on_end)(void *arg);
	void *on_end_arg;
	bool destroying;
	void (*destroyed)(void *arg);
	void *destroyed_arg;
	struct reactor_msg msg;
};

static void server_free(struct vu_server *s)
{
	unixsock_close(&s->listener, s->path);
	free(s->reactors);
	free(s->path);
	free(s->name);
	free(s);
}

static void server_gone(struct reactor_msg *msg)
{
	struct vu_server *s = container_of(msg, struct vu_server, msg);
	void (*destroyed)(void *arg) = s->destroyed;
	void *arg = s->destroyed_arg;

	server_free(s);
	if (destroyed)
		destroyed(arg);
}

static void server_acceptable(struct reactor_fd *rfd, uint32_t events);

static void server_listen(struct vu_server *s)
{
	int err;

	if (s->listener.fd < 0 || s->rfd.reactor)
		return;
	err = reactor_fd_attach(s->conf.control, &s->rfd, s->listener.fd, EPOLLIN, server_acceptable);
	if (err)
		log_error("%s: no more front-ends are accepted: %s", s->name, strerror(-err));
}

static void server_rested(struct deadline *d)
{
	server_listen(container_of(d, struct vu_server, rest));
}

static void server_session_ended(void *arg, bool held_up)
{
	struct vu_server *s = arg;

	s->session = NULL;
	if (s->destroying) {
		reactor_send(s->conf.control, &s->msg, server_gone);
		return;
	}
	if (held_up) {
		reactor_fd_detach(&s->rfd);
		deadline_arm(s->conf.control, &s->rest, mono_ns() + VU_HELD_UP_REST_NS);
	} else {
		server_listen(s);
	}
	if (s->listener.fd < 0 && s->on_end)
		s->on_end(s->on_end_arg);
}

static int server_begin(struct vu_server *s, int fd, struct errbuf *eb)
{
	int err = vu_session_create(&s->conf, fd, &s->session, eb);

	if (!err)
		s->connections++;
	return err;
}

/* One line, then silence for a while: a client in a loop cannot fill the log. */
static void server_refuse(struct vu_server *s, int fd)
{
	uint64_t now = mono_ns();

	close(fd);
	if (s->refused_ns && now - s->refused_ns < VU_REFUSALS_LOG_NS)
		return;
	s->refused_ns = now;
	log_warn("%s: a second front-end was refused: one is connected", s->name);
}

static void server_accept(struct vu_server *s, int fd)
{
	struct errbuf eb;

	if (s->session)
		server_refuse(s, fd);
	else if (server_begin(s, fd, &eb))
		log_error("%s: %s", s->name, eb.text);
}

/* Is the session of a front-end that has gone? It may have a message under way, and learn of that only afterwards. */
static bool is_leaving(const struct vu_session *s)
{
	struct pollfd p = { .fd = s->conn.fd, .events = POLLRDHUP };

	return s->ending || poll(&p, 1, 0) == 1; /* errors and the end are told unasked */
}

/* Newcomers stay in the backlog while the last session drains. */
static void server_acceptable(struct reactor_fd *rfd, uint32_t events)
{
	struct vu_server *s = container_of(rfd, struct vu_server, rfd);

	(void)events;
	for (unsigned i = 0; i < VU_ACCEPTS_PER_WAKE; i++) {
		int fd;

		if (s->session && is_leaving(s->session)) {
			reactor_fd_detach(&s->rfd);
			return;
		}
		fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				log_warn("%s: accept: %s", s->name, strerror(errno));
			return;
		}
		server_accept(s, fd);
	}
}

static int server_open_path(struct vu_server *s, const struct vu_server_opts *opts,
			    struct errbuf *eb)
{
	s->path = strdup(opts->path);
	if (!s->path)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	return unixsock_listen(opts->path, opts->mode ? opts->mode : VU_SOCKET_MODE, VU_BACKLOG, &s->listener, eb);
}

static int server_open_fd(struct vu_server *s, int fd, struct errbuf *eb)
{
	bool listens;
	int err = unixsock_adopt(fd, &listens, eb);

	if (err) {
		close(fd);
		return err;
	}
	if (listens) {
		s->listener.fd = fd;
		return 0;
	}
	return server_begin(s, fd, eb);
}

static int server_init(struct vu_server *s, const struct vu_server_opts *opts, struct errbuf *eb)
{
	size_t bytes = opts->nreactors * sizeof(struct reactor *);

	s->listener.fd = -1;
	deadline_init(&s->rest, server_rested);
	s->on_end = opts->on_end;
	s->on_end_arg = opts->on_end_arg;
	s->name = strdup(opts->name);
	s->reactors = malloc(bytes);
	if (!s->name || !s->reactors)
		return errbuf_set(eb, -ENOMEM, "out of memory for the server of %s", opts->name);
	memcpy(s->reactors, opts->reactors, bytes);
	s->conf = (struct vu_session_conf){
		.name = s->name,
		.dev = opts->dev,
		.control = opts->control,
		.reactors = s->reactors,
		.nreactors = opts->nreactors,
		.nnear = opts->nnear ? opts->nnear : opts->nreactors,
		.no_packed = opts->no_packed,
		.on_end = server_session_ended,
		.on_end_arg = s,
	};
	return 0;
}

int vu_server_create(const struct vu_server_opts *opts, struct vu_server **ret_s, struct errbuf *eb)
{
	struct vu_server *s;
	int err;

	if (opts->nreactors == 0)
		return errbuf_set(eb, -EINVAL, "no data reactor for %s", opts->name);
	s = calloc(1, sizeof(*s));
	if (!s)
		return errbuf_set(eb, -ENOMEM, "out of memory for the server of %s", opts->name);
	err = server_init(s, opts, eb);
	if (!err)
		err = opts->path ? server_open_path(s, opts, eb) : server_open_fd(s, opts->fd, eb);
	if (!err && s->listener.fd >= 0) {
		err = reactor_fd_attach(opts->control, &s->rfd, s->listener.fd, EPOLLIN,
					server_acceptable);
		if (err)
			errbuf_set(eb, err, "cannot watch the socket of %s: %s", opts->name,
				   strerror(-err));
	}
	if (err) {
		server_free(s);
		return err;
	}
	*ret_s = s;
	return 0;
}

void vu_server_destroy(struct vu_server *s, void (*done)(void *arg), void *arg)
{
	assert(!s->destroying);
	s->destroying = true;
	s->destroyed = done;
	s->destroyed_arg = arg;
	deadline_cancel(&s->rest);
	reactor_fd_detach(&s->rfd);
	if (s->session)
		vu_session_end(s->session);
	else
		reactor_send(s->conf.control, &s->msg, server_gone);
}

int vu_server_move_queue(struct vu_server *s, unsigned index, unsigned reactor_at, vu_moved_fn done,
			 void *arg, struct errbuf *eb)
{
	if (!s->session)
		return errbuf_set(eb, -ENOTCONN, "%s: no front-end is connected", s->conf.name);
	return vu_session_move(s->session, index, reactor_at, done, arg, eb);
}

void vu_server_for_each_load(const struct vu_server *s,
			     void (*fn)(const struct vu_queue_load *load, void *arg), void *arg)
{
	if (s->session)
		vu_session_for_each_load(s->session, fn, arg);
}

int vu_server_get_info(const struct vu_server *s, struct vu_session_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->connections = s->connections;
	ret->state = "LISTENING";
	return s->session ? vu_session_get_info(s->session, ret) : 0;
}

void vu_session_info_fini(struct vu_session_info *info)
{
	free(info->regions);
	free(info->queues);
	info->regions = NULL;
	info->queues = NULL;
	info->nregions = info->nqueues = 0;
}
