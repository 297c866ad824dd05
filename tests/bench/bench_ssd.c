/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of bench_nvme and bench_path --nvme: a fake controller until it is enabled, then nothing but its two rings. */
#include "tests/bench/bench_ssd.h"

#include <pthread.h>

#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_ctrlr.h"

#define NEVER_MS 3600000u /* nobody answers the keeper's commands any more */

int bench_ssd_open(struct bench_ssd *d, struct reactor *r, struct bdev **ret_bdev, struct errbuf *eb)
{
	const struct nvme_ctrlr_opts opts = { .control = r, .io_timeout_ms = NEVER_MS };
	struct nvme_ctrlr *ctrlr;
	int err;

	fake_nvme_init(&d->fake, BENCH_SSD_BLOCKS);
	d->fake.is_mapped = true;
	fake_nvme_start(&d->fake);
	err = nvme_ctrlr_open(&d->fake.hw, &opts, &ctrlr, eb);
	if (err)
		return err;
	return nvme_bdev_open(ctrlr, 1, &(struct nvme_bdev_opts){ 0 }, ret_bdev, eb);
}

void bench_ssd_take_over(struct bench_ssd *d)
{
	struct fake_nvme *f = &d->fake;

	__atomic_store_n(&f->stop, true, __ATOMIC_RELEASE);
	(void)pthread_join(f->thread, NULL);
	f->has_thread = false;
	d->sq = (void *)(uintptr_t)(f->sq[1].addr - FAKE_NVME_IOVA_OFF);
	d->cq = (void *)(uintptr_t)(f->cq[1].addr - FAKE_NVME_IOVA_OFF);
	d->sq_size = f->sq[1].size;
	d->cq_size = f->cq[1].size;
	d->phase = 1;
}

void bench_ssd_turn(struct bench_ssd *d)
{
	uint32_t tail = __atomic_load_n(&d->fake.db[2], __ATOMIC_ACQUIRE);
	uint32_t head = __atomic_load_n(&d->fake.db[3], __ATOMIC_ACQUIRE);

	d->sq_doorbells += tail != d->last_tail;
	d->cq_doorbells += head != d->last_head;
	d->last_tail = tail;
	d->last_head = head;
	while (d->head != tail) {
		struct nvme_cqe *cqe = &d->cq[d->tail];
		uint32_t word = le16_get(d->sq[d->head].cid) | (uint32_t)d->phase << 16;

		d->head = (d->head + 1) % d->sq_size;
		__atomic_store_n((uint32_t *)(void *)&cqe->cid, htole32(word), __ATOMIC_RELEASE);
		if (++d->tail == d->cq_size) {
			d->tail = 0;
			d->phase ^= 1;
		}
	}
}
