/* SPDX-License-Identifier: BSD-3-Clause */
/* libnvring-client's interface: what it refuses, what other versions' programs get, memory, event loops, servers that go. */
#include <nvring_client.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/integration/disk_server.h"

#define DISK_BYTES (64u << 20)
#define BLOCK	   4096u

static char dir[64], sock[96];
static struct disk_server server;

static int group_start(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/disk", dir);
	disk_server_start(&server, "ram:64M", sock, false);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	disk_server_stop(&server);
	return rmdir(dir);
}

static struct nvrc *disk_open(uint32_t flags, uint32_t reconnect_ms)
{
	struct nvrc_opts o = { .size = sizeof(o), .path = sock, .flags = flags, .reconnect_ms = reconnect_ms };
	struct nvrc *disk = NULL;
	char why[512];

	if (nvrc_open(&o, &disk, why, sizeof(why)))
		fail_msg("%s", why);
	return disk;
}

static int result(struct nvrc_queue *q)
{
	struct nvrc_result res;
	int n;

	nvrc_push(q);
	while ((n = nvrc_poll(q, &res, 1)) == 0)
		;
	return n < 0 ? n : res.status;
}

static void refused(const struct nvrc_opts *o, int err, const char *says)
{
	struct nvrc *disk;
	char why[512] = "";

	assert_int_equal(nvrc_open(o, &disk, why, sizeof(why)), err);
	if (!strstr(why, says))
		fail_msg("'%s' does not say '%s'", why, says);
	assert_int_equal(nvrc_open(o, &disk, NULL, 0), err);
}

static void wrong_options_are_refused(void **state)
{
	struct nvrc_opts o = { .size = sizeof(o), .path = sock };
	struct {
		struct nvrc_opts o;
		uint64_t later;
	} newer = { .o = { .size = sizeof(newer), .path = sock }, .later = 1 };
	struct nvrc *disk;

	(void)state;
	o.size = 0;
	refused(&o, -EINVAL, "opts.size is 0");
	o.size = sizeof(o);
	o.path = "";
	refused(&o, -EINVAL, "no socket");
	o.path = sock;
	o.flags = 1u << 31;
	refused(&o, -EINVAL, "flags 0x80000000");
	o.flags = 0;
	o.ring = 100;
	refused(&o, -EINVAL, "a power of two");
	o.ring = 0x10080; /* not 128 */
	refused(&o, -EINVAL, "ring 65664");
	o.ring = 0;
	o.queues = 65;
	refused(&o, -EINVAL, "65 queues");
	refused(&newer.o, -EINVAL, "an option that version");
	newer.later = 0; /* a newer program that does not use what is new */
	assert_int_equal(nvrc_open(&newer.o, &disk, NULL, 0), 0);
	nvrc_close(disk);
	nvrc_close(NULL);
}

static void what_it_tells(void **state)
{
	struct {
		struct nvrc_info i;
		uint64_t later;
	} newer = { .i = { .size = sizeof(newer) }, .later = 7 };
	struct nvrc_info i = { .size = sizeof(i) };
	struct nvrc *disk = disk_open(0, 0);

	(void)state;
	assert_int_equal(nvrc_get_info(disk, &i), 0);
	assert_int_equal(i.bytes, DISK_BYTES);
	assert_int_equal(i.block_bytes, 512);
	assert_int_equal(i.queues_max, DISK_SERVER_QUEUES);
	assert_true(i.can_discard && i.can_write_zeroes && !i.read_only);
	assert_int_equal(nvrc_get_info(disk, &newer.i), 0);
	assert_int_equal(newer.later, 0);
	newer.later = 7;
	newer.i.size = offsetof(struct nvrc_info, block_bytes); /* an older program's */
	newer.i.block_bytes = 1;
	assert_int_equal(nvrc_get_info(disk, &newer.i), 0);
	assert_int_equal(newer.i.block_bytes, 1);
	newer.i.size = 0;
	assert_int_equal(nvrc_get_info(disk, &newer.i), -EINVAL);
	assert_non_null(nvrc_queue(disk, 0));
	assert_null(nvrc_queue(disk, 1));
	assert_int_equal(strspn(nvrc_version(), "0123456789."), strlen(nvrc_version()));
	nvrc_close(disk);
}

static void memory_comes_and_goes(void **state)
{
	struct nvrc *disk = disk_open(0, 0);
	struct nvrc_queue *q = nvrc_queue(disk, 0);
	int fd = memfd_create("mine", MFD_CLOEXEC);
	struct iovec iov[2];
	char *p;

	(void)state;
	assert_int_equal(ftruncate(fd, 16 * BLOCK), 0);
	p = mmap(NULL, 16 * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(nvrc_unshare(disk, p, 16 * BLOCK), -ENOENT);
	for (unsigned round = 0; round < 40; round++) { /* more than there are places for */
		assert_int_equal(nvrc_share(disk, p, 16 * BLOCK, fd, 0), 0);
		memset(p, (int)round, 16 * BLOCK);
		iov[0] = (struct iovec){ p, BLOCK };
		iov[1] = (struct iovec){ p + 8 * BLOCK, 2 * BLOCK };
		assert_int_equal(nvrc_submit(q, NVRC_WRITE, 0, 3 * BLOCK, iov, 2, p), 0);
		assert_int_equal(nvrc_inflight(q), 1);
		assert_int_equal(result(q), 0);
		memset(p, 0xff, 16 * BLOCK);
		assert_int_equal(nvrc_submit(q, NVRC_READ, 0, 3 * BLOCK, iov, 2, p), 0);
		assert_int_equal(result(q), 0);
		assert_int_equal(p[BLOCK - 1], round);
		assert_int_equal(p[8 * BLOCK], round);
		assert_int_equal(p[BLOCK], (char)0xff);
		assert_int_equal(nvrc_inflight(q), 0);
		assert_int_equal(nvrc_unshare(disk, p, 16 * BLOCK), 0);
	}
	munmap(p, 16 * BLOCK);
	close(fd);
	nvrc_close(disk);
}

static void an_event_loop_is_woken(void **state)
{
	struct nvrc *disk = disk_open(NVRC_SLEEP, 0);
	struct nvrc_queue *q = nvrc_queue(disk, 0);
	struct pollfd p = { .fd = nvrc_fd(q), .events = POLLIN };
	struct iovec iov = { nvrc_alloc(disk, BLOCK), BLOCK };
	struct nvrc_result res;
	bool slept = false;

	(void)state;
	assert_int_equal(nvrc_arm(q), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	nvrc_disarm(q);
	/* a server may always be quicker, for a while */
	for (unsigned i = 0; i < 200 || !slept; i++) {
		assert_int_equal(nvrc_submit(q, NVRC_READ, i % 200 * BLOCK, BLOCK, &iov, 1, q), 0);
		nvrc_push(q);
		while (nvrc_poll(q, &res, 1) == 0) {
			if (!nvrc_arm(q)) {
				assert_int_equal(poll(&p, 1, 20000), 1);
				slept = true;
			}
			nvrc_disarm(q);
		}
		assert_int_equal(res.status, 0);
	}
	assert_int_equal(nvrc_wait(q, 10), -ETIMEDOUT);
	nvrc_close(disk);
}

static void a_server_that_goes_for_good(void **state)
{
	struct nvrc_result res;
	char why[512] = "";

	(void)state;
	for (uint32_t patience_ms = 0; patience_ms <= 200; patience_ms += 200) {
		struct nvrc *disk = disk_open(0, patience_ms);

		disk_server_stop(&server);
		assert_int_equal(result(nvrc_queue(disk, 0)), -EPIPE);
		disk_server_start(&server, "ram:64M", sock, false); /* too late */
		assert_int_equal(nvrc_poll(nvrc_queue(disk, 0), &res, 1), -EPIPE);
		nvrc_get_trouble(disk, why, sizeof(why));
		assert_true(!patience_ms || strstr(why, "cannot connect: No such file or directory"));
		nvrc_close(disk);
	}
}

static void a_server_that_comes_back_late(void **state)
{
	struct nvrc *disk = disk_open(NVRC_SLEEP, NVRC_FOREVER);
	struct nvrc_queue *q = nvrc_queue(disk, 0);
	struct iovec iov = { nvrc_alloc(disk, BLOCK), BLOCK };
	struct nvrc_result res;
	char why[512] = "";

	(void)state;
	disk_server_stop(&server);
	assert_int_equal(nvrc_submit(q, NVRC_READ, 0, BLOCK, &iov, 1, q), 0);
	nvrc_push(q);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(nvrc_poll(q, &res, 1), 0);
		(void)nvrc_wait(q, 20);
	}
	nvrc_get_trouble(disk, why, sizeof(why));
	assert_non_null(strstr(why, "cannot connect"));
	disk_server_start(&server, "ram:64M", sock, false);
	assert_int_equal(result(q), 0);
	nvrc_get_trouble(disk, why, sizeof(why));
	assert_string_equal(why, "");
	nvrc_close(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(what_it_tells),
		cmocka_unit_test(memory_comes_and_goes),
		cmocka_unit_test(an_event_loop_is_woken),
		cmocka_unit_test(a_server_that_goes_for_good),
		cmocka_unit_test(a_server_that_comes_back_late),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
