/* SPDX-License-Identifier: BSD-3-Clause */
/* The DMA registry: tables follow the regions, failures change nothing, readers never see a half
 * table. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/dma.h"

#define IOVA_OFF 0x100000000000ull

/* Maps va to va + IOVA_OFF and counts. */
struct fake_domain {
	struct dma_domain d;
	unsigned maps, unmaps;
	unsigned fail_at; /* the n-th map fails; 0 = none */
};

static int fake_map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	struct fake_domain *f = container_of(d, struct fake_domain, d);

	if (f->fail_at && f->maps + 1 == f->fail_at)
		return -EIO;
	f->maps++;
	*ret_iova = (uintptr_t)region->va + IOVA_OFF;
	return 0;
}

static int fake_unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	struct fake_domain *f = container_of(d, struct fake_domain, d);

	assert_int_equal(iova, (uintptr_t)va + IOVA_OFF);
	f->unmaps++;
	return 0;
}

static const struct dma_domain_ops fake_ops = { .name = "fake",
						.map = fake_map,
						.unmap = fake_unmap };

static void *at(uintptr_t va)
{
	return (void *)va;
}

static int add(uintptr_t va, size_t len)
{
	return dma_region_add(&(struct dma_region){ .va = at(va), .len = len, .fd = -1 });
}

static void check(struct fake_domain *f, uintptr_t va, size_t want_len)
{
	size_t len = 77;
	uint64_t iova = dma_xlate(&f->d, at(va), &len);

	if (want_len == 0) {
		assert_true(iova == DMA_IOVA_NONE);
		assert_int_equal(len, 77);
	} else {
		assert_true(iova == va + IOVA_OFF);
		assert_int_equal(len, want_len);
	}
}

static void regions_are_found_to_their_last_byte(void **state)
{
	struct fake_domain f = { 0 };

	(void)state;
	assert_int_equal(add(0x3000, 0x1000), 0);
	assert_int_equal(dma_domain_attach(&f.d, &fake_ops), 0);
	assert_int_equal(add(0x1000, 0x1000), 0);
	assert_int_equal(add(0x8000, 0x2000), 0);
	check(&f, 0xfff, 0);
	check(&f, 0x1000, 0x1000);
	check(&f, 0x1fff, 1);
	check(&f, 0x2000, 0);
	check(&f, 0x3001, 0xfff);
	check(&f, 0x9fff, 1);
	check(&f, 0xa000, 0);
	check(&f, UINTPTR_MAX, 0);

	assert_int_equal(add(0x2fff, 2), -EEXIST);
	assert_int_equal(add(0x1fff, 1), -EEXIST);
	assert_int_equal(add(0, 0x10000), -EEXIST);
	assert_int_equal(add(0x5000, 0), -EINVAL);
	assert_int_equal(add(UINTPTR_MAX - 10, 100), -EINVAL);
	assert_int_equal(dma_region_del(at(0x3000), 0x800), -ENOENT);
	assert_int_equal(dma_region_del(at(0x3800), 0x800), -ENOENT);
	assert_int_equal(dma_region_del(at(0x20000), 1), -ENOENT);
	assert_int_equal(dma_region_count(), 3);
	assert_int_equal(dma_region_del(at(0x3000), 0x1000), 0);
	check(&f, 0x3000, 0);
	check(&f, 0x8000, 0x2000);
	dma_domain_detach(&f.d);
	assert_int_equal(f.unmaps, f.maps);
	assert_int_equal(dma_region_del(at(0x1000), 0x1000), 0);
	assert_int_equal(dma_region_del(at(0x8000), 0x2000), 0);
	assert_int_equal(dma_region_count(), 0);
}

/* What a domain of another process is given. */
static struct dma_region handed_on;

static int remember_map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	handed_on = *region;
	return fake_map(d, region, ret_iova);
}

static void a_domain_that_comes_later_still_gets_the_file(void **state)
{
	static const struct dma_domain_ops ops = { .name = "file",
						   .map = remember_map,
						   .unmap = fake_unmap };
	int fd = memfd_create("test", MFD_CLOEXEC), dup_fd;
	struct fake_domain f = { 0 };
	struct stat own, theirs;

	(void)state;
	assert_int_equal(fstat(fd, &own), 0);
	assert_int_equal(dma_region_add(&(struct dma_region){
				 .va = at(0x1000), .len = 0x1000, .fd = fd, .fd_off = 0x7000 }),
			 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(dma_domain_attach(&f.d, &ops), 0);
	assert_int_equal(handed_on.fd_off, 0x7000);
	assert_int_equal(fstat(handed_on.fd, &theirs), 0);
	assert_true(own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev);
	dup_fd = handed_on.fd;
	assert_int_equal(dma_region_del(at(0x1000), 0x1000), 0);
	assert_int_equal(fcntl(dup_fd, F_GETFD), -1);
	dma_domain_detach(&f.d);

	/* refused: nothing stays open */
	assert_int_equal(
		dma_region_add(&(struct dma_region){ .va = at(0x1000), .len = 1, .fd = dup_fd }),
		-EBADF);
	assert_int_equal(dma_region_count(), 0);
}

static void a_failed_map_changes_nothing(void **state)
{
	struct fake_domain a = { 0 }, b = { .fail_at = 2 };

	(void)state;
	assert_int_equal(dma_domain_attach(&a.d, &fake_ops), 0);
	assert_int_equal(dma_domain_attach(&b.d, &fake_ops), 0);
	assert_int_equal(add(0x1000, 0x1000), 0);
	assert_int_equal(add(0x3000, 0x1000), -EIO);
	assert_int_equal(a.maps, 2);
	assert_int_equal(a.unmaps, 1);
	check(&a, 0x3000, 0);
	check(&b, 0x3000, 0);
	check(&b, 0x1000, 0x1000);
	assert_int_equal(dma_region_count(), 1);
	dma_domain_detach(&b.d);

	b = (struct fake_domain){ .fail_at = 2 };
	assert_int_equal(add(0x3000, 0x1000), 0);
	assert_int_equal(dma_domain_attach(&b.d, &fake_ops), -EIO);
	assert_int_equal(b.unmaps, 1);
	dma_domain_detach(&a.d);
	assert_int_equal(dma_region_del(at(0x1000), 0x1000), 0);
	assert_int_equal(dma_region_del(at(0x3000), 0x1000), 0);
}

static void the_registry_takes_so_many_and_no_more(void **state)
{
	struct fake_domain f = { 0 };

	(void)state;
	assert_int_equal(dma_domain_attach(&f.d, &fake_ops), 0);
	for (uintptr_t i = DMA_REGIONS_MAX; i > 0; i--)
		assert_int_equal(add(i * 0x2000, 0x1000), 0);
	assert_int_equal(add(0x1000, 1), -ENOSPC);
	for (uintptr_t i = 1; i <= DMA_REGIONS_MAX; i++) {
		check(&f, i * 0x2000 + 0xfff, 1);
		check(&f, i * 0x2000 + 0x1000, 0);
	}
	for (uintptr_t i = 1; i <= DMA_REGIONS_MAX; i++)
		assert_int_equal(dma_region_del(at(i * 0x2000), 0x1000), 0);
	dma_domain_detach(&f.d);
}

struct reader {
	pthread_t thread;
	struct fake_domain *f;
	uint32_t *stop;
	unsigned wrong, looks;
};

/* Region 0x100000 is always there, others come and go around it. */
static void *read_on(void *arg)
{
	struct reader *rd = arg;

	do {
		size_t len = 0;
		uint64_t iova = dma_xlate(&rd->f->d, at(0x100800), &len);

		rd->wrong += iova != 0x100800 + IOVA_OFF || len != 0x800;
		iova = dma_xlate(&rd->f->d, at(0x5000), &len);
		rd->wrong += iova != DMA_IOVA_NONE && (iova != 0x5000 + IOVA_OFF || len != 0x1000);
		rd->looks++;
	} while (!__atomic_load_n(rd->stop, __ATOMIC_RELAXED));
	return NULL;
}

static void readers_see_whole_tables(void **state)
{
	struct fake_domain f = { 0 };
	uint32_t end = 0;
	struct reader rd[2] = { { .f = &f, .stop = &end }, { .f = &f, .stop = &end } };

	(void)state;
	assert_int_equal(add(0x100000, 0x1000), 0);
	assert_int_equal(dma_domain_attach(&f.d, &fake_ops), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rd); i++)
		pthread_create(&rd[i].thread, NULL, read_on, &rd[i]);
	for (unsigned i = 0; i < 3000; i++) {
		for (uintptr_t k = 1; k <= 8; k++)
			assert_int_equal(add(k * 0x1000, 0x1000), 0);
		for (uintptr_t k = 1; k <= 8; k++)
			assert_int_equal(dma_region_del(at(k * 0x1000), 0x1000), 0);
	}
	__atomic_store_n(&end, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_SIZE(rd); i++) {
		pthread_join(rd[i].thread, NULL);
		assert_int_equal(rd[i].wrong, 0);
	}
	dma_domain_detach(&f.d);
	assert_int_equal(dma_region_del(at(0x100000), 0x1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_found_to_their_last_byte),
		cmocka_unit_test(a_domain_that_comes_later_still_gets_the_file),
		cmocka_unit_test(a_failed_map_changes_nothing),
		cmocka_unit_test(the_registry_takes_so_many_and_no_more),
		cmocka_unit_test(readers_see_whole_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
