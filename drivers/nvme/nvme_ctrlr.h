/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller: brought up, kept alive, reset when it fails, and shut down.
 *
 *            nvme_ctrlr_open          too slow, CSTS.CFS, nvme_ctrlr_reset
 *   ABSENT ──────────────────► READY ────────────────────────────────────► RESETTING
 *                               ▲ ▲                                          │  │ cannot be had back
 *                               │ └──────────── enabled again ───────────────┘  ▼
 *                               │              removal ─────────────────────► FAILED
 *                               └── nvme_ctrlr_close: shutdown ──► CLOSED ◄─────┘
 */
#ifndef DRIVERS_NVME_NVME_CTRLR_H
#define DRIVERS_NVME_NVME_CTRLR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "drivers/nvme/nvme_hw.h"
#include "drivers/nvme/nvme_spec.h"

struct nvme_ctrlr;
struct reactor;

enum nvme_ctrlr_state {
	NVME_CTRLR_ABSENT,
	NVME_CTRLR_RESETTING,
	NVME_CTRLR_READY,
	NVME_CTRLR_FAILED,
	NVME_CTRLR_CLOSED,
};

struct nvme_ctrlr_opts {
	struct reactor *control;   /* asynchronous events, deadlines and removal are handled there; NULL: nobody watches
				      (a tool that opens, asks and closes) */
	unsigned queues_max;	   /* I/O queue pairs, 0: as many as the device gives */
	unsigned depth;		   /* entries of an I/O queue, 0: default; bounded by CAP.MQES */
	uint32_t io_timeout_ms;	   /* per command, 0: default */
	uint32_t admin_timeout_ms; /* 0: default */
	bool poll_only;		   /* no interrupts even when there are vectors */
	bool no_io;		   /* admin queue only */
};

/**
 * nvme_ctrlr_open - reset, enable and identify the controller behind @hw (taken over: hw->ops->close is called at the end,
 * also on failure). Blocks up to CAP.TO and some: set-up threads. 0 or -errno with the reason in @eb.
 */
int nvme_ctrlr_open(struct nvme_hw *hw, const struct nvme_ctrlr_opts *opts,
		    struct nvme_ctrlr **ret_ctrlr, struct errbuf *eb);

/* Shutdown notification, then disable, then release. No bdev of it is open any more. Blocks; NULL is fine. */
void nvme_ctrlr_close(struct nvme_ctrlr *ctrlr);

/* Any thread. */
enum nvme_ctrlr_state nvme_ctrlr_state(const struct nvme_ctrlr *ctrlr);
const char *nvme_ctrlr_state_name(enum nvme_ctrlr_state state);
const char *nvme_ctrlr_name(const struct nvme_ctrlr *ctrlr);

/* What it said of itself at the last enable: a copy. Any thread. */
void nvme_ctrlr_get_id(struct nvme_ctrlr *ctrlr, struct nvme_id_ctrlr *ret_id);

/* One admin command of somebody else's making. */
struct nvme_passthru {
	uint8_t opc;
	uint32_t nsid;
	uint32_t cdw2, cdw3, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	void *data; /* read or written, as bits 1:0 of the opcode say; any address */
	uint32_t data_bytes;
	uint32_t timeout_ms; /* 0: the controller's default */
	/* answer */
	uint32_t result, result_high; /* dw0, dw1 */
	uint16_t status;	      /* NVME_STATUS without the phase bit; 0: success */
};

/**
 * nvme_ctrlr_passthru - carry out an admin command and wait. 0: the controller has answered (see
 * status); -errno: it has not (-ENODEV failed or removed, -ETIMEDOUT, -EINVAL: more than 128 KiB of
 * data, -EPERM: queues and events are the driver's, -EBUSY: too many, or one that timed out still
 * holds the data). Any thread but a reactor's; serialised inside.
 */
int nvme_ctrlr_passthru(struct nvme_ctrlr *ctrlr, struct nvme_passthru *cmd);

/**
 * nvme_ctrlr_io_passthru - the same for an I/O command (Compare, Verify, Copy, …), on a queue of set-up threads. The data
 * is at most 128 KiB. -EBUSY: the controller has a single I/O queue, and a reactor has it.
 */
int nvme_ctrlr_io_passthru(struct nvme_ctrlr *ctrlr, struct nvme_passthru *cmd);

/* The end is near: no admin command is waited for longer than the controller's default any more. Any thread. */
void nvme_ctrlr_hurry(struct nvme_ctrlr *ctrlr);

/* A register below the doorbells; 4 or 8 bytes. Not on the data path. */
int nvme_ctrlr_read_reg(struct nvme_ctrlr *ctrlr, uint32_t off, unsigned bytes, uint64_t *ret_value);

/* Reset now (subsystem: through NSSR, -ENOTSUP where not offered). I/O under way is retried. Blocks. */
int nvme_ctrlr_reset(struct nvme_ctrlr *ctrlr, bool subsystem, struct errbuf *eb);

/* Look for namespaces that came, went or changed, as after a Namespace Attribute Changed event. Blocks. */
int nvme_ctrlr_rescan(struct nvme_ctrlr *ctrlr);

#endif
