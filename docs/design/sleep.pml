/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a reactor falls asleep and is woken: by messages and by a driver's kicks. For spin; see
 * README.md beside this file.
 *
 * Every store that a later load of the same thread must not overtake goes through a store buffer:
 * one entry for each variable, emptied at any time, or by a full barrier. -DBREAK_... takes a step
 * away that the code cannot do without; -DEVENT_IDX is the ring with VIRTIO_F_EVENT_IDX.
 */

#ifndef REQUESTS
#define REQUESTS 3 /* of the driver, one or two at a time */
#endif
#define SENDERS	 2
#define MESSAGES 1 /* of each sender */

/* Memory, as every thread but the writer sees it. */
byte inbox;    /* reactor_priv.inbox: how many messages hang there */
bool sleeping; /* reactor_priv.sleeping */
byte avail;    /* the ring's available index */
byte wish;     /* the device's wish: NO_NOTIFY in used.flags, or avail_event */

/* What has been stored and is on its way to memory. */
bool sleeping_held, sleeping_new; /* the reactor's */
bool wish_held;
byte wish_new;
bool avail_held; /* the driver's */
byte avail_new;

/* The kernel's: what epoll has on its ready list, and whether the counter of kick_fd is above 0.
 * Nobody reads wake_fd, so that its counter does not matter. */
bool wake_ready, kick_ready, kick_count;

/* What has come through. */
byte handled; /* messages */
byte taken;   /* requests: vq.avail_idx */

#define ALL_DONE (handled == SENDERS * MESSAGES && taken == REQUESTS)

inline store_sleeping(value)
{
	d_step { sleeping_new = value; sleeping_held = true }
}

inline store_wish(value)
{
	d_step { wish_new = value; wish_held = true }
}

inline store_avail(value)
{
	d_step { avail_new = value; avail_held = true }
}

#define REACTOR_BARRIER_FULL (!sleeping_held && !wish_held)
#define DRIVER_BARRIER_FULL  (!avail_held)

/* One process for each buffer: weak fairness empties every one of them in the end. */
active proctype buffer_sleeping()
{
end_empty:
	do
	:: d_step { sleeping_held -> sleeping = sleeping_new; sleeping_new = false; sleeping_held = false }
	od
}

active proctype buffer_wish()
{
end_empty:
	do
	:: d_step { wish_held -> wish = wish_new; wish_new = 0; wish_held = false }
	od
}

active proctype buffer_avail()
{
end_empty:
	do
	:: d_step { avail_held -> avail = avail_new; avail_new = 0; avail_held = false }
	od
}

/* reactor_send() */
active [SENDERS] proctype sender()
{
	byte left = MESSAGES;
	bool was_empty;
#ifdef BREAK_SENDER_BARRIER
	bool was_sleeping;
#define SEES_SLEEPING was_sleeping
#else
#define SEES_SLEEPING sleeping
#endif

	do
	:: left > 0 ->
#ifdef BREAK_SENDER_BARRIER
		was_sleeping = sleeping; /* the load overtakes the push */
#endif
		d_step { was_empty = (inbox == 0); inbox++ } /* mpsc_push() */
		if
		:: was_empty && SEES_SLEEPING -> wake_ready = true /* reactor_wake() */
		:: else
		fi;
		d_step { was_empty = false; left-- }
	:: else -> break
	od
}

/* vqd_split_wants_kick(): old and new index around what was published */
#ifdef EVENT_IDX
#define WANTS_KICK(old, new) (old <= wish && wish < new)
#else
#define WANTS_KICK(old, new) (wish == 0)
#endif

/* vqd_split_publish(), or any guest's driver */
active proctype driver()
{
	byte old, new;

	do
	:: new < REQUESTS ->
		if
		:: new = old + 1
		:: old + 2 <= REQUESTS -> new = old + 2
		fi;
		store_avail(new);
#ifndef BREAK_DRIVER_BARRIER
		DRIVER_BARRIER_FULL;
#endif
		if
		:: WANTS_KICK(old, new) ->
			/* The kernel's locks order the write after what was stored before it. */
			d_step { DRIVER_BARRIER_FULL -> kick_count = true; kick_ready = true }
		:: else
		fi;
		old = new
	:: else -> break
	od
}

/* vq_kick_disable() */
inline kick_disable()
{
	kick_count = false; /* vq_kick_read() */
#ifndef EVENT_IDX
	store_wish(1)
#endif
}

/* poller_make_hot() */
inline make_hot()
{
	is_hot = true;
	kick_disable()
}

/* poller_found_nothing() -> poller_arm() -> queue_arm() -> vq_kick_enable() */
inline demote()
{
#ifdef EVENT_IDX
	store_wish(taken);
#else
	store_wish(0);
#endif
#ifndef BREAK_RING_BARRIER
	REACTOR_BARRIER_FULL;
#endif
	if
#ifndef BREAK_RING_LOOK
	:: avail != taken -> kick_disable()
	:: avail == taken -> is_hot = false
#else
	:: is_hot = false
#endif
	fi
}

/* epoll_wait() with what there is: an edge is told once, and only if the fd is readable then. */
inline collect()
{
	d_step { has_kick = kick_ready && kick_count; kick_ready = false; wake_ready = false }
}

/* reactor_dispatch() */
inline dispatch()
{
	if
	:: has_kick && !is_hot -> make_hot()
	:: else
	fi;
	has_kick = false
}

/* reactor_sleep(), without a deadline */
inline sleep()
{
	store_sleeping(true);
#ifndef BREAK_REACTOR_BARRIER
	REACTOR_BARRIER_FULL;
#endif
	if
#ifndef BREAK_INBOX_LOOK
	:: inbox != 0 -> collect()
	:: inbox == 0 ->
#else
	:: true ->
#endif
end_asleep:
		do
		:: atomic { wake_ready || (kick_ready && kick_count) -> collect(); break }
		:: d_step { kick_ready && !kick_count && !wake_ready -> kick_ready = false }
		od
	fi;
	store_sleeping(false);
	dispatch()
}

/* reactor_run(), with one queue of its own; other pollers may keep it awake. */
active proctype reactor()
{
	bool is_hot = true, has_kick;

	kick_disable(); /* queue_start() */
	do
	:: d_step { handled = handled + inbox; inbox = 0 } /* reactor_read_inbox() */
		if
		:: is_hot -> /* reactor_poll_one() -> queue_poll() */
			if
			:: avail != taken -> taken++
			:: avail == taken ->
				if
				:: true /* not idle for long enough */
				:: demote()
				fi
			fi
		:: else
		fi;
		if
		:: !is_hot -> sleep()
		:: is_hot	       /* reactor_look(): not due */
		:: collect(); dispatch() /* reactor_look(), with another poller that is hot, too */
		fi
	od
}

/* Nobody can take another step: nothing may be left lying. */
active proctype at_rest()
{
end_watching:
	timeout -> assert(inbox == 0 && avail == REQUESTS && ALL_DONE)
}

/* Under weak fairness everything comes through, whatever the order of the steps. */
ltl all_taken { <> ALL_DONE }
