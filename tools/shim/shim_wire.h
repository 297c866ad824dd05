/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the preloaded library and `nvring exec`: one request and its answer over a connection of their own.
 * Both sides come from one build and run on one machine; the socket lies in a folder of the user's alone.
 *
 *   $NVRING_SHIM/socket   where nvring listens
 *   $NVRING_SHIM/sys      what /sys/class/nvme and its relatives look like
 */
#ifndef TOOLS_SHIM_SHIM_WIRE_H
#define TOOLS_SHIM_SHIM_WIRE_H

#include <assert.h>
#include <stdint.h>

#define SHIM_ENV	    "NVRING_SHIM"
#define SHIM_MAGIC	    0x6d697368u
#define SHIM_DATA_BYTES_MAX (4u << 20) /* of one command; the kernel's limit is lower */

enum shim_op {
	SHIM_LOOK, /* is there such a device? size and block size */
	SHIM_ADMIN,
	SHIM_RESET,
	SHIM_SUBSYS_RESET,
	SHIM_RESCAN,
	SHIM_OP_COUNT,
};

/* Data that the command writes to the device follows. */
struct shim_request {
	uint32_t magic, op;
	uint32_t ctrlr, ns; /* /dev/nvme<ctrlr>[n<ns>]; ns 0: the controller */
	uint8_t opc;
	uint8_t rsvd[3];
	uint32_t nsid, cdw2, cdw3, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	uint32_t data_bytes, timeout_ms;
};
static_assert(sizeof(struct shim_request) == 64, "the same on both sides");

/* Data that the command reads follows: data_bytes, at most what was asked for. */
struct shim_answer {
	int32_t err; /* 0 or -errno */
	uint32_t status, result, result_high, data_bytes, block_bytes;
	uint64_t bytes; /* of a namespace */
};
static_assert(sizeof(struct shim_answer) == 32, "the same on both sides");

#endif
