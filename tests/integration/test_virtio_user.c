/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end half against our server, a server that is killed, and qemu-storage-daemon. */
#include <errno.h>
#include <fcntl.h>
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

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tests/integration/disk_server.h"
#include "vhost/client/virtio_user.h"
#include "vhost/virtq/virtio_spec.h"

#define DISK_BYTES (64u << 20)
#define WAIT_NS	   (20 * MONO_NS_PER_SEC) /* far beyond what any test needs */
#define CONNECT_MS 20000
#define BLOCK	   4096u

static char dir[64], sock[96], image[96], file_uri[128], fault_uri[192], qemu_node[192];

static int group_start(void **state)
{
	int fd;

	(void)state;
	mono_init();
	snprintf(dir, sizeof(dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/disk", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(file_uri, sizeof(file_uri), "file:%s", image);
	snprintf(fault_uri, sizeof(fault_uri), "fault:op=write,first=8,delay=3600s@%s", file_uri);
	snprintf(qemu_node, sizeof(qemu_node), "driver=file,node-name=n0,locking=off,filename=%s",
		 image);
	fd = open(image, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	return 0;
}

static int group_stop(void **state)
{
	(void)state;
	unlink(image);
	unlink(sock); /* a killed server leaves it behind */
	return rmdir(dir);
}

/*
 * Small helpers
 */

static struct virtio_user *open_disk(const struct virtio_user_opts *o)
{
	struct virtio_user_opts opts = *o;
	struct virtio_user *vu = NULL;
	struct errbuf eb = { "" };

	opts.path = sock;
	opts.connect_ms = CONNECT_MS;
	if (virtio_user_open(&opts, &vu, &eb))
		fail_msg("%s", eb.text);
	return vu;
}

/* One result, or the error of poll. */
static int next_result(struct virtio_user_queue *q, bool sleeps, struct virtio_user_done *done)
{
	uint64_t end = mono_ns() + WAIT_NS;
	int n;

	for (;;) {
		n = virtio_user_poll(q, done, 1);
		if (n)
			return n;
		if (mono_ns() > end)
			fail_msg("no answer");
		if (sleeps)
			(void)virtio_user_wait(q, 1000);
	}
}

static int do_iov(struct virtio_user_queue *q, enum virtio_user_op op, uint64_t off, uint64_t len,
		  const struct iovec *iov, unsigned n)
{
	struct virtio_user_done done;

	assert_int_equal(virtio_user_submit(q, op, off, len, iov, n, &done), 0);
	virtio_user_flush(q);
	assert_int_equal(next_result(q, false, &done), 1);
	assert_ptr_equal(done.cookie, &done);
	return done.status;
}

static int do_io(struct virtio_user_queue *q, enum virtio_user_op op, uint64_t off, void *buf,
		 size_t len)
{
	struct iovec iov = { buf, len };

	return do_iov(q, op, off, len, &iov, 1);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed * 37 + i * 11 + (i >> 8));
}

static void expect_filled(const uint8_t *p, size_t len, unsigned seed)
{
	uint8_t *want = malloc(len);

	assert_non_null(want);
	fill(want, len, seed);
	assert_memory_equal(p, want, len);
	free(want);
}

/*
 * What every agreement of both sides must be able to do
 */

static const struct virtio_user_opts agreements[] = {
	{ .nqueues = 1 },
	{ .minimal = true },
	{ .packed = true },
	{ .packed = true, .minimal = true, .no_event_idx = true },
	{ .no_indirect = true, .queue_size = 256 },
	{ .packed = true, .no_indirect = true, .queue_size = 256 },
	{ .no_event_idx = true, .depth = 16 },
	{ .in_order = true },
	{ .packed = true, .in_order = true },
	{ .eventfd = true },
	{ .eventfd = true, .packed = true },
	{ .eventfd = true, .no_event_idx = true },
	{ .no_inflight = true, .nqueues = DISK_SERVER_QUEUES, .depth = 4, .queue_size = 8 },
};

/* Fills the ring of @q with writes, then with reads of the same, many times over. */
static void churn(struct virtio_user_queue *q, bool sleeps, unsigned depth, uint8_t *mem)
{
	struct virtio_user_done done;

	for (unsigned round = 0; round < 20; round++) {
		enum virtio_user_op op = round & 1 ? VIRTIO_USER_READ : VIRTIO_USER_WRITE;

		for (unsigned i = 0; i < depth; i++) {
			struct iovec iov = { mem + (size_t)i * BLOCK, BLOCK };

			if (op == VIRTIO_USER_WRITE)
				fill(iov.iov_base, BLOCK, round * 131 + i);
			else
				memset(iov.iov_base, 0, BLOCK);
			assert_int_equal(virtio_user_submit(q, op, (uint64_t)i * BLOCK, BLOCK, &iov,
							    1, mem + i),
					 0);
		}
		assert_int_equal(virtio_user_submit(q, op, 0, BLOCK, &(struct iovec){ mem, BLOCK },
						    1, NULL),
				 -ENOSPC);
		virtio_user_flush(q);
		for (unsigned i = 0; i < depth; i++) {
			assert_int_equal(next_result(q, sleeps, &done), 1);
			assert_int_equal(done.status, 0);
		}
		for (unsigned i = 0; op == VIRTIO_USER_READ && i < depth; i++)
			expect_filled(mem + (size_t)i * BLOCK, BLOCK, (round - 1) * 131 + i);
	}
}

/* One request of as many pieces as the device takes, each of another length. */
static void many_pieces(struct virtio_user_queue *q, unsigned segs, uint8_t *mem)
{
	struct iovec iov[128] = { 0 };
	size_t at = 0;

	for (unsigned i = 0; i < segs; i++) {
		iov[i] = (struct iovec){ mem + at + 16 * i, 512u * (1 + i % 3) };
		at += iov[i].iov_len;
	}
	for (unsigned i = 0; i < segs; i++)
		fill(iov[i].iov_base, iov[i].iov_len, i);
	assert_int_equal(do_iov(q, VIRTIO_USER_WRITE, 1 << 20, at, iov, segs), 0);
	for (unsigned i = 0; i < segs; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
	assert_int_equal(do_iov(q, VIRTIO_USER_READ, 1 << 20, at, iov, segs), 0);
	for (unsigned i = 0; i < segs; i++)
		expect_filled(iov[i].iov_base, iov[i].iov_len, i);
}

static void use_disk(const struct virtio_user_opts *o)
{
	struct virtio_user *vu = open_disk(o);
	unsigned size = o->queue_size ? o->queue_size : 128;
	unsigned depth = o->depth ? o->depth : size;
	struct virtio_user_info info;
	uint8_t *mem;

	virtio_user_get_info(vu, &info);
	assert_int_equal(info.capacity_bytes, DISK_BYTES);
	if (o->no_indirect)
		depth = size / 3;
	mem = virtio_user_alloc(vu, 2u << 20);
	assert_non_null(mem);
	for (unsigned i = 0; i < (o->nqueues ? o->nqueues : 1); i++) {
		struct virtio_user_queue *q = virtio_user_queue(vu, i);

		churn(q, o->eventfd, depth, mem);
		many_pieces(q, CC_MIN(info.seg_max, size - 2), mem);
		assert_int_equal(do_iov(q, VIRTIO_USER_FLUSH, 0, 0, NULL, 0), 0);
	}
	assert_null(virtio_user_queue(vu, o->nqueues ? o->nqueues : 1));
	virtio_user_close(vu);
}

static void every_agreement_carries_data(void **state)
{
	struct disk_server s;

	(void)state;
	disk_server_start(&s, "ram:64M", sock, false);
	for (size_t i = 0; i < ARRAY_SIZE(agreements); i++)
		use_disk(&agreements[i]);
	disk_server_stop(&s);
}

static void what_is_agreed_is_what_was_asked(void **state)
{
	struct disk_server s;
	struct virtio_user *vu;
	struct virtio_user_info info;

	(void)state;
	disk_server_start(&s, "ram:64M", sock, false);
	vu = open_disk(&(struct virtio_user_opts){ .minimal = true, .no_event_idx = true });
	virtio_user_get_info(vu, &info);
	assert_int_equal(info.protocol_features, 1u << 0 | 1u << 9);
	assert_false(info.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	assert_false(info.features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	assert_true(info.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC));
	virtio_user_close(vu);
	vu = open_disk(&(struct virtio_user_opts){ .packed = true, .no_indirect = true });
	virtio_user_get_info(vu, &info);
	assert_true(info.features & VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	assert_false(info.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC));
	assert_true(info.protocol_features & 1u << 12);
	virtio_user_close(vu);
	disk_server_stop(&s);
}

static void the_other_operations(void **state)
{
	struct disk_server s;
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct virtio_user_info info;
	uint8_t *p;

	(void)state;
	disk_server_start(&s, "ram:64M", sock, false);
	vu = open_disk(&(struct virtio_user_opts){ .nqueues = 1 });
	virtio_user_get_info(vu, &info);
	assert_true(info.max_discard_sectors && info.max_write_zeroes_sectors);
	q = virtio_user_queue(vu, 0);
	p = virtio_user_alloc(vu, 4 * BLOCK);
	fill(p, BLOCK, 1);
	assert_int_equal(do_io(q, VIRTIO_USER_WRITE, 0, p, BLOCK), 0);
	assert_int_equal(do_iov(q, VIRTIO_USER_WRITE_ZEROES, 512, 1024, NULL, 0), 0);
	memset(p, 0xff, BLOCK);
	assert_int_equal(do_io(q, VIRTIO_USER_READ, 0, p, BLOCK), 0);
	fill(p + BLOCK, BLOCK, 1);
	memset(p + BLOCK + 512, 0, 1024);
	assert_memory_equal(p, p + BLOCK, BLOCK);
	assert_int_equal(do_iov(q, VIRTIO_USER_DISCARD, 0, BLOCK, NULL, 0), 0);
	memset(p, 0, BLOCK);
	assert_int_equal(do_io(q, VIRTIO_USER_GET_ID, 0, p, 20), 0);
	assert_string_equal((char *)p, "disk");
	virtio_user_close(vu);
	disk_server_stop(&s);
}

static void what_is_wrong_is_refused(void **state)
{
	struct disk_server s;
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct iovec iov;
	uint8_t *p;

	(void)state;
	disk_server_start(&s, "ram:64M", sock, true);
	vu = open_disk(&(struct virtio_user_opts){ .nqueues = 1 });
	q = virtio_user_queue(vu, 0);
	p = virtio_user_alloc(vu, BLOCK);
	iov = (struct iovec){ p, BLOCK };
	assert_int_equal(virtio_user_submit(q, VIRTIO_USER_READ, 1, BLOCK, &iov, 1, p), -EINVAL);
	assert_int_equal(virtio_user_submit(q, VIRTIO_USER_READ, 0, 512, &iov, 1, p), -EINVAL);
	assert_int_equal(virtio_user_submit(q, VIRTIO_USER_READ, 0, 0, NULL, 0, p), -EINVAL);
	assert_int_equal(virtio_user_submit(q, VIRTIO_USER_FLUSH, 0, 0, &iov, 1, p), -EINVAL);
	assert_int_equal(virtio_user_submit(q, (enum virtio_user_op)99, 0, BLOCK, &iov, 1, p),
			 -EINVAL);
	assert_int_equal(do_io(q, VIRTIO_USER_READ, DISK_BYTES, p, BLOCK), -EIO);
	assert_int_equal(do_io(q, VIRTIO_USER_WRITE, 0, p, BLOCK), -EIO);
	assert_int_equal(do_io(q, VIRTIO_USER_READ, 0, p, BLOCK), 0);
	assert_null(virtio_user_alloc(vu, 1ull << 40));
	virtio_user_close(vu);
	disk_server_stop(&s);
}

static void opening_explains_itself(void **state)
{
	struct virtio_user_opts o = { .path = sock };
	struct virtio_user *vu;
	struct disk_server s;
	struct errbuf eb = { "" };

	(void)state;
	unlink(sock);
	assert_int_equal(virtio_user_open(&o, &vu, &eb), -ENOENT);
	assert_non_null(strstr(eb.text, sock));
	disk_server_start(&s, "ram:64M", sock, false);
	o.nqueues = DISK_SERVER_QUEUES + 1;
	assert_int_equal(virtio_user_open(&o, &vu, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "queues"));
	o.nqueues = 1;
	o.queue_size = 100;
	assert_int_equal(virtio_user_open(&o, &vu, &eb), -EINVAL);
	disk_server_stop(&s);
}

/*
 * Memory, size
 */

static void more_memory_can_be_shared(void **state)
{
	const size_t len = 1u << 20;
	struct disk_server s;

	(void)state;
	disk_server_start(&s, "ram:64M", sock, false);
	for (unsigned minimal = 0; minimal < 2; minimal++) {
		struct virtio_user_opts o = { .minimal = minimal != 0 };
		struct virtio_user *vu = open_disk(&o);
		struct virtio_user_queue *q = virtio_user_queue(vu, 0);
		int fd = memfd_create("more", MFD_CLOEXEC);
		uint8_t *p;

		assert_int_equal(ftruncate(fd, (off_t)(2 * len)), 0);
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)len);
		assert_ptr_not_equal(p, MAP_FAILED);
		assert_int_equal(virtio_user_add_memory(vu, p + 1, len, fd, 0), -EINVAL);
		assert_int_equal(virtio_user_add_memory(vu, p, len, fd, (off_t)len), 0);
		close(fd);
		fill(p, len, 7);
		assert_int_equal(do_io(q, VIRTIO_USER_WRITE, 0, p, len), 0);
		memset(p, 0, len);
		assert_int_equal(do_io(q, VIRTIO_USER_READ, 0, p, len), 0);
		expect_filled(p, len, 7);
		virtio_user_close(vu);
		munmap(p, len);
	}
	disk_server_stop(&s);
}

static void a_new_size_shows(void **state)
{
	struct disk_server s;
	struct virtio_user_done done;
	struct virtio_user_info info;
	uint64_t end = mono_ns() + WAIT_NS;

	(void)state;
	disk_server_start(&s, file_uri, sock, false);
	for (unsigned sleeps = 0; sleeps < 2; sleeps++) {
		struct virtio_user *vu = open_disk(&(struct virtio_user_opts){ .eventfd = sleeps });
		struct virtio_user_queue *q = virtio_user_queue(vu, 0);
		uint64_t bytes = DISK_BYTES * (2u + sleeps);

		disk_server_resize(&s, bytes);
		do {
			assert_int_equal(virtio_user_poll(q, &done, 1), 0);
			if (sleeps)
				(void)virtio_user_wait(q, 1000);
			virtio_user_get_info(vu, &info);
			assert_true(mono_ns() < end);
		} while (info.capacity_bytes != bytes);
		virtio_user_close(vu);
	}
	disk_server_resize(&s, DISK_BYTES);
	disk_server_stop(&s);
}

/*
 * Servers that go
 */

static void a_server_that_ends_and_comes_back(void **state)
{
	struct disk_server s;
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct virtio_user_done done;
	struct errbuf eb;
	uint8_t *p;

	(void)state;
	disk_server_start(&s, file_uri, sock, false);
	vu = open_disk(&(struct virtio_user_opts){ .nqueues = 1 });
	q = virtio_user_queue(vu, 0);
	p = virtio_user_alloc(vu, BLOCK);
	fill(p, BLOCK, 3);
	assert_int_equal(do_io(q, VIRTIO_USER_WRITE, 0, p, BLOCK), 0);
	disk_server_stop(&s);
	assert_int_equal(next_result(q, false, &done), -EPIPE);
	assert_int_equal(virtio_user_reconnect(vu, 0, &eb), -ENOENT);
	disk_server_start(&s, file_uri, sock, false);
	assert_int_equal(virtio_user_reconnect(vu, CONNECT_MS, &eb), 0);
	memset(p, 0, BLOCK);
	assert_int_equal(do_io(q, VIRTIO_USER_READ, 0, p, BLOCK), 0);
	expect_filled(p, BLOCK, 3);
	virtio_user_close(vu);
	disk_server_stop(&s);
}

#define LOST_WRITES 40
#define HELD_WRITES 8 /* by the rule in fault_uri */

static void collect(struct virtio_user_queue *q, unsigned n, unsigned *seen)
{
	struct virtio_user_done done;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(next_result(q, false, &done), 1);
		assert_int_equal(done.status, 0);
		assert_int_equal(seen[(uintptr_t)done.cookie]++, 0);
	}
}

/* Answers that a reconnect found in the ring keep their places until they are given out. */
static void answers_of_the_last_server_count(void **state)
{
	const struct virtio_user_opts o = { .queue_size = 16, .depth = 4, .eventfd = true };
	struct virtio_user_queue *q;
	struct disk_server s;
	struct virtio_user *vu;
	struct errbuf eb;
	struct iovec iov = { NULL, BLOCK };

	(void)state;
	disk_server_start(&s, file_uri, sock, false);
	vu = open_disk(&o);
	q = virtio_user_queue(vu, 0);
	iov.iov_base = virtio_user_alloc(vu, BLOCK);
	for (unsigned round = 0; round < 3; round++) {
		unsigned seen[4] = { 0 };

		for (uintptr_t i = 0; i < 4; i++)
			assert_int_equal(virtio_user_submit(q, VIRTIO_USER_READ, 0, BLOCK, &iov, 1, (void *)i), 0);
		virtio_user_flush(q);
		disk_server_stop(&s); /* not before it has answered */
		disk_server_start(&s, file_uri, sock, false);
		assert_int_equal(virtio_user_reconnect(vu, CONNECT_MS, &eb), 0);
		assert_int_equal(virtio_user_submit(q, VIRTIO_USER_READ, 0, BLOCK, &iov, 1, NULL), -ENOSPC);
		assert_int_equal(virtio_user_inflight(q), 4);
		collect(q, 4, seen);
		assert_int_equal(virtio_user_inflight(q), 0);
	}
	virtio_user_close(vu);
	disk_server_stop(&s);
}

/* Writes are held back in a server that is then killed; the next one has to do them. */
static void kill_with_writes_in_flight(const struct virtio_user_opts *o, unsigned seed)
{
	pid_t pid = disk_server_fork(fault_uri, sock);
	struct virtio_user *vu = open_disk(o);
	struct virtio_user_queue *q = virtio_user_queue(vu, 0);
	uint8_t *mem = virtio_user_alloc(vu, LOST_WRITES * BLOCK);
	/* in order, what is held back holds back everything behind it */
	unsigned held = o->in_order ? LOST_WRITES : HELD_WRITES;
	unsigned seen[LOST_WRITES] = { 0 };
	struct virtio_user_done done;
	struct errbuf eb = { "" };

	for (unsigned i = 0; i < LOST_WRITES; i++) {
		struct iovec iov = { mem + i * BLOCK, BLOCK };

		fill(iov.iov_base, BLOCK, seed + i);
		assert_int_equal(virtio_user_submit(q, VIRTIO_USER_WRITE, (uint64_t)i * BLOCK,
						    BLOCK, &iov, 1, (void *)(uintptr_t)i),
				 0);
	}
	virtio_user_flush(q);
	collect(q, LOST_WRITES - held, seen);
	disk_server_kill(pid);
	assert_int_equal(next_result(q, false, &done), -EPIPE);
	pid = disk_server_fork(file_uri, sock);
	if (virtio_user_reconnect(vu, CONNECT_MS, &eb))
		fail_msg("%s", eb.text);
	collect(q, held, seen);
	for (unsigned i = 0; i < LOST_WRITES; i++) {
		memset(mem, 0, BLOCK);
		assert_int_equal(do_io(q, VIRTIO_USER_READ, (uint64_t)i * BLOCK, mem, BLOCK), 0);
		expect_filled(mem, BLOCK, seed + i);
	}
	virtio_user_close(vu);
	disk_server_kill(pid);
}

static void a_killed_server_loses_nothing(void **state)
{
	static const struct virtio_user_opts cases[] = {
		{ .nqueues = 1 },	 { .packed = true },
		{ .minimal = true },	 { .packed = true, .minimal = true },
		{ .in_order = true },	 { .no_indirect = true, .queue_size = 512 },
		{ .no_inflight = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		kill_with_writes_in_flight(&cases[i], (unsigned)(i * 50));
}

/*
 * A peer
 */

static void qemu_serves_us_too(void **state)
{
	const struct virtio_user_opts cases[] = {
		{ .nqueues = 1 },
		{ .minimal = true },
		{ .eventfd = true },
		{ .no_indirect = true, .queue_size = 256 },
		{ .no_event_idx = true, .nqueues = DISK_SERVER_QUEUES },
	};
	pid_t pid = disk_server_qemu(qemu_node, sock);

	(void)state;
	if (pid < 0) {
		print_message("qemu-storage-daemon is not installed\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		use_disk(&cases[i]);
	disk_server_kill(pid);
}

static void a_killed_qemu_loses_nothing(void **state)
{
	pid_t pid = disk_server_qemu(qemu_node, sock);
	struct virtio_user *vu;
	struct virtio_user_queue *q;
	struct errbuf eb = { "" };
	unsigned seen[64] = { 0 };
	uint8_t *mem;

	(void)state;
	if (pid < 0) {
		print_message("qemu-storage-daemon is not installed\n");
		skip();
	}
	vu = open_disk(&(struct virtio_user_opts){ .nqueues = 1 });
	q = virtio_user_queue(vu, 0);
	mem = virtio_user_alloc(vu, 64 * BLOCK);
	for (unsigned i = 0; i < 64; i++) {
		struct iovec iov = { mem + i * BLOCK, BLOCK };

		fill(iov.iov_base, BLOCK, i);
		assert_int_equal(virtio_user_submit(q, VIRTIO_USER_WRITE, (uint64_t)i * BLOCK,
						    BLOCK, &iov, 1, (void *)(uintptr_t)i),
				 0);
	}
	virtio_user_flush(q);
	disk_server_kill(pid);
	pid = disk_server_qemu(qemu_node, sock);
	if (virtio_user_reconnect(vu, CONNECT_MS, &eb))
		fail_msg("%s", eb.text);
	collect(q, 64, seen);
	virtio_user_close(vu);
	disk_server_kill(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_agreement_carries_data),
		cmocka_unit_test(what_is_agreed_is_what_was_asked),
		cmocka_unit_test(the_other_operations),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(opening_explains_itself),
		cmocka_unit_test(more_memory_can_be_shared),
		cmocka_unit_test(a_new_size_shows),
		cmocka_unit_test(a_server_that_ends_and_comes_back),
		cmocka_unit_test(answers_of_the_last_server_count),
		cmocka_unit_test(a_killed_server_loses_nothing),
		cmocka_unit_test(qemu_serves_us_too),
		cmocka_unit_test(a_killed_qemu_loses_nothing),
	};

	return cmocka_run_group_tests(tests, group_start, group_stop);
}
