/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of a session: description, start, stop. Folder-internal; control thread. */
#ifndef VHOST_USER_VU_RING_H
#define VHOST_USER_VU_RING_H

#include "vhost/user/vu_session.h"

void vu_ring_init(struct vu_ring *ring, struct vu_session *s, unsigned index);
/* Not running. Closes its fds. */
void vu_ring_fini(struct vu_ring *ring);

/**
 * vu_ring_try_start - start @ring if everything is there: features, memory, size, addresses, kick,
 * enabled. 0: it runs, or something is still to come. -errno with s->eb: it is complete and cannot
 * run.
 */
int vu_ring_try_start(struct vu_ring *ring);

/* After a change of the memory: start what can run now; what cannot waits for more memory. */
void vu_rings_try_start(struct vu_session *s);

/* Drain and stop the running queue, keep its position (between vu_wait_begin and vu_wait_end). With
 * GET_VRING_BASE_INFLIGHT requests that merely wait stay in the inflight region, at every stop:
 * front-ends disable a ring, or set the status to 0, before they ask for its position. */
void vu_ring_stop(struct vu_ring *ring);

/* Its inflight region, if it has one, says nothing any more: the next start is where the front-end
 * says. */
void vu_ring_forget(struct vu_ring *ring);

/* Run fn(q, ring) on the running queue's reactor (between vu_wait_begin and vu_wait_end). */
void vu_ring_call(struct vu_ring *ring, vdev_queue_fn fn);

/* The ring cannot go on: remember and log @why, signal its err fd. */
void vu_ring_break(struct vu_ring *ring, const char *why);

/* Where the running queue's rings are in a new table. */
enum vu_ring_place {
	VU_RING_SAME,
	VU_RING_MOVED, /* in memory, at another address of ours: the region was cut anew */
	VU_RING_LOST,
};
enum vu_ring_place vu_ring_place(const struct vu_ring *ring, const struct gmem *g);

#endif
