/* SPDX-License-Identifier: BSD-3-Clause */
/* Servers of mounted volumes: one that dies is followed by another, without waiting for a request. */
#ifndef TOOLS_VOLUME_VPLUG_WATCH_H
#define TOOLS_VOLUME_VPLUG_WATCH_H

struct vplug;

/* Until @signal_fd is readable. */
void vplug_watch_run(struct vplug *v, int signal_fd);

#endif
