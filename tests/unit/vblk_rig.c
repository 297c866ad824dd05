/* SPDX-License-Identifier: BSD-3-Clause */
/* The rig of the block device's tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vblk_rig.h"

#define DATA_BYTES (256 * 1024)

struct reactor *r;
struct fake_bdev fake;
struct vblk *dev;
struct vdev_queue *q;
struct ring ring;
uint8_t *hdr, *status, *data; /* in the driver's memory */
unsigned broken_calls, stopped_calls;
bool tracked;

const struct bdev_limits limits = {
	.buf_align = 1,
	.depth = 64,
	.discard_max = 64 * 1024,
	.zeroes_max = 32 * 1024,
	.has_flush = true,
	.has_fua = true,
};

static void on_broken(struct vdev_queue *queue, void *arg)
{
	assert_ptr_equal(queue, q);
	broken_calls++;
}

void on_stopped(struct vdev_queue *queue, void *arg)
{
	stopped_calls++;
}

void turns(unsigned n)
{
	while (n--)
		reactor_turn(r);
}

void device_open(const struct bdev_limits *lim, const struct vblk_opts *opts)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1 };

	assert_int_equal(reactor_create(&ro, &r), 0);
	reactor_adopt(r);
	assert_int_equal(fake_open(&fake, r, DISK_BYTES, lim), 0);
	fake.auto_later = true;
	for (unsigned i = 0; i < DISK_BYTES; i++)
		fake.data[i] = (uint8_t)(i / 512 + i);
	assert_int_equal(vblk_create(&fake.bdev, opts, &dev, NULL), 0);
	broken_calls = 0;
	stopped_calls = 0;
}

void queue_open_with(uint64_t features, bool packed)
{
	const struct ring_opts ro = {
		.size = 64,
		.packed = packed,
		.inflight = tracked,
		.features = features,
		.indirect_max = 40,
		.data_bytes = DATA_BYTES,
	};

	assert_int_equal(ring_init(&ring, &ro), 0);
	hdr = (uint8_t *)ring.data;
	status = hdr + 64;
	data = hdr + 4096;
	assert_int_equal(vdev_queue_create(vblk_vdev(dev), r, r, &ring.conf, &q, NULL), 0);
	q->on_broken = on_broken;
	vdev_queue_start(q);
	turns(1);
}

void queue_close(void)
{
	if (!stopped_calls) {
		vdev_queue_stop(q, on_stopped, NULL);
		turns(3);
	}
	assert_int_equal(stopped_calls, 1);
	vdev_queue_destroy(q);
	ring_fini(&ring);
	stopped_calls = 0;
}

void device_close(void)
{
	vblk_destroy(dev);
	bdev_close(&fake.bdev, NULL, NULL);
	turns(5);
	assert_int_equal(fake.nclosed, 1);
	assert_int_equal(fake.violations, 0);
	reactor_destroy(r);
}

uint64_t offered(void)
{
	return vblk_vdev(dev)->ops->features(vblk_vdev(dev));
}

void open_all(void)
{
	const struct vblk_opts opts = { .nqueues = 4 };

	device_open(&limits, &opts);
	queue_open_with(offered(), false);
}

void close_all(void)
{
	queue_close();
	device_close();
}

/* One chain of @bufs; returns the used length. UINT32_MAX: not answered. */
uint32_t run(const struct vqd_buf *bufs, unsigned n)
{
	uint32_t written;
	void *cookie;
	int err = 0;

	*status = NONE;
	assert_int_equal(vqd_add(&ring.vqd, bufs, n, false, (void *)bufs), 0);
	vqd_publish(&ring.vqd);
	for (unsigned i = 0; i < 100; i++) {
		reactor_turn(r);
		if (vqd_get(&ring.vqd, &cookie, &written, &err)) {
			assert_ptr_equal(cookie, bufs);
			return written;
		}
	}
	assert_int_equal(err, 0);
	return UINT32_MAX;
}

void header(uint32_t type, uint64_t sector)
{
	const struct vblk_hdr h = { le32_make(type), le32_make(0), le64_make(sector) };

	memcpy(hdr, &h, sizeof(h));
}

/* The usual framing: header, @len bytes of data in the direction of the type, status. */
uint32_t request(uint32_t type, uint64_t sector, uint32_t len, bool device_writes)
{
	struct vqd_buf bufs[3] = { ring_buf(&ring, hdr, 16, false) };
	unsigned n = 1;

	header(type, sector);
	if (len)
		bufs[n++] = ring_buf(&ring, data, len, device_writes);
	bufs[n++] = ring_buf(&ring, status, 1, true);
	return run(bufs, n);
}

void seg(unsigned i, uint64_t sector, uint32_t n, uint32_t flags)
{
	const struct vblk_seg s = { le64_make(sector), le32_make(n), le32_make(flags) };

	memcpy(data + i * sizeof(s), &s, sizeof(s));
}

void trace_is(const char *want)
{
	assert_string_equal(fake.trace, want);
	fake.trace[0] = '\0';
}
