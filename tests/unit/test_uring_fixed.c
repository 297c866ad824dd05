/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered buffers of the file driver: cut, looked up, pinned on first use, gone with their
 * memory, and done without where the kernel refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"
#include "core/dma.h"
#include "drivers/uring/urb_pin_priv.h"
#include "tests/unit/disk_rig.h"

#define DISK_BYTES (8u << 20)
#define TRIES	   20000 /* of a millisecond or more: what another thread does ends within that */

/* IORING_REGISTER_CLONE_BUFFERS fails as before Linux 6.13. */
static bool without_clone;

long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);

long __wrap_syscall(long nr, ...)
{
	long arg[4];
	va_list ap;

	va_start(ap, nr);
	for (unsigned i = 0; i < ARRAY_SIZE(arg); i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (without_clone && nr == SYS_io_uring_register && (unsigned)arg[1] == 30) {
		errno = EINVAL;
		return -1;
	}
	return __real_syscall(nr, arg[0], arg[1], arg[2], arg[3]);
}

static struct disk_rig rig;
static char path[64];
/* Log lines come from the pin thread as well. */
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned nlines;
static char line[256];

static void sink(enum log_level level, const char *tag, const char *text)
{
	(void)level;
	(void)tag;
	pthread_mutex_lock(&sink_lock);
	nlines++;
	(void)snprintf(line, sizeof(line), "%s", text);
	pthread_mutex_unlock(&sink_lock);
}

/* How many there were; the last is in line. */
static unsigned lines(void)
{
	unsigned n;

	pthread_mutex_lock(&sink_lock);
	n = nlines;
	pthread_mutex_unlock(&sink_lock);
	return n;
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	nlines = 0;
	log_set_sink(sink);
	(void)snprintf(path, sizeof(path), "./nvring-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	rig_init(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_fini(&rig);
	unlink(path);
	log_set_sink(NULL);
	return 0;
}

/* False: this machine cannot, and the test is over. */
static bool open_fixed(void)
{
	char uri[128];

	(void)snprintf(uri, sizeof(uri), "file:%s?fixed=1", path);
	rig_open(&rig, uri);
	if (lines() == 0)
		return true;
	assert_int_equal(lines(), 1);
	print_message("%s\n", line);
	rig_close(&rig);
	return false;
}

/* @len bytes in a memfd, in the registry, at @va or anywhere. */
static char *region_add(void *va, size_t len)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	char *p;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	p = mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | (va ? MAP_FIXED_NOREPLACE : 0), fd,
		 0);
	assert_true(p != MAP_FAILED);
	assert_int_equal(dma_region_add(&(struct dma_region){ .va = p, .len = len, .fd = fd }), 0);
	close(fd);
	return p;
}

static void region_del(char *va, size_t len)
{
	assert_int_equal(dma_region_del(va, len), 0);
	assert_int_equal(munmap(va, len), 0);
}

static uint64_t fixed(void)
{
	return rig.chan->stats->fixed;
}

/* Reads at @va until one goes through a registered buffer. */
static void await_fixed(void *va)
{
	uint64_t before = fixed();

	for (unsigned i = 0; i < TRIES && fixed() == before; i++) {
		assert_int_equal(rig_rw(&rig, BIO_READ, 0, va, 4096), 0);
		if (fixed() == before)
			usleep(1000);
	}
	assert_int_equal(fixed(), before + 1);
}

static void fill(char *va, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		va[i] = (char)(rand_r(&seed) >> 8);
}

/* What is in the file at @off is what is at @va. */
static void check_file(const char *va, size_t len, off_t off)
{
	char *back = malloc(len);
	int fd = open(path, O_RDONLY);

	assert_non_null(back);
	assert_int_equal(pread(fd, back, len, off), len);
	assert_memory_equal(va, back, len);
	close(fd);
	free(back);
}

static void a_region_is_cut_into_pieces(void **state)
{
	(void)state;
	assert_int_equal(urb_pieces(1), 1);
	assert_int_equal(urb_pieces(URB_PIECE_BYTES), 1);
	assert_int_equal(urb_pieces(URB_PIECE_BYTES + 1), 2);
	assert_int_equal(urb_pieces((5ull << 30) + 4096), (5ull << 30) / URB_PIECE_BYTES + 1);
	assert_true(URB_PIECE_BYTES <= 1ull << 30);
}

static void an_io_lies_in_one_piece_or_in_none(void **state)
{
	static const struct {
		uint64_t region_len, into, len;
		int piece;
	} rows[] = {
		{ 4096, 0, 4096, 0 },
		{ 4096, 1, 4096, -1 },
		{ 4096, 4095, 1, 0 },
		{ 4096, 4096, 1, -1 },
		{ 3 * URB_PIECE_BYTES, 0, URB_PIECE_BYTES, 0 },
		{ 3 * URB_PIECE_BYTES, 1, URB_PIECE_BYTES, -1 },
		{ 3 * URB_PIECE_BYTES, URB_PIECE_BYTES - 512, 512, 0 },
		{ 3 * URB_PIECE_BYTES, URB_PIECE_BYTES - 512, 1024, -1 },
		{ 3 * URB_PIECE_BYTES, URB_PIECE_BYTES, 1024, 1 },
		{ 3 * URB_PIECE_BYTES, 3 * URB_PIECE_BYTES - 512, 512, 2 },
		{ 3 * URB_PIECE_BYTES, 3 * URB_PIECE_BYTES - 512, 513, -1 },
		{ 3 * URB_PIECE_BYTES, UINT64_MAX - 511, 1024, -1 },
		{ 3 * URB_PIECE_BYTES, 512, UINT64_MAX, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (urb_piece_of(rows[i].region_len, rows[i].into, rows[i].len) != rows[i].piece)
			fail_msg("row %zu", i);
}

/* The first I/O is a plain one; what follows goes through the buffer, at any place in it. */
static void every_aligned_io_is_fixed(void **state)
{
	static const size_t lens[] = { 512, 1024, 4096, 12288, 65536, 131072, 1 << 20 };
	const size_t len = 4 << 20;
	uint32_t align;
	uint64_t ios = 0;
	char *mem;

	(void)state;
	if (!open_fixed())
		skip();
	mem = region_add(NULL, len);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, mem, 4096), 0);
	assert_int_equal(fixed(), 0);
	await_fixed(mem);
	ios = fixed();
	align = CC_MAX(rig.bdev->lim.buf_align, 512u);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		for (size_t at = 0; at < 16384; at += align) {
			if (lens[i] % align)
				continue;
			fill(mem + at, lens[i], (unsigned)(i * 100 + at));
			assert_int_equal(rig_rw(&rig, BIO_WRITE, 65536, mem + at, lens[i]), 0);
			check_file(mem + at, lens[i], 65536);
			assert_int_equal(
				rig_rw(&rig, BIO_READ, 65536, mem + (2 << 20) + at, lens[i]), 0);
			assert_memory_equal(mem + at, mem + (2 << 20) + at, lens[i]);
			ios += 2;
		}
	}
	assert_int_equal(fixed(), ios);
	assert_int_equal(rig.chan->stats->bounces, 0);
	assert_int_equal(rig.chan->stats->bounced_bytes, 0);
	/* The other way round: this one must be copied, and shows. */
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 4096, mem + 1, 4096), 0);
	check_file(mem + 1, 4096, 4096);
	assert_int_equal(rig.chan->stats->bounces, 1);
	assert_int_equal(rig.chan->stats->bounced_bytes, 4096);
	region_del(mem, len);
	rig_close(&rig);
	assert_int_equal(lines(), 0);
}

/* Segments that touch are one buffer; those that do not are read as ever. */
static void segments_that_touch_are_one(void **state)
{
	const size_t len = 1 << 20;
	struct rig_io io = { 0 };
	uint64_t before;
	char *mem;

	(void)state;
	if (!open_fixed())
		skip();
	mem = region_add(NULL, len);
	await_fixed(mem);
	before = fixed();
	fill(mem, len, 1);
	io.bio.op = BIO_WRITE;
	io.bio.len = 12288;
	io.bio.iovcnt = 3;
	for (unsigned i = 0; i < 3; i++)
		io.iov[i] = (struct iovec){ mem + (size_t)i * 4096, 4096 };
	rig_submit(&rig, &io);
	assert_int_equal(rig_wait(&rig, &io), 0);
	assert_int_equal(fixed(), before + 1);
	check_file(mem, 12288, 0);
	io.iov[2].iov_base = mem + 65536;
	rig_submit(&rig, &io);
	assert_int_equal(rig_wait(&rig, &io), 0);
	assert_int_equal(fixed(), before + 1);
	check_file(mem, 8192, 0);
	check_file(mem + 65536, 4096, 8192);
	region_del(mem, len);
	rig_close(&rig);
}

/* Across two pieces: the plain way. */
static void across_two_pieces(void **state)
{
	const size_t len = URB_PIECE_BYTES + (2 << 20);
	char *mem, *border;
	uint64_t before;

	(void)state;
	if (!open_fixed())
		skip();
	mem = region_add(NULL, len);
	border = mem + URB_PIECE_BYTES;
	await_fixed(mem);
	before = fixed();
	fill(border - 65536, 131072, 2);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, border - 65536, 65536), 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 65536, border, 65536), 0);
	assert_int_equal(fixed(), before + 2);
	check_file(border - 65536, 131072, 0);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 8192, border - 4096, 8192), 0);
	assert_int_equal(fixed(), before + 2);
	check_file(border - 4096, 8192, 8192);
	assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, mem + len - 4096, 4096), 0);
	assert_int_equal(fixed(), before + 3);
	region_del(mem, len);
	rig_close(&rig);
}

/* Other memory at the same address, before the ring has been told that the first is gone: the data
 * is the new one's. */
static void memory_changes_at_an_address(void **state)
{
	const size_t len = 1 << 20;
	uint64_t before;
	char *mem;

	(void)state;
	if (!open_fixed())
		skip();
	mem = region_add(NULL, len);
	for (unsigned round = 0; round < 20; round++) {
		await_fixed(mem);
		region_del(mem, len);
		assert_ptr_equal(region_add(mem, len), mem);
		before = fixed();
		fill(mem, 65536, round);
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, mem, 65536), 0);
		check_file(mem, 65536, 0);
		memset(mem + 65536, 0, 65536);
		assert_int_equal(rig_rw(&rig, BIO_READ, 0, mem + 65536, 65536), 0);
		assert_memory_equal(mem, mem + 65536, 65536);
		/* the first of them at least was too early */
		assert_true(fixed() <= before + 1);
	}
	region_del(mem, len);
	rig_close(&rig);
	assert_int_equal(lines(), 0);
}

/* Many regions, of which some go: the others stay registered, whatever the order of their places.
 */
static void others_stay(void **state)
{
	enum {
		N = 16
	};
	const size_t len = 256 << 10;
	char *mem[N];
	uint64_t before;

	(void)state;
	if (!open_fixed())
		skip();
	for (unsigned i = 0; i < N; i++)
		mem[i] = region_add(NULL, len);
	for (unsigned i = 0; i < N; i++)
		await_fixed(mem[(i * 7) % N]);
	for (unsigned i = 0; i < N; i += 3)
		region_del(mem[i], len);
	for (unsigned i = 0; i < N; i += 3)
		mem[i] = region_add(NULL, len);
	for (unsigned i = 0; i < N; i += 3)
		await_fixed(mem[i]);
	before = fixed();
	for (unsigned i = 0; i < N; i++) {
		fill(mem[i], len, i);
		assert_int_equal(rig_rw(&rig, BIO_WRITE, i * len, mem[i], len), 0);
	}
	assert_int_equal(fixed(), before + N);
	for (unsigned i = 0; i < N; i++) {
		check_file(mem[i], len, (off_t)(i * len));
		region_del(mem[i], len);
	}
	rig_close(&rig);
}

/* kB that this process has pinned. */
static long pinned(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char text[128];
	long kb = -1;

	assert_non_null(f);
	while (kb < 0 && fgets(text, sizeof(text), f))
		if (sscanf(text, "VmPin: %ld kB", &kb) != 1)
			kb = -1;
	fclose(f);
	return kb;
}

/* @bytes used by @rings; each has its own where it cannot clone, and the set holds a page. */
static void await_pinned(size_t bytes, unsigned rings)
{
	if (bytes && !urb_pin_can_clone())
		bytes = bytes * rings + 4096;
	for (unsigned i = 0; i < TRIES && pinned() != (long)(bytes >> 10); i++) {
		rig_turn(&rig, 1);
		usleep(1000); /* the kernel ends a ring in its own time */
	}
	assert_int_equal(pinned(), bytes >> 10);
}

/* Nothing is pinned before it is used, and nothing after it is gone, though no I/O comes any more.
 */
static void memory_is_given_back(void **state)
{
	const size_t len = 4 << 20;
	char *mem;

	(void)state;
	if (!open_fixed())
		skip();
	mem = region_add(NULL, len);
	await_pinned(0, 0);
	await_fixed(mem);
	await_pinned(len, 1);
	region_del(mem, len);
	await_pinned(0, 0);
	/* And at the end of the disk. */
	mem = region_add(NULL, len);
	await_fixed(mem);
	await_pinned(len, 1);
	rig_close(&rig);
	await_pinned(0, 0);
	region_del(mem, len);
}

/* However many disks use it, where rings can clone. */
static void memory_is_pinned_once(void **state)
{
	const size_t len = 4 << 20;
	struct bdev *first;
	struct bdev_chan *first_chan;
	char *mem, uri[128];

	(void)state;
	if (!open_fixed())
		skip();
	first = rig.bdev;
	first_chan = rig.chan;
	mem = region_add(NULL, len);
	await_fixed(mem);
	(void)snprintf(uri, sizeof(uri), "file:%s?fixed=1&ro=1&locking=off", path);
	rig_open(&rig, uri);
	assert_int_equal(rig_rw(&rig, BIO_READ, 0, mem, 4096), 0);
	if (urb_pin_can_clone())
		assert_int_equal(fixed(), 1);
	else
		await_fixed(mem);
	await_pinned(len, 2);
	rig_close(&rig);
	rig.bdev = first;
	rig.chan = first_chan;
	await_fixed(mem);
	region_del(mem, len);
	rig_close(&rig);
}

static void cap_ipc_lock(bool on)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	assert_int_equal(syscall(SYS_capget, &h, d), 0);
	d[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (on)
		d[0].effective |= d[0].permitted & 1u << CAP_IPC_LOCK;
	assert_int_equal(syscall(SYS_capset, &h, d), 0);
}

/* RLIMIT_MEMLOCK of @limit, which CAP_IPC_LOCK would set aside. */
static void under_limit(rlim_t limit)
{
	const size_t len = 4 << 20;
	struct rlimit old, tiny;
	char *mem[2];

	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	tiny = (struct rlimit){ limit, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &tiny), 0);
	cap_ipc_lock(false);
	if (open_fixed()) {
		for (unsigned i = 0; i < 2; i++) {
			mem[i] = region_add(NULL, len);
			for (unsigned k = 0; k < 200; k++) {
				fill(mem[i], 4096, k);
				assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, mem[i], 4096), 0);
				check_file(mem[i], 4096, 0);
				usleep(500);
			}
			assert_int_equal(fixed(), 0);
		}
		assert_int_equal(lines(), 1);
		assert_non_null(strstr(line, "RLIMIT_MEMLOCK"));
		for (unsigned i = 0; i < 2; i++)
			region_del(mem[i], len);
		rig_close(&rig);
	}
	cap_ipc_lock(true);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &old), 0);
	assert_int_equal(lines(), 1);
}

static void less_than_a_region_may_be_locked(void **state)
{
	(void)state;
	under_limit(1 << 20);
}

static void next_to_nothing_may_be_locked(void **state)
{
	(void)state;
	under_limit(256 << 10); /* the rings themselves count as well */
}

/* Shared memory of a file system that must know of every write cannot be pinned. */
static void memory_that_cannot_be_pinned(void **state)
{
	char name[] = "./nvring-memory-XXXXXX", *mem;
	const size_t len = 1 << 20;
	int fd = mkstemp(name);

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	if (!open_fixed()) {
		close(fd);
		skip();
	}
	mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(mem != MAP_FAILED);
	assert_int_equal(dma_region_add(&(struct dma_region){ .va = mem, .len = len, .fd = fd }),
			 0);
	for (unsigned i = 0; i < 200; i++) {
		fill(mem, 4096, i);
		assert_int_equal(rig_rw(&rig, BIO_WRITE, 0, mem, 4096), 0);
		check_file(mem, 4096, 0);
		usleep(500);
	}
	/* On tmpfs and the like it works, which is as well. */
	assert_true(lines() == 1 || fixed() > 0);
	region_del(mem, len);
	close(fd);
	rig_close(&rig);
}

/* No room for a region in the tables: it is memory like any other. Never touched, so it takes none.
 */
static void more_than_the_tables_hold(void **state)
{
	const size_t len = URB_PIECES_MAX * (size_t)URB_PIECE_BYTES;
	char *big, *mem;

	(void)state;
	if (!open_fixed())
		skip();
	big = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (big == MAP_FAILED) {
		rig_close(&rig);
		skip();
	}
	mem = region_add(NULL, 65536);
	assert_int_equal(dma_region_add(&(struct dma_region){ .va = big, .len = len, .fd = -1 }),
			 0);
	assert_int_equal(lines(), 1);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(rig_rw(&rig, BIO_READ, 0, big + (len >> 1), 4096), 0);
	assert_int_equal(fixed(), 0);
	await_fixed(mem);
	region_del(big, len);
	region_del(mem, 65536);
	rig_close(&rig);
}

/* It is asked for, and something else is asked for that excludes it. */
static void not_through_the_page_cache(void **state)
{
	struct errbuf eb = { "" };
	char uri[128];

	(void)state;
	(void)snprintf(uri, sizeof(uri), "file:%s?fixed=1&direct=0", path);
	assert_int_equal(rig_try(&rig, uri, (struct bdev_open_opts){ 0 }, &eb), -EINVAL);
	assert_non_null(strstr(eb.text, "direct=0"));
}

/* Regions come and go under I/O of a reactor that works on, in memory of its own. */
struct load {
	struct bio bio;
	struct iovec iov;
	struct reactor_msg msg;
	struct bdev_chan *chan;
	char *mem;
	uint64_t n;
	unsigned errors;
	bool stop, ended; /* atomic */
};

static void load_next(struct bio *bio)
{
	struct load *l = container_of(bio, struct load, bio);

	l->errors += bio->status != 0;
	__atomic_store_n(&l->n, l->n + 1, __ATOMIC_RELEASE);
	if (__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&l->ended, true, __ATOMIC_RELEASE);
		return;
	}
	bio->off = l->n % 64 * 4096;
	bdev_submit(l->chan, bio);
}

static void load_start(struct reactor_msg *msg)
{
	struct load *l = container_of(msg, struct load, msg);

	bdev_submit(l->chan, &l->bio);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void load_begin(struct load *l, struct reactor *r)
{
	*l = (struct load){ .mem = region_add(NULL, 1 << 20) };
	assert_int_equal(bdev_chan_get(rig.bdev, r, &l->chan), 0);
	l->iov = (struct iovec){ l->mem, 4096 };
	l->bio.op = BIO_READ;
	l->bio.iov = &l->iov;
	l->bio.iovcnt = 1;
	l->bio.len = 4096;
	l->bio.done = load_next;
	reactor_send(r, &l->msg, load_start);
}

static void load_end(struct load *l)
{
	__atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&l->ended, __ATOMIC_ACQUIRE))
		usleep(100);
	assert_int_equal(l->errors, 0);
	assert_true(l->n > 0);
	region_del(l->mem, 1 << 20);
	bdev_chan_put(l->chan);
}

static void regions_come_and_go_under_load(void **state)
{
	struct reactor_opts o = { .name = "data", .cpu = -1, .mode = REACTOR_ADAPTIVE };
	struct reactor *data[2];
	struct load load[2];
	bool closed = false;

	(void)state;
	if (!open_fixed())
		skip();
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(reactor_create(&o, &data[i]), 0);
		assert_int_equal(reactor_start(data[i]), 0);
		load_begin(&load[i], data[i]);
	}
	for (unsigned round = 0; round < 30; round++) {
		char *mem[2] = { region_add(NULL, 1 << 20), region_add(NULL, 2 << 20) };

		for (unsigned i = 0; i < 2; i++) {
			if (round % 2)
				await_fixed(mem[i]);
			fill(mem[i], 65536, round);
			assert_int_equal(rig_rw(&rig, BIO_WRITE, 1 << 20, mem[i], 65536), 0);
			check_file(mem[i], 65536, 1 << 20);
		}
		region_del(mem[round % 2], round % 2 ? 2 << 20 : 1 << 20);
		region_del(mem[!(round % 2)], round % 2 ? 1 << 20 : 2 << 20);
	}
	for (unsigned i = 0; i < 2; i++)
		load_end(&load[i]);
	bdev_chan_put(rig.chan);
	rig.chan = NULL;
	bdev_close(rig.bdev, set_true, &closed);
	while (!closed) {
		rig_turn(&rig, 1);
		usleep(100);
	}
	rig.bdev = NULL;
	for (unsigned i = 0; i < 2; i++) {
		reactor_stop(data[i]);
		reactor_join(data[i]);
		reactor_destroy(data[i]);
	}
	await_pinned(0, 0);
	assert_int_equal(lines(), 0);
}

static int once_more(void **state)
{
	(void)state;
	without_clone = true;
	return 0;
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(a_region_is_cut_into_pieces),
		cmocka_unit_test(an_io_lies_in_one_piece_or_in_none),
		CASE(not_through_the_page_cache),
	};
	const struct CMUnitTest tests[] = {
		CASE(every_aligned_io_is_fixed),
		CASE(segments_that_touch_are_one),
		CASE(across_two_pieces),
		CASE(memory_changes_at_an_address),
		CASE(others_stay),
		CASE(memory_is_given_back),
		CASE(memory_is_pinned_once),
		CASE(less_than_a_region_may_be_locked),
		CASE(next_to_nothing_may_be_locked),
		CASE(memory_that_cannot_be_pinned),
		CASE(more_than_the_tables_hold),
		CASE(regions_come_and_go_under_load),
	};
	int failed = cmocka_run_group_tests(pure, NULL, NULL);

	failed += cmocka_run_group_tests_name("rings that clone, if they can", tests, NULL, NULL);
	failed += cmocka_run_group_tests_name("rings that cannot clone", tests, once_more, NULL);
	return failed;
}
