/* SPDX-License-Identifier: BSD-3-Clause */
/* The queue engine with a device type that holds what it is given: life, budget, stop, break,
 * calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/ring/ring.h"
#include "vhost/vdev.h"

#define SIZE 256

static struct reactor *r;
static struct ring ring;
static struct vdev dev;
static struct vdev_queue *q;

/* The device type */
static struct vq_elem *held[SIZE];
static unsigned nheld, nopened, nclosed, biggest_batch;
static bool at_once; /* answer inside process */
static int open_err;

static int fake_queue_open(struct vdev_queue *queue, struct errbuf *eb)
{
	if (open_err)
		return errbuf_set(eb, open_err, "no");
	nopened++;
	return 0;
}

static void fake_queue_close(struct vdev_queue *queue)
{
	nclosed++;
}

static void fake_process(struct vdev_queue *queue, struct vq_elem **elems, unsigned n)
{
	biggest_batch = CC_MAX(biggest_batch, n);
	for (unsigned i = 0; i < n; i++) {
		if (at_once)
			vdev_queue_done(queue, elems[i], elems[i]->in_bytes);
		else
			held[nheld++] = elems[i];
	}
}

static const struct vdev_ops fake_ops = {
	.name = "fake",
	.slot_bytes = sizeof(struct vq_elem),
	.queue_open = fake_queue_open,
	.queue_close = fake_queue_close,
	.process = fake_process,
};

static void end_one(void)
{
	vdev_queue_done(q, held[--nheld], 0);
}

/* The transport */
static unsigned nbroken, nstopped;

static void on_broken(struct vdev_queue *queue, void *arg)
{
	assert_ptr_equal(arg, &ring);
	nbroken++;
}

static void on_stopped(struct vdev_queue *queue, void *arg)
{
	assert_ptr_equal(queue, q);
	assert_ptr_equal(arg, &dev);
	nstopped++;
}

static void turns(unsigned n)
{
	while (n--)
		reactor_turn(r);
}

static void queue_create(bool eventfds, enum reactor_mode mode)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1, .mode = mode };
	const struct ring_opts opts = { .size = SIZE, .data_bytes = 4096, .eventfds = eventfds };

	nheld = nopened = nclosed = biggest_batch = nbroken = nstopped = 0;
	at_once = false;
	open_err = 0;
	assert_int_equal(reactor_create(&ro, &r), 0);
	reactor_adopt(r);
	assert_int_equal(ring_init(&ring, &opts), 0);
	vdev_init(&dev, &fake_ops, 4);
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	q->on_broken = on_broken;
	q->on_broken_arg = &ring;
}

static void queue_run(void)
{
	queue_create(false, REACTOR_ADAPTIVE);
	vdev_queue_start(q);
	turns(1);
}

static void queue_stop(void)
{
	vdev_queue_stop(q, on_stopped, &dev);
	turns(3);
}

static void queue_destroy(void)
{
	vdev_queue_destroy(q);
	assert_int_equal(nclosed, nopened);
	ring_fini(&ring);
	reactor_destroy(r);
}

static void chains_add(unsigned n)
{
	const struct vqd_buf bufs[] = {
		ring_buf(&ring, ring.data, 16, false),
		ring_buf(&ring, ring.data + 16, 8, true),
	};

	while (n--)
		assert_int_equal(vqd_add(&ring.vqd, bufs, ARRAY_SIZE(bufs), false, NULL), 0);
	vqd_publish(&ring.vqd);
}

static unsigned chains_get(void)
{
	uint32_t written;
	void *cookie;
	unsigned n = 0;
	int err = 0;

	while (vqd_get(&ring.vqd, &cookie, &written, &err))
		n++;
	assert_int_equal(err, 0);
	return n;
}

static void chains_go_round(void **state)
{
	(void)state;
	queue_run();
	chains_add(3);
	turns(1);
	assert_int_equal(nheld, 3);
	assert_int_equal(chains_get(), 0);
	end_one();
	end_one();
	turns(1);
	assert_int_equal(chains_get(), 2);
	end_one();
	turns(1);
	assert_int_equal(chains_get(), 1);
	queue_stop();
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

static void on_call(void *arg)
{
	++*(unsigned *)arg;
}

static void a_transport_may_call_otherwise(void **state)
{
	unsigned calls = 0;
	struct vdev_queue *fd_queue;

	(void)state;
	queue_create(false, REACTOR_ADAPTIVE);
	fd_queue = q;
	ring.conf.call = on_call;
	ring.conf.call_arg = &calls;
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	vdev_queue_destroy(fd_queue);
	vdev_queue_start(q);
	turns(1);
	at_once = true;
	chains_add(3);
	turns(1);
	assert_int_equal(chains_get(), 3);
	assert_int_equal(calls, 1);
	assert_int_equal(q->vq.cnt.calls, 1);
	vqd_call_disable(&ring.vqd);
	chains_add(1);
	turns(1);
	assert_int_equal(chains_get(), 1);
	assert_int_equal(calls, 1);
	queue_stop();
	queue_destroy();
}

static void an_answer_inside_process_is_published_in_the_same_turn(void **state)
{
	(void)state;
	queue_run();
	at_once = true;
	chains_add(5);
	turns(1);
	assert_int_equal(chains_get(), 5);
	queue_stop();
	queue_destroy();
}

/* More work than the budget waits for the next turn. */
static void one_poll_takes_a_bounded_number(void **state)
{
	const struct vqd_buf buf = { RING_GPA, 16, false };

	(void)state;
	queue_run();
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(vqd_add(&ring.vqd, &buf, 1, false, NULL), 0);
	vqd_publish(&ring.vqd);
	turns(1);
	assert_int_equal(nheld, 4 * VQ_BATCH);
	assert_int_equal(biggest_batch, VQ_BATCH);
	turns(1);
	assert_int_equal(nheld, SIZE);
	while (nheld)
		end_one();
	queue_stop();
	queue_destroy();
}

/* Whoever had the ring before may not have called for what it published last. */
static void a_ring_that_goes_on_is_called_for_once(void **state)
{
	uint64_t calls;

	(void)state;
	queue_create(true, REACTOR_ADAPTIVE);
	vdev_queue_start(q);
	turns(1);
	assert_int_equal(read(ring.conf.call_fd, &calls, sizeof(calls)), -1); /* a new one */
	at_once = true;
	chains_add(1);
	turns(2);
	assert_int_equal(chains_get(), 1);
	queue_stop();
	vdev_queue_destroy(q);
	(void)!read(ring.conf.call_fd, &calls, sizeof(calls));
	ring.conf.avail_idx = ring.conf.used_idx = 1;
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	vdev_queue_start(q);
	turns(1);
	assert_int_equal(read(ring.conf.call_fd, &calls, sizeof(calls)), sizeof(calls));
	assert_int_equal(calls, 1);
	queue_stop();
	queue_destroy();
}

static void stop_waits_for_what_is_in_flight(void **state)
{
	(void)state;
	queue_run();
	chains_add(2);
	turns(1);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(3);
	assert_int_equal(nstopped, 0);
	/* what comes now is not taken any more */
	chains_add(4);
	turns(3);
	assert_int_equal(nheld, 2);
	end_one();
	turns(3);
	assert_int_equal(nstopped, 0);
	end_one();
	turns(3);
	assert_int_equal(nstopped, 1);
	assert_int_equal(chains_get(), 2);
	assert_int_equal(vq_base(&q->vq), 2);
	queue_destroy();
}

static void stop_may_follow_start_at_once(void **state)
{
	(void)state;
	queue_create(false, REACTOR_ADAPTIVE);
	chains_add(2);
	vdev_queue_start(q);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(4);
	assert_int_equal(nstopped, 1);
	assert_int_equal(vq_base(&q->vq), 0);
	queue_destroy();
}

static void stop_publishes_what_was_answered_before(void **state)
{
	(void)state;
	queue_run();
	chains_add(1);
	turns(1);
	vdev_queue_stop(q, on_stopped, &dev);
	end_one(); /* pushed, not yet flushed when the stop arrives */
	turns(3);
	assert_int_equal(nstopped, 1);
	assert_int_equal(chains_get(), 1);
	queue_destroy();
}

/*
 * A queue whose inflight region holds @n chains of a process that died. More than one poll takes, so
 * that a stop can come in between.
 */
static void queue_create_resumed(unsigned n, bool packed)
{
	const struct reactor_opts ro = { .name = "test", .cpu = -1, .mode = REACTOR_ADAPTIVE };
	const struct ring_opts opts = {
		.size = SIZE, .data_bytes = 4096, .packed = packed, .inflight = true
	};

	nheld = nopened = nclosed = biggest_batch = nbroken = nstopped = 0;
	at_once = false;
	assert_int_equal(reactor_create(&ro, &r), 0);
	reactor_adopt(r);
	assert_int_equal(ring_init(&ring, &opts), 0);
	vdev_init(&dev, &fake_ops, 4);
	for (unsigned i = 0; i < n; i++) {
		const struct vqd_buf buf = ring_buf(&ring, ring.data, 16, false);

		assert_int_equal(vqd_add(&ring.vqd, &buf, 1, false, NULL), 0);
	}
	vqd_publish(&ring.vqd);
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	while (n) {
		struct vq_elem *elems[VQ_BATCH];

		n -= vq_pop(&q->vq, elems, VQ_BATCH);
	}
	vdev_queue_destroy(q);
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &q, NULL), 0);
	q->on_broken = on_broken;
	q->on_broken_arg = &ring;
}

/* GET_VRING_BASE right after the start: the requests of the dead process would be lost. */
static void stop_takes_what_is_to_be_resumed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		bool packed = i & 1, start_first = i & 4;

		queue_create_resumed(200, packed);
		at_once = i & 2;
		vdev_queue_start(q);
		if (start_first)
			turns(1); /* some were taken */
		chains_add(3); /* new: not taken */
		vdev_queue_stop(q, on_stopped, &dev);
		turns(12);
		assert_int_equal(nstopped, at_once);
		if (!at_once) {
			assert_int_equal(nheld, 200);
			while (nheld)
				end_one();
			turns(3);
		}
		assert_int_equal(nstopped, 1);
		assert_int_equal(chains_get(), 200);
		if (!packed)
			assert_int_equal(vq_base(&q->vq), 200);
		queue_destroy();
	}
}

/* One of them cannot be taken: the stop ends all the same. */
static void a_break_in_what_is_resumed_still_stops(void **state)
{
	(void)state;
	queue_create_resumed(200, false);
	((struct virtq_desc *)ring.conf.desc)[150].addr = le64_make(1);
	at_once = true;
	vdev_queue_start(q);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(12);
	assert_int_equal(nbroken, 1);
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

static void a_queue_never_started_can_be_destroyed(void **state)
{
	(void)state;
	queue_create(true, REACTOR_ADAPTIVE);
	queue_destroy();
}

static void a_broken_queue_is_told_once_and_stops(void **state)
{
	const struct vqd_buf bad = { 0x10, 16, false };

	(void)state;
	queue_run();
	chains_add(2);
	turns(1);
	assert_int_equal(vqd_add(&ring.vqd, &bad, 1, false, NULL), 0);
	vqd_publish(&ring.vqd);
	turns(10);
	assert_int_equal(nbroken, 1);
	assert_int_equal(q->poller.state, POLLER_DETACHED);
	end_one();
	turns(2);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(3);
	assert_int_equal(nstopped, 0);
	end_one();
	turns(3);
	assert_int_equal(nstopped, 1);
	assert_int_equal(nbroken, 1);
	queue_destroy();
}

/* The device type finds a chain that it cannot answer. */
static void a_break_by_the_device_type_is_told_too(void **state)
{
	(void)state;
	queue_run();
	chains_add(1);
	turns(1);
	vq_break(&q->vq, "no");
	end_one();
	turns(2);
	assert_int_equal(nbroken, 1);
	queue_stop();
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

static void a_break_while_stopping_still_stops(void **state)
{
	(void)state;
	queue_run();
	chains_add(2);
	turns(1);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(2);
	vq_break(&q->vq, "no");
	end_one();
	turns(2);
	assert_int_equal(nbroken, 1);
	assert_int_equal(nstopped, 0);
	end_one();
	turns(2);
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

static void an_idle_queue_rests_until_it_is_kicked(void **state)
{
	(void)state;
	queue_create(true, REACTOR_INTERRUPT);
	vdev_queue_start(q);
	turns(3);
	assert_int_equal(q->poller.state, POLLER_ARMED);
	at_once = true;
	chains_add(2);
	turns(3);
	assert_int_equal(chains_get(), 2);
	assert_true(ring.vqd.kicks > 0);
	assert_int_equal(q->poller.state, POLLER_ARMED);
	queue_stop();
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

/* Chains that nobody will take must not keep the reactor awake. */
static void a_stopping_queue_rests_too(void **state)
{
	(void)state;
	queue_create(true, REACTOR_INTERRUPT);
	vdev_queue_start(q);
	chains_add(1);
	turns(2);
	vdev_queue_stop(q, on_stopped, &dev);
	turns(1);
	chains_add(2);
	turns(5);
	assert_int_equal(q->poller.state, POLLER_ARMED);
	assert_int_equal(nheld, 1);
	end_one();
	turns(3);
	assert_int_equal(nstopped, 1);
	queue_destroy();
}

static void without_a_kick_fd_the_queue_stays_hot(void **state)
{
	(void)state;
	queue_create(false, REACTOR_INTERRUPT);
	vdev_queue_start(q);
	turns(5);
	assert_int_equal(q->poller.state, POLLER_HOT);
	queue_stop();
	queue_destroy();
}

static unsigned order;

static void call_fn(struct vdev_queue *queue, void *arg)
{
	assert_ptr_equal(queue, q);
	assert_int_equal(order++, 0);
}

static void call_done(struct vdev_queue *queue, void *arg)
{
	assert_ptr_equal(arg, &order);
	assert_int_equal(order++, 1);
}

static void a_call_runs_there_and_answers_here(void **state)
{
	struct vdev_queue_call call;

	(void)state;
	order = 0;
	queue_run();
	vdev_queue_call(q, &call, call_fn, call_done, &order);
	assert_int_equal(order, 0);
	turns(3);
	assert_int_equal(order, 2);
	queue_stop();
	queue_destroy();
}

static void create_refuses_what_cannot_be(void **state)
{
	struct vdev_queue *got = NULL;
	struct vq_conf conf;
	struct errbuf eb;

	(void)state;
	queue_create(false, REACTOR_ADAPTIVE);
	conf = ring.conf;
	conf.size = 0;
	assert_int_equal(vdev_queue_create(&dev, r, r, &conf, &got, &eb), -EINVAL);
	conf.size = VQ_SIZE_MAX + 1;
	assert_int_equal(vdev_queue_create(&dev, r, r, &conf, &got, &eb), -EINVAL);
	conf = ring.conf;
	conf.index = 4;
	assert_int_equal(vdev_queue_create(&dev, r, r, &conf, &got, &eb), -EINVAL);
	conf = ring.conf;
	conf.desc = (char *)conf.desc + 1;
	assert_int_equal(vdev_queue_create(&dev, r, r, &conf, &got, &eb), -EINVAL);
	open_err = -ENODEV;
	assert_int_equal(vdev_queue_create(&dev, r, r, &ring.conf, &got, &eb), -ENODEV);
	assert_null(got);
	assert_int_equal(nopened, 1);
	vdev_queue_destroy(NULL);
	queue_destroy();
}

static unsigned nchanged;

static void on_changed(struct vdev_listener *l)
{
	nchanged++;
	vdev_listener_del(l);
}

static void listeners_may_leave_while_they_are_told(void **state)
{
	struct vdev_listener a, b;

	(void)state;
	nchanged = 0;
	vdev_init(&dev, &fake_ops, 1);
	vdev_listener_add(&dev, &a, on_changed);
	vdev_listener_add(&dev, &b, on_changed);
	vdev_config_changed(&dev);
	assert_int_equal(nchanged, 2);
	vdev_config_changed(&dev);
	assert_int_equal(nchanged, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_go_round),
		cmocka_unit_test(a_transport_may_call_otherwise),
		cmocka_unit_test(an_answer_inside_process_is_published_in_the_same_turn),
		cmocka_unit_test(one_poll_takes_a_bounded_number),
		cmocka_unit_test(a_ring_that_goes_on_is_called_for_once),
		cmocka_unit_test(stop_waits_for_what_is_in_flight),
		cmocka_unit_test(stop_may_follow_start_at_once),
		cmocka_unit_test(stop_publishes_what_was_answered_before),
		cmocka_unit_test(stop_takes_what_is_to_be_resumed),
		cmocka_unit_test(a_break_in_what_is_resumed_still_stops),
		cmocka_unit_test(a_queue_never_started_can_be_destroyed),
		cmocka_unit_test(a_broken_queue_is_told_once_and_stops),
		cmocka_unit_test(a_break_by_the_device_type_is_told_too),
		cmocka_unit_test(a_break_while_stopping_still_stops),
		cmocka_unit_test(an_idle_queue_rests_until_it_is_kicked),
		cmocka_unit_test(a_stopping_queue_rests_too),
		cmocka_unit_test(without_a_kick_fd_the_queue_stays_hot),
		cmocka_unit_test(a_call_runs_there_and_answers_here),
		cmocka_unit_test(create_refuses_what_cannot_be),
		cmocka_unit_test(listeners_may_leave_while_they_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
