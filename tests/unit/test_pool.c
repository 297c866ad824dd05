/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools: what becomes a volume and what never does, who has one, and what is left after a crash at any point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "tools/pool/pool.h"

#define MIB (UINT64_C(1) << 20)

struct rig {
	char dir[64];
	struct pool *pool;
	struct errbuf eb;
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	snprintf(r->dir, sizeof(r->dir), "/var/tmp/nvring-pool-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(pool_open("p", r->dir, &r->pool, &r->eb), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	pid_t pid;

	pool_close(r->pool);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", r->dir, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	free(r);
	return 0;
}

static const char *path(const struct rig *r, const char *rest)
{
	static char buf[8][PATH_MAX];
	static unsigned at;

	at = (at + 1) % 8;
	snprintf(buf[at], PATH_MAX, "%s/%s", r->dir, rest);
	return buf[at];
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

static void reopen(struct rig *r)
{
	pool_close(r->pool);
	r->pool = NULL;
	assert_int_equal(pool_open("p", r->dir, &r->pool, &r->eb), 0);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "vol0", "A.b_c-9",
					    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde" };
	static const char *const bad[] = { "", ".", "..", ".a", "a.", "-a", "a-", "a/b", "/a", "a b", "a\n", "a+b", "a:b",
					   "\xc3\xa4", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(pool_name_check(good[i], &r->eb), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(pool_name_check(bad[i], &r->eb), -EINVAL);
		assert_int_equal(pool_create(r->pool, bad[i], MIB, &r->eb), -EINVAL);
		assert_int_equal(pool_resize(r->pool, bad[i], MIB, true, &r->eb), -EINVAL);
		assert_int_equal(pool_remove(r->pool, bad[i], &r->eb), -EINVAL);
	}
}

static void test_a_life(void **state)
{
	struct pool_volume v, *all;
	struct rig *r = *state;
	char image[PATH_MAX];
	struct stat st;
	size_t n;

	assert_int_equal(pool_create(r->pool, "b", 8 * MIB, &r->eb), 0);
	assert_int_equal(pool_create(r->pool, "a", 1 * MIB, &r->eb), 0);
	assert_int_equal(pool_create(r->pool, "a", 1 * MIB, &r->eb), -EEXIST);
	reopen(r);
	assert_int_equal(pool_list(r->pool, &all, &n, &r->eb), 0);
	assert_int_equal(n, 2);
	assert_string_equal(all[0].name, "a");
	assert_string_equal(all[1].name, "b");
	assert_int_equal(all[1].bytes, 8 * MIB);
	assert_int_equal(all[1].used_bytes, 0); /* sparse */
	free(all);

	assert_int_equal(pool_image_path(r->pool, "a", image, sizeof(image)), 0);
	assert_int_equal(stat(image, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pool_resize(r->pool, "a", 2 * MIB, false, &r->eb), 0);
	assert_int_equal(pool_resize(r->pool, "a", 1 * MIB, false, &r->eb), -ERANGE);
	assert_int_equal(pool_find(r->pool, "a", &v, &r->eb), 0);
	assert_int_equal(v.bytes, 2 * MIB);
	assert_int_equal(pool_resize(r->pool, "a", 1 * MIB, true, &r->eb), 0);
	assert_int_equal(pool_resize(r->pool, "a", MIB + 512, true, &r->eb), -EINVAL);
	assert_int_equal(pool_find(r->pool, "a", &v, &r->eb), 0);
	assert_int_equal(v.bytes, 1 * MIB);

	assert_int_equal(pool_remove(r->pool, "a", &r->eb), 0);
	assert_int_equal(pool_remove(r->pool, "a", &r->eb), -ENOENT);
	assert_false(is_there(path(r, "a")));
	assert_true(is_there(path(r, "b")));
}

static void test_sizes(void **state)
{
	static const uint64_t bad[] = { 0, 1, 511, 512, 4095, 4097, UINT64_MAX, UINT64_MAX - 4095 };
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pool_create(r->pool, "a", bad[i], &r->eb), -EINVAL);
	/* well formed, but more than any file can have: made by no file system, and nothing is left */
	assert_true(pool_create(r->pool, "a", INT64_MAX / 4096 * 4096, &r->eb) < 0);
	assert_false(is_there(path(r, "a")));
	assert_false(is_there(path(r, ".new-a")));
}

static void test_what_nvring_did_not_make(void **state)
{
	struct pool_volume v, *all;
	struct rig *r = *state;
	size_t n;

	write_file(path(r, "file"), "precious");
	assert_int_equal(mkdir(path(r, "dir"), 0700), 0);
	write_file(path(r, "dir/disk.img"), "precious");
	assert_int_equal(symlink("dir", path(r, "link")), 0);
	assert_int_equal(mkdir(path(r, "fake"), 0700), 0);
	write_file(path(r, "fake/disk.img"), "precious");
	write_file(path(r, "fake/.nvring-volume"), "nvring volume 10\n");
	assert_int_equal(pool_create(r->pool, "v", MIB, &r->eb), 0);
	assert_int_equal(symlink("v", path(r, "w")), 0);
	for (size_t i = 0; i < 5; i++) {
		const char *name = ((const char *[]){ "file", "dir", "link", "fake", "w" })[i];

		assert_int_equal(pool_create(r->pool, name, MIB, &r->eb), -EEXIST);
		assert_int_equal(pool_find(r->pool, name, &v, &r->eb), -EINVAL);
		assert_int_equal(pool_resize(r->pool, name, MIB, true, &r->eb), -EINVAL);
		assert_int_equal(pool_remove(r->pool, name, &r->eb), -EINVAL);
		assert_non_null(strstr(r->eb.text, "nvring did not make it"));
		assert_true(is_there(path(r, name)));
	}
	assert_int_equal(pool_list(r->pool, &all, &n, &r->eb), 0);
	assert_int_equal(n, 1);
	free(all);
	assert_true(is_there(path(r, "dir/disk.img")));
	assert_true(is_there(path(r, "fake/disk.img")));
	/* a stranger within a volume keeps all of it */
	write_file(path(r, "v/notes.txt"), "precious");
	assert_int_equal(pool_remove(r->pool, "v", &r->eb), -ENOTEMPTY);
	assert_non_null(strstr(r->eb.text, "notes.txt"));
	assert_true(is_there(path(r, "v/disk.img")));
	assert_int_equal(unlink(path(r, "v/notes.txt")), 0);
	/* and what a link stands for instead of the image is nobody's to delete */
	assert_int_equal(rename(path(r, "v/disk.img"), path(r, "moved")), 0);
	assert_int_equal(symlink("../moved", path(r, "v/disk.img")), 0);
	assert_int_equal(pool_remove(r->pool, "v", &r->eb), -EINVAL);
	assert_true(is_there(path(r, "moved")));
}

static void test_one_pool_one_daemon(void **state)
{
	struct rig *r = *state;
	struct pool *other;

	assert_int_equal(pool_open("q", r->dir, &other, &r->eb), -EBUSY);
	assert_non_null(strstr(r->eb.text, "another nvringd has this pool"));
	assert_int_equal(pool_open("q", path(r, "none"), &other, &r->eb), -ENOENT);
	write_file(path(r, "file"), "");
	assert_int_equal(pool_open("q", path(r, "file"), &other, &r->eb), -ENOTDIR);
	assert_int_equal(pool_open(".q", r->dir, &other, &r->eb), -EINVAL);
}

/* A process that has @image open, and locked as QEMU does if @is_locked. */
static pid_t hold(const char *image, bool is_locked)
{
	struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1 };
	int fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		int fd = open(image, O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion ends the test */
		if (fd < 0 || (is_locked && fcntl(fd, F_OFD_SETLK, &fl)) || write(fds[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void test_in_use(void **state)
{
	struct rig *r = *state;
	char who[64];
	pid_t pid;

	assert_int_equal(pool_create(r->pool, "v", MIB, &r->eb), 0);
	for (unsigned is_locked = 0; is_locked < 2; is_locked++) {
		pid = hold(path(r, "v/disk.img"), is_locked);
		snprintf(who, sizeof(who), "v is in use by process %d (test_pool)", pid);
		assert_int_equal(pool_remove(r->pool, "v", &r->eb), -EBUSY);
		assert_string_equal(r->eb.text, who);
		assert_int_equal(pool_resize(r->pool, "v", 2 * MIB, false, &r->eb), -EBUSY);
		assert_string_equal(r->eb.text, who);
		assert_int_equal(pool_in_use(r->pool, "v", &r->eb), -EBUSY);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(pool_in_use(r->pool, "v", &r->eb), 0);
	}
	assert_int_equal(pool_remove(r->pool, "v", &r->eb), 0);
}

/* Each state that create and remove pass through, as if the power had gone there. */
static void test_a_crash(void **state)
{
	struct pool_volume *all;
	struct rig *r = *state;
	size_t n;

	assert_int_equal(mkdir(path(r, ".new-a"), 0700), 0);
	assert_int_equal(mkdir(path(r, ".new-b"), 0700), 0);
	write_file(path(r, ".new-b/.nvring-volume"), "nvring");
	assert_int_equal(pool_create(r->pool, "c", MIB, &r->eb), 0);
	assert_int_equal(rename(path(r, "c"), path(r, ".new-c")), 0);
	assert_int_equal(pool_create(r->pool, "d", MIB, &r->eb), 0);
	assert_int_equal(rename(path(r, "d"), path(r, ".old-d")), 0);
	assert_int_equal(pool_create(r->pool, "e", MIB, &r->eb), 0);
	assert_int_equal(rename(path(r, "e"), path(r, ".old-e")), 0);
	assert_int_equal(unlink(path(r, ".old-e/disk.img")), 0);
	assert_int_equal(mkdir(path(r, ".old-f"), 0700), 0);
	assert_int_equal(pool_create(r->pool, "g", MIB, &r->eb), 0);
	/* not ours, however much it looks so */
	write_file(path(r, ".new-h"), "precious");
	assert_int_equal(mkdir(path(r, ".old-i"), 0700), 0);
	write_file(path(r, ".old-i/notes.txt"), "precious");
	reopen(r);
	for (char c = 'a'; c <= 'f'; c++) {
		char name[] = ".new-x", old[] = ".old-x";

		name[5] = old[5] = c;
		assert_false(is_there(path(r, name)));
		assert_false(is_there(path(r, old)));
	}
	assert_true(is_there(path(r, ".new-h")));
	assert_true(is_there(path(r, ".old-i/notes.txt")));
	assert_int_equal(pool_list(r->pool, &all, &n, &r->eb), 0);
	assert_int_equal(n, 1);
	assert_string_equal(all[0].name, "g");
	free(all);
	/* nor does it become a volume's grave */
	assert_int_equal(pool_create(r->pool, "i", MIB, &r->eb), 0);
	assert_int_equal(pool_remove(r->pool, "i", &r->eb), -ENOTEMPTY);
	assert_true(is_there(path(r, "i/disk.img")));
	assert_true(is_there(path(r, ".old-i/notes.txt")));
	assert_int_equal(pool_create(r->pool, "h", MIB, &r->eb), -ENOTDIR);
	assert_true(is_there(path(r, ".new-h")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_life, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_nvring_did_not_make, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_pool_one_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_crash, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
