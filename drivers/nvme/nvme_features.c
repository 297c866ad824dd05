/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked of a controller once it is ready: queues, events, shadow doorbells, delays of
 * retries. */
#include <errno.h>
#include <string.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

/* 5.27.1.5: both numbers 0's based; the device may give more or less than was asked for. */
static int set_queues(struct nvme_ctrlr *c, struct errbuf *eb)
{
	uint32_t want = CC_MIN(c->cap.queues_max, NVME_IOQS_MAX), dw0, given;
	int err;

	if (c->opts.queues_max)
		want = CC_MIN(want, c->opts.queues_max + 1); /* one for set-up threads */
	if (want == 0)
		return errbuf_set(eb, -EPROTO, "there are no doorbells for I/O queues");
	err = nvme_admin_set_feature(&c->admin, NVME_FEAT_NUM_QUEUES, (want - 1) << 16 | (want - 1),
				     &dw0, eb);
	if (err)
		return err;
	given = CC_MIN(dw0 & 0xffff, dw0 >> 16) + 1;
	given = CC_MIN(given, want);
	if (given < nvme_queues_count(c))
		return errbuf_set(eb, -EPROTO, "it gives %u I/O queues where it gave %u before",
				  given, c->queues);
	pthread_mutex_lock(&c->lock);
	c->queues = given;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* 5.27.1.18: without ACRE the device does not use the delays it announces. */
static void set_retry_delays(struct nvme_ctrlr *c)
{
	uint8_t page[NVME_HOST_BEHAVIOR_BYTES] = { 1 };
	struct nvme_passthru cmd = {
		.opc = NVME_ADM_SET_FEATURES,
		.cdw10 = NVME_FEAT_HOST_BEHAVIOR,
		.data = page,
		.data_bytes = sizeof(page),
	};

	if (!c->info.retry_ms[1] && !c->info.retry_ms[2] && !c->info.retry_ms[3])
		return;
	/* refused: it retries at once */
	(void)nvme_admin_exec(&c->admin, &cmd, "Set Features", NULL);
}

static int dbbuf_init(struct nvme_ctrlr *c)
{
	struct nvme_dbbuf *d = &c->dbbuf;
	int err;

	if (d->is_mapped)
		return 0;
	err = hugemem_alloc(&d->mem, 2 * NVME_PAGE_BYTES_MIN, "nvring-nvme-doorbells");
	if (!err)
		err = hugemem_dma_add(&d->mem);
	d->is_mapped = !err;
	return err;
}

/* 5.8; Doorbell Buffer Config. */
static void set_dbbuf(struct nvme_ctrlr *c)
{
	struct nvme_passthru cmd = { .opc = NVME_ADM_DBBUF_CONFIG };
	struct nvme_prps prps;
	size_t have;
	int err;

	c->dbbuf.is_on = false;
	if (!(c->info.oacs & NVME_OACS_DBBUF) || c->quirks & NVME_QUIRK_NO_DBBUF)
		return;
	/* the pages hold the doorbells of so many queues */
	if (NVME_DB_CQ(c->queues, c->cap.stride) + sizeof(le32) > NVME_PAGE_BYTES_MIN)
		return;
	err = dbbuf_init(c);
	if (err)
		return;
	memset(c->dbbuf.mem.va, 0, c->dbbuf.mem.len);
	prps.prp1 = dma_xlate(c->hw->dma, c->dbbuf.mem.va, &have);
	prps.prp2 = prps.prp1 + NVME_PAGE_BYTES_MIN;
	err = nvme_syncq_exec_prps(&c->admin, &cmd, &prps);
	c->dbbuf.is_on = !err && NVME_STATUS_CODE(cmd.status) == NVME_SC_SUCCESS;
	if (!c->dbbuf.is_on)
		log_info("%s: offers shadow doorbells and then refuses them", c->name);
}

static void doorbell_attach(struct nvme_ctrlr *c, struct nvme_doorbell *db)
{
	char *shadow = (char *)c->dbbuf.mem.va + (db->off - NVME_REG_DOORBELLS);

	db->shadow = NULL;
	db->event = NULL;
	if (!c->dbbuf.is_on)
		return;
	db->event = (volatile le32 *)(void *)(shadow + NVME_PAGE_BYTES_MIN);
	db->shadow = (volatile le32 *)(void *)shadow;
	nvme_mmio_store(db->shadow, 0);
	nvme_mmio_store(db->event, 0);
}

void nvme_dbbuf_attach(struct nvme_ctrlr *c, struct nvme_qpair *qp)
{
	doorbell_attach(c, &qp->sq_db);
	doorbell_attach(c, &qp->cq_db);
}

void nvme_dbbuf_fini(struct nvme_ctrlr *c)
{
	if (c->dbbuf.is_mapped)
		hugemem_dma_del(&c->dbbuf.mem);
	hugemem_free(&c->dbbuf.mem);
	c->dbbuf.is_mapped = false;
}

int nvme_set_features(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err;

	if (c->opts.no_io)
		return 0;
	err = set_queues(c, eb);
	if (err)
		return err;
	set_retry_delays(c);
	nvme_hmb_enable(c);
	set_dbbuf(c);
	nvme_aer_start(c);
	return 0;
}
