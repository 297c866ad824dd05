/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes of a file on a disk of blocks: which I/O they become, and that no change undoes another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fake_bdev.h"
#include "vdpa/fusefile_io.h"

#define BLOCK 4096u
#define SLOTS 16
#define BUF   (8 * BLOCK)
#define AREA  (BUF + 2 * BLOCK)

static struct fusefile_io io;
static struct fusefile_slot *slots;
static uint8_t *areas;
static int status[SLOTS]; /* 1: not done */
static unsigned order[SLOTS], ndone;

static void on_done(struct fusefile_slot *slot, int err)
{
	unsigned i = (unsigned)(slot - slots);

	assert_int_equal(status[i], 1);
	status[i] = err;
	order[ndone++] = i;
}

static int set_up(void **state)
{
	(void)state;
	if (rig_open(&(struct bdev_limits){ .block_bytes = BLOCK, .buf_align = 512, .has_flush = true, .has_fua = true,
					    .zeroes_max = 1 << 20 }))
		return -1;
	rig.fake.trace[0] = '\0';
	for (unsigned i = 0; i < RIG_BYTES; i++)
		rig.fake.data[i] = (uint8_t)(i >> 8);
	slots = aligned_alloc(64, CC_ALIGN_UP(SLOTS * sizeof(*slots), 64ul));
	areas = aligned_alloc(4096, SLOTS * (AREA + BLOCK));
	memset(slots, 0, SLOTS * sizeof(*slots));
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].data = areas + i * (AREA + BLOCK);
		slots[i].edge = slots[i].data + AREA;
	}
	ndone = 0;
	fusefile_io_init(&io, rig.chan, on_done);
	return 0;
}

static int tear_down(void **state)
{
	unsigned broken = io.nheld || io.nedged;

	(void)state;
	rig_settle();
	free(slots);
	free(areas);
	return broken + rig_close() ? -1 : 0;
}

static void ask(unsigned i, enum fusefile_op op, uint64_t off, uint64_t len, uint8_t fill)
{
	if (op == FUSEFILE_WRITE)
		memset(slots[i].data, fill, len);
	slots[i].op = op;
	slots[i].bio_flags = 0;
	slots[i].off = off;
	slots[i].len = len;
	status[i] = 1;
	fusefile_io_submit(&io, &slots[i]);
	assert_int_equal(status[i], 1); /* never from inside */
}

static void ended_well(unsigned i)
{
	rig_settle();
	assert_int_equal(status[i], 0);
}

static void a_range_is_cut_at_blocks(void **state)
{
	static const struct {
		uint64_t off, len;
		struct fusefile_plan plan;
	} rows[] = {
		{ 0, 4096, { .off = 0, .end = 4096, .mid_off = 0, .mid_len = 4096 } },
		{ 4096, 8192, { .off = 4096, .end = 12288, .mid_off = 4096, .mid_len = 8192 } },
		{ 0, 1, { .off = 0, .end = 4096, .tail_off = 0, .tail_len = 1 } },
		{ 4095, 1, { .off = 0, .end = 4096, .head_off = 0, .head_at = 4095, .head_len = 1 } },
		{ 5000, 10, { .off = 4096, .end = 8192, .head_off = 4096, .head_at = 904, .head_len = 10 } },
		{ 4095, 2, { .off = 0, .end = 8192, .head_off = 0, .head_at = 4095, .head_len = 1,
			     .tail_off = 4096, .tail_len = 1 } },
		{ 512, 12288, { .off = 0, .end = 16384, .head_off = 0, .head_at = 512, .head_len = 3584, .mid_off = 4096,
				.mid_len = 8192, .tail_off = 12288, .tail_len = 512 } },
		{ 4096, 4097, { .off = 4096, .end = 12288, .mid_off = 4096, .mid_len = 4096, .tail_off = 8192, .tail_len = 1 } },
		{ 100, 3996, { .off = 0, .end = 4096, .head_off = 0, .head_at = 100, .head_len = 3996 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fusefile_plan *want = &rows[i].plan;
		struct fusefile_plan p;

		fusefile_plan_make(rows[i].off, rows[i].len, BLOCK, &p);
		assert_int_equal(p.off, want->off);
		assert_int_equal(p.end, want->end);
		assert_int_equal(p.mid_len, want->mid_len);
		assert_int_equal(p.head_len, want->head_len);
		assert_int_equal(p.tail_len, want->tail_len);
		assert_int_equal(p.head_len + p.mid_len + p.tail_len, rows[i].len);
		if (want->mid_len)
			assert_int_equal(p.mid_off, want->mid_off);
		if (want->head_len) {
			assert_int_equal(p.head_off, want->head_off);
			assert_int_equal(p.head_at, want->head_at);
		}
		if (want->tail_len)
			assert_int_equal(p.tail_off, want->tail_off);
	}
}

static void whole_blocks_are_one_io(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 8192, 8192, 0xaa);
	ended_well(0);
	ask(0, FUSEFILE_READ, 8192, 8192, 0);
	ended_well(0);
	ask(0, FUSEFILE_FLUSH, 0, 0, 0);
	ended_well(0);
	ask(0, FUSEFILE_ZERO, 4096, 4096, 0);
	ended_well(0);
	assert_string_equal(rig.fake.trace, "W 8192+8192\nR 8192+8192\nF 0+0\nZ 4096+4096\n");
}

static void any_byte_is_read(void **state)
{
	(void)state;
	ask(0, FUSEFILE_READ, 4095, 258, 0);
	ended_well(0);
	assert_string_equal(rig.fake.trace, "R 0+8192\n");
	assert_memory_equal(fusefile_slot_bytes(&slots[0]), rig.fake.data + 4095, 258);
}

static void any_byte_is_written_and_no_other(void **state)
{
	uint8_t *want = malloc(RIG_BYTES);

	(void)state;
	memcpy(want, rig.fake.data, RIG_BYTES);
	memset(want + 4000, 0x5a, 9000);
	ask(0, FUSEFILE_WRITE, 4000, 9000, 0x5a);
	ended_well(0);
	assert_memory_equal(rig.fake.data, want, RIG_BYTES);
	memset(want + 20001, 0, 50000);
	ask(1, FUSEFILE_ZERO, 20001, 50000, 0);
	ended_well(1);
	assert_memory_equal(rig.fake.data, want, RIG_BYTES);
	free(want);
}

/* Its edges are written with the flags of the whole; NOUNMAP is none of theirs. */
static void flags_reach_each_write(void **state)
{
	(void)state;
	slots[0].data[0] = 1;
	slots[0].op = FUSEFILE_WRITE;
	slots[0].bio_flags = BIO_FUA;
	slots[0].off = 0;
	slots[0].len = 4097;
	status[0] = 1;
	fusefile_io_submit(&io, &slots[0]);
	ended_well(0);
	assert_string_equal(rig.fake.trace, "W! 0+4096\nR 4096+4096\nW! 4096+4096\n");
	rig.fake.trace[0] = '\0';
	slots[1].op = FUSEFILE_ZERO;
	slots[1].bio_flags = BIO_NOUNMAP;
	slots[1].off = 0;
	slots[1].len = 4097;
	status[1] = 1;
	fusefile_io_submit(&io, &slots[1]);
	ended_well(1);
	assert_string_equal(rig.fake.trace, "Z~ 0+4096\nR 4096+4096\nW 4096+4096\n");
}

/* Both would read the block, and the later one put back what the first one has changed. */
static void two_parts_of_a_block_are_both_kept(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 0, 512, 0x11);
	ask(1, FUSEFILE_WRITE, 512, 512, 0x22);
	ask(2, FUSEFILE_ZERO, 1024, 512, 0);
	assert_int_equal(rig.fake.nheld, 1); /* the others wait */
	ended_well(0);
	ended_well(1);
	ended_well(2);
	assert_int_equal(rig.fake.data[511], 0x11);
	assert_int_equal(rig.fake.data[512], 0x22);
	assert_int_equal(rig.fake.data[1023], 0x22);
	assert_int_equal(rig.fake.data[1024], 0);
	assert_int_equal(rig.fake.data[1536], 6);
}

/* The whole block, while a part of it is changed: before or after it, not between its read and its write. */
static void a_whole_block_waits_for_a_part_of_it(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 0, 512, 0x11);
	ask(1, FUSEFILE_WRITE, 0, 8192, 0x22);
	ask(2, FUSEFILE_WRITE, 8192, 4096, 0x33); /* has nothing to do with it */
	assert_int_equal(rig.fake.nheld, 2);
	ended_well(2);
	ended_well(1);
	ended_well(0);
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(rig.fake.data[i], 0x22);
}

static void a_part_waits_for_the_whole_block(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 0, 4096, 0x11);
	ask(1, FUSEFILE_WRITE, 100, 100, 0x22);
	assert_int_equal(rig.fake.nheld, 1);
	ended_well(1);
	assert_int_equal(rig.fake.data[99], 0x11);
	assert_int_equal(rig.fake.data[100], 0x22);
	assert_int_equal(rig.fake.data[4095], 0x11);
}

/* Whole blocks and reads never wait for each other. */
static void what_is_aligned_goes_side_by_side(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 0, 8192, 0x11);
	ask(1, FUSEFILE_WRITE, 4096, 8192, 0x22);
	ask(2, FUSEFILE_READ, 1, 100, 0);
	assert_int_equal(rig.fake.nheld, 3);
	ended_well(0);
}

/* Nobody overtakes one that waits for the same block, and the queue runs dry. */
static void who_waits_keeps_his_place(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SLOTS; i++)
		ask(i, FUSEFILE_WRITE, i % 2 ? 4096 : 4000, 4096, (uint8_t)(0x40 + i));
	assert_int_equal(rig.fake.nheld, 1);
	rig_settle();
	assert_int_equal(ndone, SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(order[i], i);
	assert_int_equal(rig.fake.data[4000], 0x40 + SLOTS - 2);
	assert_int_equal(rig.fake.data[4096], 0x40 + SLOTS - 1);
}

/* A read that fails is not written back, and who waits goes on. */
static void a_failure_ends_it_at_once(void **state)
{
	(void)state;
	ask(0, FUSEFILE_WRITE, 0, 512, 0x11);
	ask(1, FUSEFILE_WRITE, 512, 512, 0x22);
	rig.fake.fail_with = -EIO;
	fake_end(&rig.fake, 0);
	reactor_turn(rig.r);
	rig.fake.fail_with = 0;
	assert_int_equal(status[0], -EIO);
	ended_well(1);
	assert_int_equal(rig.fake.data[0], 0);
	assert_int_equal(rig.fake.data[512], 0x22);
}

/* Against a copy in memory: many at once, at random, where no two change the same byte. */
static void random_changes_are_all_kept(void **state)
{
	uint8_t *want = malloc(RIG_BYTES);
	unsigned seed = 7;

	(void)state;
	memcpy(want, rig.fake.data, RIG_BYTES);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t at = (uint64_t)(rand_r(&seed) % (RIG_BYTES / 2));

		ndone = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			uint64_t len = 1 + (uint64_t)(rand_r(&seed) % 9000);
			uint8_t fill = (uint8_t)rand_r(&seed);
			bool zero = rand_r(&seed) % 4 == 0;

			memset(want + at, zero ? 0 : fill, len);
			ask(i, zero ? FUSEFILE_ZERO : FUSEFILE_WRITE, at, len, fill);
			at += len;
		}
		rig_settle(); /* in random order */
		assert_int_equal(ndone, SLOTS);
		assert_memory_equal(rig.fake.data, want, RIG_BYTES);
	}
	free(want);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_range_is_cut_at_blocks),
		T(whole_blocks_are_one_io),
		T(any_byte_is_read),
		T(any_byte_is_written_and_no_other),
		T(flags_reach_each_write),
		T(two_parts_of_a_block_are_both_kept),
		T(a_whole_block_waits_for_a_part_of_it),
		T(a_part_waits_for_the_whole_block),
		T(what_is_aligned_goes_side_by_side),
		T(who_waits_keeps_his_place),
		T(a_failure_ends_it_at_once),
		T(random_changes_are_all_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
