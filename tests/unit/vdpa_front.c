/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's side: one memfd, rings at its front, a row of request places behind them. */
#include "tests/unit/vdpa_front.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "vhost/blk/vblk_spec.h"

#define AVAIL_OFF  0x8000u
#define USED_OFF   0xa000u
#define PLACES_OFF 0x100000u /* behind the rings */
#define PLACES	   64u	     /* of each ring */
#define PLACE_BYTES (FRONT_DATA_BYTES + 512u)
#define WAIT_NS	   (20 * MONO_NS_PER_SEC)
#define MOMENT_NS  (50 * MONO_NS_PER_MS)

static_assert(PLACES_OFF + FRONT_QUEUES * PLACES * PLACE_BYTES <= FRONT_MEM_BYTES, "it fits");

void front_init(struct front *f, front_send_fn send, void *arg)
{
	memset(f, 0, sizeof(*f));
	f->send = send;
	f->arg = arg;
	f->memfd = memfd_create("front", MFD_CLOEXEC);
	assert_true(f->memfd >= 0);
	assert_int_equal(ftruncate(f->memfd, FRONT_MEM_BYTES), 0);
	f->mem = mmap(NULL, FRONT_MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	assert_ptr_not_equal(f->mem, MAP_FAILED);
	for (unsigned i = 0; i < FRONT_QUEUES; i++) {
		f->q[i].kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		f->q[i].call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
}

void front_fini(struct front *f)
{
	for (unsigned i = 0; i < FRONT_QUEUES; i++) {
		if (f->q[i].is_there)
			vqd_fini(&f->q[i].d);
		close(f->q[i].kick);
		close(f->q[i].call);
	}
	munmap(f->mem, FRONT_MEM_BYTES);
	close(f->memfd);
}

int front_u64(struct front *f, uint32_t request, uint64_t v)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = v;
	return f->send(&m, f->arg);
}

int front_state(struct front *f, uint32_t request, unsigned index, uint32_t num)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, num };
	return f->send(&m, f->arg);
}

int front_fd(struct front *f, uint32_t request, unsigned index, int fd)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = index;
	m.fds[0] = fd;
	m.nfds = 1;
	return f->send(&m, f->arg);
}

int front_share(struct front *f, unsigned nregions)
{
	uint64_t len = FRONT_MEM_BYTES / nregions;
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_MEM_TABLE, 0, (uint32_t)(8 + nregions * sizeof(struct vu_region)));
	m.p.table.nregions = nregions;
	m.nfds = nregions;
	for (unsigned i = 0; i < nregions; i++) {
		m.p.table.regions[i] =
			(struct vu_region){ FRONT_GPA + i * len, len, FRONT_UVA + i * len, i * len };
		m.fds[i] = f->memfd;
	}
	return f->send(&m, f->arg);
}

static int front_nothing(struct front *f, uint32_t request)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, 0);
	return f->send(&m, f->arg);
}

void front_negotiate(struct front *f, uint64_t features, uint64_t protocol)
{
	f->features = features;
	assert_int_equal(front_nothing(f, VU_SET_OWNER), 0);
	assert_int_equal(front_u64(f, VU_SET_PROTOCOL_FEATURES, protocol), 0);
	assert_int_equal(front_u64(f, VU_SET_FEATURES, features), 0);
}

static void ring_describe(struct front *f, unsigned i, uint32_t base)
{
	uint64_t at = FRONT_UVA + i * FRONT_QUEUE_BYTES;
	struct vu_msg m;

	assert_int_equal(front_state(f, VU_SET_VRING_NUM, i, FRONT_SIZE), 0);
	assert_int_equal(front_state(f, VU_SET_VRING_BASE, i, base), 0);
	vu_msg_init(&m, VU_SET_VRING_ADDR, 0, sizeof(m.p.addr));
	m.p.addr = (struct vu_vring_addr){
		.index = i, .desc = at, .avail = at + AVAIL_OFF, .used = at + USED_OFF
	};
	assert_int_equal(f->send(&m, f->arg), 0);
	assert_int_equal(front_fd(f, VU_SET_VRING_CALL, i, f->q[i].call), 0);
	assert_int_equal(front_fd(f, VU_SET_VRING_KICK, i, f->q[i].kick), 0);
	assert_int_equal(front_state(f, VU_SET_VRING_ENABLE, i, 1), 0);
}

static bool is_packed(const struct front *f)
{
	return (f->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) != 0;
}

void front_ring_reset(struct front *f, unsigned i)
{
	char *at = f->mem + i * FRONT_QUEUE_BYTES;
	const struct vqd_conf c = {
		.size = FRONT_SIZE,
		.packed = is_packed(f),
		.features = f->features,
		.desc = at,
		.avail = at + AVAIL_OFF,
		.used = at + USED_OFF,
		.kick_fd = f->q[i].kick,
	};

	if (f->q[i].is_there)
		vqd_fini(&f->q[i].d);
	memset(at, 0, FRONT_QUEUE_BYTES);
	assert_int_equal(vqd_init(&f->q[i].d, &c), 0);
	f->q[i].is_there = true;
}

void front_ring(struct front *f, unsigned i)
{
	front_ring_reset(f, i);
	ring_describe(f, i, is_packed(f) ? 0x80008000u : 0);
}

void front_ring_again(struct front *f, unsigned i, uint32_t base)
{
	ring_describe(f, i, base);
}

static uint64_t place_off(unsigned i, unsigned place)
{
	return PLACES_OFF + (i * PLACES + place) * PLACE_BYTES;
}

unsigned front_submit(struct front *f, unsigned i, uint32_t type, uint64_t sector, uint8_t pattern)
{
	struct front_queue *q = &f->q[i];
	unsigned place = q->next++ % PLACES;
	uint64_t off = place_off(i, place);
	bool reads = type == VBLK_T_IN || type == VBLK_T_GET_ID;
	uint32_t len = type == VBLK_T_FLUSH ? 0 : type == VBLK_T_GET_ID ? VBLK_ID_BYTES : FRONT_DATA_BYTES;
	const struct vblk_hdr hdr = { .type = le32_make(type), .sector = le64_make(sector) };
	struct vqd_buf bufs[3] = {
		{ .addr = FRONT_GPA + off + FRONT_DATA_BYTES, .len = sizeof(hdr) },
		{ .addr = FRONT_GPA + off, .len = len, .device_writes = reads },
		{ .addr = FRONT_GPA + off + FRONT_DATA_BYTES + sizeof(hdr), .len = 1, .device_writes = true },
	};

	memset(f->mem + off, pattern, FRONT_DATA_BYTES);
	memcpy(f->mem + off + FRONT_DATA_BYTES, &hdr, sizeof(hdr));
	f->mem[off + FRONT_DATA_BYTES + sizeof(hdr)] = (char)0xff;
	if (!len)
		bufs[1] = bufs[2];
	assert_int_equal(vqd_add(&q->d, bufs, len ? 3 : 2, false, (void *)(uintptr_t)(place + 1)), 0);
	(void)vqd_publish(&q->d);
	return place;
}

static bool wait_for(struct front *f, unsigned i, uint64_t ns, unsigned *ret_place)
{
	const struct timespec nap = mono_timespec(100 * MONO_NS_PER_US);
	uint64_t end = mono_ns() + ns;
	uint32_t written;
	void *cookie;
	int err = 0;

	while (!vqd_get(&f->q[i].d, &cookie, &written, &err)) {
		assert_int_equal(err, 0);
		if (mono_ns() > end)
			return false;
		nanosleep(&nap, NULL);
	}
	*ret_place = (unsigned)(uintptr_t)cookie - 1;
	return true;
}

unsigned front_wait(struct front *f, unsigned i)
{
	unsigned place = 0;

	if (!wait_for(f, i, WAIT_NS, &place))
		fail_msg("ring %u: no answer", i);
	return place;
}

bool front_is_silent(struct front *f, unsigned i)
{
	unsigned place;

	return !wait_for(f, i, MOMENT_NS, &place);
}

uint8_t front_status(const struct front *f, unsigned i, unsigned place)
{
	return (uint8_t)f->mem[place_off(i, place) + FRONT_DATA_BYTES + sizeof(struct vblk_hdr)];
}

const uint8_t *front_data(const struct front *f, unsigned i, unsigned place)
{
	return (const uint8_t *)f->mem + place_off(i, place);
}

void front_io(struct front *f, unsigned i, uint64_t sector, uint8_t pattern)
{
	unsigned place;

	(void)front_submit(f, i, VBLK_T_OUT, sector, pattern);
	assert_int_equal(front_status(f, i, front_wait(f, i)), VBLK_S_OK);
	(void)front_submit(f, i, VBLK_T_IN, sector, (uint8_t)~pattern);
	place = front_wait(f, i);
	assert_int_equal(front_status(f, i, place), VBLK_S_OK);
	for (unsigned k = 0; k < FRONT_DATA_BYTES; k++)
		assert_int_equal(front_data(f, i, place)[k], pattern);
}
