/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side: full rings, batches, and devices that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fake_guest.h"

#define IND_F VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

static const struct vqd_buf bufs[] = {
	{ FG_DATA_GPA, 16, false },
	{ FG_DATA_GPA + 4096, 100, true },
	{ FG_DATA_GPA + 32, 1, true },
};

static void impossible_confs_are_refused(void **state)
{
	static struct {
		uint16_t size;
		bool packed;
		int err;
	} rows[] = { { 0, false, -EINVAL }, { 0, true, -EINVAL },     { 3, false, -EINVAL },
		     { 3, true, 0 },	    { 32769, true, -EINVAL }, { 1, false, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vqd_conf c = { .size = rows[i].size, .packed = rows[i].packed };
		struct vqd q;

		assert_int_equal(vqd_init(&q, &c), rows[i].err);
		if (!rows[i].err)
			vqd_fini(&q);
		c.indirect = &q; /* without indirect_max */
		assert_int_equal(vqd_init(&q, &c), -EINVAL);
	}
}

static void full_is_enospc_and_comes_back(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct fg_opts o = { .size = 8, .packed = packed, .features = IND_F };
		struct fg fg;

		fg_init(&fg, &o);
		for (unsigned lap = 0; lap < 100; lap++) {
			struct vq_elem *e[VQ_BATCH];
			uint32_t written;
			void *cookie;
			unsigned n, got = 0;
			int err;

			/* 3 + 3 + 1, one place left: no room for 3, room for a table */
			assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
			assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
			assert_int_equal(vqd_add(&fg.d, bufs, 3, true, &fg), 0);
			assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), -ENOSPC);
			assert_int_equal(vqd_add(&fg.d, bufs, 3, true, &fg), 0);
			assert_int_equal(vqd_add(&fg.d, bufs, 1, false, &fg), -ENOSPC);
			assert_int_equal(vqd_add(&fg.d, bufs, 3, true, &fg), -ENOSPC);
			vqd_publish(&fg.d);
			n = vq_pop(&fg.q, e, VQ_BATCH);
			assert_int_equal(n, 4);
			while (n--) {
				assert_int_equal(e[n]->nout, 1);
				assert_int_equal(e[n]->in_bytes, 101);
				vq_push(&fg.q, e[n], 101);
			}
			vq_flush(&fg.q);
			while (vqd_get(&fg.d, &cookie, &written, &err)) {
				assert_int_equal(written, 101);
				got++;
			}
			assert_int_equal(got, 4);
			assert_int_equal(fg.d.nfree, 8);
		}
		fg_fini(&fg);
	}
}

/* What a device may put into the split ring. */
static void split_devices_may_lie(void **state)
{
	static const struct {
		uint32_t id, len;
		uint16_t idx;
		int err;
	} rows[] = {
		{ 0, 101, 1, 0 },     { 0, 102, 1, -EPROTO },	 { 0, UINT32_MAX, 1, -EPROTO },
		{ 1, 0, 1, -EPROTO }, { 8, 0, 1, -EPROTO },	 { 0x10000, 0, 1, -EPROTO },
		{ 0, 0, 2, -EPROTO }, { 0, 0, 0xffff, -EPROTO }, { UINT32_MAX, 0, 1, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fg_opts o = { .size = 8 };
		struct virtq_used *used;
		uint32_t written;
		void *cookie;
		struct fg fg;
		int err;

		fg_init(&fg, &o);
		used = fg.conf.used;
		assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_false(vqd_get(&fg.d, &cookie, &written, &err));
		assert_int_equal(err, 0);
		used->ring[0] =
			(struct virtq_used_elem){ le32_make(rows[i].id), le32_make(rows[i].len) };
		used->idx = le16_make(rows[i].idx);
		assert_int_equal(vqd_get(&fg.d, &cookie, &written, &err), !rows[i].err);
		assert_int_equal(err, rows[i].err);
		fg_fini(&fg);
	}
}

static void packed_devices_may_lie(void **state)
{
	static const struct {
		uint16_t id;
		uint32_t len;
		int err;
	} rows[] = { { 0, 101, 0 },	{ 0, 102, -EPROTO }, { 0, UINT32_MAX, -EPROTO },
		     { 1, 0, -EPROTO }, { 8, 0, -EPROTO },   { 0xffff, 0, -EPROTO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fg_opts o = { .size = 8, .packed = true };
		struct virtq_pdesc *ring;
		uint32_t written;
		void *cookie;
		struct fg fg;
		int err;

		fg_init(&fg, &o);
		ring = fg.conf.desc;
		assert_int_equal(vqd_add(&fg.d, bufs, 3, false, &fg), 0);
		vqd_publish(&fg.d);
		assert_false(vqd_get(&fg.d, &cookie, &written, &err));
		ring[0].id = le16_make(rows[i].id);
		ring[0].len = le32_make(rows[i].len);
		ring[0].flags = le16_make(VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
		assert_int_equal(vqd_get(&fg.d, &cookie, &written, &err), !rows[i].err);
		assert_int_equal(err, rows[i].err);
		/* whatever the ring shows next, with nothing asked nothing is answered */
		ring[3].flags = ring[0].flags;
		if (!rows[i].err) {
			assert_false(vqd_get(&fg.d, &cookie, &written, &err));
			assert_int_equal(err, 0);
		}
		fg_fini(&fg);
	}
}

/* An answer given twice is a lie too. */
static void answers_come_once(void **state)
{
	struct fg_opts o = { .size = 8 };
	struct virtq_used *used;
	uint32_t written;
	void *cookie;
	struct fg fg;
	int err;

	(void)state;
	fg_init(&fg, &o);
	used = fg.conf.used;
	assert_int_equal(vqd_add(&fg.d, bufs, 1, false, &fg), 0);
	assert_int_equal(vqd_add(&fg.d, bufs, 1, false, &fg), 0);
	vqd_publish(&fg.d);
	used->ring[0] = used->ring[1] = (struct virtq_used_elem){ le32_make(1), le32_make(0) };
	used->idx = le16_make(2);
	assert_true(vqd_get(&fg.d, &cookie, &written, &err));
	assert_false(vqd_get(&fg.d, &cookie, &written, &err));
	assert_int_equal(err, -EPROTO);
	fg_fini(&fg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_confs_are_refused),
		cmocka_unit_test(full_is_enospc_and_comes_back),
		cmocka_unit_test(split_devices_may_lie),
		cmocka_unit_test(packed_devices_may_lie),
		cmocka_unit_test(answers_come_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
