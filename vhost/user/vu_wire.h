/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user wire: layouts, numbers and names of the messages (QEMU,
 * docs/interop/vhost-user.rst), for both halves. Everything is in native byte order: both ends live
 * on one machine.
 */
#ifndef VHOST_USER_VU_WIRE_H
#define VHOST_USER_VU_WIRE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define VU_HEADER_BYTES	     12
#define VU_PAYLOAD_BYTES_MAX 4096 /* the longest real one is CONFIG (268); more is not read */
#define VU_FDS_MAX	     8	  /* in one message: the fds of SET_MEM_TABLE */
#define VU_TABLE_REGIONS_MAX 8	  /* of SET_MEM_TABLE */
#define VU_MEM_SLOTS_MAX     509  /* answer to GET_MAX_MEM_SLOTS: what QEMU asks for at most */
#define VU_CONFIG_BYTES_MAX  256
#define VU_CONFIG_HDR_BYTES  12

/* Header flags. */
#define VU_FLAG_VERSION_MASK 3u
#define VU_FLAG_VERSION	     1u
#define VU_FLAG_REPLY	     4u
#define VU_FLAG_NEED_REPLY   8u

/* "Front-end message types". */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_CREATE_CRYPTO_SESSION = 26,
	VU_CLOSE_CRYPTO_SESSION = 27,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_GPU_SET_SOCKET = 33,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_GET_SHARED_OBJECT = 41,
	VU_SET_DEVICE_STATE_FD = 42,
	VU_CHECK_DEVICE_STATE = 43,
	VU_GET_SHMEM_CONFIG = 44,
	VU_REQUEST_COUNT,
};

/* "Back-end message types": the one a block device sends. */
#define VU_BACKEND_CONFIG_CHANGE_MSG 2

/* "Protocol features": bit numbers. */
enum vu_protocol_feature {
	VU_PROTOCOL_F_MQ = 0,
	VU_PROTOCOL_F_LOG_SHMFD = 1,
	VU_PROTOCOL_F_RARP = 2,
	VU_PROTOCOL_F_REPLY_ACK = 3,
	VU_PROTOCOL_F_MTU = 4,
	VU_PROTOCOL_F_BACKEND_REQ = 5,
	VU_PROTOCOL_F_CROSS_ENDIAN = 6,
	VU_PROTOCOL_F_CRYPTO_SESSION = 7,
	VU_PROTOCOL_F_PAGEFAULT = 8,
	VU_PROTOCOL_F_CONFIG = 9,
	VU_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VU_PROTOCOL_F_HOST_NOTIFIER = 11,
	VU_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VU_PROTOCOL_F_RESET_DEVICE = 13,
	VU_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VU_PROTOCOL_F_STATUS = 16,
	VU_PROTOCOL_F_DEVICE_STATE = 19,
	VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT = 20,
	VU_PROTOCOL_F_GPA_ADDRESSES = 21,
};

#define VU_BIT(n) (1ull << (n))

/* SET_VRING_{KICK,CALL,ERR}: u64 = ring index | "no fd comes with this". The reply to
 * SET_DEVICE_STATE_FD: an error code likewise. */
#define VU_VRING_INDEX_MASK 0xffull
#define VU_VRING_NOFD	    0x100ull

/* SET_VRING_ADDR flags. */
#define VU_VRING_F_LOG 1u

/* SET_CONFIG flags. */
#define VU_CONFIG_F_WRITABLE  0u /* the guest's driver writes */
#define VU_CONFIG_F_MIGRATION 1u /* the destination of a live migration restores */

struct vu_header {
	uint32_t request; /* enum vu_request */
	uint32_t flags;
	uint32_t size; /* of the payload, bytes */
};
static_assert(sizeof(struct vu_header) == VU_HEADER_BYTES, "header");

struct vu_region {
	uint64_t gpa, len, uva, mmap_off;
};

struct vu_mem_table {
	uint32_t nregions, pad;
	struct vu_region regions[VU_TABLE_REGIONS_MAX];
};
static_assert(sizeof(struct vu_mem_table) == 264, "multiple memory regions description");

struct vu_mem_reg {
	uint64_t pad;
	struct vu_region region;
};
static_assert(sizeof(struct vu_mem_reg) == 40, "single memory region description");

struct vu_vring_state {
	uint32_t index, num;
};

struct vu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail; /* user addresses */
	uint64_t log;		    /* guest address at which writes to the used ring are logged */
};
static_assert(sizeof(struct vu_vring_addr) == 40, "vring address description");

struct vu_log {
	uint64_t size, off;
};

struct vu_config {
	uint32_t off, size, flags;
	uint8_t data[VU_CONFIG_BYTES_MAX];
};
static_assert(offsetof(struct vu_config, data) == VU_CONFIG_HDR_BYTES, "config space");

struct vu_inflight {
	uint64_t mmap_size, mmap_off;
	uint16_t nqueues, queue_size;
	uint32_t pad; /* peers send their C struct, padded; the specification's 20 bytes are
			 accepted too */
};
static_assert(sizeof(struct vu_inflight) == 24, "inflight description");
#define VU_INFLIGHT_BYTES_MIN 20

/* SET_DEVICE_STATE_FD, "device state transfer parameters". */
#define VU_TRANSFER_SAVE    0u
#define VU_TRANSFER_LOAD    1u
#define VU_TRANSFER_STOPPED 0u

struct vu_transfer_params {
	uint32_t direction, phase;
};

union vu_payload {
	uint64_t u64;
	struct vu_mem_table table;
	struct vu_mem_reg mem_reg;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_log log;
	struct vu_config config;
	struct vu_inflight inflight;
	struct vu_transfer_params transfer;
	uint8_t bytes[VU_PAYLOAD_BYTES_MAX];
};

/* A message in memory. It owns its fds until somebody takes one (vu_msg_take_fd). Payload beyond
 * h.size is zero. */
struct vu_msg {
	struct vu_header h;
	unsigned nfds;
	int fds[VU_FDS_MAX]; /* -1: taken */
	union vu_payload p;
};

/* Prepare @m for sending @request: no fds, payload zeroed, version set. */
void vu_msg_init(struct vu_msg *m, uint32_t request, uint32_t flags, uint32_t size);

/* The fd at place @i, now the caller's; -1 when there is none. */
int vu_msg_take_fd(struct vu_msg *m, unsigned i);

/* Close what nobody took. Harmless twice. */
void vu_msg_close_fds(struct vu_msg *m);

/* What the specification says about the shape of a front-end's message. */
struct vu_shape {
	const char *name;	     /* without VHOST_USER_; NULL: no such message */
	uint16_t size_min, size_max; /* payload */
	uint8_t fds_min, fds_max;
	bool replies; /* has a reply of its own; others are answered only when NEED_REPLY asks for
			 it */
};

/* NULL: an unknown number, or a message that a block device does not handle. */
const struct vu_shape *vu_shape_find(uint32_t request);

/* "SET_MEM_TABLE", or "request" for an unknown number. Never NULL. */
const char *vu_request_name(uint32_t request);

/* Version, reply bit, payload size and number of fds of a received message, by the table. 0 or
 * -EPROTO with eb. */
int vu_msg_check(const struct vu_msg *m, struct errbuf *eb);

#endif
