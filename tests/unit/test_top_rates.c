/* SPDX-License-Identifier: BSD-3-Clause */
/* nvring top: rates of what stayed, nothing of what came, went or began anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tools/nvring/top_rates.h"

#define MS 1000000ull

static void assert_close(double value, double expected)
{
	assert_true(value > expected - 1e-6 && value < expected + 1e-6);
}

static struct top_disk disk(const char *name, uint64_t reads)
{
	struct top_disk d = { .read = { .ios = reads, .bytes = reads * 4096 } };

	strncpy(d.name, name, sizeof(d.name) - 1);
	return d;
}

static void shares_of_reactors(void **state)
{
	struct top_reactor before[] = { { .id = 0, .busy_ns = 100, .idle_ns = 5, .sleep_ns = 7 }, { .id = 1, .busy_ns = 9 } };
	struct top_reactor after[] = { { .id = 1, .busy_ns = 9 },
				       { .id = 0, .busy_ns = 350, .idle_ns = 255, .sleep_ns = 507 },
				       { .id = 2, .busy_ns = 99 } };
	struct top_queue queues[] = { { .reactor = 0 }, { .reactor = 2 }, { .reactor = 0 } };
	struct top_snap then = { .pid = 1, .reactors = before, .nreactors = 2 };
	struct top_snap now = { .pid = 1, .reactors = after, .nreactors = 3, .queues = queues, .nqueues = 3 };
	struct top_reactor_rate r;

	(void)state;
	top_reactor_rate(&now, &then, 1, &r);
	assert_close(r.busy, 25);
	assert_close(r.polling, 25);
	assert_close(r.asleep, 50);
	assert_int_equal(r.queues, 2);
	top_reactor_rate(&now, &then, 0, &r); /* stood still */
	assert_close(r.busy + r.polling + r.asleep, 0);
	assert_int_equal(r.queues, 0);
	top_reactor_rate(&now, &then, 2, &r); /* was not there */
	assert_close(r.busy, 0);
	assert_int_equal(r.queues, 1);
	now.pid = 2; /* another daemon */
	top_reactor_rate(&now, &then, 1, &r);
	assert_close(r.asleep, 0);
}

static void rates_of_disks(void **state)
{
	struct top_disk before[] = { disk("gone", 7), disk("a", 1000) };
	struct top_disk after[] = { disk("a", 1500), disk("new", UINT64_MAX) };
	struct top_snap then = { .pid = 1, .disks = before, .ndisks = 2, .disks_ns = 1000 * MS };
	struct top_snap now = { .pid = 1, .disks = after, .ndisks = 2, .disks_ns = 1250 * MS };
	struct top_disk_rate r;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		hist_record(&before[1].read.latency, 50 * MS); /* of the time before: must not count */
	after[0].read.latency = before[1].read.latency;
	hist_record(&after[0].read.latency, 50 * MS);
	for (unsigned i = 0; i < 98; i++)
		hist_record(&after[0].read.latency, 1000);
	hist_record(&after[0].read.latency, 1 * MS);
	hist_record(&after[0].read.latency, 1 * MS);
	hist_record(&before[1].read.part[TOP_NOTIFICATION], 7 * MS);
	after[0].read.part[TOP_NOTIFICATION] = before[1].read.part[TOP_NOTIFICATION];
	hist_record(&after[0].read.part[TOP_NOTIFICATION], 200);
	hist_record(&after[0].read.part[TOP_SCHEDULER], 3000);
	after[0].others = 3;
	after[0].queued = 1;
	after[0].errors = 2;
	before[1].qos = (struct top_qos){ .delayed = 100, .throttled_us = 7000, .waiting = 9 };
	after[0].qos = (struct top_qos){ .delayed = 200, .throttled_us = 132000, .waiting = 3 };
	top_disk_rate(&now, &then, 0, &r);
	assert_false(r.fresh);
	assert_close(r.read.ios, 2000);
	assert_close(r.read.bytes, 2000 * 4096);
	assert_close(r.write.ios, 0);
	assert_close(r.others, 12);
	assert_close(r.queued, 4);
	assert_int_equal(r.errors, 2);
	assert_close(r.qos.delayed, 400);
	assert_close(r.qos.throttled, 50); /* 125 of 250 ms */
	assert_in_range(r.read.latency.p50_ns, 930, 1070);
	assert_in_range(r.read.latency.p99_ns, 930000, 1070000);
	assert_int_equal(r.write.latency.p99_ns, 0);
	assert_in_range(r.read.part[TOP_NOTIFICATION].p99_ns, 187, 213);
	assert_in_range(r.read.part[TOP_SCHEDULER].p50_ns, 2800, 3200);
	assert_int_equal(r.read.part[TOP_DRIVER].p50_ns, 0);
	top_disk_rate(&now, &then, 1, &r);
	assert_true(r.fresh);
	assert_close(r.read.ios, 0);
	assert_close(top_seconds(&now, &then), 0.25);
}

/* Deleted and created again under the same name: what it counted is less than before, or of other things. */
static void disks_that_count_anew(void **state)
{
	struct top_disk before = disk("a", 1000), after = disk("a", 10);
	struct top_snap then = { .pid = 1, .disks = &before, .ndisks = 1, .disks_ns = 1000 * MS };
	struct top_snap now = { .pid = 1, .disks = &after, .ndisks = 1, .disks_ns = 2000 * MS };
	struct top_disk_rate r;

	(void)state;
	top_disk_rate(&now, &then, 0, &r);
	assert_true(r.fresh);
	assert_close(r.read.ios, 0);
	after = disk("a", 2000);
	before.errors = 1;
	top_disk_rate(&now, &then, 0, &r);
	assert_true(r.fresh);
	assert_close(r.read.ios, 0);
	assert_int_equal(r.errors, 0);
	before.errors = 0;
	before.qos.throttled_us = 1;
	top_disk_rate(&now, &then, 0, &r);
	assert_true(r.fresh);
	before.qos.throttled_us = 0;
	top_disk_rate(&now, &then, 0, &r);
	assert_false(r.fresh);
}

static void rates_of_groups(void **state)
{
	struct top_group before[] = { { .name = "gone" }, { .name = "g", .qos = { .delayed = 10, .throttled_us = 1000 } } };
	struct top_group after[] = { { .name = "g", .qos = { .delayed = 30, .throttled_us = 1501000 } },
				     { .name = "new", .qos = { .delayed = 99, .throttled_us = 99 } } };
	struct top_snap then = { .pid = 1, .groups = before, .ngroups = 2, .groups_ns = 1000 * MS };
	struct top_snap now = { .pid = 1, .groups = after, .ngroups = 2, .groups_ns = 2000 * MS };
	struct top_qos_rate r;

	(void)state;
	top_group_rate(&now, &then, 0, &r);
	assert_close(r.delayed, 20);
	assert_close(r.throttled, 150); /* on two reactors */
	top_group_rate(&now, &then, 1, &r);
	assert_close(r.delayed + r.throttled, 0);
	before[1].qos.delayed = 31; /* deleted and made again */
	top_group_rate(&now, &then, 0, &r);
	assert_close(r.delayed + r.throttled, 0);
	before[1].qos.delayed = 10;
	now.pid = 2;
	top_group_rate(&now, &then, 0, &r);
	assert_close(r.delayed + r.throttled, 0);
}

/* Two looks at the same nanosecond, or the earlier one later: no division by it. */
static void no_time_no_rate(void **state)
{
	struct top_disk before = disk("a", 1), after = disk("a", 10);
	struct top_snap then = { .pid = 1, .disks = &before, .ndisks = 1, .disks_ns = 2000 * MS };
	struct top_snap now = { .pid = 1, .disks = &after, .ndisks = 1, .disks_ns = 2000 * MS };
	struct top_disk_rate r;

	(void)state;
	top_disk_rate(&now, &then, 0, &r);
	assert_close(r.read.ios, 0);
	now.disks_ns--;
	top_disk_rate(&now, &then, 0, &r);
	assert_close(r.read.ios, 0);
	assert_close(top_seconds(&now, &then), 0);
}

static void rates_of_queues(void **state)
{
	struct top_queue before[] = {
		{ .export = "x", .index = 0, .connection = 1, .requests = 10, .kicks = 5, .calls = 1 },
		{ .export = "x", .index = 1, .connection = 1, .requests = 10 },
		{ .export = "y", .index = 0, .connection = 1, .requests = 10 },
	};
	struct top_queue after[] = {
		{ .export = "x", .index = 1, .connection = 1, .requests = 30 },
		{ .export = "x", .index = 0, .connection = 1, .requests = 20, .kicks = 6, .calls = 4 },
		{ .export = "y", .index = 0, .connection = 2, .requests = 99 }, /* a new session */
	};
	struct top_snap then = { .pid = 1, .queues = before, .nqueues = 3, .queues_ns = 0 };
	struct top_snap now = { .pid = 1, .queues = after, .nqueues = 3, .queues_ns = 2000 * MS };
	struct top_queue_rate r;

	(void)state;
	top_queue_rate(&now, &then, 0, &r);
	assert_close(r.requests, 10);
	top_queue_rate(&now, &then, 1, &r);
	assert_false(r.fresh);
	assert_close(r.requests, 5);
	assert_close(r.kicks, 0.5);
	assert_close(r.calls, 1.5);
	top_queue_rate(&now, &then, 2, &r);
	assert_true(r.fresh);
	assert_close(r.requests, 0);
	after[1].kicks = 4;
	top_queue_rate(&now, &then, 1, &r);
	assert_true(r.fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_of_reactors),
		cmocka_unit_test(rates_of_disks),
		cmocka_unit_test(disks_that_count_anew),
		cmocka_unit_test(no_time_no_rate),
		cmocka_unit_test(rates_of_groups),
		cmocka_unit_test(rates_of_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
