/* SPDX-License-Identifier: BSD-3-Clause */
/* What every test file of the rig needs: one rig per binary, and each test leaves nobody connected
 * and no fd open. */
#ifndef TESTS_INTEGRATION_VU_FIXTURE_H
#define TESTS_INTEGRATION_VU_FIXTURE_H

#include "tests/integration/vu_frontend.h"
#include "tests/integration/vu_rig.h"

extern struct rig rig;

int fixture_start(void **state);
int fixture_stop(void **state);
int fixture_each(void **state);
/* Fails when something was logged as a warning or an error. */
int fixture_each_end(void **state);
/* The log is the test's business. */
int fixture_each_end_noisy(void **state);

#define QUIET(name) cmocka_unit_test_setup_teardown(name, fixture_each, fixture_each_end)
#define NOISY(name) cmocka_unit_test_setup_teardown(name, fixture_each, fixture_each_end_noisy)

/* Wait until @n requests are held by server 0's device (rig_hold). */
void fixture_wait_held(unsigned n);

#endif
