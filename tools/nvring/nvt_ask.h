/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions that several commands put to a controller. A refusal by its status is an error here, too. */
#ifndef TOOLS_NVRING_NVT_ASK_H
#define TOOLS_NVRING_NVT_ASK_H

#include <stdint.h>

#include "core/base/errbuf.h"
#include "tools/nvring/nvt.h"

/* A status of the controller in the place of -errno: beyond all of them. */
#define NVT_STATUS(status) (-0x10000 - (int)(status))

/* Carry out @cmd. 0; NVT_STATUS with "NVMe status: Invalid Field in Command…(0x2)" in eb; -errno with eb. */
int nvt_ask(struct nvt *t, struct nvme_passthru *cmd, struct errbuf *eb);

/* NVME_ID_BYTES into @ret. */
int nvt_identify(struct nvt *t, uint32_t cns, uint32_t nsid, void *ret, struct errbuf *eb);

/* The active namespaces. */
int nvt_ns_list(struct nvt *t, uint32_t ret[NVME_NS_LIST_MAX], unsigned *ret_n,
		     struct errbuf *eb);

/* Which part of a log page. */
struct nvt_log {
	uint8_t lid, lsp;
	bool rae;
	uint16_t lsi;
	uint32_t nsid;
	uint64_t off; /* dwords */
};
/* @bytes of it (dwords) at @buf, in pieces where it is long. */
int nvt_log(struct nvt *t, const struct nvt_log *log, void *buf, uint32_t bytes,
		 struct errbuf *eb);

#endif
