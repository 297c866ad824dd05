/* SPDX-License-Identifier: BSD-3-Clause */
/* PCI functions of this machine: who they are, which driver has them, which block devices the
 * kernel made of them. */
#ifndef DRIVERS_PCIE_PCIE_H
#define DRIVERS_PCIE_PCIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define PCIE_BDF_MAX	20 /* "10000:e1:00.0": domains of 32 bits exist */
#define PCIE_NAME_MAX	64 /* drivers, block devices */
#define PCIE_LABEL_MAX	96 /* names of vendors and devices, cut */
#define PCIE_FUNCS_MAX	65536
#define PCIE_BLOCKS_MAX 4096 /* block devices of one function; partitions do not count */
#define PCIE_CLASS_NVME 0x010802

/*
 * Where the kernel's files are and how they are written. A zeroed one is this machine; all members
 * are the caller's.
 */
struct pcie_sys {
	const char *root; /* in front of /sys, /proc and /dev; NULL: nothing */
	bool dry;	  /* what is written has no effect, so nobody looks for it */
	/* In place of write(2) to @path. 0 or -errno. NULL: write it. */
	int (*write)(void *arg, const char *path, const char *text);
	void *arg;
};

struct pcie_func {
	char bdf[PCIE_BDF_MAX];
	uint16_t vendor, device;
	uint32_t class;			  /* with the programming interface: 0x010802 */
	int numa_node;			  /* -1: none */
	int iommu_group;		  /* -1: none */
	char driver[PCIE_NAME_MAX];	  /* "": none */
	char vendor_name[PCIE_LABEL_MAX]; /* "": not in pci.ids, or no pci.ids here */
	char device_name[PCIE_LABEL_MAX];
	char ctrl[PCIE_NAME_MAX];      /* the kernel's NVMe controller, "nvme0"; "": none */
	char (*blocks)[PCIE_NAME_MAX]; /* whole disks: "nvme0n1", … */
	unsigned nblocks;
};

/* All functions, in the order of their addresses. */
struct pcie_list {
	struct pcie_func *funcs;
	unsigned nfuncs;
};

/* "0000:01:00.0" or "01:00.0" (domain 0) as the kernel writes it. 0 or -EINVAL. Pure. */
int pcie_bdf_parse(const char *text, char ret_bdf[PCIE_BDF_MAX]);

/* A machine without PCI has an empty list. 0 or -errno with eb. Reads sysfs; blocks for
 * milliseconds. */
int pcie_list_create(const struct pcie_sys *sys, struct pcie_list **ret_list, struct errbuf *eb);
void pcie_list_destroy(struct pcie_list *list);

/* The function @bdf, as pcie_bdf_parse() wrote it; NULL: there is none. */
struct pcie_func *pcie_list_find(const struct pcie_list *list, const char *bdf);

static inline bool pcie_func_is_nvme(const struct pcie_func *f)
{
	return f->class == PCIE_CLASS_NVME;
}

/* Looks again at what changes: driver, controller, disks. 0; -ENOMEM, -E2BIG: not all disks are
 * known. */
int pcie_func_look(const struct pcie_sys *sys, struct pcie_func *f);

/* Held by a driver that hands it to user space. */
bool pcie_func_is_vfio(const struct pcie_func *f);

#endif
