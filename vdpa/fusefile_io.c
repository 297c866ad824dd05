/* SPDX-License-Identifier: BSD-3-Clause */
/* One request at a time is one bio at a time; the drawing is in the header. */
#include "vdpa/fusefile_io.h"

#include <assert.h>
#include <string.h>

void fusefile_plan_make(uint64_t off, uint64_t len, uint32_t block_bytes, struct fusefile_plan *ret)
{
	uint64_t mask = block_bytes - 1, end = off + len;
	uint64_t mid = (off + mask) & ~mask, mid_end = end & ~mask;

	*ret = (struct fusefile_plan){ .off = off & ~mask, .end = (end + mask) & ~mask };
	if (!len)
		return;
	if (off & mask) {
		ret->head_off = ret->off;
		ret->head_at = (uint32_t)(off & mask);
		ret->head_len = (uint32_t)(CC_MIN(mid, end) - off);
	}
	if (mid_end > mid) {
		ret->mid_off = mid;
		ret->mid_len = mid_end - mid;
	}
	if (end & mask && mid_end >= mid) {
		ret->tail_off = mid_end;
		ret->tail_len = (uint32_t)(end & mask);
	}
}

static bool has_edge(const struct fusefile_slot *slot)
{
	return slot->plan.head_len || slot->plan.tail_len;
}

static bool is_change(const struct fusefile_slot *slot)
{
	return slot->op == FUSEFILE_WRITE || slot->op == FUSEFILE_ZERO;
}

/*
 * Who waits for whom
 */
static bool collides(const struct fusefile_slot *a, const struct fusefile_slot *b)
{
	return (has_edge(a) || has_edge(b)) && a->plan.off < b->plan.end && b->plan.off < a->plan.end;
}

/* With any of @l, up to @until. */
static bool collides_with_any(const struct fusefile_slot *slot, const struct list *l, const struct list *until)
{
	const struct list *pos;

	for (pos = l->next; pos != until; pos = pos->next) {
		if (collides(slot, list_entry(pos, struct fusefile_slot, link)))
			return true;
	}
	return false;
}

static void step_done(struct bio *bio);
static void start(struct fusefile_slot *slot);

/* Those that nobody before them stands in the way of any more. */
static void start_waiting(struct fusefile_io *io)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &io->waiting) {
		struct fusefile_slot *slot = list_entry(pos, struct fusefile_slot, link);

		if (collides_with_any(slot, &io->active, &io->active) ||
		    collides_with_any(slot, &io->waiting, pos))
			continue;
		list_del(pos);
		start(slot);
	}
}

/*
 * Steps of a change
 */
static bool is_needed(const struct fusefile_slot *slot)
{
	switch (slot->step) {
	case FUSEFILE_STEP_MID:
		return slot->plan.mid_len;
	case FUSEFILE_STEP_HEAD_READ:
	case FUSEFILE_STEP_HEAD_WRITE:
		return slot->plan.head_len;
	default:
		return slot->plan.tail_len;
	}
}

/* The bytes of the file that become those of a block at an edge. */
static void patch(struct fusefile_slot *slot, uint32_t at, uint32_t len, uint64_t from)
{
	if (slot->op == FUSEFILE_ZERO)
		memset(slot->edge + at, 0, len);
	else
		memcpy(slot->edge + at, slot->data + from, len);
}

static void set_bio(struct fusefile_slot *slot, uint8_t op, uint64_t off, uint64_t len, uint8_t *buf)
{
	slot->bio.op = op;
	slot->bio.flags = op == BIO_READ || op == BIO_FLUSH ? 0 : slot->bio_flags;
	if (op == BIO_WRITE)
		slot->bio.flags &= (uint8_t)~BIO_NOUNMAP;
	slot->bio.off = off;
	slot->bio.len = len;
	slot->iov = (struct iovec){ .iov_base = buf, .iov_len = len };
	slot->bio.iovcnt = buf != NULL;
}

static void prepare(struct fusefile_slot *slot)
{
	const struct fusefile_plan *plan = &slot->plan;
	uint32_t block = slot->io->chan->bdev->lim.block_bytes;

	switch (slot->step) {
	case FUSEFILE_STEP_MID:
		if (slot->op == FUSEFILE_ZERO)
			set_bio(slot, BIO_WRITE_ZEROES, plan->mid_off, plan->mid_len, NULL);
		else
			set_bio(slot, BIO_WRITE, plan->mid_off, plan->mid_len,
				slot->data + (plan->mid_off - slot->off));
		break;
	case FUSEFILE_STEP_HEAD_READ:
		set_bio(slot, BIO_READ, plan->head_off, block, slot->edge);
		break;
	case FUSEFILE_STEP_HEAD_WRITE:
		patch(slot, plan->head_at, plan->head_len, 0);
		set_bio(slot, BIO_WRITE, plan->head_off, block, slot->edge);
		break;
	case FUSEFILE_STEP_TAIL_READ:
		set_bio(slot, BIO_READ, plan->tail_off, block, slot->edge);
		break;
	default:
		patch(slot, 0, plan->tail_len, plan->tail_off - slot->off);
		set_bio(slot, BIO_WRITE, plan->tail_off, block, slot->edge);
	}
}

static void finish(struct fusefile_slot *slot, int status)
{
	struct fusefile_io *io = slot->io;

	io->nheld--;
	if (is_change(slot)) {
		list_del(&slot->link);
		io->nedged -= has_edge(slot);
		if (!list_is_empty(&io->waiting))
			start_waiting(io);
	}
	io->done(slot, status);
}

/* The next step that there is. False: none. */
static bool advance(struct fusefile_slot *slot)
{
	while (slot->step < FUSEFILE_STEP_COUNT && !is_needed(slot))
		slot->step++;
	if (slot->step == FUSEFILE_STEP_COUNT)
		return false;
	prepare(slot);
	bdev_submit(slot->io->chan, &slot->bio);
	return true;
}

static void step_done(struct bio *bio)
{
	struct fusefile_slot *slot = container_of(bio, struct fusefile_slot, bio);

	if (bio->status || !is_change(slot)) {
		finish(slot, bio->status);
		return;
	}
	slot->step++;
	if (!advance(slot))
		finish(slot, 0);
}

/* A change that nobody stands in the way of. */
static void start(struct fusefile_slot *slot)
{
	bool has_begun;

	list_add_tail(&slot->io->active, &slot->link);
	slot->step = FUSEFILE_STEP_MID;
	has_begun = advance(slot);
	assert(has_begun); /* it has bytes */
	(void)has_begun;
}

void fusefile_io_init(struct fusefile_io *io, struct bdev_chan *chan,
		      void (*done)(struct fusefile_slot *slot, int status))
{
	*io = (struct fusefile_io){ .chan = chan, .done = done };
	list_init(&io->active);
	list_init(&io->waiting);
}

static void submit_change(struct fusefile_io *io, struct fusefile_slot *slot)
{
	bool must_wait = (io->nedged || has_edge(slot)) &&
			 (collides_with_any(slot, &io->active, &io->active) ||
			  collides_with_any(slot, &io->waiting, &io->waiting));

	io->nedged += has_edge(slot);
	if (must_wait)
		list_add_tail(&io->waiting, &slot->link);
	else
		start(slot);
}

void fusefile_io_submit(struct fusefile_io *io, struct fusefile_slot *slot)
{
	assert(slot->op == FUSEFILE_FLUSH || slot->len);
	slot->io = io;
	slot->bio.iov = &slot->iov;
	slot->bio.done = step_done;
	fusefile_plan_make(slot->off, slot->len, io->chan->bdev->lim.block_bytes, &slot->plan);
	io->nheld++;
	if (is_change(slot)) {
		submit_change(io, slot);
		return;
	}
	if (slot->op == FUSEFILE_READ)
		set_bio(slot, BIO_READ, slot->plan.off, slot->plan.end - slot->plan.off, slot->data);
	else
		set_bio(slot, BIO_FLUSH, 0, 0, NULL);
	bdev_submit(io->chan, &slot->bio);
}
