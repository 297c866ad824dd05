/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a vDPA device has its sessions from: a disk of this process (vdpa_local), or a daemon's (vdpa_relay). */
#ifndef VDPA_VDPA_SOURCE_H
#define VDPA_VDPA_SOURCE_H

#include <stdbool.h>

#include "core/base/errbuf.h"

struct vdpa_source;
struct vu_session_info;

/* All of them wait for args->stop_ms at most. */
struct vdpa_source_ops {
	/* Begin a session; *ret_sock is the front-end's end. One that has not ended yet: -EBUSY. 0 or -errno with eb. */
	int (*connect)(struct vdpa_source *s, int *ret_sock, struct errbuf *eb);
	/* The front-end's end is closed: wait until the session has ended. False: it goes on ending. */
	bool (*wait_end)(struct vdpa_source *s);
	/* As vu_server_get_info(). Any thread. */
	int (*get_info)(struct vdpa_source *s, struct vu_session_info *ret);
	/* Nobody is connected any more. */
	void (*destroy)(struct vdpa_source *s);
};

/* Embedded by the implementation. */
struct vdpa_source {
	const struct vdpa_source_ops *ops;
};

#endif
