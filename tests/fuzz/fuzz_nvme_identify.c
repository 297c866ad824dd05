/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes what a lying device says of itself: Identify pages, descriptor lists, namespace lists,
 * capabilities. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "drivers/nvme/nvme_identify.h"
#include "drivers/nvme/nvme_quirks.h"
#include "drivers/nvme/nvme_regs.h"
#include "drivers/nvme/nvme_status.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check_text(const char *text, size_t max)
{
	check(strnlen(text, max) < max);
	for (; *text; text++)
		check(*text >= ' ' && *text <= '~');
}

static void check_ctrlr(const void *page)
{
	struct nvme_ctrlr_info info;
	struct errbuf eb;

	if (nvme_ctrlr_info_parse(page, &info, &eb)) {
		check(eb.text[0]);
		return;
	}
	check_text(info.model, sizeof(info.model));
	check_text(info.serial, sizeof(info.serial));
	check_text(info.firmware, sizeof(info.firmware));
	check(info.xfer_bytes_max >= 8192 && info.xfer_bytes_max <= NVME_XFER_BYTES_MAX);
	check(CC_IS_POW2(info.xfer_bytes_max));
	check(info.shutdown_ms >= 1000 && info.shutdown_ms <= 60000);
	for (unsigned i = 0; i < 4; i++)
		check(info.retry_ms[i] <= 10000);
	(void)nvme_quirks_of(&info);
}

static void check_ns(const void *page)
{
	struct nvme_ns_info info;
	struct errbuf eb;

	if (nvme_ns_info_parse(page, &info, &eb)) {
		check(eb.text[0]);
		return;
	}
	check(info.shift >= 9 && info.shift <= 16);
	check(info.blocks && info.bytes >> info.shift == info.blocks && info.bytes <= INT64_MAX);
	check(CC_IS_POW2(info.phys_bytes) && info.phys_bytes >= 1u << info.shift);
	check(!info.boundary_bytes ||
	      (CC_IS_POW2(info.boundary_bytes) && info.boundary_bytes >= 1u << info.shift));
	check(CC_IS_POW2(info.discard_align));
}

static void check_list(const void *page, uint32_t after)
{
	static uint32_t nsids[NVME_NS_LIST_MAX];
	unsigned n = nvme_ns_list_parse(page, after, nsids);

	check(n <= NVME_NS_LIST_MAX);
	for (unsigned i = 0; i < n; i++) {
		check(nsids[i] > after && nsids[i] != NVME_NSID_ALL);
		after = nsids[i];
	}
}

static void check_cap(uint64_t cap, uint32_t vs)
{
	struct nvme_cap c;
	struct errbuf eb;

	if (nvme_cap_parse(cap, vs, 0x1000, &c, &eb))
		return;
	check(c.entries_max >= 2 && c.entries_max <= 65536);
	check((2ull * c.queues_max + 1) * c.stride + 4 <= 0x1000);
	check(c.ready_ms <= 127500);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* an allocation of its own, so that reading beyond it is seen */
	uint8_t *page = calloc(1, NVME_ID_BYTES);
	struct nvme_ns_ids ids;
	uint64_t cap;

	check(page);
	memcpy(page, bytes, CC_MIN(size, (size_t)NVME_ID_BYTES));
	memcpy(&cap, page, sizeof(cap));
	check_ctrlr(page);
	check_ns(page);
	nvme_ns_descs_parse(page, &ids);
	check_list(page, 0);
	check_list(page, (uint32_t)cap);
	check_cap(cap, (uint32_t)size);
	check(nvme_status_errno((uint16_t)cap) <= 0 && nvme_status_name((uint16_t)cap));
	free(page);
	return 0;
}
