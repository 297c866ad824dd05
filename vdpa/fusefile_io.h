/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is asked of a file, as I/O of a disk: any byte of it, where the disk has blocks.
 *
 *   read   [──┆━━━━━━━━┆──]    the blocks around it, in one; the reply begins in the middle
 *   write   ╌╌┆━━━━━━━━┆╌╌     whole blocks as they are; at an edge: read the block, change it, write it
 *   zero      the same
 *
 * Two changes at once are fine unless they share a block at an edge of one of them: then the later one waits, so that
 * neither puts back what the other has changed.
 */
#ifndef VDPA_FUSEFILE_IO_H
#define VDPA_FUSEFILE_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/bdev.h"

struct fusefile_io;
struct fusefile_slot;

enum fusefile_op { FUSEFILE_READ, FUSEFILE_WRITE, FUSEFILE_ZERO, FUSEFILE_FLUSH };

/* A range of bytes by blocks: up to two of which it changes a part, and whole ones between them. Lengths of 0: none. */
struct fusefile_plan {
	uint64_t off, end;	    /* all blocks that it touches, in bytes */
	uint64_t mid_off, mid_len;  /* whole blocks */
	uint64_t head_off, tail_off; /* blocks */
	uint32_t head_at, head_len; /* bytes within */
	uint32_t tail_len;	    /* bytes from its beginning */
};

/* @block_bytes: a power of two. Pure. */
void fusefile_plan_make(uint64_t off, uint64_t len, uint32_t block_bytes, struct fusefile_plan *ret);

enum fusefile_step {
	FUSEFILE_STEP_MID,
	FUSEFILE_STEP_HEAD_READ,
	FUSEFILE_STEP_HEAD_WRITE,
	FUSEFILE_STEP_TAIL_READ,
	FUSEFILE_STEP_TAIL_WRITE,
	FUSEFILE_STEP_COUNT,
};

struct fusefile_slot {
	struct bio bio;
	struct iovec iov;
	struct fusefile_io *io;
	/* set once by the owner; a READ may come with two blocks beside its own bytes */
	uint8_t *data; /* room for the longest read or write and two blocks */
	uint8_t *edge; /* room for a block */
	/* what is asked */
	enum fusefile_op op;
	uint8_t bio_flags; /* BIO_FUA, BIO_NOUNMAP */
	uint64_t off, len; /* any bytes within the disk */
	/* fusefile_io's */
	struct fusefile_plan plan;
	enum fusefile_step step;
	struct list link;
	/* the owner's */
	struct fusefile_slot *next;
	void *req;
	uint8_t *mem;
};

/* On one reactor, all of it. */
struct fusefile_io {
	struct bdev_chan *chan;
	/* Exactly once for each, never from inside fusefile_io_submit(). @slot is the owner's again. */
	void (*done)(struct fusefile_slot *slot, int status);
	struct list active, waiting; /* changes */
	unsigned nedged;	     /* of both, those with an edge */
	unsigned nheld;
};

void fusefile_io_init(struct fusefile_io *io, struct bdev_chan *chan,
		      void (*done)(struct fusefile_slot *slot, int status));

void fusefile_io_submit(struct fusefile_io *io, struct fusefile_slot *slot);

/* Of a READ that is done: its first byte. */
static inline const uint8_t *fusefile_slot_bytes(const struct fusefile_slot *slot)
{
	return slot->data + (slot->off - slot->plan.off);
}

#endif
