/* SPDX-License-Identifier: BSD-3-Clause */
/* The packed ring, device side: well-behaved drivers, then hostile ones, each refused for the right
 * reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* Any size will do, not only powers of two; many laps. */
static void chains_go_round(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 3, 7, 256, 1024 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes) * 2; s++) {
		struct fg_opts o = { .size = sizes[s / 2], .packed = true, .features = IND_F };
		bool indirect = s & 1 || o.size < 3;
		struct fg fg;

		fg_init(&fg, &o);
		for (uintptr_t i = 1; i < 20000; i++) {
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
			assert_int_equal(e[0]->ndesc, indirect ? 1 : 3);
			assert_int_equal(e[0]->out_bytes, 16);
			assert_int_equal(e[0]->in_bytes, 4097);
			assert_ptr_equal(e[0]->iov[1].iov_base, fg_va(&fg, data.addr));
			assert_int_equal(vq_pop(&fg.q, e + 1, VQ_BATCH), 0);
			vq_push(&fg.q, e[0], (uint32_t)(i % 4098));
			assert_false(vqd_get(&fg.d, &cookie, &written, &err));
			vq_flush(&fg.q);
			assert_true(vqd_get(&fg.d, &cookie, &written, &err));
			assert_ptr_equal(cookie, (void *)i);
			assert_int_equal(written, i % 4098);
		}
		assert_int_equal(fg.q.ninflight, 0);
		assert_int_equal(fg.q.ntaken, 0);
		fg_fini(&fg);
	}
}

/* The ring quite full, answers in another order than the questions. */
static void full_rings_out_of_order(void **state)
{
	(void)state;
	for (uint16_t size = 1; size < 40; size++) {
		struct fg_opts o = {
			.size = size, .packed = true, .eventfds = true, .features = EVENT
		};
		unsigned asked = 0, answered = 0;
		struct fg fg;

		srand(size);
		fg_init(&fg, &o);
		while (answered < 2000) {
			const struct vqd_buf b[] = { hdr, data, status };
			struct vq_elem *e[VQ_BATCH];
			uint32_t written;
			void *cookie;
			unsigned n;
			int err;

			while (!vqd_add(&fg.d, b, 1 + (unsigned)rand() % 3, false, &fg))
				asked++;
			vqd_publish(&fg.d);
			n = vq_pop(&fg.q, e, CC_MIN(size, VQ_BATCH));
			for (; n; n--) {
				unsigned k = (unsigned)rand() % n;

				vq_push(&fg.q, e[k], e[k]->in_bytes ? 1 : 0);
				e[k] = e[n - 1];
				if (rand() % 2)
					vq_flush(&fg.q);
			}
			vq_flush(&fg.q);
			while (vqd_get(&fg.d, &cookie, &written, &err))
				answered++;
			assert_int_equal(err, 0);
			assert_false(fg.q.broken);
		}
		assert_in_range(asked, answered, answered + size);
		fg_fini(&fg);
	}
}

struct raw {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, id;
};

/* A chain by hand from place 0 on, table entries at @table. @why NULL: it is fine, with these
 * pieces. */
struct row {
	const char *name, *why;
	struct raw d[4], t[4];
	unsigned nout, nin;
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
	  .d = { { OK(0), N }, { OK(64), N }, { OK(128), N | W }, { OK(192), W } }, .nout = 2,
	  .nin = 2 },
	{ "write request", NULL, .d = { { OK(0), N }, { OK(0), N }, { OK(0), W } }, .nout = 2,
	  .nin = 1 },
	{ "the last one's id counts", NULL, .d = { { OK(0), N, 0xffff }, { OK(0), W, 3 } },
	  .nout = 1, .nin = 1 },
	{ "across adjacent regions", NULL, .d = { { FG_DATA_GPA - 8, 16 } }, .nout = 2 },
	{ "CVE-2018-1059: off the end", "outside",
	  .d = { { FG_DATA_GPA + FG_DATA_BYTES - 8, 16 } } },
	{ "last byte past", "outside", .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 15, 16 } } },
	{ "last byte in", NULL, .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 16, 16 } }, .nout = 1 },
	{ "end of the address space", "outside", .d = { { UINT64_MAX - 7, 16 } } },
	{ "CVE-2020-10725: unmapped 1st", "outside", .d = { { HOLE, 16, N }, { OK(0), W } } },
	{ "unmapped 2nd", "outside", .d = { { OK(0), N }, { HOLE, 16, N | W }, { OK(0), W } } },
	{ "unmapped 3rd", "outside", .d = { { OK(0), N }, { OK(0), N | W }, { HOLE, 16, W } } },
	{ "spdk#3860: id at the size", "out of range", .d = { { OK(0), 0, 8 } } },
	{ "id at the size, usual request", "out of range",
	  .d = { { OK(0), N, 0 }, { OK(0), N | W, 0 }, { OK(0), W, 8 } } },
	{ "id far out", "out of range", .d = { { OK(0), 0, 0xffff } } },
	{ "readable behind writable", "behind a writable", .d = { { OK(0), N | W }, { OK(0) } } },
	{ "empty 1st", NULL, .d = { { HOLE, 0, N }, { OK(0), N | W }, { OK(0), W } }, .nin = 2 },
	{ "empty 2nd", NULL, .d = { { OK(0), N }, { HOLE, 0, N | W }, { OK(0), W } }, .nout = 1,
	  .nin = 1 },
	{ "empty 3rd", NULL, .d = { { OK(0), N }, { OK(0), N | W }, { HOLE, 0, W } }, .nout = 1,
	  .nin = 1 },
	{ "empty 2nd, in memory", NULL,
	  .d = { { OK(0), N }, { FG_DATA_GPA, 0, N | W }, { OK(0), W } }, .nout = 1, .nin = 1 },
	{ "empty 3rd, in memory", NULL,
	  .d = { { OK(0), N }, { OK(0), N | W }, { FG_DATA_GPA, 0, W } }, .nout = 1, .nin = 1 },
	{ "empty all", NULL, .d = { { HOLE, 0, N }, { HOLE, 0, N | W }, { HOLE, 0, W } } },
	/* indirect */
	{ "table", NULL, .d = { IND(3) }, .t = { { OK(0) }, { OK(0) }, { OK(0), W } }, .nout = 2,
	  .nin = 1 },
	{ "table, all writable", NULL, .d = { IND(3) },
	  .t = { { OK(0), W }, { OK(0), W }, { OK(0), W } }, .nin = 3 },
	{ "table, all readable", NULL, .d = { IND(3) }, .t = { { OK(0) }, { OK(0) }, { OK(0) } },
	  .nout = 3 },
	{ "table, other flags and ids ignored", NULL, .d = { { TABLE, 32, I | W } },
	  .t = { { OK(0), I | N, 77 }, { OK(0), W | N | I, 88 } }, .nout = 1, .nin = 1 },
	{ "chain, then table", NULL, .d = { { OK(0), N }, { TABLE, 32, I } },
	  .t = { { OK(0) }, { OK(0), W } }, .nout = 2, .nin = 1 },
	{ "not negotiated", "not negotiated", .d = { IND(1) }, .t = { { OK(0) } },
	  .no_indirect = true },
	{ "CVE-2011-2212: with NEXT", "together with NEXT",
	  .d = { { TABLE, 16, I | N }, { OK(0) } } },
	{ "table of 0 bytes", "odd length", .d = { { TABLE, 0, I } } },
	{ "table of 15 bytes", "odd length", .d = { { TABLE, 15, I } }, .t = { { OK(0) } } },
	{ "table of 17 bytes", "odd length", .d = { { TABLE, 17, I } }, .t = { { OK(0) } } },
	{ "table too long", "too long", .d = { { TABLE, 16 * (VQ_CHAIN_MAX + 1), I } } },
	{ "table of 4 GiB", "too long", .d = { { TABLE, 0xfffffff0, I } } },
	{ "table unmapped", "table outside", .d = { { HOLE, 16, I } } },
	{ "table half unmapped", "table outside",
	  .d = { { FG_HIGH_GPA + FG_HIGH_BYTES - 8, 16, I } } },
	{ "table across regions", NULL, .d = { { FG_DATA_GPA - 24, 48, I } },
	  .t = { { OK(64) }, { OK(64), W }, { OK(64), W } }, .nout = 1, .nin = 2,
	  .table = FG_DATA_GPA - 24 },
	{ "odd address of a table", NULL, .d = { { TABLE + 3, 32, I } },
	  .t = { { OK(64) }, { OK(64), W } }, .nout = 1, .nin = 1, .table = TABLE + 3 },
	{ "unmapped in the table", "outside", .d = { IND(2) }, .t = { { OK(0) }, { HOLE, 1, W } } },
	{ "readable behind writable in the table", "behind a writable", .d = { IND(2) },
	  .t = { { OK(0), W }, { OK(0) } } },
	{ "empty in the table", NULL, .d = { IND(2) }, .t = { { HOLE, 0 }, { OK(0), W } },
	  .nin = 1 },
};

/* Place @at of the first lap. */
static void put(struct fg *fg, unsigned at, struct raw d)
{
	fg_desc(fg, at, (struct vqd_buf){ d.addr, d.len, false }, d.flags | VIRTQ_DESC_F_AVAIL,
		d.id);
}

static void put_row(struct fg *fg, const struct row *r, unsigned at)
{
	uint64_t table = r->table ? r->table : TABLE;
	unsigned n = 0;

	while (r->d[n].flags & N)
		n++;
	for (unsigned i = 0; i <= n; i++)
		put(fg, at + i, r->d[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(r->t); i++)
		fg_table(fg, table + 16 * i, (struct vqd_buf){ r->t[i].addr, r->t[i].len, false },
			 r->t[i].flags, r->t[i].id);
}

/* Each row alone, and once more behind a good chain, which must not suffer. */
static void chains_by_hand(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		const struct row *r = &rows[i / 2];
		struct fg_opts o = { .size = 8,
				     .packed = true,
				     .features = r->no_indirect ? 0 : IND_F };
		unsigned good = i & 1, n;
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		if (good)
			put(&fg, 0, (struct raw){ OK(0), 0, 7 });
		put_row(&fg, r, good);
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
			assert_int_equal(vq_base(&fg.q), good | 0x80008000);
		} else if (e[good]->nout != r->nout || e[good]->nin != r->nin) {
			fail_msg("%s: %u + %u pieces", r->name, e[good]->nout, e[good]->nin);
		}
		vq_flush(&fg.q);
		fg_fini(&fg);
	}
}

/* CVE-2019-9547: NEXT without end, from the start and behind chains that are in flight. */
static void chains_must_end_in_the_ring(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 8; before++) {
		struct fg_opts o = { .size = 8, .packed = true };
		struct vq_elem *e[VQ_BATCH];
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned i = 0; i < 8; i++)
			put(&fg, i, (struct raw){ OK(0), i < before ? 0 : N, (uint16_t)i });
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), before);
		assert_non_null(strstr(fg.q.why, "overruns the ring"));
		fg_fini(&fg);
	}
}

/* The next lap may begin only where chains came back. */
static void places_in_flight_are_not_taken_again(void **state)
{
	struct fg_opts o = { .size = 4, .packed = true };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	for (unsigned i = 0; i < 4; i++)
		put(&fg, i, (struct raw){ OK(0), 0, (uint16_t)i });
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 4);
	vq_push(&fg.q, e[0], 0); /* not flushed: the place is ours still */
	fg_desc(&fg, 0, hdr, VIRTQ_DESC_F_USED, 0);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
	assert_non_null(strstr(fg.q.why, "overruns the ring"));
	fg_fini(&fg);
}

static void an_id_is_there_once(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	for (unsigned batch = 0; batch < 2; batch++) {
		fg_init(&fg, &o);
		put(&fg, 0, (struct raw){ OK(0), 0, 3 });
		if (!batch)
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
		put(&fg, 1, (struct raw){ OK(0), 0, 3 });
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), batch);
		assert_string_equal(fg.q.why, "buffer id 3 already in flight");
		fg_fini(&fg);
	}
}

/* The same for the usual request, which goes another way: its id, its room, its place at the ring's
 * end. */
static void usual_requests_are_no_exception(void **state)
{
	const struct raw three[] = { { OK(0), N, 5 }, { OK(0), N | W, 5 }, { OK(0), W, 5 } };
	struct fg_opts o = { .size = 8, .packed = true };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	for (unsigned i = 0; i < 6; i++)
		put(&fg, i, three[i % 3]);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
	assert_string_equal(fg.q.why, "buffer id 5 already in flight");
	fg_fini(&fg);

	/* two places came back, the next lap brings three */
	fg_init(&fg, &o);
	for (uint16_t i = 0; i < 8; i++)
		put(&fg, i, (struct raw){ OK(0), 0, i });
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 8);
	for (unsigned i = 0; i < 2; i++)
		vq_push(&fg.q, e[i], 0);
	vq_flush(&fg.q);
	for (unsigned i = 0; i < 3; i++)
		fg_desc(&fg, i, (struct vqd_buf){ OK(0), false },
			three[i].flags | VIRTQ_DESC_F_USED, 1);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
	assert_non_null(strstr(fg.q.why, "overruns the ring"));
	fg_fini(&fg);

	/* begins two places before the end: goes on at the start, not in what lies behind */
	fg_init(&fg, &o);
	for (uint16_t i = 0; i < 6; i++)
		put(&fg, i, (struct raw){ OK(0), 0, i });
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 6);
	for (unsigned i = 0; i < 6; i++)
		vq_push(&fg.q, e[i], 0);
	vq_flush(&fg.q);
	for (unsigned i = 0; i < 3; i++)
		put(&fg, 6 + i, three[i]);
	fg_desc(&fg, 0, (struct vqd_buf){ FG_DATA_GPA, 99, false }, W | VIRTQ_DESC_F_USED, 7);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
	assert_int_equal(e[0]->id, 7);
	assert_int_equal(e[0]->in_bytes, 16 + 99);
	fg_fini(&fg);
}

/* A bad table in the middle of a batch gives back what came after it. */
static void a_batch_ends_before_the_bad_chain(void **state)
{
	struct fg_opts o = { .size = 6, .packed = true, .features = IND_F };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	put(&fg, 0, (struct raw){ OK(0), 0, 0 });
	put(&fg, 1, (struct raw){ HOLE, 16, I, 1 });
	put(&fg, 2, (struct raw){ OK(0), N, 2 });
	put(&fg, 3, (struct raw){ OK(0), 0, 2 });
	put(&fg, 4, (struct raw){ OK(0), N, 3 });
	put(&fg, 5, (struct raw){ OK(0), 0, 3 });
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 1);
	assert_true(fg.q.broken);
	assert_int_equal(vq_base(&fg.q), 0x80008001);
	assert_int_equal(fg.slots[2].e.inflight | fg.slots[3].e.inflight, 0);
	vq_push(&fg.q, e[0], 0);
	vq_flush(&fg.q);
	assert_int_equal(vq_base(&fg.q), 0x80018001);
	fg_fini(&fg);
}

static void used_entries_say_what_was_written(void **state)
{
	struct fg_opts o = { .size = 4, .packed = true };
	const struct virtq_pdesc *ring;
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	ring = fg.conf.desc;
	put(&fg, 0, (struct raw){ OK(0), N, 2 });
	put(&fg, 1, (struct raw){ OK(0), W, 2 });
	put(&fg, 2, (struct raw){ OK(0), W, 1 });
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2);
	vq_push(&fg.q, e[1], 0);
	vq_push(&fg.q, e[0], 5);
	assert_int_equal(le16_get(ring[0].flags), VIRTQ_DESC_F_AVAIL | N); /* held back */
	vq_flush(&fg.q);
	assert_int_equal(le16_get(ring[0].flags), VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
	assert_int_equal(le16_get(ring[0].id), 1);
	assert_int_equal(le32_get(ring[0].len), 0);
	assert_int_equal(le16_get(ring[1].flags), VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED | W);
	assert_int_equal(le16_get(ring[1].id), 2);
	assert_int_equal(le32_get(ring[1].len), 5);
	assert_int_equal(vq_base(&fg.q), 0x80038003);
	fg_fini(&fg);
}

static void rewriting_is_too_late(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true, .features = IND_F };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	fg_table(&fg, TABLE, hdr, 0, 0);
	fg_table(&fg, TABLE + 16, status, 0, 0);
	put(&fg, 0, (struct raw){ TABLE, 32, I, 5 });
	assert_int_equal(vq_pop(&fg.q, e, 1), 1);
	memset(fg.conf.desc, 0xff, 8 * 16);
	memset(fg_va(&fg, TABLE), 0xff, 32);
	assert_int_equal(e[0]->id, 5);
	assert_ptr_equal(e[0]->iov[0].iov_base, fg_va(&fg, hdr.addr));
	assert_int_equal(e[0]->in_bytes, 1);
	vq_push(&fg.q, e[0], 1);
	vq_flush(&fg.q);
	assert_int_equal(le16_get(((struct virtq_pdesc *)fg.conf.desc)->id), 5);
	fg_fini(&fg);
}

static void buffers_may_lie_in_the_ring(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true };
	struct vq_elem *e[VQ_BATCH];
	char junk[0x10000];
	struct fg fg;

	(void)state;
	for (unsigned fill = 0; fill < 256; fill++) {
		memset(junk, (int)fill, sizeof(junk));
		fg_init(&fg, &o);
		for (uint16_t i = 0; i < 4; i++)
			put(&fg, i, (struct raw){ FG_RING_GPA, sizeof(junk), W, i });
		assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 4);
		for (unsigned i = 0; i < 4; i++) {
			vq_elem_write(e[i], 0, junk, sizeof(junk));
			vq_push(&fg.q, e[i], sizeof(junk));
			vq_flush(&fg.q);
			(void)vq_pop(&fg.q, e + 4, 1); /* whatever it finds, it must survive it */
		}
		fg_fini(&fg);
	}
}

static void notifications(void **state)
{
	static const uint64_t features[] = { 0, EVENT };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(features); f++) {
		struct fg_opts o = {
			.size = 7, .packed = true, .features = features[f], .eventfds = true
		};
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned i = 0; i < 24; i++) {
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
			assert_int_equal(vqd_publish(&fg.d), kick_wanted);
			assert_int_equal(drain(fg.kick) != 0, kick_wanted);
			assert_true(vq_kick_enable(&fg.q)); /* there they are */
			vq_kick_disable(&fg.q);
			assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2);
			vq_push(&fg.q, e[1], 1);
			vq_push(&fg.q, e[0], 1);
			vq_flush(&fg.q);
			vq_flush(&fg.q);
			assert_int_equal(drain(fg.call), call_wanted);
			assert_true(vqd_call_enable(&fg.d));
			vqd_call_disable(&fg.d);
			while (vqd_get(&fg.d, &cookie, &written, &err))
				;
			assert_int_equal(err, 0);
		}
		fg_fini(&fg);
	}
}

/* 2.8.10: a call when the driver's event lies in what was just published, for every event and every
 * batch. */
static void events_in_every_place(void **state)
{
	(void)state;
	for (unsigned start = 0; start < 5; start++) {
		for (unsigned batch = 1; batch <= 5; batch++) {
			for (unsigned event = 0; event < 10; event++) {
				struct fg_opts o = { .size = 5,
						     .packed = true,
						     .features = EVENT,
						     .eventfds = true };
				struct virtq_pevent *drv;
				struct vq_elem *e[VQ_BATCH];
				struct fg fg;

				fg_init(&fg, &o);
				drv = fg.conf.avail;
				for (unsigned i = 0; i < start + batch; i++) {
					uint32_t written;
					void *cookie;
					int err;

					if (i == start)
						drain(fg.call);
					assert_int_equal(vqd_add(&fg.d, &status, 1, false, &fg), 0);
					vqd_publish(&fg.d);
					assert_int_equal(vq_pop(&fg.q, e + i % 5, 1), 1);
					if (i >= start)
						continue;
					vq_push(&fg.q, e[i % 5], 0);
					vq_flush(&fg.q);
					assert_true(vqd_get(&fg.d, &cookie, &written, &err));
				}
				fg.q.signalled_valid = true;
				drv->off_wrap =
					le16_make((uint16_t)(event % 5 | (event < 5 ? 0x8000 : 0)));
				drv->flags = le16_make(VIRTQ_EVENT_F_DESC);
				for (unsigned i = start; i < start + batch; i++)
					vq_push(&fg.q, e[i % 5], 0);
				vq_flush(&fg.q);
				assert_int_equal(drain(fg.call),
						 event >= start && event < start + batch);
				fg_fini(&fg);
			}
		}
	}
}

static void writes_are_logged(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 }, *want = calloc(1, sizeof(bits));
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	vq_set_log(&fg.q, &log, 0);
	assert_int_equal(vqd_add(&fg.d, &data, 1, false, &fg), 0);
	vqd_publish(&fg.d);
	assert_int_equal(vq_pop(&fg.q, e, 1), 1);
	vq_push(&fg.q, e[0], 1);
	vq_flush(&fg.q);
	want[(FG_DATA_GPA / 4096 + 1) / 8] |= 2;
	want[FG_RING_GPA / 4096 / 8] |= 1;
	assert_memory_equal(bits, want, sizeof(bits));
	vq_kick_disable(&fg.q);
	want[(FG_RING_GPA + 0xc000) / 4096 / 8] |= 1 << ((FG_RING_GPA + 0xc000) / 4096 % 8);
	assert_memory_equal(bits, want, sizeof(bits));
	fg_fini(&fg);
	free(want);
}

/* The front-end takes the log whenever it likes; the flags that publish a batch are marked after
 * they are written, the data before. */
static void the_log_is_taken_before_the_flush(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 }, *want = calloc(1, sizeof(bits));
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	vq_set_log(&fg.q, &log, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vqd_add(&fg.d, &data, 1, false, &fg), 0);
	vqd_publish(&fg.d);
	assert_int_equal(vq_pop(&fg.q, e, 2), 2);
	vq_push(&fg.q, e[0], 1);
	vq_push(&fg.q, e[1], 1);
	memset(bits, 0, sizeof(bits));
	vq_flush(&fg.q);
	want[FG_RING_GPA / 4096 / 8] |= 1;
	want[(FG_DATA_GPA / 4096 + 1) / 8] |= 2;
	assert_memory_equal(bits, want, sizeof(bits));
	fg_fini(&fg);
	free(want);
}

/* Of a device that died nobody knows what it had marked. */
static void starting_with_a_log_marks_the_ring(void **state)
{
	struct fg_opts o = { .size = 512, .packed = true };
	uint8_t bits[FG_HIGH_GPA / 32768 + 16] = { 0 }, *want = calloc(1, sizeof(bits));
	struct dlog log = { .bits = bits, .nbytes = sizeof(bits), .refs = 1 };
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	fg_device_drop(&fg);
	fg.conf.log = &log;
	fg.conf.log_used_gpa = 0;
	assert_int_equal(fg_device_start(&fg), 0);
	want[FG_RING_GPA / 4096 / 8] |= 3; /* 512 descriptors: two pages */
	want[(FG_RING_GPA + 0xc000) / 4096 / 8] |= 1 << ((FG_RING_GPA + 0xc000) / 4096 % 8);
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
	struct fg_opts o = { .size = 8, .packed = true };
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
	REFUSED(c.size = 2048);
	REFUSED(c.desc = (char *)c.desc + 8);
	REFUSED(c.avail = (char *)c.avail + 2);
	REFUSED(c.used = (char *)c.used + 2);
	REFUSED(c.avail_idx = 8);
	REFUSED(c.used_idx = 8);
	REFUSED(c.used_idx = 1);			 /* ahead of avail */
	REFUSED((c.used_wrap = false, c.avail_idx = 1)); /* more than a lap behind */
	fg_fini(&fg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_go_round),
		cmocka_unit_test(full_rings_out_of_order),
		cmocka_unit_test(chains_by_hand),
		cmocka_unit_test(chains_must_end_in_the_ring),
		cmocka_unit_test(places_in_flight_are_not_taken_again),
		cmocka_unit_test(an_id_is_there_once),
		cmocka_unit_test(usual_requests_are_no_exception),
		cmocka_unit_test(a_batch_ends_before_the_bad_chain),
		cmocka_unit_test(used_entries_say_what_was_written),
		cmocka_unit_test(rewriting_is_too_late),
		cmocka_unit_test(buffers_may_lie_in_the_ring),
		cmocka_unit_test(notifications),
		cmocka_unit_test(events_in_every_place),
		cmocka_unit_test(writes_are_logged),
		cmocka_unit_test(the_log_is_taken_before_the_flush),
		cmocka_unit_test(starting_with_a_log_marks_the_ring),
		cmocka_unit_test(impossible_queues_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
