/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of a server that speaks by itself: taken as they come, nobody waits for the rest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "vhost/client/virtio_user_sock.h"

static int fds[2];
static struct vu_msg out, in;
static size_t got;

static int start(void **state)
{
	(void)state;
	got = 0;
	vu_msg_init(&out, VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_NEED_REPLY, sizeof(out.p.u64));
	out.p.u64 = 0x1122334455667788;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static int stop(void **state)
{
	(void)state;
	close(fds[0]);
	return close(fds[1]);
}

static void say(size_t from, size_t to)
{
	char bytes[VU_HEADER_BYTES + sizeof(uint64_t)];

	memcpy(bytes, &out.h, VU_HEADER_BYTES);
	memcpy(bytes + VU_HEADER_BYTES, &out.p.u64, sizeof(uint64_t));
	assert_int_equal(send(fds[1], bytes + from, to - from, 0), to - from);
}

static void a_message_may_come_byte_by_byte(void **state)
{
	(void)state;
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (size_t i = 0; i < 20; i++) {
			assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 0);
			say(i, i + 1);
		}
		assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 1);
		assert_int_equal(in.h.request, VU_BACKEND_CONFIG_CHANGE_MSG);
		assert_true(in.p.u64 == out.p.u64);
	}
}

static void two_at_once_are_two(void **state)
{
	(void)state;
	say(0, 20);
	out.p.u64 = 5;
	say(0, 20);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 1);
	assert_true(in.p.u64 == 0x1122334455667788);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 1);
	assert_true(in.p.u64 == 5);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 0);
}

static void one_without_payload(void **state)
{
	(void)state;
	out.h.size = 0;
	say(0, 12);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), 1);
	assert_int_equal(in.h.size, 0);
	assert_true(in.p.u64 == 0);
}

static void what_is_no_message(void **state)
{
	(void)state;
	out.h.size = VU_PAYLOAD_BYTES_MAX + 1;
	say(0, 20);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), -EPROTO);
}

static void another_version(void **state)
{
	(void)state;
	out.h.flags = 2;
	say(0, 12);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), -EPROTO);
}

static void the_end_in_the_middle(void **state)
{
	(void)state;
	say(0, 15);
	assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
	assert_int_equal(virtio_user_sock_take(fds[0], &in, &got), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_message_may_come_byte_by_byte, start, stop),
		cmocka_unit_test_setup_teardown(two_at_once_are_two, start, stop),
		cmocka_unit_test_setup_teardown(one_without_payload, start, stop),
		cmocka_unit_test_setup_teardown(what_is_no_message, start, stop),
		cmocka_unit_test_setup_teardown(another_version, start, stop),
		cmocka_unit_test_setup_teardown(the_end_in_the_middle, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
