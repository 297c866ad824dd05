/* SPDX-License-Identifier: BSD-3-Clause */
/* What is remembered of a front-end: the last word of each kind, with fds of its own, in the order of a session's beginning. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "vdpa/vdpa_replay.h"
#include "vhost/virtq/virtio_spec.h"

#define PACKED VIRTIO_BIT(VIRTIO_F_RING_PACKED)

static struct vdpa_replay r;

static int setup(void **state)
{
	(void)state;
	vdpa_replay_init(&r);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vdpa_replay_fini(&r);
	return 0;
}

static void note_u64(uint32_t request, uint64_t v)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = v;
	assert_int_equal(vdpa_replay_note(&r, &m), 0);
}

static void note_ring(uint32_t request, unsigned index, uint32_t num)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, num };
	assert_int_equal(vdpa_replay_note(&r, &m), 0);
}

static int note_kick(unsigned index, int fd)
{
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_VRING_KICK, 0, sizeof(m.p.u64));
	m.p.u64 = index;
	m.fds[m.nfds++] = fd;
	return vdpa_replay_note(&r, &m);
}

static void note_config(uint32_t off, const void *data, uint32_t size)
{
	struct vu_msg m;

	vu_msg_init(&m, VU_SET_CONFIG, 0, VU_CONFIG_HDR_BYTES + size);
	m.p.config.off = off;
	m.p.config.size = size;
	memcpy(m.p.config.data, data, CC_MIN(size, (uint32_t)VU_CONFIG_BYTES_MAX));
	assert_int_equal(vdpa_replay_note(&r, &m), 0);
}

/* How many messages of that kind come out; *ret is the last one, its fds closed. */
static unsigned count(uint32_t request, struct vu_msg *ret)
{
	struct vdpa_replay_pos pos = { 0, 0 };
	struct vu_msg m;
	unsigned n = 0;
	int more;

	while ((more = vdpa_replay_next(&r, &pos, &m)) > 0) {
		if (m.h.request == request) {
			n++;
			*ret = m;
		}
		vu_msg_close_fds(&m);
	}
	assert_int_equal(more, 0);
	assert_int_equal(vdpa_replay_next(&r, &pos, &m), 0); /* and stays so */
	return n;
}

static void the_last_word_counts(void **state)
{
	struct vu_msg m;

	(void)state;
	assert_int_equal(count(VU_SET_FEATURES, &m), 0);
	note_u64(VU_SET_FEATURES, 1);
	note_u64(VU_SET_FEATURES, 2);
	note_u64(VU_SET_STATUS, 1);
	note_u64(VU_GET_FEATURES, 3); /* no state */
	note_ring(VU_SET_VRING_NUM, 5, 64);
	note_ring(VU_SET_VRING_NUM, 5, 128);
	assert_int_equal(count(VU_SET_FEATURES, &m), 1);
	assert_int_equal(m.p.u64, 2);
	assert_int_equal(count(VU_SET_VRING_NUM, &m), 1);
	assert_int_equal(m.p.state.index, 5);
	assert_int_equal(m.p.state.num, 128);
	assert_int_equal(count(VU_GET_FEATURES, &m), 0);
	assert_int_equal(count(VU_SET_STATUS, &m), 1);
	note_u64(VU_SET_STATUS, 0);
	assert_int_equal(count(VU_SET_STATUS, &m), 0);
}

static void rings_that_cannot_be_are_refused(void **state)
{
	static const uint32_t requests[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ADDR, VU_SET_VRING_KICK,
					     VU_SET_VRING_CALL, VU_SET_VRING_ERR, VU_SET_VRING_ENABLE };
	static const uint32_t bad[] = { VDPA_QUEUES_MAX, 0xff, 0x10000, UINT32_MAX };
	struct vu_msg m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			vu_msg_init(&m, requests[i], 0, sizeof(m.p.addr));
			m.p.addr.index = bad[k]; /* the low half of u64 as well */
			if (bad[k] == UINT32_MAX)
				m.p.state.num = 1;
			assert_int_equal(vdpa_replay_check(&r, &m, NULL), -EINVAL);
			assert_int_equal(vdpa_replay_note(&r, &m), -EINVAL);
		}
		assert_int_equal(count(requests[i], &m), 0);
	}
	assert_int_equal(vdpa_replay_stopped(&r, VDPA_QUEUES_MAX, 0), -EINVAL);
	assert_int_equal(vdpa_replay_paused(&r, UINT32_MAX, 0), -EINVAL);
	assert_false(vdpa_replay_kick(&r, UINT32_MAX, &m));
}

static void fds_are_its_own(void **state)
{
	struct vdpa_replay_pos pos = { 0, 0 };
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), mine = dup(fd);
	uint64_t n = 7;
	struct vu_msg m;

	(void)state;
	assert_int_equal(note_kick(0, fd), 0);
	close(fd);
	note_ring(VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(vdpa_replay_next(&r, &pos, &m), 1);
	assert_int_equal(m.h.request, VU_SET_VRING_KICK);
	vdpa_replay_fini(&r); /* the message's is its own, too */
	assert_int_equal(write(m.fds[0], &n, sizeof(n)), sizeof(n));
	vu_msg_close_fds(&m);
	n = 0;
	assert_int_equal(read(mine, &n, sizeof(n)), sizeof(n));
	assert_int_equal(n, 7);
	close(mine);
}

/* No fd is left: what was remembered before stays. */
static void a_note_that_fails_changes_nothing(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct vdpa_replay_pos pos = { 0, 0 };
	struct rlimit before, none;
	struct vu_msg m;

	(void)state;
	assert_int_equal(note_kick(0, fd), 0);
	note_ring(VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(note_kick(0, fd), -EINVAL); /* fcntl(2): from 0 on there is none */
	assert_int_equal(vdpa_replay_next(&r, &pos, &m), -EINVAL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(count(VU_SET_VRING_KICK, &m), 1);
	close(fd);
}

/* Bytes that lie together are one message; what a driver has written goes with it. */
static void configuration_goes_with_its_driver(void **state)
{
	struct vu_msg m;

	(void)state;
	note_config(32, "\1", 1);
	note_config(33, "\2\3", 2);
	note_config(32, "\0", 1);
	assert_int_equal(count(VU_SET_CONFIG, &m), 1);
	assert_int_equal(m.p.config.off, 32);
	assert_int_equal(m.p.config.size, 3);
	assert_memory_equal(m.p.config.data, "\0\2\3", 3);
	note_config(255, "\7", 1);
	assert_int_equal(count(VU_SET_CONFIG, &m), 2);
	assert_int_equal(m.p.config.off, 255);
	note_config(255, "\7\7", 2); /* beyond its end */
	assert_int_equal(count(VU_SET_CONFIG, &m), 2);
	/* the guest pauses, and goes on from where it was */
	note_u64(VU_SET_STATUS, 0);
	note_ring(VU_SET_VRING_BASE, 0, 9);
	note_ring(VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(count(VU_SET_CONFIG, &m), 2);
	/* its driver begins anew */
	note_u64(VU_SET_STATUS, 0);
	note_ring(VU_SET_VRING_BASE, 0, 0);
	assert_int_equal(count(VU_SET_CONFIG, &m), 2);
	note_ring(VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(count(VU_SET_CONFIG, &m), 0);
}

static void a_region_of_ours_is_for_one_kind_of_ring(void **state)
{
	struct vu_msg region, m;

	(void)state;
	vu_msg_init(&region, VU_SET_INFLIGHT_FD, 0, sizeof(region.p.inflight));
	region.p.inflight.nqueues = 2;
	assert_false(vdpa_replay_wants_region(&r)); /* nobody knows what for */
	note_u64(VU_SET_FEATURES, 0);
	assert_true(vdpa_replay_wants_region(&r));
	assert_int_equal(vdpa_replay_note_region(&r, &region), 0);
	note_u64(VU_SET_FEATURES, 1);
	assert_false(vdpa_replay_wants_region(&r));
	note_u64(VU_SET_FEATURES, PACKED);
	assert_true(vdpa_replay_wants_region(&r));
	/* the front-end's is the front-end's business */
	assert_int_equal(vdpa_replay_note(&r, &region), 0);
	note_u64(VU_SET_FEATURES, 0);
	assert_int_equal(count(VU_SET_INFLIGHT_FD, &m), 1);
	note_ring(VU_SET_VRING_ENABLE, 1, 1);
	assert_int_equal(vdpa_replay_find_uncovered(&r), -1);
	note_ring(VU_SET_VRING_ENABLE, 2, 1);
	assert_int_equal(vdpa_replay_find_uncovered(&r), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_last_word_counts),
		CASE(rings_that_cannot_be_are_refused),
		CASE(fds_are_its_own),
		CASE(a_note_that_fails_changes_nothing),
		CASE(configuration_goes_with_its_driver),
		CASE(a_region_of_ours_is_for_one_kind_of_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
