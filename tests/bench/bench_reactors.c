/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two reactors against one, without a load generator that would need CPUs of its own: each reactor
 * also plays the driver of its own ring, between two polls of the queue behind it. One null disk,
 * one device, a queue for each reactor.
 *
 *   bench_reactors [--depth N] [--ms N] [--rounds N] [--cpus A,B] [--spin] [--json]
 *   bench_reactors --ios N --lanes 1|2     for callgrind: so many I/Os in each, nothing measured
 *
 * A round is: the first alone, both, both, the second alone. Rates are by the wall clock, and by
 * the CPU time that each thread really got, which other work on the machine does not change.
 * --spin: the one that has nothing to do spins, so that both CPUs are busy all the time; what is
 * then missing from twice is nvring's, and not what two busy CPUs of one machine take from each
 * other.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "core/dma.h"
#include "core/reactor.h"
#include "drivers/null/nullb.h"
#include "tests/ring/ring.h"
#include "vhost/blk/vblk.h"
#include "vhost/blk/vblk_spec.h"

#define LANES	   2
#define DISK_SIZE  "64G"
#define BLOCK	   4096u
#define SETTLE_US  2000
#define ROUNDS_MAX 1000

struct slot {
	struct vblk_hdr hdr;
	uint8_t status;
	uint8_t pad[47];
};
static_assert(sizeof(struct slot) == 64, "a line");

/* One reactor with its queue and the driver of its ring. */
struct lane {
	struct poller p;
	struct reactor *r;
	struct ring ring;
	struct vdev_queue *q;
	struct slot *slots;
	char *data;
	uint64_t seed, done, errors, limit;
	unsigned inflight, depth;
	bool active;
	/* sampled on the reactor */
	uint64_t at_ns, cpu_ns, at_done;
	unsigned at_inflight;
} cc_aligned(CACHELINE_BYTES);

static struct lane lanes[LANES];
static struct reactor *control;
static struct bdev *bdev;
static struct vblk *dev;
static uint64_t blocks;
static enum reactor_mode lane_mode = REACTOR_ADAPTIVE;

static cc_noinline void die(const char *what, int err, const struct errbuf *eb)
{
	fprintf(stderr, "bench_reactors: %s: %s\n", what,
		eb && eb->text[0] ? eb->text : strerror(-err));
	exit(1);
}

static void submit(struct lane *l, uintptr_t i)
{
	struct slot *s = &l->slots[i];
	const struct vqd_buf bufs[] = {
		ring_buf(&l->ring, &s->hdr, sizeof(s->hdr), false),
		ring_buf(&l->ring, l->data + i * BLOCK, BLOCK, true),
		ring_buf(&l->ring, &s->status, 1, true),
	};

	l->seed ^= l->seed << 13;
	l->seed ^= l->seed >> 7;
	l->seed ^= l->seed << 17;
	s->hdr.type = le32_make(VBLK_T_IN);
	s->hdr.sector = le64_make(l->seed % blocks * (BLOCK >> VBLK_SECTOR_SHIFT));
	s->status = 0xff;
	if (vqd_add(&l->ring.vqd, bufs, ARRAY_SIZE(bufs), false, (void *)i))
		die("ring", -ENOSPC, NULL);
	l->inflight++;
}

static unsigned lane_poll(struct poller *p)
{
	struct lane *l = container_of(p, struct lane, p);
	unsigned n = 0;
	uint32_t written;
	void *cookie;
	int err;

	while (vqd_get(&l->ring.vqd, &cookie, &written, &err)) {
		l->errors += l->slots[(uintptr_t)cookie].status != VBLK_S_OK;
		l->done++;
		l->inflight--;
		n++;
		if (l->active && l->done + l->inflight < l->limit)
			submit(l, (uintptr_t)cookie);
	}
	if (n)
		(void)vqd_publish(&l->ring.vqd);
	if (cc_unlikely(l->done == l->limit))
		reactor_stop(l->r);
	return n;
}

static bool lane_expects(const struct poller *p)
{
	return container_of(p, struct lane, p)->inflight != 0;
}

/* Calls are off: nobody else would look. */
static bool lane_arm(struct poller *p)
{
	return container_of(p, struct lane, p)->inflight != 0;
}

static const struct poller_ops lane_ops = {
	.name = "lane",
	.poll = lane_poll,
	.arm = lane_arm,
	.expects = lane_expects,
};

/*
 * On the lane's reactor
 */
static void lane_attach(void *arg)
{
	struct lane *l = arg;

	poller_attach(l->r, &l->p, &lane_ops, -1);
}

static void lane_detach(void *arg)
{
	poller_detach(&((struct lane *)arg)->p);
}

static void lane_go(void *arg)
{
	struct lane *l = arg;

	l->active = true;
	for (unsigned i = 0; i < l->depth; i++)
		submit(l, i);
	(void)vqd_publish(&l->ring.vqd);
	poller_wake(&l->p);
}

static void lane_end(void *arg)
{
	((struct lane *)arg)->active = false;
}

static void lane_sample(void *arg)
{
	struct lane *l = arg;
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	l->at_ns = mono_ns();
	l->cpu_ns = (uint64_t)ts.tv_sec * MONO_NS_PER_SEC + (uint64_t)ts.tv_nsec;
	l->at_done = l->done;
	l->at_inflight = l->inflight;
}

/*
 * On the control thread
 */
static void lane_open(struct lane *l, unsigned index, int cpu, unsigned depth)
{
	const struct reactor_opts ro = { .name = "lane", .cpu = cpu, .mode = lane_mode };
	const struct ring_opts opts = {
		.size = 256,
		.eventfds = true,
		.inflight = true,
		.features = VIRTIO_BIT(VBLK_F_FLUSH),
		.data_bytes = (2u << 20) + depth * (BLOCK + sizeof(struct slot)),
	};
	struct errbuf eb = { "" };
	int err = reactor_create(&ro, &l->r);

	if (!err)
		err = reactor_start(l->r);
	if (!err)
		err = ring_init(&l->ring, &opts);
	if (!err)
		err = dma_region_add(&(struct dma_region){
			.va = l->ring.mem, .len = l->ring.mem_bytes, .fd = -1 });
	if (err)
		die("reactor or ring", err, NULL);
	vqd_call_disable(&l->ring.vqd);
	l->ring.conf.index = (uint16_t)index;
	l->slots = (struct slot *)l->ring.data;
	l->data = l->ring.data + (depth * sizeof(struct slot) + BLOCK - 1) / BLOCK * BLOCK;
	l->depth = depth;
	l->limit = UINT64_MAX;
	l->seed = 88172645463325252ull + index;
	err = vdev_queue_create(vblk_vdev(dev), control, l->r, &l->ring.conf, &l->q, &eb);
	if (err)
		die("queue", err, &eb);
	vdev_queue_start(l->q);
	reactor_call(l->r, lane_attach, l);
}

static void bench_open(const int cpus[LANES], unsigned depth)
{
	const struct reactor_opts co = { .name = "control", .cpu = -1, .mode = REACTOR_INTERRUPT };
	const struct vblk_opts vo = { .nqueues = LANES };
	struct errbuf eb = { "" };
	int err;

	mono_init();
	err = reactor_create(&co, &control);
	if (err)
		die("reactor", err, NULL);
	reactor_adopt(control);
	err = nullb_open(DISK_SIZE, &bdev, &eb);
	if (err)
		die("disk", err, &eb);
	bdev->control = control;
	blocks = bdev_bytes(bdev) / BLOCK;
	err = vblk_create(bdev, &vo, &dev, &eb);
	if (err)
		die("vblk", err, &eb);
	for (unsigned i = 0; i < LANES; i++)
		lane_open(&lanes[i], i, cpus[i], depth);
}

static void on_stopped(struct vdev_queue *q, void *arg)
{
	*(bool *)arg = true;
}

static void lane_close(struct lane *l)
{
	bool stopped = false;

	reactor_call(l->r, lane_detach, l);
	vdev_queue_stop(l->q, on_stopped, &stopped);
	while (!stopped)
		reactor_turn(control);
	vdev_queue_destroy(l->q);
}

static void bench_close(void)
{
	for (unsigned i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
	vblk_destroy(dev);
	bdev_close(bdev, NULL, NULL);
	for (unsigned i = 0; i < 8; i++)
		reactor_turn(control);
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *l = &lanes[i];

		reactor_stop(l->r);
		reactor_join(l->r);
		reactor_destroy(l->r);
		(void)dma_region_del(l->ring.mem, l->ring.mem_bytes); /* it was added */
		ring_fini(&l->ring);
	}
	reactor_destroy(control);
}

static void drain(void)
{
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *l = &lanes[i];

		reactor_call(l->r, lane_end, l);
		do {
			reactor_call(l->r, lane_sample, l);
		} while (l->at_inflight);
		if (l->errors)
			die("I/O errors", -EIO, NULL);
	}
}

struct rate {
	double wall, cpu; /* I/Os per second, of all lanes that run */
};

static struct rate measure(unsigned which, unsigned ms)
{
	const struct timespec ts = mono_timespec(ms * MONO_NS_PER_MS);
	struct lane before[LANES];
	struct rate rate = { 0 };

	for (unsigned i = 0; i < LANES; i++)
		if (which & 1u << i)
			reactor_call(lanes[i].r, lane_go, &lanes[i]);
	usleep(SETTLE_US);
	for (unsigned i = 0; i < LANES; i++) {
		reactor_call(lanes[i].r, lane_sample, &lanes[i]);
		before[i] = lanes[i];
	}
	nanosleep(&ts, NULL);
	for (unsigned i = 0; i < LANES; i++) {
		double ios;

		reactor_call(lanes[i].r, lane_sample, &lanes[i]);
		ios = (double)(lanes[i].at_done - before[i].at_done) * 1e9;
		if (!(which & 1u << i))
			continue;
		rate.wall += ios / (double)(lanes[i].at_ns - before[i].at_ns);
		rate.cpu += ios / (double)(lanes[i].cpu_ns - before[i].cpu_ns);
	}
	drain();
	return rate;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void run_rounds(unsigned rounds, unsigned ms, bool json)
{
	static double wall[ROUNDS_MAX], cpu[ROUNDS_MAX], one[ROUNDS_MAX], both[ROUNDS_MAX];
	double m_wall, m_cpu;

	for (unsigned i = 0; i < rounds; i++) {
		struct rate a = measure(1, ms), b = measure(3, ms), c = measure(3, ms),
			    d = measure(2, ms);

		wall[i] = (b.wall + c.wall) / (a.wall + d.wall);
		cpu[i] = (b.cpu + c.cpu) / (a.cpu + d.cpu);
		one[i] = (a.wall + d.wall) / 2e6;
		both[i] = (b.wall + c.wall) / 2e6;
	}
	m_wall = median(wall, rounds); /* sorts */
	m_cpu = median(cpu, rounds);
	printf(json ? "{\"rounds\": %u, \"one_miops\": %.2f, \"two_miops\": %.2f, "
		      "\"ratio_wall\": %.3f, \"ratio_cpu_time\": %.3f, "
		      "\"ratio_cpu_time_quartiles\": [%.3f, %.3f]}\n"
		    : "%u rounds: one %.2f M/s, two %.2f M/s: %.3f x by the clock, %.3f x by CPU "
		      "time (quartiles %.3f and %.3f)\n",
	       rounds, median(one, rounds), median(both, rounds), m_wall, m_cpu, cpu[rounds / 4],
	       cpu[rounds - 1 - rounds / 4]);
}

/* No looks from outside, no sleep: what is counted is the I/O. The reactors end themselves, and
 * with them the program. */
static void run_ios(unsigned n, uint64_t ios)
{
	const struct reactor_idle awake = { REACTOR_IDLE_LIMIT_NS, REACTOR_IDLE_LIMIT_NS };

	for (unsigned i = 0; i < n; i++) {
		lanes[i].limit = ios;
		(void)reactor_set_idle(lanes[i].r, &awake); /* within bounds */
		reactor_call(lanes[i].r, lane_go, &lanes[i]);
	}
	for (unsigned i = 0; i < n; i++)
		reactor_join(lanes[i].r);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "depth", required_argument, NULL, 'd' },
		{ "ms", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "ios", required_argument, NULL, 'n' },
		{ "lanes", required_argument, NULL, 'l' },
		{ "json", no_argument, NULL, 'j' },
		{ "spin", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long v[128] = { ['d'] = 32, ['m'] = 50, ['r'] = 20, ['l'] = 1 };
	int cpus[LANES] = { 0, 1 }, opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?' ||
		    (opt == 'c' && sscanf(optarg, "%d,%d", &cpus[0], &cpus[1]) != LANES))
			return 2;
		if (opt != 'c')
			v[opt] = optarg ? strtoul(optarg, NULL, 0) : 1;
	}
	/* 256 ring entries, three of them an I/O */
	if (v['d'] < 1 || v['d'] > 85 || v['r'] < 1 || v['r'] > ROUNDS_MAX || v['m'] < 1 ||
	    v['l'] < 1 || v['l'] > LANES) {
		fprintf(stderr, "bench_reactors: depth, ms, rounds or lanes out of range\n");
		return 2;
	}
	if (v['s'])
		lane_mode = REACTOR_POLL;
	bench_open(cpus, (unsigned)v['d']);
	if (v['n']) {
		run_ios((unsigned)v['l'], v['n']);
		return 0;
	}
	run_rounds((unsigned)v['r'], (unsigned)v['m'], v['j']);
	bench_close();
	return 0;
}
