/* SPDX-License-Identifier: BSD-3-Clause */
/* How long answers wait until the driver knows: by kind, called or not, whatever turn publishes
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/mono.h"
#include "tests/ring/ring.h"
#include "vhost/vdev.h"

#define SIZE  16
#define KINDS 2
#define LONG  (50 * MONO_NS_PER_MS) /* in the past of an answer */

static struct reactor *r;
static struct ring ring;
static struct vdev dev;
static struct vdev_queue *q;
static struct vq_elem *held[SIZE];
static unsigned nheld;
static struct hist quiet[KINDS], called[KINDS];

static int told_queue_open(struct vdev_queue *queue, struct errbuf *eb)
{
	(void)eb;
	memset(quiet, 0, sizeof(quiet));
	memset(called, 0, sizeof(called));
	queue->told.how[VQ_FLUSHED_QUIET] = quiet;
	queue->told.how[VQ_FLUSHED_CALLED] = called;
	return 0;
}

static void told_queue_close(struct vdev_queue *queue)
{
	(void)queue;
}

static void told_process(struct vdev_queue *queue, struct vq_elem **elems, unsigned n)
{
	(void)queue;
	for (unsigned i = 0; i < n; i++)
		held[nheld++] = elems[i];
}

static const struct vdev_ops told_ops = {
	.name = "told",
	.slot_bytes = sizeof(struct vq_elem),
	.queue_open = told_queue_open,
	.queue_close = told_queue_close,
	.process = told_process,
};

static void turns(unsigned n)
{
	while (n--)
		reactor_turn(r);
}

static void start(bool packed, bool eventfds, uint64_t features)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1 };
	const struct ring_opts opts = {
		.size = SIZE,
		.data_bytes = 4096,
		.packed = packed,
		.eventfds = eventfds,
		.features = features,
	};

	nheld = 0;
	mono_init();
	assert_int_equal(reactor_create(&ro, &r), 0);
	reactor_adopt(r);
	assert_int_equal(ring_init(&ring, &opts), 0);
	vdev_init(&dev, &told_ops, 1);
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	vdev_queue_start(q);
	turns(1);
}

static unsigned nstopped;

static void on_stopped(struct vdev_queue *queue, void *arg)
{
	(void)queue;
	(void)arg;
	nstopped++;
}

static void stop(void)
{
	nstopped = 0;
	vdev_queue_stop(q, on_stopped, NULL);
	turns(3);
	assert_int_equal(nstopped, 1);
	vdev_queue_destroy(q);
	ring_fini(&ring);
	reactor_destroy(r);
}

static void take(unsigned n)
{
	const struct vqd_buf buf = ring_buf(&ring, ring.data, 16, false);

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(vqd_add(&ring.vqd, &buf, 1, false, NULL), 0);
	vqd_publish(&ring.vqd);
	turns(1);
	assert_int_equal(nheld, n);
}

/* The @i-th one is answered in a turn that began so long ago. */
static void answer(unsigned i, unsigned kind, uint64_t ago_ns)
{
	r->now_ticks = mono_ticks() - mono_ns_to_ticks(ago_ns);
	vdev_queue_count(q, kind, 1);
	vdev_queue_done(q, held[i], 0);
}

static unsigned all_used(void)
{
	uint32_t written;
	void *cookie;
	unsigned n = 0;
	int err = 0;

	while (vqd_get(&ring.vqd, &cookie, &written, &err))
		n++;
	return n;
}

/* @n samples, and all of them of LONG at least. */
static void assert_long(const struct hist *h, unsigned n)
{
	uint64_t seen = 0;

	assert_int_equal(hist_total(h), n);
	for (unsigned i = hist_index(LONG) - 1; i < HIST_BUCKETS; i++)
		seen += h->count[i];
	assert_int_equal(seen, n);
}

static void each_answer_counts_once_by_its_kind(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		start(packed, true, 0);
		vqd_call_disable(&ring.vqd);
		take(5);
		answer(0, 0, LONG);
		assert_int_equal(q->told.since_ticks, r->now_ticks);
		answer(1, 1, 0); /* of the same batch */
		answer(2, 0, 0);
		turns(1);
		assert_int_equal(all_used(), 3);
		assert_long(&quiet[0], 2);
		assert_long(&quiet[1], 1);
		assert_false(vqd_call_enable(&ring.vqd));
		answer(3, 1, LONG);
		assert_int_equal(q->told.since_ticks, r->now_ticks); /* the next batch has its own */
		turns(1);
		assert_long(&called[1], 1);
		assert_int_equal(hist_total(&called[0]), 0);
		vqd_call_disable(&ring.vqd);
		vdev_queue_done(q, held[4], 0); /* of no kind */
		turns(1);
		assert_long(&quiet[0], 2);
		assert_long(&quiet[1], 1);
		assert_long(&called[1], 1);
		assert_int_equal(all_used(), 2);
		stop();
	}
}

static void without_a_call_fd_it_is_quiet(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		start(packed, false, 0);
		take(1);
		answer(0, 1, LONG);
		turns(1);
		assert_long(&quiet[1], 1);
		assert_int_equal(hist_total(&called[1]), 0);
		stop();
	}
}

/* IN_ORDER: an answer behind an older request is published turns later, and its time goes on. */
static void what_is_held_back_goes_on_waiting(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		start(packed, false, VIRTIO_BIT(VIRTIO_F_IN_ORDER));
		take(3);
		answer(1, 1, LONG);
		turns(3);
		assert_int_equal(hist_total(&quiet[1]), 0);
		answer(2, 1, 0);
		turns(1);
		assert_int_equal(hist_total(&quiet[1]), 0);
		answer(0, 0, 0);
		turns(1);
		assert_long(&quiet[1], 2);
		assert_long(&quiet[0], 1);
		stop();
	}
}

/* The last flush of a queue that stops, and of one that breaks. */
static void the_end_counts_too(void **state)
{
	(void)state;
	start(false, false, 0);
	take(2);
	answer(0, 0, LONG);
	vq_break(&q->vq, "on purpose");
	turns(2);
	assert_long(&quiet[0], 1);
	answer(1, 0, LONG); /* nobody learns of it */
	turns(1);
	assert_long(&quiet[0], 1);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_answer_counts_once_by_its_kind),
		cmocka_unit_test(without_a_call_fd_it_is_quiet),
		cmocka_unit_test(what_is_held_back_goes_on_waiting),
		cmocka_unit_test(the_end_counts_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
