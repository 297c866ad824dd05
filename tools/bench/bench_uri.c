/* SPDX-License-Identifier: BSD-3-Clause */
/* The target behind a bdev URI: a reactor per worker, turned by the worker itself. */
#include "tools/bench/bench_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/bdev.h"
#include "core/dma.h"
#include "core/hugemem.h"
#include "drivers/catalogue.h"

#define NAP_NS	     (2 * MONO_NS_PER_MS) /* a finished worker waits for the end */
#define CLOCK_TURNS  63			  /* turns between two looks at the clock */
#define LOCK_WAIT_MS 5000		  /* another process may be about to let go */
#define ALLOC_ALIGN  4096u

struct uri_worker {
	struct reactor *reactor;
	struct bdev_chan *chan;
};

struct uri_target {
	struct reactor *control;
	struct bdev *bdev;
	struct hugemem mem;
	bool mem_registered, is_closed, is_draining;
	struct uri_worker workers[BENCH_QUEUES_MAX];
};

static const uint8_t op_codes[BENCH_OP_COUNT] = {
	[BENCH_READ] = BIO_READ,       [BENCH_WRITE] = BIO_WRITE,	  [BENCH_FLUSH] = BIO_FLUSH,
	[BENCH_DISCARD] = BIO_DISCARD, [BENCH_ZEROES] = BIO_WRITE_ZEROES,
};

static int uri_open(struct bench_run *run, struct errbuf *eb)
{
	const struct reactor_opts ro = { .name = "bench-ctl",
					 .cpu = -1,
					 .mode = REACTOR_INTERRUPT };
	struct bdev_open_opts bo = { .lock_wait_ms = LOCK_WAIT_MS };
	struct uri_target *t = calloc(1, sizeof(*t));
	int err;

	bo.read_only = run->opts.check_only || run->opts.only_reads;
	if (!t)
		return errbuf_set(eb, -ENOMEM, "no memory");
	run->target = t;
	t->mem.fd = -1;
	err = reactor_create(&ro, &t->control);
	if (err)
		return errbuf_set(eb, err, "cannot make a reactor: %s", strerror(-err));
	reactor_adopt(t->control);
	bo.control = t->control;
	err = bdev_open(run->opts.target, &bo, &t->bdev, eb);
	if (err)
		return err;
	run->dev = (struct bench_device){
		.bytes = bdev_bytes(t->bdev),
		.block_bytes = t->bdev->lim.block_bytes,
		.read_only = t->bdev->lim.read_only && !bo.read_only,
		.can_flush = true,
		.can_discard = t->bdev->lim.discard_max != 0,
		.can_zeroes = t->bdev->lim.zeroes_max != 0,
	};
	return 0;
}

static int attach_worker(struct uri_target *t, struct bench_worker *w, struct errbuf *eb)
{
	const struct reactor_opts ro = { .name = "bench", .cpu = -1, .mode = REACTOR_POLL };
	struct uri_worker *uw = &t->workers[w - w->run->workers];
	int err = reactor_create(&ro, &uw->reactor);

	if (!err)
		err = bdev_chan_get(t->bdev, uw->reactor, &uw->chan);
	if (err)
		return errbuf_set(eb, err, "cannot make a channel: %s", strerror(-err));
	w->target = uw;
	for (unsigned i = 0; i < w->njobs; i++)
		w->run->jobs[w->first + i].target = uw->chan;
	return 0;
}

static int uri_attach(struct bench_run *run, struct errbuf *eb)
{
	struct uri_target *t = run->target;
	size_t each = CC_ALIGN_UP((size_t)run->opts.depth * run->opts.bs, ALLOC_ALIGN);
	int err = hugemem_alloc(&t->mem, each * run->njobs, "bench");

	if (err)
		return errbuf_set(eb, err, "no %zu bytes for the buffers", each * run->njobs);
	err = hugemem_dma_add(&t->mem);
	if (err)
		return errbuf_set(eb, err, "cannot register the buffers: %s", strerror(-err));
	t->mem_registered = true;
	for (unsigned i = 0; i < run->njobs; i++)
		bench_job_set_buffers(&run->jobs[i], (char *)t->mem.va + i * each);
	for (unsigned i = 0; i < run->nworkers && !err; i++)
		err = attach_worker(t, &run->workers[i], eb);
	return err;
}

static void on_closed(void *arg)
{
	struct uri_target *t = arg;

	t->is_closed = true;
}

/* Workers still turn their reactors; the control reactor is ours. */
static void close_bdev(struct uri_target *t)
{
	const struct timespec nap = { .tv_nsec = NAP_NS / 4 };

	for (unsigned i = 0; i < BENCH_QUEUES_MAX; i++)
		if (t->workers[i].chan)
			bdev_chan_put(t->workers[i].chan);
	bdev_close(t->bdev, on_closed, t);
	while (!t->is_closed) {
		(void)reactor_turn(t->control);
		for (unsigned i = 0; i < BENCH_QUEUES_MAX; i++)
			if (t->workers[i].reactor && !t->workers[i].chan)
				(void)reactor_turn(t->workers[i].reactor);
		nanosleep(&nap, NULL);
	}
}

static void uri_close(struct bench_run *run)
{
	struct uri_target *t = run->target;

	if (!t)
		return;
	if (t->bdev)
		close_bdev(t);
	bench_flag_set(&run->closing);
	for (unsigned i = 0; i < run->nworkers; i++)
		if (run->workers[i].is_running)
			pthread_join(run->workers[i].thread, NULL);
	for (unsigned i = 0; i < run->nworkers; i++)
		run->workers[i].is_running = false;
	for (unsigned i = 0; i < BENCH_QUEUES_MAX; i++)
		reactor_destroy(t->workers[i].reactor);
	if (t->mem_registered)
		hugemem_dma_del(&t->mem);
	hugemem_free(&t->mem);
	reactor_adopt(NULL);
	reactor_destroy(t->control);
	free(t);
	run->target = NULL;
}

/*
 * The inner loop
 */

static void io_done(struct bio *bio);

static cc_always_inline void submit(struct bench_job *job, struct bench_io *io)
{
	struct bio *b = &io->bio;

	b->op = op_codes[io->op];
	b->flags = 0;
	b->iov = &io->iov;
	b->iovcnt = io->op <= BENCH_WRITE;
	b->off = io->off;
	b->len = io->op == BENCH_FLUSH ? 0 : job->bs;
	b->done = io_done;
	io->t0 = mono_ticks();
	bdev_submit(job->target, b);
}

static void io_done(struct bio *bio)
{
	struct bench_io *io = container_of(bio, struct bench_io, bio);
	struct bench_job *job = io->job;

	bench_job_done(job, io, bio->status, mono_ticks());
	if (cc_likely(bench_job_next(job, io)))
		submit(job, io);
	else
		bench_job_park(job, io);
}

static void refill(struct bench_job *job, uint64_t now)
{
	struct bench_io *io;

	while (!bench_flag_get(&job->run->stop) && (io = bench_job_unpark(job)))
		submit(job, io);
	if (job->inflight == 0)
		bench_job_advance(job, now);
}

static unsigned serve_jobs(struct bench_job *jobs, unsigned njobs)
{
	uint64_t now = mono_ticks();
	unsigned left = 0;

	for (unsigned i = 0; i < njobs; i++) {
		if (jobs[i].phase == BENCH_DONE)
			continue;
		bench_job_clock(&jobs[i], now);
		if (jobs[i].nidle)
			refill(&jobs[i], now);
		left += jobs[i].phase != BENCH_DONE;
	}
	return left;
}

static void uri_work(struct bench_worker *w)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	struct bench_job *jobs = &w->run->jobs[w->first];
	struct uri_worker *uw = w->target;
	unsigned left = w->njobs;

	reactor_adopt(uw->reactor);
	for (unsigned i = 0; i < w->njobs; i++)
		bench_job_begin(&jobs[i]);
	for (unsigned n = 0; left; n++) {
		unsigned idle = 0;

		(void)reactor_turn(uw->reactor);
		for (unsigned i = 0; i < w->njobs; i++)
			idle |= jobs[i].nidle;
		if (idle || (n & CLOCK_TURNS) == 0)
			left = serve_jobs(jobs, w->njobs);
	}
	bench_worker_finished(w);
	while (!bench_flag_get(&w->run->closing)) {
		(void)reactor_turn(uw->reactor);
		nanosleep(&nap, NULL);
	}
	reactor_adopt(NULL);
}

static void uri_service(struct bench_run *run)
{
	struct uri_target *t = run->target;

	/* Whoever interrupts does not want to wait for what a fault holds back. */
	if (bench_flag_get(&run->stop) && !t->is_draining) {
		t->is_draining = true;
		bdev_drain_begin(t->bdev);
	}
	(void)reactor_turn(t->control);
}

const struct bench_target_ops bench_uri_ops = {
	.open = uri_open,
	.close = uri_close,
	.attach = uri_attach,
	.work = uri_work,
	.service = uri_service,
};
