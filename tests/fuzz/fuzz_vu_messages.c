/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages from a front-end made of fuzz: a session on one reactor, with memory that is
 * the fuzz's, too.
 *
 * Input: a byte (bit 0: begin with a session that runs a ring, bit 1: a packed one), then records
 * of { request, flags, fds, payload length / 2 } and the payload. Bit 6 of `flags` cuts the message
 * short. Bits 5 and 6 of `fds`: an end of a pipe or of a socket pair with the payload in it, closed
 * behind it unless bit 7 is set; bit 4: the writing end, else an eventfd. Short payloads are filled
 * up to the message's own size, so that most records have the right shape. The whole input lies in
 * guest memory, too.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/fdmsg.h"
#include "core/base/log.h"
#include "core/reactor.h"
#include "tests/fuzz/fuzz_dev.h"
#include "vhost/user/vu_server.h"
#include "vhost/user/vu_wire.h"

#define MEM_BYTES   0x10000u
#define MEM_GPA	    0x1000ull
#define MEM_UVA	    0x100000ull
#define QUEUES	    4
#define RECORDS_MAX 64
#define TURNS_MAX   100000 /* a session that does not end is a bug */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct reactor *reactor;
static struct vdev dev;
static int memfd, event;
static uint8_t *mem;
static bool gone;

static int dev_config_set(struct vdev *v, uint32_t off, const void *buf, uint32_t len)
{
	(void)v;
	(void)buf;
	return off + len <= FUZZ_DEV_CONFIG_BYTES ? 0 : -22;
}

static uint32_t dev_save(const struct vdev *v, uint8_t state[VDEV_STATE_MAX])
{
	(void)v;
	memset(state, 1, 16);
	return 16;
}

static int dev_load(struct vdev *v, const uint8_t *state, uint32_t len, struct errbuf *eb)
{
	uint32_t sum = 0;

	(void)v;
	for (uint32_t i = 0; i < len; i++)
		sum += state[i];
	return sum == 16 ? 0 : errbuf_set(eb, -22, "fuzz");
}

static const struct vdev_state_ops dev_state_ops = {
	.save = dev_save,
	.load = dev_load,
};

static const struct vdev_ops dev_ops = {
	FUZZ_DEV_OPS,
	.config_set = dev_config_set,
	.state = &dev_state_ops,
};

static void no_log(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	(void)text;
}

static void setup(void)
{
	const struct reactor_opts opts = { .name = "fuzz", .cpu = -1, .mode = REACTOR_POLL };

	mono_init();
	signal(SIGPIPE, SIG_IGN);
	log_set_sink(no_log);
	if (reactor_create(&opts, &reactor))
		abort();
	reactor_adopt(reactor);
	vdev_init(&dev, &dev_ops, QUEUES);
	memfd = memfd_create("guest", MFD_CLOEXEC);
	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (memfd < 0 || event < 0 || ftruncate(memfd, MEM_BYTES))
		abort();
	mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (mem == MAP_FAILED)
		abort();
}

static void turn(unsigned n)
{
	while (n--)
		(void)reactor_turn(reactor);
}

/* False: the session has closed. What it answers is thrown away. */
static bool feed(int fd, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = { (void *)(uintptr_t)msg, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;
	char reply[4096];
	ssize_t n;

	fdmsg_put(&mh, &f, fds, nfds);
	if (sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return false;
	turn(4);
	while ((n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT)) > 0)
		;
	return n != 0;
}

struct packet {
	struct vu_header h;
	uint8_t p[512];
};

static bool say(int fd, uint32_t request, const void *payload, uint32_t size, int with)
{
	struct packet m = { .h = { request, VU_FLAG_VERSION, size } };

	memcpy(m.p, payload, size);
	return feed(fd, &m, VU_HEADER_BYTES + size, &with, with >= 0);
}

static void negotiate(int fd, bool packed)
{
	const uint64_t protocol = 0x19b22b;
	const uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
				  (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
	const struct vu_mem_table t = { .nregions = 1,
					.regions = { { MEM_GPA, MEM_BYTES, MEM_UVA, 0 } } };
	const struct vu_vring_state num = { 0, 16 }, base = { 0, packed ? 0x80008000u : 0 };
	const struct vu_vring_addr a = { .desc = MEM_UVA,
					 .avail = MEM_UVA + 0x1000,
					 .used = MEM_UVA + 0x2000 };
	const uint64_t ring = 0;

	say(fd, VU_SET_PROTOCOL_FEATURES, &protocol, 8, -1);
	say(fd, VU_SET_FEATURES, &features, 8, -1);
	say(fd, VU_SET_MEM_TABLE, &t, 40, memfd);
	say(fd, VU_SET_VRING_NUM, &num, 8, -1);
	say(fd, VU_SET_VRING_BASE, &base, 8, -1);
	say(fd, VU_SET_VRING_ADDR, &a, sizeof(a), -1);
	say(fd, VU_SET_VRING_KICK, &ring, 8, event);
}

/* As @how, the third byte of a record, says: its fd and what is behind it. */
struct channel {
	int fd, other; /* -1: none */
};

static struct channel channel_make(uint8_t how, const void *buf, size_t len)
{
	bool writes = how & 0x10;
	int ends[2];

	if (!(how & 0x60))
		return (struct channel){ -1, -1 };
	if (how & 0x40 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
		       : pipe2(ends, O_CLOEXEC))
		abort();
	if (!writes && len && write(ends[1], buf, len) < 0)
		abort();
	if (!(how & 0x80)) {
		close(ends[!writes]);
		ends[!writes] = -1;
	}
	return (struct channel){ ends[writes], ends[!writes] };
}

/* One record; returns the bytes it took, 0: the end. */
static size_t play(int fd, const uint8_t *data, size_t size)
{
	struct packet m = { 0 };
	const struct vu_shape *shape;
	struct channel channel;
	int fds[VU_FDS_MAX];
	size_t len;
	bool goes_on;

	if (size < 4)
		return 0;
	shape = vu_shape_find(data[0]);
	len = CC_MIN(CC_MIN((size_t)data[3] * 2, size - 4), sizeof(m.p));
	m.h = (struct vu_header){ data[0], VU_FLAG_VERSION ^ (data[1] & 0xf), (uint32_t)len };
	memcpy(m.p, data + 4, len);
	if (shape && m.h.size < shape->size_min)
		m.h.size = shape->size_min;
	channel = channel_make(data[2], data + 4, len);
	for (unsigned i = 0; i < VU_FDS_MAX; i++)
		fds[i] = channel.fd >= 0 ? channel.fd : data[2] & 0x10 ? event : memfd;
	/* the transfer's parameters: the payload is what comes through the channel */
	if (data[0] == VU_SET_DEVICE_STATE_FD && channel.fd >= 0) {
		m.p[0] = !(data[2] & 0x10);
		memset(m.p + 1, 0, 7);
		m.h.size = 8;
	}
	goes_on = feed(fd, &m, VU_HEADER_BYTES + (data[1] & 0x40 ? m.h.size / 2 : m.h.size), fds,
		       CC_MIN(data[2] & 0xfu, VU_FDS_MAX));
	if (channel.fd >= 0)
		close(channel.fd);
	if (channel.other >= 0)
		close(channel.other);
	return goes_on ? 4 + len : 0;
}

static void server_gone(void *arg)
{
	(void)arg;
	gone = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vu_server_opts opts = { .name = "fuzz", .dev = &dev, .nreactors = 1 };
	struct vu_server *server;
	struct errbuf eb;
	size_t used = 1;
	int fds[2];

	if (!reactor)
		setup();
	if (size < 1)
		return 0;
	memset(mem, 0, MEM_BYTES);
	memcpy(mem, data + size - CC_MIN(size, 0x3000), CC_MIN(size, 0x3000));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		abort();
	opts.fd = fds[0];
	opts.control = reactor;
	opts.reactors = &reactor;
	if (vu_server_create(&opts, &server, &eb))
		abort();
	if (data[0] & 1)
		negotiate(fds[1], data[0] & 2);
	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		size_t n = play(fds[1], data + used, size - used);

		if (!n)
			break;
		used += n;
	}
	close(fds[1]);
	turn(4);
	gone = false;
	vu_server_destroy(server, server_gone, NULL);
	for (unsigned i = 0; !gone; i++) {
		if (i == TURNS_MAX)
			abort();
		turn(1);
	}
	return 0;
}
