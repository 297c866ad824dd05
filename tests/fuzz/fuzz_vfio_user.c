/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server made of fuzz, against the client that opens its device and uses it.
 *
 * Input: a byte (bit 0: the device is described by a good server, the fuzz begins when it is open),
 * then records of { how, length / 4 } and the body of a reply. `how`, bits 0-1: fds with it; bit 2:
 * an error; bit 3: a command instead of a reply; bit 4: the whole message is the body's bytes; bit
 * 5: the announced size is one more. Message ids follow the client's; so do commands, as long as it
 * asks what is expected. All replies lie in the socket before the client asks; after them it ends.
 * The whole input is parsed as an IOMMU's description, too.
 */
#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "core/base/log.h"
#include "core/dma.h"
#include "core/hugemem.h"
#include "drivers/vfio/vfio_dev.h"
#include "drivers/vfio/vfio_info.h"
#include "drivers/vfio/vfio_user.h"
#include "drivers/vfio/vfio_user_wire.h"

#define BODY_MAX    1024u
#define RECORDS_MAX 64
#define BAR0_BYTES  0x2000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hugemem memory;
static int memfd, event;

/* What the client asks, in its order. */
static const uint16_t asked[] = {
	VFIO_USER_VERSION,
	VFIO_USER_DEVICE_GET_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_REGION_INFO,
	VFIO_USER_DEVICE_GET_IRQ_INFO,
	VFIO_USER_DEVICE_GET_IRQ_INFO,
	VFIO_USER_DMA_MAP, /* the device is open */
	VFIO_USER_REGION_READ,
	VFIO_USER_REGION_WRITE,
	VFIO_USER_DEVICE_SET_IRQS,
	VFIO_USER_DEVICE_SET_IRQS,
	VFIO_USER_DEVICE_SET_IRQS,
	VFIO_USER_REGION_READ,
	VFIO_USER_DEVICE_RESET,
	VFIO_USER_REGION_WRITE,
	VFIO_USER_DMA_UNMAP,
};
#define ASKED_OPEN 11

static void no_log(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	(void)text;
}

static void setup(void)
{
	log_set_sink(no_log);
	memfd = memfd_create("region", MFD_CLOEXEC);
	event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (memfd < 0 || event < 0 || ftruncate(memfd, BAR0_BYTES) ||
	    hugemem_alloc(&memory, 8192, "fuzz"))
		abort();
}

static void put(int fd, const void *buf, size_t len, unsigned nfds)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	const int fds[3] = { memfd, memfd, memfd };
	struct fdmsg f;

	if (len == 0)
		return;
	fdmsg_put(&mh, &f, fds, nfds);
	(void)sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
}

struct message {
	struct vfio_user_header h;
	uint8_t body[BODY_MAX];
};

/* The @n-th reply of a good server. */
static void put_good(int fd, unsigned n)
{
	static const char json[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8}}";
	const uint32_t info[4] = { 16, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, 9, 5 };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .flags = VFIO_IRQ_INFO_EVENTFD };
	struct message m = { .h = { (uint16_t)(n + 1), asked[n], 0, VFIO_USER_F_REPLY, 0 } };
	size_t len = sizeof(info);

	switch (asked[n]) {
	case VFIO_USER_VERSION:
		memcpy(m.body, json, len = sizeof(json));
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		memcpy(m.body, info, len);
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		region.index = n - 2;
		region.size = n == 2 ? BAR0_BYTES : n == 8 ? 256 : 0;
		region.flags = n == 2 ? VFIO_REGION_INFO_FLAG_MMAP : 0;
		memcpy(m.body, &region, len = sizeof(region));
		break;
	default:
		irq.count = n == 9 ? 4 : 0;
		memcpy(m.body, &irq, len = sizeof(irq));
	}
	m.h.bytes = (uint32_t)(sizeof(m.h) + len);
	put(fd, &m, m.h.bytes, n == 2);
}

/* One record; returns the bytes it took, 0: the end. */
static size_t put_record(int fd, const uint8_t *data, size_t size, unsigned *n)
{
	struct message m = { 0 };
	size_t len;

	if (size < 2)
		return 0;
	len = CC_MIN(CC_MIN((size_t)data[1] * 4, size - 2), (size_t)BODY_MAX);
	memcpy(m.body, data + 2, len);
	if (data[0] & 0x10) {
		put(fd, m.body, len, data[0] & 3);
		return 2 + len;
	}
	m.h = (struct vfio_user_header){ (uint16_t)(*n + 1),
					 asked[CC_MIN(*n, (unsigned)ARRAY_SIZE(asked) - 1)],
					 (uint32_t)(sizeof(m.h) + len + (data[0] >> 5 & 1)),
					 VFIO_USER_F_REPLY, 0 };
	if (data[0] & 4) {
		m.h.flags |= VFIO_USER_F_ERROR;
		m.h.error = data[1];
	}
	if (data[0] & 8)
		m.h.flags = VFIO_USER_F_COMMAND;
	else
		(*n)++;
	put(fd, &m, sizeof(m.h) + len, data[0] & 3);
	return 2 + len;
}

/* Whatever it says, the device is used like any other. */
static void use(struct vfio_dev *dev)
{
	bool mapped = hugemem_dma_add(&memory) == 0;
	uint64_t value = 0;
	size_t len;
	void *va;

	if (mapped && dma_xlate(vfio_dev_domain(dev), memory.va, &len) == DMA_IOVA_NONE)
		abort();
	(void)vfio_dev_region_read(dev, VFIO_DEV_BAR0, 0, &value, 8);
	(void)vfio_dev_region_write(dev, VFIO_DEV_BAR0, 8, &value, 4);
	if (vfio_dev_region_map(dev, VFIO_DEV_BAR0, 0x1000, 0x1000, &va) == 0)
		*(volatile uint32_t *)va = 1;
	if (vfio_dev_vectors(dev) > VFIO_DEV_VECTORS_MAX)
		abort();
	(void)vfio_dev_set_vectors(dev, &event, 1);
	(void)vfio_dev_reset(dev);
	if (vfio_dev_region_bytes(dev, VFIO_DEV_BAR0) >= 0x1004)
		vfio_dev_post(dev, VFIO_DEV_BAR0, 0x1000, 1);
	if (mapped)
		hugemem_dma_del(&memory);
}

static void iommu_try(const uint8_t *data, size_t size)
{
	struct vfio_iommu iommu;
	struct vfio_iova a;
	uint64_t iova;

	if (vfio_iommu_parse(data, size, &iommu))
		return;
	if (vfio_iova_init(&a, iommu.window, iommu.nwindows, iommu.page_bytes, 8) == 0)
		for (unsigned i = 0; i < 8; i++)
			if (vfio_iova_alloc(&a, iommu.page_bytes << (i * 5 % 16), &iova) == 0 &&
			    iova == 0)
				abort();
	vfio_iova_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vfio_user_opts opts = { .name = "fuzz" };
	struct vfio_dev *dev;
	struct errbuf eb = { "" };
	size_t used = 1;
	unsigned n = 0;
	int fds[2];

	if (memfd == 0)
		setup();
	if (size < 1)
		return 0;
	iommu_try(data, size);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		abort();
	for (; data[0] & 1 && n < ASKED_OPEN; n++)
		put_good(fds[1], n);
	for (unsigned i = 0; i < RECORDS_MAX; i++) {
		size_t took = put_record(fds[1], data + used, size - used, &n);

		if (!took)
			break;
		used += took;
	}
	shutdown(fds[1], SHUT_WR);
	if (vfio_user_open_fd(fds[0], &opts, &dev, &eb) == 0) {
		use(dev);
		vfio_dev_close(dev);
	} else if (!eb.text[0]) {
		abort();
	} else if (data[0] & 1) {
		abort(); /* a good server */
	}
	close(fds[1]);
	if (dma_region_count() != 0)
		abort();
	return 0;
}
