/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Enumeration. libpci scans the bus, says who a function is, and knows the names of vendors and
 * devices; links (driver, IOMMU group) and block devices are read from sysfs.
 *
 * libpci knows one way to fail: a callback that must not return. Ours jumps back to the call of
 * libpci that failed; the functions between setjmp() and that call keep nothing that would be lost.
 */
#include "drivers/pcie/pcie.h"

#include <errno.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "drivers/pcie/pcie_sysfs_priv.h"

#define NAMES_GROW 8

static _Thread_local jmp_buf pci_failed;
static _Thread_local char pci_reason[256];

int pcie_bdf_parse(const char *text, char ret_bdf[PCIE_BDF_MAX])
{
	unsigned dom = 0, bus, dev, fn;
	int n = -1;

	if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text) || strlen(text) > 16)
		return -EINVAL;
	/* The second form also matches the beginning of the first: it must reach the end. */
	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &dom, &bus, &dev, &fn, &n) != 4 || text[n]) {
		dom = 0;
		n = -1;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) != 3 || text[n])
			return -EINVAL;
	}
	if (dev > 0x1f || fn > 7)
		return -EINVAL;
	(void)snprintf(ret_bdf, PCIE_BDF_MAX, "%04x:%02x:%02x.%x", dom, bus, dev, fn);
	return 0;
}

bool pcie_func_is_vfio(const struct pcie_func *f)
{
	return strncmp(f->driver, "vfio", 4) == 0;
}

/*
 * libpci
 */

static void pci_fails(char *msg, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void pci_fails(char *msg, ...)
{
	va_list ap;

	va_start(ap, msg);
	(void)vsnprintf(pci_reason, sizeof(pci_reason), msg, ap);
	va_end(ap);
	longjmp(pci_failed, 1);
}

/* Warnings and debugging lines are about things that we do not ask for. */
static void pci_warns(char *msg, ...) cc_printf(1, 2);

static void pci_warns(char *msg, ...)
{
}

static bool scan_bus(struct pci_access *pa)
{
	if (setjmp(pci_failed))
		return false;
	pci_init(pa);
	pci_scan_bus(pa);
	return true;
}

static void close_bus(struct pci_access *pa)
{
	if (!setjmp(pci_failed))
		pci_cleanup(pa);
}

/* False: it went away meanwhile. */
static bool fill_info(struct pci_dev *d)
{
	if (setjmp(pci_failed))
		return false;
	pci_fill_info(d, PCI_FILL_IDENT | PCI_FILL_CLASS | PCI_FILL_CLASS_EXT | PCI_FILL_NUMA_NODE);
	return true;
}

static void look_up_names(struct pci_access *pa, struct pcie_func *f)
{
	if (setjmp(pci_failed))
		return;
	/* Looked up one by one, so that what is not known stays "". */
	if (!pci_lookup_name(pa, f->vendor_name, sizeof(f->vendor_name),
			     PCI_LOOKUP_VENDOR | PCI_LOOKUP_NO_NUMBERS, f->vendor))
		f->vendor_name[0] = '\0';
	if (!pci_lookup_name(pa, f->device_name, sizeof(f->device_name),
			     PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS, f->vendor, f->device))
		f->device_name[0] = '\0';
}

/*
 * sysfs
 */

static int add_block(struct pcie_func *f, const char *name)
{
	for (unsigned i = 0; i < f->nblocks; i++) {
		if (strcmp(f->blocks[i], name) == 0)
			return 0;
	}
	if (f->nblocks == PCIE_BLOCKS_MAX || strlen(name) >= PCIE_NAME_MAX)
		return -E2BIG;
	if (f->nblocks % NAMES_GROW == 0) {
		void *more = realloc(f->blocks, (f->nblocks + NAMES_GROW) * sizeof(*f->blocks));

		if (!more)
			return -ENOMEM;
		f->blocks = more;
	}
	memcpy(f->blocks[f->nblocks++], name, strlen(name) + 1);
	return 0;
}

/* "nvme0c1n2", a path to a namespace, is hidden; the disk that people use is "nvme0n2". */
static void disk_of_path(const char *name, char disk[PCIE_NAME_MAX])
{
	unsigned subsystem, ctrl, ns;
	int n = -1;

	if (sscanf(name, "nvme%uc%un%u%n", &subsystem, &ctrl, &ns, &n) == 3 && n > 0 && !name[n])
		(void)snprintf(disk, PCIE_NAME_MAX, "nvme%un%u", subsystem, ns);
	else
		(void)snprintf(disk, PCIE_NAME_MAX, "%s", name);
}

/* Whether @name of /sys/block lies behind the function, and through which controller. */
static bool is_behind(const struct pcie_sys *sys, struct pcie_func *f, const char *name)
{
	char path[PCIE_PATH_MAX], to[PCIE_PATH_MAX], mid[PCIE_BDF_MAX + 2];
	ssize_t n = readlink(pcie_sysfs_path(sys, path, "/sys/block/%s", name), to, sizeof(to) - 1);

	if (n < 0)
		return false;
	to[n] = '\0';
	(void)snprintf(mid, sizeof(mid), "/%s/", f->bdf);
	return strstr(to, mid) != NULL;
}

static int fill_blocks(const struct pcie_sys *sys, struct pcie_func *f)
{
	DIR *dir = pcie_sysfs_dir(sys, "/sys/block");
	const char *name;
	int err = 0;

	while (dir && !err && (name = pcie_sysfs_next(dir))) {
		char disk[PCIE_NAME_MAX];

		if (!is_behind(sys, f, name))
			continue;
		disk_of_path(name, disk);
		err = add_block(f, disk);
	}
	if (dir)
		closedir(dir);
	return err;
}

static void fill_links(const struct pcie_sys *sys, struct pcie_func *f)
{
	char text[PCIE_NAME_MAX];
	const char *name;
	DIR *dir;

	/* Without a driver, a group or a controller the texts stay empty. */
	(void)pcie_sysfs_link(sys, f->driver, sizeof(f->driver), "/sys/bus/pci/devices/%s/driver",
			      f->bdf);
	f->iommu_group = -1;
	if (!pcie_sysfs_link(sys, text, sizeof(text), "/sys/bus/pci/devices/%s/iommu_group",
			     f->bdf))
		f->iommu_group = (int)strtol(text, NULL, 10);
	dir = pcie_sysfs_dir(sys, "/sys/bus/pci/devices/%s/nvme", f->bdf);
	name = dir ? pcie_sysfs_next(dir) : NULL;
	if (name && strlen(name) < sizeof(f->ctrl))
		memcpy(f->ctrl, name, strlen(name) + 1);
	if (dir)
		closedir(dir);
}

int pcie_func_look(const struct pcie_sys *sys, struct pcie_func *f)
{
	free(f->blocks);
	f->blocks = NULL;
	f->nblocks = 0;
	f->ctrl[0] = '\0';
	fill_links(sys, f);
	return fill_blocks(sys, f);
}

static int fill_func(const struct pcie_sys *sys, struct pci_dev *d, struct pcie_func *f)
{
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->bdf, sizeof(f->bdf), "%04x:%02x:%02x.%x", (unsigned)d->domain, d->bus,
		       d->dev, d->func);
	f->vendor = d->vendor_id;
	f->device = d->device_id;
	f->class = (uint32_t)d->device_class << 8 | d->prog_if;
	f->numa_node = d->numa_node;
	look_up_names(d->access, f);
	return pcie_func_look(sys, f);
}

static int by_address(const void *a, const void *b)
{
	const struct pcie_func *fa = a, *fb = b;
	size_t na = strlen(fa->bdf), nb = strlen(fb->bdf);

	return na != nb ? (na > nb) - (na < nb) : strcmp(fa->bdf, fb->bdf);
}

static int fill_list(const struct pcie_sys *sys, struct pci_access *pa, struct pcie_list *list)
{
	unsigned n = 0;
	int err = 0;

	for (struct pci_dev *d = pa->devices; d; d = d->next)
		n++;
	n = CC_MIN(n, PCIE_FUNCS_MAX);
	list->funcs = calloc(n ? n : 1, sizeof(*list->funcs));
	if (!list->funcs)
		return -ENOMEM;
	for (struct pci_dev *d = pa->devices; d && list->nfuncs < n && !err; d = d->next) {
		if (fill_info(d))
			err = fill_func(sys, d, &list->funcs[list->nfuncs++]);
	}
	qsort(list->funcs, list->nfuncs, sizeof(*list->funcs), by_address);
	return err;
}

int pcie_list_create(const struct pcie_sys *sys, struct pcie_list **ret_list, struct errbuf *eb)
{
	struct pcie_list *list = calloc(1, sizeof(*list));
	char path[PCIE_PATH_MAX];
	struct pci_access *pa;
	int err;

	if (!list)
		return errbuf_set(eb, -ENOMEM, "PCI: out of memory");
	if (!pcie_sysfs_has(sys, "/sys/bus/pci/devices")) {
		*ret_list = list;
		return 0;
	}
	pa = pci_alloc();
	pa->error = pci_fails;
	pa->warning = pci_warns;
	pa->debug = pci_warns;
	pa->method = PCI_ACCESS_SYS_BUS_PCI;
	(void)pcie_sysfs_path(sys, path, "/sys/bus/pci");
	(void)pci_set_param(pa, (char *)"sysfs.path", path);
	if (!scan_bus(pa))
		err = errbuf_set(eb, -EIO, "PCI: %s", pci_reason);
	else if ((err = fill_list(sys, pa, list)))
		errbuf_write(eb, "PCI: %s", strerror(-err));
	close_bus(pa);
	if (err) {
		pcie_list_destroy(list);
		return err;
	}
	*ret_list = list;
	return 0;
}

void pcie_list_destroy(struct pcie_list *list)
{
	if (!list)
		return;
	for (unsigned i = 0; i < list->nfuncs; i++)
		free(list->funcs[i].blocks);
	free(list->funcs);
	free(list);
}

struct pcie_func *pcie_list_find(const struct pcie_list *list, const char *bdf)
{
	for (unsigned i = 0; i < list->nfuncs; i++) {
		if (strcmp(list->funcs[i].bdf, bdf) == 0)
			return &list->funcs[i];
	}
	return NULL;
}
