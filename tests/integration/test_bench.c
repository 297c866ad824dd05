/* SPDX-License-Identifier: BSD-3-Clause */
/* The load generator from outside: what it measures, what it finds, how it ends. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "core/base/cc.h"
#include "tests/integration/disk_server.h"
#include "tools/bench/bench.h"

#define BENCH	 "bench" /* argv[0] */
#define ARGS_MAX 24
#define TEXT_MAX 16384

static char dir[64], sock[96], image[96], uri[128], held_uri[192], state_file[96], out_file[96],
	err_file[96];
static char out[TEXT_MAX], err[TEXT_MAX];

static int group_start(void **state)
{
	int fd;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/disk", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(uri, sizeof(uri), "file:%s", image);
	snprintf(held_uri, sizeof(held_uri), "fault:op=write,after=1000,delay=3600s@%s", uri);
	snprintf(state_file, sizeof(state_file), "%s/state", dir);
	snprintf(out_file, sizeof(out_file), "%s/out", dir);
	snprintf(err_file, sizeof(err_file), "%s/err", dir);
	fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	unlink(image);
	unlink(sock);
	unlink(state_file);
	unlink(out_file);
	unlink(err_file);
	return rmdir(dir);
}

static void read_text(const char *path, char text[TEXT_MAX])
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, TEXT_MAX - 1, f);
	text[n] = '\0';
	fclose(f);
}

/* As a program of its own, which this file is under the name of BENCH. The list of words ends with NULL. */
static pid_t bench_start(const char *const *words)
{
	char *argv[ARGS_MAX + 1] = { (char *)(uintptr_t)BENCH };
	int argc = 1;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	while (words[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
		argc++;
	}
	if (!freopen(out_file, "w", stdout) || !freopen(err_file, "w", stderr))
		_exit(99);
	execv("/proc/self/exe", argv);
	_exit(98);
}

static int bench_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	read_text(out_file, out);
	read_text(err_file, err);
	return WEXITSTATUS(status);
}

#define bench(...) bench_end(bench_start((const char *const[]){ __VA_ARGS__, NULL }))

static void expect_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static uint64_t json_number(const char *key)
{
	struct json_object *top = json_tokener_parse(out), *o;
	uint64_t v;

	assert_non_null(top);
	assert_true(json_object_object_get_ex(top, key, &o));
	v = json_object_get_uint64(o);
	json_object_put(top);
	return v;
}

static void usage_is_explained(void **state)
{
	(void)state;
	assert_int_equal(bench("--help"), 0);
	expect_text(out, "--verify-state");
	assert_int_equal(bench("--no-such-option"), 2);
	assert_int_equal(bench("--json"), 2);
	expect_text(err, "target");
	assert_int_equal(bench("null:1G", "null:2G"), 2);
	assert_int_equal(bench("null:1G", "--bs", "1000"), 2);
	assert_int_equal(bench("null:1G", "--depth", "0"), 2);
	assert_int_equal(bench("null:1G", "--rw", "sideways"), 2);
	expect_text(err, "--rw");
	assert_int_equal(bench("null:1G", "--time", "0"), 2);
	assert_int_equal(bench("null:1G", "--eventfd"), 2);
	assert_int_equal(bench("null:1G", "--check"), 2);
	assert_int_equal(bench("nonsense:1G"), 1);
	expect_text(err, "nonsense");
	assert_int_equal(bench("./no-such.sock"), 1);
	expect_text(err, "no-such.sock");
	assert_int_equal(bench("null:1M", "--size", "2M"), 1);
	assert_int_equal(bench("null:1M", "--offset", "1M"), 1);
}

static void every_load_runs(void **state)
{
	static const char *const kinds[] = { "read",	 "write",     "rw",
					     "randread", "randwrite", "randrw" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(bench("ram:16M", "--rw", kinds[i], "--ios", "5000", "--bs", "8k",
				       "--depth", "7", "--queues", "3", "--json"),
				 0);
		assert_int_equal(json_number("errors"), 0);
		assert_true(json_number("iops") > 0);
	}
	assert_int_equal(bench("ram:16M", "--rw", "randrw", "--ios", "5000", "--discard", "10",
			       "--write-zeroes", "10", "--flush-every", "5", "--one-thread",
			       "--queues", "2"),
			 0);
	expect_text(out, "discard");
	expect_text(out, "write-zeroes");
	expect_text(out, "flush");
	assert_int_equal(bench("null:1G", "--time", "50ms", "--warmup", "10ms", "--cpu", "0"), 0);
	expect_text(out, "p99.99");
	assert_int_equal(bench("--null-responder", "--ios", "20000", "--packed"), 0);
	expect_text(out, "20000 I/Os");
}

static void errors_are_counted_and_shown(void **state)
{
	(void)state;
	assert_int_equal(
		bench("fault:op=read,every=100,error=EIO@ram:16M", "--ios", "5000", "--json"), 1);
	assert_int_equal(json_number("errors"), 50);
	expect_text(err, "I/O error: read of 4096 bytes at byte");
}

static void verification_finds_what_the_disk_loses(void **state)
{
	(void)state;
	assert_int_equal(bench("ram:16M", "--rw", "randrw", "--verify", "--ios", "20000", "--bs",
			       "12k", "--discard", "2", "--write-zeroes", "2", "--queues", "2",
			       "--json"),
			 0);
	assert_int_equal(json_number("bad"), 0);
	assert_true(json_number("verified") > 10000);
	/* torn: reported as success */
	assert_int_equal(bench("fault:op=write,after=50,first=1,torn=2K@ram:16M", "--rw", "write",
			       "--verify", "--ios", "2000"),
			 1);
	expect_text(err, "verify:");
	assert_int_equal(bench("fault:op=write,after=50,first=1,torn=0@ram:16M", "--rw", "write",
			       "--verify", "--ios", "2000", "--json"),
			 1);
	assert_int_equal(json_number("bad"), 1);
}

static void a_later_run_goes_on_with_the_state(void **state)
{
	int fd;

	(void)state;
	unlink(state_file);
	assert_int_equal(bench(uri, "--rw", "write", "--ios", "1000", "--verify-state", state_file),
			 0);
	assert_int_equal(bench(uri, "--check", "--verify-state", state_file, "--json"), 0);
	assert_int_equal(json_number("verified"), 1000);
	fd = open(image, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 4096 * 10 + 100), 1);
	close(fd);
	assert_int_equal(bench(uri, "--check", "--verify-state", state_file, "--json"), 1);
	assert_int_equal(json_number("bad"), 1);
	expect_text(err, "byte 40960");
	assert_int_equal(bench(uri, "--size", "32M", "--check", "--verify-state", state_file), 1);
	expect_text(err, state_file);
}

static void sockets_are_verified_too(void **state)
{
	struct disk_server s;

	(void)state;
	disk_server_start(&s, uri, sock, false);
	assert_int_equal(bench(sock, "--rw", "randrw", "--verify", "--ios", "5000", "--queues", "2",
			       "--json"),
			 0);
	assert_true(json_number("verified") > 1000);
	assert_int_equal(bench(sock, "--rw", "randrw", "--verify", "--ios", "5000", "--packed",
			       "--eventfd", "--depth", "4"),
			 0);
	assert_int_equal(bench(sock, "--minimal", "--one-thread", "--queues", "4", "--ios", "1000",
			       "--no-indirect", "--flush-every", "3", "--rw", "write"),
			 0);
	disk_server_stop(&s);
	assert_int_equal(bench(sock, "--time", "100ms"), 1);
}

/* The state is always current: unit @unit has been answered. */
static void wait_for_unit(unsigned unit)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	uint32_t committed = 0;

	for (unsigned i = 0; i < 20000 && !committed; i++) {
		int fd = open(state_file, O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			if (pread(fd, &committed, sizeof(committed), 4096 + 16 * (off_t)unit) < 0)
				committed = 0;
			close(fd);
		}
		nanosleep(&ms, NULL);
	}
	assert_true(committed);
}

/* Two servers hold back what comes after a thousand writes, and are killed with it. */
static void a_killed_server_is_survived(void **state)
{
	const char *const words[] = { sock,
				      "--rw",
				      "write",
				      "--verify-state",
				      state_file,
				      "--ios",
				      "5000",
				      "--reconnect",
				      "20",
				      "--connect",
				      "20",
				      "--json",
				      "--no-progress",
				      NULL };
	pid_t server, load;

	(void)state;
	unlink(state_file);
	server = disk_server_fork(held_uri, sock);
	load = bench_start(words);
	wait_for_unit(900);
	disk_server_kill(server);
	server = disk_server_fork(held_uri, sock);
	wait_for_unit(1800); /* some of the first 900 may have been under way */
	disk_server_kill(server);
	server = disk_server_fork(uri, sock);
	assert_int_equal(bench_end(load), 0);
	assert_int_equal(json_number("bad"), 0);
	assert_int_equal(json_number("errors"), 0);
	assert_true(json_number("reconnects") >= 2); /* one that is lost before it is there counts, too */
	assert_int_equal(json_number("verified"), 5000);
	disk_server_kill(server);
	unlink(sock);
	assert_int_equal(bench(uri, "--check", "--verify-state", state_file), 0);
}

/* Ctrl-C ends it, whatever the disk holds back. */
static void an_interrupt_does_not_wait_for_dropped_io(void **state)
{
	const char *const words[] = { "fault:op=write,after=1000,drop@null:1G", "--rw", "write",
				      "--verify-state", state_file, "--no-progress", NULL };
	pid_t load;

	(void)state;
	unlink(state_file);
	load = bench_start(words);
	wait_for_unit(900);
	assert_int_equal(kill(load, SIGINT), 0);
	assert_int_equal(bench_end(load), 1);
	expect_text(err, "I/O error: write");
	unlink(state_file);
}

/* Without --reconnect the end of the server is the end of the load, and an error. */
static void a_server_that_stays_away_is_an_error(void **state)
{
	const char *const words[] = { sock,	  "--rw",   "write", "--verify-state",
				      state_file, "--ios",  "5000",  "--connect",
				      "20",	  "--json", NULL };
	pid_t server, load;

	(void)state;
	unlink(state_file);
	server = disk_server_fork(held_uri, sock);
	load = bench_start(words);
	wait_for_unit(900);
	disk_server_kill(server);
	assert_int_equal(bench_end(load), 1);
	expect_text(err, "the server is gone");
	unlink(sock);
	assert_int_equal(bench(uri, "--check", "--verify-state", state_file), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_is_explained),
		cmocka_unit_test(every_load_runs),
		cmocka_unit_test(errors_are_counted_and_shown),
		cmocka_unit_test(verification_finds_what_the_disk_loses),
		cmocka_unit_test(a_later_run_goes_on_with_the_state),
		cmocka_unit_test(sockets_are_verified_too),
		cmocka_unit_test(a_killed_server_is_survived),
		cmocka_unit_test(a_server_that_stays_away_is_an_error),
		cmocka_unit_test(an_interrupt_does_not_wait_for_dropped_io),
	};

	if (strcmp(argv[0], BENCH) == 0)
		return bench_main(argc, argv);
	return cmocka_run_group_tests(tests, group_start, group_stop);
}
