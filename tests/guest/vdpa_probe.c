/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In guests: drives a virtio-blk device behind /dev/vhost-vdpa-N, as QEMU does: memory of its own at I/O addresses,
 * one ring, writes and reads that are compared, more memory and less of it while the ring runs, the ring's position.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vhost.h>

#include "core/base/cc.h"
#include "vhost/blk/vblk_spec.h"
#include "vhost/virtq/vqd.h"

#define SIZE	   64u
#define AREA_BYTES (2ull << 20)
#define RING_IOVA  0x10000000ull
#define MORE_IOVA  0x40000000ull
#define DATA_OFF   0x10000ull /* of the data in an area; the rings lie before it */
#define IO_BYTES   4096u
#define ROUNDS	   200u
#define WAIT_MS	   20000
#define READY	   15u /* ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK */

struct area {
	uint64_t iova;
	char *va;
};

static int dev, kick, call;
static bool packed;
static struct vqd ring;
static struct area own, more;
static unsigned nrequests;

static void fail(const char *what)
{
	fprintf(stderr, "vdpa_probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void ask(const char *what, unsigned long request, void *arg)
{
	if (ioctl(dev, request, arg) < 0)
		fail(what);
}

static void set_status(uint8_t status)
{
	uint8_t now = 0;

	ask("SET_STATUS", VHOST_VDPA_SET_STATUS, &status);
	ask("GET_STATUS", VHOST_VDPA_GET_STATUS, &now);
	if (now != status) {
		errno = EPROTO;
		fail("the status was not taken");
	}
}

static void iotlb(uint8_t type, const struct area *a)
{
	struct vhost_msg_v2 m = { .type = VHOST_IOTLB_MSG_V2, .iotlb.type = type };

	if (a) {
		m.iotlb.iova = a->iova;
		m.iotlb.size = AREA_BYTES;
		m.iotlb.uaddr = (uintptr_t)a->va;
		m.iotlb.perm = VHOST_ACCESS_RW;
	}
	if (write(dev, &m, sizeof(m)) != sizeof(m))
		fail("IOTLB message");
}

static struct area area_make(uint64_t iova)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct area a = { .iova = iova };

	if (fd < 0 || ftruncate(fd, AREA_BYTES))
		fail("memory");
	a.va = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (a.va == MAP_FAILED)
		fail("mmap");
	close(fd);
	return a;
}

static void negotiate(void)
{
	uint64_t f = 0, want = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
			       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VBLK_F_FLUSH);
	uint64_t backend = 1ull << VHOST_BACKEND_F_IOTLB_MSG_V2 | 1ull << VHOST_BACKEND_F_IOTLB_BATCH;

	if (packed)
		want |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	ask("SET_OWNER", VHOST_SET_OWNER, NULL);
	ask("SET_BACKEND_FEATURES", VHOST_SET_BACKEND_FEATURES, &backend);
	set_status(0);
	set_status(1);
	set_status(3);
	ask("GET_FEATURES", VHOST_GET_FEATURES, &f);
	if ((f & want) != want) {
		errno = ENOTSUP;
		fail("features");
	}
	ask("SET_FEATURES", VHOST_SET_FEATURES, &want);
	set_status(11);
	iotlb(VHOST_IOTLB_BATCH_BEGIN, NULL);
	iotlb(VHOST_IOTLB_UPDATE, &own);
	iotlb(VHOST_IOTLB_BATCH_END, NULL);
	if (vqd_init(&ring, &(struct vqd_conf){ .size = SIZE,
						.packed = packed,
						.features = want,
						.desc = own.va,
						.avail = own.va + 0x4000,
						.used = own.va + 0x8000,
						.kick_fd = kick }))
		fail("ring");
}

static void ring_give(void)
{
	struct vhost_vring_state num = { .num = SIZE }, base = { .num = packed ? 0x80008000u : 0 };
	struct vhost_vring_state on = { .num = 1 };
	struct vhost_vring_addr addr = { .desc_user_addr = own.iova,
					 .avail_user_addr = own.iova + 0x4000,
					 .used_user_addr = own.iova + 0x8000 };
	struct vhost_vring_file kicks = { .fd = kick }, calls = { .fd = call };

	ask("SET_VRING_NUM", VHOST_SET_VRING_NUM, &num);
	ask("SET_VRING_BASE", VHOST_SET_VRING_BASE, &base);
	ask("SET_VRING_ADDR", VHOST_SET_VRING_ADDR, &addr);
	ask("SET_VRING_KICK", VHOST_SET_VRING_KICK, &kicks);
	ask("SET_VRING_CALL", VHOST_SET_VRING_CALL, &calls);
	ask("SET_VRING_ENABLE", VHOST_VDPA_SET_VRING_ENABLE, &on);
	set_status(READY);
}

/* Until the device has given the chain back. */
static void ring_wait(void)
{
	struct pollfd p = { .fd = call, .events = POLLIN };
	uint64_t calls;
	uint32_t written;
	void *cookie;
	int err = 0;

	while (!vqd_get(&ring, &cookie, &written, &err)) {
		if (err || (!vqd_call_enable(&ring) && poll(&p, 1, WAIT_MS) != 1)) {
			errno = err ? EPROTO : ETIMEDOUT;
			fail("no answer");
		}
		(void)!read(call, &calls, sizeof(calls));
	}
}

/* One request of IO_BYTES at @sector, all of it in @a at @off. */
static void request(uint32_t type, const struct area *a, uint64_t off, uint64_t sector)
{
	char *va = a->va + DATA_OFF + off;
	uint64_t iova = a->iova + DATA_OFF + off;
	const struct vblk_hdr h = { le32_make(type), le32_make(0), le64_make(sector) };
	const struct vqd_buf bufs[] = {
		{ iova + IO_BYTES, sizeof(h), false },
		{ iova, IO_BYTES, type == VBLK_T_IN },
		{ iova + IO_BYTES + 64, 1, true },
	};

	memcpy(va + IO_BYTES, &h, sizeof(h));
	va[IO_BYTES + 64] = 0x55;
	if (vqd_add(&ring, bufs, ARRAY_SIZE(bufs), false, NULL))
		fail("ring is full");
	(void)vqd_publish(&ring);
	ring_wait();
	nrequests++;
	if (va[IO_BYTES + 64] != VBLK_S_OK) {
		errno = EIO;
		fail("request");
	}
}

/* What was written from one area is read into the other. */
static void write_and_read(const struct area *from, const struct area *into, unsigned round)
{
	char *out = from->va + DATA_OFF, *in = into->va + DATA_OFF + 0x10000;
	uint64_t sector = (uint64_t)(round % 100) * (IO_BYTES / 512);

	for (unsigned i = 0; i < IO_BYTES; i++)
		out[i] = (char)(i * 7 + round * 13 + (i >> 8));
	memset(in, 0, IO_BYTES);
	request(VBLK_T_OUT, from, 0, sector);
	request(VBLK_T_IN, into, 0x10000, sector);
	if (memcmp(in, out, IO_BYTES)) {
		errno = EILSEQ;
		fail("other bytes came back");
	}
}

static void position_is_right(void)
{
	struct vhost_vring_state base = { 0 };
	unsigned at = packed ? nrequests * 3 % SIZE : nrequests;
	unsigned lap = nrequests * 3 / SIZE % 2;
	unsigned half = at | (lap ? 0 : 0x8000u);
	unsigned want = packed ? half | half << 16 : at;

	ask("GET_VRING_BASE", VHOST_GET_VRING_BASE, &base);
	if (base.num == want)
		return;
	fprintf(stderr, "vdpa_probe: position %#x, not %#x\n", base.num, want);
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: vdpa_probe /dev/vhost-vdpa-N split|packed\n");
		return 2;
	}
	packed = strcmp(argv[2], "packed") == 0;
	dev = open(argv[1], O_RDWR | O_CLOEXEC);
	kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (dev < 0 || kick < 0 || call < 0)
		fail(argv[1]);
	own = area_make(RING_IOVA);
	more = area_make(MORE_IOVA);
	negotiate();
	ring_give();
	for (unsigned i = 0; i < ROUNDS; i++)
		write_and_read(&own, &own, i);
	position_is_right();
	iotlb(VHOST_IOTLB_UPDATE, &more);
	for (unsigned i = 0; i < ROUNDS; i++)
		write_and_read(i % 2 ? &own : &more, i % 2 ? &more : &own, i);
	iotlb(VHOST_IOTLB_INVALIDATE, &more);
	for (unsigned i = 0; i < ROUNDS; i++)
		write_and_read(&own, &own, i + 1);
	position_is_right();
	set_status(0);
	printf("vdpa_probe: %u requests, %s\n", nrequests, argv[2]);
	return 0;
}
