/* SPDX-License-Identifier: BSD-3-Clause */
/* A ublk device against a fake kernel: making and taking apart, I/O, and what goes wrong with either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "tests/unit/fake_bdev.h"
#include "tests/unit/fake_ublk.h"
#include "vdpa/ublk.h"

#define DEPTH	16
#define SECTORS (RIG_BYTES / 512)

#define CALLS(op) fake_ublk.calls[(op) & 0x3f]

static struct door *u;

static struct {
	unsigned calls;
	int err;
	char why[ERRBUF_BYTES_MAX];
} done;

static void on_done(void *arg, int err, const char *why)
{
	(void)arg;
	done.calls++;
	done.err = err;
	snprintf(done.why, sizeof(done.why), "%s", why);
}

static void turn_until_done(unsigned calls)
{
	uint64_t limit = mono_ns() + 20 * MONO_NS_PER_SEC;

	while (done.calls < calls && mono_ns() < limit)
		reactor_turn(rig.r);
	assert_int_equal(done.calls, calls);
}

static void turns(void)
{
	for (unsigned i = 0; i < 64; i++)
		reactor_turn(rig.r);
}

static struct door_opts opts(void)
{
	return (struct door_opts){
		.name = "vol0",
		.bdev = &rig.fake.bdev,
		.control = rig.r,
		.reactors = &rig.r,
		.nreactors = 1,
		.id = DOOR_ID_NONE,
		.adopt = DOOR_ID_NONE,
		.queues = 2,
		.depth = DEPTH,
	};
}

static int start_with(const struct door_opts *o)
{
	struct errbuf eb;
	int err;

	memset(&done, 0, sizeof(done));
	err = door_create(&ublk_door, o, &u, &eb);
	if (err) {
		snprintf(done.why, sizeof(done.why), "%s", eb.text);
		return err;
	}
	door_start(u, on_done, NULL);
	turn_until_done(1);
	return done.err;
}

static void start(void)
{
	struct door_opts o = opts();

	assert_int_equal(start_with(&o), 0);
}

static void stop(enum door_end how)
{
	memset(&done, 0, sizeof(done));
	door_stop(u, how, on_done, NULL);
	turn_until_done(1);
	assert_int_equal(done.err, 0);
	door_destroy(u);
}

static int answer(unsigned queue, int tag)
{
	int result = 1;

	turns();
	assert_true(fake_ublk_has_result(queue, tag, &result));
	return result;
}

static int set_up(void **state)
{
	(void)state;
	fake_ublk_reset();
	if (rig_open(&(struct bdev_limits){ .has_flush = true, .discard_max = 1 << 20, .zeroes_max = 1 << 20 }))
		return -1;
	rig.fake.auto_later = true;
	rig.fake.trace[0] = '\0';
	reactor_set_mode(rig.r, REACTOR_POLL); /* turns look at no fds */
	return 0;
}

static int tear_down(void **state)
{
	unsigned broken = rig_close() + fake_ublk.violations + fake_ublk.nopen;

	(void)state;
	return broken ? -1 : 0;
}

/*
 * Making it
 */
static void it_is_made_as_the_kernel_wants_it(void **state)
{
	const struct ublk_param_basic *p = &fake_ublk.params.basic;
	struct door_info info;

	(void)state;
	start();
	assert_int_equal(fake_ublk.info.state, UBLK_STATE_LIVE);
	assert_int_equal(fake_ublk.info.nqueues, 2);
	assert_int_equal(fake_ublk.info.depth, DEPTH);
	assert_true(fake_ublk.info.flags & UBLK_FEAT_RECOVERY);
	assert_true(fake_ublk.info.flags & UBLK_FEAT_REISSUE);
	assert_int_equal(p->sectors, SECTORS);
	assert_int_equal(p->logical_shift, 9);
	assert_int_equal(p->max_sectors << 9, UBLK_BUF_BYTES);
	assert_int_equal(p->attrs, UBLK_ATTR_CACHE | UBLK_ATTR_FUA);
	assert_int_equal(fake_ublk.params.types, UBLK_PARAMS_BASIC | UBLK_PARAMS_DISCARD);
	assert_int_equal(fake_ublk.params.discard.max_sectors, 2048);
	assert_int_equal(fake_ublk.params.discard.segments_max, 1);
	door_get_info(u, &info);
	assert_int_equal(info.queues, 2);
	assert_true(info.live);
	assert_false(info.adopted);
	stop(DOOR_END_REMOVE);
	assert_false(fake_ublk.exists);
	assert_int_equal(fake_ublk.nsyncs, 1);
}

static void only_what_rotates_is_sorted_by_the_kernel(void **state)
{
	(void)state;
	start();
	assert_int_equal(fake_ublk.nunscheduled, 1);
	stop(DOOR_END_REMOVE);
	rig.fake.bdev.lim.rotational = true;
	start();
	assert_true(fake_ublk.params.basic.attrs & UBLK_ATTR_ROTATIONAL);
	assert_int_equal(fake_ublk.nunscheduled, 1);
	stop(DOOR_END_REMOVE);
}

static void it_has_as_many_queues_as_the_kernel_gives(void **state)
{
	struct door_opts o = opts();
	struct door_info info;

	(void)state;
	fake_ublk.cpus = 1;
	o.read_only = true;
	assert_int_equal(start_with(&o), 0);
	door_get_info(u, &info);
	assert_int_equal(info.queues, 1);
	assert_true(fake_ublk.params.basic.attrs & UBLK_ATTR_READ_ONLY);
	assert_int_equal(fake_ublk.params.types, UBLK_PARAMS_BASIC);
	stop(DOOR_END_REMOVE);
}

static void what_cannot_be_made_is_told_and_nothing_stays(void **state)
{
	static const struct {
		uint32_t op;
		int err;
		const char *why;
	} rows[] = {
		{ UBLK_CTL_GET_FEATURES, -EOPNOTSUPP, "too old" },
		{ UBLK_CTL_ADD, -EEXIST, "/dev/ublkb7 is taken" },
		{ UBLK_CTL_ADD, -EPERM, "root" },
		{ UBLK_CTL_ADD, -ENOMEM, "Cannot allocate" },
		{ UBLK_CTL_SET_PARAMS, -EINVAL, "does not take the disk" },
		{ UBLK_CTL_START, -EINTR, "does not start" },
	};
	struct door_opts o = opts();

	(void)state;
	o.id = 7;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_ublk.err[rows[i].op & 0x3f] = rows[i].err;
		assert_int_not_equal(start_with(&o), 0);
		assert_non_null(strstr(done.why, rows[i].why));
		assert_false(fake_ublk.exists);
		assert_int_equal(fake_ublk.nopen, 0);
		door_destroy(u);
		fake_ublk.err[rows[i].op & 0x3f] = 0;
	}
	fake_ublk.open_err = -ENOENT;
	assert_int_equal(start_with(&o), -ENOENT);
	door_destroy(u);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct door_opts o = opts();

	(void)state;
	o.queues = UBLK_QUEUES_LIMIT + 1;
	assert_int_equal(start_with(&o), -EINVAL);
	o = opts();
	o.depth = UBLK_DEPTH_LIMIT + 1;
	assert_int_equal(start_with(&o), -EINVAL);
	o = opts();
	o.id = UBLK_ID_MAX + 1;
	assert_int_equal(start_with(&o), -EINVAL);
	assert_int_equal(CALLS(UBLK_CTL_ADD), 0);
	assert_int_equal(fake_ublk.nunscheduled, 0); /* what its operator chose stays */
}

/*
 * I/O
 */
static void each_operation_reaches_the_disk(void **state)
{
	int tag;

	(void)state;
	start();
	tag = fake_ublk_io(0, UBLK_OP_WRITE | UBLK_IO_FUA, 8, 8);
	memset(fake_ublk_buf(0, tag), 0x5a, 4096);
	assert_int_equal(answer(0, tag), 4096);
	tag = fake_ublk_io(1, UBLK_OP_READ, 8, 8);
	assert_int_equal(answer(1, tag), 4096);
	assert_int_equal(((uint8_t *)fake_ublk_buf(1, tag))[4095], 0x5a);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_WRITE, 24, 8)), 4096);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_FLUSH, 40, 8)), 0);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_DISCARD, 0, 16)), 0);
	assert_int_equal(answer(1, fake_ublk_io(1, UBLK_OP_WRITE_ZEROES | UBLK_IO_NOUNMAP, 16, 8)), 0);
	assert_int_equal(answer(1, fake_ublk_io(1, UBLK_OP_WRITE_ZEROES | UBLK_IO_FUA, 32, 8)), 0);
	assert_string_equal(rig.fake.trace, "W 4096+4096\n"
					    "F 0+0\n" /* the disk has no FUA of its own */
					    "R 4096+4096\n"
					    "W 12288+4096\n"
					    "F 0+0\n"
					    "D 0+8192\n"
					    "Z~ 8192+4096\n"
					    "Z 16384+4096\n"
					    "F 0+0\n");
	stop(DOOR_END_REMOVE);
}

static void what_fails_is_answered_with_its_error(void **state)
{
	struct door_info info;

	(void)state;
	start();
	assert_int_equal(answer(0, fake_ublk_io(0, 17, 0, 8)), -EOPNOTSUPP);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_READ, 0, UBLK_BUF_BYTES / 512 + 1)), -EINVAL);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_READ, SECTORS, 8)), -EINVAL);
	rig.fake.fail_with = -EIO;
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_READ, 0, 8)), -EIO);
	door_get_info(u, &info);
	assert_int_equal(info.errors, 4);
	stop(DOOR_END_REMOVE);
}

static void all_of_its_depth_is_under_way_at_once(void **state)
{
	int result;

	(void)state;
	rig.fake.auto_later = false;
	start();
	for (unsigned i = 0; i < DEPTH; i++)
		assert_int_not_equal(fake_ublk_io(0, UBLK_OP_READ, i * 8, 8), -1);
	assert_int_equal(fake_ublk_io(0, UBLK_OP_READ, 0, 8), -1);
	turns();
	assert_int_equal(rig.fake.nheld, DEPTH);
	rig_settle();
	turns();
	for (int i = 0; i < DEPTH; i++)
		assert_true(fake_ublk_has_result(0, i, &result));
	stop(DOOR_END_REMOVE);
}

/*
 * The end
 */
static void a_stop_waits_for_io(void **state)
{
	int tag, result;

	(void)state;
	rig.fake.auto_later = false;
	start();
	tag = fake_ublk_io(1, UBLK_OP_READ, 0, 8);
	turns();
	memset(&done, 0, sizeof(done));
	door_stop(u, DOOR_END_REMOVE, on_done, NULL);
	turns();
	assert_int_equal(done.calls, 0);
	assert_true(fake_ublk.exists);
	rig_settle();
	turns();
	assert_true(fake_ublk_has_result(1, tag, &result));
	turn_until_done(1);
	assert_false(fake_ublk.exists);
	door_destroy(u);
}

static void who_leaves_ends_what_it_has_and_takes_nothing_new(void **state)
{
	int first, second, result;

	(void)state;
	rig.fake.auto_later = false;
	start();
	first = fake_ublk_io(0, UBLK_OP_READ, 0, 8);
	turns();
	memset(&done, 0, sizeof(done));
	door_stop(u, DOOR_END_LEAVE, on_done, NULL);
	turns();
	second = fake_ublk_io(0, UBLK_OP_READ, 8, 8);
	turns();
	assert_int_equal(rig.fake.nheld, 1);
	assert_int_equal(done.calls, 0);
	rig_settle();
	turn_until_done(1);
	assert_true(fake_ublk_has_result(0, first, &result));
	assert_int_equal(result, 4096);
	assert_false(fake_ublk_has_result(0, second, &result));
	assert_true(fake_ublk.exists);
	assert_int_equal(CALLS(UBLK_CTL_STOP), 0);
	door_destroy(u); /* until the process ends the kernel has its memory */
	fake_ublk.nopen = 0;
}

/*
 * Taking over
 */
static void what_a_dead_server_left_is_taken_over(void **state)
{
	struct door_opts o = opts();
	struct door_info info;

	(void)state;
	fake_ublk_orphan(3, RIG_BYTES, 1, 8);
	fake_ublk.err[UBLK_CTL_RECOVER_BEGIN & 0x3f] = -EBUSY; /* the kernel still clears up */
	fake_ublk.times[UBLK_CTL_RECOVER_BEGIN & 0x3f] = 2;
	o.adopt = 3;
	assert_int_equal(start_with(&o), 0);
	door_get_info(u, &info);
	assert_true(info.adopted);
	assert_int_equal(info.id, 3);
	assert_string_equal(info.node, "/dev/ublkb3");
	assert_int_equal(info.queues, 1);
	assert_int_equal(info.depth, 8);
	assert_int_equal(CALLS(UBLK_CTL_RECOVER_BEGIN), 3);
	assert_int_equal(CALLS(UBLK_CTL_ADD), 0);
	assert_int_equal(answer(0, fake_ublk_io(0, UBLK_OP_READ, 0, 8)), 4096);
	stop(DOOR_END_REMOVE);
	assert_false(fake_ublk.exists);
}

static void another_disk_is_not_put_under_it(void **state)
{
	struct door_opts o = opts();

	(void)state;
	fake_ublk_orphan(3, 2 * RIG_BYTES, 1, 8);
	o.adopt = 3;
	assert_int_equal(start_with(&o), -EINVAL);
	assert_non_null(strstr(done.why, "nvring detach --force /dev/ublkb3"));
	assert_int_equal(CALLS(UBLK_CTL_RECOVER_BEGIN), 0);
	assert_true(fake_ublk.exists);
	assert_int_equal(fake_ublk.info.state, UBLK_STATE_QUIESCED);
	door_destroy(u);
}

static void what_is_gone_is_made_anew(void **state)
{
	struct door_opts o = opts();

	(void)state;
	o.adopt = 3;
	assert_int_equal(start_with(&o), 0);
	assert_int_equal(CALLS(UBLK_CTL_ADD), 1);
	stop(DOOR_END_REMOVE);
}

static void who_cannot_take_it_over_leaves_it(void **state)
{
	struct door_opts o = opts();

	(void)state;
	fake_ublk_orphan(3, RIG_BYTES, 1, 8);
	fake_ublk.err[UBLK_CTL_RECOVER_END & 0x3f] = -EINTR;
	o.adopt = 3;
	assert_int_equal(start_with(&o), -EINTR);
	assert_int_equal(CALLS(UBLK_CTL_STOP), 0);
	assert_int_equal(CALLS(UBLK_CTL_DEL), 0);
	door_destroy(u);
	fake_ublk.nopen = 0; /* as above */
}

/*
 * Size
 */
static bool kernel_has(uint64_t bytes)
{
	bool same;

	pthread_mutex_lock(&fake_ublk.lock);
	same = fake_ublk.params.basic.sectors == bytes / 512;
	pthread_mutex_unlock(&fake_ublk.lock);
	return same;
}

static void resize_to(uint64_t bytes)
{
	memset(&done, 0, sizeof(done));
	bdev_resize(&rig.fake.bdev, bytes, on_done, NULL);
	turn_until_done(1);
	assert_int_equal(done.err, 0);
	for (unsigned i = 0;
	     i < 60000 && !kernel_has(bytes) && fake_ublk.features & UBLK_FEAT_UPDATE_SIZE; i++) {
		turns();
		usleep(1000);
	}
}

static void the_kernel_learns_a_new_size_where_it_can(void **state)
{
	(void)state;
	fake_ublk.features |= UBLK_FEAT_UPDATE_SIZE;
	start();
	resize_to(RIG_BYTES / 2);
	assert_int_equal(fake_ublk.params.basic.sectors, SECTORS / 2);
	stop(DOOR_END_REMOVE);
	fake_ublk.features &= ~UBLK_FEAT_UPDATE_SIZE;
	start();
	resize_to(RIG_BYTES / 4);
	turns();
	assert_int_equal(fake_ublk.params.basic.sectors, SECTORS / 2);
	assert_int_equal(CALLS(UBLK_CTL_UPDATE_SIZE), 1);
	stop(DOOR_END_REMOVE);
}

/*
 * Devices of anybody
 */
static void orphans_can_be_looked_at_and_removed_but_nothing_else(void **state)
{
	struct ublk_peek peek;
	struct errbuf eb;
	char who[64];

	(void)state;
	assert_int_equal(ublk_look(3, &peek, &eb), -ENODEV);
	fake_ublk_orphan(3, RIG_BYTES, 1, 8);
	assert_int_equal(ublk_look(3, &peek, &eb), 0);
	assert_true(peek.waits);
	assert_int_equal(peek.bytes, RIG_BYTES);
	fake_ublk.info.state = UBLK_STATE_LIVE;
	fake_ublk.info.server_pid = getpid();
	assert_int_equal(ublk_remove(3, &eb), -EBUSY);
	snprintf(who, sizeof(who), "is served by process %d", getpid());
	assert_non_null(strstr(eb.text, who));
	assert_true(fake_ublk.exists);
	fake_ublk.info.state = UBLK_STATE_QUIESCED;
	assert_int_equal(ublk_remove(3, &eb), 0);
	assert_false(fake_ublk.exists);
	assert_int_equal(CALLS(UBLK_CTL_DEL), 0); /* it would wait for whoever has it mounted */
}

static void a_server_that_has_just_died_is_none(void **state)
{
	struct errbuf eb;
	pid_t child = fork();

	(void)state;
	if (!child)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fake_ublk_orphan(3, RIG_BYTES, 1, 8);
	fake_ublk.info.state = UBLK_STATE_LIVE;
	fake_ublk.info.server_pid = child;
	fake_ublk.unnoticed = 3;
	assert_int_equal(ublk_remove(3, &eb), 0);
	assert_false(fake_ublk.exists);
}

static void an_older_kernel_removes_in_its_own_way(void **state)
{
	struct errbuf eb;

	(void)state;
	fake_ublk_orphan(3, RIG_BYTES, 1, 8);
	fake_ublk.err[UBLK_CTL_DEL_ASYNC & 0x3f] = -EOPNOTSUPP;
	assert_int_equal(ublk_remove(3, &eb), 0);
	assert_false(fake_ublk.exists);
	assert_int_equal(CALLS(UBLK_CTL_DEL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		TEST(it_is_made_as_the_kernel_wants_it),
		TEST(only_what_rotates_is_sorted_by_the_kernel),
		TEST(it_has_as_many_queues_as_the_kernel_gives),
		TEST(what_cannot_be_made_is_told_and_nothing_stays),
		TEST(what_makes_no_sense_is_refused),
		TEST(each_operation_reaches_the_disk),
		TEST(what_fails_is_answered_with_its_error),
		TEST(all_of_its_depth_is_under_way_at_once),
		TEST(a_stop_waits_for_io),
		TEST(who_leaves_ends_what_it_has_and_takes_nothing_new),
		TEST(what_a_dead_server_left_is_taken_over),
		TEST(another_disk_is_not_put_under_it),
		TEST(what_is_gone_is_made_anew),
		TEST(who_cannot_take_it_over_leaves_it),
		TEST(the_kernel_learns_a_new_size_where_it_can),
		TEST(orphans_can_be_looked_at_and_removed_but_nothing_else),
		TEST(a_server_that_has_just_died_is_none),
		TEST(an_older_kernel_removes_in_its_own_way),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
