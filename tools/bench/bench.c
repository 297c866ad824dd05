/* SPDX-License-Identifier: BSD-3-Clause */
/* One run of the load generator: target, jobs, workers, report. */
#include "tools/bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "tools/bench/bench_job.h"
#include "tools/bench/bench_priv.h"
#include "tools/bench/bench_verify.h"

#define EXIT_FAILED 1
#define EXIT_USAGE  2
#define LOOK_NS	    (2 * MONO_NS_PER_MS) /* main looks after the workers */

static bool *stop_on_signal;

static void on_signal(int sig)
{
	(void)sig;
	if (stop_on_signal)
		bench_flag_set(stop_on_signal);
}

void bench_worker_finished(struct bench_worker *w)
{
	uint64_t now = mono_ticks();

	for (unsigned i = 0; i < w->njobs; i++) {
		struct bench_job *job = &w->run->jobs[w->first + i];

		if (job->ended_ticks == 0)
			job->ended_ticks = now;
	}
	__atomic_fetch_add(&w->run->finished, 1, __ATOMIC_RELEASE);
}

static void *worker_main(void *arg)
{
	struct bench_worker *w = arg;

	w->run->ops->work(w);
	return NULL;
}

/* Which queue on which thread on which CPU. */
static void plan_workers(struct bench_run *run)
{
	const struct bench_opts *o = &run->opts;

	run->nworkers = o->one_thread ? 1 : o->queues;
	for (unsigned i = 0; i < run->nworkers; i++)
		run->workers[i] = (struct bench_worker){
			.run = run,
			.first = i,
			.njobs = o->one_thread ? o->queues : 1,
			.cpu = o->ncpus ? (int)o->cpus[i % o->ncpus] : -1,
		};
}

static int start_worker(struct bench_worker *w, struct errbuf *eb)
{
	cpu_set_t set;
	int err = -pthread_create(&w->thread, NULL, worker_main, w);

	if (err)
		return errbuf_set(eb, err, "cannot start a thread: %s", strerror(-err));
	w->is_running = true;
	if (w->cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)w->cpu, &set);
	err = -pthread_setaffinity_np(w->thread, sizeof(set), &set);
	return err ? errbuf_set(eb, err, "cannot run on CPU %d: %s", w->cpu, strerror(-err)) : 0;
}

static void watch(struct bench_run *run)
{
	const struct timespec nap = { .tv_nsec = LOOK_NS };
	uint64_t begun = mono_ns(), next = MONO_NS_PER_SEC;

	while (__atomic_load_n(&run->finished, __ATOMIC_ACQUIRE) < run->nworkers) {
		uint64_t elapsed = mono_ns() - begun;

		nanosleep(&nap, NULL);
		run->ops->service(run);
		if (run->opts.progress && elapsed >= next) {
			bench_report_progress(run, elapsed);
			next += MONO_NS_PER_SEC;
		}
	}
}

/* Start all or none; to the end of the load. */
static int run_workers(struct bench_run *run, struct errbuf *eb)
{
	int err = 0;
	unsigned n;

	for (n = 0; n < run->nworkers && !err; n++)
		err = start_worker(&run->workers[n], eb);
	if (err) {
		run->nworkers = n;
		while (n && !run->workers[n - 1].is_running)
			run->nworkers = --n;
		bench_stop(run);
	}
	watch(run);
	return err;
}

static void join_workers(struct bench_run *run)
{
	for (unsigned i = 0; i < run->nworkers; i++) {
		if (run->workers[i].is_running)
			pthread_join(run->workers[i].thread, NULL);
		run->workers[i].is_running = false;
	}
}

/* The range, against what the device has and can. */
static int check_device(struct bench_run *run, struct errbuf *eb)
{
	struct bench_opts *o = &run->opts;
	const struct bench_device *d = &run->dev;

	if (o->offset >= d->bytes)
		return errbuf_set(eb, -EINVAL, "%s: --offset is beyond its %llu bytes", o->target,
				  (unsigned long long)d->bytes);
	if (o->size == 0)
		o->size = d->bytes - o->offset;
	if (o->size > d->bytes - o->offset)
		return errbuf_set(eb, -EINVAL, "%s: the range ends beyond its %llu bytes",
				  o->target, (unsigned long long)d->bytes);
	if (d->block_bytes && (o->bs % d->block_bytes || o->offset % d->block_bytes))
		return errbuf_set(eb, -EINVAL, "%s: has blocks of %u bytes", o->target,
				  d->block_bytes);
	if (!o->only_reads && !o->check_only && d->read_only)
		return errbuf_set(eb, -EROFS, "%s: is read-only", o->target);
	if (o->discard_pct && !d->can_discard)
		return errbuf_set(eb, -ENOTSUP, "%s: cannot discard", o->target);
	if (o->zeroes_pct && !d->can_zeroes)
		return errbuf_set(eb, -ENOTSUP, "%s: cannot write zeroes", o->target);
	return 0;
}

static int prepare(struct bench_run *run, struct errbuf *eb)
{
	struct bench_opts *o = &run->opts;
	int err = run->ops->open(run, eb);

	if (!err)
		err = check_device(run, eb);
	if (!err && o->verify)
		err = bench_verify_open(o->verify_state, o->offset, o->size,
					bench_verify_unit_for(o->bs), &run->verify, eb);
	if (!err)
		err = bench_jobs_create(run, eb);
	if (err)
		return err;
	plan_workers(run);
	return run->ops->attach(run, eb);
}

static void pingpong(struct bench_run *run)
{
	struct bench_opts *o = &run->opts;
	cpu_set_t set;
	unsigned n = 0;

	if (!o->pingpong_cpus_given && sched_getaffinity(0, sizeof(set), &set) == 0)
		for (unsigned cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
			if (CPU_ISSET(cpu, &set))
				o->pingpong_cpu[n++] = cpu;
	if (!o->pingpong_cpus_given && n < 2)
		return; /* one CPU: nobody to play with */
	run->has_pingpong =
		bench_pingpong(o->pingpong_cpu[0], o->pingpong_cpu[1], &run->pingpong_ns) == 0;
}

static int run_load(struct bench_run *run)
{
	struct errbuf eb = { "" };
	int err;

	run->ops = run->opts.is_socket ? &bench_socket_ops : &bench_uri_ops;
	err = prepare(run, &eb);
	if (!err)
		err = run_workers(run, &eb);
	run->ops->close(run);
	join_workers(run);
	if (err)
		fprintf(stderr, "bench: %s\n", eb.text);
	else
		bench_report(run);
	if (!err && (run->lost || bench_errors(run)))
		err = -EIO;
	bench_jobs_destroy(run);
	bench_verify_close(run->verify);
	return err ? EXIT_FAILED : 0;
}

int bench_main(int argc, char **argv)
{
	struct bench_run *run = calloc(1, sizeof(*run));
	int exit_code;

	if (!run)
		return EXIT_FAILED;
	run->opts.is_terminal = isatty(STDERR_FILENO);
	if (bench_opts_parse(&run->opts, argc, argv, &exit_code))
		goto out;
	mono_init();
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->again, NULL);
	stop_on_signal = &run->stop;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (run->opts.pingpong || run->opts.json)
		pingpong(run);
	if (run->opts.pingpong_only) {
		exit_code = run->has_pingpong ? 0 : EXIT_FAILED;
		if (run->has_pingpong)
			bench_report(run);
		else
			fprintf(stderr, "bench: --pingpong needs two CPUs\n");
	} else {
		exit_code = run_load(run);
	}
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	stop_on_signal = NULL;
	pthread_cond_destroy(&run->again);
	pthread_mutex_destroy(&run->lock);
out:
	free(run);
	return exit_code;
}
