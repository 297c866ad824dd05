/* SPDX-License-Identifier: BSD-3-Clause */
/* What VDUSE needs of the kernel: two kinds of files and their ioctls. A seam for unit tests. */
#ifndef VDPA_VDUSE_SYS_H
#define VDPA_VDUSE_SYS_H

#include <stdbool.h>

/* All return -errno. Messages of a device are read(2) and write(2) on its fd. */
struct vduse_sys {
	/* /dev/vduse/NAME for reading and writing, O_NONBLOCK and O_CLOEXEC: the fd. "control" is the control device. */
	int (*open)(const char *name);
	/* Any thread. What ioctl(2) returns. */
	int (*ioctl)(int fd, unsigned long request, void *arg);
	/* Does the file of a memory region tell its size? The kernel's own memory does not. */
	bool (*is_sized)(int fd);
	/* Is there a device NAME on the vDPA bus? */
	bool (*is_attached)(const char *name);
};

#define VDUSE_CONTROL "control"

extern const struct vduse_sys vduse_sys_kernel;

#endif
