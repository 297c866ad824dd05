/* SPDX-License-Identifier: BSD-3-Clause */
/* The data path: submit, flush, poll. */
#include "drivers/nvme/nvme_ioq.h"

#include <assert.h>
#include <errno.h>

#include "drivers/nvme/nvme_ctrlr_priv.h"
#include "drivers/nvme/nvme_sgl.h"

#define POLL_MAX 256u /* completions in one poll: others want their turn too */

static_assert(BIO_READ == 0 && BIO_WRITE == 1, "nvme_target.head is indexed by them");
static_assert(BIO_FUA == 1, "it is shifted to its place");

#define FUA_SHIFT 30
static_assert(1u << FUA_SHIFT == NVME_RW_FUA, "the place of FUA");

/* A command as the eight words it is in memory. */
typedef uint64_t __attribute__((may_alias)) sqe_word;

static cc_always_inline void sqe_store(struct nvme_sqe *sqe, uint64_t head,
				       const struct nvme_prps *prps, uint64_t cdw10_11,
				       uint32_t cdw12)
{
	sqe_word *w = (sqe_word *)(void *)sqe;

	w[0] = htole64(head);
	w[1] = 0;
	w[2] = 0;
	w[3] = htole64(prps->prp1);
	w[4] = htole64(prps->prp2);
	w[5] = htole64(cdw10_11);
	w[6] = htole64(cdw12);
	w[7] = 0;
}

/* The second half of a slot that has just been taken: the id, all else 0. */
#if __BYTE_ORDER == __LITTLE_ENDIAN
#define SLOT_WORD(cid) ((uint64_t)(uint16_t)(cid))
#else
#define SLOT_WORD(cid) ((uint64_t)(uint16_t)(cid) << 48)
#endif
static_assert(offsetof(struct nvme_slot, cid) == sizeof(uint64_t) && NVME_SLOT_SENT == 0,
	      "the id is first, and sent is 0");

static cc_always_inline uint64_t sqe_head(uint8_t opc, uint32_t nsid)
{
	return opc | (uint64_t)nsid << 32;
}

/* Once per turn: the poller is hot, and somebody looks at the time. */
static cc_noinline void ioq_wake(struct nvme_ioq *q)
{
	poller_wake(&q->poller);
	if (!deadline_is_armed(&q->tick))
		deadline_arm(q->reactor, &q->tick, q->reactor->now_ns + q->tick_ns);
	nvme_ioq_watch(q);
}

static cc_always_inline void ioq_mark(struct nvme_ioq *q)
{
	if (q->poller.is_dirty)
		return;
	poller_mark_dirty(&q->poller);
	if (cc_unlikely(q->poller.state != POLLER_HOT || !deadline_is_armed(&q->tick)))
		ioq_wake(q);
}

void nvme_ioq_mark(struct nvme_ioq *q)
{
	ioq_mark(q);
}

/* The id is taken off the stack; its slot holds @bio. */
static uint32_t slot_take(struct nvme_ioq *q, struct bio *bio)
{
	uint32_t *n = q->mode == NVME_IOQ_RUNNING ? &q->nfree : &q->share.nspare;
	uint32_t cid = q->free[--*n];

	q->slots[cid & q->slot_mask] = (struct nvme_slot){ .bio = bio, .cid = (uint16_t)cid };
	return cid;
}

/* What the short way needs of a queue and a target, as local variables: entries that are written
 * may alias anything else. */
struct cursor {
	struct nvme_sqe *sq;
	struct nvme_slot *slots;
	const uint16_t *free;
	const uint64_t *head;
	uint64_t first_lba;
	uint64_t known_va, known_len, to_iova; /* of q->xlat */
	uint32_t sq_mask, tail, nfree, slot_mask;
	uint8_t shift;
};

static cc_always_inline struct cursor cursor_load(struct nvme_ioq *q, const struct nvme_target *t)
{
	nvme_xlat_check(&q->xlat);
	return (struct cursor){
		.sq = q->qp.sq,
		.slots = q->slots,
		.free = q->free,
		.head = t->head,
		.first_lba = t->first_lba,
		.known_va = q->xlat.va,
		.known_len = q->xlat.len,
		.to_iova = q->xlat.to_iova,
		.sq_mask = q->qp.sq_mask,
		.tail = q->qp.sq_tail,
		.nfree = q->nfree,
		.slot_mask = q->slot_mask,
		.shift = t->shift,
	};
}

static cc_always_inline void cursor_store(const struct cursor *k, struct nvme_ioq *q)
{
	q->qp.sq_tail = k->tail;
	q->nfree = k->nfree;
}

/* A read or write of one piece on two pages at most, and a free slot: true, it is sent. */
static cc_always_inline bool send_simple(struct cursor *k, struct bio *bio)
{
	const struct nvme_xlat known = { .va = k->known_va,
					 .len = k->known_len,
					 .to_iova = k->to_iova };
	uint64_t len = bio->len;
	struct nvme_prps prps;
	sqe_word *slot;
	uint32_t cid;

	if (cc_unlikely(bio->op > BIO_WRITE || bio->iovcnt != 1 || !k->nfree))
		return false;
	if (cc_unlikely(!nvme_prp_simple(&known, (uintptr_t)bio->iov->iov_base, len, &prps)))
		return false;
	cid = k->free[--k->nfree];
	slot = (sqe_word *)(void *)&k->slots[cid & k->slot_mask];
	slot[0] = (uintptr_t)bio;
	slot[1] = SLOT_WORD(cid);
	sqe_store(&k->sq[k->tail++ & k->sq_mask], k->head[bio->op] | cid << 16, &prps,
		  k->first_lba + (bio->off >> k->shift),
		  ((uint32_t)(len >> k->shift) - 1) | (uint32_t)(bio->flags & BIO_FUA)
							      << FUA_SHIFT);
	return true;
}

static int send_data(struct nvme_ioq *q, const struct nvme_target *t, const struct bio *bio,
		     uint32_t idx, uint64_t id)
{
	const struct nvme_list list = nvme_qpair_list(&q->qp, idx);
	uint32_t cdw12 = (uint32_t)(bio->len >> t->shift) - 1;
	uint64_t slba = t->first_lba + (bio->off >> t->shift), head = t->head[bio->op] | id;
	struct nvme_prps prps;
	struct nvme_sgl_desc sgl;
	struct nvme_sqe *sqe;
	int err = nvme_prp_build(&q->xlat, bio->iov, bio->iovcnt, &list, &prps);

	cdw12 |= (uint32_t)(bio->flags & BIO_FUA) << FUA_SHIFT;
	if (!err) {
		sqe_store(nvme_qpair_next(&q->qp), head, &prps, slba, cdw12);
		return 0;
	}
	if (err != -EINVAL || !q->use_sgl)
		return err;
	err = nvme_sgl_build(&q->xlat, bio->iov, bio->iovcnt, &list, &sgl);
	if (err)
		return err;
	sqe = nvme_qpair_next(&q->qp);
	prps = (struct nvme_prps){ 0 };
	sqe_store(sqe, head | (uint64_t)NVME_CMD_PSDT_SGL << 8, &prps, slba, cdw12);
	sqe->sgl1 = sgl;
	return 0;
}

static void send_discard(struct nvme_ioq *q, const struct nvme_target *t, const struct bio *bio,
			 uint32_t idx, uint64_t id)
{
	const struct nvme_list list = nvme_qpair_list(&q->qp, idx);
	struct nvme_dsm_range *range = list.va;

	static_assert(sizeof(*range) <= NVME_IOQ_LIST_BYTES_MIN, "a range fits");
	*range = (struct nvme_dsm_range){
		.nlb = le32_make((uint32_t)(bio->len >> t->shift)),
		.slba = le64_make(t->first_lba + (bio->off >> t->shift)),
	};
	/* cdw10: one range, 0's based; cdw11: deallocate */
	sqe_store(nvme_qpair_next(&q->qp), sqe_head(NVME_NVM_DSM, t->nsid) | id,
		  &(struct nvme_prps){ .prp1 = list.iova }, (uint64_t)NVME_DSM_AD << 32, 0);
}

static void send_zeroes(struct nvme_ioq *q, const struct nvme_target *t, const struct bio *bio,
			uint64_t id)
{
	uint32_t cdw12 = (uint32_t)(bio->len >> t->shift) - 1;

	cdw12 |= (uint32_t)(bio->flags & BIO_FUA) << FUA_SHIFT;
	if (t->has_deac && !(bio->flags & BIO_NOUNMAP))
		cdw12 |= NVME_RW_DEAC;
	sqe_store(nvme_qpair_next(&q->qp), sqe_head(NVME_NVM_WRITE_ZEROES, t->nsid) | id,
		  &(struct nvme_prps){ 0 }, t->first_lba + (bio->off >> t->shift), cdw12);
}

int nvme_ioq_send(struct nvme_ioq *q, uint32_t idx)
{
	const struct bio *bio = q->slots[idx].bio;
	const struct nvme_target *t = bio->chan->drv;
	uint64_t id = (uint64_t)q->slots[idx].cid << 16;
	int err = 0;

	switch ((enum bio_op)bio->op) {
	case BIO_READ:
	case BIO_WRITE:
		err = send_data(q, t, bio, idx, id);
		break;
	case BIO_FLUSH:
		sqe_store(nvme_qpair_next(&q->qp), sqe_head(NVME_NVM_FLUSH, t->nsid) | id,
			  &(struct nvme_prps){ 0 }, 0, 0);
		break;
	case BIO_DISCARD:
		send_discard(q, t, bio, idx, id);
		break;
	case BIO_WRITE_ZEROES:
		send_zeroes(q, t, bio, id);
		break;
	default:
		err = -EOPNOTSUPP;
		break;
	}
	if (!err)
		ioq_mark(q);
	return err;
}

void nvme_ioq_start(struct nvme_ioq *q, struct bio *bio)
{
	uint32_t idx = slot_take(q, bio) & q->slot_mask;
	int err = nvme_ioq_send(q, idx);

	if (err) {
		nvme_ioq_release(q, idx);
		nvme_ioq_end(bio, err);
	}
}

/* Of another reactor. The bio is its own message. */
struct remote_io {
	struct reactor_msg msg;
	struct bio *bio;
	uint16_t weight; /* of the channel, which is the sender's */
};
static_assert(sizeof(struct remote_io) <= sizeof(((struct bio *)NULL)->drv), "it lives there");

static void remote_arrived(struct reactor_msg *msg);

static cc_noinline void ioq_submit_slow(struct nvme_ioq *q, const struct nvme_target *t,
					struct bio *bio)
{
	if (t->is_remote && reactor_self() != q->reactor) {
		struct remote_io *io = (struct remote_io *)bio->drv;

		io->bio = bio;
		io->weight = bio->chan->weight;
		reactor_send(q->reactor, &io->msg, remote_arrived);
	} else if (q->mode == NVME_IOQ_DEAD) {
		nvme_ioq_end(bio, -EIO);
	} else if (q->nfree) {
		nvme_ioq_start(q, bio);
	} else {
		nvme_ioq_wait(q, bio);
	}
}

static void remote_arrived(struct reactor_msg *msg)
{
	const struct remote_io *io = container_of(msg, struct remote_io, msg);
	struct bio *bio = io->bio;
	struct nvme_target *t = bio->chan->drv;

	qos_tenant_set_weight(&t->tenant.drr, io->weight);
	nvme_ioq_watch(t->ioq);
	ioq_submit_slow(t->ioq, t, bio);
}

void nvme_ioq_chan_start(struct bdev_chan *chan)
{
	const struct nvme_target *t = chan->drv;

	if (!t->is_remote) /* those of the first one may be under way for long */
		nvme_ioq_watch(t->ioq);
}

void nvme_ioq_submit(struct bdev_chan *chan, struct bio *bio)
{
	const struct nvme_target *t = chan->drv;
	struct nvme_ioq *q = t->ioq;
	struct cursor k;

	/* without a slot there may be no memory either, and no domain: frozen, dead; or others have
	 * to be asked: shared */
	if (cc_unlikely(t->is_remote || !q->nfree)) {
		ioq_submit_slow(q, t, bio);
		return;
	}
	k = cursor_load(q, t);
	if (cc_unlikely(!send_simple(&k, bio))) {
		ioq_submit_slow(q, t, bio);
		return;
	}
	cursor_store(&k, q);
	ioq_mark(q);
}

/* From @bio on, one by one. */
static cc_noinline void submit_rest(struct nvme_ioq *q, const struct nvme_target *t,
				    struct bio *bio)
{
	struct bio *next;

	for (; bio; bio = next) {
		next = bio->next;
		ioq_submit_slow(q, t, bio);
	}
}

void nvme_ioq_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	const struct nvme_target *t = chan->drv;
	struct nvme_ioq *q = t->ioq;
	struct bio *bio = bio_queue_take_all(bios), *next;
	struct cursor k;

	if (cc_unlikely(t->is_remote || !q->nfree)) {
		submit_rest(q, t, bio);
		return;
	}
	k = cursor_load(q, t);
	for (; bio; bio = next) {
		next = bio->next;
		if (cc_likely(send_simple(&k, bio)))
			continue;
		cursor_store(&k, q);
		ioq_submit_slow(q, t, bio);
		if (!q->nfree) {
			submit_rest(q, t, next);
			break;
		}
		k = cursor_load(q, t);
	}
	if (q->nfree)
		cursor_store(&k, q);
	ioq_mark(q);
}

/* Who gets what has become free is decided when those whose I/O has ended in this turn have had the
 * chance to come back: in a later round of flushes. */
static cc_noinline void ioq_flush_shared(struct nvme_ioq *q)
{
	if (q->mode != NVME_IOQ_SHARED)
		return;
	if (q->share.is_back) {
		q->share.is_back = false;
		ioq_mark(q);
		return;
	}
	nvme_ioq_pump(q);
	nvme_qpair_flush(&q->qp);
}

static void ioq_flush(struct poller *p)
{
	struct nvme_ioq *q = container_of(p, struct nvme_ioq, poller);

	if (cc_likely(q->mode == NVME_IOQ_RUNNING))
		nvme_qpair_flush(&q->qp);
	else
		ioq_flush_shared(q);
}

/* Successes of one channel, back to where they came from. */
static void ioq_hand_back(struct bdev_chan *chan, struct bio_queue *bios)
{
	const struct nvme_target *t;
	struct bio *bio;

	if (!chan)
		return; /* there was none yet */
	*bios->last = NULL;
	t = chan->drv;
	if (cc_likely(!t->is_remote)) {
		bdev_complete_batch_later(chan, bios);
		return;
	}
	while ((bio = bio_queue_pop(bios)) != NULL)
		nvme_ioq_end(bio, 0);
}

/* A completion that is no plain success. False: the device lies. */
static cc_noinline bool ioq_reap_odd(struct nvme_ioq *q, uint32_t word)
{
	uint16_t cid = NVME_QPAIR_CID(word), status = NVME_QPAIR_STATUS(word);
	const struct nvme_slot *s = &q->slots[cid & q->slot_mask];

	if (!s->bio || s->cid != cid || s->state != NVME_SLOT_SENT) {
		nvme_ioq_tell(q, NVME_REPORT_LIE);
		return false;
	}
	nvme_ioq_failed(q, cid & q->slot_mask, status);
	return true;
}

/* Reaps up to POLL_MAX. Those that succeeded are collected per channel and end in this turn's
 * flush. @is_shared, a constant: the mode. */
static cc_always_inline unsigned ioq_reap(struct nvme_ioq *q, bool is_shared)
{
	uint32_t *const count = is_shared ? &q->share.nspare : &q->nfree;
	uint32_t head = q->qp.cq_head, first = head, word, nfree = *count;
	const uint32_t slot_mask = q->slot_mask;
	struct nvme_slot *const slots = q->slots;
	uint16_t *const free = q->free;
	struct bdev_chan *chan = NULL;
	struct bio_queue bios;

	bio_queue_init(&bios);
	for (; head - first < POLL_MAX && nvme_qpair_peek(&q->qp, head, &word); head++) {
		struct nvme_slot *s = &slots[NVME_QPAIR_CID(word) & slot_mask];
		struct bio *bio = s->bio;

		if (cc_unlikely(!bio || s->cid != NVME_QPAIR_CID(word) || word >> 17)) {
			*count = nfree;
			if (!ioq_reap_odd(q, word)) {
				nfree = *count;
				break;
			}
			nfree = *count;
			continue;
		}
		s->bio = NULL;
		if (is_shared)
			nvme_ioq_left(q, bio);
		free[nfree++] = (uint16_t)(word + slot_mask + 1);
		if (cc_unlikely(bio->chan != chan)) {
			ioq_hand_back(chan, &bios);
			chan = bio->chan;
		}
		*bios.last = bio;
		bios.last = &bio->next;
	}
	*count = nfree;
	ioq_hand_back(chan, &bios);
	nvme_qpair_advance(&q->qp, head);
	return head - first;
}

static cc_noinline unsigned ioq_poll_shared(struct nvme_ioq *q)
{
	unsigned n;

	if (q->mode != NVME_IOQ_SHARED)
		return 0;
	n = ioq_reap(q, true);
	if (n && q->share.nwaiting)
		q->share.is_back = true;
	return n;
}

static unsigned ioq_poll(struct poller *p)
{
	struct nvme_ioq *q = container_of(p, struct nvme_ioq, poller);

	if (cc_unlikely(q->mode != NVME_IOQ_RUNNING))
		return ioq_poll_shared(q);
	return ioq_reap(q, false);
}

/* Interrupts are on all the time: MSI-X of a queue costs a system call to mask. */
static bool ioq_arm(struct poller *p)
{
	struct nvme_ioq *q = container_of(p, struct nvme_ioq, poller);
	uint32_t word;

	if (!nvme_ioq_is_live(q))
		return false;
	if (q->irq_fd < 0) /* nobody else would look */
		return q->nfree + q->share.nspare != q->qp.depth;
	/* Partner: the device, which interrupts for entries that it posts after it knows our head.
	 */
	nvme_qpair_tell_head(&q->qp);
	barrier_full();
	return nvme_qpair_peek(&q->qp, q->qp.cq_head, &word);
}

static bool ioq_expects(const struct poller *p)
{
	const struct nvme_ioq *q = container_of(p, struct nvme_ioq, poller);

	if (!nvme_ioq_is_live(q)) /* the keeper may be filling it: whoever makes it live wakes us */
		return true;
	return q->nfree + q->share.nspare != q->qp.depth || q->share.nwaiting;
}

static const struct poller_ops ioq_poller_ops = {
	.name = "nvme",
	.poll = ioq_poll,
	.flush = ioq_flush,
	.arm = ioq_arm,
	.expects = ioq_expects,
};

void nvme_ioq_attach(void *arg)
{
	struct nvme_ioq *q = arg;

	poller_attach(q->reactor, &q->poller, &ioq_poller_ops, q->irq_fd);
}
