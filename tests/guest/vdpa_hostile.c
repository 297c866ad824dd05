/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front-ends and drivers that lie, to a process of DPDK's with two of our devices: the one at VICTIM is tormented, the
 * client of the one at GOOD must not notice, and the process SERVER_PID neither dies nor keeps anything.
 */
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tests/integration/vu_frontend.h"
#include "vhost/virtq/virtio_spec.h"

#define SIZE	 64
#define WAIT_NS	 (20 * MONO_NS_PER_SEC)
#define OUTSIDE	 0xdead0000ull

#define PROTOCOL                                                                              \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_LOG_SHMFD) |                         \
	 VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_CONFIG) |                     \
	 VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) | VU_BIT(VU_PROTOCOL_F_STATUS))
#define FEATURES (FE_FEATURES | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))

static struct fe good;
static unsigned fds_alone, fds_before; /* of the server: with no front-end, and with the good one */

static const char *victim(void)
{
	return getenv("VICTIM");
}

static unsigned server_fds(void)
{
	char path[64];
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%s/fd", getenv("SERVER_PID"));
	d = opendir(path);
	if (!d)
		fail_msg("the server has died");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Hanging up is worked on a little later. */
static void server_is_as_before(const char *after)
{
	uint64_t end = mono_ns() + WAIT_NS;
	unsigned n;

	while ((n = server_fds()) != fds_before) {
		if (mono_ns() > end)
			fail_msg("after %s the server has %u files, %u before", after, n, fds_before);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void read_one(struct fe *fe, unsigned i)
{
	uint64_t end = mono_ns() + WAIT_NS;

	(void)fe_blk_submit(fe, i);
	while (!fe_blk_is_done(fe, i)) {
		if (mono_ns() > end)
			fail_msg("no answer");
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}

enum depth {
	ASKED, /* for features: before that rte_vhost is alone with the front-end */
	NEGOTIATED,
	SHARED,
	RUNNING,
	DEPTHS,
};

static void open_to(struct fe *fe, enum depth depth, uint64_t features)
{
	fe_open(fe, victim());
	(void)fe_get(fe, VU_GET_FEATURES);
	if (depth >= NEGOTIATED)
		fe_negotiate(fe, features, PROTOCOL);
	if (depth >= SHARED)
		fe_share(fe);
	if (depth >= RUNNING) {
		fe_start(fe, 0, SIZE);
		read_one(fe, 0);
	}
}

static int each(void **state)
{
	(void)state;
	fds_before = fds_alone;
	server_is_as_before("the test before");
	fe_open(&good, getenv("GOOD"));
	fe_negotiate(&good, FEATURES, PROTOCOL);
	fe_share(&good);
	fe_start(&good, 0, SIZE);
	read_one(&good, 0);
	fds_before = server_fds();
	return 0;
}

static int each_end(void **state)
{
	(void)state;
	server_is_as_before("this test");
	read_one(&good, 0);
	fe_close(&good);
	return 0;
}

/*
 * Rings, by hand
 */
static void put_desc(struct fe *fe, unsigned at, struct virtq_desc d)
{
	memcpy(fe->mem + at * sizeof(d), &d, sizeof(d));
}

static struct virtq_desc desc(uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	return (struct virtq_desc){
		.addr = le64_make(addr), .len = le32_make(len), .flags = le16_make(flags), .next = le16_make(next)
	};
}

/* What the next chain's head is, and that there are @n more of them. */
static void make_avail(struct fe *fe, uint16_t head, uint16_t n)
{
	struct virtq_avail *a = (struct virtq_avail *)(void *)(fe->mem + FE_AVAIL_OFF);
	uint16_t idx = le16_get(a->idx);
	uint64_t one = 1;

	a->ring[idx % SIZE] = le16_make(head);
	barrier_release();
	a->idx = le16_make((uint16_t)(idx + n));
	assert_int_equal(write(fe->q[0].kick, &one, sizeof(one)), sizeof(one));
}

static void bad_address(struct fe *fe)
{
	put_desc(fe, 0, desc(OUTSIDE, 16, 0, 0));
	make_avail(fe, 0, 1);
}

static void address_that_wraps(struct fe *fe)
{
	put_desc(fe, 0, desc(UINT64_MAX - 7, 16, 0, 0));
	make_avail(fe, 0, 1);
}

static void beyond_the_end_of_memory(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA + FE_MEM_BYTES - 8, 16, 0, 0));
	make_avail(fe, 0, 1);
}

static void four_gigabytes(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA, UINT32_MAX, 0, 0));
	make_avail(fe, 0, 1);
}

static void a_loop(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA + FE_BLK_HDR_OFF, 16, VIRTQ_DESC_F_NEXT, 1));
	put_desc(fe, 1, desc(FE_GPA + FE_BLK_DATA_OFF, 16, VIRTQ_DESC_F_NEXT, 0));
	make_avail(fe, 0, 1);
}

static void next_beyond_the_ring(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA + FE_BLK_HDR_OFF, 16, VIRTQ_DESC_F_NEXT, SIZE));
	make_avail(fe, 0, 1);
}

static void head_beyond_the_ring(struct fe *fe)
{
	make_avail(fe, SIZE, 1);
}

static void more_than_the_ring_holds(struct fe *fe)
{
	make_avail(fe, 0, SIZE + 1);
}

static void readable_behind_writable(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA + FE_BLK_HDR_OFF, 16, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 1));
	put_desc(fe, 1, desc(FE_GPA + FE_BLK_DATA_OFF, 16, 0, 0));
	make_avail(fe, 0, 1);
}

static void a_table_outside(struct fe *fe)
{
	put_desc(fe, 0, desc(OUTSIDE, 32, VIRTQ_DESC_F_INDIRECT, 0));
	make_avail(fe, 0, 1);
}

static void a_table_of_half_a_descriptor(struct fe *fe)
{
	put_desc(fe, 0, desc(FE_GPA + FE_BLK_DATA_OFF, 24, VIRTQ_DESC_F_INDIRECT, 0));
	make_avail(fe, 0, 1);
}

static void a_table_in_a_table(struct fe *fe)
{
	const struct virtq_desc inner = desc(FE_GPA + FE_BLK_DATA_OFF, 16, VIRTQ_DESC_F_INDIRECT, 0);

	memcpy(fe->mem + FE_BLK_DATA_OFF, &inner, sizeof(inner));
	put_desc(fe, 0, desc(FE_GPA + FE_BLK_DATA_OFF, 16, VIRTQ_DESC_F_INDIRECT, 0));
	make_avail(fe, 0, 1);
}

/* Each breaks its ring, and nothing else: the err fd says so, and starting it anew mends it. */
static void split_rings_that_lie(void **state)
{
	static void (*const lies[])(struct fe *fe) = {
		bad_address,	      address_that_wraps,	 beyond_the_end_of_memory,
		four_gigabytes,	      a_loop,			 next_beyond_the_ring,
		head_beyond_the_ring, more_than_the_ring_holds,	 readable_behind_writable,
		a_table_outside,      a_table_of_half_a_descriptor, a_table_in_a_table,
	};
	struct fe fe;

	(void)state;
	open_to(&fe, RUNNING, FEATURES);
	fe_start(&fe, 1, SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct pollfd p = { .fd = fe.q[0].err, .events = POLLIN };
		uint64_t n;

		lies[i](&fe);
		if (poll(&p, 1, 20000) != 1)
			fail_msg("lie %u does not break its ring", i);
		assert_int_equal(read(fe.q[0].err, &n, sizeof(n)), sizeof(n));
		read_one(&fe, 1);
		(void)fe_stop(&fe, 0);
		fe_start(&fe, 0, SIZE);
		read_one(&fe, 0);
		read_one(&good, 0);
	}
	fe_close(&fe);
}

static void packed_rings_that_lie(void **state)
{
	static const struct vqd_buf lies[][2] = {
		{ { .addr = OUTSIDE, .len = 16 }, { .addr = FE_GPA, .len = 1, .device_writes = true } },
		{ { .addr = UINT64_MAX - 7, .len = 16 }, { .addr = FE_GPA, .len = 1, .device_writes = true } },
		{ { .addr = FE_GPA, .len = UINT32_MAX }, { .addr = FE_GPA, .len = 1, .device_writes = true } },
		{ { .addr = FE_GPA, .len = 16 }, { .addr = OUTSIDE, .len = 1, .device_writes = true } },
	};
	struct fe fe;

	(void)state;
	open_to(&fe, RUNNING, FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		struct pollfd p = { .fd = fe.q[0].err, .events = POLLIN };
		uint64_t n;

		assert_int_equal(vqd_add(&fe.q[0].d, lies[i], 2, false, NULL), 0);
		(void)vqd_publish(&fe.q[0].d);
		if (poll(&p, 1, 20000) != 1)
			fail_msg("lie %u does not break its ring", i);
		assert_int_equal(read(fe.q[0].err, &n, sizeof(n)), sizeof(n));
		(void)fe_stop(&fe, 0);
		fe_start(&fe, 0, SIZE);
		read_one(&fe, 0);
	}
	fe_close(&fe);
}

/*
 * Messages
 */
static void sample_make(const struct fe *fe, uint32_t request, struct vu_msg *ret)
{
	const struct vu_shape *shape = vu_shape_find(request);

	vu_msg_init(ret, request, 0, shape ? shape->size_min : 0);
	ret->nfds = shape ? shape->fds_max : 0;
	for (unsigned i = 0; i < VU_FDS_MAX; i++)
		ret->fds[i] = fe->memfd;
	switch (request) {
	case VU_SET_MEM_TABLE:
		ret->p.table = (struct vu_mem_table){ .nregions = 1,
						      .regions = { { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } } };
		ret->h.size = 40;
		ret->nfds = 1;
		break;
	case VU_SET_LOG_BASE:
		ret->p.log.size = 4096;
		break;
	case VU_GET_CONFIG:
		ret->p.config.size = 8;
		ret->h.size += 8;
		break;
	case VU_GET_INFLIGHT_FD:
	case VU_SET_INFLIGHT_FD:
		ret->p.inflight = (struct vu_inflight){ 0x10000, 0, 2, SIZE, 0 };
		break;
	case VU_SET_VRING_NUM:
		ret->p.state.num = SIZE;
		break;
	case VU_SET_VRING_ADDR:
		fe_addr(fe, 0, &ret->p.addr);
		break;
	default:
		break;
	}
}

/* Does the connection still live? What it still has to say is thrown away. */
static bool lives(struct fe *fe)
{
	struct vu_msg m;

	if (!fe_send(fe, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0))
		return false;
	while (fe_receive(fe, &m)) {
		vu_msg_close_fds(&m);
		if (m.h.request == VU_GET_QUEUE_NUM)
			return true;
	}
	return false;
}

static void every_message_in_every_state(void **state)
{
	unsigned nlived = 0;

	(void)state;
	for (unsigned i = 0; i < (VU_REQUEST_COUNT + 1) * DEPTHS * 2; i++) {
		uint32_t flags = i & 1 ? VU_FLAG_NEED_REPLY : 0;
		struct vu_msg m;
		struct fe fe;

		open_to(&fe, i / 2 % DEPTHS, FEATURES);
		sample_make(&fe, i / (DEPTHS * 2), &m);
		for (unsigned twice = 0; twice < 2; twice++) {
			if (!fe_send(&fe, m.h.request, flags, &m.p, m.h.size, m.fds, m.nfds) || !lives(&fe))
				break;
			nlived++;
		}
		fe_close(&fe);
		read_one(&good, 0);
		server_is_as_before(vu_request_name(m.h.request));
	}
	assert_true(nlived > 100); /* most of it is legal somewhere */
}

static void lengths_and_fds_that_are_wrong(void **state)
{
	static const unsigned counts[] = { 0, 1, 2, 8 };

	(void)state;
	for (uint32_t r = 1; r < VU_REQUEST_COUNT; r++) {
		const struct vu_shape *shape = vu_shape_find(r);
		const uint32_t sizes[] = { 0, 1, shape ? shape->size_min - 1u : 0, 640 };

		for (unsigned i = 0; shape && i < ARRAY_SIZE(sizes) * ARRAY_SIZE(counts); i++) {
			uint32_t size = sizes[i / ARRAY_SIZE(counts)];
			struct vu_msg m;
			struct fe fe;

			/* rte_vhost 22.11 looks for the ring before anybody else, and loses the fds when there is none */
			if (r == VU_SET_INFLIGHT_FD)
				continue;
			open_to(&fe, SHARED, FEATURES);
			sample_make(&fe, r, &m);
			if (size <= VU_PAYLOAD_BYTES_MAX)
				(void)fe_send(&fe, r, VU_FLAG_NEED_REPLY, &m.p, size, m.fds,
					      counts[i % ARRAY_SIZE(counts)]);
			(void)lives(&fe);
			fe_close(&fe);
		}
		read_one(&good, 0);
		server_is_as_before(vu_request_name(r));
	}
}

/* Rings beyond the device, regions that cannot be, rings outside of memory. */
static void well_formed_messages_that_lie(void **state)
{
	static const struct vu_region regions[] = {
		{ FE_GPA, 0, FE_UVA, 0 },
		{ FE_GPA, FE_MEM_BYTES + 4096, FE_UVA, 0 },
		{ FE_GPA, FE_MEM_BYTES, FE_UVA, 4096 },
		{ FE_GPA, 4096, FE_UVA, 1ull << 63 },
		{ UINT64_MAX - 4095, 8192, FE_UVA, 0 },
		{ FE_GPA, 1ull << 62, FE_UVA, 0 },
	};
	struct fe fe;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++) {
		struct vu_mem_table t = { .nregions = 1, .regions = { regions[i] } };

		open_to(&fe, SHARED, FEATURES);
		assert_int_not_equal(fe_ask(&fe, VU_SET_MEM_TABLE, &t, 40, &fe.memfd, 1), 0);
		fe_close(&fe);
	}
	for (unsigned i = 8; i < 256; i += 31) {
		open_to(&fe, SHARED, FEATURES);
		assert_int_not_equal(fe_ask_state(&fe, VU_SET_VRING_NUM, i, SIZE), 0);
		fe_close(&fe);
		open_to(&fe, SHARED, FEATURES);
		(void)fe_send(&fe, VU_GET_VRING_BASE, 0, &(struct vu_vring_state){ i, 0 }, 8, NULL, 0);
		assert_false(lives(&fe));
		fe_close(&fe);
	}
	/* a ring outside of memory never starts, and the others do */
	open_to(&fe, RUNNING, FEATURES);
	{
		struct vu_vring_addr a;

		fe_addr(&fe, 1, &a);
		a.used = 0x1000;
		(void)fe_ask_state(&fe, VU_SET_VRING_NUM, 1, SIZE);
		(void)fe_ask(&fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
		(void)lives(&fe);
	}
	fe_close(&fe);
}

static void a_thousand_times(void **state)
{
	static const uint32_t requests[] = { VU_GET_INFLIGHT_FD, VU_SET_MEM_TABLE, VU_SET_VRING_NUM, VU_SET_LOG_BASE };
	unsigned fds = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		struct vu_msg m;
		struct fe fe;

		open_to(&fe, SHARED, FEATURES);
		sample_make(&fe, requests[i], &m);
		for (unsigned n = 0; n < 1000; n++) {
			assert_true(fe_ask(&fe, requests[i], &m.p, m.h.size, m.fds, m.nfds) >= 0);
			if (n == 10) {
				assert_true(lives(&fe)); /* the fd of the last answer is closed */
				fds = server_fds();
			}
		}
		assert_true(lives(&fe));
		assert_int_equal(server_fds(), fds);
		fe_close(&fe);
	}
}

/* The first front-end of a socket still finds the application's features; asking for the protocol's widens them. */
static int widen(void **state)
{
	const char *const paths[] = { victim(), getenv("GOOD") };

	(void)state;
	fds_alone = server_fds();
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		struct fe fe;

		fe_open(&fe, paths[i]);
		(void)fe_get(&fe, VU_GET_FEATURES);
		(void)fe_get(&fe, VU_GET_PROTOCOL_FEATURES);
		fe_close(&fe);
	}
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, each, each_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(split_rings_that_lie),	  T(packed_rings_that_lie),
		T(every_message_in_every_state),  T(lengths_and_fds_that_are_wrong),
		T(well_formed_messages_that_lie), T(a_thousand_times),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, widen, NULL);
}
