/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory comes, goes and is cut anew while rings run. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "tests/integration/vu_fixture.h"

#define DIMM_GPA   0x100000000ull
#define DIMM_UVA   0x600000000000ull
#define DIMM_BYTES 0x10000u

/* A second piece of memory, as a DIMM: a file of its own. */
struct dimm {
	struct vu_region r;
	int fd;
	char *mem;
};

static void dimm_plug(struct dimm *d, unsigned i)
{
	d->r = (struct vu_region){ DIMM_GPA + (uint64_t)i * DIMM_BYTES, DIMM_BYTES,
				   DIMM_UVA + (uint64_t)i * DIMM_BYTES, 0 };
	d->fd = memfd_create("dimm", MFD_CLOEXEC);
	assert_int_equal(ftruncate(d->fd, DIMM_BYTES), 0);
	d->mem = mmap(NULL, DIMM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	assert_ptr_not_equal(d->mem, MAP_FAILED);
}

static void dimm_unplug(struct dimm *d)
{
	munmap(d->mem, DIMM_BYTES);
	close(d->fd);
}

static int64_t dimm_add(struct fe *fe, const struct dimm *d)
{
	const struct vu_mem_reg m = { .region = d->r };

	return fe_ask(fe, VU_ADD_MEM_REG, &m, sizeof(m), &d->fd, 1);
}

static int64_t dimm_rem(struct fe *fe, const struct dimm *d)
{
	const struct vu_mem_reg m = { .region = d->r };

	return fe_ask(fe, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0);
}

/* One request whose buffers lie in @d; the last byte of the answer is the DIMM's last. */
static void dimm_submit(struct fe *fe, unsigned i, const struct dimm *d)
{
	const struct vqd_buf bufs[2] = {
		{ .addr = d->r.gpa, .len = 8 },
		{ .addr = d->r.gpa + DIMM_BYTES - 8, .len = 8, .device_writes = true },
	};
	const uint64_t v = 41;

	memcpy(d->mem, &v, 8);
	memset(d->mem + DIMM_BYTES - 8, 0, 8);
	assert_int_equal(vqd_add(&fe->q[i].d, bufs, 2, false, NULL), 0);
	(void)vqd_publish(&fe->q[i].d);
}

struct answer {
	struct fe *fe;
	unsigned i;
};

static bool is_answered(void *arg)
{
	struct answer *a = arg;
	uint32_t written;
	void *cookie;
	int err = 0;

	return vqd_get(&a->fe->q[a->i].d, &cookie, &written, &err);
}

static void dimm_complete(struct fe *fe, unsigned i, const struct dimm *d)
{
	struct answer a = { fe, i };
	uint64_t v;

	rig_wait(is_answered, &a);
	memcpy(&v, d->mem + DIMM_BYTES - 8, 8);
	assert_int_equal(v, 42);
}

static void added_memory_is_used_at_once(void **state)
{
	struct dimm d[40];
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		dimm_plug(&d[i], i);
		fe_submit(&fe, 0);
		assert_int_equal(dimm_add(&fe, &d[i]), 0);
		fe_complete(&fe, 0);
		dimm_submit(&fe, 0, &d[i]);
		dimm_complete(&fe, 0, &d[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(d); i++) {
		assert_int_equal(dimm_rem(&fe, &d[i]), 0);
		fe_io(&fe, 0);
		dimm_unplug(&d[i]);
	}
	fe_close(&fe);
}

/* I/O in flight in one region: that region's removal waits, everything else does not. */
static void removal_waits_for_its_own_io_only(void **state)
{
	struct vu_mem_reg m;
	struct dimm d[3];
	struct vu_msg reply;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	for (unsigned i = 0; i < 2; i++) {
		dimm_plug(&d[i], i);
		assert_int_equal(dimm_add(&fe, &d[i]), 0);
	}
	dimm_plug(&d[2], 2);
	rig_hold(&rig, 0);
	dimm_submit(&fe, 0, &d[0]);
	fixture_wait_held(1);
	assert_int_equal(dimm_add(&fe, &d[2]), 0);
	assert_int_equal(dimm_rem(&fe, &d[1]), 0);
	m = (struct vu_mem_reg){ .region = d[0].r };
	assert_true(fe_send(&fe, VU_REM_MEM_REG, VU_FLAG_NEED_REPLY, &m, sizeof(m), NULL, 0));
	assert_true(fe_is_silent(&fe));
	rig_release(&rig, 0);
	assert_int_equal(fe_receive(&fe, &reply), 1);
	assert_int_equal(reply.p.u64, 0);
	dimm_complete(&fe, 0, &d[0]);
	fe_io(&fe, 0);
	for (unsigned i = 0; i < 3; i++)
		dimm_unplug(&d[i]);
	fe_close(&fe);
}

/* SET_MEM_TABLE with what is there already: no wait, no new mapping, also with I/O in flight in it.
 */
static void a_repeated_table_keeps_its_maps(void **state)
{
	struct vu_mem_table t = { .nregions = 1,
				  .regions = { { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } } };
	int fds[2];
	struct dimm d;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	dimm_plug(&d, 0);
	fds[0] = fe.memfd;
	fds[1] = d.fd;
	t.regions[1] = d.r;
	rig_hold(&rig, 0);
	fe_submit(&fe, 0);
	fixture_wait_held(1);
	for (unsigned i = 0; i < 50; i++) {
		t.nregions = 1 + (i & 1);
		assert_int_equal(
			fe_ask(&fe, VU_SET_MEM_TABLE, &t, 8 + 32 * t.nregions, fds, t.nregions), 0);
	}
	rig_release(&rig, 0);
	fe_complete(&fe, 0);
	dimm_submit(&fe, 0, &d);
	dimm_complete(&fe, 0, &d);
	dimm_unplug(&d);
	fe_close(&fe);
}

static void five_hundred_and_nine_slots(void **state)
{
	struct vu_mem_reg m = { 0 };
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	assert_int_equal(fe_get(&fe, VU_GET_MAX_MEM_SLOTS), 509);
	for (unsigned i = 0; i < 510; i++) {
		m.region = (struct vu_region){ DIMM_GPA + i * 0x2000ull, 0x1000,
					       DIMM_UVA + i * 0x2000ull, i * 0x1000ull };
		assert_int_equal(fe_ask(&fe, VU_ADD_MEM_REG, &m, sizeof(m), &fe.memfd, 1),
				 i >= 508);
	}
	fe_io(&fe, 0); /* the refusal has left everything as it was */
	for (unsigned i = 0; i < 508; i++) {
		m.region = (struct vu_region){ DIMM_GPA + i * 0x2000ull, 0x1000,
					       DIMM_UVA + i * 0x2000ull, 0 };
		/* peers pass an fd here, against the specification: it is closed */
		assert_int_equal(fe_ask(&fe, VU_REM_MEM_REG, &m, sizeof(m), &fe.memfd, i & 1), 0);
	}
	fe_io(&fe, 0);
	fe_close(&fe);
}

/* The table is cut anew round the rings (QEMU: a ROM area appears): the queue moves and goes on. */
static void rings_move_with_their_region(void **state)
{
	struct vu_mem_table t = { .nregions = 2,
				  .regions = { { FE_GPA, 0x100000, FE_UVA, 0 },
					       { FE_GPA + 0x100000, FE_MEM_BYTES - 0x100000,
						 FE_UVA + 0x100000, 0x100000 } } };
	struct fe fe;
	int fds[2];

	(void)state;
	fe_good(&fe, rig.path[0]);
	fds[0] = fds[1] = fe.memfd;
	for (unsigned i = 0; i < 20; i++) {
		fe_submit(&fe, 0);
		assert_int_equal(fe_ask(&fe, VU_SET_MEM_TABLE, &t, 8 + 64, fds, 2), 0);
		fe_complete(&fe, 0);
		fe_submit(&fe, 0);
		fe_share(&fe);
		fe_complete(&fe, 0);
	}
	fe_close(&fe);
}

/* CVE-2026-86567's class: the memory of running rings is taken away. */
static void rings_without_memory_break_and_come_back(void **state)
{
	const struct vu_mem_reg m = { .region = { FE_GPA, FE_MEM_BYTES, FE_UVA, 0 } };
	struct vu_session_info info;
	struct pollfd p;
	struct fe fe;

	(void)state;
	fe_good(&fe, rig.path[0]);
	p = (struct pollfd){ .fd = fe.q[0].err, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(fe_ask(&fe, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(poll(&p, 1, 0), 1);
	rig_info(&rig, 0, &info);
	assert_true(info.queues[0].broken && !info.queues[0].started);
	assert_non_null(strstr(info.queues[0].why, "memory"));
	assert_int_equal(info.nregions, 0);
	vu_session_info_fini(&info);
	assert_int_equal(rig_errors(NULL), 1);
	fe_submit(&fe, 0);
	assert_int_equal(fe_ask(&fe, VU_ADD_MEM_REG, &m, sizeof(m), &fe.memfd, 1), 0);
	fe_complete(&fe, 0);
	fe_io(&fe, 0);
	fe_close(&fe);
}

/* GPA_ADDRESSES: rings by guest address; all regions have the same user address, which says nothing. */
static void guest_addresses_are_enough(void **state)
{
	const struct vu_mem_reg m[] = { { .region = { FE_GPA + (1u << 30), 4096, 0, 0 } },
					{ .region = { FE_GPA + (2u << 30), 4096, 0, 4096 } } };
	struct fe fe;

	(void)state;
	fe_open(&fe, rig.path[0]);
	fe_negotiate(&fe, FE_FEATURES, FE_PROTOCOL | VU_BIT(VU_PROTOCOL_F_GPA_ADDRESSES));
	fe_share(&fe);
	fe_start(&fe, 0, 64);
	fe_io(&fe, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			fe_ask(&fe, VU_ADD_MEM_REG, &m[i], sizeof(m[i]), &fe.memfd, 1), 0);
	fe_io(&fe, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fe_ask(&fe, VU_REM_MEM_REG, &m[i], sizeof(m[i]), NULL, 0), 0);
	fe_io(&fe, 0);
	fe_close(&fe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET(added_memory_is_used_at_once),
		QUIET(removal_waits_for_its_own_io_only),
		QUIET(a_repeated_table_keeps_its_maps),
		QUIET(five_hundred_and_nine_slots),
		QUIET(rings_move_with_their_region),
		QUIET(rings_without_memory_break_and_come_back),
		QUIET(guest_addresses_are_enough),
	};

	return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
