/* SPDX-License-Identifier: BSD-3-Clause */
/* VIRTIO_F_IN_ORDER, both layouts: answered in any order, used in the order taken; entries may
 * stand for several chains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/fake_guest.h"

#define IN_ORDER VIRTIO_BIT(VIRTIO_F_IN_ORDER)

static const struct vqd_buf bufs[] = {
	{ FG_DATA_GPA, 16, false },
	{ FG_DATA_GPA + 4096, 100, true },
	{ FG_DATA_GPA + 32, 1, true },
};

static void used_in_the_order_taken(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		struct fg_opts o = { .size = (uint16_t)(1u << seed % 7),
				     .packed = seed & 1,
				     .features = IN_ORDER };
		struct vq_elem *held[128];
		uintptr_t asked = 1, answered = 1;
		unsigned nheld = 0;
		struct fg fg;

		if (o.packed)
			o.size = (uint16_t)(o.size + seed % 5);
		srand(seed);
		fg_init(&fg, &o);
		while (answered < 500) {
			uint32_t written, want;
			void *cookie;
			int err;

			while (rand() % 8 && !vqd_add(&fg.d, bufs, 1 + (unsigned)rand() % 3, false,
						      (void *)asked))
				asked++;
			vqd_publish(&fg.d);
			nheld += vq_pop(&fg.q, held + nheld, VQ_BATCH);
			while (nheld && rand() % 4) {
				unsigned k = (unsigned)rand() % nheld;
				struct fg_slot *s = container_of(held[k], struct fg_slot, e);

				/* whole or nothing, so that the sum tells them apart */
				s->mark = rand() % 2 ? held[k]->in_bytes : 0;
				vq_push(&fg.q, held[k], s->mark);
				held[k] = held[--nheld];
				if (rand() % 3 == 0)
					vq_flush(&fg.q);
			}
			vq_flush(&fg.q);
			for (;;) {
				uint16_t id = fg.d.order[fg.d.order_head & fg.d.order_mask];

				want = fg.slots[id].mark;
				if (!vqd_get(&fg.d, &cookie, &written, &err))
					break;
				assert_int_equal((uintptr_t)cookie, answered++);
				assert_int_equal(written, want);
			}
			assert_int_equal(err, 0);
			assert_false(fg.q.broken);
		}
		fg_fini(&fg);
	}
}

/* Packed: a run of chains written in full takes one used descriptor. */
static void runs_share_a_descriptor(void **state)
{
	struct fg_opts o = { .size = 8, .packed = true, .features = IN_ORDER };
	const struct virtq_pdesc *ring;
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	ring = fg.conf.desc;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(vqd_add(&fg.d, bufs + 1, 1, false, &fg), 0);
	vqd_publish(&fg.d);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 5);
	vq_push(&fg.q, e[0], 100);
	vq_push(&fg.q, e[1], 100);
	vq_push(&fg.q, e[3], 100);
	vq_push(&fg.q, e[2], 7); /* not in full: ends a run, must not be passed over */
	vq_push(&fg.q, e[4], 100);
	vq_flush(&fg.q);
	assert_int_equal(le16_get(ring[0].id), e[2]->id);
	assert_int_equal(le32_get(ring[0].len), 7);
	assert_int_equal(le16_get(ring[3].id), e[4]->id);
	assert_int_equal(le32_get(ring[3].len), 100);
	assert_false(le16_get(ring[1].flags) & VIRTQ_DESC_F_USED);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t written;
		void *cookie;
		int err;

		assert_true(vqd_get(&fg.d, &cookie, &written, &err));
		assert_int_equal(written, i == 2 ? 7 : 100);
	}
	fg_fini(&fg);
}

/* Split: other devices may write one entry for a batch, at the place of its first chain (2.7.9). */
static void drivers_understand_batches(void **state)
{
	struct fg_opts o = { .size = 8, .features = IN_ORDER };
	struct virtq_used *used;
	uint32_t written;
	void *cookie;
	struct fg fg;
	int err;

	(void)state;
	fg_init(&fg, &o);
	used = fg.conf.used;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(vqd_add(&fg.d, bufs + 1, 1, false, (void *)i), 0);
	vqd_publish(&fg.d);
	used->ring[0] = (struct virtq_used_elem){ le32_make(2), le32_make(5) };
	used->idx = le16_make(3);
	for (uintptr_t i = 0; i < 3; i++) {
		assert_true(vqd_get(&fg.d, &cookie, &written, &err));
		assert_ptr_equal(cookie, (void *)i);
		assert_int_equal(written, i == 2 ? 5 : 100);
	}
	assert_false(vqd_get(&fg.d, &cookie, &written, &err));
	assert_int_equal(err, 0);
	fg_fini(&fg);
}

/* A driver that takes back a head before it was used cannot confuse the order. */
static void heads_wait_for_their_turn(void **state)
{
	struct fg_opts o = { .size = 8, .features = IN_ORDER };
	struct vq_elem *e[VQ_BATCH];
	struct fg fg;

	(void)state;
	fg_init(&fg, &o);
	for (uint16_t i = 0; i < 2; i++) {
		fg_desc(&fg, i, bufs[0], 0, 0);
		fg_avail(&fg, i);
	}
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 2);
	vq_push(&fg.q, e[1], 0);
	assert_false(vq_uses_range(&fg.q, e[1]->iov[0].iov_base, 0));
	fg_avail(&fg, 1);
	assert_int_equal(vq_pop(&fg.q, e, VQ_BATCH), 0);
	assert_string_equal(fg.q.why, "head 1 already in flight");
	fg_fini(&fg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(used_in_the_order_taken),
		cmocka_unit_test(runs_share_a_descriptor),
		cmocka_unit_test(drivers_understand_batches),
		cmocka_unit_test(heads_wait_for_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
