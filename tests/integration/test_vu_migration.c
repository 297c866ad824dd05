/* SPDX-License-Identifier: BSD-3-Clause */
/* What outlives a process or a host: the dirty log and the inflight area. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/integration/vu_fixture.h"
#include "vhost/virtq/dlog.h"

#define LOG_BYTES ((FE_GPA + FE_MEM_BYTES) / DLOG_PAGE_BYTES / 8)
#define LOG_OFF	  0x3040u /* nothing that a page would hide */
#define LOG_ALL	  VIRTIO_BIT(VHOST_F_LOG_ALL)

struct logfile {
	int fd;
	uint8_t *bytes;
};

static void logfile_make(struct logfile *l)
{
	l->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(ftruncate(l->fd, LOG_OFF + LOG_BYTES), 0);
	l->bytes = mmap(NULL, LOG_OFF + LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	assert_ptr_not_equal(l->bytes, MAP_FAILED);
}

static void logfile_drop(struct logfile *l)
{
	munmap(l->bytes, LOG_OFF + LOG_BYTES);
	close(l->fd);
}

static bool is_dirty(const struct logfile *l, uint64_t gpa)
{
	uint64_t page = gpa / DLOG_PAGE_BYTES;

	return l->bytes[LOG_OFF + page / 8] >> page % 8 & 1;
}

static unsigned count_dirty(const struct logfile *l)
{
	unsigned n = 0;

	for (size_t i = 0; i < LOG_OFF + LOG_BYTES; i++)
		n += (unsigned)__builtin_popcount(l->bytes[i]);
	return n;
}

static void log_start(struct fe *fe, const struct logfile *l)
{
	const struct vu_log p = { LOG_BYTES, LOG_OFF };
	struct vu_msg m;

	/* the reply comes without being asked for */
	assert_true(fe_send(fe, VU_SET_LOG_BASE, 0, &p, sizeof(p), &l->fd, 1));
	assert_int_equal(fe_receive(fe, &m), 1);
	assert_int_equal(m.h.request, VU_SET_LOG_BASE);
	assert_int_equal(m.nfds, 0);
}

static int64_t log_ring(struct fe *fe, unsigned i, bool on)
{
	struct vu_vring_addr a;

	fe_addr(fe, i, &a);
	a.flags = on ? VU_VRING_F_LOG : 0;
	return fe_ask(fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

/* CVE-2026-86563: the offset counts once. Exactly the pages that were written are marked, from the
 * start of the log. */
static void the_right_pages_are_marked(void **state)
{
	struct logfile l;
	struct fe fe;

	(void)state;
	logfile_make(&l);
	fe_good(&fe, rig.path[0]);
	log_start(&fe, &l);
	fe_io(&fe, 0);
	assert_int_equal(count_dirty(&l), 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES | LOG_ALL), 0);
	fe_io(&fe, 0);
	assert_true(is_dirty(&l, FE_GPA + FE_BUFS_OFF));
	assert_int_equal(count_dirty(&l), 1); /* the ring itself only with its own flag */
	assert_int_equal(log_ring(&fe, 0, true), 0);
	fe_io(&fe, 0);
	assert_true(is_dirty(&l, FE_GPA + FE_USED_OFF));
	assert_int_equal(count_dirty(&l), 2);
	memset(l.bytes, 0, LOG_OFF + LOG_BYTES);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES), 0);
	fe_io(&fe, 0);
	assert_int_equal(count_dirty(&l), 0);
	fe_close(&fe);
	logfile_drop(&l);
}

static void packed_rings_mark_theirs(void **state)
{
	struct logfile l;
	struct fe fe;

	(void)state;
	logfile_make(&l);
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED), FE_PROTOCOL);
	fe_share(&fe);
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	log_start(&fe, &l);
	assert_int_equal(log_ring(&fe, 0, true), 0);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, fe.features | LOG_ALL), 0);
	fe_io(&fe, 0);
	assert_true(is_dirty(&l, FE_GPA + FE_BUFS_OFF));
	assert_true(is_dirty(&l, FE_GPA)); /* the descriptor ring */
	fe_close(&fe);
	logfile_drop(&l);
}

/* CVE-2025-38074's class: the log is switched and replaced while requests are in flight. */
static void the_log_is_switched_under_load(void **state)
{
	struct logfile l[2];
	struct fe fe;

	(void)state;
	logfile_make(&l[0]);
	logfile_make(&l[1]);
	fe_good(&fe, rig.path[0]);
	fe_start(&fe, 1, 256);
	for (unsigned n = 0; n < 300; n++) {
		for (unsigned k = 0; k < 20; k++) {
			fe_submit(&fe, 0);
			fe_submit(&fe, 1);
		}
		log_start(&fe, &l[n & 1]);
		assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES | LOG_ALL), 0);
		fe_submit(&fe, 0);
		fe_submit(&fe, 1);
		assert_int_equal(log_ring(&fe, n & 1, n & 2), 0);
		for (unsigned k = 0; k < 21; k++) {
			fe_complete(&fe, 0);
			fe_complete(&fe, 1);
		}
		assert_int_equal(fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES), 0);
	}
	assert_true(is_dirty(&l[0], FE_GPA + FE_BUFS_OFF));
	fe_close(&fe);
	logfile_drop(&l[0]);
	logfile_drop(&l[1]);
}

/*
 * Inflight
 */
struct area {
	struct vu_inflight d;
	int fd;
	char *mem;
};

static void area_get(struct fe *fe, uint16_t nqueues, uint16_t size, struct area *a)
{
	const struct vu_inflight want = { .nqueues = nqueues, .queue_size = size };
	struct vu_msg m;

	assert_true(fe_send(fe, VU_GET_INFLIGHT_FD, 0, &want, sizeof(want), NULL, 0));
	assert_int_equal(fe_receive(fe, &m), 1);
	assert_int_equal(m.h.size, sizeof(want));
	assert_int_equal(m.nfds, 1);
	a->d = m.p.inflight;
	a->fd = vu_msg_take_fd(&m, 0);
	assert_int_equal(fcntl(a->fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	a->mem = mmap(NULL, a->d.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	assert_ptr_not_equal(a->mem, MAP_FAILED);
}

static void area_set(struct fe *fe, const struct area *a)
{
	assert_int_equal(fe_ask(fe, VU_SET_INFLIGHT_FD, &a->d, sizeof(a->d), &a->fd, 1), 0);
}

static void area_drop(struct area *a)
{
	munmap(a->mem, a->d.mmap_size);
	close(a->fd);
}

/*
 * A crash: guest memory and area are put back to the moment when requests were in flight, and a new
 * connection finds them. All are answered, once, and the ring goes on.
 */
static void crash_and_resume(uint64_t features)
{
	uint32_t base = features & VIRTIO_BIT(VIRTIO_F_RING_PACKED) ? 0x80008000u : 0;
	char *mem = malloc(FE_MEM_BYTES), *area_then;
	struct area a;
	struct fe fe;

	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, features, FE_PROTOCOL);
	area_get(&fe, 2, 64, &a);
	area_set(&fe, &a);
	fe_share(&fe);
	fe_start(&fe, 1, 64);
	for (unsigned n = 0; n < 100; n++)
		fe_io(&fe, 1);
	rig_hold(&rig, 0);
	for (unsigned n = 0; n < 7; n++)
		fe_submit(&fe, 1);
	fixture_wait_held(7);
	area_then = malloc(a.d.mmap_size);
	memcpy(area_then, a.mem, a.d.mmap_size);
	memcpy(mem, fe.mem, FE_MEM_BYTES);
	fe_hang_up(&fe);
	rig_release(&rig, 0);
	rig_wait_free(&rig, 0);
	memcpy(a.mem, area_then, a.d.mmap_size);
	memcpy(fe.mem, mem, FE_MEM_BYTES);

	fe_dial(&fe, rig.path[0]);
	fe_negotiate(&fe, features, FE_PROTOCOL);
	area_set(&fe, &a);
	fe_share(&fe);
	/* QEMU hands the used index over as the position: 100 answered */
	fe_describe(&fe, 1, 64, base ? base : 100);
	fe_send_fd(&fe, VU_SET_VRING_KICK, 1, fe.q[1].kick);
	assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 1, 1), 0);
	for (unsigned n = 0; n < 7; n++)
		fe_complete(&fe, 1);
	for (unsigned n = 0; n < 100; n++)
		fe_io(&fe, 1);
	fe_close(&fe);
	area_drop(&a);
	free(area_then);
	free(mem);
}

static void in_flight_requests_are_resumed_split(void **state)
{
	(void)state;
	crash_and_resume(FE_FEATURES);
}

static void in_flight_requests_are_resumed_packed(void **state)
{
	(void)state;
	crash_and_resume(FE_FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED));
}

/* A driver may choose a smaller ring than the device's: it is tracked in the front of its region.
 */
static void smaller_rings_are_tracked_too(void **state)
{
	struct area a;
	struct fe fe;
	bool touched = false;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
	area_get(&fe, RIG_QUEUES, 256, &a);
	area_set(&fe, &a);
	fe_share(&fe);
	fe_start(&fe, 7, 16);
	fe_io(&fe, 7);
	for (uint64_t i = a.d.mmap_size / RIG_QUEUES * 7; i < a.d.mmap_size; i++)
		touched |= a.mem[i] != 0;
	assert_true(touched);
	fe_close(&fe);
	area_drop(&a);
}

/*
 * A ring that was stopped begins anew, elsewhere and with another size, in the same area: the
 * front-end knows where. @how: bit 0: packed, bit 1: over another connection, bit 2: the position is
 * not asked for.
 */
static void stop_and_begin_anew(unsigned how)
{
	uint64_t features = FE_FEATURES | (how & 1 ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0);
	static const uint16_t sizes[] = { 64, 64, 32, 64 };
	struct area a;
	struct fe fe;

	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, features, FE_PROTOCOL);
	area_get(&fe, 2, 64, &a);
	area_set(&fe, &a);
	fe_share(&fe);
	for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
		fe_start(&fe, 1, sizes[n]);
		for (unsigned k = 0; k < 5; k++)
			fe_io(&fe, 1);
		if (how & 4)
			assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_ENABLE, 1, 0), 0);
		else
			(void)fe_stop(&fe, 1);
		if (!(how & 2))
			continue;
		fe_hang_up(&fe);
		rig_wait_free(&rig, 0);
		fe_dial(&fe, rig.path[0]);
		fe_negotiate(&fe, features, FE_PROTOCOL);
		area_set(&fe, &a);
		fe_share(&fe);
	}
	fe_close(&fe);
	area_drop(&a);
}

static void a_stopped_ring_begins_anew(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 6; how++) {
		stop_and_begin_anew(how);
		rig_wait_free(&rig, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET(the_right_pages_are_marked),
		QUIET(packed_rings_mark_theirs),
		QUIET(the_log_is_switched_under_load),
		QUIET(in_flight_requests_are_resumed_split),
		QUIET(in_flight_requests_are_resumed_packed),
		QUIET(smaller_rings_are_tracked_too),
		QUIET(a_stopped_ring_begins_anew),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
