/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One thread is control and data reactor, and both it and the SSD rest while there is nothing to do (doorbells are
 * messages): where two CPUs do other work, too, whoever polls is the first that has to wait.
 */
#include "tests/bench/noisy_rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/hugemem.h"
#include "core/qos.h"
#include "drivers/nvme/nvme_bdev.h"
#include "drivers/nvme/nvme_probe.h"

#define IO_BYTES   4096u
#define NAP_US	   20
#define DISK_BYTES (64u << 20) /* as below */
#define WAIT_NS	   (60 * MONO_NS_PER_SEC)

static struct {
	struct noisy n;
	char dir[64], sock[96], address[NVME_ADDRESS_MAX];
	pid_t pid;
	struct hugemem mem;
	uint64_t seed;
} rig;

static void die(const char *what)
{
	fprintf(stderr, "noisy_rig: %s\n", what);
	if (rig.pid > 0)
		(void)kill(rig.pid, SIGKILL);
	exit(1);
}

static void ssd_start(const char *program, const char *service)
{
	char *argv[] = { (char *)"nvring-ssd", (char *)"--socket",    rig.sock,
			 (char *)"--null",     (char *)"64M",	      (char *)"--null",
			 (char *)"64M",	       (char *)"--service",   (char *)service,
			 (char *)"--no-mmap",  (char *)"--log-level", (char *)"warn",
			 NULL };
	uint64_t until = mono_ns() + WAIT_NS;
	struct stat st;

	if (!program)
		die("no nvring-ssd named (NVRING_SSD)");
	(void)snprintf(rig.dir, sizeof(rig.dir), "/tmp/nvring-noisy-XXXXXX");
	if (!mkdtemp(rig.dir))
		die("no folder in /tmp");
	(void)snprintf(rig.sock, sizeof(rig.sock), "%s/ssd.sock", rig.dir);
	(void)snprintf(rig.address, sizeof(rig.address), "vfio-user:%s", rig.sock);
	rig.pid = fork();
	if (rig.pid == 0) {
		execv(program, argv);
		_exit(127);
	}
	while (stat(rig.sock, &st) && mono_ns() < until)
		usleep(1000);
}

static void give_back(void *arg)
{
	nvme_probe_put(arg);
}

static void disk_open(struct noisy_disk *d, unsigned i)
{
	const struct nvme_ctrlr_opts co = { .control = rig.n.r };
	struct nvme_bdev_opts bo = { .release = give_back };
	uint64_t until = mono_ns() + WAIT_NS;
	struct nvme_ctrlr *c;
	struct errbuf eb;

	/* the socket is there a moment before it is listened to */
	while (nvme_probe_get(rig.address, &co, &c, &eb))
		if (mono_ns() > until)
			die(eb.text);
	bo.release_arg = c;
	if (nvme_bdev_open(c, i + 1, &bo, &d->bdev, &eb))
		die(eb.text);
	(void)snprintf(d->bdev->name, sizeof(d->bdev->name), "%s", i ? "neighbour" : "victim");
	if (!d->bdev->shares[0]) /* a driver that does not say it */
		(void)snprintf(d->bdev->shares, sizeof(d->bdev->shares), "%s", "the SSD");
	if (bdev_chan_get(d->bdev, rig.n.r, &d->chan))
		die("no channel");
	for (unsigned k = 0; k < NOISY_DEPTH_MAX; k++) {
		struct noisy_io *io = &d->io[k];

		io->disk = d;
		io->iov.iov_base = (char *)rig.mem.va + (i * NOISY_DEPTH_MAX + k) * IO_BYTES;
		io->iov.iov_len = IO_BYTES;
		d->idle[d->nidle++] = io;
	}
}

struct noisy *noisy_open(const char *program, const char *service)
{
	const struct reactor_opts ro = { .name = "noisy", .cpu = -1, .mode = REACTOR_POLL };

	memset(&rig, 0, sizeof(rig));
	rig.seed = UINT64_C(0x9e3779b97f4a7c15);
	ssd_start(program, service);
	if (reactor_create(&ro, &rig.n.r))
		die("no reactor");
	reactor_adopt(rig.n.r);
	if (hugemem_alloc(&rig.mem, (size_t)NOISY_DISKS * NOISY_DEPTH_MAX * IO_BYTES, "noisy") ||
	    hugemem_dma_add(&rig.mem))
		die("no memory");
	for (unsigned i = 0; i < NOISY_DISKS; i++)
		disk_open(&rig.n.disk[i], i);
	reactor_turn(rig.n.r);
	return &rig.n;
}

static void go(struct noisy_disk *d);

static void done(struct bio *bio)
{
	struct noisy_io *io = container_of(bio, struct noisy_io, bio);
	struct noisy_disk *d = io->disk;

	hist_record(&d->latency, mono_ns() - io->begun_ns);
	d->ios++;
	d->errors += bio->status < 0;
	d->inflight--;
	d->idle[d->nidle++] = io;
	go(d);
}

static void go(struct noisy_disk *d)
{
	while (d->inflight < d->depth) {
		struct noisy_io *io = d->idle[--d->nidle];

		rig.seed ^= rig.seed << 13;
		rig.seed ^= rig.seed >> 7;
		rig.seed ^= rig.seed << 17;
		io->bio = (struct bio){
			.op = BIO_READ,
			.off = rig.seed % (DISK_BYTES / IO_BYTES) * IO_BYTES,
			.len = IO_BYTES,
			.iov = &io->iov,
			.iovcnt = 1,
			.done = done,
		};
		io->begun_ns = mono_ns();
		d->inflight++;
		bdev_submit(d->chan, &io->bio);
	}
}

void noisy_load(struct noisy *n, unsigned disk, unsigned depth)
{
	n->disk[disk].depth = depth;
	go(&n->disk[disk]);
}

void noisy_set_target(struct noisy *n, uint64_t ns)
{
	struct qos_conf c = { .latency_ns = ns };
	struct errbuf eb;

	if (qos_set(n->disk[NOISY_VICTIM].bdev, &c, &eb))
		die(eb.text);
}

void noisy_run(struct noisy *n, uint64_t ns)
{
	uint64_t until = mono_ns() + ns;

	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	while (mono_ns() < until)
		if (!reactor_turn(n->r))
			usleep(NAP_US);
}

void noisy_drain(struct noisy *n)
{
	for (unsigned i = 0; i < NOISY_DISKS; i++)
		n->disk[i].depth = 0;
	while (n->disk[NOISY_VICTIM].inflight || n->disk[NOISY_NEIGHBOUR].inflight)
		reactor_turn(n->r);
}

void noisy_clear(struct noisy *n)
{
	for (unsigned i = 0; i < NOISY_DISKS; i++) {
		n->disk[i].ios = n->disk[i].errors = 0;
		memset(&n->disk[i].latency, 0, sizeof(n->disk[i].latency));
	}
}

static void count_down(void *arg)
{
	(*(unsigned *)arg)--;
}

void noisy_close(struct noisy *n)
{
	unsigned left = NOISY_DISKS;
	int status;

	noisy_drain(n);
	for (unsigned i = 0; i < NOISY_DISKS; i++) {
		bdev_chan_put(n->disk[i].chan);
		bdev_close(n->disk[i].bdev, count_down, &left);
	}
	while (left)
		reactor_turn(n->r);
	for (unsigned i = 0; nvme_probe_find(rig.address) || i < 1000; i++) {
		struct nvme_ctrlr *c = nvme_probe_find(rig.address);

		if (c)
			nvme_probe_put(c);
		reactor_turn(n->r);
		usleep(100);
	}
	hugemem_dma_del(&rig.mem);
	hugemem_free(&rig.mem);
	reactor_destroy(n->r);
	(void)kill(rig.pid, SIGTERM);
	if (waitpid(rig.pid, &status, 0) != rig.pid || status)
		fprintf(stderr, "noisy_rig: nvring-ssd did not end well\n");
	(void)unlink(rig.sock);
	(void)rmdir(rig.dir);
}
