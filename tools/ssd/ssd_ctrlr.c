/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers of the controller and what writing them does.
 *
 *   DISABLED ──CC.EN=1, good──► (ready_ms) ──► READY ──CC.SHN──► READY, SHST complete
 *      ▲            └─bad──► FATAL (CSTS.CFS)     │ │
 *      └──CC.EN=0, NSSR, FLR, client gone─────────┘ └─fault rules: FATAL, hung, removed
 */
#include <string.h>

#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

#define CAP_TO	  20u /* units of 500 ms */
#define MPSMAX	  4u  /* 64 KiB */
#define REG_BYTES 0x60u

void ssd_ctrlr_init(struct ssd *s)
{
	s->cap = (uint64_t)(s->opts.mqes - 1) | 1ull << 16 | (uint64_t)CAP_TO << 24 | 1ull << 36 |
		 (uint64_t)(NVME_CAP_CSS_NVM | NVME_CAP_CSS_CSI) << 37 | (uint64_t)MPSMAX << 52;
	s->page = NVME_PAGE_BYTES_MIN;
	s->health.power_cycles++;
	ssd_feat_reset(s, true);
}

static void put(uint8_t *image, unsigned at, uint64_t v, unsigned bytes)
{
	le64 x = le64_make(v);

	memcpy(image + at, &x, bytes);
}

void ssd_ctrlr_read(struct ssd *s, uint64_t off, void *buf, uint32_t len)
{
	uint8_t image[REG_BYTES] = { 0 };

	put(image, NVME_REG_CAP, s->cap, 8);
	put(image, NVME_REG_VS, NVME_VS(2, 0, 0), 4);
	put(image, NVME_REG_INTMS, s->intm, 4);
	put(image, NVME_REG_INTMC, s->intm, 4);
	put(image, NVME_REG_CC, s->cc, 4);
	put(image, NVME_REG_CSTS, s->csts, 4);
	put(image, NVME_REG_AQA, s->aqa, 4);
	put(image, NVME_REG_ASQ, s->asq, 8);
	put(image, NVME_REG_ACQ, s->acq, 8);
	memset(buf, 0, len);
	if (off < REG_BYTES)
		memcpy(buf, image + off, CC_MIN(len, REG_BYTES - off));
}

void ssd_ctrlr_fatal(struct ssd *s, const char *why)
{
	if (s->fatal)
		return;
	log_warn("controller fatal status: %s", why);
	s->fatal = true;
	s->csts |= NVME_CSTS_CFS;
}

void ssd_ctrlr_reset(struct ssd *s)
{
	ssd_queue_close_all(s);
	ssd_event_reset(s);
	ssd_feat_reset(s, false);
	ssd_fw_reset(s);
	ssd_self_test_reset(s);
	s->cc = 0;
	s->csts &= NVME_CSTS_NSSRO;
	s->ready_ns = 0;
	s->fatal = false;
	s->hung = false;
	s->intm = 0;
	s->shadow = 0;
	s->eventidx = 0;
	s->queues_asked = false;
}

void ssd_ctrlr_flr(struct ssd *s)
{
	if (s->removed)
		return;
	ssd_ctrlr_reset(s);
	ssd_pci_reset(s);
	s->csts = 0;
	s->aqa = 0;
	s->asq = 0;
	s->acq = 0;
	memset(s->pci.bells, 0, SSD_DB_BYTES);
}

void ssd_ctrlr_remove(struct ssd *s, bool removed)
{
	if (removed == s->removed)
		return;
	log_notice(removed ? "removed by surprise" : "plugged in again");
	s->removed = false;
	ssd_ctrlr_flr(s);
	s->removed = removed;
	if (!removed)
		s->health.power_cycles++;
}

/* The admin queues from AQA, ASQ and ACQ. NULL: they are good; else what is not. */
static const char *admin_open(struct ssd *s)
{
	struct ssd_sq *sq = &s->sq[0];
	struct ssd_cq *cq = &s->cq[0];

	sq->id = 0;
	sq->cqid = 0;
	sq->size = (uint32_t)NVME_FIELD(s->aqa, 0, 12) + 1;
	sq->ring = (struct ssd_window){ .iova = s->asq, .len = sq->size * sizeof(struct nvme_sqe) };
	cq->id = 0;
	cq->irq = true;
	cq->vector = 0;
	cq->size = (uint32_t)NVME_FIELD(s->aqa, 16, 12) + 1;
	cq->ring = (struct ssd_window){ .iova = s->acq, .len = cq->size * sizeof(struct nvme_cqe) };
	if (sq->size < 2 || cq->size < 2)
		return "an admin queue of less than two entries (AQA)";
	if ((s->asq | s->acq) & (s->page - 1))
		return "admin queues that do not begin on a page (ASQ, ACQ)";
	if (ssd_queue_open(s, sq, cq))
		return "admin queues outside of the memory mapped for the device (ASQ, ACQ)";
	return NULL;
}

static const char *config_check(uint32_t cc)
{
	uint32_t css = (uint32_t)NVME_FIELD(cc, 4, 3);

	if (NVME_CC_GET_MPS(cc) > MPSMAX)
		return "CC.MPS beyond CAP.MPSMAX";
	if (css != 0 && css != 6)
		return "CC.CSS not offered";
	if (NVME_FIELD(cc, 11, 3))
		return "CC.AMS not offered";
	return NULL;
}

static void enable(struct ssd *s, uint32_t cc)
{
	const char *bad = config_check(cc);

	s->cc |= NVME_CC_EN;
	if (!ssd_pci_is_master(s))
		log_warn("enabled while bus mastering is off: nothing is fetched until it is on "
			 "(PCI command, bit 2)");
	if (!bad) {
		s->page = NVME_PAGE_BYTES_MIN << NVME_CC_GET_MPS(cc);
		bad = admin_open(s);
	}
	if (bad) {
		ssd_ctrlr_fatal(s, bad);
		return;
	}
	if (s->opts.ready_ms)
		s->ready_ns = mono_ns() + s->opts.ready_ms * MONO_NS_PER_MS;
	else
		s->csts |= NVME_CSTS_RDY;
}

/* 3.6: what was written is on stable storage before SHST says so. */
static void shut_down(struct ssd *s)
{
	for (uint32_t nsid = 1; nsid <= SSD_NS_MAX; nsid++) {
		struct ssd_ns *ns = ssd_ns_get(s, nsid);

		if (ns && ssd_ns_sync(ns))
			log_warn("namespace %u: flushing its file failed", nsid);
	}
	s->csts = (s->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
}

static void cc_write(struct ssd *s, uint32_t cc)
{
	uint32_t before = s->cc;

	if ((before & NVME_CC_EN) && !(cc & NVME_CC_EN)) {
		ssd_ctrlr_reset(s);
		return;
	}
	s->cc = cc;
	if (!(before & NVME_CC_EN) && (cc & NVME_CC_EN)) {
		s->cc &= ~NVME_CC_EN;
		enable(s, cc);
	}
	if ((cc & NVME_CC_SHN_MASK) && !(before & NVME_CC_SHN_MASK))
		shut_down(s);
}

static void set_half(uint64_t *reg, bool high, uint32_t v)
{
	if (high)
		*reg = (*reg & 0xffffffffu) | (uint64_t)v << 32;
	else
		*reg = (*reg & ~0xffffffffull) | v;
}

static void reg_write(struct ssd *s, uint64_t off, uint32_t v)
{
	bool enabled = s->cc & NVME_CC_EN;

	switch (off) {
	case NVME_REG_INTMS:
		s->intm |= v;
		break;
	case NVME_REG_INTMC:
		s->intm &= ~v;
		break;
	case NVME_REG_CC:
		cc_write(s, v);
		break;
	case NVME_REG_NSSR:
		if (v == NVME_NSSR_MAGIC) {
			log_notice("subsystem reset");
			ssd_ctrlr_reset(s);
			s->csts |= NVME_CSTS_NSSRO;
		}
		break;
	case NVME_REG_CSTS:
		if (v & NVME_CSTS_NSSRO) /* write one to clear */
			s->csts &= ~NVME_CSTS_NSSRO;
		break;
	case NVME_REG_AQA:
		if (!enabled)
			s->aqa = v & 0x0fff0fffu;
		break;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		if (!enabled)
			set_half(&s->asq, off & 4, off & 4 ? v : v & ~0xfffu);
		break;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		if (!enabled)
			set_half(&s->acq, off & 4, off & 4 ? v : v & ~0xfffu);
		break;
	default:
		break; /* read-only or reserved */
	}
}

void ssd_ctrlr_write(struct ssd *s, uint64_t off, const void *buf, uint32_t len)
{
	const uint8_t *p = buf;

	/* 3.1: whole dwords, 64-bit registers also at once */
	if (off % 4 || (len != 4 && len != 8))
		return;
	for (uint32_t i = 0; i < len; i += 4) {
		le32 v;

		memcpy(&v, p + i, 4);
		reg_write(s, off + i, le32_get(v));
	}
}

/* 5.27.1.12: without Keep Alive for so long the host is taken for dead. */
static uint64_t keep_alive_end(const struct ssd *s)
{
	if (!s->feat[NVME_FEAT_KATO] || !ssd_ctrlr_is_running(s))
		return UINT64_MAX;
	return s->alive_ns + s->feat[NVME_FEAT_KATO] * MONO_NS_PER_MS;
}

uint64_t ssd_ctrlr_due(const struct ssd *s)
{
	uint64_t due = keep_alive_end(s);

	return s->ready_ns ? CC_MIN(due, s->ready_ns) : due;
}

static void health_tick(struct ssd_health *h, uint64_t now, bool busy)
{
	uint64_t ns = now - h->seen_ns;

	h->seen_ns = now;
	if (busy)
		h->busy_ns += ns;
	if (h->temperature >= SSD_TEMP_CRIT)
		h->hot_ns += ns;
	else if (h->temperature >= SSD_TEMP_WARN)
		h->warm_ns += ns;
}

void ssd_ctrlr_tick(struct ssd *s, uint64_t now, bool busy)
{
	health_tick(&s->health, now, busy);
	if (cc_unlikely(now >= keep_alive_end(s)))
		ssd_ctrlr_fatal(s, "the keep-alive timer has expired");
	if (s->ready_ns && now >= s->ready_ns) {
		s->ready_ns = 0;
		s->csts |= NVME_CSTS_RDY;
	}
	ssd_maint_tick(s, now);
}
