/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that need to be treated differently: a table. */
#ifndef DRIVERS_NVME_NVME_QUIRKS_H
#define DRIVERS_NVME_NVME_QUIRKS_H

#include <stdint.h>

#include "drivers/nvme/nvme_identify.h"

/* A set. */
enum nvme_quirk {
	/* I/O that crosses a multiple of 2^vs[3] pages is slow, and NOIOB does not say so */
	NVME_QUIRK_STRIPE = 1u << 0,
	/* registers are not to be read for a while after CC.EN has changed */
	NVME_QUIRK_SLOW_READY = 1u << 1,
	/* Write Zeroes is announced, but does not work or takes for ever */
	NVME_QUIRK_NO_WRITE_ZEROES = 1u << 2,
	/* announces shadow doorbells, but loses the doorbells of new queues */
	NVME_QUIRK_NO_DBBUF = 1u << 3,
};

uint32_t nvme_quirks_of(const struct nvme_ctrlr_info *info);

#endif
