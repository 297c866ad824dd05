/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens the node for a moment. */
#include "vdpa/hostnode.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int hostnode_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		err = -errno;
	(void)close(fd);
	return err;
}

bool hostnode_is_claimed(const char *path)
{
	int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC), err = errno;

	if (fd >= 0)
		(void)close(fd);
	return fd < 0 && err == EBUSY;
}
