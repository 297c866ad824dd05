/* SPDX-License-Identifier: BSD-3-Clause */
/* What controller and namespaces say of themselves, checked once (5.17; NVM 4.1.5). Pure: the pages
 * may be anything. */
#ifndef DRIVERS_NVME_NVME_IDENTIFY_H
#define DRIVERS_NVME_NVME_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_spec.h"

#define NVME_XFER_BYTES_MAX \
	(1u << 20) /* of one command, whatever the device takes: its list fits into a page */

struct nvme_ctrlr_info {
	char model[41], serial[21], firmware[9]; /* printable, without spaces at the end */
	uint16_t vid;
	uint32_t xfer_bytes_max; /* MDTS; a power of two of pages */
	uint32_t oaes;
	uint16_t oacs, oncs;
	bool has_vwc;
	bool has_sgl;
	uint32_t events_max;  /* asynchronous event requests */
	uint32_t retry_ms[4]; /* by CRD */
	uint32_t shutdown_ms; /* RTD3E */
	uint64_t hmb_bytes, hmb_bytes_min, hmb_piece_min;
	uint32_t hmb_pieces_max; /* 0: no limit */
	uint8_t stripe;		 /* vs[0..]: of devices that have it; see nvme_quirks.h */
};

/* 0, or -ENOTSUP, -EPROTO with eb. */
int nvme_ctrlr_info_parse(const struct nvme_id_ctrlr *id, struct nvme_ctrlr_info *ret_info,
			  struct errbuf *eb);

struct nvme_ns_info {
	uint64_t blocks, bytes;
	uint8_t shift;		 /* of a block */
	uint32_t boundary_bytes; /* NOIOB when it is a power of two; else 0 */
	uint32_t phys_bytes, opt_io_bytes, discard_align;
	bool is_write_protected;
	bool has_deac;				   /* Write Zeroes may deallocate */
	uint32_t copy_ranges_max, copy_blocks_max; /* MSRC + 1, MSSRL */
	uint8_t nguid[16], eui64[8];
};

/* 0; -ENODEV (not active), -ENOTSUP (metadata, size of the blocks), -EPROTO (no value a namespace
 * may have). */
int nvme_ns_info_parse(const struct nvme_id_ns *id, struct nvme_ns_info *ret_info,
		       struct errbuf *eb);

struct nvme_ns_ids {
	uint8_t csi; /* command set; 0: NVM */
	bool has_uuid;
	uint8_t uuid[16];
};

/* Namespace Identification Descriptor list, 5.17.2.3. What it does not understand is skipped. */
void nvme_ns_descs_parse(const uint8_t *page, struct nvme_ns_ids *ret_ids);

/* Active namespaces: how many of the list's first entries are in order (ascending, not 0). */
unsigned nvme_ns_list_parse(const le32 *page, uint32_t after, uint32_t *ret_nsids);

#endif
