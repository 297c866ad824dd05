/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NVMe controller that a command is about, wherever it is held:
 *
 *   by the daemon       each command is a call of its control interface
 *   by nobody           opened here, through the driver, and closed at the end
 */
#ifndef TOOLS_NVRING_NVT_H
#define TOOLS_NVRING_NVT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_probe.h"
#include "tools/shared/nvmecmd.h"

#define NVT_CTRLRS_MAX 64

struct cli;
struct nvt;

/**
 * nvt_open - @target is an address ("0000:01:00.0", "vfio-user:SOCKET"), each with "/NSID" behind it if need be; the path
 * of a socket; a disk of the daemon; or "nvme0", "/dev/nvme0n1": the controllers of the daemon, counted.
 * 0, or -errno with eb.
 */
int nvt_open(struct cli *cli, const char *target, struct nvt **ret_t, struct errbuf *eb);
void nvt_close(struct nvt *t);

const char *nvt_address(const struct nvt *t);
uint32_t nvt_nsid(const struct nvt *t); /* that the target named; 0: none */
bool nvt_is_held(const struct nvt *t);	/* by the daemon */

/* What the commands that follow may do; nothing until then. */
void nvt_allow(struct nvt *t, const struct nvmecmd_allow *allow);

/* Carry out a command and wait. 0: the controller has answered (see cmd->status); -errno with eb. */
int nvt_admin(struct nvt *t, struct nvme_passthru *cmd, struct errbuf *eb);

int nvt_read_reg(struct nvt *t, uint32_t off, unsigned bytes, uint64_t *ret_value,
		 struct errbuf *eb);
int nvt_reset(struct nvt *t, bool subsystem, struct errbuf *eb);
int nvt_rescan(struct nvt *t, struct errbuf *eb);

/**
 * nvt_held - the controllers that the daemon holds, at most NVT_CTRLRS_MAX addresses into @ret; the number, or -errno
 * with eb: -ENOTCONN when there is no daemon.
 */
int nvt_held(struct cli *cli, char ret[][NVME_ADDRESS_MAX], struct errbuf *eb);

#endif
