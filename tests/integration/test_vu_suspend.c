/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring is stopped while requests wait for the disk (GET_VRING_BASE_INFLIGHT): they move with the
 * inflight area to another server of the same disk, and each is answered once, by the one or the
 * other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "tests/integration/disk_server.h"
#include "tests/integration/vu_frontend.h"
#include "tests/integration/vu_rig.h"
#include "vhost/blk/vblk_spec.h"
#include "vhost/virtq/vqi.h"

#define DEPTH	     4	/* of the disk: the driver holds no more */
#define QUEUES	     2
#define RING	     256
#define SLOTS	     64 /* requests of a queue at a time */
#define SLOT_BYTES   0x2000u
#define DATA_OFF     0x1000u
#define BLOCK	     4096u
#define BLOCKS	     256u /* a queue writes them round and round */
#define READ_BLOCKS  32u  /* written once, read from then on; behind those of all queues */
#define REQUESTS_MAX 4096
#define PACKED	     VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define IN_ORDER     VIRTIO_BIT(VIRTIO_F_IN_ORDER)
#define PROTOCOL     (FE_PROTOCOL | VU_BIT(VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT))

static struct disk_server disk;
static uint64_t protocol = PROTOCOL; /* to be negotiated */
static char dir[64], path[DISK_SERVER_DOORS][96];

/* A guest that moves between doors 0 and 1 with memory, rings and inflight area, or stays at 2. */
struct guest {
	struct fe fe;		    /* fd: of the server where it is */
	int fds[DISK_SERVER_DOORS]; /* -1: not connected */
	uint64_t features, first;   /* first: block of the disk */
	unsigned at;
	struct vu_inflight d;
	int area_fd;
	char *area;
	uint32_t base[QUEUES];
	unsigned sent[QUEUES], answered[QUEUES]; /* requests */
	uint8_t answers[QUEUES][REQUESTS_MAX];	 /* to each: 0 or 1 */
	bool slot_busy[QUEUES][SLOTS];
};

static int group_start(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (unsigned i = 0; i < DISK_SERVER_DOORS; i++)
		snprintf(path[i], sizeof(path[i]), "%s/s%u", dir, i);
	disk_server_start(&disk, "fault:op=any,delay=0ns@ram:16M?depth=4", path[0], false);
	for (unsigned i = 1; i < DISK_SERVER_DOORS; i++)
		disk_server_add(&disk, path[i]);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	disk_server_stop(&disk);
	return rmdir(dir);
}

/*
 * Requests
 */
static char *slot_of(const struct guest *g, unsigned i, unsigned slot)
{
	return g->fe.mem + FE_BUFS_OFF + (i * SLOTS + slot) * SLOT_BYTES;
}

static void fill(char *p, uint64_t block, unsigned n)
{
	for (unsigned k = 0; k < BLOCK; k += 16) {
		uint64_t word[2] = { block << 16 | k, n * 0x9e3779b97f4a7c15ull + k };

		memcpy(p + k, word, sizeof(word));
	}
}

static void expect(const char *p, uint64_t block, unsigned n)
{
	char want[BLOCK];

	fill(want, block, n);
	assert_memory_equal(p, want, BLOCK);
}

static bool is_read(unsigned n)
{
	return n >= READ_BLOCKS && n % 4 == 3;
}

/* Where request @n of queue @i goes: the first ones write what is read later. */
static uint64_t block_of(const struct guest *g, unsigned i, unsigned n)
{
	if (n < READ_BLOCKS || is_read(n))
		return g->first + QUEUES * BLOCKS + i * READ_BLOCKS + n % READ_BLOCKS;
	return g->first + i * BLOCKS + n % BLOCKS;
}

/* False: as many as can be are under way. */
static bool submit(struct guest *g, unsigned i)
{
	unsigned n = g->sent[i], slot = n % SLOTS;
	char *at = slot_of(g, i, slot);
	uint64_t gpa = FE_GPA + (uint64_t)(at - g->fe.mem);
	bool reads = is_read(n);
	const struct vqd_buf bufs[3] = { { gpa, sizeof(struct vblk_hdr), false },
					 { gpa + DATA_OFF, BLOCK, reads },
					 { gpa + 16, 1, true } };
	struct vblk_hdr h = { .type = le32_make(reads ? VBLK_T_IN : VBLK_T_OUT),
			      .sector = le64_make(block_of(g, i, n) * BLOCK / 512) };

	assert_true(n < REQUESTS_MAX);
	if (g->slot_busy[i][slot])
		return false;
	memcpy(at, &h, sizeof(h));
	at[16] = (char)0xee;
	if (reads)
		memset(at + DATA_OFF, 0xee, BLOCK);
	else
		fill(at + DATA_OFF, block_of(g, i, n), n);
	assert_int_equal(vqd_add(&g->fe.q[i].d, bufs, 3, false, (void *)(uintptr_t)n), 0);
	(void)vqd_publish(&g->fe.q[i].d);
	g->slot_busy[i][slot] = true;
	g->sent[i]++;
	return true;
}

/* Everything that is answered by now. */
static void collect(struct guest *g)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		uint32_t written;
		void *cookie;
		int err = 0;

		while (vqd_get(&g->fe.q[i].d, &cookie, &written, &err)) {
			unsigned n = (unsigned)(uintptr_t)cookie;
			const char *at = slot_of(g, i, n % SLOTS);

			assert_int_equal(++g->answers[i][n], 1);
			assert_int_equal(at[16], VBLK_S_OK);
			assert_int_equal(written, is_read(n) ? BLOCK + 1 : 1);
			if (is_read(n))
				expect(at + DATA_OFF, block_of(g, i, n), n % READ_BLOCKS);
			g->slot_busy[i][n % SLOTS] = false;
			g->answered[i]++;
		}
		assert_int_equal(err, 0);
	}
}

static bool all_answered(void *arg)
{
	struct guest *g = arg;
	bool all = true;

	collect(g);
	for (unsigned i = 0; i < QUEUES; i++)
		all &= g->answered[i] == g->sent[i];
	return all;
}

/*
 * From server to server
 */
static unsigned left_in(const struct guest *g, unsigned i)
{
	bool packed = g->features & PACKED;
	const char *r = g->area + i * vqi_bytes(packed, RING);
	unsigned n = 0;

	for (unsigned k = 0; k < RING; k++)
		n += packed ? cc_read_once(((const struct vqi_packed *)r)->desc[k].inflight)
			    : cc_read_once(((const struct vqi_split *)r)->desc[k].inflight);
	return n;
}

static bool all_taken(void *arg)
{
	struct guest *g = arg;
	bool all = true;

	collect(g);
	for (unsigned i = 0; i < QUEUES; i++)
		all &= g->answered[i] + left_in(g, i) >= g->sent[i];
	return all;
}

static void area_map(struct guest *g)
{
	g->area = mmap(NULL, g->d.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->area_fd, 0);
	assert_ptr_not_equal(g->area, MAP_FAILED);
}

static void area_drop(struct guest *g)
{
	munmap(g->area, g->d.mmap_size);
	close(g->area_fd);
}

/* As it comes out of a migration stream: the same bytes in another file. */
static void area_copy(struct guest *g)
{
	int fd = memfd_create("moved", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)g->d.mmap_size), 0);
	assert_int_equal(pwrite(fd, g->area, g->d.mmap_size, 0), g->d.mmap_size);
	area_drop(g);
	g->area_fd = fd;
	area_map(g);
}

static void area_get(struct guest *g)
{
	const struct vu_inflight want = { .nqueues = QUEUES, .queue_size = RING };
	struct vu_msg m;

	assert_true(fe_send(&g->fe, VU_GET_INFLIGHT_FD, 0, &want, sizeof(want), NULL, 0));
	assert_int_equal(fe_receive(&g->fe, &m), 1);
	g->d = m.p.inflight;
	g->area_fd = vu_msg_take_fd(&m, 0);
	area_map(g);
}

static void area_set(struct guest *g)
{
	assert_int_equal(
		fe_ask(&g->fe, VU_SET_INFLIGHT_FD, &g->d, sizeof(g->d), &g->area_fd, 1), 0);
}

static void rings_start(struct guest *g)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		fe_describe(&g->fe, i, RING, g->base[i]);
		fe_send_fd(&g->fe, VU_SET_VRING_CALL, i, g->fe.q[i].call);
		fe_send_fd(&g->fe, VU_SET_VRING_KICK, i, g->fe.q[i].kick);
		assert_int_equal(fe_ask_state(&g->fe, VU_SET_VRING_ENABLE, i, 1), 0);
	}
}

/* In the ways that front-ends do it. */
static void rings_stop(struct guest *g, unsigned how)
{
	if (how % 3 == 2)
		assert_int_equal(fe_ask_u64(&g->fe, VU_SET_STATUS, 0), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		struct vu_vring_state st = { i, 0 };
		struct vu_msg m;

		if (how % 3)
			assert_int_equal(fe_ask_state(&g->fe, VU_SET_VRING_ENABLE, i, 0), 0);
		assert_true(fe_send(&g->fe, VU_GET_VRING_BASE, 0, &st, sizeof(st), NULL, 0));
		assert_int_equal(fe_receive(&g->fe, &m), 1);
		assert_int_equal(m.p.state.index, i);
		g->base[i] = m.p.state.num;
	}
	collect(g);
	for (unsigned i = 0; i < QUEUES; i++) /* nothing between the two servers */
		assert_in_range(g->answered[i] + left_in(g, i), 0, g->sent[i]);
}

static void go_to(struct guest *g, unsigned server)
{
	g->at = server;
	if (g->fds[server] >= 0) {
		g->fe.fd = g->fds[server];
		return;
	}
	fe_dial(&g->fe, path[server]);
	g->fds[server] = g->fe.fd;
	fe_negotiate(&g->fe, g->features, protocol);
	fe_share(&g->fe);
}

static void guest_open(struct guest *g, unsigned server, uint64_t features)
{
	bool packed = features & PACKED;

	memset(g, 0, sizeof(*g));
	g->features = FE_FEATURES | features;
	g->first = server * (uint64_t)QUEUES * (BLOCKS + READ_BLOCKS);
	g->at = server;
	fe_open(&g->fe, path[server]);
	for (unsigned i = 0; i < DISK_SERVER_DOORS; i++)
		g->fds[i] = i == server ? g->fe.fd : -1;
	fe_negotiate(&g->fe, g->features, protocol);
	fe_share(&g->fe);
	area_get(g);
	area_set(g);
	for (unsigned i = 0; i < QUEUES; i++) {
		g->base[i] = packed ? 0x80008000u : 0;
		fe_start(&g->fe, i, RING);
		for (unsigned n = 0; n < READ_BLOCKS; n++)
			assert_true(submit(g, i));
	}
	rig_wait(all_answered, g);
}

struct free_call {
	unsigned i;
	bool is_free;
};

static void look_if_free(void *arg)
{
	struct free_call *c = arg;
	struct vu_session_info info;

	c->is_free = false;
	if (vu_server_get_info(disk.server[c->i], &info))
		return;
	c->is_free = strcmp(info.state, "LISTENING") == 0;
	vu_session_info_fini(&info);
}

static bool door_is_free(void *arg)
{
	struct free_call *c = arg;

	reactor_call(disk.control, look_if_free, c);
	return c->is_free;
}

static void guest_close(struct guest *g)
{
	for (unsigned i = 0; i < DISK_SERVER_DOORS; i++) {
		struct free_call c = { .i = i };

		if (g->fds[i] < 0)
			continue;
		close(g->fds[i]);
		rig_wait(door_is_free, &c);
	}
	g->fe.fd = -1;
	fe_close(&g->fe);
	area_drop(g);
}

struct answer {
	struct vqd *d;
	uint32_t written;
};

static bool take_answer(void *arg)
{
	struct answer *a = arg;
	void *cookie;
	int err = 0;

	return vqd_get(a->d, &cookie, &a->written, &err);
}

/* What was written last lies on the disk. Nothing else is under way. */
static void check_block(struct guest *g, uint64_t block, unsigned n)
{
	char *at = slot_of(g, 0, 0);
	uint64_t gpa = FE_GPA + (uint64_t)(at - g->fe.mem);
	const struct vqd_buf bufs[3] = { { gpa, sizeof(struct vblk_hdr), false },
					 { gpa + DATA_OFF, BLOCK, true },
					 { gpa + 16, 1, true } };
	struct vblk_hdr h = { .type = le32_make(VBLK_T_IN),
			      .sector = le64_make(block * BLOCK / 512) };
	struct answer a = { .d = &g->fe.q[0].d };

	memcpy(at, &h, sizeof(h));
	assert_int_equal(vqd_add(a.d, bufs, 3, false, NULL), 0);
	(void)vqd_publish(a.d);
	rig_wait(take_answer, &a);
	assert_int_equal(a.written, BLOCK + 1);
	expect(at + DATA_OFF, block, n);
}

static void check_disk(struct guest *g)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		for (unsigned b = 0; b < BLOCKS; b++) {
			unsigned last = 0;

			for (unsigned n = READ_BLOCKS; n < g->sent[i]; n++) {
				if (!is_read(n) && n % BLOCKS == b)
					last = n;
			}
			if (last)
				check_block(g, block_of(g, i, last), last);
		}
	}
}

static const uint64_t layouts[] = { 0, PACKED, IN_ORDER, PACKED | IN_ORDER };

/*
 * The driver holds DEPTH requests for long, the others wait: the stop leaves those behind, and they
 * are answered elsewhere. Those of another guest on the same channels are none of its business.
 */
static void what_waits_moves_on(void **state)
{
	static struct guest g, other;

	(void)state;
	for (unsigned l = 0; l < ARRAY_SIZE(layouts); l++) {
		unsigned left = 0;

		guest_open(&g, 0, layouts[l]);
		guest_open(&other, 2, layouts[l]);
		disk_server_rules(&disk, "delay=1s");
		for (unsigned i = 0; i < QUEUES; i++) {
			for (unsigned n = 0; n < SLOTS / 2; n++)
				assert_true(submit(&g, i) && submit(&other, i));
		}
		rig_wait(all_taken, &g);
		rig_wait(all_taken, &other);
		rings_stop(&g, l);
		for (unsigned i = 0; i < QUEUES; i++)
			left += left_in(&g, i);
		assert_in_range(left, 1, QUEUES * SLOTS / 2);
		disk_server_rules(&disk, "");
		area_copy(&g);
		go_to(&g, 1);
		area_set(&g);
		rings_start(&g);
		rig_wait(all_answered, &g);
		rig_wait(all_answered, &other);
		check_disk(&g);
		check_disk(&other);
		rings_stop(&g, l + 1);
		guest_close(&g);
		guest_close(&other);
	}
}

/* The connection ends in the middle of it all, and the same server goes on with the area. */
static void hang_up_and_return(struct guest *g)
{
	struct free_call c = { .i = g->at };

	close(g->fe.fd);
	g->fds[g->at] = -1;
	rig_wait(door_is_free, &c);
	go_to(g, g->at);
	area_set(g);
	for (unsigned i = 0; i < QUEUES; i++) /* as QEMU says it then: the used index */
		g->base[i] = g->features & PACKED ? g->base[i] : g->fe.q[i].d.used_idx;
}

/* To and fro, and stopped where it stands, at any moment: also before what was left was taken again. */
static void to_and_fro(void **state)
{
	static struct guest g;

	(void)state;
	srandom(1);
	for (unsigned l = 0; l < ARRAY_SIZE(layouts); l++) {
		unsigned left = 0;

		guest_open(&g, 0, layouts[l]);
		disk_server_rules(&disk, "delay=2ms");
		for (unsigned hop = 0; hop < 60; hop++) {
			unsigned burst = (unsigned)random() % SLOTS;

			for (unsigned n = 0; n < burst; n++)
				(void)submit(&g, n % QUEUES);
			if (random() & 1)
				rig_wait(all_taken, &g);
			if (hop % 5 == 4) {
				hang_up_and_return(&g);
				rings_start(&g);
				continue;
			}
			rings_stop(&g, hop);
			for (unsigned i = 0; i < QUEUES; i++)
				left += left_in(&g, i) != 0;
			if (hop % 4 != 3) {
				area_copy(&g);
				go_to(&g, !g.at);
				area_set(&g);
			}
			rings_start(&g);
		}
		assert_true(left > 0);
		rig_wait(all_answered, &g);
		disk_server_rules(&disk, "");
		check_disk(&g);
		guest_close(&g);
	}
}

/* What was left is nobody's once the ring begins anew, or the device is reset. */
static void what_was_left_is_forgotten(void **state)
{
	static struct guest g;

	(void)state;
	for (unsigned how = 0; how < 2 * ARRAY_SIZE(layouts); how++) {
		bool packed = layouts[how / 2] & PACKED;

		guest_open(&g, 0, layouts[how / 2]);
		disk_server_rules(&disk, "delay=50ms");
		for (unsigned i = 0; i < QUEUES; i++) {
			for (unsigned n = 0; n < SLOTS / 2; n++)
				assert_true(submit(&g, i));
		}
		rig_wait(all_taken, &g);
		rings_stop(&g, how);
		disk_server_rules(&disk, "");
		if (how & 1)
			assert_int_equal(fe_ask(&g.fe, VU_RESET_DEVICE, NULL, 0, NULL, 0), 0);
		for (unsigned i = 0; i < QUEUES; i++) {
			g.base[i] = packed ? 0x80008000u : 0;
			memset(g.slot_busy[i], 0, sizeof(g.slot_busy[i]));
			g.answered[i] = g.sent[i];
			fe_start(&g.fe, i, RING);
			for (unsigned n = 0; n < SLOTS / 2; n++)
				assert_true(submit(&g, i));
		}
		rig_wait(all_answered, &g);
		guest_close(&g);
	}
}

/* Without the feature a stop waits for all. */
static void without_the_feature_nothing_is_left(void **state)
{
	static struct guest g;

	(void)state;
	for (unsigned l = 0; l < ARRAY_SIZE(layouts); l++) {
		protocol = FE_PROTOCOL;
		guest_open(&g, 0, layouts[l]);
		disk_server_rules(&disk, "delay=5ms");
		for (unsigned i = 0; i < QUEUES; i++) {
			for (unsigned n = 0; n < SLOTS; n++)
				assert_true(submit(&g, i));
		}
		rig_wait(all_taken, &g);
		rings_stop(&g, l);
		assert_true(all_answered(&g));
		disk_server_rules(&disk, "");
		guest_close(&g);
		protocol = PROTOCOL;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_moves_on),
		cmocka_unit_test(to_and_fro),
		cmocka_unit_test(what_was_left_is_forgotten),
		cmocka_unit_test(without_the_feature_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
