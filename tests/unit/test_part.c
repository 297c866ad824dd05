/* SPDX-License-Identifier: BSD-3-Clause */
/* Partitions: found where fdisk has put them, with blocks of 512 and 4096 bytes; and tables that
 * lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "drivers/part/part.h"

#define MIB (1ULL << 20)

/* A disk image and how it was read. */
struct disk {
	char path[64];
	int fd, read_err;
	uint64_t read_bytes;
	struct part_source src;
};

static int read_image(void *arg, uint64_t off, void *buf, size_t len)
{
	struct disk *d = arg;

	assert_true(len > 0 && len <= PART_READ_BYTES);
	assert_int_equal(off % d->src.block_bytes, 0);
	assert_int_equal(len % d->src.block_bytes, 0);
	assert_int_equal((uintptr_t)buf % 4096, 0);
	assert_true(off + len <= d->src.bytes);
	d->read_bytes += len;
	if (d->read_err)
		return d->read_err;
	return pread(d->fd, buf, len, (off_t)off) == (ssize_t)len ? 0 : -EIO;
}

static void make(struct disk *d, uint64_t bytes, uint32_t block)
{
	*d = (struct disk){ .path = "/tmp/nvring-test-XXXXXX" };
	d->fd = mkstemp(d->path);
	assert_true(d->fd >= 0);
	assert_int_equal(ftruncate(d->fd, (off_t)bytes), 0);
	d->src = (struct part_source){
		.read = read_image, .arg = d, .bytes = bytes, .block_bytes = block
	};
}

/* A table by fdisk, from a script for sfdisk, which in Debian 12 cannot be told the size of the
 * blocks. */
static void make_table(struct disk *d, uint64_t bytes, uint32_t block, const char *script)
{
	char command[256], path[80];
	FILE *f;

	make(d, bytes, block);
	(void)snprintf(path, sizeof(path), "%s.script", d->path);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(script, f);
	fclose(f);
	(void)snprintf(command, sizeof(command),
		       "PATH=$PATH:/usr/sbin:/sbin fdisk -b %u %s >%s.log 2>&1", block, d->path,
		       path);
	f = popen(command, "w");
	assert_non_null(f);
	fprintf(f, "I\n%s\nw\n", path);
	if (pclose(f) != 0)
		fail_msg("fdisk made no table, see %s.log (Debian's package is fdisk)", path);
	unlink(path);
	(void)snprintf(command, sizeof(command), "%s.log", path);
	unlink(command);
}

static void drop(struct disk *d)
{
	close(d->fd);
	unlink(d->path);
}

static void expect(struct disk *d, const char *which, uint64_t off, uint64_t bytes)
{
	uint64_t got_off = 1, got_bytes = 1;
	struct errbuf eb = { "" };

	if (part_find(&d->src, which, &got_off, &got_bytes, &eb))
		fail_msg("%s: %s", which, eb.text);
	assert_int_equal(got_off, off);
	assert_int_equal(got_bytes, bytes);
}

static void refuse(struct disk *d, const char *which, int err, const char *why)
{
	uint64_t off = 7, bytes = 7;
	struct errbuf eb = { "" };

	assert_int_equal(part_find(&d->src, which, &off, &bytes, &eb), err);
	if (!strstr(eb.text, why))
		fail_msg("'%s' says nothing of '%s'", eb.text, why);
	for (const char *s = eb.text; *s; s++)
		assert_true((unsigned char)*s >= 0x20);
	assert_int_equal(off, 7); /* nothing is written on error */
	assert_int_equal(bytes, 7);
}

static void poke(struct disk *d, uint64_t off, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(d->fd, bytes, len, (off_t)off), len);
}

#define GPT_SCRIPT                                                                  \
	"label: gpt\n"                                                              \
	"start=%u, size=%u, name=boot, uuid=11111111-2222-3333-4444-555555555555\n" \
	"start=%u, size=%u, name=root, uuid=AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee\n" \
	"start=%u, size=%u, name=twin\n"                                            \
	"start=%u, size=%u, name=twin\n"

/* Partitions of 1, 2, 3 and 4 MiB that begin at 1, 2, 4 and 7 MiB. */
static void make_gpt(struct disk *d, uint64_t bytes, uint32_t block)
{
	unsigned mib = (unsigned)(MIB / block);
	char script[512];

	(void)snprintf(script, sizeof(script), GPT_SCRIPT, mib, mib, 2 * mib, 2 * mib, 4 * mib,
		       3 * mib, 7 * mib, 4 * mib);
	make_table(d, bytes, block, script);
}

static void gpt(void **state)
{
	static const uint32_t blocks[] = { 512, 4096 };
	static const uint64_t sizes[] = { 16 * MIB, 1ULL << 40 };
	struct disk d;

	for (unsigned i = 0; i < ARRAY_SIZE(blocks) * ARRAY_SIZE(sizes); i++) {
		make_gpt(&d, sizes[i / 2], blocks[i % 2]);
		expect(&d, "1", 1 * MIB, 1 * MIB);
		assert_true(d.read_bytes <= 4 * MIB); /* of a terabyte */
		expect(&d, "2", 2 * MIB, 2 * MIB);
		expect(&d, "name:root", 2 * MIB, 2 * MIB);
		expect(&d, "root", 2 * MIB, 2 * MIB);
		expect(&d, "uuid:aaaaaaaa-BBBB-cccc-dddd-eeeeeeeeeeee", 2 * MIB, 2 * MIB);
		expect(&d, "11111111-2222-3333-4444-555555555555", 1 * MIB, 1 * MIB);
		expect(&d, "4", 7 * MIB, 4 * MIB);
		refuse(&d, "name:twin", -ENOTUNIQ,
		       "2 partitions are 'twin'; mend: take its number");
		refuse(&d, "5", -ENOENT,
		       "no partition '5'; there are 1 (boot), 2 (root), 3 (twin), 4");
		refuse(&d, "name:1", -ENOENT, "no partition '1'");
		refuse(&d, "uuid:root", -ENOENT, "no partition 'root'");
		drop(&d);
	}
}

/* The disk says 4096 now and was partitioned with 512: nothing is where it was, and the MBR that
 * protects a GPT is no table of its own. */
static void gpt_of_other_blocks(void **state)
{
	struct disk d;

	make_gpt(&d, 16 * MIB, 512);
	d.src.block_bytes = 4096;
	refuse(&d, "2", -ENODEV, "no partition table");
	drop(&d);
}

static void gpt_from_its_backup(void **state)
{
	static const char zeroes[16] = "";
	struct disk d;

	make_gpt(&d, 64 * MIB, 512);
	poke(&d, 512, zeroes, sizeof(zeroes));
	expect(&d, "root", 2 * MIB, 2 * MIB);
	drop(&d);
}

static void mbr(void **state)
{
	static const uint32_t blocks[] = { 512, 4096 };
	struct disk d;

	for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
		unsigned mib = (unsigned)(MIB / blocks[i]);
		char script[512];

		/* Logical partitions lie far from head and tail. */
		(void)snprintf(script, sizeof(script),
			       "label: dos\nlabel-id: 0x5a3b2c1d\n"
			       "start=%u, size=%u, type=83\nstart=%u, size=%u, type=5\n"
			       "start=%u, size=%u, type=83\nstart=%u, size=%u, type=83\n",
			       mib, mib, 10 * mib, 40 * mib, 11 * mib, 5 * mib, 20 * mib, 6 * mib);
		make_table(&d, 64 * MIB, blocks[i], script);
		expect(&d, "1", 1 * MIB, 1 * MIB);
		expect(&d, "5", 11 * MIB, 5 * MIB);
		expect(&d, "6", 20 * MIB, 6 * MIB);
		expect(&d, "uuid:5a3b2c1d-01", 1 * MIB, 1 * MIB);
		expect(&d, "5A3B2C1D-06", 20 * MIB, 6 * MIB);
		refuse(&d, "2", -ENOTBLK, "partition 2 is extended");
		refuse(&d, "3", -ENOENT, "there are 1, 2, 5, 6");
		refuse(&d, "root", -ENOENT, "no partition 'root'");
		drop(&d);
	}
}

/* One MBR entry by hand. */
static void poke_entry(struct disk *d, uint64_t at, unsigned char type, uint32_t start,
		       uint32_t size)
{
	unsigned char e[16] = { 0, 0, 0, 0, type };
	static const unsigned char signature[2] = { 0x55, 0xaa };

	for (unsigned i = 0; i < 4; i++) {
		e[8 + i] = (unsigned char)(start >> 8 * i);
		e[12 + i] = (unsigned char)(size >> 8 * i);
	}
	poke(d, at + 446, e, sizeof(e));
	poke(d, at + 510, signature, sizeof(signature));
}

static void beyond_the_end(void **state)
{
	static const struct {
		uint32_t start, size;
	} rows[] = { { 2048, 0xffffffff }, { 0xfffffff0, 16 }, { 32768, 1 }, { 32767, 2 } };
	struct disk d;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make(&d, 16 * MIB, 512);
		poke_entry(&d, 0, 0x83, rows[i].start, rows[i].size);
		refuse(&d, "1", -ERANGE, "partition 1 reaches beyond the end of the disk");
		drop(&d);
	}
	make(&d, 16 * MIB, 512);
	poke_entry(&d, 0, 0x83, 32767, 1);
	expect(&d, "1", 16 * MIB - 512, 512);
	drop(&d);
}

/* The chain of extended records runs in a circle, or off the disk. */
static void a_chain_without_an_end(void **state)
{
	struct disk d;

	make(&d, 16 * MIB, 512);
	poke_entry(&d, 0, 0x05, 8192, 8192);
	poke_entry(&d, 8192 * 512, 0x05, 0, 1);
	refuse(&d, "5", -ENOENT, "no partition '5'");
	poke_entry(&d, 8192 * 512, 0x05, 0xfffffff0, 1);
	refuse(&d, "5", -ENOENT, "no partition '5'");
	assert_true(d.read_bytes < 16 * MIB);
	drop(&d);
}

static void no_table(void **state)
{
	struct disk d;

	make(&d, 16 * MIB, 512);
	refuse(&d, "1", -ENODEV, "no partition table");
	drop(&d);
	make(&d, 512, 512);
	refuse(&d, "1", -ENODEV, "no partition table");
	drop(&d);
	make_table(&d, 16 * MIB, 512, "label: gpt\n");
	refuse(&d, "1", -ENOENT, "the table is empty");
	drop(&d);
}

static void questions_that_are_none(void **state)
{
	static const char *const rows[] = {
		"", "name:", "uuid:", "12345678901234567890",
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	};
	struct disk d;

	make_gpt(&d, 16 * MIB, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		refuse(&d, rows[i], -EINVAL, "a partition is a number, name:TEXT or uuid:UUID");
	refuse(&d, "-1", -ENOENT, "no partition '-1'");
	refuse(&d, "0", -ENOENT, "no partition '0'");
	refuse(&d, "a\nb", -ENOENT, "no partition 'a?b'");
	d.src.block_bytes = 520;
	refuse(&d, "1", -EINVAL, "blocks of 520 bytes");
	d.src.block_bytes = 512;
	d.src.bytes = 0;
	refuse(&d, "1", -EINVAL, "a disk of 0 bytes");
	d.src.bytes = 1ULL << 63;
	refuse(&d, "1", -EINVAL, "a disk of 9223372036854775808 bytes");
	drop(&d);
}

/* Names come from the disk. */
static void a_name_with_control_characters(void **state)
{
	struct disk d;

	make_table(&d, 16 * MIB, 512, "label: gpt\nsize=2048, name=\"a\x1b[31mb\"\n");
	refuse(&d, "9", -ENOENT, "there are 1 (a?[31mb)");
	drop(&d);
}

static void a_list_that_is_too_long(void **state)
{
	char script[4096] = "label: gpt\n";
	struct disk d;

	for (unsigned i = 0; i < 20; i++)
		(void)snprintf(script + strlen(script), sizeof(script) - strlen(script),
			       "size=8, name=a-rather-long-name-of-partition-%02u\n", i);
	make_table(&d, 16 * MIB, 512, script);
	refuse(&d, "99", -ENOENT, ", …");
	drop(&d);
}

static void a_disk_that_does_not_read(void **state)
{
	struct disk d;

	make_gpt(&d, 16 * MIB, 512);
	d.read_err = -ETIMEDOUT;
	refuse(&d, "1", -ETIMEDOUT, "cannot read the partition table at byte 0");
	drop(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt),
		cmocka_unit_test(gpt_of_other_blocks),
		cmocka_unit_test(gpt_from_its_backup),
		cmocka_unit_test(mbr),
		cmocka_unit_test(beyond_the_end),
		cmocka_unit_test(a_chain_without_an_end),
		cmocka_unit_test(no_table),
		cmocka_unit_test(questions_that_are_none),
		cmocka_unit_test(a_name_with_control_characters),
		cmocka_unit_test(a_list_that_is_too_long),
		cmocka_unit_test(a_disk_that_does_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
