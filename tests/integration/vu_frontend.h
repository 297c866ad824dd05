/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end that says exactly what a test wants, also what no honest one would say. */
#ifndef TESTS_INTEGRATION_VU_FRONTEND_H
#define TESTS_INTEGRATION_VU_FRONTEND_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/user/vu_wire.h"
#include "vhost/virtq/vqd.h"

#define FE_QUEUES      8
#define FE_MEM_BYTES   (4u << 20)
#define FE_GPA	       0x40000000ull
#define FE_UVA	       0x7f0000000000ull
#define FE_QUEUE_BYTES 0x10000u /* rings of one queue, from the start of memory */
#define FE_AVAIL_OFF   0x8000u
#define FE_USED_OFF    0xa000u
#define FE_BUFS_OFF    0x200000u
#define FE_FEATURES                                                        \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | \
	 VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define FE_PROTOCOL                                                                       \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_LOG_SHMFD) |                     \
	 VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) |            \
	 VU_BIT(VU_PROTOCOL_F_CONFIG) | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) |            \
	 VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) | VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
	 VU_BIT(VU_PROTOCOL_F_STATUS) | VU_BIT(VU_PROTOCOL_F_DEVICE_STATE))

struct fe_queue {
	struct vqd d;
	bool started;
	uint16_t size;
	int kick, call, err; /* eventfds; -1: none yet */
	uint64_t next;	     /* number of the next request */
};

struct fe {
	int fd; /* -1: closed */
	uint64_t features, protocol;
	int memfd;
	char *mem;
	struct fe_queue q[FE_QUEUES];
};

void fe_open(struct fe *fe, const char *path);
void fe_close(struct fe *fe);
/* Close the socket only / connect again, with the same memory and rings. */
void fe_hang_up(struct fe *fe);
void fe_dial(struct fe *fe, const char *path);

/* One message as given: header size = @size. False when the peer has closed. */
bool fe_send(struct fe *fe, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
	     const int *fds, unsigned nfds);
/* Bytes as they are. */
bool fe_send_bytes(struct fe *fe, const void *buf, size_t len, const int *fds, unsigned nfds);

/* The next message from the peer. 1, or 0: it has closed. Fails the test after some seconds of
 * silence. */
int fe_receive(struct fe *fe, struct vu_msg *ret);
/* Is there no message within a moment? */
bool fe_is_silent(struct fe *fe);

/* With NEED_REPLY: the answer's u64, or -1: closed instead. */
int64_t fe_ask(struct fe *fe, uint32_t request, const void *payload, uint32_t size, const int *fds,
	       unsigned nfds);
int64_t fe_ask_u64(struct fe *fe, uint32_t request, uint64_t v);
int64_t fe_ask_state(struct fe *fe, uint32_t request, uint32_t index, uint32_t num);
/* GET_*: the reply's u64. */
uint64_t fe_get(struct fe *fe, uint32_t request);

/* As QEMU does it: features, protocol features, owner. */
void fe_negotiate(struct fe *fe, uint64_t features, uint64_t protocol);
/* The whole memory as one region. */
void fe_share(struct fe *fe);
/* Ring @i's description up to, but without, the kick. */
void fe_describe(struct fe *fe, unsigned i, uint16_t size, uint32_t base);
void fe_addr(const struct fe *fe, unsigned i, struct vu_vring_addr *ret);
void fe_send_fd(struct fe *fe, uint32_t request, unsigned i, int fd);
/* A fresh ring of @size at the beginning; all but ENABLE. */
void fe_prepare(struct fe *fe, unsigned i, uint16_t size);
/* And running. */
void fe_start(struct fe *fe, unsigned i, uint16_t size);
/* ENABLE(0) and GET_VRING_BASE; returns the position. */
uint32_t fe_stop(struct fe *fe, unsigned i);

/* One request without and with waiting for its answer; the answer is checked. */
void fe_submit(struct fe *fe, unsigned i);
void fe_complete(struct fe *fe, unsigned i);
void fe_io(struct fe *fe, unsigned i);

/*
 * Block devices: a read of the first 512 bytes, one at a time. Has the device to be kicked? Is there the answer? It is
 * checked.
 */
#define FE_BLK_HDR_OFF	  FE_BUFS_OFF
#define FE_BLK_STATUS_OFF (FE_BUFS_OFF + 16)
#define FE_BLK_DATA_OFF	  (FE_BUFS_OFF + 4096)
bool fe_blk_submit(struct fe *fe, unsigned i);
bool fe_blk_is_done(struct fe *fe, unsigned i);

/* fe_open … fe_start of ring 0, for the client that must not notice anything. */
void fe_good(struct fe *fe, const char *path);

#endif
