/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE of the running kernel. */
#include "vdpa/vduse_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int kernel_open(const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "/dev/vduse/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	int n = ioctl(fd, request, arg);

	return n < 0 ? -errno : n;
}

static bool kernel_is_sized(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size != 0;
}

static bool kernel_is_attached(const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "/sys/bus/vdpa/devices/%s", name) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

const struct vduse_sys vduse_sys_kernel = {
	.open = kernel_open,
	.ioctl = kernel_ioctl,
	.is_sized = kernel_is_sized,
	.is_attached = kernel_is_attached,
};
