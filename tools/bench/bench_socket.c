/* SPDX-License-Identifier: BSD-3-Clause */
/* The target behind a vhost-user-blk socket, ours or a peer's. */
#include "tools/bench/bench_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/client/virtio_user.h"
#include "vhost/virtq/virtio_spec.h"

#define POLL_MAX    32
#define EMPTY_MASK  63 /* empty polls between two looks at the clock */
#define WAIT_MS	    20 /* asleep, between two looks at the clock */
#define RING_MIN    128
#define RING_MAX    1024
#define ALLOC_ALIGN 4096u

struct socket_target {
	struct virtio_user *vu;
	struct bench_null *null;
};

static const uint8_t op_codes[BENCH_OP_COUNT] = {
	[BENCH_READ] = VIRTIO_USER_READ,	   [BENCH_WRITE] = VIRTIO_USER_WRITE,
	[BENCH_FLUSH] = VIRTIO_USER_FLUSH,	   [BENCH_DISCARD] = VIRTIO_USER_DISCARD,
	[BENCH_ZEROES] = VIRTIO_USER_WRITE_ZEROES,
};

static size_t buffer_bytes(const struct bench_opts *o)
{
	return CC_ALIGN_UP((size_t)o->depth * o->bs, ALLOC_ALIGN);
}

/* Room for three descriptors per request: no indirect tables then. */
static unsigned ring_size(const struct bench_opts *o)
{
	unsigned n = RING_MIN;

	if (o->ring)
		return o->ring;
	while (n < 3 * o->depth && n < RING_MAX)
		n *= 2;
	return n;
}

static void fill_device(struct bench_run *run, struct virtio_user *vu)
{
	struct virtio_user_info i;

	virtio_user_get_info(vu, &i);
	run->dev = (struct bench_device){
		.bytes = i.capacity_bytes,
		.block_bytes = i.block_bytes,
		.read_only = i.read_only,
		.can_flush = i.writeback,
		.can_discard = i.max_discard_sectors != 0,
		.can_zeroes = i.max_write_zeroes_sectors != 0,
		.features = i.features,
		.protocol_features = i.protocol_features,
		.ring = ring_size(&run->opts),
	};
}

static int socket_open(struct bench_run *run, struct errbuf *eb)
{
	const struct bench_opts *o = &run->opts;
	struct socket_target *t = calloc(1, sizeof(*t));
	struct virtio_user_opts v = {
		.path = o->target,
		.nqueues = o->queues,
		.queue_size = (uint16_t)ring_size(o),
		.depth = (uint16_t)o->depth,
		.packed = o->packed,
		.in_order = o->in_order,
		.no_indirect = o->no_indirect,
		.no_event_idx = o->no_event_idx,
		.eventfd = o->eventfd,
		.minimal = o->minimal,
		.no_inflight = o->no_inflight,
		.memory_bytes = buffer_bytes(o) * o->queues,
		.connect_ms = o->connect_ms,
	};
	int err = 0;

	if (!t)
		return errbuf_set(eb, -ENOMEM, "no memory");
	run->target = t;
	if (o->null_responder)
		err = bench_null_create(o->null_cpu, o->queues, &t->null, &v.path, eb);
	if (!err)
		err = virtio_user_open(&v, &t->vu, eb);
	if (err)
		return err;
	fill_device(run, t->vu);
	return 0;
}

static void socket_close(struct bench_run *run)
{
	struct socket_target *t = run->target;

	if (!t)
		return;
	virtio_user_close(t->vu);
	bench_null_destroy(t->null);
	free(t);
	run->target = NULL;
}

static int socket_attach(struct bench_run *run, struct errbuf *eb)
{
	struct socket_target *t = run->target;

	for (unsigned i = 0; i < run->njobs; i++) {
		char *mem = virtio_user_alloc(t->vu, buffer_bytes(&run->opts));

		if (!mem)
			return errbuf_set(eb, -ENOMEM, "no shared memory for the buffers");
		run->jobs[i].target = virtio_user_queue(t->vu, i);
		bench_job_set_buffers(&run->jobs[i], mem);
	}
	return 0;
}

/*
 * The inner loop
 */

static cc_always_inline void submit(struct bench_job *job, struct bench_io *io, uint64_t now)
{
	int err;

	io->t0 = job->stamp_each ? mono_ticks() : now;
	if (cc_likely(io->op <= BENCH_WRITE))
		err = virtio_user_submit(job->target, op_codes[io->op], io->off, job->bs, &io->iov,
					 1, io);
	else
		err = virtio_user_submit(job->target, op_codes[io->op], io->off,
					 io->op == BENCH_FLUSH ? 0 : job->bs, NULL, 0, io);
	if (cc_unlikely(err)) {
		bench_job_done_slow(job, io, err);
		bench_job_park(job, io);
		bench_stop(job->run);
	}
}

static cc_noinline void refill(struct bench_job *job, uint64_t now)
{
	struct bench_io *io;

	while (!bench_flag_get(&job->run->stop) && (io = bench_job_unpark(job)))
		submit(job, io, now);
	if (job->inflight == 0)
		bench_job_advance(job, now);
}

/* Nothing came back. */
static cc_noinline int idle(struct bench_job *job)
{
	uint64_t now;
	int err = 0;

	if (job->run->opts.eventfd && job->inflight) {
		err = virtio_user_wait(job->target, WAIT_MS);
		if (err == -ETIMEDOUT)
			err = 0;
	}
	now = mono_ticks();
	bench_job_clock(job, now);
	if (job->nidle) {
		refill(job, now);
		virtio_user_flush(job->target);
	}
	return err;
}

static cc_always_inline int turn(struct bench_job *job)
{
	struct virtio_user_done done[POLL_MAX];
	int n = virtio_user_poll(job->target, done, POLL_MAX);
	uint64_t now;

	if (n <= 0) {
		if (cc_unlikely(n < 0))
			return n;
		if (cc_unlikely((++job->empty_polls & EMPTY_MASK) == 0 || job->nidle ||
				job->run->opts.eventfd))
			return idle(job);
		return 0;
	}
	now = mono_ticks();
	for (int i = 0; i < n; i++) {
		struct bench_io *io = done[i].cookie;

		bench_job_done(job, io, done[i].status, now);
		if (cc_likely(bench_job_next(job, io)))
			submit(job, io, now);
		else
			bench_job_park(job, io);
	}
	bench_job_clock(job, now);
	if (cc_unlikely(job->nidle))
		refill(job, now);
	virtio_user_flush(job->target);
	return 0;
}

/*
 * A server that goes away
 */

/* The target is gone: wait until main has found it again. false: give up. */
static bool wait_for_server(struct bench_run *run)
{
	unsigned epoch;

	if (!run->opts.reconnect_ms)
		return false;
	pthread_mutex_lock(&run->lock);
	epoch = run->epoch;
	run->parked++;
	while (run->epoch == epoch)
		pthread_cond_wait(&run->again, &run->lock);
	run->parked--;
	pthread_mutex_unlock(&run->lock);
	return !bench_flag_get(&run->lost);
}

static void reconnect(struct bench_run *run)
{
	struct socket_target *t = run->target;
	uint64_t t0 = mono_ns(), took;
	struct errbuf eb;
	int err = virtio_user_reconnect(t->vu, run->opts.reconnect_ms, &eb);

	took = mono_ns() - t0;
	if (err) {
		fprintf(stderr, "bench: %s\n", eb.text);
		bench_flag_set(&run->lost);
		bench_stop(run);
		return;
	}
	run->reconnects++;
	run->outage_ns += took;
	run->outage_ns_max = CC_MAX(run->outage_ns_max, took);
}

static void socket_service(struct bench_run *run)
{
	unsigned finished = __atomic_load_n(&run->finished, __ATOMIC_ACQUIRE);

	pthread_mutex_lock(&run->lock);
	if (run->parked && run->parked + finished == run->nworkers) {
		reconnect(run); /* nobody else can want the lock for long: all are parked */
		run->epoch++;
		pthread_cond_broadcast(&run->again);
	}
	pthread_mutex_unlock(&run->lock);
}

static void give_up(struct bench_worker *w, int err)
{
	struct bench_run *run = w->run;

	if (!bench_flag_get(&run->lost))
		bench_complain(run, "bench: %s: %s", run->opts.target,
			       err == -EPIPE ? "the server is gone" : strerror(-err));
	bench_flag_set(&run->lost);
	bench_stop(run);
}

static void socket_work(struct bench_worker *w)
{
	struct bench_job *jobs = &w->run->jobs[w->first];
	unsigned left = w->njobs;
	int err = 0;

	for (unsigned i = 0; i < w->njobs; i++)
		bench_job_begin(&jobs[i]);
	while (left) {
		left = 0;
		for (unsigned i = 0; i < w->njobs; i++) {
			if (cc_unlikely(jobs[i].phase == BENCH_DONE))
				continue;
			left++;
			err = turn(&jobs[i]);
			if (cc_unlikely(err))
				break;
		}
		if (cc_likely(!err))
			continue;
		if (err != -EPIPE || !wait_for_server(w->run)) {
			give_up(w, err);
			break;
		}
		err = 0;
	}
	bench_worker_finished(w);
}

const struct bench_target_ops bench_socket_ops = {
	.open = socket_open,
	.close = socket_close,
	.attach = socket_attach,
	.work = socket_work,
	.service = socket_service,
};
