/* SPDX-License-Identifier: BSD-3-Clause */
/* NBD's transmission phase: what the kernel's client sends and expects. Integers are big-endian. */
#ifndef VDPA_NBD_SPEC_H
#define VDPA_NBD_SPEC_H

#include <assert.h>
#include <stdint.h>

#define NBD_WIRE_REQUEST 0x25609513u
#define NBD_WIRE_REPLY	 0x67446698u

#define NBD_WIRE_FUA	 (1u << 0)
#define NBD_WIRE_NO_HOLE (1u << 1)

enum nbd_wire_op {
	NBD_WIRE_READ = 0,
	NBD_WIRE_WRITE = 1,
	NBD_WIRE_DISCONNECT = 2,
	NBD_WIRE_FLUSH = 3,
	NBD_WIRE_TRIM = 4,
	NBD_WIRE_ZEROES = 6,
};

struct nbd_wire_request {
	uint32_t magic;
	uint16_t flags, op;
	uint64_t cookie, off;
	uint32_t len;
} __attribute__((packed));
static_assert(sizeof(struct nbd_wire_request) == 28, "as on the wire");

struct nbd_wire_reply {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));
static_assert(sizeof(struct nbd_wire_reply) == 16, "as on the wire");

/* What an export is and can do. */
#define NBD_FLAG_BASE	    (1u << 0)
#define NBD_FLAG_RO	    (1u << 1)
#define NBD_FLAG_FLUSH	    (1u << 2)
#define NBD_FLAG_FUA	    (1u << 3)
#define NBD_FLAG_ROTATES    (1u << 4)
#define NBD_FLAG_TRIM	    (1u << 5)
#define NBD_FLAG_ZEROES	    (1u << 6)
#define NBD_FLAG_MULTI_CONN (1u << 8)

#endif
