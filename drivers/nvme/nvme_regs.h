/* SPDX-License-Identifier: BSD-3-Clause */
/* Controller registers and doorbells, mapped or through the calls of the hardware. */
#ifndef DRIVERS_NVME_NVME_REGS_H
#define DRIVERS_NVME_NVME_REGS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"
#include "core/base/endian.h"
#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_hw.h"
#include "drivers/nvme/nvme_spec.h"

/* Partner: the device, which reads the register before the memory it speaks of. */
static inline void nvme_mmio_store(volatile le32 *reg, uint32_t value)
{
	__atomic_store_n(&reg->v, htole32(value), __ATOMIC_RELEASE);
}

static inline uint32_t nvme_mmio_load(const volatile le32 *reg)
{
	return le32toh(__atomic_load_n(&reg->v, __ATOMIC_ACQUIRE));
}

/* What a read returns when nobody is there. */
#define NVME_REG_GONE UINT32_MAX

/* 4 bytes. 0, -ENODEV (all ones where that is no value), or -errno of the hardware. */
int nvme_reg_read(struct nvme_hw *hw, uint32_t off, uint32_t *ret_value);
int nvme_reg_write(struct nvme_hw *hw, uint32_t off, uint32_t value);
/* 8 bytes, in two halves where the register is mapped: every device takes that (3.1.3). */
int nvme_reg_read64(struct nvme_hw *hw, uint32_t off, uint64_t *ret_value);
int nvme_reg_write64(struct nvme_hw *hw, uint32_t off, uint64_t value);

/* CAP, read once and checked. */
struct nvme_cap {
	uint64_t raw;
	uint32_t vs;
	uint32_t entries_max; /* of an I/O queue */
	uint32_t ready_ms;    /* CSTS.RDY follows CC.EN within it */
	uint32_t stride;      /* between doorbells, bytes */
	uint32_t queues_max;  /* I/O queue pairs that have doorbells */
	uint32_t css;	      /* for CC */
	bool has_nssr;
	bool has_nvm; /* I/O commands at all */
};

/* Pure. 0, or -EPROTO (no value a controller may have), -ENOTSUP with the reason in @eb. */
int nvme_cap_parse(uint64_t cap, uint32_t vs, uint64_t doorbells_bytes, struct nvme_cap *ret_cap,
		   struct errbuf *eb);

/*
 * A doorbell. With shadow doorbells (Doorbell Buffer Config, 5.8) the value goes to memory, and the
 * device is only told when it asked to be.
 */
struct nvme_doorbell {
	volatile le32 *reg; /* NULL: hw->ops->doorbell */
	volatile le32 *shadow, *event;
	struct nvme_hw *hw;
	uint32_t off; /* in BAR0 */
	uint32_t last;
	uint64_t nwrites; /* to the device */
};

void nvme_doorbell_init(struct nvme_doorbell *db, struct nvme_hw *hw, uint32_t off);

/* Everything but the write to a mapped register. */
void nvme_doorbell_ring_slow(struct nvme_doorbell *db, uint32_t value);

/* Tell the device the new tail or head. What it stands for has been written before. */
static inline void nvme_doorbell_ring(struct nvme_doorbell *db, uint32_t value)
{
	if (cc_unlikely(!db->reg || db->shadow)) {
		barrier_release();
		nvme_doorbell_ring_slow(db, value);
		return;
	}
	nvme_mmio_store(db->reg, value);
	db->nwrites++;
}

#endif
