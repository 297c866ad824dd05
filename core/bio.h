/* SPDX-License-Identifier: BSD-3-Clause */
/* One block I/O. Owned by its submitter from first to last: down by calls, up by one callback. */
#ifndef CORE_BIO_H
#define CORE_BIO_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "core/base/cc.h"

struct bio;
struct bdev_chan;

enum bio_op {
	BIO_READ,
	BIO_WRITE,
	BIO_FLUSH,	  /* off, len ignored: the whole device */
	BIO_DISCARD,	  /* no data; content undefined afterwards */
	BIO_WRITE_ZEROES, /* no data */
	BIO_OP_COUNT,
};

/* bio.flags */
#define BIO_FUA	    (1u << 0) /* WRITE, WRITE_ZEROES: durable when done */
#define BIO_NOUNMAP (1u << 1) /* WRITE_ZEROES: keep the blocks allocated */
#define BIO_LISTED  (1u << 2) /* its done takes a list; see bio_done_fn */
#define BIO_PIECE   (1u << 3) /* core's: a piece of one that was split, which is what is counted */
#define BIO_MERGED  (1u << 4) /* core's: several in one; they are what is counted, and done */

/* Core's, by bdev_path_failed(). At done: it has failed on its way, and whoever knows another way may send it there. */
#define BIO_PATH_FAILED (1u << 5)

#define BIO_INNER	(BIO_PIECE | BIO_MERGED)
#define BIO_ODD		(BIO_INNER | BIO_PATH_FAILED) /* ends otherwise than most */

/* What an I/O asks of the device: all that a piece or a stacked device hands on of bio.flags. */
#define BIO_WISHES (BIO_FUA | BIO_NOUNMAP)

/**
 * bio_done_fn - @bio has ended: status is 0 or -errno. Each bio comes back exactly once.
 * With BIO_LISTED those that end together may come back in one call: a list by next, NULL at its
 * end, of bios with the same done, op and flags. If there is more than one, status is 0 for all.
 * Without it next means nothing.
 */
typedef void (*bio_done_fn)(struct bio *bio);

/*
 * The submitter fills op, flags, iovcnt, iov, off, len, done; iov and its buffers stay until done.
 * bdev_submit() fills the rest; status is 0 from then on. Whoever completes it sets status.
 */
struct bio {
	/* first line: what every layer looks at */
	uint8_t op;    /* enum bio_op */
	uint8_t flags; /* BIO_* */
	uint16_t iovcnt;
	int32_t status;
	struct iovec *iov;
	uint64_t off; /* bytes */
	uint64_t len; /* bytes; for READ and WRITE the sum of iov */
	bio_done_fn done;
	struct bdev_chan *chan;
	uint64_t submit_ticks;
	struct bio *next; /* whoever holds it (scheduler, driver) queues it by this */
	/* second line: the driver's, while it holds the bio; core uses it before and after */
	uint64_t drv[6];
	/* core's, of one that had to wait on its way to the driver (bdev_wait.c) */
	bio_done_fn submitter_done;
	union {
		uint64_t wait_ticks;
		struct {
			uint32_t wait_us;
			uint32_t failed_ms; /* the clock when its way first failed */
		};
	};
};
static_assert(sizeof(struct bio) <= 2 * CACHELINE_BYTES, "a bio is two cache lines");

/* Do both have the same op, flags, iovcnt and status? One comparison. */
static inline bool bio_is_like(const struct bio *a, const struct bio *b)
{
	static_assert(offsetof(struct bio, iov) == sizeof(uint64_t), "they are the first word");
	return !memcmp(a, b, sizeof(uint64_t));
}

/* A queue of bios by their next pointer. */
struct bio_queue {
	struct bio *first, **last;
};

static inline void bio_queue_init(struct bio_queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static inline void bio_queue_push(struct bio_queue *q, struct bio *bio)
{
	bio->next = NULL;
	*q->last = bio;
	q->last = &bio->next;
}

static inline struct bio *bio_queue_pop(struct bio_queue *q)
{
	struct bio *bio = q->first;

	if (!bio)
		return NULL;
	q->first = bio->next;
	if (!q->first)
		q->last = &q->first;
	return bio;
}

/* Moves all of @from to the end of @to. */
static inline void bio_queue_move(struct bio_queue *to, struct bio_queue *from)
{
	if (!from->first)
		return;
	*to->last = from->first;
	to->last = from->last;
	bio_queue_init(from);
}

/* Takes all, oldest first, linked by next. */
static inline struct bio *bio_queue_take_all(struct bio_queue *q)
{
	struct bio *first = q->first;

	bio_queue_init(q);
	return first;
}

/* Walks it: for inspection. */
static inline bool bio_queue_has(const struct bio_queue *q, const struct bio *bio)
{
	for (const struct bio *b = q->first; b; b = b->next) {
		if (b == bio)
			return true;
	}
	return false;
}

#endif
