/* SPDX-License-Identifier: BSD-3-Clause */
/* The block request parser: every framing, every verdict of Virtio 1.2, 5.2.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vhost/blk/vblk_request.h"

#define PIECES_MAX 40

/* A chain whose pieces are allocations of their own, so that a byte too far is seen by ASan. */
struct chain {
	struct vq_elem e;
	struct iovec iov[PIECES_MAX], was[PIECES_MAX];
};

static void piece_add(struct chain *c, const uint8_t *bytes, size_t len, bool writable)
{
	struct iovec *v = &c->iov[c->e.nout + c->e.nin];

	assert_true(c->e.nout + c->e.nin < PIECES_MAX);
	v->iov_base = malloc(len ? len : 1);
	assert_non_null(v->iov_base);
	v->iov_len = len;
	memcpy(v->iov_base, bytes, len);
	if (writable) {
		c->e.nin++;
		c->e.in_bytes += (uint32_t)len;
	} else {
		c->e.nout++;
		c->e.out_bytes += (uint32_t)len;
	}
}

/* @bytes cut before each of the positions @cuts (ascending; equal ones make empty pieces). */
static void pieces_add(struct chain *c, const uint8_t *bytes, size_t len, bool writable,
		       const size_t *cuts, unsigned ncuts)
{
	size_t at = 0;

	for (unsigned i = 0; i < ncuts; i++) {
		piece_add(c, bytes + at, cuts[i] - at, writable);
		at = cuts[i];
	}
	piece_add(c, bytes + at, len - at, writable);
}

static void chain_init(struct chain *c)
{
	memset(c, 0, sizeof(*c));
	c->e.iov = c->iov;
}

static void chain_fini(struct chain *c)
{
	for (unsigned i = 0; i < c->e.nout + c->e.nin; i++)
		free(c->iov[i].iov_base);
}

static void header_fill(uint8_t *buf, uint32_t type, uint64_t sector)
{
	const struct vblk_hdr hdr = { le32_make(type), le32_make(0), le64_make(sector) };

	memcpy(buf, &hdr, sizeof(hdr));
}

static const struct vblk_rules rules_all = {
	.features = ~0ull,
	.sectors = 1000,
	.block_sectors = 1,
	.discard_sectors_max = 100,
	.zeroes_sectors_max = 50,
};

/* The trimmed data, in one piece. */
static size_t data_gather(const struct vblk_request *r, uint8_t *buf)
{
	size_t at = 0;

	for (unsigned i = 0; i < r->iovcnt; i++) {
		memcpy(buf + at, r->iov[i].iov_base, r->iov[i].iov_len);
		at += r->iov[i].iov_len;
	}
	return at;
}

/* Parse, trim, compare with @want, untrim, compare the pieces with what they were. */
static void data_is(struct chain *c, int kind, const uint8_t *want, size_t len)
{
	uint8_t got[2048];
	struct vblk_request r;
	const struct iovec *last = &c->iov[c->e.nout + c->e.nin - 1];

	memcpy(c->was, c->iov, sizeof(c->iov));
	while (!last->iov_len)
		last--;
	assert_int_equal(vblk_request_parse(&c->e, &rules_all, &r), 0);
	assert_int_equal(r.kind, kind);
	assert_int_equal(r.len, len);
	assert_int_equal(r.off, 7 * 512);
	assert_ptr_equal(r.status, (uint8_t *)last->iov_base + last->iov_len - 1);
	vblk_request_trim(r.iov, r.iovcnt, r.cut_front, r.cut_back);
	assert_int_equal(data_gather(&r, got), len);
	assert_memory_equal(got, want, len);
	vblk_request_untrim(r.iov, r.iovcnt, r.cut_front, r.cut_back);
	assert_memory_equal(c->was, c->iov, sizeof(c->iov));
}

static void random_fill(uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 37 + i / 256 + 11);
}

/* CVE-2022-2132's place: header and data cut at every position, once and twice. */
static void header_and_data_may_be_cut_anywhere(void **state)
{
	uint8_t out[16 + 512], status = 0xff;

	(void)state;
	random_fill(out, sizeof(out));
	header_fill(out, VBLK_T_OUT, 7);
	for (size_t a = 0; a <= sizeof(out); a++) {
		for (size_t b = a; b <= sizeof(out); b += a < 20 ? 1 : 97) {
			const size_t cuts[] = { a, b };
			struct chain c;

			chain_init(&c);
			pieces_add(&c, out, sizeof(out), false, cuts, 2);
			piece_add(&c, &status, 1, true);
			data_is(&c, VBLK_WRITE, out + 16, 512);
			chain_fini(&c);
		}
	}
}

static void header_may_come_byte_by_byte(void **state)
{
	uint8_t out[16 + 512], status = 0xff;
	size_t cuts[16];
	struct chain c;

	(void)state;
	random_fill(out, sizeof(out));
	header_fill(out, VBLK_T_OUT, 7);
	for (size_t i = 0; i < 16; i++)
		cuts[i] = i + 1;
	chain_init(&c);
	pieces_add(&c, out, sizeof(out), false, cuts, 16);
	piece_add(&c, &status, 1, true);
	data_is(&c, VBLK_WRITE, out + 16, 512);
	chain_fini(&c);
}

static void status_may_be_cut_from_the_data_anywhere(void **state)
{
	uint8_t hdr[16], in[512 + 1];

	(void)state;
	header_fill(hdr, VBLK_T_IN, 7);
	random_fill(in, sizeof(in));
	for (size_t a = 0; a <= sizeof(in); a++) {
		for (size_t b = a; b <= sizeof(in); b += b < 500 ? 83 : 1) {
			const size_t cuts[] = { a, b }, hcut[] = { a % 17 };
			struct chain c;

			chain_init(&c);
			pieces_add(&c, hdr, sizeof(hdr), false, hcut, 1);
			pieces_add(&c, in, sizeof(in), true, cuts, 2);
			data_is(&c, VBLK_READ, in, 512);
			chain_fini(&c);
		}
	}
}

/* Both steps of the usual framing, as the data path takes them. */
static bool parse_usual(const struct vq_elem *e, struct vblk_request *ret)
{
	struct vblk_hdr hdr;

	if (!vblk_header_alone(e, &hdr))
		return false;
	return vblk_request_parse_pieces(e, &hdr, ret);
}

static void usual_parse_agrees_with_the_full_one(void **state)
{
	uint8_t out[16 + 1024], in[1024 + 1];
	const size_t hcut[] = { 16, 16 + 512 }, scut[] = { 512, 1024 };

	(void)state;
	memset(in, 0, sizeof(in));
	for (unsigned write = 0; write < 2; write++) {
		struct vblk_request fast = { 0 }, full = { 0 };
		struct chain c;

		header_fill(out, write ? VBLK_T_OUT : VBLK_T_IN, 7);
		chain_init(&c);
		pieces_add(&c, out, write ? sizeof(out) : 16, false, hcut, write ? 2 : 0);
		pieces_add(&c, in, write ? 1 : sizeof(in), true, scut, write ? 0 : 2);
		assert_true(parse_usual(&c.e, &fast));
		assert_int_equal(vblk_request_parse(&c.e, &rules_all, &full), 0);
		assert_int_equal(fast.kind, full.kind);
		assert_int_equal(fast.iovcnt, full.iovcnt);
		assert_ptr_equal(fast.iov, full.iov);
		assert_int_equal(fast.len, full.len);
		assert_int_equal(fast.off, full.off);
		assert_ptr_equal(fast.status, full.status);
		assert_int_equal(full.cut_front | full.cut_back, 0);
		chain_fini(&c);
	}
}

/* Requests whose answer the parser knows, or that it passes on. in and out: bytes besides header
 * and status. */
struct verdict_row {
	const char *what;
	uint32_t type;
	uint64_t sector;
	size_t out, in;
	bool read_only, no_features;
	int verdict;
};

static const struct verdict_row verdicts[] = {
	{ "read of nothing", VBLK_T_IN, 0, 0, 0, false, true, 0 },
	{ "read of a sector and a bit", VBLK_T_IN, 0, 0, 513, false, true, VBLK_S_IOERR },
	{ "last sector that 64 bits of bytes can name", VBLK_T_IN, (1ull << 55) - 1, 0, 512, false,
	  true, 0 },
	{ "sector beyond", VBLK_T_IN, 1ull << 55, 0, 512, false, true, VBLK_S_IOERR },
	{ "sector that wraps to 0", VBLK_T_OUT, 1ull << 63, 512, 0, false, true, VBLK_S_IOERR },
	{ "write", VBLK_T_OUT, 0, 512, 0, false, true, 0 },
	{ "write of half a sector", VBLK_T_OUT, 0, 256, 0, false, true, VBLK_S_IOERR },
	{ "write to read-only", VBLK_T_OUT, 0, 512, 0, true, true, VBLK_S_IOERR },
	{ "discard on read-only", VBLK_T_DISCARD, 0, 16, 0, true, true, VBLK_S_IOERR },
	{ "zeroes on read-only", VBLK_T_WRITE_ZEROES, 0, 16, 0, true, false, VBLK_S_IOERR },
	{ "erase on read-only", VBLK_T_SECURE_ERASE, 0, 16, 0, true, false, VBLK_S_IOERR },
	{ "append on read-only", VBLK_T_ZONE_APPEND, 0, 512, 8, true, false, VBLK_S_IOERR },
	{ "zone reset on read-only", VBLK_T_ZONE_RESET_ALL, 0, 0, 0, true, false, VBLK_S_IOERR },
	{ "read of read-only", VBLK_T_IN, 0, 0, 512, true, true, 0 },
	{ "flush of read-only", VBLK_T_FLUSH, 0, 0, 0, true, true, 0 },
	{ "flush", VBLK_T_FLUSH, 0, 0, 0, false, true, 0 },
	{ "flush with a sector", VBLK_T_FLUSH, 99, 0, 0, false, true, 0 },
	{ "id", VBLK_T_GET_ID, 0, 0, 20, false, true, 0 },
	{ "discard, negotiated", VBLK_T_DISCARD, 0, 16, 0, false, false, 0 },
	{ "discard, not negotiated", VBLK_T_DISCARD, 0, 16, 0, false, true, VBLK_S_UNSUPP },
	{ "zeroes, not negotiated", VBLK_T_WRITE_ZEROES, 0, 16, 0, false, true, VBLK_S_UNSUPP },
	{ "lifetime, not offered", VBLK_T_GET_LIFETIME, 0, 0, 8, false, true, VBLK_S_UNSUPP },
	{ "erase, not offered", VBLK_T_SECURE_ERASE, 0, 16, 0, false, true, VBLK_S_UNSUPP },
	{ "zone report, not offered", VBLK_T_ZONE_REPORT, 0, 0, 64, false, true, VBLK_S_UNSUPP },
	{ "zone open, not offered", VBLK_T_ZONE_OPEN, 0, 0, 0, false, true, VBLK_S_UNSUPP },
	{ "SCSI passthrough of old", 2, 0, 0, 96, false, false, VBLK_S_UNSUPP },
	{ "barrier of old", 0x80000000u, 0, 0, 0, false, false, VBLK_S_UNSUPP },
	{ "type that a byte would cut to OUT", 0x101, 0, 512, 0, false, false, VBLK_S_UNSUPP },
};

static void verdicts_are_the_specifications(void **state)
{
	uint8_t out[16 + 512], in[600] = { 0 };

	(void)state;
	memset(out, 0, sizeof(out));
	for (unsigned i = 0; i < ARRAY_SIZE(verdicts); i++) {
		const struct verdict_row *row = &verdicts[i];
		struct vblk_rules rules = rules_all;
		struct vblk_request r;
		struct chain c;
		int got;

		header_fill(out, row->type, row->sector);
		rules.read_only = row->read_only;
		if (row->no_features)
			rules.features = 0;
		chain_init(&c);
		piece_add(&c, out, 16 + row->out, false);
		piece_add(&c, in, row->in + 1, true);
		got = vblk_request_parse(&c.e, &rules, &r);
		if (got != row->verdict)
			fail_msg("%s: %d, want %d", row->what, got, row->verdict);
		assert_ptr_equal(r.status, (uint8_t *)c.iov[1].iov_base + row->in);
		chain_fini(&c);
	}
}

static void chains_without_room_cannot_be_answered(void **state)
{
	static const struct {
		size_t out, in;
		int want;
	} rows[] = {
		{ 16, 1, 0 },	    { 15, 1, -EPROTO },	 { 0, 1, -EPROTO },
		{ 16, 0, -EPROTO }, { 528, 0, -EPROTO }, { 0, 528, -EPROTO },
	};
	uint8_t buf[528];

	(void)state;
	memset(buf, 0, sizeof(buf));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vblk_request r;
		struct chain c;

		chain_init(&c);
		if (rows[i].out)
			piece_add(&c, buf, rows[i].out, false);
		if (rows[i].in)
			piece_add(&c, buf, rows[i].in, true);
		assert_int_equal(vblk_request_parse(&c.e, &rules_all, &r), rows[i].want);
		if (rows[i].want)
			assert_false(parse_usual(&c.e, &r));
		chain_fini(&c);
	}
}

/* Segments */
struct seg_row {
	const char *what;
	uint64_t sector;
	uint32_t n, flags;
	int discard, zeroes; /* verdicts */
};

static const struct seg_row seg_rows[] = {
	{ "one sector", 0, 1, 0, 0, 0 },
	{ "none", 5, 0, 0, 0, 0 },
	{ "unmap flag", 0, 1, 1, VBLK_S_UNSUPP, 0 },
	{ "unknown flag", 0, 1, 2, VBLK_S_UNSUPP, VBLK_S_UNSUPP },
	{ "highest flag", 0, 1, 1u << 31, VBLK_S_UNSUPP, VBLK_S_UNSUPP },
	{ "unknown flag and out of bounds", 5000, 1, 4, VBLK_S_UNSUPP, VBLK_S_UNSUPP },
	{ "last sector", 999, 1, 0, 0, 0 },
	{ "one beyond", 999, 2, 0, VBLK_S_IOERR, VBLK_S_IOERR },
	{ "empty at the end", 1000, 0, 0, 0, 0 },
	{ "empty beyond the end", 1001, 0, 0, VBLK_S_IOERR, VBLK_S_IOERR },
	{ "longest of both", 0, 50, 0, 0, 0 },
	{ "longer than zeroes may be", 0, 51, 0, 0, VBLK_S_IOERR },
	{ "longer than discard may be", 0, 101, 0, VBLK_S_IOERR, VBLK_S_IOERR },
	{ "sum wraps 64 bits", UINT64_MAX, 2, 0, VBLK_S_IOERR, VBLK_S_IOERR },
	{ "bytes wrap 32 bits", 0, 1u << 23, 0, VBLK_S_IOERR, VBLK_S_IOERR },
	{ "all ones", UINT64_MAX, UINT32_MAX, 0, VBLK_S_IOERR, VBLK_S_IOERR },
};

static int segs_verdict(int kind, const uint8_t *out, size_t len, size_t cut,
			struct vblk_range *ranges, unsigned *n)
{
	const size_t cuts[] = { cut };
	uint8_t status = 0;
	struct vblk_request r;
	struct chain c;
	int err;

	chain_init(&c);
	pieces_add(&c, out, len, false, cuts, 1);
	piece_add(&c, &status, 1, true);
	assert_int_equal(vblk_request_parse(&c.e, &rules_all, &r), 0);
	assert_int_equal(r.kind, kind);
	err = vblk_segs_parse(&c.e, &rules_all, &r, ranges, n);
	chain_fini(&c);
	return err;
}

static void seg_fill(uint8_t *buf, uint64_t sector, uint32_t n, uint32_t flags)
{
	const struct vblk_seg seg = { le64_make(sector), le32_make(n), le32_make(flags) };

	memcpy(buf, &seg, sizeof(seg));
}

static void segments_are_checked_in_64_bits(void **state)
{
	uint8_t out[32];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(seg_rows) * 2; i++) {
		const struct seg_row *row = &seg_rows[i / 2];
		bool discard = i % 2;
		int want = discard ? row->discard : row->zeroes, got;
		struct vblk_range ranges[VBLK_SEGS_MAX];
		unsigned n;

		header_fill(out, discard ? VBLK_T_DISCARD : VBLK_T_WRITE_ZEROES, 0);
		seg_fill(out + 16, row->sector, row->n, row->flags);
		got = segs_verdict(discard ? VBLK_DISCARD : VBLK_WRITE_ZEROES, out, 32, 16, ranges,
				   &n);
		if (got != want)
			fail_msg("%s, %s: %d, want %d", row->what, discard ? "discard" : "zeroes",
				 got, want);
		if (got)
			continue;
		assert_int_equal(n, 1);
		assert_int_equal(ranges[0].sector, row->sector);
		assert_int_equal(ranges[0].nsectors, row->n);
		assert_int_equal(ranges[0].unmap, row->flags & 1);
	}
}

/* SPDK reads 16 bytes past the first piece here. */
static void segments_may_be_cut_anywhere(void **state)
{
	uint8_t out[16 + 3 * 16];

	(void)state;
	header_fill(out, VBLK_T_WRITE_ZEROES, 0);
	for (unsigned i = 0; i < 3; i++)
		seg_fill(out + 16 + i * 16, i * 100, i + 1, i & 1);
	for (size_t cut = 0; cut <= sizeof(out); cut++) {
		struct vblk_range ranges[VBLK_SEGS_MAX];
		unsigned n;

		assert_int_equal(segs_verdict(VBLK_WRITE_ZEROES, out, sizeof(out), cut, ranges, &n),
				 0);
		assert_int_equal(n, 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(ranges[i].sector, i * 100);
			assert_int_equal(ranges[i].nsectors, i + 1);
			assert_int_equal(ranges[i].unmap, i & 1);
		}
	}
}

static void segment_counts_have_limits(void **state)
{
	static const struct {
		size_t bytes;
		int want;
	} rows[] = {
		{ 0, VBLK_S_IOERR },
		{ 8, VBLK_S_IOERR },
		{ 16 + 15, VBLK_S_IOERR },
		{ 16 * VBLK_SEGS_MAX, 0 },
		{ 16 * VBLK_SEGS_MAX + 16, VBLK_S_UNSUPP },
	};
	uint8_t out[16 + 16 * VBLK_SEGS_MAX + 16];

	(void)state;
	memset(out, 0, sizeof(out));
	header_fill(out, VBLK_T_DISCARD, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vblk_range ranges[VBLK_SEGS_MAX];
		unsigned n;

		assert_int_equal(segs_verdict(VBLK_DISCARD, out, 16 + rows[i].bytes, 16, ranges,
					      &n),
				 rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_and_data_may_be_cut_anywhere),
		cmocka_unit_test(header_may_come_byte_by_byte),
		cmocka_unit_test(status_may_be_cut_from_the_data_anywhere),
		cmocka_unit_test(usual_parse_agrees_with_the_full_one),
		cmocka_unit_test(verdicts_are_the_specifications),
		cmocka_unit_test(chains_without_room_cannot_be_answered),
		cmocka_unit_test(segments_are_checked_in_64_bits),
		cmocka_unit_test(segments_may_be_cut_anywhere),
		cmocka_unit_test(segment_counts_have_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
