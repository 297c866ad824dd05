/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages through a blocking socket, with deadlines. */
#include "vhost/client/virtio_user_sock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/fdmsg.h"
#include "core/base/mono.h"
#include "core/base/unixsock.h"

#define SEND_MS	 10000 /* a peer that does not read for so long is stuck */
#define RETRY_MS 2     /* between two attempts to connect */

static int try_connect(const struct sockaddr_un *sa, int *ret_sock)
{
	int err, s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	if (connect(s, (const struct sockaddr *)sa, sizeof(*sa)) == 0) {
		*ret_sock = s;
		return 0;
	}
	err = -errno;
	close(s);
	return err;
}

int virtio_user_sock_connect(const char *path, unsigned ms, int *ret_sock, struct errbuf *eb)
{
	const struct timespec nap = { .tv_nsec = RETRY_MS * (long)MONO_NS_PER_MS };
	struct sockaddr_un sa;
	uint64_t end = mono_ns() + ms * MONO_NS_PER_MS;
	int err = unixsock_address(path, &sa, eb);

	if (err)
		return err;
	for (;;) {
		err = try_connect(&sa, ret_sock);
		if (err != -ENOENT && err != -ECONNREFUSED && err != -EAGAIN)
			break;
		if (mono_ns() >= end)
			break;
		nanosleep(&nap, NULL);
	}
	return err ? errbuf_set(eb, err, "%s: cannot connect: %s", path, strerror(-err)) : 0;
}

static int wait_for(int sock, short events, uint64_t end_ns)
{
	struct pollfd p = { .fd = sock, .events = events };
	uint64_t now = mono_ns();
	int n;

	do {
		n = poll(&p, 1, now >= end_ns ? 0 : (int)((end_ns - now) / MONO_NS_PER_MS) + 1);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int peer_error(int err)
{
	return err == ECONNRESET || err == ENOTCONN ? -EPIPE : -err;
}

int virtio_user_sock_send(int sock, const struct vu_msg *m)
{
	const char *at;
	char head[VU_HEADER_BYTES + VU_PAYLOAD_BYTES_MAX];
	size_t left = VU_HEADER_BYTES + m->h.size;
	uint64_t end = mono_ns() + SEND_MS * MONO_NS_PER_MS;
	struct iovec iov;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	memcpy(head, &m->h, VU_HEADER_BYTES);
	memcpy(head + VU_HEADER_BYTES, &m->p, m->h.size);
	at = head;
	fdmsg_put(&mh, &f, m->fds, m->nfds);
	while (left) {
		ssize_t n;

		iov = (struct iovec){ (void *)(uintptr_t)at, left };
		n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return peer_error(errno);
		if (n < 0) {
			int err = wait_for(sock, POLLOUT, end);

			if (err)
				return err;
			continue;
		}
		at += n;
		left -= (size_t)n;
		fdmsg_put(&mh, &f, NULL, 0);
	}
	return 0;
}

static int recv_bytes(int sock, struct vu_msg *m, void *buf, size_t len, uint64_t end)
{
	struct fdmsg f;
	char *at = buf;
	int err;

	while (len) {
		struct iovec iov = { at, len };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		fdmsg_room(&mh, &f, VU_FDS_MAX);
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return peer_error(errno);
		if (n < 0) {
			err = wait_for(sock, POLLIN, end);
			if (err)
				return err;
			continue;
		}
		if (!fdmsg_take(&mh, m->fds, &m->nfds, VU_FDS_MAX))
			return -EPROTO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int header_check(const struct vu_header *h)
{
	if (h->size > VU_PAYLOAD_BYTES_MAX || (h->flags & VU_FLAG_VERSION_MASK) != VU_FLAG_VERSION)
		return -EPROTO;
	return 0;
}

int virtio_user_sock_recv(int sock, struct vu_msg *m, int timeout_ms)
{
	uint64_t end = mono_ns() + (uint64_t)timeout_ms * MONO_NS_PER_MS;
	int err;

	memset(m, 0, sizeof(*m));
	err = recv_bytes(sock, m, &m->h, VU_HEADER_BYTES, end);
	if (!err)
		err = header_check(&m->h);
	if (!err)
		err = recv_bytes(sock, m, &m->p, m->h.size, end);
	if (err)
		vu_msg_close_fds(m);
	return err;
}

int virtio_user_sock_take(int sock, struct vu_msg *m, size_t *got)
{
	size_t want = VU_HEADER_BYTES;
	ssize_t n;

	if (*got == 0)
		memset(m, 0, sizeof(*m));
	for (;;) {
		if (*got >= VU_HEADER_BYTES) {
			if (header_check(&m->h))
				return -EPROTO;
			want = VU_HEADER_BYTES + m->h.size;
		}
		if (*got >= VU_HEADER_BYTES && *got == want)
			break;
		if (*got < VU_HEADER_BYTES)
			n = recv(sock, (char *)&m->h + *got, want - *got, MSG_DONTWAIT);
		else
			n = recv(sock, m->p.bytes + (*got - VU_HEADER_BYTES), want - *got, MSG_DONTWAIT);
		if (n == 0)
			return -EPIPE;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : peer_error(errno);
		*got += (size_t)n;
	}
	*got = 0;
	return 1;
}
