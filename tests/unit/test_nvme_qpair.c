/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue pairs: sizes, wrap and phase, room in the completion queue, doorbells, shadow doorbells. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/nvme/nvme_qpair.h"

#define IOVA_OFF 0x100000000000ull

static int map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	*ret_iova = (uintptr_t)region->va + IOVA_OFF;
	return 0;
}

static int unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	return 0;
}

static const struct dma_domain_ops dma_ops = { .name = "fake", .map = map, .unmap = unmap };

/* The device's side of one queue pair. */
struct device {
	struct nvme_hw hw;
	struct dma_domain domain;
	uint32_t bar[64]; /* doorbells */
	unsigned ncalls;
	uint32_t last_off, last_value;
	uint32_t tail, laps; /* of the completion queue */
};

static void on_doorbell(struct nvme_hw *hw, uint32_t off, uint32_t value)
{
	struct device *d = container_of(hw, struct device, hw);

	d->ncalls++;
	d->last_off = off;
	d->last_value = value;
}

static const struct nvme_hw_ops hw_ops = { .doorbell = on_doorbell };

static void device_init(struct device *d, bool is_mapped)
{
	*d = (struct device){ .hw = { .ops = &hw_ops, .dma = &d->domain } };
	if (is_mapped) {
		d->hw.doorbells = d->bar;
		d->hw.doorbells_bytes = sizeof(d->bar);
	}
	assert_int_equal(dma_domain_attach(&d->domain, &dma_ops), 0);
}

/* Posts a completion, the next in the queue. */
static void device_post(struct device *d, struct nvme_qpair *q, uint16_t cid, uint16_t status)
{
	struct nvme_cqe *cqe = &q->cq[d->tail];

	cqe->cid = le16_make(cid);
	cqe->status = le16_make((uint16_t)(status << 1 | !(d->laps & 1)));
	if (++d->tail > q->cq_mask) {
		d->tail = 0;
		d->laps++;
	}
}

static const struct {
	uint32_t entries, max, depth, sq, cq;
} sizes[] = {
	{ 256, 65536, 255, 256, 1024 },
	{ 256, 1024, 255, 256, 1024 },
	{ 256, 512, 255, 256, 512 },
	{ 256, 256, 191, 256, 256 },
	{ 256, 300, 191, 256, 256 },
	{ 256, 2, 1, 2, 2 },
	{ 256, 3, 1, 2, 2 },
	{ 256, 4, 2, 4, 4 },
	{ 2, 65536, 1, 2, 8 },
	{ 100, 65536, 63, 64, 256 },
	{ 65536, 65536, 4095, 4096, 16384 },
};

static void sizes_are_what_both_can(void **state)
{
	struct device d;

	device_init(&d, true);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct nvme_qpair_opts o = { .id = 1,
						   .entries = sizes[i].entries,
						   .entries_max = sizes[i].max,
						   .stride = 4 };
		struct nvme_qpair q;

		assert_int_equal(nvme_qpair_init(&q, &d.hw, &o), 0);
		assert_int_equal(q.depth, sizes[i].depth);
		assert_int_equal(q.sq_mask + 1, sizes[i].sq);
		assert_int_equal(q.cq_mask + 1, sizes[i].cq);
		/* room for all that may come, always */
		assert_int_equal(q.depth + q.cq_slack, q.cq_mask);
		assert_true(q.depth <= q.sq_mask);
		nvme_qpair_fini(&q);
	}
	dma_domain_detach(&d.domain);
	assert_int_equal(dma_region_count(), 0);
}

static void phase_and_wrap_for_many_laps(void **state)
{
	const struct nvme_qpair_opts o = { .id = 2, .entries = 4, .entries_max = 8, .stride = 4 };
	struct nvme_qpair q;
	struct device d;
	uint32_t word;

	device_init(&d, false);
	assert_int_equal(nvme_qpair_init(&q, &d.hw, &o), 0);
	for (unsigned i = 0; i < 100; i++) {
		unsigned before = d.ncalls;
		struct nvme_sqe *sqe = nvme_qpair_next(&q);

		assert_ptr_equal(sqe, &q.sq[i % 4]);
		nvme_qpair_flush(&q);
		nvme_qpair_flush(&q); /* nothing new */
		assert_int_equal(d.ncalls, before + 1);
		assert_int_equal(d.last_off, 0x1000 + 2 * 2 * 4);
		assert_int_equal(d.last_value, (i + 1) % 4);

		assert_false(nvme_qpair_peek(&q, q.cq_head, &word));
		device_post(&d, &q, (uint16_t)(i * 7), 0x281);
		assert_true(nvme_qpair_peek(&q, q.cq_head, &word));
		assert_int_equal(NVME_QPAIR_CID(word), (uint16_t)(i * 7));
		assert_int_equal(NVME_QPAIR_STATUS(word), 0x281);
		assert_false(nvme_qpair_peek(&q, q.cq_head + 1, &word));
		nvme_qpair_advance(&q, q.cq_head + 1);
		/* what the device may still post never passes what we have read */
		assert_true(q.cq_head - q.cq_told + q.depth <= q.cq_mask);
	}
	assert_int_equal(q.sq_db.nwrites, 100);
	assert_int_equal(q.cq_db.nwrites, 100 / (q.cq_slack + 1));
	nvme_qpair_tell_head(&q);
	assert_int_equal(d.last_off, 0x1000 + (2 * 2 + 1) * 4);
	assert_int_equal(d.last_value, 100 % 8);
	nvme_qpair_fini(&q);
	dma_domain_detach(&d.domain);
}

static void a_mapped_doorbell_is_a_store(void **state)
{
	const struct nvme_qpair_opts o = { .id = 3, .entries = 16, .entries_max = 64, .stride = 8 };
	struct nvme_qpair q;
	struct device d;

	device_init(&d, true);
	assert_int_equal(nvme_qpair_init(&q, &d.hw, &o), 0);
	for (unsigned i = 0; i < 5; i++)
		(void)nvme_qpair_next(&q);
	nvme_qpair_flush(&q);
	assert_int_equal(d.bar[2 * 3 * 8 / 4], 5);
	nvme_qpair_advance(&q, 3);
	assert_int_equal(d.bar[(2 * 3 + 1) * 8 / 4], 0);
	nvme_qpair_tell_head(&q);
	assert_int_equal(d.bar[(2 * 3 + 1) * 8 / 4], 3);
	assert_int_equal(d.ncalls, 0);
	nvme_qpair_fini(&q);
	dma_domain_detach(&d.domain);
}

static const struct {
	uint32_t event, old, new;
	bool rings;
} events[] = {
	{ 0, 0, 1, true },   { 5, 0, 1, false },   { 5, 5, 6, true },	   { 5, 6, 7, false },
	{ 5, 0, 8, true },   { 7, 0, 8, true },	   { 8, 0, 8, false },	   { 254, 250, 2, true },
	{ 1, 250, 3, true }, { 3, 250, 3, false }, { 249, 250, 3, false },
};

/* The queue wraps at 65536 as far as the comparison goes: new < old is a wrap of the queue, too. */
static void a_shadowed_doorbell_rings_when_asked_to(void **state)
{
	le32 shadow = { 0 }, event = { 0 };
	struct nvme_doorbell db;
	struct device d;

	device_init(&d, false);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		unsigned before = d.ncalls;

		nvme_doorbell_init(&db, &d.hw, 8);
		db.shadow = &shadow;
		db.event = &event;
		db.last = events[i].old;
		event = le32_make(events[i].event);
		nvme_doorbell_ring(&db, events[i].new);
		assert_int_equal(le32_get(shadow), events[i].new);
		if (d.ncalls - before != events[i].rings)
			fail_msg("event %u, %u to %u", events[i].event, events[i].old,
				 events[i].new);
	}
	dma_domain_detach(&d.domain);
}

static const struct {
	const char *what;
	uint64_t cap, bytes;
	int err;
	uint32_t entries, ready_ms, stride, queues, css;
	const char *why;
} caps[] = {
	{ "usual", 0xffffull | 1ull << 37 | 20ull << 24, 0x1000, 0, 65536, 10000, 4, 511, 0, NULL },
	{ "one entry", 1ull << 37, 0x1000, -EPROTO, 0, 0, 0, 0, 0, "CAP.MQES" },
	{ "large pages", 1023 | 1ull << 37 | 4ull << 48, 0x1000, -ENOTSUP, 0, 0, 0, 0, 0,
	  "64 KiB" },
	{ "far doorbells", 1023 | 1ull << 37 | 15ull << 32, 0x1000, -EPROTO, 0, 0, 0, 0, 0,
	  "CAP.DSTRD" },
	{ "only admin doorbells fit", 1023 | 1ull << 37 | 9ull << 32, 0x1000, 0, 1024, 1000, 2048,
	  0, 0, NULL },
	{ "all command sets", 63 | 1ull << 43 | 1ull << 24, 0x100, 0, 64, 1000, 4, 31, 6, NULL },
	{ "admin only", 63 | 1ull << 44, 0x100, 0, 64, 1000, 4, 31, 7, NULL },
};

static void capabilities_are_checked(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(caps); i++) {
		struct errbuf eb = { "" };
		struct nvme_cap c = { 0 };

		if (nvme_cap_parse(caps[i].cap, NVME_VS(1, 4, 0), caps[i].bytes, &c, &eb) !=
		    caps[i].err)
			fail_msg("%s: %s", caps[i].what, eb.text);
		if (caps[i].err) {
			assert_non_null(strstr(eb.text, caps[i].why));
			continue;
		}
		assert_int_equal(c.entries_max, caps[i].entries);
		assert_int_equal(c.ready_ms, caps[i].ready_ms);
		assert_int_equal(c.stride, caps[i].stride);
		assert_int_equal(c.queues_max, caps[i].queues);
		assert_int_equal(c.css, caps[i].css);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_what_both_can),
		cmocka_unit_test(phase_and_wrap_for_many_laps),
		cmocka_unit_test(a_mapped_doorbell_is_a_store),
		cmocka_unit_test(a_shadowed_doorbell_rings_when_asked_to),
		cmocka_unit_test(capabilities_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
