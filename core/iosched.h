/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The admission point of a channel: what may go to the driver now, and what waits.
 *
 *   limits of the disk ─► limits of its group ─► (split) ─► room in the device ─► driver
 *   seat, qos_pool        seat, qos_pool                    waiting[]
 *
 * A channel without limits that is not frozen has no gate: easy I/O goes from bdev_submit() to the driver when there is
 * room. With a gate, chan->submit and chan->submit_batch lead here. Everything on the channel's reactor unless said
 * otherwise.
 */
#ifndef CORE_IOSCHED_H
#define CORE_IOSCHED_H

#include "core/bdev.h"
#include "core/deadline.h"
#include "core/qos_pool.h"

enum iosched_stage {
	IOSCHED_DISK,
	IOSCHED_GROUP,
	IOSCHED_LIMITS, /* how many */
};

enum iosched_path_state {
	IOSCHED_PATH_GOOD,
	IOSCHED_PATH_HELD,   /* it has failed; nothing is sent */
	IOSCHED_PATH_TRYING, /* it failed before, and has not answered since */
};

/* The way to the device: core/iosched_path.c. */
struct iosched_path {
	/* I/O that came back, in that order, each with its error as its status */
	struct bio_queue again;
	struct deadline timer; /* HELD until then */
	uint64_t timeout_ns;   /* 0: nothing is taken back */
	uint64_t since_ns;     /* when it stopped being GOOD */
	uint64_t pause_ns;     /* how long it is HELD */
};

/* What the control thread wants of a channel: core/iosched_order.c. */
struct iosched_order {
	struct reactor_msg msg;
	uint32_t depth; /* 0: the device's */
	uint16_t weight;
	bool is_limited;
	bool is_frozen;
	bool shall_flush; /* nobody is to wait for a limit */
	uint64_t patience_ns[QOS_CLASSES];
	uint64_t path_timeout_ns;
	struct qos_pool *group;
	struct qos_limits promise; /* in the group; of its rates, those of all kinds */
	uint64_t freeze;	   /* which one, when frozen */
};

/* The cold part of a scheduler. */
struct iosched_gate {
	struct qos_seat seat[IOSCHED_LIMITS];
	struct qos_pool own;
	struct qos_promise promise;
	struct iosched_path path;
	struct iosched_order order; /* as last sent */
	/* Drained: told once per freeze. */
	struct reactor_msg empty_msg;
	uint64_t freeze;       /* which one, when frozen; the reactor's, for order may be the next one by now */
	uint64_t empty_freeze; /* told, or being told */
	bool is_telling; /* atomic: empty_msg is under way */
	/* the control thread's */
	struct bdev_chan *chan;
	struct iosched_order want;
	struct qos_pool *group; /* that the channel has; held, as those of order, while under way, and want */
	struct qos_pool *next_group; /* while qos_set() is not sure yet */
	uint64_t emptied;	     /* the freeze that is complete */
	bool is_ordered, is_stale, is_leaving;
};

/* Before the channel starts. 0 or -ENOMEM. */
int iosched_init(struct bdev_chan *chan);
/* Behind iosched_stop(). Control thread. */
void iosched_fini(struct bdev_chan *chan);

/* The channel ends: nothing waits. */
void iosched_stop(struct bdev_chan *chan);

/* @bio, which is in bounds, from @stage on. */
void iosched_enter(struct bdev_chan *chan, struct bio *bio, enum iosched_stage stage);

/* Let @bio wait for room. */
void iosched_wait(struct bdev_chan *chan, struct bio *bio);

/* Who waits, or may, has changed. */
static inline void iosched_update_watch(struct iosched *s)
{
	s->is_watched = s->nwaiting || s->is_frozen || s->path != IOSCHED_PATH_GOOD;
}

/* There may be room, or no reason to wait any more, or nothing left that a freeze waits for. */
void iosched_resume(struct bdev_chan *chan);

/* Something left the driver, and chan->sched.is_watched. */
void iosched_left(struct bdev_chan *chan);

/* Easy I/O goes through the gate from now on, or straight to the driver while its way is no reason not to. */
void iosched_set_gate(struct bdev_chan *chan, bool wants_gate);
void iosched_update_gate(struct bdev_chan *chan);

/* What waits and is picked by @match is answered with -ECANCELED, pieces by what they are part of. */
void iosched_cancel(struct bdev_chan *chan, bdev_match_fn match, const void *arg);

bool iosched_holds(const struct bdev_chan *chan, const struct bio *bio);

/* iosched_path.c */

void iosched_path_init(struct iosched_path *p);
/* The channel ends: nothing waits. */
void iosched_path_stop(struct bdev_chan *chan);

/* @bio has left the driver with an error and BIO_PATH_FAILED. True: it waits, to be sent again. False: it ends, with the
 * status it has. Still counted in flight then. */
bool iosched_take_back(struct bdev_chan *chan, struct bio *bio);

/* Those that came back go as far as there is room. True: others may follow. */
bool iosched_path_refill(struct bdev_chan *chan);

/* Something left the driver otherwise. */
void iosched_path_answers(struct bdev_chan *chan);

/* What the control thread wants. */
void iosched_path_order(struct bdev_chan *chan, uint64_t timeout_ns, bool is_draining);

/* iosched_order.c, on the control thread */

/* The channel is about to start, or something of the device has changed: it is told. */
void iosched_tell(struct bdev_chan *chan);

/* Nobody is to wait for a limit: those who do go on. */
void iosched_release(struct bdev_chan *chan);

/* It is frozen and the driver has nothing of it. On the channel's reactor. */
void iosched_tell_empty(struct bdev_chan *chan);

/* The last reference is put: no orders any more. */
void iosched_leave(struct bdev_chan *chan);

/**
 * iosched_admit - hand @bio to the driver when there is room and nobody waits, else let it wait.
 * Invariant I3: the driver never holds more than chan->depth.
 */
static cc_always_inline void iosched_admit(struct bdev_chan *chan, struct bio *bio)
{
	if (cc_likely(chan->inflight < chan->depth && !chan->sched.is_watched)) {
		chan->inflight++;
		chan->to_driver(chan, bio);
	} else {
		iosched_wait(chan, bio);
	}
}

#endif
