/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify pages into checked structs. */
#include "drivers/nvme/nvme_identify.h"

#include <errno.h>
#include <string.h>

#define BLOCK_SHIFT_MIN 9
#define BLOCK_SHIFT_MAX 16
#define UNIT_100_MS	100u
#define SHUTDOWN_MS_MIN 5000u  /* 3.6.1: RTD3E 0 says nothing */
#define SHUTDOWN_MS_MAX 60000u /* nobody waits longer */
#define RETRY_MS_MAX	10000u

/* ASCII, padded with spaces, in a page that may hold anything. */
static void text_copy(char *dst, const char *src, size_t len)
{
	size_t end = 0;

	for (size_t i = 0; i < len; i++) {
		dst[i] = src[i] >= ' ' && src[i] <= '~' ? src[i] : ' ';
		if (dst[i] != ' ')
			end = i + 1;
	}
	dst[end] = '\0';
}

static uint32_t mdts_bytes(uint8_t mdts)
{
	/* units of the smallest page, which is 4 KiB here; 0: no limit */
	if (mdts == 0 || mdts >= 20 || NVME_PAGE_BYTES_MIN << mdts > NVME_XFER_BYTES_MAX)
		return NVME_XFER_BYTES_MAX;
	return NVME_PAGE_BYTES_MIN << mdts;
}

int nvme_ctrlr_info_parse(const struct nvme_id_ctrlr *id, struct nvme_ctrlr_info *ret_info,
			  struct errbuf *eb)
{
	struct nvme_ctrlr_info info = { 0 };
	uint32_t shutdown_ms = le32_get(id->rtd3e) / 1000;

	/* 5.17.2.1: required sizes of entries, log2, in bits 3:0 */
	if ((id->sqes & 0xf) > 6 || (id->sqes >> 4) < 6 || (id->cqes & 0xf) > 4 ||
	    (id->cqes >> 4) < 4)
		return errbuf_set(eb, -EPROTO,
				  "it wants queue entries of another size (SQES 0x%x, CQES 0x%x)",
				  id->sqes, id->cqes);
	if (id->cntrltype == 2 || id->cntrltype == 3)
		return errbuf_set(eb, -ENOTSUP, "it is no I/O controller (CNTRLTYPE %u)",
				  id->cntrltype);
	text_copy(info.model, id->mn, sizeof(id->mn));
	text_copy(info.serial, id->sn, sizeof(id->sn));
	text_copy(info.firmware, id->fr, sizeof(id->fr));
	info.vid = le16_get(id->vid);
	info.xfer_bytes_max = mdts_bytes(id->mdts);
	info.oaes = le32_get(id->oaes);
	info.oacs = le16_get(id->oacs);
	info.oncs = le16_get(id->oncs);
	info.has_vwc = id->vwc & NVME_VWC_PRESENT;
	info.has_sgl = le32_get(id->sgls) & NVME_SGLS_SUPPORTED;
	info.events_max = id->aerl + 1u;
	info.retry_ms[1] = CC_MIN(le16_get(id->crdt1) * UNIT_100_MS, RETRY_MS_MAX);
	info.retry_ms[2] = CC_MIN(le16_get(id->crdt2) * UNIT_100_MS, RETRY_MS_MAX);
	info.retry_ms[3] = CC_MIN(le16_get(id->crdt3) * UNIT_100_MS, RETRY_MS_MAX);
	info.shutdown_ms = CC_MIN(CC_MAX(shutdown_ms, SHUTDOWN_MS_MIN), SHUTDOWN_MS_MAX);
	info.hmb_bytes = (uint64_t)le32_get(id->hmpre) * 4096;
	info.hmb_bytes_min = (uint64_t)le32_get(id->hmmin) * 4096;
	info.hmb_piece_min = (uint64_t)le32_get(id->hmminds) * 4096;
	info.hmb_pieces_max = le16_get(id->hmmaxd);
	info.stripe = id->vs[3];
	*ret_info = info;
	return 0;
}

/* @n blocks, or 0 when that is no power of two or more than we can use. */
static uint32_t hint_bytes(uint64_t n, uint8_t shift)
{
	uint64_t bytes = n << shift;

	return CC_IS_POW2(bytes) && bytes <= UINT32_MAX / 2 ? (uint32_t)bytes : 0;
}

static void ns_parse_hints(const struct nvme_id_ns *id, struct nvme_ns_info *info)
{
	uint32_t block = 1u << info->shift;

	info->boundary_bytes = hint_bytes(le16_get(id->noiob), info->shift);
	info->phys_bytes = block;
	info->discard_align = block;
	if (!(id->nsfeat & NVME_NSFEAT_OPTPERF))
		return;
	info->phys_bytes = CC_MAX(hint_bytes(le16_get(id->npwg) + 1ull, info->shift), block);
	info->discard_align = CC_MAX(hint_bytes(le16_get(id->npdg) + 1ull, info->shift), block);
	info->opt_io_bytes = (le16_get(id->nows) + 1u) << info->shift;
}

int nvme_ns_info_parse(const struct nvme_id_ns *id, struct nvme_ns_info *ret_info,
		       struct errbuf *eb)
{
	unsigned idx = NVME_FLBAS_INDEX(id->flbas);
	const struct nvme_lbaf *f = &id->lbaf[idx];
	struct nvme_ns_info info = { .blocks = le64_get(id->nsze), .shift = f->lbads };

	if (info.blocks == 0)
		return errbuf_set(eb, -ENODEV, "it is not active");
	if (idx > (uint32_t)id->nlbaf + id->nulbaf)
		return errbuf_set(eb, -EPROTO, "its format %u is none of its %u formats", idx,
				  (uint32_t)id->nlbaf + id->nulbaf + 1);
	if (le16_get(f->ms) != 0)
		return errbuf_set(eb, -ENOTSUP,
				  "it is formatted with %u bytes of metadata per block, which "
				  "nvring does not use; "
				  "format it without (nvring nvme format --lbaf, or nvme format)",
				  le16_get(f->ms));
	if (f->lbads < BLOCK_SHIFT_MIN || f->lbads > BLOCK_SHIFT_MAX)
		return errbuf_set(eb, -EPROTO, "it says that its blocks have 2^%u bytes", f->lbads);
	if (info.blocks > (uint64_t)INT64_MAX >> info.shift)
		return errbuf_set(eb, -EPROTO, "it says that it has %llu blocks of %u bytes",
				  (unsigned long long)info.blocks, 1u << info.shift);
	info.bytes = info.blocks << info.shift;
	ns_parse_hints(id, &info);
	info.is_write_protected = id->nsattr & NVME_NSATTR_WRITE_PROTECTED;
	info.has_deac = id->dlfeat & (1u << 3);
	info.copy_ranges_max = id->msrc + 1u;
	info.copy_blocks_max = le16_get(id->mssrl);
	memcpy(info.nguid, id->nguid, sizeof(info.nguid));
	memcpy(info.eui64, id->eui64, sizeof(info.eui64));
	*ret_info = info;
	return 0;
}

void nvme_ns_descs_parse(const uint8_t *page, struct nvme_ns_ids *ret_ids)
{
	struct nvme_ns_ids ids = { 0 };
	size_t at = 0;

	while (at + sizeof(struct nvme_ns_id_desc) <= NVME_ID_BYTES) {
		uint8_t type = page[at], len = page[at + 1];

		at += sizeof(struct nvme_ns_id_desc);
		if (len == 0 || len > NVME_ID_BYTES - at)
			break;
		if (type == NVME_NIDT_CSI && len == 1)
			ids.csi = page[at];
		if (type == NVME_NIDT_UUID && len == sizeof(ids.uuid)) {
			ids.has_uuid = true;
			memcpy(ids.uuid, page + at, sizeof(ids.uuid));
		}
		at += len;
	}
	*ret_ids = ids;
}

unsigned nvme_ns_list_parse(const le32 *page, uint32_t after, uint32_t *ret_nsids)
{
	unsigned n = 0;

	while (n < NVME_NS_LIST_MAX) {
		uint32_t nsid = le32_get(page[n]);

		if (nsid <= after || nsid == NVME_NSID_ALL)
			break;
		ret_nsids[n++] = nsid;
		after = nsid;
	}
	return n;
}
