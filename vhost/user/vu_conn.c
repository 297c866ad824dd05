/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes whole messages on a socket that may give and take them byte by byte. */
#include "vhost/user/vu_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cc.h"

#define VU_CMSG_BYTES CMSG_SPACE(VU_FDS_MAX * sizeof(int))

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

/* Put the fds of one recvmsg to those of the message. The kernel has closed what did not fit
 * (MSG_CTRUNC). */
static int collect_fds(struct vu_msg *m, struct msghdr *mh)
{
	int rc = mh->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		unsigned n;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (m->nfds < VU_FDS_MAX) {
				m->fds[m->nfds++] = fd;
			} else {
				close(fd);
				rc = -EPROTO;
			}
		}
	}
	return rc;
}

/* One recvmsg of at most @len bytes: their number, 0: none now, -errno. */
static int receive_some(struct vu_conn *c, void *buf, size_t len, struct errbuf *eb)
{
	union {
		struct cmsghdr align;
		char bytes[VU_CMSG_BYTES];
	} control;
	struct iovec iov = { buf, len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		/* closed before it had read our last reply: closed */
		return errbuf_set(eb, errno == ECONNRESET && !c->got ? -EPIPE : -errno,
				  "cannot read: %s", strerror(errno));
	}
	if (collect_fds(&c->in, &mh))
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
		union {
			struct cmsghdr align;
			char bytes[VU_CMSG_BYTES];
		} control;
		struct iovec iov[2];
		struct msghdr mh = { .msg_iov = iov, .msg_iovlen = unsent(c, iov) };
		ssize_t n;

		if (c->sent == 0 && c->out.nfds) {
			size_t bytes = c->out.nfds * sizeof(int);

			memset(&control, 0, sizeof(control));
			mh.msg_control = control.bytes;
			mh.msg_controllen = CMSG_SPACE(bytes);
			CMSG_FIRSTHDR(&mh)->cmsg_level = SOL_SOCKET;
			CMSG_FIRSTHDR(&mh)->cmsg_type = SCM_RIGHTS;
			CMSG_FIRSTHDR(&mh)->cmsg_len = CMSG_LEN(bytes);
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&mh)), c->out.fds, bytes);
		}
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
