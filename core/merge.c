/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours of one batch as one I/O of the device.
 *
 *   batch  R 0+4K  R 4K+4K  R 8K+4K  W 64K+4K ─► R 0+12K  W 64K+4K ─► driver
 *   each of the three is counted and done by itself ◄──────┴── ok; failed: each once more, alone
 *
 * Looked at are those that follow each other in the batch: of that order are the requests of a guest that reads or
 * writes one place after the other. While the driver holds one of several, the channel's count of I/Os in flight is
 * that of its parts, so that each finds room when it has to go alone.
 */
#include <assert.h>

#include "core/bdev_priv.h"

/* Iovs of a merged I/O: of 4 KiB each they are 256 KiB, from where on a device gains nothing by larger ones. */
#define MERGE_IOVS 64

struct merged {
	struct bio bio;
	struct bio *first, *last; /* its parts, by next */
	uint64_t bytes_max;
	struct iovec iov[MERGE_IOVS];
};

static struct merged *merged_of(const struct bio *bio)
{
	assert(bio->flags & BIO_MERGED);
	return container_of(bio, struct merged, bio);
}

int bdev_merge_init(struct bdev_chan *chan)
{
	return chan->bdev->merges ? slab_init(&chan->merges, BDEV_MERGES, sizeof(struct merged)) : 0;
}

void bdev_merge_fini(struct bdev_chan *chan)
{
	slab_fini(&chan->merges);
}

static uint32_t merge_iovs_max(const struct bdev_chan *chan)
{
	return CC_MIN(chan->iovs_max, (uint32_t)MERGE_IOVS);
}

/* Does @b go on where @a ends, with all else alike? */
static bool bio_precedes(const struct bio *a, const struct bio *b)
{
	return b && a->off + a->len == b->off && a->op == b->op && a->flags == b->flags &&
	       (a->op == BIO_READ || a->op == BIO_WRITE);
}

/* @first alone so far; it fits. */
static void merged_begin(struct merged *m, struct bdev_chan *chan, struct bio *first)
{
	uint32_t boundary = chan->bdev->lim.boundary_bytes;

	m->first = first;
	m->last = first;
	m->bytes_max = chan->bytes_max;
	if (boundary)
		m->bytes_max = CC_MIN(m->bytes_max, boundary - (first->off & (boundary - 1)));
	for (unsigned i = 0; i < first->iovcnt; i++)
		m->iov[i] = first->iov[i];
	m->bio = (struct bio){
		.op = first->op,
		.flags = (first->flags & BIO_WISHES) | BIO_MERGED,
		.iovcnt = first->iovcnt,
		.iov = m->iov,
		.off = first->off,
		.len = first->len,
		.chan = chan,
		.submit_ticks = first->submit_ticks,
	};
}

/* @bio as the next part. false: the device would not take it as it is then. */
static bool merged_append(struct merged *m, const struct bdev_chan *chan, struct bio *bio)
{
	struct iovec *last = &m->iov[m->bio.iovcnt - 1];
	const struct iovec *from = bio->iov;
	uintptr_t end = (uintptr_t)last->iov_base + last->iov_len, start = (uintptr_t)from->iov_base;
	bool touches = start == end;

	if (m->bio.len + bio->len > m->bytes_max || (!touches && (start | end) & chan->seam_mask) ||
	    (uint32_t)m->bio.iovcnt + bio->iovcnt - touches > merge_iovs_max(chan))
		return false;
	if (touches)
		last->iov_len += from->iov_len;
	for (unsigned i = touches; i < bio->iovcnt; i++)
		*++last = from[i];
	m->bio.iovcnt = (uint16_t)(last - m->iov + 1);
	m->bio.len += bio->len;
	m->last = bio;
	return true;
}

/* What goes to the driver for @first, and in *ret_next what is left of the batch behind it. */
static struct bio *merge_from(struct bdev_chan *chan, struct bio *first, struct bio **ret_next)
{
	struct bio *next = first->next;
	struct merged *m;

	*ret_next = next;
	if (!bio_precedes(first, next) || first->iovcnt > merge_iovs_max(chan))
		return first;
	m = slab_get(&chan->merges);
	if (!m)
		return first;
	merged_begin(m, chan, first);
	for (; bio_precedes(m->last, next) && merged_append(m, chan, next); next = next->next)
		chan->stats->merged++;
	if (m->last == first) {
		slab_put(&chan->merges, m);
		return first;
	}
	m->last->next = NULL;
	*ret_next = next;
	return &m->bio;
}

void bdev_merge_submit_batch(struct bdev_chan *chan, struct bio_queue *bios)
{
	const struct bdev_ops *ops = chan->bdev->ops;
	struct bio *next = bio_queue_take_all(bios), *bio;

	while ((bio = next) != NULL)
		bio_queue_push(bios, merge_from(chan, bio, &next));
	if (ops->submit_batch) {
		ops->submit_batch(chan, bios);
		return;
	}
	while ((bio = bio_queue_pop(bios)) != NULL)
		ops->submit(chan, bio);
}

/* Each waits for the way by itself. */
static struct bio *parts_on_the_way(struct bio *first, int status)
{
	for (struct bio *part = first; part; part = part->next) {
		part->status = status;
		part->flags |= BIO_PATH_FAILED;
	}
	return first;
}

struct bio *bdev_merge_take(struct bdev_chan *chan, struct bio *bio)
{
	struct merged *m = merged_of(bio);
	struct bio *part = m->first, *next;
	bool is_path = bio->flags & BIO_PATH_FAILED;
	int status = bio->status;

	slab_put(&chan->merges, m);
	if (cc_likely(status >= 0))
		return part;
	if (is_path)
		return parts_on_the_way(part, status);
	/* One bad block is not its neighbours' fault. */
	for (; part; part = next) {
		next = part->next;
		chan->bdev->ops->submit(chan, part);
	}
	return NULL;
}

bool bdev_merge_has(const struct bio *bio, const struct bio *part)
{
	if (!(bio->flags & BIO_MERGED))
		return false;
	for (const struct bio *b = merged_of(bio)->first; b; b = b->next) {
		if (b == part)
			return true;
	}
	return false;
}
