/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device's node, as anybody on this host sees it. */
#ifndef VDPA_HOSTNODE_H
#define VDPA_HOSTNODE_H

#include <stdbool.h>

/* What the kernel has not written yet is written. Blocks, for as long as the device takes. 0 or -errno. */
int hostnode_sync(const char *path);

/* Somebody has it for himself: it is mounted, or a part of another device. */
bool hostnode_is_claimed(const char *path);

#endif
