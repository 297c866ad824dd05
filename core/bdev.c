/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device on the control thread: limits, resize, statistics, closing. */
#include "core/bdev.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bdev_priv.h"
#include "core/iosched.h"
#include "core/numa.h"
#include "core/qos_guard.h"
#include "core/qos_priv.h"
#include "core/worker.h"

/* Boundaries and alignments are used as masks; a split must be able to make progress block by
 * block. */
static bool bdev_limits_are_sane(const struct bdev_limits *l)
{
	return CC_IS_POW2(l->block_bytes) && l->block_bytes >= 512 &&
	       l->block_bytes <= BDEV_BLOCK_MAX && CC_IS_POW2(l->phys_bytes) &&
	       l->phys_bytes >= l->block_bytes && CC_IS_POW2(l->buf_align) &&
	       l->buf_align <= l->block_bytes && l->depth >= 1 && l->depth <= BDEV_DEPTH_MAX &&
	       l->iovs_max >= 1 && l->iovs_max <= BDEV_IOVS_MAX && l->bytes_max >= l->block_bytes &&
	       (l->seam_bytes == 0 || CC_IS_POW2(l->seam_bytes)) &&
	       (l->boundary_bytes == 0 ||
		(CC_IS_POW2(l->boundary_bytes) && l->boundary_bytes >= l->block_bytes)) &&
	       (l->discard_max == 0 || l->discard_max >= l->block_bytes) &&
	       (l->zeroes_max == 0 || l->zeroes_max >= l->block_bytes);
}

static void bdev_limits_fill(struct bdev_limits *l)
{
	uint64_t mask;

	if (l->block_bytes == 0)
		l->block_bytes = 512;
	if (l->phys_bytes == 0)
		l->phys_bytes = l->block_bytes;
	if (l->buf_align == 0)
		l->buf_align = 1;
	if (l->depth == 0)
		l->depth = BDEV_DEPTH_MAX;
	if (l->iovs_max == 0)
		l->iovs_max = BDEV_IOVS_MAX;
	if (l->bytes_max == 0)
		l->bytes_max = UINT64_MAX;
	/* Whole blocks, so that a piece of the largest size ends at one. */
	mask = ~((uint64_t)l->block_bytes - 1);
	l->bytes_max &= mask;
	l->discard_max &= mask;
	l->zeroes_max &= mask;
}

int bdev_init(struct bdev *bdev, const struct bdev_ops *ops, uint64_t bytes,
	      const struct bdev_limits *lim)
{
	struct bdev_limits l = *lim;

	assert(ops->submit && ops->close);
	bdev_limits_fill(&l);
	if (!bdev_limits_are_sane(&l) || bytes % l.block_bytes != 0)
		return -EINVAL;
	bdev->ops = ops;
	bdev->lim = l;
	bdev->bytes = bytes;
	if (bdev->id[0] == '\0')
		memcpy(bdev->id, bdev->name, strnlen(bdev->name, sizeof(bdev->id) - 1));
	list_init(&bdev->chans);
	list_init(&bdev->listeners);
	list_init(&bdev->leaving);
	list_init(&bdev->freezers);
	bdev->qos = NULL;
	bdev->depth = 0;
	memset(bdev->patience_ns, 0, sizeof(bdev->patience_ns));
	bdev->path_timeout_ns = BDEV_PATH_TIMEOUT_NS;
	bdev->nfreezes = 0;
	bdev->freeze = 0;
	bdev->ndrains = 0;
	bdev->users = 0;
	bdev->lower = NULL;
	bdev->close_blocks = false;
	bdev->guard = NULL;
	bdev->numa_node = NUMA_NODE_NONE;
	bdev->merges = false;
	bdev->gone = NULL;
	bdev->nleaving = 0;
	bdev->closing = false;
	bdev->resizing = false;
	return 0;
}

/* What is left to do when the driver has closed and the bdev is no more. */
struct bdev_end {
	struct worker worker;
	struct bdev *bdev, *lower;
	void (*done)(void *arg);
	void *arg;
};

static void bdev_ended(const struct bdev_end *end)
{
	if (end->lower)
		bdev_close(end->lower, end->done, end->arg);
	else if (end->done)
		end->done(end->arg);
}

static int bdev_end_work(struct worker *w)
{
	struct bdev *bdev = container_of(w, struct bdev_end, worker)->bdev;

	bdev->ops->close(bdev);
	return 0;
}

static void bdev_end_done(struct worker *w, int result)
{
	struct bdev_end *end = container_of(w, struct bdev_end, worker);

	(void)result;
	bdev_ended(end);
	free(end);
}

void bdev_maybe_closed(struct bdev *bdev)
{
	struct bdev_end end = {
		.bdev = bdev,
		.lower = bdev->lower,
		.done = bdev->close_done,
		.arg = bdev->close_arg,
	};
	struct bdev_end *blocking;

	if (!bdev->closing || bdev->nleaving > 0 || !list_is_empty(&bdev->chans))
		return;
	free(bdev->gone);
	bdev->gone = NULL;
	qos_close(bdev);
	blocking = bdev->close_blocks ? malloc(sizeof(*blocking)) : NULL;
	if (blocking) {
		*blocking = end;
		if (!worker_start(&blocking->worker, bdev_end_work, bdev_end_done))
			return;
		free(blocking);
	}
	/* out of memory or threads: then the control thread waits */
	bdev->ops->close(bdev);
	bdev_ended(&end);
}

void bdev_drain_begin(struct bdev *bdev)
{
	struct list *pos;

	for (; bdev; bdev = bdev->lower) {
		__atomic_store_n(&bdev->ndrains, bdev->ndrains + 1, __ATOMIC_RELAXED);
		list_for_each (pos, &bdev->chans)
			iosched_release(list_entry(pos, struct bdev_chan, link));
		if (bdev->ops->drain)
			bdev->ops->drain(bdev);
	}
}

void bdev_drain_end(struct bdev *bdev)
{
	for (; bdev; bdev = bdev->lower) {
		assert(bdev->ndrains > 0);
		__atomic_store_n(&bdev->ndrains, bdev->ndrains - 1, __ATOMIC_RELAXED);
	}
}

static void bdev_close_begin(struct reactor_msg *msg)
{
	struct bdev *bdev = container_of(msg, struct bdev, close_msg);

	qos_guard_detach(bdev);
	bdev_drain_begin(bdev);
	bdev->nleaving--;
	bdev_maybe_closed(bdev);
}

void bdev_close(struct bdev *bdev, void (*done)(void *arg), void *arg)
{
	assert(!bdev->closing && bdev->control);
	bdev->closing = true;
	bdev->close_done = done;
	bdev->close_arg = arg;
	bdev->nleaving++; /* this message; done never comes from inside this call */
	reactor_send(bdev->control, &bdev->close_msg, bdev_close_begin);
}

struct bdev_resize {
	struct worker worker;
	struct bdev *bdev;
	uint64_t bytes, ret_bytes;
	bool is_second; /* another one is under way */
	bdev_resize_fn done;
	void *arg;
	struct errbuf eb;
};

static int bdev_resize_work(struct worker *w)
{
	struct bdev_resize *rs = container_of(w, struct bdev_resize, worker);
	const struct bdev *bdev = rs->bdev;
	int err;

	if (rs->is_second)
		return errbuf_set(&rs->eb, -EBUSY, "%s is being resized already", bdev->name);
	if (!bdev->ops->resize)
		return errbuf_set(&rs->eb, -EOPNOTSUPP, "%s cannot change its size", bdev->name);
	err = bdev->ops->resize(rs->bdev, rs->bytes, &rs->ret_bytes, &rs->eb);
	if (err < 0)
		return err;
	if (rs->ret_bytes % bdev->lim.block_bytes != 0)
		return errbuf_set(&rs->eb, -EINVAL,
				  "%s: %llu bytes are no whole number of %u-byte blocks",
				  bdev->name, (unsigned long long)rs->ret_bytes,
				  bdev->lim.block_bytes);
	return 0;
}

static void bdev_resize_done(struct worker *w, int err)
{
	struct bdev_resize *rs = container_of(w, struct bdev_resize, worker);
	struct bdev *bdev = rs->bdev;
	struct list *pos, *tmp;

	if (!rs->is_second)
		bdev->resizing = false;
	if (!err && rs->ret_bytes != bdev->bytes) {
		__atomic_store_n(&bdev->bytes, rs->ret_bytes, __ATOMIC_RELAXED);
		list_for_each_safe (pos, tmp, &bdev->listeners) {
			struct bdev_listener *l = list_entry(pos, struct bdev_listener, link);

			l->resized(l);
		}
	}
	rs->done(rs->arg, err, err ? rs->eb.text : NULL);
	free(rs);
	bdev->nleaving--;
	bdev_maybe_closed(bdev);
}

void bdev_resize(struct bdev *bdev, uint64_t bytes, bdev_resize_fn done, void *arg)
{
	struct bdev_resize *rs = calloc(1, sizeof(*rs));
	int err = rs ? 0 : -ENOMEM;

	assert(done && !bdev->closing);
	if (rs) {
		*rs = (struct bdev_resize){
			.bdev = bdev, .bytes = bytes, .done = done, .arg = arg
		};
		rs->is_second = bdev->resizing;
		err = worker_start(&rs->worker, bdev_resize_work, bdev_resize_done);
	}
	if (err) {
		/* Out of memory or threads: the one case that answers from inside the call. */
		free(rs);
		done(arg, err, "no memory or no thread for it");
		return;
	}
	bdev->resizing = true;
	bdev->nleaving++; /* the device stays until the answer is there */
}

void bdev_listener_add(struct bdev *bdev, struct bdev_listener *l, bdev_event_fn resized)
{
	l->resized = resized;
	list_add_tail(&bdev->listeners, &l->link);
}

void bdev_listener_del(struct bdev_listener *l)
{
	list_del(&l->link);
}

void bdev_for_each_stats(const struct bdev *bdev,
			 void (*fn)(void *arg, const struct bdev_chan_stats *st), void *arg)
{
	const struct list *lists[] = { &bdev->chans, &bdev->leaving }, *pos;

	if (bdev->gone)
		fn(arg, bdev->gone);
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each (pos, lists[i])
			fn(arg, list_entry(pos, struct bdev_chan, link)->stats);
}

static void stats_add(void *arg, const struct bdev_chan_stats *st)
{
	bdev_stats_merge(arg, st);
}

void bdev_get_stats(const struct bdev *bdev, struct bdev_chan_stats *ret)
{
	memset(ret, 0, sizeof(*ret));
	bdev_for_each_stats(bdev, stats_add, ret);
}
