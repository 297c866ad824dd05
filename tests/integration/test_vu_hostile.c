/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Well-formed messages that lie: memory, rings, log and inflight area as an attacker would describe
 * them. Each ends in a refusal and a closed connection, and the client of another device must not
 * have noticed.
 */
#include <fcntl.h>
#include <poll.h>
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
#include "vhost/virtq/vqi.h"

static struct fe good;

static int each(void **state)
{
	int rc = fixture_each(state);

	fe_good(&good, rig.path[1]);
	return rc;
}

static int each_end(void **state)
{
	fe_io(&good, 0);
	fe_close(&good);
	return fixture_each_end_noisy(state);
}

static void open_shared(struct fe *fe)
{
	fe_open(fe, rig.path[0]);
	fe_negotiate(fe, FE_FEATURES, FE_PROTOCOL);
	fe_share(fe);
}

/* The answer was "no" (or none), and the connection is closed. */
static void assert_refused(struct fe *fe, int64_t answer)
{
	struct vu_msg m;

	assert_int_not_equal(answer, 0);
	if (answer > 0)
		assert_int_equal(fe_receive(fe, &m), 0);
	fe_close(fe);
	rig_wait_free(&rig, 0);
	fe_io(&good, 0);
}

/* CVE-2026-86561: what is mapped is checked against the file before. */
static void regions_that_cannot_be(void **state)
{
	static const struct vu_region rows[] = {
		{ FE_GPA, 0, FE_UVA, 0 },		     /* empty */
		{ FE_GPA, FE_MEM_BYTES + 4096, FE_UVA, 0 },  /* beyond the file */
		{ FE_GPA, FE_MEM_BYTES, FE_UVA, 4096 },	     /* the same by offset */
		{ FE_GPA, 4096, FE_UVA, UINT64_MAX - 4095 }, /* offset wraps */
		{ FE_GPA, 4096, FE_UVA, 1ull << 63 },	     /* negative */
		{ UINT64_MAX - 4095, 8192, FE_UVA, 0 },	     /* gpa wraps */
		{ FE_GPA, 8192, UINT64_MAX - 4095, 0 },	     /* uva wraps */
		{ FE_GPA, UINT64_MAX, FE_UVA, 0 },	     /* everything */
		{ FE_GPA, 1ull << 62, FE_UVA, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		struct vu_mem_table t = { .nregions = 1, .regions = { rows[i / 2] } };
		struct vu_mem_reg m = { .region = rows[i / 2] };
		struct fe fe;

		fe_open(&fe, rig.path[0]);
		fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
		assert_refused(&fe,
			       i & 1 ? fe_ask(&fe, VU_SET_MEM_TABLE, &t, 40, &fe.memfd, 1)
				     : fe_ask(&fe, VU_ADD_MEM_REG, &m, sizeof(m), &fe.memfd, 1));
	}
}

static void tables_that_contradict_themselves(void **state)
{
	static const struct {
		uint32_t nregions, bytes;
		unsigned nfds;
		struct vu_region second;
	} rows[] = {
		{ 2, 72, 2, { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } },	      /* twice the same */
		{ 2, 72, 2, { FE_GPA + FE_MEM_BYTES - 1, 4096, 0x1000, 0 } }, /* overlap in gpa */
		{ 2, 72, 2, { 0x1000, 4096, FE_UVA + 4096, 0 } },	      /* overlap in uva */
		{ 2, 72, 1, { 0x1000, 4096, 0x1000, 0 } },		      /* an fd is missing */
		{ 2, 72, 3, { 0x1000, 4096, 0x1000, 0 } },		      /* one too many */
		{ 2, 40, 2, { 0x1000, 4096, 0x1000, 0 } }, /* payload too short */
		{ 9, 264, 8, { 0x1000, 4096, 0x1000, 0 } },
		{ UINT32_MAX, 264, 8, { 0x1000, 4096, 0x1000, 0 } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vu_mem_table t = { .nregions = rows[i].nregions,
					  .regions = { { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 },
						       rows[i].second } };
		struct fe fe;
		int fds[8];

		open_shared(&fe);
		for (unsigned k = 0; k < 8; k++)
			fds[k] = fe.memfd;
		assert_refused(&fe,
			       fe_ask(&fe, VU_SET_MEM_TABLE, &t, rows[i].bytes, fds, rows[i].nfds));
	}
}

static void memory_from_what_is_no_memory(void **state)
{
	const struct vu_mem_reg m = { .region = { 0x1000, 4096, 0x1000, 0 } };
	const char *const paths[] = { "/dev/null", "/dev/zero", "/proc/self/maps", "/" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask(&fe, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1));
		close(fd);
	}
}

static void a_region_that_is_not_there_is_not_removed(void **state)
{
	static const struct vu_region rows[] = { { FE_GPA, FE_MEM_BYTES, FE_UVA + 1, 0 },
						 { FE_GPA, FE_MEM_BYTES - 1, FE_UVA, 0 },
						 { FE_GPA + 1, FE_MEM_BYTES, FE_UVA, 0 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vu_mem_reg m = { .region = rows[i] };
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask(&fe, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0));
	}
}

/* CVE-2020-10723, rust-vmm/vhost#212: the index is bounded on every ring message, in all its bits.
 */
static void ring_indexes_beyond_the_device(void **state)
{
	static const uint32_t states[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
					   VU_SET_VRING_ENABLE };
	static const uint32_t files[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };

	(void)state;
	for (unsigned bit = 3; bit < 32; bit++) {
		struct vu_vring_addr a;
		struct fe fe;

		for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
			open_shared(&fe);
			assert_refused(&fe, fe_ask_state(&fe, states[i], 1u << bit, 1));
		}
		open_shared(&fe);
		fe_addr(&fe, 0, &a);
		a.index = 1u << bit;
		assert_refused(&fe, fe_ask(&fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
	}
	for (unsigned v = RIG_QUEUES; v < 65536; v = v < 1024 ? v + 1 : v * 2 + 1) {
		for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
			bool legal = (v & 0xff) < RIG_QUEUES && v < 512;
			struct fe fe;

			open_shared(&fe);
			if (legal) /* 256 … 263: index and "no fd" */
				assert_int_equal(fe_ask_u64(&fe, files[i], v), 0);
			if (legal)
				fe_close(&fe);
			else
				assert_refused(&fe, fe_ask_u64(&fe, files[i], v));
			rig_wait_free(&rig, 0);
		}
	}
}

static void notification_fds_that_cannot_notify(void **state)
{
	static const uint32_t files[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		const char *const paths[] = { "/dev/zero", "/", "/proc/self/maps" };

		for (unsigned k = 0; k < ARRAY_SIZE(paths); k++) {
			int fd = open(paths[k], O_RDONLY | O_CLOEXEC);
			uint64_t v = 0;
			struct fe fe;

			open_shared(&fe);
			assert_refused(&fe, fe_ask(&fe, files[i], &v, 8, &fd, 1));
			close(fd);
			/* the flag and the fds contradict each other */
			open_shared(&fe);
			v = VU_VRING_NOFD;
			assert_refused(&fe, fe_ask(&fe, files[i], &v, 8, &fe.memfd, 1));
			open_shared(&fe);
			assert_refused(&fe, fe_ask_u64(&fe, files[i], 0));
		}
	}
}

static void ring_sizes_that_cannot_be(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 96, 1023, 1025, 2048, 65536, 65600, UINT32_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_NUM, 0, sizes[i]));
	}
}

/* crosvm b/251802307: each part of the ring lies in memory as a whole, and on its boundary. */
static void ring_addresses_that_cannot_be(void **state)
{
	const uint64_t end = FE_UVA + FE_MEM_BYTES;
	const struct {
		uint64_t desc, avail, used;
	} rows[] = {
		{ FE_UVA + 8, FE_UVA + 0x8000, FE_UVA + 0xa000 }, /* not aligned */
		{ FE_UVA, FE_UVA + 0x8001, FE_UVA + 0xa000 },
		{ FE_UVA, FE_UVA + 0x8000, FE_UVA + 0xa002 },
		{ end - 64 * 16 + 16, FE_UVA + 0x8000, FE_UVA + 0xa000 }, /* over the end */
		{ FE_UVA, end - 128, FE_UVA + 0xa000 },
		{ FE_UVA, FE_UVA + 0x8000, end - 512 },
		{ end, FE_UVA + 0x8000, FE_UVA + 0xa000 }, /* behind it */
		{ 0, 0, 0 },
		{ FE_UVA - 16, FE_UVA + 0x8000, FE_UVA + 0xa000 },
		{ UINT64_MAX - 15, FE_UVA + 0x8000, FE_UVA + 0xa000 }, /* wraps */
		{ FE_UVA, UINT64_MAX - 1, FE_UVA + 0xa000 },
		{ FE_GPA, FE_GPA + 0x8000, FE_GPA + 0xa000 }, /* guest addresses */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vu_vring_addr a = { .desc = rows[i].desc,
					   .avail = rows[i].avail,
					   .used = rows[i].used };
		struct fe fe;

		open_shared(&fe);
		assert_int_equal(fe_ask_state(&fe, VU_SET_VRING_NUM, 0, 64), 0);
		assert_int_equal(fe_ask(&fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0), 0);
		assert_int_equal(fe_ask_u64(&fe, VU_SET_VRING_KICK, VU_VRING_NOFD), 0);
		assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1));
	}
}

/* A position that the ring's memory contradicts: refused, or the queue breaks by itself; never
 * more. */
static void positions_from_nowhere(void **state)
{
	static const uint32_t bases[] = { 1, 63, 65, 0x7fff, 0xffff };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		struct fe fe;

		open_shared(&fe);
		fe_describe(&fe, 0, 64, bases[i]);
		assert_int_equal(fe_ask_u64(&fe, VU_SET_VRING_KICK, VU_VRING_NOFD), 0);
		(void)fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_BASE, 0, 0x10000u << i * 15));
	}
}

static void running_rings_are_not_described_anew(void **state)
{
	struct vu_vring_addr a;
	struct fe fe;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		fe_good(&fe, rig.path[0]);
		fe_addr(&fe, 1, &a);
		a.index = 0;
		if (i == 0)
			assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_NUM, 0, 128));
		else if (i == 1)
			assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_BASE, 0, 0));
		else if (i == 2)
			assert_refused(&fe, fe_ask(&fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0));
		else
			assert_refused(&fe, fe_ask_u64(&fe, VU_SET_FEATURES, 0));
	}
}

/* CVE-2020-10722: offset + size of the log must not wrap, nor leave the file. */
static void logs_that_cannot_be(void **state)
{
	static const struct vu_log rows[] = {
		{ 0, 0 },
		{ FE_MEM_BYTES + 1, 0 },
		{ 4096, FE_MEM_BYTES - 4095 },
		{ 4096, UINT64_MAX - 4095 },
		{ UINT64_MAX, 4096 },
		{ UINT64_MAX - 4095, 8192 },
		{ 1ull << 63, 1ull << 63 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask(&fe, VU_SET_LOG_BASE, &rows[i], 16, &fe.memfd, 1));
	}
}

/* A log that is too small for the memory: what lies beyond it is not marked, and nothing else is
 * written. */
static void a_log_too_small_for_the_memory(void **state)
{
	const struct vu_log l = { 1, 0 };
	struct vu_msg m;
	struct fe fe;
	int fd = memfd_create("log", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 1), 0);
	fe_good(&fe, rig.path[0]);
	assert_true(fe_send(&fe, VU_SET_LOG_BASE, 0, &l, sizeof(l), &fd, 1));
	assert_int_equal(fe_receive(&fe, &m), 1);
	assert_int_equal(
		fe_ask_u64(&fe, VU_SET_FEATURES, FE_FEATURES | VIRTIO_BIT(VHOST_F_LOG_ALL)), 0);
	for (unsigned n = 0; n < 100; n++)
		fe_io(&fe, 0);
	close(fd);
	fe_close(&fe);
}

/*
 * Inflight
 */
/* CVE-2021-3839 */
static void inflight_areas_that_cannot_be(void **state)
{
	static const struct vu_inflight rows[] = {
		{ 0x10000, 0, 0, 64, 0 },
		{ 0x10000, 0, RIG_QUEUES + 1, 64, 0 },
		{ 0x10000, 0, UINT16_MAX, 64, 0 },
		{ 0x10000, 0, 2, 0, 0 },
		{ 0x10000, 0, 2, 1025, 0 },
		{ 0x100000, 0, 2, UINT16_MAX, 0 },
		{ 0, 0, 2, 64, 0 },
		{ 64, 0, 2, 64, 0 },		   /* too small for that */
		{ FE_MEM_BYTES + 1, 0, 2, 64, 0 }, /* beyond the file */
		{ 0x10000, FE_MEM_BYTES - 0xf000, 2, 64, 0 },
		{ 0x10000, UINT64_MAX - 0x7fff, 2, 64, 0 }, /* wraps */
		{ UINT64_MAX, 0x10000, 2, 64, 0 },
		{ 0x10000, 4, 2, 64, 0 }, /* not aligned */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fe fe;

		open_shared(&fe);
		assert_refused(&fe, fe_ask(&fe, VU_SET_INFLIGHT_FD, &rows[i], sizeof(rows[i]),
					   &fe.memfd, 1));
		if (rows[i].nqueues == 2 && rows[i].queue_size == 64)
			continue; /* those sizes and offsets are answers, not questions */
		open_shared(&fe);
		assert_refused(&fe,
			       fe_ask(&fe, VU_GET_INFLIGHT_FD, &rows[i], sizeof(rows[i]), NULL, 0));
	}
}

static void start_on(struct fe *fe, const struct vu_inflight *d, int fd, uint16_t size)
{
	assert_int_equal(fe_ask(fe, VU_SET_INFLIGHT_FD, d, sizeof(*d), &fd, 1), 0);
	fe_share(fe);
	fe_describe(fe, 0, size, fe->features >> VIRTIO_F_RING_PACKED & 1 ? 0x80008000u : 0);
	assert_int_equal(fe_ask_u64(fe, VU_SET_VRING_KICK, VU_VRING_NOFD), 0);
}

/* CVE-2026-86565: an area for small rings, then a large one. */
static void a_ring_larger_than_its_inflight_area(void **state)
{
	const struct vu_inflight d = { 4096, 0, 2, 16, 0 };
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL);
	start_on(&fe, &d, fe.memfd, 1024);
	assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1));
}

/* An area measured for split rings, then packed ones are negotiated. */
static void a_packed_ring_on_a_split_area(void **state)
{
	const struct vu_inflight d = { 2 * 1088, 0, 2, 64, 0 };
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED), FE_PROTOCOL);
	start_on(&fe, &d, fe.memfd, 64);
	fe_describe(&fe, 1, 64, 0x80008000u);
	assert_int_equal(fe_ask_u64(&fe, VU_SET_VRING_KICK, VU_VRING_NOFD | 1), 0);
	assert_refused(&fe, fe_ask_state(&fe, VU_SET_VRING_ENABLE, 1, 1));
}

/* qemu work item 3974: an area full of noise is refused or harmless, whatever it says. */
static void forged_inflight_areas(void **state)
{
	const struct vu_inflight d = { 0x10000, FE_MEM_BYTES / 2, 1, 64, 0 };
	unsigned refused = 0;

	(void)state;
	srandom(1);
	for (unsigned n = 0; n < 600; n++) {
		bool packed = n & 1;
		struct vqi_split *r;
		struct fe fe;
		uint8_t *bytes;

		fe_open(&fe, rig.path[0]);
		fe_negotiate(&fe, FE_FEATURES | (packed ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0),
			     FE_PROTOCOL);
		bytes = (uint8_t *)fe.mem + FE_MEM_BYTES / 2;
		vqi_format(bytes, packed, 64, 0);
		for (unsigned k = 0; k < 1 + n / 20; k++)
			bytes[(unsigned)random() % (n % 3 ? 2048 : 48)] = (uint8_t)random();
		r = (struct vqi_split *)bytes; /* the head is common to both */
		r->version = 1;
		r->desc_num = 64;
		start_on(&fe, &d, fe.memfd, 64);
		refused += fe_ask_state(&fe, VU_SET_VRING_ENABLE, 0, 1) != 0;
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
	assert_in_range(refused, 1, 599);
}

static void features_that_were_not_offered(void **state)
{
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	assert_true(fe_send(&fe, VU_SET_OWNER, 0, NULL, 0, NULL, 0));
	assert_int_equal(fe_ask_u64(&fe, VU_SET_PROTOCOL_FEATURES, VU_BIT(VU_PROTOCOL_F_REPLY_ACK)),
			 0);
	assert_refused(&fe, fe_ask_u64(&fe, VU_SET_FEATURES, 1ull << 60));
	fe_open(&fe, rig.path[0]);
	assert_true(
		fe_send(&fe, VU_SET_PROTOCOL_FEATURES, 0, &(uint64_t){ UINT64_MAX }, 8, NULL, 0));
	assert_refused(&fe, -1);
	/* one that needs another */
	fe_open(&fe, rig.path[0]);
	assert_true(fe_send(&fe, VU_SET_PROTOCOL_FEATURES, 0,
			    &(uint64_t){ VU_BIT(VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT) }, 8, NULL,
			    0));
	assert_refused(&fe, -1);
}

/* A ring whose driver lies breaks alone: its err fd says so, the connection and the other rings go
 * on. */
static void a_lying_driver_breaks_its_ring_only(void **state)
{
	struct vqd_buf bufs[2] = { { .addr = 0xdead0000, .len = 8 },
				   { .addr = FE_GPA, .len = 8, .device_writes = true } };
	struct vu_session_info info;
	struct pollfd p;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	fe_start(&fe, 1, 64);
	p = (struct pollfd){ .fd = fe.q[0].err, .events = POLLIN };
	assert_int_equal(vqd_add(&fe.q[0].d, bufs, 2, false, NULL), 0);
	(void)vqd_publish(&fe.q[0].d);
	assert_int_equal(poll(&p, 1, 10000), 1);
	fe_io(&fe, 1);
	rig_info(&rig, 0, &info);
	assert_true(info.queues[0].broken && !info.queues[1].broken);
	assert_int_not_equal(info.queues[0].why[0], 0);
	vu_session_info_fini(&info);
	/* a reset of the ring mends it */
	(void)fe_stop(&fe, 0);
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	fe_close(&fe);
}

/* Full, and whoever writes waits: the open file is the front-end's as well. */
static void make_it_block(int fd)
{
	const uint64_t full = UINT64_MAX - 1;
	uint64_t old;

	(void)!read(fd, &old, sizeof(old));
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
}

/* Is a queue of server 0 on the reactor of server 1's first one? */
static bool shares_the_reactor(void)
{
	struct vu_session_info bad, honest;
	bool shares = false;

	rig_info(&rig, 0, &bad);
	rig_info(&rig, 1, &honest);
	for (unsigned i = 0; i < bad.nqueues; i++)
		shares |= bad.queues[i].reactor_id == honest.queues[0].reactor_id;
	vu_session_info_fini(&bad);
	vu_session_info_fini(&honest);
	return shares;
}

static void assert_closed_for_blocking(struct fe *fe, unsigned nerrors)
{
	const char *last;
	struct vu_msg m;

	assert_int_equal(fe_receive(fe, &m), 0);
	fe_close(fe);
	rig_wait_free(&rig, 0);
	assert_int_equal(rig_errors(&last), nerrors);
	assert_non_null(strstr(last, "O_NONBLOCK"));
	/* the next front-end is served */
	fe_good(fe, rig.path[0]);
	fe_close(fe);
}

/* An eventfd knows no write that never waits. All its queues try it, so that each reactor is hit. */
static void a_call_fd_that_blocks_holds_up_nobody(void **state)
{
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned i = 1; i < RIG_QUEUES; i++) {
		fe_start(&fe, i, 64);
		fe_io(&fe, i);
	}
	(void)fe_get(&fe, VU_GET_FEATURES); /* all that came before is done */
	assert_true(shares_the_reactor());
	for (unsigned i = 0; i < RIG_QUEUES; i++)
		make_it_block(fe.q[i].call);
	for (unsigned i = 0; i < RIG_QUEUES; i++) {
		(void)vqd_call_enable(&fe.q[i].d);
		fe_submit(&fe, i);
	}
	for (unsigned n = 0; n < 100; n++)
		fe_io(&good, 0);
	assert_closed_for_blocking(&fe, 1);
}

/* The last flush of a queue that is stopped is no way round it. */
static void a_call_fd_that_blocks_as_the_queue_stops(void **state)
{
	struct vu_vring_state off = { 0, 0 };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	rig_hold(&rig, 0);
	(void)vqd_call_enable(&fe.q[0].d);
	fe_submit(&fe, 0);
	fixture_wait_held(1);
	make_it_block(fe.q[0].call);
	assert_true(fe_send(&fe, VU_SET_VRING_ENABLE, 0, &off, sizeof(off), NULL, 0));
	rig_release(&rig, 0);
	fe_io(&good, 0);
	assert_closed_for_blocking(&fe, 1);
}

/* The err fd is written by the control thread, which serves all sockets. */
static void an_err_fd_that_blocks_holds_up_nobody(void **state)
{
	struct vqd_buf lie = { .addr = 0xdead0000, .len = 8 };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	make_it_block(fe.q[0].err);
	assert_int_equal(vqd_add(&fe.q[0].d, &lie, 1, false, NULL), 0);
	(void)vqd_publish(&fe.q[0].d);
	assert_closed_for_blocking(&fe, 2); /* the ring breaks first */
}

/* What such a ring had in flight stands in its inflight area, and is not to break the next one. */
static void a_broken_ring_is_forgotten(void **state)
{
	const struct vu_inflight d = { 0x10000, FE_MEM_BYTES / 4 * 3, 1, 64, 0 };
	struct vqd_buf bufs[2] = { { .addr = 0xdead0000, .len = 8 },
				   { .addr = FE_GPA, .len = 8, .device_writes = true } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p;
		struct fe fe;

		fe_open(&fe, rig.path[0]);
		fe_negotiate(&fe, FE_FEATURES | (i ? VIRTIO_BIT(VIRTIO_F_RING_PACKED) : 0),
			     FE_PROTOCOL | VU_BIT(VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT));
		assert_int_equal(fe_ask(&fe, VU_SET_INFLIGHT_FD, &d, sizeof(d), &fe.memfd, 1), 0);
		fe_share(&fe);
		fe_start(&fe, 0, 64);
		p = (struct pollfd){ .fd = fe.q[0].err, .events = POLLIN };
		for (unsigned n = 0; n < 3; n++)
			assert_int_equal(vqd_add(&fe.q[0].d, bufs, 2, false, NULL), 0);
		(void)vqd_publish(&fe.q[0].d);
		assert_int_equal(poll(&p, 1, 10000), 1);
		(void)fe_stop(&fe, 0);
		fe_start(&fe, 0, 64);
		fe_io(&fe, 0);
		fe_close(&fe);
		rig_wait_free(&rig, 0);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, each, each_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(regions_that_cannot_be),
		T(tables_that_contradict_themselves),
		T(memory_from_what_is_no_memory),
		T(a_region_that_is_not_there_is_not_removed),
		T(ring_indexes_beyond_the_device),
		T(notification_fds_that_cannot_notify),
		T(ring_sizes_that_cannot_be),
		T(ring_addresses_that_cannot_be),
		T(positions_from_nowhere),
		T(running_rings_are_not_described_anew),
		T(logs_that_cannot_be),
		T(a_log_too_small_for_the_memory),
		T(inflight_areas_that_cannot_be),
		T(a_ring_larger_than_its_inflight_area),
		T(a_packed_ring_on_a_split_area),
		T(forged_inflight_areas),
		T(features_that_were_not_offered),
		T(a_lying_driver_breaks_its_ring_only),
		T(a_call_fd_that_blocks_holds_up_nobody),
		T(a_call_fd_that_blocks_as_the_queue_stops),
		T(an_err_fd_that_blocks_holds_up_nobody),
		T(a_broken_ring_is_forgotten),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
