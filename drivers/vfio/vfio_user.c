/* SPDX-License-Identifier: BSD-3-Clause */
/* The transport over a vfio-user socket: the device's side of it; messages are vfio_user_conn.c's.
 */
#include "drivers/vfio/vfio_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "core/base/unixsock.h"
#include "drivers/vfio/vfio_priv.h"
#include "drivers/vfio/vfio_user_caps.h"
#include "drivers/vfio/vfio_user_conn_priv.h"
#include "drivers/vfio/vfio_user_wire.h"

#define ACCESS_BYTES_MAX \
	1024 /* of one region message; only config space is read in more than 8 bytes */
#define INFO_BYTES	 16 /* struct vfio_device_info and vfio_irq_info on the wire */
#define CONNECT_RETRY_MS 20 /* a server whose backlog is full */

struct vfio_user {
	struct vfio_dev dev;
	struct vfio_user_conn conn;
	struct vfio_user_caps caps;
	struct sigbus_owner shrunk; /* a region's file was truncated */
	bool shrunk_ready;
	int request_fd; /* eventfd: the server wants the device back; -1 */
};

static struct vfio_user *vfio_user_of(struct vfio_dev *dev)
{
	return container_of(dev, struct vfio_user, dev);
}

/* A request whose body is @body and whose reply begins with @reply_min bytes that are copied to
 * @reply. */
static int simple_call(struct vfio_user *u, uint16_t cmd, const void *body, size_t len, void *reply,
		       size_t reply_min)
{
	uint8_t buf[VFIO_USER_REPLY_MAX];
	struct vfio_user_call call = {
		.cmd = cmd, .body = body, .body_len = len, .reply = buf, .reply_min = reply_min
	};
	int err = vfio_user_conn_call(&u->conn, &call);

	if (!err && reply)
		memcpy(reply, buf, reply_min);
	return err;
}

/* --- operations of an open device --- */

static int access_piece(struct vfio_user *u, unsigned region, uint64_t off, void *buf, size_t len,
			bool write)
{
	const struct vfio_user_region_access a = { .offset = off,
						   .region = region,
						   .count = (uint32_t)len };
	uint8_t reply[VFIO_USER_REPLY_MAX];
	struct vfio_user_call call = {
		.cmd = write ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ,
		.body = &a,
		.body_len = sizeof(a),
		.data = write ? buf : NULL,
		.data_len = write ? len : 0,
		.reply = reply,
		.reply_min = sizeof(a) + (write ? 0 : len),
	};
	int err = vfio_user_conn_call(&u->conn, &call);

	if (err)
		return err;
	if (memcmp(reply, &a, sizeof(a)) || call.reply_len != call.reply_min)
		return vfio_user_conn_break(
			&u->conn, "the reply to another region access than was asked for");
	if (!write)
		memcpy(buf, reply + sizeof(a), len);
	return 0;
}

static int user_access(struct vfio_dev *dev, unsigned region, uint64_t off, void *buf, size_t len,
		       bool write)
{
	struct vfio_user *u = vfio_user_of(dev);
	const size_t max = CC_MIN(u->caps.xfer_bytes, (uint32_t)ACCESS_BYTES_MAX);
	int err = 0;

	for (size_t done = 0; done < len && !err; done += CC_MIN(len - done, max))
		err = access_piece(u, region, off + done, (char *)buf + done,
				   CC_MIN(len - done, max), write);
	return err;
}

static void user_post(struct vfio_dev *dev, unsigned region, uint64_t off, uint32_t value)
{
	const struct {
		struct vfio_user_region_access a;
		uint32_t value;
	} body = { { .offset = off, .region = region, .count = sizeof(value) }, value };

	vfio_user_conn_post(&vfio_user_of(dev)->conn, VFIO_USER_REGION_WRITE, &body,
			    sizeof(body.a) + sizeof(value));
}

/* Interrupts [start, start + n) of @index; n = 0: all off. */
static int irqs_set(struct vfio_user *u, unsigned index, const int *fds, unsigned start, unsigned n)
{
	uint8_t reply[VFIO_USER_REPLY_MAX];
	const struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			 (n ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = index,
		.start = start,
		.count = n,
	};
	struct vfio_user_call call = {
		.cmd = VFIO_USER_DEVICE_SET_IRQS,
		.body = &set,
		.body_len = sizeof(set),
		.fds = fds,
		.nfds = n,
		.reply = reply,
	};

	return vfio_user_conn_call(&u->conn, &call);
}

/* As many fds at a time as the server takes in a message. */
static int user_set_vectors(struct vfio_dev *dev, const int *fds, unsigned n)
{
	struct vfio_user *u = vfio_user_of(dev);
	const unsigned max = CC_MIN(u->caps.fds_max, (unsigned)VFIO_USER_FDS_MAX);
	int err = irqs_set(u, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0, 0);

	if (n && max == 0)
		return -ENOTSUP;
	for (unsigned i = 0; i < n && !err; i += max)
		err = irqs_set(u, VFIO_PCI_MSIX_IRQ_INDEX, fds + i, i, CC_MIN(n - i, max));
	if (err && n)
		(void)irqs_set(u, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0, 0); /* all or none */
	return err;
}

static int user_reset(struct vfio_dev *dev)
{
	return simple_call(vfio_user_of(dev), VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0);
}

static int user_map(struct vfio_dev *dev, const struct dma_region *region, uint64_t iova,
		    struct errbuf *eb)
{
	struct vfio_user *u = vfio_user_of(dev);
	uint8_t reply[VFIO_USER_REPLY_MAX];
	const struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE,
		.offset = region->fd_off,
		.addr = iova,
		.size = region->len,
	};
	struct vfio_user_call call = {
		.cmd = VFIO_USER_DMA_MAP,
		.body = &map,
		.body_len = sizeof(map),
		.fds = &region->fd,
		.nfds = 1,
		.reply = reply,
	};
	int err;

	if (region->fd < 0)
		return errbuf_set(
			eb, -ENOTSUP,
			"%llu KiB of memory at %p are not the memory of a file, and only a file "
			"can be shared with a "
			"vfio-user server: use a memfd (QEMU: memory-backend-memfd,share=on)",
			(unsigned long long)region->len >> 10, region->va);
	err = vfio_user_conn_call(&u->conn, &call);
	if (err)
		errbuf_write(eb, "the server does not map %llu KiB at device address 0x%llx: %s",
			     (unsigned long long)region->len >> 10, (unsigned long long)iova,
			     strerror(-err));
	return err;
}

static int user_unmap(struct vfio_dev *dev, uint64_t iova, uint64_t len)
{
	const struct vfio_user_dma_unmap unmap = { .argsz = sizeof(unmap),
						   .addr = iova,
						   .size = len };

	return simple_call(vfio_user_of(dev), VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
}

static void user_close(struct vfio_dev *dev)
{
	struct vfio_user *u = vfio_user_of(dev);

	for (unsigned i = 0; i < VFIO_REGIONS; i++)
		if (dev->regions[i].fd >= 0)
			close(dev->regions[i].fd);
	if (dev->removal_fd >= 0)
		close(dev->removal_fd);
	if (u->request_fd >= 0)
		close(u->request_fd);
	if (u->shrunk_ready)
		sigbus_owner_fini(&u->shrunk);
	vfio_user_conn_fini(&u->conn);
	close(u->conn.fd);
	free(u);
}

static const struct vfio_dev_ops user_ops = {
	.access = user_access,
	.post = user_post,
	.set_vectors = user_set_vectors,
	.reset = user_reset,
	.map = user_map,
	.unmap = user_unmap,
	.close = user_close,
};

/* --- opening --- */

static int version_negotiate(struct vfio_user *u, struct errbuf *eb)
{
	const struct vfio_user_version version = { VFIO_USER_MAJOR, VFIO_USER_MINOR };
	uint8_t reply[VFIO_USER_REPLY_MAX];
	struct vfio_user_call call = {
		.cmd = VFIO_USER_VERSION,
		.body = &version,
		.body_len = sizeof(version),
		.data = vfio_user_caps_ours,
		.data_len = strlen(vfio_user_caps_ours) + 1,
		.reply = reply,
		.reply_min = sizeof(version),
	};
	struct errbuf why;
	int err = vfio_user_conn_call(&u->conn, &call);

	if (err == -ETIMEDOUT)
		return errbuf_set(eb, err,
				  "%s: no answer: is it a vfio-user server, and is no other client "
				  "connected to it?",
				  u->dev.name);
	if (err == -EBUSY && !u->conn.dead)
		return errbuf_set(eb, err,
				  "%s: in use: its server has another client already, and takes one at a time",
				  u->dev.name);
	if (err)
		return errbuf_set(eb, -EPROTO, "%s: not a vfio-user server: %.300s", u->dev.name,
				  u->conn.dead ? u->conn.why.text : "it refuses our version");
	err = vfio_user_caps_parse(reply, call.reply_len, &u->caps, &why);
	if (err)
		return errbuf_set(eb, err, "%s: a vfio-user server we do not understand: %.300s",
				  u->dev.name, why.text);
	return 0;
}

/* The region's info and, where it can be mapped, its file. */
static int region_info(struct vfio_user *u, unsigned index)
{
	const struct vfio_region_info ask = { .argsz = VFIO_USER_REPLY_MAX, .index = index };
	uint8_t reply[VFIO_USER_REPLY_MAX];
	int fd, err;
	struct vfio_user_call call = {
		.cmd = VFIO_USER_DEVICE_GET_REGION_INFO,
		.body = &ask,
		.body_len = sizeof(ask),
		.reply = reply,
		.reply_min = sizeof(ask),
		.ret_fd = &fd,
	};
	struct vfio_region r;

	err = vfio_user_conn_call(&u->conn, &call);
	if (err)
		return err;
	err = vfio_region_parse(reply, call.reply_len, &r);
	if (err) {
		if (fd >= 0)
			close(fd);
		return vfio_user_conn_break(&u->conn, "a region of impossible size");
	}
	if (r.nareas)
		r.fd = fd;
	else if (fd >= 0)
		close(fd);
	u->dev.regions[index] = r;
	return 0;
}

static int irqs_count(struct vfio_user *u, unsigned index, unsigned *ret_count)
{
	const struct vfio_irq_info ask = { .argsz = INFO_BYTES, .index = index };
	struct vfio_irq_info info;
	int err;

	static_assert(sizeof(info) == INFO_BYTES, "IRQ info");
	err = simple_call(u, VFIO_USER_DEVICE_GET_IRQ_INFO, &ask, sizeof(ask), &info, sizeof(info));
	if (err)
		return err;
	*ret_count = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
	return 0;
}

static int device_info(struct vfio_user *u, struct errbuf *eb)
{
	struct vfio_device_info info = { .argsz = INFO_BYTES };
	unsigned vectors = 0;
	int err;

	err = simple_call(u, VFIO_USER_DEVICE_GET_INFO, &info, INFO_BYTES, &info, INFO_BYTES);
	if (!err && (!(info.flags & VFIO_DEVICE_FLAGS_PCI) || info.num_regions <= VFIO_DEV_CONFIG))
		return errbuf_set(eb, -ENOTSUP, "%s: the vfio-user server offers no PCI device",
				  u->dev.name);
	u->dev.can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	for (unsigned i = 0; i < VFIO_REGIONS && !err; i++)
		err = i == VFIO_PCI_ROM_REGION_INDEX ? 0 : region_info(u, i);
	if (!err && info.num_irqs > VFIO_PCI_MSIX_IRQ_INDEX)
		err = irqs_count(u, VFIO_PCI_MSIX_IRQ_INDEX, &vectors);
	if (err)
		return errbuf_set(eb, err, "%s: the server does not describe its device: %.300s",
				  u->dev.name, u->conn.dead ? u->conn.why.text : strerror(-err));
	u->dev.nvectors = CC_MIN(vectors, (unsigned)VFIO_DEV_VECTORS_MAX);
	vectors = 0;
	if (info.num_irqs <= VFIO_PCI_REQ_IRQ_INDEX ||
	    irqs_count(u, VFIO_PCI_REQ_IRQ_INDEX, &vectors) || vectors == 0)
		return 0;
	/* Its wish to have the device back; a server that does not take it goes without. */
	u->request_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (u->request_fd >= 0)
		(void)irqs_set(u, VFIO_PCI_REQ_IRQ_INDEX, &u->request_fd, 0, 1);
	return 0;
}

static int watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	return fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* Readable as long as one of them is: the socket's end (its messages do not count), a region's file
 * that was truncated, the server's request. */
static int removal_watch(struct vfio_user *u, struct errbuf *eb)
{
	int err = sigbus_guard_start();

	if (!err)
		err = sigbus_owner_init(&u->shrunk);
	if (err)
		return errbuf_set(eb, err, "%s: cannot be guarded against truncated files: %s",
				  u->dev.name, strerror(-err));
	u->shrunk_ready = true;
	u->dev.shrunk = &u->shrunk;
	u->dev.removal_fd = epoll_create1(EPOLL_CLOEXEC);
	err = u->dev.removal_fd < 0 ? -errno : watch(u->dev.removal_fd, u->conn.fd, EPOLLRDHUP);
	if (!err)
		err = watch(u->dev.removal_fd, u->shrunk.fd, EPOLLIN);
	if (!err)
		err = watch(u->dev.removal_fd, u->request_fd, EPOLLIN);
	return err ? errbuf_set(eb, err, "%s: cannot be watched: %s", u->dev.name, strerror(-err))
		   : 0;
}

static int domain_attach(struct vfio_user *u, struct errbuf *eb)
{
	struct vfio_iommu iommu = { .page_bytes = u->caps.page_bytes,
				    .maps_max = u->caps.maps_max };

	iommu.nwindows = vfio_iova_windows_default(iommu.window);
	return vfio_dev_attach(&u->dev, &iommu, eb);
}

int vfio_user_open_fd(int fd, const struct vfio_user_opts *opts, struct vfio_dev **ret_dev,
		      struct errbuf *eb)
{
	struct vfio_user *u = calloc(1, sizeof(*u));
	int err;

	if (!u) {
		close(fd);
		return errbuf_set(eb, -ENOMEM, "%.128s: no memory", opts->name);
	}
	vfio_dev_init(&u->dev, &user_ops, opts->name);
	vfio_user_conn_init(&u->conn, fd, u->dev.name,
			    opts->reply_ms ? opts->reply_ms : VFIO_USER_HELLO_MS);
	u->request_fd = -1;
	err = version_negotiate(u, eb);
	if (!opts->reply_ms)
		u->conn.reply_ns = VFIO_USER_REPLY_MS * MONO_NS_PER_MS;
	if (!err)
		err = device_info(u, eb);
	if (!err)
		err = removal_watch(u, eb);
	if (!err)
		err = domain_attach(u, eb);
	if (err) {
		vfio_dev_close(&u->dev);
		return err;
	}
	u->conn.quiet = false;
	*ret_dev = &u->dev;
	return 0;
}

/* connect() of a local socket waits without end while the server's backlog is full; this does not.
 */
static int socket_connect(int fd, const struct sockaddr_un *addr)
{
	uint64_t deadline = mono_ns() + VFIO_USER_HELLO_MS * MONO_NS_PER_MS;

	while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (mono_ns() >= deadline)
			return -ETIMEDOUT;
		(void)poll(NULL, 0, CONNECT_RETRY_MS);
	}
	return 0;
}

/* Nobody can be connected to: of a socket that was left behind, and of what is none, connect() says the same. */
static int explain_connect(const char *path, int err, struct errbuf *eb)
{
	struct stat st;

	if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return errbuf_set(eb, -ENOTSOCK, "%s: not a socket", path);
	return errbuf_set(eb, err, "%s: %s: is the vfio-user server running?", path, strerror(-err));
}

int vfio_user_open(const char *path, struct vfio_dev **ret_dev, struct errbuf *eb)
{
	struct sockaddr_un addr;
	int fd, err = unixsock_address(path, &addr, eb);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errbuf_set(eb, -errno, "%s: socket: %s", path, strerror(errno));
	err = socket_connect(fd, &addr);
	if (err) {
		close(fd);
		return explain_connect(path, err, eb);
	}
	return vfio_user_open_fd(fd, &(struct vfio_user_opts){ .name = path }, ret_dev, eb);
}
