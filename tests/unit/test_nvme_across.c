/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Weights of disks whose queues are on different reactors: all turn on one thread, and the device
 * answers when the test says so, in the order in which commands came, whatever their queue. So what
 * each disk gets is its part of what is in the device, to the I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/qos_drr.h"
#include "drivers/nvme/nvme_ioq.h"
#include "tests/unit/nvme_rig.h"
#include "tests/unit/rnd.h"

#define NREACTORS 3u
#define NLOADS	  4u
#define CYCLES	  4u /* of answers, of which the shares are counted: each is as many as the device has */
#define TRIES	  3
#define ENTRIES	  256u
#define DEPTH	  (ENTRIES - 1)
#define FOREVER	  1000000u

/* A disk's I/O on one reactor. */
struct load {
	struct bdev_chan *chan;
	unsigned disk, reactor, nios;
	uint64_t len;
	bool is_ending;
	unsigned nunder_way, ndone;
	struct io io[DEPTH];
};

static struct load loads[NLOADS];
static unsigned nloads;
static struct reactor *reactors[NREACTORS];
static struct bdev *disks[NLOADS];
static unsigned per_disk[NLOADS];

static struct nvme_ioq *queue(unsigned load)
{
	return ((struct nvme_target *)loads[load].chan->drv)->ioq;
}

static void turn(unsigned r)
{
	reactor_adopt(reactors[r]);
	reactor_turn(reactors[r]);
	reactor_adopt(rig.r);
}

static void turn_all(void)
{
	for (unsigned r = 0; r < NREACTORS; r++)
		turn(r);
}

static void load_submit(struct load *l, struct io *io)
{
	io->iov[0] = (struct iovec){ rig.mem.va, l->len };
	io->bio.op = BIO_READ;
	io->bio.off = 0;
	io->bio.len = l->len;
	io->bio.iov = io->iov;
	io->bio.iovcnt = 1;
	l->nunder_way++;
	bdev_submit(l->chan, &io->bio);
}

static void load_done(struct bio *bio)
{
	struct io *io = container_of(bio, struct io, bio);
	struct load *l = loads;

	while (l->chan != bio->chan)
		l++;
	assert_int_equal(bio->status, 0);
	l->ndone++;
	l->nunder_way--;
	if (!l->is_ending)
		load_submit(l, io);
}

static void load_start(unsigned i, unsigned n, uint64_t len)
{
	struct load *l = &loads[i];

	l->len = len;
	reactor_adopt(reactors[l->reactor]);
	for (unsigned k = 0; k < n; k++) {
		l->io[k].bio.done = load_done;
		load_submit(l, &l->io[k]);
	}
	reactor_adopt(rig.r);
}

static void load_add(unsigned disk, unsigned reactor, uint16_t weight)
{
	struct load *l = &loads[nloads++];

	*l = (struct load){ .disk = disk, .reactor = reactor };
	assert_int_equal(bdev_chan_get(disks[disk], reactors[reactor], &l->chan), 0);
	for (unsigned i = 0; i < 20; i++)
		turn_all();
	l->chan->weight = weight;
}

static void four_namespaces(struct fake_nvme *f)
{
	for (unsigned nsid = 2; nsid <= NLOADS; nsid++)
		fake_nvme_add_ns(f, nsid, BLOCKS, 9);
}

static void rig_up(void)
{
	const struct reactor_opts ro = { .name = "other", .cpu = -1, .mode = REACTOR_POLL };
	struct errbuf eb = { "" };

	nloads = 0;
	ctrlr_opts = (struct nvme_ctrlr_opts){ .depth = ENTRIES };
	rig_open(four_namespaces);
	bdev_chan_put(rig.chan);
	rig.chan = NULL;
	reactors[0] = rig.r;
	for (unsigned r = 1; r < NREACTORS; r++)
		assert_int_equal(reactor_create(&ro, &reactors[r]), 0);
	disks[0] = rig.bdev;
	for (unsigned i = 1; i < NLOADS; i++)
		if (nvme_bdev_open(rig.c, i + 1, &(struct nvme_bdev_opts){ 0 }, &disks[i], &eb))
			fail_msg("%s", eb.text);
	turn_all();
	fake_nvme_rule(&rig.f, (struct fake_nvme_rule){ .any_opc = true,
							.count = FOREVER,
							.deed = FAKE_NVME_SILENT });
}

static unsigned in_slots(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nloads; i++) {
		const struct nvme_ioq *q = queue(i);
		bool is_first = true;

		for (unsigned k = 0; k < i; k++)
			is_first &= queue(k) != q;
		if (is_first)
			n += q->qp.depth - q->nfree - q->share.nspare;
	}
	return n;
}

static unsigned ndone(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nloads; i++)
		n += loads[i].ndone;
	return n;
}

/* Until the device has all that is in a slot, and what it @answered has come back. */
static void settle(unsigned answered)
{
	for (uint64_t n = 0; n < TURNS_MAX; n++) {
		turn_all();
		if (ndone() == answered && fake_nvme_count(&rig.f, &rig.f.nheld) == in_slots())
			return;
	}
	fail_msg("%u of %u done", ndone(), answered);
}

/* The device answers @n, oldest first; counts whose they were. */
static void answer(unsigned n)
{
	memset(per_disk, 0, sizeof(per_disk));
	for (unsigned i = 0; i < n; i++) {
		unsigned before = ndone();
		uint8_t nsid;

		fake_nvme_answer(&rig.f, 1, &nsid);
		per_disk[nsid - 1]++;
		settle(before + 1);
	}
}

/* So long that each queue has looked twice, at the other's newest. */
static void look(void)
{
	uint32_t was[NLOADS] = { 0 };

	for (unsigned i = 0; i < nloads; i++)
		was[i] = queue(i)->share.nlooks;
	for (unsigned i = 0; i < nloads; i++)
		while (loads[i].nunder_way && queue(i)->share.nlooks - was[i] < 2)
			turn_all();
	settle(ndone());
}

static void rig_down(void)
{
	unsigned left = 1;

	for (unsigned i = 0; i < nloads; i++)
		loads[i].is_ending = true;
	pthread_mutex_lock(&rig.f.lock);
	rig.f.rules[0].count = 0;
	pthread_mutex_unlock(&rig.f.lock);
	for (uint64_t n = 0; n < TURNS_MAX && left; n++) {
		fake_nvme_release(&rig.f);
		turn_all();
		left = 0;
		for (unsigned i = 0; i < nloads; i++)
			left += loads[i].nunder_way;
	}
	assert_int_equal(left, 0);
	for (unsigned i = 0; i < nloads; i++) {
		assert_int_equal(queue(i)->share.nwaiting, 0);
		assert_int_equal(queue(i)->share.cost, 0);
	}
	for (unsigned i = 0; i < nloads; i++)
		bdev_chan_put(loads[i].chan);
	for (unsigned i = 1; i < NLOADS; i++) {
		bool closed = false;

		bdev_close(disks[i], set_true, &closed);
		for (uint64_t n = 0; n < TURNS_MAX && !closed; n++)
			turn_all();
		assert_true(closed);
	}
	for (unsigned r = 1; r < NREACTORS; r++)
		assert_int_equal(reactor_start(reactors[r]), 0);
	rig_release();
	for (unsigned r = 1; r < NREACTORS; r++) {
		reactor_stop(reactors[r]);
		reactor_join(reactors[r]);
		reactor_destroy(reactors[r]);
	}
	rig_fini();
	ctrlr_opts = (struct nvme_ctrlr_opts){ 0 };
}

/* Within 3 % of all, of the last @n. */
static bool has_share(unsigned disk, unsigned n, uint64_t weight, uint64_t weights)
{
	uint64_t want = n * weight / weights, got = per_disk[disk];

	return got <= want + n * 3 / 100 && got + n * 3 / 100 >= want;
}

static bool have_shares(unsigned ndisks, unsigned n, const uint64_t *weights, uint64_t sum)
{
	bool have = true;

	for (unsigned i = 0; i < ndisks; i++)
		have &= has_share(i, n, weights[i], sum);
	return have;
}

/*
 * Of the next answers. What came in a bunch is answered in one, and brings the next one: only of whole cycles does each disk
 * have its part. Queues look at each other by the clock: what a busy machine has disturbed is counted again.
 */
static void assert_shares(unsigned ndisks, const uint64_t *weights)
{
	uint64_t sum = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < ndisks; i++)
		sum += weights[i];
	for (unsigned tries = 0; tries < TRIES; tries++) {
		n = CYCLES * fake_nvme_count(&rig.f, &rig.f.nheld);
		answer(n);
		if (have_shares(ndisks, n, weights, sum))
			return;
	}
	for (unsigned i = 0; i < ndisks; i++)
		if (!has_share(i, n, weights[i], sum))
			fail_msg("disk %u: %u of %u instead of %u", i, per_disk[i], n, (unsigned)(n * weights[i] / sum));
}

/* Until nothing is left of what was sent before there was anybody to share with. */
static void saturate(void)
{
	settle(0);
	look();
	answer(3 * DEPTH);
	look();
	answer(DEPTH);
}

static void two_queues_share_by_weight(void **state)
{
	rig_up();
	load_add(0, 1, 300);
	load_add(1, 2, 100);
	load_start(0, DEPTH, IO_BYTES);
	load_start(1, DEPTH, IO_BYTES);
	saturate();
	assert_ptr_not_equal(queue(0), queue(1));
	assert_shares(2, (const uint64_t[]){ 3, 1 });
	rig_down();
}

/* A third of its weight's share where it is alone, the same beside another one. */
static void a_disk_on_two_queues_counts_once(void **state)
{
	rig_up();
	load_add(0, 1, 100);
	load_add(0, 2, 100);
	load_add(1, 2, 100);
	for (unsigned i = 0; i < 3; i++)
		load_start(i, DEPTH, IO_BYTES);
	saturate();
	assert_shares(2, (const uint64_t[]){ 1, 1 });
	rig_down();
}

/* One read at a time of great weight takes nothing from a neighbour that could use the device. */
static void what_the_heavy_one_leaves_is_used(void **state)
{
	rig_up();
	load_add(0, 1, 1000);
	load_add(1, 2, 10);
	load_start(0, 1, IO_BYTES);
	load_start(1, DEPTH, IO_BYTES);
	settle(0);
	for (unsigned i = 0; i < 20; i++) {
		look();
		answer(50);
	}
	assert_in_range(rig.f.nheld, DEPTH - 1, DEPTH + 1);
	rig_down();
}

static void who_is_alone_again_has_the_device(void **state)
{
	rig_up();
	load_add(0, 1, 900);
	load_add(1, 2, 100);
	load_start(0, DEPTH, IO_BYTES);
	load_start(1, DEPTH, IO_BYTES);
	saturate();
	assert_true(rig.f.nheld < DEPTH + DEPTH / 4);
	loads[0].is_ending = true;
	while (loads[0].nunder_way)
		answer(1);
	look();
	answer(1);
	assert_int_equal(rig.f.nheld, DEPTH);
	rig_down();
}

/* Any weights, any places. */
static void random_weights_and_places(void **state)
{
	sow(1);
	for (unsigned round = 0; round < 6; round++) {
		uint64_t weights[NLOADS] = { 0 };
		unsigned n = 2 + (unsigned)rnd(3);

		rig_up();
		for (unsigned i = 0; i < n; i++)
			load_add(i, (unsigned)rnd(NREACTORS), (uint16_t)(50 + rnd(400)));
		for (unsigned i = 0; i < n; i++) {
			weights[i] = loads[i].chan->weight;
			load_start(i, DEPTH, IO_BYTES);
		}
		saturate();
		assert_shares(n, weights);
		rig_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_queues_share_by_weight),
		cmocka_unit_test(a_disk_on_two_queues_counts_once),
		cmocka_unit_test(what_the_heavy_one_leaves_is_used),
		cmocka_unit_test(who_is_alone_again_has_the_device),
		cmocka_unit_test(random_weights_and_places),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
