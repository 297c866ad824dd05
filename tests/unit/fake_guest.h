/* SPDX-License-Identifier: BSD-3-Clause */
/* A guest in plain memory: regions, one ring, its driver and its device; well-behaved (vqd) or by
 * hand. */
#ifndef TESTS_UNIT_FAKE_GUEST_H
#define TESTS_UNIT_FAKE_GUEST_H

#include "vhost/virtq/gmem.h"
#include "vhost/virtq/vq.h"
#include "vhost/virtq/vqd.h"
#include "vhost/virtq/vqi.h"

/*
 *   RING  rings, indirect tables (one region)
 *   DATA  follows RING in guest addresses, but is mapped elsewhere
 *   HIGH  far away, behind a hole; the last byte of it is the end of guest memory
 */
#define FG_RING_GPA   0x100000ull
#define FG_RING_BYTES 0x400000ull
#define FG_DATA_GPA   (FG_RING_GPA + FG_RING_BYTES)
#define FG_DATA_BYTES 0x400000ull
#define FG_HIGH_GPA   0x100000000ull
#define FG_HIGH_BYTES 0x10000ull
#define FG_UVA	      0x7f0000000000ull /* uva = gpa + this */

#define FG_TABLE_GPA  (FG_RING_GPA + 0x100000)
#define FG_TABLE_MAX  64 /* descriptors of each head's indirect table */

struct fg_slot {
	struct vq_elem e;
	uint32_t mark; /* tests' own */
};

struct fg_opts {
	uint16_t size;
	bool packed;
	uint64_t features;
	bool inflight;	/* track in flight chains */
	bool eventfds;	/* kick and call, else -1 */
	uint16_t start; /* split: both indexes start here */
};

struct fg {
	struct fg_opts o;
	struct gmem *g;
	struct vqd d;
	struct vq q;
	struct fg_slot *slots;
	struct vq_conf conf;
	void *inflight; /* shared memory, as are the regions */
	int kick, call;
};

/* Everything from nothing; exits on failure (a test cannot go on). */
void fg_init(struct fg *fg, const struct fg_opts *o);
void fg_fini(struct fg *fg);
/* The device alone: forget it, as if its process had died; start one on what memory says. 0 or
 * -errno of vq_init. */
void fg_device_drop(struct fg *fg);
int fg_device_start(struct fg *fg);

/* Our address of @gpa. */
void *fg_va(const struct fg *fg, uint64_t gpa);

/* By hand: descriptor @i of the ring or of a table at @gpa; split uses next as next, packed as
 * buffer id. */
void fg_desc(struct fg *fg, unsigned i, struct vqd_buf b, uint16_t flags, uint16_t next);
void fg_table(struct fg *fg, uint64_t gpa, struct vqd_buf b, uint16_t flags, uint16_t next);
/* Split: make @head available. */
void fg_avail(struct fg *fg, uint16_t head);

#endif
