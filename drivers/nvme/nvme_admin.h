/* SPDX-License-Identifier: BSD-3-Clause */
/* The admin commands the driver itself needs. They wait: set-up threads. 0, or -errno: no answer,
 * or what its status means. */
#ifndef DRIVERS_NVME_NVME_ADMIN_H
#define DRIVERS_NVME_NVME_ADMIN_H

#include "drivers/nvme/nvme_syncq.h"

/* One that answers with a good status, or its error, with words in @eb. @what: for them. */
int nvme_admin_exec(struct nvme_syncq *q, struct nvme_passthru *cmd, const char *what,
		    struct errbuf *eb);

/* @cns: with CNTID or CSI in the upper bits, if any. @ret_page: NVME_ID_BYTES. */
int nvme_admin_identify(struct nvme_syncq *q, uint32_t cns, uint32_t nsid, void *ret_page,
			struct errbuf *eb);
int nvme_admin_get_log(struct nvme_syncq *q, uint8_t lid, uint32_t nsid, void *ret_page,
		       uint32_t bytes);
int nvme_admin_set_feature(struct nvme_syncq *q, uint8_t fid, uint32_t cdw11, uint32_t *ret_dw0,
			   struct errbuf *eb);

/* Both queues of @qp; @vector < 0: no interrupts. Undone on failure. */
int nvme_admin_create_queues(struct nvme_syncq *q, const struct nvme_qpair *qp, int vector,
			     struct errbuf *eb);
/* 0, or not both have gone: the device may still use their memory. */
int nvme_admin_delete_queues(struct nvme_syncq *q, const struct nvme_qpair *qp);

/* 0: the command has been aborted, its completion comes or is there. -EBUSY: not aborted. */
int nvme_admin_abort(struct nvme_syncq *q, uint16_t sqid, uint16_t cid);

#endif
