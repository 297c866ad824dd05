/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands that people send: what kind each is, whom it may hurt, and how it travels. The daemon, the command
 * line and `nvring exec` go by the same table.
 */
#ifndef TOOLS_SHARED_NVMECMD_H
#define TOOLS_SHARED_NVMECMD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_ctrlr.h"

#define NVMECMD_DATA_BYTES_MAX (128 * 1024) /* of one command: what the driver passes on */

/* NVMe over Fabrics' Property Get (Fabrics 1.1, 3.4) reads a register here, too: nvme-cli asks that way. */
#define NVMECMD_FABRICS	     0x7f
#define NVMECMD_PROPERTY_GET 0x04

enum nvmecmd_class {
	NVMECMD_READ,	 /* asks */
	NVMECMD_WRITE,	 /* changes something that no I/O under way notices */
	NVMECMD_DESTROY, /* takes data, a namespace or the controller away */
	NVMECMD_DENIED,	 /* the driver's own business, or unknown */
};

/* What the sender has agreed to. */
struct nvmecmd_allow {
	bool write;    /* NVMECMD_WRITE and NVMECMD_DESTROY */
	bool exported; /* NVMECMD_DESTROY although a disk there is exported */
};

/* *ret_name (may be NULL): the command for people. Pure. */
enum nvmecmd_class nvmecmd_classify(const struct nvme_passthru *cmd, const char **ret_name);

/* "Get Log Page"; "Unknown". */
const char *nvmecmd_name(uint8_t opc);

/* Whom a NVMECMD_DESTROY hurts: one namespace, or NVME_NSID_ALL. @fna: of Identify Controller. Pure. */
uint32_t nvmecmd_victim(const struct nvme_passthru *cmd, uint8_t fna);

/* Bytes that come with a feature; 0: none, its value is all. Pure. */
uint32_t nvmecmd_feature_bytes(uint8_t fid);

/* May it be sent? 0; -EPERM (the driver's own), -EACCES (writes, and nobody has agreed), -EINVAL (says itself that it
 * moves more than data_bytes) with eb. Pure. */
int nvmecmd_check(const struct nvme_passthru *cmd, const struct nvmecmd_allow *allow,
		  struct errbuf *eb);

/* Carry out @cmd, already checked; Property Get reads the register itself. Blocks. As nvme_ctrlr_passthru(). */
int nvmecmd_run(struct nvme_ctrlr *ctrlr, struct nvme_passthru *cmd);

/* Why a command (or rescan) on @ctrlr came to @err, for people. */
void nvmecmd_explain(const struct nvme_ctrlr *ctrlr, int err, struct errbuf *eb);

/* The 64 bytes that travel, and back; the data is not in them. Pure. */
void nvmecmd_to_sqe(const struct nvme_passthru *cmd, struct nvme_sqe *ret);
void nvmecmd_from_sqe(const struct nvme_sqe *sqe, struct nvme_passthru *ret);

#endif
