/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator's inner loop: what comes next, what came back. Inline, because it runs millions of
 * times a second.
 *
 *   parked ─ bench_job_unpark ─► in flight ─ bench_job_done, bench_job_next ─► in flight again
 *      ▲                                            │ nothing more to do now
 *      └──────────────── bench_job_park ◄───────────┘
 */
#ifndef TOOLS_BENCH_BENCH_JOB_H
#define TOOLS_BENCH_BENCH_JOB_H

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tools/bench/bench_priv.h"

/* Verification, flushes, discards: everything that is not a plain read or write. */
bool bench_job_next_slow(struct bench_job *job, struct bench_io *io);
void bench_job_done_slow(struct bench_job *job, struct bench_io *io, int status);
/* The end of the warm-up, the end of the run. */
void bench_job_event(struct bench_job *job, uint64_t now);
/* Nothing is in flight: to the next phase, if this one is over. */
void bench_job_advance(struct bench_job *job, uint64_t now);
/* The run's clock begins for this job. On its worker. */
void bench_job_begin(struct bench_job *job);

/* xorshift64*, 2^64 - 1 long. */
static cc_always_inline uint64_t bench_rng(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

/* The next block, random by multiplication (no division) or in sequence. */
static cc_always_inline uint64_t bench_job_block(struct bench_job *job, uint64_t x)
{
	uint64_t block;

	if (job->random)
		return (uint64_t)(((unsigned __int128)x * job->nblocks) >> 64);
	block = job->at++;
	if (cc_unlikely(job->at == job->nblocks))
		job->at = 0;
	return block;
}

/* Fills op, off, len of @io. false: nothing to begin now (the end, or every block is busy). */
static cc_always_inline bool bench_job_next(struct bench_job *job, struct bench_io *io)
{
	uint64_t x;

	if (cc_unlikely(job->left == 0 || job->slow))
		return bench_job_next_slow(job, io);
	job->left--;
	x = bench_rng(&job->rng);
	io->op = (x & 0xffff) < job->read_below ? BENCH_READ : BENCH_WRITE;
	io->off = job->base + bench_job_block(job, x) * job->bs;
	return true;
}

/* @io came back at @now (ticks). */
static cc_always_inline void bench_job_done(struct bench_job *job, struct bench_io *io, int status,
					    uint64_t now)
{
	if (cc_unlikely(status != 0 || job->slow))
		bench_job_done_slow(job, io, status);
	if (cc_likely(job->phase == BENCH_RUN && status == 0))
		bench_hist_record(&job->latency[io->op], now - io->t0);
}

static inline void bench_job_park(struct bench_job *job, struct bench_io *io)
{
	job->idle[job->nidle++] = io;
	job->inflight--;
}

/* A parked I/O with something to do, or NULL. */
static inline struct bench_io *bench_job_unpark(struct bench_job *job)
{
	struct bench_io *io;

	if (job->nidle == 0)
		return NULL;
	io = job->idle[job->nidle - 1];
	if (!bench_job_next(job, io))
		return NULL;
	job->nidle--;
	job->inflight++;
	return io;
}

static cc_always_inline void bench_job_clock(struct bench_job *job, uint64_t now)
{
	if (cc_unlikely(now >= job->event_ticks))
		bench_job_event(job, now);
}

#endif
