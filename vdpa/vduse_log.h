/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inflight log of a VDUSE device: a file that says what the kernel's device was made as, how far its driver
 * has come, and which chains were taken and not given back (vhost/virtq/vqi.h, one region for each queue).
 */
#ifndef VDPA_VDUSE_LOG_H
#define VDPA_VDUSE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

/* What must be the same for a device to be gone on with. */
struct vduse_shape {
	uint64_t features; /* offered */
	uint32_t nqueues, queue_size, config_bytes;
	uint32_t reserved;
};

struct vduse_log {
	char *path;
	int fd; /* locked while we have it; -1: closed */
	struct vduse_log_head *head; /* NULL: neither fits nor formatted */
	size_t bytes;
	struct vduse_shape shape;
	bool fits;   /* it was there, whole, and of this shape */
	bool is_new; /* there was none */
};

/* Makes or opens @path, and locks it; changes nothing of what is there. 0 or -errno with eb: -EBUSY somebody else has it. */
int vduse_log_open(struct vduse_log *log, const char *path, const struct vduse_shape *shape,
		   struct errbuf *eb);
/* For a device that has just been made: nothing is known. 0 or -errno with eb. */
int vduse_log_format(struct vduse_log *log, struct errbuf *eb);
/* @remove: there is nothing left to remember. Harmless when closed. */
void vduse_log_close(struct vduse_log *log, bool remove);

/* The status that the driver has set last. */
uint8_t vduse_log_status(const struct vduse_log *log);
void vduse_log_set_status(struct vduse_log *log, uint8_t status);

void *vduse_log_region(const struct vduse_log *log, unsigned index);

#endif
