/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs: their share of the device, their phases, and the I/Os that need more than an offset. */
#include "tools/bench/bench_job.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/bench_verify.h"

#define STAMP_EACH_DEPTH 8 /* up to here the clock is read at every submission */
#define CLOCK_NEVER	 UINT64_MAX
#define STOP_LOOK_NS	 (5 * MONO_NS_PER_MS) /* how soon a job sees run->stop */

void bench_complain(struct bench_run *run, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (__atomic_fetch_add(&run->errors_printed, 1, __ATOMIC_RELAXED) >= BENCH_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", line);
}

void bench_stop(struct bench_run *run)
{
	bench_flag_set(&run->stop);
}

/*
 * The clock
 */

static uint64_t end_of_run(const struct bench_job *job)
{
	return job->begun_ticks + mono_ns_to_ticks(job->run->opts.time_ns);
}

/* The next point of interest, not further than the next look at run->stop. */
static void set_event(struct bench_job *job, uint64_t now)
{
	uint64_t at = now + mono_ns_to_ticks(STOP_LOOK_NS);

	if (job->phase != BENCH_RUN) {
		job->event_ticks = CLOCK_NEVER;
		return;
	}
	if (job->begun_ticks == 0)
		at = CC_MIN(at, job->warm_ticks);
	else if (job->run->opts.time_ns)
		at = CC_MIN(at, end_of_run(job));
	job->event_ticks = at;
}

static void end_run(struct bench_job *job, uint64_t now)
{
	job->ended_ticks = now;
	job->left = 0;
	job->phase = BENCH_DRAIN;
}

static void begin_measuring(struct bench_job *job, uint64_t now)
{
	memset(job->latency, 0, sizeof(job->latency));
	job->begun_ticks = now;
}

void bench_job_event(struct bench_job *job, uint64_t now)
{
	const struct bench_opts *o = &job->run->opts;

	if (job->phase == BENCH_RUN && job->begun_ticks == 0 && now >= job->warm_ticks)
		begin_measuring(job, now);
	if (job->phase == BENCH_RUN && bench_flag_get(&job->run->stop))
		end_run(job, now);
	if (job->phase == BENCH_RUN && job->begun_ticks && o->time_ns && now >= end_of_run(job))
		end_run(job, now);
	set_event(job, now);
}

void bench_job_begin(struct bench_job *job)
{
	const struct bench_opts *o = &job->run->opts;
	uint64_t now = mono_ticks();

	job->warm_ticks = now + mono_ns_to_ticks(o->warmup_ns);
	job->phase = BENCH_RUN;
	if (o->check_only) {
		job->begun_ticks = now;
		end_run(job, now);
	}
	bench_job_event(job, now);
	if (job->inflight == 0)
		bench_job_advance(job, now);
}

void bench_job_advance(struct bench_job *job, uint64_t now)
{
	if (job->inflight || job->left)
		return;
	if (job->phase == BENCH_RUN) { /* --ios */
		if (job->begun_ticks == 0)
			job->begun_ticks = job->warm_ticks;
		end_run(job, now);
	}
	if (job->phase == BENCH_DRAIN && job->busy && !bench_flag_get(&job->run->stop)) {
		job->phase = BENCH_CHECK;
		job->check_at = 0;
		return;
	}
	if (job->phase == BENCH_CHECK && job->check_at < job->nblocks &&
	    !bench_flag_get(&job->run->stop))
		return;
	job->phase = BENCH_DONE;
}

/*
 * The uncommon I/Os
 */

static unsigned block_units(const struct bench_job *job)
{
	return job->bs / bench_verify_unit(job->run->verify);
}

static uint64_t block_first_unit(const struct bench_job *job, uint64_t block)
{
	return job->first_unit + block * block_units(job);
}

/* From @block on, the first that no I/O in flight touches. false: all are busy. */
static bool find_idle(const struct bench_job *job, uint64_t *block)
{
	for (uint64_t i = 0; i < job->nblocks; i++) {
		if (!job->busy[*block])
			return true;
		*block = *block + 1 < job->nblocks ? *block + 1 : 0;
	}
	return false;
}

static void io_read_for_check(struct bench_job *job, struct bench_io *io, uint64_t block)
{
	io->op = BENCH_READ;
	io->block = (uint32_t)block;
	io->off = job->base + block * job->bs;
	job->busy[block] = 1;
	bench_verify_poison(job->run->verify, io->iov.iov_base, block_units(job));
}

/* BENCH_CHECK: every block with something to check, once. */
static bool next_check(struct bench_job *job, struct bench_io *io)
{
	const struct bench_verify *v = job->run->verify;

	if (bench_flag_get(&job->run->stop))
		job->check_at = job->nblocks;
	for (; job->check_at < job->nblocks; job->check_at++) {
		uint64_t block = job->check_at;

		if (!bench_verify_is_known(v, block_first_unit(job, block), block_units(job)))
			continue;
		if (job->busy[block])
			return false;
		io_read_for_check(job, io, block);
		job->check_at++;
		return true;
	}
	return false;
}

static enum bench_op choose_op(struct bench_job *job, uint64_t x)
{
	uint32_t special = (x >> 16) & 0xffff;

	if (job->flush_every && job->flush_in == 0) {
		job->flush_in = job->flush_every;
		return BENCH_FLUSH;
	}
	if (special < job->discard_below)
		return BENCH_DISCARD;
	if (special < job->discard_below + job->zeroes_below)
		return BENCH_ZEROES;
	if ((x & 0xffff) < job->read_below)
		return BENCH_READ;
	if (job->flush_every)
		job->flush_in--;
	return BENCH_WRITE;
}

/* Before the I/O starts: what the block may hold from now on. */
static void verify_begin(struct bench_job *job, struct bench_io *io)
{
	struct bench_verify *v = job->run->verify;
	uint64_t unit = block_first_unit(job, io->block);
	unsigned n = block_units(job);

	job->busy[io->block] = 1;
	switch (io->op) {
	case BENCH_READ:
		bench_verify_poison(v, io->iov.iov_base, n);
		break;
	case BENCH_WRITE:
		bench_verify_write(v, unit, n, io->iov.iov_base);
		break;
	default:
		bench_verify_erase(v, unit, n, io->op == BENCH_ZEROES);
		break;
	}
}

bool bench_job_next_slow(struct bench_job *job, struct bench_io *io)
{
	uint64_t x, block;

	if (job->phase == BENCH_CHECK)
		return next_check(job, io);
	if (job->left == 0 || job->phase != BENCH_RUN)
		return false;
	x = bench_rng(&job->rng);
	io->op = (uint8_t)choose_op(job, x);
	if (io->op == BENCH_FLUSH) {
		io->off = 0;
		job->left--;
		return true;
	}
	block = bench_job_block(job, x);
	if (job->busy && !find_idle(job, &block))
		return false;
	io->block = (uint32_t)block;
	io->off = job->base + block * job->bs;
	if (job->busy)
		verify_begin(job, io);
	job->left--;
	return true;
}

static void verify_done(struct bench_job *job, struct bench_io *io, int status)
{
	struct bench_verify *v = job->run->verify;
	uint64_t unit = block_first_unit(job, io->block);
	unsigned n = block_units(job);
	struct bench_verify_result r;

	job->busy[io->block] = 0;
	if (status)
		return; /* a failed write: the old or the new, as after a crash */
	if (io->op != BENCH_READ) {
		bench_verify_commit(v, unit, n);
		return;
	}
	bench_verify_check(v, unit, n, io->iov.iov_base, &r);
	job->verified += r.checked;
	job->bad += r.bad;
	if (r.bad)
		bench_complain(job->run, "verify: %s", r.text);
}

void bench_job_done_slow(struct bench_job *job, struct bench_io *io, int status)
{
	if (status) {
		job->errors[io->op]++;
		bench_complain(job->run, "I/O error: %s of %u bytes at byte %llu: %s",
			       bench_op_name(io->op), io->op == BENCH_FLUSH ? 0 : job->bs,
			       (unsigned long long)io->off, strerror(-status));
	}
	if (job->busy && io->op != BENCH_FLUSH)
		verify_done(job, io, status);
}

/*
 * Life
 */

static uint64_t share_seed(uint64_t seed, unsigned index)
{
	uint64_t s = seed + 0x9e3779b97f4a7c15ull * (index + 1);

	(void)bench_rng(&s);
	return s ? s : 1;
}

static int job_init(struct bench_run *run, unsigned index, uint64_t blocks_each)
{
	const struct bench_opts *o = &run->opts;
	struct bench_job *job = &run->jobs[index];

	job->run = run;
	job->index = index;
	job->rng = share_seed(o->seed, index);
	job->bs = o->bs;
	job->depth = (uint16_t)o->depth;
	job->random = o->random;
	job->read_below = o->read_pct * 65536 / 100;
	job->discard_below = o->discard_pct * 65536 / 100;
	job->zeroes_below = o->zeroes_pct * 65536 / 100;
	job->flush_every = job->flush_in = o->flush_every;
	job->stamp_each = o->depth <= STAMP_EACH_DEPTH;
	job->slow = o->verify || o->flush_every || o->discard_pct || o->zeroes_pct;
	job->left = o->ios ? o->ios / run->njobs + (index < o->ios % run->njobs) : UINT64_MAX;
	job->nblocks = blocks_each;
	job->base = o->offset + (o->verify || !o->random ? index * blocks_each * o->bs : 0);
	if (o->verify) {
		job->first_unit = index * blocks_each * (o->bs / bench_verify_unit(run->verify));
		job->busy = calloc(blocks_each, 1);
	}
	job->ios = calloc(o->depth, sizeof(*job->ios));
	if (!job->ios || (o->verify && !job->busy))
		return -ENOMEM;
	for (unsigned i = 0; i < o->depth; i++) {
		struct bench_io *io = &job->ios[i];

		io->job = job;
		io->len = o->bs;
		job->idle[job->nidle++] = io;
	}
	return 0;
}

int bench_jobs_create(struct bench_run *run, struct errbuf *eb)
{
	const struct bench_opts *o = &run->opts;
	uint64_t blocks = o->size / o->bs, each;
	int err = 0;

	/* What is verified or sequential is divided among the jobs; random load falls everywhere.
	 */
	each = o->verify || !o->random ? blocks / o->queues : blocks;
	if (each < (o->verify ? 2 * o->depth : 1) || each > UINT32_MAX)
		return errbuf_set(eb, -EINVAL,
				  "%llu blocks of %u bytes are too %s for %u queues of depth %u",
				  (unsigned long long)blocks, o->bs,
				  each > UINT32_MAX ? "many" : "few", o->queues, o->depth);
	run->njobs = o->queues;
	run->jobs = aligned_alloc(CACHELINE_BYTES, CC_ALIGN_UP(run->njobs * sizeof(*run->jobs),
							       (size_t)CACHELINE_BYTES));
	if (!run->jobs)
		return errbuf_set(eb, -ENOMEM, "no memory for %u queues", run->njobs);
	memset(run->jobs, 0, run->njobs * sizeof(*run->jobs));
	for (unsigned i = 0; i < run->njobs && !err; i++)
		err = job_init(run, i, each);
	return err ? errbuf_set(eb, err, "no memory for %u queues", run->njobs) : 0;
}

void bench_jobs_destroy(struct bench_run *run)
{
	for (unsigned i = 0; run->jobs && i < run->njobs; i++) {
		free(run->jobs[i].ios);
		free(run->jobs[i].busy);
	}
	free(run->jobs);
	run->jobs = NULL;
}

void bench_job_set_buffers(struct bench_job *job, char *mem)
{
	uint64_t noise = job->rng;

	for (size_t i = 0; i < (size_t)job->depth * job->bs; i += sizeof(noise)) {
		uint64_t x = bench_rng(&noise);

		memcpy(mem + i, &x, sizeof(x));
	}
	for (unsigned i = 0; i < job->depth; i++) {
		job->ios[i].iov.iov_base = mem + (size_t)i * job->bs;
		job->ios[i].iov.iov_len = job->bs;
	}
}
