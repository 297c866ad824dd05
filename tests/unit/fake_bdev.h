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
	unsigned nheld, nheld_max, nsubmits;
	bool auto_later;     /* complete everything with bdev_complete_later() */
	int fail_with;	     /* status of what completes from now on */
	unsigned violations; /* of limits or depth, seen by submit */
	unsigned ncreated, ndestroyed, nstarted, nstopped, nclosed;
	/* a trace of submits: "R 0+512", one a line */
	char trace[4096];
	bool resize_fails;
};

/* 0 limits: the defaults of bdev_init. @control: where it lives. */
int fake_open(struct fake_bdev *f, struct reactor *control, uint64_t bytes,
	      const struct bdev_limits *lim);

/* Carry out and complete the @i-th held I/O. */
void fake_end(struct fake_bdev *f, unsigned i);

#endif
