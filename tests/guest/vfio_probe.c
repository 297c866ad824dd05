/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes an NVMe function through drivers/vfio and tries what can be tried with it, in the order of
 * its arguments.
 *
 *   vfio_probe [-m MIB] ADDRESS COMMAND…      ADDRESS: 0000:01:00.0, or the path of a vfio-user
 * socket
 *
 *   ids            vendor, device and class from config space
 *   registers      CAP and VS: the BAR's mapping and region reads agree
 *   admin          enables the controller, lets it identify itself into our memory, waits for its
 * interrupt reset          an enabled controller is not ready any more vectors        all MSI-X
 * vectors, then one, then none map N MIB BITS N regions of MIB MiB at a time: addresses within BITS
 * bits, aligned, not in the MSI window removal        waits until the device is asked back hold
 * waits for the end of standard input
 *
 * -m: this much memory is there before the device is taken. One line for each command; "error: …"
 * and exit 1.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "core/dma.h"
#include "core/hugemem.h"
#include "drivers/vfio/vfio_dev.h"
#include "drivers/vfio/vfio_iova.h"

#define REG_CAP	    0x00 /* NVM Express base specification, controller properties */
#define REG_VS	    0x08
#define REG_CC	    0x14
#define REG_CSTS    0x1c
#define REG_AQA	    0x24
#define REG_ASQ	    0x28
#define REG_ACQ	    0x30
#define DOORBELLS   0x1000
#define CC_ENABLE   0x00460001u /* 64-byte and 16-byte entries, 4 KiB pages, NVM command set */
#define WAIT_MS	    30000
#define MIB	    (1024ull * 1024)
#define REGIONS_MAX 1024

static struct vfio_dev *dev;

static int check(bool ok, const char *what)
{
	if (!ok)
		printf("error: %s\n", what);
	return ok ? 0 : -1;
}

static uint64_t reg_read(unsigned off, size_t len)
{
	uint64_t value = 0;
	int err = vfio_dev_region_read(dev, VFIO_DEV_BAR0, off, &value, len);

	if (err)
		printf("register 0x%x: %s\n", off, strerror(-err));
	return value;
}

static void reg_write(unsigned off, uint64_t value, size_t len)
{
	int err = vfio_dev_region_write(dev, VFIO_DEV_BAR0, off, &value, len);

	if (err)
		printf("register 0x%x: %s\n", off, strerror(-err));
}

static int probe_ids(void)
{
	uint16_t vendor = 0, device = 0;
	uint8_t class[3] = { 0 };

	if (vfio_dev_region_read(dev, VFIO_DEV_CONFIG, 0, &vendor, 2) ||
	    vfio_dev_region_read(dev, VFIO_DEV_CONFIG, 2, &device, 2) ||
	    vfio_dev_region_read(dev, VFIO_DEV_CONFIG, 9, class, 3))
		return check(false, "config space cannot be read");
	printf("ids %04x:%04x class %02x%02x%02x\n", vendor, device, class[2], class[1], class[0]);
	return 0;
}

static int probe_registers(void)
{
	volatile uint64_t *cap;
	void *va;
	int err = vfio_dev_region_map(dev, VFIO_DEV_BAR0, 0, 0x1000, &va);
	uint64_t want = reg_read(REG_CAP, 8);
	uint32_t version = (uint32_t)reg_read(REG_VS, 4);

	if (err == -ENOTSUP) {
		printf("registers CAP %016llx VS %08x, not mapped\n", (unsigned long long)want,
		       version);
		return 0;
	}
	if (err)
		return check(false, strerror(-err));
	cap = va;
	printf("registers CAP %016llx VS %08x\n", (unsigned long long)cap[0],
	       *((volatile uint32_t *)va + 2));
	return check(cap[0] == want && *((volatile uint32_t *)va + 2) == version && want &&
			     want != UINT64_MAX,
		     "the mapping and region reads differ");
}

static bool ready_becomes(unsigned want)
{
	uint64_t end = mono_ns() + WAIT_MS * MONO_NS_PER_MS;

	while ((reg_read(REG_CSTS, 4) & 1) != want) {
		if (mono_ns() > end)
			return false;
		usleep(1000);
	}
	return true;
}

/* Identify controller: what the device writes at our address is its serial number. */
static int admin_identify(struct hugemem *m, int event)
{
	uint32_t *sqe = m->va, *cqe = (uint32_t *)((char *)m->va + 4096);
	const char *data = (const char *)m->va + 8192;
	struct pollfd pfd = { .fd = event, .events = POLLIN };
	size_t len;
	uint64_t iova = dma_xlate(vfio_dev_domain(dev), m->va, &len);
	void *doorbell;
	int err;

	reg_write(REG_AQA, 0x000f000f, 4);
	reg_write(REG_ASQ, iova, 8);
	reg_write(REG_ACQ, iova + 4096, 8);
	reg_write(REG_CC, CC_ENABLE, 4);
	if (check(ready_becomes(1), "the controller does not become ready"))
		return -1;
	sqe[0] = 0x00420006; /* identify, command id 0x42 */
	memcpy(&sqe[6], &(uint64_t){ iova + 8192 }, 8);
	sqe[10] = 1;
	err = vfio_dev_region_map(dev, VFIO_DEV_BAR0, DOORBELLS, 8, &doorbell);
	if (err && err != -ENOTSUP)
		return check(false, "the doorbells cannot be mapped");
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (err)
		vfio_dev_post(dev, VFIO_DEV_BAR0, DOORBELLS, 1);
	else
		*(volatile uint32_t *)doorbell = 1;
	if (check(poll(&pfd, 1, WAIT_MS) == 1, "no interrupt"))
		return -1;
	if (check((cqe[3] & 0xffff) == 0x42 && cqe[3] >> 16 == 1, "no good completion"))
		return -1;
	printf("admin serial %.20s\n", data + 4);
	reg_write(REG_CC, CC_ENABLE & ~1u, 4);
	return check(ready_becomes(0), "the controller stays ready");
}

static int probe_admin(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), err;
	struct hugemem m;

	if (hugemem_alloc(&m, 3 * 4096, "admin"))
		return check(false, "no memory");
	err = hugemem_dma_add(&m);
	if (err)
		return check(false, strerror(-err));
	err = vfio_dev_bus_master(dev, true);
	if (!err)
		err = vfio_dev_set_vectors(dev, &event, 1);
	err = err ? check(false, strerror(-err)) : admin_identify(&m, event);
	if (vfio_dev_set_vectors(dev, NULL, 0) || vfio_dev_bus_master(dev, false))
		err = check(false, "interrupts and bus mastering do not go off");
	hugemem_dma_del(&m);
	hugemem_free(&m);
	close(event);
	return err;
}

static int probe_reset(void)
{
	int err;

	reg_write(REG_AQA, 0x000f000f, 4);
	reg_write(REG_ASQ, 0x10000, 8);
	reg_write(REG_ACQ, 0x11000, 8);
	reg_write(REG_CC, CC_ENABLE, 4);
	if (check(ready_becomes(1), "the controller does not become ready"))
		return -1;
	err = vfio_dev_reset(dev);
	if (err)
		return check(false, strerror(-err));
	printf("reset CC %x CSTS %x\n", (unsigned)reg_read(REG_CC, 4), (unsigned)reg_read(REG_CSTS, 4));
	return check((reg_read(REG_CSTS, 4) & 1) == 0, "the reset did not reset");
}

/* Interrupts the kernel has set up for VFIO devices. */
static unsigned vectors_of_kernel(void)
{
	FILE *f = fopen("/proc/interrupts", "re");
	char line[1024];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "vfio-msix") != NULL;
	if (f)
		fclose(f);
	return n;
}

static int probe_vectors(void)
{
	unsigned n = vfio_dev_vectors(dev), seen[3] = { 0 };
	int fds[VFIO_DEV_VECTORS_MAX];

	for (unsigned i = 0; i < n; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < 3; i++) {
		int err = vfio_dev_set_vectors(dev, fds, i == 0 ? 1 : i == 1 ? n : 0);

		if (err)
			return check(false, strerror(-err));
		seen[i] = vectors_of_kernel();
	}
	printf("vectors %u of %u, then %u, then %u\n", seen[1], n, seen[0], seen[2]);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return 0;
}

static int map_check(void *va, size_t bytes, unsigned bits, uint64_t *highest)
{
	size_t len;
	uint64_t iova = dma_xlate(vfio_dev_domain(dev), va, &len);

	if (check(iova != DMA_IOVA_NONE && len == bytes, "a region is not translated") ||
	    check(iova != 0 && iova != (uintptr_t)va, "a strange address") ||
	    check(iova % (bytes >= 2 * MIB ? 2 * MIB : 4096) == 0,
		  "an address of poor alignment") ||
	    check(iova + bytes - 1 < VFIO_IOVA_MSI_FIRST || iova > VFIO_IOVA_MSI_LAST,
		  "an address in the MSI window") ||
	    check(bits == 64 || (iova + bytes - 1) >> bits == 0,
		  "an address the IOMMU does not have"))
		return -1;
	*highest = CC_MAX(*highest, iova + bytes - 1);
	return 0;
}

/* The same memory over and over, at another address of ours each time. */
static int probe_map(unsigned n, uint64_t mib, unsigned bits)
{
	const size_t bytes = mib * MIB;
	static void *va[REGIONS_MAX];
	uint64_t highest = 0;
	struct hugemem m;
	unsigned mapped = 0;
	int err = 0;

	if (check(n <= REGIONS_MAX && hugemem_alloc(&m, bytes, "map") == 0, "no memory"))
		return -1;
	for (; mapped < n && !err; mapped++) {
		va[mapped] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
		err = dma_region_add(
			&(struct dma_region){ .va = va[mapped], .len = bytes, .fd = m.fd });
		if (err) {
			printf("error: region %u: %s\n", mapped, strerror(-err));
			break;
		}
		err = map_check(va[mapped], bytes, bits, &highest);
	}
	for (unsigned i = 0; i < mapped; i++) {
		if (dma_region_del(va[i], bytes))
			err = check(false, "a region cannot be unmapped");
		munmap(va[i], bytes);
	}
	hugemem_free(&m);
	if (!err)
		printf("map %u regions of %llu MiB up to %llx\n", n, (unsigned long long)mib,
		       (unsigned long long)highest);
	return err;
}

static int probe_removal(void)
{
	struct pollfd pfd = { .fd = vfio_dev_removal_fd(dev), .events = POLLIN };

	if (check(pfd.fd >= 0, "the device cannot tell") ||
	    check(poll(&pfd, 1, 0) == 0, "asked back too early"))
		return -1;
	puts("MARK unplug");
	if (check(poll(&pfd, 1, WAIT_MS * 2) == 1, "never asked back"))
		return -1;
	usleep(10000);
	if (check(poll(&pfd, 1, 0) == 1, "asked back only for a moment"))
		return -1;
	puts("removal");
	return 0;
}

static int probe_hold(void)
{
	char c;

	puts("hold");
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}

static int probe(char ***argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} commands[] = {
		{ "ids", probe_ids },	      { "registers", probe_registers },
		{ "admin", probe_admin },     { "reset", probe_reset },
		{ "vectors", probe_vectors }, { "removal", probe_removal },
		{ "hold", probe_hold },
	};
	const char *name = *(*argv)++;

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run();
	if (strcmp(name, "map") == 0 && (*argv)[0] && (*argv)[1] && (*argv)[2]) {
		unsigned long n = strtoul(*(*argv)++, NULL, 10),
			      mib = strtoul(*(*argv)++, NULL, 10);

		return probe_map((unsigned)n, mib, (unsigned)strtoul(*(*argv)++, NULL, 10));
	}
	return check(false, "unknown command");
}

int main(int argc, char **argv)
{
	struct hugemem m = { .fd = -1 };
	struct errbuf eb = { "?" };
	int err = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2 && strcmp(argv[1], "-m") == 0) {
		if (hugemem_alloc(&m, strtoul(argv[2], NULL, 10) * MIB, "before") ||
		    hugemem_dma_add(&m))
			return check(false, "no memory") ? 1 : 0;
		argv += 2;
	}
	if (!argv[1])
		return 2;
	err = strchr(argv[1], '/') ? vfio_user_open(argv[1], &dev, &eb)
				   : vfio_kernel_open(argv[1], &dev, &eb);
	if (err) {
		printf("error: %s (%s)\n", eb.text, strerrorname_np(-err));
		return 1;
	}
	argv += 2;
	while (*argv && !err)
		err = probe(&argv);
	vfio_dev_close(dev);
	if (m.fd >= 0)
		hugemem_dma_del(&m);
	hugemem_free(&m);
	return err ? 1 : 0;
}
