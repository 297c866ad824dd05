/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake controller: registers, queues, faults. What commands do is in fake_nvme_cmd.c. */
#include "tests/unit/fake_nvme.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tests/unit/fake_nvme_cmd.h"

#define reg_get(f, off)	   __atomic_load_n(&(f)->regs[(off) / 4], __ATOMIC_ACQUIRE)
#define reg_set(f, off, v) __atomic_store_n(&(f)->regs[(off) / 4], (v), __ATOMIC_RELEASE)
#define flag(x)		   __atomic_load_n(&(x), __ATOMIC_RELAXED)

static uint64_t reg_get64(struct fake_nvme *f, uint32_t off)
{
	return reg_get(f, off) | (uint64_t)reg_get(f, off + 4) << 32;
}

/*
 * The hardware as the driver sees it
 */

static struct fake_nvme *fake_of(struct nvme_hw *hw)
{
	return container_of(hw, struct fake_nvme, hw);
}

static bool is_zero(struct fake_nvme *f)
{
	unsigned left = __atomic_load_n(&f->zero_reads, __ATOMIC_RELAXED);

	while (left && !__atomic_compare_exchange_n(&f->zero_reads, &left, left - 1, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	return left;
}

static int hw_read(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t *ret_value)
{
	struct fake_nvme *f = fake_of(hw);

	(void)__atomic_fetch_add(&f->nmmio_reads, 1, __ATOMIC_RELAXED);
	if (flag(f->is_gone))
		*ret_value = bytes == 8 ? UINT64_MAX : UINT32_MAX;
	else if (is_zero(f))
		*ret_value = 0;
	else
		*ret_value = bytes == 8 ? reg_get64(f, off) : reg_get(f, off);
	return 0;
}

static int hw_write(struct nvme_hw *hw, uint32_t off, unsigned bytes, uint64_t value)
{
	struct fake_nvme *f = fake_of(hw);

	if (flag(f->is_gone))
		return 0;
	reg_set(f, off, (uint32_t)value);
	if (bytes == 8)
		reg_set(f, off + 4, (uint32_t)(value >> 32));
	return 0;
}

static void hw_doorbell(struct nvme_hw *hw, uint32_t off, uint32_t value)
{
	struct fake_nvme *f = fake_of(hw);
	uint32_t idx = (off - NVME_REG_DOORBELLS) / FAKE_NVME_STRIDE;

	if (idx >= ARRAY_SIZE(f->db) || flag(f->nclosed)) {
		fake_nvme_broken(f, "doorbell 0x%x", off);
		return;
	}
	if (idx >= 2)
		(void)__atomic_fetch_add(idx & 1 ? &f->cq_doorbells : &f->sq_doorbells, 1,
					 __ATOMIC_RELAXED);
	__atomic_store_n(&f->db[idx], value, __ATOMIC_RELEASE);
}

static int hw_set_vectors(struct nvme_hw *hw, const int *fds, unsigned n)
{
	struct fake_nvme *f = fake_of(hw);

	if (!f->nvectors)
		return -ENOTSUP;
	pthread_mutex_lock(&f->lock);
	memcpy(f->fds, fds, n * sizeof(*fds));
	f->nfds = n;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static void forget_all(struct fake_nvme *f)
{
	memset(f->sq, 0, sizeof(f->sq));
	memset(f->cq, 0, sizeof(f->cq));
	memset(f->db, 0, sizeof(f->db));
	f->nheld = 0;
	f->naer = 0;
	f->dbbuf_on = false;
	f->hmb_on = false;
}

static int hw_reset(struct nvme_hw *hw)
{
	struct fake_nvme *f = fake_of(hw);

	if (flag(f->no_reset))
		return -ENOTSUP;
	pthread_mutex_lock(&f->lock);
	f->nresets++;
	forget_all(f);
	f->was_enabled = false;
	reg_set(f, NVME_REG_CC, 0);
	reg_set(f, NVME_REG_CSTS, 0);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static void hw_close(struct nvme_hw *hw)
{
	struct fake_nvme *f = fake_of(hw);

	/* it reaches nothing any more, whatever it was doing */
	pthread_mutex_lock(&f->lock);
	(void)__atomic_fetch_add(&f->nclosed, 1, __ATOMIC_RELAXED);
	f->nfds = 0;
	f->nfds_at_enable = 0;
	pthread_mutex_unlock(&f->lock);
	dma_domain_detach(&f->domain);
}

static const struct nvme_hw_ops hw_ops = {
	.read = hw_read,
	.write = hw_write,
	.doorbell = hw_doorbell,
	.set_vectors = hw_set_vectors,
	.reset = hw_reset,
	.close = hw_close,
};

static int dma_map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	struct fake_nvme *f = container_of(d, struct fake_nvme, domain);
	int err = 0;

	pthread_mutex_lock(&f->map_lock);
	if (f->nmaps == FAKE_NVME_MAPS) {
		err = -ENOSPC;
	} else {
		f->map[f->nmaps].va = (uintptr_t)region->va;
		f->map[f->nmaps++].len = region->len;
		*ret_iova = (uintptr_t)region->va + FAKE_NVME_IOVA_OFF;
	}
	pthread_mutex_unlock(&f->map_lock);
	return err;
}

static int dma_unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	struct fake_nvme *f = container_of(d, struct fake_nvme, domain);

	pthread_mutex_lock(&f->map_lock);
	for (unsigned i = 0; i < f->nmaps; i++)
		if (f->map[i].va == (uintptr_t)va)
			f->map[i] = f->map[--f->nmaps];
	pthread_mutex_unlock(&f->map_lock);
	return 0;
}

static const struct dma_domain_ops dma_ops = { .name = "fake-nvme",
					       .map = dma_map,
					       .unmap = dma_unmap };

void fake_nvme_broken(struct fake_nvme *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->what, sizeof(f->what), fmt, ap);
	va_end(ap);
	fprintf(stderr, "fake_nvme: %s\n", f->what);
	(void)__atomic_fetch_add(&f->violations, 1, __ATOMIC_RELAXED);
}

void *fake_nvme_dma(struct fake_nvme *f, uint64_t iova, uint64_t len)
{
	uint64_t va = iova - FAKE_NVME_IOVA_OFF;
	bool is_mapped = false;

	pthread_mutex_lock(&f->map_lock);
	for (unsigned i = 0; i < f->nmaps && !is_mapped; i++)
		is_mapped = va >= f->map[i].va && len <= f->map[i].len &&
			    va - f->map[i].va <= f->map[i].len - len;
	pthread_mutex_unlock(&f->map_lock);
	if (!is_mapped) {
		fake_nvme_broken(f, "DMA to 0x%llx, %llu bytes", (unsigned long long)iova,
				 (unsigned long long)len);
		return NULL;
	}
	return (void *)(uintptr_t)va;
}

/*
 * Queues
 */

static uint32_t db_get(struct fake_nvme *f, unsigned idx)
{
	if (f->dbbuf_on && idx >= 2) {
		uint32_t *shadow = fake_nvme_dma(f, f->shadow + idx * 4, 4);

		return shadow ? __atomic_load_n(shadow, __ATOMIC_ACQUIRE) : 0;
	}
	return __atomic_load_n(&f->db[idx], __ATOMIC_ACQUIRE);
}

static void irq(struct fake_nvme *f, const struct fake_nvme_cq *cq)
{
	const uint64_t one = 1;

	/* only what was set up before it was enabled is ever delivered */
	if (!cq->ien || cq->vector >= f->nfds_at_enable)
		return;
	f->nirqs++;
	if (write(f->fds_at_enable[cq->vector], &one, sizeof(one)) < 0)
		return; /* full: it is readable anyway */
}

void fake_nvme_post(struct fake_nvme *f, unsigned cqid, uint16_t sqid, uint16_t cid,
		    uint16_t status, uint32_t dw0)
{
	struct fake_nvme_cq *cq = &f->cq[cqid];
	struct nvme_cqe *cqe;
	uint32_t word;

	if (!cq->size)
		return;
	if ((cq->tail + 1) % cq->size == db_get(f, 2 * cqid + 1) % cq->size) {
		fake_nvme_broken(f, "completion queue %u is full", cqid);
		return;
	}
	cqe = fake_nvme_dma(f, cq->addr + cq->tail * sizeof(*cqe), sizeof(*cqe));
	if (!cqe)
		return;
	cqe->dw0 = le32_make(dw0);
	cqe->sqhd = le16_make((uint16_t)f->sq[sqid].head);
	cqe->sqid = le16_make(sqid);
	word = cid | (uint32_t)(uint16_t)(status << 1 | cq->phase) << 16;
	__atomic_store_n((uint32_t *)(void *)&cqe->cid, htole32(word), __ATOMIC_RELEASE);
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	f->ncompleted++;
	irq(f, cq);
}

void fake_nvme_complete(struct fake_nvme *f, const struct fake_nvme_cmd *cmd, uint16_t status,
			uint32_t dw0)
{
	fake_nvme_post(f, f->sq[cmd->qid].cqid, cmd->qid, le16_get(cmd->sqe.cid), status, dw0);
}

/* The rule for this command, used up by one. */
static struct fake_nvme_rule *rule_of(struct fake_nvme *f, const struct fake_nvme_cmd *cmd)
{
	for (unsigned i = 0; i < FAKE_NVME_RULES; i++) {
		struct fake_nvme_rule *r = &f->rules[i];

		if (!r->count || r->is_admin != (cmd->qid == 0) ||
		    (!r->any_opc && r->opc != cmd->sqe.opc))
			continue;
		if (r->skip) {
			r->skip--;
			continue;
		}
		r->count--;
		return r;
	}
	return NULL;
}

static void misbehave(struct fake_nvme *f, const struct fake_nvme_cmd *cmd,
		      const struct fake_nvme_rule *r)
{
	struct fake_nvme_cmd other = *cmd;

	switch (r->deed) {
	case FAKE_NVME_STATUS:
		fake_nvme_complete(f, cmd, r->status, 0);
		break;
	case FAKE_NVME_SILENT:
		if (f->nheld < FAKE_NVME_HELD)
			f->held[f->nheld++] = *cmd;
		break;
	case FAKE_NVME_TWICE:
		fake_nvme_exec(f, cmd);
		fake_nvme_complete(f, cmd, 0, 0);
		break;
	case FAKE_NVME_BAD_CID:
		other.sqe.cid = le16_make(0xffff);
		fake_nvme_complete(f, &other, 0, 0);
		break;
	case FAKE_NVME_FREE_CID:
		other.sqe.cid = le16_make((uint16_t)(le16_get(cmd->sqe.cid) ^ 1));
		fake_nvme_complete(f, &other, 0, 0);
		break;
	case FAKE_NVME_CFS:
		reg_set(f, NVME_REG_CSTS, reg_get(f, NVME_REG_CSTS) | NVME_CSTS_CFS);
		break;
	case FAKE_NVME_VANISH:
		__atomic_store_n(&f->is_gone, true, __ATOMIC_RELAXED);
		break;
	}
}

static unsigned sq_step(struct fake_nvme *f, unsigned qid)
{
	struct fake_nvme_sq *sq = &f->sq[qid];
	struct fake_nvme_cmd batch[64];
	uint32_t tail = db_get(f, 2 * qid);
	unsigned n = 0;

	if (!sq->size)
		return 0;
	if (tail >= sq->size) {
		fake_nvme_broken(f, "tail %u of queue %u", tail, qid);
		return 0;
	}
	while (sq->head != tail && n < ARRAY_SIZE(batch)) {
		const struct nvme_sqe *sqe =
			fake_nvme_dma(f, sq->addr + sq->head * sizeof(*sqe), sizeof(*sqe));

		if (!sqe)
			return n;
		batch[n].sqe = *sqe;
		batch[n++].qid = (uint16_t)qid;
		sq->head = (sq->head + 1) % sq->size;
	}
	if (f->dbbuf_on && qid) {
		uint32_t *event = fake_nvme_dma(f, f->event + qid * 8, 4);

		if (event)
			__atomic_store_n(event,
					 flag(f->event_wanted) ? sq->head : sq->head + 0x4000,
					 __ATOMIC_SEQ_CST);
	}
	for (unsigned i = n; i > 1 && qid && flag(f->shuffles); i--) {
		unsigned j = (unsigned)rand() % i;
		struct fake_nvme_cmd tmp = batch[j];

		batch[j] = batch[i - 1];
		batch[i - 1] = tmp;
	}
	for (unsigned i = 0; i < n && !f->is_gone; i++) {
		const struct fake_nvme_rule *r = rule_of(f, &batch[i]);

		if (r)
			misbehave(f, &batch[i], r);
		else
			fake_nvme_exec(f, &batch[i]);
	}
	return n;
}

/*
 * Registers
 */

static void enable(struct fake_nvme *f)
{
	uint32_t aqa = reg_get(f, NVME_REG_AQA), cc = reg_get(f, NVME_REG_CC);

	if (NVME_FIELD(cc, 16, 4) != 6 || NVME_FIELD(cc, 20, 4) != 4)
		fake_nvme_broken(f, "CC 0x%x: sizes of entries", cc);
	forget_all(f);
	f->sq[0] = (struct fake_nvme_sq){ .addr = reg_get64(f, NVME_REG_ASQ),
					  .size = (aqa & 0xfff) + 1 };
	f->cq[0] = (struct fake_nvme_cq){ .addr = reg_get64(f, NVME_REG_ACQ),
					  .size = (aqa >> 16 & 0xfff) + 1,
					  .phase = true,
					  .ien = true };
	memcpy(f->fds_at_enable, f->fds, sizeof(f->fds));
	f->nfds_at_enable = f->nfds;
	f->nenables++;
	if (!flag(f->never_ready))
		reg_set(f, NVME_REG_CSTS,
			NVME_CSTS_RDY | (flag(f->cfs_at_enable) ? NVME_CSTS_CFS : 0));
	if (flag(f->never_ready) && flag(f->cfs_at_enable))
		reg_set(f, NVME_REG_CSTS, NVME_CSTS_CFS);
}

static unsigned regs_step(struct fake_nvme *f)
{
	uint32_t cc = reg_get(f, NVME_REG_CC), csts = reg_get(f, NVME_REG_CSTS);
	bool is_enabled = cc & NVME_CC_EN;

	if (reg_get(f, NVME_REG_NSSR) == NVME_NSSR_MAGIC) {
		reg_set(f, NVME_REG_NSSR, 0);
		reg_set(f, NVME_REG_CC, 0);
		reg_set(f, NVME_REG_CSTS, NVME_CSTS_NSSRO);
		forget_all(f);
		f->was_enabled = false;
		f->nresets++;
		return 1;
	}
	if (is_enabled && cc & NVME_CC_SHN_MASK && !(csts & NVME_CSTS_SHST_MASK) &&
	    !flag(f->no_shutdown)) {
		f->nshutdowns++;
		reg_set(f, NVME_REG_CSTS, csts | NVME_CSTS_SHST_COMPLETE);
		return 1;
	}
	if (is_enabled == f->was_enabled)
		return 0;
	f->was_enabled = is_enabled;
	if (is_enabled) {
		enable(f);
		return 1;
	}
	forget_all(f);
	if (!flag(f->never_stops))
		reg_set(f, NVME_REG_CSTS, 0);
	return 1;
}

unsigned fake_nvme_step(struct fake_nvme *f)
{
	unsigned n = 0;

	pthread_mutex_lock(&f->lock);
	if (!f->is_gone && !f->nclosed) {
		n += regs_step(f);
		if (f->was_enabled && f->sq[0].size)
			for (unsigned i = 0; i < FAKE_NVME_QUEUES; i++)
				n += sq_step(f, i);
		while (f->nevents && f->naer) {
			fake_nvme_complete(f, &f->aer[--f->naer], 0, f->events[--f->nevents]);
			n++;
		}
	}
	if (f->is_gone && f->is_mapped)
		for (unsigned i = 0; i < ARRAY_SIZE(f->regs); i++)
			__atomic_store_n(&f->regs[i], UINT32_MAX, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void *thread_main(void *arg)
{
	const struct timespec pause = { 0, 20000 };
	struct fake_nvme *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		unsigned n = fake_nvme_step(f);

		(void)__atomic_fetch_add(&f->nsteps, 1, __ATOMIC_RELEASE);
		if (!n)
			(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/*
 * For the tests
 */

void fake_nvme_add_ns(struct fake_nvme *f, unsigned nsid, uint64_t blocks, uint8_t shift)
{
	struct fake_nvme_ns *ns = &f->ns[nsid - 1];

	*ns = (struct fake_nvme_ns){ .blocks = blocks,
				     .shift = shift,
				     .data_bytes = blocks << shift };
	ns->data = calloc(1, ns->data_bytes);
}

void fake_nvme_init(struct fake_nvme *f, uint64_t blocks)
{
	memset(f, 0, sizeof(*f));
	f->mqes = 1023;
	f->queues_max = FAKE_NVME_QUEUES - 1;
	f->mdts = 5; /* 128 KiB */
	f->vwc = NVME_VWC_PRESENT;
	f->sqes = 0x66;
	f->cqes = 0x44;
	f->aerl = 3;
	f->oncs = NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES | NVME_ONCS_COMPARE | NVME_ONCS_VERIFY |
		  NVME_ONCS_COPY;
	f->event_wanted = true;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->map_lock, NULL);
	fake_nvme_add_ns(f, 1, blocks, 9);
	f->hw = (struct nvme_hw){ .ops = &hw_ops, .dma = &f->domain, .removal_fd = -1 };
	memcpy(f->hw.name, "fake0", sizeof("fake0"));
	f->hw.doorbells_bytes = sizeof(f->db);
	f->hw.removal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)dma_domain_attach(&f->domain, &dma_ops);
}

void fake_nvme_start(struct fake_nvme *f)
{
	uint64_t to = f->cap_to ? f->cap_to : UINT8_MAX;
	uint64_t cap = f->mqes | 1ull << 16 | to << 24 | 1ull << 37 | f->cap_extra;

	reg_set(f, NVME_REG_CAP, (uint32_t)cap);
	reg_set(f, NVME_REG_CAP + 4, (uint32_t)(cap >> 32));
	reg_set(f, NVME_REG_VS, NVME_VS(1, 4, 0));
	f->hw.nvectors = f->nvectors;
	if (f->is_mapped) {
		f->hw.regs = f->regs;
		f->hw.regs_bytes = sizeof(f->regs);
		f->hw.doorbells = f->db;
	}
	f->has_thread = !pthread_create(&f->thread, NULL, thread_main, f);
}

unsigned fake_nvme_fini(struct fake_nvme *f)
{
	__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	if (f->has_thread)
		(void)pthread_join(f->thread, NULL);
	if (f->nclosed != 1)
		fake_nvme_broken(f, "closed %u times", f->nclosed);
	for (unsigned i = 0; i < FAKE_NVME_NS_MAX; i++)
		free(f->ns[i].data);
	if (f->hw.removal_fd >= 0)
		(void)close(f->hw.removal_fd);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->map_lock);
	return f->violations;
}

void fake_nvme_rule(struct fake_nvme *f, struct fake_nvme_rule rule)
{
	bool done = false;

	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < FAKE_NVME_RULES && !done; i++) {
		if (f->rules[i].count)
			continue;
		f->rules[i] = rule;
		done = true;
	}
	pthread_mutex_unlock(&f->lock);
}

void fake_nvme_event(struct fake_nvme *f, uint32_t dw0)
{
	pthread_mutex_lock(&f->lock);
	if (f->nevents < ARRAY_SIZE(f->events))
		f->events[f->nevents++] = dw0;
	pthread_mutex_unlock(&f->lock);
}

void fake_nvme_resize_ns(struct fake_nvme *f, unsigned nsid, uint64_t blocks)
{
	struct fake_nvme_ns *ns = &f->ns[nsid - 1];

	pthread_mutex_lock(&f->lock);
	ns->data = realloc(ns->data, CC_MAX(blocks << ns->shift, ns->data_bytes));
	if (blocks << ns->shift > ns->data_bytes)
		memset(ns->data + ns->data_bytes, 0, (blocks << ns->shift) - ns->data_bytes);
	ns->data_bytes = CC_MAX(blocks << ns->shift, ns->data_bytes);
	ns->blocks = blocks;
	pthread_mutex_unlock(&f->lock);
	fake_nvme_event(f,
			NVME_AER_NOTICE | NVME_AER_NOTICE_NS_ATTR << 8 | NVME_LOG_CHANGED_NS << 16);
}

void fake_nvme_remove(struct fake_nvme *f, bool tells)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&f->lock);
	__atomic_store_n(&f->is_gone, true, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&f->lock);
	if (tells && write(f->hw.removal_fd, &one, sizeof(one)) < 0)
		fake_nvme_broken(f, "removal eventfd");
}

void fake_nvme_keep_up(struct fake_nvme *f)
{
	unsigned before = __atomic_load_n(&f->nsteps, __ATOMIC_ACQUIRE);

	/* the one that is under way may have begun too early */
	while (f->has_thread && __atomic_load_n(&f->nsteps, __ATOMIC_ACQUIRE) - before < 2)
		sched_yield();
}

void fake_nvme_never_ready(struct fake_nvme *f)
{
	reg_set(f, NVME_REG_CAP, (reg_get(f, NVME_REG_CAP) & 0xffffff) | 4u << 24);
	__atomic_store_n(&f->never_ready, true, __ATOMIC_RELAXED);
}

unsigned fake_nvme_count(struct fake_nvme *f, const unsigned *counter)
{
	unsigned n;

	pthread_mutex_lock(&f->lock);
	n = *counter;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void answer(struct fake_nvme *f, unsigned n, uint8_t *ret_nsids)
{
	for (unsigned i = 0; i < n; i++) {
		if (ret_nsids)
			ret_nsids[i] = (uint8_t)le32_get(f->held[i].sqe.nsid);
		fake_nvme_exec(f, &f->held[i]);
	}
	f->nheld -= n;
	memmove(f->held, f->held + n, f->nheld * sizeof(f->held[0]));
}

void fake_nvme_release(struct fake_nvme *f)
{
	pthread_mutex_lock(&f->lock);
	answer(f, f->nheld, NULL);
	pthread_mutex_unlock(&f->lock);
}

void fake_nvme_answer(struct fake_nvme *f, unsigned n, uint8_t *ret_nsids)
{
	pthread_mutex_lock(&f->lock);
	assert(n <= f->nheld);
	answer(f, n, ret_nsids);
	pthread_mutex_unlock(&f->lock);
}
