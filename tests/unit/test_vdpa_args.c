/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments of a vDPA device: what is taken, and what is refused with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "vdpa/vdpa_args.h"

static struct vdpa_args take(const char *text)
{
	struct vdpa_args a;
	struct errbuf eb = { "" };

	if (vdpa_args_parse(text, &a, &eb))
		fail_msg("%s: %s", text, eb.text);
	return a;
}

static void a_backend_is_enough(void **state)
{
	struct vdpa_args a = take("backend=ram:64M");

	(void)state;
	assert_string_equal(a.backend, "ram:64M");
	assert_string_equal(a.disk, "");
	assert_int_equal(a.queues, VDPA_QUEUES_DEFAULT);
	assert_int_equal(a.stop_ms, VDPA_STOP_MS_DEFAULT);
	assert_true(a.widen && a.packed && !a.read_only && !a.has_cpus);
}

static void everything_at_once(void **state)
{
	struct vdpa_args a = take("queues=4,backend=[fault:write,p=0.5@null:1G],cpus=[0,2-3],mode=poll,readonly=1,"
				  "widen=0,packed=0,disk=vol0,serial=S1,stop_ms=100,resize_s=7,iops=1000,"
				  "read_bps=10M,write_iops=5,write_iops_burst=50");

	(void)state;
	assert_string_equal(a.backend, "fault:write,p=0.5@null:1G");
	assert_string_equal(a.disk, "vol0");
	assert_string_equal(a.serial, "S1");
	assert_true(a.has_cpus && CPU_ISSET(0, &a.cpus) && !CPU_ISSET(1, &a.cpus) && CPU_ISSET(2, &a.cpus) &&
		    CPU_ISSET(3, &a.cpus));
	assert_int_equal(CPU_COUNT(&a.cpus), 3);
	assert_int_equal(a.mode, REACTOR_POLL);
	assert_int_equal(a.queues, 4);
	assert_int_equal(a.stop_ms, 100);
	assert_int_equal(a.resize_s, 7);
	assert_true(a.read_only && !a.widen && !a.packed);
	assert_int_equal(a.limits.rate[QOS_TOTAL_IOS].per_sec, 1000);
	assert_int_equal(a.limits.rate[QOS_READ_BYTES].per_sec, 10 << 20);
	assert_int_equal(a.limits.rate[QOS_WRITE_IOS].burst, 50);
	assert_int_equal(a.limits.rate[QOS_WRITE_BYTES].per_sec, 0);
}

static void brackets_hold_a_single_value_too(void **state)
{
	struct vdpa_args a = take("cpus=1,backend=[ram:1M]");

	(void)state;
	assert_string_equal(a.backend, "ram:1M");
	assert_int_equal(CPU_COUNT(&a.cpus), 1);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "backend=URI is missing" },
		{ "queues=4", "backend=URI is missing" },
		{ "backend=", "backend= is empty" },
		{ "backend", "backend has no value" },
		{ "backend=ram:1M,backend=ram:2M", "backend is given twice" },
		{ "backend=ram:1M,que=4", "unknown argument \"que\" (known: backend, " },
		{ "backend=ram:1M,", NULL }, /* a comma at the end is no argument */
		{ "backend=ram:1M,,queues=1", "unknown argument \"\"" },
		{ "backend=ram:1M,queues=0", "queues=0 is no number from 1 to 128" },
		{ "backend=ram:1M,queues=129", "queues=129 is no number" },
		{ "backend=ram:1M,queues=-1", "queues=-1 is no number" },
		{ "backend=ram:1M,queues=1x", "queues=1x is no number" },
		{ "backend=ram:1M,queues=99999999999999999999", "is no number" },
		{ "backend=ram:1M,readonly=2", "readonly=2 is no number from 0 to 1" },
		{ "backend=ram:1M,readonly=yes", "readonly=yes is no number" },
		{ "backend=ram:1M,cpus=a", "cpus: " },
		{ "backend=ram:1M,mode=fast", "mode=fast is neither" },
		{ "backend=ram:1M,cpus=[0,1", "the closing bracket is missing" },
		{ "backend=ram:1M,cpus=[0]1", "the closing bracket is missing" },
		{ "backend=ram:1M,serial=123456789012345678901", "longer than 20 characters" },
		{ "backend=ram:1M,iops=0", "iops=0 is no number above 0" },
		{ "backend=ram:1M,bps=1Q", "bps=1Q is no size" },
		{ "backend=ram:1M,bps=99999999999T", "is no size" },
		{ "backend=ram:1M,iops_burst=10", "burst" }, /* a burst of no limit */
		{ "backend=ram:1M,\nx=1", "a control character (0xa)" },
		{ "backend=ram:1M,stop_ms=1", "stop_ms=1 is no number from 10" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vdpa_args a = { .queues = 77 };
		struct errbuf eb = { "" };
		int err = vdpa_args_parse(bad[i].text, &a, &eb);

		if (!bad[i].says) {
			assert_int_equal(err, 0);
			continue;
		}
		assert_int_equal(err, -EINVAL);
		assert_int_equal(a.queues, 77);
		if (!strstr(eb.text, bad[i].says))
			fail_msg("\"%s\": said \"%s\", not \"%s\"", bad[i].text, eb.text, bad[i].says);
		assert_null(strchr(eb.text, '\n'));
	}
}

static void a_value_too_long(void **state)
{
	static char text[3 * BDEV_URI_MAX];
	struct vdpa_args a;
	struct errbuf eb = { "" };

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "backend=", 8);
	assert_int_equal(vdpa_args_parse(text, &a, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "is longer than"));
	memset(text, 'x', 8);
	assert_int_equal(vdpa_args_parse(text, &a, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "unknown argument \"xxx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backend_is_enough),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(brackets_hold_a_single_value_too),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_value_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
