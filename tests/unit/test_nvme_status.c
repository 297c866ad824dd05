/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes: error numbers, names, and what is tried again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "drivers/nvme/nvme_spec.h"
#include "drivers/nvme/nvme_status.h"

static const struct {
	uint16_t status;
	int err;
	bool may_retry;
	const char *name;
} cases[] = {
	{ NVME_SC_SUCCESS, 0, false, "success" },
	{ NVME_SC_LBA_RANGE, -EINVAL, false, "LBA out of range" },
	{ NVME_SC_NS_NOT_READY, -EIO, true, "namespace not ready" },
	{ NVME_SC_NS_NOT_READY | NVME_STATUS_DNR, -EIO, false, "namespace not ready" },
	{ NVME_SC_NS_NOT_READY | 2 << 11 | NVME_STATUS_M, -EIO, true, "namespace not ready" },
	{ NVME_SC_READ_ERROR, -EIO, true, "unrecovered read error" },
	{ NVME_SC_CAPACITY, -ENOSPC, false, "capacity exceeded" },
	{ NVME_SC_NS_WRITE_PROTECTED, -EROFS, false, "namespace is write protected" },
	{ NVME_SC_ABORT_REQUESTED, -ETIMEDOUT, true, "aborted by request" },
	{ NVME_SC_COMPARE_FAILED, -EILSEQ, false, "compare failure" },
	{ NVME_STATUS(NVME_SCT_VENDOR, 0x42), -EIO, true, "unknown status" },
	{ NVME_STATUS(NVME_SCT_VENDOR, 0x42) | NVME_STATUS_DNR, -EIO, false, "unknown status" },
	{ NVME_STATUS(NVME_SCT_COMMAND, 0xff), -EIO, false, "unknown status" },
};

static void each_status_has_an_error_and_a_name(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(nvme_status_errno(cases[i].status), cases[i].err);
		assert_int_equal(nvme_status_may_retry(cases[i].status), cases[i].may_retry);
		assert_string_equal(nvme_status_name(cases[i].status), cases[i].name);
	}
}

static void any_status_but_success_is_an_error(void **state)
{
	for (unsigned st = 0; st < 0x8000; st++) {
		assert_int_equal(nvme_status_errno((uint16_t)st) == 0, NVME_STATUS_CODE(st) == 0);
		assert_true(nvme_status_errno((uint16_t)st) <= 0);
		assert_false(nvme_status_may_retry((uint16_t)(st | NVME_STATUS_DNR)));
	}
}

static void what_is_about_the_way(void **state)
{
	for (unsigned st = 0; st < 0x8000; st++)
		assert_int_equal(nvme_status_is_path((uint16_t)st),
				 (st & 0x700) == 0x300 && !(st & NVME_STATUS_DNR));
	assert_string_equal(nvme_status_name(0x300), "internal path error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_status_has_an_error_and_a_name),
		cmocka_unit_test(any_status_but_success_is_an_error),
		cmocka_unit_test(what_is_about_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
