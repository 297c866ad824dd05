/* SPDX-License-Identifier: BSD-3-Clause */
/* The IOMMU group of a PCI function as sysfs and /dev/vfio show it, and who stands in the way of
 * taking it. */
#ifndef DRIVERS_VFIO_VFIO_GROUP_PRIV_H
#define DRIVERS_VFIO_VFIO_GROUP_PRIV_H

#include "core/base/errbuf.h"

#define VFIO_BDF_CHARS 12 /* 0000:01:00.0 */

/* Whether @bdf has the form of a PCI address; nothing else comes into a path. */
int vfio_group_address_check(const char *bdf, struct errbuf *eb);

/**
 * vfio_group_open - /dev/vfio/GROUP of the function @bdf, after a look at the function, its driver,
 * its group and the group's other functions. 0 or -errno with the reason and the mend: see
 * vfio_kernel_open().
 */
int vfio_group_open(const char *bdf, int *ret_fd, struct errbuf *eb);

/* The group cannot be used although it could be opened: says which other function of the group
 * prevents it. Returns -EBUSY. */
int vfio_group_blocked(const char *bdf, struct errbuf *eb);

#endif
