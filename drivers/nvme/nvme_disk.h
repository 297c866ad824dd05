/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk from a URI: a namespace of a controller, or a partition of it. */
#ifndef DRIVERS_NVME_NVME_DISK_H
#define DRIVERS_NVME_NVME_DISK_H

#include <stdbool.h>

#include "core/base/errbuf.h"

struct bdev;
struct reactor;

struct nvme_disk_opts {
	bool is_user; /* @text begins with a vfio-user socket, else with the address of a PCI function */
	bool read_only;
	struct reactor *control;
};

/**
 * nvme_disk_open - @text is what follows "nvme:" or "nvme+vfio-user:", ADDRESS/NAMESPACE[?OPTIONS]:
 *   offset=, size=        a part of the namespace, in bytes
 *   part=                 a partition: its number, name:NAME, or its UUID
 *   ro=1                  no writes
 *   queues=, depth=, timeout=, irq=0|1   of the controller; the first disk of a controller decides
 * Blocks: set-up threads. 0 or -errno with eb.
 */
int nvme_disk_open(const char *text, const struct nvme_disk_opts *opts, struct bdev **ret_bdev,
		   struct errbuf *eb);

#endif
