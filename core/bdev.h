/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Block devices and their channels: the port that drivers implement and everybody else submits to.
 *
 *   control reactor:  bdev (name, size, limits, listeners)      created by a driver's open, closed
 * here each reactor:     bdev_chan (driver queue, depth, scheduler, statistics), one per (bdev,
 * reactor)
 *
 *   submitter ─ bdev_submit ─► [bounds, limits] ─► iosched_admit ─► ops->submit ─► device
 *   submitter ◄─ bio->done ─── bdev_complete ◄───────────────────── driver's poll
 */
#ifndef CORE_BDEV_H
#define CORE_BDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/base/hist.h"
#include "core/base/list.h"
#include "core/base/slab.h"
#include "core/bio.h"
#include "core/hugemem.h"
#include "core/qos_limit.h"
#include "core/reactor.h"

struct bdev;
struct bdev_chan;

#define BDEV_NAME_MAX	  64
#define BDEV_URI_MAX	  1024
#define BDEV_SHARES_MAX	  64
#define BDEV_BLOCK_MAX	  65536
#define BDEV_DEPTH_MAX	  4096
#define BDEV_IOVS_MAX	  1024
#define BDEV_SPLITS	  256 /* child bios per channel: pieces of split I/Os under way at once */
#define BDEV_MERGES	  128 /* per channel: merged I/Os under way at once, where the device merges */
#define BDEV_BOUNCE_BYTES (128 * 1024) /* one bounce buffer; longer misaligned I/O is split */
#define BDEV_BOUNCES	  32 /* bounce buffers per channel; address space only until they are used */

/* Unless bdev_set_path_timeout() says otherwise. */
#define BDEV_PATH_TIMEOUT_NS (30 * MONO_NS_PER_SEC)

/* A driver. `submit` and the channel's poller run on the channel's reactor, the rest on the control
 * thread. */
struct bdev_ops {
	const char *name;
	/* Free the device. The last channel is gone. On the control thread; on a worker thread when the
	 * device has close_blocks. */
	void (*close)(struct bdev *bdev);
	/* Set up / release the driver's part of a channel: chan->drv. May block shortly. chan_start
	 * and chan_stop run on the reactor and attach / detach pollers there (may be NULL). */
	int (*chan_create)(struct bdev *bdev, struct bdev_chan *chan);
	void (*chan_destroy)(struct bdev *bdev, struct bdev_chan *chan);
	void (*chan_start)(struct bdev_chan *chan);
	void (*chan_stop)(struct bdev_chan *chan);
	/* Take the bio; bdev_complete() exactly once, later, never from inside this call
	 * (bdev_complete_later() is for that). */
	void (*submit)(struct bdev_chan *chan, struct bio *bio);
	/* Take all of @bios, a queue of the caller's, oldest first. NULL: submit, one by one. */
	void (*submit_batch)(struct bdev_chan *chan, struct bio_queue *bios);
	/* Change the size (bytes), or with 0: look how large it is now. May block: called on a
	 * worker thread. NULL: fixed. Returns 0 with *ret_bytes, or -errno with eb. */
	int (*resize)(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb);
	/* Somebody waits for I/O to end (bdev_is_draining()): answer soon what is held back, a failure
	 * will do. Called each time it begins. NULL: nothing is ever held back. */
	void (*drain)(struct bdev *bdev);
};

/* What the device can do and wants; set by the driver before bdev_init(), constant afterwards. */
struct bdev_limits {
	uint32_t block_bytes;  /* logical block: unit of off and len */
	uint32_t phys_bytes;   /* physical block (hint), >= block_bytes */
	uint32_t opt_io_bytes; /* optimal I/O (hint), 0 = unknown */
	uint32_t buf_align; /* each iov base and length must be a multiple; 1 = any; <= block_bytes
			     */
	uint32_t depth;	    /* I/Os in flight per channel */
	uint32_t iovs_max;
	uint32_t seam_bytes; /* where one iov ends and another begins, both must be multiples of it, unless
				they touch; 0 = any */
	uint32_t boundary_bytes; /* no READ or WRITE crosses a multiple of it; 0 = none */
	uint64_t bytes_max;	 /* READ and WRITE */
	uint64_t discard_max;	 /* bytes per DISCARD; 0 = unsupported */
	uint32_t discard_align;	 /* hint */
	uint64_t zeroes_max;	 /* bytes per WRITE_ZEROES; 0 = unsupported */
	bool read_only;
	bool has_flush; /* volatile cache: FLUSH means something */
	bool has_fua;	/* honours BIO_FUA itself; otherwise core adds a FLUSH behind the write */
	bool rotational;
};

struct bdev_listener; /* told on the control thread when something changed */
typedef void (*bdev_event_fn)(struct bdev_listener *l);

struct bdev_listener {
	struct list link;
	bdev_event_fn resized;
};

enum bdev_stat_op {
	BDEV_STAT_READ,
	BDEV_STAT_WRITE,
	BDEV_STAT_FLUSH,
	BDEV_STAT_DISCARD,
	BDEV_STAT_ZEROES,
	BDEV_STAT_COUNT,
};
static_assert((int)BDEV_STAT_COUNT == (int)BIO_OP_COUNT, "statistics are indexed by bio op");

struct bdev_op_stats {
	uint64_t ios, bytes, errors;
	struct hist latency; /* submit to done */
};

/* Of those alone that waited on their way to the driver, each of them in all three. */
struct bdev_wait_stats {
	struct hist total;	       /* as in bdev_op_stats.latency, where they are, too */
	struct hist scheduler, driver; /* before the driver had it; the rest */
};

/* How whoever stands behind the submitter, a guest for example, learnt that its I/O is done. */
enum bdev_notify {
	BDEV_NOTIFY_QUIET, /* it looks by itself: needed no call */
	BDEV_NOTIFY_CALLED,
	BDEV_NOTIFY_COUNT,
};

struct bdev_chan_stats {
	struct bdev_op_stats op[BDEV_STAT_COUNT];
	uint64_t splits, bounces, queued; /* I/Os that were split, bounced, or waited for room */
	uint64_t bounced_bytes;		  /* that were copied through a bounce buffer */
	uint64_t fixed; /* I/Os whose buffers the driver had registered: the file driver with
			   fixed=1 */
	uint64_t merged; /* I/Os that the device was spared: it had them as part of the one before */
	uint64_t requeued; /* times that one came back because of the way to the device, and waited to go again */
	struct bdev_wait_stats waited[BDEV_STAT_COUNT];
	/* From done until it knew, behind the latency. The submitter's to record, on this reactor. */
	struct hist notify[BDEV_NOTIFY_COUNT][BDEV_STAT_COUNT];
};

struct bdev {
	const struct bdev_ops *ops;
	struct bdev_limits lim;
	uint64_t bytes;		  /* size; changes on resize: read with bdev_bytes() */
	char name[BDEV_NAME_MAX]; /* the disk's name, given by the opener */
	char uri[BDEV_URI_MAX];	  /* what was opened */
	char id[21];		  /* serial for GET_ID, NUL-terminated; defaults to the name */
	struct reactor *control;  /* where it lives */
	struct bdev *lower; /* of a stacked device, set behind bdev_init(): closed after this one,
			       before done */
	struct list chans, listeners;
	struct list leaving; /* channels that nobody holds any more and that have not stopped yet */
	unsigned ndrains; /* atomic: who waits for its I/O to end */
	unsigned users; /* exports; a device in use is not deleted */
	/* Disks with the same one share an SSD; "": nobody knows. Set by the driver, constant. */
	char shares[BDEV_SHARES_MAX];
	struct qos_guard_disk *guard; /* core/qos_guard.h; NULL: it never had a channel */
	bool merges; /* neighbours of one batch go as one; set by the opener, constant */
	bool close_blocks; /* set by the driver behind bdev_init(): its close takes time */
	int numa_node;	   /* the same: of the device; NUMA_NODE_NONE where it does not matter */
	/* core's, control thread */
	struct bdev_chan_stats *gone; /* of the channels that are no more; NULL: none yet */
	struct qos_disk *qos;	      /* core/qos.h; NULL: nothing was ever set */
	uint32_t depth;		      /* bdev_set_depth() */
	uint64_t patience_ns[QOS_CLASSES];
	uint64_t path_timeout_ns; /* bdev_set_path_timeout() */
	unsigned nfreezes;
	uint64_t freeze; /* counts them */
	struct list freezers;	      /* struct bdev_freezer: whose freeze is not complete */
	unsigned nleaving;	      /* channels on their way out, a resize, a close under way */
	bool closing, resizing;
	void (*close_done)(void *arg);
	void *close_arg;
	struct reactor_msg close_msg;
};

/* What waits for room in a channel. */
struct iosched {
	/* by class when they are patient in different ways, else all in the first */
	struct bio_queue waiting[QOS_CLASSES];
	uint32_t nwaiting; /* those of gate->path.again among them */
	bool is_watched; /* somebody waits for room, or is not let through: look when something leaves */
	bool is_frozen;
	uint8_t path; /* enum iosched_path_state: of the way to the device */
	bool has_patience;
	bool wants_gate; /* whatever the way is like */
	uint64_t patience_ticks[QOS_CLASSES];
	struct iosched_gate *gate; /* limits, and what the control thread wants */
};

struct bdev_chan {
	/* hot */
	struct bdev *bdev;
	/* easy I/O, counted in inflight: to the driver, or to the gate of core/iosched */
	void (*submit)(struct bdev_chan *chan, struct bio *bio);
	void (*submit_batch)(struct bdev_chan *chan, struct bio_queue *bios);
	struct reactor *reactor;
	uint64_t bytes_max;
	uint32_t inflight, depth;
	uint32_t align_mask; /* buf_align - 1 */
	uint32_t block_mask; /* block_bytes - 1 */
	uint32_t seam_mask;  /* seam_bytes - 1, or 0 */
	uint32_t iovs_max;
	uint32_t slow;		       /* kinds of I/O that never take the short way: BDEV_KIND() */
	bool has_gate;
	uint16_t weight; /* against others on the same SSD: qos_conf.weight; may change at any time */
	bool makes_fua;		       /* a write with BIO_FUA is followed by a FLUSH */
	struct bdev_chan_stats *stats; /* one writer: this reactor */
	/* I/Os of one turn end with one latency: its bucket is looked up once */
	uint64_t latency_ticks;
	uint32_t latency_bucket;
	struct iosched sched;
	struct bio_queue later;	   /* in flight, to be completed in this turn's flush */
	struct bio_queue answered; /* never in flight (refused, void): the same */
	struct poller later_poller;
	void *drv; /* the driver's */
	void (*to_driver)(struct bdev_chan *chan, struct bio *bio); /* ops->submit */
	void (*to_driver_batch)(struct bdev_chan *chan, struct bio_queue *bios);
	/* cold */
	struct slab splits, bounces, merges;
	struct hugemem bounce_mem;	/* BDEV_BOUNCES buffers, touched on use */
	struct bio_queue split_waiting; /* I/Os that wait for a split context or a bounce buffer */
	struct list link;		/* in bdev->chans */
	unsigned refs;			/* control thread */
	struct reactor_msg start_msg, stop_msg;
};

/*
 * For drivers
 */

/* Checks limits and fills defaults (0 = default); the driver has set name, uri, control (and id).
 * Control or set-up thread. 0, or -EINVAL (a driver bug or an impossible device). */
int bdev_init(struct bdev *bdev, const struct bdev_ops *ops, uint64_t bytes,
	      const struct bdev_limits *lim);

/* The driver is done with @bio. status: 0 or -errno. On the channel's reactor, not from inside
 * ops->submit. */
void bdev_complete(struct bio *bio, int status);

/* The same from inside ops->submit (or anywhere on the reactor): done is called in the flush phase
 * of this turn. */
static cc_always_inline void bdev_complete_later(struct bio *bio, int status)
{
	struct bdev_chan *chan = bio->chan;

	bio->status = status;
	bio_queue_push(&chan->later, bio);
	poller_mark_dirty(&chan->later_poller);
}

/**
 * bdev_path_failed - instead of bdev_complete_later(): @bio could not be carried out because of the way to the device,
 * not because of the device or what was asked of it. Later, or on another way, it may be. Nothing of it is under way
 * any more, nor will ever be: a write that the device may still be carrying out is not given back like this.
 * Core sends it again after a while, or ends it with @status (ORDERING.md, L13). A device on top of another one
 * hands on the BIO_PATH_FAILED of its children so, or has another way.
 */
static inline void bdev_path_failed(struct bio *bio, int status)
{
	assert(status < 0);
	bio->flags |= BIO_PATH_FAILED;
	bdev_complete_later(bio, status);
}

/* All of @bios have succeeded. */
static inline void bdev_complete_batch_later(struct bdev_chan *chan, struct bio_queue *bios)
{
	bio_queue_move(&chan->later, bios);
	poller_mark_dirty(&chan->later_poller);
}

/*
 * For users
 */

/*
 * While somebody waits for I/O of @bdev to end, neither it nor what it stands on holds any back: bdev_close()
 * begins for good, whoever stops a user of a device in use begins and ends. Control thread.
 */
void bdev_drain_begin(struct bdev *bdev);
void bdev_drain_end(struct bdev *bdev);

/* Any thread. What one reactor sees late, ops->drain comes after. */
static inline bool bdev_is_draining(const struct bdev *bdev)
{
	return __atomic_load_n(&bdev->ndrains, __ATOMIC_RELAXED) != 0;
}

/* Closes asynchronously: every reference is put, the last channel goes, ops->close runs, then
 * done(arg) on the control thread (NULL: nobody asks). */
void bdev_close(struct bdev *bdev, void (*done)(void *arg), void *arg);

/**
 * bdev_chan_get - the channel of @bdev on @r; created at first use, shared afterwards. Control
 * thread. The channel is usable on @r by anything sent to @r after this call returns. 0, -ENOMEM,
 * or the driver's.
 */
int bdev_chan_get(struct bdev *bdev, struct reactor *r, struct bdev_chan **ret_chan);

/* Who holds an I/O that has been submitted and is not done. */
enum bdev_holder {
	BDEV_HOLDER_SCHED,  /* waits for room */
	BDEV_HOLDER_SPLIT,  /* carried out in pieces, or waits for its turn to be */
	BDEV_HOLDER_DRIVER,
	BDEV_HOLDER_CORE,   /* ends in this turn */
};

/* On the channel's reactor; walks what waits: for inspection. */
enum bdev_holder bdev_chan_holder(const struct bdev_chan *chan, const struct bio *bio);

/* Drop a reference; the caller has no I/O in flight. Asynchronous release. Control thread. */
void bdev_chan_put(struct bdev_chan *chan);

/* Size in bytes now. Any thread. */
static inline uint64_t bdev_bytes(const struct bdev *bdev)
{
	return __atomic_load_n(&bdev->bytes, __ATOMIC_RELAXED);
}

/**
 * bdev_resize - @bytes, or 0 for "look again". Runs on a worker thread, then tells every listener,
 * then done. Shrinking below data in use is the user's decision; I/O beyond the end fails with
 * -EINVAL from then on.
 */
typedef void (*bdev_resize_fn)(void *arg, int err, const char *why);
void bdev_resize(struct bdev *bdev, uint64_t bytes, bdev_resize_fn done, void *arg);

/**
 * bdev_freeze - from now on I/O of @bdev waits in the scheduler; frozen(arg) when the device holds none any more: on the
 * control thread, never from inside this call. Freezes add up; each is undone by one bdev_thaw(), which may come before
 * frozen() did (it is called all the same, soon). What a stop must not wait for, bdev_cancel() brings back. 0 or -ENOMEM:
 * not frozen. Control thread.
 */
int bdev_freeze(struct bdev *bdev, void (*frozen)(void *arg), void *arg);
void bdev_thaw(struct bdev *bdev);

/* How much of it each channel hands to the device at once: 1.., 0: all of lim.depth. Control thread. */
void bdev_set_depth(struct bdev *bdev, uint32_t depth);

/* Who waits for room goes when its time is up: arrival plus this, for reads and for all else. 0, 0: first come, first
 * served. Control thread. */
void bdev_set_deadlines(struct bdev *bdev, uint64_t read_ns, uint64_t write_ns);

/* For how long I/O whose way to the device fails is sent again before it ends with an error: from its first failure, or
 * when it came later than others that failed, from when it came. 0: not at all. Control thread. */
void bdev_set_path_timeout(struct bdev *bdev, uint64_t ns);

/* Control thread. */
void bdev_listener_add(struct bdev *bdev, struct bdev_listener *l, bdev_event_fn resized);
void bdev_listener_del(struct bdev_listener *l);

/* fn for the counters of each channel, live or leaving, and for the sum of those that are gone. Control thread; counters may
 * move meanwhile. */
void bdev_for_each_stats(const struct bdev *bdev,
			 void (*fn)(void *arg, const struct bdev_chan_stats *st), void *arg);

/* Sum over all channels (live and gone) into @ret. Control thread; counters may move meanwhile. */
void bdev_get_stats(const struct bdev *bdev, struct bdev_chan_stats *ret);

/*
 * The latency of all I/Os of a kind in two parts: until the driver had them (most: at once, which
 * is 0), and from then on. What is carried out in pieces waits while any of them does. Of a copy of
 * the statistics; any thread.
 */
void bdev_stats_scheduler(const struct bdev_chan_stats *st, enum bdev_stat_op op, struct hist *ret);
void bdev_stats_driver(const struct bdev_chan_stats *st, enum bdev_stat_op op, struct hist *ret);

/*
 * Submission, inline because the submitter knows most of what is asked here.
 */

/* Kinds of I/O as a set: a bit for each op, one for each flag. */
#define BDEV_KIND(op, flags) (1u << (op) | (uint32_t)(flags) << 8)
static_assert(BIO_OP_COUNT <= 8, "the flags are above them");

/* What cannot go to the driver at once: refused, void, to be split, or to wait. */
void bdev_submit_slow(struct bdev_chan *chan, struct bio *bio);

/* Addresses and lengths of its buffers, or-ed; the length of a single one is bio->len. */
static cc_always_inline uint64_t bio_buf_bits(const struct bio *bio)
{
	uint64_t bits = 0;

	if (cc_likely(bio->iovcnt == 1))
		return (uintptr_t)bio->iov->iov_base;
	for (unsigned i = 0; i < bio->iovcnt; i++)
		bits |= (uintptr_t)bio->iov[i].iov_base | bio->iov[i].iov_len;
	return bits;
}

/* Addresses at the seams between its buffers, or-ed. Buffers that touch have none. */
static inline uint64_t bio_seam_bits(const struct bio *bio)
{
	uint64_t bits = 0;

	for (unsigned i = 1; i < bio->iovcnt; i++) {
		uintptr_t end = (uintptr_t)bio->iov[i - 1].iov_base + bio->iov[i - 1].iov_len;
		uintptr_t start = (uintptr_t)bio->iov[i].iov_base;

		if (start != end)
			bits |= start | end;
	}
	return bits;
}

/* Reads and writes that the device takes as they are. A length of 0 wraps and fails. */
static cc_always_inline bool bdev_takes_as_is(const struct bdev_chan *chan, const struct bio *bio)
{
	/* what the inlining submitter has just written stays in its registers */
	uint64_t off = bio->off, len = bio->len, bytes;

	if (chan->slow & BDEV_KIND(bio->op, bio->flags) || bio->iovcnt > chan->iovs_max ||
	    bio_buf_bits(bio) & chan->align_mask)
		return false;
	if (bio->iovcnt > 1 && chan->seam_mask && bio_seam_bits(bio) & chan->seam_mask)
		return false;
	if (len - 1 >= chan->bytes_max || (off | len) & chan->block_mask)
		return false;
	bytes = bdev_bytes(chan->bdev);
	return off <= bytes && len <= bytes - off;
}

/**
 * bdev_submit - hand over an I/O; its done is called once, on this reactor, never from inside this
 * call. Errors come through done: -EINVAL (out of bounds, misaligned), -EROFS, -EOPNOTSUPP, or the
 * device's (-EIO, -ENOSPC). On the channel's reactor. Whoever waits has found the channel full, and
 * it is full until the last of them has left: no need to look.
 */
static cc_always_inline void bdev_submit(struct bdev_chan *chan, struct bio *bio)
{
	bool is_easy;

	assert(bio->op < BIO_OP_COUNT && bio->done && !(bio->flags & ~(BIO_WISHES | BIO_LISTED)));
	is_easy = bdev_takes_as_is(chan, bio);
	bio->status = 0;
	bio->chan = chan;
	bio->submit_ticks = chan->reactor->now_ticks;
	if (cc_likely(is_easy && chan->inflight < chan->depth)) {
		chan->inflight++;
		chan->submit(chan, bio);
	} else {
		bdev_submit_slow(chan, bio);
	}
}

/**
 * bdev_cancel - what @match picks and only waits (for room in the channel, or for a part of it that is not yet with the
 * driver) comes back with -ECANCELED: it may have been carried out in part. Through done as ever, not from inside this
 * call, and with nothing of it in the driver any more; what the driver holds completely goes on. @match looks at I/Os
 * of every submitter on the channel. On the channel's reactor.
 */
typedef bool (*bdev_match_fn)(const struct bio *bio, const void *arg);
void bdev_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg);

/*
 * Many I/Os at once, within one poll: begin, add each, submit. What bdev_takes_as_is() asks of each
 * is asked of all together at the end, except for their place on the disk; a "no" to all that would
 * be a "yes" to each costs only the way one by one. The batch is a local variable of the submitter,
 * and in registers as long as nobody takes its address.
 */
struct bdev_batch {
	struct bdev_chan *chan;
	uint64_t submit_ticks;
	uint64_t bytes; /* of the device */
	struct bio_queue *bios;
	struct bio **last; /* of bios */
	/* or-ed over all of them */
	uint64_t place_bits; /* off, len */
	uint64_t len_bits;   /* len - 1: of a length of 0 all, of any other none above those of the longest */
	uint64_t buf_bits;   /* bio_buf_bits() */
	uint64_t seam_bits;  /* bio_seam_bits(), when the device has seams */
	uint32_t iovcnt_bits;
	uint32_t kinds;	  /* BDEV_KIND() */
	uint32_t n, nout; /* nout: beyond the end */
};

/* @bios: collects them; to be left alone until bdev_batch_submit(). */
static cc_always_inline struct bdev_batch bdev_batch_begin(struct bdev_chan *chan,
							   struct bio_queue *bios)
{
	return (struct bdev_batch){
		.chan = chan,
		.submit_ticks = chan->reactor->now_ticks,
		.bytes = bdev_bytes(chan->bdev),
		.bios = bios,
		.last = &bios->first,
	};
}

/* As bdev_submit(), but under way with bdev_batch_submit(). */
static cc_always_inline void bdev_batch_add(struct bdev_batch *batch, struct bio *bio)
{
	uint64_t off = bio->off, len = bio->len;

	assert(bio->op < BIO_OP_COUNT && bio->done && !(bio->flags & ~(BIO_WISHES | BIO_LISTED)));
	bio->status = 0;
	bio->chan = batch->chan;
	bio->submit_ticks = batch->submit_ticks;
	*batch->last = bio;
	batch->last = &bio->next;
	batch->n++;
	batch->place_bits |= off | len;
	batch->buf_bits |= bio_buf_bits(bio);
	batch->kinds |= BDEV_KIND(bio->op, bio->flags);
	if (bio->iovcnt > 1) {
		batch->iovcnt_bits |= bio->iovcnt;
		if (batch->chan->seam_mask)
			batch->seam_bits |= bio_seam_bits(bio);
	}
	/* off + len does not wrap: the highest bit of either would show in place_bits */
	batch->len_bits |= len - 1;
	if (cc_unlikely(off + len > batch->bytes))
		batch->nout++;
}

static cc_always_inline bool bdev_batch_is_easy(const struct bdev_batch *b)
{
	return !b->nout && b->len_bits < b->chan->bytes_max && !(b->kinds & b->chan->slow) &&
	       !(b->place_bits & (b->chan->block_mask | 1ull << 63)) &&
	       !(b->buf_bits & b->chan->align_mask) && !(b->seam_bits & b->chan->seam_mask) &&
	       b->iovcnt_bits <= b->chan->iovs_max;
}

/* All of @bios (@n) to the driver when they are easy and there is room, else one by one. */
void bdev_submit_all(struct bdev_chan *chan, struct bio_queue *bios, uint32_t n, bool is_easy);

static cc_always_inline void bdev_batch_submit(const struct bdev_batch *batch)
{
	if (!batch->n)
		return;
	*batch->last = NULL;
	batch->bios->last = batch->last;
	bdev_submit_all(batch->chan, batch->bios, batch->n, bdev_batch_is_easy(batch));
}

#endif
