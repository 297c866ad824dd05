/* SPDX-License-Identifier: BSD-3-Clause */
/* What may go wrong under I/O: errors, silence, lies, resets, removal; and interrupts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/nvme_rig.h"

static void shuffling(struct fake_nvme *f)
{
	f->shuffles = true;
}

static void as_memory(struct fake_nvme *f)
{
	f->is_mapped = true;
}

/*
 * Errors
 */

static void io_rule(uint8_t opc, unsigned count, enum fake_nvme_deed deed, uint16_t status)
{
	fake_nvme_rule(&rig.f,
		       (struct fake_nvme_rule){
			       .opc = opc, .count = count, .deed = deed, .status = status });
}

static void delays(struct fake_nvme *f)
{
	f->crdt[0] = 1; /* 100 ms */
}

static void status_decides_about_retries(void **state)
{
	uint64_t before;

	rig_open(delays);
	io_rule(NVME_NVM_READ, 3, FAKE_NVME_STATUS, NVME_SC_NS_NOT_READY);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	io_rule(NVME_NVM_READ, 1, FAKE_NVME_STATUS, NVME_SC_NS_NOT_READY | NVME_STATUS_DNR);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), -EIO);
	io_rule(NVME_NVM_READ, 1, FAKE_NVME_STATUS, NVME_SC_LBA_RANGE);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), -EINVAL);
	io_rule(NVME_NVM_WRITE, 5, FAKE_NVME_STATUS,
		NVME_SC_WRITE_FAULT); /* the command and four more */
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), IO_BYTES), -EIO);
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), IO_BYTES), 0);
	/* CRD 1: not before 100 ms have passed */
	before = mono_ns();
	io_rule(NVME_NVM_READ, 2, FAKE_NVME_STATUS, NVME_SC_NS_NOT_READY | 1 << 11);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	assert_true(mono_ns() - before >= 2 * 98 * MONO_NS_PER_MS);
	assert_int_equal(nvme_ctrlr_state(rig.c), NVME_CTRLR_READY);
	rig_close();
}

static uint64_t requeued(void)
{
	static struct bdev_chan_stats st;

	bdev_get_stats(rig.chan->bdev, &st);
	return st.requeued;
}

/* The scheduler's to try again; the device's own delays are kept here before. */
static void errors_of_the_way_are_the_schedulers(void **state)
{
	rig_open(delays);
	io_rule(NVME_NVM_READ, 7, FAKE_NVME_STATUS, NVME_SC_ANA_TRANSITION); /* more than the driver tries */
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	assert_int_equal(requeued(), 7);
	io_rule(NVME_NVM_FLUSH, 6, FAKE_NVME_STATUS, NVME_SC_CTRLR_PATH_ERROR);
	assert_int_equal(do_io(BIO_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(requeued(), 13);
	io_rule(NVME_NVM_WRITE, 1, FAKE_NVME_STATUS, NVME_SC_CTRLR_PATH_ERROR | NVME_STATUS_DNR);
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), IO_BYTES), -EIO);
	io_rule(NVME_NVM_WRITE, 1, FAKE_NVME_STATUS, NVME_SC_CTRLR_PATH_ERROR | 1 << 11); /* CRD 1 */
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), IO_BYTES), 0);
	assert_int_equal(requeued(), 13);
	rig_close();
}

static void quick_timeouts(uint32_t ms)
{
	ctrlr_opts = (struct nvme_ctrlr_opts){ .io_timeout_ms = ms };
}

static void a_late_command_is_aborted_and_tried_again(void **state)
{
	unsigned naborts, nenables;

	quick_timeouts(400);
	/* a keeper that does not come to abort it within a quarter of that resets: once more */
	do {
		rig_open(NULL);
		io_rule(NVME_NVM_READ, 1, FAKE_NVME_SILENT, 0);
		assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
		naborts = fake_nvme_count(&rig.f, &rig.f.naborts);
		nenables = fake_nvme_count(&rig.f, &rig.f.nenables);
		assert_int_equal(nvme_ctrlr_state(rig.c), NVME_CTRLR_READY);
		rig_close();
	} while (nenables > 1);
	assert_int_equal(naborts, 1);
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void start_all(void)
{
	for (unsigned i = 0; i < NIOS; i++) {
		memset(buf_of(i), (int)i + 1, IO_BYTES);
		start(i, i & 1 ? BIO_WRITE : BIO_READ, (uint64_t)i * 2 * IO_BYTES, buf_of(i),
		      IO_BYTES);
	}
	reactor_turn(rig.r);
}

static void wait_all(int status)
{
	for (unsigned i = 0; i < NIOS; i++) {
		wait_for(i);
		assert_int_equal(rig.io[i].bio.status, status);
	}
	assert_int_equal(rig.chan->inflight, 0);
}

static void when_the_abort_does_not_help_the_controller_is_reset(void **state)
{
	static const bool refused[] = { true, false };

	for (unsigned k = 0; k < 2; k++) {
		quick_timeouts(80);
		rig_open(NULL);
		rig.f.abort_refused = refused[k];
		rig.f.abort_useless = !refused[k];
		io_rule(NVME_NVM_READ, 1, FAKE_NVME_SILENT, 0);
		start_all();
		wait_all(0);
		assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 2);
		assert_int_equal(nvme_ctrlr_state(rig.c), NVME_CTRLR_READY);
		for (unsigned i = 1; i < NIOS; i += 2)
			assert_int_equal(rig.f.ns[0].data[(uint64_t)i * 2 * IO_BYTES], i + 1);
		rig_close();
	}
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void a_stuck_device_is_reset_and_all_is_sent_again(void **state)
{
	quick_timeouts(80);
	rig_open(NULL);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
							.skip = 10,
							.count = NIOS - 10,
							.deed = FAKE_NVME_SILENT });
	start_all();
	wait_all(0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.naborts), 0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 2);
	rig_close();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void a_command_that_always_hangs_ends_with_an_error(void **state)
{
	quick_timeouts(40);
	rig_open(NULL);
	rig.f.abort_refused = true;
	io_rule(NVME_NVM_READ, 100, FAKE_NVME_SILENT, 0);
	start(0, BIO_READ, 0, buf_of(0), IO_BYTES);
	start(1, BIO_WRITE, 8192, buf_of(1), IO_BYTES);
	wait_for(0);
	wait_for(1);
	assert_int_equal(rig.io[0].bio.status, -ETIMEDOUT);
	assert_int_equal(rig.io[1].bio.status, 0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 6); /* four retries and the last one */
	assert_int_equal(do_io(BIO_WRITE, 0, buf_of(0), IO_BYTES), 0);
	rig_close();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void a_fatal_status_is_reset(void **state)
{
	rig_open(NULL);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){
				       .any_opc = true, .count = 1, .deed = FAKE_NVME_CFS });
	start_all();
	wait_all(0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 2);
	rig_close();
}

/* By sysfs, say: its registers are away for a while, then it has forgotten all. */
static void a_reset_by_others_is_waited_for(void **state)
{
	rig_open(NULL);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){
				       .any_opc = true, .count = NIOS, .deed = FAKE_NVME_SILENT });
	start_all();
	__atomic_store_n(&rig.f.zero_reads, 50, __ATOMIC_RELAXED);
	wait_all(0);
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 2);
	assert_int_equal(nerrors, 0);
	rig_close();
}

/* One line, all I/O ends, that controller only. */
static void failed_for_good(void)
{
	wait_all(-EIO);
	wait_state(NVME_CTRLR_FAILED);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), -EIO);
	assert_int_equal(do_io(BIO_FLUSH, 0, NULL, 0), -EIO);
	assert_int_equal(nerrors, 1);
}

static void a_lying_device_fails(void **state)
{
	static const enum fake_nvme_deed lies[] = { FAKE_NVME_BAD_CID, FAKE_NVME_FREE_CID,
						    FAKE_NVME_TWICE };

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		rig_open(NULL);
		/* silence for all: what is under way when the lie comes ends with it */
		fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
								.count = NIOS,
								.deed = FAKE_NVME_SILENT });
		start_all();
		for (uint64_t n = 0;
		     n < TURNS_MAX && fake_nvme_count(&rig.f, &rig.f.nheld) < NIOS; n++)
			reactor_turn(rig.r);
		fake_nvme_rule(&rig.f, (struct fake_nvme_rule){
					       .any_opc = true, .count = 1, .deed = lies[i] });
		rig.io[0].bio.flags = 0;
		{
			static struct io extra;

			start_on(rig.chan, &extra, BIO_READ, 0, buf_of(0), IO_BYTES);
			for (uint64_t n = 0; n < TURNS_MAX && !extra.ndone; n++)
				reactor_turn(rig.r);
			assert_int_equal(extra.ndone, 1);
		}
		failed_for_good();
		rig_close();
	}
}

static void removal_ends_all_io(void **state)
{
	for (unsigned tells = 0; tells < 2; tells++) {
		rig_open(tells ? as_memory : NULL);
		fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
								.count = NIOS,
								.deed = FAKE_NVME_SILENT });
		start_all();
		fake_nvme_remove(&rig.f, tells);
		failed_for_good();
		assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nclosed), 1); /* so that the bus can let it go */
		rig_close();
	}
}

static void a_device_that_never_comes_back_fails(void **state)
{
	quick_timeouts(80);
	rig_open(NULL);
	fake_nvme_never_ready(&rig.f);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){
				       .any_opc = true, .count = NIOS, .deed = FAKE_NVME_SILENT });
	start_all();
	failed_for_good();
	rig_close();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void a_reset_under_io_loses_nothing(void **state)
{
	struct errbuf eb = { "" };

	rig_open(shuffling);
	for (unsigned round = 0; round < 20; round++) {
		fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
								.skip = round,
								.count = 3,
								.deed = FAKE_NVME_SILENT });
		start_all();
		for (uint64_t n = 0;
		     n < TURNS_MAX && fake_nvme_count(&rig.f, &rig.f.nheld) < 3; n++)
			reactor_turn(rig.r);
		assert_int_equal(nvme_ctrlr_reset(rig.c, false, &eb), 0);
		wait_all(0);
	}
	assert_int_equal(fake_nvme_count(&rig.f, &rig.f.nenables), 21);
	rig_close();
}

/*
 * Interrupts
 */

static void with_vectors(struct fake_nvme *f)
{
	f->nvectors = 3;
}

static void an_idle_queue_sleeps_until_the_interrupt(void **state)
{
	rig_open_with(with_vectors, &(struct nvme_bdev_opts){ 0 }, REACTOR_INTERRUPT);
	for (unsigned i = 0; i < 50; i++) {
		struct reactor_stats st;

		for (unsigned n = 0; n < 5; n++)
			reactor_turn(rig.r);
		reactor_get_stats(rig.r, &st);
		assert_int_equal(st.hot, 0);
		assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	}
	assert_true(fake_nvme_count(&rig.f, &rig.f.nirqs) >= 50);
	rig_close();
}

/* A device may report as many errors as it likes. */
static void error_events_do_not_flood_the_log(void **state)
{
	enum {
		NEVENTS = 200
	};
	unsigned before;

	rig_open(with_vectors);
	before = fake_nvme_count(&rig.f, &rig.f.ncompleted);
	for (unsigned i = 0; i < NEVENTS; i++) {
		fake_nvme_event(&rig.f, NVME_AER_ERROR | NVME_LOG_ERROR << 16);
		/* the event itself, and the log page that is read for it */
		for (uint64_t n = 0; n < TURNS_MAX && fake_nvme_count(&rig.f, &rig.f.ncompleted) <
							      before + 2 * (i + 1);
		     n++)
			reactor_turn(rig.r);
	}
	assert_in_range(__atomic_load_n(&nwarnings, __ATOMIC_RELAXED), 1, 8);
	rig_close();
}

/* Queues that sleep until an interrupt would sleep for ever. */
static void a_reset_without_its_interrupts_fails(void **state)
{
	struct errbuf eb = { "" };

	rig_open_with(with_vectors, &(struct nvme_bdev_opts){ 0 }, REACTOR_INTERRUPT);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), 0);
	rig.f.nvectors = 0; /* it takes none any more */
	assert_int_equal(nvme_ctrlr_reset(rig.c, false, &eb), -ENOTSUP);
	assert_non_null(strstr(eb.text, "interrupts"));
	wait_state(NVME_CTRLR_FAILED);
	assert_int_equal(do_io(BIO_READ, 0, buf_of(0), IO_BYTES), -EIO);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_decides_about_retries),
		cmocka_unit_test(errors_of_the_way_are_the_schedulers),
		cmocka_unit_test(a_late_command_is_aborted_and_tried_again),
		cmocka_unit_test(when_the_abort_does_not_help_the_controller_is_reset),
		cmocka_unit_test(a_stuck_device_is_reset_and_all_is_sent_again),
		cmocka_unit_test(a_command_that_always_hangs_ends_with_an_error),
		cmocka_unit_test(a_fatal_status_is_reset),
		cmocka_unit_test(a_reset_by_others_is_waited_for),
		cmocka_unit_test(a_lying_device_fails),
		cmocka_unit_test(removal_ends_all_io),
		cmocka_unit_test(a_device_that_never_comes_back_fails),
		cmocka_unit_test(a_reset_under_io_loses_nothing),
		cmocka_unit_test(an_idle_queue_sleeps_until_the_interrupt),
		cmocka_unit_test(a_reset_without_its_interrupts_fails),
		cmocka_unit_test(error_events_do_not_flood_the_log),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
