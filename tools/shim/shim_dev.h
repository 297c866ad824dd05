/* SPDX-License-Identifier: BSD-3-Clause */
/* Device nodes that are not there: their names, their file descriptors, and who answers for them. */
#ifndef TOOLS_SHIM_SHIM_DEV_H
#define TOOLS_SHIM_SHIM_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/shim/shim_wire.h"

struct shim_dev {
	uint32_t ctrlr, ns; /* ns 0: the controller */
};

/* Is @path "/dev/nvme0", "/dev/nvme0n1", or an open one below /dev/fd and /proc/self/fd? Nothing is asked. */
bool shim_dev_of_path(const char *path, struct shim_dev *ret_dev);

/* Was @fd made by shim_dev_open()? Survives dup, fork and exec: the name is the kernel's. */
bool shim_dev_of_fd(int fd, struct shim_dev *ret_dev);

/* A file descriptor that stands for @dev: as long as the namespace, not readable, not writable. -1 with errno. */
int shim_dev_open(const struct shim_dev *dev, bool cloexec);

/* The device number the node would have. */
dev_t shim_dev_number(const struct shim_dev *dev);

/**
 * shim_dev_ask - @req (magic and device are filled in here) to `nvring exec`; @data as the opcode's direction says.
 * 0 with the answer (whose err may be set), or -errno when nobody answers.
 */
int shim_dev_ask(const struct shim_dev *dev, struct shim_request *req, void *data,
		 struct shim_answer *ret);

/* Is there such a device? 0 with size and block size, or -errno. */
int shim_dev_look(const struct shim_dev *dev, struct shim_answer *ret);

/* Where @path is looked for: below $NVRING_SHIM when it is about NVMe, else itself. Returns @path or @buf. */
const char *shim_path(const char *path, char *buf, size_t len);

#endif
