/* SPDX-License-Identifier: BSD-3-Clause */
/* Pieces: their shapes as tables, FUA, errors, exhausted pools, and data that survives all of it.
 */
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

static char buf[RIG_BYTES + 8192] cc_aligned(4096);

/* One I/O from a contiguous buffer at buf + mis; what the driver sees when it ends everything in
 * order. */
static const struct {
	const char *what;
	struct bdev_limits lim;
	uint32_t off, len;
	uint8_t op, flags;
	uint16_t mis;
	const char *trace;
	uint8_t splits, bounces;
} shapes[] = {
	{ "fits", { .bytes_max = 4096 }, 0, 4096, BIO_READ, 0, 0, "R 0+4096\n", 0, 0 },
	{ "one block too long",
	  { .bytes_max = 4096 },
	  512,
	  4608,
	  BIO_READ,
	  0,
	  0,
	  "R 512+4096\nR 4608+512\n",
	  1,
	  0 },
	{ "odd maximum",
	  { .bytes_max = 5000 },
	  0,
	  8192,
	  BIO_WRITE,
	  0,
	  0,
	  "W 0+4608\nW 4608+3584\n",
	  1,
	  0 },
	{ "boundary",
	  { .boundary_bytes = 4096 },
	  3584,
	  5120,
	  BIO_WRITE,
	  0,
	  0,
	  "W 3584+512\nW 4096+4096\nW 8192+512\n",
	  1,
	  0 },
	{ "up to the boundary",
	  { .boundary_bytes = 4096 },
	  512,
	  3584,
	  BIO_WRITE,
	  0,
	  0,
	  "W 512+3584\n",
	  0,
	  0 },
	{ "boundary and maximum",
	  { .boundary_bytes = 4096, .bytes_max = 3072 },
	  0,
	  8192,
	  BIO_READ,
	  0,
	  0,
	  "R 0+3072\nR 3072+1024\nR 4096+3072\nR 7168+1024\n",
	  1,
	  0 },
	{ "discard",
	  { .discard_max = 65536 },
	  512,
	  131072,
	  BIO_DISCARD,
	  0,
	  0,
	  "D 512+65536\nD 66048+65536\n",
	  1,
	  0 },
	{ "discard knows no boundary",
	  { .discard_max = 1 << 30, .boundary_bytes = 4096 },
	  512,
	  131072,
	  BIO_DISCARD,
	  0,
	  0,
	  "D 512+131072\n",
	  0,
	  0 },
	{ "zeroes",
	  { .zeroes_max = 65536 },
	  0,
	  65536 + 512,
	  BIO_WRITE_ZEROES,
	  0,
	  0,
	  "Z 0+65536\nZ 65536+512\n",
	  1,
	  0 },
	{ "misaligned", { .buf_align = 512 }, 0, 4096, BIO_WRITE, 0, 1, "W 0+4096\n", 0, 1 },
	{ "misaligned and long",
	  { .buf_align = 512 },
	  0,
	  2 * BDEV_BOUNCE_BYTES + 512,
	  BIO_READ,
	  0,
	  8,
	  "R 0+131072\nR 131072+131072\nR 262144+512\n",
	  1,
	  1 },
	{ "misaligned over a boundary",
	  { .buf_align = 512, .boundary_bytes = 1024 },
	  512,
	  1024,
	  BIO_READ,
	  0,
	  8,
	  "R 512+512\nR 1024+512\n",
	  1,
	  1 },
	{ "FUA made by a flush",
	  { .has_flush = true },
	  0,
	  4096,
	  BIO_WRITE,
	  BIO_FUA,
	  0,
	  "W 0+4096\nF 0+0\n",
	  0,
	  0 },
	{ "FUA in pieces",
	  { .has_flush = true, .bytes_max = 4096 },
	  0,
	  8192,
	  BIO_WRITE,
	  BIO_FUA,
	  0,
	  "W 0+4096\nW 4096+4096\nF 0+0\n",
	  1,
	  0 },
	{ "FUA in pieces, native",
	  { .has_flush = true, .has_fua = true, .bytes_max = 4096 },
	  0,
	  8192,
	  BIO_WRITE,
	  BIO_FUA,
	  0,
	  "W! 0+4096\nW! 4096+4096\n",
	  1,
	  0 },
	{ "FUA is void without a cache", {}, 0, 4096, BIO_WRITE, BIO_FUA, 0, "W! 0+4096\n", 0, 0 },
	{ "FUA on zeroes",
	  { .has_flush = true, .zeroes_max = 4096 },
	  0,
	  4096,
	  BIO_WRITE_ZEROES,
	  BIO_FUA,
	  0,
	  "Z 0+4096\nF 0+0\n",
	  0,
	  0 },
	{ "FUA on a read means nothing",
	  { .has_flush = true, .has_fua = true },
	  0,
	  4096,
	  BIO_READ,
	  0,
	  0,
	  "R 0+4096\n",
	  0,
	  0 },
};

static void end_in_order(void)
{
	do {
		while (rig.fake.nheld) {
			/* fake_end() fills the hole with the last: keep the order by rotating */
			struct bio *first = rig.fake.held[0];

			memmove(&rig.fake.held[0], &rig.fake.held[1],
				(rig.fake.nheld - 1) * sizeof(first));
			rig.fake.held[rig.fake.nheld - 1] = first;
			fake_end(&rig.fake, rig.fake.nheld - 1);
		}
		reactor_turn(rig.r);
	} while (rig.fake.nheld);
}

static void pieces_have_the_shapes_the_device_wants(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct iovec iov = { buf + shapes[i].mis, shapes[i].len };
		bool has_data = shapes[i].op <= BIO_WRITE;
		struct rig_io io = { .bio = { .op = shapes[i].op,
					      .flags = shapes[i].flags,
					      .off = shapes[i].off,
					      .len = shapes[i].len,
					      .iov = has_data ? &iov : NULL,
					      .iovcnt = has_data } };

		assert_int_equal(rig_open(&shapes[i].lim), 0);
		rig_submit(&io);
		end_in_order();
		if (strcmp(rig.fake.trace, shapes[i].trace) != 0)
			fail_msg("%s:\n%sinstead of\n%s", shapes[i].what, rig.fake.trace,
				 shapes[i].trace);
		assert_int_equal(io.done, 1);
		assert_int_equal(io.bio.status, 0);
		assert_int_equal(rig.chan->stats->splits, shapes[i].splits);
		assert_int_equal(rig.chan->stats->bounces, shapes[i].bounces);
		assert_int_equal(rig.chan->stats->bounced_bytes,
				 shapes[i].bounces ? shapes[i].len : 0);
		assert_int_equal(rig.chan->stats->op[shapes[i].op].ios, 1);
		assert_int_equal(rig.chan->stats->op[shapes[i].op].bytes, shapes[i].len);
		assert_int_equal(rig.chan->stats->op[BIO_FLUSH].ios, 0);
		assert_int_equal(rig_close(), 0);
	}
}

/* Buffers with gaps between them, for a device whose seams are at pages. */
static const struct {
	const char *what;
	struct {
		uint32_t at, len;
	} iov[4];
	const char *trace;
	uint8_t splits, bounces;
} seams[] = {
	{ "pages", { { 0, 4096 }, { 8192, 4096 } }, "W 0+8192\n", 0, 0 },
	{ "the outer ends are free", { { 512, 3584 }, { 8192, 512 } }, "W 0+4096\n", 0, 0 },
	{ "touching", { { 0, 512 }, { 512, 3584 } }, "W 0+4096\n", 0, 0 },
	{ "a seam inside, after much", { { 0, 8192 }, { 12800, 4096 } }, "W 0+8192\nW 8192+4096\n", 1, 0 },
	{ "a seam inside, after little", { { 0, 512 }, { 4096, 4096 } }, "W 0+4608\n", 0, 1 },
	{ "many little ones", { { 0, 512 }, { 1024, 512 }, { 2048, 512 }, { 3072, 512 } }, "W 0+2048\n", 0, 1 },
};

static void pieces_meet_where_the_device_wants(void **state)
{
	const struct bdev_limits lim = { .buf_align = 4, .seam_bytes = 4096 };

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(seams); i++) {
		unsigned s = i / 2, is_batch = i % 2;
		struct rig_io io = { .bio = { .op = BIO_WRITE } };
		struct iovec iov[4];

		for (; io.bio.iovcnt < 4 && seams[s].iov[io.bio.iovcnt].len; io.bio.iovcnt++) {
			iov[io.bio.iovcnt].iov_base = buf + seams[s].iov[io.bio.iovcnt].at;
			iov[io.bio.iovcnt].iov_len = seams[s].iov[io.bio.iovcnt].len;
			io.bio.len += iov[io.bio.iovcnt].iov_len;
		}
		io.bio.iov = iov;
		assert_int_equal(rig_open(&lim), 0);
		if (is_batch)
			rig_submit_batch(&io, 1);
		else
			rig_submit(&io);
		end_in_order();
		assert_int_equal(io.done, 1);
		if (strcmp(rig.fake.trace, seams[s].trace))
			fail_msg("%s: %s", seams[s].what, rig.fake.trace);
		assert_int_equal(rig.chan->stats->splits, seams[s].splits);
		assert_int_equal(rig.chan->stats->bounces, seams[s].bounces);
		assert_int_equal(rig_close(), 0);
	}
}

static void the_flush_of_fua_waits_for_the_last_piece(void **state)
{
	struct bdev_limits lim = { .has_flush = true, .bytes_max = 4096 };
	struct iovec iov = { buf, 16384 };
	struct rig_io io = {
		.bio = { .op = BIO_WRITE, .flags = BIO_FUA, .len = 16384, .iov = &iov, .iovcnt = 1 }
	};

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig_submit(&io);
	for (unsigned left = 4; left; left--) {
		assert_int_equal(rig.fake.nheld, left);
		assert_null(strchr(rig.fake.trace, 'F'));
		fake_end(&rig.fake, 0);
	}
	assert_int_equal(rig.fake.nheld, 1);
	assert_non_null(strchr(rig.fake.trace, 'F'));
	assert_int_equal(io.done, 0);
	rig.fake.fail_with = -EIO; /* a failed flush fails the write */
	fake_end(&rig.fake, 0);
	assert_int_equal(io.done, 1);
	assert_int_equal(io.bio.status, -EIO);
	assert_int_equal(rig_close(), 0);
}

static void the_first_error_wins_and_done_comes_after_the_last_piece(void **state)
{
	struct bdev_limits lim = { .has_flush = true, .bytes_max = 4096, .depth = 4 };
	struct iovec iov = { buf, 65536 };
	struct rig_io io = {
		.bio = { .op = BIO_WRITE, .flags = BIO_FUA, .len = 65536, .iov = &iov, .iovcnt = 1 }
	};
	static const int status[] = { 0, -ENOSPC, -EIO, 0 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	rig_submit(&io);
	for (unsigned i = 0; rig.fake.nheld; i++) {
		assert_int_equal(io.done, 0);
		rig.fake.fail_with = i < ARRAY_SIZE(status) ? status[i] : 0;
		fake_end(&rig.fake, 0);
	}
	assert_int_equal(io.done, 1);
	assert_int_equal(io.bio.status, -ENOSPC);
	assert_null(strchr(rig.fake.trace, 'F'));
	assert_int_equal(rig.chan->stats->op[BIO_WRITE].errors, 1);
	assert_int_equal(rig_close(), 0);
}

static void a_whole_larger_than_the_pool_and_others_behind_it(void **state)
{
	struct bdev_limits lim = { .bytes_max = 512, .buf_align = 512 };
	struct iovec iov = { buf, RIG_BYTES }, small = { buf + 1, 2048 };
	struct rig_io io[3] = {
		{ .bio = { .op = BIO_READ, .len = RIG_BYTES, .iov = &iov, .iovcnt = 1 } },
		{ .bio = { .op = BIO_READ, .len = 2048, .iov = &small, .iovcnt = 1 } },
		{ .bio = { .op = BIO_READ, .len = RIG_BYTES, .iov = &iov, .iovcnt = 1 } },
	};

	(void)state;
	for (int err = 0; err >= -EIO; err -= EIO) {
		assert_int_equal(rig_open(&lim), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			rig_submit(&io[i]);
		assert_int_equal(rig.fake.nheld, BDEV_SPLITS);
		rig.fake.fail_with = err;
		rig_settle();
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
			assert_int_equal(io[i].done, 1);
			assert_int_equal(io[i].bio.status, err);
		}
		assert_int_equal(rig.chan->splits.nfree, BDEV_SPLITS);
		assert_int_equal(rig.chan->bounces.nfree, BDEV_BOUNCES);
		assert_int_equal(rig_close(), 0);
	}
}

static bool is_not(const struct bio *bio, const void *arg)
{
	return bio != arg;
}

/* Four in line, the first fills the pool: in the driver, in the scheduler, and waiting for pieces.
 * One of them is not meant. */
static void a_cancelled_whole_ends_with_what_the_driver_holds(void **state)
{
	struct bdev_limits lim = { .bytes_max = 512, .depth = 4, .has_flush = true };
	struct iovec iov = { buf, RIG_BYTES / 2 };

	(void)state;
	for (unsigned keep = 0; keep <= 4; keep++) {
		struct rig_io io[4] = { 0 };
		struct bio *held[4];

		assert_int_equal(rig_open(&lim), 0);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
			io[i].bio = (struct bio){ .op = BIO_WRITE,
						  .flags = BIO_FUA,
						  .len = RIG_BYTES / 2,
						  .iov = &iov,
						  .iovcnt = 1 };
			rig_submit(&io[i]);
		}
		bdev_cancel(rig.chan, is_not, keep < 4 ? &io[keep].bio : NULL);
		reactor_turn(rig.r);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			assert_int_equal(io[i].done, i != 0 && i != keep);
		assert_int_equal(rig.fake.nheld, 4);
		memcpy(held, rig.fake.held, sizeof(held));
		for (unsigned n = 0; n < 4; n++) {
			assert_int_equal(io[0].done, 0);
			for (unsigned i = 0; i < rig.fake.nheld; i++) {
				if (rig.fake.held[i] != held[n])
					continue;
				fake_end(&rig.fake, i);
				break;
			}
		}
		assert_int_equal(io[0].done, keep != 0);
		rig_settle();
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
			assert_int_equal(io[i].done, 1);
			assert_int_equal(io[i].bio.status, i == keep ? 0 : -ECANCELED);
		}
		assert_int_equal(rig.chan->stats->op[BIO_WRITE].ios, keep < 4);
		assert_int_equal(rig.chan->splits.nfree, BDEV_SPLITS);
		assert_int_equal(rig_close(), 0);
	}
}

static void more_misaligned_ios_than_bounce_buffers(void **state)
{
	struct bdev_limits lim = { .buf_align = 512 };
	struct iovec iov = { buf + 1, 4096 };
	struct rig_io io[BDEV_BOUNCES + 10] = { 0 };

	(void)state;
	assert_int_equal(rig_open(&lim), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		io[i].bio = (struct bio){ .op = BIO_READ, .len = 4096, .iov = &iov, .iovcnt = 1 };
		rig_submit(&io[i]);
	}
	assert_int_equal(rig.fake.nheld, BDEV_BOUNCES);
	rig_settle();
	assert_int_equal(rig.ndone, ARRAY_SIZE(io));
	assert_int_equal(rig_close(), 0);
}

/*
 * Random I/Os with random cuts against a copy of the disk. No two that are under way overlap unless
 * both read.
 */
#define SLOTS	   16
#define SLOT_BYTES (RIG_BYTES / SLOTS)
#define IOVS	   300

struct job {
	struct rig_io io;
	struct iovec iov[IOVS];
	uint8_t data[SLOT_BYTES + 4096 * 2];
	bool is_busy;
};

static struct job jobs[SLOTS];
static uint8_t model[RIG_BYTES];

static uint64_t below(uint64_t n)
{
	return (uint64_t)rand() % n;
}

/* Cut @len bytes of the job's buffer into pieces; with some bytes left out between them. */
static uint16_t cut(struct job *j, uint32_t len, uint32_t unit)
{
	uint8_t *at = j->data + below(2) * below(64);
	unsigned n = 0;

	while (len) {
		uint64_t take = (1 + below(8)) * unit;

		take = CC_MIN(take, len);
		if (n == IOVS - 1)
			take = len;
		j->iov[n++] = (struct iovec){ at, take };
		at += take;
		len -= (uint32_t)take;
		if (below(4) == 0)
			at += 4 * below(5);
		if (below(8) == 0 && n < IOVS - 1 && len)
			j->iov[n++] = (struct iovec){ at, 0 };
	}
	return (uint16_t)n;
}

static void job_start(unsigned slot, const struct bdev_limits *lim)
{
	static const uint8_t ops[] = { BIO_READ, BIO_READ, BIO_WRITE, BIO_WRITE, BIO_WRITE_ZEROES };
	struct job *j = &jobs[slot];
	uint32_t blocks = SLOT_BYTES / lim->block_bytes;
	uint32_t first = (uint32_t)below(blocks), n = 1 + (uint32_t)below(blocks - first);
	uint32_t unit = below(2) ? 512 : 1 + (uint32_t)below(700);
	struct bio *bio = &j->io.bio;

	*bio = (struct bio){ .op = ops[below(ARRAY_SIZE(ops))],
			     .flags = below(4) == 0 ? BIO_FUA : 0,
			     .off = slot * SLOT_BYTES + first * lim->block_bytes,
			     .len = n * lim->block_bytes };
	if (bio->op != BIO_WRITE_ZEROES) {
		bio->iovcnt = cut(j, (uint32_t)bio->len, unit);
		bio->iov = j->iov;
	}
	if (bio->op == BIO_WRITE_ZEROES)
		memset(model + bio->off, 0, bio->len);
	for (uint64_t i = 0, at = bio->off; bio->op == BIO_WRITE && i < bio->iovcnt; i++) {
		uint8_t *b = j->iov[i].iov_base;

		for (size_t k = 0; k < j->iov[i].iov_len; k++)
			b[k] = (uint8_t)rand();
		if (j->iov[i].iov_len)
			memcpy(model + at, b, j->iov[i].iov_len);
		at += j->iov[i].iov_len;
	}
	j->is_busy = true;
	rig_submit(&j->io);
}

static void job_check(struct job *j)
{
	uint64_t at = j->io.bio.off;

	assert_int_equal(j->io.bio.status, 0);
	for (unsigned i = 0; j->io.bio.op == BIO_READ && i < j->io.bio.iovcnt; i++) {
		assert_memory_equal(model + at, j->iov[i].iov_base, j->iov[i].iov_len);
		at += j->iov[i].iov_len;
	}
	j->is_busy = false;
}

static void data_survives_random_cuts(void **state)
{
	static const struct bdev_limits lims[] = {
		{ .block_bytes = 512, .bytes_max = 2048, .zeroes_max = 4096, .depth = 8 },
		{ .block_bytes = 512, .buf_align = 512, .iovs_max = 3, .zeroes_max = 1 << 20 },
		{ .block_bytes = 4096,
		  .buf_align = 4,
		  .boundary_bytes = 8192,
		  .zeroes_max = 65536,
		  .has_flush = true,
		  .depth = 3 },
		{ .block_bytes = 512,
		  .buf_align = 4,
		  .bytes_max = 512,
		  .zeroes_max = 512,
		  .has_flush = true,
		  .depth = 64 },
		{ .block_bytes = 4096,
		  .iovs_max = 1,
		  .zeroes_max = 8192,
		  .has_flush = true,
		  .has_fua = true },
		{ .block_bytes = 512,
		  .buf_align = 4,
		  .seam_bytes = 4096,
		  .bytes_max = 131072,
		  .zeroes_max = 8192,
		  .depth = 16 },
		{ .block_bytes = 512,
		  .seam_bytes = 512,
		  .iovs_max = 5,
		  .bytes_max = 32768,
		  .zeroes_max = 8192,
		  .depth = 16 },
	};

	(void)state;
	srand(20);
	for (unsigned l = 0; l < ARRAY_SIZE(lims); l++) {
		unsigned started = 0;

		assert_int_equal(rig_open(&lims[l]), 0);
		memset(model, 0, sizeof(model));
		while (started < 600) {
			unsigned slot = (unsigned)below(SLOTS);

			if (!jobs[slot].is_busy && ++started)
				job_start(slot, &lims[l]);
			for (uint64_t n = below(40); n && rig.fake.nheld; n--)
				fake_end(&rig.fake, (unsigned)below(rig.fake.nheld));
			for (unsigned i = 0; i < SLOTS; i++)
				if (jobs[i].is_busy && jobs[i].io.done)
					job_check(&jobs[i]);
		}
		rig_settle();
		for (unsigned i = 0; i < SLOTS; i++)
			if (jobs[i].is_busy)
				job_check(&jobs[i]);
		assert_int_equal(rig.ndone, started);
		assert_memory_equal(model, rig.fake.data, RIG_BYTES);
		assert_int_equal(rig.chan->splits.nfree, BDEV_SPLITS);
		assert_int_equal(rig_close(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_have_the_shapes_the_device_wants),
		cmocka_unit_test(pieces_meet_where_the_device_wants),
		cmocka_unit_test(the_flush_of_fua_waits_for_the_last_piece),
		cmocka_unit_test(the_first_error_wins_and_done_comes_after_the_last_piece),
		cmocka_unit_test(a_whole_larger_than_the_pool_and_others_behind_it),
		cmocka_unit_test(a_cancelled_whole_ends_with_what_the_driver_holds),
		cmocka_unit_test(more_misaligned_ios_than_bounce_buffers),
		cmocka_unit_test(data_survives_random_cuts),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
