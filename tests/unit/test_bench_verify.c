/* SPDX-License-Identifier: BSD-3-Clause */
/* The stamps: what a disk may do to them unnoticed (nothing), and what must not be called an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/bench/bench_verify.h"

#define UNIT   4096u
#define NUNITS 16u

/* A disk of NUNITS units, and what the verifier thinks of it. */
struct rig {
	struct bench_verify *v;
	char *disk, *old;
};

static void rig_open(struct rig *r, const char *path)
{
	struct errbuf eb;

	assert_int_equal(bench_verify_open(path, 0, NUNITS * UNIT, UNIT, &r->v, &eb), 0);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->disk = aligned_alloc(UNIT, NUNITS * UNIT);
	r->old = aligned_alloc(UNIT, NUNITS * UNIT);
	memset(r->disk, 0, NUNITS * UNIT);
	rig_open(r, NULL);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	bench_verify_close(r->v);
	free(r->disk);
	free(r->old);
	free(r);
	return 0;
}

static char *at(struct rig *r, unsigned unit)
{
	return r->disk + (size_t)unit * UNIT;
}

static void write_units(struct rig *r, unsigned unit, unsigned n)
{
	bench_verify_write(r->v, unit, n, at(r, unit));
	bench_verify_commit(r->v, unit, n);
}

/* What the verifier says about one unit: NULL, or its words. */
static const char *verdict(struct rig *r, unsigned unit)
{
	static struct bench_verify_result res;

	bench_verify_check(r->v, unit, 1, at(r, unit), &res);
	return res.bad ? res.text : NULL;
}

static void expect_verdict(struct rig *r, unsigned unit, const char *word)
{
	const char *text = verdict(r, unit);

	assert_non_null(text);
	if (!strstr(text, word))
		fail_msg("\"%s\" does not say \"%s\"", text, word);
}

static void what_was_written_is_fine(void **state)
{
	struct rig *r = *state;
	struct bench_verify_result res;

	write_units(r, 2, 3);
	write_units(r, 3, 1);
	bench_verify_check(r->v, 0, NUNITS, r->disk, &res);
	assert_int_equal(res.bad, 0);
	assert_int_equal(res.checked, 3);
	assert_true(bench_verify_is_known(r->v, 0, 3));
	assert_false(bench_verify_is_known(r->v, 0, 2));
}

static void never_written_may_hold_anything(void **state)
{
	struct rig *r = *state;

	memset(at(r, 5), 0x77, UNIT);
	assert_null(verdict(r, 5));
}

static void a_lost_write_is_seen(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	memset(at(r, 1), 0, UNIT);
	expect_verdict(r, 1, "lost");
}

static void an_older_generation_is_stale(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	memcpy(r->old, at(r, 1), UNIT);
	write_units(r, 1, 1);
	memcpy(at(r, 1), r->old, UNIT);
	expect_verdict(r, 1, "stale");
}

static void a_misdirected_write_is_seen_on_both_sides(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	write_units(r, 2, 1);
	memcpy(at(r, 2), at(r, 1), UNIT);
	expect_verdict(r, 2, "misdirected");
	memcpy(at(r, 9), at(r, 1), UNIT);
	expect_verdict(r, 9, "misdirected");
}

static void a_torn_write_is_seen(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	memcpy(r->old, at(r, 1), UNIT);
	write_units(r, 1, 1);
	memcpy(at(r, 1) + 512, r->old + 512, UNIT - 512);
	expect_verdict(r, 1, "torn");
}

static void one_flipped_bit_is_seen(void **state)
{
	struct rig *r = *state;

	for (unsigned byte = 0; byte < UNIT; byte += 61) {
		write_units(r, 4, 1);
		at(r, 4)[byte] ^= 0x10;
		assert_non_null(verdict(r, 4));
	}
}

static void a_read_that_moved_nothing_is_seen(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	bench_verify_poison(r->v, at(r, 1), 1);
	assert_non_null(verdict(r, 1));
}

static void zeroes_and_discards(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 2);
	bench_verify_erase(r->v, 1, 1, true);
	bench_verify_commit(r->v, 1, 1);
	expect_verdict(r, 1, "expected generation 2 (zeroes)");
	memset(at(r, 1), 0, UNIT);
	assert_null(verdict(r, 1));
	bench_verify_erase(r->v, 2, 1, false);
	bench_verify_commit(r->v, 2, 1);
	assert_null(verdict(r, 2)); /* still the old content */
	memset(at(r, 2), 0, UNIT);
	assert_null(verdict(r, 2));
	write_units(r, 2, 1);
	assert_null(verdict(r, 2));
}

static void an_unanswered_write_is_either_and_stays_so(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	memcpy(r->old, at(r, 1), UNIT);
	bench_verify_write(r->v, 1, 1, at(r, 1)); /* no answer */
	memcpy(r->old + UNIT, at(r, 1), UNIT);
	memcpy(at(r, 1), r->old, UNIT);
	assert_null(verdict(r, 1)); /* it did not arrive */
	memcpy(at(r, 1), r->old + UNIT, UNIT);
	assert_non_null(verdict(r, 1)); /* then it must not arrive later */
}

static void an_unanswered_write_that_arrived_stays(void **state)
{
	struct rig *r = *state;

	write_units(r, 1, 1);
	memcpy(r->old, at(r, 1), UNIT);
	bench_verify_write(r->v, 1, 1, at(r, 1));
	assert_null(verdict(r, 1));
	memcpy(at(r, 1), r->old, UNIT);
	expect_verdict(r, 1, "stale");
}

static void the_state_outlives_the_process(void **state)
{
	struct rig *r = *state, again = { 0 };
	char path[] = "/tmp/nvring-verify-XXXXXX";
	int fd = mkstemp(path);
	struct errbuf eb;

	assert_true(fd >= 0);
	close(fd);
	bench_verify_close(r->v);
	rig_open(r, path);
	write_units(r, 1, 1);
	rig_open(&again, path); /* the first has not been closed: a crash */
	again.disk = r->disk;
	assert_null(verdict(&again, 1));
	memset(at(r, 1), 0, UNIT);
	expect_verdict(&again, 1, "lost");
	bench_verify_close(again.v);
	assert_int_equal(bench_verify_open(path, UNIT, NUNITS * UNIT, UNIT, &again.v, &eb),
			 -EINVAL);
	assert_int_equal(bench_verify_open(path, 0, NUNITS * UNIT, 512, &again.v, &eb), -EINVAL);
	unlink(path);
}

static void units_divide_what_is_written(void **state)
{
	static const struct {
		uint32_t bs, unit;
	} cases[] = { { 512, 512 },   { 1024, 1024 },  { 1536, 512 },
		      { 4096, 4096 }, { 12288, 4096 }, { 1u << 20, 4096 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(bench_verify_unit_for(cases[i].bs), cases[i].unit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_fine, setup, teardown),
		cmocka_unit_test_setup_teardown(never_written_may_hold_anything, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lost_write_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_generation_is_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(a_misdirected_write_is_seen_on_both_sides, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_torn_write_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(one_flipped_bit_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_that_moved_nothing_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(zeroes_and_discards, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unanswered_write_is_either_and_stays_so, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_unanswered_write_that_arrived_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_state_outlives_the_process, setup, teardown),
		cmocka_unit_test(units_divide_what_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
