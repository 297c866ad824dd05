/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio-blk device of this process, and its one session: what nvringd makes of a disk and a socket, without the socket. */
#ifndef VDPA_VDPA_LOCAL_H
#define VDPA_VDPA_LOCAL_H

#include "vdpa/vdpa_args.h"
#include "vdpa/vdpa_source.h"

/**
 * vdpa_local_create - threads, disk, device. Blocks; any thread. 0 or -errno with eb. When it is destroyed, what does
 * not end within a->stop_ms is left as it is, with a log line.
 */
int vdpa_local_create(const char *name, const struct vdpa_args *a, struct vdpa_source **ret_s,
		      struct errbuf *eb);

#endif
