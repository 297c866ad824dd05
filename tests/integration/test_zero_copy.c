/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the front-end's pages to the device without a copy: what the counters say about a mix of
 * aligned I/O, and about one that must be copied.
 *
 *   virtio_user ─ shared memory ─► virtio-blk ─► NVMe driver ─► nvring-ssd
 *                                           └──► file driver, fixed=1
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tests/integration/disk_server.h"
#include "vhost/client/virtio_user.h"

#define DISK_BYTES (64ull << 20)
#define IO_MAX	   (1u << 20)
#define PAGE	   4096u
#define WAIT_NS	   (60 * MONO_NS_PER_SEC) /* far beyond what any test needs */
#define CONNECT_MS 20000

static char dir[64], sock[128], sock2[128], ssd_sock[128], image[128], uri[160];
static struct disk_server server;
static struct virtio_user *vu;
static struct virtio_user_queue *q;
static char *data, *back; /* IO_MAX and a page each, shared */

static int group_start(void **state)
{
	(void)state;
	mono_init();
	(void)snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(sock, sizeof(sock), "%s/disk", dir);
	(void)snprintf(sock2, sizeof(sock2), "%s/disk2", dir);
	(void)snprintf(ssd_sock, sizeof(ssd_sock), "%s/ssd", dir);
	(void)snprintf(image, sizeof(image), "%s/image", dir);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	(void)unlink(image);
	return rmdir(dir);
}

static struct virtio_user *front_end(const char *path, size_t bytes)
{
	const struct virtio_user_opts o = { .path = path,
					    .connect_ms = CONNECT_MS,
					    .memory_bytes = bytes };
	struct virtio_user *made = NULL;
	struct errbuf eb = { "" };

	if (virtio_user_open(&o, &made, &eb))
		fail_msg("%s", eb.text);
	return made;
}

static void serve(const char *what)
{
	disk_server_start(&server, what, sock, false);
	vu = front_end(sock, 16u << 20);
	q = virtio_user_queue(vu, 0);
	data = virtio_user_alloc(vu, IO_MAX + PAGE);
	back = virtio_user_alloc(vu, IO_MAX + PAGE);
	assert_true(data && back);
}

static void stop(void)
{
	virtio_user_close(vu);
	disk_server_stop(&server);
	(void)unlink(sock);
}

static void serve_file(void)
{
	int fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	(void)snprintf(uri, sizeof(uri), "file:%s?fixed=1", image);
	serve(uri);
}

static void stats_read(void *arg)
{
	bdev_get_stats(server.bdev, arg);
}

static const struct bdev_chan_stats *stats(void)
{
	static struct bdev_chan_stats st;

	reactor_call(server.control, stats_read, &st);
	return &st;
}

static void do_iov(struct virtio_user_queue *on, enum virtio_user_op op, uint64_t off,
		   const struct iovec *iov, unsigned n)
{
	uint64_t end = mono_ns() + WAIT_NS, len = 0;
	struct virtio_user_done done;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	assert_int_equal(virtio_user_submit(on, op, off, len, iov, n, NULL), 0);
	virtio_user_flush(on);
	while (virtio_user_poll(on, &done, 1) != 1)
		assert_true(mono_ns() < end);
	assert_int_equal(done.status, 0);
}

static void do_io(struct virtio_user_queue *on, enum virtio_user_op op, uint64_t off, char *buf,
		  size_t len)
{
	const struct iovec iov = { buf, len };

	do_iov(on, op, off, &iov, 1);
}

static void fill(char *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (char)(rand_r(&seed) >> 8);
}

/* Out of one buffer, into another. */
static void there_and_back(size_t from, size_t to, size_t len, unsigned seed)
{
	uint64_t off = seed % 32 * IO_MAX;

	fill(data + from, len, seed);
	memset(back + to, 0x5a, len);
	do_io(q, VIRTIO_USER_WRITE, off, data + from, len);
	do_io(q, VIRTIO_USER_READ, off, back + to, len);
	assert_memory_equal(data + from, back + to, len);
}

/* Lengths of all sizes at all places of a page that are multiples of @align. Returns the I/Os. */
static unsigned aligned_mix(size_t align, size_t block)
{
	static const size_t lens[] = { 512,  1024,  3584,  4096,   4608,
				       8192, 61440, 65536, 131072, 1 << 20 };
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		if (lens[i] % block)
			continue;
		/* of the long ones, which take their time, two are enough */
		size_t end = lens[i] < 131072 ? PAGE : 2 * align;

		for (size_t at = 0; at < end; at += align) {
			there_and_back(at, PAGE - align - at, lens[i], n);
			n++;
		}
	}
	return 2 * n;
}

/* Whole pages here and there, with a part of one in front and behind, as guests' kernels cut it. */
static void pages_in_pieces(void)
{
	const struct iovec out[] = { { data + 3 * PAGE + 512, PAGE - 512 },
				     { data + 9 * PAGE, 2 * PAGE },
				     { data, PAGE },
				     { data + 6 * PAGE, 512 } };
	const struct iovec in = { back, 4 * PAGE };
	char *at = back;

	fill(data, 12 * PAGE, 7);
	do_iov(q, VIRTIO_USER_WRITE, 0, out, ARRAY_SIZE(out));
	do_iov(q, VIRTIO_USER_READ, 0, &in, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(out); at += out[i++].iov_len)
		assert_memory_equal(at, out[i].iov_base, out[i].iov_len);
}

/* Byte addresses: no device takes them. */
static void misaligned(void)
{
	uint64_t before = stats()->bounces, bytes = stats()->bounced_bytes;

	there_and_back(1, 3, 65536, 3);
	assert_int_equal(stats()->bounces, before + 2);
	assert_int_equal(stats()->bounced_bytes, bytes + 2 * 65536);
	there_and_back(0, 0, 65536, 4);
	assert_int_equal(stats()->bounces, before + 2);
}

/* A socket is there a moment before somebody listens. */
static bool listens(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool yes;

	assert_true(strlen(path) < sizeof(to.sun_path));
	memcpy(to.sun_path, path, strlen(path));
	yes = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
	(void)close(fd);
	return yes;
}

static pid_t ssd_start(void)
{
	const char *program = getenv("NVRING_SSD");
	uint64_t end = mono_ns() + WAIT_NS;
	char ns[160];
	pid_t pid;

	if (!program)
		skip();
	(void)snprintf(ns, sizeof(ns), "%s,size=%llu", image, DISK_BYTES);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* no longer than a test that fails */
		execl(program, program, "--socket", ssd_sock, "--ns", ns, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	while (!listens(ssd_sock) && mono_ns() < end)
		usleep(1000);
	return pid;
}

static void to_an_ssd(void **state)
{
	pid_t pid = ssd_start();
	int status;

	(void)state;
	(void)snprintf(uri, sizeof(uri), "nvme+vfio-user:%s/1", ssd_sock);
	serve(uri);
	(void)aligned_mix(512, 512);
	there_and_back(4, 1020, 65536, 5); /* of a dword is enough */
	pages_in_pieces();
	assert_int_equal(stats()->bounces, 0);
	assert_int_equal(stats()->bounced_bytes, 0);
	assert_int_equal(stats()->fixed, 0);
	misaligned();
	stop();
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)unlink(image);
}

/* False: no registered buffers on this machine; the log says why. */
static bool await_fixed(void)
{
	uint64_t before = stats()->fixed, end = mono_ns() + WAIT_NS / 4;

	while (stats()->fixed == before && mono_ns() < end) {
		do_io(q, VIRTIO_USER_READ, 0, back, PAGE);
		usleep(1000);
	}
	return stats()->fixed > before;
}

static void to_a_file(void **state)
{
	uint64_t before;
	unsigned n;

	(void)state;
	serve_file();
	if (!await_fixed()) {
		print_message("no registered buffers here\n");
		stop();
		skip();
	}
	before = stats()->fixed;
	n = aligned_mix(server.bdev->lim.buf_align, server.bdev->lim.block_bytes);
	assert_int_equal(stats()->fixed, before + n);
	assert_int_equal(stats()->bounces, 0);
	if (server.bdev->lim.buf_align <= 512)
		pages_in_pieces();
	assert_int_equal(stats()->bounces, 0);
	misaligned();
	stop();
}

/* Front-ends come, use memory of their own, and go, while another one's I/O goes on. */
static void memory_comes_and_goes(void **state)
{
	uint64_t before;

	(void)state;
	serve_file();
	if (!await_fixed()) {
		stop();
		skip();
	}
	disk_server_add(&server, sock2);
	for (unsigned round = 0; round < 12; round++) {
		struct virtio_user *guest = front_end(sock2, (4u + round % 3) << 20);
		struct virtio_user_queue *gq = virtio_user_queue(guest, 0);
		char *mem = virtio_user_alloc(guest, 65536);
		uint64_t off = 40ull * IO_MAX;

		assert_non_null(mem);
		for (unsigned i = 0; i < 20 + 20 * round; i++) {
			there_and_back(0, 0, 16384, i);
			fill(mem, 65536, round * 100 + i);
			do_io(gq, VIRTIO_USER_WRITE, off, mem, 65536);
			do_io(q, VIRTIO_USER_READ, off, back, 65536);
			assert_memory_equal(mem, back, 65536);
		}
		virtio_user_close(guest);
	}
	before = stats()->fixed;
	there_and_back(0, 0, 16384, 1);
	assert_int_equal(stats()->fixed, before + 2);
	assert_int_equal(stats()->bounces, 0);
	stop();
	(void)unlink(sock2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_an_ssd),
		cmocka_unit_test(to_a_file),
		cmocka_unit_test(memory_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
