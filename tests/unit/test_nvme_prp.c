/* SPDX-License-Identifier: BSD-3-Clause */
/* PRPs and SGLs of buffers of all shapes, as tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/nvme/nvme_prp.h"
#include "drivers/nvme/nvme_sgl.h"

/* Region A at 16 MiB, region B directly behind it, but elsewhere for the device; a hole; region C.
 */
#define A	  0x1000000ull
#define B	  0x1010000ull
#define C	  0x2000000ull
#define A_IOVA	  0x10000000ull
#define B_IOVA	  0x50000000ull
#define C_IOVA	  0x30000000ull
#define LIST_IOVA 0x7000ull

static int map(struct dma_domain *d, const struct dma_region *region, uint64_t *ret_iova)
{
	uint64_t va = (uintptr_t)region->va;

	*ret_iova = va == A ? A_IOVA : va == B ? B_IOVA : C_IOVA;
	return 0;
}

static int unmap(struct dma_domain *d, void *va, size_t len, uint64_t iova)
{
	return 0;
}

static const struct dma_domain_ops ops = { .name = "table", .map = map, .unmap = unmap };
static struct dma_domain domain;
static struct nvme_xlat xlat;
static le64 list_mem[4];
static const struct nvme_list list = { list_mem, LIST_IOVA, sizeof(list_mem) };

static int setup(void **state)
{
	static const uint64_t at[] = { A, B, C };

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(dma_region_add(&(struct dma_region){ (void *)(uintptr_t)at[i],
								      0x10000, -1, 0 }),
				 0);
	assert_int_equal(dma_domain_attach(&domain, &ops), 0);
	nvme_xlat_init(&xlat, &domain);
	return 0;
}

static int teardown(void **state)
{
	dma_domain_detach(&domain);
	(void)dma_region_del((void *)A, 0x10000);
	(void)dma_region_del((void *)B, 0x10000);
	(void)dma_region_del((void *)C, 0x10000);
	return 0;
}

struct piece {
	uint64_t va, len;
};

static const struct shape {
	const char *what;
	struct piece piece[4];
	int err;
	uint64_t prp1, prp2;
	uint64_t list[4];
} shapes[] = {
	{ "a page", { { A, 4096 } }, 0, A_IOVA, 0, { 0 } },
	{ "a block in a page", { { A + 512, 512 } }, 0, A_IOVA + 512, 0, { 0 } },
	{ "to the end of a page", { { A + 512, 3584 } }, 0, A_IOVA + 512, 0, { 0 } },
	{ "across a border", { { A + 512, 4096 } }, 0, A_IOVA + 512, A_IOVA + 4096, { 0 } },
	{ "two pages", { { A, 8192 } }, 0, A_IOVA, A_IOVA + 4096, { 0 } },
	{ "three pages", { { A, 12288 } }, 0, A_IOVA, LIST_IOVA, { A_IOVA + 4096, A_IOVA + 8192 } },
	{ "two pages and a half, inside",
	  { { A + 4, 8192 } },
	  0,
	  A_IOVA + 4,
	  LIST_IOVA,
	  { A_IOVA + 4096, A_IOVA + 8192 } },
	{ "as long as the list",
	  { { A, 5 * 4096 } },
	  0,
	  A_IOVA,
	  LIST_IOVA,
	  { A_IOVA + 4096, A_IOVA + 8192, A_IOVA + 12288, A_IOVA + 16384 } },
	{ "longer than the list", { { A, 6 * 4096 } }, -E2BIG, 0, 0, { 0 } },
	{ "longer than the list by a byte", { { A, 5 * 4096 + 4 } }, -E2BIG, 0, 0, { 0 } },
	{ "two pieces", { { A, 4096 }, { C, 4096 } }, 0, A_IOVA, C_IOVA, { 0 } },
	{ "the last one is short", { { A, 4096 }, { C, 512 } }, 0, A_IOVA, C_IOVA, { 0 } },
	{ "the first one begins inside",
	  { { A + 1024, 3072 }, { C, 4096 } },
	  0,
	  A_IOVA + 1024,
	  C_IOVA,
	  { 0 } },
	{ "the first one ends inside", { { A, 512 }, { C, 512 } }, -EINVAL, 0, 0, { 0 } },
	{ "the second one begins inside", { { A, 4096 }, { C + 512, 512 } }, -EINVAL, 0, 0, { 0 } },
	{ "pieces that touch inside a page",
	  { { A, 512 }, { A + 512, 1024 }, { A + 1536, 2560 } },
	  0,
	  A_IOVA,
	  0,
	  { 0 } },
	{ "pieces that touch across a page",
	  { { A + 512, 1024 }, { A + 1536, 4096 } },
	  0,
	  A_IOVA + 512,
	  A_IOVA + 4096,
	  { 0 } },
	{ "three pieces, the middle one whole",
	  { { A + 2048, 2048 }, { C, 4096 }, { A, 2048 } },
	  0,
	  A_IOVA + 2048,
	  LIST_IOVA,
	  { C_IOVA, A_IOVA } },
	{ "an empty piece", { { A, 4096 }, { C, 0 }, { C, 4096 } }, 0, A_IOVA, C_IOVA, { 0 } },
	{ "from one region into the next",
	  { { B - 4096, 8192 } },
	  0,
	  A_IOVA + 0xf000,
	  B_IOVA,
	  { 0 } },
	{ "from one region into the next, inside",
	  { { B - 512, 1024 } },
	  0,
	  A_IOVA + 0xfe00,
	  B_IOVA,
	  { 0 } },
	{ "no dword", { { A + 2, 512 } }, -EINVAL, 0, 0, { 0 } },
	{ "nowhere", { { 0x999000, 512 } }, -EFAULT, 0, 0, { 0 } },
	{ "from a region into the hole", { { C + 0xf000, 8192 } }, -EFAULT, 0, 0, { 0 } },
	{ "nothing", { { A, 0 } }, -EINVAL, 0, 0, { 0 } },
};

static unsigned shape_iov(const struct shape *s, struct iovec *iov)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(s->piece) && s->piece[i].va; i++)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)s->piece[i].va, s->piece[i].len };
	return n;
}

static void prps_of_all_shapes(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		struct nvme_prps got = { 0 }, simple = { 0 };
		struct iovec iov[4];
		unsigned n = shape_iov(s, iov);
		int err;

		memset(list_mem, 0, sizeof(list_mem));
		err = nvme_prp_build(&xlat, iov, n, &list, &got);
		if (err != s->err || (!err && (got.prp1 != s->prp1 || got.prp2 != s->prp2)))
			fail_msg("%s: %d, %llx %llx", s->what, err, (unsigned long long)got.prp1,
				 (unsigned long long)got.prp2);
		for (unsigned j = 0; !err && j < ARRAY_SIZE(s->list); j++)
			if (s->list[j] && le64_get(list_mem[j]) != s->list[j])
				fail_msg("%s: entry %u is %llx", s->what, j,
					 (unsigned long long)le64_get(list_mem[j]));
		/* the short way says the same or nothing */
		if (n == 1 && iov[0].iov_len && !(s->piece[0].va & 3) &&
		    nvme_prp_simple(&xlat, (uintptr_t)iov->iov_base, iov->iov_len, &simple)) {
			assert_int_equal(err, 0);
			assert_int_equal(simple.prp1, got.prp1);
			assert_int_equal(simple.prp2, got.prp2);
		}
	}
}

static void the_short_way_is_taken_for_a_page(void **state)
{
	struct iovec iov = { (void *)(A + 4096), 4096 };
	struct nvme_prps got;
	uint64_t len;

	assert_int_equal(nvme_xlat_iova(&xlat, (void *)(A + 0x8000), &len), A_IOVA + 0x8000);
	assert_int_equal(len, 0x8000);
	assert_true(nvme_prp_simple(&xlat, (uintptr_t)iov.iov_base, iov.iov_len,
				    &got)); /* also below what was looked up */
	assert_int_equal(got.prp1, A_IOVA + 4096);
}

static void what_is_remembered_ends_with_the_table(void **state)
{
	struct iovec iov = { (void *)C, 4096 };
	struct nvme_prps got;
	uint64_t len;

	nvme_xlat_check(&xlat);
	assert_int_equal(nvme_xlat_iova(&xlat, (void *)C, &len), C_IOVA);
	assert_true(nvme_prp_simple(&xlat, (uintptr_t)iov.iov_base, iov.iov_len, &got));
	assert_int_equal(dma_region_del((void *)C, 0x10000), 0);
	nvme_xlat_check(&xlat);
	assert_false(nvme_prp_simple(&xlat, (uintptr_t)iov.iov_base, iov.iov_len, &got));
	assert_int_equal(nvme_prp_build(&xlat, &iov, 1, &list, &got), -EFAULT);
	assert_int_equal(dma_region_add(&(struct dma_region){ (void *)C, 0x10000, -1, 0 }), 0);
	assert_int_equal(nvme_prp_build(&xlat, &iov, 1, &list, &got), 0);
}

static const struct sgl_shape {
	const char *what;
	struct piece piece[4];
	int err;
	unsigned n; /* descriptors; 1: in the command */
	struct piece desc[3];
} sgl_shapes[] = {
	{ "one piece", { { A + 6, 513 } }, 0, 1, { { A_IOVA + 6, 513 } } },
	{ "pieces anywhere",
	  { { A + 6, 10 }, { C + 100, 502 } },
	  0,
	  2,
	  { { A_IOVA + 6, 10 }, { C_IOVA + 100, 502 } } },
	{ "pieces that touch", { { A, 100 }, { A + 100, 412 } }, 0, 1, { { A_IOVA, 512 } } },
	{ "two regions",
	  { { B - 512, 1024 } },
	  0,
	  2,
	  { { A_IOVA + 0xfe00, 512 }, { B_IOVA, 512 } } },
	{ "too many", { { A, 1 }, { C, 1 }, { A + 4, 1 } }, -E2BIG, 0, { { 0 } } },
	{ "nowhere", { { 0x999000, 512 } }, -EFAULT, 0, { { 0 } } },
	{ "nothing", { { A, 0 } }, -EINVAL, 0, { { 0 } } },
};

static void sgls_of_all_shapes(void **state)
{
	static struct nvme_sgl_desc descs[2];
	const struct nvme_list room = { descs, LIST_IOVA, sizeof(descs) };

	for (unsigned i = 0; i < ARRAY_SIZE(sgl_shapes); i++) {
		const struct sgl_shape *s = &sgl_shapes[i];
		struct nvme_sgl_desc got;
		struct iovec iov[4];
		unsigned n = 0;
		int err;

		for (unsigned j = 0; j < 4 && s->piece[j].va; j++)
			iov[n++] = (struct iovec){ (void *)(uintptr_t)s->piece[j].va,
						   s->piece[j].len };
		err = nvme_sgl_build(&xlat, iov, n, &room, &got);
		if (err != s->err)
			fail_msg("%s: %d", s->what, err);
		if (err)
			continue;
		assert_int_equal(got.type, s->n == 1 ? NVME_SGL_DATA_BLOCK : NVME_SGL_LAST_SEGMENT);
		if (s->n > 1) {
			assert_int_equal(le64_get(got.addr), LIST_IOVA);
			assert_int_equal(le32_get(got.len), s->n * 16);
		}
		for (unsigned j = 0; j < s->n; j++) {
			const struct nvme_sgl_desc *d = s->n == 1 ? &got : &descs[j];

			assert_int_equal(le64_get(d->addr), s->desc[j].va);
			assert_int_equal(le32_get(d->len), s->desc[j].len);
			assert_int_equal(d->type, NVME_SGL_DATA_BLOCK);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prps_of_all_shapes),
		cmocka_unit_test(the_short_way_is_taken_for_a_page),
		cmocka_unit_test(what_is_remembered_ends_with_the_table),
		cmocka_unit_test(sgls_of_all_shapes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
