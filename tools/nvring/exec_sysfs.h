/* SPDX-License-Identifier: BSD-3-Clause */
/* A sysfs tree of controllers that the kernel does not know, as `nvme list` reads it. */
#ifndef TOOLS_NVRING_EXEC_SYSFS_H
#define TOOLS_NVRING_EXEC_SYSFS_H

#include "core/base/errbuf.h"
#include "tools/nvring/nvt.h"

/**
 * exec_sysfs_make - below @folder (there already): class/nvme, class/nvme-subsystem, block, bus/pci/slots, for controller
 * nvme<@number> and its namespaces. 0 or -errno with eb.
 */
int exec_sysfs_make(const char *folder, unsigned number, struct nvt *t, struct errbuf *eb);

/* @folder and all in it, whatever it is; links are not followed. */
void exec_sysfs_remove(const char *folder);

#endif
