/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of quirks, by vendor and the beginning of the model name. */
#include "drivers/nvme/nvme_quirks.h"

#include <string.h>

#include "core/base/cc.h"

#define VID_INTEL   0x8086
#define VID_SAMSUNG 0x144d
#define VID_HGST    0x1c58

static const struct {
	uint16_t vid;
	const char *model;    /* "": any */
	const char *firmware; /* the same */
	uint32_t quirks;
} table[] = {
	/* DC P3500 to P3700, P4500 and P4600: two halves behind one front */
	{ VID_INTEL, "INTEL SSDPE2M", "", NVME_QUIRK_STRIPE },
	{ VID_INTEL, "INTEL SSDPEDM", "", NVME_QUIRK_STRIPE },
	{ VID_INTEL, "INTEL SSDPE2K", "", NVME_QUIRK_STRIPE },
	{ VID_INTEL, "INTEL SSDPEDK", "", NVME_QUIRK_STRIPE },
	/* SN100 and SN200 */
	{ VID_HGST, "HUSPR", "", NVME_QUIRK_SLOW_READY },
	{ VID_HGST, "HUSMR", "", NVME_QUIRK_SLOW_READY },
	/* PM1725 */
	{ VID_SAMSUNG, "SAMSUNG MZWLL", "", NVME_QUIRK_SLOW_READY },
};

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

uint32_t nvme_quirks_of(const struct nvme_ctrlr_info *info)
{
	uint32_t quirks = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].vid == info->vid && begins_with(info->model, table[i].model) &&
		    begins_with(info->firmware, table[i].firmware))
			quirks |= table[i].quirks;
	return quirks;
}
