/* SPDX-License-Identifier: BSD-3-Clause */
/* Who on this machine uses a function, or what the kernel made of it, so that it must not be taken
 * away. */
#ifndef DRIVERS_PCIE_PCIE_HOLDER_H
#define DRIVERS_PCIE_PCIE_HOLDER_H

#include "core/base/errbuf.h"

struct pcie_func;
struct pcie_sys;

/**
 * pcie_holder_find - 0: nobody. -EBUSY: eb says who, and the command that ends it. Another -errno:
 * it cannot be told (no permission, say), and eb says why; to be treated as held.
 */
int pcie_holder_find(const struct pcie_sys *sys, const struct pcie_func *f, struct errbuf *eb);

/**
 * pcie_holder_claim - takes all disks of @f for ourselves, so that nobody mounts one between the
 * last look and the moment at which it goes. @fds has room for f->nblocks. 0, or -errno with eb as
 * above and nothing taken.
 */
int pcie_holder_claim(const struct pcie_sys *sys, const struct pcie_func *f, int *fds,
		      struct errbuf *eb);
void pcie_holder_release(int *fds, unsigned n);

#endif
