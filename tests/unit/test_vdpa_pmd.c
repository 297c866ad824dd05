/* SPDX-License-Identifier: BSD-3-Clause */
/* The DPDK driver against a fake rte_vhost: what is called when, as 22.11 does it, and as nobody should. */
#include "core/base/cc.h" /* before DPDK's headers, which leave its container_of alone */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
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

#include <rte_devargs.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_vdpa.h>
#include <rte_version.h>
#include <rte_vhost.h>

#include "core/base/log.h"
#include "tests/unit/leaks.h"
#include "tests/unit/vdpa_front.h"
#include "vdpa/vdpa_dev.h"
#include "vdpa/vdpa_dpdk_abi.h"
#include "vhost/blk/vblk_spec.h"

#define BASIC                                                                          \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | \
	 VIRTIO_BIT(VBLK_F_FLUSH) | VIRTIO_BIT(VBLK_F_MQ))
#define PACKED	 (BASIC | VIRTIO_BIT(VIRTIO_F_RING_PACKED))
#define PROTOCOL (VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) | VU_BIT(VU_PROTOCOL_F_STATUS))
#define VIDS	 4

/*
 * The fake
 */
static struct {
	struct rte_vdev_driver *driver;
	struct rte_vdpa_dev_ops *ops; /* of the registered device; NULL: none */
	const char *version;
	enum rte_proc_type_t process;
	bool refuses_device;
	char logged[1024]; /* the last line of ours */
	unsigned lines;
	struct {
		bool is_there;
		struct rte_vhost_user_extern_ops handlers;
		bool enabled[FRONT_QUEUES];
	} conn[VIDS];
	uint64_t features, protocol; /* widened to */
	unsigned nbases;
	uint16_t avail, used; /* of the last rte_vhost_set_vring_base() */
	unsigned log_level;
} fake;

static int at_vid; /* whose messages are delivered */
static struct vdpa_dpdk_msg replied;
static struct front front;
static struct rte_devargs devargs;
static struct rte_vdev_device vdev = { .device = { .name = "vdpa_nvring0", .devargs = &devargs } };
static int the_device; /* stands for the struct rte_vdpa_device that DPDK would make */

static struct rte_vdpa_device *vdpa(void)
{
	return (struct rte_vdpa_device *)(void *)&the_device;
}

void rte_vdev_register(struct rte_vdev_driver *driver)
{
	fake.driver = driver;
}

struct rte_vdpa_device *rte_vdpa_register_device(struct rte_device *dev, struct rte_vdpa_dev_ops *ops)
{
	uint32_t type = 77;

	(void)dev;
	if (fake.refuses_device)
		return NULL;
	assert_true(ops->get_queue_num && ops->get_features && ops->get_protocol_features && ops->dev_conf &&
		    ops->dev_close && ops->set_vring_state && ops->set_features);
	assert_int_equal(ops->get_dev_type(vdpa(), &type), 0);
	assert_int_equal(type, RTE_VHOST_VDPA_DEVICE_TYPE_BLK);
	fake.ops = ops;
	return vdpa();
}

int rte_vdpa_unregister_device(struct rte_vdpa_device *dev)
{
	assert_ptr_equal(dev, vdpa());
	fake.ops = NULL;
	return 0;
}

struct rte_vdpa_device *rte_vhost_get_vdpa_device(int vid)
{
	return vid >= 0 && vid < VIDS && fake.conn[vid].is_there ? vdpa() : NULL;
}

int rte_vhost_extern_callback_register(int vid, struct rte_vhost_user_extern_ops const *const ops, void *ctx)
{
	(void)ctx;
	fake.conn[vid].handlers = *ops;
	return 0;
}

int rte_vhost_get_ifname(int vid, char *buf, size_t len)
{
	snprintf(buf, len, "/run/vid%d", vid);
	return 0;
}

int rte_vhost_driver_set_features(const char *path, uint64_t features)
{
	assert_string_equal(path, "/run/vid0");
	fake.features = features;
	return 0;
}

int rte_vhost_driver_set_protocol_features(const char *path, uint64_t protocol)
{
	assert_string_equal(path, "/run/vid0");
	fake.protocol = protocol;
	return 0;
}

int rte_vhost_set_vring_base(int vid, uint16_t queue, uint16_t avail, uint16_t used)
{
	(void)queue;
	assert_int_equal(vid, at_vid);
	fake.nbases++;
	fake.avail = avail;
	fake.used = used;
	return 0;
}

const char *rte_version(void)
{
	return fake.version;
}

enum rte_proc_type_t rte_eal_process_type(void)
{
	return fake.process;
}

int rte_log_register_type_and_pick_level(const char *name, uint32_t level)
{
	(void)name;
	(void)level;
	return 1;
}

int rte_log_register(const char *name)
{
	(void)name;
	return 2;
}

int rte_log_get_level(uint32_t type)
{
	return type == 1 ? (int)RTE_LOG_DEBUG : (int)fake.log_level;
}

int rte_log_set_level(uint32_t type, uint32_t level)
{
	if (type == 2)
		fake.log_level = level;
	return 0;
}

int rte_log(uint32_t level, uint32_t type, const char *format, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the control thread logs, too */
	va_list ap;

	(void)type;
	if (level > RTE_LOG_WARNING)
		return 0;
	pthread_mutex_lock(&lock);
	va_start(ap, format);
	vsnprintf(fake.logged, sizeof(fake.logged), format, ap);
	va_end(ap);
	fake.lines++;
	pthread_mutex_unlock(&lock);
	return 0;
}

/*
 * rte_vhost's event thread
 */
static void connect_vid(int vid)
{
	memset(&fake.conn[vid], 0, sizeof(fake.conn[vid]));
	fake.conn[vid].is_there = true;
}

static void hang_up(int vid)
{
	(void)fake.ops->dev_close(vid);
	(void)fake.ops->dev_cleanup(vid);
	memset(&fake.conn[vid], 0, sizeof(fake.conn[vid]));
}

static void close_fds(struct vdpa_dpdk_msg *d)
{
	for (int i = 0; i < d->nfds && i < VDPA_DPDK_FDS_MAX; i++) {
		if (d->fds[i] >= 0)
			close(d->fds[i]);
	}
}

/* What rte_vhost itself does with a message, as far as a driver sees it. */
static void own_handler(struct vdpa_dpdk_msg *d)
{
	struct vu_vring_state s;
	uint64_t u64;

	memcpy(&s, d->payload, sizeof(s));
	memcpy(&u64, d->payload, sizeof(u64));
	switch (d->request) {
	case VU_GET_FEATURES:
		assert_int_equal(fake.ops->get_features(vdpa(), &u64), 0);
		memcpy(d->payload, &u64, sizeof(u64));
		d->flags |= VU_FLAG_REPLY;
		break;
	case VU_SET_FEATURES:
		assert_int_equal(fake.ops->get_features(vdpa(), &u64), 0);
		assert_int_equal(fake.ops->set_features(at_vid), 0);
		break;
	case VU_SET_MEM_TABLE: /* when it takes the device for configured */
		assert_int_equal(fake.ops->dev_close(at_vid), 0);
		break;
	case VU_GET_VRING_BASE:
		assert_int_equal(fake.ops->dev_close(at_vid), 0);
		break;
	case VU_SET_VRING_CALL: /* "not ready" while the fd changes */
		if (fake.conn[at_vid].enabled[u64 & 0xff])
			assert_int_equal(fake.ops->set_vring_state(at_vid, (int)(u64 & 0xff), 0), 0);
		break;
	default:
		break;
	}
	close_fds(d);
}

static void notify_states(const struct vdpa_dpdk_msg *d)
{
	struct vu_vring_state s;

	memcpy(&s, d->payload, sizeof(s));
	if (d->request == VU_SET_VRING_ENABLE && s.index < FRONT_QUEUES) {
		fake.conn[at_vid].enabled[s.index] = s.num == 1;
		(void)fake.ops->set_vring_state(at_vid, (int)s.index, s.num == 1);
	}
	if (d->request == VU_SET_VRING_CALL && fake.conn[at_vid].enabled[d->payload[0]])
		(void)fake.ops->set_vring_state(at_vid, d->payload[0], 1);
}

/* 0, or -1: rte_vhost would answer with a failure, or hang up. @replied: what the driver answered. */
static int deliver_raw(struct vdpa_dpdk_msg *d)
{
	enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;

	memset(&replied, 0, sizeof(replied));
	if (fake.conn[at_vid].handlers.pre_msg_handle)
		result = fake.conn[at_vid].handlers.pre_msg_handle(at_vid, d);
	if (result == RTE_VHOST_MSG_RESULT_REPLY) {
		replied = *d; /* sent */
		for (int i = 0; i < d->nfds; i++)
			replied.fds[i] = dup(d->fds[i]);
	}
	if (result == RTE_VHOST_MSG_RESULT_NOT_HANDLED) {
		own_handler(d);
		result = RTE_VHOST_MSG_RESULT_OK;
	}
	if (result != RTE_VHOST_MSG_RESULT_ERR && fake.conn[at_vid].handlers.post_msg_handle)
		result = fake.conn[at_vid].handlers.post_msg_handle(at_vid, d);
	if (result == RTE_VHOST_MSG_RESULT_ERR)
		return -1;
	notify_states(d);
	return 0;
}

static int deliver(struct vu_msg *m, void *arg)
{
	struct vdpa_dpdk_msg d = { .request = m->h.request, .flags = m->h.flags, .size = m->h.size };

	(void)arg;
	memcpy(d.payload, &m->p, CC_MIN(m->h.size, (uint32_t)sizeof(d.payload)));
	for (unsigned i = 0; i < m->nfds; i++)
		d.fds[d.nfds++] = dup(m->fds[i]);
	return deliver_raw(&d);
}

static int ask(uint32_t request)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, 0);
	return deliver(&m, NULL);
}

/*
 * Set-up
 */
static struct leaks before_all;

static int setup(void **state)
{
	struct rte_vdev_driver *driver = fake.driver; /* registered before main() */
	static char version[32];

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.driver = driver;
	snprintf(version, sizeof(version), "DPDK %d.%02d.3", RTE_VER_YEAR, RTE_VER_MONTH);
	fake.version = version;
	fake.process = RTE_PROC_PRIMARY;
	fake.log_level = RTE_LOG_INFO;
	at_vid = 0;
	before_all = leaks_now();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL);
	assert_no_leaks(before_all);
	return 0;
}

static int probe(const char *args)
{
	devargs.args = args;
	return fake.driver->probe(&vdev);
}

/* Connected and negotiated. */
static void begin(const char *args, uint64_t features)
{
	assert_int_equal(probe(args), 0);
	fake.nbases = 0;
	connect_vid(0);
	front_init(&front, deliver, NULL);
	assert_int_equal(ask(VU_GET_FEATURES), 0);
	assert_non_null(fake.conn[0].handlers.pre_msg_handle);
	assert_int_equal(fake.log_level, RTE_LOG_INFO); /* as it was */
	assert_int_equal(ask(VU_GET_PROTOCOL_FEATURES), 0);
	front_negotiate(&front, features, PROTOCOL);
	assert_int_equal(front_share(&front, 1), 0);
}

static void end(void)
{
	if (fake.conn[0].is_there)
		hang_up(0);
	assert_int_equal(fake.driver->remove(&vdev), 0);
	assert_null(fake.ops);
	front_fini(&front);
}

/*
 * Tests
 */
static void a_probe_that_fails_says_why_in_one_line(void **state)
{
	static const struct {
		const char *args, *says;
	} bad[] = {
		{ "", "vdpa_nvring0: backend=URI is missing" },
		{ "backend=ram:1M,nonsense=1", "vdpa_nvring0: unknown argument \"nonsense\"" },
		{ "backend=file:/nonexistent/disk", "No such file" },
		{ "backend=ram:1M,cpus=1023", "CPU 1023 is not available" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake.lines = 0;
		assert_true(probe(bad[i].args) < 0);
		assert_int_equal(fake.lines, 1);
		if (!strstr(fake.logged, bad[i].says))
			fail_msg("\"%s\": said \"%s\"", bad[i].args, fake.logged);
		assert_null(fake.ops);
		assert_int_equal(fake.driver->remove(&vdev), -ENODEV);
	}
}

static void another_dpdk_is_refused(void **state)
{
	(void)state;
	fake.version = "DPDK 19.11.0";
	assert_int_equal(probe("backend=ram:1M"), -ENOTSUP);
	assert_non_null(strstr(fake.logged, "built for DPDK "));
	assert_non_null(strstr(fake.logged, "this is DPDK 19.11.0"));
	fake.version = "DPDK 22.1";
	assert_int_equal(probe("backend=ram:1M"), -ENOTSUP);
}

static void a_secondary_process_is_refused(void **state)
{
	(void)state;
	fake.process = RTE_PROC_SECONDARY;
	assert_int_equal(probe("backend=ram:1M"), -ENOTSUP);
	assert_non_null(strstr(fake.logged, "primary"));
}

static void a_device_that_dpdk_does_not_take_is_undone(void **state)
{
	(void)state;
	fake.refuses_device = true;
	assert_int_equal(probe("backend=ram:1M"), -ENODEV);
	assert_int_equal(fake.lines, 1);
}

static void its_capabilities(void **state)
{
	uint64_t v = 0;
	uint32_t n = 0;

	(void)state;
	assert_int_equal(probe("backend=ram:16M,queues=3"), 0);
	assert_int_equal(fake.ops->get_queue_num(vdpa(), &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(fake.ops->get_features(vdpa(), &v), 0);
	assert_int_equal(v & PACKED, PACKED);
	assert_int_equal(fake.ops->get_protocol_features(vdpa(), &v), 0);
	assert_int_equal(v & PROTOCOL, PROTOCOL);
	assert_false(v & VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS)); /* rte_vhost would not know those messages */
	assert_int_equal(fake.ops->get_features((struct rte_vdpa_device *)(void *)&n, &v), -ENODEV);
	assert_int_equal(fake.driver->remove(&vdev), 0);
}

static void features_are_widened_unless_told_not_to(void **state)
{
	(void)state;
	begin("backend=ram:16M", BASIC);
	assert_int_equal(fake.features & PACKED, PACKED);
	assert_true(fake.protocol & VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD));
	end();
	fake.features = fake.protocol = 0;
	begin("backend=ram:16M,widen=0", BASIC);
	assert_int_equal(fake.features, 0);
	assert_int_equal(fake.protocol, 0);
	end();
}

static void run(uint64_t features)
{
	begin("backend=ram:16M,queues=4", features);
	front_ring(&front, 0); /* its ENABLE(1) ends in set_vring_state() */
	front_io(&front, 0, 0, 0x12);
	/* another call fd: "not ready", "ready" */
	assert_int_equal(front_fd(&front, VU_SET_VRING_CALL, 0, front.q[0].call), 0);
	front_io(&front, 0, 8, 0x34);
	front_ring(&front, 1);
	front_io(&front, 1, 8, 0x35);
	/* memory changes: dev_close within */
	assert_int_equal(front_share(&front, 2), 0);
	front_io(&front, 0, 16, 0x56);
	/* ring 1 stops, and ring 0 does not */
	assert_int_equal(front_state(&front, VU_GET_VRING_BASE, 1, 0), 0);
	assert_int_equal(fake.nbases, 1);
	assert_int_equal(fake.avail, fake.used);
	assert_int_equal(fake.avail & 0x7fff, 2 * (features == PACKED ? 3 : 1));
	(void)front_submit(&front, 1, VBLK_T_FLUSH, 0, 0);
	assert_true(front_is_silent(&front, 1));
	front_io(&front, 0, 24, 0x78);
	/* and goes on, with the half that rte_vhost told */
	front_ring_again(&front, 1, fake.avail);
	(void)front_wait(&front, 1);
	end();
}

static void rings_run_in_set_vring_state(void **state)
{
	(void)state;
	run(BASIC);
	run(PACKED);
}

/* dev_close by itself, as when the application takes the device from its socket. */
static void dev_close_stops_all(void **state)
{
	(void)state;
	begin("backend=ram:16M,queues=2", BASIC);
	front_ring(&front, 0);
	front_ring(&front, 1);
	assert_int_equal(fake.ops->dev_conf(0), 0);
	assert_int_equal(fake.ops->dev_close(0), 0);
	for (unsigned i = 0; i < 2; i++) {
		(void)front_submit(&front, i, VBLK_T_FLUSH, 0, 0);
		assert_true(front_is_silent(&front, i));
		assert_int_equal(fake.ops->set_vring_state(0, (int)i, 1), 0);
		(void)front_wait(&front, i);
	}
	assert_int_equal(fake.ops->dev_close(3), -ENODEV);
	assert_int_equal(fake.ops->set_vring_state(3, 0, 1), -ENODEV);
	assert_int_equal(fake.ops->set_vring_state(0, 100, 1), -EINVAL);
	assert_int_equal(fake.ops->set_vring_state(0, -1, 1), -ENODEV);
	end();
}

static void one_front_end_after_the_other(void **state)
{
	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	for (unsigned i = 0; i < 3; i++) {
		front_ring(&front, 0);
		front_io(&front, 0, 0, (uint8_t)i);
		hang_up(0);
		connect_vid(0); /* the same number again */
		assert_int_equal(ask(VU_GET_FEATURES), 0);
		front_negotiate(&front, BASIC, PROTOCOL);
		assert_int_equal(front_share(&front, 1), 0);
	}
	/* everything is forgotten without a hang-up */
	front_ring(&front, 0);
	assert_int_equal(fake.ops->dev_cleanup(0), 0);
	front_negotiate(&front, BASIC, PROTOCOL);
	assert_int_equal(front_share(&front, 1), 0);
	front_ring(&front, 0);
	front_io(&front, 0, 0, 0x99);
	end();
}

static void a_second_front_end_is_refused(void **state)
{
	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	front_ring(&front, 0);
	connect_vid(1);
	at_vid = 1;
	assert_int_equal(ask(VU_GET_FEATURES), 0); /* answered before we see that it is there */
	assert_int_equal(front_share(&front, 1), -1);
	assert_non_null(strstr(fake.logged, "refused"));
	assert_int_equal(fake.ops->set_vring_state(1, 0, 1), -ENODEV);
	assert_int_equal(fake.ops->dev_cleanup(1), 0);
	memset(&fake.conn[1], 0, sizeof(fake.conn[1]));
	at_vid = 0;
	front_io(&front, 0, 0, 0x41); /* the first one has not noticed */
	end();
}

static void questions_that_we_answer(void **state)
{
	struct vu_msg m;
	struct vu_config c;
	uint8_t config[300];

	(void)state;
	begin("backend=ram:16M,queues=2", BASIC);
	vu_msg_init(&m, VU_GET_CONFIG, 0, VU_CONFIG_HDR_BYTES + 2);
	m.p.config.off = offsetof(struct vblk_config, num_queues);
	m.p.config.size = 2;
	assert_int_equal(deliver(&m, NULL), 0);
	assert_int_equal(replied.request, VU_GET_CONFIG);
	memcpy(&c, replied.payload, CC_MIN(sizeof(c), (size_t)replied.size));
	assert_int_equal(c.data[0], 2);
	vu_msg_init(&m, VU_GET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight.nqueues = 1;
	m.p.inflight.queue_size = FRONT_SIZE;
	assert_int_equal(deliver(&m, NULL), 0);
	assert_int_equal(replied.nfds, 1);
	memcpy(&m.p.inflight, replied.payload, sizeof(m.p.inflight));
	vu_msg_init(&m, VU_SET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	memcpy(&m.p.inflight, replied.payload, sizeof(m.p.inflight));
	m.fds[0] = replied.fds[0];
	m.nfds = 1;
	assert_int_equal(deliver(&m, NULL), 0);
	close(replied.fds[0]);
	/* by the operations: sizes are the front-end's */
	assert_int_equal(fake.ops->get_config(0, config, 256), 0);
	assert_int_equal(config[offsetof(struct vblk_config, num_queues)], 2);
	assert_int_equal(fake.ops->get_config(0, config, 257), -EINVAL);
	assert_int_equal(fake.ops->get_config(0, config, UINT32_MAX), -EINVAL);
	assert_int_equal(fake.ops->get_config(2, config, 8), -ENODEV);
	assert_int_equal(fake.ops->set_config(0, config, 0, 8, 0), 0);
	end();
}

static void what_is_wrong_is_refused(void **state)
{
	struct vdpa_dpdk_msg d;
	struct vu_msg m;

	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	front_ring(&front, 0);
	/* a write to what cannot be written: told where asked for, and no reason to hang up */
	vu_msg_init(&m, VU_SET_CONFIG, 0, VU_CONFIG_HDR_BYTES + 1);
	m.p.config.size = 1;
	m.p.config.data[0] = 1;
	assert_int_equal(deliver(&m, NULL), 0);
	m.h.flags |= VU_FLAG_NEED_REPLY;
	assert_int_equal(deliver(&m, NULL), -1);
	front_io(&front, 0, 0, 1);
	/* lengths and numbers of fds that nobody could send */
	memset(&d, 0, sizeof(d));
	d.request = VU_SET_MEM_TABLE;
	d.size = UINT32_MAX;
	assert_int_equal(deliver_raw(&d), -1);
	memset(&d, 0, sizeof(d));
	d.request = VU_SET_FEATURES;
	d.size = 8;
	d.nfds = 8;
	for (unsigned i = 0; i < 8; i++)
		d.fds[i] = eventfd(0, 0);
	assert_int_equal(deliver_raw(&d), -1); /* and they are closed: see teardown() */
	assert_int_equal(front_state(&front, VU_GET_VRING_BASE, 200, 0), -1);
	assert_int_equal(ask(VU_POSTCOPY_ADVISE), -1); /* rte_vhost opens an fd for each of these */
	front_io(&front, 0, 0, 2); /* none of that has hurt */
	assert_int_equal(front_state(&front, VU_SET_VRING_NUM, 0, 64), -1); /* of a ring that runs: the end */
	assert_int_equal(front_state(&front, VU_SET_VRING_ENABLE, 0, 0), -1);
	end();
}

static void statistics(void **state)
{
	struct rte_vdpa_stat_name names[VDPA_STATS];
	struct rte_vdpa_stat st[VDPA_STATS];

	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	front_ring(&front, 0);
	front_io(&front, 0, 0, 1);
	assert_int_equal(fake.ops->get_stats_names(vdpa(), NULL, 0), VDPA_STATS);
	assert_int_equal(fake.ops->get_stats_names(vdpa(), names, VDPA_STATS), VDPA_STATS);
	assert_string_equal(names[VDPA_STAT_REQUESTS].name, "requests");
	assert_int_equal(fake.ops->get_stats(vdpa(), 0, st, VDPA_STATS), VDPA_STATS);
	assert_int_equal(st[VDPA_STAT_REQUESTS].id, VDPA_STAT_REQUESTS);
	assert_int_equal(st[VDPA_STAT_REQUESTS].value, 2);
	assert_int_equal(fake.ops->reset_stats(vdpa(), 0), 0);
	assert_int_equal(fake.ops->get_stats(vdpa(), 0, st, 1), 1);
	assert_int_equal(st[0].value, 0);
	assert_int_equal(fake.ops->get_stats(vdpa(), 1, st, VDPA_STATS), -EINVAL);
	assert_true(fake.ops->get_stats(vdpa(), -1, st, VDPA_STATS) < 0);
	end();
}

/* A front-end that asks for nothing before it sets: what it said must not be lost. */
static void the_first_message_is_caught_up_with(void **state)
{
	(void)state;
	assert_int_equal(probe("backend=ram:16M,queues=1"), 0);
	connect_vid(0);
	front_init(&front, deliver, NULL);
	assert_int_equal(front_u64(&front, VU_SET_FEATURES, PACKED), 0);
	front.features = PACKED;
	assert_int_equal(front_u64(&front, VU_SET_PROTOCOL_FEATURES, PROTOCOL), 0);
	assert_int_equal(front_share(&front, 1), 0);
	front_ring(&front, 0);
	front_io(&front, 0, 0, 0x21);
	end();
}

static void *nothing(void *arg)
{
	return arg;
}

/* The first thread of a process may bring a sanitizer's own with it. */
static int group_setup(void **state)
{
	pthread_t t;

	(void)state;
	return pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_probe_that_fails_says_why_in_one_line),
		CASE(another_dpdk_is_refused),
		CASE(a_secondary_process_is_refused),
		CASE(a_device_that_dpdk_does_not_take_is_undone),
		CASE(its_capabilities),
		CASE(features_are_widened_unless_told_not_to),
		CASE(rings_run_in_set_vring_state),
		CASE(dev_close_stops_all),
		CASE(one_front_end_after_the_other),
		CASE(a_second_front_end_is_refused),
		CASE(questions_that_we_answer),
		CASE(what_is_wrong_is_refused),
		CASE(statistics),
		CASE(the_first_message_is_caught_up_with),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
