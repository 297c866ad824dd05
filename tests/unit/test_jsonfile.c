/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of JSON: whole or not there, their modes, nothing left beside them. */
#include "tools/shared/jsonfile.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/leaks.h"

struct place {
	char dir[64];
	char file[96];
	struct json_object *json;
};

static int setup(void **state)
{
	static struct place p;

	snprintf(p.dir, sizeof(p.dir), "/tmp/nvring-jsonfile-XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.file, sizeof(p.file), "%s/one.json", p.dir);
	p.json = json_object_new_object();
	json_object_object_add(p.json, "path", json_object_new_string("/dev/ublkb0"));
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	json_object_put(p->json);
	(void)unlink(p->file);
	(void)rmdir(p->file);
	return rmdir(p->dir); /* fails where something is left */
}

static unsigned entries(const char *dir)
{
	return leaks_count(dir) - 2; /* . and .. */
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void what_is_saved_is_there(void **state)
{
	struct place *p = *state;
	struct json_object *got;
	struct errbuf eb;
	char text[128];
	size_t n;
	FILE *f;

	assert_int_equal(jsonfile_save(p->file, p->json, 0600, &eb), 0);
	got = json_object_from_file(p->file);
	assert_true(json_object_equal(got, p->json));
	json_object_put(got);
	assert_int_equal(entries(p->dir), 1);
	f = fopen(p->file, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	assert_non_null(strstr(text, "\"/dev/ublkb0\"")); /* slashes are for people */
	assert_int_equal(text[n - 1], '\n');
}

static void a_new_file_gets_the_mode_and_an_old_one_keeps_its_own(void **state)
{
	struct place *p = *state;
	struct errbuf eb;
	mode_t mask = umask(077);

	assert_int_equal(jsonfile_save(p->file, p->json, 0644, &eb), 0);
	umask(mask);
	assert_int_equal(mode_of(p->file), 0644);
	assert_int_equal(chmod(p->file, 0640), 0);
	json_object_object_add(p->json, "more", json_object_new_int(1));
	assert_int_equal(jsonfile_save(p->file, p->json, 0600, &eb), 0);
	assert_int_equal(mode_of(p->file), 0640);
}

/* A folder of the name lets everything succeed but the last step. */
static void what_fails_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct errbuf eb;

	assert_int_equal(mkdir(p->file, 0700), 0);
	assert_int_equal(jsonfile_save(p->file, p->json, 0600, &eb), -EISDIR);
	assert_non_null(strstr(eb.text, p->file));
	assert_int_equal(entries(p->dir), 1);
	assert_int_equal(entries(p->file), 0);
}

static void no_folder(void **state)
{
	struct place *p = *state;
	struct errbuf eb;
	char path[128];

	snprintf(path, sizeof(path), "%s/none/one.json", p->dir);
	assert_int_equal(jsonfile_save(path, p->json, 0600, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, path));
}

static void a_path_that_is_too_long(void **state)
{
	struct place *p = *state;
	char path[PATH_MAX + 16];
	struct errbuf eb;

	memset(path, 'a', sizeof(path));
	path[PATH_MAX - 4] = '\0'; /* fits alone, but not with what the file beside it has more */
	assert_int_equal(jsonfile_save(path, p->json, 0600, &eb), -ENAMETOOLONG);
}

static void what_is_removed_is_gone(void **state)
{
	struct place *p = *state;
	struct errbuf eb;

	assert_int_equal(jsonfile_save(p->file, p->json, 0600, &eb), 0);
	assert_int_equal(jsonfile_remove(p->file, &eb), 0);
	assert_int_equal(entries(p->dir), 0);
	assert_int_equal(jsonfile_remove(p->file, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, p->file));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_saved_is_there),
		TEST(a_new_file_gets_the_mode_and_an_old_one_keeps_its_own),
		TEST(what_fails_leaves_nothing),
		TEST(no_folder),
		TEST(a_path_that_is_too_long),
		TEST(what_is_removed_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
