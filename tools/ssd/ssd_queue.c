/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings in the client's memory: doorbells looked at, entries fetched and answered.
 *
 * A doorbell is a word in a page that the client has mapped: a store there wakes nobody, so it is
 * compared with the value seen last. Messages write the same word. With shadow doorbells (DBBUF)
 * the word is in the client's memory instead; while we look at it the event index stays behind, so
 * that the client does not ring, and ssd_queue_arm() moves it on before we sleep.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/barrier.h"
#include "core/base/mono.h"
#include "tools/ssd/ssd_priv.h"

#define LOG_TAG "ssd"
#include "core/base/log.h"

/* The ring's entry, or NULL: not the client's memory any more. */
static uint8_t *window_at(struct ssd *s, struct ssd_window *w, uint64_t off, uint64_t len,
			  bool write)
{
	if (w->generation != s->dma.generation) {
		w->va = ssd_dma_at(&s->dma, w->iova, w->len, write);
		w->generation = s->dma.generation;
	}
	return w->va ? w->va + off : ssd_dma_at(&s->dma, w->iova + off, len, write);
}

static uint32_t cq_used(const struct ssd_cq *cq)
{
	return cq->tail >= cq->head ? cq->tail - cq->head : cq->tail + cq->size - cq->head;
}

static bool cq_has_room(const struct ssd_cq *cq)
{
	return cq_used(cq) < cq->size - 1;
}

/*
 * Doorbells
 */
static uint32_t *shadow_word(struct ssd *s, uint64_t page, unsigned at)
{
	return (uint32_t *)(void *)ssd_dma_at(&s->dma, page + at * 4u, 4, true);
}

static uint32_t bell_read(struct ssd *s, unsigned qid, unsigned at)
{
	uint32_t *word = qid && s->shadow ? shadow_word(s, s->shadow, at) : &s->pci.bells[at];

	return word ? le32toh(cc_read_once(*word)) : 0;
}

/* A value that was not there before. */
static bool bell_take(struct ssd *s, unsigned qid, unsigned at, uint32_t *seen)
{
	uint32_t v = bell_read(s, qid, at);

	if (cc_likely(v == *seen))
		return false;
	barrier_acquire(); /* the entries behind the bell; partner: the client's store of it */
	*seen = v;
	if (at & 1)
		s->counters.cq_bell_changes++;
	else
		s->counters.sq_bell_changes++;
	return true;
}

static void bell_is_bad(struct ssd *s, const char *what, unsigned qid, uint32_t v)
{
	s->counters.bad_bells++;
	log_info("%s doorbell of queue %u: bad value %u", what, qid, v);
	ssd_event_raise(s, SSD_EVENT_BAD_DB_VALUE);
}

static void sq_bell(struct ssd *s, struct ssd_sq *sq)
{
	if (!bell_take(s, sq->id, 2u * sq->id, &sq->bell))
		return;
	if (sq->bell < sq->size)
		sq->tail = sq->bell;
	else
		bell_is_bad(s, "submission", sq->id, sq->bell);
}

static void cq_bell(struct ssd *s, struct ssd_cq *cq)
{
	uint32_t freed;

	if (!bell_take(s, cq->id, 2u * cq->id + 1, &cq->bell))
		return;
	freed = cq->bell >= cq->head ? cq->bell - cq->head : cq->bell + cq->size - cq->head;
	if (cq->bell < cq->size && freed <= cq_used(cq))
		cq->head = cq->bell;
	else
		bell_is_bad(s, "completion", cq->id, cq->bell);
}

void ssd_queue_bell(struct ssd *s, uint64_t off, uint32_t value)
{
	unsigned at = (unsigned)(off / 4), qid = at / 2;

	if (at & 1)
		s->counters.cq_bell_messages++;
	else
		s->counters.sq_bell_messages++;
	if (qid > s->opts.queues || !(at & 1 ? s->cq[qid].live : s->sq[qid].live)) {
		s->counters.bad_bells++;
		if (ssd_ctrlr_is_running(s))
			ssd_event_raise(s, SSD_EVENT_BAD_DB);
		return;
	}
	cc_write_once(s->pci.bells[at], htole32(value));
}

static void event_index_set(struct ssd *s, unsigned at, uint32_t seen)
{
	uint32_t *word = shadow_word(s, s->eventidx, at);

	if (word)
		cc_write_once(*word, htole32(seen));
}

bool ssd_queue_arm(struct ssd *s)
{
	if (!s->shadow || !ssd_ctrlr_is_running(s))
		return true;
	for (unsigned i = 1; i <= s->sq_last; i++) {
		if (s->sq[i].live)
			event_index_set(s, 2 * i, s->sq[i].bell);
		if (s->cq[i].live)
			event_index_set(s, 2 * i + 1, s->cq[i].bell);
	}
	barrier_full(); /* the event index before one more look; partner: the client's barrier
			   between shadow and index */
	for (unsigned i = 1; i <= s->sq_last; i++) {
		if (s->sq[i].live && bell_read(s, i, 2 * i) != s->sq[i].bell)
			return false;
		if (s->cq[i].live && bell_read(s, i, 2 * i + 1) != s->cq[i].bell)
			return false;
	}
	return true;
}

/*
 * Completions
 */
static void cq_put(struct ssd *s, struct ssd_cq *cq, const struct ssd_cmd *cmd, uint16_t status)
{
	uint8_t *entry = window_at(s, &cq->ring, cq->tail * sizeof(struct nvme_cqe),
				   sizeof(struct nvme_cqe), true);
	struct nvme_cqe cqe = {
		.dw0 = le32_make(cmd->dw0),
		.sqhd = le16_make((uint16_t)s->sq[cmd->sqid].head),
		.sqid = le16_make(cmd->sqid),
		.cid = cmd->sqe.cid,
		.status = le16_make((uint16_t)(status << 1 | cq->phase)),
	};
	uint64_t high;

	if (!entry) {
		ssd_ctrlr_fatal(s, "a completion queue is not in the client's memory any more");
		return;
	}
	memcpy(entry, &cqe, 8);
	memcpy(&high, (uint8_t *)&cqe + 8, 8);
	/* the phase bit last, and with all of its half; partner: the client's look at it */
	__atomic_store_n((uint64_t *)(void *)(entry + 8), high, __ATOMIC_RELEASE);
	cq->entries++;
	cq->dirty = true;
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
}

void ssd_queue_complete(struct ssd *s, const struct ssd_cmd *cmd, uint16_t status)
{
	struct ssd_cq *cq = &s->cq[s->sq[cmd->sqid].cqid];
	struct ssd_held *h;

	if (list_is_empty(&cq->owed) && cq_has_room(cq)) {
		cq_put(s, cq, cmd, status);
		return;
	}
	h = calloc(1, sizeof(*h));
	if (!h) {
		ssd_ctrlr_fatal(s, "out of memory");
		return;
	}
	h->cmd = *cmd;
	h->status = status;
	list_add_tail(&cq->owed, &h->link);
}

static void cq_pay(struct ssd *s, struct ssd_cq *cq)
{
	while (!list_is_empty(&cq->owed) && cq_has_room(cq)) {
		struct ssd_held *h = container_of(list_pop(&cq->owed), struct ssd_held, link);

		cq_put(s, cq, &h->cmd, h->status);
		free(h);
	}
}

void ssd_queue_irqs(struct ssd *s)
{
	for (unsigned i = 0; i <= s->sq_last; i++) {
		struct ssd_cq *cq = &s->cq[i];

		if (!cq->dirty)
			continue;
		cq->dirty = false;
		if (cq->irq)
			ssd_pci_irq(s, cq->vector);
	}
}

/*
 * Commands
 */
static bool sq_run(struct ssd *s, struct ssd_sq *sq)
{
	struct ssd_cq *cq = &s->cq[sq->cqid];
	bool did = false;

	for (unsigned i = 0; i < SSD_BURST && sq->head != sq->tail; i++) {
		struct ssd_cmd cmd = { .sqid = sq->id };
		const uint8_t *entry;

		if (!list_is_empty(&cq->owed) || !cq_has_room(cq) || !ssd_ctrlr_is_running(s))
			break;
		entry = window_at(s, &sq->ring, sq->head * sizeof(cmd.sqe), sizeof(cmd.sqe), false);
		if (!entry) {
			ssd_ctrlr_fatal(
				s, "a submission queue is not in the client's memory any more");
			break;
		}
		memcpy(&cmd.sqe, entry, sizeof(cmd.sqe));
		if (++sq->head == sq->size)
			sq->head = 0;
		sq->commands++;
		did = true;
		ssd_exec(s, &cmd);
		if (!sq->live)
			break;
	}
	return did;
}

static bool held_run(struct ssd *s)
{
	bool did = false;

	while (!list_is_empty(&s->held) && ssd_ctrlr_is_running(s)) {
		struct ssd_held *h = container_of(s->held.next, struct ssd_held, link);

		if (h->due_ns > mono_ns())
			break;
		list_del(&h->link);
		ssd_exec_now(s, &h->cmd, &h->effect);
		free(h);
		did = true;
	}
	return did;
}

bool ssd_queue_poll(struct ssd *s)
{
	bool did;

	if (!ssd_ctrlr_is_running(s) || !ssd_pci_is_master(s))
		return false;
	did = held_run(s);
	for (unsigned i = 0; i <= s->sq_last; i++) {
		if (!s->cq[i].live)
			continue;
		cq_bell(s, &s->cq[i]);
		cq_pay(s, &s->cq[i]);
	}
	for (unsigned i = 0; i <= s->sq_last; i++) {
		if (!s->sq[i].live)
			continue;
		sq_bell(s, &s->sq[i]);
		did |= sq_run(s, &s->sq[i]);
	}
	ssd_queue_irqs(s);
	return did;
}

/* Keeps the list sorted; false: too many, or no memory. */
bool ssd_queue_hold(struct ssd *s, const struct ssd_cmd *cmd, const struct ssd_fault_effect *effect)
{
	struct ssd_held *h = calloc(1, sizeof(*h));
	struct list *at;

	if (!h)
		return false;
	h->cmd = *cmd;
	h->effect = *effect;
	h->due_ns = mono_ns() + effect->delay_ns;
	/* from the back: most are due later than those before them */
	for (at = s->held.prev; at != &s->held; at = at->prev) {
		if (container_of(at, struct ssd_held, link)->due_ns <= h->due_ns)
			break;
	}
	list_add_head(at, &h->link);
	return true;
}

uint64_t ssd_queue_due(const struct ssd *s)
{
	if (list_is_empty(&s->held))
		return UINT64_MAX;
	return container_of(s->held.next, struct ssd_held, link)->due_ns;
}

bool ssd_queue_abort(struct ssd *s, uint16_t sqid, uint16_t cid)
{
	struct list *at;

	list_for_each (at, &s->held) {
		struct ssd_held *h = container_of(at, struct ssd_held, link);

		if (h->cmd.sqid != sqid || le16_get(h->cmd.sqe.cid) != cid)
			continue;
		list_del(&h->link);
		ssd_queue_complete(s, &h->cmd, NVME_SC_ABORT_REQUESTED);
		free(h);
		return true;
	}
	return false;
}

/*
 * Life
 */
static void bells_clear(struct ssd *s, unsigned qid, unsigned at)
{
	cc_write_once(s->pci.bells[at], 0);
	if (!qid || !s->shadow)
		return;
	event_index_set(s, at, 0);
	if (shadow_word(s, s->shadow, at))
		cc_write_once(*shadow_word(s, s->shadow, at), 0);
}

int ssd_queue_open(struct ssd *s, struct ssd_sq *sq, struct ssd_cq *cq)
{
	if (sq && !ssd_dma_at(&s->dma, sq->ring.iova, sq->ring.len, false))
		return -1;
	if (cq && !ssd_dma_at(&s->dma, cq->ring.iova, cq->ring.len, true))
		return -1;
	if (cq) {
		cq->live = true;
		cq->head = cq->tail = cq->bell = 0;
		cq->phase = 1;
		cq->nsqs = 0;
		cq->entries = 0;
		cq->dirty = false;
		bells_clear(s, cq->id, 2u * cq->id + 1);
		s->sq_last = CC_MAX(s->sq_last, cq->id);
	}
	if (sq) {
		sq->live = true;
		sq->head = sq->tail = sq->bell = 0;
		sq->commands = 0;
		bells_clear(s, sq->id, 2u * sq->id);
		s->cq[sq->cqid].nsqs++;
		s->sq_last = CC_MAX(s->sq_last, sq->id);
	}
	return 0;
}

void ssd_queue_close_sq(struct ssd *s, struct ssd_sq *sq)
{
	struct list *at, *next;

	list_for_each_safe (at, next, &s->held) {
		struct ssd_held *h = container_of(at, struct ssd_held, link);

		if (h->cmd.sqid != sq->id)
			continue;
		list_del(&h->link);
		ssd_queue_complete(s, &h->cmd, NVME_SC_ABORT_SQ_DELETED);
		free(h);
	}
	sq->live = false;
	s->cq[sq->cqid].nsqs--;
}

static void held_drop(struct list *head)
{
	while (!list_is_empty(head))
		free(container_of(list_pop(head), struct ssd_held, link));
}

void ssd_queue_close_cq(struct ssd *s, struct ssd_cq *cq)
{
	(void)s;
	held_drop(&cq->owed);
	cq->live = false;
	cq->dirty = false;
}

void ssd_queue_shadow(struct ssd *s, uint64_t shadow, uint64_t eventidx)
{
	s->shadow = shadow;
	s->eventidx = eventidx;
	for (unsigned i = 1; i <= s->sq_last; i++) {
		uint32_t *sq = shadow_word(s, shadow, 2 * i),
			 *cq = shadow_word(s, shadow, 2 * i + 1);

		/* queues that are older than the buffers go on where they are */
		if (s->sq[i].live && sq)
			cc_write_once(*sq, htole32(s->sq[i].bell));
		if (s->cq[i].live && cq)
			cc_write_once(*cq, htole32(s->cq[i].bell));
	}
}

void ssd_queue_close_all(struct ssd *s)
{
	held_drop(&s->held);
	memset(s->channel_free_ns, 0, sizeof(s->channel_free_ns));
	for (unsigned i = 0; i <= SSD_QUEUES_MAX; i++) {
		s->sq[i].live = false;
		s->cq[i].live = false;
		s->cq[i].dirty = false;
		held_drop(&s->cq[i].owed);
	}
	s->sq_last = 0;
}
