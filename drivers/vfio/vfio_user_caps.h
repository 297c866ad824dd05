/* SPDX-License-Identifier: BSD-3-Clause */
/* What a vfio-user server says of itself in its VERSION reply. Pure. */
#ifndef DRIVERS_VFIO_VFIO_USER_CAPS_H
#define DRIVERS_VFIO_VFIO_USER_CAPS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct vfio_user_caps {
	unsigned fds_max;    /* in one message to the server */
	uint32_t xfer_bytes; /* of one region read or write */
	unsigned maps_max;   /* DMA_MAPs at a time */
	uint64_t page_bytes; /* of DMA_MAP */
};

/* The text of our own VERSION command. */
extern const char vfio_user_caps_ours[];

/* The body of a VERSION reply: struct vfio_user_version and, it may be missing, JSON. 0 or -EPROTO
 * with eb. */
int vfio_user_caps_parse(const void *body, size_t len, struct vfio_user_caps *ret_caps,
			 struct errbuf *eb);

#endif
