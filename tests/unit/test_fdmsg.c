/* SPDX-License-Identifier: BSD-3-Clause */
/* File descriptors over a socket pair: all arrive, none is lost or left open, too many are said. */
#include "core/base/fdmsg.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/unit/leaks.h"

struct pair {
	int here;
	int there;
	struct leaks before;
};

static int setup(void **state)
{
	static struct pair p;
	int fds[2];

	p.before = leaks_now();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	p.here = fds[0];
	p.there = fds[1];
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	close(p->here);
	close(p->there);
	assert_no_leaks(p->before);
	return 0;
}

/* One byte with @nfds of @fds. */
static void put(struct pair *p, const int *fds, unsigned nfds)
{
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	memset(&f, 0xa5, sizeof(f));
	fdmsg_put(&mh, &f, fds, nfds);
	assert_int_equal(sendmsg(p->there, &mh, MSG_NOSIGNAL), 1);
}

/* One byte, and what comes with it. */
static bool take(struct pair *p, unsigned room, int *fds, unsigned *nfds, unsigned max)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct fdmsg f;

	memset(&f, 0xa5, sizeof(f));
	fdmsg_room(&mh, &f, room);
	assert_int_equal(recvmsg(p->here, &mh, MSG_CMSG_CLOEXEC), 1);
	return fdmsg_take(&mh, fds, nfds, max);
}

static void close_all(int *fds, unsigned *nfds)
{
	while (*nfds)
		close(fds[--*nfds]);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	assert_int_equal(fstat(a, &x) | fstat(b, &y), 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void they_arrive_in_order(void **state)
{
	struct pair *p = *state;
	const int sent[3] = { p->here, p->there, p->here };
	int fds[4];
	unsigned n = 0;

	put(p, sent, 3);
	assert_true(take(p, 4, fds, &n, 4));
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(same_file(fds[i], sent[i]));
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	}
	close_all(fds, &n);
}

static void a_message_without_any(void **state)
{
	struct pair *p = *state;
	int fds[1];
	unsigned n = 0;

	put(p, NULL, 0);
	assert_true(take(p, 1, fds, &n, 1));
	assert_int_equal(n, 0);
}

static void as_many_as_there_may_be(void **state)
{
	struct pair *p = *state;
	int sent[FDMSG_MAX], fds[FDMSG_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < FDMSG_MAX; i++)
		sent[i] = p->here;
	put(p, sent, FDMSG_MAX);
	assert_true(take(p, FDMSG_MAX, fds, &n, FDMSG_MAX));
	assert_int_equal(n, FDMSG_MAX);
	close_all(fds, &n);
}

/* The pieces of one message each bring some. */
static void they_add_up_to_the_limit(void **state)
{
	struct pair *p = *state;
	const int sent[2] = { p->here, p->there };
	int fds[3];
	unsigned n = 0;

	put(p, sent, 2);
	put(p, sent, 2);
	assert_true(take(p, 3, fds, &n, 3));
	assert_int_equal(n, 2);
	assert_false(take(p, 3, fds, &n, 3));
	assert_int_equal(n, 3);
	close_all(fds, &n);
}

static void what_the_kernel_cut_off_is_seen(void **state)
{
	struct pair *p = *state;
	int sent[8], fds[8];
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(sent); i++)
		sent[i] = p->here;
	put(p, sent, 8);
	assert_false(take(p, 2, fds, &n, 8));
	assert_int_equal(n, 2);
	close_all(fds, &n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(they_arrive_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_without_any, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_as_there_may_be, setup, teardown),
		cmocka_unit_test_setup_teardown(they_add_up_to_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_kernel_cut_off_is_seen, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
