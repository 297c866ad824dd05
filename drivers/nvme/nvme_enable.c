/* SPDX-License-Identifier: BSD-3-Clause */
/* Enable, disable, shutdown: registers in the order of 3.5 and 3.6, a deadline on every wait. */
#include <errno.h>
#include <string.h>
#include <time.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "core/base/mono.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

#define POLL_NS_MIN	  20000ull /* between two looks at CSTS, growing */
#define POLL_NS_MAX	  2000000ull
#define SLOW_READY_MS	  2300u /* NVME_QUIRK_SLOW_READY */
#define FUNCTION_RESET_MS 100u	/* PCIe 6.6.2: after it, before the first access */
#define BACK_MS		  1000u /* until registers are back from a reset that was not ours */
#define CRTO_UNIT_MS	  500u

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / MONO_NS_PER_SEC), (long)(ns % MONO_NS_PER_SEC) };

	(void)nanosleep(&ts, NULL);
}

/* Until the bits of @mask in CSTS are @want. -ETIMEDOUT, -ENODEV (gone), -EIO (fatal status, when
 * it matters). */
static int wait_csts(struct nvme_ctrlr *c, uint32_t mask, uint32_t want, uint32_t ms,
		     bool cfs_matters)
{
	uint64_t until = mono_ns() + ms * MONO_NS_PER_MS, pause = POLL_NS_MIN;

	for (;;) {
		bool is_last = mono_ns() >= until;
		uint32_t csts;
		int err = nvme_reg_read(c->hw, NVME_REG_CSTS, &csts);

		if (err)
			return err;
		if ((csts & mask) == want)
			return 0;
		if (cfs_matters && csts & NVME_CSTS_CFS)
			return -EIO;
		if (is_last)
			return -ETIMEDOUT;
		sleep_ns(pause);
		pause = CC_MIN(pause * 2, POLL_NS_MAX);
	}
}

static int explain(struct nvme_ctrlr *c, int err, const char *what, uint32_t ms, struct errbuf *eb)
{
	switch (err) {
	case 0:
		return 0;
	case -ENODEV:
		return errbuf_set(eb, err, "the device has gone");
	case -EIO:
		return errbuf_set(eb, err,
				  "the controller reports a fatal error (CSTS.CFS) while it %s",
				  what);
	case -ETIMEDOUT:
		return errbuf_set(eb, err, "the controller has not %s within %u ms", what, ms);
	default:
		return errbuf_set(eb, err, "registers: %s", strerror(-err));
	}
}

int nvme_disable(struct nvme_ctrlr *c, struct errbuf *eb)
{
	uint32_t cc, ms = c->cap.ready_ms;
	int err = nvme_reg_read(c->hw, NVME_REG_CC, &cc);

	if (!err && cc & (NVME_CC_EN | NVME_CC_SHN_MASK))
		err = nvme_reg_write(c->hw, NVME_REG_CC, cc & ~(NVME_CC_EN | NVME_CC_SHN_MASK));
	if (!err && c->quirks & NVME_QUIRK_SLOW_READY)
		sleep_ns(SLOW_READY_MS * MONO_NS_PER_MS);
	/* 3.1.3.5: with RDY 0 no command is processed and no queue is written any more */
	if (!err)
		err = wait_csts(c, NVME_CSTS_RDY, 0, ms, false);
	return explain(c, err, "stopped", ms, eb);
}

int nvme_force_off(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err = nvme_disable(c, eb);

	if (!err || !c->hw->ops->reset)
		return err;
	if (c->hw->ops->reset(c->hw))
		return err;
	sleep_ns(FUNCTION_RESET_MS * MONO_NS_PER_MS);
	return nvme_disable(c, eb);
}

void nvme_shutdown(struct nvme_ctrlr *c)
{
	uint32_t cc;
	int err = nvme_reg_read(c->hw, NVME_REG_CC, &cc);

	if (!err)
		err = nvme_reg_write(c->hw, NVME_REG_CC,
				     (cc & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL);
	if (!err)
		err = wait_csts(c, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_COMPLETE,
				c->info.shutdown_ms, true);
	if (err && err != -ENODEV)
		log_warn("%s: shutdown not confirmed by the device: %s", c->name, strerror(-err));
}

void nvme_await_registers(struct nvme_ctrlr *c)
{
	uint64_t until = mono_ns() + BACK_MS * MONO_NS_PER_MS, cap = 0;

	while ((nvme_reg_read64(c->hw, NVME_REG_CAP, &cap) || cap != c->cap.raw) &&
	       mono_ns() < until)
		sleep_ns(POLL_NS_MAX);
}

static int read_cap(struct nvme_ctrlr *c, struct errbuf *eb)
{
	uint32_t vs = 0, crto, stride = c->cap.stride; /* 0: the first time */
	struct nvme_cap parsed = { 0 };
	uint64_t cap = 0;
	int err = nvme_reg_read64(c->hw, NVME_REG_CAP, &cap);

	if (!err)
		err = nvme_reg_read(c->hw, NVME_REG_VS, &vs);
	if (err)
		return explain(c, err, "", 0, eb);
	err = nvme_cap_parse(cap, vs, c->hw->doorbells_bytes, &parsed, eb);
	/* the doorbells of the queues that there are, and their shadows, lie where they lie */
	if (!err && stride && stride != parsed.stride)
		return errbuf_set(eb, -EPROTO, "its doorbells are %u bytes apart, and were %u (CAP.DSTRD)",
				  parsed.stride, stride);
	/* 3.1.3.21: with CRMS the real time to become ready is in CRTO.CRWMT */
	if (!err && NVME_CAP_CRMS(cap) && !nvme_reg_read(c->hw, NVME_REG_CRTO, &crto))
		parsed.ready_ms = CC_MAX(parsed.ready_ms, (crto & 0xffff) * CRTO_UNIT_MS);
	if (!err && !parsed.has_nvm && !c->opts.no_io)
		return errbuf_set(eb, -ENOTSUP, "it has no NVM command set (CAP.CSS 0x%x)",
				  NVME_CAP_CSS(cap));
	if (err)
		return err;
	pthread_mutex_lock(&c->lock);
	c->cap = parsed;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* Before CC.EN: there are controllers that deliver only the vectors that were enabled before. */
static int set_vectors(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err = c->nvectors ? c->hw->ops->set_vectors(c->hw, c->vector_fds, c->nvectors) : 0;

	if (!err)
		return 0;
	/* the queues there are sleep until an interrupt */
	if (nvme_queues_count(c))
		return errbuf_set(eb, err, "its interrupts cannot be set up again: %s", strerror(-err));
	if (err != -ENOTSUP)
		log_warn("%s: no interrupts (%s): it is polled", c->name, strerror(-err));
	c->nvectors = 0;
	return 0;
}

static int start(struct nvme_ctrlr *c, struct errbuf *eb)
{
	const struct nvme_qpair *qp = &c->admin.qp;
	uint32_t cc =
		NVME_CC_CSS(c->cap.css) | NVME_CC_IOSQES(6) | NVME_CC_IOCQES(4) | NVME_CC_MPS(0);
	int err = set_vectors(c, eb);

	if (err)
		return err;
	nvme_syncq_reset(&c->admin);
	c->nevents = 0;
	c->nrequests = 0;
	err = nvme_reg_write(c->hw, NVME_REG_AQA, NVME_AQA(qp->sq_mask, qp->cq_mask));
	if (!err)
		err = nvme_reg_write64(c->hw, NVME_REG_ASQ, qp->sq_iova);
	if (!err)
		err = nvme_reg_write64(c->hw, NVME_REG_ACQ, qp->cq_iova);
	if (!err)
		err = nvme_reg_write(c->hw, NVME_REG_CC, cc);
	if (!err)
		err = nvme_reg_write(c->hw, NVME_REG_CC, cc | NVME_CC_EN);
	if (!err && c->quirks & NVME_QUIRK_SLOW_READY)
		sleep_ns(SLOW_READY_MS * MONO_NS_PER_MS);
	if (!err)
		err = wait_csts(c, NVME_CSTS_RDY, NVME_CSTS_RDY, c->cap.ready_ms, true);
	return explain(c, err, "become ready", c->cap.ready_ms, eb);
}

/* The first time, who it is; from then on, that it is still the same. */
static int identify(struct nvme_ctrlr *c, struct errbuf *eb)
{
	struct nvme_ctrlr_info info;
	struct nvme_id_ctrlr id;
	int err = nvme_admin_identify(&c->admin, NVME_CNS_CTRLR, 0, &id, eb);

	if (!err)
		err = nvme_ctrlr_info_parse(&id, &info, eb);
	if (err)
		return err;
	if (c->nresets && strcmp(info.serial, c->info.serial))
		return errbuf_set(eb, -ENODEV, "serial number %s was %s before the reset",
				  info.serial, c->info.serial);
	if (c->nresets)
		/* queues and disks were made for what it said first */
		info.xfer_bytes_max = CC_MIN(info.xfer_bytes_max, c->info.xfer_bytes_max);
	pthread_mutex_lock(&c->lock);
	c->quirks = nvme_quirks_of(&info);
	c->id = id;
	c->info = info;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int admin_init(struct nvme_ctrlr *c, struct errbuf *eb)
{
	const struct nvme_qpair_opts o = { .id = 0,
					   .entries_max = NVME_AQ_ENTRIES_MAX,
					   .stride = c->cap.stride };
	int err;

	if (c->admin.qp.sq)
		return 0;
	err = nvme_syncq_init(&c->admin, c->hw, &o);
	if (err)
		return errbuf_set(eb, err, "memory for the admin queue: %s", strerror(-err));
	c->admin.timeout_ms = c->opts.admin_timeout_ms;
	c->admin.event = nvme_aer_event;
	c->admin.event_arg = c;
	return 0;
}

int nvme_enable(struct nvme_ctrlr *c, struct errbuf *eb)
{
	int err = read_cap(c, eb);

	if (!err)
		err = nvme_force_off(c, eb);
	if (!err)
		err = admin_init(c, eb);
	if (!err)
		err = start(c, eb);
	if (!err)
		err = identify(c, eb);
	if (!err)
		err = nvme_set_features(c, eb);
	return err;
}
