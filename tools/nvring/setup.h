/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe controllers that go from the kernel to nvring and back. The environment is that of SPDK's
 * setup.sh, as people have it in their scripts: PCI_ALLOWED, PCI_BLOCKED, TARGET_USER,
 * DRIVER_OVERRIDE.
 */
#ifndef TOOLS_NVRING_SETUP_H
#define TOOLS_NVRING_SETUP_H

#include "core/base/errbuf.h"
#include "drivers/pcie/pcie.h"

#define SETUP_FUNCS_MAX 256 /* of one call */

struct cli;

/* Functions that were named, each once. */
struct setup_choice {
	struct pcie_list *list; /* owned */
	struct pcie_func *funcs[SETUP_FUNCS_MAX];
	unsigned n;
};

/* In front of /sys, /proc and /dev: $NVRING_ROOT, for tests; NULL: nothing. */
const char *setup_root(void);

/* --driver, $DRIVER_OVERRIDE, or vfio-pci. */
const char *setup_driver(const struct cli *cli);

/* Could @f be bound, also by PCI_ALLOWED and PCI_BLOCKED? 0 or -errno with eb. */
int setup_check(const struct cli *cli, const struct pcie_sys *sys, const struct pcie_func *f,
		struct errbuf *eb);

/* The functions of the command line, else of PCI_ALLOWED. 0 or -errno with eb. */
int setup_choice_init(struct setup_choice *c, const struct cli *cli, const struct pcie_sys *sys,
		      struct errbuf *eb);
void setup_choice_fini(struct setup_choice *c);

#endif
