/* SPDX-License-Identifier: BSD-3-Clause */
/* The rig of VDUSE's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "core/dma.h"
#include "tests/unit/vduse_rig.h"
#include "vhost/blk/vblk_spec.h"

struct fake_vduse *const kernel = &fake_vduse;
struct vduse *v;
struct vqd driver[QUEUES];
char log_path[64];
bool packed;
unsigned gone_calls;
bool gone_stays;

int create(struct errbuf *eb)
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

int setup(void **state)
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

void on_gone(void *arg, bool stays)
{
	assert_ptr_equal(arg, &gone_calls);
	gone_calls++;
	gone_stays = stays;
}

void destroy(void)
{
	vduse_destroy(v, on_gone, &gone_calls);
	turns(10);
	v = NULL;
}

int teardown(void **state)
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

bool log_exists(void)
{
	return access(log_path, F_OK) == 0;
}

/*
 * The driver
 */

/* The message's answer, or UINT32_MAX: none yet. */
uint32_t result_of(uint32_t id)
{
	struct vduse_dev_response resp;

	if (!fake_vduse_answer(&resp))
		return UINT32_MAX;
	assert_int_equal(resp.request_id, id);
	return resp.result;
}

uint32_t send_status(uint8_t s)
{
	return fake_vduse_send((struct vduse_dev_request){ .type = VDUSE_SET_STATUS, .s.status = s });
}

uint32_t set_status(uint8_t s)
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

void ring_open(unsigned i)
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
void driver_begin(void)
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

void driver_go(void)
{
	driver_begin();
	assert_int_equal(set_status(READY), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		ring_open(i);
}

void driver_leave(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		vqd_fini(&driver[i]);
}

/* A read of sector @n, its buffers in slot @slot of the bounce region. */
void submit(unsigned i, unsigned slot, uint64_t sector)
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

unsigned reap(unsigned i)
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

void read_is_right(unsigned slot, uint64_t sector)
{
	uint64_t at = slot * 8192ull;

	assert_int_equal(*(uint8_t *)fake_vduse_va(at + 16), VBLK_S_OK);
	assert_memory_equal(fake_vduse_va(at + 512), fake.data + sector * 512, 512);
}

/* Regions of the driver's that devices may reach. */
unsigned reachable(void)
{
	const unsigned own = list_is_empty(&fake.bdev.chans) ? 0 : 1; /* bounce buffers of the channel */

	return dma_region_count() - own;
}

/* Everything there, one read behind it. */
void run_one(unsigned i, unsigned slot, uint64_t sector)
{
	submit(i, slot, sector);
	fake_vduse_kick(i);
	turns(20);
	assert_int_equal(reap(i), 1);
	read_is_right(slot, sector);
}

void state_is(const char *want, unsigned nregions)
{
	struct vu_session_info info;

	assert_int_equal(vduse_get_info(v, &info), 0);
	assert_string_equal(info.state, want);
	assert_int_equal(info.nregions, nregions);
	vu_session_info_fini(&info);
}

/* Queue @i as the account has it: broken, for a reason with @why in it. */
void is_broken(unsigned i, const char *why)
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

void write_log(const char *text, size_t len, mode_t mode)
{
	FILE *file = fopen(log_path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	assert_int_equal(chmod(log_path, mode), 0);
}

void leave_device(void)
{
	kernel->exists = true;
	snprintf(kernel->name, sizeof(kernel->name), "vol0");
}

int setup_split(void **state)
{
	setup(state);
	*state = NULL;
	return 0;
}

int setup_packed(void **state)
{
	setup(state);
	*state = &packed;
	return 0;
}
