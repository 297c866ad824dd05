/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring, device side: well-behaved drivers, then hostile ones, each refused for the right
 * reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fake_guest.h"

#define EVENT VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define IND_F VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

static const struct vqd_buf hdr = { FG_DATA_GPA, 16, false };
static const struct vqd_buf data = { FG_DATA_GPA + 4096, 4096, true };
static const struct vqd_buf status = { FG_DATA_GPA + 32, 1, true };

static uint64_t drain(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* All sizes, direct and indirect, several times round the 16-bit index. */
static void chains_go_round(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 4, 256, 1024 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes) * 2; s++) {
		struct fg_opts o = { .size = sizes[s / 2], .features = IND_F, .start = 65500 };
		bool indirect = s & 1 || o.size < 3;
		struct fg fg;

		fg_init(&fg, &o);
		for (uintptr_t i = 1; i < 70000; i++) {
			const struct vqd_buf b[] = { hdr, data, status };
			struct vq_elem *e[VQ_BATCH];
			uint32_t written;
			void *cookie;
			int err;

			assert_int_equal(vqd_add(&fg.d, b, 3, indirect, (void *)i), 0);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
			vqd_publish(&fg.d);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
			assert_int_equal(e[0]->nout, 1);
			assert_int_equal(e[0]->nin, 2);
			assert_int_equal(e[0]->out_bytes, 16);
			assert_int_equal(e[0]->in_bytes, 4097);
			assert_ptr_equal(e[0]->iov[1].iov_base, fg_va(&fg, data.addr));
			vq_push(&fg.q, e[0], (uint32_t)(i % 4098));
			assert_false(vqd_get(&fg.d, &cookie, &written, &err));
			vq_flush(&fg.q);
			assert_true(vqd_get(&fg.d, &cookie, &written, &err));
			assert_ptr_equal(cookie, (void *)i);
			assert_int_equal(written, i % 4098);
		}
		assert_int_equal(fg.q.ninflight, 0);
		fg_fini(&fg);
	}
}

struct raw {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* A chain by hand: ring descriptors from 0 on, table entries at @table. @why NULL: it is fine, with
 * these pieces. */
struct row {
	const char *name, *why;
	struct raw d[4], t[4];
	unsigned nout, nin;
	uint16_t head;
	bool no_indirect;
	uint64_t table; /* 0: TABLE */
};

/* beside the data: chain and table in one region are the usual case */
#define TABLE (FG_DATA_GPA + 0x100000)
#define HOLE  0x10ull
#define OK(a) FG_DATA_GPA + (a), 16
#define W     VIRTQ_DESC_F_WRITE
#define N     VIRTQ_DESC_F_NEXT
#define I     VIRTQ_DESC_F_INDIRECT
#define IND(n)                        \
	{                             \
		TABLE, 16 * (n), I, 0 \
	}

static const struct row rows[] = {
	{ "one readable", NULL, .d = { { OK(0) } }, .nout = 1 },
	{ "one writable", NULL, .d = { { OK(0), W } }, .nin = 1 },
	{ "two and two", NULL,
	  .d = { { OK(0), N, 1 }, { OK(64), N, 2 }, { OK(128), N | W, 3 }, { OK(192), W } },
	  .nout = 2, .nin = 2 },
	{ "write request", NULL, .d = { { OK(0), N, 1 }, { OK(0), N, 2 }, { OK(0), W } }, .nout = 2,
	  .nin = 1 },
	{ "across adjacent regions", NULL, .d = { { FG_DATA_GPA - 8, 16, 0 } }, .nout = 2 },
	{ "CVE-2018-1059: off the end", "outside",
	  .d = { { FG_DATA_GPA + FG_DATA_BYTES - 8, 16 } } },
	{ "last byte past", "outside", .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 15, 16 } } },
	{ "last byte in", NULL, .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 16, 16 } }, .nout = 1 },
	{ "before the region", "outside", .d = { { FG_HIGH_GPA - 1, 16 } } },
	{ "end of the address space", "outside", .d = { { UINT64_MAX - 7, 16 } } },
	{ "length 2^32-1", "outside", .d = { { FG_DATA_GPA, UINT32_MAX } } },
	{ "CVE-2020-10725: unmapped 1st", "outside", .d = { { HOLE, 16, N, 1 }, { OK(0), W } } },
	{ "unmapped 2nd", "outside",
	  .d = { { OK(0), N, 1 }, { HOLE, 16, N | W, 2 }, { OK(0), W } } },
	{ "unmapped 3rd", "outside",
	  .d = { { OK(0), N, 1 }, { OK(0), N | W, 2 }, { HOLE, 16, W } } },
	{ "CVE-2019-9547: loop of one", "longer than the ring", .d = { { OK(0), N, 0 } } },
	{ "loop of two", "longer than the ring", .d = { { OK(0), N, 1 }, { OK(0), N, 0 } } },
	{ "CVE-2016-6490: loop of nothing", "longer than the ring", .d = { { HOLE, 0, N, 0 } } },
	/* d[3] lies behind the ring as well, as what would pass for the rest of the chain */
	{ "link to the size", "link out of the ring",
	  .d = { { OK(0), N, 8 }, [3] = { OK(0), W } } },
	{ "link to the size and back", "link out of the ring",
	  .d = { { OK(0), N, 8 }, { OK(0), W }, [3] = { OK(0), N | W, 1 } } },
	{ "third link to the size", "link out of the ring",
	  .d = { { OK(0), N, 1 }, { OK(0), N | W, 8 }, [3] = { OK(0), W } } },
	{ "link far out", "link out of the ring", .d = { { OK(0), N, 1 }, { OK(0), N, 0xffff } } },
	{ "head at the size", "out of the ring", .d = { { OK(0) } }, .head = 8 },
	{ "head far out", "out of the ring", .d = { { OK(0) } }, .head = 0xffff },
	{ "2.7.4.2: readable behind writable", "behind a writable",
	  .d = { { OK(0), N | W, 1 }, { OK(0) } } },
	{ "readable between writable", "behind a writable",
	  .d = { { OK(0), N | W, 1 }, { OK(0), N, 2 }, { OK(0), W } } },
	{ "empty 1st", NULL, .d = { { HOLE, 0, N, 1 }, { OK(0), N | W, 2 }, { OK(0), W } },
	  .nin = 2 },
	{ "empty 2nd", NULL, .d = { { OK(0), N, 1 }, { OK(8), N | W, 2 }, { OK(0), W } }, .nout = 1,
	  .nin = 2 },
	{ "empty 3rd", NULL, .d = { { OK(0), N, 1 }, { OK(0), N | W, 2 }, { HOLE, 0, W } },
	  .nout = 1, .nin = 1 },
	{ "empty 2nd, in memory", NULL,
	  .d = { { OK(0), N, 1 }, { FG_DATA_GPA, 0, N | W, 2 }, { OK(0), W } }, .nout = 1, .nin = 1 },
	{ "empty 1st, in memory", NULL,
	  .d = { { FG_DATA_GPA, 0, N, 1 }, { OK(0), N | W, 2 }, { OK(0), W } }, .nin = 2 },
	{ "empty all", NULL, .d = { { HOLE, 0, N, 1 }, { HOLE, 0, N | W, 2 }, { HOLE, 0, W } } },
	{ "reserved flags", NULL, .d = { { OK(0), N | 0x80, 1 }, { OK(0), W | 0x100 } }, .nout = 1,
	  .nin = 1 },
	/* indirect */
	{ "table", NULL, .d = { IND(3) }, .t = { { OK(0), N, 1 }, { OK(0), N, 2 }, { OK(0), W } },
	  .nout = 2, .nin = 1 },
	{ "table out of order", NULL, .d = { IND(4) },
	  .t = { { OK(0), N, 3 }, { OK(0), W, 0 }, { 0 }, { OK(0), N | W, 1 } }, .nout = 1,
	  .nin = 2 },
	{ "table, WRITE ignored", NULL, .d = { { TABLE, 16, I | W } }, .t = { { OK(0) } },
	  .nout = 1 },
	{ "chain, then table", NULL, .d = { { OK(0), N, 1 }, { TABLE, 32, I } },
	  .t = { { OK(0), N, 1 }, { OK(0), W } }, .nout = 2, .nin = 1 },
	{ "not negotiated", "not negotiated", .d = { IND(1) }, .t = { { OK(0) } },
	  .no_indirect = true },
	{ "CVE-2011-2212: nested", "nested", .d = { IND(2) }, .t = { { TABLE, 16, I } } },
	{ "nested later", "nested", .d = { IND(2) }, .t = { { OK(0), N, 1 }, { TABLE, 16, I } } },
	{ "with NEXT", "together with NEXT", .d = { { TABLE, 48, I | N, 1 }, { OK(0) } },
	  .t = { { OK(0), N, 1 }, { OK(0), N, 2 }, { OK(0), W } } },
	{ "with NEXT, later", "together with NEXT",
	  .d = { { OK(0), N, 1 }, { TABLE, 16, I | N, 2 }, { OK(0) } } },
	{ "table of 0 bytes", "odd length", .d = { { TABLE, 0, I } } },
	{ "table of 15 bytes", "odd length", .d = { { TABLE, 15, I } }, .t = { { OK(0) } } },
	{ "table of 17 bytes", "odd length", .d = { { TABLE, 17, I } }, .t = { { OK(0) } } },
	{ "table unmapped", "table outside", .d = { { HOLE, 16, I } } },
	{ "table at the end", "table outside", .d = { { UINT64_MAX - 15, 16, I } } },
	{ "table half unmapped", "table outside",
	  .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 8, 16, I } } },
	{ "table's 2nd entry unmapped", "table outside",
	  .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 16, 32, I } }, .t = { { OK(0), N, 1 } },
	  .table = FG_HIGH_GPA + FG_HIGH_BYTES - 16 },
	{ "qemu#2149: table across regions", NULL, .d = { { FG_DATA_GPA - 24, 48, I } },
	  .t = { { OK(64), N, 1 }, { OK(64), N | W, 2 }, { OK(64), W } }, .nout = 1, .nin = 2,
	  .table = FG_DATA_GPA - 24 },
	{ "odd address of a table", NULL, .d = { { TABLE + 3, 32, I } },
	  .t = { { OK(64), N, 1 }, { OK(64), W } }, .nout = 1, .nin = 1, .table = TABLE + 3 },
	{ "link out of the table", "link out of the indirect", .d = { IND(2) },
	  .t = { { OK(0), N, 2 }, { 0 }, { OK(0), W } } },
	{ "second link out of the table", "link out of the indirect", .d = { IND(2) },
	  .t = { { OK(0), N, 1 }, { OK(0), N, 2 }, { OK(0), W } } },
	{ "loop in the table", "too many", .d = { IND(2) },
	  .t = { { OK(0), N, 1 }, { OK(0), N, 0 } } },
	{ "loop of nothing in the table", "too many descriptors", .d = { IND(1) },
	  .t = { { 0, 0, N, 0 } } },
	{ "unmapped in the table", "outside", .d = { IND(2) },
	  .t = { { OK(0), N, 1 }, { HOLE, 1, W } } },
	{ "empty in the table", NULL, .d = { IND(2) }, .t = { { HOLE, 0, N, 1 }, { OK(0), W } },
	  .nout = 0, .nin = 1 },
};

static void put_row(struct fg *fg, const struct row *r)
{
	uint64_t table = r->table ? r->table : TABLE;

	for (unsigned i = 0; i < ARRAY_SIZE(r->d); i++) {
		const struct raw *d = &r->d[i], *t = &r->t[i];

		fg_desc(fg, i, (struct vqd_buf){ d->addr, d->len, false }, d->flags, d->next);
		fg_table(fg, table + 16 * i, (struct vqd_buf){ t->addr, t->len, false }, t->flags,
			 t->next);
	}
	fg_desc(fg, 8, (struct vqd_buf){ r->d[3].addr, r->d[3].len, false }, r->d[3].flags,
		r->d[3].next);
	fg_avail(fg, r->head);
}

/* Each row alone, and once more behind a good chain, which must not suffer. */
static void chains_by_hand(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		const struct row *r = &rows[i / 2];
		struct fg_opts o = { .size = 8, .features = r->no_indirect ? 0 : IND_F };
		unsigned good = i & 1, n;
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		if (good) {
			fg_desc(&fg, 7, hdr, 0, 0);
			fg_avail(&fg, 7);
		}
		put_row(&fg, r);
		n = vq_pop(&fg.q, e, VQ_BATCH);
		if (fg.q.broken != !!r->why || n != good + !r->why)
			fail_msg("%s: popped %u, %s", r->name, n, fg.q.why);
		if (good)
			assert_int_equal(e[0]->id, 7);
		if (r->why) {
			if (!strstr(fg.q.why, r->why))
				fail_msg("%s: %s", r->name, fg.q.why);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
			assert_false(vq_kick_enable(&fg.q));
			assert_int_equal(vq_base(&fg.q), good);
		} else if (e[good]->nout != r->nout || e[good]->nin != r->nin) {
			fail_msg("%s: %u + %u pieces", r->name, e[good]->nout, e[good]->nin);
		}
		assert_int_equal(fg.q.ninflight, n);
		vq_flush(&fg.q);
		fg_fini(&fg);
	}
}

/* CVE-2016-5403, and a head that is there twice. */
static void more_than_the_ring_holds(void **state)
{
	static const struct {
		uint16_t jump;
		bool ok;
	} jumps[] = { { 8, true }, { 9, false }, { 0x8000, false }, { 0xffff, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct fg_opts o = { .size = 8, .start = 7 };
		struct virtq_avail *avail;
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		avail = fg.conf.avail;
		for (unsigned k = 0; k < 8; k++) {
			fg_desc(&fg, k, hdr, 0, 0);
			avail->ring[k] = le16_make((uint16_t)k);
		}
		avail->idx = le16_make((uint16_t)(7 + jumps[i].jump));
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), jumps[i].ok ? 8 : 0);
		assert_int_equal(fg.q.broken, !jumps[i].ok);
		if (jumps[i].ok) { /* one more, while all are ours */
			fg_avail(&fg, 0);
			vq_push(&fg.q, e[0], 0);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
			assert_non_null(strstr(fg.q.why, "jumps"));
		}
		fg_fini(&fg);
	}
}

static void a_head_is_there_once(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	for (unsigned batch = 0; batch < 2; batch++) {
		fg_init(&fg, &o);
		fg_desc(&fg, 3, hdr, 0, 0);
		fg_avail(&fg, 3);
		if (!batch)
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
		fg_avail(&fg, 3);
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), batch);
		assert_string_equal(fg.q.why, "head 3 already in flight");
		fg_fini(&fg);
	}
}

static void sums_stay_below_4_gib(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct fg fg;
	struct vq_elem *e[VQ_BATCH];
	struct gmem *big = calloc(1, sizeof(*big) + sizeof(big->r[0]));

	(void)state;
	big->n = 1; /* never touched, so it need not be there */
	big->r[0] = (struct gmem_region){ .gpa = 0, .len = 1ull << 40, .va = (char *)(1ull << 40) };
	for (uint32_t more = 1; more < 3; more++) {
		fg_init(&fg, &o);
		vq_set_gmem(&fg.q, big);
		fg_desc(&fg, 0, (struct vqd_buf){ 0, 1u << 31, false }, N, 1);
		fg_desc(&fg, 1, (struct vqd_buf){ 0, (1u << 31) - 2 + more, false }, 0, 0);
		fg_avail(&fg, 0);
		assert_int_equal(vq_pop(&fg.q, e, 1), more == 1);
		if (more == 1)
			assert_int_equal(e[0]->out_bytes, UINT32_MAX);
		else
			assert_non_null(strstr(fg.q.why, "4 GiB"));
		fg_fini(&fg);
	}
	free(big);
}

static void pieces_are_limited(void **state)
{
	struct fg_opts o = { .size = 8, .features = IND_F };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	for (unsigned n = VQ_IOVS_MAX; n <= VQ_IOVS_MAX + 1; n++) {
		fg_init(&fg, &o);
		for (unsigned i = 0; i < n; i++)
			fg_table(&fg, TABLE + 16 * i, data, i + 1 < n ? N : 0, (uint16_t)(i + 1));
		fg_desc(&fg, 0, (struct vqd_buf){ TABLE, 16 * n, false }, I, 0);
		fg_avail(&fg, 0);
		assert_int_equal(vq_pop(&fg.q, e, 1), n == VQ_IOVS_MAX);
		if (n == VQ_IOVS_MAX)
			assert_int_equal(e[0]->nin, n);
		else
			assert_non_null(strstr(fg.q.why, "too many pieces"));
		fg_fini(&fg);
	}
}

/* CVE-2026-93683 and its kind: what the driver writes after the pop is too late. */
static void rewriting_is_too_late(void **state)
{
	struct fg_opts o = { .size = 8, .features = IND_F };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	fg_table(&fg, TABLE, hdr, N, 1);
	fg_table(&fg, TABLE + 16, status, 0, 0);
	fg_desc(&fg, 0, (struct vqd_buf){ TABLE, 32, false }, I, 0);
	fg_avail(&fg, 0);
	assert_int_equal(vq_pop(&fg.q, e, 1), 1);
	memset(fg.conf.desc, 0xff, 8 * 16);
	memset(fg_va(&fg, TABLE), 0xff, 32);
	assert_ptr_equal(e[0]->iov[0].iov_base, fg_va(&fg, hdr.addr));
	assert_int_equal(e[0]->iov[0].iov_len, 16);
	assert_int_equal(e[0]->in_bytes, 1);
	vq_push(&fg.q, e[0], 1);
	vq_flush(&fg.q);
	assert_int_equal(le32_get(((struct virtq_used *)fg.conf.used)->ring[0].len), 1);
	fg_fini(&fg);
}

/* CVE-2024-3446: the device writes over its own ring because it was told to. */
static void buffers_may_lie_in_the_ring(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct vq_elem *e[VQ_BATCH];
	char junk[0x10000];
	struct fg fg;

	(void)state;
	memset(junk, 0xff, sizeof(junk));
	fg_init(&fg, &o);
	for (uint16_t i = 0; i < 4; i++) {
		fg_desc(&fg, i, (struct vqd_buf){ FG_RING_GPA, sizeof(junk), true }, 0, 0);
		fg_avail(&fg, i);
	}
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vq_elem_write(e[i], 0, junk, sizeof(junk)), sizeof(junk));
		vq_push(&fg.q, e[i], sizeof(junk));
		vq_flush(&fg.q);
		(void)vq_pop(&fg.q, e + 4, 1); /* whatever it finds, it must survive it */
	}
	assert_true(fg.q.broken);
	fg_fini(&fg);
}

/* CVE-2022-2132: a header and a status cut anywhere read and write the same. */
static void framing_does_not_matter(void **state)
{
	struct fg_opts o = { .size = 64 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	for (unsigned cut = 0; cut <= 16; cut++) {
		char buf[16], want[16], *in;

		fg_init(&fg, &o);
		in = fg_va(&fg, FG_DATA_GPA + 0x1000);
		for (unsigned i = 0; i < 16; i++)
			want[i] = (char)(i + 1);
		memcpy(fg_va(&fg, FG_DATA_GPA), want, cut);
		memcpy(fg_va(&fg, FG_DATA_GPA + 0x800), want + cut, 16 - cut);
		fg_desc(&fg, 0, (struct vqd_buf){ FG_DATA_GPA, cut, false }, N, 1);
		fg_desc(&fg, 1, (struct vqd_buf){ FG_DATA_GPA + 0x800, 16 - cut, false }, N, 2);
		fg_desc(&fg, 2, (struct vqd_buf){ FG_DATA_GPA + 0x1000, cut, true }, N, 3);
		fg_desc(&fg, 3, (struct vqd_buf){ FG_DATA_GPA + 0x2000, 16 - cut, true }, 0, 0);
		fg_avail(&fg, 0);
		assert_int_equal(vq_pop(&fg.q, e, 1), 1);
		for (unsigned off = 0; off <= 17; off++) {
			size_t left = off < 16 ? 16 - off : 0;

			assert_int_equal(vq_elem_read(e[0], off, buf, sizeof(buf)), left);
			assert_memory_equal(buf, want + (off < 16 ? off : 0), left);
			assert_int_equal(vq_elem_write(e[0], off, buf, sizeof(buf)), left);
		}
		assert_int_equal(vq_elem_write(e[0], 15, "S", 1), 1);
		assert_int_equal(*(cut == 16 ? in + 15 : in + 0x1000 + 15 - cut), 'S');
		assert_memory_equal(in, want, CC_MIN(cut, 15u));
		fg_fini(&fg);
	}
}

static void notifications(void **state)
{
	static const uint64_t features[] = { 0, EVENT };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(features); f++) {
		struct fg_opts o = {
			.size = 8, .features = features[f], .eventfds = true, .start = 65534
		};
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned i = 0; i < 6; i++) {
			bool kick_wanted = i & 1, call_wanted = i & 2;
			struct vq_elem *e[VQ_BATCH];
			uint32_t written;
			void *cookie;
			int err;

			if (kick_wanted)
				assert_false(vq_kick_enable(&fg.q));
			else
				vq_kick_disable(&fg.q);
			if (call_wanted)
				assert_false(vqd_call_enable(&fg.d));
			else
				vqd_call_disable(&fg.d);
			for (unsigned k = 0; k < 2; k++)
				assert_int_equal(vqd_add(&fg.d, &status, 1, false, &fg), 0);
			/* the first kick of all: nothing is disabled yet with EVENT_IDX */
			if (vqd_publish(&fg.d) != kick_wanted)
				assert_true(features[f] && i == 0);
			assert_int_equal(drain(fg.kick) != 0, fg.d.kicks);
			fg.d.kicks = 0;
			assert_true(vq_kick_enable(&fg.q)); /* there they are */
			vq_kick_disable(&fg.q);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2);
			vq_push(&fg.q, e[1], 1);
			vq_push(&fg.q, e[0], 1);
			vq_flush(&fg.q);
			vq_flush(&fg.q);
			/* EVENT_IDX: the first decision calls to be safe */
			if (drain(fg.call) != call_wanted)
				assert_true(features[f] && i == 0);
			assert_true(vqd_call_enable(&fg.d));
			vqd_call_disable(&fg.d);
			while (vqd_get(&fg.d, &cookie, &written, &err))
				;
			assert_int_equal(err, 0);
		}
		assert_int_equal(fg.q.cnt.chains, 12);
		fg_fini(&fg);
	}
}

static void kicks_are_counted_when_drained(void **state)
{
	struct fg_opts o = { .size = 8, .eventfds = true };
	const uint64_t three = 3;
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	assert_int_equal(write(fg.kick, &three, 8), 8);
	vq_kick_disable(&fg.q);
	vq_kick_disable(&fg.q);
	assert_int_equal(fg.q.cnt.kicks, 3);
	assert_int_equal(le16_get(((struct virtq_used *)fg.conf.used)->flags), 1);
	assert_false(vq_kick_enable(&fg.q));
	assert_int_equal(le16_get(((struct virtq_used *)fg.conf.used)->flags), 0);
	fg_fini(&fg);
}

/* The eventfd is the driver's too: it may clear O_NONBLOCK behind our back. */
static void an_empty_kick_fd_never_blocks(void **state)
{
	struct fg_opts o = { .size = 8, .eventfds = true };
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	assert_int_equal(fcntl(fg.kick, F_SETFL, 0), 0);
	(void)alarm(20); /* not a measure: the end of a test that hangs */
	vq_kick_disable(&fg.q);
	(void)alarm(0);
	assert_int_equal(fg.q.cnt.kicks, 0);
	fg_fini(&fg);
}

static void memory_in_use_is_known(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;
	char *at;

	(void)state;
	fg_init(&fg, &o);
	at = fg_va(&fg, data.addr);
	assert_int_equal(vqd_add(&fg.d, &data, 1, false, &fg), 0);
	vqd_publish(&fg.d);
	assert_false(vq_uses_range(&fg.q, at, 4096));
	assert_int_equal(vq_pop(&fg.q, e, 1), 1);
	assert_true(vq_uses_range(&fg.q, at, 4096));
	assert_true(vq_uses_range(&fg.q, at + 4095, 1));
	assert_false(vq_uses_range(&fg.q, at + 4096, 1));
	assert_true(vq_uses_range(&fg.q, at - 10, 11));
	assert_false(vq_uses_range(&fg.q, at - 10, 10));
	vq_push(&fg.q, e[0], 0);
	assert_false(vq_uses_range(&fg.q, at, 4096));
	fg_fini(&fg);
}

static void writes_are_logged(void **state)
{
	struct fg_opts o = { .size = 8, .features = EVENT };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 }, *want = calloc(1, sizeof(bits));
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	const struct vqd_buf b[] = { hdr,
				     { FG_DATA_GPA - 4096, 8192, true },
				     { FG_HIGH_GPA, 1, true } };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	vq_set_log(&fg.q, &log, FG_RING_GPA + 0xc000);
	assert_int_equal(vqd_add(&fg.d, b, 3, false, &fg), 0);
	vqd_publish(&fg.d);
	assert_int_equal(vq_pop(&fg.q, e, 1), 1);
	assert_memory_equal(bits, want, sizeof(bits)); /* looked, did not write */
	vq_push(&fg.q, e[0], 1);
	want[(FG_DATA_GPA / 4096 - 1) / 8] |= 0x80;
	want[FG_DATA_GPA / 4096 / 8] |= 1;
	want[FG_HIGH_GPA / 4096 / 8] |= 1;
	vq_flush(&fg.q);
	want[(FG_RING_GPA + 0xc000) / 4096 / 8] |= 1 << ((FG_RING_GPA + 0xc000) / 4096 % 8);
	assert_memory_equal(bits, want, sizeof(bits));
	vq_set_log(&fg.q, &log, UINT64_MAX); /* data only */
	memset(bits, 0, sizeof(bits));
	assert_false(vq_kick_enable(&fg.q));
	assert_int_equal(bits[(FG_RING_GPA + 0xc000) / 4096 / 8], 0);
	vq_set_log(&fg.q, NULL, 0);
	fg_fini(&fg);
	free(want);
}

/* One read of a page. */
static void read_page(struct fg *fg, uint64_t gpa)
{
	const struct vqd_buf b[] = { hdr, { gpa, 4096, true } };
	struct vq_elem *e[VQ_BATCH];

	assert_int_equal(vqd_add(&fg->d, b, 2, false, fg), 0);
	vqd_publish(&fg->d);
	assert_int_equal(vq_pop(&fg->q, e, VQ_BATCH), 1);
	vq_push(&fg->q, e[0], 4096);
}

static void read_and_flush(struct fg *fg, uint64_t gpa)
{
	uint32_t written;
	void *cookie;
	int err;

	read_page(fg, gpa);
	vq_flush(&fg->q);
	assert_true(vqd_get(&fg->d, &cookie, &written, &err));
}

static bool is_marked(const uint8_t *bits, uint64_t gpa)
{
	return bits[gpa / 4096 / 8] & 1u << (gpa / 4096 % 8);
}

/* A page that is marked is looked at only; what the front-end has taken is marked anew. */
static void taken_pages_are_marked_again(void **state)
{
	struct fg_opts o = { .size = 1024 };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 };
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	const uint64_t used = FG_RING_GPA + 0xc000;
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	vq_set_log(&fg.q, &log, used);
	for (unsigned i = 0; i < 1100; i++) { /* round the ring */
		memset(bits, 0, sizeof(bits));
		for (unsigned twice = 0; twice < 2; twice++) {
			read_and_flush(&fg, FG_DATA_GPA);
			assert_true(is_marked(bits, FG_DATA_GPA));
			assert_true(is_marked(bits, used)); /* the index */
			assert_true(is_marked(bits, used + 4 + (2 * i + twice) % 1024 * 8));
		}
		assert_false(is_marked(bits, FG_DATA_GPA + 4096));
		if (i % 512 < 255)
			assert_false(is_marked(bits, used + 4096));
	}
	fg_fini(&fg);
}

/* More pieces than notes, and a log that goes before the flush. */
static void nothing_noted_is_forgotten(void **state)
{
	struct fg_opts o = { .size = 1024 };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 };
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	vq_set_log(&fg.q, &log, UINT64_MAX);
	for (unsigned i = 0; i < VQ_NOTES + 8; i++)
		read_page(&fg, FG_DATA_GPA + i % 8 * 4096);
	for (unsigned i = 0; i < 8; i++)
		assert_true(is_marked(bits, FG_DATA_GPA + i * 4096));
	memset(bits, 0, sizeof(bits));
	vq_set_log(&fg.q, NULL, 0);
	for (unsigned i = 0; i < 8; i++)
		assert_true(is_marked(bits, FG_DATA_GPA + i * 4096));
	fg_fini(&fg);
}

/* Of a device that died nobody knows what it had marked. */
static void starting_with_a_log_marks_the_ring(void **state)
{
	struct fg_opts o = { .size = 512 };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 }, *want = calloc(1, sizeof(bits));
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	fg_device_drop(&fg);
	fg.conf.log = &log;
	fg.conf.log_used_gpa = FG_RING_GPA + 0xc000;
	assert_int_equal(fg_device_start(&fg), 0);
	/* 4 + 512 * 8 bytes: two pages */
	want[(FG_RING_GPA + 0xc000) / 4096 / 8] |= 3 << ((FG_RING_GPA + 0xc000) / 4096 % 8);
	assert_memory_equal(bits, want, sizeof(bits));
	memset(bits, 0, sizeof(bits));
	fg_device_drop(&fg);
	fg.conf.log_used_gpa = UINT64_MAX; /* data only */
	assert_int_equal(fg_device_start(&fg), 0);
	memset(want, 0, sizeof(bits));
	assert_memory_equal(bits, want, sizeof(bits));
	fg_fini(&fg);
	free(want);
}

static void impossible_queues_are_refused(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct vq_conf c;
	struct fg_slot slots[8];
	struct errbuf eb;
	struct fg fg;
	struct vq q;

	(void)state;
	fg_init(&fg, &o);
#define REFUSED(change)                                                                   \
	do {                                                                              \
		c = fg.conf;                                                              \
		change;                                                                   \
		assert_int_equal(vq_init(&q, &c, slots, sizeof(slots[0]), &eb), -EINVAL); \
	} while (0)
	REFUSED(c.size = 0);
	REFUSED(c.size = 7);
	REFUSED(c.size = 2048);
	REFUSED(c.desc = (char *)c.desc + 8);
	REFUSED(c.avail = (char *)c.avail + 1);
	REFUSED(c.used = (char *)c.used + 2);
	REFUSED(c.avail_idx = 9);
	REFUSED(c.avail_idx = 0xffff);
	fg_fini(&fg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_go_round),
		cmocka_unit_test(chains_by_hand),
		cmocka_unit_test(more_than_the_ring_holds),
		cmocka_unit_test(a_head_is_there_once),
		cmocka_unit_test(sums_stay_below_4_gib),
		cmocka_unit_test(pieces_are_limited),
		cmocka_unit_test(rewriting_is_too_late),
		cmocka_unit_test(buffers_may_lie_in_the_ring),
		cmocka_unit_test(framing_does_not_matter),
		cmocka_unit_test(notifications),
		cmocka_unit_test(kicks_are_counted_when_drained),
		cmocka_unit_test(an_empty_kick_fd_never_blocks),
		cmocka_unit_test(memory_in_use_is_known),
		cmocka_unit_test(writes_are_logged),
		cmocka_unit_test(taken_pages_are_marked_again),
		cmocka_unit_test(nothing_noted_is_forgotten),
		cmocka_unit_test(starting_with_a_log_marks_the_ring),
		cmocka_unit_test(impossible_queues_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
