/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is pinned for direct I/O once and for all: what lies in the DMA registry and was used
 * by a disk with fixed=1. One set for the process, shared by all its disks and rings.
 *
 *   DMA registry      region added ─► a run of places in every ring's table; nothing is pinned
 *   a reactor         first I/O in it: urb_pin_want() ─► the pin thread
 *   the pin thread    touches the pages, registers them with a ring that does nothing else (the
 *                     anchor) ─ message ─► each channel
 *   each reactor      clones the anchor's buffers into its own ring; I/O goes through them
 *   DMA registry      region removed ─ message ─► each channel
 *   each reactor      clears the places; behind the last of them, the pin thread closes the anchor
 *
 * Registering pins page by page and takes long, and so does the end of it; cloning and clearing
 * only count references. A ring that serves I/O stands still for no more than that. The rings pin
 * nothing by themselves, so a page counts once against RLIMIT_MEMLOCK, however many disks and
 * reactors use it.
 *
 * Before Linux 6.13 there is no such clone. Then each ring registers for itself, one piece in a
 * turn, pages that the pin thread has touched before: a millisecond or so for each piece, and the
 * memory counts once for each ring.
 *
 * A region is cut into pieces, since the kernel takes no buffer of more than 1 GiB. An I/O across
 * the border of two goes the plain way.
 */
#ifndef DRIVERS_URING_URB_PIN_PRIV_H
#define DRIVERS_URING_URB_PIN_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/base/list.h"
#include "core/dma.h"

/* The kernel walks the pages of a piece with interrupts off, a reactor may have to wait for it. */
#define URB_PIECE_SHIFT 26
#define URB_PIECE_BYTES (1ull << URB_PIECE_SHIFT)
#define URB_PIECES_MAX	8192u /* 512 GiB; 64 KiB of kernel memory for each ring */

/* Where a region stands in the tables: what the DMA domain knows as its iova. */
struct urb_place {
	uint32_t serial; /* of the region; never 0, never used twice */
	uint32_t first;	 /* piece; URB_PIECES_MAX: there was no room */
};

static inline struct urb_place urb_place_of(uint64_t iova)
{
	return (struct urb_place){ .serial = (uint32_t)(iova >> 32), .first = (uint32_t)iova };
}

/* Pieces of a region of @len bytes. */
static inline uint64_t urb_pieces(uint64_t len)
{
	return (len + URB_PIECE_BYTES - 1) >> URB_PIECE_SHIFT;
}

/* The piece that holds [into, into + len) of a region of @region_len bytes, or -1: none holds all
 * of it. */
static inline int urb_piece_of(uint64_t region_len, uint64_t into, uint64_t len)
{
	uint64_t last = into + len - 1;

	if (last >= region_len || last < into || (into ^ last) >> URB_PIECE_SHIFT)
		return -1;
	return (int)(into >> URB_PIECE_SHIFT);
}

/*
 * A disk begins / ends to use the set. Set-up threads, control thread. 0, or -errno with the reason
 * in @eb: this kernel cannot do it at all. Whether memory can be pinned shows with each region.
 */
int urb_pin_get(struct errbuf *eb);
void urb_pin_put(void);

/* Between get and put. */
bool urb_pin_can_clone(void);

/* Where regions lie: urb_place_of() what it knows of an address. Between get and put. */
const struct dma_domain *urb_pin_domain(void);

/* The region at @at is being used: pin it. Any reactor; does nothing when it was asked for, or
 * failed, before. */
void urb_pin_want(struct urb_place at);

/*
 * The channels' side: see urb_fixed.c. Links live in the set from attach to detach.
 */
struct urb_pin_link {
	struct list link;
	/* With the set locked: something changed. Calls nothing of the set. */
	void (*changed)(struct urb_pin_link *l);
};

void urb_pin_attach(struct urb_pin_link *l);
/* No `changed` comes behind it. */
void urb_pin_detach(struct urb_pin_link *l);

/* Around what follows, and everything that is said about the set in between holds. Short. */
void urb_pin_lock(void);
void urb_pin_unlock(void);

/* The region that piece @i belongs to, 0: none. Locked. */
uint32_t urb_pin_serial(uint32_t i);

struct urb_pinned {
	struct urb_place at;
	uint32_t npieces;
	int ring; /* the anchor; where rings clone: the pieces are its buffers 0 … npieces - 1 */
	char *va;
	uint64_t len;
};

/* The first region at or behind piece @from that is pinned. False: none. Locked. */
bool urb_pin_next(uint32_t from, struct urb_pinned *ret);

/* A ring begins / ends to use the buffers of that region: they are pinned until the last has ended,
 * also when the region is gone. Locked. */
void urb_pin_hold(uint32_t serial);
void urb_pin_release(uint32_t serial);

/* One line, once per process: why a region or ring goes on without. */
void urb_pin_complain(const char *what, int err);

#endif
