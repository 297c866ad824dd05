/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device through a real ring on a fake bdev: what a driver sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vblk_rig.h"

static void reads_and_writes_in_every_layout(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1 };

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		device_open(&limits, &opts);
		queue_open_with(offered(), packed);
		assert_int_equal(request(VBLK_T_IN, 5, 4096, true), 4097);
		assert_int_equal(*status, VBLK_S_OK);
		assert_memory_equal(data, fake.data + 5 * 512, 4096);
		memset(data, 0x5a, 1024);
		assert_int_equal(request(VBLK_T_OUT, 2046, 1024, false), 1);
		assert_int_equal(*status, VBLK_S_OK);
		assert_memory_equal(data, fake.data + 2046 * 512, 1024);
		trace_is("R 2560+4096\nW 1047552+1024\n");
		close_all();
	}
}

static void many_requests_at_once_each_get_their_own_data(void **state)
{
	(void)state;
	open_all();
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 16; i++) {
			uint8_t *at = data + i * 2048;
			const struct vblk_hdr h = { le32_make(VBLK_T_IN), le32_make(0),
						    le64_make(i * 3) };
			const struct vqd_buf bufs[] = {
				ring_buf(&ring, at, 16, false),
				ring_buf(&ring, at + 512, 512, true),
				ring_buf(&ring, at + 16, 1, true),
			};

			memcpy(at, &h, sizeof(h));
			at[16] = NONE;
			assert_int_equal(vqd_add(&ring.vqd, bufs, 3, round & 1, (void *)i), 0);
		}
		vqd_publish(&ring.vqd);
		turns(2);
		for (unsigned n = 0; n < 16; n++) {
			uint32_t written;
			void *cookie;
			int err;

			assert_true(vqd_get(&ring.vqd, &cookie, &written, &err));
			assert_int_equal(written, 513);
			assert_memory_equal(data + (uintptr_t)cookie * 2048 + 512,
					    fake.data + (uintptr_t)cookie * 3 * 512, 512);
			assert_int_equal(data[(uintptr_t)cookie * 2048 + 16], VBLK_S_OK);
		}
	}
	close_all();
}

/* The @i-th of many requests, each with 2 KiB of its own at data: header, status, data. */
static void add(uint64_t i, uint32_t type, uint64_t sector, unsigned npieces)
{
	const struct vblk_hdr h = { le32_make(type), le32_make(0), le64_make(sector) };
	uint8_t *at = data + i * 2048;
	struct vqd_buf bufs[4] = { ring_buf(&ring, at, 16, false) };
	unsigned n = 1;

	for (; n <= npieces; n++)
		bufs[n] = ring_buf(&ring, at + 512 + (n - 1) * 512 / npieces, 512 / npieces,
				   type == VBLK_T_IN);
	bufs[n] = ring_buf(&ring, at + 16, 1, true);
	memcpy(at, &h, sizeof(h));
	at[16] = NONE;
	assert_int_equal(vqd_add(&ring.vqd, bufs, n + 1, false, (void *)i), 0);
}

/* Returns which one. */
static uint64_t answered(uint32_t want_written)
{
	uint32_t written;
	void *cookie;
	int err;

	assert_true(vqd_get(&ring.vqd, &cookie, &written, &err));
	assert_int_equal(data[(uintptr_t)cookie * 2048 + 16], VBLK_S_OK);
	if (want_written)
		assert_int_equal(written, want_written);
	return (uintptr_t)cookie;
}

static void requests_of_all_kinds_in_one_batch(void **state)
{
	unsigned seen = 0;

	(void)state;
	open_all();
	for (uint64_t i = 0; i < 16; i++) {
		memset(data + i * 2048 + 512, (int)i, 512);
		switch (i % 4) {
		case 0:
			add(i, VBLK_T_IN, i, 1);
			break;
		case 1:
			add(i, VBLK_T_IN, i, 2);
			break;
		case 2:
			add(i, VBLK_T_FLUSH, 0, 0);
			break;
		default:
			add(i, VBLK_T_OUT, 100 + i, 1);
		}
	}
	vqd_publish(&ring.vqd);
	turns(3);
	for (unsigned n = 0; n < 16; n++) {
		uint64_t i = answered(0);
		const uint8_t *got = data + i * 2048 + 512;

		seen |= 1u << i;
		if (i % 4 < 2)
			assert_memory_equal(got, fake.data + i * 512, 512);
		else if (i % 4 == 3)
			assert_memory_equal(got, fake.data + (100 + i) * 512, 512);
	}
	assert_int_equal(seen, 0xffff);
	close_all();
}

/* What comes back from the disk in one list is of both queues. */
static void two_queues_of_one_channel_get_their_own(void **state)
{
	const struct vblk_opts opts = { .nqueues = 4 };
	struct vdev_queue *queues[2];
	struct ring rings[2];

	(void)state;
	device_open(&limits, &opts);
	for (unsigned k = 0; k < 2; k++) {
		queue_open_with(offered(), k);
		queues[k] = q;
		rings[k] = ring;
	}
	for (unsigned k = 0; k < 2; k++) {
		ring = rings[k];
		data = (uint8_t *)ring.data + 4096;
		for (uint64_t i = 0; i < 5 + k; i++)
			add(i, VBLK_T_IN, i + 7 * k, 1);
		vqd_publish(&ring.vqd);
		rings[k] = ring;
	}
	turns(2);
	for (unsigned k = 0; k < 2; k++) {
		q = queues[k];
		ring = rings[k];
		data = (uint8_t *)ring.data + 4096;
		for (unsigned n = 0; n < 5 + k; n++) {
			uint64_t i = answered(513);

			assert_memory_equal(data + i * 2048 + 512, fake.data + (i + 7 * k) * 512,
					    512);
		}
		assert_int_equal(q->vq.ninflight, 0);
		queue_close();
	}
	device_close();
}

/* 2.7.4.3 */
static void header_data_and_status_may_share_descriptors(void **state)
{
	struct vqd_buf bufs[4];

	(void)state;
	open_all();
	/* OUT: header and data in one */
	header(VBLK_T_OUT, 9);
	memset(hdr + 16, 0x77, 512);
	status = data;
	bufs[0] = ring_buf(&ring, hdr, 16 + 512, false);
	bufs[1] = ring_buf(&ring, status, 1, true);
	assert_int_equal(run(bufs, 2), 1);
	assert_int_equal(*status, VBLK_S_OK);
	assert_memory_equal(fake.data + 9 * 512, hdr + 16, 512);
	/* IN: data and status in one, header in two */
	header(VBLK_T_IN, 9);
	status = data + 512;
	bufs[0] = ring_buf(&ring, hdr, 3, false);
	bufs[1] = ring_buf(&ring, hdr + 3, 13, false);
	bufs[2] = ring_buf(&ring, data, 513, true);
	assert_int_equal(run(bufs, 3), 513);
	assert_int_equal(*status, VBLK_S_OK);
	assert_memory_equal(fake.data + 9 * 512, data, 512);
	/* and the same slot again in the usual framing: nothing of the trimming is left */
	assert_int_equal(request(VBLK_T_IN, 9, 512, true), 513);
	assert_int_equal(*status, VBLK_S_OK);
	close_all();
}

static void read_of_nothing_is_fine(void **state)
{
	(void)state;
	open_all();
	assert_int_equal(request(VBLK_T_IN, 0, 0, true), 1);
	assert_int_equal(*status, VBLK_S_OK);
	assert_int_equal(fake.nsubmits, 0);
	close_all();
}

/* 5.2.6.2, and not for OUT alone */
static void writes_to_a_read_only_disk_are_ioerr(void **state)
{
	static const uint32_t writing[] = {
		VBLK_T_OUT,	     VBLK_T_DISCARD,	 VBLK_T_WRITE_ZEROES,
		VBLK_T_SECURE_ERASE, VBLK_T_ZONE_APPEND, VBLK_T_ZONE_RESET,
	};

	(void)state;
	for (unsigned by_bdev = 0; by_bdev < 2; by_bdev++) {
		const struct vblk_opts opts = { .nqueues = 1, .read_only = !by_bdev };
		struct bdev_limits lim = limits;

		lim.read_only = by_bdev;
		device_open(&lim, &opts);
		assert_true(offered() & VIRTIO_BIT(VBLK_F_RO));
		assert_false(offered() & VIRTIO_BIT(VBLK_F_DISCARD));
		/* a driver that negotiated what was not offered */
		queue_open_with(~VIRTIO_BIT(VIRTIO_F_IN_ORDER) & 0xffffff, false);
		for (unsigned i = 0; i < ARRAY_SIZE(writing); i++) {
			seg(0, 0, 1, 0);
			assert_int_equal(request(writing[i], 0, writing[i] == VBLK_T_OUT ? 512 : 16,
						 false),
					 1);
			assert_int_equal(*status, VBLK_S_IOERR);
		}
		assert_int_equal(fake.nsubmits, 0);
		assert_int_equal(request(VBLK_T_IN, 0, 512, true), 513);
		assert_int_equal(*status, VBLK_S_OK);
		close_all();
	}
}

static void without_flush_writes_are_write_through(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1 };

	(void)state;
	device_open(&limits, &opts);
	queue_open_with(offered() & ~VIRTIO_BIT(VBLK_F_FLUSH), false);
	request(VBLK_T_OUT, 1, 512, false);
	request(VBLK_T_IN, 1, 512, true);
	seg(0, 8, 1, 1);
	request(VBLK_T_WRITE_ZEROES, 0, 16, false);
	trace_is("W! 512+512\nR 512+512\nZ! 4096+512\n");
	close_all();
}

/* Where there is no cache, write-through costs nothing and asks for nothing. */
static void without_a_cache_nothing_is_forced(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1 };
	uint8_t config[VDEV_CONFIG_MAX];
	struct bdev_limits lim = limits;

	(void)state;
	lim.has_flush = false;
	device_open(&lim, &opts);
	assert_true(offered() & VIRTIO_BIT(VBLK_F_FLUSH));
	vblk_vdev(dev)->ops->config_get(vblk_vdev(dev), config);
	assert_int_equal(config[32], 0);
	queue_open_with(0, false);
	request(VBLK_T_OUT, 1, 512, false);
	request(VBLK_T_FLUSH, 0, 0, false);
	assert_int_equal(*status, VBLK_S_OK);
	trace_is("W 512+512\n");
	close_all();
}

static void what_lies_outside_the_disk_is_ioerr(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} rows[] = {
		{ 2048, 512 },
		{ 2047, 1024 },
		{ 1ull << 32, 512 },
		{ (1ull << 55) - 1, 512 },
		{ 1ull << 55, 512 },
		{ UINT64_MAX, 512 },
		{ UINT64_MAX - 7, 4096 },
		{ 0, 511 },
		{ 0, 513 },
	};

	(void)state;
	open_all();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(request(VBLK_T_IN, rows[i].sector, rows[i].len, true), 1);
		assert_int_equal(*status, VBLK_S_IOERR);
		assert_int_equal(request(VBLK_T_OUT, rows[i].sector, rows[i].len, false), 1);
		assert_int_equal(*status, VBLK_S_IOERR);
	}
	assert_int_equal(fake.nsubmits, 0);
	close_all();
}

static void part_of_a_block_is_ioerr(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1 };
	struct bdev_limits lim = limits;

	(void)state;
	lim.block_bytes = 4096;
	lim.phys_bytes = 4096;
	device_open(&lim, &opts);
	queue_open_with(offered(), false);
	request(VBLK_T_IN, 0, 512, true);
	assert_int_equal(*status, VBLK_S_IOERR);
	request(VBLK_T_IN, 1, 4096, true);
	assert_int_equal(*status, VBLK_S_IOERR);
	request(VBLK_T_IN, 8, 4096, true);
	assert_int_equal(*status, VBLK_S_OK);
	seg(0, 8, 4, 0);
	request(VBLK_T_DISCARD, 0, 16, false);
	assert_int_equal(*status, VBLK_S_IOERR);
	close_all();
}

static void errors_of_the_disk_have_their_status(void **state)
{
	static const struct {
		int err;
		uint8_t status;
	} rows[] = {
		{ -EIO, VBLK_S_IOERR },	   { -ENOSPC, VBLK_S_IOERR },	   { -EROFS, VBLK_S_IOERR },
		{ -EINVAL, VBLK_S_IOERR }, { -EOPNOTSUPP, VBLK_S_UNSUPP },
	};

	(void)state;
	open_all();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.fail_with = rows[i].err;
		assert_int_equal(request(VBLK_T_IN, 0, 512, true), 1);
		assert_int_equal(*status, rows[i].status);
		assert_int_equal(request(VBLK_T_OUT, 0, 512, false), 1);
		assert_int_equal(*status, rows[i].status);
		request(VBLK_T_FLUSH, 0, 0, false);
		assert_int_equal(*status, rows[i].status);
		seg(0, 0, 1, 0);
		request(VBLK_T_WRITE_ZEROES, 0, 16, false);
		assert_int_equal(*status, rows[i].status);
	}
	fake.fail_with = 0;
	request(VBLK_T_IN, 0, 512, true);
	assert_int_equal(*status, VBLK_S_OK);
	close_all();
}

static void get_id_is_twenty_bytes_without_terminator(void **state)
{
	static const struct {
		const char *serial;
		uint32_t len, want;
	} rows[] = {
		{ "12345678901234567890", 20, 21 }, /* full: no NUL */
		{ "short", 20, 21 },
		{ "12345678901234567890", 8, 9 },
		{ "12345678901234567890", 64, 21 },
		{ "12345678901234567890", 0, 1 },
		{ NULL, 20, 21 }, /* the disk's */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vblk_opts opts = { .nqueues = 1, .serial = rows[i].serial };
		uint8_t want[64];

		memset(want, 0xcc, sizeof(want));
		memset(want, 0, CC_MIN(rows[i].len, 20u));
		memcpy(want, rows[i].serial ? rows[i].serial : "fake0",
		       CC_MIN((size_t)rows[i].len,
			      strlen(rows[i].serial ? rows[i].serial : "fake0")));
		device_open(&limits, &opts);
		queue_open_with(offered(), false);
		memset(data, 0xcc, 64);
		assert_int_equal(request(VBLK_T_GET_ID, 0, rows[i].len, true), rows[i].want);
		assert_int_equal(*status, VBLK_S_OK);
		assert_memory_equal(data, want, 64);
		close_all();
	}
}

static void get_id_may_be_cut_anywhere(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1, .serial = "abcdefghij0123456789" };

	(void)state;
	device_open(&limits, &opts);
	queue_open_with(offered(), false);
	for (uint32_t cut = 1; cut < 21; cut++) {
		const struct vqd_buf bufs[] = {
			ring_buf(&ring, hdr, 16, false),
			ring_buf(&ring, data, cut, true),
			ring_buf(&ring, data + cut, 21 - cut, true),
		};

		header(VBLK_T_GET_ID, 0);
		status = data + 20;
		memset(data, 0, 32);
		assert_int_equal(run(bufs, 3), 21);
		assert_memory_equal(data, opts.serial, 20);
		assert_int_equal(*status, VBLK_S_OK);
	}
	close_all();
}

static void segments_are_executed_one_after_another(void **state)
{
	(void)state;
	open_all();
	seg(0, 0, 8, 0);
	seg(1, 100, 0, 0); /* nothing to do */
	seg(2, 2047, 1, 0);
	assert_int_equal(request(VBLK_T_DISCARD, 0, 48, false), 1);
	assert_int_equal(*status, VBLK_S_OK);
	trace_is("D 0+4096\nD 1048064+512\n");
	seg(0, 16, 8, 1);
	seg(1, 32, 8, 0);
	assert_int_equal(request(VBLK_T_WRITE_ZEROES, 0, 32, false), 1);
	assert_int_equal(*status, VBLK_S_OK);
	trace_is("Z 8192+4096\nZ~ 16384+4096\n");
	close_all();
}

static void one_bad_segment_stops_them_all(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t n, flags;
		uint8_t status;
	} rows[] = {
		{ 0, 1, 1, VBLK_S_UNSUPP },   /* 5.2.6.2: unmap on DISCARD */
		{ 0, 1, 2, VBLK_S_UNSUPP },   /* unknown flag */
		{ 0, 129, 0, VBLK_S_IOERR },  /* max_discard_sectors */
		{ 2047, 2, 0, VBLK_S_IOERR }, /* beyond the end */
		{ UINT64_MAX, 2, 0, VBLK_S_IOERR },
	};

	(void)state;
	open_all();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		seg(0, 0, 1, 0);
		seg(1, rows[i].sector, rows[i].n, rows[i].flags);
		assert_int_equal(request(VBLK_T_DISCARD, 0, 32, false), 1);
		assert_int_equal(*status, rows[i].status);
	}
	assert_int_equal(fake.nsubmits, 0);
	close_all();
}

static void a_failing_segment_ends_the_request(void **state)
{
	(void)state;
	open_all();
	fake.fail_with = -EIO;
	seg(0, 0, 1, 0);
	seg(1, 1, 1, 0);
	request(VBLK_T_DISCARD, 0, 32, false);
	assert_int_equal(*status, VBLK_S_IOERR);
	trace_is("D 0+512\n");
	close_all();
}

/* A disk that holds two: DISCARDs of two segments, the second of which is never begun, and writes
 * that wait. The successor carries out all of it. */
static void a_suspended_queue_leaves_what_waits(void **state)
{
	struct bdev_limits lim = limits;
	struct vqd_buf bufs[3];

	(void)state;
	lim.depth = 2;
	tracked = true;
	for (unsigned packed = 0; packed < 2; packed++) {
		device_open(&lim, &(struct vblk_opts){ .nqueues = 1 });
		queue_open_with(offered(), packed);
		fake.auto_later = false;
		header(VBLK_T_DISCARD, 0);
		seg(0, 0, 8, 0);
		seg(1, 16, 8, 0);
		bufs[0] = ring_buf(&ring, hdr, 16, false);
		bufs[1] = ring_buf(&ring, data, 32, false);
		for (uint64_t i = 0; i < 2; i++) {
			bufs[2] = ring_buf(&ring, status + i, 1, true);
			assert_int_equal(vqd_add(&ring.vqd, bufs, 3, false, (void *)i), 0);
		}
		vqd_publish(&ring.vqd);
		turns(1);
		for (uint64_t i = 2; i < 6; i++)
			add(i, VBLK_T_OUT, 100 + i, 1);
		vqd_publish(&ring.vqd);
		turns(2);
		vdev_queue_suspend(q, on_stopped, NULL);
		turns(3);
		assert_int_equal(stopped_calls, 0); /* the driver's own are waited for */
		fake_end(&fake, 0);
		turns(3);
		assert_int_equal(stopped_calls, 0);
		fake_end(&fake, 0);
		turns(3);
		assert_int_equal(stopped_calls, 1);
		assert_int_equal(fake.nsubmits, 2);
		assert_false(vqd_has_used(&ring.vqd));
		assert_true(vq_has_taken(&q->vq));
		vdev_queue_destroy(q);
		stopped_calls = 0;

		fake.auto_later = true;
		fake.trace[0] = '\0';
		assert_int_equal(vdev_queue_create(vblk_vdev(dev), r, r, &ring.conf, &q, NULL), 0);
		vdev_queue_start(q);
		turns(9);
		/* the usual requests of a batch go first */
		trace_is("W 52224+512\nW 52736+512\nW 53248+512\nW 53760+512\nD 0+4096\n"
			 "D 0+4096\nD 8192+4096\nD 8192+4096\n");
		for (unsigned i = 0; i < 6; i++) {
			uint32_t written;
			void *cookie;
			int err;

			assert_true(vqd_get(&ring.vqd, &cookie, &written, &err));
		}
		close_all();
	}
	tracked = false;
}

static void what_was_not_negotiated_or_is_unknown_is_unsupp(void **state)
{
	static const uint32_t types[] = {
		2,  3,		5,  VBLK_T_GET_LIFETIME,   VBLK_T_SECURE_ERASE, VBLK_T_ZONE_APPEND,
		12, 16,		18, VBLK_T_ZONE_RESET_ALL, VBLK_T_DISCARD,	VBLK_T_WRITE_ZEROES,
		27, UINT32_MAX,
	};
	const struct vblk_opts opts = { .nqueues = 1, .no_discard = true, .no_write_zeroes = true };

	(void)state;
	device_open(&limits, &opts);
	assert_false(offered() & (VIRTIO_BIT(VBLK_F_DISCARD) | VIRTIO_BIT(VBLK_F_WRITE_ZEROES)));
	queue_open_with(0xffffff, false);
	seg(0, 0, 1, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(request(types[i], 0, 16, false), 1);
		assert_int_equal(*status, VBLK_S_UNSUPP);
	}
	assert_int_equal(fake.nsubmits, 0);
	close_all();
}

static void a_chain_without_room_breaks_the_queue_once(void **state)
{
	struct vqd_buf bufs[2];

	(void)state;
	open_all();
	fake.auto_later = false;
	/* a good one is in flight */
	request(VBLK_T_IN, 0, 512, true);
	assert_int_equal(fake.nheld, 1);
	bufs[0] = ring_buf(&ring, hdr, 15, false);
	bufs[1] = ring_buf(&ring, data, 1, true);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(vqd_add(&ring.vqd, bufs, 2, false, NULL), 0);
	vqd_publish(&ring.vqd);
	turns(10);
	assert_int_equal(broken_calls, 1);
	assert_true(q->vq.broken);
	assert_string_not_equal(q->vq.why, "");
	/* what was in flight ends, and a stop waits for it */
	vdev_queue_stop(q, on_stopped, NULL);
	turns(3);
	assert_int_equal(stopped_calls, 0);
	fake_end(&fake, 0);
	turns(2);
	assert_int_equal(stopped_calls, 1);
	assert_int_equal(broken_calls, 1);
	close_all();
}

static void chain_without_status_breaks_the_queue(void **state)
{
	struct vqd_buf buf;

	(void)state;
	open_all();
	buf = ring_buf(&ring, hdr, 16, false);
	assert_int_equal(vqd_add(&ring.vqd, &buf, 1, false, NULL), 0);
	vqd_publish(&ring.vqd);
	turns(3);
	assert_int_equal(broken_calls, 1);
	close_all();
}

/* Requests the disk has worked on, by what they were: each once, whatever came of it. */
static void how_long_notification_took_is_counted_by_operation(void **state)
{
	static const unsigned want[BDEV_STAT_COUNT] = { 3, 2, 1, 1, 1 };
	static struct bdev_chan_stats st;

	(void)state;
	open_all();
	request(VBLK_T_IN, 0, 512, true);
	request(VBLK_T_IN, 1, 512, true);
	request(VBLK_T_OUT, 2, 512, false);
	request(VBLK_T_FLUSH, 0, 0, false);
	seg(0, 0, 8, 0);
	seg(1, 16, 8, 0);
	request(VBLK_T_DISCARD, 0, 32, false); /* two I/Os of the disk, one answer */
	request(VBLK_T_WRITE_ZEROES, 0, 16, false);
	request(VBLK_T_GET_ID, 0, 20, true);
	request(VBLK_T_IN, 1u << 20, 512, true); /* not there: the disk refuses it */
	fake.fail_with = -EIO;
	request(VBLK_T_OUT, 2, 512, false);
	bdev_get_stats(&fake.bdev, &st);
	for (unsigned op = 0; op < BDEV_STAT_COUNT; op++)
		assert_int_equal(hist_total(&st.notify[BDEV_NOTIFY_QUIET][op]) +
					 hist_total(&st.notify[BDEV_NOTIFY_CALLED][op]),
				 want[op]);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes_in_every_layout),
		cmocka_unit_test(many_requests_at_once_each_get_their_own_data),
		cmocka_unit_test(requests_of_all_kinds_in_one_batch),
		cmocka_unit_test(two_queues_of_one_channel_get_their_own),
		cmocka_unit_test(header_data_and_status_may_share_descriptors),
		cmocka_unit_test(read_of_nothing_is_fine),
		cmocka_unit_test(writes_to_a_read_only_disk_are_ioerr),
		cmocka_unit_test(without_flush_writes_are_write_through),
		cmocka_unit_test(without_a_cache_nothing_is_forced),
		cmocka_unit_test(what_lies_outside_the_disk_is_ioerr),
		cmocka_unit_test(part_of_a_block_is_ioerr),
		cmocka_unit_test(errors_of_the_disk_have_their_status),
		cmocka_unit_test(get_id_is_twenty_bytes_without_terminator),
		cmocka_unit_test(get_id_may_be_cut_anywhere),
		cmocka_unit_test(segments_are_executed_one_after_another),
		cmocka_unit_test(one_bad_segment_stops_them_all),
		cmocka_unit_test(a_failing_segment_ends_the_request),
		cmocka_unit_test(how_long_notification_took_is_counted_by_operation),
		cmocka_unit_test(a_suspended_queue_leaves_what_waits),
		cmocka_unit_test(what_was_not_negotiated_or_is_unknown_is_unsupp),
		cmocka_unit_test(a_chain_without_room_breaks_the_queue_once),
		cmocka_unit_test(chain_without_status_breaks_the_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
