/* SPDX-License-Identifier: BSD-3-Clause */
/* What came of it: a table for people, JSON for machines, a line a second for the impatient. */
#include "tools/bench/bench_priv.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "core/base/mono.h"

static const struct {
	const char *name, *json;
	double q;
} quantiles[] = {
	{ "p50", "p50", 0.5 },	     { "p90", "p90", 0.9 },	     { "p99", "p99", 0.99 },
	{ "p99.9", "p99_9", 0.999 }, { "p99.99", "p99_99", 0.9999 },
};

/* Sums over all jobs. Big: on the heap. */
struct totals {
	struct bench_hist latency[BENCH_OP_COUNT];
	uint64_t errors, verified, bad;
	double seconds;
};

static double ticks_ns(double ticks)
{
	return ticks * (double)mono_mult / (double)(1ull << MONO_SHIFT);
}

/* While it runs, too. */
cc_looks_on uint64_t bench_errors(const struct bench_run *run)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < run->njobs; i++) {
		n += run->jobs[i].bad;
		for (unsigned op = 0; op < BENCH_OP_COUNT; op++)
			n += run->jobs[i].errors[op];
	}
	return n;
}

static struct totals *totals_create(const struct bench_run *run)
{
	struct totals *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	for (unsigned i = 0; i < run->njobs; i++) {
		const struct bench_job *job = &run->jobs[i];
		double s = 0;

		if (job->begun_ticks && job->ended_ticks > job->begun_ticks)
			s = ticks_ns((double)(job->ended_ticks - job->begun_ticks)) * 1e-9;
		t->seconds = CC_MAX(t->seconds, s);
		t->verified += job->verified;
		t->bad += job->bad;
		for (unsigned op = 0; op < BENCH_OP_COUNT; op++) {
			bench_hist_merge(&t->latency[op], &job->latency[op]);
			t->errors += job->errors[op];
		}
	}
	return t;
}

static double per_second(const struct totals *t, uint64_t n)
{
	return t->seconds > 0 ? (double)n / t->seconds : 0;
}

static bool moves_data(unsigned op)
{
	return op == BENCH_READ || op == BENCH_WRITE;
}

static uint64_t all_ios(const struct totals *t)
{
	uint64_t n = 0;

	for (unsigned op = 0; op < BENCH_OP_COUNT; op++)
		n += t->latency[op].n;
	return n;
}

/*
 * For people
 */

static void print_ns(double ns)
{
	if (ns < 10e3)
		printf(" %7.0f ns", ns);
	else if (ns < 10e6)
		printf(" %7.1f us", ns / 1e3);
	else
		printf(" %7.1f ms", ns / 1e6);
}

static void print_op(const struct bench_run *run, const struct totals *t, unsigned op)
{
	const struct bench_hist *h = &t->latency[op];

	if (h->n == 0)
		return;
	printf("%-13s %10.0f IOPS", bench_op_name(op), per_second(t, h->n));
	if (moves_data(op))
		printf("  %9.1f MB/s", per_second(t, h->n) * run->opts.bs / 1e6);
	printf("  %llu I/Os\n", (unsigned long long)h->n);
	printf("  %-10s", "latency");
	print_ns(ticks_ns(bench_hist_mean(h)));
	printf(" mean,");
	print_ns(ticks_ns(bench_hist_stddev(h)));
	printf(" stddev,");
	print_ns(ticks_ns((double)h->min));
	printf(" min,");
	print_ns(ticks_ns((double)h->max));
	printf(" max\n  %-10s", "");
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
		print_ns(ticks_ns(bench_hist_quantile(h, quantiles[i].q)));
		printf(" %s%s", quantiles[i].name, i + 1 < ARRAY_SIZE(quantiles) ? "," : "\n");
	}
}

static void print_table(const struct bench_run *run, const struct totals *t)
{
	const struct bench_opts *o = &run->opts;

	printf("%s: %s of %u bytes, depth %u, %u queue%s%s\n", o->target, o->rw_name, o->bs,
	       o->depth, o->queues, o->queues == 1 ? "" : "s",
	       !o->is_socket ? ""
	       : o->eventfd  ? ", sleeping"
			     : ", polled");
	for (unsigned op = 0; op < BENCH_OP_COUNT; op++)
		print_op(run, t, op);
	if (o->verify)
		printf("verified      %llu blocks, %llu bad\n", (unsigned long long)t->verified,
		       (unsigned long long)t->bad);
	if (run->reconnects)
		printf("reconnected   %u times, %.1f ms at most\n", run->reconnects,
		       (double)run->outage_ns_max / 1e6);
	if (t->errors)
		printf("errors        %llu\n", (unsigned long long)t->errors);
	if (run->lost)
		printf("lost          the target went away and did not come back\n");
	if (run->has_pingpong)
		printf("ping-pong     %.1f ns between CPU %u and CPU %u and back\n",
		       run->pingpong_ns, o->pingpong_cpu[0], o->pingpong_cpu[1]);
}

/*
 * For machines
 */

static void add_double(struct json_object *o, const char *key, double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", v);
	json_object_object_add(o, key, json_object_new_double_s(v, text));
}

static void add_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

static void add_text(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

static struct json_object *json_op(const struct bench_run *run, const struct totals *t, unsigned op)
{
	const struct bench_hist *h = &t->latency[op];
	struct json_object *o = json_object_new_object(), *l = json_object_new_object();

	add_u64(o, "ios", h->n);
	add_double(o, "iops", per_second(t, h->n));
	if (moves_data(op))
		add_double(o, "mb_per_s", per_second(t, h->n) * run->opts.bs / 1e6);
	add_double(l, "min", ticks_ns((double)h->min));
	add_double(l, "mean", ticks_ns(bench_hist_mean(h)));
	add_double(l, "stddev", ticks_ns(bench_hist_stddev(h)));
	add_double(l, "max", ticks_ns((double)h->max));
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		add_double(l, quantiles[i].json, ticks_ns(bench_hist_quantile(h, quantiles[i].q)));
	json_object_object_add(o, "latency_ns", l);
	return o;
}

static struct json_object *json_load(const struct bench_opts *b)
{
	struct json_object *o = json_object_new_object();

	add_text(o, "rw", b->rw_name);
	add_u64(o, "read_percent", b->read_pct);
	add_u64(o, "bs", b->bs);
	add_u64(o, "depth", b->depth);
	add_u64(o, "queues", b->queues);
	add_bool(o, "one_thread", b->one_thread);
	add_u64(o, "offset", b->offset);
	add_u64(o, "size", b->size);
	add_bool(o, "packed", b->packed);
	add_bool(o, "eventfd", b->eventfd);
	add_bool(o, "verify", b->verify);
	return o;
}

static struct json_object *json_device(const struct bench_run *run)
{
	struct json_object *o = json_object_new_object();
	char hex[24];

	add_u64(o, "bytes", run->dev.bytes);
	add_u64(o, "block_bytes", run->dev.block_bytes);
	if (!run->opts.is_socket)
		return o;
	snprintf(hex, sizeof(hex), "%#llx", (unsigned long long)run->dev.features);
	add_text(o, "features", hex);
	snprintf(hex, sizeof(hex), "%#llx", (unsigned long long)run->dev.protocol_features);
	add_text(o, "protocol_features", hex);
	add_u64(o, "ring", run->dev.ring);
	return o;
}

static struct json_object *json_command(const struct bench_opts *b)
{
	struct json_object *o = json_object_new_array();

	for (int i = 0; i < b->argc; i++)
		json_object_array_add(o, json_object_new_string(b->argv[i]));
	return o;
}

static void json_pingpong(const struct bench_run *run, struct json_object *top)
{
	struct json_object *o, *cpus;

	if (!run->has_pingpong)
		return;
	o = json_object_new_object();
	cpus = json_object_new_array();
	json_object_array_add(cpus, json_object_new_int((int)run->opts.pingpong_cpu[0]));
	json_object_array_add(cpus, json_object_new_int((int)run->opts.pingpong_cpu[1]));
	json_object_object_add(o, "cpus", cpus);
	add_double(o, "round_trip_ns", run->pingpong_ns);
	json_object_object_add(top, "pingpong", o);
}

static void print_json(const struct bench_run *run, const struct totals *t)
{
	struct json_object *top = json_object_new_object();
	struct utsname u;

	add_text(top, "target", run->opts.target ? run->opts.target : "");
	json_object_object_add(top, "command", json_command(&run->opts));
	if (uname(&u) == 0)
		add_text(top, "kernel", u.release);
	if (!run->opts.pingpong_only) {
		json_object_object_add(top, "load", json_load(&run->opts));
		json_object_object_add(top, "device", json_device(run));
		add_double(top, "seconds", t->seconds);
		json_object_object_add(top, "iops",
				       json_object_new_uint64((uint64_t)per_second(t, all_ios(t))));
		for (unsigned op = 0; op < BENCH_OP_COUNT; op++)
			if (t->latency[op].n)
				json_object_object_add(top, bench_op_name(op), json_op(run, t, op));
		add_u64(top, "errors", t->errors);
		add_u64(top, "verified", t->verified);
		add_u64(top, "bad", t->bad);
		add_u64(top, "reconnects", run->reconnects);
		add_double(top, "outage_ms_max", (double)run->outage_ns_max / 1e6);
		add_bool(top, "lost", run->lost);
	}
	json_pingpong(run, top);
	printf("%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
								   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

void bench_report(const struct bench_run *run)
{
	struct totals *t = totals_create(run);

	if (!t)
		return;
	if (run->opts.json)
		print_json(run, t);
	else if (run->opts.pingpong_only)
		printf("ping-pong     %.1f ns between CPU %u and CPU %u and back\n",
		       run->pingpong_ns, run->opts.pingpong_cpu[0], run->opts.pingpong_cpu[1]);
	else
		print_table(run, t);
	free(t);
}

/* The workers' counters, which go on counting. */
static cc_looks_on uint64_t ios_so_far(const struct bench_run *run, bool *ret_checking)
{
	uint64_t n = 0;

	*ret_checking = false;
	for (unsigned i = 0; i < run->njobs; i++) {
		*ret_checking |= cc_read_once(run->jobs[i].phase) == BENCH_CHECK;
		for (unsigned op = 0; op < BENCH_OP_COUNT; op++)
			n += cc_read_once(run->jobs[i].latency[op].n);
	}
	return n;
}

void bench_report_progress(const struct bench_run *run, uint64_t elapsed_ns)
{
	static uint64_t last_n, last_ns;
	uint64_t d, dt = elapsed_ns - last_ns;
	bool checking;
	uint64_t n = ios_so_far(run, &checking);

	d = n >= last_n ? n - last_n : n; /* counters restart after the warm-up */
	fprintf(stderr, "%6.1f s  %10.0f IOPS  %9.1f MB/s  errors %llu%s\n",
		(double)elapsed_ns / 1e9, dt ? (double)d * 1e9 / (double)dt : 0,
		dt ? (double)d * run->opts.bs * 1e3 / (double)dt : 0,
		(unsigned long long)bench_errors(run), checking ? "  checking" : "");
	last_n = n;
	last_ns = elapsed_ns;
}
