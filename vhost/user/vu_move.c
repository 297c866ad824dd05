/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A running ring moves to another data reactor: it stops where it is, as for GET_VRING_BASE, and starts
 * there at the same position.
 *
 *   vu_session_move ─► vu_ring_stop ─msg─► old reactor: what is in flight ends ─► ring_moved ─► start
 *
 * Nothing is lost or done twice, because nobody has the ring in between; requests of one ring are
 * taken in the order of the ring, before and after. The front-end sees a ring that answers a little
 * later. Its messages wait, as they do for any stop (QUIESCING).
 */
#include "vhost/user/vu_move.h"

#include <errno.h>
#include <string.h>

#include "vhost/user/vu_ring.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

/* Where it was to go it cannot run (no memory, no queue of the device): back to where it ran. */
static int restart(struct vu_ring *ring, unsigned to, struct errbuf *ret_why)
{
	struct vu_session *s = ring->s;
	int err, before = ring->home;

	ring->home = (int)to;
	err = vu_ring_try_start(ring);
	if (!err)
		return 0;
	*ret_why = s->eb;
	ring->home = before;
	if (vu_ring_try_start(ring))
		vu_ring_break(ring, s->eb.text);
	return err;
}

/* It has stopped. The session may have ended, or the ring broken, while it drained. */
static int ring_moved(struct vu_session *s)
{
	struct vu_move *move = &s->move;
	struct vu_ring *ring = move->ring;

	if (s->ending)
		move->err = errbuf_set(&move->why, -ECONNRESET, "%s: the connection has ended",
				       s->conf.name);
	else if (ring->broken)
		move->err = errbuf_set(&move->why, -EIO, "%s: queue %u broke: %s", s->conf.name,
				       ring->index, ring->why);
	else
		move->err = restart(ring, move->to, &move->why);
	if (!move->err)
		log_info("%s: queue %u now on reactor %u (CPU %d)", s->conf.name, ring->index,
			 ring->q->reactor->id, ring->q->reactor->cpu);
	return VU_NO_MESSAGE;
}

/* Whoever is told may begin the next move, or end the session. */
static void tell(struct vu_session *s)
{
	const struct vu_move move = s->move;

	move.done(move.arg, move.err, move.why.text);
}

static int move_check(const struct vu_session *s, unsigned index, unsigned reactor_at,
		      struct errbuf *eb)
{
	const struct vu_ring *ring = index < s->nrings ? &s->rings[index] : NULL;

	if (!ring)
		return errbuf_set(eb, -EINVAL, "%s: no queue %u (0 to %u)", s->conf.name, index,
				  s->nrings - 1);
	if (reactor_at >= s->conf.nreactors)
		return errbuf_set(eb, -EINVAL, "no reactor %u (0 to %u)", reactor_at,
				  s->conf.nreactors - 1);
	if (s->resume || s->ending)
		return errbuf_set(eb, -EBUSY, "%s: the connection is busy: try again", s->conf.name);
	if (ring->broken)
		return errbuf_set(eb, -EIO, "%s: queue %u is broken: %s", s->conf.name, index,
				  ring->why);
	if (!ring->q)
		return errbuf_set(eb, -ENOTCONN, "%s: queue %u does not run", s->conf.name, index);
	return 0;
}

int vu_session_move(struct vu_session *s, unsigned index, unsigned reactor_at, vu_moved_fn done,
		    void *arg, struct errbuf *eb)
{
	int err = move_check(s, index, reactor_at, eb);
	struct vu_ring *ring;

	if (err)
		return err;
	ring = &s->rings[index];
	s->move = (struct vu_move){ .ring = ring, .to = reactor_at, .done = done, .arg = arg };
	vu_session_hold(s, ring_moved, tell);
	if (ring->reactor_at != reactor_at)
		vu_ring_stop(ring);
	vu_session_unhold(s);
	return 0;
}
