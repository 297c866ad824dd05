/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The software SSD against a client made of fuzz: messages on the socket, and commands in rings
 * that lie in memory of the fuzz.
 *
 * Input: a byte (bit 0: begin with an enabled controller and an I/O queue), then records
 *   { kind, length / 4, payload }    kind 0 to 127: a message of that command; 128 to 191: an entry
 * for the admin queue; 192 to 255: for the I/O queue Short payloads are filled up with zeroes to a
 * size that has the right shape. The input lies in the client's memory, too.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "core/base/mono.h"
#include "core/sigbus.h"
#include "drivers/nvme/nvme_spec.h"
#include "drivers/vfio/vfio_user_wire.h"
#include "tools/ssd/ssd.h"

#define LOG_TAG "fuzz"
#include "core/base/log.h"

#define MEM_BYTES   0x20000u
#define MEM_IOVA    0x100000ull
#define ADMIN_SQ    (MEM_IOVA + 0x1000)
#define ADMIN_CQ    (MEM_IOVA + 0x2000)
#define IO_SQ	    (MEM_IOVA + 0x3000)
#define IO_CQ	    (MEM_IOVA + 0x4000)
#define ENTRIES	    32u
#define RECORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memfd, event;
static uint8_t *mem;
static uint32_t tail[2];

static void no_log(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	(void)text;
}

static void setup(void)
{
	mono_init();
	log_set_sink(no_log);
	(void)sigbus_guard_start();
	memfd = memfd_create("client", MFD_CLOEXEC);
	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (memfd < 0 || event < 0 || ftruncate(memfd, MEM_BYTES))
		abort();
	mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (mem == MAP_FAILED)
		abort();
}

static struct ssd *ssd_make(void)
{
	struct ssd_opts o;
	struct ssd *s;
	struct errbuf eb;

	ssd_opts_init(&o);
	o.ns[0] = (struct ssd_ns_opts){ .block = 512, .null = true, .bytes = 1 << 20 };
	o.nns = 1;
	o.dbbuf = o.sgl = o.no_mmap = true;
	o.capacity = 1 << 20;
	o.hmb_min = 4096;
	o.hmb_pref = 8192;
	o.spin_us = 0;
	if (ssd_create(&o, &s, &eb))
		abort();
	return s;
}

/* False: the SSD has closed the connection. */
static bool say(struct ssd *s, int fd, const void *msg, size_t len, int with)
{
	struct iovec iov = { (void *)(uintptr_t)msg, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;
	char reply[4096];
	ssize_t n;

	fdmsg_put(&mh, &f, &with, with >= 0);
	if (sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		(void)ssd_turn(s, 0);
	while ((n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT)) > 0)
		;
	return n != 0;
}

struct packet {
	struct vfio_user_header h;
	uint8_t p[1024];
};

static bool send_message(struct ssd *s, int fd, uint16_t cmd, const void *payload, size_t len)
{
	struct packet m = {
		.h = { .msg_id = 1, .cmd = cmd, .bytes = (uint32_t)(sizeof(m.h) + len) }
	};
	int with = cmd == VFIO_USER_DMA_MAP ? memfd : cmd == VFIO_USER_DEVICE_SET_IRQS ? event : -1;

	memcpy(m.p, payload, len);
	return say(s, fd, &m, sizeof(m.h) + len, with);
}

static bool region_write(struct ssd *s, int fd, uint32_t region, uint64_t off, uint64_t value,
			 uint32_t len)
{
	struct {
		struct vfio_user_region_access a;
		uint64_t v;
	} m = { { off, region, len }, value };

	return send_message(s, fd, VFIO_USER_REGION_WRITE, &m, sizeof(m.a) + len);
}

static bool entry_put(struct ssd *s, int fd, unsigned queue, const struct nvme_sqe *sqe)
{
	uint64_t ring = (queue ? IO_SQ : ADMIN_SQ) - MEM_IOVA;

	memcpy(mem + ring + tail[queue] * sizeof(*sqe), sqe, sizeof(*sqe));
	tail[queue] = (tail[queue] + 1) % ENTRIES;
	/* whatever is answered has been taken: the tail is as good a head as any, the SSD checks it
	 */
	(void)region_write(s, fd, 0, NVME_REG_DOORBELLS + NVME_DB_CQ(queue, 4), tail[queue], 4);
	return region_write(s, fd, 0, NVME_REG_DOORBELLS + NVME_DB_SQ(queue, 4), tail[queue], 4);
}

static void enable(struct ssd *s, int fd)
{
	const struct vfio_user_version v = { VFIO_USER_MAJOR, VFIO_USER_MINOR };
	const struct vfio_user_dma_map map = { sizeof(map), 3, 0, MEM_IOVA, MEM_BYTES };
	struct nvme_sqe cq = { .opc = NVME_ADM_CREATE_CQ, .prp1 = le64_make(IO_CQ) };
	struct nvme_sqe sq = { .opc = NVME_ADM_CREATE_SQ, .prp1 = le64_make(IO_SQ) };

	send_message(s, fd, VFIO_USER_VERSION, &v, sizeof(v));
	send_message(s, fd, VFIO_USER_DMA_MAP, &map, sizeof(map));
	region_write(s, fd, 7, 4, 6, 2);
	region_write(s, fd, 0, NVME_REG_AQA, NVME_AQA(ENTRIES - 1, ENTRIES - 1), 4);
	region_write(s, fd, 0, NVME_REG_ASQ, ADMIN_SQ, 8);
	region_write(s, fd, 0, NVME_REG_ACQ, ADMIN_CQ, 8);
	region_write(s, fd, 0, NVME_REG_CC, NVME_CC_EN | NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4), 4);
	cq.cdw10 = sq.cdw10 = le32_make(NVME_QUEUE_SIZE(1, ENTRIES));
	cq.cdw11 = le32_make(NVME_QUEUE_PC);
	sq.cdw11 = le32_make(NVME_QUEUE_PC | NVME_SQ_CQID(1));
	entry_put(s, fd, 0, &cq);
	entry_put(s, fd, 0, &sq);
}

/* One record; returns the bytes it took, 0: the end. */
static size_t play(struct ssd *s, int fd, const uint8_t *data, size_t size)
{
	static const uint8_t shape[16] = { 0, 4, 32, 24, 16, 32, 16, 16, 20, 16, 20 };
	uint8_t payload[1024] = { 0 };
	struct nvme_sqe sqe;
	size_t len;

	if (size < 2)
		return 0;
	len = CC_MIN(CC_MIN((size_t)data[1] * 4, size - 2), sizeof(payload));
	memcpy(payload, data + 2, len);
	if (data[0] >= 128) {
		memcpy(&sqe, payload, sizeof(sqe));
		if (!entry_put(s, fd, data[0] >= 192, &sqe))
			return 0;
	} else if (!send_message(s, fd, data[0], payload, CC_MAX(len, shape[data[0] % 16]))) {
		return 0;
	}
	return 2 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ssd *s;
	size_t used = 1;
	int fds[2];

	if (!mem)
		setup();
	if (size < 1)
		return 0;
	memset(mem, 0, MEM_BYTES);
	memcpy(mem + 0x8000, data, CC_MIN(size, 0x8000));
	tail[0] = tail[1] = 0;
	s = ssd_make();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) || ssd_serve(s, fds[0]))
		abort();
	if (data[0] & 1)
		enable(s, fds[1]);
	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		size_t n = play(s, fds[1], data + used, size - used);

		if (!n)
			break;
		used += n;
	}
	close(fds[1]);
	(void)ssd_turn(s, 0);
	ssd_destroy(s);
	return 0;
}
