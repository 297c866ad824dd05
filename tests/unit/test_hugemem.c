/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory in a memfd: zeroed, rounded up, shared with whoever maps the fd. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/hugemem.h"

static void memory_is_zeroed_rounded_and_shareable(void **state)
{
	static const size_t lens[] = { 1, 4096, 4097, 2 * 1024 * 1024, 3 * 1024 * 1024 + 1 };

	(void)state;
	for (unsigned i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct hugemem m = { .fd = -1 };
		char *other;

		assert_int_equal(hugemem_alloc(&m, lens[i], "test"), 0);
		assert_true(m.len >= lens[i] && m.len - lens[i] < m.page_bytes);
		assert_int_equal(m.len % m.page_bytes, 0);
		assert_int_equal((uintptr_t)m.va % m.page_bytes, 0);
		other = mmap(NULL, m.len, PROT_READ, MAP_SHARED, m.fd, 0);
		assert_ptr_not_equal(other, MAP_FAILED);
		assert_int_equal(other[lens[i] - 1], 0);
		((char *)m.va)[lens[i] - 1] = 42;
		assert_int_equal(other[lens[i] - 1], 42);
		munmap(other, m.len);
		hugemem_free(&m);
		assert_int_equal(m.fd, -1);
		hugemem_free(&m);
	}
}

static void too_much_is_refused(void **state)
{
	struct hugemem m = { .fd = -1 };

	(void)state;
	assert_int_equal(hugemem_alloc(&m, SIZE_MAX, "test"), -ENOMEM);
	assert_int_equal(hugemem_alloc(&m, SIZE_MAX / 2 + 1, "test"), -ENOMEM);
	assert_int_equal(m.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_rounded_and_shareable),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
