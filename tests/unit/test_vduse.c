/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE against a fake kernel: making and taking apart, messages, memory, rings. */
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

#include "core/sigbus.h"
#include "tests/unit/vduse_rig.h"
#include "vhost/blk/vblk_spec.h"

/*
 * Making it
 */
static void it_is_made_as_the_kernel_wants_it(void **state)
{
	const struct vblk_config *c = (const struct vblk_config *)kernel->config;

	(void)state;
	assert_int_equal(create(NULL), 0);
	assert_true(kernel->exists);
	assert_true(kernel->offered & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM));
	assert_true(kernel->offered & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	assert_true(kernel->offered & VIRTIO_BIT(VBLK_F_FLUSH));
	assert_false(kernel->offered & VIRTIO_BIT(VBLK_F_CONFIG_WCE));
	assert_int_equal(kernel->nqueues, QUEUES);
	assert_int_equal(kernel->q[QUEUES - 1].size_max, VDUSE_QUEUE_SIZE);
	assert_int_equal(le64_get(c->capacity), DISK_BYTES / 512);
	assert_true(log_exists());
	state_is("IDLE", 0);
	destroy();
	assert_int_equal(gone_calls, 1);
	assert_false(gone_stays);
	assert_false(kernel->exists);
	assert_false(log_exists());
}

static void what_cannot_be_made_is_told(void **state)
{
	static const struct {
		int control_err, err;
		const char *why;
	} rows[] = {
		{ -ENOENT, -ENOENT, "load the kernel module vduse" },
		{ -EACCES, -EACCES, "no permission: run nvringd as root" },
		{ -EPERM, -EACCES, "no permission: run nvringd as root" },
		{ -EMFILE, -EMFILE, "Too many open files" },
	};
	struct errbuf eb;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		kernel->control_err = rows[i].control_err;
		assert_int_equal(create(&eb), rows[i].err);
		assert_non_null(strstr(eb.text, rows[i].why));
	}
	kernel->control_err = 0;
	assert_int_equal(create(NULL), 0);
	destroy();
	kernel->exists = kernel->taken = true;
	assert_int_equal(create(&eb), -EBUSY);
	assert_non_null(strstr(eb.text, "another process serves it"));
	kernel->taken = false;
	assert_false(log_exists());
}

/* Nobody has attached it: there is nothing to go on with. */
static void a_device_left_over_is_made_anew(void **state)
{
	(void)state;
	leave_device();
	kernel->nqueues = 1;
	assert_int_equal(create(NULL), 0);
	assert_int_equal(kernel->nqueues, QUEUES);
	assert_int_equal(kernel->ncreated, 1);
}

static void what_somebody_else_attached_stays(void **state)
{
	struct errbuf eb;

	(void)state;
	leave_device();
	kernel->attached = true;
	kernel->nqueues = QUEUES;
	assert_int_equal(create(&eb), -EEXIST);
	assert_non_null(strstr(eb.text, "detach it first"));
	assert_true(kernel->exists);
	assert_false(log_exists());
}

static void a_log_that_is_not_ours_is_left_alone(void **state)
{
	struct errbuf eb;
	char text[16] = "";
	FILE *file;

	(void)state;
	write_log("something", 9, 0666);
	assert_int_equal(create(&eb), -EPERM);
	assert_non_null(strstr(eb.text, "remove it"));
	unlink(log_path);
	assert_int_equal(symlink("/etc/passwd", log_path), 0);
	assert_int_equal(create(&eb), -ELOOP);
	unlink(log_path);
	assert_false(kernel->exists);

	/* of an attached device, and not understood: it may be another version's */
	write_log("something", 9, 0600);
	leave_device();
	kernel->attached = true;
	kernel->nqueues = QUEUES;
	assert_int_equal(create(&eb), -EEXIST);
	file = fopen(log_path, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text), file), 9);
	fclose(file);
	assert_string_equal(text, "something");
}

static void one_log_has_one_process(void **state)
{
	struct vduse *first;
	struct errbuf eb;

	(void)state;
	assert_int_equal(create(NULL), 0);
	first = v;
	assert_int_equal(create(&eb), -EBUSY);
	assert_non_null(strstr(eb.text, "another nvringd serves this device"));
	assert_true(log_exists());
	v = first;
}

/*
 * Rings and memory
 */
static void requests_go_round(void **state)
{
	packed = *state != NULL;
	assert_int_equal(create(NULL), 0);
	driver_go();
	state_is("READY", QUEUES);
	/* a kick for nothing, before there can be a request */
	fake_vduse_kick(0);
	turns(5);
	state_is("READY", QUEUES);
	/* the first request, and with it the memory it lies in; all rings start */
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 7);
	state_is("RUNNING", QUEUES + 1);
	assert_int_equal(kernel->q[0].calls, 1);
	assert_int_equal(reachable(), 0);
	run_one(1, 1, 9);
	run_one(1, 2, 11);
	assert_true(kernel->q[1].calls >= 1);
	driver_leave();
}

static void memory_of_ours_is_taken_where_it_can_be(void **state)
{
	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, true);
	submit(0, 0, 3); /* before the kernel has our memory: it copies */
	fake_vduse_kick(0);
	turns(20);
	assert_true(vduse_has_umem(v));
	assert_int_equal(reap(0), 1);
	read_is_right(0, 3);
	assert_int_equal(reachable(), 1);
	/* over a reset it stays registered */
	assert_int_equal(set_status(0), 0);
	assert_int_equal(reachable(), 0);
	driver_leave();
	kernel->nregions = 0;
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, true);
	run_one(1, 4, 5);
	assert_int_equal(reachable(), 1);
	driver_leave();
}

static void without_it_things_go_on(void **state)
{
	(void)state;
	kernel->umem_err = -ENOMEM;
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, true);
	run_one(0, 0, 3);
	assert_false(vduse_has_umem(v));
	assert_int_equal(reachable(), 0);
	driver_leave();
}

/* As with QEMU: the guest's memory itself, all there from the beginning. */
static void files_of_others_are_guest_memory(void **state)
{
	int fd = memfd_create("guest", MFD_CLOEXEC), rom = memfd_create("rom", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 0x200000) | ftruncate(rom, 4096), 0);
	assert_int_equal(create(NULL), 0);
	driver_begin();
	fake_vduse_map_file(0x40000000, 0x200000, fd, VDUSE_ACCESS_RW);
	fake_vduse_map_file(0x50000000, 4096, rom, VDUSE_ACCESS_RO);
	fake_vduse_map_file(0x60000000, 4096, rom, VDUSE_ACCESS_WO);
	assert_int_equal(set_status(READY), 0);
	state_is("RUNNING", QUEUES + 2);
	assert_int_equal(reachable(), 1);
	close(fd);
	close(rom);
}

/* A device with its driver: a read of @sector is done, and the next one is held by the disk. */
static void one_in_flight(uint64_t sector)
{
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, sector);
	fake.auto_later = false;
	submit(0, 1, 2);
	fake_vduse_kick(0);
	turns(5);
}

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	uint32_t id;

	packed = *state != NULL;
	one_in_flight(1);
	assert_int_equal(fake.nheld, 1);
	id = send_status(0);
	turns(10);
	assert_int_equal(result_of(id), UINT32_MAX);
	state_is("QUIESCING", QUEUES + 1);
	fake_end(&fake, 0);
	turns(10);
	assert_int_equal(result_of(id), 0);
	assert_int_equal(reap(0), 1);
	state_is("IDLE", 0);
	driver_leave();
	/* from the beginning */
	fake.auto_later = true;
	kernel->nregions = 0;
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 4);
	driver_leave();
}

static void positions_are_told(void **state)
{
	struct vduse_dev_response resp;
	uint32_t id;

	packed = *state != NULL;
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	for (unsigned i = 0; i < 3; i++)
		run_one(1, i, i);
	id = fake_vduse_send((struct vduse_dev_request){ .type = VDUSE_GET_VQ_STATE, .vq_state.index = 1 });
	turns(10);
	assert_true(fake_vduse_answer(&resp));
	assert_int_equal(resp.request_id, id);
	assert_int_equal(resp.result, 0);
	assert_int_equal(resp.vq_state.index, 1);
	if (packed) {
		assert_int_equal(resp.vq_state.packed.last_avail_idx, 9);
		assert_int_equal(resp.vq_state.packed.last_avail_counter, 1);
		assert_int_equal(resp.vq_state.packed.last_used_idx, 9);
		assert_int_equal(resp.vq_state.packed.last_used_counter, 1);
	} else {
		assert_int_equal(resp.vq_state.split.avail_index, 3);
	}
	run_one(1, 4, 4);
	id = fake_vduse_send((struct vduse_dev_request){ .type = VDUSE_GET_VQ_STATE, .vq_state.index = QUEUES });
	turns(10);
	assert_int_equal(result_of(id), VDUSE_REQ_RESULT_FAILED);
	driver_leave();
}

static uint32_t send_iotlb(uint64_t start, uint64_t len)
{
	return fake_vduse_send((struct vduse_dev_request){
		.type = VDUSE_UPDATE_IOTLB, .iova = { start, start + len - 1 } });
}

/* CVE-2026-86567 of others: what goes is not used any more when the answer is out. */
static void memory_goes_when_nobody_uses_it(void **state)
{
	uint32_t id;

	(void)state;
	one_in_flight(1);
	assert_int_equal(fake.nheld, 1);
	/* the region of ring 1 */
	assert_int_equal(kernel->region[1].e.start, fake_vduse_ring(1));
	kernel->region[1] = kernel->region[--kernel->nregions];
	id = send_iotlb(fake_vduse_ring(1), FAKE_VDUSE_RING);
	turns(10);
	assert_int_equal(result_of(id), UINT32_MAX);
	fake_end(&fake, 0);
	turns(10);
	assert_int_equal(result_of(id), 0);
	assert_int_equal(reap(0), 1);
	is_broken(1, "is not mapped");
	fake.auto_later = true;
	run_one(0, 2, 3);
	/* nobody has a driver: nothing to do, and it is said so */
	assert_int_equal(set_status(0), 0);
	id = send_iotlb(0, 4096);
	turns(5);
	assert_int_equal(result_of(id), 0);
	driver_leave();
}

static void a_new_size_is_told(void **state)
{
	const struct vblk_config *c = (const struct vblk_config *)kernel->config;

	(void)state;
	assert_int_equal(create(NULL), 0);
	kernel->config_calls = 0;
	fake.bdev.bytes = DISK_BYTES / 2;
	vdev_config_changed(vblk_vdev(dev));
	assert_int_equal(le64_get(c->capacity), DISK_BYTES / 1024);
	assert_int_equal(kernel->config_calls, 1);
	fake.bdev.bytes = DISK_BYTES;
}

/*
 * What must not be
 */
static void bad_rings_break(void **state)
{
	static const struct {
		struct vduse_vq_info info;
		const char *why;
	} rows[] = {
		{ { .num = 48, .desc_addr = 0x100000, .driver_addr = 0x104000, .device_addr = 0x108000 },
		  "no power of two" },
		{ { .num = 64, .desc_addr = 0x100008, .driver_addr = 0x104000, .device_addr = 0x108000 },
		  "not aligned" },
		{ { .num = 64, .desc_addr = 0x100000, .driver_addr = 0x104001, .device_addr = 0x108000 },
		  "not aligned" },
		{ { .num = 64, .desc_addr = 0x100000, .driver_addr = 0x104000, .device_addr = 0xfff0000 },
		  "not mapped" },
		{ { .num = 64, .desc_addr = 0x100000, .driver_addr = 0x104000, .device_addr = 0x11fff8 },
		  "not mapped" },
		{ { .num = 64, .desc_addr = UINT64_MAX - 15, .driver_addr = 0x104000,
		    .device_addr = 0x108000 },
		  "not mapped" },
	};

	(void)state;
	assert_int_equal(create(NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_begin();
		fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
		kernel->q[1].info = rows[i].info;
		kernel->q[1].info.ready = 1;
		assert_int_equal(set_status(READY), 0);
		is_broken(1, rows[i].why);
		ring_open(0);
		run_one(0, 0, i); /* its neighbour does not mind */
		vqd_fini(&driver[0]);
		assert_int_equal(set_status(0), 0);
		kernel->nregions = 0;
	}
}

static void bad_messages_are_refused(void **state)
{
	uint32_t id;

	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_begin();
	kernel->q[0].info.num = VDUSE_QUEUE_SIZE * 2;
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	kernel->q[0].info.num = 0;
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	kernel->q[0].info.num = SIZE;
	kernel->features |= VIRTIO_BIT(63);
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	kernel->features = VIRTIO_BIT(VIRTIO_F_VERSION_1);
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	id = fake_vduse_send((struct vduse_dev_request){ .type = 77 });
	turns(5);
	assert_int_equal(result_of(id), VDUSE_REQ_RESULT_FAILED);
	kernel->nregions = 0;
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 3);
	driver_leave();
}

static void bad_memory_is_refused(void **state)
{
	int fd = memfd_create("short", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(create(NULL), 0);
	driver_begin();
	fake_vduse_map_file(0x40000000, 8192, fd, VDUSE_ACCESS_RW);
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	state_is("IDLE", 0);
	kernel->region[QUEUES].e = (struct vduse_iotlb_entry){ .last = UINT64_MAX, .perm = VDUSE_ACCESS_RW };
	assert_int_equal(set_status(READY), VDUSE_REQ_RESULT_FAILED);
	state_is("IDLE", 0);
	close(fd);
}

static void a_device_that_the_kernel_gives_up_stands_still(void **state)
{
	(void)state;
	one_in_flight(3);
	shutdown(kernel->kernel, SHUT_RDWR);
	turns(5);
	state_is("FAILED", QUEUES + 1);
	fake_end(&fake, 0);
	turns(5);
	driver_leave();
}

/* A driver that resets the device may have it again. */
static void memory_that_goes_under_us_ends_at_the_next_reset(void **state)
{
	(void)state;
	assert_int_equal(sigbus_guard_start(), 0);
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 3);
	fake_vduse_shrink(true);
	fake_vduse_kick(0);
	turns(10);
	state_is("FAILED", QUEUES + 1);
	fake_vduse_shrink(false);
	assert_int_equal(set_status(READY), 0); /* no news */
	assert_int_equal(set_status(0), 0);
	state_is("IDLE", 0);
	driver_leave();
	kernel->nregions = 0;
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 4);
	/* and once more */
	fake_vduse_shrink(true);
	fake_vduse_kick(0);
	turns(10);
	state_is("FAILED", QUEUES + 1);
	fake_vduse_shrink(false);
	driver_leave();
}

static void the_end_waits_for_a_message(void **state)
{
	uint32_t id;

	(void)state;
	one_in_flight(1);
	id = send_status(0);
	turns(5);
	vduse_destroy(v, on_gone, &gone_calls);
	turns(5);
	assert_int_equal(gone_calls, 0);
	fake_end(&fake, 0);
	turns(10);
	assert_int_equal(gone_calls, 1);
	assert_int_equal(result_of(id), 0);
	v = NULL;
	driver_leave();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_made_as_the_kernel_wants_it),
		TEST(what_cannot_be_made_is_told),
		TEST(a_device_left_over_is_made_anew),
		TEST(what_somebody_else_attached_stays),
		TEST(a_log_that_is_not_ours_is_left_alone),
		TEST(one_log_has_one_process),
		TEST_BOTH(requests_go_round),
		TEST(memory_of_ours_is_taken_where_it_can_be),
		TEST(without_it_things_go_on),
		TEST(files_of_others_are_guest_memory),
		TEST_BOTH(a_reset_waits_for_what_is_in_flight),
		TEST_BOTH(positions_are_told),
		TEST(memory_goes_when_nobody_uses_it),
		TEST(a_new_size_is_told),
		TEST(bad_rings_break),
		TEST(bad_messages_are_refused),
		TEST(bad_memory_is_refused),
		TEST(a_device_that_the_kernel_gives_up_stands_still),
		TEST(memory_that_goes_under_us_ends_at_the_next_reset),
		TEST(the_end_waits_for_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
