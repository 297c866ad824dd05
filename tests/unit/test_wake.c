/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asleep and woken under stress: many queues on one reactor, a driver and a device on threads of
 * their own, gaps about as long as the windows, modes and bounds that change meanwhile. A lost
 * wake-up, kick or interrupt hangs here.
 *
 *   driver ─ avail, kick ─► queue ─ poller_wake ─► device queue ─ sent ─► device
 *      ▲                                                │                   │
 *      └──────────────────── done ──────────────────────┴◄─ posted, irq ────┘
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/reactor.h"

#define QUEUES 8
#define ROUNDS 5000
#define MIN_NS (2 * MONO_NS_PER_US)
#define MAX_NS (20 * MONO_NS_PER_US)

/* One side asks for a notification, the other looks whether it is wanted. */
struct bell {
	uint32_t posted; /* by the other side */
	uint32_t wanted;
	int fd;
};

struct pair {
	struct poller queue, dev;
	struct bell kick, irq;
	uint32_t taken, reaped; /* the reactor's */
	uint32_t sent, done;	/* for the device; for the driver */
};

static struct reactor *reactor;
static struct pair pairs[QUEUES];
static uint32_t stop;

static void bell_post(struct bell *b, uint32_t value)
{
	uint64_t one = 1;

	__atomic_store_n(&b->posted, value, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&b->wanted, __ATOMIC_SEQ_CST))
		assert_int_equal(write(b->fd, &one, sizeof(one)), sizeof(one));
}

static bool bell_arm(struct bell *b, uint32_t seen)
{
	__atomic_store_n(&b->wanted, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&b->posted, __ATOMIC_SEQ_CST) != seen;
}

static void bell_disarm(struct bell *b)
{
	uint64_t n;

	__atomic_store_n(&b->wanted, 0, __ATOMIC_SEQ_CST);
	(void)!read(b->fd, &n, sizeof(n));
}

static unsigned queue_poll(struct poller *p)
{
	struct pair *q = container_of(p, struct pair, queue);
	uint32_t avail = __atomic_load_n(&q->kick.posted, __ATOMIC_ACQUIRE), n = avail - q->taken;

	if (n == 0)
		return 0;
	q->taken = avail;
	if (q->dev.state != POLLER_HOT)
		poller_wake(&q->dev);
	__atomic_store_n(&q->sent, avail, __ATOMIC_RELEASE);
	return n;
}

static bool queue_arm(struct poller *p)
{
	struct pair *q = container_of(p, struct pair, queue);

	return bell_arm(&q->kick, q->taken);
}

static void queue_disarm(struct poller *p)
{
	bell_disarm(&container_of(p, struct pair, queue)->kick);
}

static const struct poller_ops queue_ops = {
	.name = "queue",
	.poll = queue_poll,
	.arm = queue_arm,
	.disarm = queue_disarm,
};

static unsigned dev_poll(struct poller *p)
{
	struct pair *q = container_of(p, struct pair, dev);
	uint32_t posted = __atomic_load_n(&q->irq.posted, __ATOMIC_ACQUIRE), n = posted - q->reaped;

	q->reaped = posted;
	if (n)
		__atomic_store_n(&q->done, posted, __ATOMIC_RELEASE);
	return n;
}

static bool dev_arm(struct poller *p)
{
	struct pair *q = container_of(p, struct pair, dev);

	return bell_arm(&q->irq, q->reaped);
}

static void dev_disarm(struct poller *p)
{
	bell_disarm(&container_of(p, struct pair, dev)->irq);
}

static bool dev_expects(const struct poller *p)
{
	const struct pair *q = container_of(p, struct pair, dev);

	return q->taken != q->reaped;
}

static const struct poller_ops dev_ops = {
	.name = "device",
	.poll = dev_poll,
	.arm = dev_arm,
	.disarm = dev_disarm,
	.expects = dev_expects,
};

static uint32_t rnd(uint64_t *seed, uint32_t below)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed % below);
}

static void spin(uint64_t ns)
{
	uint64_t until = mono_ns() + ns;

	while (mono_ns() < until)
		sched_yield();
}

static void *device(void *arg)
{
	uint64_t seed = 4711;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		for (unsigned i = 0; i < QUEUES; i++) {
			struct pair *q = &pairs[i];
			uint32_t sent = __atomic_load_n(&q->sent, __ATOMIC_ACQUIRE);

			if (sent == q->irq.posted)
				continue;
			if (rnd(&seed, 4) == 0)
				spin(rnd(&seed, 2 * MAX_NS));
			bell_post(&q->irq, sent);
		}
		sched_yield();
	}
	return NULL;
}

static void attach(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < QUEUES; i++) {
		poller_attach(reactor, &pairs[i].queue, &queue_ops, pairs[i].kick.fd);
		poller_attach(reactor, &pairs[i].dev, &dev_ops, pairs[i].irq.fd);
	}
}

static void detach(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < QUEUES; i++) {
		poller_detach(&pairs[i].queue);
		poller_detach(&pairs[i].dev);
	}
}

/* Now and then another mode, or other bounds. */
static void stir(uint64_t *seed)
{
	static const struct reactor_idle idle[] = { { MIN_NS, MAX_NS },
						    { 0, 0 },
						    { MAX_NS, MAX_NS } };

	if (rnd(seed, 200) == 0)
		reactor_set_mode(reactor, (enum reactor_mode)rnd(seed, 3));
	if (rnd(seed, 200) == 0)
		assert_int_equal(reactor_set_idle(reactor, &idle[rnd(seed, ARRAY_SIZE(idle))]), 0);
}

static void nothing_is_lost_around_the_border_of_the_window(void **state)
{
	const struct reactor_opts o = { .name = "test", .cpu = -1, .idle = { MIN_NS, MAX_NS } };
	uint64_t seed = 88172645463325252ull;
	uint32_t posted[QUEUES] = { 0 };
	struct reactor_stats st;
	pthread_t thread;

	(void)state;
	for (unsigned i = 0; i < QUEUES; i++) {
		pairs[i].kick.fd = eventfd(0, EFD_NONBLOCK);
		pairs[i].irq.fd = eventfd(0, EFD_NONBLOCK);
	}
	assert_int_equal(reactor_create(&o, &reactor), 0);
	assert_int_equal(reactor_start(reactor), 0);
	reactor_call(reactor, attach, NULL);
	pthread_create(&thread, NULL, device, NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned i = rnd(&seed, QUEUES);
		struct pair *q = &pairs[i];

		/* One under way in each queue, the next when it is done. */
		while (__atomic_load_n(&q->done, __ATOMIC_ACQUIRE) != posted[i])
			sched_yield();
		if (rnd(&seed, 3) == 0)
			spin(rnd(&seed, 3 * MAX_NS));
		bell_post(&q->kick, ++posted[i]);
		stir(&seed);
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		while (__atomic_load_n(&pairs[i].done, __ATOMIC_ACQUIRE) != posted[i])
			sched_yield();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	reactor_get_stats(reactor, &st);
	assert_int_equal(st.pollers, 2 * QUEUES);
	assert_true(st.sleeps > 0); /* or there was nothing to be seen */
	reactor_call(reactor, detach, NULL);
	reactor_stop(reactor);
	reactor_join(reactor);
	reactor_destroy(reactor);
	for (unsigned i = 0; i < QUEUES; i++) {
		close(pairs[i].kick.fd);
		close(pairs[i].irq.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_around_the_border_of_the_window),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
