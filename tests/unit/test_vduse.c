/* SPDX-License-Identifier: BSD-3-Clause */
/* VDUSE against a fake kernel: making and taking apart, messages, memory, rings, and going on after a crash. */
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
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/dma.h"
#include "tests/unit/fake_vduse.h"
#include "tests/unit/vblk_rig.h"
#include "vdpa/vduse.h"
#include "vhost/blk/vblk_spec.h"

#define QUEUES	 2u
#define SIZE	 64u
#define ACK	 1u
#define DRIVER	 2u
#define DRIVER_OK 4u
#define FEATURES_OK 8u
#define READY (ACK | DRIVER | FEATURES_OK | DRIVER_OK)

static struct fake_vduse *const kernel = &fake_vduse;
static struct vduse *v;
static struct vqd driver[QUEUES];
static char log_path[64];
static bool packed;
static unsigned gone_calls;
static bool gone_stays;

static int create(struct errbuf *eb)
{
	struct vduse_opts opts = {
		.name = "vol0",
		.log = log_path,
		.dev = vblk_vdev(dev),
		.control = r,
		.reactors = &r,
		.nreactors = 1,
		.no_packed = false,
		.sys = &fake_vduse_sys,
	};

	return vduse_create(&opts, &v, eb);
}

static int setup(void **state)
{
	const struct vblk_opts opts = { .nqueues = QUEUES };

	(void)state;
	snprintf(log_path, sizeof(log_path), "/tmp/test-vduse-%d.log", (int)getpid());
	unlink(log_path);
	fake_vduse_init();
	device_open(&limits, &opts);
	reactor_set_mode(r, REACTOR_INTERRUPT); /* looks at files in every turn */
	gone_calls = 0;
	packed = false;
	v = NULL;
	return 0;
}

static void on_gone(void *arg, bool stays)
{
	assert_ptr_equal(arg, &gone_calls);
	gone_calls++;
	gone_stays = stays;
}

static void destroy(void)
{
	vduse_destroy(v, on_gone, &gone_calls);
	turns(10);
	v = NULL;
}

static int teardown(void **state)
{
	(void)state;
	if (v) {
		fake.auto_later = true;
		while (fake.nheld)
			fake_end(&fake, 0);
		destroy();
		assert_int_equal(gone_calls, 1);
	}
	device_close();
	fake_vduse_fini();
	unlink(log_path);
	assert_int_equal(dma_region_count(), 0);
	return 0;
}

static bool log_exists(void)
{
	return access(log_path, F_OK) == 0;
}

/*
 * The driver
 */

/* The message's answer, or UINT32_MAX: none yet. */
static uint32_t result_of(uint32_t id)
{
	struct vduse_dev_response resp;

	if (!fake_vduse_answer(&resp))
		return UINT32_MAX;
	assert_int_equal(resp.request_id, id);
	return resp.result;
}

static uint32_t send_status(uint8_t s)
{
	return fake_vduse_send((struct vduse_dev_request){ .type = VDUSE_SET_STATUS, .s.status = s });
}

static uint32_t set_status(uint8_t s)
{
	uint32_t id = send_status(s);

	turns(5);
	return result_of(id);
}

static void ring_place(unsigned i)
{
	struct vduse_vq_info *info = &kernel->q[i].info;

	*info = (struct vduse_vq_info){
		.num = SIZE,
		.desc_addr = fake_vduse_ring(i),
		.driver_addr = fake_vduse_ring(i) + 0x4000,
		.device_addr = fake_vduse_ring(i) + 0x8000,
		.ready = 1,
	};
	if (packed)
		info->packed = (struct vduse_vq_state_packed){ .last_avail_counter = 1,
							       .last_used_counter = 1 };
	memset(fake_vduse_va(fake_vduse_ring(i)), 0, FAKE_VDUSE_RING);
	fake_vduse_map(fake_vduse_ring(i), FAKE_VDUSE_RING, false);
}

static void ring_open(unsigned i)
{
	const struct vqd_conf c = {
		.size = SIZE,
		.packed = packed,
		.features = kernel->features,
		.desc = fake_vduse_va(fake_vduse_ring(i)),
		.avail = fake_vduse_va(fake_vduse_ring(i) + 0x4000),
		.used = fake_vduse_va(fake_vduse_ring(i) + 0x8000),
		.kick_fd = -1,
	};

	assert_int_equal(vqd_init(&driver[i], &c), 0);
}

/* As virtio-vdpa does it, up to the status @last. */
static void driver_begin(void)
{
	kernel->features = kernel->offered & ~VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	if (!packed)
		kernel->features &= ~VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	assert_int_equal(set_status(0), 0);
	assert_int_equal(set_status(ACK), 0);
	assert_int_equal(set_status(ACK | DRIVER), 0);
	assert_int_equal(set_status(ACK | DRIVER | FEATURES_OK), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		ring_place(i);
}

static void driver_go(void)
{
	driver_begin();
	assert_int_equal(set_status(READY), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		ring_open(i);
}

static void driver_leave(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		vqd_fini(&driver[i]);
}

/* A read of sector @n, its buffers in slot @slot of the bounce region. */
static void submit(unsigned i, unsigned slot, uint64_t sector)
{
	uint64_t at = slot * 8192ull;
	const struct vqd_buf bufs[] = {
		{ at, 16, false },
		{ at + 512, 512, true },
		{ at + 16, 1, true },
	};
	const struct vblk_hdr h = { le32_make(VBLK_T_IN), le32_make(0), le64_make(sector) };

	memcpy(fake_vduse_va(at), &h, sizeof(h));
	*(uint8_t *)fake_vduse_va(at + 16) = 0xff;
	assert_int_equal(vqd_add(&driver[i], bufs, 3, false, NULL), 0);
	vqd_publish(&driver[i]);
}

static unsigned reap(unsigned i)
{
	uint32_t written;
	unsigned n = 0;
	void *cookie;
	int err = 0;

	while (vqd_get(&driver[i], &cookie, &written, &err))
		n++;
	assert_int_equal(err, 0);
	return n;
}

static void read_is_right(unsigned slot, uint64_t sector)
{
	uint64_t at = slot * 8192ull;

	assert_int_equal(*(uint8_t *)fake_vduse_va(at + 16), VBLK_S_OK);
	assert_memory_equal(fake_vduse_va(at + 512), fake.data + sector * 512, 512);
}

/* Regions of the driver's that devices may reach. */
static unsigned reachable(void)
{
	const unsigned own = list_is_empty(&fake.bdev.chans) ? 0 : 1; /* bounce buffers of the channel */

	return dma_region_count() - own;
}

/* Everything there, one read behind it. */
static void run_one(unsigned i, unsigned slot, uint64_t sector)
{
	submit(i, slot, sector);
	fake_vduse_kick(i);
	turns(20);
	assert_int_equal(reap(i), 1);
	read_is_right(slot, sector);
}

static void state_is(const char *want, unsigned nregions)
{
	struct vu_session_info info;

	assert_int_equal(vduse_get_info(v, &info), 0);
	assert_string_equal(info.state, want);
	assert_int_equal(info.nregions, nregions);
	vu_session_info_fini(&info);
}

/* Queue @i as the account has it: broken, for a reason with @why in it. */
static void is_broken(unsigned i, const char *why)
{
	struct vu_session_info info;

	assert_int_equal(vduse_get_info(v, &info), 0);
	assert_true(i < info.nqueues);
	assert_true(info.queues[i].broken);
	assert_false(info.queues[i].started);
	if (!strstr(info.queues[i].why, why))
		fail_msg("queue %u: \"%s\" has no \"%s\"", i, info.queues[i].why, why);
	vu_session_info_fini(&info);
}

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
	kernel->exists = true;
	strcpy(kernel->name, "vol0");
	kernel->nqueues = 1;
	assert_int_equal(create(NULL), 0);
	assert_int_equal(kernel->nqueues, QUEUES);
	assert_int_equal(kernel->ncreated, 1);
}

static void what_somebody_else_attached_stays(void **state)
{
	struct errbuf eb;

	(void)state;
	kernel->exists = kernel->attached = true;
	strcpy(kernel->name, "vol0");
	kernel->nqueues = QUEUES;
	assert_int_equal(create(&eb), -EEXIST);
	assert_non_null(strstr(eb.text, "detach it first"));
	assert_true(kernel->exists);
	assert_false(log_exists());
}

static void write_log(const char *text, size_t len, mode_t mode)
{
	FILE *file = fopen(log_path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	assert_int_equal(chmod(log_path, mode), 0);
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
	kernel->exists = kernel->attached = true;
	strcpy(kernel->name, "vol0");
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

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	uint32_t id;

	packed = *state != NULL;
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 1);
	fake.auto_later = false;
	submit(0, 1, 2);
	fake_vduse_kick(0);
	turns(5);
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
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 1);
	fake.auto_later = false;
	submit(0, 1, 2);
	fake_vduse_kick(0);
	turns(5);
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
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 3);
	fake.auto_later = false;
	submit(0, 1, 2);
	fake_vduse_kick(0);
	turns(5);
	shutdown(kernel->kernel, SHUT_RDWR);
	turns(5);
	state_is("FAILED", QUEUES + 1);
	fake_end(&fake, 0);
	turns(5);
	driver_leave();
}

static void the_end_waits_for_a_message(void **state)
{
	uint32_t id;

	(void)state;
	assert_int_equal(create(NULL), 0);
	driver_go();
	fake_vduse_map(0, FAKE_VDUSE_BOUNCE, false);
	run_one(0, 0, 1);
	fake.auto_later = false;
	submit(0, 1, 2);
	fake_vduse_kick(0);
	turns(5);
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

/*
 * Going on
 */

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

#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_BOTH(name)                                                                            \
	{ #name " (split)", name, setup_split, teardown, NULL },                                   \
	{                                                                                          \
		#name " (packed)", name, setup_packed, teardown, NULL                              \
	}

static int setup_split(void **state)
{
	setup(state);
	*state = NULL;
	return 0;
}

static int setup_packed(void **state)
{
	setup(state);
	*state = &packed;
	return 0;
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
		TEST(the_end_waits_for_a_message),
		TEST_BOTH(what_was_in_flight_is_done_again),
		TEST(a_driver_that_waits_for_its_first_request_is_gone_on_with),
		TEST(a_log_of_lies_breaks_a_queue),
		TEST(other_settings_are_no_device_to_go_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
