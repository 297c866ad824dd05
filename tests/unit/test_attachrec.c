/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of attached disks: what is read back, and what is no record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_read_back),
		cmocka_unit_test(what_is_not_whole_is_none),
		cmocka_unit_test(a_process_of_another_kind_serves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
