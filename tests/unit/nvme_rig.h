/* SPDX-License-Identifier: BSD-3-Clause */
/* A fake controller, opened; its first namespace is a disk with a channel on the test's own
 * reactor, which is the control reactor, too. */
#ifndef TESTS_UNIT_NVME_RIG_H
#define TESTS_UNIT_NVME_RIG_H

#include "core/bdev.h"
#include "core/hugemem.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_ctrlr.h"
#include "tests/unit/fake_nvme.h"

#define BLOCKS	  (64u << 10)  /* 32 MiB */
#define TURNS_MAX 300000000ull /* a test that hangs ends one day, on any machine */
#define NIOS	  64u
#define IO_BYTES  4096u

struct io {
	struct bio bio;
	struct iovec iov[8];
	unsigned ndone;
};

struct nvme_rig {
	struct fake_nvme f;
	struct nvme_ctrlr *c;
	struct reactor *r;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct hugemem mem; /* buffers */
	struct io io[NIOS];
	unsigned nresized;
	struct bdev_listener listener;
};

extern struct nvme_rig rig;
extern struct nvme_ctrlr_opts ctrlr_opts; /* for the next rig_open(); control is the rig's */
extern unsigned nerrors, nwarnings;	  /* lines of that level since rig_open() */

void rig_open(void (*make)(struct fake_nvme *f));
void rig_open_with(void (*make)(struct fake_nvme *f), const struct nvme_bdev_opts *opts,
		   enum reactor_mode mode);
/* Fails the test when the fake has seen a rule broken, or memory is left. */
void rig_close(void);
/* The two halves of it: disk and controller; the rest. */
void rig_release(void);
void rig_fini(void);

/* The @i-th buffer of IO_BYTES. */
char *buf_of(unsigned i);
void fill(char *buf, size_t len, unsigned seed);

/* Start the @i-th I/O of the rig; wait; or both with the first one. */
void start(unsigned i, enum bio_op op, uint64_t off, void *buf, uint64_t len);
void start_on(struct bdev_chan *chan, struct io *io, enum bio_op op, uint64_t off, void *buf,
	      uint64_t len);
void wait_for(unsigned i);
int do_io(enum bio_op op, uint64_t off, void *buf, uint64_t len);
void wait_state(enum nvme_ctrlr_state state);

/* Of a bio of struct io. */
void on_done(struct bio *bio);
/* Callback that sets a bool. */
void set_true(void *arg);

#endif
