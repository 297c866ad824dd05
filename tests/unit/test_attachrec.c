/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of attached disks: what is read back, and what is no record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/shared/attachrec.h"

#define WHOLE                                                                                            \
	"node /dev/ublkb3\ntype ublk\ndisk vol0\nuri file:/a b.img?direct=1\nrpc \nid 3\nseq 77\npid 4711\n"

static void a_record_is_read_back(void **state)
{
	struct attachrec r;

	(void)state;
	assert_int_equal(attachrec_parse(WHOLE, &r), 0);
	assert_string_equal(r.node, "/dev/ublkb3");
	assert_string_equal(r.type, "ublk");
	assert_string_equal(r.disk, "vol0");
	assert_string_equal(r.uri, "file:/a b.img?direct=1");
	assert_string_equal(r.rpc, "");
	assert_int_equal(r.id, 3);
	assert_int_equal(r.seq, 77);
	assert_int_equal(r.pid, 4711);
	assert_int_equal(r.start, 0); /* as older ones */
	assert_int_equal(attachrec_parse(WHOLE "start 18446744073709551615\n", &r), 0);
	assert_true(r.start == UINT64_MAX);
}

static void what_is_not_whole_is_none(void **state)
{
	char text[2048] = WHOLE;
	struct attachrec r;

	(void)state;
	for (size_t len = strlen(WHOLE) - strlen("pid 4711\n"); len > 0; len--) {
		text[len] = '\0';
		assert_int_equal(attachrec_parse(text, &r), -EINVAL);
	}
	assert_int_equal(attachrec_parse("", &r), -EINVAL);
	assert_int_equal(attachrec_parse("node \ntype ublk\ndisk v\nuri x:\nrpc \nid 3\nseq 7\npid 1\n", &r),
			 -EINVAL);
	assert_int_equal(attachrec_parse("node /dev/x\ntype ublk\ndisk v\nuri x:\nrpc \nid 3\nseq 7\npid -1\n", &r),
			 -EINVAL);
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "node ", 5);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(attachrec_parse(text, &r), -EINVAL);
}

static void a_process_of_another_kind_serves_nothing(void **state)
{
	struct attachrec r = { .pid = getpid() };

	(void)state;
	assert_false(attachrec_is_served(&r)); /* this is test_attachrec */
	r.pid = INT32_MAX;
	assert_false(attachrec_is_served(&r));
}

/* `sleep`, as a program called nvringd. */
static pid_t begin_nvringd(const char *program)
{
	char *argv[] = { (char *)(uintptr_t) "nvringd", (char *)(uintptr_t) "60", NULL };
	char *envp[] = { NULL };
	int from = open("/bin/sleep", O_RDONLY | O_CLOEXEC), to = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	struct stat st;
	pid_t pid;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	assert_int_equal(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
	close(from);
	close(to);
	assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, envp), 0);
	return pid;
}

static void a_number_used_again_serves_nothing(void **state)
{
	char dir[] = "/tmp/attachrecXXXXXX", program[64];
	struct attachrec r = { .pid = 0 };
	struct pollfd server = { .events = POLLIN };

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(program, sizeof(program), "%s/nvringd", dir);
	r.pid = begin_nvringd(program);
	r.start = attachrec_start_of(r.pid);
	assert_true(r.start > 0);
	assert_true(attachrec_is_served(&r));
	server.fd = attachrec_open_server(&r);
	assert_true(server.fd >= 0);
	r.start--; /* the one that we know began earlier */
	assert_false(attachrec_is_served(&r));
	assert_int_equal(attachrec_open_server(&r), -ESRCH);
	r.start = 0; /* of an older nvringd: by its program alone */
	assert_true(attachrec_is_served(&r));
	assert_int_equal(pidfd_send_signal(server.fd, SIGKILL, NULL, 0), 0);
	assert_int_equal(poll(&server, 1, 60000), 1);
	assert_false(attachrec_is_served(&r));
	assert_int_equal(waitpid(r.pid, NULL, 0), r.pid);
	assert_int_equal(attachrec_start_of(r.pid), 0);
	assert_int_equal(attachrec_open_server(&r), -ESRCH);
	close(server.fd);
	unlink(program);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_read_back),
		cmocka_unit_test(what_is_not_whole_is_none),
		cmocka_unit_test(a_process_of_another_kind_serves_nothing),
		cmocka_unit_test(a_number_used_again_serves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
