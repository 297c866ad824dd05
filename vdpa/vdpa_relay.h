/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk of a running nvringd as a vDPA device: "nvringd:SOCKET/DISK", SOCKET being the daemon's control socket. The
 * daemon is asked for an export of the disk, DEVICE.DISK, and the guest's memory, rings and fds go on to it; its
 * reactors move the data, as for any socket of its.
 */
#ifndef VDPA_VDPA_RELAY_H
#define VDPA_VDPA_RELAY_H

#include <stdbool.h>

#include "vdpa/vdpa_args.h"
#include "vdpa/vdpa_source.h"

bool vdpa_relay_is_meant(const char *backend);

/* Makes the export, or takes over the one that a process before has left. Blocks. 0 or -errno with eb. */
int vdpa_relay_create(const char *name, const struct vdpa_args *a, struct vdpa_source **ret_s,
		      struct errbuf *eb);

#endif
