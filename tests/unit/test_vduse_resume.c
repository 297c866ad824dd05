/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE: what a process that dies leaves, the next one goes on with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/vduse_rig.h"
#include "vhost/blk/vblk_spec.h"

/* What a process that dies now leaves behind. */
struct remains {
	char mem[FAKE_VDUSE_BOUNCE + FAKE_VDUSE_QUEUES * FAKE_VDUSE_RING];
	char log[256 * 1024];
	size_t log_bytes;
};

static void remains_take(struct remains *left)
{
	FILE *file = fopen(log_path, "r");

	assert_non_null(file);
	left->log_bytes = fread(left->log, 1, sizeof(left->log), file);
	fclose(file);
	memcpy(left->mem, kernel->mem, sizeof(left->mem));
}

static void remains_leave(const struct remains *left)
{
	memcpy(kernel->mem, left->mem, sizeof(left->mem));
	write_log(left->log, left->log_bytes, 0600);
	for (unsigned i = 0; i < QUEUES; i++)
		kernel->q[i].calls = 0;
}

static void what_was_in_flight_is_done_again(void **state)
{
	static struct remains left;

	packed = *state != NULL;
	assert_int_equal(create(NULL), 0);
	driver_go();
	kernel->attached = true;
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	for (unsigned i = 0; i < 5; i++)
		run_one(0, i, i);
	fake.auto_later = false;
	for (unsigned i = 0; i < 3; i++)
		submit(0, 5 + i, 20 + i);
	fake_vduse_kick(0);
	turns(5);
	assert_int_equal(fake.nheld, 3);
	fake_end(&fake, 1); /* out of order: that one was answered */
	turns(5);
	remains_take(&left);
	while (fake.nheld)
		fake_end(&fake, 0);
	destroy();
	assert_true(gone_stays);
	assert_true(kernel->exists);

	remains_leave(&left);
	gone_calls = 0;
	fake.trace[0] = '\0';
	assert_int_equal(create(NULL), 0);
	assert_int_equal(kernel->ncreated, 1);
	state_is("RUNNING", QUEUES + 1);
	turns(5);
	assert_string_equal(fake.trace, "R 10240+512\nR 11264+512\n");
	while (fake.nheld)
		fake_end(&fake, 0);
	turns(5);
	assert_int_equal(reap(0), 3);
	for (unsigned i = 0; i < 3; i++)
		read_is_right(5 + i, 20 + i);
	assert_true(kernel->q[0].calls >= 1);
	assert_true(kernel->q[1].calls >= 1); /* a call that may not have been made */
	fake.auto_later = true;
	run_one(0, 0, 40);
	run_one(1, 1, 41);
	kernel->attached = false;
	driver_leave();
}

static void a_driver_that_waits_for_its_first_request_is_gone_on_with(void **state)
{
	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	kernel->attached = true;
	destroy();
	assert_true(gone_stays);
	assert_true(log_exists());
	gone_calls = 0;
	assert_int_equal(create(NULL), 0);
	state_is("READY", QUEUES);
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 6);
	kernel->attached = false;
	driver_leave();
}

/* The kernel has reset the device while nobody was there to be told. */
static void a_driver_that_has_gone_is_not_gone_on_with(void **state)
{
	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	kernel->attached = true;
	destroy();
	gone_calls = 0;
	kernel->features = 0;
	assert_int_equal(create(NULL), 0);
	state_is("FAILED", 0);
	driver_leave();
	kernel->nregions = 0;
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 6);
	kernel->attached = false;
	driver_leave();
}

static void a_log_of_lies_breaks_a_queue(void **state)
{
	static struct remains left;

	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	kernel->attached = true;
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 6);
	destroy();
	remains_take(&left);
	memset(left.log + 4096 + 16, 0xa5, 16 * SIZE); /* ring 0's entries */
	remains_leave(&left);
	gone_calls = 0;
	assert_int_equal(create(NULL), 0);
	is_broken(0, "inflight region");
	run_one(1, 1, 7);
	kernel->attached = false;
	driver_leave();
}

static void other_settings_are_no_device_to_go_on_with(void **state)
{
	struct vblk_opts opts = { .nqueues = 1 };
	struct vblk *other, *was = dev;
	struct errbuf eb;

	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	kernel->attached = true;
	destroy();
	gone_calls = 0;
	assert_int_equal(vblk_create(&fake.bdev, &opts, &other, NULL), 0);
	dev = other;
	assert_int_equal(create(&eb), -EEXIST);
	assert_non_null(strstr(eb.text, "other settings"));
	dev = was;
	vblk_destroy(other);
	/* and with the right ones it is still there */
	assert_int_equal(create(NULL), 0);
	state_is("READY", QUEUES);
	kernel->attached = false;
	driver_leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_BOTH(what_was_in_flight_is_done_again),
		TEST(a_driver_that_waits_for_its_first_request_is_gone_on_with),
		TEST(a_driver_that_has_gone_is_not_gone_on_with),
		TEST(a_log_of_lies_breaks_a_queue),
		TEST(other_settings_are_no_device_to_go_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
