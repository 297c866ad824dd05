/* SPDX-License-Identifier: BSD-3-Clause */
/* Register access, the capabilities, doorbells. */
#include "drivers/nvme/nvme_regs.h"

#include <errno.h>

#define READY_UNIT_MS 500u  /* of CAP.TO and CRTO */
#define READY_MIN_MS  1000u /* some devices say 0 and mean "soon" */

static bool reg_is_mapped(const struct nvme_hw *hw, uint32_t off, uint32_t bytes)
{
	return hw->regs && hw->regs_bytes >= off + bytes;
}

static volatile le32 *reg_at(const struct nvme_hw *hw, uint32_t off)
{
	return (volatile le32 *)((volatile char *)hw->regs + off);
}

static uint32_t reg_load(const struct nvme_hw *hw, uint32_t off)
{
	return nvme_mmio_load(reg_at(hw, off));
}

int nvme_reg_read(struct nvme_hw *hw, uint32_t off, uint32_t *ret_value)
{
	uint64_t value;
	int err;

	if (reg_is_mapped(hw, off, 4)) {
		value = reg_load(hw, off);
	} else {
		err = hw->ops->read(hw, off, 4, &value);
		if (err)
			return err;
	}
	/* Of the registers that are read so, none may be all ones. */
	if ((uint32_t)value == NVME_REG_GONE)
		return -ENODEV;
	*ret_value = (uint32_t)value;
	return 0;
}

int nvme_reg_write(struct nvme_hw *hw, uint32_t off, uint32_t value)
{
	if (!reg_is_mapped(hw, off, 4))
		return hw->ops->write(hw, off, 4, value);
	nvme_mmio_store(reg_at(hw, off), value);
	return 0;
}

int nvme_reg_read64(struct nvme_hw *hw, uint32_t off, uint64_t *ret_value)
{
	uint64_t value;
	int err;

	if (reg_is_mapped(hw, off, 8)) {
		value = reg_load(hw, off) | (uint64_t)reg_load(hw, off + 4) << 32;
	} else {
		err = hw->ops->read(hw, off, 8, &value);
		if (err)
			return err;
	}
	if (value == UINT64_MAX)
		return -ENODEV;
	*ret_value = value;
	return 0;
}

int nvme_reg_write64(struct nvme_hw *hw, uint32_t off, uint64_t value)
{
	if (!reg_is_mapped(hw, off, 8))
		return hw->ops->write(hw, off, 8, value);
	nvme_mmio_store(reg_at(hw, off), (uint32_t)value);
	nvme_mmio_store(reg_at(hw, off + 4), (uint32_t)(value >> 32));
	return 0;
}

int nvme_cap_parse(uint64_t cap, uint32_t vs, uint64_t doorbells_bytes, struct nvme_cap *ret_cap,
		   struct errbuf *eb)
{
	uint32_t css = NVME_CAP_CSS(cap), pairs;
	struct nvme_cap c = { .raw = cap, .vs = vs };

	if (NVME_CAP_MQES(cap) == 0)
		return errbuf_set(eb, -EPROTO, "it says that its queues have one entry (CAP.MQES)");
	if (NVME_CAP_MPSMIN(cap) != 0)
		return errbuf_set(eb, -ENOTSUP, "it wants memory pages of %u KiB, we have 4 KiB",
				  4u << NVME_CAP_MPSMIN(cap));
	c.entries_max = NVME_CAP_MQES(cap) + 1;
	c.ready_ms = CC_MAX(NVME_CAP_TO(cap) * READY_UNIT_MS, READY_MIN_MS);
	c.stride = 4u << NVME_CAP_DSTRD(cap);
	pairs = (uint32_t)CC_MIN(doorbells_bytes / (2 * c.stride), (uint64_t)UINT16_MAX + 1);
	if (pairs == 0)
		return errbuf_set(eb, -EPROTO, "no room for doorbells %u bytes apart (CAP.DSTRD)",
				  c.stride);
	c.queues_max = pairs - 1;
	c.has_nssr = NVME_CAP_NSSRS(cap);
	c.has_nvm = css & (NVME_CAP_CSS_NVM | NVME_CAP_CSS_CSI);
	/* 3.1.3.5: 110b all I/O command sets, 111b admin only, 000b NVM */
	if (css & NVME_CAP_CSS_CSI)
		c.css = 6;
	else if (!c.has_nvm && css & NVME_CAP_CSS_ADMIN)
		c.css = 7;
	*ret_cap = c;
	return 0;
}

void nvme_doorbell_init(struct nvme_doorbell *db, struct nvme_hw *hw, uint32_t off)
{
	*db = (struct nvme_doorbell){ .hw = hw, .off = NVME_REG_DOORBELLS + off };
	if (hw->doorbells && hw->doorbells_bytes >= off + sizeof(le32))
		db->reg = (volatile le32 *)((volatile char *)hw->doorbells + off);
}

/* Has the device asked to be told when the value passes @event, on the way from @old to @new?
 * All of them wrap at 65536, as in a virtqueue. */
static bool event_is_passed(uint32_t event, uint32_t old, uint32_t new)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

cc_noinline void nvme_doorbell_ring_slow(struct nvme_doorbell *db, uint32_t value)
{
	if (db->shadow) {
		uint32_t old = db->last;

		nvme_mmio_store(db->shadow, value);
		db->last = value;
		/* Partner: the device, which writes its EventIdx and then looks at the shadow once
		 * more. */
		barrier_full();
		if (!event_is_passed(nvme_mmio_load(db->event), old, value))
			return;
	}
	db->nwrites++;
	if (db->reg)
		nvme_mmio_store(db->reg, value);
	else
		db->hw->ops->doorbell(db->hw, db->off, value);
}
