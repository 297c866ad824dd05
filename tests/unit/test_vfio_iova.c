/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses for devices: whatever is asked for, what is handed out lies in a window, alone,
 * aligned, never at 0. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "drivers/vfio/vfio_iova.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const struct vfio_span bits39[] = { { 0, 0xfedfffff }, { 0xfef00000, 0x7fffffffff } };
static const struct vfio_span bits48[] = { { 0, 0xfedfffff }, { 0xfef00000, 0xffffffffffff } };
static const struct vfio_span bits64[] = { { 0, UINT64_MAX } };
static const struct vfio_span narrow[] = {
	{ 0x1800, 0x47ff },	{ 0x10000, 0x10fff },	{ 0x9000, 0x8000 },
	{ 0x200000, 0x5fffff }, { 0x600000, 0x7fffff }, { 0, 0xfff },
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Mostly pages, sometimes a big one: 4 KiB to 8 GiB. */
static uint64_t random_len(uint64_t *state)
{
	uint64_t r = random_next(state);

	return (1 + (r & 7)) << (12 + (r >> 8) % 20);
}

static bool inside(const struct vfio_span *w, unsigned n, uint64_t first, uint64_t last)
{
	/* Windows that touch count as one. */
	for (unsigned i = 0; i < n; i++) {
		if (w[i].first > first || w[i].last < first)
			continue;
		if (last <= w[i].last)
			return true;
		for (unsigned j = 0; j < n; j++)
			if (w[j].first == w[i].last + 1)
				return inside(w, n, w[j].first, last);
	}
	return false;
}

struct piece {
	uint64_t iova, len;
};

static void check_piece(const struct vfio_span *w, unsigned n, const struct piece *p,
			unsigned npieces)
{
	const struct piece *new = &p[npieces - 1];

	assert_true(new->iova != 0);
	assert_true(new->iova % (4 * KIB) == 0);
	assert_true(inside(w, n, new->iova, new->iova + new->len - 1));
	for (unsigned i = 0; i + 1 < npieces; i++)
		assert_true(new->iova + new->len <= p[i].iova || p[i].iova + p[i].len <= new->iova);
}

/* Takes and gives at random, against a plain list. */
static void play(const struct vfio_span *w, unsigned n, uint64_t seed)
{
	struct piece pieces[64];
	struct vfio_iova a;
	unsigned have = 0, refused = 0;

	assert_int_equal(vfio_iova_init(&a, w, n, 4096, ARRAY_SIZE(pieces)), 0);
	for (unsigned step = 0; step < 3000; step++) {
		uint64_t r = random_next(&seed);

		if (r % 3 == 0 && have) {
			struct piece *p = &pieces[(r >> 16) % have];

			assert_int_equal(vfio_iova_free(&a, p->iova, p->len), 0);
			*p = pieces[--have];
			continue;
		}
		if (have == ARRAY_SIZE(pieces)) {
			uint64_t iova;

			assert_int_equal(vfio_iova_alloc(&a, 4096, &iova), -ENOSPC);
			for (; have; have--)
				assert_int_equal(vfio_iova_free(&a, pieces[have - 1].iova,
								pieces[have - 1].len),
						 0);
			continue;
		}
		pieces[have].len = random_len(&seed);
		if (vfio_iova_alloc(&a, pieces[have].len, &pieces[have].iova)) {
			refused++;
			continue;
		}
		check_piece(w, n, pieces, ++have);
	}
	assert_int_equal(a.nused, have);
	assert_true(refused < 3000);
	vfio_iova_fini(&a);
}

static void every_piece_lies_alone_in_a_window(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		play(bits39, ARRAY_SIZE(bits39), seed);
		play(bits48, ARRAY_SIZE(bits48), seed);
		play(bits64, ARRAY_SIZE(bits64), seed);
		play(narrow, ARRAY_SIZE(narrow), seed);
	}
}

/* What is freed can be had again: the whole space is found whole afterwards. */
static void nothing_is_lost(void **state)
{
	struct vfio_iova a;
	uint64_t iova[100], all, seed = 7;

	assert_int_equal(vfio_iova_init(&a, bits39, 2, 4096, 128), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(vfio_iova_alloc(&a, (i + 1) * 4 * KIB, &iova[i]), 0);
	for (unsigned left = 100; left; left--) {
		unsigned pick = (unsigned)(random_next(&seed) % left);

		for (unsigned i = 0, k = 0; i < 100; i++) {
			if (!iova[i] || k++ != pick)
				continue;
			assert_int_equal(vfio_iova_free(&a, iova[i], (i + 1) * 4 * KIB), 0);
			iova[i] = 0;
			break;
		}
	}
	assert_int_equal(a.nused, 0);
	/* 2^39 - 4 GiB in one piece, the second window but its odd begin. */
	assert_int_equal(vfio_iova_alloc(&a, 508 * GIB, &all), 0);
	assert_true(all == 4 * GIB);
	vfio_iova_fini(&a);
}

static void long_pieces_begin_at_big_pages(void **state)
{
	struct vfio_iova a;
	uint64_t iova;

	assert_int_equal(vfio_iova_init(&a, bits39, 2, 4096, 64), 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(vfio_iova_alloc(&a, 4 * KIB, &iova), 0);
		assert_int_equal(vfio_iova_alloc(&a, 2 * MIB + 4 * KIB, &iova), 0);
		assert_true(iova % (2 * MIB) == 0);
		assert_int_equal(vfio_iova_alloc(&a, 3 * GIB, &iova), 0);
		assert_true(iova % GIB == 0);
		assert_true(iova + 3 * GIB <= VFIO_IOVA_MSI_FIRST || iova > VFIO_IOVA_MSI_LAST);
	}
	vfio_iova_fini(&a);
}

/* Alignment is a wish: with room for the length only, it is given up. */
static void big_pages_yield_to_room(void **state)
{
	static const struct vfio_span odd[] = { { 0x1000, 0x1000 + 3 * MIB - 1 } };
	struct vfio_iova a;
	uint64_t iova;

	assert_int_equal(vfio_iova_init(&a, odd, 1, 4096, 64), 0);
	assert_int_equal(vfio_iova_alloc(&a, 3 * MIB, &iova), 0);
	assert_true(iova == 0x1000);
	assert_int_equal(vfio_iova_alloc(&a, 4096, &iova), -ENOMEM);
	vfio_iova_fini(&a);
}

static void the_top_of_64_bits_is_reached_without_wrapping(void **state)
{
	static const struct vfio_span top[] = { { UINT64_MAX - 0x2fff, UINT64_MAX } };
	struct vfio_iova a;
	uint64_t iova;

	assert_int_equal(vfio_iova_init(&a, top, 1, 4096, 64), 0);
	assert_int_equal(vfio_iova_alloc(&a, 2 * MIB, &iova), -ENOMEM);
	assert_int_equal(vfio_iova_alloc(&a, 3 * 4096, &iova), 0);
	assert_true(iova == UINT64_MAX - 0x2fff);
	assert_int_equal(vfio_iova_alloc(&a, 4096, &iova), -ENOMEM);
	vfio_iova_fini(&a);
}

static void an_iommu_without_windows_gets_39_bits_around_msi(void **state)
{
	struct vfio_span w[2];
	struct vfio_iova a;
	uint64_t iova;

	assert_int_equal(vfio_iova_windows_default(w), 2);
	assert_int_equal(vfio_iova_init(&a, w, 2, 4096, 64), 0);
	while (vfio_iova_alloc(&a, 16 * GIB, &iova) == 0)
		assert_true(iova > VFIO_IOVA_MSI_LAST &&
			    iova + 16 * GIB - 1 <= VFIO_IOVA_LAST_DEFAULT);
	assert_int_equal(a.nused, 31);
	vfio_iova_fini(&a);
}

static void nonsense_is_refused(void **state)
{
	static const struct vfio_span none[] = {
		{ 0, 0xfff }, { 0, 0x800 }, { 0x2001, 0x2fff }, { 5, 4 }
	};
	struct vfio_span many[VFIO_IOVA_WINDOWS_MAX + 1];
	struct vfio_iova a;
	uint64_t iova = 77;

	memset(many, 0, sizeof(many));
	assert_int_equal(vfio_iova_init(&a, bits39, 2, 0, 64), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, bits39, 2, 512, 64), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, bits39, 2, 12288, 64), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, bits39, 2, 4096, 0), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, bits39, 0, 4096, 64), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, none, ARRAY_SIZE(none), 4096, 64), -EINVAL);
	assert_int_equal(vfio_iova_init(&a, many, ARRAY_SIZE(many), 4096, 64), -E2BIG);

	assert_int_equal(vfio_iova_init(&a, bits39, 2, 4096, 64), 0);
	assert_int_equal(vfio_iova_alloc(&a, 0, &iova), -EINVAL);
	assert_int_equal(vfio_iova_alloc(&a, 100, &iova), -EINVAL);
	assert_int_equal(vfio_iova_alloc(&a, UINT64_MAX - 0xfff, &iova), -ENOMEM);
	assert_int_equal(iova, 77);
	assert_int_equal(vfio_iova_alloc(&a, 8192, &iova), 0);
	assert_int_equal(vfio_iova_free(&a, iova, 4096), -ENOENT);
	assert_int_equal(vfio_iova_free(&a, iova + 4096, 4096), -ENOENT);
	assert_int_equal(vfio_iova_free(&a, iova, 8192), 0);
	assert_int_equal(vfio_iova_free(&a, iova, 8192), -ENOENT);
	vfio_iova_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_piece_lies_alone_in_a_window),
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(long_pieces_begin_at_big_pages),
		cmocka_unit_test(big_pages_yield_to_room),
		cmocka_unit_test(the_top_of_64_bits_is_reached_without_wrapping),
		cmocka_unit_test(an_iommu_without_windows_gets_39_bits_around_msi),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
