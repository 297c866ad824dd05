/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SSD as a PCI device: configuration space, BAR0 (registers and the page of doorbells), BAR4
 * (MSI-X table), interrupts. Interrupts go to the client's eventfds alone: whoever sets those need
 * not write the MSI-X table.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

/* Unassigned numbers, so that no driver finds quirks of somebody else's device under them. */
#define PCI_VENDOR 0x4e52
#define PCI_DEVICE 0x0001

/* Offsets in configuration space. */
enum {
	CFG_COMMAND = 0x04,
	CFG_STATUS = 0x06,
	CFG_CLASS = 0x08,
	CFG_BAR0 = 0x10,
	CFG_BAR4 = 0x20,
	CFG_SUBSYSTEM = 0x2c,
	CFG_CAPS = 0x34,
	CFG_IRQ_LINE = 0x3c,
	CFG_PM = 0x40,
	CFG_MSIX = 0x50,
	CFG_EXPRESS = 0x80,
	CFG_DEVCTL = CFG_EXPRESS + 8,
};
#define COMMAND_MASK 0x0406u /* memory, bus master, INTx off */
#define DEVCTL_FLR   0x8000u
#define BAR_MEM64    0x4u

static void put16(uint8_t *p, uint16_t v)
{
	le16 x = le16_make(v);

	memcpy(p, &x, 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	le32 x = le32_make(v);

	memcpy(p, &x, 4);
}

bool ssd_pci_is_master(const struct ssd *s)
{
	return s->pci.config[CFG_COMMAND] & 4;
}

void ssd_pci_reset(struct ssd *s)
{
	uint8_t *c = s->pci.config;

	memset(c, 0, SSD_CONFIG_BYTES);
	memset(s->pci.msix, 0, sizeof(s->pci.msix));
	put16(c, PCI_VENDOR);
	put16(c + 2, PCI_DEVICE);
	put16(c + CFG_STATUS, 0x10); /* has capabilities */
	put32(c + CFG_CLASS, NVME_PCI_CLASS << 8 | 1);
	put32(c + CFG_BAR0, BAR_MEM64);
	put32(c + CFG_BAR4, BAR_MEM64);
	put16(c + CFG_SUBSYSTEM, PCI_VENDOR);
	put16(c + CFG_SUBSYSTEM + 2, PCI_DEVICE);
	c[CFG_CAPS] = CFG_PM;
	put16(c + CFG_PM, CFG_MSIX << 8 | 0x01);
	put16(c + CFG_PM + 2, 0x0003);
	put16(c + CFG_PM + 4, 0x0008); /* no soft reset */
	put16(c + CFG_MSIX, CFG_EXPRESS << 8 | 0x11);
	put16(c + CFG_MSIX + 2,
	      (uint16_t)s->opts.queues); /* entries - 1: one for the admin queue */
	put32(c + CFG_MSIX + 4, 4);	 /* table: BAR4, 0 */
	put32(c + CFG_MSIX + 8, (SSD_MSIX_BYTES - 0x100) | 4); /* pending bits */
	put16(c + CFG_EXPRESS, 0x10);
	put16(c + CFG_EXPRESS + 2, 0x0002);	 /* version 2, endpoint */
	put32(c + CFG_EXPRESS + 4, 0x10008000u); /* role based errors, function level reset */
	for (unsigned v = 0; v <= s->opts.queues; v++)
		put32(s->pci.msix + v * 16 + 12, 1); /* masked */
}

static int bar_open(struct ssd_pci *p)
{
	p->bar_fd = memfd_create("nvring-ssd-bar0", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (p->bar_fd < 0 || ftruncate(p->bar_fd, SSD_BAR0_BYTES))
		return -errno;
	/* the client maps it, too: it must not be able to take it away from under us */
	if (fcntl(p->bar_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	p->bells = mmap(NULL, SSD_DB_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, p->bar_fd,
			NVME_REG_DOORBELLS);
	if (p->bells != MAP_FAILED)
		return 0;
	p->bells = NULL;
	return -errno;
}

void ssd_pci_init(struct ssd *s)
{
	for (unsigned v = 0; v < SSD_VECTORS_MAX; v++)
		s->pci.irq[v] = -1;
	s->pci.req_irq = -1;
	s->pci.err_irq = -1;
	s->pci.bar_fd = -1;
}

int ssd_pci_open(struct ssd *s, struct errbuf *eb)
{
	int err = bar_open(&s->pci);

	if (err)
		return errbuf_set(eb, err, "memory for the doorbells: %s", strerror(-err));
	ssd_pci_reset(s);
	return 0;
}

void ssd_pci_close(struct ssd *s)
{
	ssd_pci_forget(s);
	if (s->pci.bells)
		munmap(s->pci.bells, SSD_DB_BYTES);
	if (s->pci.bar_fd >= 0)
		close(s->pci.bar_fd);
}

static void irq_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ssd_pci_forget(struct ssd *s)
{
	for (unsigned v = 0; v < SSD_VECTORS_MAX; v++)
		irq_close(&s->pci.irq[v]);
	irq_close(&s->pci.req_irq);
	irq_close(&s->pci.err_irq);
}

int *ssd_pci_irq_slot(struct ssd *s, uint32_t index, uint32_t vector)
{
	switch (index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return vector <= s->opts.queues ? &s->pci.irq[vector] : NULL;
	case VFIO_PCI_ERR_IRQ_INDEX:
		return vector == 0 ? &s->pci.err_irq : NULL;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return vector == 0 ? &s->pci.req_irq : NULL;
	default:
		return NULL;
	}
}

uint32_t ssd_pci_irq_count(const struct ssd *s, uint32_t index)
{
	switch (index) {
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return s->opts.queues + 1;
	case VFIO_PCI_ERR_IRQ_INDEX:
	case VFIO_PCI_REQ_IRQ_INDEX:
		return 1;
	default:
		return 0;
	}
}

/*
 * The client made the eventfd, so it decides whether a write to a full one waits: where it would,
 * we look first. (A client that makes it blocking later, and full, stops its own device; RWF_NOWAIT
 * is not for writes to eventfds.)
 */
void ssd_pci_signal(int fd)
{
	const uint64_t one = 1;
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	int flags;

	if (fd < 0)
		return;
	flags = fcntl(fd, F_GETFL);
	if (!(flags & O_NONBLOCK) && poll(&room, 1, 0) != 1)
		return; /* full: it has been told already */
	if (write(fd, &one, sizeof(one)) < 0)
		return; /* the same */
}

void ssd_pci_irq(struct ssd *s, unsigned vector)
{
	if (vector >= SSD_VECTORS_MAX || s->pci.irq[vector] < 0)
		return;
	s->counters.irqs++;
	ssd_pci_signal(s->pci.irq[vector]);
}

uint64_t ssd_pci_region_bytes(const struct ssd *s, uint32_t region)
{
	(void)s;
	switch (region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return SSD_BAR0_BYTES;
	case VFIO_PCI_BAR4_REGION_INDEX:
		return SSD_MSIX_BYTES;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return SSD_CONFIG_BYTES;
	default:
		return 0;
	}
}

/* BAR0: registers below the doorbells; nothing behind them. */
static void bar0_read(struct ssd *s, uint64_t off, uint8_t *buf, uint32_t len)
{
	memset(buf, 0, len);
	if (off < NVME_REG_DOORBELLS) {
		uint32_t n = (uint32_t)CC_MIN(len, NVME_REG_DOORBELLS - off);

		ssd_ctrlr_read(s, off, buf, n);
	} else if (off < NVME_REG_DOORBELLS + SSD_DB_BYTES) {
		uint64_t at = off - NVME_REG_DOORBELLS;

		memcpy(buf, (uint8_t *)s->pci.bells + at, CC_MIN(len, SSD_DB_BYTES - at));
	}
}

static void bar0_write(struct ssd *s, uint64_t off, const uint8_t *buf, uint32_t len)
{
	if (off < NVME_REG_DOORBELLS) {
		ssd_ctrlr_write(s, off, buf, len);
	} else if (len == 4 && off % 4 == 0 && off < NVME_REG_DOORBELLS + SSD_DB_BYTES) {
		le32 v;

		memcpy(&v, buf, 4);
		ssd_queue_bell(s, off - NVME_REG_DOORBELLS, le32_get(v));
	}
}

static uint8_t config_mask(uint64_t off)
{
	static const struct {
		uint8_t off, mask;
	} writable[] = {
		{ CFG_COMMAND, COMMAND_MASK & 0xff },
		{ CFG_COMMAND + 1, COMMAND_MASK >> 8 },
		{ CFG_BAR0 + 1, 0xc0 }, /* 16 KiB */
		{ CFG_BAR0 + 2, 0xff },
		{ CFG_BAR0 + 3, 0xff },
		{ CFG_BAR0 + 4, 0xff },
		{ CFG_BAR0 + 5, 0xff },
		{ CFG_BAR0 + 6, 0xff },
		{ CFG_BAR0 + 7, 0xff },
		{ CFG_BAR4 + 1, 0xf0 }, /* 4 KiB */
		{ CFG_BAR4 + 2, 0xff },
		{ CFG_BAR4 + 3, 0xff },
		{ CFG_BAR4 + 4, 0xff },
		{ CFG_BAR4 + 5, 0xff },
		{ CFG_BAR4 + 6, 0xff },
		{ CFG_BAR4 + 7, 0xff },
		{ CFG_IRQ_LINE, 0xff },
		{ CFG_PM + 4, 0x03 },
		{ CFG_MSIX + 3, 0xc0 }, /* enable, mask all */
		{ CFG_DEVCTL, 0xff },
		{ CFG_DEVCTL + 1, 0x7f },
	};

	for (size_t i = 0; i < ARRAY_SIZE(writable); i++) {
		if (writable[i].off == off)
			return writable[i].mask;
	}
	return 0;
}

static void config_write(struct ssd *s, uint64_t off, const uint8_t *buf, uint32_t len)
{
	bool flr = false;

	for (uint32_t i = 0; i < len; i++) {
		uint8_t mask = config_mask(off + i), *c = &s->pci.config[off + i];

		*c = (uint8_t)((*c & ~mask) | (buf[i] & mask));
		flr |= off + i == CFG_DEVCTL + 1 && (buf[i] & DEVCTL_FLR >> 8);
	}
	if (flr)
		ssd_ctrlr_flr(s);
}

static bool access_is_inside(const struct ssd *s, uint32_t region, uint64_t off, uint32_t len)
{
	uint64_t bytes = ssd_pci_region_bytes(s, region);

	return len <= bytes && off <= bytes - len;
}

int ssd_pci_read(struct ssd *s, uint32_t region, uint64_t off, void *buf, uint32_t len)
{
	if (!access_is_inside(s, region, off, len))
		return -EINVAL;
	s->counters.region_reads++;
	if (s->removed)
		memset(buf, 0xff, len);
	else if (region == VFIO_PCI_BAR0_REGION_INDEX)
		bar0_read(s, off, buf, len);
	else if (region == VFIO_PCI_BAR4_REGION_INDEX)
		memcpy(buf, s->pci.msix + off, len);
	else
		memcpy(buf, s->pci.config + off, len);
	return 0;
}

int ssd_pci_write(struct ssd *s, uint32_t region, uint64_t off, const void *buf, uint32_t len)
{
	if (!access_is_inside(s, region, off, len))
		return -EINVAL;
	s->counters.region_writes++;
	if (s->removed)
		return 0;
	if (region == VFIO_PCI_BAR0_REGION_INDEX)
		bar0_write(s, off, buf, len);
	else if (region == VFIO_PCI_BAR4_REGION_INDEX) {
		if (off + len <= (s->opts.queues + 1) * 16u)
			memcpy(s->pci.msix + off, buf, len);
	} else {
		config_write(s, off, buf, len);
	}
	return 0;
}
