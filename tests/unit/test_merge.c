/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbours of one batch as one I/O: which, within which limits, and how each comes back by itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/bdev.h"
#include "tests/unit/fake_bdev.h"

#define N     8
#define BLOCK 512u

static char buf[RIG_BYTES] cc_aligned(4096);

static struct rig_io io_make(enum bio_op op, uint64_t off, struct iovec *iov, unsigned iovcnt)
{
	struct rig_io io = { .bio = { .op = (uint8_t)op, .flags = BIO_LISTED, .iov = iov, .off = off } };

	io.bio.iovcnt = (uint16_t)iovcnt;
	for (unsigned i = 0; i < iovcnt; i++)
		io.bio.len += iov[i].iov_len;
	return io;
}

/* Reads of a block each, one behind another, into buffers that do not touch. */
static void fill(struct rig_io *ios, struct iovec *iov, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){ buf + (size_t)i % 512 * 2 * BLOCK, BLOCK };
		ios[i] = io_make(BIO_READ, (uint64_t)i * BLOCK, &iov[i], 1);
	}
}

static uint64_t latencies(const struct bdev_op_stats *st)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		sum += st->latency.count[i];
	return sum;
}

static void neighbours_are_one_to_the_driver_and_themselves_to_others(void **state)
{
	const struct bdev_op_stats *st;
	struct rig_io ios[N];
	struct iovec iov[N];

	(void)state;
	assert_int_equal(rig_open_merging(&(struct bdev_limits){ 0 }), 0);
	st = &rig.chan->stats->op[BIO_READ];
	for (unsigned round = 1; round < 4; round++) {
		for (unsigned i = 0; i < RIG_BYTES; i++)
			rig.fake.data[i] = (uint8_t)(i / BLOCK + round);
		fill(ios, iov, N);
		rig.ncalls = 0;
		rig_submit_batch(ios, N);
		assert_int_equal(rig.fake.nsubmits, round);
		assert_int_equal(rig.fake.nbatches, round);
		assert_int_equal(rig.fake.held[0]->len, N * BLOCK);
		assert_int_equal(rig.chan->inflight, N); /* its parts: each may have to go alone */
		fake_end(&rig.fake, 0);
		assert_int_equal(rig.chan->inflight, 0);
		assert_int_equal(rig.ncalls, 1);
		assert_int_equal(rig.listed[0], N);
		assert_int_equal(st->ios, round * N);
		assert_int_equal(st->bytes, round * N * BLOCK);
		assert_int_equal(latencies(st), round * N);
		assert_int_equal(rig.chan->stats->merged, round * (N - 1));
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(ios[i].done, 1);
			assert_int_equal(*(uint8_t *)iov[i].iov_base, (uint8_t)(i + round));
		}
	}
	assert_int_equal(rig_close(), 0);
}

/* Several of one turn's flush, in their order. */
static void ends_in_a_flush_too(void **state)
{
	struct rig_io ios[2 * N];
	struct iovec iov[2 * N];

	(void)state;
	assert_int_equal(rig_open_merging(&(struct bdev_limits){ 0 }), 0);
	rig.fake.auto_later = true;
	fill(ios, iov, 2 * N);
	for (unsigned i = N; i < 2 * N; i++)
		ios[i].bio.off += 100 * BLOCK;
	rig_submit_batch(ios, 2 * N);
	assert_int_equal(rig.fake.nsubmits, 2);
	for (unsigned i = 0; i < 2 * N; i++)
		assert_int_equal(bdev_chan_holder(rig.chan, &ios[i].bio), BDEV_HOLDER_CORE);
	reactor_turn(rig.r);
	assert_int_equal(rig.ndone, 2 * N);
	assert_int_equal(rig.chan->inflight, 0);
	assert_int_equal(rig_close(), 0);
}

struct part {
	enum bio_op op;
	unsigned flags;
	unsigned block, nblocks;
	unsigned at, niovs; /* its buffer: half blocks into buf, and into how many pieces it is cut; 0: 1 */
};

static const struct {
	const char *what;
	struct bdev_limits lim;
	struct part parts[6];
	const char *trace;
	bool past_checks; /* straight to the driver: of these the batch itself is not easy */
} batches[] = {
	{ "alone", {}, { { BIO_READ, 0, 3, 1, 0, 0 } }, "R 1536+512\n", false },
	{ "lengths of any kind",
	  {},
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_READ, 0, 1, 8, 4, 0 }, { BIO_READ, 0, 9, 2, 40, 0 } },
	  "R 0+5632\n",
	  false },
	{ "writes",
	  {},
	  { { BIO_WRITE, 0, 7, 1, 0, 0 }, { BIO_WRITE, 0, 8, 1, 9, 0 } },
	  "W 3584+1024\n",
	  false },
	{ "a gap",
	  {},
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_READ, 0, 2, 1, 4, 0 } },
	  "R 0+512\nR 1024+512\n",
	  false },
	{ "the same one twice",
	  {},
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_READ, 0, 0, 1, 4, 0 } },
	  "R 0+512\nR 0+512\n",
	  false },
	{ "downwards",
	  {},
	  { { BIO_READ, 0, 1, 1, 0, 0 }, { BIO_READ, 0, 0, 1, 4, 0 } },
	  "R 512+512\nR 0+512\n",
	  false },
	{ "a write behind a read",
	  {},
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_WRITE, 0, 1, 1, 4, 0 }, { BIO_WRITE, 0, 2, 1, 8, 0 } },
	  "R 0+512\nW 512+1024\n",
	  false },
	{ "FUA among themselves",
	  { .has_flush = true, .has_fua = true },
	  { { BIO_WRITE, 0, 0, 1, 0, 0 },
	    { BIO_WRITE, BIO_FUA, 1, 1, 4, 0 },
	    { BIO_WRITE, BIO_FUA, 2, 1, 8, 0 },
	    { BIO_WRITE, 0, 3, 1, 12, 0 } },
	  "W 0+512\nW! 512+1024\nW 1536+512\n",
	  false },
	{ "FUA to be made so goes as before",
	  { .has_flush = true },
	  { { BIO_WRITE, BIO_FUA, 0, 1, 0, 0 }, { BIO_WRITE, BIO_FUA, 1, 1, 4, 0 } },
	  "W 0+512\nW 512+512\n",
	  false },
	{ "two runs with another between",
	  {},
	  { { BIO_READ, 0, 0, 1, 0, 0 },
	    { BIO_READ, 0, 1, 1, 4, 0 },
	    { BIO_READ, 0, 90, 1, 8, 0 },
	    { BIO_READ, 0, 2, 1, 12, 0 },
	    { BIO_READ, 0, 3, 1, 16, 0 } },
	  "R 0+1024\nR 46080+512\nR 1024+1024\n",
	  false },
	{ "bytes_max",
	  { .bytes_max = 1024 },
	  { { BIO_READ, 0, 0, 1, 0, 0 },
	    { BIO_READ, 0, 1, 1, 4, 0 },
	    { BIO_READ, 0, 2, 1, 8, 0 },
	    { BIO_READ, 0, 3, 1, 12, 0 },
	    { BIO_READ, 0, 4, 2, 16, 0 } },
	  "R 0+1024\nR 1024+1024\nR 2048+1024\n",
	  false },
	{ "iovs_max",
	  { .iovs_max = 3 },
	  { { BIO_READ, 0, 0, 1, 0, 2 }, { BIO_READ, 0, 1, 1, 9, 1 }, { BIO_READ, 0, 2, 1, 15, 1 } },
	  "R 0+1024\nR 1024+512\n",
	  false },
	{ "buffers that touch are one",
	  { .iovs_max = 1 },
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_READ, 0, 1, 1, 2, 0 }, { BIO_READ, 0, 2, 1, 5, 0 } },
	  "R 0+1024\nR 1024+512\n",
	  false },
	{ "pieces that touch, too",
	  { .iovs_max = 3 },
	  { { BIO_READ, 0, 0, 1, 0, 2 }, { BIO_READ, 0, 1, 1, 2, 2 } },
	  "R 0+1024\n",
	  false },
	{ "seams",
	  { .seam_bytes = 512 },
	  { { BIO_READ, 0, 0, 1, 0, 0 },
	    { BIO_READ, 0, 1, 1, 4, 0 },
	    { BIO_READ, 0, 2, 1, 7, 0 },
	    { BIO_READ, 0, 3, 1, 9, 0 },
	    { BIO_READ, 0, 4, 1, 12, 0 } },
	  "R 0+1024\nR 1024+1024\nR 2048+512\n",
	  false },
	{ "a boundary",
	  { .boundary_bytes = 2048 },
	  { { BIO_READ, 0, 2, 1, 0, 0 },
	    { BIO_READ, 0, 3, 1, 4, 0 },
	    { BIO_READ, 0, 4, 1, 8, 0 },
	    { BIO_READ, 0, 5, 1, 12, 0 } },
	  "R 1024+1024\nR 2048+1024\n",
	  true },
	{ "a boundary's batch is not looked at",
	  { .boundary_bytes = 2048 },
	  { { BIO_READ, 0, 0, 1, 0, 0 }, { BIO_READ, 0, 1, 1, 4, 0 } },
	  "R 0+512\nR 512+512\n",
	  false },
	{ "other operations are let through",
	  { .has_flush = true, .discard_max = 1 << 20 },
	  { { BIO_DISCARD, 0, 0, 1, 0, 0 }, { BIO_DISCARD, 0, 1, 1, 0, 0 }, { BIO_READ, 0, 2, 1, 0, 0 } },
	  "D 0+512\nD 512+512\nR 1024+512\n",
	  true },
};

static unsigned fill_batch(unsigned c, struct rig_io *ios, struct iovec (*iov)[2])
{
	unsigned n = 0;

	for (; n < ARRAY_SIZE(batches[c].parts) && batches[c].parts[n].nblocks; n++) {
		const struct part *p = &batches[c].parts[n];
		unsigned niovs = CC_MAX(p->niovs, 1u);

		/* pieces a block apart */
		for (unsigned i = 0; i < niovs; i++)
			iov[n][i] = (struct iovec){ buf + (size_t)p->at * 256 + (size_t)i * 768,
						    (size_t)p->nblocks * BLOCK / niovs };
		/* the second part's first piece touches the last piece of the first, where that is asked for */
		if (n && niovs == 2 && p->at == 2)
			iov[n][0].iov_base = (char *)iov[n - 1][1].iov_base + iov[n - 1][1].iov_len;
		ios[n] = io_make(p->op, (uint64_t)p->block * BLOCK, iov[n], niovs);
		ios[n].bio.flags |= (uint8_t)p->flags;
		if (p->op > BIO_WRITE)
			ios[n].bio.len = (uint64_t)p->nblocks * BLOCK;
	}
	return n;
}

/* What the scheduler may let go in one call, though it was not easy when it came. */
static void submit_past_checks(struct rig_io *ios, unsigned n)
{
	struct bio_queue bios;

	rig_submit_batch(ios, n);
	rig_settle();
	rig.fake.trace[0] = '\0';
	bio_queue_init(&bios);
	for (unsigned i = 0; i < n; i++) {
		ios[i].done = 0;
		bio_queue_push(&bios, &ios[i].bio);
	}
	rig.chan->inflight += n;
	rig.chan->submit_batch(rig.chan, &bios);
}

static void which_go_together(void **state)
{
	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(batches); c++) {
		struct iovec iov[6][2];
		struct rig_io ios[6];
		char want[256];
		unsigned n;

		assert_int_equal(rig_open_merging(&batches[c].lim), 0);
		n = fill_batch(c, ios, iov);
		if (batches[c].past_checks)
			submit_past_checks(ios, n);
		else
			rig_submit_batch(ios, n);
		(void)snprintf(want, sizeof(want), "%s", rig.fake.trace);
		rig_settle();
		if (strcmp(want, batches[c].trace))
			fail_msg("%s: %s", batches[c].what, want);
		for (unsigned i = 0; i < n; i++) {
			if (ios[i].done != 1 || ios[i].bio.status)
				fail_msg("%s: I/O %u done %u times", batches[c].what, i, ios[i].done);
		}
		assert_int_equal(rig.chan->inflight, 0);
		assert_int_equal(rig.chan->merges.nfree, BDEV_MERGES);
		if (rig_close())
			fail_msg("%s: a rule was broken", batches[c].what);
	}
}

static void without_the_option_nothing_is_merged(void **state)
{
	struct rig_io ios[N];
	struct iovec iov[N];

	(void)state;
	assert_int_equal(rig_open(&(struct bdev_limits){ 0 }), 0);
	fill(ios, iov, N);
	rig_submit_batch(ios, N);
	assert_int_equal(rig.fake.nheld, N);
	assert_int_equal(rig.chan->merges.count, 0);
	rig_settle();
	assert_int_equal(rig.chan->stats->merged, 0);
	assert_int_equal(rig_close(), 0);
}

/* Each goes alone once more; whose fault it is fails. All that time nobody takes their places. */
static void one_bad_block_is_not_its_neighbours_fault(void **state)
{
	struct bdev_limits lim = { .depth = N };
	struct rig_io ios[N], later;
	struct iovec iov[N + 1];
	const struct bdev_op_stats *st;

	(void)state;
	assert_int_equal(rig_open_merging(&lim), 0);
	st = &rig.chan->stats->op[BIO_READ];
	fill(ios, iov, N);
	iov[N] = (struct iovec){ buf, BLOCK };
	later = io_make(BIO_READ, 0, &iov[N], 1);
	rig_submit_batch(ios, N);
	rig_submit(&later);
	assert_int_equal(bdev_chan_holder(rig.chan, &later.bio), BDEV_HOLDER_SCHED);
	assert_int_equal(bdev_chan_holder(rig.chan, &ios[3].bio), BDEV_HOLDER_DRIVER);
	rig.fake.fail_with = -EIO;
	fake_end(&rig.fake, 0);
	assert_int_equal(rig.ndone, 0);
	assert_int_equal(rig.fake.nheld, N);
	assert_int_equal(rig.chan->inflight, N);
	assert_int_equal(rig.chan->merges.nfree, BDEV_MERGES);
	for (unsigned i = 0; i < N; i++) {
		assert_ptr_equal(rig.fake.held[i], &ios[i].bio);
		assert_int_equal(bdev_chan_holder(rig.chan, &ios[i].bio), BDEV_HOLDER_DRIVER);
	}
	fake_end(&rig.fake, 2);
	assert_int_equal(ios[2].done, 1);
	rig.fake.fail_with = 0;
	rig_settle();
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].bio.status, i == 2 ? -EIO : 0);
	}
	assert_int_equal(later.done, 1);
	assert_int_equal(rig.fake.nheld_max, N);
	assert_int_equal(st->ios, N + 1);
	assert_int_equal(st->errors, 1);
	assert_int_equal(st->bytes, N * BLOCK);
	assert_int_equal(rig_close(), 0);
}

/* A device that is gone: it says so of each, and that is the end of it. */
static void all_of_them_fail_once(void **state)
{
	struct rig_io ios[N];
	struct iovec iov[N];

	(void)state;
	assert_int_equal(rig_open_merging(&(struct bdev_limits){ 0 }), 0);
	rig.fake.auto_later = true;
	rig.fake.fail_with = -ENODEV;
	fill(ios, iov, N);
	rig_submit_batch(ios, N);
	rig_settle();
	assert_int_equal(rig.fake.nsubmits, 1 + N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(ios[i].done, 1);
		assert_int_equal(ios[i].bio.status, -ENODEV);
	}
	assert_int_equal(rig.chan->stats->op[BIO_READ].errors, N);
	assert_int_equal(rig_close(), 0);
}

static void without_a_free_slot_they_go_alone(void **state)
{
	enum { PAIRS = BDEV_MERGES + 10 };
	static struct rig_io ios[2 * PAIRS];
	static struct iovec iov[2 * PAIRS];

	(void)state;
	assert_int_equal(rig_open_merging(&(struct bdev_limits){ 0 }), 0);
	fill(ios, iov, 2 * PAIRS);
	for (unsigned i = 0; i < 2 * PAIRS; i += 2)
		rig_submit_batch(&ios[i], 2);
	assert_int_equal(rig.fake.nheld, BDEV_MERGES + 2 * 10);
	assert_int_equal(rig.chan->stats->merged, BDEV_MERGES);
	rig_settle();
	assert_int_equal(rig.ndone, 2 * PAIRS);
	rig_submit_batch(ios, 2);
	assert_int_equal(rig.fake.nheld, 1);
	rig_settle();
	assert_int_equal(rig_close(), 0);
}

/*
 * Random batches of I/Os that do not overlap, in runs with gaps, over disks of all limits; some fail. A model of the
 * disk says what each reads, and what is there in the end.
 */
#define BLOCKS (RIG_BYTES / BLOCK)
#define BATCH  48
#define ROUNDS 300
#define PIECES 3
#define HALF   (BLOCK / 2) /* buffers are cut and placed by these */

static uint8_t model[RIG_BYTES];
static struct rig_io shots[BATCH];
static struct iovec shot_iov[BATCH][PIECES];

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* @halves of buffer from *at on, in up to PIECES pieces, some of which touch. Returns how many. */
static unsigned cut(struct iovec *iov, unsigned halves, char **at)
{
	unsigned n = 0;

	while (halves) {
		unsigned take = n + 1 < PIECES ? 1 + below(halves) : halves;

		iov[n++] = (struct iovec){ *at, (size_t)take * HALF };
		*at += (size_t)(take + (below(3) ? 0 : below(3))) * HALF;
		halves -= take;
	}
	return n;
}

/* Somewhere on the disk, going upwards, mostly without a gap. */
static void make_shots(unsigned n)
{
	unsigned block = below(BLOCKS / 2);
	char *at = buf + (size_t)below(8) * HALF;

	for (unsigned i = 0; i < n; i++) {
		unsigned nblocks = 1 + below(4), niovs = cut(shot_iov[i], nblocks * 2, &at);
		enum bio_op op = i && below(6) ? (enum bio_op)shots[i - 1].bio.op : (enum bio_op)below(2);

		shots[i] = io_make(op, (uint64_t)block * BLOCK, shot_iov[i], niovs);
		if (op == BIO_WRITE && !below(5))
			shots[i].bio.flags |= BIO_FUA;
		if (!below(5))
			shots[i].bio.flags &= (uint8_t)~BIO_LISTED;
		for (unsigned k = 0; k < niovs; k++)
			memset(shot_iov[i][k].iov_base, rand(), shot_iov[i][k].iov_len);
		block += nblocks + (below(4) ? 0 : below(3));
	}
	assert_true(at <= buf + sizeof(buf) && block <= BLOCKS);
}

/* After the end: a read has what the model has, and a write goes into it. One that was split may have got there in
 * part when it failed. */
static void check_shot(const struct rig_io *io, bool may_be_split)
{
	uint64_t at = io->bio.off;

	assert_int_equal(io->done, 1);
	if (may_be_split && io->bio.status && io->bio.op == BIO_WRITE)
		memcpy(model + at, rig.fake.data + at, io->bio.len);
	for (unsigned k = 0; io->bio.status == 0 && k < io->bio.iovcnt; k++) {
		const struct iovec *iov = &io->bio.iov[k];

		if (io->bio.op == BIO_WRITE)
			memcpy(model + at, iov->iov_base, iov->iov_len);
		else
			assert_memory_equal(iov->iov_base, model + at, iov->iov_len);
		at += iov->iov_len;
	}
}

/* Ends what is held in random order; one in ten fails. */
static void settle_with_failures(void)
{
	do {
		while (rig.fake.nheld) {
			rig.fake.fail_with = below(10) ? 0 : -EIO;
			fake_end(&rig.fake, below(rig.fake.nheld));
		}
		rig.fake.fail_with = 0;
		reactor_turn(rig.r);
	} while (rig.fake.nheld || rig.r->dirty_first);
}

static const struct {
	struct bdev_limits lim;
	bool merges; /* often: few of its batches are not easy, or too many for it */
} disks[] = {
	{ { 0 }, true },
	{ { .depth = BATCH, .has_flush = true, .has_fua = true }, true },
	{ { .depth = BATCH / 4 }, true },
	{ { .bytes_max = 4096, .iovs_max = 5 }, true },
	{ { .seam_bytes = HALF, .iovs_max = 16 }, true },
	{ { .seam_bytes = BLOCK }, false },
	{ { .boundary_bytes = 4096 }, false },
	{ { .buf_align = BLOCK, .has_flush = true }, false },
};

static void every_byte_goes_to_its_place(void **state)
{
	(void)state;
	srand(47);
	for (unsigned d = 0; d < ARRAY_SIZE(disks); d++) {
		assert_int_equal(rig_open_merging(&disks[d].lim), 0);
		memset(model, 0, sizeof(model));
		for (unsigned round = 0; round < ROUNDS; round++) {
			unsigned n = 1 + below(BATCH);

			make_shots(n);
			rig_submit_batch(shots, n);
			settle_with_failures();
			for (unsigned i = 0; i < n; i++)
				check_shot(&shots[i], !disks[d].merges);
		}
		assert_memory_equal(rig.fake.data, model, RIG_BYTES);
		if (disks[d].merges)
			assert_in_range(rig.chan->stats->merged, ROUNDS / 4, ROUNDS * BATCH);
		assert_int_equal(rig_close(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_are_one_to_the_driver_and_themselves_to_others),
		cmocka_unit_test(ends_in_a_flush_too),
		cmocka_unit_test(which_go_together),
		cmocka_unit_test(without_the_option_nothing_is_merged),
		cmocka_unit_test(one_bad_block_is_not_its_neighbours_fault),
		cmocka_unit_test(all_of_them_fail_once),
		cmocka_unit_test(without_a_free_slot_they_go_alone),
		cmocka_unit_test(every_byte_goes_to_its_place),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
