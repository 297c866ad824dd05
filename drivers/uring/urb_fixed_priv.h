/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered buffers of one ring: which of them holds an I/O's data. */
#ifndef DRIVERS_URING_URB_FIXED_PRIV_H
#define DRIVERS_URING_URB_FIXED_PRIV_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/cc.h"
#include "core/bio.h"
#include "core/reactor.h"
#include "drivers/uring/urb_pin_priv.h"

/* The channel's reactor's, but for the link and what is said there. */
struct urb_fixed {
	/* the region of the DMA registry that was looked up last; len 0: none */
	const struct dma_domain *domain;
	uintptr_t va;
	uint64_t len;
	uint32_t gen;	 /* of the registry */
	int32_t first;	 /* its place in the ring's table; -1: not there */
	uint32_t *owner; /* for each place of the table: serial of the region that is there, or 0 */
	struct io_uring *ring;
	struct reactor *reactor;
	bool is_refused; /* by the kernel, so it is not asked any more */
	/* under the set's lock */
	struct urb_pin_link link;
	struct reactor_msg msg;
	bool is_told; /* msg is on its way */
	bool is_stopped;
	bool is_dead; /* and whoever gets it frees this */
};

/* @ring, which has no issuer yet, gets a table. Channel create, destroy: control thread. 0 or
 * -errno. */
int urb_fixed_create(struct io_uring *ring, struct reactor *r, struct urb_fixed **ret);
/* Stopped, or never started. NULL is fine. */
void urb_fixed_destroy(struct urb_fixed *f);
/* On the reactor. */
void urb_fixed_start(struct urb_fixed *f);
void urb_fixed_stop(struct urb_fixed *f);

/* @va is in another region than before, or the registry has changed. False: it is in no region. */
bool urb_fixed_look_up(struct urb_fixed *f, const void *va);

/* The registered buffer that holds all of [va, va + len), or -1. */
static cc_always_inline int urb_fixed_find(struct urb_fixed *f, const void *va, uint64_t len)
{
	int piece;

	if (cc_unlikely((uintptr_t)va - f->va >= f->len || f->gen != dma_generation(f->domain)) &&
	    !urb_fixed_look_up(f, va))
		return -1;
	if (f->first < 0)
		return -1;
	piece = urb_piece_of(f->len, (uintptr_t)va - f->va, len);
	return piece < 0 ? -1 : f->first + piece;
}

/* Do @bio's buffers touch, so that they are one? */
static inline bool urb_fixed_is_one(const struct bio *bio)
{
	for (unsigned i = 1; i < bio->iovcnt; i++) {
		const struct iovec *last = &bio->iov[i - 1];

		if ((char *)last->iov_base + last->iov_len != bio->iov[i].iov_base)
			return false;
	}
	return true;
}

#endif
