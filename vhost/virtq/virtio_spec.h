/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts and bits of the virtqueues, in the words of the Virtio 1.2 specification, sections 2.7, 2.8 and 6. */
#ifndef VHOST_VIRTQ_VIRTIO_SPEC_H
#define VHOST_VIRTQ_VIRTIO_SPEC_H

#include <assert.h>
#include <stdint.h>

#include "core/base/endian.h"

/* Feature bits of the ring and the transport, section 6, and of vhost. */
#define VIRTIO_F_NOTIFY_ON_EMPTY	24
#define VHOST_F_LOG_ALL			26
#define VIRTIO_F_ANY_LAYOUT		27
#define VIRTIO_F_INDIRECT_DESC		28
#define VIRTIO_F_EVENT_IDX		29
#define VHOST_USER_F_PROTOCOL_FEATURES	30
#define VIRTIO_F_VERSION_1		32
#define VIRTIO_F_ACCESS_PLATFORM	33
#define VIRTIO_F_RING_PACKED		34
#define VIRTIO_F_IN_ORDER		35
#define VIRTIO_F_ORDER_PLATFORM		36
#define VIRTIO_F_NOTIFICATION_DATA	38
#define VIRTIO_F_RING_RESET		40

#define VIRTIO_BIT(n) (1ull << (n))

/* Descriptor flags, 2.7.5 and 2.8.1. AVAIL and USED: packed only. */
#define VIRTQ_DESC_F_NEXT     1u
#define VIRTQ_DESC_F_WRITE    2u
#define VIRTQ_DESC_F_INDIRECT 4u
#define VIRTQ_DESC_F_AVAIL    (1u << 7)
#define VIRTQ_DESC_F_USED     (1u << 15)

/* 2.7.6, 2.7.8: suppression in the split ring without EVENT_IDX. */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1u
#define VIRTQ_USED_F_NO_NOTIFY	   1u

/* 2.8.10: event suppression structure of the packed ring. */
#define VIRTQ_EVENT_F_ENABLE  0u
#define VIRTQ_EVENT_F_DISABLE 1u
#define VIRTQ_EVENT_F_DESC    2u

struct virtq_desc { /* 2.7.5 */
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};
static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

struct virtq_avail { /* 2.7.6; le16 used_event behind ring[size] */
	le16 flags;
	le16 idx;
	le16 ring[];
};

struct virtq_used_elem {
	le32 id;
	le32 len;
};

struct virtq_used { /* 2.7.8; le16 avail_event behind ring[size] */
	le16 flags;
	le16 idx;
	struct virtq_used_elem ring[];
};

struct virtq_pdesc { /* 2.8.13 */
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};
static_assert(sizeof(struct virtq_pdesc) == 16, "2.8.13");

struct virtq_pevent { /* 2.8.14 */
	le16 off_wrap;
	le16 flags;
};

/* Bytes of the parts of a ring of @n entries, with the event fields. */
#define VIRTQ_DESC_BYTES(n)  (16ull * (n))
#define VIRTQ_AVAIL_BYTES(n) (6ull + 2ull * (n))
#define VIRTQ_USED_BYTES(n)  (6ull + 8ull * (n))

#endif
