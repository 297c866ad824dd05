/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of a ublk device on its reactor.
 *
 *   kernel ─ event of a tag ─► queue_poll ─► slot_take (a bio) ─► bdev
 *   kernel ◄─ flush ◄─ COMMIT_FETCH of the tag ◄─ slot_done ◄──── bdev
 *
 * A tag is at the kernel (its command waits for an I/O), or with us. The buffer of a tag is ours for good: the kernel
 * copies between it and whoever reads or writes.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/base/counter.h"
#include "vdpa/ublk_priv.h"

#define LOG_TAG "ublk"
#include "core/base/log.h"

#define POLL_MAX 64 /* events in one poll: others want their turn too */

static void *buf_of(const struct ublk_slot *slot)
{
	return slot->q->bufs + (size_t)slot->tag * UBLK_BUF_BYTES;
}

static void post(struct ublk_slot *slot, uint32_t op, int result)
{
	struct ublk_queue *q = slot->q;
	struct ublk_io_cmd cmd = {
		.queue_id = (uint16_t)q->index,
		.tag = slot->tag,
		.result = result,
		.addr = (uintptr_t)buf_of(slot),
	};

	ublk_ring_post(q->ring, op, &cmd);
	poller_mark_dirty(&q->poller);
}

static void over(struct reactor_msg *msg)
{
	ublk_queue_is_over(container_of(msg, struct ublk_queue, over_msg));
}

/* The last one has ended and the kernel knows: from here on the queue is the control thread's. */
static void end_if_last(struct ublk_queue *q)
{
	if (q->state != UBLK_QUEUE_LEAVES || q->nheld || ublk_ring_is_behind(q->ring))
		return;
	q->state = UBLK_QUEUE_OVER;
	poller_detach(&q->poller);
	ublk_ring_disable(q->ring);
	reactor_send(q->u->control, &q->over_msg, over);
}

static void slot_done(struct bio *bio)
{
	struct ublk_slot *slot = container_of(bio, struct ublk_slot, bio);
	struct ublk_queue *q = slot->q;
	int result = bio->status;

	if (cc_unlikely(result))
		counter_add(q->errors, 1);
	else if (bio->op == BIO_READ || bio->op == BIO_WRITE)
		result = (int)bio->len;
	q->nheld--;
	post(slot, UBLK_IO_COMMIT_FETCH, result);
}

/* What the kernel asks for as a bio. 0, or -errno for what no server of ours offers. */
static int slot_take(struct ublk_slot *slot)
{
	struct ublk_io_desc io = ublk_ring_io(slot->q->ring, slot->tag);
	struct bio *bio = &slot->bio;

	bio->flags = 0;
	bio->iovcnt = 0;
	bio->off = io.sector << UBLK_SECTOR_SHIFT;
	bio->len = (uint64_t)io.nsectors << UBLK_SECTOR_SHIFT;
	switch (io.op_flags & UBLK_OP_MASK) {
	case UBLK_OP_READ:
	case UBLK_OP_WRITE:
		if (bio->len > UBLK_BUF_BYTES)
			return -EINVAL;
		bio->op = (io.op_flags & UBLK_OP_MASK) == UBLK_OP_READ ? BIO_READ : BIO_WRITE;
		slot->iov.iov_len = bio->len;
		bio->iovcnt = 1;
		break;
	case UBLK_OP_FLUSH:
		bio->op = BIO_FLUSH;
		bio->off = 0;
		bio->len = 0;
		break;
	case UBLK_OP_DISCARD:
		bio->op = BIO_DISCARD;
		break;
	case UBLK_OP_WRITE_ZEROES:
		bio->op = BIO_WRITE_ZEROES;
		if (io.op_flags & UBLK_IO_NOUNMAP)
			bio->flags |= BIO_NOUNMAP;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (io.op_flags & UBLK_IO_FUA && (bio->op == BIO_WRITE || bio->op == BIO_WRITE_ZEROES))
		bio->flags |= BIO_FUA;
	return 0;
}

/* -ENODEV: the device stops. */
static void tag_gone(struct ublk_queue *q, int result)
{
	if (result == -ENODEV || q->has_complained)
		return;
	q->has_complained = true;
	log_error("%s: queue %u: the kernel refuses a command: %s", q->u->name, q->index,
		  strerror(-result));
}

static unsigned queue_poll(struct poller *p)
{
	struct ublk_queue *q = container_of(p, struct ublk_queue, poller);
	struct ublk_event events[POLL_MAX];
	struct bio_queue bios;
	struct bdev_batch batch;
	unsigned n = ublk_ring_reap(q->ring, events, POLL_MAX);

	if (cc_unlikely(ublk_ring_is_behind(q->ring)))
		poller_mark_dirty(p);
	if (!n)
		return 0;
	bio_queue_init(&bios);
	batch = bdev_batch_begin(q->chan, &bios);
	for (unsigned i = 0; i < n; i++) {
		struct ublk_slot *slot = &q->slots[events[i].tag];
		int err;

		if (cc_unlikely(events[i].result)) {
			tag_gone(q, events[i].result);
			continue;
		}
		if (cc_unlikely(q->state == UBLK_QUEUE_LEAVES))
			continue; /* the kernel gives it to the next server */
		err = slot_take(slot);
		if (cc_unlikely(err)) {
			counter_add(q->errors, 1);
			post(slot, UBLK_IO_COMMIT_FETCH, err);
			continue;
		}
		q->nheld++;
		bdev_batch_add(&batch, &slot->bio);
	}
	counter_add(q->ios, batch.n);
	bdev_batch_submit(&batch);
	poller_mark_dirty(p);
	return n;
}

static void queue_flush(struct poller *p)
{
	struct ublk_queue *q = container_of(p, struct ublk_queue, poller);

	ublk_ring_flush(q->ring);
	if (cc_unlikely(ublk_ring_is_behind(q->ring)))
		poller_wake(p);
	if (cc_unlikely(q->state == UBLK_QUEUE_LEAVES))
		end_if_last(q);
}

static bool queue_arm(struct poller *p)
{
	return ublk_ring_arm(container_of(p, struct ublk_queue, poller)->ring);
}

static void queue_disarm(struct poller *p)
{
	ublk_ring_disarm(container_of(p, struct ublk_queue, poller)->ring);
}

static const struct poller_ops queue_ops = {
	.name = "ublk",
	.poll = queue_poll,
	.flush = queue_flush,
	.arm = queue_arm,
	.disarm = queue_disarm,
};

static void start_here(struct reactor_msg *msg)
{
	struct ublk_queue *q = container_of(msg, struct ublk_queue, start_msg);

	ublk_ring_enable(q->ring);
	poller_attach(q->reactor, &q->poller, &queue_ops, ublk_ring_fd(q->ring));
	for (unsigned tag = 0; tag < q->depth; tag++) {
		struct ublk_slot *slot = &q->slots[tag];

		slot->q = q;
		slot->tag = (uint16_t)tag;
		slot->iov.iov_base = buf_of(slot);
		slot->bio.iov = &slot->iov;
		slot->bio.done = slot_done;
		post(slot, UBLK_IO_FETCH, 0);
	}
}

void ublk_queue_start(struct ublk_queue *q)
{
	reactor_send(q->reactor, &q->start_msg, start_here);
}

static void leave_here(struct reactor_msg *msg)
{
	struct ublk_queue *q = container_of(msg, struct ublk_queue, leave_msg);

	assert(q->state == UBLK_QUEUE_SERVES);
	q->state = UBLK_QUEUE_LEAVES;
	poller_mark_dirty(&q->poller);
}

void ublk_queue_leave(struct ublk_queue *q)
{
	reactor_send(q->reactor, &q->leave_msg, leave_here);
}
