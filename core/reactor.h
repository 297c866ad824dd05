/* SPDX-License-Identifier: BSD-3-Clause */
/* A reactor: one thread of one CPU that owns objects, takes messages, polls, flushes, and sleeps when idle. */
#ifndef CORE_REACTOR_H
#define CORE_REACTOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/cc.h"
#include "core/base/list.h"
#include "core/base/mpsc.h"
#include "core/base/mono.h"
#include "core/idle.h"

struct reactor;
struct poller;

#define REACTOR_MAX	  256 /* data reactors in a process: one per CPU */
#define REACTOR_NAME_MAX  16

/*
 * Adaptive: a poller spins this long after its last work, see core/idle.h. Min costs a trickle of
 * 100 I/Os per second a thousandth of a core; max is beyond what an NVMe SSD takes for a read,
 * guest included.
 */
#define REACTOR_IDLE_MIN_NS (10 * MONO_NS_PER_US)
#define REACTOR_IDLE_MAX_NS (200 * MONO_NS_PER_US)
#define REACTOR_IDLE_LIMIT_NS \
	MONO_NS_PER_SEC /* no bound is higher: who wants more wants mode poll */

enum reactor_mode {
	REACTOR_ADAPTIVE,  /* spins under load, sleeps when idle; the default */
	REACTOR_POLL,	   /* never sleeps */
	REACTOR_INTERRUPT, /* never spins */
};

/*
 * Pollers
 * -------
 * A poller is a source of work: a virtqueue, an io_uring, an NVMe queue pair. All calls on its
 * reactor.
 *
 *       poll() finds nothing for its window         fd readable, or poller_wake()
 *   HOT ──────────────────────────────────► ARMED ───────────────────────────────► HOT
 *    │ │    arm() returned false    (fd in epoll, costs nothing)   disarm()         ▲
 *    │ │                                                                            │
 *    │ └─ in mode POLL, instead: COLD, one of them polled per turn, found work ─────┤
 *    │                                                                              │
 *    └─ nothing for the shortest window, and expects() says that nothing can come:  │
 *       ARMED without arm(), deaf to its fd ──────────── poller_wake() ─────────────┘
 */
struct poller_ops {
	const char *name;
	/* Bounded work; returns how much was done, 0 = nothing. NULL: there is nothing to poll, only flush. */
	unsigned (*poll)(struct poller *p);
	/* Push out what poll or a completion collected. Called once per poller_mark_dirty(), in the same turn
	 * (in the next one, when flushes keep marking each other dirty). May be NULL. */
	void (*flush)(struct poller *p);
	/* Ask the other side for notifications on fd, then look once more: true = there is work, stay hot
	 * (notifications may be left on; disarm() follows). NULL: always may be armed. */
	bool (*arm)(struct poller *p);
	/* The poller is hot again: consume the eventfd, ask for no notifications. NULL: nothing to do. */
	void (*disarm)(struct poller *p);
	/* Is something under way, so that work can come without poller_wake()? NULL: always. */
	bool (*expects)(const struct poller *p);
};

enum poller_state {
	POLLER_DETACHED,
	POLLER_HOT,
	POLLER_COLD,
	POLLER_ARMED,
};

struct poller {
	const struct poller_ops *ops;
	struct reactor *reactor;
	struct poller *dirty_next;
	uint64_t last_work_ticks;
	struct list link; /* hot, cold or armed list of the reactor */
	int fd;		  /* readable = work; -1: never armed through an fd, only by poller_wake() */
	uint8_t state;	  /* enum poller_state */
	bool is_dirty;
	bool is_deaf;	  /* the fd cannot be watched: never armed */
	bool is_armed;	  /* arm() was called, and not yet disarm() */
	struct idle_window idle; /* in ticks */
};

/* Starts hot (without ops->poll: armed for good, flush only). @p is the user's storage and must stay until
 * poller_detach(). On the reactor. */
void poller_attach(struct reactor *r, struct poller *p, const struct poller_ops *ops, int fd);

/* Safe from inside any poll/flush of the same reactor; harmless twice. A pending flush is dropped. */
void poller_detach(struct poller *p);

/* Change the fd that wakes an armed poller (a new kick fd). The poller is hot afterwards. */
void poller_set_fd(struct poller *p, int fd);

/* fn for each poller of @r with @ops, hot, cold or armed; fn attaches and detaches none. On the reactor, for inspection. */
void poller_for_each(struct reactor *r, const struct poller_ops *ops,
		     void (*fn)(struct poller *p, void *arg), void *arg);

/* For how long it is polled in vain, now. Any thread, while @p is attached. */
uint64_t poller_window_ns(const struct poller *p);

/* Make an armed or cold poller hot, because its own reactor gave it work. */
void poller_wake(struct poller *p);

/*
 * Messages
 * --------
 * Storage is the sender's until fn is called; FIFO between one sender and one reactor.
 */
struct reactor_msg;
typedef void (*reactor_msg_fn)(struct reactor_msg *msg);

struct reactor_msg {
	struct mpsc_node node;
	reactor_msg_fn fn;
};

/* Any thread. fn runs on @r, never inside this call (also when called on @r itself). */
void reactor_send(struct reactor *r, struct reactor_msg *msg, reactor_msg_fn fn);

/* Run fn(arg) on @r and wait. For set-up threads and tests; asserts that @r is not the caller's own. */
void reactor_call(struct reactor *r, void (*fn)(void *arg), void *arg);

/*
 * File descriptors of the control plane (sockets, listeners): level-triggered.
 */
struct reactor_fd;
typedef void (*reactor_fd_fn)(struct reactor_fd *rfd, uint32_t events);

struct reactor_fd {
	struct reactor *reactor; /* NULL while detached */
	int fd;
	uint32_t events; /* EPOLLIN | … */
	reactor_fd_fn fn;
};

/* 0 or -errno of epoll_ctl. The fd stays the caller's. On the reactor. */
int reactor_fd_attach(struct reactor *r, struct reactor_fd *rfd, int fd, uint32_t events,
		      reactor_fd_fn fn);
int reactor_fd_modify(struct reactor_fd *rfd, uint32_t events);
/* Before the fd is closed. Safe inside its own fn. Harmless when detached. */
void reactor_fd_detach(struct reactor_fd *rfd);

/*
 * The reactor
 */
struct reactor_stats {
	uint64_t turns, busy_ns, idle_ns, sleep_ns; /* busy: turns that found work; idle: turns that polled in vain */
	uint64_t sleeps, messages;
	uint32_t pollers, hot, cold, armed;
};

struct reactor {
	/* written by the own thread on the data path */
	uint64_t now_ticks; /* of this turn; read again before the flushes */
	uint64_t now_ns;    /* of this turn, monotonic */
	struct poller *dirty_first, **dirty_last;
	struct list hot, cold, armed;
	uint32_t work; /* work found in this turn */
	/* set at creation */
	unsigned id; /* 0 … REACTOR_MAX - 1, the lowest one free at creation */
	int cpu;     /* pinned to, or -1 */
	char name[REACTOR_NAME_MAX];
	struct reactor_priv *priv; /* inbox, epoll, thread, deadlines, counters */
	struct qos_guard *guard; /* of the control thread: core/qos_guard.h */
};

/* Bounds of the windows: min <= max <= REACTOR_IDLE_LIMIT_NS. Both 0 among options: the defaults.
 */
struct reactor_idle {
	uint64_t min_ns, max_ns;
};

struct reactor_opts {
	const char *name;	/* thread name; at most 15 characters */
	int cpu;		/* pin to this CPU; -1: do not pin */
	enum reactor_mode mode;
	struct reactor_idle idle;
};

/* Allocates; does not run yet. 0, -EINVAL (CPU not available, idle out of bounds), -ENOSPC
 * (REACTOR_MAX), -EMFILE, -ENOMEM. */
int reactor_create(const struct reactor_opts *opts, struct reactor **ret_r);

/* Run on a new thread, or on the calling one until reactor_stop() (the control reactor is main's). */
int reactor_start(struct reactor *r);
void reactor_run(struct reactor *r);

/* Ask it to end after the current turn; any thread, also a signal handler. reactor_join waits for the thread of reactor_start. */
void reactor_stop(struct reactor *r);
void reactor_join(struct reactor *r);
/* Not running any more; no pollers attached. Whoever sent to it has come back from reactor_send(): that a message has
 * arrived does not say so; that its sender has been joined, or has answered something else since, does. NULL is fine. */
void reactor_destroy(struct reactor *r);

/* One turn, without sleeping: for tests and benchmarks that own the thread. Returns the work found. */
unsigned reactor_turn(struct reactor *r);

/* Makes @r the calling thread's reactor without running it (tests, benchmarks). */
void reactor_adopt(struct reactor *r);

/* The calling thread's reactor, or NULL. */
struct reactor *reactor_self(void);

/* At run time, any thread; takes effect within a turn. */
void reactor_set_mode(struct reactor *r, enum reactor_mode mode);
enum reactor_mode reactor_get_mode(const struct reactor *r);
/* 0 or -EINVAL. */
int reactor_set_idle(struct reactor *r, const struct reactor_idle *idle);
struct reactor_idle reactor_get_idle(const struct reactor *r);

/* A snapshot; any thread. */
void reactor_get_stats(const struct reactor *r, struct reactor_stats *ret);

const char *reactor_mode_name(enum reactor_mode mode);
int reactor_mode_parse(const char *name, enum reactor_mode *ret_mode);

/* flush() of @p will run in this turn. On the reactor; cheap when already dirty. */
static inline void poller_mark_dirty(struct poller *p)
{
	struct reactor *r = p->reactor;

	if (p->is_dirty)
		return;
	p->is_dirty = true;
	p->dirty_next = NULL;
	*r->dirty_last = p;
	r->dirty_last = &p->dirty_next;
}

#endif
