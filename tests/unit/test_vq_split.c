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
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/fake_guest.h"

#define NEXT	 VIRTQ_DESC_F_NEXT
#define INDIRECT VIRTQ_DESC_F_INDIRECT
#define EVENT	 VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define IND	 VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

static const struct vqd_buf hdr = { FG_DATA_GPA, 16, false };
static const struct vqd_buf data = { FG_DATA_GPA + 4096, 4096, true };
static const struct vqd_buf status = { FG_DATA_GPA + 32, 1, true };

/* All sizes, direct and indirect, several times round the 16-bit index. */
static void chains_go_round(void **state)
{
	static const uint16_t sizes[] = { 1, 2, 4, 256, 1024 };

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes) * 2; s++) {
		struct fg_opts o = { .size = sizes[s / 2], .features = IND, .start = 65500 };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_go_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
