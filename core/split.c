/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O that the device cannot take as it is, carried out in pieces that it can.
 *
 *   whole ─► pieces: at most the device's bytes and iovs, within a boundary,        ─► flush, when
 * FUA has ─► done, once from the buffers themselves, or through a bounce buffer where they to be
 * made so are misaligned or too finely cut
 *
 * The state of a whole is in its drv[], which no driver sees. Pieces come from a pool; a whole that
 * finds none waits in split_waiting, first come first served, and goes on as pieces end: a whole
 * may be larger than the pool. No deadlock: who waits at the head waits for a piece or a bounce
 * buffer, and those that are taken are under way in the device.
 */
#include <assert.h>
#include <errno.h>

#include "core/bdev_priv.h"
#include "core/iosched.h"

/* Iovs of a piece. More would make the pool larger; a finer cut makes more pieces, or bounces. */
#define PIECE_IOVS 64

struct piece {
	struct bio bio;
	struct bio *whole;
	struct bdev_bounce *bounce; /* NULL: the whole's own buffers */
	struct bdev_cursor at;	    /* of its data in the whole's buffers */
	struct iovec iov[PIECE_IOVS];
};

struct whole {
	uint64_t pos;	       /* bytes that are on their way or done */
	struct bdev_cursor at; /* the same place in the buffers */
	uint64_t counted_until; /* up to then it is known how long it has waited */
	uint32_t npieces;      /* under way */
	int32_t err;	       /* of the first that failed */
	bool needs_flush;      /* and it has not been sent yet */
	bool is_waiting;       /* in split_waiting */
	bool is_bounced;
};
static_assert(sizeof(struct whole) <= sizeof(((struct bio *)NULL)->drv), "it lives there");

static struct whole *whole_of(struct bio *bio)
{
	return (struct whole *)bio->drv;
}

static bool bio_has_data(const struct bio *bio)
{
	return bio->op == BIO_READ || bio->op == BIO_WRITE;
}

static uint64_t bio_bytes_max(const struct bdev_limits *lim, const struct bio *bio)
{
	switch ((enum bio_op)bio->op) {
	case BIO_DISCARD:
		return lim->discard_max;
	case BIO_WRITE_ZEROES:
		return lim->zeroes_max;
	default:
		return lim->bytes_max;
	}
}

static bool bio_wants_flush(const struct bdev_chan *chan, const struct bio *bio)
{
	return chan->makes_fua && (bio->flags & BIO_FUA) &&
	       (bio->op == BIO_WRITE || bio->op == BIO_WRITE_ZEROES);
}

/* How far an I/O from @off on may go at most; whole blocks. */
static uint64_t split_reach(const struct bdev_chan *chan, const struct bio *bio, uint64_t off)
{
	const struct bdev_limits *lim = &chan->bdev->lim;
	uint64_t max = bio_bytes_max(lim, bio);

	if (lim->boundary_bytes && bio_has_data(bio))
		max = CC_MIN(max, lim->boundary_bytes - (off & (lim->boundary_bytes - 1)));
	return max;
}

int bdev_split_init(struct bdev_chan *chan)
{
	return slab_init(&chan->splits, BDEV_SPLITS, sizeof(struct piece));
}

void bdev_split_fini(struct bdev_chan *chan)
{
	slab_fini(&chan->splits);
}

bool bdev_split_is_needed(const struct bdev_chan *chan, const struct bio *bio)
{
	if (bio->op == BIO_FLUSH)
		return false;
	if (bio_wants_flush(chan, bio) || bio->len > split_reach(chan, bio, bio->off))
		return true;
	return bio_has_data(bio) &&
	       (bio->iovcnt > chan->iovs_max || bio_buf_bits(bio) & chan->align_mask ||
		bio_seam_bits(bio) & chan->seam_mask);
}

/* May @base follow the last iov of the piece? */
static bool piece_has_seam(const struct piece *p, unsigned n, const char *base, uint32_t seam_mask)
{
	const char *end;

	if (n == 0)
		return false;
	end = (const char *)p->iov[n - 1].iov_base + p->iov[n - 1].iov_len;
	return base != end && ((uintptr_t)base | (uintptr_t)end) & seam_mask;
}

/* Gathers up to @want bytes of the whole's own buffers. Returns the bytes, whole blocks; 0: it must
 * be bounced. */
static uint64_t piece_gather(struct piece *p, const struct bdev_chan *chan, uint64_t want)
{
	const struct bio *whole = p->whole;
	unsigned max = CC_MIN(chan->iovs_max, (uint32_t)PIECE_IOVS), n = 0;
	struct bdev_cursor at = p->at;
	uint64_t len = 0, excess;
	bool at_seam = false;

	while (len < want && n < max && at.idx < whole->iovcnt) {
		const struct iovec *iov = &whole->iov[at.idx];
		uint64_t take = CC_MIN(iov->iov_len - at.off, want - len);
		char *base = (char *)iov->iov_base + at.off;

		at_seam = piece_has_seam(p, n, base, chan->seam_mask);
		if (at_seam || ((uintptr_t)base | take) & chan->align_mask)
			break;
		p->iov[n++] = (struct iovec){ .iov_base = base, .iov_len = take };
		len += take;
		bdev_cursor_advance(&at, whole, take);
	}
	/* Many short pieces cost more than a copy. */
	if (at_seam && len <= chan->seam_mask)
		return 0;
	/* Back to a whole block. */
	for (excess = len & chan->block_mask; excess;) {
		uint64_t cut = CC_MIN(excess, (uint64_t)p->iov[n - 1].iov_len);

		p->iov[n - 1].iov_len -= cut;
		excess -= cut;
		len -= cut;
		if (p->iov[n - 1].iov_len == 0)
			n--;
	}
	p->bio.iov = p->iov;
	p->bio.iovcnt = (uint16_t)n;
	return len;
}

/* Through a bounce buffer. Returns the bytes; 0: no buffer is free. */
static uint64_t piece_bounce(struct piece *p, struct bdev_chan *chan, uint64_t want)
{
	uint64_t len = CC_MIN(want, (uint64_t)BDEV_BOUNCE_BYTES);

	p->bounce = bdev_bounce_get(chan);
	if (!p->bounce)
		return 0;
	p->iov[0] = (struct iovec){ .iov_base = bdev_bounce_va(chan, p->bounce), .iov_len = len };
	p->bio.iov = p->iov;
	p->bio.iovcnt = 1;
	if (p->bio.op == BIO_WRITE)
		bdev_bounce_fill(p->iov[0].iov_base, p->whole, p->at, len);
	chan->stats->bounced_bytes += len;
	if (!whole_of(p->whole)->is_bounced)
		chan->stats->bounces++;
	whole_of(p->whole)->is_bounced = true;
	return len;
}

static struct piece *piece_get(struct bdev_chan *chan, struct bio *whole, enum bio_op op)
{
	struct piece *p = slab_get(&chan->splits);

	if (!p)
		return NULL;
	p->whole = whole;
	p->bounce = NULL;
	p->bio = (struct bio){
		.op = (uint8_t)op,
		.flags = (whole->flags & (chan->makes_fua ? BIO_NOUNMAP : BIO_WISHES)) | BIO_PIECE,
		.off = whole->off + whole_of(whole)->pos,
		.done = bdev_piece_done,
		.chan = chan,
		.submit_ticks = chan->reactor->now_ticks, /* for bdev_waited() */
	};
	return p;
}

static void piece_send(struct bdev_chan *chan, struct piece *p)
{
	whole_of(p->whole)->npieces++;
	iosched_admit(chan, &p->bio);
}

/* The next piece of data is on its way, or false: it has to wait. */
static bool split_send_data(struct bdev_chan *chan, struct bio *bio)
{
	struct whole *w = whole_of(bio);
	struct piece *p = piece_get(chan, bio, (enum bio_op)bio->op);
	uint64_t len;

	if (!p)
		return false;
	len = CC_MIN(bio->len - w->pos, split_reach(chan, bio, p->bio.off));
	if (bio_has_data(bio)) {
		uint64_t want = len;

		p->at = w->at;
		len = piece_gather(p, chan, want);
		if (len == 0)
			len = piece_bounce(p, chan, want);
		if (len == 0) {
			slab_put(&chan->splits, p);
			return false;
		}
		bdev_cursor_advance(&w->at, bio, len);
	}
	assert(len > 0 && (len & chan->block_mask) == 0);
	if (w->pos == 0 && len < bio->len)
		chan->stats->splits++;
	p->bio.len = len;
	w->pos += len;
	piece_send(chan, p);
	return true;
}

/* Send what can be sent now. False: the rest has to wait for pieces or bounce buffers. */
static bool split_advance(struct bdev_chan *chan, struct bio *bio)
{
	struct whole *w = whole_of(bio);
	struct piece *p;

	while (w->pos < bio->len && w->err == 0)
		if (!split_send_data(chan, bio))
			return false;
	/* The flush covers what is done, so it comes after the last piece. */
	if (!w->needs_flush || w->npieces > 0 || w->err != 0)
		return true;
	p = piece_get(chan, bio, BIO_FLUSH);
	if (!p)
		return false;
	p->bio.off = 0;
	w->needs_flush = false;
	piece_send(chan, p);
	return true;
}

/* @bio, or a part of it, has waited from @from_ticks until now. Times that overlap count once. */
static void whole_waited(struct bio *bio, uint64_t from_ticks)
{
	struct whole *w = whole_of(bio);
	uint64_t now = bio->chan->reactor->now_ticks, from = CC_MAX(from_ticks, w->counted_until);

	w->counted_until = now;
	if (now > from)
		bdev_wait_set(bio, bdev_wait_get(bio) + now - from);
}

void bdev_piece_waited(const struct bio *bio)
{
	whole_waited(container_of(bio, struct piece, bio)->whole, bio->submit_ticks);
}

/* None of its pieces waits now: they were all sent in this very turn, or are done. */
static void split_wait(struct bdev_chan *chan, struct bio *bio)
{
	whole_of(bio)->counted_until = chan->reactor->now_ticks;
	whole_of(bio)->is_waiting = true;
	bio_queue_push(&chan->split_waiting, bio);
}

/* Those who wait go on, oldest first, as far as the pools reach. */
static void split_wake(struct bdev_chan *chan)
{
	struct bio *bio;

	while ((bio = chan->split_waiting.first) != NULL) {
		struct whole *w = whole_of(bio);

		if (!split_advance(chan, bio))
			return;
		(void)bio_queue_pop(&chan->split_waiting);
		w->is_waiting = false;
		whole_waited(bio, w->counted_until);
		if (w->npieces == 0) /* it failed while it waited */
			bdev_finish(bio, w->err);
	}
}

void bdev_split_submit(struct bdev_chan *chan, struct bio *bio)
{
	*whole_of(bio) = (struct whole){ .needs_flush = bio_wants_flush(chan, bio) };
	if (bio_has_data(bio)) /* past empty iovs */
		bdev_cursor_advance(&whole_of(bio)->at, bio, 0);
	if (chan->split_waiting.first || !split_advance(chan, bio))
		split_wait(chan, bio);
}

void bdev_piece_done(struct bio *bio)
{
	struct piece *p = container_of(bio, struct piece, bio);
	struct bdev_chan *chan = bio->chan;
	struct bio *whole = p->whole;
	struct whole *w = whole_of(whole);
	bool was_waiting;

	if (p->bounce) {
		if (bio->op == BIO_READ && bio->status == 0)
			bdev_bounce_drain(p->iov[0].iov_base, whole, p->at, bio->len);
		bdev_bounce_put(chan, p->bounce);
	}
	if (bio->status < 0 && w->err == 0) {
		w->err = bio->status;
		whole->flags |= bio->flags & BIO_PATH_FAILED;
	}
	slab_put(&chan->splits, p);
	assert(w->npieces > 0);
	w->npieces--;
	was_waiting = w->is_waiting;

	split_wake(chan);
	/* One that waited went on, or ended, or still waits: that was split_wake()'s, and it may be
	 * gone. */
	if (was_waiting || w->npieces > 0)
		return;
	if (w->needs_flush && w->err == 0) {
		if (chan->split_waiting.first || !split_advance(chan, whole))
			split_wait(chan, whole);
		return;
	}
	bdev_finish(whole, w->err);
}

const struct bio *bdev_submitted(const struct bio *bio)
{
	return bio->flags & BIO_PIECE ? container_of(bio, struct piece, bio)->whole : bio;
}

/* Its pieces that wait are the scheduler's business; those in the driver end it. */
void bdev_split_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg)
{
	struct bio *bio = bio_queue_take_all(&chan->split_waiting), *next;

	for (; bio; bio = next) {
		struct whole *w = whole_of(bio);

		next = bio->next;
		if (!match(bio, arg)) {
			bio_queue_push(&chan->split_waiting, bio);
			continue;
		}
		w->is_waiting = false;
		if (w->err == 0)
			w->err = -ECANCELED;
		if (w->npieces == 0)
			bdev_answer_later(bio, w->err);
	}
}
