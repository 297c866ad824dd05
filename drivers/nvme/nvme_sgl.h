/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of any shape as Scatter Gather Lists (4.1.2): one data block, or one segment of them. */
#ifndef DRIVERS_NVME_NVME_SGL_H
#define DRIVERS_NVME_NVME_SGL_H

#include "drivers/nvme/nvme_prp.h"

/* For the command, with NVME_CMD_PSDT_SGL. 0, -EFAULT (not in the registry), -E2BIG (the list is
 * too short), -EINVAL (no data). */
int nvme_sgl_build(struct nvme_xlat *x, const struct iovec *iov, unsigned iovcnt,
		   const struct nvme_list *list, struct nvme_sgl_desc *ret);

#endif
