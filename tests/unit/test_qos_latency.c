/* SPDX-License-Identifier: BSD-3-Clause */
/* The latency window against a simulated SSD: so many channels, a service time, first come, first served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cc.h"
#include "core/qos_latency.h"
#include "tests/unit/sanitized.h"

#define S	 MONO_NS_PER_SEC
#define MS	 MONO_NS_PER_MS
#define US	 MONO_NS_PER_US
#define DISKS	 8
#define CHANNELS 32
#define EVENTS	 8192

struct disk {
	/* the load */
	unsigned depth;	    /* I/Os it would have in flight */
	uint64_t think_ns;  /* between the end of one and the next */
	uint64_t weighs_ns; /* service time of its I/O; 0: the SSD's */
	uint64_t target_ns; /* 0: a neighbour only */
	uint64_t min_ios;
	uint16_t weight;
	/* now */
	unsigned inflight, thinking, cap;
	uint32_t peak;
	uint64_t ios, misses;		  /* in this period */
	uint64_t total, total_misses;	  /* since measure() */
	struct qos_latency latency;
	unsigned in_vain, at_least;
};

struct event {
	uint64_t at, begun;
	struct disk *d;
	bool thought; /* else an I/O has ended */
};

static struct {
	unsigned nchans, ndisks;
	uint64_t service_ns, jitter_ns, now, next_period;
	uint64_t free_at[CHANNELS];
	struct disk d[DISKS];
	struct event heap[EVENTS];
	unsigned nevents;
	uint64_t seed;
} sim;

static uint64_t rnd(uint64_t below)
{
	sim.seed ^= sim.seed << 13;
	sim.seed ^= sim.seed >> 7;
	sim.seed ^= sim.seed << 17;
	return sim.seed % below;
}

static void push(struct event e)
{
	unsigned i = sim.nevents++;

	assert_true(sim.nevents < EVENTS);
	for (; i && sim.heap[(i - 1) / 2].at > e.at; i = (i - 1) / 2)
		sim.heap[i] = sim.heap[(i - 1) / 2];
	sim.heap[i] = e;
}

static struct event pop(void)
{
	struct event first = sim.heap[0], last = sim.heap[--sim.nevents];
	unsigned i = 0, c;

	for (; (c = 2 * i + 1) < sim.nevents; i = c) {
		if (c + 1 < sim.nevents && sim.heap[c + 1].at < sim.heap[c].at)
			c++;
		if (sim.heap[c].at >= last.at)
			break;
		sim.heap[i] = sim.heap[c];
	}
	sim.heap[i] = last;
	return first;
}

/* First come, first served: when an I/O begins, its end is known. */
static void go(struct disk *d)
{
	uint64_t service = (d->weighs_ns ? d->weighs_ns : sim.service_ns);

	while (d->inflight + d->thinking < d->depth && (!d->cap || d->inflight < d->cap)) {
		uint64_t *ch = &sim.free_at[0];

		for (unsigned i = 1; i < sim.nchans; i++)
			if (sim.free_at[i] < *ch)
				ch = &sim.free_at[i];
		*ch = CC_MAX(*ch, sim.now) + service + (sim.jitter_ns ? rnd(sim.jitter_ns) : 0);
		d->inflight++;
		push((struct event){ .at = *ch, .begun = sim.now, .d = d });
	}
}

static void ended(struct disk *d, uint64_t took)
{
	bool late = d->target_ns && took > d->target_ns;

	d->inflight--;
	d->ios++;
	d->misses += late;
	d->total++;
	d->total_misses += late;
	if (d->think_ns) {
		d->thinking++;
		push((struct event){ .at = sim.now + d->think_ns, .d = d, .thought = true });
	}
	go(d);
}

static bool is_neighbour(const struct disk *v, const struct disk *d)
{
	return d != v && (!d->target_ns || d->target_ns > v->target_ns);
}

static void one_victim(struct disk *v, unsigned caps[DISKS])
{
	struct qos_latency_sample sample = { v->ios, v->misses, v->inflight > 0 };
	struct qos_neighbour n[DISKS];
	struct disk *of[DISKS];
	unsigned count = 0;

	for (unsigned i = 0; i < sim.ndisks; i++) {
		struct disk *d = &sim.d[i];

		if (!is_neighbour(v, d))
			continue;
		of[count] = d;
		n[count++] = (struct qos_neighbour){
			.peak = d->peak,
			.full = d->cap && d->inflight >= d->cap,
			.applied = d->cap,
			.floor = qos_neighbour_floor(d->peak, d->ios * (S / QOS_LATENCY_PERIOD_NS),
						     d->min_ios, 1),
			.weight = d->weight ? d->weight : 100,
		};
	}
	switch (qos_latency_step(&v->latency, sim.now, &sample, n, count)) {
	case QOS_LATENCY_IN_VAIN:
		v->in_vain++;
		break;
	case QOS_LATENCY_AT_LEAST:
		v->at_least++;
		break;
	case QOS_LATENCY_NOTHING:
		break;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned *cap = &caps[of[i] - sim.d];

		assert_true(!n[i].cap || n[i].cap >= n[i].floor);
		if (n[i].cap && (!*cap || n[i].cap < *cap))
			*cap = n[i].cap;
	}
}

static void period(void)
{
	unsigned caps[DISKS] = { 0 };

	for (unsigned i = 0; i < sim.ndisks; i++)
		sim.d[i].peak = CC_MAX(sim.d[i].inflight, sim.d[i].peak * 3 / 4);
	for (unsigned i = 0; i < sim.ndisks; i++)
		if (sim.d[i].target_ns)
			one_victim(&sim.d[i], caps);
	for (unsigned i = 0; i < sim.ndisks; i++) {
		sim.d[i].cap = caps[i];
		sim.d[i].ios = sim.d[i].misses = 0;
		go(&sim.d[i]);
	}
}

static void run(uint64_t ns)
{
	uint64_t until = sim.now + ns;

	for (;;) {
		uint64_t at = sim.nevents ? sim.heap[0].at : UINT64_MAX;

		if (at > until && sim.next_period > until)
			break;
		if (sim.next_period <= at) {
			sim.now = sim.next_period;
			sim.next_period += QOS_LATENCY_PERIOD_NS;
			period();
			continue;
		}
		struct event e = pop();

		sim.now = e.at;
		if (e.thought) {
			e.d->thinking--;
			go(e.d);
		} else {
			ended(e.d, e.at - e.begun);
		}
	}
	sim.now = until;
}

static void set_up(unsigned nchans, uint64_t service_ns, unsigned ndisks)
{
	memset(&sim, 0, sizeof(sim));
	sim.seed = UINT64_C(0x9e3779b97f4a7c15);
	sim.nchans = nchans;
	sim.service_ns = service_ns;
	sim.ndisks = ndisks;
	sim.now = sim.seed % 1000 * S;
	sim.next_period = sim.now + QOS_LATENCY_PERIOD_NS;
	for (unsigned i = 0; i < ndisks; i++)
		qos_latency_init(&sim.d[i].latency);
}

static void load(unsigned i, unsigned depth)
{
	sim.d[i].depth = depth;
	go(&sim.d[i]);
}

static void measure(uint64_t ns)
{
	for (unsigned i = 0; i < sim.ndisks; i++)
		sim.d[i].total = sim.d[i].total_misses = 0;
	run(ns);
}

/* In parts per thousand. */
static unsigned late(unsigned i)
{
	assert_true(sim.d[i].total > 0);
	return (unsigned)(sim.d[i].total_misses * 1000 / sim.d[i].total);
}

/* Until a second passes in which the target is met. Returns how long it took, in ms. */
static unsigned converge(unsigned victim)
{
	uint64_t begin = sim.now, since = sim.now;

	while (sim.now - since < S) {
		measure(QOS_LATENCY_PERIOD_NS);
		if (!sim.d[victim].total || sim.d[victim].total_misses * 100 > sim.d[victim].total)
			since = sim.now;
		assert_true(sim.now - begin < 60 * S);
	}
	return (unsigned)((since - begin) / MS);
}

static const struct shape {
	unsigned nchans, neighbour_depth;
	uint64_t service_ns, jitter_ns, target_ns;
} shapes[] = {
	{ 8, 256, 100 * US, 0, 130 * US },
	{ 8, 256, 100 * US, 20 * US, 150 * US },
	{ 1, 256, 20 * US, 0, 50 * US },
	{ 4, 1024, 500 * US, 200 * US, 1000 * US },
	{ 32, 256, 80 * US, 40 * US, 130 * US },
	{ 2, 32, 2 * MS, 1 * MS, 6 * MS },
	{ 16, 128, 90 * US, 10 * US, 400 * US },
};

static void the_target_is_reached_soon_and_kept(void **state)
{
	const unsigned kept_s = IF_SANITIZED(10, 60);

	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct shape *s = &shapes[i];
		unsigned took, without;
		uint64_t all;

		set_up(s->nchans, s->service_ns, 2);
		sim.jitter_ns = s->jitter_ns;
		load(0, 1);
		load(1, s->neighbour_depth);
		measure(S); /* without a target */
		all = sim.d[1].total;
		without = sim.d[1].cap;
		assert_int_equal(without, 0);
		sim.d[0].target_ns = s->target_ns;
		took = converge(0);
		measure(kept_s * S);
		print_message("%2u channels %4u us: met after %4u ms, then %u/1000 late, neighbour keeps %u %%, cap %u\n",
			      s->nchans, (unsigned)(s->service_ns / US), took, late(0),
			      (unsigned)(sim.d[1].total * 100 / (kept_s * all)), sim.d[1].cap);
		assert_in_range(took, 0, 3000);
		assert_in_range(late(0), 0, 10);
		assert_true(sim.d[1].cap >= 1);
		/* a single channel is a hard choice: one neighbour's I/O in front of each of ours */
		assert_true(sim.d[1].total * 100 / (kept_s * all) >= (s->nchans == 1 ? 40 : 60));
	}
	(void)state;
}

static void neighbours_are_free_again_when_the_victim_is_silent(void **state)
{
	uint64_t all;

	set_up(8, 100 * US, 2);
	load(1, 256);
	measure(S);
	all = sim.d[1].total;
	sim.d[0].target_ns = 130 * US;
	load(0, 1);
	(void)converge(0);
	assert_in_range(sim.d[1].cap, 1, 8);
	sim.d[0].depth = 0;
	run(QOS_LATENCY_SILENT_NS / 2);
	assert_true(sim.d[1].cap > 0); /* not yet */
	run(QOS_LATENCY_SILENT_NS);
	assert_int_equal(sim.d[1].cap, 0);
	measure(S);
	assert_in_range(sim.d[1].total, all * 99 / 100, all * 101 / 100);
	load(0, 1); /* and back */
	assert_in_range(converge(0), 0, 3000);
	assert_in_range(sim.d[1].cap, 1, 8);
	(void)state;
}

/* The victim now and then rests for less than that: its neighbours stay where they are. */
static void a_victim_that_pauses_keeps_its_place(void **state)
{
	set_up(8, 100 * US, 2);
	load(1, 256);
	sim.d[0].target_ns = 130 * US;
	load(0, 1);
	(void)converge(0);
	for (unsigned i = 0; i < 20; i++) {
		sim.d[0].depth = 0;
		run(S);
		assert_in_range(sim.d[1].cap, 1, 8);
		load(0, 1);
		measure(S / 2);
		assert_in_range(late(0), 0, 10 * QOS_LATENCY_PERIOD_NS / MS); /* one period, tried */
	}
	(void)state;
}

static void neighbours_share_the_window_by_weight(void **state)
{
	set_up(16, 100 * US, 4);
	sim.jitter_ns = 20 * US; /* or whoever ends last is always served last */
	sim.d[1].weight = 300;
	sim.d[2].weight = 100;
	sim.d[3].weight = 100;
	load(1, 128);
	load(2, 128);
	load(3, 1); /* needs no more: the others have the rest */
	sim.d[0].target_ns = 150 * US;
	load(0, 1);
	(void)converge(0);
	measure(20 * S);
	assert_in_range(late(0), 0, 10);
	assert_in_range(sim.d[1].total * 100 / sim.d[2].total, 220, 400);
	assert_true(sim.d[3].total * 150 * US > 20 * S); /* nearly as if alone */
	assert_true(sim.d[1].cap + sim.d[2].cap >= 12);
	(void)state;
}

static void an_idle_neighbour_costs_the_others_nothing_and_may_come(void **state)
{
	uint64_t with_idle, without;

	set_up(8, 100 * US, 2);
	sim.d[0].target_ns = 130 * US;
	load(0, 1);
	load(1, 256);
	(void)converge(0);
	measure(10 * S);
	without = sim.d[1].total;

	set_up(8, 100 * US, DISKS);
	sim.d[0].target_ns = 130 * US;
	load(0, 1);
	load(1, 256);
	(void)converge(0);
	measure(10 * S);
	with_idle = sim.d[1].total;
	assert_in_range(with_idle, without * 95 / 100, without * 105 / 100);
	for (unsigned i = 2; i < DISKS; i++)
		assert_in_range(sim.d[i].cap, 1, 4); /* half of it at most */

	load(2, 256); /* what it may have at once does no harm */
	measure(2 * S);
	assert_in_range(late(0), 0, 50);
	measure(10 * S);
	assert_in_range(late(0), 0, 10);
	assert_in_range(sim.d[2].total * 100 / sim.d[1].total, 50, 200);
	(void)state;
}

static void the_stricter_of_two_victims_comes_first(void **state)
{
	set_up(8, 100 * US, 3);
	sim.d[0].target_ns = 130 * US;
	sim.d[1].target_ns = 300 * US; /* a neighbour of the first, and it has its own */
	load(0, 1);
	load(1, 4);
	load(2, 256);
	(void)converge(0);
	measure(20 * S);
	assert_in_range(late(0), 0, 10);
	assert_in_range(late(1), 0, 10);
	assert_true(sim.d[2].total > 20 * 20000);
	sim.d[0].depth = 0; /* now only the other counts */
	measure(5 * S);
	measure(20 * S);
	assert_in_range(late(1), 0, 10);
	assert_true(sim.d[2].total > 20 * 60000);
	(void)state;
}

static void equals_do_not_throttle_each_other(void **state)
{
	set_up(2, 100 * US, 3);
	for (unsigned i = 0; i < 2; i++) {
		sim.d[i].target_ns = 150 * US;
		load(i, 32);
	}
	load(2, 256);
	run(10 * S);
	assert_int_equal(sim.d[0].cap, 0);
	assert_int_equal(sim.d[1].cap, 0);
	(void)state;
}

static void what_cannot_be_met_even_alone_is_given_up(void **state)
{
	const unsigned long_s = IF_SANITIZED(100, 300);
	uint64_t all;

	set_up(8, 100 * US, 2);
	load(0, 1);
	load(1, 256);
	measure(S);
	all = sim.d[1].total;
	sim.d[0].target_ns = 90 * US;
	run(10 * S);
	assert_int_equal(sim.d[0].in_vain, 1);
	assert_int_equal(sim.d[1].cap, 0);
	measure(long_s * S); /* it is tried again, but ever more seldom and without a word */
	assert_int_equal(sim.d[0].in_vain, 1);
	assert_in_range(sim.d[1].total, long_s * all * 95 / 100, long_s * all * 101 / 100);
	(void)state;
}

static void without_neighbours_nothing_is_said(void **state)
{
	set_up(8, 100 * US, 2);
	sim.d[0].target_ns = 90 * US;
	load(0, 1);
	run(20 * S);
	assert_int_equal(sim.d[0].in_vain + sim.d[0].at_least, 0);
	assert_int_equal(sim.d[1].cap, 0);
	(void)state;
}

/* A tenth is late even alone, but without a cap everything is. */
static void what_helps_is_kept_though_it_is_not_enough(void **state)
{
	set_up(2, 100 * US, 2);
	sim.jitter_ns = 100 * US;
	sim.d[0].target_ns = 190 * US;
	load(0, 1);
	load(1, 64);
	run(30 * S);
	assert_int_equal(sim.d[0].in_vain, 0);
	assert_int_equal(sim.d[0].at_least, 1);
	assert_int_equal(sim.d[1].cap, 1);
	(void)state;
}

static void a_guaranteed_minimum_is_kept(void **state)
{
	static const struct {
		uint64_t min, gets;
		unsigned in_vain;
	} row[] = {
		{ 30000, 60000, 0 }, /* a cap of 4 would do, the target allows 7 */
		{ 75000, 75000, 1 }, /* all there is: no cap keeps the target */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		set_up(8, 100 * US, 2);
		sim.jitter_ns = 10 * US;
		sim.d[0].target_ns = 115 * US;
		sim.d[1].min_ios = row[i].min;
		load(0, 1);
		load(1, 256);
		run(5 * S);
		measure(20 * S);
		assert_int_equal(sim.d[0].in_vain, row[i].in_vain);
		assert_true(sim.d[1].total >= 20 * row[i].gets);
		assert_true(row[i].in_vain || late(0) <= 10);
	}
	(void)state;
}

/* The target would take a cap of 1, the minimum one of 6. */
static void a_minimum_goes_before_the_target(void **state)
{
	set_up(8, 100 * US, 3);
	sim.jitter_ns = 50 * US;
	sim.d[0].target_ns = 140 * US;
	sim.d[1].weighs_ns = 100 * US;
	sim.d[1].min_ios = 45000;
	load(0, 6); /* its own six leave two channels */
	load(1, 256);
	run(5 * S);
	measure(20 * S);
	assert_true(sim.d[1].total >= 20 * 45000 * 95 / 100);
	(void)state;
}

/* The neighbour's I/O gets eight times as heavy, and light again. */
static void the_window_follows_the_load(void **state)
{
	uint64_t light;

	set_up(8, 100 * US, 2);
	sim.d[0].target_ns = 400 * US;
	load(0, 1);
	load(1, 256);
	(void)converge(0);
	measure(10 * S);
	light = sim.d[1].total;
	assert_in_range(late(0), 0, 10);
	sim.d[1].weighs_ns = 800 * US;
	assert_in_range(converge(0), 0, 5000);
	measure(20 * S);
	assert_in_range(late(0), 0, 10);
	sim.d[1].weighs_ns = 0;
	run(30 * S);
	measure(10 * S);
	assert_in_range(late(0), 0, 10);
	assert_true(sim.d[1].total * 100 >= light * 95);
	(void)state;
}

/* Ten I/Os a second and less: a verdict takes a while, one late I/O means nothing. */
static void a_slow_victim_is_judged_by_what_there_is(void **state)
{
	set_up(8, 100 * US, 2);
	sim.d[0].target_ns = 130 * US;
	sim.d[0].think_ns = 100 * MS;
	load(0, 1);
	load(1, 256);
	run(10 * S);
	assert_in_range(sim.d[1].cap, 1, 16);
	measure(120 * S);
	assert_in_range(late(0), 0, 100);
	(void)state;
}

static void floors_of_note(void **state)
{
	assert_int_equal(qos_neighbour_floor(64, 0, 1000, 3), 3);
	assert_int_equal(qos_neighbour_floor(64, 1000, 0, 3), 3);
	assert_int_equal(qos_neighbour_floor(64, 64000, 32000, 1), 37);
	assert_int_equal(qos_neighbour_floor(64, 64000, 10, 4), 4);
	assert_int_equal(qos_neighbour_floor(UINT32_MAX, 1, UINT64_MAX, 1), UINT32_MAX);
	(void)state;
}

/* Any load: caps are never below floors (asserted in one_victim()), and a window in force is at least 1. */
static void any_load_is_survived(void **state)
{
	for (unsigned n = 0; n < IF_SANITIZED(16, 40); n++) {
		set_up(1 + n % 16, 50 * US, DISKS);
		sim.seed += n * 12345;
		sim.jitter_ns = rnd(100 * US);
		for (unsigned i = 0; i < DISKS; i++) {
			sim.d[i].target_ns = rnd(3) ? 0 : 20 * US + rnd(2 * MS);
			sim.d[i].weight = (uint16_t)(1 + rnd(1000));
			sim.d[i].min_ios = rnd(2) ? 0 : rnd(20000);
			sim.d[i].think_ns = rnd(2) ? 0 : 1 + rnd(10 * MS);
		}
		for (unsigned i = 0; i < 30; i++) {
			load((unsigned)rnd(DISKS), (unsigned)rnd(2) * (unsigned)rnd(200));
			run(rnd(200 * MS));
		}
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_target_is_reached_soon_and_kept),
		cmocka_unit_test(neighbours_are_free_again_when_the_victim_is_silent),
		cmocka_unit_test(a_victim_that_pauses_keeps_its_place),
		cmocka_unit_test(neighbours_share_the_window_by_weight),
		cmocka_unit_test(an_idle_neighbour_costs_the_others_nothing_and_may_come),
		cmocka_unit_test(the_stricter_of_two_victims_comes_first),
		cmocka_unit_test(equals_do_not_throttle_each_other),
		cmocka_unit_test(what_cannot_be_met_even_alone_is_given_up),
		cmocka_unit_test(without_neighbours_nothing_is_said),
		cmocka_unit_test(what_helps_is_kept_though_it_is_not_enough),
		cmocka_unit_test(a_guaranteed_minimum_is_kept),
		cmocka_unit_test(a_minimum_goes_before_the_target),
		cmocka_unit_test(the_window_follows_the_load),
		cmocka_unit_test(a_slow_victim_is_judged_by_what_there_is),
		cmocka_unit_test(floors_of_note),
		cmocka_unit_test(any_load_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
