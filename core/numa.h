/* SPDX-License-Identifier: BSD-3-Clause */
/* NUMA nodes of CPUs and devices, as sysfs tells them. Set-up; may block. */
#ifndef CORE_NUMA_H
#define CORE_NUMA_H

#include <sys/types.h>

#define NUMA_NODE_NONE (-1) /* it does not say, or there is no such thing */
#define NUMA_NODE_MAX  1023

/* @sysfs: where it is mounted ("/sys"; a test has its own). */
int numa_node_of_cpu(const char *sysfs, int cpu);

/* Of the PCI function @bdf, "0000:01:00.0". */
int numa_node_of_pci(const char *sysfs, const char *bdf);

/* Of the device behind a block device or a partition of it. */
int numa_node_of_block(const char *sysfs, dev_t dev);

#endif
