/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user server of the tests, good and bad. */
#include "tests/integration/vfio_server.h"

#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "drivers/vfio/vfio_user_wire.h"

#define BODY_MAX 16384
#define MANY	 100
#define JSON                                                                                  \
	"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,\"migration\":{" \
	"\"pgsize\":4096}}}"

struct message {
	struct vfio_user_header h;
	uint8_t body[BODY_MAX];
	unsigned nfds;
	int fds[16];
};

static bool receive(int fd, void *buf, size_t len, struct message *m)
{
	struct fdmsg f;

	for (size_t have = 0; have < len;) {
		struct iovec iov = { (char *)buf + have, len - have };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		fdmsg_room(&mh, &f, ARRAY_SIZE(m->fds));
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return false;
		have += (size_t)n;
		(void)fdmsg_take(&mh, m->fds, &m->nfds, ARRAY_SIZE(m->fds));
	}
	return true;
}

static void transmit(struct vs *s, const void *buf, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	fdmsg_put(&mh, &f, fds, nfds);
	(void)sendmsg(s->fd, &mh, MSG_NOSIGNAL); /* a client that has gone is seen by receive() */
}

/* --- what a good server does; each fills @r and returns the length of its body, or -errno --- */

static int serve_version(struct vs *s, struct message *m, struct message *r)
{
	const char *json = s->json ? s->json : JSON;
	const struct vfio_user_version v = { 0, 1 };

	memcpy(r->body, &v, sizeof(v));
	memcpy(r->body + sizeof(v), json, strlen(json) + 1);
	return (int)(sizeof(v) + strlen(json) + 1);
}

static int serve_info(struct vs *s, struct message *m, struct message *r)
{
	const uint32_t info[4] = { 16, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
				   VFIO_PCI_NUM_REGIONS, VFIO_PCI_NUM_IRQS };

	memcpy(r->body, info, sizeof(info));
	return sizeof(info);
}

static int serve_region_info(struct vs *s, struct message *m, struct message *r)
{
	static const uint64_t bytes[VFIO_PCI_NUM_REGIONS] = {
		VS_BAR0_BYTES, 0, VS_PAGE, 0, 0, 0, 0, VS_CONFIG_BYTES
	};
	/* the kernel's struct of the capability ends in an array of areas: its head, and one of them */
	struct {
		struct vfio_region_info info;
		struct vfio_info_cap_header header;
		uint32_t nr_areas, reserved;
		struct vfio_region_sparse_mmap_area area;
	} reply = { 0 };

	static_assert(sizeof(reply) == sizeof(reply.info) +
					       sizeof(struct vfio_region_info_cap_sparse_mmap) +
					       sizeof(reply.area),
		      "as it is on the wire");

	memcpy(&reply.info, m->body, sizeof(reply.info));
	if (reply.info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	reply.info.size = bytes[reply.info.index];
	reply.info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	reply.info.argsz = sizeof(reply.info);
	if (reply.info.index == 0 && s->region_fd >= 0) {
		reply.info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
		reply.info.argsz = sizeof(reply);
		reply.info.cap_offset = sizeof(reply.info);
		reply.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
		reply.header.version = 1;
		reply.nr_areas = 1;
		reply.area = (struct vfio_region_sparse_mmap_area){ VS_PAGE, VS_PAGE };
		r->fds[r->nfds++] = s->region_fd;
	}
	memcpy(r->body, &reply, reply.info.argsz);
	return (int)reply.info.argsz;
}

static int serve_irq_info(struct vs *s, struct message *m, struct message *r)
{
	struct vfio_irq_info info;

	memcpy(&info, m->body, sizeof(info));
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = info.index == VFIO_PCI_MSIX_IRQ_INDEX ? VS_VECTORS : 0;
	memcpy(r->body, &info, sizeof(info));
	return sizeof(info);
}

static int serve_set_irqs(struct vs *s, struct message *m, struct message *r)
{
	struct vfio_irq_set set;

	memcpy(&set, m->body, sizeof(set));
	if (set.index != VFIO_PCI_MSIX_IRQ_INDEX || set.start + set.count > VS_VECTORS ||
	    m->nfds != set.count || m->nfds > VS_FDS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < VS_VECTORS && set.count == 0; i++) {
		if (s->vectors[i] >= 0)
			close(s->vectors[i]);
		s->vectors[i] = -1;
	}
	for (unsigned i = 0; i < set.count; i++)
		s->vectors[set.start + i] = dup(m->fds[i]);
	return 0;
}

static int serve_access(struct vs *s, struct message *m, struct message *r)
{
	struct vfio_user_region_access a;
	uint8_t *at;

	memcpy(&a, m->body, sizeof(a));
	at = a.region == 0 ? s->bar0 : a.region == 2 ? s->bar2 : s->config;
	if (m->h.cmd == VFIO_USER_REGION_WRITE)
		memcpy(at + a.offset, m->body + sizeof(a), a.count);
	memcpy(r->body, &a, sizeof(a));
	if (m->h.flags & VFIO_USER_F_NO_REPLY)
		s->posts++;
	if (m->h.cmd == VFIO_USER_REGION_WRITE)
		return sizeof(a);
	memcpy(r->body + sizeof(a), at + a.offset, a.count);
	return (int)(sizeof(a) + a.count);
}

static int serve_map(struct vs *s, struct message *m, struct message *r)
{
	struct vfio_user_dma_map map;
	struct vs_map *own = &s->maps[s->nmaps];

	memcpy(&map, m->body, sizeof(map));
	if (m->nfds != 1 || s->nmaps == VS_MAPS_MAX || map.argsz != sizeof(map) || map.flags != 3)
		return -EINVAL;
	*own = (struct vs_map){ map.addr, map.size,
				mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[0],
				     (off_t)map.offset) };
	if (own->va == MAP_FAILED)
		return -errno;
	s->nmaps++;
	return 0;
}

static int serve_unmap(struct vs *s, struct message *m, struct message *r)
{
	struct vfio_user_dma_unmap unmap;

	memcpy(&unmap, m->body, sizeof(unmap));
	memcpy(r->body, &unmap, sizeof(unmap));
	for (unsigned i = 0; i < s->nmaps; i++) {
		if (s->maps[i].iova != unmap.addr || s->maps[i].bytes != unmap.size)
			continue;
		munmap(s->maps[i].va, s->maps[i].bytes);
		s->maps[i] = s->maps[--s->nmaps];
		return sizeof(unmap);
	}
	return -ENOENT;
}

static int serve(struct vs *s, struct message *m, struct message *r)
{
	switch (m->h.cmd) {
	case VFIO_USER_VERSION:
		return serve_version(s, m, r);
	case VFIO_USER_DEVICE_GET_INFO:
		return serve_info(s, m, r);
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		return serve_region_info(s, m, r);
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		return serve_irq_info(s, m, r);
	case VFIO_USER_DEVICE_SET_IRQS:
		return serve_set_irqs(s, m, r);
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		return serve_access(s, m, r);
	case VFIO_USER_DMA_MAP:
		return serve_map(s, m, r);
	case VFIO_USER_DMA_UNMAP:
		return serve_unmap(s, m, r);
	case VFIO_USER_DEVICE_RESET:
		s->resets++;
		return 0;
	default:
		return -ENOSYS;
	}
}

/* --- and a bad one --- */

/* Asks for memory; the client must refuse with a proper error and nothing else. */
static void command_send(struct vs *s, unsigned cmd, size_t data)
{
	static uint8_t
		buf[sizeof(struct vfio_user_header) + sizeof(struct vfio_user_dma_access) + 65536];
	struct vfio_user_header h = { .msg_id = 7,
				      .cmd = (uint16_t)cmd,
				      .bytes = (uint32_t)(sizeof(h) + 16 + data) };
	struct message reply = { 0 };

	memcpy(buf, &h, sizeof(h));
	transmit(s, buf, h.bytes, NULL, 0);
	if (receive(s->fd, &reply.h, sizeof(reply.h), &reply) && reply.h.msg_id == 7 &&
	    reply.h.cmd == cmd && reply.h.bytes == 16 &&
	    reply.h.flags == (VFIO_USER_F_REPLY | VFIO_USER_F_ERROR) && reply.h.error)
		s->refused++;
}

static void reply_send(struct vs *s, struct message *r)
{
	transmit(s, r, r->h.bytes, r->fds, r->nfds);
}

static void reply_spoil(struct vs *s, struct message *r, enum vs_fault fault)
{
	const size_t len = r->h.bytes;
	int many[MANY];

	for (unsigned i = 0; i < MANY; i++)
		many[i] = s->fd;
	switch (fault) {
	case VS_CLOSE:
		shutdown(s->fd, SHUT_RDWR);
		return;
	case VS_SILENT:
		return;
	case VS_WRONG_ID:
		r->h.msg_id ^= 0x8000;
		break;
	case VS_WRONG_CMD:
		r->h.cmd = VFIO_USER_DEVICE_RESET + 1;
		break;
	case VS_WRONG_TYPE:
		r->h.flags = 3;
		break;
	case VS_SHORT:
		r->h.bytes--;
		break;
	case VS_CUT:
		transmit(s, r, len - 1, r->fds, r->nfds);
		shutdown(s->fd, SHUT_RDWR);
		return;
	case VS_LONG:
		r->h.bytes = sizeof(r->h) + BODY_MAX;
		break;
	case VS_TINY_SIZE:
		r->h.bytes = 8;
		transmit(s, r, len, r->fds, r->nfds);
		return;
	case VS_HUGE_SIZE:
		r->h.bytes = UINT32_MAX;
		transmit(s, r, len, r->fds, r->nfds);
		return;
	case VS_GARBAGE:
		for (size_t i = 0; i < 64; i++)
			((uint8_t *)r)[i] = (uint8_t)(i * 37 + 5);
		transmit(s, r, 64, NULL, 0);
		return;
	case VS_FDS:
		transmit(s, r, len, many, 2);
		return;
	case VS_MANY_FDS:
		transmit(s, r, len, many, MANY);
		return;
	case VS_ERROR:
		r->h.bytes = sizeof(r->h);
		r->h.flags |= VFIO_USER_F_ERROR;
		r->h.error = EBUSY;
		break;
	case VS_ERROR_STRANGE:
		r->h.flags |= VFIO_USER_F_ERROR;
		r->h.error = 0x80000000u;
		break;
	case VS_TRICKLE:
		for (size_t i = 0; i < len; i++)
			transmit(s, (uint8_t *)r + i, 1, r->fds, i ? 0 : r->nfds);
		return;
	case VS_COMMANDS:
		command_send(s, VFIO_USER_DMA_READ, 0);
		command_send(s, VFIO_USER_DMA_WRITE, 65536);
		break;
	case VS_BODY_ZEROED:
		memset(r->body, 0, len - sizeof(r->h));
		break;
	case VS_BODY_ONES:
		memset(r->body, 0xff, len - sizeof(r->h));
		break;
	case VS_OK:
		break;
	}
	reply_send(s, r);
}

static void answer(struct vs *s, struct message *m)
{
	static struct message r; /* one server at a time */
	enum vs_fault fault;
	int len;

	memset(&r, 0, sizeof(r));
	pthread_mutex_lock(&s->lock);
	fault = s->fault_cmd == m->h.cmd ? s->fault : VS_OK;
	len = serve(s, m, &r);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < m->nfds; i++)
		close(m->fds[i]);
	if (m->h.flags & VFIO_USER_F_NO_REPLY)
		return;
	r.h = (struct vfio_user_header){
		.msg_id = m->h.msg_id,
		.cmd = m->h.cmd,
		.bytes = (uint32_t)(sizeof(r.h) + (len > 0 ? (size_t)len : 0)),
		.flags = VFIO_USER_F_REPLY | (len < 0 ? VFIO_USER_F_ERROR : 0),
		.error = len < 0 ? (uint32_t)-len : 0
	};
	if (fault == VS_OK)
		reply_send(s, &r);
	else
		reply_spoil(s, &r, fault);
}

static void *server_run(void *arg)
{
	struct vs *s = arg;
	static struct message m;

	for (;;) {
		m.nfds = 0;
		if (!receive(s->fd, &m.h, sizeof(m.h), &m))
			break;
		if (m.h.bytes < sizeof(m.h) || m.h.bytes - sizeof(m.h) > BODY_MAX ||
		    (m.h.flags & VFIO_USER_F_TYPE_MASK)) {
			s->broken++;
			break;
		}
		if (!receive(s->fd, m.body, m.h.bytes - sizeof(m.h), &m))
			break;
		answer(s, &m);
	}
	shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

int vs_start(struct vs *s)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	s->fd = fds[0];
	s->nmaps = s->broken = 0;
	for (unsigned i = 0; i < VS_VECTORS; i++)
		s->vectors[i] = -1;
	pthread_mutex_init(&s->lock, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
	return fds[1];
}

void vs_fault_set(struct vs *s, unsigned cmd, enum vs_fault fault)
{
	pthread_mutex_lock(&s->lock);
	s->fault_cmd = cmd;
	s->fault = fault;
	pthread_mutex_unlock(&s->lock);
}

void vs_hang_up(struct vs *s)
{
	shutdown(s->fd, SHUT_RDWR);
}

void vs_join(struct vs *s)
{
	pthread_join(s->thread, NULL);
	for (unsigned i = 0; i < VS_VECTORS; i++)
		if (s->vectors[i] >= 0)
			close(s->vectors[i]);
	for (unsigned i = 0; i < s->nmaps; i++)
		munmap(s->maps[i].va, s->maps[i].bytes);
	pthread_mutex_destroy(&s->lock);
	close(s->fd);
}
