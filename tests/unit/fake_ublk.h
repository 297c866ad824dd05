/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel with ublk, of one device: what vdpa/ublk_ctl.h and ublk_ring.h promise, carried out in memory. */
#ifndef TESTS_UNIT_FAKE_UBLK_H
#define TESTS_UNIT_FAKE_UBLK_H

#include <pthread.h>
#include <stdbool.h>

#include "vdpa/ublk_ctl.h"
#include "vdpa/ublk_ring.h"

#define FAKE_UBLK_QUEUES 4
#define FAKE_UBLK_DEPTH	 64
#define FAKE_UBLK_CALLS	 64 /* numbers of commands */

enum fake_ublk_tag_state {
	FAKE_TAG_NONE,	/* no command yet, or none any more */
	FAKE_TAG_WAITS, /* a command waits here for an I/O */
	FAKE_TAG_TAKEN, /* the server has it */
};

struct fake_ublk_tag {
	enum fake_ublk_tag_state state;
	bool has_event;
	struct ublk_event event;
	struct ublk_io_desc io;
	uint64_t addr;
	bool has_result;
	int result;
};

/* Everything under the lock: commands come from other threads than I/O. */
struct fake_ublk {
	pthread_mutex_t lock;
	/* set by the test */
	int open_err;		    /* of the control device */
	int err[FAKE_UBLK_CALLS];   /* by number of command */
	unsigned times[FAKE_UBLK_CALLS]; /* so often; 0: always */
	uint64_t features;
	unsigned cpus;
	bool claimed;
	unsigned unnoticed; /* so many looks later the kernel has noticed that the server died; 0: it lives */
	/* the device */
	bool exists, used, opened;
	struct ublk_dev_info info;
	struct ublk_params params;
	struct fake_ublk_tag tags[FAKE_UBLK_QUEUES][FAKE_UBLK_DEPTH];
	int event_fds[FAKE_UBLK_QUEUES];
	/* what was done */
	unsigned calls[FAKE_UBLK_CALLS];
	unsigned nopen, violations;
	unsigned nsyncs, nunscheduled;
};

extern struct fake_ublk fake_ublk;

void fake_ublk_reset(void);

/* A device with a server that has died. */
void fake_ublk_orphan(unsigned id, uint64_t bytes, unsigned queues, unsigned depth);

/* An I/O for @queue: its tag, or -1 when no command waits. */
int fake_ublk_io(unsigned queue, uint32_t op_flags, uint64_t sector, uint32_t nsectors);
/* Has it been answered? */
bool fake_ublk_has_result(unsigned queue, int tag, int *ret_result);
void *fake_ublk_buf(unsigned queue, int tag);

#endif
