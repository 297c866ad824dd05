/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight region (vhost-user, "Inflight I/O tracking"): which chains the device has taken and not given
 * back, in memory that outlives the process. Layout of the specification; input when it comes back.
 */
#ifndef VHOST_VIRTQ_VQI_H
#define VHOST_VIRTQ_VQI_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

/* Split: one per descriptor. The region is native-endian by definition (one machine). */
struct vqi_split_desc {
	uint8_t inflight;
	uint8_t pad[5];
	uint16_t next;
	uint64_t counter;
};
static_assert(sizeof(struct vqi_split_desc) == 16, "DescStateSplit");

struct vqi_split {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct vqi_split_desc desc[];
};
static_assert(sizeof(struct vqi_split) == 16, "QueueRegionSplit");

struct vqi_packed_desc {
	uint8_t inflight;
	uint8_t pad;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};
static_assert(sizeof(struct vqi_packed_desc) == 32, "DescStatePacked");

struct vqi_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head;
	uint16_t old_free_head;
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap_counter;
	uint8_t old_used_wrap_counter;
	uint8_t pad[7];
	struct vqi_packed_desc desc[];
};
static_assert(offsetof(struct vqi_packed, desc) == 32, "QueueRegionPacked");

/* Bytes per queue, rounded so that queues do not share a cache line. */
uint64_t vqi_bytes(bool packed, uint16_t size);

/* Writes a fresh region for one queue of @size. */
void vqi_format(void *region, bool packed, uint16_t size, uint64_t features);

/**
 * vqi_clear - makes @region a blank one, whatever it says, in one aligned store: whoever copies it meanwhile has the
 * old one or a blank one. For a queue that was stopped with nothing in flight: from then on its position is the
 * front-end's business. (A packed queue takes it from the front-end if the region is blank or fresh, else from there.)
 */
void vqi_clear(void *region);

/**
 * vqi_check - a region that came back from the front-end is input: version, desc_num == size, indexes and links in
 * range, no loop, counters plausible. A zeroed region is formatted in place. 0, or -EINVAL with eb.
 * @region is aligned to 8 bytes, and private: the check of a shared one says nothing about the next look at it.
 */
int vqi_check(void *region, uint64_t bytes, bool packed, uint16_t size, struct errbuf *eb);

/**
 * vqi_load - reads the shared @region of a queue of @size once, into a checked copy (free() it). vqi_bytes() of it
 * are mapped. A zeroed region is formatted. 0, -ENOMEM, or -EINVAL with eb.
 */
int vqi_load(void *region, bool packed, uint16_t size, void **ret_copy, struct errbuf *eb);

#endif
