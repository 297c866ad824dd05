/* SPDX-License-Identifier: BSD-3-Clause */
/* Many I/Os at once: in one call to the driver when all are easy, and back in lists to those who
 * want it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/bdev.h"
#include "tests/unit/fake_bdev.h"

#define N    8
#define HERE 5 /* the one that is not like the others */

static char buf[64 * 1024] cc_aligned(4096);

/* Reads of a block each, one behind another. */
static void fill(struct rig_io *ios, struct iovec *iov, unsigned n, uint8_t flags)
{
	for (unsigned i = 0; i < n; i++) {
		iov[i] = (struct iovec){ buf + (size_t)i % 16 * 512, 512 };
		ios[i] = (struct rig_io){ .bio = { .op = BIO_READ,
						   .flags = flags,
						   .iov = &iov[i],
						   .iovcnt = 1,
						   .off = i * 512,
						   .len = 512 } };
	}
}

static void easy_ones_are_one_call_each_way(void **state)
{
	struct bdev_limits lim = { .depth = N };
	struct rig_io ios[N];
	struct iovec iov[N];

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig.fake.auto_later = true;
	for (unsigned round = 1; round < 4; round++) {
		const struct bdev_op_stats *st = &rig.chan->stats->op[BIO_READ];
		uint64_t sum = 0;

		fill(ios, iov, N, BIO_LISTED);
		rig.ncalls = 0;
		rig_submit_batch(ios, N);
		assert_int_equal(rig.fake.nbatches, round);
		assert_int_equal(rig.fake.nsubmits, round * N);
		assert_int_equal(rig.chan->inflight, N);
		reactor_turn(rig.r);
		assert_int_equal(rig.ncalls, 1);
		assert_int_equal(rig.listed[0], N);
		assert_int_equal(rig.chan->inflight, 0);
		for (unsigned i = 0; i < HIST_BUCKETS; i++)
			sum += st->latency.count[i];
		assert_int_equal(st->ios, round * N);
		assert_int_equal(st->bytes, round * N * 512);
		assert_int_equal(sum, round * N);
	}
	rig_submit_batch(ios, 0);
	assert_int_equal(rig.fake.nbatches, 3);
	assert_int_equal(rig_close(), 0);
}

static const struct {
	const char *what;
	struct bdev_limits lim;
	struct bio bio;
	int status;
	uint8_t niovs;
	bool is_easy;
	bool to_driver;
} others[] = {
	{ "the last block", {}, { .off = RIG_BYTES - 512, .len = 512 }, 0, 1, true, true },
	{ "a write", {}, { .op = BIO_WRITE, .len = 512 }, 0, 1, true, true },
	{ "beyond the end", {}, { .off = RIG_BYTES - 512, .len = 1024 }, -EINVAL, 1, false, false },
	{ "off + len wraps",
	  {},
	  { .off = UINT64_MAX - 511, .len = 1024 },
	  -EINVAL,
	  1,
	  false,
	  false },
	{ "off + len wraps to 0",
	  {},
	  { .off = UINT64_MAX - 511, .len = 512 },
	  -EINVAL,
	  1,
	  false,
	  false },
	{ "off inside a block", {}, { .off = 100, .len = 512 }, -EINVAL, 1, false, false },
	{ "no whole block", {}, { .len = 100 }, -EINVAL, 1, false, false },
	{ "nothing", {}, { .len = 0 }, 0, 1, false, false },
	{ "too long", { .bytes_max = 4096 }, { .len = 8192 }, 0, 1, false, true },
	{ "across a boundary",
	  { .boundary_bytes = 4096 },
	  { .off = 3584, .len = 1024 },
	  0,
	  1,
	  false,
	  true },
	{ "too many pieces", { .iovs_max = 2 }, { .len = 1536 }, 0, 3, false, true },
	{ "pieces that go", { .iovs_max = 3 }, { .len = 1536 }, 0, 3, true, true },
	{ "a misaligned buffer",
	  { .buf_align = 512 },
	  { .iov = &(struct iovec){ buf + 1, 512 }, .len = 512 },
	  0,
	  0,
	  false,
	  true },
	{ "a misaligned piece",
	  { .buf_align = 512 },
	  { .iov = (struct iovec[2]){ { buf, 256 }, { buf + 512, 256 } }, .len = 512 },
	  0,
	  0,
	  false,
	  true },
	{ "a write to read-only",
	  { .read_only = true },
	  { .op = BIO_WRITE, .len = 512 },
	  -EROFS,
	  1,
	  false,
	  false },
	{ "a flush", { .has_flush = true }, { .op = BIO_FLUSH }, 0, 1, false, true },
	{ "no discard", {}, { .op = BIO_DISCARD, .len = 512 }, -EOPNOTSUPP, 1, false, false },
	{ "FUA to be made so",
	  { .has_flush = true },
	  { .op = BIO_WRITE, .flags = BIO_FUA, .len = 512 },
	  0,
	  1,
	  false,
	  true },
	{ "FUA the device knows",
	  { .has_flush = true, .has_fua = true },
	  { .op = BIO_WRITE, .flags = BIO_FUA, .len = 512 },
	  0,
	  1,
	  true,
	  true },
};

/* Pieces of equal length, or those of the case. */
static void fill_other(unsigned c, struct bio *bio, struct iovec *pieces)
{
	unsigned n = others[c].niovs;

	*bio = others[c].bio;
	bio->flags |= BIO_LISTED;
	if (bio->iov) {
		bio->iovcnt = bio->iov[0].iov_len == bio->len ? 1 : 2;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		pieces[i] = (struct iovec){ buf + 8192 * i, bio->len / n };
	bio->iov = pieces;
	bio->iovcnt = (uint16_t)n;
}

static void one_that_is_not_easy_makes_them_go_one_by_one(void **state)
{
	(void)state;
	for (unsigned c = 0; c < ARRAY_SIZE(others); c++) {
		struct iovec iov[N], pieces[3];
		struct rig_io ios[N];

		assert_int_equal(rig_open(&others[c].lim), 0);
		fill(ios, iov, N, BIO_LISTED);
		fill_other(c, &ios[HERE].bio, pieces);
		rig_submit_batch(ios, N);
		if (rig.fake.nbatches != others[c].is_easy || rig.chan->inflight < N - 1 ||
		    (rig.fake.nheld >= N) != others[c].to_driver)
			fail_msg("%s: %u batches, %u held", others[c].what, rig.fake.nbatches,
				 rig.fake.nheld);
		rig_settle();
		for (unsigned i = 0; i < N; i++) {
			int want = i == HERE ? others[c].status : 0;

			if (ios[i].done != 1 || ios[i].bio.status != want)
				fail_msg("%s: I/O %u done %u times, status %d", others[c].what, i,
					 ios[i].done, ios[i].bio.status);
		}
		assert_int_equal(rig.chan->inflight, 0);
		assert_int_equal(rig_close(), 0);
	}
}

static void a_batch_beyond_the_depth_waits_in_its_order(void **state)
{
	struct bdev_limits lim = { .depth = 4 };
	struct rig_io ios[32];
	struct iovec iov[32];

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	fill(ios, iov, ARRAY_SIZE(ios), BIO_LISTED);
	rig_submit_batch(ios, 3);
	rig_submit_batch(ios + 3, 9);
	rig_submit_batch(ios + 12, 20);
	assert_int_equal(rig.fake.nbatches, 1);
	assert_int_equal(rig.chan->inflight, 4);
	rig_settle();
	assert_int_equal(rig.fake.nheld_max, 4);
	for (unsigned i = 0, at = 0; i < ARRAY_SIZE(ios); i++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "R %u+512\n", i * 512);
		assert_memory_equal(rig.fake.trace + at, line, strlen(line));
		at += (unsigned)strlen(line);
		assert_int_equal(ios[i].done, 1);
	}
	assert_int_equal(rig_close(), 0);
}

/* What waits goes to the driver while a list is on its way back. */
static void lists_and_the_depth(void **state)
{
	struct bdev_limits lim = { .depth = 3 };
	struct rig_io ios[32];
	struct iovec iov[32];

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig.fake.auto_later = true;
	fill(ios, iov, ARRAY_SIZE(ios), BIO_LISTED);
	rig_submit_batch(ios, ARRAY_SIZE(ios));
	rig_settle();
	assert_int_equal(rig.ndone, ARRAY_SIZE(ios));
	assert_int_equal(rig.listed[0], 3);
	assert_int_equal(rig_close(), 0);
}

/* By op, flags and done; what was not asked for in a list, and what has failed, comes alone. */
static void a_list_is_of_one_kind(void **state)
{
	static const unsigned want[] = { 2, 1, 3 };
	struct bdev_limits lim = { .depth = 16 };
	struct rig_io ios[N];
	struct iovec iov[N];

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig.fake.auto_later = true;
	fill(ios, iov, N, BIO_LISTED);
	ios[2].bio.op = BIO_WRITE;
	ios[3].bio.flags = 0; /* two that are not listed */
	ios[4].bio.flags = 0;
	rig_submit_batch(ios, N);
	reactor_turn(rig.r);
	assert_int_equal(rig.ncalls, ARRAY_SIZE(want));
	assert_memory_equal(rig.listed, want, sizeof(want));
	assert_int_equal(rig.ndone, N);

	rig.fake.fail_with = -EIO;
	rig.ncalls = 0;
	fill(ios, iov, N, BIO_LISTED);
	rig_submit_batch(ios, N);
	reactor_turn(rig.r);
	assert_int_equal(rig.ncalls, N);
	assert_int_equal(rig.chan->stats->op[BIO_READ].errors, N);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(ios[i].bio.status, -EIO);
	assert_int_equal(rig_close(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(easy_ones_are_one_call_each_way),
		cmocka_unit_test(one_that_is_not_easy_makes_them_go_one_by_one),
		cmocka_unit_test(a_batch_beyond_the_depth_waits_in_its_order),
		cmocka_unit_test(lists_and_the_depth),
		cmocka_unit_test(a_list_is_of_one_kind),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
