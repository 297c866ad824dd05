/* SPDX-License-Identifier: BSD-3-Clause */
/* A limit over several reactors, and everything changed under load: what goes stays below the limit, all comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/qos.h"
#include "drivers/null/nullb.h"

#define NREACTORS 3
#define NDISKS	  2
#define DEPTH	  32

struct io {
	struct bio bio;
	struct load *load;
};

/* What one reactor does to one disk. */
struct load {
	struct io io[DEPTH];
	struct reactor *r;
	struct bdev_chan *chan;
	struct reactor_msg msg;
	uint64_t done; /* atomic */
	unsigned busy; /* atomic: I/Os that are not back, or have not begun */
	bool stop;     /* atomic */
};

static struct reactor *control, *reactors[NREACTORS];
static struct bdev *disks[NDISKS];
static struct load loads[NDISKS][NREACTORS];
static uint8_t page[4096];
static struct iovec whole_page = { page, sizeof(page) };

static void io_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);
	struct load *load = io->load;

	assert_int_equal(bio->status, 0);
	__atomic_fetch_add(&load->done, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&load->stop, __ATOMIC_RELAXED))
		__atomic_fetch_sub(&load->busy, 1, __ATOMIC_RELEASE);
	else
		bdev_submit(load->chan, bio);
}

static void load_begin(struct reactor_msg *msg)
{
	struct load *load = container_of(msg, struct load, msg);

	for (unsigned i = 0; i < DEPTH; i++) {
		load->io[i] = (struct io){
			.load = load,
			.bio = { .op = i % 3 ? BIO_READ : BIO_WRITE, .iov = &whole_page, .iovcnt = 1,
				 .len = sizeof(page), .off = i * sizeof(page), .done = io_done },
		};
		bdev_submit(load->chan, &load->io[i].bio);
	}
}

/* On the control thread, as those below. */
static void disks_open(void *arg)
{
	struct errbuf eb = { "" };

	(void)arg;
	for (unsigned d = 0; d < NDISKS; d++) {
		assert_int_equal(nullb_open("1G", &disks[d], &eb), 0);
		disks[d]->control = control;
		for (unsigned i = 0; i < NREACTORS; i++) {
			struct load *load = &loads[d][i];

			*load = (struct load){ .r = reactors[i], .busy = DEPTH };
			assert_int_equal(bdev_chan_get(disks[d], reactors[i], &load->chan), 0);
			reactor_send(reactors[i], &load->msg, load_begin);
		}
	}
}

static void disks_close(void *arg)
{
	(void)arg;
	for (unsigned d = 0; d < NDISKS; d++) {
		for (unsigned i = 0; i < NREACTORS; i++)
			bdev_chan_put(loads[d][i].chan);
		bdev_close(disks[d], NULL, NULL);
	}
}

static void drain(void *arg)
{
	for (unsigned d = 0; d < NDISKS; d++) {
		if (arg)
			bdev_drain_begin(disks[d]);
		else
			bdev_drain_end(disks[d]);
	}
}

static void rest(uint64_t ns)
{
	struct timespec ts = { 0, (long)ns };

	(void)nanosleep(&ts, NULL);
}

/* All of it comes back, whatever it waits for. */
static void loads_stop(void)
{
	for (unsigned d = 0; d < NDISKS; d++)
		for (unsigned i = 0; i < NREACTORS; i++)
			__atomic_store_n(&loads[d][i].stop, true, __ATOMIC_RELAXED);
	reactor_call(control, drain, control);
	for (unsigned d = 0; d < NDISKS; d++)
		for (unsigned i = 0; i < NREACTORS; i++)
			while (__atomic_load_n(&loads[d][i].busy, __ATOMIC_ACQUIRE))
				rest(MONO_NS_PER_MS);
	reactor_call(control, drain, NULL);
}

static int set_up(void **state)
{
	const struct reactor_opts opts = { .name = "test", .cpu = -1 };

	(void)state;
	mono_init();
	if (reactor_create(&opts, &control) || reactor_start(control))
		return -1;
	for (unsigned i = 0; i < NREACTORS; i++)
		if (reactor_create(&opts, &reactors[i]) || reactor_start(reactors[i]))
			return -1;
	reactor_call(control, disks_open, NULL);
	return 0;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* What was sent to and fro has arrived, and what that sent again. */
static void settle(void)
{
	for (unsigned n = 0; n < 4; n++) {
		for (unsigned i = 0; i < NREACTORS; i++)
			reactor_call(reactors[i], nothing, NULL);
		reactor_call(control, nothing, NULL);
	}
}

static int tear_down(void **state)
{
	(void)state;
	loads_stop();
	reactor_call(control, disks_close, NULL);
	settle();
	for (unsigned i = 0; i < NREACTORS; i++) {
		reactor_stop(reactors[i]);
		reactor_join(reactors[i]);
		reactor_destroy(reactors[i]);
	}
	reactor_stop(control);
	reactor_join(control);
	reactor_destroy(control);
	return 0;
}

static struct qos_group *group;

struct setting {
	unsigned disk;
	struct qos_conf conf;
};

static void set(void *arg)
{
	struct setting *s = arg;
	struct errbuf eb = { "" };

	assert_int_equal(qos_set(disks[s->disk], &s->conf, &eb), 0);
}

static void group_make(void *arg)
{
	struct errbuf eb = { "" };

	assert_int_equal(qos_group_create(control, "all", arg, &group, &eb), 0);
}

static void group_delete(void *arg)
{
	struct errbuf eb = { "" };

	(void)arg;
	assert_int_equal(qos_group_delete(group, NULL, NULL, &eb), 0);
}

static void group_change(void *arg)
{
	struct errbuf eb = { "" };

	assert_int_equal(qos_group_set(group, arg, &eb), 0);
}

static uint64_t done_of(unsigned d)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < NREACTORS; i++)
		n += __atomic_load_n(&loads[d][i].done, __ATOMIC_RELAXED);
	return n;
}

/* No more than rate and time allow; each reactor may be one I/O and two bursts ahead, and twice what was in flight when
 * the limit came. */
static void check_rate(const unsigned *which, unsigned n, uint64_t rate, uint64_t ns)
{
	uint64_t before = 0, after, start = mono_ns(), allowed;

	for (unsigned i = 0; i < n; i++)
		before += done_of(which[i]);
	do {
		rest(ns);
		after = 0;
		for (unsigned i = 0; i < n; i++)
			after += done_of(which[i]);
	} while (after == before);
	allowed = (mono_ns() - start) * rate / MONO_NS_PER_SEC;
	assert_in_range(after - before, 1, allowed + 2 * (rate / 2000) + NREACTORS + 2 * NREACTORS * DEPTH);
}

static void a_limit_holds_over_reactors(void **state)
{
	struct setting s = { .disk = 0 };
	static const unsigned both[] = { 0, 1 };
	struct qos_limits lim = { .min_ios = 0 };

	(void)state;
	s.conf.limits.rate[QOS_TOTAL_IOS].per_sec = 20000;
	reactor_call(control, set, &s);
	settle();
	check_rate(both, 1, 20000, 200 * MONO_NS_PER_MS);
	s.conf = (struct qos_conf){ .weight = 0 };
	reactor_call(control, set, &s);
	/* and a limit of both */
	lim.rate[QOS_TOTAL_IOS].per_sec = 10000;
	reactor_call(control, group_make, &lim);
	for (s.disk = 0; s.disk < NDISKS; s.disk++) {
		s.conf.group = group;
		reactor_call(control, set, &s);
	}
	settle();
	check_rate(both, 2, 10000, 200 * MONO_NS_PER_MS);
	for (s.disk = 0; s.disk < NDISKS; s.disk++) {
		s.conf.group = NULL;
		reactor_call(control, set, &s);
	}
	reactor_call(control, group_delete, NULL);
}

static unsigned nfrozen; /* atomic */

static void is_frozen(void *arg)
{
	(void)arg;
	__atomic_store_n(&nfrozen, 1, __ATOMIC_RELEASE);
}

static void freeze(void *arg)
{
	(void)arg;
	assert_int_equal(bdev_freeze(disks[0], is_frozen, NULL), 0);
}

static void thaw(void *arg)
{
	(void)arg;
	bdev_thaw(disks[0]);
}

static void freeze_and_look(void)
{
	uint64_t before, after;

	__atomic_store_n(&nfrozen, 0, __ATOMIC_RELAXED);
	reactor_call(control, freeze, NULL);
	while (!__atomic_load_n(&nfrozen, __ATOMIC_ACQUIRE))
		rest(MONO_NS_PER_MS / 10);
	settle(); /* the device has none; the last may be on their way up */
	before = done_of(0);
	rest(2 * MONO_NS_PER_MS);
	after = done_of(0);
	reactor_call(control, thaw, NULL);
	assert_int_equal(after, before);
}

/* Limits, groups, freezes, depths, deadlines, drains: in any order, under load. */
static void everything_changes_under_load(void **state)
{
	struct qos_limits lim = { .min_ios = 0 };
	uint64_t seed = 1, before = done_of(0) + done_of(1);

	(void)state;
	lim.rate[QOS_TOTAL_IOS].per_sec = 50000;
	reactor_call(control, group_make, &lim);
	for (unsigned n = 0; n < 300; n++) {
		struct setting s = { .disk = 0 };

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		s.disk = (seed >> 33) % NDISKS;
		s.conf.weight = (uint16_t)(1 + (seed >> 40) % 1000);
		s.conf.group = (seed >> 50) % 3 ? group : NULL;
		s.conf.limits.min_ios = s.conf.group && (seed >> 52) % 2 ? 1000 : 0;
		s.conf.limits.rate[(seed >> 53) % QOS_BUCKETS].per_sec = (seed >> 57) % 2 ? 30000000 : 0;
		if ((seed >> 58) % 4 == 0)
			s.conf.limits.rate[QOS_READ_IOS].per_sec = 5000;
		reactor_call(control, set, &s);
		if (n % 10 == 0)
			freeze_and_look();
		if (n % 7 == 0) {
			lim.rate[QOS_TOTAL_IOS].per_sec = 20000 + n * 1000;
			reactor_call(control, group_change, &lim);
		}
		if (n % 31 == 0) {
			reactor_call(control, drain, control);
			reactor_call(control, drain, NULL);
		}
		rest(MONO_NS_PER_MS / 5);
	}
	assert_true(done_of(0) + done_of(1) > before);
	for (unsigned d = 0; d < NDISKS; d++) {
		struct setting s = { .disk = d };

		reactor_call(control, set, &s);
	}
	reactor_call(control, group_delete, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_limit_holds_over_reactors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(everything_changes_under_load, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
