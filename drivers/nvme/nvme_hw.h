/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hardware as the driver sees it: plain register pointers, a DMA domain, and a few slow calls. Over VFIO they
 * are filled in by nvme_probe.c; a fake controller is plain memory.
 */
#ifndef DRIVERS_NVME_NVME_HW_H
#define DRIVERS_NVME_NVME_HW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/dma.h"

#define NVME_HW_NAME_MAX 128

struct nvme_hw;

/* Slow calls; set-up threads and the control thread. All may be NULL but read and write. 0 or -errno. */
struct nvme_hw_ops {
	/* Controller registers below the doorbells, 4 or 8 bytes, when they are not mapped. -ENODEV: the device has gone. */
	int (*read)(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t *ret_value);
	int (*write)(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t value);
	/* A doorbell that is not mapped. Any thread, waits for nobody. */
	void (*doorbell)(struct nvme_hw *hw, uint32_t off, uint32_t value);
	/* MSI-X vector i -> fds[i]; n = 0: off. NULL or -ENOTSUP: no interrupts, poll. */
	int (*set_vectors)(struct nvme_hw *hw, const int *fds, unsigned n);
	/* Function level reset. NULL: cannot. */
	int (*reset)(struct nvme_hw *hw);
	/* The driver is done with the device (last call). */
	void (*close)(struct nvme_hw *hw);
};

/* Embedded by whoever made it; outlives the controller. */
struct nvme_hw {
	const struct nvme_hw_ops *ops;
	volatile void *regs;	  /* BAR0 from 0, NULL: ops->read and write */
	uint64_t regs_bytes;	  /* how much of BAR0 is mapped at regs */
	volatile void *doorbells; /* BAR0 from 0x1000, NULL: ops->doorbell */
	uint64_t doorbells_bytes; /* mapped there, or what ops->doorbell reaches */
	struct dma_domain *dma;
	unsigned nvectors; /* MSI-X vectors of the device; 0: none */
	int removal_fd;	   /* readable when the device has gone or is asked back; -1: cannot tell */
	char name[NVME_HW_NAME_MAX];
};

#endif
