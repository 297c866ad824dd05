/* SPDX-License-Identifier: BSD-3-Clause */
/* The vDPA device without DPDK: a front-end's messages in, rings that run and stop, memory that changes, bounds kept. */
#include <errno.h>
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

#include "core/base/cc.h"
#include "core/base/log.h"
#include "tests/unit/leaks.h"
#include "tests/unit/vdpa_front.h"
#include "vdpa/vdpa_dev.h"
#include "vhost/blk/vblk_spec.h"

#define BASIC                                                                                    \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |           \
	 VIRTIO_BIT(VBLK_F_FLUSH) | VIRTIO_BIT(VBLK_F_MQ))
#define PACKED	 (BASIC | VIRTIO_BIT(VIRTIO_F_RING_PACKED))
#define PROTOCOL (VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) | VU_BIT(VU_PROTOCOL_F_STATUS))

static struct vdpa_dev *dev;
static struct front front;
static struct errbuf why;
static struct leaks before_all;

/* What the application does with a message: the device first, then its own business. */
static int hand_on(struct vu_msg *m, void *arg)
{
	(void)arg;
	return vdpa_dev_message(dev, m, &why);
}

static void silence(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	(void)text;
}

static int setup(void **state)
{
	(void)state;
	log_set_sink(silence);
	before_all = leaks_now();
	why.text[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_sink(NULL);
	assert_no_leaks(before_all);
	return 0;
}

static struct vdpa_dev *make(const char *name, const char *args)
{
	struct vdpa_dev *d = NULL;
	struct vdpa_args a;

	if (vdpa_args_parse(args, &a, &why) || vdpa_dev_create(name, &a, &d, &why))
		fail_msg("%s: %s", args, why.text);
	return d;
}

static void begin(const char *args, uint64_t features)
{
	dev = make("dev", args);
	front_init(&front, hand_on, NULL);
	front_negotiate(&front, features, PROTOCOL);
	assert_int_equal(front_share(&front, 1), 0);
}

static void end(void)
{
	vdpa_dev_destroy(dev);
	front_fini(&front);
}

static void start(unsigned ring)
{
	if (vdpa_dev_ring_start(dev, ring, &why))
		fail_msg("ring %u: %s", ring, why.text);
}

static void state_is(enum vdpa_dev_state want)
{
	assert_int_equal(vdpa_dev_get_state(dev), want);
}

static void it_offers_what_the_device_type_does(void **state)
{
	(void)state;
	dev = make("dev", "backend=ram:16M,queues=4");
	state_is(VDPA_DEV_IDLE);
	assert_int_equal(vdpa_dev_nqueues(dev), 4);
	assert_int_equal(vdpa_dev_features(dev) & PACKED, PACKED);
	assert_true(vdpa_dev_features(dev) & VIRTIO_BIT(VBLK_F_DISCARD));
	assert_false(vdpa_dev_features(dev) & VIRTIO_BIT(VBLK_F_RO));
	assert_int_equal(vdpa_dev_protocol_features(dev) & PROTOCOL, PROTOCOL);
	vdpa_dev_destroy(dev);
	dev = make("dev", "backend=ram:16M,readonly=1,packed=0");
	assert_true(vdpa_dev_features(dev) & VIRTIO_BIT(VBLK_F_RO));
	assert_false(vdpa_dev_features(dev) & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	vdpa_dev_destroy(dev);
	vdpa_dev_destroy(NULL);
}

static void what_cannot_be_made_leaves_nothing(void **state)
{
	static const char *const bad[] = { "backend=nosuch:1", "backend=file:/nonexistent/x", "backend=ram:1M,cpus=1023",
					   "backend=ram:0" };
	struct vdpa_args a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why.text[0] = '\0';
		assert_int_equal(vdpa_args_parse(bad[i], &a, &why), 0);
		assert_true(vdpa_dev_create("dev", &a, &dev, &why) < 0);
		assert_true(why.text[0] != '\0');
	}
}

/* A ring runs from the application's word on, not from the message. */
static void run(uint64_t features)
{
	begin("backend=ram:16M,queues=4", features);
	state_is(VDPA_DEV_CONFIGURED);
	front_ring(&front, 0);
	(void)front_submit(&front, 0, VBLK_T_FLUSH, 0, 0);
	assert_true(front_is_silent(&front, 0));
	state_is(VDPA_DEV_CONFIGURED);
	start(0);
	state_is(VDPA_DEV_RUNNING);
	(void)front_wait(&front, 0);
	front_io(&front, 0, 8, 0x5a);
	start(0); /* harmless */
	front_io(&front, 0, 16, 0xa5);
	front_ring(&front, 3);
	start(3);
	front_io(&front, 3, 24, 0x33);
	vdpa_dev_disconnect(dev);
	state_is(VDPA_DEV_IDLE);
	end();
}

static void rings_run_when_told(void **state)
{
	(void)state;
	run(BASIC);
	run(PACKED);
}

/* The front-end has learnt from the application only the driver's half of a packed ring's position. */
static void stop_and_go_on(uint64_t features)
{
	uint32_t base = 77;

	begin("backend=ram:16M,queues=2", features);
	front_ring(&front, 0);
	start(0);
	for (unsigned i = 0; i < 70; i++) /* once around the ring */
		front_io(&front, 0, 8 * i, (uint8_t)i);
	assert_int_equal(front_state(&front, VU_SET_VRING_ENABLE, 0, 0), 0);
	state_is(VDPA_DEV_STOPPED);
	assert_int_equal(vdpa_dev_ring_stop(dev, 0, &base, &why), 0);
	front_ring_again(&front, 0, base & 0xffff);
	(void)front_submit(&front, 0, VBLK_T_FLUSH, 0, 0);
	assert_true(front_is_silent(&front, 0));
	start(0);
	(void)front_wait(&front, 0);
	front_io(&front, 0, 0, 0x77);
	state_is(VDPA_DEV_RUNNING);
	end();
}

static void a_ring_goes_on_where_it_stopped(void **state)
{
	(void)state;
	stop_and_go_on(BASIC);
	stop_and_go_on(PACKED);
}

static void all_rings_pause(void **state)
{
	(void)state;
	begin("backend=ram:16M,queues=2", BASIC);
	assert_int_equal(vdpa_dev_pause(dev, &why), 0);
	state_is(VDPA_DEV_CONFIGURED);
	for (unsigned i = 0; i < 2; i++) {
		front_ring(&front, i);
		start(i);
	}
	assert_int_equal(vdpa_dev_pause(dev, &why), 0);
	state_is(VDPA_DEV_STOPPED);
	(void)front_submit(&front, 1, VBLK_T_FLUSH, 0, 0);
	assert_true(front_is_silent(&front, 1));
	start(1);
	(void)front_wait(&front, 1);
	assert_int_equal(front_u64(&front, VU_SET_STATUS, 0), 0);
	state_is(VDPA_DEV_STOPPED);
	end();
}

/* More regions, fewer, under a ring that runs; I/O goes on without a stop. */
static void memory_changes_under_running_rings(void **state)
{
	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	front_ring(&front, 0);
	start(0);
	for (unsigned n = 1; n <= 8; n *= 2) {
		front_io(&front, 0, 8 * n, (uint8_t)n);
		assert_int_equal(front_share(&front, n), 0);
		state_is(VDPA_DEV_RUNNING);
	}
	front_io(&front, 0, 0, 0x11);
	end();
}

static void a_new_call_fd_is_used_at_once(void **state)
{
	uint64_t n = 0;
	int fresh = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	begin("backend=ram:16M,queues=1", BASIC);
	front_ring(&front, 0);
	start(0);
	front_io(&front, 0, 0, 1);
	assert_int_equal(front_fd(&front, VU_SET_VRING_CALL, 0, fresh), 0);
	state_is(VDPA_DEV_RUNNING);
	front_io(&front, 0, 0, 2);
	for (unsigned i = 0; i < 60000 && read(fresh, &n, sizeof(n)) < 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_true(n > 0);
	close(fresh);
	end();
}

/* A disk that never answers: whoever waits for it, waits no longer than the bound. */
static void a_stop_is_bounded(void **state)
{
	uint32_t base = 77;

	(void)state;
	begin("backend=[fault:op=write,drop@ram:16M],queues=1,stop_ms=2000", BASIC);
	front_ring(&front, 0);
	start(0);
	(void)front_submit(&front, 0, VBLK_T_OUT, 0, 1);
	assert_true(front_is_silent(&front, 0));
	assert_int_equal(vdpa_dev_ring_stop(dev, 0, &base, &why), -ETIMEDOUT);
	assert_int_equal(base, 77);
	assert_non_null(strstr(why.text, "stop_ms"));
	state_is(VDPA_DEV_FAILED);
	assert_int_equal(front_u64(&front, VU_SET_FEATURES, BASIC), -EPIPE);
	assert_int_equal(vdpa_dev_ring_start(dev, 0, &why), -EPIPE);
	vdpa_dev_disconnect(dev);
	state_is(VDPA_DEV_IDLE);
	/* the one before is not over: nobody has waited for the disk */
	assert_int_equal(front_u64(&front, VU_SET_FEATURES, BASIC), -EBUSY);
	/* whoever takes the device away has the disk answer with an error: all ends, nothing stays */
	end();
}

static void what_is_wrong_is_refused(void **state)
{
	struct vu_msg m;

	(void)state;
	begin("backend=ram:16M,queues=2", BASIC);
	vu_msg_init(&m, VU_SET_FEATURES, 0, 4); /* too short */
	assert_int_equal(hand_on(&m, NULL), -EPROTO);
	vu_msg_init(&m, VU_SET_LOG_BASE, 0, 16); /* no fd */
	assert_int_equal(hand_on(&m, NULL), -EPROTO);
	vu_msg_init(&m, 9999, 0, 0); /* nobody's: the application's */
	assert_int_equal(hand_on(&m, NULL), 0);
	assert_int_equal(vdpa_dev_ring_start(dev, 2, &why), -EINVAL);
	assert_int_equal(vdpa_dev_ring_start(dev, UINT32_MAX, &why), -EINVAL);
	assert_int_equal(vdpa_dev_ring_stop(dev, 2, &(uint32_t){ 0 }, &why), -EINVAL);
	state_is(VDPA_DEV_CONFIGURED); /* nothing of that has hurt */
	front_ring(&front, 0);
	start(0);
	front_io(&front, 0, 0, 1);
	/* a guest that writes where nothing can be written is told so, and goes on */
	vu_msg_init(&m, VU_SET_CONFIG, 0, VU_CONFIG_HDR_BYTES + 1);
	m.p.config.size = 1;
	m.p.config.data[0] = 1;
	assert_int_equal(hand_on(&m, NULL), -EREMOTEIO);
	front_io(&front, 0, 0, 2);
	/* a message that no session forgives */
	assert_int_equal(front_state(&front, VU_SET_VRING_ENABLE, 0, 2), -EPIPE);
	state_is(VDPA_DEV_FAILED);
	assert_int_equal(front_state(&front, VU_SET_VRING_ENABLE, 0, 0), -EPIPE);
	vdpa_dev_disconnect(dev);
	front_negotiate(&front, BASIC, PROTOCOL);
	state_is(VDPA_DEV_CONFIGURED);
	end();
}

/* Made by the device, kept by the front-end, handed back to the device: the application has no part in it. */
static void the_inflight_region_is_the_devices(void **state)
{
	struct vu_msg m;
	int fd;

	(void)state;
	begin("backend=[fault:op=write,first=1,delay=300ms@ram:16M],queues=1,stop_ms=10000", BASIC);
	vu_msg_init(&m, VU_GET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight.nqueues = 1;
	m.p.inflight.queue_size = FRONT_SIZE;
	assert_int_equal(hand_on(&m, NULL), VDPA_DEV_REPLY);
	assert_int_equal(m.nfds, 1);
	assert_true(m.p.inflight.mmap_size > 0);
	fd = m.fds[0];
	vu_msg_init(&m, VU_SET_INFLIGHT_FD, 0, sizeof(m.p.inflight));
	m.p.inflight = (struct vu_inflight){ .mmap_size = (uint64_t)lseek(fd, 0, SEEK_END),
					     .nqueues = 1,
					     .queue_size = FRONT_SIZE };
	m.fds[0] = fd;
	m.nfds = 1;
	assert_int_equal(hand_on(&m, NULL), VDPA_DEV_TAKEN);
	assert_int_equal(m.fds[0], fd); /* still the caller's */
	front_ring(&front, 0);
	start(0);
	front_io(&front, 0, 8, 0x42); /* its write is the one that takes longer */
	close(fd);
	end();
}

static void configuration_and_statistics(void **state)
{
	struct vblk_config c;
	uint64_t st[VDPA_STATS];
	struct vu_msg m;

	(void)state;
	begin("backend=ram:16M,queues=2,serial=vol7", BASIC);
	assert_int_equal(vdpa_dev_config_get(dev, &c, sizeof(c), &why), 0);
	assert_int_equal(le64_get(c.capacity), 16 * 2048);
	assert_int_equal(le16_get(c.num_queues), 2);
	assert_int_equal(vdpa_dev_config_get(dev, &c, VU_CONFIG_BYTES_MAX + 1, &why), -EINVAL);
	vu_msg_init(&m, VU_GET_CONFIG, 0, VU_CONFIG_HDR_BYTES + 2); /* with an offset */
	m.p.config.off = offsetof(struct vblk_config, num_queues);
	m.p.config.size = 2;
	assert_int_equal(hand_on(&m, NULL), VDPA_DEV_REPLY);
	assert_int_equal(m.p.config.data[0], 2);
	front_ring(&front, 1);
	start(1);
	front_io(&front, 1, 0, 9);
	assert_int_equal(vdpa_dev_get_stats(dev, 1, st), 0);
	assert_int_equal(st[VDPA_STAT_REQUESTS], 2);
	assert_int_equal(st[VDPA_STAT_INFLIGHT], 0);
	assert_int_equal(st[VDPA_STAT_BROKEN], 0);
	assert_int_equal(vdpa_dev_reset_stats(dev, 1), 0);
	front_io(&front, 1, 0, 9);
	front_io(&front, 1, 0, 9);
	assert_int_equal(vdpa_dev_get_stats(dev, 1, st), 0);
	assert_int_equal(st[VDPA_STAT_REQUESTS], 4);
	assert_int_equal(vdpa_dev_get_stats(dev, 0, st), 0);
	assert_int_equal(st[VDPA_STAT_REQUESTS], 0);
	assert_int_equal(vdpa_dev_get_stats(dev, 2, st), -EINVAL);
	for (unsigned i = 0; i < VDPA_STATS; i++)
		assert_true(strlen(vdpa_dev_stat_name(i)) > 0);
	end();
}

static void a_disk_with_a_name_is_shared(void **state)
{
	struct vdpa_dev *other;
	struct vdpa_args a;
	struct front second;

	(void)state;
	other = make("other", "backend=ram:16M,disk=vol0,queues=1");
	begin("backend=ram:16M,disk=vol0,queues=1", BASIC);
	front_ring(&front, 0);
	start(0);
	front_io(&front, 0, 8, 0x66);
	assert_int_equal(vdpa_args_parse("backend=ram:32M,disk=vol0", &a, &why), 0);
	assert_int_equal(vdpa_dev_create("third", &a, &(struct vdpa_dev *){ NULL }, &why), -EINVAL);
	assert_non_null(strstr(why.text, "disk vol0 is another one already"));
	assert_int_equal(vdpa_args_parse("backend=ram:1M,mode=poll", &a, &why), 0);
	assert_int_equal(vdpa_dev_create("third", &a, &(struct vdpa_dev *){ NULL }, &why), -EINVAL);
	assert_non_null(strstr(why.text, "runs in mode adaptive already"));
	end();
	/* what was written through the one is read through the other */
	dev = other;
	front_init(&second, hand_on, NULL);
	front_negotiate(&second, BASIC, PROTOCOL);
	assert_int_equal(front_share(&second, 1), 0);
	front_ring(&second, 0);
	start(0);
	(void)front_submit(&second, 0, VBLK_T_IN, 8, 0);
	assert_int_equal(front_data(&second, 0, front_wait(&second, 0))[100], 0x66);
	vdpa_dev_destroy(dev);
	front_fini(&second);
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

static uint64_t sectors(void)
{
	struct vblk_config c;

	assert_int_equal(vdpa_dev_config_get(dev, &c, sizeof(c), &why), 0);
	return le64_get(c.capacity);
}

static void a_file_that_grows_is_noticed(void **state)
{
	char path[] = "/tmp/vdpa-dev-XXXXXX", args[128];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	snprintf(args, sizeof(args), "backend=file:%s,resize_s=1,queues=1", path);
	dev = make("dev", args);
	assert_int_equal(sectors(), 2048);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	for (unsigned i = 0; i < 60000 && sectors() == 2048; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(sectors(), 4096);
	vdpa_dev_destroy(dev);
	unlink(path);
	close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(it_offers_what_the_device_type_does),
		CASE(what_cannot_be_made_leaves_nothing),
		CASE(rings_run_when_told),
		CASE(a_ring_goes_on_where_it_stopped),
		CASE(all_rings_pause),
		CASE(memory_changes_under_running_rings),
		CASE(a_new_call_fd_is_used_at_once),
		CASE(a_stop_is_bounded),
		CASE(what_is_wrong_is_refused),
		CASE(the_inflight_region_is_the_devices),
		CASE(configuration_and_statistics),
		CASE(a_disk_with_a_name_is_shared),
		CASE(a_file_that_grows_is_noticed),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
