/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses to controllers: VFIO devices as NVMe hardware, and who has which controller open. */
#include "drivers/nvme/nvme_probe.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "core/base/list.h"
#include "drivers/nvme/nvme_hw.h"
#include "drivers/nvme/nvme_spec.h"
#include "drivers/vfio/vfio_dev.h"

#define VFIO_USER_PREFIX "vfio-user:"
#define CLASS_OFF	 0x09 /* of the class code in configuration space, 3 bytes */

enum entry_state {
	ENTRY_OPENING,
	ENTRY_OPEN,
	ENTRY_CLOSING,
};

struct entry {
	struct list link;
	char address[NVME_ADDRESS_MAX]; /* canonical */
	enum entry_state state;
	unsigned refs;
	struct nvme_ctrlr *ctrlr;
	struct nvme_hw hw;
	struct vfio_dev *dev; /* NULL: the controller has given it back */
};

/* Guards the list and what is in it; not held while a controller is opened or closed. */
static pthread_mutex_t entries_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t entries_changed = PTHREAD_COND_INITIALIZER;
static struct list entries = { &entries, &entries };

/*
 * The hardware
 */

static struct entry *entry_of(struct nvme_hw *hw)
{
	return container_of(hw, struct entry, hw);
}

static int hw_read(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t *ret_value)
{
	le32 v32;
	le64 v64;
	int err;

	if (bytes == 8) {
		err = vfio_dev_region_read(entry_of(hw)->dev, VFIO_DEV_BAR0, off, &v64,
					   sizeof(v64));
		*ret_value = err ? 0 : le64_get(v64);
	} else {
		err = vfio_dev_region_read(entry_of(hw)->dev, VFIO_DEV_BAR0, off, &v32,
					   sizeof(v32));
		*ret_value = err ? 0 : le32_get(v32);
	}
	return err;
}

static int hw_write(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t value)
{
	const le32 v32 = le32_make((uint32_t)value);
	const le64 v64 = le64_make(value);

	if (bytes == 8)
		return vfio_dev_region_write(entry_of(hw)->dev, VFIO_DEV_BAR0, off, &v64,
					     sizeof(v64));
	return vfio_dev_region_write(entry_of(hw)->dev, VFIO_DEV_BAR0, off, &v32, sizeof(v32));
}

static void hw_doorbell(struct nvme_hw *hw, uint32_t off, uint32_t value)
{
	vfio_dev_post(entry_of(hw)->dev, VFIO_DEV_BAR0, off, value);
}

static int hw_set_vectors(struct nvme_hw *hw, const int *fds, unsigned n)
{
	return vfio_dev_set_vectors(entry_of(hw)->dev, fds, n);
}

static int hw_reset(struct nvme_hw *hw)
{
	int err = vfio_dev_reset(entry_of(hw)->dev);

	return err ? err : vfio_dev_bus_master(entry_of(hw)->dev, true);
}

static void hw_close(struct nvme_hw *hw)
{
	struct entry *e = entry_of(hw);

	vfio_dev_close(e->dev);
	e->dev = NULL;
}

static const struct nvme_hw_ops hw_ops = {
	.read = hw_read,
	.write = hw_write,
	.doorbell = hw_doorbell,
	.set_vectors = hw_set_vectors,
	.reset = hw_reset,
	.close = hw_close,
};

static volatile void *map_part(struct vfio_dev *dev, uint64_t off, uint64_t len)
{
	void *va;

	return len && !vfio_dev_region_map(dev, VFIO_DEV_BAR0, off, len, &va) ? va : NULL;
}

/* As much of BAR0 as can be mapped: all of it, or registers and doorbells each on their own. */
static void hw_map(struct entry *e, uint64_t bar_bytes)
{
	struct nvme_hw *hw = &e->hw;

	hw->doorbells_bytes = bar_bytes - NVME_REG_DOORBELLS;
	hw->regs = map_part(e->dev, 0, bar_bytes);
	if (hw->regs) {
		hw->regs_bytes = bar_bytes;
		hw->doorbells = (volatile char *)hw->regs + NVME_REG_DOORBELLS;
		return;
	}
	hw->regs = map_part(e->dev, 0, NVME_REG_DOORBELLS);
	hw->regs_bytes = hw->regs ? NVME_REG_DOORBELLS : 0;
	hw->doorbells = map_part(e->dev, NVME_REG_DOORBELLS, hw->doorbells_bytes);
	if (hw->doorbells)
		return;
	/* the interrupt table may lie behind them: a page holds those of 511 queues */
	hw->doorbells = map_part(e->dev, NVME_REG_DOORBELLS, NVME_PAGE_BYTES_MIN);
	if (hw->doorbells)
		hw->doorbells_bytes = NVME_PAGE_BYTES_MIN;
}

static int hw_check(struct entry *e, struct errbuf *eb)
{
	uint64_t bar_bytes = vfio_dev_region_bytes(e->dev, VFIO_DEV_BAR0);
	uint8_t class[3] = { 0 };
	uint32_t code;
	int err = vfio_dev_region_read(e->dev, VFIO_DEV_CONFIG, CLASS_OFF, class, sizeof(class));

	if (err)
		return errbuf_set(eb, err, "%s: configuration space: %s", e->address,
				  strerror(-err));
	code = class[0] | (uint32_t) class[1] << 8 | (uint32_t) class[2] << 16;
	if (code != NVME_PCI_CLASS)
		return errbuf_set(eb, -ENOTSUP,
				  "%s is no NVMe controller: its class is %06x, not %06x",
				  e->address, code, NVME_PCI_CLASS);
	if (bar_bytes < NVME_REG_DOORBELLS + 2 * sizeof(le32))
		return errbuf_set(eb, -ENOTSUP, "%s is no NVMe controller: its BAR0 has %llu bytes",
				  e->address, (unsigned long long)bar_bytes);
	return 0;
}

static int hw_open(struct entry *e, struct errbuf *eb)
{
	size_t prefix = strlen(VFIO_USER_PREFIX);
	int err;

	if (!strncmp(e->address, VFIO_USER_PREFIX, prefix))
		err = vfio_user_open(e->address + prefix, &e->dev, eb);
	else
		err = vfio_kernel_open(e->address, &e->dev, eb);
	if (err)
		return err;
	err = hw_check(e, eb);
	if (!err) {
		err = vfio_dev_bus_master(e->dev, true);
		if (err)
			errbuf_write(eb, "%s: bus mastering: %s", e->address, strerror(-err));
	}
	if (err) {
		vfio_dev_close(e->dev);
		e->dev = NULL;
		return err;
	}
	e->hw = (struct nvme_hw){
		.ops = &hw_ops,
		.dma = vfio_dev_domain(e->dev),
		.nvectors = vfio_dev_vectors(e->dev),
		.removal_fd = vfio_dev_removal_fd(e->dev),
	};
	hw_map(e, vfio_dev_region_bytes(e->dev, VFIO_DEV_BAR0));
	(void)snprintf(e->hw.name, sizeof(e->hw.name), "%s", e->address);
	return 0;
}

/*
 * Who has what open
 */

/* DDDD:BB:DD.F in lower case; the domain may be left out. Sockets as they are. */
static int address_parse(const char *text, char *ret_address, struct errbuf *eb)
{
	unsigned domain = 0, bus, dev, fn;
	size_t len = strlen(text);
	int end = 0;

	if (len >= NVME_ADDRESS_MAX)
		return errbuf_set(eb, -EINVAL, "address '%.40s…' is longer than %d characters",
				  text, NVME_ADDRESS_MAX - 1);
	if (!strncmp(text, VFIO_USER_PREFIX, strlen(VFIO_USER_PREFIX))) {
		if (len == strlen(VFIO_USER_PREFIX))
			return errbuf_set(eb, -EINVAL, "the socket is missing (vfio-user:SOCKET)");
		(void)snprintf(ret_address, NVME_ADDRESS_MAX, "%s", text);
		return 0;
	}
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &end) != 4 || text[end]) {
		domain = 0;
		end = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &dev, &fn, &end) != 3 || text[end])
			return errbuf_set(
				eb, -EINVAL,
				"'%s' is no PCI address (0000:01:00.0) and no vfio-user:SOCKET",
				text);
	}
	if (dev > 31 || fn > 7)
		return errbuf_set(eb, -EINVAL, "PCI address '%s': devices go to 1f, functions to 7",
				  text);
	(void)snprintf(ret_address, NVME_ADDRESS_MAX, "%04x:%02x:%02x.%x", domain, bus, dev, fn);
	return 0;
}

/* Under the lock. */
static struct entry *entry_find(const char *address)
{
	struct list *pos;

	list_for_each (pos, &entries) {
		struct entry *e = list_entry(pos, struct entry, link);

		if (!strcmp(e->address, address))
			return e;
	}
	return NULL;
}

/* Under the lock. NULL: nobody has it open, nobody is about to. */
static struct entry *entry_settled(const char *address)
{
	struct entry *e;

	while ((e = entry_find(address)) != NULL && e->state != ENTRY_OPEN)
		pthread_cond_wait(&entries_changed, &entries_lock);
	return e;
}

/* Under the lock. */
static void entry_drop(struct entry *e)
{
	list_del(&e->link);
	free(e);
	pthread_cond_broadcast(&entries_changed);
}

static int entry_open(struct entry *e, const struct nvme_ctrlr_opts *opts, struct errbuf *eb)
{
	struct nvme_ctrlr *ctrlr = NULL;
	int err = hw_open(e, eb);

	if (!err)
		err = nvme_ctrlr_open(&e->hw, opts, &ctrlr, eb);
	pthread_mutex_lock(&entries_lock);
	if (err) {
		entry_drop(e);
	} else {
		e->ctrlr = ctrlr;
		e->state = ENTRY_OPEN;
		pthread_cond_broadcast(&entries_changed);
	}
	pthread_mutex_unlock(&entries_lock);
	return err;
}

int nvme_probe_get(const char *text, const struct nvme_ctrlr_opts *opts,
		   struct nvme_ctrlr **ret_ctrlr, struct errbuf *eb)
{
	char address[NVME_ADDRESS_MAX];
	struct entry *e;
	bool is_new = false;
	int err = address_parse(text, address, eb);

	if (err)
		return err;
	pthread_mutex_lock(&entries_lock);
	e = entry_settled(address);
	if (e) {
		e->refs++;
	} else {
		e = calloc(1, sizeof(*e));
		is_new = e != NULL;
		if (e) {
			memcpy(e->address, address, sizeof(address));
			e->refs = 1;
			list_add_tail(&entries, &e->link);
		}
	}
	pthread_mutex_unlock(&entries_lock);
	if (!e)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = is_new ? entry_open(e, opts, eb) : 0;
	if (!err)
		*ret_ctrlr = e->ctrlr;
	return err;
}

/* Under the lock. */
static struct entry *entry_of_ctrlr(const struct nvme_ctrlr *ctrlr)
{
	struct list *pos;

	list_for_each (pos, &entries)
		if (list_entry(pos, struct entry, link)->ctrlr == ctrlr)
			return list_entry(pos, struct entry, link);
	return NULL;
}

void nvme_probe_put(struct nvme_ctrlr *ctrlr)
{
	struct entry *e;
	bool is_last;

	pthread_mutex_lock(&entries_lock);
	e = entry_of_ctrlr(ctrlr);
	assert(e && e->state == ENTRY_OPEN && e->refs > 0);
	is_last = --e->refs == 0;
	if (is_last)
		e->state = ENTRY_CLOSING;
	pthread_mutex_unlock(&entries_lock);
	if (!is_last)
		return;
	nvme_ctrlr_close(ctrlr);
	pthread_mutex_lock(&entries_lock);
	entry_drop(e);
	pthread_mutex_unlock(&entries_lock);
}

struct nvme_ctrlr *nvme_probe_find(const char *text)
{
	char address[NVME_ADDRESS_MAX];
	struct nvme_ctrlr *ctrlr = NULL;
	struct entry *e;

	if (address_parse(text, address, NULL))
		return NULL;
	pthread_mutex_lock(&entries_lock);
	e = entry_find(address);
	if (e && e->state == ENTRY_OPEN) {
		e->refs++;
		ctrlr = e->ctrlr;
	}
	pthread_mutex_unlock(&entries_lock);
	return ctrlr;
}

void nvme_probe_for_each(bool (*fn)(struct nvme_ctrlr *ctrlr, void *arg), void *arg)
{
	struct list *pos;

	pthread_mutex_lock(&entries_lock);
	list_for_each (pos, &entries) {
		struct entry *e = list_entry(pos, struct entry, link);

		if (e->state == ENTRY_OPEN && !fn(e->ctrlr, arg))
			break;
	}
	pthread_mutex_unlock(&entries_lock);
}
