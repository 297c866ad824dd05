/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a channel.
 *
 *   control: bdev_chan_get ─► chan_create ─msg─► reactor: chan_start   … I/O …
 *   control: last bdev_chan_put ──────────msg─► reactor: chan_stop ─msg─► control: chan_destroy,
 * statistics kept
 */
#include "core/bdev_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/linemem.h"
#include "core/iosched.h"
#include "core/qos_guard.h"
#include "core/qos_priv.h"

cc_looks_on void bdev_stats_merge(struct bdev_chan_stats *dst, const struct bdev_chan_stats *src)
{
	for (unsigned i = 0; i < BDEV_STAT_COUNT; i++) {
		dst->op[i].ios += src->op[i].ios;
		dst->op[i].bytes += src->op[i].bytes;
		dst->op[i].errors += src->op[i].errors;
		hist_merge(&dst->op[i].latency, &src->op[i].latency);
		bdev_wait_merge(&dst->waited[i], &src->waited[i]);
		for (unsigned how = 0; how < BDEV_NOTIFY_COUNT; how++)
			hist_merge(&dst->notify[how][i], &src->notify[how][i]);
	}
	dst->splits += src->splits;
	dst->bounces += src->bounces;
	dst->queued += src->queued;
	dst->bounced_bytes += src->bounced_bytes;
	dst->fixed += src->fixed;
	dst->merged += src->merged;
	dst->requeued += src->requeued;
}

/* The limits as the submit path wants them. */
static void bdev_chan_set_limits(struct bdev_chan *chan)
{
	const struct bdev_limits *lim = &chan->bdev->lim;

	chan->to_driver = chan->bdev->ops->submit;
	chan->to_driver_batch = chan->bdev->ops->submit_batch;
	if (!chan->to_driver_batch)
		chan->to_driver_batch = bdev_submit_each;
	if (chan->bdev->merges)
		chan->to_driver_batch = bdev_merge_submit_batch;
	iosched_set_gate(chan, false);
	chan->bytes_max = lim->bytes_max;
	chan->depth = lim->depth;
	chan->align_mask = lim->buf_align - 1;
	chan->block_mask = lim->block_bytes - 1;
	chan->iovs_max = lim->iovs_max;
	chan->seam_mask = lim->seam_bytes ? lim->seam_bytes - 1 : 0;
	/* Without a volatile cache every write is durable when done. */
	chan->makes_fua = lim->has_flush && !lim->has_fua;
	chan->slow = BDEV_KIND(BIO_FLUSH, 0) | BDEV_KIND(BIO_DISCARD, 0) |
		     BDEV_KIND(BIO_WRITE_ZEROES, 0);
	if (lim->read_only)
		chan->slow |= BDEV_KIND(BIO_WRITE, 0);
	if (lim->boundary_bytes)
		chan->slow |= BDEV_KIND(BIO_READ, 0) | BDEV_KIND(BIO_WRITE, 0);
	if (chan->makes_fua)
		chan->slow |= (uint32_t)BIO_FUA << 8;
}

static void bdev_chan_destroy(struct bdev_chan *chan)
{
	if (!chan)
		return;
	bdev_merge_fini(chan);
	bdev_split_fini(chan);
	bdev_bounce_fini(chan);
	iosched_fini(chan);
	free(chan->stats);
	free(chan);
}

static int bdev_chan_create(struct bdev *bdev, struct reactor *r, struct bdev_chan **ret_chan)
{
	struct bdev_chan *chan;
	int err;

	chan = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(sizeof(*chan), CACHELINE_BYTES));
	if (!chan)
		return -ENOMEM;
	memset(chan, 0, sizeof(*chan));
	chan->bdev = bdev;
	chan->reactor = r;
	chan->refs = 1;
	chan->bounce_mem.fd = -1;
	list_init(&chan->link);
	bio_queue_init(&chan->later);
	bio_queue_init(&chan->answered);
	bio_queue_init(&chan->split_waiting);
	bdev_chan_set_limits(chan);
	chan->stats = linemem_calloc(1, sizeof(*chan->stats));
	err = chan->stats ? 0 : -ENOMEM;
	if (!err)
		err = iosched_init(chan);
	if (!err)
		err = bdev_bounce_init(chan);
	if (!err)
		err = bdev_split_init(chan);
	if (!err)
		err = bdev_merge_init(chan);
	if (!err)
		err = qos_chan_prepare(chan);
	if (!err && bdev->ops->chan_create)
		err = bdev->ops->chan_create(bdev, chan);
	if (err) {
		bdev_chan_destroy(chan);
		return err;
	}
	*ret_chan = chan;
	return 0;
}

static void bdev_chan_start(struct reactor_msg *msg)
{
	struct bdev_chan *chan = container_of(msg, struct bdev_chan, start_msg);

	poller_attach(chan->reactor, &chan->later_poller, &bdev_later_ops, -1);
	if (chan->bdev->ops->chan_start)
		chan->bdev->ops->chan_start(chan);
}

/* Back on the control thread; nothing of the channel is on its reactor any more. */
static void bdev_chan_release(struct reactor_msg *msg)
{
	struct bdev_chan *chan = container_of(msg, struct bdev_chan, stop_msg);
	struct bdev *bdev = chan->bdev;

	list_del(&chan->link);
	if (bdev->ops->chan_destroy)
		bdev->ops->chan_destroy(bdev, chan);
	if (bdev->gone) {
		bdev_stats_merge(bdev->gone, chan->stats);
	} else {
		bdev->gone = chan->stats;
		chan->stats = NULL;
	}
	bdev_chan_destroy(chan);
	assert(bdev->nleaving > 0);
	bdev->nleaving--;
	bdev_maybe_closed(bdev);
}

static void bdev_chan_stop(struct reactor_msg *msg)
{
	struct bdev_chan *chan = container_of(msg, struct bdev_chan, stop_msg);

	assert(chan->inflight == 0);
	assert(!chan->later.first && !chan->answered.first && !chan->split_waiting.first);
	iosched_stop(chan);
	if (chan->bdev->ops->chan_stop)
		chan->bdev->ops->chan_stop(chan);
	poller_detach(&chan->later_poller);
	reactor_send(chan->bdev->control, &chan->stop_msg, bdev_chan_release);
}

int bdev_chan_get(struct bdev *bdev, struct reactor *r, struct bdev_chan **ret_chan)
{
	struct bdev_chan *chan;
	struct list *pos;
	int err;

	assert(bdev->control && !bdev->closing);
	list_for_each (pos, &bdev->chans) {
		chan = list_entry(pos, struct bdev_chan, link);
		if (chan->reactor != r)
			continue;
		chan->refs++;
		*ret_chan = chan;
		return 0;
	}
	err = qos_guard_attach(bdev);
	if (!err)
		err = bdev_chan_create(bdev, r, &chan);
	if (err)
		return err;
	list_add_tail(&bdev->chans, &chan->link);
	reactor_send(r, &chan->start_msg, bdev_chan_start);
	qos_chan_join(chan);
	iosched_tell(chan);
	*ret_chan = chan;
	return 0;
}

void bdev_chan_put(struct bdev_chan *chan)
{
	assert(chan->refs > 0);
	if (--chan->refs > 0)
		return;
	list_del(&chan->link);
	list_add_tail(&chan->bdev->leaving, &chan->link);
	chan->bdev->nleaving++;
	iosched_leave(chan);
	bdev_freeze_check(chan->bdev);
	reactor_send(chan->reactor, &chan->stop_msg, bdev_chan_stop);
}

static bool ends_here(const struct bio_queue *q, const struct bio *bio)
{
	for (const struct bio *b = q->first; b; b = b->next) {
		if (b == bio || bdev_merge_has(b, bio))
			return true;
	}
	return false;
}

enum bdev_holder bdev_chan_holder(const struct bdev_chan *chan, const struct bio *bio)
{
	if (iosched_holds(chan, bio))
		return BDEV_HOLDER_SCHED;
	if (ends_here(&chan->later, bio) || ends_here(&chan->answered, bio))
		return BDEV_HOLDER_CORE;
	return bdev_split_is_needed(chan, bio) ? BDEV_HOLDER_SPLIT : BDEV_HOLDER_DRIVER;
}
