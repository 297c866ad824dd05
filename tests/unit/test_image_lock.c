/* SPDX-License-Identifier: BSD-3-Clause */
/* Two writers cannot open one image: against ourselves, a killed process, and QEMU's tools in both
 * directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/disk_rig.h"

static struct disk_rig rig;
static char path[64], uri[128];

static int set_up(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "./nvring-test-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 4 << 20))
		return -1;
	close(fd);
	(void)snprintf(uri, sizeof(uri), "file:%s", path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (rig.r)
		rig_fini(&rig);
	rig.r = NULL;
	unlink(path);
	return 0;
}

/* Opens it a second time, beside the one that rig holds. */
static int second(struct bdev_open_opts opts, const char *query, struct errbuf *eb)
{
	struct disk_rig other = { .r = rig.r };
	char text[160];
	int err;

	(void)snprintf(text, sizeof(text), "%s%s", uri, query);
	err = rig_try(&other, text, opts, eb);
	if (!err)
		rig_close(&other);
	return err;
}

static void ourselves(void **state)
{
	static const struct {
		const char *first, *second;
		int want;
	} cases[] = {
		{ "", "", -EBUSY },
		{ "", "?ro=1", -EBUSY },
		{ "?ro=1", "", -EBUSY },
		{ "?ro=1", "?ro=1", 0 },
		{ "", "?locking=off", 0 },
		{ "?locking=off", "", 0 },
		{ "?locking=on", "?locking=on", -EBUSY },
		{ "?locking=on", "?locking=auto", -EBUSY },
	};

	(void)state;
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bdev_open_opts opts = { 0 };
		struct errbuf eb = { "" };
		char first[160];
		int err;

		(void)snprintf(first, sizeof(first), "%s%s", uri, cases[i].first);
		rig_open(&rig, first);
		err = second(opts, cases[i].second, &eb);
		if (err != cases[i].want)
			fail_msg("row %zu: %d %s", i, err, eb.text);
		if (err)
			assert_non_null(strstr(eb.text, ": is in use by another process (image "
							"lock); stop it or use locking=off"));
		rig_close(&rig);
		/* Closed is closed: nothing lingers in the ring. */
		assert_int_equal(second(opts, "", &eb), 0);
	}
}

static void waiting_is_bounded(void **state)
{
	struct bdev_open_opts opts = { .lock_wait_ms = 30 };
	struct errbuf eb = { "" };
	uint64_t start;

	(void)state;
	rig_init(&rig);
	rig_open(&rig, uri);
	start = mono_ns();
	assert_int_equal(second(opts, "", &eb), -EBUSY);
	assert_true(mono_ns() - start >= 30 * MONO_NS_PER_MS);
	rig_close(&rig);
}

/* A process with I/O always under way; one byte on @ready when it runs. Never returns. */
static void writer(int ready)
{
	static struct rig_io io[64];
	static char buf[64][65536];

	rig_init(&rig);
	rig_open(&rig, uri);
	for (unsigned n = 0;; n++) {
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			rig_start(&rig, &io[i], BIO_WRITE, i * sizeof(buf[0]), buf[i],
				  sizeof(buf[0]));
		rig_turn(&rig, 1);
		if (n == 1 && write(ready, "x", 1) != 1)
			_exit(1);
		for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
			(void)rig_wait(&rig, &io[i]);
	}
}

static pid_t writer_start(void)
{
	int pipes[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		writer(pipes[1]);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	return pid;
}

/* Its requests may land after its death; the lock says when they have. */
static void a_killed_writer_is_waited_for(void **state)
{
	struct bdev_open_opts opts = { .lock_wait_ms = 30000 };

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct errbuf eb = { "" };
		pid_t pid = writer_start();

		rig_init(&rig);
		assert_int_equal(second((struct bdev_open_opts){ 0 }, "", &eb), -EBUSY);
		assert_int_equal(kill(pid, SIGKILL), 0);
		/* Not reaped yet: what counts is the lock, not the process. */
		if (second(opts, "", &eb))
			fail_msg("%s", eb.text);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		rig_fini(&rig);
	}
	rig.r = NULL;
}

static int run(const char *cmd)
{
	FILE *f = popen(cmd, "re");
	char line[512];
	int rc;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		print_message("%s", line);
	rc = pclose(f);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : -1;
}

static bool have_qemu_io(void)
{
	return run("command -v qemu-io >/dev/null") == 0;
}

/* qemu-io with @flags does "read", or "write", and succeeds or not. */
static int qemu_io(const char *flags, const char *verb)
{
	char cmd[256];

	(void)snprintf(cmd, sizeof(cmd), "qemu-io %s -f raw -c '%s 0 512' %s >/dev/null 2>&1",
		       flags, verb, path);
	return run(cmd);
}

static void qemu_is_kept_out(void **state)
{
	char cmd[256], ro[160];

	(void)state;
	if (!have_qemu_io()) {
		print_message("qemu-io is not installed (qemu-utils)\n");
		skip();
	}
	rig_init(&rig);
	rig_open(&rig, uri);
	assert_int_not_equal(qemu_io("", "write"), 0);
	(void)snprintf(
		cmd, sizeof(cmd),
		"qemu-io -f raw -c 'read 0 512' %s 2>&1 | grep -q 'Failed to get \"write\" lock'",
		path);
	assert_int_equal(run(cmd), 0);
	assert_int_equal(qemu_io("-U -r", "read"), 0);
	rig_close(&rig);
	assert_int_equal(qemu_io("", "write"), 0);

	(void)snprintf(ro, sizeof(ro), "%s?ro=1", uri);
	rig_open(&rig, ro);
	assert_int_equal(qemu_io("-r", "read"), 0);
	assert_int_not_equal(qemu_io("", "write"), 0);
	rig_close(&rig);
}

/* qemu-io holds the image as long as its standard input is open. */
static void we_are_kept_out_by_qemu(void **state)
{
	static const struct {
		const char *flags, *query;
		int want;
	} cases[] = {
		{ "", "", -EBUSY },   { "", "?ro=1", -EBUSY }, { "", "?locking=off", 0 },
		{ "-r", "?ro=1", 0 }, { "-r", "", 0 }, /* a reader that lets others write: qemu-io
							  does not mind */
	};

	(void)state;
	if (!have_qemu_io()) {
		print_message("qemu-io is not installed (qemu-utils)\n");
		skip();
	}
	rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char cmd[256], flag[96];
		struct errbuf eb = { "" };
		struct stat st;
		FILE *qemu;
		int err;

		/* It has the image once its prompt is there. */
		(void)snprintf(flag, sizeof(flag), "%s.open", path);
		(void)snprintf(cmd, sizeof(cmd), "qemu-io %s -f raw %s >%s 2>&1", cases[i].flags,
			       path, flag);
		unlink(flag);
		qemu = popen(cmd, "we");
		assert_non_null(qemu);
		while (stat(flag, &st) || !st.st_size)
			usleep(1000);
		err = second((struct bdev_open_opts){ 0 }, cases[i].query, &eb);
		pclose(qemu);
		unlink(flag);
		if (err != cases[i].want)
			fail_msg("row %zu: %d %s", i, err, eb.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ourselves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waiting_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_killed_writer_is_waited_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(qemu_is_kept_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(we_are_kept_out_by_qemu, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
