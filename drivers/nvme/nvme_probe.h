/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controllers by address, shared within the process: the only part of the driver that knows VFIO and PCI.
 *
 *   "0000:01:00.0"         a PCI function bound to vfio-pci
 *   "vfio-user:SOCKET"     a controller served by another process
 */
#ifndef DRIVERS_NVME_NVME_PROBE_H
#define DRIVERS_NVME_NVME_PROBE_H

#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_ctrlr.h"

#define NVME_ADDRESS_MAX 128

/**
 * nvme_probe_get - the controller at @address: opened with @opts at the first call, another reference afterwards
 * (@opts are not looked at then). Blocks: set-up threads. 0 or -errno with eb.
 */
int nvme_probe_get(const char *address, const struct nvme_ctrlr_opts *opts,
		   struct nvme_ctrlr **ret_ctrlr, struct errbuf *eb);

/* The last reference closes it. Blocks: set-up threads. */
void nvme_probe_put(struct nvme_ctrlr *ctrlr);

/* An open controller by its address, with a reference, or NULL. Any thread but a reactor of the data path. */
struct nvme_ctrlr *nvme_probe_find(const char *address);

/* Calls fn for each open controller until it returns false. Within fn the controller stays open; no
 * nvme_probe_ function may be called there. */
void nvme_probe_for_each(bool (*fn)(struct nvme_ctrlr *ctrlr, void *arg), void *arg);

#endif
