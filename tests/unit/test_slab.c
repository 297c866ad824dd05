/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool: all objects once, aligned, apart from each other; empty means NULL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/slab.h"

static void objects_are_apart_and_come_back(void **state)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 1000 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *obj[100];
		struct slab s;

		assert_int_equal(slab_init(&s, 100, sizes[i]), 0);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned k = 0; k < 100; k++) {
				obj[k] = slab_get(&s);
				assert_non_null(obj[k]);
				assert_int_equal((uintptr_t)obj[k] % CACHELINE_BYTES, 0);
				memset(obj[k], (int)k, sizes[i]);
			}
			assert_null(slab_get(&s));
			for (unsigned k = 0; k < 100; k++) {
				assert_int_equal(obj[k][0], k);
				assert_int_equal(obj[k][sizes[i] - 1], k);
			}
			for (unsigned k = 0; k < 100; k++)
				slab_put(&s, obj[(k * 37) % 100]);
			assert_int_equal(s.nfree, 100);
		}
		slab_fini(&s);
	}
}

static void the_last_returned_is_the_first_taken(void **state)
{
	struct slab s;
	void *a, *b;

	(void)state;
	assert_int_equal(slab_init(&s, 4, 64), 0);
	a = slab_get(&s);
	b = slab_get(&s);
	slab_put(&s, a);
	slab_put(&s, b);
	assert_ptr_equal(slab_get(&s), b); /* warm in the cache */
	slab_put(&s, b);
	slab_fini(&s);
}

static void an_empty_pool_has_nothing(void **state)
{
	struct slab s;

	(void)state;
	assert_int_equal(slab_init(&s, 0, 64), 0);
	assert_null(slab_get(&s));
	slab_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_apart_and_come_back),
		cmocka_unit_test(the_last_returned_is_the_first_taken),
		cmocka_unit_test(an_empty_pool_has_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
