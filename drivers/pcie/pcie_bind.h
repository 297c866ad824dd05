/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the kernel's driver to VFIO and back, by sysfs: driver_override names the only driver that
 * may take the function, unbind takes it from the one it has, drivers_probe lets the kernel look
 * again.
 */
#ifndef DRIVERS_PCIE_PCIE_BIND_H
#define DRIVERS_PCIE_PCIE_BIND_H

#include "core/base/errbuf.h"
#include "drivers/pcie/pcie.h"

/**
 * pcie_bind_check - could @f alone be bound to @driver now? 0; or -errno and eb names what is in
 * the way, who holds it, and the mend: -EBUSY (mounted, swapped on, held by dm or md, open; group
 * shared with others), -ENOTSUP (no IOMMU group), -ENOENT (driver not loaded), -EACCES and others
 * (no permission to look).
 */
int pcie_bind_check(const struct pcie_sys *sys, const struct pcie_func *f, const char *driver,
		    struct errbuf *eb);

/**
 * pcie_bind - all of @funcs to @driver, or none: everything is checked before the first write, and
 * when one fails, those before it are given back. f->driver says who has each of them afterwards
 * (not with sys->dry). Those which
 * @driver has already are left alone. 0 or -errno with eb. Blocks while the old driver lets go.
 */
int pcie_bind(const struct pcie_sys *sys, struct pcie_func *const *funcs, unsigned n,
	      const char *driver, struct errbuf *eb);

/* Back to the driver that the kernel chooses, in the same way; no driver (f->driver is "") is no
 * error. */
int pcie_unbind(const struct pcie_sys *sys, struct pcie_func *const *funcs, unsigned n,
		struct errbuf *eb);

#endif
