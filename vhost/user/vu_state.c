/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving and loading the state of the device.
 *
 * A pipe is the front-end's, too: it may clear the O_NONBLOCK of our end, and a plain read or write
 * would stop the control reactor. What is asked for with each call is not to wait in splice(), which
 * moves between pipes only; so a pipe of our own stands in between. Sockets have MSG_DONTWAIT.
 */
#include "vhost/user/vu_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/endian.h"
#include "vhost/user/vu_session.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

#define VU_STATE_VERSION	 1
#define VU_STATE_FAILURES_LOGGED 16 /* in one connection: a front-end cannot fill the log */

/* Little endian, like the rest of the blob. */
struct vu_state_hdr {
	char magic[8];
	le32 version;
	le32 bytes; /* of the blob */
	le32 virtio_id;
	le32 reserved; /* 0 */
};
static_assert(sizeof(struct vu_state_hdr) == VU_STATE_HDR_BYTES, "part of the format");

static const char state_magic[8] = "nvrSTATE";

/*
 * The blob
 */
unsigned vu_state_build(const struct vdev *dev, uint8_t buf[VU_STATE_BYTES_MAX])
{
	const struct vdev_state_ops *ops = dev->ops->state;
	uint32_t len = VU_STATE_HDR_BYTES + (ops ? ops->save(dev, buf + VU_STATE_HDR_BYTES) : 0);
	struct vu_state_hdr h = {
		.version = le32_make(VU_STATE_VERSION),
		.bytes = le32_make(len),
		.virtio_id = le32_make(dev->ops->virtio_id),
	};

	assert(len <= VU_STATE_BYTES_MAX);
	memcpy(h.magic, state_magic, sizeof(h.magic));
	memcpy(buf, &h, sizeof(h));
	return len;
}

int vu_state_load(struct vdev *dev, const uint8_t *buf, unsigned len, struct errbuf *eb)
{
	const struct vdev_state_ops *ops = dev->ops->state;
	struct vu_state_hdr h;

	if (len < sizeof(h))
		return errbuf_set(eb, -EINVAL, "%u bytes are no device state", len);
	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.magic, state_magic, sizeof(h.magic)) != 0)
		return errbuf_set(eb, -EINVAL, "this is no device state of nvring");
	if (le32_get(h.version) != VU_STATE_VERSION)
		return errbuf_set(eb, -EINVAL, "device state of version %u, %u is known",
				  le32_get(h.version), VU_STATE_VERSION);
	if (le32_get(h.bytes) != len || le32_get(h.reserved) != 0)
		return errbuf_set(eb, -EINVAL, "device state of %u bytes, %u came", le32_get(h.bytes),
				  len);
	if (le32_get(h.virtio_id) != dev->ops->virtio_id)
		return errbuf_set(eb, -EINVAL, "the state of a device of type %u, this is of type %u",
				  le32_get(h.virtio_id), dev->ops->virtio_id);
	len -= (unsigned)sizeof(h);
	if (ops)
		return ops->load(dev, buf + sizeof(h), len, eb);
	return len ? errbuf_set(eb, -EINVAL, "%u bytes too many", len) : 0;
}

/*
 * The channel
 */
static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vu_transfer_init(struct vu_transfer *t)
{
	t->phase = VU_TRANSFER_IDLE;
	t->fd = t->pipe_out = t->pipe_in = -1;
}

static void channel_close(struct vu_transfer *t)
{
	reactor_fd_detach(&t->rfd);
	close_fd(&t->fd);
	close_fd(&t->pipe_out);
	close_fd(&t->pipe_in);
}

void vu_transfer_fini(struct vu_transfer *t)
{
	channel_close(t);
	t->phase = VU_TRANSFER_IDLE;
}

/* A pipe or a socket that can be read or written: other files never tell that they would block. */
static int channel_check(int fd, bool saves, bool *ret_is_socket, struct errbuf *eb)
{
	int mode, flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st))
		return errbuf_set(eb, -errno, "fstat: %s", strerror(errno));
	if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
		return errbuf_set(eb, -EINVAL, "the channel is neither a pipe nor a socket");
	mode = flags & O_ACCMODE;
	if ((flags & O_PATH) || mode == (saves ? O_RDONLY : O_WRONLY))
		return errbuf_set(eb, -EINVAL, "the channel cannot be %s",
				  saves ? "written to" : "read from");
	*ret_is_socket = S_ISSOCK(st.st_mode);
	return 0;
}

static int channel_open(struct vu_transfer *t, int fd, bool saves, struct errbuf *eb)
{
	int ends[2], err = channel_check(fd, saves, &t->is_socket, eb);

	if (err)
		return err;
	if (!t->is_socket) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
			return errbuf_set(eb, -errno, "pipe: %s", strerror(errno));
		t->pipe_out = ends[0];
		t->pipe_in = ends[1];
	}
	return 0;
}

/* Bytes, 0: its end, -EAGAIN: none now, -errno. */
static ssize_t channel_read(struct vu_transfer *t, void *buf, size_t len)
{
	ssize_t n;

	if (t->is_socket) {
		n = recv(t->fd, buf, len, MSG_DONTWAIT);
	} else {
		n = splice(t->fd, NULL, t->pipe_in, NULL, len, SPLICE_F_NONBLOCK);
		if (n > 0)
			n = read(t->pipe_out, buf, (size_t)n);
	}
	return n < 0 ? -errno : n;
}

static ssize_t channel_write(struct vu_transfer *t, const void *buf, size_t len)
{
	ssize_t n;

	if (t->is_socket)
		n = send(t->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else /* all of it is in our pipe */
		n = splice(t->pipe_out, NULL, t->fd, NULL, len, SPLICE_F_NONBLOCK);
	return n < 0 ? -errno : n;
}

/*
 * The transfer
 */
static struct vu_session *session_of(struct vu_transfer *t)
{
	return container_of(t, struct vu_session, transfer);
}

/* The reason is in t->eb. */
static void transfer_complain(struct vu_transfer *t, const char *what)
{
	bool is_loud = t->loud++ < VU_STATE_FAILURES_LOGGED;

	log_at(is_loud ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "%s: %s: %s", session_of(t)->conf.name,
	       what, t->eb.text);
}

static void transfer_end(struct vu_transfer *t, int err)
{
	channel_close(t);
	if (err)
		transfer_complain(t, t->phase == VU_TRANSFER_SAVING ? "saving the device state"
								  : "loading the device state");
	t->phase = VU_TRANSFER_DONE;
	t->err = err;
}

static int transfer_load(struct vu_transfer *t)
{
	struct vu_session *s = session_of(t);
	int err;

	if (vu_session_is_running(s))
		return errbuf_set(&t->eb, -EBUSY, "a ring was started meanwhile");
	err = vu_state_load(s->conf.dev, t->buf, t->len, &t->eb);
	if (!err)
		s->reset_due = false; /* as it is now the driver knows it */
	return err;
}

static void transfer_read(struct vu_transfer *t)
{
	for (;;) {
		ssize_t n = channel_read(t, t->buf + t->len, sizeof(t->buf) - t->len);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n == 0) {
			transfer_end(t, transfer_load(t));
			return;
		}
		if (n < 0) {
			transfer_end(t, errbuf_set(&t->eb, (int)n, "%s", strerror((int)-n)));
			return;
		}
		t->len += (unsigned)n;
		if (t->len > VU_STATE_BYTES_MAX) {
			transfer_end(t, errbuf_set(&t->eb, -EFBIG, "more than %d bytes",
						   VU_STATE_BYTES_MAX));
			return;
		}
	}
}

static void transfer_write(struct vu_transfer *t)
{
	while (t->at < t->len) {
		ssize_t n = channel_write(t, t->buf + t->at, t->len - t->at);

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			transfer_end(t, errbuf_set(&t->eb, n ? (int)n : -EPIPE, "%s",
						   strerror(n ? (int)-n : EPIPE)));
			return;
		}
		t->at += (unsigned)n;
	}
	transfer_end(t, 0);
}

/* As far as it goes now. */
static void transfer_go_on(struct vu_transfer *t)
{
	if (t->phase == VU_TRANSFER_SAVING)
		transfer_write(t);
	else if (t->phase == VU_TRANSFER_LOADING)
		transfer_read(t);
}

static void channel_ready(struct reactor_fd *rfd, uint32_t events)
{
	struct vu_transfer *t = container_of(rfd, struct vu_transfer, rfd);

	(void)events; /* an error or a hang-up shows in the next read or write */
	transfer_go_on(t);
}

/* The whole blob into our pipe: it is empty, and a page is more than enough. */
static int transfer_fill(struct vu_transfer *t, const struct vdev *dev, struct errbuf *eb)
{
	static_assert(VU_STATE_BYTES_MAX <= 4096, "an atomic write");
	t->len = vu_state_build(dev, t->buf);
	if (t->is_socket || write(t->pipe_in, t->buf, t->len) == (ssize_t)t->len)
		return 0;
	return errbuf_set(eb, -EIO, "pipe: %s", strerror(errno));
}

/* @fd is taken over. */
static int transfer_begin(struct vu_session *s, int fd, bool saves)
{
	struct vu_transfer *t = &s->transfer;
	int err = channel_open(t, fd, saves, &t->eb);

	t->fd = fd;
	t->len = t->at = 0;
	if (!err && saves)
		err = transfer_fill(t, s->conf.dev, &t->eb);
	if (!err) {
		err = reactor_fd_attach(s->conf.control, &t->rfd, fd, saves ? EPOLLOUT : EPOLLIN,
					channel_ready);
		if (err)
			errbuf_set(&t->eb, err, "cannot watch the channel: %s", strerror(-err));
	}
	if (err) {
		channel_close(t);
		return err;
	}
	t->phase = saves ? VU_TRANSFER_SAVING : VU_TRANSFER_LOADING;
	transfer_go_on(t);
	return 0;
}

/*
 * The messages
 */
static int transfer_check(struct vu_session *s, const struct vu_transfer_params *p)
{
	struct vu_transfer *t = &s->transfer;

	if (p->direction > VU_TRANSFER_LOAD || p->phase != VU_TRANSFER_STOPPED)
		return errbuf_set(&t->eb, -EINVAL, "direction %u, phase %u", p->direction, p->phase);
	if (vu_session_is_running(s))
		return errbuf_set(&t->eb, -EBUSY, "rings run");
	if (t->phase == VU_TRANSFER_SAVING || t->phase == VU_TRANSFER_LOADING)
		return errbuf_set(&t->eb, -EBUSY, "another transfer is under way");
	return 0;
}

/* A refusal is an answer, not the end: the front-end gives up its migration and goes on here. */
int vu_set_device_state_fd(struct vu_session *s, struct vu_msg *m)
{
	const struct vu_transfer_params p = m->p.transfer;
	int err = transfer_check(s, &p);

	if (!err)
		err = transfer_begin(s, vu_msg_take_fd(m, 0), p.direction == VU_TRANSFER_SAVE);
	if (err)
		transfer_complain(&s->transfer, "SET_DEVICE_STATE_FD");
	vu_msg_close_fds(m); /* not for the reply */
	m->p.u64 = VU_VRING_NOFD | (err != 0);
	m->h.size = sizeof(m->p.u64);
	return 0;
}

/* The front-end asks when the channel is closed on its side: what can still come is there. */
int vu_check_device_state(struct vu_session *s, struct vu_msg *m)
{
	static const char *const unfinished[] = {
		[VU_TRANSFER_IDLE] = "no state was transferred",
		[VU_TRANSFER_SAVING] = "the state was not read to its end",
		[VU_TRANSFER_LOADING] = "the channel is not closed",
	};
	struct vu_transfer *t = &s->transfer;
	int err;

	transfer_go_on(t);
	err = t->phase == VU_TRANSFER_DONE ? t->err : -EBUSY;
	if (t->phase != VU_TRANSFER_DONE) { /* else it was told when it failed */
		errbuf_set(&t->eb, err, "%s", unfinished[t->phase]);
		transfer_complain(t, "CHECK_DEVICE_STATE");
	}
	vu_transfer_fini(t);
	m->p.u64 = err != 0;
	m->h.size = sizeof(m->p.u64);
	return 0;
}
