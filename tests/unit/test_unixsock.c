/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets: their file's mode, stale and live sockets, paths that cannot be, inherited fds. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/unixsock.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static mode_t mode_of(const char *p)
{
	struct stat st;

	assert_int_equal(stat(p, &st), 0);
	return st.st_mode & 07777;
}

static void the_mode_is_as_asked_whatever_the_umask(void **state)
{
	static const struct {
		mode_t umask, mode;
	} rows[] = { { 0, 0600 }, { 022, 0660 }, { 077, 0666 }, { 0, 0666 }, { 0777, 0600 } };
	struct unixsock s;
	struct errbuf eb;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		mode_t old = umask(rows[i].umask);

		assert_int_equal(unixsock_listen(path, rows[i].mode, 8, &s, &eb), 0);
		umask(old);
		assert_int_equal(mode_of(path), rows[i].mode);
		close(s.fd);
		unlink(path);
	}
	(void)state;
}

static void a_stale_socket_is_replaced_a_live_one_is_not(void **state)
{
	struct unixsock s, again;
	struct errbuf eb;

	assert_int_equal(unixsock_listen(path, 0600, 8, &s, &eb), 0);
	assert_int_equal(unixsock_listen(path, 0600, 8, &again, &eb), -EADDRINUSE);
	assert_non_null(strstr(eb.text, "another process"));
	close(s.fd); /* the process died: its file stays */
	assert_int_equal(unixsock_listen(path, 0600, 8, &s, &eb), 0);
	close(s.fd);
	(void)state;
}

static void other_files_are_left_alone(void **state)
{
	struct unixsock s;
	struct errbuf eb;

	close(open(path, O_CREAT | O_RDWR, 0600));
	assert_int_equal(unixsock_listen(path, 0600, 8, &s, &eb), -EEXIST);
	assert_non_null(strstr(eb.text, "not a socket"));
	assert_int_equal(access(path, F_OK), 0);
	(void)state;
}

static void impossible_paths_are_explained(void **state)
{
	char longpath[200], nodir[128];
	struct unixsock s;
	struct errbuf eb;

	memset(longpath, 'x', 108);
	longpath[108] = '\0';
	longpath[0] = '/';
	assert_int_equal(unixsock_listen(longpath, 0600, 8, &s, &eb), -ENAMETOOLONG);
	assert_non_null(strstr(eb.text, "107"));
	snprintf(nodir, sizeof(nodir), "%s/no/such", dir);
	assert_int_equal(unixsock_listen(nodir, 0600, 8, &s, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, "mkdir -p"));
	assert_int_equal(unixsock_listen("", 0600, 8, &s, &eb), -EINVAL);
	(void)state;
}

static void only_our_own_file_is_removed(void **state)
{
	struct unixsock s, other;
	struct errbuf eb;

	assert_int_equal(unixsock_listen(path, 0600, 8, &s, &eb), 0);
	unlink(path);
	assert_int_equal(unixsock_listen(path, 0600, 8, &other, &eb), 0);
	unixsock_remove(&s, path);
	assert_int_equal(access(path, F_OK), 0);
	unixsock_remove(&other, path);
	assert_int_equal(access(path, F_OK), -1);
	close(s.fd);
	close(other.fd);
	(void)state;
}

static void inherited_fds_are_told_apart(void **state)
{
	struct unixsock s;
	struct errbuf eb;
	bool listens;
	int pair[2], null = open("/dev/null", O_RDONLY), udp = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(unixsock_listen(path, 0600, 8, &s, &eb), 0);
	assert_int_equal(unixsock_adopt(s.fd, &listens, &eb), 0);
	assert_true(listens);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(unixsock_adopt(pair[0], &listens, &eb), 0);
	assert_false(listens);
	assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(unixsock_adopt(null, &listens, &eb), -ENOTSOCK);
	if (udp >= 0)
		assert_int_equal(unixsock_adopt(udp, &listens, &eb), -EINVAL);
	close(s.fd);
	close(pair[0]);
	close(pair[1]);
	close(null);
	close(udp);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_mode_is_as_asked_whatever_the_umask, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stale_socket_is_replaced_a_live_one_is_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(other_files_are_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(impossible_paths_are_explained, setup, teardown),
		cmocka_unit_test_setup_teardown(only_our_own_file_is_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(inherited_fds_are_told_apart, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
