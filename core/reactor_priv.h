/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a reactor, shared by reactor.c (life), reactor_turn.c (the loop) and deadline.c. */
#ifndef CORE_REACTOR_PRIV_H
#define CORE_REACTOR_PRIV_H

#include <pthread.h>
#include <sys/epoll.h>

#include "core/base/cc.h"
#include "core/base/counter.h"
#include "core/base/list.h"
#include "core/base/mpsc.h"
#include "core/reactor.h"

/* Events taken from epoll at once: more only means another look. */
#define REACTOR_EVENTS 64
/* While something is hot, fds are looked at this often: a system call costs some 300 ns, so this is
 * under 2 %. */
#define REACTOR_LOOK_NS (20 * MONO_NS_PER_US)
/* Mode POLL: sockets of the control plane only. */
#define REACTOR_LOOK_POLL_NS (1 * MONO_NS_PER_MS)
/* Mode POLL: beside busy pollers, one cold poller in this time, so that 255 of them cost the busy
 * one some 5 %. */
#define REACTOR_COLD_NS (1 * MONO_NS_PER_US)
/* The tick counter is compared with the clock this often; in between its error stays below a
 * microsecond or so. */
#define REACTOR_REBASE_NS (10 * MONO_NS_PER_MS)
/* Flushes may make others dirty (completion -> used ring); so many rounds in a turn, the rest in
 * the next. */
#define REACTOR_FLUSH_ROUNDS 8

/* epoll data: what an event belongs to. A poller's address carries the tag, a reactor_fd's does
 * not, 0 is the wake-up. */
#define REACTOR_TAG_POLLER 1u

struct reactor_priv {
	/* written by senders */
	struct mpsc inbox cc_aligned(CACHELINE_BYTES);
	uint32_t sleeping; /* atomic: a sender must write to wake_fd */
	uint32_t asked; /* atomic: REACTOR_ASKED_MODE, above it a count of the changes of asked_idle
			 */
	uint64_t asked_idle; /* atomic: min << 32 | max, in nanoseconds */
	uint32_t stop;	   /* atomic */
	/* the own thread's */
	uint32_t cur_asked cc_aligned(CACHELINE_BYTES);
	uint32_t cur_mode;
	struct idle_bounds idle; /* in ticks */
	uint64_t look_ticks, look_poll_ticks, cold_ticks, rebase_ticks;
	uint64_t base_ticks, base_ns; /* now_ns = base_ns + (now_ticks - base_ticks) */
	uint64_t turn_ticks;	      /* start of the turn that is being accounted */
	uint32_t turn_work;	      /* and what it found */
	uint64_t last_look, last_cold;
	struct list deadlines;	   /* sorted */
	struct list *cursor;	   /* next hot poller of the walk; detach moves it on */
	struct poller *current;	   /* being polled; NULL when it detached itself */
	struct poller *round_last; /* flushing: the last of this round */
	int epfd, wake_fd;
	uint32_t nfds;		    /* attached reactor_fds */
	uint32_t nwatched;	    /* pollers with an fd */
	struct epoll_event *events; /* being dispatched: [next_event, nevents) */
	int next_event, nevents;
	/* counters: one writer, relaxed readers; in ticks */
	uint64_t turns, busy_ticks, idle_turn_ticks, sleep_ticks, sleeps, messages;
	uint64_t sleep_since; /* 0 while awake */
	uint32_t npollers, nhot, ncold, narmed;
	/* cold */
	struct reactor *reactor;
	pthread_t thread;
	bool has_thread;
	uint32_t running; /* atomic */
};

/* What is asked for takes one look per turn. */
#define REACTOR_ASKED_MODE 0xffu
#define REACTOR_ASKED_IDLE 0x100u

/* What belongs to a reactor is touched by its thread only, or by whoever sets it up or takes it
 * down. */
static inline bool reactor_is_mine(const struct reactor *r)
{
	return reactor_self() == r || !__atomic_load_n(&r->priv->running, __ATOMIC_ACQUIRE);
}

/* Mode and bounds become what is asked for. */
void reactor_take_asked(struct reactor *r);
/* Reads the clocks: now_ticks and now_ns. */
void reactor_update_now(struct reactor *r);
/* The tick counter starts anew from the clock. */
void reactor_rebase(struct reactor *r);

/* One turn without any look at fds. Returns the work found. */
unsigned reactor_once(struct reactor *r);
/* Look at the fds without waiting, when it is time; @now_if_cold: at once when nothing is hot. */
void reactor_look(struct reactor *r, bool now_if_cold);
/* Wait for an fd, a message or the next deadline, when nothing is hot. */
void reactor_sleep(struct reactor *r);
bool reactor_may_sleep(const struct reactor *r);
/* An event of @ptr that was fetched but not dispatched yet is void. */
void reactor_forget_events(struct reactor *r, const void *ptr);

/* deadline.c: runs what is due; there are some. Returns how many. */
unsigned reactor_run_deadlines(struct reactor *r);

/* poller.c */
void poller_set_state(struct poller *p, enum poller_state state);
void poller_make_hot(struct poller *p);
/* The poller found nothing for at least the shortest window: shall it go on? Else arm it, put it
 * among the cold, or let it rest. */
void poller_found_nothing(struct poller *p);
/* Armed or cold, it has work again: hot, and the window learns. */
void poller_return(struct poller *p);

#endif
