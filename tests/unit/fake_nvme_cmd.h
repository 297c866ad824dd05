/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the two files of the fake controller. */
#ifndef TESTS_UNIT_FAKE_NVME_CMD_H
#define TESTS_UNIT_FAKE_NVME_CMD_H

#include "core/base/cc.h"
#include "tests/unit/fake_nvme.h"

/* The driver has broken a rule. */
void fake_nvme_broken(struct fake_nvme *f, const char *fmt, ...) cc_printf(2, 3);
/* Memory at @iova, or NULL: a violation. */
void *fake_nvme_dma(struct fake_nvme *f, uint64_t iova, uint64_t len);
/* Under lock. */
void fake_nvme_post(struct fake_nvme *f, unsigned cqid, uint16_t sqid, uint16_t cid,
		    uint16_t status, uint32_t dw0);
void fake_nvme_complete(struct fake_nvme *f, const struct fake_nvme_cmd *cmd, uint16_t status,
			uint32_t dw0);
/* Carry out and answer. */
void fake_nvme_exec(struct fake_nvme *f, const struct fake_nvme_cmd *cmd);

#endif
