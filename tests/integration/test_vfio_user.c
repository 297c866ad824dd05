/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user client against a server in this process: all it can do, and all a server can do
 * wrong. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/log.h"
#include "core/dma.h"
#include "core/hugemem.h"
#include "drivers/vfio/vfio_dev.h"
#include "drivers/vfio/vfio_user.h"
#include "drivers/vfio/vfio_user_wire.h"
#include "tests/integration/vfio_server.h"

#define SILENT_MS 300 /* enough to give up on a server that says nothing */

struct rig {
	struct vs server;
	struct vfio_dev *dev;
	struct errbuf eb;
	int region_fd, files;
};

static int files_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void quiet(enum log_level level, const char *tag, const char *text)
{
}

static int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->files = files_open();
	r->region_fd = memfd_create("bar0", MFD_CLOEXEC);
	assert_int_equal(ftruncate(r->region_fd, VS_BAR0_BYTES), 0);
	r->server.region_fd = r->region_fd;
	r->server.config[0] = 0x36;
	r->server.config[1] = 0x1b;
	log_set_sink(quiet);
	*state = r;
	return 0;
}

static int rig_open(struct rig *r, unsigned reply_ms)
{
	const struct vfio_user_opts opts = { .name = "test", .reply_ms = reply_ms };

	return vfio_user_open_fd(vs_start(&r->server), &opts, &r->dev, &r->eb);
}

/* Everything is closed on both sides. */
static void rig_end(struct rig *r)
{
	vfio_dev_close(r->dev);
	r->dev = NULL;
	vs_join(&r->server);
	assert_int_equal(r->server.broken, 0);
}

static int rig_teardown(void **state)
{
	struct rig *r = *state;

	close(r->region_fd);
	assert_int_equal(files_open(), r->files);
	log_set_sink(NULL);
	free(r);
	return 0;
}

static bool removed(const struct vfio_dev *dev)
{
	struct pollfd pfd = { .fd = vfio_dev_removal_fd(dev), .events = POLLIN };

	assert_true(pfd.fd >= 0);
	return poll(&pfd, 1, 0) == 1;
}

/* --- what it can do --- */

static void regions_are_read_written_and_mapped(void **state)
{
	struct rig *r = *state;
	uint8_t config[VS_CONFIG_BYTES];
	uint64_t value = 0;
	uint32_t *doorbells, *server;
	void *va = NULL;

	assert_int_equal(rig_open(r, 0), 0);
	assert_string_equal(vfio_dev_name(r->dev), "test");
	assert_int_equal(vfio_dev_region_bytes(r->dev, 0), VS_BAR0_BYTES);
	assert_int_equal(vfio_dev_region_bytes(r->dev, 1), 0);
	assert_int_equal(vfio_dev_region_bytes(r->dev, 99), 0);
	assert_int_equal(vfio_dev_vectors(r->dev), VS_VECTORS);

	for (size_t len = 1; len <= 8; len *= 2) {
		const uint64_t want = 0x1122334455667788ull >> (64 - 8 * len);

		assert_int_equal(vfio_dev_region_write(r->dev, 0, 0x20, &want, len), 0);
		value = 0;
		assert_int_equal(vfio_dev_region_read(r->dev, 0, 0x20, &value, len), 0);
		assert_true(value == want);
	}
	assert_int_equal(vfio_dev_region_read(r->dev, VFIO_DEV_CONFIG, 0, config, sizeof(config)),
			 0);
	assert_int_equal(config[0] | config[1] << 8, 0x1b36);
	assert_int_equal(vfio_dev_region_read(r->dev, 0, 0, config, 3), -EINVAL);
	assert_int_equal(vfio_dev_region_read(r->dev, 0, VS_BAR0_BYTES - 2, config, 4), -EINVAL);
	assert_int_equal(vfio_dev_region_read(r->dev, 0, UINT64_MAX, config, 4), -EINVAL);
	assert_int_equal(vfio_dev_region_read(r->dev, 1, 0, config, 4), -EINVAL);
	assert_int_equal(vfio_dev_region_read(r->dev, 9, 0, config, 4), -EINVAL);

	assert_int_equal(vfio_dev_region_map(r->dev, 0, 0, VS_PAGE, &va), -ENOTSUP);
	assert_int_equal(vfio_dev_region_map(r->dev, 0, VS_PAGE - 4, 8, &va), -ENOTSUP);
	assert_int_equal(vfio_dev_region_map(r->dev, 2, 0, VS_PAGE, &va), -ENOTSUP);
	assert_int_equal(vfio_dev_region_map(r->dev, 0, VS_PAGE, VS_PAGE + 1, &va), -EINVAL);
	assert_int_equal(vfio_dev_region_map(r->dev, VFIO_DEV_CONFIG, 0, 64, &va), -EINVAL);
	assert_null(va);
	assert_int_equal(vfio_dev_region_map(r->dev, 0, VS_PAGE + 8, 64, &va), 0);
	doorbells = va;
	server = mmap(NULL, VS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->region_fd, VS_PAGE);
	doorbells[1] = 77;
	assert_int_equal(server[3], 77);
	munmap(server, VS_PAGE);
	rig_end(r);
}

static void posts_arrive_in_order_without_a_reply(void **state)
{
	struct rig *r = *state;
	uint32_t value;

	assert_int_equal(rig_open(r, 0), 0);
	for (uint32_t i = 1; i <= 5000; i++)
		vfio_dev_post(r->dev, 2, 64, i);
	assert_int_equal(vfio_dev_region_read(r->dev, 2, 64, &value, 4), 0);
	assert_int_equal(value, 5000);
	assert_int_equal(r->server.posts, 5000);
	rig_end(r);
}

struct poster {
	pthread_t thread;
	struct vfio_dev *dev;
	uint32_t at;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;

	for (uint32_t i = 1; i <= 2000; i++)
		vfio_dev_post(p->dev, 2, p->at, i);
	return NULL;
}

/* Messages of several threads do not mix: the server would see nonsense. */
static void threads_post_beside_requests(void **state)
{
	struct rig *r = *state;
	struct poster posters[2];
	uint32_t value;

	assert_int_equal(rig_open(r, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		posters[i] = (struct poster){ .dev = r->dev, .at = 4 * i };
		pthread_create(&posters[i].thread, NULL, post_many, &posters[i]);
	}
	for (uint32_t i = 0; i < 500; i++) {
		assert_int_equal(vfio_dev_region_write(r->dev, 0, 8, &i, 4), 0);
		assert_int_equal(vfio_dev_region_read(r->dev, 0, 8, &value, 4), 0);
		assert_int_equal(value, i);
	}
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(posters[i].thread, NULL);
		assert_int_equal(vfio_dev_region_read(r->dev, 2, 4 * i, &value, 4), 0);
		assert_int_equal(value, 2000);
	}
	rig_end(r);
}

static void vectors_come_in_messages_the_server_takes(void **state)
{
	struct rig *r = *state;
	int fds[VS_VECTORS + 1];
	uint64_t count;

	assert_int_equal(rig_open(r, 0), 0);
	for (unsigned i = 0; i < VS_VECTORS; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fds[VS_VECTORS] = -1;
	assert_int_equal(vfio_dev_set_vectors(r->dev, fds, VS_VECTORS + 1), -EINVAL);
	assert_int_equal(vfio_dev_set_vectors(r->dev, fds + 1, VS_VECTORS), -EBADF);
	for (unsigned n = VS_VECTORS; n > 0; n -= 10) {
		assert_int_equal(vfio_dev_set_vectors(r->dev, fds, n), 0);
		for (unsigned i = 0; i < VS_VECTORS; i++) {
			assert_int_equal(r->server.vectors[i] >= 0, i < n);
			if (i >= n)
				continue;
			assert_int_equal(eventfd_write(r->server.vectors[i], i + 1), 0);
			assert_int_equal(eventfd_read(fds[i], &count), 0);
			assert_int_equal(count, i + 1);
		}
	}
	assert_int_equal(vfio_dev_set_vectors(r->dev, NULL, 0), 0);
	assert_int_equal(r->server.vectors[0], -1);
	for (unsigned i = 0; i < VS_VECTORS; i++)
		close(fds[i]);
	rig_end(r);
}

static void bus_mastering_survives_a_reset(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(vfio_dev_bus_master(r->dev, true), 0);
	assert_int_equal(r->server.config[4], 6);
	assert_int_equal(vfio_dev_reset(r->dev), 0);
	assert_int_equal(r->server.resets, 1);
	assert_int_equal(r->server.config[4], 6);
	assert_int_equal(vfio_dev_bus_master(r->dev, false), 0);
	assert_int_equal(r->server.config[4], 2);
	rig_end(r);
}

/* What the server finds at a device address is the memory itself. */
static void memory_is_mapped_with_its_file(void **state)
{
	struct rig *r = *state;
	struct hugemem before, after;
	const struct dma_domain *d;
	size_t len;
	uint64_t iova;

	assert_int_equal(hugemem_alloc(&before, 16384, "before"), 0);
	assert_int_equal(hugemem_alloc(&after, 65536, "after"), 0);
	memset(before.va, 0x5a, before.len);
	assert_int_equal(dma_region_add(&(struct dma_region){ .va = (char *)before.va + 4096,
							      .len = 8192,
							      .fd = before.fd,
							      .fd_off = 4096 }),
			 0);
	assert_int_equal(rig_open(r, 0), 0);
	d = vfio_dev_domain(r->dev);
	assert_int_equal(r->server.nmaps, 1);
	iova = dma_xlate(d, (char *)before.va + 4096, &len);
	assert_true(iova == r->server.maps[0].iova && iova != 0 && len == 8192);
	assert_true(iova != (uintptr_t)before.va + 4096);
	assert_int_equal(r->server.maps[0].va[8191], 0x5a);

	assert_int_equal(hugemem_dma_add(&after), 0);
	assert_int_equal(r->server.nmaps, 2);
	r->server.maps[1].va[100] = 42;
	assert_int_equal(((uint8_t *)after.va)[100], 42);
	iova = dma_xlate(d, (char *)after.va + 100, &len);
	assert_true(iova == r->server.maps[1].iova + 100);
	assert_int_equal(dma_region_del((char *)before.va + 4096, 8192), 0);
	assert_int_equal(r->server.nmaps, 1);
	hugemem_dma_del(&after);
	assert_int_equal(r->server.nmaps, 0);
	rig_end(r);
	hugemem_free(&before);
	hugemem_free(&after);
}

/* A piece of a page: the pages round it are what the server maps. */
static void odd_memory_is_mapped_in_whole_pages(void **state)
{
	struct rig *r = *state;
	struct hugemem m;
	size_t len;
	uint64_t iova;

	assert_int_equal(hugemem_alloc(&m, 16384, "odd"), 0);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(
		dma_region_add(&(struct dma_region){
			.va = (char *)m.va + 4196, .len = 4096, .fd = m.fd, .fd_off = 4196 }),
		0);
	assert_int_equal(r->server.maps[0].bytes, 8192);
	iova = dma_xlate(vfio_dev_domain(r->dev), (char *)m.va + 4196, &len);
	assert_true(iova == r->server.maps[0].iova + 100);
	assert_int_equal(dma_region_del((char *)m.va + 4196, 4096), 0);
	assert_int_equal(r->server.nmaps, 0);
	rig_end(r);
	hugemem_free(&m);
}

static void memory_without_a_file_is_refused(void **state)
{
	struct rig *r = *state;
	static uint8_t memory[8192] __attribute__((aligned(4096)));
	const struct dma_region region = { .va = memory, .len = sizeof(memory), .fd = -1 };

	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(dma_region_add(&region), -ENOTSUP);
	assert_int_equal(dma_region_count(), 0);
	assert_false(removed(r->dev));
	rig_end(r);

	assert_int_equal(dma_region_add(&region), 0);
	assert_int_equal(rig_open(r, 0), -ENOTSUP);
	assert_non_null(strstr(r->eb.text, "memfd"));
	vs_join(&r->server);
	assert_int_equal(dma_region_del(memory, sizeof(memory)), 0);
}

/* --- what can go wrong --- */

static void the_end_of_the_server_is_seen(void **state)
{
	struct rig *r = *state;
	struct hugemem m;
	uint32_t value;

	assert_int_equal(hugemem_alloc(&m, 4096, "m"), 0);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(hugemem_dma_add(&m), 0);
	assert_false(removed(r->dev));
	vs_hang_up(&r->server);
	assert_true(removed(r->dev));
	assert_int_equal(vfio_dev_region_read(r->dev, 0, 0, &value, 4), -ENODEV);
	assert_int_equal(vfio_dev_reset(r->dev), -ENODEV);
	vfio_dev_post(r->dev, 0, 0, 1);
	assert_true(removed(r->dev));
	hugemem_dma_del(&m);
	rig_end(r);
	hugemem_free(&m);
}

/* What the server says unasked does not look like its end. */
static void a_message_is_no_removal(void **state)
{
	struct rig *r = *state;
	const struct vfio_user_header h = { .msg_id = 9,
					    .cmd = VFIO_USER_DMA_READ,
					    .bytes = sizeof(h),
					    .flags = VFIO_USER_F_NO_REPLY };
	uint32_t value;

	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(send(r->server.fd, &h, sizeof(h), 0), sizeof(h));
	assert_false(removed(r->dev));
	assert_int_equal(vfio_dev_region_read(r->dev, 0, 0, &value, 4), 0);
	assert_false(removed(r->dev));
	rig_end(r);
}

/* The doorbells' file shrinks under us: they read as zero, and the device counts as gone. */
static void a_truncated_region_is_a_removal(void **state)
{
	struct rig *r = *state;
	volatile uint32_t *doorbells;
	void *va;

	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(vfio_dev_region_map(r->dev, 0, VS_PAGE, VS_PAGE, &va), 0);
	doorbells = va;
	assert_int_equal(ftruncate(r->region_fd, VS_PAGE), 0);
	assert_false(removed(r->dev));
	assert_int_equal(doorbells[0], 0);
	assert_true(removed(r->dev));
	rig_end(r);
}

static void a_file_shorter_than_its_region_is_not_mapped(void **state)
{
	struct rig *r = *state;
	void *va;

	assert_int_equal(ftruncate(r->region_fd, VS_PAGE + 100), 0);
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(vfio_dev_region_map(r->dev, 0, VS_PAGE, VS_PAGE, &va), -ENOTSUP);
	rig_end(r);
}

struct wrong {
	enum vs_fault fault;
	int err;	  /* of the call; 0: it works */
	bool survives;	  /* the connection */
	const char *text; /* in the explanation when it happens to VERSION */
};

static const struct wrong wrongs[] = {
	{ VS_CLOSE, -ENODEV, false, "closed" },
	{ VS_SILENT, -ETIMEDOUT, false, "no answer" },
	{ VS_WRONG_ID, -EPROTO, false, "not the answer" },
	{ VS_WRONG_CMD, -EPROTO, false, "not the answer" },
	{ VS_WRONG_TYPE, -EPROTO, false, "not the answer" },
	{ VS_CUT, -ENODEV, false, "closed" },
	{ VS_LONG, -EPROTO, false, "size" },
	{ VS_TINY_SIZE, -EPROTO, false, "size" },
	{ VS_HUGE_SIZE, -EPROTO, false, "size" },
	{ VS_GARBAGE, -EPROTO, false, "" },
	{ VS_FDS, -EPROTO, false, "fds" },
	{ VS_MANY_FDS, -EPROTO, false, "fds" },
	{ VS_ERROR, -EBUSY, true, "another client" },
	{ VS_ERROR_STRANGE, -EIO, true, "refuses" },
	{ VS_TRICKLE, 0, true, NULL },
	{ VS_COMMANDS, 0, true, NULL },
};

/* Each command once with each fault; the device is open. */
static int command_give(struct vfio_dev *dev, unsigned cmd, struct hugemem *m, int event)
{
	uint64_t value = 0;

	switch (cmd) {
	case VFIO_USER_REGION_READ:
		return vfio_dev_region_read(dev, 0, 0, &value, 8);
	case VFIO_USER_REGION_WRITE:
		return vfio_dev_region_write(dev, 0, 0, &value, 8);
	case VFIO_USER_DEVICE_SET_IRQS:
		return vfio_dev_set_vectors(dev, &event, 1);
	case VFIO_USER_DMA_MAP:
		return hugemem_dma_add(m);
	default:
		return vfio_dev_reset(dev);
	}
}

static void broken_answers_end_the_connection_cleanly(void **state)
{
	static const unsigned cmds[] = { VFIO_USER_REGION_READ, VFIO_USER_REGION_WRITE,
					 VFIO_USER_DEVICE_SET_IRQS, VFIO_USER_DMA_MAP,
					 VFIO_USER_DEVICE_RESET };
	struct rig *r = *state;
	struct hugemem m;
	int event = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(hugemem_alloc(&m, 4096, "m"), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrongs) * ARRAY_SIZE(cmds); i++) {
		const struct wrong *w = &wrongs[i / ARRAY_SIZE(cmds)];
		unsigned cmd = cmds[i % ARRAY_SIZE(cmds)];
		uint32_t value;
		int err;

		/* one that speaks may be slow, too */
		while ((err = rig_open(r, w->fault == VS_SILENT ? SILENT_MS : 0)) == -ETIMEDOUT)
			rig_end(r);
		assert_int_equal(err, 0);
		vs_fault_set(&r->server, cmd, w->fault);
		err = command_give(r->dev, cmd, &m, event);
		if (err != w->err || removed(r->dev) == w->survives)
			fail_msg("command %u, fault %u: %d instead of %d, removed %d", cmd,
				 w->fault, err, w->err, removed(r->dev));
		vs_fault_set(&r->server, 0, VS_OK);
		assert_int_equal(vfio_dev_region_read(r->dev, 0, 0, &value, 4),
				 w->survives ? 0 : -ENODEV);
		if (cmd == VFIO_USER_DMA_MAP && !err)
			hugemem_dma_del(&m);
		assert_int_equal(dma_region_count(), 0);
		rig_end(r);
	}
	hugemem_free(&m);
	close(event);
}

/* While it is being opened: nothing half open stays, and the line says what was wrong. */
static void open_tells_what_the_server_did_wrong(void **state)
{
	static const struct {
		unsigned cmd;
		enum vs_fault fault;
		int err;
		const char *text;
	} cases[] = {
		{ VFIO_USER_VERSION, VS_SHORT, -EPROTO, "NUL" },
		{ VFIO_USER_VERSION, VS_BODY_ONES, -EPROTO, "version 65535.65535" },
		{ VFIO_USER_VERSION, VS_BODY_ZEROED, -EPROTO, "no JSON" },
		{ VFIO_USER_DEVICE_GET_INFO, VS_SHORT, -EPROTO, "size" },
		{ VFIO_USER_DEVICE_GET_INFO, VS_BODY_ZEROED, -ENOTSUP, "no PCI device" },
		{ VFIO_USER_DEVICE_GET_INFO, VS_ERROR, -EBUSY, "busy" },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, VS_SHORT, -EPROTO, "size" },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, VS_BODY_ONES, -EPROTO, "impossible" },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, VS_FDS, -EPROTO, "fds" },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, VS_BODY_ZEROED, 0, NULL },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, VS_SHORT, -EPROTO, "size" },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, VS_BODY_ONES, 0, NULL },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, VS_BODY_ZEROED, 0, NULL },
	};
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int err;

		r->server.fault_cmd = cases[i].cmd;
		r->server.fault = cases[i].fault;
		err = rig_open(r, 0);
		if (err != cases[i].err || (err && !strstr(r->eb.text, cases[i].text)))
			fail_msg("case %u: %d '%s' instead of %d '%s'", i, err, r->eb.text,
				 cases[i].err, cases[i].text);
		if (!err)
			assert_true(vfio_dev_vectors(r->dev) <= VFIO_DEV_VECTORS_MAX);
		rig_end(r);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(wrongs); i++) {
		int err;

		r->server.fault_cmd = VFIO_USER_VERSION;
		r->server.fault = wrongs[i].fault;
		err = rig_open(r, wrongs[i].fault == VS_SILENT ? SILENT_MS : 0);
		if (wrongs[i].err == 0)
			assert_int_equal(err, 0);
		else if ((err != -EPROTO && err != wrongs[i].err) || !strstr(r->eb.text, wrongs[i].text))
			fail_msg("fault %u: %d '%s'", wrongs[i].fault, err, r->eb.text);
		rig_end(r);
	}
}

static void capabilities_are_checked(void **state)
{
	static const struct {
		const char *json;
		int err;
	} cases[] = {
		{ "", 0 },
		{ "{}", 0 },
		{ "{\"capabilities\":{}}", 0 },
		{ "{\"capabilities\":{\"max_msg_fds\":0,\"unheard_of\":[1,2]}}", 0 },
		{ "{\"capabilities\":{\"max_dma_maps\":99999999999999999999}}", 0 },
		{ "{\"capabilities\":{\"pgsizes\":2097152}}", 0 },
		{ "[]", -EPROTO },
		{ "7", -EPROTO },
		{ "{\"capabilities\":7}", -EPROTO },
		{ "{\"capabilities\":", -EPROTO },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[", -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":\"8\"}}", -EPROTO },
		{ "{\"capabilities\":{\"max_msg_fds\":-1}}", -EPROTO },
		{ "{\"capabilities\":{\"max_data_xfer_size\":4}}", -EPROTO },
		{ "{\"capabilities\":{\"max_dma_maps\":0}}", -EPROTO },
		{ "{\"capabilities\":{\"pgsizes\":0}}", -EPROTO },
		{ "{\"capabilities\":{\"pgsizes\":1.5}}", -EPROTO },
	};
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int err;

		r->server.json = cases[i].json;
		err = rig_open(r, 0);
		if (err != cases[i].err)
			fail_msg("%s: %d '%s'", cases[i].json, err, r->eb.text);
		rig_end(r);
	}
}

static void limits_of_the_server_are_kept(void **state)
{
	struct rig *r = *state;
	int event = eventfd(0, EFD_CLOEXEC);
	uint8_t config[64];
	struct hugemem m[2];

	r->server.json = "{\"capabilities\":{\"max_msg_fds\":0,\"max_dma_maps\":1,\"max_data_xfer_"
			 "size\":8}}";
	assert_int_equal(rig_open(r, 0), 0);
	assert_int_equal(vfio_dev_set_vectors(r->dev, &event, 1), -ENOTSUP);
	assert_int_equal(vfio_dev_region_read(r->dev, VFIO_DEV_CONFIG, 0, config, sizeof(config)),
			 0);
	assert_int_equal(config[0] | config[1] << 8, 0x1b36);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(hugemem_alloc(&m[i], 4096, "m"), 0);
	assert_int_equal(hugemem_dma_add(&m[0]), 0);
	assert_int_equal(hugemem_dma_add(&m[1]), -ENOSPC);
	hugemem_dma_del(&m[0]);
	assert_int_equal(hugemem_dma_add(&m[1]), 0);
	hugemem_dma_del(&m[1]);
	rig_end(r);
	for (unsigned i = 0; i < 2; i++)
		hugemem_free(&m[i]);
	close(event);
}

/* --- by its path --- */

static void paths_that_lead_nowhere_are_explained(void **state)
{
	struct rig *r = *state;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char folder[] = "/tmp/nvring-vfio-XXXXXX", path[96], longer[300];
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	assert_int_equal(vfio_user_open(path, &r->dev, &r->eb), -ENOENT);
	assert_non_null(strstr(r->eb.text, path));
	assert_non_null(strstr(r->eb.text, "running"));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(vfio_user_open(path, &r->dev, &r->eb), -ECONNREFUSED);
	close(fd);

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(vfio_user_open(longer, &r->dev, &r->eb), -ENAMETOOLONG);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(regions_are_read_written_and_mapped, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(posts_arrive_in_order_without_a_reply, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(threads_post_beside_requests, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(vectors_come_in_messages_the_server_takes,
						rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(bus_mastering_survives_a_reset, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(memory_is_mapped_with_its_file, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(odd_memory_is_mapped_in_whole_pages, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(memory_without_a_file_is_refused, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(the_end_of_the_server_is_seen, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_message_is_no_removal, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_truncated_region_is_a_removal, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_file_shorter_than_its_region_is_not_mapped,
						rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(broken_answers_end_the_connection_cleanly,
						rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(open_tells_what_the_server_did_wrong, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(capabilities_are_checked, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(limits_of_the_server_are_kept, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(paths_that_lead_nowhere_are_explained, rig_setup,
						rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
