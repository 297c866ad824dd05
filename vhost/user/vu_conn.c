/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes whole messages on a socket that may give and take them byte by byte. */
#include "vhost/user/vu_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"

void vu_conn_init(struct vu_conn *c, int fd)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
}

void vu_conn_fini(struct vu_conn *c)
{
	vu_msg_close_fds(&c->in);
	vu_msg_close_fds(&c->out);
	c->sending = false;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* One recvmsg of at most @len bytes: their number, 0: none now, -errno. */
static int receive_some(struct vu_conn *c, void *buf, size_t len, struct errbuf *eb)
{
	struct iovec iov = { buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;
	ssize_t n;

	fdmsg_room(&mh, &f, VU_FDS_MAX);
	n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		/* closed before it had read our last reply: closed */
		return errbuf_set(eb, errno == ECONNRESET && !c->got ? -EPIPE : -errno,
				  "cannot read: %s", strerror(errno));
	}
	if (!fdmsg_take(&mh, c->in.fds, &c->in.nfds, VU_FDS_MAX))
		return errbuf_set(eb, -EPROTO, "more than %d file descriptors", VU_FDS_MAX);
	if (n == 0)
		return c->got ? errbuf_set(eb, -ECONNRESET, "closed inside a message")
			      : errbuf_set(eb, -EPIPE, "closed by the front-end");
	return (int)n;
}

int vu_conn_read(struct vu_conn *c, struct errbuf *eb)
{
	for (;;) {
		unsigned want = VU_HEADER_BYTES;
		char *to;
		int n;

		if (c->got >= VU_HEADER_BYTES) {
			if (c->in.h.size > VU_PAYLOAD_BYTES_MAX)
				return errbuf_set(eb, -EPROTO,
						  "payload of %u bytes, at most %d are read",
						  c->in.h.size, VU_PAYLOAD_BYTES_MAX);
			want += c->in.h.size;
			if (c->got == want)
				return 1;
			to = (char *)c->in.p.bytes + (c->got - VU_HEADER_BYTES);
		} else {
			to = (char *)&c->in.h + c->got;
		}
		n = receive_some(c, to, want - c->got, eb);
		if (n <= 0)
			return n;
		c->got += (unsigned)n;
	}
}

void vu_conn_next(struct vu_conn *c)
{
	vu_msg_close_fds(&c->in);
	memset(&c->in, 0, offsetof(struct vu_msg, p) + CC_MIN(c->got, VU_PAYLOAD_BYTES_MAX));
	c->got = 0;
}

int vu_conn_send(struct vu_conn *c, struct vu_msg *m)
{
	assert(!c->sending && m->h.size <= VU_PAYLOAD_BYTES_MAX);
	memcpy(&c->out, m, offsetof(struct vu_msg, p) + m->h.size);
	m->nfds = 0;
	c->sent = 0;
	c->sending = true;
	return vu_conn_flush(c);
}

/* Header and payload lie apart (the fds are between them): what is left of both. */
static unsigned unsent(struct vu_conn *c, struct iovec iov[2])
{
	unsigned n = 0, payload = 0;

	if (c->sent < VU_HEADER_BYTES)
		iov[n++] = (struct iovec){ (char *)&c->out.h + c->sent, VU_HEADER_BYTES - c->sent };
	else
		payload = c->sent - VU_HEADER_BYTES;
	if (payload < c->out.h.size)
		iov[n++] = (struct iovec){ c->out.p.bytes + payload, c->out.h.size - payload };
	return n;
}

int vu_conn_flush(struct vu_conn *c)
{
	while (c->sending) {
		struct iovec iov[2];
		struct msghdr mh = { .msg_iov = iov, .msg_iovlen = unsent(c, iov) };
		struct fdmsg f;
		ssize_t n;

		fdmsg_put(&mh, &f, c->out.fds, c->sent == 0 ? c->out.nfds : 0);
		n = sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return 1;
			return -errno;
		}
		c->sent += (unsigned)n;
		if (c->sent == VU_HEADER_BYTES + c->out.h.size) {
			vu_msg_close_fds(&c->out);
			c->sending = false;
		}
	}
	return 0;
}
