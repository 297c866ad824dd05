/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers by address: VFIO devices made into hardware for the driver, each opened once and counted. */
#include "drivers/nvme/nvme_probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/list.h"
#include "drivers/vfio/vfio_dev.h"

#define USER_PREFIX	    "vfio-user:"
#define PCI_CLASS_OFF	    0x08  /* class in bits 31:8, revision in 7:0 */
#define DOORBELLS_BYTES_MAX 65536 /* of 4096 queue pairs 8 bytes each, twice */
#define PAGE_BYTES	    4096

/*
 * The hardware behind a VFIO device
 */
struct probe_hw {
	struct nvme_hw hw;
	struct vfio_dev *dev;
};

static struct vfio_dev *dev_of(struct nvme_hw *hw)
{
	return container_of(hw, struct probe_hw, hw)->dev;
}

static int probe_read(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t *ret_value)
{
	uint64_t value = 0;
	int err = vfio_dev_region_read(dev_of(hw), VFIO_DEV_BAR0, off, &value, bytes);

	if (!err)
		*ret_value = value;
	return err;
}

static int probe_write(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t value)
{
	return vfio_dev_region_write(dev_of(hw), VFIO_DEV_BAR0, off, &value, bytes);
}

static void probe_doorbell(struct nvme_hw *hw, uint32_t off, uint32_t value)
{
	vfio_dev_post(dev_of(hw), VFIO_DEV_BAR0, off, value);
}

static int probe_set_vectors(struct nvme_hw *hw, const int *fds, unsigned n)
{
	return vfio_dev_set_vectors(dev_of(hw), fds, n);
}

static int probe_reset(struct nvme_hw *hw)
{
	return vfio_dev_reset(dev_of(hw));
}

static void probe_close(struct nvme_hw *hw)
{
	struct probe_hw *p = container_of(hw, struct probe_hw, hw);

	vfio_dev_close(p->dev);
	free(p);
}

static const struct nvme_hw_ops probe_ops = {
	.read = probe_read,
	.write = probe_write,
	.doorbell = probe_doorbell,
	.set_vectors = probe_set_vectors,
	.reset = probe_reset,
	.close = probe_close,
};

/* What can be mapped of BAR0: perhaps only the doorbells (vfio-user), or all but the pages of the MSI-X table. */
static void map_bar(struct probe_hw *p)
{
	uint64_t bar = vfio_dev_region_bytes(p->dev, VFIO_DEV_BAR0), bytes;
	void *va;

	if (!vfio_dev_region_map(p->dev, VFIO_DEV_BAR0, 0, NVME_REG_DOORBELLS, &va)) {
		p->hw.regs = va;
		p->hw.regs_bytes = NVME_REG_DOORBELLS;
	}
	p->hw.doorbells_bytes = CC_MIN(bar - NVME_REG_DOORBELLS, (uint64_t)DOORBELLS_BYTES_MAX);
	bytes = CC_ALIGN_DOWN(p->hw.doorbells_bytes, (uint64_t)PAGE_BYTES);
	for (; bytes >= PAGE_BYTES; bytes = CC_ALIGN_DOWN(bytes / 2, (uint64_t)PAGE_BYTES)) {
		if (vfio_dev_region_map(p->dev, VFIO_DEV_BAR0, NVME_REG_DOORBELLS, bytes, &va))
			continue;
		p->hw.doorbells = va;
		p->hw.doorbells_bytes = bytes;
		return;
	}
}

static int check_device(struct vfio_dev *dev, const char *name, struct errbuf *eb)
{
	uint32_t class_rev = 0;
	int err = vfio_dev_region_read(dev, VFIO_DEV_CONFIG, PCI_CLASS_OFF, &class_rev,
				       sizeof(class_rev));

	if (err)
		return errbuf_set(eb, err, "%s: PCI configuration space: %s", name, strerror(-err));
	if (class_rev >> 8 != NVME_PCI_CLASS)
		return errbuf_set(eb, -ENODEV, "%s is no NVMe controller (PCI class %06x)", name,
				  class_rev >> 8);
	if (vfio_dev_region_bytes(dev, VFIO_DEV_BAR0) <= NVME_REG_DOORBELLS)
		return errbuf_set(eb, -ENODEV, "%s: BAR 0 is too small for an NVMe controller", name);
	err = vfio_dev_bus_master(dev, true);
	return err ? errbuf_set(eb, err, "%s: bus mastering: %s", name, strerror(-err)) : 0;
}

static int hw_open(const char *address, struct nvme_hw **ret_hw, struct errbuf *eb)
{
	bool is_user = !strncmp(address, USER_PREFIX, strlen(USER_PREFIX));
	struct probe_hw *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = is_user ? vfio_user_open(address + strlen(USER_PREFIX), &p->dev, eb)
		      : vfio_kernel_open(address, &p->dev, eb);
	if (!err)
		err = check_device(p->dev, vfio_dev_name(p->dev), eb);
	if (err) {
		vfio_dev_close(p->dev);
		free(p);
		return err;
	}
	p->hw.ops = &probe_ops;
	p->hw.dma = vfio_dev_domain(p->dev);
	p->hw.nvectors = vfio_dev_vectors(p->dev);
	p->hw.removal_fd = vfio_dev_removal_fd(p->dev);
	(void)snprintf(p->hw.name, sizeof(p->hw.name), "%s", vfio_dev_name(p->dev));
	map_bar(p);
	*ret_hw = &p->hw;
	return 0;
}

/*
 * Who is open
 */
struct entry {
	struct list link;
	char address[NVME_ADDRESS_MAX];
	struct nvme_ctrlr *ctrlr; /* NULL: being opened */
	unsigned refs;		  /* 0: being closed */
};

/* Guards the entries. Opening and closing go on without it, with the entry to show for it. */
static pthread_mutex_t entries_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t entries_changed = PTHREAD_COND_INITIALIZER;
static struct list entries = { &entries, &entries };

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

/* The entry of @address at rest, or NULL. Waits for whoever opens or closes it. */
static struct entry *entry_await(const char *address)
{
	struct entry *e;

	for (;;) {
		e = entry_find(address);
		if (!e || (e->ctrlr && e->refs))
			return e;
		pthread_cond_wait(&entries_changed, &entries_lock);
	}
}

static void entry_drop(struct entry *e)
{
	list_del(&e->link);
	pthread_cond_broadcast(&entries_changed);
	free(e);
}

static int entry_open(struct entry *e, const struct nvme_ctrlr_opts *opts, struct errbuf *eb)
{
	struct nvme_ctrlr *ctrlr;
	struct nvme_hw *hw;
	int err = hw_open(e->address, &hw, eb);

	if (!err)
		err = nvme_ctrlr_open(hw, opts, &ctrlr, eb); /* takes hw, also when it fails */
	pthread_mutex_lock(&entries_lock);
	if (err) {
		entry_drop(e);
	} else {
		e->ctrlr = ctrlr;
		pthread_cond_broadcast(&entries_changed);
	}
	pthread_mutex_unlock(&entries_lock);
	return err;
}

int nvme_probe_get(const char *address, const struct nvme_ctrlr_opts *opts,
		   struct nvme_ctrlr **ret_ctrlr, struct errbuf *eb)
{
	struct entry *e, *own = calloc(1, sizeof(*own));
	int err;

	if (!own)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	if ((size_t)snprintf(own->address, sizeof(own->address), "%s", address) >=
	    sizeof(own->address)) {
		free(own);
		return errbuf_set(eb, -ENAMETOOLONG, "the address is longer than %d characters",
				  NVME_ADDRESS_MAX - 1);
	}
	own->refs = 1;
	pthread_mutex_lock(&entries_lock);
	e = entry_await(address);
	if (e) {
		e->refs++;
		*ret_ctrlr = e->ctrlr;
		free(own);
	} else {
		list_add_tail(&entries, &own->link);
	}
	pthread_mutex_unlock(&entries_lock);
	if (e)
		return 0;
	err = entry_open(own, opts, eb);
	if (!err)
		*ret_ctrlr = own->ctrlr;
	return err;
}

void nvme_probe_put(struct nvme_ctrlr *ctrlr)
{
	struct entry *e = NULL;
	struct list *pos;

	pthread_mutex_lock(&entries_lock);
	list_for_each (pos, &entries) {
		if (list_entry(pos, struct entry, link)->ctrlr == ctrlr)
			e = list_entry(pos, struct entry, link);
	}
	assert(e && e->refs);
	if (--e->refs)
		e = NULL;
	pthread_mutex_unlock(&entries_lock);
	if (!e)
		return;
	nvme_ctrlr_close(ctrlr);
	pthread_mutex_lock(&entries_lock);
	entry_drop(e);
	pthread_mutex_unlock(&entries_lock);
}

struct nvme_ctrlr *nvme_probe_find(const char *address)
{
	struct nvme_ctrlr *ctrlr = NULL;
	struct entry *e;

	pthread_mutex_lock(&entries_lock);
	e = entry_find(address);
	if (e && e->ctrlr && e->refs) {
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

		if (e->ctrlr && e->refs && !fn(e->ctrlr, arg))
			break;
	}
	pthread_mutex_unlock(&entries_lock);
}
