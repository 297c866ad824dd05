/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of an I/O queue: made, frozen, thawed, killed; commands that fail or take too long. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "core/base/linemem.h"
#include "drivers/nvme/nvme_ioq.h"
#include "drivers/nvme/nvme_status.h"

/* A command's age is counted in ticks, which costs the data path nothing. */
#define AGE_TIMEOUT 8u /* ticks of a deadline */
#define AGE_GRACE   2u /* that an aborted command has left */

int nvme_ioq_create(struct nvme_ctrlr *ctrlr, struct reactor *r, const struct nvme_ioq_opts *opts,
		    struct nvme_ioq **ret_ioq)
{
	struct nvme_ioq *q =
		aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*q), CACHELINE_BYTES));

	if (!q) {
		if (opts->irq_fd >= 0)
			(void)close(opts->irq_fd);
		return -ENOMEM;
	}
	memset(q, 0, sizeof(*q));
	q->ctrlr = ctrlr;
	q->reactor = r;
	q->mode = NVME_IOQ_FROZEN;
	q->qp.mem.fd = -1;
	q->qp_opts = opts->qp;
	q->vector = opts->vector;
	q->irq_fd = opts->irq_fd;
	q->retry_ms = opts->retry_ms;
	q->use_sgl = opts->use_sgl;
	q->tick_ns = CC_MAX(opts->timeout_ns / AGE_TIMEOUT, MONO_NS_PER_MS);
	nvme_share_init(&q->share);
	deadline_init(&q->tick, nvme_ioq_tick);
	deadline_init(&q->retry, nvme_ioq_retry);
	deadline_init(&q->look, nvme_ioq_look);
	*ret_ioq = q;
	return 0;
}

int nvme_ioq_fill(struct nvme_ioq *q, struct nvme_hw *hw)
{
	struct nvme_slot *slots;
	uint32_t nslots;
	int err;

	if (q->slots)
		return 0;
	err = nvme_qpair_init(&q->qp, hw, &q->qp_opts);
	if (err)
		return err;
	nslots = q->qp.sq_mask +
		 1; /* the last id, 0xffff, is never used: depth < nslots (3.3.3.1) */
	slots = aligned_alloc(CACHELINE_BYTES,
			      CC_ALIGN_UP(nslots * sizeof(*slots), CACHELINE_BYTES));
	q->free = linemem_calloc(nslots, sizeof(*q->free));
	q->due_ns = linemem_calloc(nslots, sizeof(*q->due_ns));
	if (!slots || !q->free || !q->due_ns) {
		free(slots);
		free(q->free);
		free(q->due_ns);
		nvme_qpair_fini(&q->qp);
		return -ENOMEM;
	}
	memset(slots, 0, nslots * sizeof(*slots));
	for (uint32_t i = 0; i < nslots; i++)
		slots[i].cid = (uint16_t)i;
	nvme_xlat_init(&q->xlat, hw->dma);
	q->slot_mask = nslots - 1;
	q->slots = slots;
	return 0;
}

void nvme_ioq_destroy(struct nvme_ioq *q)
{
	if (!q)
		return;
	nvme_qpair_fini(&q->qp);
	if (q->irq_fd >= 0)
		(void)close(q->irq_fd);
	free(q->slots);
	free(q->free);
	free(q->due_ns);
	free(q);
}

void nvme_ioq_detach(void *arg)
{
	struct nvme_ioq *q = arg;

	assert(!q->share.nwaiting);
	deadline_cancel(&q->tick);
	deadline_cancel(&q->retry);
	deadline_cancel(&q->look);
	poller_detach(&q->poller);
}

struct ended {
	struct reactor_msg msg;
	struct bio *bio;
};
static_assert(sizeof(struct ended) <= sizeof(((struct bio *)NULL)->drv), "it lives there");

static void ended_arrived(struct reactor_msg *msg)
{
	struct bio *bio = container_of(msg, struct ended, msg)->bio;

	bdev_complete_later(bio, bio->status);
}

void nvme_ioq_end(struct bio *bio, int status)
{
	const struct nvme_target *t = bio->chan->drv;
	struct ended *e = (struct ended *)bio->drv;

	if (!t->is_remote) {
		bdev_complete_later(bio, status);
		return;
	}
	bio->status = status;
	e->bio = bio;
	reactor_send(bio->chan->reactor, &e->msg, ended_arrived);
}

void nvme_ioq_release(struct nvme_ioq *q, uint32_t idx)
{
	struct nvme_slot *s = &q->slots[idx];
	const struct bio *bio = s->bio;
	uint32_t *n = q->mode == NVME_IOQ_RUNNING ? &q->nfree : &q->share.nspare;

	s->bio = NULL;
	s->cid = (uint16_t)(s->cid + q->slot_mask + 1);
	q->free[(*n)++] = s->cid;
	if (bio && q->mode != NVME_IOQ_RUNNING)
		nvme_ioq_left(q, bio);
}

void nvme_ioq_tell(struct nvme_ioq *q, uint32_t report)
{
	/* The poller stops until the keeper has looked: nothing that such a device says counts. */
	if (report & NVME_REPORT_LIE) {
		q->nlies++;
		nvme_ioq_freeze(q);
	}
	(void)__atomic_fetch_or(&q->report, report, __ATOMIC_RELEASE);
	nvme_ctrlr_wake_keeper(q->ctrlr);
}

static void slot_renew(struct nvme_ioq *q, uint32_t idx)
{
	struct nvme_slot *s = &q->slots[idx];

	s->cid = (uint16_t)(s->cid + q->slot_mask + 1);
	s->state = NVME_SLOT_SENT;
	s->age = 0;
	s->is_aborted = false;
}

/* Sent again under a new id, or ended when that cannot be. */
static void slot_resend(struct nvme_ioq *q, uint32_t idx)
{
	struct bio *bio = q->slots[idx].bio;
	int err;

	slot_renew(q, idx);
	err = nvme_ioq_send(q, idx);
	if (err) {
		nvme_ioq_release(q, idx);
		nvme_ioq_end(bio, err);
	}
}

static void slot_fail(struct nvme_ioq *q, uint32_t idx, int err)
{
	struct bio *bio = q->slots[idx].bio;

	nvme_ioq_release(q, idx);
	nvme_ioq_end(bio, err);
}

/* The device has ended it, because of the way to the namespace: the scheduler's to try again. As bdev_path_failed(), also
 * for another reactor's. */
static void slot_fail_path(struct nvme_ioq *q, uint32_t idx, int err)
{
	q->slots[idx].bio->flags |= BIO_PATH_FAILED;
	slot_fail(q, idx, err);
}

void nvme_ioq_failed(struct nvme_ioq *q, uint32_t idx, uint16_t status)
{
	struct nvme_slot *s = &q->slots[idx];
	uint32_t delay_ms = q->retry_ms[NVME_STATUS_CRD(status)];
	uint64_t due;

	/* with a delay of the device's own it is tried here first */
	if (nvme_status_is_path(status) && (!delay_ms || s->retries == NVME_RETRIES_MAX)) {
		slot_fail_path(q, idx, nvme_status_errno(status));
		return;
	}
	if (!nvme_status_may_retry(status) || s->retries == NVME_RETRIES_MAX) {
		slot_fail(q, idx, nvme_status_errno(status));
		return;
	}
	s->retries++;
	q->nretries++;
	if (delay_ms == 0) {
		slot_resend(q, idx);
		return;
	}
	slot_renew(q, idx);
	due = q->reactor->now_ns + delay_ms * MONO_NS_PER_MS;
	s->state = NVME_SLOT_DELAYED;
	q->due_ns[idx] = due;
	if (!deadline_is_armed(&q->retry) || q->retry.at_ns > due)
		deadline_arm(q->reactor, &q->retry, due);
}

void nvme_ioq_retry(struct deadline *d)
{
	struct nvme_ioq *q = container_of(d, struct nvme_ioq, retry);
	uint64_t now = q->reactor->now_ns, next = UINT64_MAX;

	if (!nvme_ioq_is_live(q))
		return; /* the thaw sends them */
	for (uint32_t i = 0; i < q->qp.depth; i++) {
		if (!q->slots[i].bio || q->slots[i].state != NVME_SLOT_DELAYED)
			continue;
		/* deadlines are exact, now_ns is not: what is due within a millisecond is due */
		if (q->due_ns[i] <= now + MONO_NS_PER_MS)
			slot_resend(q, i);
		else
			next = CC_MIN(next, q->due_ns[i]);
	}
	if (next != UINT64_MAX)
		deadline_arm(q->reactor, &q->retry, next);
}

/* One more tick for all that is under way. Returns how many are too old; the first of them. */
static unsigned ioq_age(struct nvme_ioq *q, bool *ret_busy, uint32_t *ret_first)
{
	unsigned nold = 0;

	*ret_busy = false;
	for (uint32_t i = 0; i < q->qp.depth; i++) {
		struct nvme_slot *s = &q->slots[i];

		if (!s->bio)
			continue;
		*ret_busy = true;
		if (s->state != NVME_SLOT_SENT)
			continue;
		if (s->age < UINT8_MAX)
			s->age++;
		if (s->age < AGE_TIMEOUT)
			continue;
		if (nold++ == 0)
			*ret_first = i;
	}
	return nold;
}

/*
 * One that is too old is aborted; when it does not end then, or when there are several, the device
 * is stuck and the controller is reset.
 */
void nvme_ioq_tick(struct deadline *d)
{
	struct nvme_ioq *q = container_of(d, struct nvme_ioq, tick);
	uint32_t first = 0;
	unsigned nold;
	bool busy;

	if (!nvme_ioq_is_live(q))
		return;
	nold = ioq_age(q, &busy, &first);
	if (busy)
		deadline_arm(q->reactor, &q->tick, q->reactor->now_ns + q->tick_ns);
	if (nold == 0)
		return;
	q->ntimeouts++;
	if (nold > 1 || q->slots[first].is_aborted) {
		nvme_ioq_tell(q, NVME_REPORT_RESET);
		return;
	}
	q->slots[first].is_aborted = true;
	q->slots[first].age = AGE_TIMEOUT - AGE_GRACE;
	/* Only one at a time: an older one that is still waiting for the keeper becomes a reset. */
	__atomic_store_n(&q->abort_cid, q->slots[first].cid, __ATOMIC_RELAXED);
	nvme_ioq_tell(q, NVME_REPORT_ABORT);
}

void nvme_ioq_freeze(void *arg)
{
	struct nvme_ioq *q = arg;

	if (q->mode == NVME_IOQ_RUNNING)
		nvme_ioq_share(q); /* whoever comes now waits */
	if (q->mode != NVME_IOQ_SHARED)
		return;
	q->mode = NVME_IOQ_FROZEN;
	q->share.nspare = 0;
	q->share.needed_ns = 0;
	nvme_ioq_tell_idle(q);
}

/* The stack of free ids, from the slots. */
static void ioq_refill(struct nvme_ioq *q)
{
	q->share.nspare = 0;
	for (uint32_t i = q->qp.depth; i > 0; i--)
		if (!q->slots[i - 1].bio)
			nvme_ioq_release(q, i - 1);
}

void nvme_ioq_thaw(void *arg)
{
	struct nvme_ioq *q = arg;

	assert(q->mode == NVME_IOQ_FROZEN);
	q->mode = NVME_IOQ_SHARED;
	/* what was asked for before has been done */
	(void)__atomic_fetch_and(&q->report, NVME_REPORT_LIE, __ATOMIC_RELAXED);
	ioq_refill(q);
	for (uint32_t i = 0; i < q->qp.depth; i++) {
		struct nvme_slot *s = &q->slots[i];

		if (!s->bio)
			continue;
		/* Those that made the reset needed pay for it, the others were bystanders. */
		if (s->state == NVME_SLOT_SENT && s->age >= AGE_TIMEOUT &&
		    ++s->retries > NVME_RETRIES_MAX)
			slot_fail(q, i, -ETIMEDOUT);
		else
			slot_resend(q, i);
	}
	nvme_ioq_pump(q);
	nvme_ioq_watch(q);
}

void nvme_ioq_kill(void *arg)
{
	struct nvme_ioq *q = arg;
	struct bio *bio;

	if (q->mode == NVME_IOQ_RUNNING)
		nvme_ioq_share(q);
	q->mode = NVME_IOQ_DEAD;
	nvme_ioq_tell_idle(q);
	deadline_cancel(&q->tick);
	deadline_cancel(&q->retry);
	deadline_cancel(&q->look);
	for (uint32_t i = 0; i < q->qp.depth; i++)
		if (q->slots[i].bio)
			slot_fail(q, i, -EIO);
	q->share.nspare = 0;
	while ((bio = nvme_ioq_take(q)) != NULL)
		nvme_ioq_end(bio, -EIO);
}
