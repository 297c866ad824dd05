/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers the preloaded library: requests of tools/shim/shim_wire.h, carried out on targets. */
#ifndef TOOLS_NVRING_EXEC_SERVE_H
#define TOOLS_NVRING_EXEC_SERVE_H

#include "core/base/errbuf.h"
#include "tools/nvring/nvt.h"

struct exec_device {
	unsigned number; /* /dev/nvme<number> */
	struct nvt *t;
};

struct exec_devices {
	struct exec_device dev[NVT_CTRLRS_MAX];
	unsigned n;
};

/* Listen on @folder/socket. 0 with *ret_fd or -errno with eb. */
int exec_serve_listen(const char *folder, int *ret_fd, struct errbuf *eb);

/* One connection of @listener: one request, one answer. What is no request is hung up on. */
void exec_serve_one(int listener, const struct exec_devices *devs);

#endif
