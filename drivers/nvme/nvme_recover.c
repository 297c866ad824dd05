/* SPDX-License-Identifier: BSD-3-Clause */
/* When things go wrong: reset, or the end. Every I/O under way is sent again or ends with an error,
 * and not before the device has been told (I6). */
#include <errno.h>
#include <string.h>
#include <time.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

#define SUBSYSTEM_RESET_NS \
	100000000L /* 3.7.1: it begins at once; registers are read again after it */

/* Nothing is sent any more, and nobody waits for the admin queue. */
static void stop_queues(struct nvme_ctrlr *c)
{
	nvme_queues_call(c, nvme_ioq_freeze);
	nvme_syncq_kill(&c->admin);
}

/* The hardware goes back to whoever made it: interrupts, bus mastering and mappings end there.
 * life_lock is held. */
void nvme_give_back(struct nvme_ctrlr *c)
{
	struct nvme_hw *hw = c->hw;

	pthread_mutex_lock(&c->lock); /* nobody is in the middle of a register */
	c->hw = NULL;
	pthread_mutex_unlock(&c->lock);
	if (hw && hw->ops->close)
		hw->ops->close(hw);
}

/* life_lock is held, queues are stopped. */
static void fail(struct nvme_ctrlr *c, const char *why)
{
	struct errbuf eb = { "" };

	log_error("%s: failed: %s; its I/O ends with errors", c->name, why);
	nvme_set_state(c, NVME_CTRLR_FAILED);
	/* Whether it obeys or not: without bus mastering and mappings it reaches nothing. */
	if (nvme_force_off(c, &eb))
		log_debug("%s: %s", c->name, eb.text);
	nvme_give_back(c);
	nvme_queues_lost(c);
	nvme_queues_call(c, nvme_ioq_kill);
}

void nvme_recover_fail(struct nvme_ctrlr *c, const char *why)
{
	pthread_mutex_lock(&c->life_lock);
	if (nvme_ctrlr_state(c) == NVME_CTRLR_READY) {
		stop_queues(c);
		fail(c, why);
	}
	pthread_mutex_unlock(&c->life_lock);
}

static int reset_subsystem(struct nvme_ctrlr *c)
{
	const struct timespec ts = { 0, SUBSYSTEM_RESET_NS };
	int err = nvme_reg_write(c->hw, NVME_REG_NSSR, NVME_NSSR_MAGIC);

	(void)nanosleep(&ts, NULL);
	return err;
}

static int reset(struct nvme_ctrlr *c, bool subsystem, struct errbuf *eb)
{
	int err = 0;

	nvme_set_state(c, NVME_CTRLR_RESETTING);
	c->nresets++;
	stop_queues(c);
	if (subsystem)
		err = reset_subsystem(c);
	nvme_await_registers(c);
	if (!err)
		err = nvme_force_off(c, eb);
	if (!err) {
		nvme_queues_lost(c);
		err = nvme_enable(c, eb);
	}
	if (!err)
		err = nvme_queues_create_all(c, eb);
	if (err) {
		fail(c, eb->text[0] ? eb->text : strerror(-err));
		return err;
	}
	nvme_set_state(c, NVME_CTRLR_READY);
	nvme_queues_thaw(c);
	nvme_tell_changed(c); /* an event about it may have been lost */
	return 0;
}

int nvme_recover_reset(struct nvme_ctrlr *c, bool subsystem, const char *why, struct errbuf *eb)
{
	struct errbuf own = { "" };
	int err;

	if (!eb)
		eb = &own;
	pthread_mutex_lock(&c->life_lock);
	err = nvme_check_ready(c);
	if (err) {
		nvme_explain_state(c, eb);
	} else if (subsystem && !c->cap.has_nssr) {
		err = errbuf_set(eb, -ENOTSUP, "it offers no subsystem reset (CAP.NSSRS)");
	} else {
		log_warn("%s: reset: %s", c->name, why);
		err = reset(c, subsystem, eb);
	}
	pthread_mutex_unlock(&c->life_lock);
	return err;
}
