/* SPDX-License-Identifier: BSD-3-Clause */
/* The catalogue: which driver a URI means, names, and one line that says what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/disk_rig.h"

static struct disk_rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_init(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_fini(&rig);
	return 0;
}

static void names(void **state)
{
	static const struct {
		const char *uri, *name; /* given, or NULL */
		const char *want, *driver, *id;
	} cases[] = {
		{ "null:1M", NULL, "null", "null", "null" },
		{ "ram:1M?block=4096", NULL, "ram", "ram", "ram" },
		{ "fault:delay=1ms@ram:1M", NULL, "fault", "fault", "fault" },
		{ "ram:1M", "vol0", "vol0", "ram", "vol0" },
		{ "ram:1M", "a-name-of-more-than-twenty-characters",
		  "a-name-of-more-than-twenty-characters", "ram", "a-name-of-more-than-" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };

		if (rig_try(&rig, cases[i].uri, (struct bdev_open_opts){ .name = cases[i].name },
			    &eb))
			fail_msg("%s", eb.text);
		assert_string_equal(rig.bdev->name, cases[i].want);
		assert_string_equal(rig.bdev->ops->name, cases[i].driver);
		assert_string_equal(rig.bdev->id, cases[i].id);
		assert_string_equal(rig.bdev->uri, cases[i].uri);
		assert_ptr_equal(rig.bdev->control, rig.r);
		rig_close(&rig);
	}
}

static void one_line_says_what_is_wrong(void **state)
{
	static const struct {
		const char *uri;
		int err;
		const char *says; /* the URI stands before it */
	} cases[] = {
		{ "", -EINVAL, ": no scheme (known: " },
		{ "disk.img", -EINVAL, ": no scheme (known: " },
		{ "/dev/sda", -EINVAL, ": no scheme (known: " },
		{ ":", -EINVAL, ": unknown scheme '' (known: " },
		{ "rbd:pool/image", -EINVAL, ": unknown scheme 'rbd' (known: " },
		{ "RAM:1M", -EINVAL, ": unknown scheme 'RAM' (known: " },
		{ "nul:1M", -EINVAL, ": unknown scheme 'nul' (known: " },
		{ "null:", -EINVAL, ": bad size ''" },
		{ "null:0", -EINVAL, ": bad size '0'" },
		{ "null:1", -EINVAL, ": bad size '1'" },
		{ "null:-4096", -EINVAL, ": bad size '-4096'" },
		{ "null:9999999999999T", -EINVAL, ": bad size" },
		{ "null:1M?size=1", -EINVAL,
		  ": unknown option 'size' (known: block, depth, zero, merge)" },
		{ "null:1M?block=1000", -EINVAL, ": option block: a power of two" },
		{ "null:1M?block=128K", -EINVAL, ": option block=128K: a size from 512 to 65536" },
		{ "ram:1.5G", -EINVAL, ": bad size '1.5G'" },
		{ "ram:4097?block=4096", -EINVAL, ": bad size '4097'" },
		{ "ram:8388607T", -ENOMEM, ": 8388607T bytes of memory: Cannot allocate memory" },
		{ "ram:1M?depth=0", -EINVAL, ": option depth=0: a number from 1 to 4096" },
		{ "ram:00000000000000000000000000000001M", -ENAMETOOLONG, ": longer than 31" },
		{ "fault:", -EINVAL, ": the device below is missing" },
		{ "fault:error=EIO", -EINVAL, ": the device below is missing" },
		{ "fault:error=EOOPS@ram:1M", -EINVAL, ": fault rule: bad part 'error=EOOPS'" },
		{ "fault:@", -EINVAL, ": : no scheme" },
		{ "fault:@rom:1M", -EINVAL, ": rom:1M: unknown scheme 'rom'" },
		{ "fault:@file:/nonexistent", -ENOENT, ": file:/nonexistent: No such file" },
		{ "fault:@fault:@fault:@fault:@fault:@ram:1M", -EINVAL, ": fault:@fault:" },
		{ "file:", -EINVAL, ": the path is missing" },
		{ "file:?ro=1", -EINVAL, ": the path is missing" },
		{ "file:/nonexistent/disk.img", -ENOENT, ": No such file or directory" },
		{ "file:/dev/null/disk.img", -ENOTDIR, ": Not a directory" },
		{ "file:/", -EISDIR, ": is a directory" },
		{ "file:/dev/null", -EINVAL, ": is neither a regular file nor a block device" },
		{ "file:/a%", -EINVAL, ": bad percent-encoding" },
		{ "file:/a?direct=maybe", -EINVAL, ": option direct=maybe: 0 or 1 is expected" },
		{ "file:/a?locking=yes", -EINVAL, ": option locking=yes: one of auto, on, off" },
		{ "file:/a?cache=none", -EINVAL, ": unknown option 'cache' (known: direct, fixed, ro, " },
		{ "file:/a?create=1", -EINVAL, ": options create=1 and size= go together" },
		{ "file:/a?size=1M", -EINVAL, ": options create=1 and size= go together" },
		{ "file:/a?create=1&size=1M&ro=1", -EINVAL, ": option create=1 does not go with" },
		{ "file:/a?block=3000", -EINVAL, ": option block: a power of two" },
		{ "file:/a?create=1&size=5120&block=4096", -EINVAL, ": option size: a multiple" },
		{ "file:/nonexistent/a?create=1&size=1M", -ENOENT, ": cannot be created: No such" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct errbuf eb = { "" };
		int err = rig_try(&rig, cases[i].uri, (struct bdev_open_opts){ 0 }, &eb);

		if (err != cases[i].err || strncmp(eb.text, cases[i].uri, strlen(cases[i].uri)) ||
		    strncmp(eb.text + strlen(cases[i].uri), cases[i].says, strlen(cases[i].says)))
			fail_msg("'%s': %d '%s'", cases[i].uri, err, eb.text);
		assert_int_equal(rig_try(&rig, cases[i].uri, (struct bdev_open_opts){ 0 }, NULL),
				 cases[i].err);
	}
}

/* What only real files show. */
static void files(void **state)
{
	char path[] = "./nvring-test-XXXXXX", uri[256];
	struct bdev_open_opts opts = { 0 };
	struct errbuf eb = { "" };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	(void)snprintf(uri, sizeof(uri), "file:%s", path);
	assert_int_equal(rig_try(&rig, uri, opts, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "is empty; give it a size"));
	assert_int_equal(truncate(path, 511), 0);
	assert_int_equal(rig_try(&rig, uri, opts, &eb), -EINVAL);
	assert_int_equal(truncate(path, 1 << 20), 0);
	assert_int_equal(chmod(path, 0400), 0);
	if (geteuid()) {
		assert_int_equal(rig_try(&rig, uri, opts, &eb), -EACCES);
		assert_non_null(strstr(eb.text, "for writing; use ro=1"));
	}
	/* The name is the last component, made fit for a name; the options are no part of it. */
	(void)snprintf(uri, sizeof(uri), "file:%%2e/%s?ro=1", path);
	assert_int_equal(rig_try(&rig, uri, opts, &eb), 0);
	assert_string_equal(rig.bdev->name, path + 2);
	assert_string_equal(rig.bdev->ops->name, "file");
	assert_true(rig.bdev->lim.read_only);
	rig_close(&rig);
	unlink(path);
}

static void long_and_strange_ones(void **state)
{
	static char uri[BDEV_URI_MAX + 1000];
	char name[BDEV_NAME_MAX + 1];
	struct errbuf eb;

	(void)state;
	memset(uri, 'a', sizeof(uri) - 1);
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, &eb), -ENAMETOOLONG);
	assert_non_null(strstr(eb.text, "longer than 1023"));
	uri[BDEV_URI_MAX - 1] = '\0';
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "no scheme (known: "));
	/* What is not printable does not get into the log. */
	assert_int_equal(rig_try(&rig, "x\n\x1b[2J:1", (struct bdev_open_opts){ 0 }, &eb), -EINVAL);
	assert_null(strpbrk(eb.text, "\n\x1b"));
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(rig_try(&rig, "null:1M", (struct bdev_open_opts){ .name = name }, &eb),
			 -ENAMETOOLONG);
	name[sizeof(name) - 2] = '\0';
	assert_int_equal(rig_try(&rig, "null:1M", (struct bdev_open_opts){ .name = name }, &eb), 0);
	assert_string_equal(rig.bdev->name, name);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_line_says_what_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_and_strange_ones, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
