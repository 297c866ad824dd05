/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: a thread per controller that sleeps until something is wrong. What it does then
 * blocks (a reset takes as long as the device takes), so no reactor can do it.
 *
 *   removal fd ─┐
 *   admin MSI-X ┼─► poll() ─► lies? gone? ─► fail        stuck, CFS ─► reset
 *   wake fd ────┤             too old ─► Abort           events ─► log pages, resize
 *   1 s ────────┘
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_TAG "nvme"
#include "core/base/log.h"
#include "core/worker.h"
#include "drivers/nvme/nvme_admin.h"
#include "drivers/nvme/nvme_ctrlr_priv.h"

#define KEEPER_LOOK_MS 1000 /* at the status register, and at an admin queue without interrupts */

static void drain(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* EAGAIN: nothing was signalled */
}

static bool is_stopping(const struct nvme_ctrlr *c)
{
	return __atomic_load_n(&c->stop, __ATOMIC_ACQUIRE);
}

void nvme_ctrlr_wake_keeper(struct nvme_ctrlr *c)
{
	const uint64_t one = 1;
	/* It fails only when the counter is full, and then the keeper has been woken often enough.
	 */
	ssize_t n = write(c->wake_fd, &one, sizeof(one));

	(void)n;
}

/* What the queues report, and what they want aborted. */
static uint32_t take_reports(struct nvme_ctrlr *c, uint32_t *ret_naborts)
{
	uint32_t all = 0;

	*ret_naborts = 0;
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->nioqs; i++) {
		uint32_t report = __atomic_load_n(&c->ioqs[i]->report, __ATOMIC_ACQUIRE);

		all |= report;
		if (report & NVME_REPORT_ABORT)
			(*ret_naborts)++;
	}
	all |= __atomic_exchange_n(&c->report, 0, __ATOMIC_ACQ_REL);
	pthread_mutex_unlock(&c->lock);
	return all;
}

/* One answer for each: a queue asks for one at a time. Whether it worked shows in the command's
 * completion. */
static void abort_commands(struct nvme_ctrlr *c)
{
	unsigned n = nvme_queues_count(c);

	for (unsigned i = 0; i < n; i++) {
		struct nvme_ioq *q = c->ioqs[i];
		uint32_t report = __atomic_fetch_and(&q->report, ~(uint32_t)NVME_REPORT_ABORT,
						     __ATOMIC_ACQ_REL);
		uint16_t cid = __atomic_load_n(&q->abort_cid, __ATOMIC_RELAXED);
		int err;

		if (!(report & NVME_REPORT_ABORT))
			continue;
		err = nvme_admin_abort(&c->admin, q->qp.id, cid);
		log_warn("%s: a command of queue %u takes longer than %u ms: %s", c->name, q->qp.id,
			 c->opts.io_timeout_ms, err ? "cannot be aborted" : "aborted");
	}
}

/* Queues that were asked for while the controller was being reset. */
static void create_late(struct nvme_ctrlr *c)
{
	struct errbuf eb = { "" };
	int err;

	pthread_mutex_lock(&c->life_lock);
	err = nvme_check_ready(c);
	if (!err) {
		err = nvme_queues_create_all(c, &eb);
		nvme_queues_thaw(c);
	}
	pthread_mutex_unlock(&c->life_lock);
	/* I/O waits for them already: it works after a reset, or it ends with the controller. */
	if (err && eb.text[0])
		(void)nvme_recover_reset(c, false, eb.text, NULL);
}

static bool has_late_queues(struct nvme_ctrlr *c)
{
	bool has = false;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->nioqs; i++)
		has |= !__atomic_load_n(&c->ioqs[i]->is_created, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&c->lock);
	return has;
}

/* What makes the controller unusable, or NULL. */
static const char *what_is_fatal(struct nvme_ctrlr *c, bool is_removed, uint32_t reports)
{
	if (is_removed)
		return "the device has been removed or is asked back";
	if (reports & NVME_REPORT_LIE)
		return "it completes a command that is not under way";
	if (nvme_syncq_poll(&c->admin))
		return "it completes an admin command that is not under way";
	return NULL;
}

static void look(struct nvme_ctrlr *c, bool is_removed)
{
	uint32_t naborts, reports = take_reports(c, &naborts);
	const char *fatal = what_is_fatal(c, is_removed, reports), *why = NULL;
	uint64_t csts = 0;
	int err = fatal ? 0 : nvme_ctrlr_read_reg(c, NVME_REG_CSTS, 4, &csts);

	if (err == -ENODEV)
		fatal = "the device does not answer any more";
	if (fatal) {
		nvme_recover_fail(c, fatal);
		return;
	}
	if (!err && csts & NVME_CSTS_CFS)
		why = "it reports a fatal error (CSTS.CFS)";
	else if (!err && !(csts & NVME_CSTS_RDY))
		why = "it is not ready any more";
	else if (reports & NVME_REPORT_RESET)
		why = "commands do not end";
	if (why) {
		(void)nvme_recover_reset(c, false, why, NULL); /* failed: it has been told */
		return;
	}
	if (naborts)
		abort_commands(c);
	nvme_aer_handle(c);
	if (has_late_queues(c))
		create_late(c);
}

static void *keeper_main(void *arg)
{
	struct nvme_ctrlr *c = arg;
	struct pollfd fds[] = {
		{ .fd = c->wake_fd, .events = POLLIN },
		{ .fd = c->removal_fd, .events = POLLIN },
		{ .fd = c->nvectors ? c->vector_fds[0] : -1, .events = POLLIN },
	};

	(void)pthread_setname_np(pthread_self(), "nvme-keeper"); /* cosmetic */
	while (!is_stopping(c)) {
		(void)poll(fds, ARRAY_SIZE(fds), KEEPER_LOOK_MS);
		drain(c->wake_fd);
		if (fds[2].revents)
			drain(c->vector_fds[0]);
		if (is_stopping(c))
			break;
		if (nvme_ctrlr_state(c) == NVME_CTRLR_READY)
			look(c, fds[1].revents != 0);
		if (nvme_ctrlr_state(c) == NVME_CTRLR_FAILED) {
			fds[1].fd = -1;
			fds[2].fd = -1;
		}
	}
	return NULL;
}

int nvme_keeper_start(struct nvme_ctrlr *c)
{
	int err = worker_thread_create(&c->keeper, keeper_main, c);

	c->has_keeper = !err;
	return err;
}

void nvme_keeper_stop(struct nvme_ctrlr *c)
{
	if (!c->has_keeper)
		return;
	__atomic_store_n(&c->stop, 1, __ATOMIC_RELEASE);
	nvme_ctrlr_wake_keeper(c);
	(void)pthread_join(c->keeper, NULL);
	c->has_keeper = false;
}
