/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks of the devices of this process: each device its own, or one that all devices share which name it. */
#ifndef VDPA_VDPA_DISK_H
#define VDPA_VDPA_DISK_H

#include "core/bdev.h"
#include "vdpa/vdpa_args.h"

struct vdpa_disk;

/**
 * vdpa_disk_open - what @a asks for, on the running reactor @control. Blocks; any thread. Limits that @a names are
 * in force from then on. 0 or -errno with eb (shared: another backend, or not to be written to).
 */
int vdpa_disk_open(const char *device, const struct vdpa_args *a, struct reactor *control,
		   struct vdpa_disk **ret_disk, struct errbuf *eb);

/* The last user closes it, and waits up to @ms for that. False: it is not closed yet, and @control must stay. */
bool vdpa_disk_close(struct vdpa_disk *d, uint64_t ms);

struct bdev *vdpa_disk_bdev(const struct vdpa_disk *d);

#endif
