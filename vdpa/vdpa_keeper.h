/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeps the session of a relayed device: when it is lost because the daemon has ended, a thread begins another one and
 * tells it all that the front-end has said (vdpa_replay). What was in flight is in the inflight region, and is carried
 * out again by the new session: the front-end's region, or one that we have made where it has none.
 *
 * Calls for one keeper come from one thread at a time, and wait for wait_ms at most.
 */
#ifndef VDPA_VDPA_KEEPER_H
#define VDPA_VDPA_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "vdpa/vdpa_source.h"
#include "vhost/user/vu_wire.h"

struct vdpa_keeper;

struct vdpa_keeper_opts {
	const char *name;
	struct vdpa_source *source; /* stays the caller's */
	unsigned wait_ms;
	unsigned nqueues;
	uint64_t protocol; /* protocol features that are wanted whatever the front-end does */
};

/* Starts its thread. 0 or -errno with eb. */
int vdpa_keeper_create(const struct vdpa_keeper_opts *opts, struct vdpa_keeper **ret_k, struct errbuf *eb);
/* Ends what has begun. NULL is fine. */
void vdpa_keeper_destroy(struct vdpa_keeper *k);

/* A front-end comes: session, and a new memory. The daemon need not be there, see vdpa_keeper_check(). 0 or -errno with
 * eb. */
int vdpa_keeper_begin(struct vdpa_keeper *k, struct errbuf *eb);
/* It goes: everything is forgotten. Harmless twice; never waits. */
void vdpa_keeper_end(struct vdpa_keeper *k);

/* Is there a session now? 0; else -errno with eb. */
int vdpa_keeper_check(struct vdpa_keeper *k, struct errbuf *eb);

/* The session ended over what it was told, or did not answer in time: nothing but vdpa_keeper_end(). */
bool vdpa_keeper_has_failed(struct vdpa_keeper *k);

/**
 * vdpa_keeper_tell - as vdpa_link_tell(). While the daemon is away what only describes is remembered and 0; the rest
 * waits for it, for wait_ms at most: then -ETIMEDOUT, and nothing is lost but this message.
 */
int vdpa_keeper_tell(struct vdpa_keeper *k, const struct vu_msg *m, struct errbuf *eb);

/* As vdpa_link_ask(). Waits likewise. */
int vdpa_keeper_ask(struct vdpa_keeper *k, struct vu_msg *m, struct errbuf *eb);

#endif
