/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection: messages in pieces, fds, too much of either, a peer that does not read. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/fdmsg.h"
#include "tests/unit/leaks.h"
#include "vhost/user/vu_conn.h"

struct pair {
	struct vu_conn c;
	int peer;
	int file; /* to send copies of */
	struct leaks before;
};

static int setup(void **state)
{
	static struct pair p;
	int fds[2];

	p.before = leaks_now();
	p.file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(p.file >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	vu_conn_init(&p.c, fds[0]);
	p.peer = fds[1];
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	vu_conn_fini(&p->c);
	if (p->peer >= 0)
		close(p->peer);
	close(p->file);
	assert_no_leaks(p->before);
	return 0;
}

/* @len bytes with @nfds copies of the file. */
static void peer_send(struct pair *p, const void *buf, size_t len, unsigned nfds)
{
	struct iovec iov = { (void *)buf, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[FDMSG_MAX];
	struct fdmsg f;

	for (unsigned i = 0; i < nfds; i++)
		fds[i] = p->file;
	fdmsg_put(&mh, &f, fds, nfds);
	assert_int_equal(sendmsg(p->peer, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

static void messages_come_byte_by_byte(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_FEATURES, 0, 8);
	m.p.u64 = 0x1122334455667788;
	for (unsigned round = 0; round < 3; round++) {
		char bytes[20];

		memcpy(bytes, &m.h, 12);
		memcpy(bytes + 12, &m.p, 8);
		for (unsigned i = 0; i < 19; i++) {
			peer_send(p, bytes + i, 1, 0);
			assert_int_equal(vu_conn_read(&p->c, &eb), 0);
		}
		peer_send(p, bytes + 19, 1, 0);
		assert_int_equal(vu_conn_read(&p->c, &eb), 1);
		assert_int_equal(p->c.in.p.u64, m.p.u64);
		vu_conn_next(&p->c);
		assert_int_equal(p->c.in.p.u64, 0);
	}
	assert_int_equal(vu_conn_read(&p->c, &eb), 0);
}

static void a_message_is_not_read_beyond_its_end(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m[2];

	vu_msg_init(&m[0], VU_GET_FEATURES, 0, 0);
	vu_msg_init(&m[1], VU_GET_QUEUE_NUM, 0, 0);
	peer_send(p, &m[0].h, 12, 0);
	peer_send(p, &m[1].h, 12, 1);
	assert_int_equal(vu_conn_read(&p->c, &eb), 1);
	assert_int_equal(p->c.in.h.request, VU_GET_FEATURES);
	assert_int_equal(p->c.in.nfds, 0);
	vu_conn_next(&p->c);
	assert_int_equal(vu_conn_read(&p->c, &eb), 1);
	assert_int_equal(p->c.in.h.request, VU_GET_QUEUE_NUM);
	assert_int_equal(p->c.in.nfds, 1);
}

static void eight_fds_are_taken_more_end_it(void **state)
{
	static const struct {
		unsigned n;
		int rc;
	} rows[] = { { 1, 1 }, { 7, 1 }, { 8, 1 }, { 9, -EPROTO }, { 32, -EPROTO } };
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_OWNER, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		peer_send(p, &m.h, 12, rows[i].n);
		assert_int_equal(vu_conn_read(&p->c, &eb), rows[i].rc);
		if (rows[i].rc == 1)
			assert_int_equal(p->c.in.nfds, rows[i].n);
		vu_conn_next(&p->c);
		p->c.got = 0;
		(void)recv(p->c.fd, &m.h, 12, MSG_DONTWAIT);
		vu_msg_init(&m, VU_SET_OWNER, 0, 0);
	}
}

static void fds_of_all_pieces_count(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_OWNER, 0, 0);
	peer_send(p, &m.h, 4, 5);
	assert_int_equal(vu_conn_read(&p->c, &eb), 0);
	peer_send(p, (char *)&m.h + 4, 4, 5);
	assert_int_equal(vu_conn_read(&p->c, &eb), -EPROTO);
}

static void too_long_is_told_before_it_is_read(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, 77, 0, VU_PAYLOAD_BYTES_MAX + 1);
	peer_send(p, &m.h, 12, 0);
	assert_int_equal(vu_conn_read(&p->c, &eb), -EPROTO);
	assert_non_null(strstr(eb.text, "4097"));
}

static void the_longest_message_fits(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, 77, 0, VU_PAYLOAD_BYTES_MAX);
	memset(m.p.bytes, 0x5a, sizeof(m.p.bytes));
	peer_send(p, &m.h, 12, 0);
	peer_send(p, &m.p, VU_PAYLOAD_BYTES_MAX, 0);
	assert_int_equal(vu_conn_read(&p->c, &eb), 1);
	assert_memory_equal(p->c.in.p.bytes, m.p.bytes, sizeof(m.p.bytes));
	vu_conn_next(&p->c);
	for (unsigned i = 0; i < sizeof(m.p.bytes); i++)
		assert_int_equal(p->c.in.p.bytes[i], 0);
}

static void the_end_is_told_apart(void **state)
{
	struct pair *p = *state;
	struct errbuf eb;
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_OWNER, 0, 0);
	peer_send(p, &m.h, 7, 1);
	close(p->peer);
	p->peer = -1;
	assert_int_equal(vu_conn_read(&p->c, &eb), -ECONNRESET);
	p->c.got = 0;
	assert_int_equal(vu_conn_read(&p->c, &eb), -EPIPE);
}

static void a_peer_that_does_not_read_is_waited_for(void **state)
{
	struct pair *p = *state;
	unsigned sent = 0, bytes = 0;
	struct vu_msg m;
	char buf[65536];
	int rc;

	for (;;) {
		vu_msg_init(&m, VU_GET_CONFIG, VU_FLAG_REPLY, 4000);
		m.fds[0] = dup(p->file);
		m.nfds = 1;
		rc = vu_conn_send(&p->c, &m);
		assert_int_equal(m.nfds, 0); /* taken over */
		sent++;
		if (rc)
			break;
	}
	assert_int_equal(rc, 1);
	assert_int_equal(vu_conn_flush(&p->c), 1);
	while (vu_conn_flush(&p->c) == 1)
		bytes += (unsigned)recv(p->peer, buf, sizeof(buf), 0);
	for (;;) {
		ssize_t n = recv(p->peer, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0)
			break;
		bytes += (unsigned)n;
	}
	assert_int_equal(bytes, sent * 4012);
}

static void a_closed_peer_is_an_error(void **state)
{
	struct pair *p = *state;
	struct vu_msg m;

	close(p->peer);
	p->peer = -1;
	vu_msg_init(&m, VU_GET_FEATURES, VU_FLAG_REPLY, 8);
	assert_int_equal(vu_conn_send(&p->c, &m), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_come_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_is_not_read_beyond_its_end, setup,
						teardown),
		cmocka_unit_test_setup_teardown(eight_fds_are_taken_more_end_it, setup, teardown),
		cmocka_unit_test_setup_teardown(fds_of_all_pieces_count, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long_is_told_before_it_is_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_longest_message_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_is_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(a_peer_that_does_not_read_is_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_closed_peer_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
