/* SPDX-License-Identifier: BSD-3-Clause */
/* What a person writes for a controller or a namespace, taken apart. */
#ifndef TOOLS_NVRING_NVT_NAME_H
#define TOOLS_NVRING_NVT_NAME_H

#include <stdint.h>

#include "drivers/nvme/nvme_probe.h"

enum nvt_name_kind {
	NVT_NAME_ADDRESS, /* as nvme_probe_get() takes it */
	NVT_NAME_NUMBER,  /* "nvme0", "/dev/nvme0n1" */
	NVT_NAME_DISK,	  /* anything else */
};

struct nvt_name {
	enum nvt_name_kind kind;
	char address[NVME_ADDRESS_MAX];
	unsigned number;
	uint32_t nsid; /* 0: none */
};

/* 0, or -ENAMETOOLONG. Looks at the file system for sockets, nothing else. */
int nvt_name_parse(const char *text, struct nvt_name *ret);

#endif
