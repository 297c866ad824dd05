/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight area of a session: memory that the front-end keeps for us while we are gone
 * ("Inflight I/O tracking").
 *
 *   GET_INFLIGHT_FD   a new, sealed memfd of nqueues regions; nothing of it is kept here
 *   SET_INFLIGHT_FD   comes back, then or after a reconnect: input, mapped and checked
 */
#ifndef VHOST_USER_VU_INFLIGHT_H
#define VHOST_USER_VU_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "vhost/user/vu_wire.h"

struct sigbus_owner;

struct vu_inflight_area {
	void *map; /* NULL: none */
	size_t map_bytes;
	char *base; /* of the first region, in map */
	uint64_t bytes;
	uint16_t nqueues, queue_size;
	struct sigbus_owner *owner; /* the session's; kept over unmap */
};

/* An empty memfd for @d->nqueues rings of @d->queue_size. Fills @d's size and offset. 0 or -errno
 * with eb. */
int vu_inflight_make(struct vu_inflight *d, bool packed, unsigned nqueues_max, int *ret_fd,
		     struct errbuf *eb);

/* Check @d against @fd's size and map it; @fd stays the caller's. 0, -EINVAL or -errno with eb. */
int vu_inflight_map(struct vu_inflight_area *a, const struct vu_inflight *d, unsigned nqueues_max,
		    int fd, struct errbuf *eb);
/* Harmless when there is none. */
void vu_inflight_unmap(struct vu_inflight_area *a);

/**
 * vu_inflight_region - where the region of ring @index lies, vqi_bytes() of it; *ret = NULL when the
 * ring is not tracked (no area, or not for so many rings). -EINVAL with eb: the area is for smaller
 * rings (CVE-2026-86565). What it says is checked by vq_init.
 */
int vu_inflight_region(const struct vu_inflight_area *a, unsigned index, bool packed, uint16_t size,
		       void **ret, struct errbuf *eb);

#endif
