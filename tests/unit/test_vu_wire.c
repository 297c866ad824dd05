/* SPDX-License-Identifier: BSD-3-Clause */
/* The wire: every message's shape, and who owns the fds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "vhost/user/vu_wire.h"

static int check(uint32_t request, uint32_t flags, uint32_t size, unsigned nfds)
{
	struct errbuf eb = { 0 };
	struct vu_msg m;
	int rc;

	vu_msg_init(&m, request, 0, size);
	m.h.flags = flags;
	m.nfds = nfds;
	rc = vu_msg_check(&m, &eb);
	if (rc)
		assert_int_not_equal(eb.text[0], 0);
	return rc;
}

static void sizes_and_fds_are_checked(void **state)
{
	static const struct {
		uint32_t request, size;
		unsigned nfds;
		int rc;
	} rows[] = {
		{ VU_GET_FEATURES, 0, 0, 0 },
		{ VU_GET_FEATURES, 8, 0, -EPROTO },
		{ VU_GET_FEATURES, 0, 1, -EPROTO },
		{ VU_SET_FEATURES, 8, 0, 0 },
		{ VU_SET_FEATURES, 7, 0, -EPROTO },
		{ VU_SET_FEATURES, 9, 0, -EPROTO },
		{ VU_SET_MEM_TABLE, 8, 0, 0 },
		{ VU_SET_MEM_TABLE, 264, 8, 0 },
		{ VU_SET_MEM_TABLE, 265, 8, -EPROTO },
		{ VU_SET_VRING_KICK, 8, 1, 0 },
		{ VU_SET_VRING_KICK, 8, 2, -EPROTO },
		{ VU_ADD_MEM_REG, 40, 1, 0 },
		{ VU_ADD_MEM_REG, 40, 0, -EPROTO },
		{ VU_REM_MEM_REG, 40, 1, 0 },
		{ VU_REM_MEM_REG, 32, 0, -EPROTO },
		{ VU_GET_INFLIGHT_FD, 20, 0, 0 },
		{ VU_GET_INFLIGHT_FD, 24, 0, 0 },
		{ VU_SET_INFLIGHT_FD, 24, 8, -EPROTO },
		{ VU_GET_CONFIG, 12 + 57, 0, 0 },
		{ VU_GET_CONFIG, 11, 0, -EPROTO },
		{ 0, 0, 0, 0 },
		{ VU_REQUEST_COUNT, 64, 8, 0 },
		{ UINT32_MAX, 64, 8, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (check(rows[i].request, VU_FLAG_VERSION, rows[i].size, rows[i].nfds) !=
		    rows[i].rc)
			fail_msg("row %u: %s", i, vu_request_name(rows[i].request));
	}
	(void)state;
}

static void version_and_reply_bit_are_checked(void **state)
{
	assert_int_equal(check(VU_SET_OWNER, 1, 0, 0), 0);
	assert_int_equal(check(VU_SET_OWNER, 1 | VU_FLAG_NEED_REPLY, 0, 0), 0);
	assert_int_equal(check(VU_SET_OWNER, 0, 0, 0), -EPROTO);
	assert_int_equal(check(VU_SET_OWNER, 2, 0, 0), -EPROTO);
	assert_int_equal(check(VU_SET_OWNER, 1 | VU_FLAG_REPLY, 0, 0), -EPROTO);
	(void)state;
}

static void every_shape_is_consistent(void **state)
{
	unsigned n = 0;

	for (uint32_t r = 0; r < VU_REQUEST_COUNT + 10; r++) {
		const struct vu_shape *s = vu_shape_find(r);

		assert_non_null(vu_request_name(r));
		if (!s)
			continue;
		n++;
		assert_true(s->size_min <= s->size_max);
		assert_true(s->size_max <= VU_PAYLOAD_BYTES_MAX);
		assert_true(s->fds_min <= s->fds_max && s->fds_max <= VU_FDS_MAX);
	}
	assert_int_equal(n, 31);
	(void)state;
}

static void the_message_owns_its_fds_until_taken(void **state)
{
	struct vu_msg m;
	int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY);

	vu_msg_init(&m, VU_SET_VRING_KICK, 0, 8);
	m.nfds = 2;
	m.fds[0] = a;
	m.fds[1] = b;
	assert_int_equal(vu_msg_take_fd(&m, 2), -1);
	assert_int_equal(vu_msg_take_fd(&m, 1), b);
	assert_int_equal(vu_msg_take_fd(&m, 1), -1);
	vu_msg_close_fds(&m);
	assert_int_equal(fcntl(a, F_GETFD), -1);
	assert_int_equal(fcntl(b, F_GETFD), 0);
	vu_msg_close_fds(&m);
	close(b);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_fds_are_checked),
		cmocka_unit_test(version_and_reply_bit_are_checked),
		cmocka_unit_test(every_shape_is_consistent),
		cmocka_unit_test(the_message_owns_its_fds_until_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
