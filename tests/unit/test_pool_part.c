/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools on a disk: what is written where, what is left alone, and what a crash at any point leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "core/base/log.h"
#include "tools/pool/pool.h"
#include "tools/pool/pool_gpt.h"

#define MIB	   (UINT64_C(1) << 20)
#define DISK_BYTES (16 * MIB)
#define PENDING_MAX 256

/* A disk with a cache: what was written since the last flush is on it, and lost in any part when the power goes. */
struct pending {
	uint64_t block;
	uint8_t *was;
};

struct rig {
	uint8_t *bytes;
	uint64_t size;
	uint32_t block;
	struct pending pending[PENDING_MAX];
	unsigned npending;
	unsigned writes_left; /* blocks, then it is dead */
	uint64_t discarded[2];
	struct pool *pool;
	struct errbuf eb;
};

static int rig_read(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct rig *r = arg;

	assert_true(off % r->block == 0 && len % r->block == 0 && off + len <= r->size);
	memcpy(buf, r->bytes + off, len);
	return 0;
}

static void remember(struct rig *r, uint64_t off)
{
	struct pending *p = &r->pending[r->npending++];

	assert_true(r->npending <= PENDING_MAX);
	p->block = off;
	p->was = malloc(r->block);
	memcpy(p->was, r->bytes + off, r->block);
}

static int rig_write(void *arg, uint64_t off, const void *buf, size_t len)
{
	struct rig *r = arg;

	assert_true(off % r->block == 0 && len % r->block == 0 && off + len <= r->size);
	for (size_t at = 0; at < len; at += r->block) {
		if (!r->writes_left)
			return -EIO;
		r->writes_left--;
		remember(r, off + at);
		memcpy(r->bytes + off + at, (const uint8_t *)buf + at, r->block);
	}
	return 0;
}

static int rig_flush(void *arg)
{
	struct rig *r = arg;

	if (!r->writes_left)
		return -EIO;
	for (unsigned i = 0; i < r->npending; i++)
		free(r->pending[i].was);
	r->npending = 0;
	return 0;
}

static int rig_zero(void *arg, uint64_t off, uint64_t len)
{
	struct rig *r = arg;

	assert_true(off % r->block == 0 && len % r->block == 0 && off + len <= r->size);
	if (!r->writes_left)
		return -EIO;
	memset(r->bytes + off, 0, len);
	return 0;
}

static int rig_discard(void *arg, uint64_t off, uint64_t len)
{
	struct rig *r = arg;

	assert_true(off + len <= r->size);
	r->discarded[0] = off;
	r->discarded[1] = len;
	return 0;
}

static void rig_size(void *arg, uint32_t *ret_block_bytes, uint64_t *ret_blocks)
{
	const struct rig *r = arg;

	*ret_block_bytes = r->block;
	*ret_blocks = r->size / r->block;
}

static void open_pool(struct rig *r)
{
	struct pool_disk disk = { rig_read, rig_write, rig_flush, rig_zero, rig_discard, rig_size, r };

	pool_close(r->pool);
	r->writes_left = UINT32_MAX;
	assert_int_equal(pool_open_disk("p", "nvme:x/1", &disk, &r->pool, &r->eb), 0);
}

/* The power goes: each block that was not flushed is as before or as after, by @seed. Last first: one may be there twice. */
static void lose_power(struct rig *r, unsigned seed)
{
	while (r->npending) {
		struct pending *p = &r->pending[--r->npending];

		if (rand_r(&seed) & 1)
			memcpy(r->bytes + p->block, p->was, r->block);
		free(p->was);
	}
}

static int setup_with(void **state, uint32_t block)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->bytes = calloc(1, DISK_BYTES);
	r->size = DISK_BYTES;
	r->block = block;
	open_pool(r);
	assert_int_equal(pool_init(r->pool, false, &r->eb), 0);
	*state = r;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 512);
}

static int setup_4k(void **state)
{
	return setup_with(state, 4096);
}

static int teardown(void **state)
{
	struct rig *r = *state;

	pool_close(r->pool);
	(void)rig_flush(r);
	free(r->bytes);
	free(r);
	return 0;
}

/* "name@MiB+MiB name…" */
static const char *listed(struct rig *r)
{
	static char text[4096];
	struct pool_volume *v;
	size_t n, at = 0;

	text[0] = '\0';
	if (pool_list(r->pool, &v, &n, &r->eb))
		return "?";
	for (size_t i = 0; i < n; i++) {
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s@%g+%g", i ? " " : "", v[i].name,
				       (double)v[i].off / MIB, (double)v[i].bytes / MIB);
		assert_int_equal(v[i].off % MIB, 0);
	}
	free(v);
	return text;
}

static int create(struct rig *r, const char *name, uint64_t mib)
{
	return pool_create(r->pool, name, mib * MIB, &r->eb);
}

#define check_said(r, said)                                                              \
	do {                                                                             \
		if (!strstr((r)->eb.text, (said)))                                       \
			fail_msg("\"%s\" is not said in \"%s\"", (said), (r)->eb.text);  \
	} while (0)

static void test_first_fit(void **state)
{
	struct rig *r = *state;
	struct pool_space space;

	assert_string_equal(listed(r), "");
	assert_int_equal(create(r, "a", 4), 0);
	assert_int_equal(create(r, "b", 4), 0);
	assert_int_equal(create(r, "c", 2), 0);
	assert_int_equal(create(r, "a", 1), -EEXIST);
	check_said(r, "nvme:x/1/a is there already");
	assert_int_equal(pool_remove(r->pool, "b", &r->eb), 0);
	assert_true(r->discarded[0] == 5 * MIB && r->discarded[1] == 4 * MIB);
	assert_int_equal(create(r, "e", 5), -ENOSPC);
	check_said(r, "the largest piece that is free has");
	assert_int_equal(create(r, "d", 1), 0);
	assert_string_equal(listed(r), "a@1+4 c@9+2 d@5+1");
	assert_int_equal(pool_space(r->pool, &space, &r->eb), 0);
	assert_int_equal(space.bytes, DISK_BYTES);
	assert_true(space.free_bytes < 8 * MIB && space.free_bytes > 7 * MIB); /* 3, and 5 but for the backup */
	assert_int_equal(pool_remove(r->pool, "x", &r->eb), -ENOENT);
	open_pool(r);
	assert_string_equal(listed(r), "a@1+4 c@9+2 d@5+1");
}

static void test_resize(void **state)
{
	struct rig *r = *state;

	assert_int_equal(create(r, "a", 2), 0);
	assert_int_equal(create(r, "b", 2), 0);
	assert_int_equal(pool_resize(r->pool, "a", 3 * MIB, true, &r->eb), -ENOSPC);
	check_said(r, "0 bytes are free right behind it");
	assert_int_equal(pool_resize(r->pool, "b", 1 * MIB, false, &r->eb), -ERANGE);
	check_said(r, "ask for it (shrink)");
	assert_int_equal(pool_resize(r->pool, "b", 1 * MIB, true, &r->eb), 0);
	assert_true(r->discarded[0] == 4 * MIB && r->discarded[1] == 1 * MIB);
	memset(r->bytes + 4 * MIB, 0x77, 4 * MIB); /* what somebody had there */
	assert_int_equal(pool_resize(r->pool, "b", 5 * MIB, false, &r->eb), 0);
	assert_true(r->bytes[4 * MIB] == 0 && r->bytes[8 * MIB - 1] == 0);
	assert_string_equal(listed(r), "a@1+2 b@3+5");
	assert_int_equal(pool_resize(r->pool, "x", 5 * MIB, false, &r->eb), -ENOENT);
	assert_int_equal(pool_resize(r->pool, "b", 5 * MIB + 512, false, &r->eb), -EINVAL);
}

/* Nobody finds in a new volume what another had in it. */
static void test_new_is_zero(void **state)
{
	struct rig *r = *state;

	assert_int_equal(create(r, "a", 2), 0);
	memset(r->bytes + MIB, 0x55, 2 * MIB);
	assert_int_equal(pool_remove(r->pool, "a", &r->eb), 0);
	assert_int_equal(create(r, "b", 2), 0);
	assert_true(r->bytes[MIB] == 0 && memcmp(r->bytes + MIB, r->bytes + MIB + 1, 2 * MIB - 1) == 0);
}

static void test_as_many_as_there_can_be(void **state)
{
	struct rig *r = *state;
	char name[16];

	r->size = 256 * MIB;
	r->bytes = realloc(r->bytes, r->size);
	memset(r->bytes + DISK_BYTES, 0, r->size - DISK_BYTES);
	for (unsigned i = 0; i < POOL_GPT_ENTRIES; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		assert_int_equal(create(r, name, 1), 0);
	}
	assert_int_equal(create(r, "more", 1), -ENOSPC);
	check_said(r, "has 128 partitions");
	assert_int_equal(create(r, "a23456789012345678901234567890123456", 1), -ENOSPC);
	assert_int_equal(create(r, "a234567890123456789012345678901234567", 1), -ENAMETOOLONG);
}

/* A disk that has grown: the backup copy moves to the new end with the first call. */
static void test_grown(void **state)
{
	struct rig *r = *state;

	assert_int_equal(create(r, "a", 2), 0);
	r->size = 32 * MIB;
	r->bytes = realloc(r->bytes, r->size);
	memset(r->bytes + DISK_BYTES, 0, DISK_BYTES);
	assert_int_equal(create(r, "b", 20), 0);
	memset(r->bytes + r->block, 0, r->block);
	open_pool(r);
	assert_string_equal(listed(r), "a@1+2 b@3+20");
	r->size = DISK_BYTES;
	open_pool(r);
	assert_string_equal(listed(r), "?");
	check_said(r, "of a larger disk");
}

/* Whichever copy is damaged, the other counts, and both are whole afterwards. */
static void test_one_copy_is_damaged(void **state)
{
	struct rig *r = *state;
	uint64_t last = r->size - r->block;
	uint64_t places[] = { r->block, 2 * r->block + 56, last + 16, last - 16384 + 40 };

	assert_int_equal(create(r, "a", 2), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		uint8_t *good = malloc(r->size);

		memcpy(good, r->bytes, r->size);
		r->bytes[places[i]] ^= 0x10;
		open_pool(r);
		assert_string_equal(listed(r), "a@1+2");
		assert_memory_equal(good, r->bytes, r->size);
		free(good);
	}
	r->bytes[places[0]] ^= 0x10;
	r->bytes[places[2]] ^= 0x10;
	assert_string_equal(listed(r), "?");
	check_said(r, "is no pool yet; mend: nvring pool init p");
}

/*
 * What is left alone
 */

static void check_untouched(struct rig *r, const char *said)
{
	uint8_t *was = malloc(r->size);
	struct pool_volume v;

	memcpy(was, r->bytes, r->size);
	open_pool(r);
	assert_string_equal(listed(r), "?");
	check_said(r, said);
	assert_int_not_equal(create(r, "a", 1), 0);
	assert_int_not_equal(pool_remove(r->pool, "v", &r->eb), 0);
	assert_int_not_equal(pool_find(r->pool, "v", &v, &r->eb), 0);
	assert_int_not_equal(pool_init(r->pool, false, &r->eb), 0);
	assert_memory_equal(was, r->bytes, r->size);
	free(was);
}

static void test_left_alone(void **state)
{
	struct rig *r = *state;

	assert_int_equal(create(r, "v", 2), 0);
	memset(r->bytes, 0, r->block); /* mkfs.ext4 does so; the copies of our table are still there */
	check_untouched(r, "is no pool yet");
	check_said(r, "is not empty: left as it is; mend, if nothing on it is needed: nvring pool init p --force");
	memset(r->bytes, 0, r->size);
	r->bytes[65536 + 64] = '_'; /* a file system that begins late */
	check_untouched(r, "is no pool yet");
	memset(r->bytes, 0, r->size);
	r->bytes[r->size - 8192] = 1; /* a RAID's superblock */
	check_untouched(r, "is no pool yet");
	assert_int_equal(pool_init(r->pool, true, &r->eb), 0);
	assert_int_equal(r->bytes[r->size - 8192], 0);
	assert_string_equal(listed(r), "");
	assert_int_equal(pool_init(r->pool, true, &r->eb), -EEXIST);
	check_said(r, "is a pool already");
}

/* Both copies again, as @t says, with the right checksums. */
static void put_table(struct rig *r, const struct pool_gpt *t)
{
	for (enum pool_gpt_copy copy = POOL_GPT_PRIMARY; copy <= POOL_GPT_BACKUP; copy++)
		pool_gpt_build(t, copy, r->bytes + pool_gpt_header_at(t, copy) * r->block,
			       r->bytes + pool_gpt_entries_at(t, copy) * r->block);
}

static void get_table(struct rig *r, struct pool_gpt *ret)
{
	*ret = (struct pool_gpt){ .block_bytes = r->block, .blocks = r->size / r->block };
	assert_int_equal(pool_gpt_parse(r->bytes + r->block, r->bytes + 2 * r->block, POOL_GPT_PRIMARY, ret, &r->eb), 0);
}

/* A prefix is another name, in both directions; the longest name fills its place to the last character. */
static void test_names(void **state)
{
	static const uint8_t guid[POOL_GPT_GUID_BYTES] = { 1 };
	char longest[POOL_GPT_NAME_MAX + 2], got[POOL_GPT_NAME_MAX + 1];
	struct pool_gpt_part p = { 0 };

	pool_gpt_part_set(&p, "vol1", 34, 40, guid);
	assert_true(pool_gpt_part_has_name(&p, "vol1"));
	assert_false(pool_gpt_part_has_name(&p, "vol"));
	assert_false(pool_gpt_part_has_name(&p, "vol10"));
	assert_false(pool_gpt_part_has_name(&p, ""));
	memset(longest, 'x', sizeof(longest));
	longest[POOL_GPT_NAME_MAX] = '\0';
	pool_gpt_part_set(&p, longest, 34, 40, guid);
	pool_gpt_part_get_name(&p, got);
	assert_string_equal(got, longest);
	assert_true(pool_gpt_part_has_name(&p, longest));
	longest[POOL_GPT_NAME_MAX] = 'x';
	longest[POOL_GPT_NAME_MAX + 1] = '\0';
	assert_false(pool_gpt_part_has_name(&p, longest));
}

static void test_another_table(void **state)
{
	struct rig *r = *state;
	struct pool_gpt t;

	get_table(r, &t);
	t.guid[0] ^= 1;
	put_table(r, &t);
	check_untouched(r, "has a partition table that nvring did not make");
}

/* Tables with our mark and right checksums that cannot be. */
static void test_impossible_tables(void **state)
{
	struct rig *r = *state;
	struct pool_gpt good, t;
	uint64_t room[2];

	assert_int_equal(create(r, "v", 2), 0);
	assert_int_equal(create(r, "w", 2), 0);
	get_table(r, &good);
	pool_gpt_room(&good, room);

	t = good;
	t.parts[1].first = t.parts[0].last;
	put_table(r, &t);
	check_untouched(r, "partitions 1 and 2 overlap");
	t = good;
	t.parts[0].last = t.parts[0].first - 1;
	put_table(r, &t);
	check_untouched(r, "are not where one may be");
	t = good;
	t.parts[1].last = UINT64_MAX;
	put_table(r, &t);
	check_untouched(r, "are not where one may be");
	t = good;
	t.parts[1].last = room[1] + 1;
	put_table(r, &t);
	check_untouched(r, "partition 2: blocks");
	t = good;
	t.parts[0].first = room[0] - 1;
	put_table(r, &t);
	check_untouched(r, "partition 1: blocks");
	t = good;
	t.parts[0].name[0] = '/';
	put_table(r, &t);
	check_untouched(r, "its name is none of a volume");
	t = good;
	t.parts[0].name[0] = 0x176; /* looks like a v to who drops the upper byte */
	put_table(r, &t);
	check_untouched(r, "its name is none of a volume");
	t = good;
	t.parts[1].name[0] = 'v';
	put_table(r, &t);
	check_untouched(r, "partitions 1 and 2 have the same name");
}

/* One number in a header, and its checksum, which is computed by something else than the code under test. */
static uint32_t slow_crc(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < 8 * len; i++) {
		uint32_t bit = (crc ^ p[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void poke(uint8_t *header, unsigned at, uint64_t value, unsigned len)
{
	le64 v = le64_make(value);
	uint32_t crc;

	memcpy(header + at, &v, len);
	memset(header + 16, 0, 4);
	crc = slow_crc(header, 92);
	memcpy(header + 16, &crc, 4);
}

static void test_headers(void **state)
{
	static const struct {
		unsigned at, len;
		uint64_t value;
		const char *said;
	} cases[] = {
		{ 8, 4, 0x20000, "another form" },
		{ 12, 4, 512, "did not make" },
		{ 12, 4, UINT32_MAX, "did not make" },
		{ 24, 8, 2, "elsewhere" },
		{ 32, 8, UINT64_MAX, "of a larger disk" },
		{ 40, 8, 0, "another form" },
		{ 48, 8, UINT64_MAX, "of a larger disk" },
		{ 48, 8, 0, "of a larger disk" },
		{ 72, 8, UINT64_MAX, "elsewhere" },
		{ 80, 4, UINT32_MAX, "another form" },
		{ 80, 4, 0, "another form" },
		{ 84, 4, 0, "another form" },
		{ 84, 4, 1, "another form" },
		{ 84, 4, 0x80000000, "another form" },
	};
	struct rig *r = *state;
	uint8_t *good = malloc(r->size);

	memcpy(good, r->bytes, r->size);
	assert_int_equal(slow_crc((const uint8_t *)"123456789", 9), 0xcbf43926);
	poke(r->bytes + r->block, 24, 1, 8); /* as it was: the checksums agree */
	assert_memory_equal(good, r->bytes, r->size);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(r->bytes, good, r->size);
		poke(r->bytes + r->block, cases[i].at, cases[i].value, cases[i].len);
		check_untouched(r, cases[i].said);
	}
	free(good);
}

/* A partition that somebody else put into our table is kept as it is, and its place too. */
static void test_a_guest_in_the_table(void **state)
{
	struct rig *r = *state;
	struct pool_gpt t;

	get_table(r, &t);
	pool_gpt_part_set(&t.parts[5], "foreign", 2 * MIB / r->block, 3 * MIB / r->block - 1, t.guid);
	t.parts[5].type[0] ^= 1;
	t.parts[5].attrs = UINT64_C(1) << 60;
	put_table(r, &t);
	assert_int_equal(create(r, "foreign", 1), -EEXIST);
	assert_int_equal(pool_remove(r->pool, "foreign", &r->eb), -ENOENT);
	assert_int_equal(create(r, "a", 1), 0);
	assert_int_equal(create(r, "b", 1), 0);
	assert_string_equal(listed(r), "a@1+1 b@3+1");
	get_table(r, &t);
	assert_int_equal(t.parts[5].attrs, UINT64_C(1) << 60);
	assert_int_equal(t.parts[5].first, 2 * MIB / r->block);
}

/*
 * Crashes
 */

enum op {
	OP_CREATE,
	OP_GROW,
	OP_SHRINK,
	OP_REMOVE,
	OP_COUNT,
};

static int act(struct rig *r, enum op op)
{
	switch (op) {
	case OP_CREATE:
		return create(r, "c", 3);
	case OP_GROW:
		return pool_resize(r->pool, "b", 4 * MIB, false, &r->eb);
	case OP_SHRINK:
		return pool_resize(r->pool, "a", 1 * MIB, true, &r->eb);
	case OP_REMOVE:
		return pool_remove(r->pool, "a", &r->eb);
	case OP_COUNT:
		break;
	}
	return -EINVAL;
}

static const char *const after[] = { "a@1+2 b@3+1 c@4+3", "a@1+2 b@3+4", "a@1+1 b@3+1", "b@3+1" };
#define BEFORE "a@1+2 b@3+1"

/* What it was, where the table is: the rest does not matter here. */
static void restore(struct rig *r, const uint8_t *good)
{
	memcpy(r->bytes, good, 64 << 10);
	memcpy(r->bytes + r->size - (64 << 10), good + r->size - (64 << 10), 64 << 10);
}

/* The power goes after @writes blocks. True: it was early enough for that. */
static bool crash(struct rig *r, enum op op, unsigned writes, unsigned seed)
{
	char text[128];
	int err;

	r->writes_left = writes;
	err = act(r, op);
	lose_power(r, seed);
	open_pool(r);
	snprintf(text, sizeof(text), "%s", listed(r));
	if (strcmp(text, after[op]) != 0 && (!err || strcmp(text, BEFORE) != 0))
		fail_msg("op %d after %u blocks, seed %u: %s (%s)", op, writes, seed, text, r->eb.text);
	assert_true(pool_gpt_mbr_is(r->bytes));
	/* and it has been mended: the same by either copy */
	r->bytes[r->block + 16] ^= 1;
	assert_string_equal(listed(r), text);
	r->bytes[r->size - r->block + 16] ^= 1;
	assert_string_equal(listed(r), text);
	return err != 0;
}

static void test_power_goes(void **state)
{
	struct rig *r = *state;
	uint8_t *good = malloc(r->size);

	assert_int_equal(create(r, "a", 2), 0);
	assert_int_equal(create(r, "b", 1), 0);
	memcpy(good, r->bytes, r->size);
	for (enum op op = 0; op < OP_COUNT; op++) {
		bool is_early = true;

		for (unsigned writes = 0; is_early; writes++) {
			for (unsigned seed = 0; seed < 6; seed++) {
				restore(r, good);
				open_pool(r);
				is_early = crash(r, op, writes, seed + 100 * writes);
			}
			assert_true(writes < 200);
		}
	}
	free(good);
}

/* While a disk becomes a pool: it is one, or with the power back it is made one. */
static void test_power_goes_in_init(void **state)
{
	struct rig *r = *state;
	bool is_early = true;

	for (unsigned writes = 0; is_early; writes++) {
		memset(r->bytes, 0, r->size);
		open_pool(r);
		r->writes_left = writes;
		is_early = pool_init(r->pool, false, &r->eb) != 0;
		lose_power(r, writes);
		open_pool(r);
		if (strcmp(listed(r), "") != 0)
			assert_int_equal(pool_init(r->pool, true, &r->eb), 0);
		assert_string_equal(listed(r), "");
		assert_true(writes < 200);
	}
}

/* The power goes again while the damage is mended. */
static void test_power_goes_while_mending(void **state)
{
	struct rig *r = *state;
	uint8_t *good = malloc(r->size);

	assert_int_equal(create(r, "a", 2), 0);
	memcpy(good, r->bytes, r->size);
	for (unsigned writes = 0; writes < 40; writes++) {
		restore(r, good);
		memset(r->bytes + (writes & 1 ? r->block : r->size - r->block), 0xff, r->block);
		open_pool(r);
		r->writes_left = writes;
		(void)listed(r);
		lose_power(r, writes);
		open_pool(r);
		assert_string_equal(listed(r), "a@1+2");
	}
	free(good);
}

static void test_disks_that_cannot_be(void **state)
{
	struct rig *r = *state;

	r->size = 2 * MIB;
	assert_string_equal(listed(r), "?");
	check_said(r, "a pool has at least 4 MiB");
	r->size = DISK_BYTES;
	r->block = 131072;
	assert_string_equal(listed(r), "?");
	check_said(r, "blocks of 131072 bytes");
	r->block = 512;
	assert_string_equal(listed(r), "");
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, setup, teardown), \
		   { #test " 4k", test, setup_4k, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_first_fit),
		BOTH(test_resize),
		BOTH(test_new_is_zero),
		BOTH(test_as_many_as_there_can_be),
		BOTH(test_grown),
		BOTH(test_one_copy_is_damaged),
		BOTH(test_left_alone),
		cmocka_unit_test(test_names),
		BOTH(test_another_table),
		BOTH(test_impossible_tables),
		cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
		BOTH(test_a_guest_in_the_table),
		BOTH(test_power_goes),
		BOTH(test_power_goes_in_init),
		BOTH(test_power_goes_while_mending),
		cmocka_unit_test_setup_teardown(test_disks_that_cannot_be, setup, teardown),
	};

	log_set_level(LOG_LEVEL_WARN); /* what is mended is said, some hundred times here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
