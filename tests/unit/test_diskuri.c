/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/shared/diskuri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN 256

/* The same disk has the same name wherever it was named, or a device that waits would not be found. */
static void test_a_path_is_the_same_from_anywhere(void **state)
{
	static const struct {
		const char *cwd, *uri, *want;
	} cases[] = {
		{ "/", "file:run/a.img", "file:/run/a.img" },
		{ "/proc", "file:a.img", "file:/proc/a.img" },
		{ "/proc", "file:/run/a.img?direct=0", "file:/run/a.img?direct=0" },
		{ "/proc", "file:a.img?direct=0", "file:/proc/a.img?direct=0" },
		{ "/proc", "null:64M", "null:64M" },
		{ "/proc", "virtio-user:a.sock", "virtio-user:/proc/a.sock" },
		{ "/proc", "nvme+vfio-user:a.sock/1?x=1", "nvme+vfio-user:/proc/a.sock/1?x=1" },
		{ "/proc", "fault:p=1@file:a%3F.img", "fault:p=1@file:/proc/a%3F.img" },
		{ "/proc", "file:./../proc/version", "file:/proc/version" },
		{ "/proc", "file:/proc/../dev/null?ro=1", "file:/dev/null?ro=1" },
	};
	char buf[LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(chdir(cases[i].cwd), 0);
		diskuri_absolute(cases[i].uri, buf, sizeof(buf));
		assert_string_equal(buf, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_is_the_same_from_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
