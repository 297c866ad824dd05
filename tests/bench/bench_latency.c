/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A victim at depth 1 beside a neighbour at depth 256 on one software SSD of a finite rate: alone, with the neighbour,
 * and with a latency target. Interleaved; medians over the rounds.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/qos_guard.h"
#include "tests/bench/noisy_rig.h"

#define ROUNDS_MAX 99
#define NEIGHBOUR  256 /* depth */

enum {
	ALONE,
	BESIDE,
	GUARDED,
	PHASES,
};

struct result {
	uint64_t p50, p99, p999, victim_iops, neighbour_iops;
	uint64_t ratio; /* p99 against that alone in the same round, in hundredths */
};

static struct {
	struct result phase[PHASES][ROUNDS_MAX];
	uint64_t target[ROUNDS_MAX];
	uint32_t cap[ROUNDS_MAX];
	unsigned rounds;
	uint64_t seconds;
	double factor; /* of the p99 alone in the same round: the target */
	const char *program, *service;
} o = { .rounds = 5, .seconds = 4, .factor = 1.25, .service = "2000,8" };

static struct result measure(struct noisy *n, uint64_t settle_ns)
{
	const struct hist *h = &n->disk[NOISY_VICTIM].latency;
	uint64_t ns = o.seconds * MONO_NS_PER_SEC;

	noisy_run(n, settle_ns);
	noisy_clear(n);
	noisy_run(n, ns);
	return (struct result){
		.p50 = hist_quantile(h, 0.5),
		.p99 = hist_quantile(h, 0.99),
		.p999 = hist_quantile(h, 0.999),
		.victim_iops = n->disk[NOISY_VICTIM].ios / o.seconds,
		.neighbour_iops = n->disk[NOISY_NEIGHBOUR].ios / o.seconds,
	};
}

/* The order of the phases changes from round to round, but for ALONE, which says what the target is. */
static void one_round(struct noisy *n, unsigned round)
{
	struct qos_guard_stats st;

	noisy_load(n, NOISY_VICTIM, 1);
	o.phase[ALONE][round] = measure(n, MONO_NS_PER_SEC / 2);
	o.target[round] = (uint64_t)((double)o.phase[ALONE][round].p99 * o.factor);
	noisy_load(n, NOISY_NEIGHBOUR, NEIGHBOUR);
	if (round % 2 == 0)
		o.phase[BESIDE][round] = measure(n, MONO_NS_PER_SEC / 2);
	noisy_set_target(n, o.target[round]);
	o.phase[GUARDED][round] = measure(n, 3 * MONO_NS_PER_SEC);
	qos_guard_get_stats(n->disk[NOISY_NEIGHBOUR].bdev, &st);
	o.cap[round] = st.depth;
	noisy_set_target(n, 0);
	if (round % 2)
		o.phase[BESIDE][round] = measure(n, MONO_NS_PER_SEC / 2);
	noisy_drain(n);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(const struct result *r, size_t field, uint64_t *low, uint64_t *high)
{
	uint64_t v[ROUNDS_MAX];

	for (unsigned i = 0; i < o.rounds; i++)
		memcpy(&v[i], (const char *)&r[i] + field, sizeof(v[i]));
	qsort(v, o.rounds, sizeof(v[0]), compare);
	*low = v[0];
	*high = v[o.rounds - 1];
	return v[o.rounds / 2];
}

static void report(void)
{
	static const char *const name[PHASES] = { "alone", "neighbour, no target", "neighbour, target" };
	uint64_t low, high;

	printf("service %s (us, channels), target %.2f x p99 alone, %u rounds of %llu s; medians (lowest-highest)\n",
	       o.service, o.factor, o.rounds, (unsigned long long)o.seconds);
	for (unsigned p = 0; p < PHASES; p++) {
		const struct result *r = o.phase[p];
		uint64_t p99 = median(r, offsetof(struct result, p99), &low, &high);

		printf("%-21s p99 %7.0f us (%.0f-%.0f)", name[p], (double)p99 / 1e3, (double)low / 1e3,
		       (double)high / 1e3);
		printf("  p50 %7.0f us", (double)median(r, offsetof(struct result, p50), &low, &high) / 1e3);
		printf("  p99.9 %7.0f us", (double)median(r, offsetof(struct result, p999), &low, &high) / 1e3);
		printf("  victim %6llu IOPS",
		       (unsigned long long)median(r, offsetof(struct result, victim_iops), &low, &high));
		printf("  neighbour %6llu IOPS (%llu-%llu)\n",
		       (unsigned long long)median(r, offsetof(struct result, neighbour_iops), &low, &high),
		       (unsigned long long)low, (unsigned long long)high);
	}
	for (unsigned p = BESIDE; p < PHASES; p++) {
		uint64_t mid;

		for (unsigned i = 0; i < o.rounds; i++)
			o.phase[p][i].ratio = 100 * o.phase[p][i].p99 / o.phase[ALONE][i].p99;
		mid = median(o.phase[p], offsetof(struct result, ratio), &low, &high);
		printf("%s: p99 is %.2f (%.2f-%.2f) of that alone in the same round\n", name[p],
		       (double)mid / 100, (double)low / 100, (double)high / 100);
	}
	printf("caps at the end:");
	for (unsigned i = 0; i < o.rounds; i++)
		printf(" %u", o.cap[i]);
	putchar('\n');
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },  { "seconds", required_argument, NULL, 's' },
		{ "factor", required_argument, NULL, 'f' },  { "service", required_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct noisy *n;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'r')
			o.rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (opt == 's')
			o.seconds = strtoull(optarg, NULL, 10);
		else if (opt == 'f')
			o.factor = strtod(optarg, NULL);
		else if (opt == 'v')
			o.service = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc || o.factor <= 0 || o.rounds < 1 || o.rounds > ROUNDS_MAX || o.seconds < 1) {
		fprintf(stderr, "Usage: bench_latency [--rounds N] [--seconds N] [--factor F]"
			" [--service US,CHANNELS] NVRING-SSD\n");
		return 2;
	}
	mono_init();
	n = noisy_open(argv[optind], o.service);
	for (unsigned i = 0; i < o.rounds; i++)
		one_round(n, i);
	report();
	noisy_close(n);
	return 0;
}
