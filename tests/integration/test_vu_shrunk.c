/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that truncates what it has shared, with requests under way. Its session ends with one
 * line in the log; the process and the other disk's front-end go on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/sigbus.h"
#include "tests/integration/vu_fixture.h"
#include "vhost/virtq/dlog.h"
#include "vhost/virtq/vqi.h"

#define LOG_BYTES ((FE_GPA + FE_MEM_BYTES) / DLOG_PAGE_BYTES / 8)
#define SIZE	  64

#if defined(__has_feature)
#define IS_TSAN __has_feature(thread_sanitizer)
#else
#define IS_TSAN 0
#endif

static struct fe good;

/* In each test: cmocka sets handlers of its own before it. */
static void guard(void)
{
	assert_int_equal(sigbus_guard_start(), 0);
}

static int shrunk_start(void **state)
{
	(void)fixture_each(state);
	fe_good(&good, rig.path[1]);
	return 0;
}

/* The other front-end is served, before and after; nothing of the victim is left. */
static int shrunk_end(void **state)
{
	struct fe fe;

	for (unsigned i = 0; i < 100; i++)
		fe_io(&good, 0);
	fe_good(&fe, rig.path[0]);
	fe_io(&fe, 0);
	fe_close(&fe);
	fe_close(&good);
	(void)fixture_each_end_noisy(state);
	return 0;
}

/* The victim's end: closed, with one line that says why. */
static void expect_loss(struct fe *fe, const char *what)
{
	const char *last;
	struct vu_msg m;

	assert_int_equal(fe_receive(fe, &m), 0);
	rig_wait_free(&rig, 0);
	assert_int_equal(rig_errors(&last), 1);
	if (!strstr(last, what) || !strstr(last, "victim"))
		fail_msg("logged: %s", last);
}

/* Some requests are held when memory goes, all of it or the part behind the rings. */
static void memory_goes(bool packed, off_t left)
{
	struct fe fe;

	guard();
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES | (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0),
		     FE_PROTOCOL);
	fe_share(&fe);
	for (unsigned i = 0; i < 3; i++)
		fe_start(&fe, i, SIZE);
	for (unsigned n = 0; n < 50; n++)
		fe_io(&fe, n % 3);
	rig_hold(&rig, 0);
	for (unsigned n = 0; n < 9; n++)
		fe_submit(&fe, n % 3);
	fixture_wait_held(9);
	assert_int_equal(ftruncate(fe.memfd, left), 0);
	fe_io(&good, 0);
	rig_release(&rig, 0);
	expect_loss(&fe, "shrank its memory under us");
	fe_close(&fe);
}

static void memory_goes_under_split_rings(void **state)
{
	(void)state;
	memory_goes(false, 0);
	memory_goes(false, FE_BUFS_OFF);
	memory_goes(false, FE_AVAIL_OFF);
}

static void memory_goes_under_packed_rings(void **state)
{
	(void)state;
	memory_goes(true, 0);
	memory_goes(true, FE_BUFS_OFF);
	memory_goes(true, FE_AVAIL_OFF);
}

#define ROUNDS 10

/* With the address sanitizer the allocator maps as it likes. */
#if defined(__SANITIZE_ADDRESS__)
#define MAPS_TELL 0
#elif defined(__has_feature)
#define MAPS_TELL !__has_feature(address_sanitizer)
#else
#define MAPS_TELL 1
#endif

/* Ten to make the allocator (and a sanitizer) feel at home, ten to count. */
static void nothing_stays_mapped(void **state)
{
	unsigned before;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++)
		memory_goes(i & 1, FE_BUFS_OFF);
	before = rig_count_maps();
	for (unsigned i = 0; i < ROUNDS; i++)
		memory_goes(i & 1, FE_BUFS_OFF);
	if (MAPS_TELL)
		assert_in_range(rig_count_maps(), 1, before + ROUNDS - 1);
}

static void the_dirty_log_goes(void **state)
{
	const struct vu_log p = { LOG_BYTES, 0 };
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct vu_msg m;
	struct fe fe;

	(void)state;
	if (IS_TSAN) {
		print_message("# under the thread sanitizer its own atomics fault, with its locks "
			      "held\n");
		close(fd);
		skip();
	}
	guard();
	assert_int_equal(ftruncate(fd, LOG_BYTES), 0);
	fe_good(&fe, rig.path[0]);
	assert_true(fe_send(&fe, VU_SET_LOG_BASE, 0, &p, sizeof(p), &fd, 1));
	assert_int_equal(fe_receive(&fe, &m), 1);
	assert_int_equal(
		fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES | VIRTIO_BIT(VHOST_F_LOG_ALL)), 0);
	fe_io(&fe, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	fe_submit(&fe, 0);
	expect_loss(&fe, "shrank its dirty log under us");
	fe_close(&fe);
	close(fd);
}

/* Of the front-end's own making: not sealed as ours are. */
static int inflight_set(struct fe *fe)
{
	const struct vu_inflight d = { .mmap_size = 2 * vqi_bytes(true, SIZE),
				       .nqueues = 2,
				       .queue_size = SIZE };
	int fd = memfd_create("inflight", MFD_CLOEXEC);

	guard();
	assert_int_equal(ftruncate(fd, (off_t)d.mmap_size), 0);
	fe_open(fe, rig.path[0]);
	fe_negotiate(fe, FE_FEATURES, FE_PROTOCOL);
	assert_int_equal(fe_ask(fe, VU_SET_INFLIGHT_FD, &d, sizeof(d), &fd, 1), 0);
	fe_share(fe);
	return fd;
}

static void the_inflight_area_goes(void **state)
{
	struct fe fe;
	int fd = inflight_set(&fe);

	(void)state;
	fe_start(&fe, 0, SIZE);
	fe_io(&fe, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	fe_submit(&fe, 0);
	expect_loss(&fe, "shrank its inflight area under us");
	fe_close(&fe);
	close(fd);
}

/* The control thread looks at it first. */
static void the_inflight_area_goes_before_the_start(void **state)
{
	struct fe fe;
	int fd = inflight_set(&fe);

	(void)state;
	fe_describe(&fe, 1, SIZE, 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	fe_send_fd(&fe, VU_SET_VRING_KICK, 1, fe.q[1].kick);
	(void)fe_ask_state(&fe, VU_SET_VRING_ENABLE, 1, 1); /* answered or not */
	expect_loss(&fe, "shrank its inflight area under us");
	fe_close(&fe);
	close(fd);
}

#define SHRUNK(name) cmocka_unit_test_setup_teardown(name, shrunk_start, shrunk_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHRUNK(memory_goes_under_split_rings),
		SHRUNK(memory_goes_under_packed_rings),
		SHRUNK(nothing_stays_mapped),
		SHRUNK(the_dirty_log_goes),
		SHRUNK(the_inflight_area_goes),
		SHRUNK(the_inflight_area_goes_before_the_start),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
