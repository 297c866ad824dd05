/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains whose pieces lie in any of several memory regions: found in all of them, wherever the last
 * ones were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/unit/fake_guest.h"

#define SIZE   128
#define PIECES 3
#define CHAINS 20 /* at once, at most; without indirect tables, too */
#define ROUNDS 800

static const struct {
	uint64_t gpa, bytes;
} regions[] = {
	{ FG_DATA_GPA, FG_DATA_BYTES },
	{ FG_RING_GPA + 0x200000, FG_RING_BYTES - 0x200000 }, /* behind rings and tables */
	{ FG_HIGH_GPA, FG_HIGH_BYTES },
};

struct chain {
	struct vqd_buf b[PIECES];
	unsigned n;
};

static unsigned seed;

static uint64_t pick(uint64_t n)
{
	return ((uint64_t)rand_r(&seed) << 20 ^ (uint64_t)rand_r(&seed)) % n;
}

/* Mostly in the first two regions and short; some at the very end, across the border, or empty. */
static struct vqd_buf piece(bool device_writes)
{
	unsigned at = pick(16) ? (unsigned)pick(2) : 2;
	uint64_t end = regions[at].gpa + regions[at].bytes;
	struct vqd_buf b = { .len = 1 + (uint32_t)pick(8192), .device_writes = device_writes };

	if (!pick(16))
		b.len = 0;
	b.addr = pick(8) ? regions[at].gpa + pick(regions[at].bytes - b.len) : end - b.len;
	if (at == 1 && !pick(8))
		b.addr += b.len / 2; /* on into the data, which is mapped elsewhere */
	if (b.addr + b.len > end && at != 1)
		b.addr = end - b.len;
	return b;
}

static void chain_make(struct chain *c)
{
	unsigned nout = 1 + (unsigned)pick(2);

	c->n = pick(8) ? PIECES : 1 + (unsigned)pick(PIECES);
	for (unsigned i = 0; i < c->n; i++)
		c->b[i] = piece(i >= nout);
}

/* What the pieces should be, byte by byte. */
static void expect(const struct fg *fg, const struct chain *c, const struct vq_elem *e)
{
	uint64_t bytes[2] = { 0, 0 };
	unsigned k = 0;
	size_t at = 0;

	for (unsigned i = 0; i < c->n; i++) {
		bytes[c->b[i].device_writes] += c->b[i].len;
		for (uint64_t off = 0; off < c->b[i].len; off++) {
			if (k < (unsigned)e->nout + e->nin && at == e->iov[k].iov_len) {
				k++;
				at = 0;
			}
			if (off % 64 && at && off + 1 < c->b[i].len) {
				at++; /* borders are page borders: each 64th, first and last do */
				continue;
			}
			assert_true(k < (unsigned)e->nout + e->nin);
			assert_int_equal(k >= e->nout, c->b[i].device_writes);
			assert_ptr_equal((char *)e->iov[k].iov_base + at,
					 fg_va(fg, c->b[i].addr + off));
			at++;
		}
	}
	assert_int_equal(e->out_bytes, bytes[0]);
	assert_int_equal(e->in_bytes, bytes[1]);
}

static void round_trip(struct fg *fg, bool indirect)
{
	static struct chain chains[CHAINS];
	unsigned n = 1 + (unsigned)pick(CHAINS), got = 0;
	struct vq_elem *elems[VQ_BATCH];
	uint32_t written;
	void *cookie;
	int err;

	for (unsigned i = 0; i < n; i++) {
		chain_make(&chains[i]);
		assert_int_equal(vqd_add(&fg->d, chains[i].b, chains[i].n,
					 indirect && pick(8), &chains[i]),
				 0);
	}
	(void)vqd_publish(&fg->d);
	while (got < n) {
		unsigned m = vq_pop(&fg->q, elems, VQ_BATCH);

		assert_string_equal(fg->q.why, "");
		assert_true(m);
		for (unsigned i = 0; i < m; i++)
			expect(fg, &chains[got + i], elems[i]);
		for (unsigned i = 0; i < m; i++)
			vq_push(&fg->q, elems[i], 0);
		got += m;
	}
	vq_flush(&fg->q);
	while (vqd_get(&fg->d, &cookie, &written, &err))
		got--;
	assert_int_equal(got, 0);
}

static void any_piece_in_any_region(bool packed, bool indirect)
{
	const struct fg_opts o = {
		.size = SIZE,
		.packed = packed,
		.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) |
			    (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0) |
			    (indirect ? VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) : 0),
	};
	struct vqd_buf hole = { .addr = FG_DATA_GPA + FG_DATA_BYTES, .len = 1 };
	struct vq_elem *elem;
	struct fg fg;

	seed = 1;
	fg_init(&fg, &o);
	for (unsigned i = 0; i < ROUNDS; i++) {
		round_trip(&fg, indirect);
		if (!pick(64))
			vq_set_gmem(&fg.q, fg.g);
	}
	/* what lies in none is refused as ever */
	assert_int_equal(vqd_add(&fg.d, &hole, 1, false, NULL), 0);
	(void)vqd_publish(&fg.d);
	assert_int_equal(vq_pop(&fg.q, &elem, 1), 0);
	assert_non_null(strstr(fg.q.why, "outside guest memory"));
	fg_fini(&fg);
}

static void split_direct(void **state)
{
	(void)state;
	any_piece_in_any_region(false, false);
}

static void split_indirect(void **state)
{
	(void)state;
	any_piece_in_any_region(false, true);
}

static void packed_direct(void **state)
{
	(void)state;
	any_piece_in_any_region(true, false);
}

static void packed_indirect(void **state)
{
	(void)state;
	any_piece_in_any_region(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_direct),
		cmocka_unit_test(split_indirect),
		cmocka_unit_test(packed_direct),
		cmocka_unit_test(packed_indirect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
