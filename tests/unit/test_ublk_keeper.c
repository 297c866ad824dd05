/* SPDX-License-Identifier: BSD-3-Clause */
#include "vdpa/ublk_keeper.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVER_BYTES 4096

#if defined(__has_feature)
#define IS_TSAN __has_feature(thread_sanitizer)
#else
#define IS_TSAN 0
#endif

/* A server with a keeper. */
struct server {
	pid_t pid, keeper;
	int keeper_fd, pipe_fd;
};

static pid_t only_child_of(pid_t pid)
{
	char path[64], text[64] = "", *end;
	FILE *f;
	long child;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (!f)
		skip(); /* a kernel without CONFIG_PROC_CHILDREN */
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	child = strtol(text, &end, 10);
	assert_true(child > 0);
	assert_string_equal(end, " "); /* no second one */
	return (pid_t)child;
}

static void serve(int ready_fd)
{
	int fd = memfd_create("nvring-kept", MFD_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the test fails */
	if (fd < 0 || ftruncate(fd, SERVER_BYTES) ||
	    mmap(NULL, SERVER_BYTES, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		_exit(1);
	if (ublk_keeper_start() || ublk_keeper_start() || write(ready_fd, "r", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void server_start(struct server *s)
{
	int fds[2];
	char c;

	if (IS_TSAN) {
		print_message("# the thread sanitizer's clone() takes a process that shares memory for a fork, and hangs\n");
		skip();
	}
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the keeper is ours when the server has gone */
	assert_int_equal(pipe(fds), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid) {
		(void)close(fds[0]);
		serve(fds[1]);
	}
	(void)close(fds[1]);
	s->pipe_fd = fds[0];
	assert_int_equal(read(s->pipe_fd, &c, 1), 1);
	s->keeper = only_child_of(s->pid);
	s->keeper_fd = (int)syscall(SYS_pidfd_open, s->keeper, 0);
	assert_true(s->keeper_fd >= 0);
}

static void server_end(struct server *s)
{
	(void)close(s->keeper_fd);
	(void)close(s->pipe_fd);
}

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, 60000), 1);
}

static unsigned count_fds(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static bool maps(pid_t pid, const char *name)
{
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, name);
	fclose(f);
	return found;
}

/* It has made itself ready when it has closed all but one. */
static void await_ready(pid_t keeper)
{
	for (unsigned i = 0; i < 6000 && count_fds(keeper) != 1; i++)
		usleep(10000);
	assert_int_equal(count_fds(keeper), 1);
}

static void test_it_has_what_is_mapped_and_nothing_that_is_open(void **state)
{
	struct server s;

	(void)state;
	server_start(&s);
	await_ready(s.keeper);
	assert_true(maps(s.keeper, "nvring-kept"));
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	await(s.keeper_fd, POLLIN);
	assert_int_equal(waitpid(s.pid, NULL, 0), s.pid);
	assert_int_equal(waitpid(s.keeper, NULL, __WALL), s.keeper);
	server_end(&s);
}

/* A signal to all that are in the server's group, as from a terminal, leaves the keeper. */
static void test_it_outlives_its_server(void **state)
{
	struct server s;

	(void)state;
	server_start(&s);
	await_ready(s.keeper);
	assert_int_equal(kill(s.keeper, SIGTERM), 0);
	assert_int_equal(kill(s.keeper, SIGINT), 0);
	assert_int_not_equal(getpgid(s.keeper), getpgid(s.pid));
	assert_int_equal(kill(s.pid, SIGSTOP), 0); /* not an end */
	usleep(50000);
	assert_int_equal(kill(s.keeper, 0), 0);
	assert_int_equal(waitpid(s.keeper, NULL, __WALL | WNOHANG), -1); /* not ours: its server lives */
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	await(s.pipe_fd, POLLHUP);
	await(s.keeper_fd, POLLIN);
	assert_int_equal(waitpid(s.pid, NULL, 0), s.pid);
	assert_int_equal(waitpid(s.keeper, NULL, __WALL), s.keeper);
	server_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_has_what_is_mapped_and_nothing_that_is_open),
		cmocka_unit_test(test_it_outlives_its_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
