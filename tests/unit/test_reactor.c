/* SPDX-License-Identifier: BSD-3-Clause */
/* The reactor: messages, pollers in their states, flush order, fds, modes, sleep and wake-up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/reactor.h"

/* A reactor that the test turns by hand. */
static struct reactor *adopt(enum reactor_mode mode, uint64_t idle_ns)
{
	struct reactor_opts o = { .name = "test", .cpu = -1, .mode = mode, .idle_ns = idle_ns };
	struct reactor *r;

	assert_int_equal(reactor_create(&o, &r), 0);
	reactor_adopt(r);
	return r;
}

static struct reactor *start(enum reactor_mode mode)
{
	struct reactor_opts o = { .name = "test", .cpu = -1, .mode = mode };
	struct reactor *r;

	assert_int_equal(reactor_create(&o, &r), 0);
	assert_int_equal(reactor_start(r), 0);
	return r;
}

static void stop(struct reactor *r)
{
	reactor_stop(r);
	reactor_join(r);
	reactor_destroy(r);
}

/* A poller that does what the test says and counts. */
struct source {
	struct poller p;
	unsigned work; /* to be found, one a poll */
	unsigned polls, flushes, arms, disarms;
	bool arm_finds;
	struct source *marks; /* marked dirty by flush */
	struct source *detaches;
	char log[64];
};

static char flush_log[64];

static unsigned source_poll(struct poller *p)
{
	struct source *s = container_of(p, struct source, p);

	s->polls++;
	if (s->detaches) {
		poller_detach(&s->detaches->p);
		memset(&s->detaches->p, 0xee, sizeof(s->detaches->p)); /* the storage is gone */
		return 0;
	}
	if (s->work == 0)
		return 0;
	s->work--;
	poller_mark_dirty(p);
	return 1;
}

static void source_flush(struct poller *p)
{
	struct source *s = container_of(p, struct source, p);

	s->flushes++;
	if (s->log[0])
		strncat(flush_log, s->log, sizeof(flush_log) - strlen(flush_log) - 1);
	if (s->marks)
		poller_mark_dirty(&s->marks->p);
}

static bool source_arm(struct poller *p)
{
	struct source *s = container_of(p, struct source, p);

	s->arms++;
	return s->arm_finds;
}

static void source_disarm(struct poller *p)
{
	container_of(p, struct source, p)->disarms++;
}

static const struct poller_ops source_ops = {
	.name = "source",
	.poll = source_poll,
	.flush = source_flush,
	.arm = source_arm,
	.disarm = source_disarm,
};

static const struct poller_ops flush_only_ops = { .name = "flush-only", .flush = source_flush };

static void flushes_run_in_order_of_marking_and_in_the_same_turn(void **state)
{
	struct reactor *r = adopt(REACTOR_ADAPTIVE, 0);
	struct source a = { .log = "a" }, b = { .log = "b", .work = 1 }, c = { .log = "c" };

	(void)state;
	poller_attach(r, &a.p, &flush_only_ops, -1);
	poller_attach(r, &b.p, &source_ops, -1);
	poller_attach(r, &c.p, &flush_only_ops, -1);
	b.marks = &c;
	c.marks = NULL;
	flush_log[0] = '\0';
	poller_mark_dirty(&a.p);
	poller_mark_dirty(&a.p);
	assert_int_equal(reactor_turn(r), 1);
	assert_string_equal(flush_log, "abc");
	assert_int_equal(a.polls, 0);
	poller_detach(&a.p);
	poller_detach(&b.p);
	poller_detach(&c.p);
	poller_detach(&c.p);
	reactor_destroy(r);
}

static void flushes_that_mark_each_other_do_not_hold_the_turn(void **state)
{
	struct reactor *r = adopt(REACTOR_ADAPTIVE, 0);
	struct source a = { .log = "a" }, b = { .log = "b" };
	unsigned before;

	(void)state;
	poller_attach(r, &a.p, &flush_only_ops, -1);
	poller_attach(r, &b.p, &flush_only_ops, -1);
	a.marks = &b;
	b.marks = &a;
	poller_mark_dirty(&a.p);
	reactor_turn(r);
	before = a.flushes;
	assert_true(before > 0);
	reactor_turn(r);
	assert_true(a.flushes > before);
	poller_detach(&a.p);
	poller_detach(&b.p);
	assert_null(r->dirty_first);
	reactor_destroy(r);
}

static void detach_inside_poll_is_safe(void **state)
{
	struct reactor *r = adopt(REACTOR_ADAPTIVE, 0);

	(void)state;
	for (unsigned who = 0; who < 3; who++) {
		struct source s[3] = { 0 };
		struct reactor_stats st;

		for (unsigned i = 0; i < 3; i++)
			poller_attach(r, &s[i].p, &source_ops, -1);
		poller_mark_dirty(&s[who].p);
		s[1].detaches = &s[who];
		reactor_turn(r);
		s[1].detaches = NULL;
		reactor_turn(r);
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(s[i].polls, i == who ? (who <= 1) : 2);
			if (i != who)
				poller_detach(&s[i].p);
		}
		assert_int_equal(s[who].flushes, 0);
		reactor_get_stats(r, &st);
		assert_int_equal(st.pollers + st.hot + st.armed + st.cold, 0);
	}
	reactor_destroy(r);
}

static void an_idle_poller_is_armed_and_its_fd_wakes_it(void **state)
{
	struct reactor *r = adopt(REACTOR_INTERRUPT, 0);
	struct source s = { .arm_finds = true };
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	(void)state;
	poller_attach(r, &s.p, &source_ops, fd);
	reactor_turn(r);
	assert_int_equal(s.p.state, POLLER_HOT);
	assert_int_equal(s.disarms, 1);
	s.arm_finds = false;
	reactor_turn(r);
	assert_int_equal(s.p.state, POLLER_ARMED);
	reactor_turn(r);
	assert_int_equal(s.polls, 2);
	for (unsigned i = 0; i < 3;
	     i++) { /* each write is an edge, also when nobody reads the counter */
		s.work = 1;
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		assert_int_equal(reactor_turn(r), 1);
		assert_int_equal(s.disarms, 2 + i);
		assert_int_equal(s.flushes, 1 + i);
		reactor_turn(r);
		assert_int_equal(s.p.state, POLLER_ARMED);
	}
	s.work = 1;
	poller_wake(&s.p);
	assert_int_equal(reactor_turn(r), 1);
	poller_detach(&s.p);
	close(fd);
	reactor_destroy(r);
}

static void count_msg(struct reactor_msg *msg);

struct counted {
	struct reactor_msg msg;
	unsigned *count;
};

static void count_msg(struct reactor_msg *msg)
{
	++*container_of(msg, struct counted, msg)->count;
}

static void a_message_to_oneself_runs_later(void **state)
{
	struct reactor *r = adopt(REACTOR_ADAPTIVE, 0);
	unsigned n = 0;
	struct counted c = { .count = &n };

	(void)state;
	reactor_send(r, &c.msg, count_msg);
	assert_int_equal(n, 0);
	assert_int_equal(reactor_turn(r), 1);
	assert_int_equal(n, 1);
	reactor_destroy(r);
}

#define PRODUCERS 4
#define MESSAGES  20000

struct producer {
	pthread_t thread;
	struct reactor *r;
	unsigned seen; /* by the reactor */
	unsigned wrong;
};

struct numbered {
	struct reactor_msg msg;
	struct producer *from;
	unsigned no;
};

static void numbered_msg(struct reactor_msg *msg)
{
	struct numbered *m = container_of(msg, struct numbered, msg);

	m->from->wrong += m->no != m->from->seen;
	m->from->seen++;
	free(m);
}

static void *produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < MESSAGES; i++) {
		struct numbered *m = calloc(1, sizeof(*m));

		m->from = p;
		m->no = i;
		reactor_send(p->r, &m->msg, numbered_msg);
		if (i % 64 == 0)
			usleep(1); /* let it fall asleep */
	}
	return NULL;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Every call returns: a lost wake-up would hang here. */
static void no_message_is_lost_and_each_sender_keeps_its_order(void **state)
{
	static const enum reactor_mode modes[] = { REACTOR_ADAPTIVE, REACTOR_POLL,
						   REACTOR_INTERRUPT };

	(void)state;
	for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
		struct reactor *r = start(modes[m]);
		struct producer p[PRODUCERS] = { 0 };

		for (unsigned i = 0; i < PRODUCERS; i++) {
			p[i].r = r;
			pthread_create(&p[i].thread, NULL, produce, &p[i]);
		}
		for (unsigned i = 0; i < 1000; i++)
			reactor_call(r, nothing, NULL);
		for (unsigned i = 0; i < PRODUCERS; i++)
			pthread_join(p[i].thread, NULL);
		reactor_call(r, nothing, NULL);
		for (unsigned i = 0; i < PRODUCERS; i++) {
			assert_int_equal(p[i].seen, MESSAGES);
			assert_int_equal(p[i].wrong, 0);
		}
		stop(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flushes_run_in_order_of_marking_and_in_the_same_turn),
		cmocka_unit_test(flushes_that_mark_each_other_do_not_hold_the_turn),
		cmocka_unit_test(detach_inside_poll_is_safe),
		cmocka_unit_test(an_idle_poller_is_armed_and_its_fd_wakes_it),
		cmocka_unit_test(a_message_to_oneself_runs_later),
		cmocka_unit_test(no_message_is_lost_and_each_sender_keeps_its_order),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
