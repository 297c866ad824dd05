/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes that their peer makes wait. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/stall.h"

static const uint64_t one = 1, full = UINT64_MAX - 1;

static int full_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC); /* O_NONBLOCK is not set */

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	return fd;
}

static void assert_interrupted(int fd)
{
	errno = 0;
	assert_int_equal(stall_write(fd, &one, sizeof(one)), -1);
	assert_int_equal(errno, EINTR);
}

static void assert_written(int fd)
{
	uint64_t n = 0;

	assert_int_equal(stall_write(fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(read(fd, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 1);
}

/* Again and again, in every order, and long after the timer of the last write has fired. */
static void a_write_that_waits_ends(void **state)
{
	const struct timespec later = { 0, 3 * STALL_NS };
	int bad = full_eventfd(), good = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	assert_int_equal(stall_guard_start(), 0);
	assert_int_equal(stall_guard_start(), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_written(good);
		assert_interrupted(bad);
		assert_interrupted(bad);
		assert_written(good);
		(void)nanosleep(&later, NULL);
	}
	stall_guard_stop();
	stall_guard_stop();
	close(good);
	close(bad);
}

static void a_full_counter_that_does_not_wait_is_no_stall(void **state)
{
	int fd = full_eventfd();

	(void)state;
	assert_int_equal(stall_guard_start(), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(stall_write(fd, &one, sizeof(one)), -1);
	assert_int_equal(errno, EAGAIN);
	stall_guard_stop();
	close(fd);
}

static void without_a_guard_it_is_a_write(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	assert_written(fd);
	close(fd);
}

static void *interrupted(void *fd)
{
	assert_int_equal(stall_guard_start(), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_interrupted(*(int *)fd);
	stall_guard_stop();
	return NULL;
}

/* As reactors start: with signals blocked, several at once on the same file. */
static void threads_have_guards_of_their_own(void **state)
{
	int fd = full_eventfd();
	sigset_t all, old;
	pthread_t t[4];

	(void)state;
	sigfillset(&all);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &old), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, interrupted, &fd), 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_that_waits_ends),
		cmocka_unit_test(a_full_counter_that_does_not_wait_is_no_stall),
		cmocka_unit_test(without_a_guard_it_is_a_write),
		cmocka_unit_test(threads_have_guards_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
