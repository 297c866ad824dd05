/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device as it presents itself: features, config space, write cache, resize, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vblk_rig.h"

static int config_write(uint32_t off, uint8_t value)
{
	return vblk_vdev(dev)->ops->config_set(vblk_vdev(dev), off, &value, 1);
}

static void write_cache_can_be_switched(void **state)
{
	struct vdev *vdev;

	(void)state;
	open_all();
	vdev = vblk_vdev(dev);
	request(VBLK_T_OUT, 0, 512, false);
	assert_int_equal(config_write(32, 0), 0);
	request(VBLK_T_OUT, 1, 512, false);
	assert_int_equal(config_write(32, 1), 0);
	request(VBLK_T_OUT, 2, 512, false);
	assert_int_equal(config_write(32, 0), 0);
	vdev->ops->reset(vdev);
	request(VBLK_T_OUT, 3, 512, false);
	request(VBLK_T_FLUSH, 0, 0, false);
	trace_is("W 0+512\nW! 512+512\nW 1024+512\nW 1536+512\nF 0+0\n");
	close_all();
}

static void only_the_write_cache_can_be_configured(void **state)
{
	uint8_t config[VDEV_CONFIG_MAX], changed[VDEV_CONFIG_MAX];
	const struct vdev_ops *ops;
	struct vdev *vdev;

	(void)state;
	open_all();
	vdev = vblk_vdev(dev);
	ops = vdev->ops;
	assert_int_equal(config_write(32, 2), -EINVAL);
	assert_int_equal(config_write(0, 0xee), -EROFS);
	assert_int_equal(config_write(31, 1), -EROFS);
	assert_int_equal(config_write(33, 1), -EROFS);
	assert_int_equal(config_write(95, 1), -EROFS);
	assert_int_equal(config_write(96, 0), -EINVAL);
	assert_int_equal(config_write(UINT32_MAX, 0), -EINVAL);
	ops->config_get(vdev, config);
	assert_int_equal(ops->config_set(vdev, 0, config, 97), -EINVAL);
	/* the whole space as it is, with the cache off */
	config[32] = 0;
	assert_int_equal(ops->config_set(vdev, 0, config, 96), 0);
	ops->config_get(vdev, changed);
	assert_memory_equal(config, changed, sizeof(config));
	close_all();
}

static uint64_t config_le(const uint8_t *config, unsigned off, unsigned bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | config[off + bytes];
	return v;
}

static void config_space_is_laid_out_as_specified(void **state)
{
	static const struct {
		unsigned off, bytes;
		uint64_t want;
	} rows[] = {
		{ 0, 8, DISK_BYTES / 512 },
		{ 8, 4, 1 << 20 },
		{ 12, 4, 100 },
		{ 16, 2, 2 },
		{ 18, 1, 16 },
		{ 19, 1, 63 },
		{ 20, 4, 1024 },
		{ 24, 1, 2 },
		{ 25, 1, 0 },
		{ 26, 2, 4 },
		{ 28, 4, 64 },
		{ 32, 1, 1 },
		{ 34, 2, 7 },
		{ 36, 4, 128 },
		{ 40, 4, 32 },
		{ 44, 4, 8 },
		{ 48, 4, 64 },
		{ 52, 4, 32 },
		{ 56, 1, 1 },
	};
	const struct vblk_opts opts = { .nqueues = 7, .seg_max = 100 };
	struct bdev_limits lim = limits;
	uint8_t config[VDEV_CONFIG_MAX];

	(void)state;
	lim.block_bytes = 1024;
	lim.phys_bytes = 4096;
	lim.opt_io_bytes = 65536;
	lim.discard_align = 4096;
	device_open(&lim, &opts);
	memset(config, 0xee, sizeof(config));
	assert_int_equal(vblk_vdev(dev)->ops->config_get(vblk_vdev(dev), config), 96);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (config_le(config, rows[i].off, rows[i].bytes) != rows[i].want)
			fail_msg("config at %u: %llu", rows[i].off,
				 (unsigned long long)config_le(config, rows[i].off, rows[i].bytes));
	for (unsigned i = 57; i < sizeof(config); i++)
		assert_int_equal(config[i], 0);
	device_close();
}

static unsigned changed_calls;

struct listener {
	struct vdev_listener l;
	uint64_t capacity;
};

static void on_config_changed(struct vdev_listener *l)
{
	uint8_t config[VDEV_CONFIG_MAX];

	vblk_vdev(dev)->ops->config_get(vblk_vdev(dev), config);
	container_of(l, struct listener, l)->capacity = config_le(config, 0, 8);
	changed_calls++;
}

static void on_resized(void *arg, int err, const char *why)
{
	*(int *)arg = err;
}

static void resize_reaches_config_and_bounds(void **state)
{
	struct listener l;
	int err = 1;

	(void)state;
	changed_calls = 0;
	open_all();
	vdev_listener_add(vblk_vdev(dev), &l.l, on_config_changed);
	request(VBLK_T_IN, 1024, 512, true);
	assert_int_equal(*status, VBLK_S_OK);
	bdev_resize(&fake.bdev, DISK_BYTES / 2, on_resized, &err);
	while (err == 1)
		reactor_turn(r);
	assert_int_equal(err, 0);
	assert_int_equal(changed_calls, 1);
	assert_int_equal(l.capacity, DISK_BYTES / 2 / 512);
	assert_int_equal(request(VBLK_T_IN, 1024, 512, true), 1);
	assert_int_equal(*status, VBLK_S_IOERR);
	seg(0, 1024, 1, 0);
	request(VBLK_T_DISCARD, 0, 16, false);
	assert_int_equal(*status, VBLK_S_IOERR);
	request(VBLK_T_IN, 1023, 512, true);
	assert_int_equal(*status, VBLK_S_OK);
	vdev_listener_del(&l.l);
	close_all();
}

static void options_are_checked(void **state)
{
	static const struct vblk_opts bad[] = {
		{ .nqueues = 0 },
		{ .nqueues = VDEV_QUEUES_MAX + 1 },
		{ .nqueues = 1, .seg_max = 127 },
		{ .nqueues = 1, .serial = "123456789012345678901" },
	};
	const struct vblk_opts good = { .nqueues = 1 };

	(void)state;
	device_open(&limits, &good);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct errbuf eb = { "" };
		struct vblk *d = NULL;

		assert_int_equal(vblk_create(&fake.bdev, &bad[i], &d, &eb), -EINVAL);
		assert_null(d);
		assert_string_not_equal(eb.text, "");
	}
	device_close();
}

static void write_through_can_be_the_start(void **state)
{
	const struct vblk_opts opts = { .nqueues = 1, .write_through = true };
	struct vdev *vdev;

	(void)state;
	device_open(&limits, &opts);
	vdev = vblk_vdev(dev);
	queue_open_with(offered(), false);
	request(VBLK_T_OUT, 0, 512, false);
	assert_int_equal(config_write(32, 1), 0);
	request(VBLK_T_OUT, 0, 512, false);
	vdev->ops->reset(vdev);
	request(VBLK_T_OUT, 0, 512, false);
	trace_is("W! 0+512\nW 0+512\nW! 0+512\n");
	close_all();
}

/* The write cache as the driver has set it; a disk that is not the driver's is refused, and nothing
 * changes. */
static void the_state_moves_with_the_driver(void **state)
{
	static const struct {
		uint32_t len;
		unsigned at;
		uint8_t value;
		int err;
	} rows[] = {
		{ 0, 0, 0, -EINVAL },	   { 15, 0, 0, -EINVAL },    { 17, 0, 0, -EINVAL },
		{ 16, 12, 2, -EINVAL }, /* a write cache that is neither on nor off */
		{ 16, 13, 1, -EINVAL },	   { 16, 15, 0x80, -EINVAL }, /* reserved */
		{ 16, 9, 0x10, -EINVAL }, /* blocks of 4096 bytes */
		{ 16, 0, 1, -EINVAL },	   { 16, 7, 1, -EINVAL },     /* a larger disk */
		{ 16, 1, 0, 0 },	  /* a smaller one */
		{ 16, 12, 1, 0 },	   { 16, 12, 0, 0 },
	};
	const struct vblk_opts opts = { .nqueues = 1 };
	const struct vdev_state_ops *ops;
	uint8_t st[VDEV_STATE_MAX], want = 1;
	struct errbuf eb;

	(void)state;
	device_open(&limits, &opts);
	ops = vblk_vdev(dev)->ops->state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t config[VDEV_CONFIG_MAX];

		assert_int_equal(ops->save(vblk_vdev(dev), st), 16);
		assert_int_equal(st[12], want);
		st[12] = 0; /* what the refused ones must not do */
		st[rows[i].at] = rows[i].value;
		eb.text[0] = '\0';
		assert_int_equal(ops->load(vblk_vdev(dev), st, rows[i].len, &eb), rows[i].err);
		assert_int_equal(eb.text[0] != '\0', rows[i].err != 0);
		if (!rows[i].err)
			want = st[12];
		(void)vblk_vdev(dev)->ops->config_get(vblk_vdev(dev), config);
		assert_int_equal(config[32], want);
	}
	queue_open_with(offered(), false);
	request(VBLK_T_OUT, 0, 512, false);
	trace_is("W! 0+512\n"); /* without its write cache */
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(write_cache_can_be_switched),
		cmocka_unit_test(only_the_write_cache_can_be_configured),
		cmocka_unit_test(config_space_is_laid_out_as_specified),
		cmocka_unit_test(resize_reaches_config_and_bounds),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(write_through_can_be_the_start),
		cmocka_unit_test(the_state_moves_with_the_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
