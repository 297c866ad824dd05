/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of one virtqueue in plain memory of one process: a driver side, and what a device side
 * needs to start. */
#ifndef TESTS_RING_RING_H
#define TESTS_RING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/virtq/vq.h"
#include "vhost/virtq/vqd.h"

#define RING_GPA  0x40000000ull /* where the memory lies for the driver */
#define RING_HOLE (4ull << 30)	/* between its two regions, if it has two */

struct ring_opts {
	uint16_t size;
	bool packed, inflight, eventfds;
	uint64_t features;     /* besides VERSION_1, INDIRECT and the ring's */
	uint16_t indirect_max; /* 0: no indirect tables */
	size_t data_bytes;
	size_t data_apart; /* the second region begins so far into them (whole pages); 0: there is one */
};

struct ring {
	struct vqd vqd;	     /* the driver side, ready */
	struct vq_conf conf; /* for vq_init or vdev_queue_create */
	char *mem;
	size_t mem_bytes;
	char *data; /* data_bytes of it are the caller's */
	size_t region_bytes; /* of the first region */
	void *inflight;
	struct gmem *gmem;
};

/* 0 or -errno. */
int ring_init(struct ring *ring, const struct ring_opts *opts);
void ring_fini(struct ring *ring);

/* The driver's address of @va, which lies in ring->mem. */
static inline uint64_t ring_gpa(const struct ring *ring, const void *va)
{
	uint64_t off = (uint64_t)((const char *)va - ring->mem);

	return RING_GPA + off + (off < ring->region_bytes ? 0 : RING_HOLE);
}

/* A buffer of the driver's at @va. */
static inline struct vqd_buf ring_buf(const struct ring *ring, const void *va, uint32_t len,
				      bool device_writes)
{
	return (struct vqd_buf){ ring_gpa(ring, va), len, device_writes };
}

#endif
