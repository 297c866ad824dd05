/* SPDX-License-Identifier: BSD-3-Clause */
/* Set-up and tear-down around the tests of the rig. */
#include "tests/integration/vu_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct rig rig;

static unsigned fds_before;

int fixture_start(void **state)
{
	(void)state;
	rig_start(&rig);
	return 0;
}

int fixture_stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	return 0;
}

int fixture_each(void **state)
{
	(void)state;
	rig_wait_free(&rig, 0);
	rig_wait_free(&rig, 1);
	fds_before = rig_count_fds();
	(void)rig_errors(NULL);
	return 0;
}

int fixture_each_end_noisy(void **state)
{
	(void)state;
	rig_wait_free(&rig, 0);
	rig_wait_free(&rig, 1);
	assert_int_equal(rig_count_fds(), fds_before);
	return 0;
}

int fixture_each_end(void **state)
{
	const char *last;

	(void)fixture_each_end_noisy(state);
	if (rig_errors(&last))
		fail_msg("logged: %s", last);
	return 0;
}

static bool is_held(void *arg)
{
	return __atomic_load_n(&rig.dev[0].held, __ATOMIC_ACQUIRE) == *(unsigned *)arg;
}

void fixture_wait_held(unsigned n)
{
	rig_wait(is_held, &n);
}
