/* SPDX-License-Identifier: BSD-3-Clause */
/* A block device in memory that keeps what it is given until the test says which I/O ends, and
 * checks what it sees. */
#ifndef TESTS_UNIT_FAKE_BDEV_H
#define TESTS_UNIT_FAKE_BDEV_H

#include "core/bdev.h"

#define FAKE_HELD_MAX 4096

struct fake_bdev {
	struct bdev bdev;
	uint8_t *data;
	/* what the driver holds; changed by its submit and by fake_end() */
	struct bio *held[FAKE_HELD_MAX];
	unsigned nheld, nheld_max, nsubmits, nbatches;
	bool auto_later;     /* complete everything with bdev_complete_later() */
	int fail_with;	     /* status of what completes from now on */
	bool fails_path;     /* and it is the way that has failed */
	unsigned violations; /* of limits or depth, seen by submit */
	unsigned ncreated, ndestroyed, nstarted, nstopped, nclosed;
	/* a trace of submits: "R 0+512", one a line; "W!" FUA, "Z~" NOUNMAP */
	char trace[4096];
	bool resize_fails;
};

/* 0 limits: the defaults of bdev_init. @control: where it lives. */
int fake_open(struct fake_bdev *f, struct reactor *control, uint64_t bytes,
	      const struct bdev_limits *lim);

/* Carry out and complete the @i-th held I/O. */
void fake_end(struct fake_bdev *f, unsigned i);

/*
 * The rig: a reactor of the calling thread, a fake disk and its channel, and I/Os whose rules are
 * watched.
 */
#define RIG_BYTES (1024 * 1024)

struct rig_io {
	struct bio bio; /* done is the rig's */
	unsigned done;
};

struct rig {
	struct reactor *r;
	struct fake_bdev fake;
	struct bdev_chan *chan;
	bool in_submit;
	unsigned violations; /* done inside submit, twice, or elsewhere */
	unsigned ndone;
	/* of BIO_LISTED: how many came in the first eight calls of done */
	unsigned ncalls, listed[8];
};

extern struct rig rig;

/* Opens a disk of RIG_BYTES; 0 or what bdev_init says. */
int rig_open(const struct bdev_limits *lim);
/* The same, and it merges. */
int rig_open_merging(const struct bdev_limits *lim);
/* Everything has ended; returns how many rules were broken. */
unsigned rig_close(void);
/* Submit what the test filled in. */
void rig_submit(struct rig_io *io);
/* The same for @n of them in one batch. */
void rig_submit_batch(struct rig_io *ios, unsigned n);
/* Turns, and ends held I/Os in random order, until nothing is held. */
void rig_settle(void);

#endif
