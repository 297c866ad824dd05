/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end has said to a session, so that the next session can be told. No thread, no socket: the same messages in
 * give the same messages out.
 *
 *   vdpa_replay_note, _stopped, _paused ─► [the last word of each kind, fds of our own] ─► vdpa_replay_next, in order
 */
#ifndef VDPA_VDPA_REPLAY_H
#define VDPA_VDPA_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "vdpa/vdpa_args.h"
#include "vhost/user/vu_wire.h"

#define VDPA_REPLAY_DEVICE_KINDS 8 /* of messages about the device */
#define VDPA_REPLAY_RING_KINDS	 6 /* and about a ring */

struct vdpa_said; /* one message */

struct vdpa_replay_ring {
	struct vdpa_said *said[VDPA_REPLAY_RING_KINDS];
	bool runs;
	bool kick_due; /* the session has forgotten the kick fd: it goes before the next ENABLE(1) */
};

struct vdpa_replay {
	struct vdpa_said *said[VDPA_REPLAY_DEVICE_KINDS];
	bool region_is_ours; /* the inflight region: no front-end's */
	bool reset_due;	     /* status 0: a driver that begins anew finds the configuration as it was */
	bool config_set[VU_CONFIG_BYTES_MAX];
	uint8_t config[VU_CONFIG_BYTES_MAX];
	struct vdpa_replay_ring rings[VDPA_QUEUES_MAX];
};

/* Nothing has been said. */
void vdpa_replay_init(struct vdpa_replay *r);
/* Harmless twice. */
void vdpa_replay_fini(struct vdpa_replay *r);

/* Take note of @m, whose fds stay the caller's. What is no state is left out. 0, -ENOMEM, -EINVAL (no such ring), -errno
 * of dup(2): as before. */
int vdpa_replay_note(struct vdpa_replay *r, const struct vu_msg *m);
/* SET_INFLIGHT_FD of ours, not of the front-end's. */
int vdpa_replay_note_region(struct vdpa_replay *r, const struct vu_msg *m);
/* GET_VRING_BASE has stopped ring @index at @base, and the session forgets the kick fd: the next one is the front-end's. */
int vdpa_replay_stopped(struct vdpa_replay *r, unsigned index, uint32_t base);
/* The same asked by ourselves: the front-end need not give the kick fd again. */
int vdpa_replay_paused(struct vdpa_replay *r, unsigned index, uint32_t base);

/* May @m be taken note of without asking a session? 0; -EBUSY: it needs one; -EINVAL with eb: none would take it. */
int vdpa_replay_check(const struct vdpa_replay *r, const struct vu_msg *m, struct errbuf *eb);

bool vdpa_replay_any_runs(const struct vdpa_replay *r);
/* There is no inflight region, and enough is known to have one made. */
bool vdpa_replay_wants_region(const struct vdpa_replay *r);
/* A ring that runs outside the inflight region: nobody knows where it is. Its index, or -1. */
int vdpa_replay_find_uncovered(const struct vdpa_replay *r);
/* The kick fd of ring @index, as the message that gives it; false: there is none. The fd stays @r's. */
bool vdpa_replay_kick(const struct vdpa_replay *r, unsigned index, struct vu_msg *ret);

/* Where vdpa_replay_next() is. Zeroed: at the beginning. */
struct vdpa_replay_pos {
	unsigned stage, at;
};

/**
 * vdpa_replay_next - the next message for a new session; its fds are the caller's to close. 1; 0: that was all; -errno of
 * dup(2). The inflight region, the memory and the rings come from stage VDPA_REPLAY_RINGS on.
 */
#define VDPA_REPLAY_RINGS 2
int vdpa_replay_next(const struct vdpa_replay *r, struct vdpa_replay_pos *pos, struct vu_msg *ret);

/* All of it was told, and taken: what the new session knows. */
void vdpa_replay_done(struct vdpa_replay *r);

#endif
