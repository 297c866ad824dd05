/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user client: messages in, replies out. A message is checked against a table (size, fds)
 * before its handler sees it; what is not a message ends the connection, what cannot be done is
 * answered with an errno.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/vfio/vfio_user_wire.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/fdmsg.h"
#include "core/base/log.h"

#define DATA_BYTES_MAX 65536u
#define MSG_BYTES_MAX  (DATA_BYTES_MAX + 4096)
#define FDS_MAX	       64 /* in one message */
#define MSGS_PER_TURN  32
#define FLAGS_KNOWN    (VFIO_USER_F_TYPE_MASK | VFIO_USER_F_NO_REPLY | VFIO_USER_F_ERROR)

/* Text of the capabilities; numbers as above. */
static const char capabilities[] =
	"{\"capabilities\":{\"max_msg_fds\":64,\"max_data_xfer_size\":65536,"
	"\"max_dma_maps\":65535,\"pgsizes\":4096}}";

struct ssd_conn {
	int fd;
	bool greeted;
	size_t have;
	int fds[FDS_MAX];
	unsigned nfds;
	union {
		struct vfio_user_header header;
		uint8_t bytes[MSG_BYTES_MAX];
	} in, out;
	size_t reply_bytes; /* payload behind out.header */
	int reply_fd;	    /* -1: none; stays ours */
};

int ssd_conn_fd(const struct ssd_conn *c)
{
	return c->fd;
}

static void fds_close(struct ssd_conn *c)
{
	for (unsigned i = 0; i < c->nfds; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
	c->nfds = 0;
}

int ssd_conn_open(struct ssd *s, int fd)
{
	struct ssd_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	s->conn = c;
	s->counters.clients++;
	return 0;
}

/* What the client lent is given back, the device is as after power-on, its data stays. */
void ssd_conn_close(struct ssd *s, const char *why)
{
	struct ssd_conn *c = s->conn;

	if (!c)
		return;
	if (why)
		log_warn("client: %s: connection closed", why);
	else
		log_info("client gone");
	if ((s->cc & NVME_CC_EN) && (s->csts & NVME_CSTS_SHST_MASK) != NVME_CSTS_SHST_COMPLETE)
		s->health.unsafe_shutdowns++;
	ssd_ctrlr_flr(s);
	ssd_pci_forget(s);
	(void)ssd_dma_unmap(&s->dma, 0, 0, true);
	fds_close(c);
	close(c->fd);
	free(c);
	s->conn = NULL;
}

static void *payload(struct ssd_conn *c)
{
	return c->in.bytes + sizeof(struct vfio_user_header);
}

static void reply_put(struct ssd_conn *c, const void *data, size_t len)
{
	memcpy(c->out.bytes + sizeof(struct vfio_user_header) + c->reply_bytes, data, len);
	c->reply_bytes += len;
}

/*
 * Handlers: @len is the payload's. 0 or -errno.
 */
static int on_version(struct ssd *s, size_t len)
{
	struct ssd_conn *c = s->conn;
	struct vfio_user_version v;

	(void)len;
	memcpy(&v, payload(c), sizeof(v));
	if (v.major != VFIO_USER_MAJOR || c->greeted)
		return -EINVAL;
	v.minor = CC_MIN(v.minor, VFIO_USER_MINOR);
	reply_put(c, &v, sizeof(v));
	reply_put(c, capabilities, sizeof(capabilities));
	c->greeted = true;
	return 0;
}

static int on_dma_map(struct ssd *s, size_t len)
{
	struct ssd_conn *c = s->conn;
	struct vfio_user_dma_map m;
	struct ssd_dma_region want;

	(void)len;
	memcpy(&m, payload(c), sizeof(m));
	if (m.argsz < sizeof(m) ||
	    (m.flags & ~(VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE)) || !m.flags)
		return -EINVAL;
	want = (struct ssd_dma_region){
		.iova = m.addr,
		.len = m.size,
		.readable = m.flags & VFIO_USER_DMA_READABLE,
		.writable = m.flags & VFIO_USER_DMA_WRITEABLE,
	};
	return ssd_dma_map(&s->dma, &want, c->nfds ? c->fds[0] : -1, m.offset);
}

static int on_dma_unmap(struct ssd *s, size_t len)
{
	struct vfio_user_dma_unmap m;
	bool all;
	int err;

	(void)len;
	memcpy(&m, payload(s->conn), sizeof(m));
	all = m.flags & VFIO_USER_DMA_UNMAP_ALL;
	if (m.argsz < sizeof(m) || (m.flags & ~VFIO_USER_DMA_UNMAP_ALL) ||
	    (all && (m.addr || m.size)))
		return -EINVAL;
	err = ssd_dma_unmap(&s->dma, m.addr, m.size, all);
	if (!err)
		reply_put(s->conn, &m, sizeof(m));
	return err;
}

static int on_device_info(struct ssd *s, size_t len)
{
	/* the first four words; the rest is newer than the protocol */
	uint32_t info[4];

	(void)len;
	memcpy(info, payload(s->conn), sizeof(info));
	if (info[0] < sizeof(info))
		return -EINVAL;
	info[0] = sizeof(info);
	info[1] = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info[2] = VFIO_PCI_NUM_REGIONS;
	info[3] = VFIO_PCI_NUM_IRQS;
	reply_put(s->conn, info, sizeof(info));
	return 0;
}

/* The doorbells can be mapped, the registers below them not: reading those has to ask us. */
static void put_sparse(struct ssd *s, struct vfio_region_info *info)
{
	const struct vfio_region_info_cap_sparse_mmap cap = {
		.header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = 1,
	};
	const struct vfio_region_sparse_mmap_area area = { .offset = NVME_REG_DOORBELLS,
							   .size = SSD_DB_BYTES };
	uint32_t room = info->argsz;

	info->flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	info->argsz = sizeof(*info) + sizeof(cap) + sizeof(area);
	if (room >= info->argsz)
		info->cap_offset = sizeof(*info);
	reply_put(s->conn, info, sizeof(*info));
	if (room < info->argsz)
		return; /* asks again with room for it */
	reply_put(s->conn, &cap, sizeof(cap));
	reply_put(s->conn, &area, sizeof(area));
	s->conn->reply_fd = s->pci.bar_fd;
}

static int on_region_info(struct ssd *s, size_t len)
{
	struct vfio_region_info info;

	(void)len;
	memcpy(&info, payload(s->conn), sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.size = ssd_pci_region_bytes(s, info.index);
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	info.cap_offset = 0;
	info.offset = 0;
	if (info.index == VFIO_PCI_BAR0_REGION_INDEX && !s->opts.no_mmap) {
		put_sparse(s, &info);
		return 0;
	}
	info.argsz = sizeof(info);
	reply_put(s->conn, &info, sizeof(info));
	return 0;
}

static int on_irq_info(struct ssd *s, size_t len)
{
	struct vfio_irq_info info;

	(void)len;
	memcpy(&info, payload(s->conn), sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.argsz = sizeof(info);
	info.count = ssd_pci_irq_count(s, info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD : 0;
	reply_put(s->conn, &info, sizeof(info));
	return 0;
}

/* The link's text tells an eventfd from other files, to which we would not want to write. */
static bool is_eventfd(int fd)
{
	char path[32], link[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	return !strcmp(link, "anon_inode:[eventfd]");
}

static void irq_set(struct ssd *s, const struct vfio_irq_set *m, uint32_t i, int fd)
{
	int *slot = ssd_pci_irq_slot(s, m->index, m->start + i);

	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

static int irqs_eventfds(struct ssd *s, const struct vfio_irq_set *m)
{
	struct ssd_conn *c = s->conn;

	if (c->nfds && c->nfds != m->count)
		return -EINVAL;
	for (unsigned i = 0; i < c->nfds; i++) {
		if (!is_eventfd(c->fds[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		irq_set(s, m, i, c->nfds ? c->fds[i] : -1);
		if (c->nfds)
			c->fds[i] = -1; /* the slot's now */
	}
	return 0;
}

static int irqs_trigger(struct ssd *s, const struct vfio_irq_set *m, const uint8_t *bools)
{
	for (uint32_t i = 0; i < m->count; i++) {
		if (!bools || bools[i])
			ssd_pci_signal(*ssd_pci_irq_slot(s, m->index, m->start + i));
	}
	return 0;
}

static int on_set_irqs(struct ssd *s, size_t len)
{
	struct vfio_irq_set m;
	uint32_t count;

	memcpy(&m, payload(s->conn), sizeof(m));
	if (m.argsz < sizeof(m) || m.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	count = ssd_pci_irq_count(s, m.index);
	if (m.start > count || m.count > count - m.start)
		return -EINVAL;
	if ((m.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL; /* MSI-X is masked in its table */
	switch (m.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return irqs_eventfds(s, &m);
	case VFIO_IRQ_SET_DATA_BOOL:
		if (len - sizeof(m) < m.count)
			return -EINVAL;
		return irqs_trigger(s, &m, (uint8_t *)payload(s->conn) + sizeof(m));
	case VFIO_IRQ_SET_DATA_NONE:
		if (m.count)
			return irqs_trigger(s, &m, NULL);
		m.start = 0;
		for (uint32_t i = 0; i < count; i++)
			irq_set(s, &m, i, -1);
		return 0;
	default:
		return -EINVAL;
	}
}

static int on_region_read(struct ssd *s, size_t len)
{
	struct vfio_user_region_access m;
	uint8_t *data = s->conn->out.bytes + sizeof(struct vfio_user_header) + sizeof(m);
	int err;

	(void)len;
	memcpy(&m, payload(s->conn), sizeof(m));
	if (m.count > DATA_BYTES_MAX)
		return -EINVAL;
	err = ssd_pci_read(s, m.region, m.offset, data, m.count);
	if (err)
		return err;
	reply_put(s->conn, &m, sizeof(m));
	s->conn->reply_bytes += m.count;
	return 0;
}

static int on_region_write(struct ssd *s, size_t len)
{
	struct vfio_user_region_access m;
	int err;

	memcpy(&m, payload(s->conn), sizeof(m));
	if (m.count != len - sizeof(m))
		return -EINVAL;
	err = ssd_pci_write(s, m.region, m.offset, (uint8_t *)payload(s->conn) + sizeof(m),
			    m.count);
	if (!err)
		reply_put(s->conn, &m, sizeof(m));
	return err;
}

static int on_reset(struct ssd *s, size_t len)
{
	(void)len;
	ssd_ctrlr_flr(s);
	return 0;
}

static const struct {
	int (*fn)(struct ssd *s, size_t len);
	uint16_t bytes_min; /* of the payload */
	uint16_t fds_max;
} handlers[] = {
	[VFIO_USER_VERSION] = { on_version, sizeof(struct vfio_user_version), 0 },
	[VFIO_USER_DMA_MAP] = { on_dma_map, sizeof(struct vfio_user_dma_map), 1 },
	[VFIO_USER_DMA_UNMAP] = { on_dma_unmap, sizeof(struct vfio_user_dma_unmap), 0 },
	[VFIO_USER_DEVICE_GET_INFO] = { on_device_info, 16, 0 },
	[VFIO_USER_DEVICE_GET_REGION_INFO] = { on_region_info, sizeof(struct vfio_region_info), 0 },
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = { on_irq_info, sizeof(struct vfio_irq_info), 0 },
	[VFIO_USER_DEVICE_SET_IRQS] = { on_set_irqs, sizeof(struct vfio_irq_set), FDS_MAX },
	[VFIO_USER_REGION_READ] = { on_region_read, sizeof(struct vfio_user_region_access), 0 },
	[VFIO_USER_REGION_WRITE] = { on_region_write, sizeof(struct vfio_user_region_access), 0 },
	[VFIO_USER_DEVICE_RESET] = { on_reset, 0, 0 },
};

static int handle(struct ssd *s, const struct vfio_user_header *h)
{
	struct ssd_conn *c = s->conn;
	size_t len = h->bytes - sizeof(*h);

	if (h->cmd >= ARRAY_SIZE(handlers) || !handlers[h->cmd].fn)
		return -ENOTSUP;
	if (len < handlers[h->cmd].bytes_min || c->nfds > handlers[h->cmd].fds_max)
		return -EINVAL;
	return handlers[h->cmd].fn(s, len);
}

static bool reply(struct ssd_conn *c, const struct vfio_user_header *h, int err)
{
	struct iovec iov = { .iov_base = c->out.bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	if (err)
		c->reply_bytes = 0;
	iov.iov_len = sizeof(*h) + c->reply_bytes;
	c->out.header = (struct vfio_user_header){
		.msg_id = h->msg_id,
		.cmd = h->cmd,
		.bytes = (uint32_t)iov.iov_len,
		.flags = VFIO_USER_F_REPLY | (err ? VFIO_USER_F_ERROR : 0),
		.error = (uint32_t)-err,
	};
	fdmsg_put(&mh, &f, &c->reply_fd, !err && c->reply_fd >= 0);
	/* who lets his replies pile up until the socket is full is not waited for */
	return sendmsg(c->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)iov.iov_len;
}

/* NULL: on to the next message; else why the connection ends. */
static const char *message(struct ssd *s)
{
	struct ssd_conn *c = s->conn;
	struct vfio_user_header h = c->in.header;
	int err;

	if (!c->greeted && h.cmd != VFIO_USER_VERSION)
		return "speaks before VERSION";
	c->reply_bytes = 0;
	c->reply_fd = -1;
	err = handle(s, &h);
	if (err)
		log_info("client: message %u refused: %s", h.cmd, strerror(-err));
	fds_close(c);
	c->have = 0;
	if (!(h.flags & VFIO_USER_F_NO_REPLY) && !reply(c, &h, err))
		return "does not take its replies";
	return c->greeted ? NULL : "speaks another version of vfio-user than 0.x";
}

static const char *header_check(const struct vfio_user_header *h)
{
	if ((h->flags & VFIO_USER_F_TYPE_MASK) != VFIO_USER_F_COMMAND || (h->flags & ~FLAGS_KNOWN))
		return "sent something that is no vfio-user command";
	if (h->bytes < sizeof(*h) || h->bytes > MSG_BYTES_MAX)
		return "sent a message of impossible size";
	return NULL;
}

/* Exactly the bytes of one message, so that file descriptors are never the next one's. Bytes, 0:
 * the end, -errno. */
static ssize_t receive(struct ssd_conn *c, size_t want, bool *ret_fds_good)
{
	struct iovec iov = { c->in.bytes + c->have, want - c->have };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;
	ssize_t n;

	fdmsg_room(&mh, &f, FDS_MAX);
	n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	*ret_fds_good = fdmsg_take(&mh, c->fds, &c->nfds, FDS_MAX);
	c->have += (size_t)n;
	return n;
}

void ssd_conn_readable(struct ssd *s)
{
	for (unsigned turn = 0; turn < 2 * MSGS_PER_TURN && s->conn; turn++) {
		struct ssd_conn *c = s->conn;
		size_t head = sizeof(struct vfio_user_header);
		bool fds_good = true;
		const char *why = NULL;
		ssize_t n = 1;

		if (c->have < head)
			n = receive(c, head, &fds_good);
		else if (c->have < c->in.header.bytes)
			n = receive(c, c->in.header.bytes, &fds_good);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			ssd_conn_close(s, c->have ? "went away within a message" : NULL);
			return;
		}
		if (!fds_good)
			why = "sent more file descriptors than a message may have";
		else if (c->have >= head)
			why = header_check(&c->in.header);
		if (!why && c->have >= head && c->have == c->in.header.bytes)
			why = message(s);
		if (why)
			ssd_conn_close(s, why);
	}
}
