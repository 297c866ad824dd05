/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who gets the slots of a queue that several disks want more of than there is. The device answers
 * when the test says so, oldest first, so that the order in which commands come to it is exact.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/qos_drr.h"
#include "drivers/nvme/nvme_ioq.h"
#include "tests/unit/nvme_rig.h"

#define NDISKS	   3u
#define ENTRIES	   64u
#define DEPTH	   (ENTRIES - 1)
#define WINDOW	   64u /* units of 4 KiB: the least there is */
#define LARGE	   131072u
#define LARGE_COST 32u
#define FOREVER	   1000000u

/* Who keeps its disk busy: each I/O that ends is followed by another one. */
struct load {
	struct bdev *bdev;
	struct bdev_chan *chan;
	enum bio_op op;
	uint64_t len;
	bool is_ending;
	unsigned nunder_way, ndone, nfailed; /* atomic: of the channel's reactor */
	struct io io[DEPTH];
};

static struct load loads[NDISKS];
static unsigned nanswered;
static char order[4096]; /* '1', '2', '3': whose commands were answered, which is the order they
			    came in */

static struct nvme_ioq *queue(void)
{
	return ((struct nvme_target *)rig.chan->drv)->ioq;
}

static unsigned get(const unsigned *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void add(unsigned *counter, unsigned n)
{
	(void)__atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}

static unsigned ndone(void)
{
	return get(&loads[0].ndone) + get(&loads[1].ndone) + get(&loads[2].ndone);
}

static struct nvme_tenant *tenant(unsigned disk)
{
	return &((struct nvme_target *)loads[disk].chan->drv)->tenant;
}

static void load_submit(struct load *l, struct io *io)
{
	io->iov[0] = (struct iovec){ rig.mem.va, l->len };
	io->bio.op = (uint8_t)l->op;
	io->bio.off = 0;
	io->bio.len = l->len;
	io->bio.iov = io->iov;
	io->bio.iovcnt = 1;
	add(&l->nunder_way, 1);
	bdev_submit(l->chan, &io->bio);
}

static void load_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);
	struct load *l = loads;

	for (unsigned i = 0; i < NDISKS; i++)
		l = loads[i].chan == bio->chan ? &loads[i] : l;
	add(&l->ndone, 1);
	add(&l->nfailed, bio->status != 0);
	if (!__atomic_load_n(&l->is_ending, __ATOMIC_RELAXED))
		load_submit(l, io);
	add(&l->nunder_way, -1u);
}

static void load_start(unsigned disk, enum bio_op op, uint64_t len, unsigned n)
{
	struct load *l = &loads[disk];

	l->op = op;
	l->len = len;
	for (unsigned i = 0; i < n; i++) {
		l->io[i].bio.done = load_done;
		load_submit(l, &l->io[i]);
	}
}

static void three_namespaces(struct fake_nvme *f)
{
	fake_nvme_add_ns(f, 2, BLOCKS, 9);
	fake_nvme_add_ns(f, 3, BLOCKS, 9);
}

/* The first disk's channel and the queue are on the test's own reactor; the second one's, of a
 * device with a single queue, on @other. */
static void share_open_with(struct reactor *other)
{
	struct errbuf eb = { "" };

	memset(loads, 0, sizeof(loads));
	nanswered = 0;
	ctrlr_opts = (struct nvme_ctrlr_opts){ .depth = ENTRIES, .queues_max = other ? 1 : 0 };
	rig_open(three_namespaces);
	loads[0].bdev = rig.bdev;
	loads[0].chan = rig.chan;
	for (unsigned i = 1; i < NDISKS; i++) {
		if (nvme_bdev_open(rig.c, i + 1, &(struct nvme_bdev_opts){ 0 }, &loads[i].bdev,
				   &eb))
			fail_msg("%s", eb.text);
		assert_int_equal(bdev_chan_get(loads[i].bdev, other && i == 1 ? other : rig.r,
					       &loads[i].chan),
				 0);
	}
	reactor_turn(rig.r);
	assert_int_equal(queue()->qp.depth, DEPTH);
	assert_string_equal(loads[1].bdev->shares, rig.bdev->shares);
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
							.count = FOREVER,
							.deed = FAKE_NVME_SILENT });
}

/* The device does what it is told again. */
static void obey(void)
{
	pthread_mutex_lock(&rig.f.lock);
	rig.f.rules[0].count = 0;
	pthread_mutex_unlock(&rig.f.lock);
}

static void share_open(void)
{
	share_open_with(NULL);
}

/* Until all that is in a slot has reached the device. */
static void settle(void)
{
	const struct nvme_ioq *q = queue();
	unsigned in_slots = FOREVER;

	for (uint64_t n = 0; n < TURNS_MAX; n++) {
		reactor_turn(rig.r);
		in_slots = q->qp.depth - q->nfree - q->share.nspare;
		if (ndone() == nanswered && fake_nvme_count(&rig.f, &rig.f.nheld) == in_slots)
			return;
	}
	fail_msg("%u of %u done, %u in slots", ndone(), nanswered, in_slots);
}

/* The device answers @n, one by one. */
static void answer(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t nsid;

		fake_nvme_answer(&rig.f, 1, &nsid);
		order[nanswered++ % sizeof(order)] = (char)('0' + nsid);
		settle();
	}
}

/* The device answers all it has at once. */
static void answer_all(void)
{
	uint8_t nsids[DEPTH];
	unsigned n = fake_nvme_count(&rig.f, &rig.f.nheld);

	assert_true(n <= DEPTH);
	fake_nvme_answer(&rig.f, n, nsids);
	for (unsigned i = 0; i < n; i++)
		order[nanswered++ % sizeof(order)] = (char)('0' + nsids[i]);
	settle();
}

/* Nobody waits, and nothing is under way: so the books say, too. */
static void check_empty(void)
{
	const struct nvme_ioq *q = queue();

	assert_int_equal(q->share.nactive, 0);
	assert_int_equal(q->share.nwaiting, 0);
	assert_int_equal(q->share.cost, 0);
	assert_int_equal(q->share.drr.ntenants, 0);
	assert_int_equal(q->nfree + q->share.nspare, q->qp.depth);
}

static void finish(void)
{
	for (unsigned i = 0; i < NDISKS; i++)
		__atomic_store_n(&loads[i].is_ending, true, __ATOMIC_RELAXED);
	obey();
	for (uint64_t n = 0; n < TURNS_MAX; n++) {
		fake_nvme_release(&rig.f);
		reactor_turn(rig.r);
		if (!(get(&loads[0].nunder_way) + get(&loads[1].nunder_way) +
		      get(&loads[2].nunder_way)))
			break;
	}
	for (unsigned i = 0; i < NDISKS; i++)
		assert_int_equal(get(&loads[i].nunder_way), 0);
	check_empty();
}

static void release_all(void)
{
	for (unsigned i = 1; i < NDISKS; i++) {
		bool closed = false;

		bdev_chan_put(loads[i].chan);
		bdev_close(loads[i].bdev, set_true, &closed);
		for (uint64_t n = 0; n < TURNS_MAX && !closed; n++)
			reactor_turn(rig.r);
		assert_true(closed);
	}
	rig_release();
}

static void fini_all(void)
{
	rig_fini();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

static void close_all(void)
{
	release_all();
	fini_all();
}

static void share_close(void)
{
	finish();
	close_all();
}

/* Of the last @n answered, those of @disk. */
static unsigned count(unsigned disk, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = nanswered - n; i < nanswered; i++)
		found += order[i % sizeof(order)] == (char)('1' + disk);
	return found;
}

static void assert_about(unsigned got, unsigned want, unsigned tolerance)
{
	if (got + tolerance < want || got > want + tolerance)
		fail_msg("%u instead of %u, give or take %u", got, want, tolerance);
}

/* 1 : 2 : 4, to the I/O: what each has saved up in its deficit is less than two. */
static void slots_go_by_weight(void **state)
{
	share_open();
	for (unsigned i = 0; i < NDISKS; i++) {
		loads[i].chan->weight = (uint16_t)(100 << i);
		load_start(i, BIO_READ, IO_BYTES, DEPTH);
	}
	settle();
	answer(DEPTH); /* of the first one, who found nobody */
	assert_int_equal(count(0, DEPTH), DEPTH);
	answer(DEPTH + 700);
	assert_about(count(0, 700), 100, 2);
	assert_about(count(1, 700), 200, 2);
	assert_about(count(2, 700), 400, 3);
	assert_int_equal(queue()->mode, NVME_IOQ_SHARED);
	/* another weight counts at once */
	loads[0].chan->weight = 600;
	answer(DEPTH + 1200);
	assert_about(count(0, 1200), 600, 3);
	assert_about(count(1, 1200), 200, 2);
	assert_about(count(2, 1200), 400, 2);
	share_close();
}

/* Whoever has fewer waiting than slots become free at once has them back in time. */
static void answers_that_come_together_change_no_share(void **state)
{
	share_open();
	for (unsigned i = 0; i < NDISKS; i++) {
		loads[i].chan->weight = (uint16_t)(100 << i);
		load_start(i, BIO_READ, IO_BYTES, DEPTH);
	}
	settle();
	for (unsigned i = 0; i < 20; i++)
		answer_all();
	assert_about(count(0, 700), 100, 2);
	assert_about(count(1, 700), 200, 2);
	assert_about(count(2, 700), 400, 3);
	share_close();
}

/* Equal weights: 32 reads of 4 KiB for each write of 128 KiB. */
static void large_writes_do_not_starve_small_reads(void **state)
{
	unsigned large;

	share_open();
	load_start(0, BIO_WRITE, LARGE, DEPTH);
	load_start(1, BIO_READ, IO_BYTES, DEPTH);
	settle();
	answer(2 * DEPTH + 1320);
	large = count(0, 1320);
	assert_about(large * LARGE_COST, 1320 - large, 2 * LARGE_COST);
	assert_true(queue()->share.cost < WINDOW + LARGE_COST);
	share_close();
}

/* Who comes to a device that is full of another one's large I/O gets each slot that becomes free,
 * up to its part. */
static void a_newcomer_gets_its_part_first(void **state)
{
	share_open();
	load_start(0, BIO_WRITE, LARGE, DEPTH);
	settle();
	assert_int_equal(queue()->mode, NVME_IOQ_RUNNING);
	load_start(1, BIO_READ, IO_BYTES, WINDOW / 2 + 10);
	settle();
	assert_int_equal(rig.f.nheld, DEPTH);
	for (unsigned i = 1; i <= WINDOW / 2; i++) {
		answer(1);
		assert_int_equal(rig.f.nheld, DEPTH);
		assert_int_equal(le32_get(rig.f.held[DEPTH - 1].sqe.nsid), 2);
	}
	/* and no more than that, until there is room in the window */
	answer(1);
	assert_int_equal(rig.f.nheld, DEPTH - 1);
	for (unsigned i = 0; i < 2 * DEPTH && queue()->share.is_over; i++) {
		assert_true(tenant(1)->cost <= WINDOW / 2);
		answer(1);
	}
	assert_false(queue()->share.is_over);
	assert_in_range(queue()->share.cost, WINDOW, WINDOW + LARGE_COST - 1);
	share_close();
}

/* One read at a time waits for what is in the device, never for what waits, too. */
static void one_at_a_time_goes_next(void **state)
{
	share_open();
	load_start(0, BIO_WRITE, LARGE, DEPTH);
	load_start(1, BIO_READ, IO_BYTES, 1);
	settle();
	answer(2 * DEPTH);
	/* the window holds two large ones and it */
	for (unsigned i = 0; i < 20; i++) {
		unsigned before = loads[1].ndone;

		answer(4);
		assert_in_range(loads[1].ndone - before, 1, 3);
	}
	share_close();
}

/* Slots are left, but the device is full of large I/O: somebody sees it. */
static void a_full_device_is_shared_though_slots_are_left(void **state)
{
	share_open();
	load_start(1, BIO_READ, IO_BYTES, 4);
	load_start(0, BIO_WRITE, LARGE, 20);
	settle();
	for (uint64_t n = 0; n < TURNS_MAX && queue()->mode != NVME_IOQ_SHARED; n++)
		reactor_turn(rig.r);
	assert_int_equal(queue()->mode, NVME_IOQ_SHARED);
	assert_int_equal(rig.f.nheld, 24);
	answer(100);
	assert_in_range(queue()->share.cost, WINDOW, WINDOW + LARGE_COST - 1);
	assert_true(count(1, 60) > 20); /* before: 1 in 6 */
	share_close();
}

static void whoever_is_alone_again_has_it_all(void **state)
{
	const struct nvme_ioq *q;

	share_open();
	q = queue();
	load_start(0, BIO_WRITE, LARGE, DEPTH);
	load_start(1, BIO_READ, IO_BYTES, 2);
	settle();
	answer(2 * DEPTH);
	assert_int_equal(q->mode, NVME_IOQ_SHARED);
	assert_true(rig.f.nheld < 6);
	loads[1].is_ending = true;
	for (uint64_t n = 0; n < TURNS_MAX && q->mode != NVME_IOQ_RUNNING; n++)
		answer(1);
	settle();
	assert_int_equal(q->mode, NVME_IOQ_RUNNING);
	assert_int_equal(loads[1].nunder_way, 0);
	assert_int_equal(rig.f.nheld, DEPTH);
	/* and once more */
	load_start(2, BIO_READ, IO_BYTES, 1);
	settle();
	assert_int_equal(q->mode, NVME_IOQ_SHARED);
	answer(1);
	assert_int_equal(le32_get(rig.f.held[DEPTH - 1].sqe.nsid), 3);
	share_close();
}

/* The lists survive what happens to the device. */
static void a_reset_loses_nothing_that_waits(void **state)
{
	share_open();
	for (unsigned i = 0; i < NDISKS; i++)
		load_start(i, i ? BIO_READ : BIO_WRITE, i ? IO_BYTES : LARGE, DEPTH);
	settle();
	answer(DEPTH + 10);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(queue()->share.nwaiting > 0);
		assert_int_equal(nvme_ctrlr_reset(rig.c, false, NULL), 0);
		reactor_turn(rig.r);
		assert_int_equal(queue()->mode, NVME_IOQ_SHARED);
	}
	finish();
	for (unsigned i = 0; i < NDISKS; i++) {
		assert_int_equal(loads[i].nfailed, 0);
		assert_true(loads[i].ndone >= DEPTH);
	}
	share_close();
}

/* A queue that is frozen before anybody has shared it, and I/O that comes meanwhile. */
static void what_comes_to_a_frozen_queue_waits(void **state)
{
	struct nvme_ioq *q;

	share_open();
	q = queue();
	load_start(0, BIO_READ, IO_BYTES, 5);
	settle();
	nvme_ioq_freeze(q);
	load_start(1, BIO_READ, IO_BYTES, DEPTH);
	load_start(2, BIO_READ, IO_BYTES, 1);
	for (unsigned i = 0; i < 10; i++)
		reactor_turn(rig.r);
	assert_int_equal(rig.f.nheld, 5);
	assert_int_equal(q->share.nwaiting, DEPTH + 1);
	nvme_ioq_freeze(q); /* harmless */
	assert_int_equal(nvme_ctrlr_reset(rig.c, false, NULL), 0);
	finish();
	for (unsigned i = 0; i < NDISKS; i++)
		assert_int_equal(loads[i].nfailed, 0);
	share_close();
}

static void the_end_of_the_device_ends_what_waits(void **state)
{
	share_open();
	for (unsigned i = 0; i < NDISKS; i++)
		load_start(i, i ? BIO_READ : BIO_WRITE, i ? IO_BYTES : LARGE, DEPTH);
	settle();
	answer(10);
	for (unsigned i = 0; i < NDISKS; i++) {
		loads[i].is_ending = true;
		loads[i].nfailed = 0;
	}
	fake_nvme_remove(&rig.f, true);
	wait_state(NVME_CTRLR_FAILED);
	for (uint64_t n = 0; n < TURNS_MAX; n++) {
		reactor_turn(rig.r);
		if (loads[0].nfailed + loads[1].nfailed + loads[2].nfailed == NDISKS * DEPTH)
			break;
	}
	for (unsigned i = 0; i < NDISKS; i++)
		assert_int_equal(loads[i].nfailed, DEPTH);
	assert_int_equal(queue()->share.nactive, 0);
	assert_int_equal(queue()->share.cost, 0);
	obey();
	close_all();
}

static void start_far(void *arg)
{
	load_start(1, BIO_READ, IO_BYTES, DEPTH);
}

static void set_far_weight(void *arg)
{
	loads[1].chan->weight = 300;
}

/* Until the I/O of the disk on the other reactor has come back. */
static void settle_far(void)
{
	for (uint64_t n = 0; n < TURNS_MAX && tenant(1)->nios < DEPTH; n++)
		reactor_turn(rig.r);
	assert_int_equal(tenant(1)->nios, DEPTH);
	settle();
}

static void a_disk_on_another_reactor_has_its_weight(void **state)
{
	const struct reactor_opts ro = { .name = "far", .cpu = -1 };
	struct reactor *far;

	assert_int_equal(reactor_create(&ro, &far), 0);
	assert_int_equal(reactor_start(far), 0);
	share_open_with(far);
	reactor_call(far, set_far_weight, NULL);
	load_start(0, BIO_READ, IO_BYTES, DEPTH);
	reactor_call(far, start_far, NULL);
	settle_far();
	for (unsigned i = 0; i < 3 * DEPTH + 400; i++) {
		answer(1);
		settle_far();
	}
	assert_about(count(0, 400), 100, 2);
	assert_about(count(1, 400), 300, 2);
	finish();
	release_all();
	reactor_stop(far);
	reactor_join(far);
	reactor_destroy(far);
	fini_all(); /* after the thread that last sent to the rig's reactor has ended */
}

/* Errors, and errors that are sent again, keep the books in order. */
static void errors_give_back_what_they_took(void **state)
{
	static const uint16_t statuses[] = { NVME_STATUS_DNR | NVME_SC_INTERNAL, NVME_SC_INTERNAL };

	for (unsigned i = 0; i < ARRAY_SIZE(statuses); i++) {
		share_open();
		obey();
		for (unsigned k = 0; k < NDISKS; k++)
			load_start(k, k ? BIO_READ : BIO_WRITE, k ? IO_BYTES : LARGE, DEPTH);
		for (unsigned k = 0; k < 20; k++) {
			fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
									.count = 5,
									.deed = FAKE_NVME_STATUS,
									.status = statuses[i] });
			for (unsigned n = 0; n < 50; n++)
				reactor_turn(rig.r);
		}
		finish();
		if (statuses[i] & NVME_STATUS_DNR)
			assert_true(loads[0].nfailed + loads[1].nfailed + loads[2].nfailed > 0);
		share_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_go_by_weight),
		cmocka_unit_test(answers_that_come_together_change_no_share),
		cmocka_unit_test(large_writes_do_not_starve_small_reads),
		cmocka_unit_test(a_newcomer_gets_its_part_first),
		cmocka_unit_test(one_at_a_time_goes_next),
		cmocka_unit_test(a_full_device_is_shared_though_slots_are_left),
		cmocka_unit_test(whoever_is_alone_again_has_it_all),
		cmocka_unit_test(a_reset_loses_nothing_that_waits),
		cmocka_unit_test(what_comes_to_a_frozen_queue_waits),
		cmocka_unit_test(the_end_of_the_device_ends_what_waits),
		cmocka_unit_test(a_disk_on_another_reactor_has_its_weight),
		cmocka_unit_test(errors_give_back_what_they_took),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
