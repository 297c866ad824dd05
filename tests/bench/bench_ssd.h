/* SPDX-License-Identifier: BSD-3-Clause */
/* A namespace on a device in the same process that answers at once: whoever measures the driver's side turns it in between. */
#ifndef TESTS_BENCH_BENCH_SSD_H
#define TESTS_BENCH_BENCH_SSD_H

#include "core/bdev.h"
#include "tests/unit/fake_nvme.h"

#define BENCH_SSD_BLOCKS (64u << 10) /* of 512 bytes */

/* The device's side of the one I/O queue: its rings, found through what the driver told the fake controller. */
struct bench_ssd {
	struct fake_nvme fake;
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	uint32_t sq_size, cq_size, head, tail;
	uint16_t phase;
	unsigned long sq_doorbells, cq_doorbells;
	uint32_t last_tail, last_head;
};

/* The namespace as a bdev whose control reactor is @r; the queue is made with its first channel. 0 or -errno with eb. */
int bench_ssd_open(struct bench_ssd *d, struct reactor *r, struct bdev **ret_bdev, struct errbuf *eb);

/* Behind the first channel: the fake's thread ends, from now on bench_ssd_turn() is the device. There is no way back:
 * nothing can be closed afterwards. */
void bench_ssd_take_over(struct bench_ssd *d);

/* Answers all there is. */
void bench_ssd_turn(struct bench_ssd *d);

#endif
