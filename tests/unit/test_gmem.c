/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: what a front-end may and may not describe, tables as values, look-ups at every
 * border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/dma.h"
#include "vhost/virtq/gmem.h"

#define MIB 0x100000ull

static int memory(uint64_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* @old is given up for the new table. */
static struct gmem *add(struct gmem *old, int fd, uint64_t gpa, uint64_t len, uint64_t off)
{
	struct gmem_desc d = {
		.gpa = gpa, .uva = gpa + 0x7f0000000000, .len = len, .mmap_off = off, .fd = fd
	};
	struct gmem *g = NULL;

	assert_int_equal(gmem_add(old, &d, &g, NULL), 0);
	gmem_put(old);
	return g;
}

static void impossible_regions_are_refused(void **state)
{
	static const struct {
		uint64_t gpa, uva, len, off;
		int err;
		const char *what;
	} rows[] = {
		{ 0, 0, 0, 0, -EINVAL, "bytes" },
		{ UINT64_MAX - 4095, 0, MIB, 0, -EINVAL, "wraps" },
		{ 0, UINT64_MAX - 4095, MIB, 0, -EINVAL, "wraps" },
		{ 0, 0, MIB, UINT64_MAX - 4095, -EINVAL, "wraps" },
		{ 0, 0, MIB, INT64_MAX - 4095, -EINVAL, "wraps" },
		{ 0, 0, UINT64_MAX, 0, -EINVAL, "bytes" },
		{ 0, 0, 4 * MIB + 1, 0, -EINVAL, "its file has" },
		{ 0, 0, 4 * MIB, 4096, -EINVAL, "its file has" },
		{ 0x10000000 + MIB - 1, 0, MIB, 0, -EEXIST, "overlaps" },
		{ 0x10000000 - MIB + 1, 0, MIB, 0, -EEXIST, "overlaps" },
		{ 0x20000000, 0x7f0010000000, MIB, 0, -EEXIST, "overlaps" },
	};
	int fd = memory(4 * MIB);
	struct gmem *g = add(gmem_create(), fd, 0x10000000, MIB, 0), *none = NULL;
	unsigned before = dma_region_count();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gmem_desc d = { rows[i].gpa, rows[i].uva, rows[i].len, rows[i].off, fd };
		struct errbuf eb = { "" };

		assert_int_equal(gmem_add(g, &d, &none, &eb), rows[i].err);
		assert_non_null(strstr(eb.text, rows[i].what));
	}
	assert_null(none);
	assert_int_equal(dma_region_count(), before);
	gmem_put(g);
	close(fd);
}

static void pipes_and_closed_fds_are_refused(void **state)
{
	struct gmem *g = gmem_create(), *none = NULL;
	struct gmem_desc d = { .len = 4096 };
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	d.fd = p[0];
	assert_int_equal(gmem_add(g, &d, &none, NULL), -EINVAL);
	close(p[0]);
	close(p[1]);
	assert_int_equal(gmem_add(g, &d, &none, NULL), -EBADF);
	gmem_put(g);
}

static void region_limit_holds(void **state)
{
	int fd = memory(4096);
	struct gmem *g = gmem_create(), *none = NULL;
	struct gmem_desc d = { .gpa = 1ull << 40, .uva = 1ull << 46, .len = 4096, .fd = fd };

	(void)state;
	for (unsigned i = 0; i < GMEM_REGIONS_MAX; i++)
		g = add(g, fd, (uint64_t)i * 8192, 4096, 0);
	assert_int_equal(gmem_add(g, &d, &none, NULL), -ENOSPC);
	for (unsigned i = 0; i < GMEM_REGIONS_MAX; i++) {
		assert_ptr_equal(gmem_find(g, i * 8192ull), &g->r[i]);
		assert_ptr_equal(gmem_find(g, i * 8192ull + 4095), &g->r[i]);
		assert_null(gmem_find(g, i * 8192ull + 4096));
	}
	assert_int_equal(dma_region_count(), GMEM_REGIONS_MAX);
	gmem_put(g);
	assert_int_equal(dma_region_count(), 0);
	close(fd);
}

/* Its file says that it has no bytes; its pages may be missing, which no DMA could bear. */
static void a_device_s_memory_has_no_size(void **state)
{
	int fd = memory(4096);
	struct gmem_desc d = { .gpa = 0, .uva = 0, .len = 2 * MIB, .fd = fd, .unsized = true };
	struct gmem *g = gmem_create(), *next = NULL;

	(void)state;
	assert_int_equal(pwrite(fd, "ring", 4, 0), 4);
	assert_int_equal(gmem_add(g, &d, &next, NULL), 0);
	gmem_put(g);
	assert_int_equal(dma_region_count(), 0);
	assert_memory_equal(gmem_gpa_to_va(next, 0, 4), "ring", 4);
	gmem_put(next);
	close(fd);
}

/* A guest that names its ROM as the place for data hurts nobody. */
static void what_is_only_readable_stays_as_it_is(void **state)
{
	int fd = memory(4096);
	struct gmem_desc d = { .gpa = 0, .uva = 0, .len = 4096, .fd = -1, .readable = true };
	struct gmem *g = gmem_create(), *next = NULL;
	char path[64], back;

	(void)state;
	assert_int_equal(pwrite(fd, "rom", 3, 0), 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	d.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(d.fd >= 0);
	assert_int_equal(gmem_add(g, &d, &next, NULL), 0);
	gmem_put(g);
	assert_int_equal(dma_region_count(), 0);
	assert_memory_equal(gmem_gpa_to_va(next, 0, 3), "rom", 3);
	*(char *)gmem_gpa_to_va(next, 0, 1) = 'R';
	assert_int_equal(pread(fd, &back, 1, 0), 1);
	assert_int_equal(back, 'r');
	gmem_put(next);
	close(d.fd);
	close(fd);
}

static void odd_offsets_show_the_right_bytes(void **state)
{
	int fd = memory(MIB);
	struct gmem *g;
	char *va;

	(void)state;
	assert_int_equal(pwrite(fd, "needle", 6, 0x5678), 6);
	g = add(gmem_create(), fd, 0x1000, 0x2000, 0x5670);
	va = gmem_gpa_to_va(g, 0x1008, 6);
	assert_memory_equal(va, "needle", 6);
	va[0] = 'N'; /* shared, not a copy */
	gmem_put(g);
	char back;
	assert_int_equal(pread(fd, &back, 1, 0x5678), 1);
	assert_int_equal(back, 'N');
	close(fd);
}

static void tables_share_mappings(void **state)
{
	int fd = memory(2 * MIB);
	struct gmem *one = add(gmem_create(), fd, 0, MIB, 0), *two, *del;
	struct gmem_desc d = {
		.gpa = MIB, .uva = 0x7f0000000000 + MIB, .len = MIB, .mmap_off = MIB, .fd = fd
	};

	(void)state;
	assert_int_equal(gmem_add(one, &d, &two, NULL), 0);
	close(fd); /* the caller's, the mapping stays */
	assert_int_equal(one->n, 1);
	assert_int_equal(two->n, 2);
	assert_ptr_equal(one->r[0].va, two->r[0].va);
	assert_int_equal(gmem_del(two, 0, 0x7f0000000000, MIB - 1, &del), -ENOENT);
	assert_int_equal(gmem_del(two, 0, 0x7f0000000001, MIB, &del), -ENOENT);
	assert_int_equal(gmem_del(two, 0, 0x7f0000000000, MIB, &del), 0);
	assert_int_equal(del->n, 1);
	assert_null(gmem_find(del, 0));
	gmem_put(gmem_get(one)); /* a reference more, a reference less */
	gmem_put(two);
	assert_int_equal(dma_region_count(), 2); /* region 0 lives on in one, region 1 in del */
	one->r[0].va[0] = 1;
	del->r[0].va[0] = 1;
	gmem_put(one);
	assert_int_equal(dma_region_count(), 1);
	gmem_put(del);
	gmem_put(NULL);
	assert_int_equal(dma_region_count(), 0);
}

/* CVE-2018-1059, CVE-2023-41051: the last byte, the byte after it, and a length that does not fit.
 */
static void translation_stops_at_borders(void **state)
{
	int fd = memory(4 * MIB);
	struct gmem *g = add(add(gmem_create(), fd, 0x100000, MIB, MIB), fd, 0x200000, MIB, 0);
	const struct gmem_region *cache = NULL;
	uint64_t len = 8;

	(void)state;
	assert_ptr_equal(gmem_xlate(g, &cache, 0x1ffff8, &len), g->r[0].va + 0xffff8);
	assert_int_equal(len, 8);
	len = 9;
	assert_ptr_equal(gmem_xlate(g, &cache, 0x1ffff8, &len), g->r[0].va + 0xffff8);
	assert_int_equal(len, 8);
	len = UINT64_MAX;
	assert_ptr_equal(gmem_xlate(g, &cache, 0x200000, &len), g->r[1].va);
	assert_int_equal(len, MIB);
	assert_ptr_equal(cache, &g->r[1]);
	len = 1;
	assert_non_null(gmem_xlate(g, &cache, 0x2fffff, &len));
	assert_null(gmem_xlate(g, &cache, 0x300000, &len));
	assert_null(gmem_xlate(g, &cache, 0xfffff, &len));
	assert_null(gmem_xlate(g, &cache, UINT64_MAX, &len));
	gmem_put(g);
	close(fd);
}

static void contiguous_means_in_our_addresses_too(void **state)
{
	int fd = memory(2 * MIB);
	struct gmem *g = add(add(gmem_create(), fd, 0, MIB, 0), fd, MIB, MIB, MIB);
	bool adjacent = g->r[0].va + MIB == g->r[1].va;

	(void)state;
	assert_ptr_equal(gmem_gpa_to_va(g, 0, MIB), g->r[0].va);
	assert_ptr_equal(gmem_uva_to_va(g, 0x7f0000000000 + MIB - 1, 1), g->r[0].va + MIB - 1);
	assert_ptr_equal(gmem_gpa_to_va(g, 1, MIB), adjacent ? g->r[0].va + 1 : NULL);
	assert_ptr_equal(gmem_uva_to_va(g, 0x7f0000000001, MIB), adjacent ? g->r[0].va + 1 : NULL);
	assert_null(gmem_gpa_to_va(g, MIB, MIB + 1));
	assert_null(gmem_gpa_to_va(g, 1, UINT64_MAX));
	assert_null(gmem_uva_to_va(g, 0x7f0000000000 - 1, 1));
	assert_null(gmem_uva_to_va(g, 0x7f0000000000 + 2 * MIB, 1));
	assert_int_equal(gmem_va_to_gpa(g, g->r[1].va + 5), MIB + 5);
	assert_true(gmem_va_to_gpa(g, &fd) == UINT64_MAX);
	gmem_put(g);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_regions_are_refused),
		cmocka_unit_test(pipes_and_closed_fds_are_refused),
		cmocka_unit_test(region_limit_holds),
		cmocka_unit_test(a_device_s_memory_has_no_size),
		cmocka_unit_test(what_is_only_readable_stays_as_it_is),
		cmocka_unit_test(odd_offsets_show_the_right_bytes),
		cmocka_unit_test(tables_share_mappings),
		cmocka_unit_test(translation_stops_at_borders),
		cmocka_unit_test(contiguous_means_in_our_addresses_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
