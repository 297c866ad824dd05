/* SPDX-License-Identifier: BSD-3-Clause */
/* Sends and receives vfio-user messages; the peer may be slow, gone, broken or hostile. */
#include "drivers/vfio/vfio_user_conn_priv.h"

#define LOG_TAG "vfio-user"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "core/base/log.h"
#include "core/base/mono.h"
#include "drivers/vfio/vfio_user_wire.h"

#define SEND_MAX     8192		     /* bytes; far below what a socket takes in one piece */
#define SERVER_BODY_MAX \
	(VFIO_USER_DATA_XFER_DEFAULT + 4096u) /* of a command or an error that nobody reads */
#define ERRNO_MAX 4095

/* Fds that came with a message. */
struct fd_bag {
	unsigned n;
	int fd[VFIO_USER_FDS_MAX];
};

static void bag_close(struct fd_bag *bag)
{
	while (bag->n)
		close(bag->fd[--bag->n]);
}

void vfio_user_conn_init(struct vfio_user_conn *c, int fd, const char *name, unsigned reply_ms)
{
	*c = (struct vfio_user_conn){
		.fd = fd, .name = name, .reply_ns = reply_ms * MONO_NS_PER_MS, .quiet = true
	};
	pthread_mutex_init(&c->lock, NULL);
}

void vfio_user_conn_fini(struct vfio_user_conn *c)
{
	pthread_mutex_destroy(&c->lock);
}

/* The first reason counts; shutting down makes the removal fd readable. Returns @err. */
static int conn_end(struct vfio_user_conn *c, int err, const char *reason)
{
	if (__atomic_exchange_n(&c->dead, true, __ATOMIC_ACQ_REL))
		return err;
	if (c->quiet)
		errbuf_write(&c->why, "%s", reason);
	else
		log_warn("%s: connection ended: %s", c->name, reason);
	shutdown(c->fd, SHUT_RDWR);
	return err;
}

int vfio_user_conn_break(struct vfio_user_conn *c, const char *reason)
{
	return conn_end(c, -EPROTO, reason);
}

/* Until @events or the deadline. 0 or the end. */
static int conn_wait(struct vfio_user_conn *c, short events, uint64_t deadline)
{
	struct pollfd pfd = { .fd = c->fd, .events = events };
	uint64_t now = mono_ns();
	int n;

	if (now >= deadline)
		return conn_end(c, -ETIMEDOUT, "the server does not answer");
	n = poll(&pfd, 1, (int)((deadline - now) / MONO_NS_PER_MS + 1));
	if (n < 0 && errno != EINTR)
		return conn_end(c, -errno, strerror(errno));
	return 0;
}

static int conn_send(struct vfio_user_conn *c, const struct msghdr *mh, size_t len,
		     uint64_t deadline)
{
	ssize_t n;
	int err;

	assert(len <= SEND_MAX);
	for (;;) {
		n = sendmsg(c->fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == (ssize_t)len)
			return 0;
		if (n >= 0)
			return conn_end(c, -EPROTO, "the socket took half a message");
		if (errno == EPIPE || errno == ECONNRESET)
			return conn_end(c, -ENODEV, "the server has closed it");
		if (errno != EAGAIN && errno != EINTR)
			return conn_end(c, -errno, strerror(errno));
		err = conn_wait(c, POLLOUT, deadline);
		if (err)
			return err;
	}
}

static uint16_t msg_id_next(struct vfio_user_conn *c)
{
	return __atomic_add_fetch(&c->msg_id, 1, __ATOMIC_RELAXED);
}

static int call_send(struct vfio_user_conn *c, const struct vfio_user_call *call, uint16_t msg_id,
		     uint64_t deadline)
{
	struct vfio_user_header h = {
		.msg_id = msg_id,
		.cmd = call->cmd,
		.bytes = (uint32_t)(sizeof(h) + call->body_len + call->data_len),
		.flags = VFIO_USER_F_COMMAND,
	};
	struct iovec iov[3] = {
		{ &h, sizeof(h) },
		{ (void *)(uintptr_t)call->body, call->body_len },
		{ (void *)(uintptr_t)call->data, call->data_len },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 3 };
	struct fdmsg f;

	assert(call->nfds <= VFIO_USER_FDS_MAX);
	fdmsg_put(&mh, &f, call->fds, call->nfds);
	return conn_send(c, &mh, h.bytes, deadline);
}

/* Exactly @len bytes, and the fds that come with them. */
static int conn_receive(struct vfio_user_conn *c, void *buf, size_t len, struct fd_bag *bag,
			uint64_t deadline)
{
	struct fdmsg f;
	size_t have = 0;

	while (have < len) {
		struct iovec iov = { (char *)buf + have, len - have };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;
		int err;

		fdmsg_room(&mh, &f, VFIO_USER_FDS_MAX);
		n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n > 0) {
			have += (size_t)n;
			if (!fdmsg_take(&mh, bag->fd, &bag->n, VFIO_USER_FDS_MAX))
				return conn_end(c, -EPROTO,
						"more fds in a message than are allowed");
			continue;
		}
		if (n == 0 || errno == ECONNRESET)
			return conn_end(c, -ENODEV, "the server has closed it");
		if (errno != EAGAIN && errno != EINTR)
			return conn_end(c, -errno, strerror(errno));
		err = conn_wait(c, POLLIN, deadline);
		if (err)
			return err;
	}
	return 0;
}

/* @len bytes that nobody wants. */
static int conn_skip(struct vfio_user_conn *c, size_t len, struct fd_bag *bag, uint64_t deadline)
{
	char buf[4096];
	int err = 0;

	while (len && !err) {
		size_t n = CC_MIN(len, sizeof(buf));

		err = conn_receive(c, buf, n, bag, deadline);
		len -= n;
	}
	return err;
}

/* The server wants something, most likely our memory. It has files for all of it. */
static int command_refuse(struct vfio_user_conn *c, const struct vfio_user_header *h,
			  uint64_t deadline)
{
	struct vfio_user_header reply = {
		.msg_id = h->msg_id,
		.cmd = h->cmd,
		.bytes = sizeof(reply),
		.flags = VFIO_USER_F_REPLY | VFIO_USER_F_ERROR,
		.error = EOPNOTSUPP,
	};
	struct iovec iov = { &reply, sizeof(reply) };
	const struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	return h->flags & VFIO_USER_F_NO_REPLY ? 0 : conn_send(c, &mh, sizeof(reply), deadline);
}

/* The header of the reply to @msg_id; commands of the server before it are refused. */
static int header_receive(struct vfio_user_conn *c, const struct vfio_user_call *call,
			  uint16_t msg_id, struct vfio_user_header *h, struct fd_bag *bag,
			  uint64_t deadline)
{
	int err;

	for (;;) {
		err = conn_receive(c, h, sizeof(*h), bag, deadline);
		if (err)
			return err;
		if (h->bytes < sizeof(*h) || h->bytes - sizeof(*h) > SERVER_BODY_MAX)
			return vfio_user_conn_break(c, "a message of impossible size");
		if ((h->flags & VFIO_USER_F_TYPE_MASK) != VFIO_USER_F_COMMAND)
			break;
		err = conn_skip(c, h->bytes - sizeof(*h), bag, deadline);
		bag_close(bag);
		if (!err)
			err = command_refuse(c, h, deadline);
		if (err)
			return err;
	}
	if ((h->flags & VFIO_USER_F_TYPE_MASK) != VFIO_USER_F_REPLY || h->msg_id != msg_id ||
	    h->cmd != call->cmd)
		return vfio_user_conn_break(c,
					    "a message that is not the answer to what was asked");
	return 0;
}

static int reply_receive(struct vfio_user_conn *c, struct vfio_user_call *call, uint16_t msg_id,
			 struct fd_bag *bag, uint64_t deadline)
{
	struct vfio_user_header h;
	size_t len;
	int err = header_receive(c, call, msg_id, &h, bag, deadline);

	if (err)
		return err;
	len = h.bytes - sizeof(h);
	if (h.flags & VFIO_USER_F_ERROR) {
		err = conn_skip(c, len, bag, deadline);
		if (err)
			return err;
		return h.error > 0 && h.error <= ERRNO_MAX ? -(int)h.error : -EIO;
	}
	if (len < call->reply_min || len > VFIO_USER_REPLY_MAX)
		return vfio_user_conn_break(c, "a reply of a size that does not fit its command");
	err = conn_receive(c, call->reply, len, bag, deadline);
	if (err)
		return err;
	if (bag->n > (call->ret_fd ? 1u : 0u))
		return vfio_user_conn_break(c, "a reply with fds that do not belong there");
	call->reply_len = len;
	return 0;
}

int vfio_user_conn_call(struct vfio_user_conn *c, struct vfio_user_call *call)
{
	uint64_t deadline = mono_ns() + c->reply_ns;
	uint16_t msg_id = msg_id_next(c);
	struct fd_bag bag = { 0 };
	int err;

	pthread_mutex_lock(&c->lock);
	err = __atomic_load_n(&c->dead, __ATOMIC_ACQUIRE) ? -ENODEV
							  : call_send(c, call, msg_id, deadline);
	if (!err)
		err = reply_receive(c, call, msg_id, &bag, deadline);
	pthread_mutex_unlock(&c->lock);
	if (call->ret_fd)
		*call->ret_fd = !err && bag.n ? bag.fd[--bag.n] : -1;
	bag_close(&bag);
	return err;
}

void vfio_user_conn_post(struct vfio_user_conn *c, uint16_t cmd, const void *body, size_t len)
{
	struct vfio_user_header h = {
		.msg_id = msg_id_next(c),
		.cmd = cmd,
		.bytes = (uint32_t)(sizeof(h) + len),
		.flags = VFIO_USER_F_COMMAND | VFIO_USER_F_NO_REPLY,
	};
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)body, len } };
	const struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };

	/* A post that is lost shows in the removal fd. A server may take as long to read it as to answer. */
	if (!__atomic_load_n(&c->dead, __ATOMIC_ACQUIRE))
		(void)conn_send(c, &mh, h.bytes, mono_ns() + c->reply_ns);
}
