/* SPDX-License-Identifier: BSD-3-Clause */
/* The NVMe driver against nvring-ssd over vfio-user: another process, real sockets, real mappings.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/bdev.h"
#include "core/hugemem.h"
#include "core/qos.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_probe.h"

#define DISK_BYTES (64ull << 20)
#define WAIT_NS	   (60 * MONO_NS_PER_SEC) /* a test that hangs ends one day */
#define ARGS_MAX   24
#define NIOS	   32u
#define IO_BYTES   16384u

static struct ssd {
	char dir[64], sock[96], ctl[96], disk[96], address[NVME_ADDRESS_MAX];
	pid_t pid;
	struct reactor *r;
	struct nvme_ctrlr *c;
	struct bdev *bdev;
	struct bdev_chan *chan;
	struct hugemem mem;
	unsigned nresized;
	struct bdev_listener listener;
} ssd;

static const char *program(void)
{
	return getenv("NVRING_SSD");
}

static pid_t spawn(char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		execv(program(), argv);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static void ctl(const char *a, const char *b, const char *c)
{
	char *argv[] = {
		(char *)"nvring-ssd", (char *)"ctl", ssd.ctl, (char *)a, (char *)b, (char *)c, NULL
	};
	int status;

	assert_int_equal(waitpid(spawn(argv), &status, 0) > 0, 1);
	assert_int_equal(status, 0);
}

static void await_file(const char *path)
{
	uint64_t until = mono_ns() + WAIT_NS;
	struct stat st;

	while (stat(path, &st) && mono_ns() < until)
		usleep(1000);
	assert_int_equal(stat(path, &st), 0);
}

/* @extra: further arguments, NULL at the end. */
static void ssd_start(const char *const *extra)
{
	char ns[160], *argv[ARGS_MAX] = { (char *)"nvring-ssd",
					  (char *)"--socket",
					  ssd.sock,
					  (char *)"--ctl",
					  ssd.ctl,
					  (char *)"--ns",
					  ns };
	unsigned n = 7;

	(void)snprintf(ssd.dir, sizeof(ssd.dir), "/tmp/nvring-test-XXXXXX");
	assert_non_null(mkdtemp(ssd.dir));
	(void)snprintf(ssd.sock, sizeof(ssd.sock), "%s/ssd.sock", ssd.dir);
	(void)snprintf(ssd.ctl, sizeof(ssd.ctl), "%s/ctl.sock", ssd.dir);
	(void)snprintf(ssd.disk, sizeof(ssd.disk), "%s/disk", ssd.dir);
	(void)snprintf(ssd.address, sizeof(ssd.address), "vfio-user:%s", ssd.sock);
	(void)snprintf(ns, sizeof(ns), "%s,size=%llu", ssd.disk, (unsigned long long)DISK_BYTES);
	while (*extra && n < ARGS_MAX - 1)
		argv[n++] = (char *)*extra++;
	ssd.pid = spawn(argv);
	await_file(ssd.sock);
	await_file(ssd.ctl);
}

static void ssd_stop(void)
{
	int status;

	(void)kill(ssd.pid, SIGTERM);
	assert_int_equal(waitpid(ssd.pid, &status, 0), ssd.pid);
	assert_int_equal(status, 0);
	(void)unlink(ssd.disk);
	(void)unlink(ssd.sock);
	(void)unlink(ssd.ctl);
	(void)rmdir(ssd.dir);
}

static void on_resized(struct bdev_listener *l)
{
	ssd.nresized++;
}

static void give_back(void *arg)
{
	nvme_probe_put(arg);
}

static void ssd_open(const char *const *extra, enum reactor_mode mode, uint32_t timeout_ms)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1, .mode = mode };
	struct nvme_ctrlr_opts co = { .io_timeout_ms = timeout_ms };
	struct errbuf eb = { "" };
	uint64_t until = mono_ns() + WAIT_NS;

	memset(&ssd, 0, sizeof(ssd));
	ssd_start(extra);
	assert_int_equal(reactor_create(&ro, &ssd.r), 0);
	reactor_adopt(ssd.r);
	assert_int_equal(hugemem_alloc(&ssd.mem, NIOS * IO_BYTES, "test"), 0);
	assert_int_equal(hugemem_dma_add(&ssd.mem), 0);
	co.control = ssd.r;
	/* the socket is there a moment before it is listened to */
	while (nvme_probe_get(ssd.address, &co, &ssd.c, &eb))
		if (mono_ns() > until)
			fail_msg("%s", eb.text);
	if (nvme_bdev_open(ssd.c, 1,
			   &(struct nvme_bdev_opts){ .release = give_back, .release_arg = ssd.c },
			   &ssd.bdev, &eb))
		fail_msg("%s", eb.text);
	assert_int_equal(bdev_bytes(ssd.bdev), DISK_BYTES);
	bdev_listener_add(ssd.bdev, &ssd.listener, on_resized);
	assert_int_equal(bdev_chan_get(ssd.bdev, ssd.r, &ssd.chan), 0);
	reactor_turn(ssd.r);
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void ssd_close(void)
{
	struct nvme_ctrlr *gone;
	bool closed = false;

	bdev_chan_put(ssd.chan);
	bdev_close(ssd.bdev, set_true, &closed);
	while (!closed)
		reactor_turn(ssd.r);
	while ((gone = nvme_probe_find(ssd.address)) != NULL) {
		nvme_probe_put(gone);
		reactor_turn(ssd.r);
		usleep(100);
	}
	for (unsigned i = 0; i < 2000; i++) {
		reactor_turn(ssd.r);
		usleep(10);
	}
	hugemem_dma_del(&ssd.mem);
	hugemem_free(&ssd.mem);
	assert_int_equal(dma_region_count(), 0);
	reactor_destroy(ssd.r);
	ssd_stop();
}

struct io {
	struct bio bio;
	struct iovec iov[2];
	unsigned ndone;
};

static struct io ios[NIOS];

static void on_done(struct bio *bio)
{
	container_of(bio, struct io, bio)->ndone++;
}

static char *buf_of(unsigned i)
{
	return (char *)ssd.mem.va + (size_t)i * IO_BYTES;
}

static void start(unsigned i, enum bio_op op, uint64_t off, uint64_t len)
{
	struct io *io = &ios[i];

	*io = (struct io){ .iov = { { buf_of(i), len / 2 },
				    { buf_of(i) + len / 2, len - len / 2 } } };
	io->bio = (struct bio){
		.op = (uint8_t)op, .off = off, .len = len, .iov = io->iov, .done = on_done
	};
	io->bio.iovcnt = op == BIO_READ || op == BIO_WRITE ? 2 : 0;
	bdev_submit(ssd.chan, &io->bio);
}

static int wait_for(unsigned i)
{
	uint64_t until = mono_ns() + WAIT_NS;

	while (!ios[i].ndone && mono_ns() < until)
		reactor_turn(ssd.r);
	assert_int_equal(ios[i].ndone, 1);
	return ios[i].bio.status;
}

static int do_io(enum bio_op op, uint64_t off, uint64_t len)
{
	start(0, op, off, len);
	return wait_for(0);
}

/* Writes stamped blocks all over, reads them back. */
static void write_and_verify(unsigned seed)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned round = 0; round < 8; round++) {
			for (unsigned i = 0; i < NIOS; i++) {
				if (!pass)
					memset(buf_of(i), (int)(seed + round * NIOS + i), IO_BYTES);
				else
					memset(buf_of(i), 0, IO_BYTES);
				start(i, pass ? BIO_READ : BIO_WRITE,
				      ((uint64_t)round * NIOS + i) * 3 * IO_BYTES, IO_BYTES);
			}
			for (unsigned i = 0; i < NIOS; i++) {
				assert_int_equal(wait_for(i), 0);
				for (unsigned k = 0; k < IO_BYTES; k += 511)
					assert_int_equal((uint8_t)buf_of(i)[k],
							 (uint8_t)(seed + round * NIOS + i));
			}
		}
	}
}

static void data_over_each_way(void **state)
{
	static const char *const ways[][4] = {
		{ NULL },
		{ "--no-mmap", NULL },
		{ "--sgl", NULL },
		{ "--dbbuf", NULL },
		{ "--no-mmap", "--dbbuf", NULL },
		{ "--hmb", "1M,4M", NULL },
		{ "--queues", "1", NULL },
		{ "--mqes", "2", NULL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		ssd_open(ways[i], i & 1 ? REACTOR_ADAPTIVE : REACTOR_POLL, 0);
		write_and_verify(i * 50);
		assert_int_equal(do_io(BIO_FLUSH, 0, 0), 0);
		assert_int_equal(do_io(BIO_WRITE_ZEROES, 0, IO_BYTES), 0);
		assert_int_equal(do_io(BIO_READ, 0, IO_BYTES), 0);
		for (unsigned k = 0; k < IO_BYTES; k++)
			assert_int_equal(buf_of(0)[k], 0);
		assert_int_equal(do_io(BIO_DISCARD, 0, IO_BYTES), 0);
		ssd_close();
	}
}

static const char *const none[] = { NULL };

static void a_resize_is_noticed(void **state)
{
	uint64_t until = mono_ns() + WAIT_NS;

	ssd_open(none, REACTOR_POLL, 0);
	ctl("resize", "1", "128M");
	while (!ssd.nresized && mono_ns() < until)
		reactor_turn(ssd.r);
	assert_int_equal(ssd.nresized, 1);
	assert_int_equal(bdev_bytes(ssd.bdev), 2 * DISK_BYTES);
	assert_int_equal(do_io(BIO_WRITE, DISK_BYTES, IO_BYTES), 0);
	ssd_close();
}

static void fatal_and_hang_are_reset(void **state)
{
	static const char *const evils[] = { "fatal", "hang" };

	for (unsigned i = 0; i < ARRAY_SIZE(evils); i++) {
		ssd_open(none, REACTOR_POLL, 400);
		write_and_verify(1);
		ctl(evils[i], NULL, NULL);
		write_and_verify(2);
		assert_int_equal(nvme_ctrlr_state(ssd.c), NVME_CTRLR_READY);
		ssd_close();
	}
}

static void removal_and_a_killed_server_end_io(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		uint64_t until = mono_ns() + WAIT_NS;

		ssd_open(none, REACTOR_POLL, 0);
		write_and_verify(1);
		if (i == 0)
			ctl("remove", NULL, NULL);
		else
			ctl("disconnect", NULL, NULL);
		while (nvme_ctrlr_state(ssd.c) != NVME_CTRLR_FAILED && mono_ns() < until) {
			start(0, BIO_WRITE, 0, IO_BYTES);
			(void)wait_for(0);
		}
		assert_int_equal(nvme_ctrlr_state(ssd.c), NVME_CTRLR_FAILED);
		assert_int_equal(do_io(BIO_READ, 0, IO_BYTES), -EIO);
		ssd_close();
	}
}

static void one_controller_for_all_who_name_it(void **state)
{
	struct nvme_ctrlr *again = NULL;
	struct nvme_ctrlr_opts co = { 0 };
	struct errbuf eb = { "" };
	char address[NVME_ADDRESS_MAX];

	ssd_open(none, REACTOR_POLL, 0);
	(void)snprintf(address, sizeof(address), "%s", ssd.address);
	assert_int_equal(nvme_probe_get(address, &co, &again, &eb), 0);
	assert_ptr_equal(again, ssd.c);
	nvme_probe_put(again);
	assert_ptr_equal(nvme_probe_find(address), ssd.c);
	nvme_probe_put(ssd.c);
	assert_int_equal(do_io(BIO_READ, 0, IO_BYTES), 0);
	ssd_close();
	assert_null(nvme_probe_find(address));
}

/*
 * Several disks on one SSD
 */

#define NDISKS	   3u
#define DEEP	   255u
#define COST_WANTED 70000u /* what is under way, 255 at most, is 3 % of the smallest share */

struct share_io {
	struct bio bio;
	struct iovec iov;
};

static struct share_disk {
	struct bdev *bdev;
	struct bdev_chan *chan;
	unsigned weight;
	enum bio_op op;
	uint64_t len, cost; /* cost: done, in units of 4 KiB */
	unsigned nunder_way, nfailed;
	bool is_ending;
	struct share_io io[DEEP];
} disks[NDISKS];

static void share_submit(struct share_disk *d, struct share_io *io)
{
	io->iov = (struct iovec){ ssd.mem.va, d->len };
	io->bio.op = (uint8_t)d->op;
	io->bio.len = d->len;
	io->bio.iov = &io->iov;
	io->bio.iovcnt = 1;
	d->nunder_way++;
	bdev_submit(d->chan, &io->bio);
}

static void share_done(struct bio *bio)
{
	struct share_disk *d = disks;

	while (d->chan != bio->chan)
		d++;
	d->nunder_way--;
	d->nfailed += bio->status != 0;
	d->cost += bio->len / 4096;
	if (!d->is_ending)
		share_submit(d, container_of(bio, struct share_io, bio));
}

static uint64_t shares_run(uint64_t cost)
{
	uint64_t until = mono_ns() + WAIT_NS, sum = 0;

	for (unsigned i = 0; i < NDISKS; i++)
		disks[i].cost = 0;
	while (sum < cost && mono_ns() < until) {
		reactor_turn(ssd.r);
		sum = 0;
		for (unsigned i = 0; i < NDISKS; i++)
			sum += disks[i].cost;
	}
	return sum;
}

/* Two namespaces, and a part of the second one. */
static void disk_open(unsigned i)
{
	const struct nvme_bdev_opts part = { .off = DISK_BYTES / 2, .bytes = DISK_BYTES / 4 };
	struct share_disk *d = &disks[i];
	struct qos_conf conf = { .weight = 0 };
	struct errbuf eb = { "" };

	d->bdev = ssd.bdev;
	d->chan = ssd.chan;
	if (i && nvme_bdev_open(ssd.c, 2, i == 1 ? &(struct nvme_bdev_opts){ 0 } : &part, &d->bdev, &eb))
		fail_msg("%s", eb.text);
	if (i)
		assert_int_equal(bdev_chan_get(d->bdev, ssd.r, &d->chan), 0);
	conf.weight = (uint16_t)(100 * d->weight);
	assert_int_equal(qos_set(d->bdev, &conf, &eb), 0);
	while (d->chan->weight != conf.weight) /* it goes there by message */
		reactor_turn(ssd.r);
}

static void disk_close(struct share_disk *d)
{
	bool closed = false;

	bdev_chan_put(d->chan);
	bdev_close(d->bdev, set_true, &closed);
	while (!closed)
		reactor_turn(ssd.r);
}

/* What is counted is what was sent, and no clock: whoever sends most and largest gets what its weight says. */
static void disks_share_the_ssd_by_weight(void **state)
{
	static const char *const two[] = { "--null", "64M", NULL };
	static const struct share_disk kinds[NDISKS] = {
		{ .weight = 1, .op = BIO_WRITE, .len = 131072 },
		{ .weight = 2, .op = BIO_READ, .len = 4096 },
		{ .weight = 4, .op = BIO_WRITE, .len = 16384 },
	};
	uint64_t sum;

	ssd_open(two, REACTOR_POLL, 0);
	memcpy(disks, kinds, sizeof(disks));
	for (unsigned i = 0; i < NDISKS; i++)
		disk_open(i);
	assert_int_equal(disks[0].chan->depth, DEEP);
	for (unsigned i = 0; i < NDISKS * DEEP; i++) {
		struct share_io *io = &disks[i % NDISKS].io[i / NDISKS];

		io->bio.done = share_done;
		share_submit(&disks[i % NDISKS], io);
	}
	(void)shares_run(30000); /* what was sent before there was anything to share */
	sum = shares_run(COST_WANTED);
	for (unsigned i = 0; i < NDISKS; i++) {
		uint64_t want = sum * disks[i].weight / 7, got = disks[i].cost;

		assert_int_equal(disks[i].nfailed, 0);
		if (got * 100 < want * 97 || got * 100 > want * 103)
			fail_msg("disk %u: %llu of %llu, not %llu", i, (unsigned long long)got,
				 (unsigned long long)sum, (unsigned long long)want);
		disks[i].is_ending = true;
	}
	while (disks[0].nunder_way + disks[1].nunder_way + disks[2].nunder_way)
		reactor_turn(ssd.r);
	disk_close(&disks[1]);
	disk_close(&disks[2]);
	ssd_close();
}

static const struct {
	const char *address;
	int err;
	const char *why;
} addresses[] = {
	{ "0000:01:00", -EINVAL, "is no PCI address" },
	{ "0000:01:20.0", -EINVAL, "devices go to 1f" },
	{ "0000:01:00.8", -EINVAL, "functions to 7" },
	{ "/dev/nvme0", -EINVAL, "is no PCI address" },
	{ "vfio-user:", -EINVAL, "the socket is missing" },
	{ "vfio-user:/nonexistent/socket", -ENOENT, "/nonexistent/socket" },
	{ "ffff:ff:1f.7", -ENODEV, "ffff:ff:1f.7" },
};

static void wrong_addresses_say_why(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct nvme_ctrlr_opts co = { 0 };
		struct errbuf eb = { "" };
		struct nvme_ctrlr *c;
		int err = nvme_probe_get(addresses[i].address, &co, &c, &eb);

		if (err != addresses[i].err || !strstr(eb.text, addresses[i].why))
			fail_msg("%s: %d, %s", addresses[i].address, err, eb.text);
		assert_null(nvme_probe_find(addresses[i].address));
	}
}

int main(void)
{
	const struct CMUnitTest alone[] = { cmocka_unit_test(wrong_addresses_say_why) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_addresses_say_why),
		cmocka_unit_test(data_over_each_way),
		cmocka_unit_test(a_resize_is_noticed),
		cmocka_unit_test(fatal_and_hang_are_reset),
		cmocka_unit_test(removal_and_a_killed_server_end_io),
		cmocka_unit_test(one_controller_for_all_who_name_it),
		cmocka_unit_test(disks_share_the_ssd_by_weight),
	};

	mono_init();
	if (!program())
		return cmocka_run_group_tests(alone, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
