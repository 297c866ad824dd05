/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Firmware, 5.11 and 5.12: slots with revisions. An image is any file whose first eight bytes are
 * printable: they become the revision. Nothing of it is ever executed.
 */
#include <stdlib.h>
#include <string.h>

#include "tools/ssd/ssd_priv.h"

/* Commit actions */
enum {
	CA_STORE = 0,
	CA_STORE_AND_RESET = 1,
	CA_ACTIVATE_AT_RESET = 2,
	CA_ACTIVATE_NOW = 3,
};

uint16_t ssd_fw_download(struct ssd *s, struct ssd_cmd *cmd)
{
	uint64_t len = (le32_get(cmd->sqe.cdw10) + 1ull) * 4, off = le32_get(cmd->sqe.cdw11) * 4ull;
	uint16_t status;

	if (off > SSD_FW_BYTES_MAX || len > SSD_FW_BYTES_MAX - off)
		return NVME_SC_INVALID_FIELD;
	if (len > (uint64_t)NVME_PAGE_BYTES_MIN << s->opts.mdts)
		return NVME_SC_INVALID_FIELD;
	if (off == 0)
		s->fw.have = 0;
	if (off > s->fw.have) /* pieces may come again, but none may be missing */
		return NVME_SC_OVERLAPPING_RANGE;
	if (!s->fw.image)
		s->fw.image = malloc(SSD_FW_BYTES_MAX);
	if (!s->fw.image)
		return NVME_SC_INTERNAL;
	status = ssd_data_from_host(s, cmd, s->fw.image + off, len);
	if (!status)
		s->fw.have = (uint32_t)CC_MAX(s->fw.have, off + len);
	return status;
}

static uint16_t image_store(struct ssd *s, uint8_t slot)
{
	if (s->fw.have < 8)
		return NVME_SC_INVALID_FW_IMAGE;
	for (unsigned i = 0; i < 8; i++) {
		if (s->fw.image[i] < ' ' || s->fw.image[i] > '~')
			return NVME_SC_INVALID_FW_IMAGE;
	}
	memcpy(s->fw.rev[slot], s->fw.image, 8);
	s->fw.have = 0;
	return 0;
}

static bool slot_is_empty(const struct ssd *s, uint8_t slot)
{
	return s->fw.rev[slot][0] == '\0';
}

uint16_t ssd_fw_commit(struct ssd *s, struct ssd_cmd *cmd)
{
	uint32_t cdw10 = le32_get(cmd->sqe.cdw10);
	uint8_t slot = cdw10 & 7, action = cdw10 >> 3 & 7;
	uint16_t status = 0;

	if (action > CA_ACTIVATE_NOW || (cdw10 & 1u << 31)) /* no boot partitions */
		return NVME_SC_INVALID_FIELD;
	if (slot > SSD_FW_SLOTS)
		return NVME_SC_INVALID_FW_SLOT;
	if (slot == 0)
		slot = s->fw.active % SSD_FW_SLOTS + 1; /* ours to choose */
	if (action == CA_STORE || action == CA_STORE_AND_RESET ||
	    (action == CA_ACTIVATE_NOW && s->fw.have))
		status = image_store(s, slot);
	if (status)
		return status;
	if (slot_is_empty(s, slot))
		return NVME_SC_INVALID_FW_IMAGE;
	switch (action) {
	case CA_STORE_AND_RESET:
	case CA_ACTIVATE_AT_RESET:
		s->fw.next = slot;
		return NVME_SC_FW_NEEDS_RESET;
	case CA_ACTIVATE_NOW:
		s->fw.active = slot;
		s->fw.next = 0;
		ssd_event_raise(s, SSD_EVENT_FW);
		return 0;
	default:
		return 0;
	}
}

void ssd_fw_reset(struct ssd *s)
{
	if (s->fw.next)
		s->fw.active = s->fw.next;
	s->fw.next = 0;
	s->fw.have = 0;
}
