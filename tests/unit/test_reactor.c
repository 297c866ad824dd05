/* SPDX-License-Identifier: BSD-3-Clause */
/* The reactor: messages, pollers in their states, flush order, fds, modes, sleep and wake-up. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/log.h"
#include "core/reactor.h"

static void quiet(enum log_level level, const char *tag, const char *text)
{
}

/* A reactor that the test turns by hand. */
static struct reactor *adopt(enum reactor_mode mode, uint64_t idle_ns)
{
	struct reactor_opts o = {
		.name = "test", .cpu = -1, .mode = mode, .idle = { idle_ns, idle_ns }
	};
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
	bool arm_finds, expects;
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
		return 1;
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
		struct source s[3] = { { .work = 2 },
				       { .work = 2 },
				       { .work = 2 } }; /* hot, at any pace */
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

static unsigned kicked_turn(struct reactor *r, struct source *s, int fd)
{
	uint64_t one = 1;

	while (s->p.state == POLLER_HOT)
		reactor_turn(r);
	usleep(10);
	s->work = 1;
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	return reactor_turn(r);
}

static void the_window_follows_the_gaps_and_the_bounds(void **state)
{
	struct reactor *r = adopt(REACTOR_INTERRUPT, REACTOR_IDLE_LIMIT_NS);
	struct reactor_idle idle = { 0, 1000 };
	struct source s = { 0 };
	int fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	poller_attach(r, &s.p, &source_ops, fd);
	assert_in_range(poller_window_ns(&s.p), REACTOR_IDLE_LIMIT_NS - 1, REACTOR_IDLE_LIMIT_NS);
	assert_int_equal(reactor_set_idle(r, &idle), 0);
	assert_int_equal(reactor_get_idle(r).max_ns, 1000);
	reactor_turn(r);
	assert_in_range(poller_window_ns(&s.p), 990, 1000);
	assert_int_equal(kicked_turn(r, &s, fd), 1); /* 10 us: far */
	assert_in_range(poller_window_ns(&s.p), 740, 750);
	idle = (struct reactor_idle){ 500, REACTOR_IDLE_LIMIT_NS };
	assert_int_equal(reactor_set_idle(r, &idle), 0);
	assert_int_equal(kicked_turn(r, &s, fd), 1); /* near */
	assert_in_range(poller_window_ns(&s.p), 15000, REACTOR_IDLE_LIMIT_NS);
	idle = (struct reactor_idle){ 0, 0 };
	assert_int_equal(reactor_set_idle(r, &idle), 0);
	assert_int_equal(kicked_turn(r, &s, fd), 1);
	assert_int_equal(poller_window_ns(&s.p), 0);
	poller_detach(&s.p);
	close(fd);
	reactor_destroy(r);
}

static void bounds_are_checked(void **state)
{
	static const struct reactor_idle bad[] = { { 2, 1 },
						   { 0, REACTOR_IDLE_LIMIT_NS + 1 },
						   { 1, 0 } };
	struct reactor *r = adopt(REACTOR_ADAPTIVE, 0);

	(void)state;
	assert_int_equal(reactor_get_idle(r).min_ns, REACTOR_IDLE_MIN_NS);
	assert_int_equal(reactor_get_idle(r).max_ns, REACTOR_IDLE_MAX_NS);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct reactor_opts o = { .name = "test", .cpu = -1, .idle = bad[i] };
		struct reactor *none = NULL;

		assert_int_equal(reactor_set_idle(r, &bad[i]), -EINVAL);
		assert_int_equal(reactor_create(&o, &none), -EINVAL);
		assert_null(none);
	}
	assert_int_equal(reactor_get_idle(r).max_ns, REACTOR_IDLE_MAX_NS);
	reactor_destroy(r);
}

static bool source_expects(const struct poller *p)
{
	return container_of(p, struct source, p)->expects;
}

static const struct poller_ops expecting_ops = {
	.name = "expecting",
	.poll = source_poll,
	.flush = source_flush,
	.arm = source_arm,
	.disarm = source_disarm,
	.expects = source_expects,
};

static void who_expects_nothing_rests_without_being_armed(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		struct reactor *r = adopt((enum reactor_mode)m, 1);
		struct source s = { .expects = false };

		poller_attach(r, &s.p, &expecting_ops, fd);
		while (s.p.state == POLLER_HOT)
			reactor_turn(r);
		assert_int_equal(s.p.state, POLLER_ARMED);
		assert_int_equal(s.arms, 0);
		s.polls = 0;
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		reactor_turn(r);
		assert_int_equal(s.polls, 0);
		s.expects = true;
		s.work = 1;
		poller_wake(&s.p);
		assert_int_equal(reactor_turn(r), 1);
		assert_int_equal(s.disarms, 0);
		while (s.p.state == POLLER_HOT)
			reactor_turn(r);
		assert_int_equal(s.p.state, m == REACTOR_POLL ? POLLER_COLD : POLLER_ARMED);
		assert_int_equal(s.arms, m == REACTOR_POLL ? 0 : 1);
		poller_detach(&s.p);
		reactor_destroy(r);
	}
	close(fd);
}

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

static void in_mode_poll_an_idle_poller_is_cold_and_found_again(void **state)
{
	struct reactor *r = adopt(REACTOR_POLL, 1); /* idle at once */
	struct source s[3] = { 0 };
	struct reactor_stats st;
	unsigned turns = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		poller_attach(r, &s[i].p, &source_ops, -1);
	do {
		reactor_turn(r);
		reactor_get_stats(r, &st);
	} while (st.cold < 3);
	assert_int_equal(st.hot, 0);
	assert_int_equal(s[0].arms, 0);
	for (unsigned i = 0; i < 3; i++)
		s[i].polls = 0;
	for (unsigned i = 0; i < 3; i++)
		reactor_turn(r);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(s[i].polls, 1); /* one a turn, in turns */
	s[1].work = 5;
	while (s[1].work == 5 && turns++ < 3)
		reactor_turn(r);
	assert_int_equal(s[1].p.state, POLLER_HOT);
	assert_int_equal(s[1].flushes, 1);
	poller_wake(&s[2].p);
	assert_int_equal(s[2].p.state, POLLER_HOT);
	for (unsigned i = 0; i < 3; i++)
		poller_detach(&s[i].p);
	reactor_destroy(r);
}

static void a_change_of_mode_makes_all_hot_again(void **state)
{
	static const enum reactor_mode modes[] = { REACTOR_POLL, REACTOR_INTERRUPT,
						   REACTOR_ADAPTIVE, REACTOR_POLL,
						   REACTOR_ADAPTIVE };
	struct reactor *r = adopt(REACTOR_INTERRUPT, 1);
	struct source s = { 0 }, flush_only = { 0 };

	(void)state;
	poller_attach(r, &s.p, &source_ops, -1);
	poller_attach(r, &flush_only.p, &flush_only_ops, -1);
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		unsigned polls;

		while (s.p.state == POLLER_HOT)
			reactor_turn(r);
		reactor_set_mode(r, modes[i]);
		assert_int_equal(reactor_get_mode(r), modes[i]);
		polls = s.polls;
		reactor_turn(r);
		assert_true(s.polls > polls);
		assert_int_equal(flush_only.p.state, POLLER_ARMED);
	}
	assert_true(s.disarms > 0);
	poller_detach(&s.p);
	poller_detach(&flush_only.p);
	reactor_destroy(r);
}

/* A poller whose kicks come from other threads, as a virtqueue's do: a counter, a "please kick"
 * flag, an eventfd. */
struct queue {
	struct poller p;
	int fd;
	uint32_t avail, want_kick; /* shared */
	uint32_t taken;
	struct reactor *r;
};

static unsigned queue_poll(struct poller *p)
{
	struct queue *q = container_of(p, struct queue, p);
	uint32_t avail = __atomic_load_n(&q->avail, __ATOMIC_ACQUIRE);
	unsigned n = avail - q->taken;

	__atomic_store_n(&q->taken, avail, __ATOMIC_RELEASE);
	return n;
}

static bool queue_arm(struct poller *p)
{
	struct queue *q = container_of(p, struct queue, p);

	__atomic_store_n(&q->want_kick, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&q->avail, __ATOMIC_SEQ_CST) != q->taken;
}

static void queue_disarm(struct poller *p)
{
	struct queue *q = container_of(p, struct queue, p);
	uint64_t n;

	__atomic_store_n(&q->want_kick, 0, __ATOMIC_SEQ_CST);
	(void)!read(q->fd, &n, sizeof(n));
}

static const struct poller_ops queue_ops = {
	.name = "queue",
	.poll = queue_poll,
	.arm = queue_arm,
	.disarm = queue_disarm,
};

static void queue_attach(void *arg)
{
	struct queue *q = arg;

	poller_attach(q->r, &q->p, &queue_ops, q->fd);
}

static void queue_detach(void *arg)
{
	poller_detach(&((struct queue *)arg)->p);
}

#define KICKS 20000

/* One item at a time, the next when it is taken: a lost kick would hang here. */
static void no_kick_is_lost_in_any_mode_nor_while_modes_change(void **state)
{
	struct reactor *r = start(REACTOR_ADAPTIVE);
	struct queue q = { .r = r, .fd = eventfd(0, EFD_NONBLOCK) };

	(void)state;
	reactor_call(r, queue_attach, &q);
	for (uint32_t i = 1; i <= KICKS; i++) {
		uint64_t one = 1;

		if (i % 100 == 0)
			reactor_set_mode(r, (enum reactor_mode)(i / 100 % 3));
		if (i % 500 == 0)
			usleep(200); /* asleep, in the modes that sleep */
		__atomic_store_n(&q.avail, i, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&q.want_kick, __ATOMIC_SEQ_CST))
			assert_int_equal(write(q.fd, &one, sizeof(one)), sizeof(one));
		while (__atomic_load_n(&q.taken, __ATOMIC_ACQUIRE) != i)
			sched_yield();
	}
	reactor_call(r, queue_detach, &q);
	close(q.fd);
	stop(r);
}

static void an_idle_adaptive_reactor_sleeps(void **state)
{
	struct reactor *r = start(REACTOR_ADAPTIVE);
	struct queue q = { .r = r, .fd = eventfd(0, EFD_NONBLOCK) };
	struct reactor_stats st, later;

	(void)state;
	reactor_call(r, queue_attach, &q);
	do {
		reactor_get_stats(r, &st);
	} while (st.armed != 1 || st.sleep_ns == 0);
	assert_int_equal(st.pollers, 1);
	/* No matter how long: without a message or a kick there is no turn (a few, while it fell
	 * asleep). */
	do {
		usleep(50000);
		reactor_get_stats(r, &later);
	} while (later.sleep_ns == st.sleep_ns);
	assert_in_range(later.turns, st.turns, st.turns + 1000);
	reactor_call(r, queue_detach, &q);
	close(q.fd);
	stop(r);
}

/* fds of the control plane */
struct pipe_end {
	struct reactor_fd rfd;
	unsigned events;
	struct pipe_end *detaches;
};

static void pipe_event(struct reactor_fd *rfd, uint32_t events)
{
	struct pipe_end *e = container_of(rfd, struct pipe_end, rfd);

	__atomic_fetch_add(&e->events, 1, __ATOMIC_RELAXED);
	if (e->detaches) {
		reactor_fd_detach(&e->detaches->rfd);
		reactor_fd_detach(&e->rfd);
	}
}

static void fds_are_level_triggered_and_detach_is_safe_inside(void **state)
{
	static const enum reactor_mode modes[] = { REACTOR_ADAPTIVE, REACTOR_POLL,
						   REACTOR_INTERRUPT };

	(void)state;
	for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
		struct reactor *r = adopt(modes[m], 0);
		struct pipe_end a = { 0 }, b = { 0 };
		int fd = eventfd(1, EFD_NONBLOCK), fd2 = eventfd(1, EFD_NONBLOCK);

		assert_int_equal(reactor_fd_attach(r, &a.rfd, -1, EPOLLIN, pipe_event), -EBADF);
		assert_int_equal(reactor_fd_attach(r, &a.rfd, fd, EPOLLIN, pipe_event), 0);
		reactor_turn(r);
		reactor_turn(r);
		assert_int_equal(a.events, 2);
		assert_int_equal(reactor_fd_modify(&a.rfd, 0), 0);
		reactor_turn(r);
		assert_int_equal(a.events, 2);
		assert_int_equal(reactor_fd_modify(&a.rfd, EPOLLIN), 0);
		assert_int_equal(reactor_fd_attach(r, &b.rfd, fd2, EPOLLIN, pipe_event), 0);
		/* Whoever comes first takes both away; the other's event is void. */
		a.detaches = &b;
		b.detaches = &a;
		a.events = 0;
		assert_int_equal(reactor_turn(r), 1);
		assert_int_equal(a.events + b.events, 1);
		reactor_fd_detach(&a.rfd);
		reactor_turn(r);
		assert_int_equal(a.events + b.events, 1);
		close(fd);
		close(fd2);
		reactor_destroy(r);
	}
}

static void a_running_reactor_serves_fds_in_every_mode(void **state)
{
	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		struct reactor_opts o = { .name = "main", .cpu = -1, .mode = (enum reactor_mode)m };
		struct reactor *r;
		struct pipe_end a = { 0 };
		int fd = eventfd(0, EFD_NONBLOCK);
		uint64_t one = 1;

		assert_int_equal(reactor_create(&o, &r), 0);
		assert_int_equal(reactor_fd_attach(r, &a.rfd, fd, EPOLLIN, pipe_event), 0);
		a.detaches = &a;
		assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
		assert_int_equal(reactor_start(r), 0);
		while (__atomic_load_n(&a.events, __ATOMIC_RELAXED) == 0)
			sched_yield();
		stop(r);
		close(fd);
	}
}

static void an_fd_that_cannot_be_watched_is_polled(void **state)
{
	struct reactor *r = adopt(REACTOR_INTERRUPT, 0);
	struct source s = { 0 };
	char path[] = "/tmp/nvring-test-XXXXXX";
	int file = mkstemp(path), fd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	unlink(path);
	log_set_sink(quiet);
	poller_attach(r, &s.p, &source_ops, file);
	log_set_sink(NULL);
	for (unsigned i = 0; i < 3; i++)
		reactor_turn(r);
	assert_int_equal(s.polls, 3);
	assert_int_equal(s.p.state, POLLER_HOT);
	poller_set_fd(&s.p, fd); /* a better one */
	reactor_turn(r);
	assert_int_equal(s.p.state, POLLER_ARMED);
	poller_detach(&s.p);
	close(fd);
	close(file);
	reactor_destroy(r);
}

static void options_are_checked(void **state)
{
	struct reactor_opts o = { .name = "a name that is too long", .cpu = 100000 };
	struct reactor *r = NULL, *all[REACTOR_MAX];
	enum reactor_mode mode;

	(void)state;
	assert_int_equal(reactor_create(&o, &r), -EINVAL);
	assert_null(r);
	o.cpu = -1;
	for (unsigned i = 0; i < REACTOR_MAX; i++) {
		assert_int_equal(reactor_create(&o, &all[i]), 0);
		assert_int_equal(all[i]->id, i);
	}
	assert_int_equal(reactor_create(&o, &r), -ENOSPC);
	reactor_destroy(all[7]);
	assert_int_equal(reactor_create(&o, &all[7]), 0);
	assert_int_equal(all[7]->id, 7);
	for (unsigned i = 0; i < REACTOR_MAX; i++)
		reactor_destroy(all[i]);
	reactor_destroy(NULL);
	for (unsigned m = 0; m < 3; m++) {
		assert_int_equal(reactor_mode_parse(reactor_mode_name((enum reactor_mode)m), &mode),
				 0);
		assert_int_equal(mode, m);
	}
	assert_int_equal(reactor_mode_parse("fast", &mode), -EINVAL);
}

static void see_where(void *arg)
{
	int *cpu = arg;
	sigset_t set;

	*cpu = sched_getcpu();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	if (!sigismember(&set, SIGTERM) || !sigismember(&set, SIGINT))
		*cpu = -1;
}

static void a_data_reactor_is_pinned_and_blocks_signals(void **state)
{
	cpu_set_t set;
	int cpu = 0, seen = -1;
	struct reactor_opts o = { .name = "pinned", .mode = REACTOR_INTERRUPT };
	struct reactor *r;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	o.cpu = cpu;
	assert_int_equal(reactor_create(&o, &r), 0);
	assert_int_equal(reactor_start(r), 0);
	reactor_call(r, see_where, &seen);
	assert_int_equal(seen, cpu);
	stop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flushes_run_in_order_of_marking_and_in_the_same_turn),
		cmocka_unit_test(flushes_that_mark_each_other_do_not_hold_the_turn),
		cmocka_unit_test(detach_inside_poll_is_safe),
		cmocka_unit_test(an_idle_poller_is_armed_and_its_fd_wakes_it),
		cmocka_unit_test(the_window_follows_the_gaps_and_the_bounds),
		cmocka_unit_test(bounds_are_checked),
		cmocka_unit_test(who_expects_nothing_rests_without_being_armed),
		cmocka_unit_test(a_message_to_oneself_runs_later),
		cmocka_unit_test(no_message_is_lost_and_each_sender_keeps_its_order),
		cmocka_unit_test(in_mode_poll_an_idle_poller_is_cold_and_found_again),
		cmocka_unit_test(a_change_of_mode_makes_all_hot_again),
		cmocka_unit_test(no_kick_is_lost_in_any_mode_nor_while_modes_change),
		cmocka_unit_test(an_idle_adaptive_reactor_sleeps),
		cmocka_unit_test(fds_are_level_triggered_and_detach_is_safe_inside),
		cmocka_unit_test(a_running_reactor_serves_fds_in_every_mode),
		cmocka_unit_test(an_fd_that_cannot_be_watched_is_polled),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(a_data_reactor_is_pinned_and_blocks_signals),
	};

	mono_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
