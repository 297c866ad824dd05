/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio-blk device of this process, and its one session: what nvringd makes of a disk and a socket, without the socket. */
#ifndef VDPA_VDPA_LOCAL_H
#define VDPA_VDPA_LOCAL_H

#include "vdpa/vdpa_args.h"
#include "vhost/user/vu_server.h"

struct vdpa_local;

/* Threads, disk, device. Blocks; any thread. 0 or -errno with eb. */
int vdpa_local_create(const char *name, const struct vdpa_args *a, struct vdpa_local **ret_l,
		      struct errbuf *eb);

/* Nobody is connected any more. NULL is fine. What does not end within a->stop_ms is left as it is, with a log line. */
void vdpa_local_destroy(struct vdpa_local *l);

/* Begin a session; *ret_sock is the front-end's end. The one before must end first, within a->stop_ms: else -EBUSY. */
int vdpa_local_connect(struct vdpa_local *l, int *ret_sock, struct errbuf *eb);

/* The front-end's end is closed: wait until the session has ended. False: not within a->stop_ms; it goes on ending. */
bool vdpa_local_wait_end(struct vdpa_local *l);

/* As vu_server_get_info(); any thread but the control thread. */
int vdpa_local_get_info(struct vdpa_local *l, struct vu_session_info *ret);

#endif
