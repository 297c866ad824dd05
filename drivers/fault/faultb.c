/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault device: each I/O becomes a child on the lower channel of the same reactor.
 *
 *   submit ─► decide ─┬─ delay ─► delayed (sorted by due_ns, one deadline) ─┐
 *                     └─────────────────────────────────────────────────────┴─► act ─┬─► child on
 * lower ─► done ├─► done with an error └─► dropped ─ new rules, drain ─► EIO
 *
 * A rule table never changes once it is published, save its counters. Device and channels hold
 * references to it, counted on the control thread; a channel changes over by a message that brings
 * the old one back.
 */
#include "drivers/fault/faultb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/linemem.h"
#include "core/base/list.h"
#include "core/base/slab.h"
#include "core/deadline.h"
#include "drivers/fault/faultb_rules_priv.h"

struct faultb {
	struct bdev bdev; /* on top of bdev.lower */
	struct faultb_rules *rules; /* control thread */
};

struct faultb_chan {
	struct bdev_chan *chan, *lower;
	struct faultb_rules *rules;
	struct slab reqs;
	struct list delayed, dropped;
	struct deadline timer; /* of the first in delayed */
	struct reactor_msg drain_msg;
	bool drain_sent; /* atomic: the message is on its way */
};

/* One I/O under way. Lives in the channel's slab from submit to done. */
struct faultb_req {
	struct bio child;
	struct bio *parent;
	struct faultb_chan *fc;
	struct faultb_effect effect;
	struct list link; /* delayed or dropped */
	uint64_t due_ns;
	struct iovec *cut; /* torn write: the iov that was shortened, to be mended; NULL: none */
	size_t cut_len;
};

/* One channel changes over from one table to the next. */
struct faultb_swap {
	struct reactor_msg msg;
	struct faultb_swap *next;
	struct faultb_chan *fc;
	struct reactor *control;
	struct faultb_rules *rules; /* there: the new table; back: the old one */
};

static void rules_put(struct faultb_rules *rules)
{
	if (rules && --rules->refs == 0)
		free(rules);
}

/* The end of a request that did not go down, or came back. */
static void req_finish(struct faultb_req *req, int status)
{
	struct bio *parent = req->parent;

	slab_put(&req->fc->reqs, req);
	bdev_complete(parent, status);
}

static void req_finish_later(struct faultb_req *req, int status)
{
	struct bio *parent = req->parent;

	slab_put(&req->fc->reqs, req);
	bdev_complete_later(parent, status);
}

/* Whoever has the disk decides for how long it is tried: this one is the fault device's, or the lower one's. */
static void req_fail_path(struct faultb_req *req, int status)
{
	struct bio *parent = req->parent;

	slab_put(&req->fc->reqs, req);
	bdev_path_failed(parent, status);
}

static void child_done(struct bio *child)
{
	struct faultb_req *req = container_of(child, struct faultb_req, child);
	int status = child->status;

	if (req->cut)
		req->cut->iov_len = req->cut_len;
	if (!status && req->effect.end == FAULTB_TORN)
		status = req->effect.error;
	if (child->flags & BIO_PATH_FAILED)
		req_fail_path(req, status);
	else
		req_finish(req, status);
}

static void req_pass(struct faultb_req *req)
{
	const struct bio *parent = req->parent;
	struct bio *child = &req->child;

	child->op = parent->op;
	child->flags = parent->flags & BIO_WISHES;
	child->iovcnt = parent->iovcnt;
	child->iov = parent->iov;
	child->off = parent->off;
	child->len = parent->len;
	child->done = child_done;
	bdev_submit(req->fc->lower, child);
}

/*
 * Only the first part goes down. The iov is shortened in place and mended when the child is back:
 * it is the submitter's, but lent until done.
 */
static void req_tear(struct faultb_req *req)
{
	struct bio *parent = req->parent;
	const struct bdev_limits *lim = &req->fc->chan->bdev->lim;
	uint64_t keep = CC_ALIGN_DOWN(CC_MIN(req->effect.torn_bytes, parent->len),
				      (uint64_t)CC_MAX(lim->block_bytes, lim->buf_align));
	uint64_t left = keep;
	unsigned i = 0;

	if (!keep) {
		req_finish_later(req, req->effect.error);
		return;
	}
	while (left > parent->iov[i].iov_len)
		left -= parent->iov[i++].iov_len;
	req->cut = &parent->iov[i];
	req->cut_len = req->cut->iov_len;
	req->cut->iov_len = left;
	req->child.op = parent->op;
	req->child.flags = parent->flags & BIO_WISHES;
	req->child.iovcnt = (uint16_t)(i + 1);
	req->child.iov = parent->iov;
	req->child.off = parent->off;
	req->child.len = keep;
	req->child.done = child_done;
	bdev_submit(req->fc->lower, &req->child);
}

static void req_drop(struct faultb_req *req)
{
	if (bdev_is_draining(req->fc->chan->bdev))
		req_finish_later(req, -EIO);
	else
		list_add_tail(&req->fc->dropped, &req->link);
}

/* The delay, if any, is over. */
static void req_act(struct faultb_req *req)
{
	switch (req->effect.end) {
	case FAULTB_PASS:
		req_pass(req);
		break;
	case FAULTB_ERROR:
		req_finish_later(req, req->effect.error);
		break;
	case FAULTB_PATH:
		req_fail_path(req, req->effect.error);
		break;
	case FAULTB_DROP:
		req_drop(req);
		break;
	case FAULTB_TORN:
		req_tear(req);
		break;
	}
}

static struct faultb_req *first_delayed(const struct faultb_chan *fc)
{
	return list_is_empty(&fc->delayed) ? NULL
					   : list_entry(fc->delayed.next, struct faultb_req, link);
}

/* Some are due: let them go, wait for the next. */
static void delay_over(struct deadline *timer)
{
	struct faultb_chan *fc = container_of(timer, struct faultb_chan, timer);
	struct faultb_req *req;
	uint64_t now = mono_ns();

	while ((req = first_delayed(fc)) && req->due_ns <= now) {
		list_del(&req->link);
		req_act(req);
	}
	if (req)
		deadline_arm(fc->chan->reactor, timer, req->due_ns);
}

/* Sorted from the end: equal delays, the usual case, cost one comparison. */
static void req_delay(struct faultb_req *req)
{
	struct faultb_chan *fc = req->fc;
	struct list *pos = fc->delayed.prev;

	req->due_ns = mono_ns() + req->effect.delay_ns;
	while (pos != &fc->delayed &&
	       list_entry(pos, struct faultb_req, link)->due_ns > req->due_ns)
		pos = pos->prev;
	list_add_head(pos, &req->link);
	if (first_delayed(fc) == req)
		deadline_arm(fc->chan->reactor, &fc->timer, req->due_ns);
}

static void faultb_submit(struct bdev_chan *chan, struct bio *bio)
{
	static const struct faultb_effect none = { .end = FAULTB_PASS };
	struct faultb_chan *fc = chan->drv;
	const struct faultb_effect *effect = faultb_rules_decide(fc->rules, bio);
	struct faultb_req *req = slab_get(&fc->reqs);

	assert(req); /* as many as the channel is deep */
	req->parent = bio;
	req->fc = fc;
	req->effect = effect ? *effect : none;
	req->cut = NULL;
	if (req->effect.delay_ns && !bdev_is_draining(chan->bdev))
		req_delay(req);
	else
		req_act(req);
}

static void fail_dropped(struct faultb_chan *fc)
{
	struct list *node;

	while ((node = list_pop(&fc->dropped)))
		req_finish_later(list_entry(node, struct faultb_req, link), -EIO);
}

/* On the channel's reactor: no delay lasts any longer, and what was dropped fails. */
static void drain_run(struct reactor_msg *msg)
{
	struct faultb_chan *fc = container_of(msg, struct faultb_chan, drain_msg);
	struct list *node;

	/* From here on it may be sent again, and will be for what comes behind this. */
	__atomic_store_n(&fc->drain_sent, false, __ATOMIC_RELEASE);
	deadline_cancel(&fc->timer);
	while ((node = list_pop(&fc->delayed)))
		req_act(list_entry(node, struct faultb_req, link));
	fail_dropped(fc);
}

/* Channels that leave the list have nothing in flight, and their stop comes behind this message. */
static void faultb_drain(struct bdev *bdev)
{
	struct list *pos;

	list_for_each (pos, &bdev->chans) {
		struct faultb_chan *fc = list_entry(pos, struct bdev_chan, link)->drv;

		if (!__atomic_exchange_n(&fc->drain_sent, true, __ATOMIC_ACQ_REL))
			reactor_send(fc->chan->reactor, &fc->drain_msg, drain_run);
	}
}

static int faultb_chan_create(struct bdev *bdev, struct bdev_chan *chan)
{
	struct faultb *dev = container_of(bdev, struct faultb, bdev);
	struct faultb_chan *fc = linemem_calloc(1, sizeof(*fc));
	int err;

	if (!fc)
		return -ENOMEM;
	fc->chan = chan;
	list_init(&fc->delayed);
	list_init(&fc->dropped);
	deadline_init(&fc->timer, delay_over);
	err = slab_init(&fc->reqs, bdev->lim.depth, sizeof(struct faultb_req));
	if (err)
		goto free_chan;
	err = bdev_chan_get(dev->bdev.lower, chan->reactor, &fc->lower);
	if (err)
		goto free_slab;
	fc->rules = dev->rules;
	fc->rules->refs++;
	chan->drv = fc;
	return 0;
free_slab:
	slab_fini(&fc->reqs);
free_chan:
	free(fc);
	return err;
}

static void faultb_chan_destroy(struct bdev *bdev, struct bdev_chan *chan)
{
	struct faultb_chan *fc = chan->drv;

	(void)bdev;
	assert(list_is_empty(&fc->delayed) && list_is_empty(&fc->dropped));
	rules_put(fc->rules);
	bdev_chan_put(fc->lower);
	slab_fini(&fc->reqs);
	free(fc);
}

static void faultb_chan_stop(struct bdev_chan *chan)
{
	struct faultb_chan *fc = chan->drv;

	deadline_cancel(&fc->timer);
}

static void faultb_close(struct bdev *bdev)
{
	struct faultb *dev = container_of(bdev, struct faultb, bdev);

	rules_put(dev->rules);
	free(dev); /* core closes the lower device */
}

/* The lower device has no other user: its new size is made known here. */
static int faultb_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	struct bdev *lower = bdev->lower;
	int err;

	if (!lower->ops->resize)
		return errbuf_set(eb, -EOPNOTSUPP, "the device below (%s) has a fixed size",
				  lower->ops->name);
	err = lower->ops->resize(lower, bytes, ret_bytes, eb);
	if (!err)
		__atomic_store_n(&lower->bytes, *ret_bytes, __ATOMIC_RELAXED);
	return err;
}

static const struct bdev_ops faultb_ops = {
	.name = "fault",
	.close = faultb_close,
	.chan_create = faultb_chan_create,
	.chan_destroy = faultb_chan_destroy,
	.chan_stop = faultb_chan_stop,
	.submit = faultb_submit,
	.resize = faultb_resize,
	.drain = faultb_drain,
};

static int rules_create(const char *text, struct faultb_rules **ret, struct errbuf *eb)
{
	struct faultb_rules *rules = calloc(1, sizeof(*rules));
	int err;

	if (!rules)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = faultb_rules_parse(text, rules, eb);
	if (err) {
		free(rules);
		return err;
	}
	rules->refs = 1;
	*ret = rules;
	return 0;
}

int faultb_check(const char *rules, struct errbuf *eb)
{
	struct faultb_rules *r;
	int err = rules_create(rules, &r, eb);

	if (!err)
		rules_put(r);
	return err;
}

int faultb_open(const char *rules, struct bdev *lower, struct bdev **ret_bdev, struct errbuf *eb)
{
	struct faultb *dev = calloc(1, sizeof(*dev));
	struct bdev_limits lim = lower->lim;
	int err;

	if (!dev)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = rules_create(rules, &dev->rules, eb);
	if (err)
		goto fail;
	lim.depth = CC_MIN(lim.depth, (uint32_t)FAULTB_DEPTH);
	err = bdev_init(&dev->bdev, &faultb_ops, bdev_bytes(lower), &lim);
	if (err) {
		(void)errbuf_set(eb, err, "impossible limits");
		goto fail;
	}
	dev->bdev.lower = lower;
	lower->path_timeout_ns = 0; /* what fails there on its way is handed on */
	dev->bdev.numa_node = lower->numa_node;
	memcpy(dev->bdev.shares, lower->shares, sizeof(dev->bdev.shares));
	*ret_bdev = &dev->bdev;
	return 0;
fail:
	rules_put(dev->rules);
	free(dev);
	return err;
}

/* The old table is back on the control thread. */
static void swap_done(struct reactor_msg *msg)
{
	struct faultb_swap *swap = container_of(msg, struct faultb_swap, msg);

	rules_put(swap->rules);
	free(swap);
}

/* On the channel's reactor. */
static void swap_run(struct reactor_msg *msg)
{
	struct faultb_swap *swap = container_of(msg, struct faultb_swap, msg);
	struct faultb_chan *fc = swap->fc;
	struct faultb_rules *old = fc->rules;

	fc->rules = swap->rules;
	swap->rules = old;
	reactor_send(swap->control, &swap->msg, swap_done);
	fail_dropped(fc);
}

/* One message for each channel, or none at all. */
static int swaps_create(struct bdev *bdev, struct faultb_rules *rules, struct faultb_swap **ret)
{
	struct faultb_swap *first = NULL, *swap;
	struct list *pos;

	list_for_each (pos, &bdev->chans) {
		swap = calloc(1, sizeof(*swap));
		if (!swap)
			goto fail;
		swap->next = first;
		swap->fc = list_entry(pos, struct bdev_chan, link)->drv;
		swap->control = bdev->control;
		swap->rules = rules;
		first = swap;
	}
	*ret = first;
	return 0;
fail:
	while ((swap = first)) {
		first = swap->next;
		free(swap);
	}
	return -ENOMEM;
}

int faultb_set_rules(struct bdev *bdev, const char *rules, struct errbuf *eb)
{
	struct faultb_swap *swap, *next;
	struct faultb_rules *table;
	struct faultb *dev;
	int err;

	if (bdev->ops != &faultb_ops)
		return errbuf_set(eb, -ENOTSUP, "%s is not a fault device (fault:RULES@URI)",
				  bdev->name);
	dev = container_of(bdev, struct faultb, bdev);
	err = rules_create(rules, &table, eb);
	if (err)
		return err;
	err = swaps_create(bdev, table, &swap);
	if (err) {
		rules_put(table);
		return errbuf_set(eb, err, "out of memory");
	}
	for (; swap; swap = next) {
		next = swap->next;
		table->refs++;
		reactor_send(swap->fc->chan->reactor, &swap->msg, swap_run);
	}
	rules_put(dev->rules);
	dev->rules = table;
	return 0;
}
