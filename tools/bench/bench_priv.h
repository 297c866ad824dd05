/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the load generator share.
 *
 *   bench.c ─ options ─► target (bench_socket.c | bench_uri.c) ─ a job per queue ─► workers
 * (threads) │ bench_job_next, bench_job_done (bench_job.h, inline) bench_report.c ◄── counters,
 * histograms ──────┘ bench_verify.c: what every block must hold
 *
 * A job is one queue with its in-flight I/Os; it belongs to one worker. Main only reads its
 * counters.
 */
#ifndef TOOLS_BENCH_BENCH_PRIV_H
#define TOOLS_BENCH_BENCH_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/cc.h"
#include "core/base/errbuf.h"
#include "core/bio.h"
#include "tools/bench/bench_hist.h"

#define BENCH_QUEUES_MAX 64
#define BENCH_CPUS_MAX	 64
#define BENCH_DEPTH_MAX	 1024
#define BENCH_BS_MAX	 (4u << 20)
#define BENCH_ERRORS_MAX 10 /* lines printed; all are counted */

enum bench_op {
	BENCH_READ,
	BENCH_WRITE,
	BENCH_FLUSH,
	BENCH_DISCARD,
	BENCH_ZEROES,
	BENCH_OP_COUNT,
};

/* Exactly what the command line says, sizes in bytes, times in nanoseconds. */
struct bench_opts {
	const char *target;
	bool is_socket, null_responder;
	int null_cpu; /* -1: not pinned */
	uint32_t bs;
	unsigned depth, queues, ring; /* ring: entries, 0 = chosen */
	bool one_thread;
	const char *rw_name;
	bool random;
	unsigned read_pct;		  /* of reads and writes */
	bool only_reads;		  /* nothing is written to the device */
	unsigned discard_pct, zeroes_pct; /* of all; the rest is reads and writes */
	unsigned flush_every;		  /* writes */
	uint64_t size, offset;		  /* size 0: to the end */
	bool packed, in_order, no_indirect, no_event_idx, eventfd, minimal, no_inflight;
	uint64_t time_ns, warmup_ns, ios;
	unsigned cpus[BENCH_CPUS_MAX], ncpus;
	bool progress, json, is_terminal;
	bool verify, check_only;
	const char *verify_state;
	unsigned reconnect_ms, connect_ms;
	bool pingpong_only, pingpong;
	unsigned pingpong_cpu[2];
	bool pingpong_cpus_given;
	uint64_t seed;
	int argc;
	char **argv;
};

/* One I/O in flight. */
struct bench_io {
	struct iovec iov;
	uint64_t off; /* on the device */
	uint64_t len;
	uint64_t t0; /* ticks at submission */
	struct bench_job *job;
	uint32_t block; /* of the job's share, in units of bs */
	uint8_t op;	/* enum bench_op */
	uint32_t gen;	/* verify: generation written */
	struct bio bio; /* URI targets */
};

enum bench_phase {
	BENCH_RUN,   /* the load */
	BENCH_DRAIN, /* waits for what is in flight */
	BENCH_CHECK, /* verify: reads every block that was written */
	BENCH_DONE,
};

struct bench_verify;
struct bench_run;

/* One queue. Written by its worker only. */
struct bench_job {
	/* hot: the generator */
	uint64_t rng;
	uint64_t base;	  /* first byte of its share of the device */
	uint64_t nblocks; /* of bs bytes */
	uint64_t at;	  /* sequential: next block */
	uint64_t left;	  /* I/Os still to begin; UINT64_MAX: no end but time */
	uint32_t bs;
	uint32_t read_below; /* of 65536 */
	bool random;
	bool slow;	 /* I/Os need more than an offset */
	bool stamp_each; /* low depth: the clock is read for every submission */
	uint8_t phase;	 /* enum bench_phase */
	uint16_t depth, inflight;
	/* the clock */
	uint64_t event_ticks;		   /* when the clock is of interest again */
	uint64_t warm_ticks;		   /* when the warm-up ends */
	uint64_t begun_ticks, ended_ticks; /* what was measured; 0: not yet */
	/* the uncommon */
	uint32_t discard_below, zeroes_below; /* of 65536 */
	unsigned flush_every, flush_in;
	uint64_t check_at;
	uint64_t first_unit; /* verify: of its share */
	uint8_t *busy;	     /* verify: per block, an I/O is under way */
	uint64_t verified;   /* units checked */
	uint64_t bad;	     /* units that failed */
	unsigned empty_polls;
	/* the rest */
	struct bench_run *run;
	struct bench_io *ios;
	struct bench_io *idle[BENCH_DEPTH_MAX]; /* verify: I/Os that found no free block */
	unsigned nidle;
	unsigned index;
	void *target; /* the queue, the channel */
	uint64_t errors[BENCH_OP_COUNT];
	struct bench_hist latency[BENCH_OP_COUNT]; /* ticks; n counts the I/Os */
};

struct bench_worker {
	struct bench_run *run;
	unsigned first, njobs;
	int cpu; /* -1: not pinned */
	pthread_t thread;
	bool is_running;
	void *target;
};

/* What the target told, for checks and the report. */
struct bench_device {
	uint64_t bytes;
	uint32_t block_bytes;
	bool read_only, can_flush, can_discard, can_zeroes;
	uint64_t features, protocol_features; /* sockets */
	unsigned ring;
};

/* A kind of target. All on the main thread but work. 0 or -errno with eb. */
struct bench_target_ops {
	/* Connect; fill run->dev. / Whatever open and attach have taken; after a failed one too. */
	int (*open)(struct bench_run *run, struct errbuf *eb);
	void (*close)(struct bench_run *run);
	/* Queues and buffers for run->jobs. */
	int (*attach)(struct bench_run *run, struct errbuf *eb);
	/* On the worker's thread: until all its jobs are BENCH_DONE, then bench_worker_finished().
	 */
	void (*work)(struct bench_worker *w);
	/* A few hundred times a second. */
	void (*service)(struct bench_run *run);
};
extern const struct bench_target_ops bench_socket_ops, bench_uri_ops;

struct bench_run {
	struct bench_opts opts;
	const struct bench_target_ops *ops;
	struct bench_device dev;
	struct bench_job *jobs;
	struct bench_worker workers[BENCH_QUEUES_MAX];
	unsigned njobs, nworkers;
	struct bench_verify *verify;
	void *target;
	/* between threads: bench_flag_get(), bench_flag_set() */
	bool stop;    /* any thread sets it: end the load */
	bool lost;    /* the target is gone for good */
	bool closing; /* workers may end their threads */
	unsigned finished; /* workers without unfinished jobs; atomic */
	/* a lost server: workers park, main reconnects */
	pthread_mutex_t lock; /* parked, epoch */
	pthread_cond_t again;
	unsigned parked, epoch, reconnects;
	uint64_t outage_ns, outage_ns_max;
	unsigned errors_printed;
	double pingpong_ns;
	bool has_pingpong;
};

/* What was written before it was set is seen by whoever finds it set. Fit for signal handlers. */
static inline bool bench_flag_get(const bool *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static inline void bench_flag_set(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static inline const char *bench_op_name(enum bench_op op)
{
	static const char *const name[] = { "read", "write", "flush", "discard", "write-zeroes" };

	return name[op];
}

/* bench_opts.c: 0 to go on, else *ret_exit is the exit code and everything has been said. */
int bench_opts_parse(struct bench_opts *o, int argc, char **argv, int *ret_exit);

/* bench.c: the jobs of @w are done; the thread may go on serving until run->closing. */
void bench_worker_finished(struct bench_worker *w);

/* bench_job.c */
int bench_jobs_create(struct bench_run *run, struct errbuf *eb);
void bench_jobs_destroy(struct bench_run *run);
/* Memory for the data of every in-flight I/O: depth * bs from @mem (4 KiB aligned), filled with
 * noise. */
void bench_job_set_buffers(struct bench_job *job, char *mem);
/* The run is over or has failed: jobs end as soon as they can. Any thread. */
void bench_stop(struct bench_run *run);
/* One line on standard error, the first BENCH_ERRORS_MAX of them. Any worker. */
void bench_complain(struct bench_run *run, const char *fmt, ...) cc_printf(2, 3);

/* bench_pingpong.c: nanoseconds of a cache line's way to the other CPU and back. 0 or -errno. */
int bench_pingpong(unsigned cpu_a, unsigned cpu_b, double *ret_ns);

/* bench_report.c: the result on standard output; one line on standard error while it runs. Main
 * thread. */
void bench_report(const struct bench_run *run);
void bench_report_progress(const struct bench_run *run, uint64_t elapsed_ns);
/* I/O errors and failed verifications. */
uint64_t bench_errors(const struct bench_run *run);

/* bench_null.c: a device that does nothing, on a thread of its own behind a socket at *ret_path. */
struct bench_null;
int bench_null_create(int cpu, unsigned nqueues, struct bench_null **ret_null,
		      const char **ret_path, struct errbuf *eb);
void bench_null_destroy(struct bench_null *n);

#endif
