/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection of a front-end and the device state that belongs to it. Lives on the control
 * reactor.
 *
 * Messages are worked on strictly one at a time. A handler that must wait for data reactors returns
 * VU_PENDING; the socket is not read until its answer is out:
 *
 *   vu_wait_begin(s, resume) ─► vu_wait_add for every answer that is asked for ─► return
 * vu_wait_end(s) vu_wait_done when it comes; the last one calls resume(s), which ends the message
 */
#ifndef VHOST_USER_VU_SESSION_H
#define VHOST_USER_VU_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"
#include "core/deadline.h"
#include "core/reactor.h"
#include "core/sigbus.h"
#include "vhost/user/vu_conn.h"
#include "vhost/user/vu_inflight.h"
#include "vhost/user/vu_server.h"
#include "vhost/user/vu_state.h"
#include "vhost/user/vu_wire.h"
#include "vhost/vdev.h"

#define VU_PENDING    1 /* a handler's result: the answer comes later */
#define VU_NO_MESSAGE 2 /* of resume: it was no message that waited */

/* Drawn at the head of vu_session.c. */
enum vu_state {
	VU_STATE_CONNECTED,  /* no SET_FEATURES yet */
	VU_STATE_NEGOTIATED, /* features, no memory */
	VU_STATE_MEMORY,     /* memory, no ring runs */
	VU_STATE_RUNNING,    /* at least one ring runs */
	VU_STATE_QUIESCING,  /* a message waits for data reactors */
	VU_STATE_STOPPED,    /* the connection is over, rings drain */
	VU_STATE_COUNT,
};

struct vu_session;

/* One ring as the front-end has described it; runs while q is set. */
struct vu_ring {
	struct vu_session *s;
	uint16_t index;
	bool enabled, addr_set, broken;
	bool kicked;   /* SET_VRING_KICK came: with an fd, or "poll" */
	uint32_t size; /* 0: not set */
	uint32_t base; /* as on the wire; kept over stops */
	/* its inflight region is as our last stop left it, at position base; with requests in it */
	bool kept, left;
	struct vu_vring_addr addr;
	int kick_fd, call_fd, err_fd; /* owned; -1: none */
	struct vdev_queue *q;
	void *desc, *avail, *used; /* of the running queue */
	unsigned reactor_at;	   /* in s->conf.reactors */
	int home;		   /* where it was moved to; -1: where there is least to do */
	struct vq_counters before; /* of this connection, until its last stop */
	uint64_t since_ns;	   /* when it was started last */
	struct vu_queue_note note; /* a balancer's */
	struct vdev_queue_call call;
	int new_fd;	  /* on its way into the running queue */
	struct dlog *log; /* argument of the call that switches the log */
	uint64_t log_gpa;
	bool busy; /* the queue's answer: it still uses the memory that goes */
	char why[96];
};

/* A region and the file behind it, to recognise it when a table comes again. */
struct vu_region_id {
	struct vu_region r;
	dev_t dev;
	ino_t ino;
};

struct vu_va_range {
	void *va;
	uint64_t len;
};

/* A ring on its way to another reactor (vu_move.c). */
struct vu_move {
	struct vu_ring *ring;
	unsigned to; /* in s->conf.reactors */
	vu_moved_fn done;
	void *arg;
	int err; /* what came of it */
	struct errbuf why;
};

/* Guest memory, and a change of it under way (vu_mem.c). */
struct vu_mem {
	struct gmem *gmem; /* published; never NULL */
	unsigned n;
	struct vu_region_id ids[GMEM_REGIONS_MAX];
	struct gmem *old; /* until no queue uses what it has and gmem has not */
	struct vu_va_range gone[GMEM_REGIONS_MAX];
	unsigned ngone, gone_at;
	struct deadline retry;
};

struct vu_session_conf {
	const char *name;
	struct vdev *dev;
	struct reactor *control;
	struct reactor **reactors;
	unsigned nreactors;
	unsigned nnear; /* of them, the first: where queues go by themselves */
	bool no_packed;
	/* Told once, when everything is drained and freed. Control thread, never from inside a call
	 * of ours. */
	void (*on_end)(void *arg, bool held_up);
	void *on_end_arg;
};

struct vu_session {
	struct vu_session_conf conf;
	struct vu_conn conn;
	struct reactor_fd rfd;
	struct errbuf eb; /* why the current message fails */
	enum vu_state state;
	pid_t peer_pid;
	/* negotiated */
	uint64_t offered, features, protocol_features;
	bool features_set;
	bool features_bad; /* bits that were not offered: FEATURES_OK stays clear */
	bool reset_due;	   /* the device type is reset when a ring starts from its beginning */
	uint8_t status;
	unsigned breaks; /* of queues, so far */
	struct vu_mem mem;
	struct dlog *log;     /* of SET_LOG_BASE; NULL: none */
	struct dlog *log_old; /* until the running queues have the new one */
	struct vu_inflight_area inflight;
	struct vu_transfer transfer;
	int backend_fd; /* of SET_BACKEND_REQ_FD; -1: none */
	struct vdev_listener listener;
	unsigned nrings;
	struct vu_ring *rings;
	struct vu_ring *current; /* the ring that the pending message is about */
	struct vu_ring *answered; /* its position is in the reply that is being sent */
	/* waiting for answers */
	unsigned waits;
	int (*resume)(struct vu_session *s);
	void (*then)(struct vu_session *s); /* of vu_session_hold */
	struct vu_move move;
	struct sigbus_owner lost; /* memory, log or inflight area that the front-end has shrunk */
	struct reactor_fd lost_rfd;
	bool held_up; /* atomic: a notification fd of this front-end made a thread of ours wait */
	bool ending; /* as soon as the pending message is done */
	struct reactor_msg end_msg;
};

/* Serve @fd (taken over, also on failure). 0 or -errno with eb. Control thread. */
int vu_session_create(const struct vu_session_conf *conf, int fd, struct vu_session **ret_s,
		      struct errbuf *eb);

/* Close the connection, drain the rings, free everything, then conf.on_end. Harmless twice. */
void vu_session_end(struct vu_session *s);

/* A notification fd of this front-end made us wait: the session ends, soon and with one log line. */
void vu_session_held_up(struct vu_session *s);

const char *vu_state_name(enum vu_state state);

static inline bool vu_session_has(const struct vu_session *s, unsigned protocol_bit)
{
	return (s->protocol_features & VU_BIT(protocol_bit)) != 0;
}

static inline bool vu_session_is_packed(const struct vu_session *s)
{
	return (s->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED)) != 0;
}

bool vu_session_is_running(const struct vu_session *s); /* any ring */

/* For vu_server_get_info: regions, queues and the rest into @ret (zeroed by the caller). 0,
 * -ENOMEM. */
int vu_session_get_info(const struct vu_session *s, struct vu_session_info *ret);

/* vu_server_for_each_load() of the session. */
void vu_session_for_each_load(struct vu_session *s,
			      void (*fn)(const struct vu_queue_load *load, void *arg), void *arg);

/* Waiting, see above. vu_wait_end returns resume's result at once when nothing is outstanding. */
void vu_wait_begin(struct vu_session *s, int (*resume)(struct vu_session *s));
void vu_wait_add(struct vu_session *s);
void vu_wait_done(struct vu_session *s);
int vu_wait_end(struct vu_session *s);

/* The same for what no message asked for; resume returns VU_NO_MESSAGE. No message is read in between. At the very end
 * then(s) tells whoever asked: the session is at rest again, or on its way to its end, and may be called. */
void vu_session_hold(struct vu_session *s, int (*resume)(struct vu_session *s),
		     void (*then)(struct vu_session *s));
void vu_session_unhold(struct vu_session *s);

/* What is offered to this front-end (vu_device.c). */
uint64_t vu_features_offered(const struct vu_session *s);

/*
 * Handlers: 0, VU_PENDING, or -errno with s->eb. A reply is written into the message in place.
 */
/* vu_device.c */
int vu_get_features(struct vu_session *s, struct vu_msg *m);
int vu_set_features(struct vu_session *s, struct vu_msg *m);
int vu_get_protocol_features(struct vu_session *s, struct vu_msg *m);
int vu_set_protocol_features(struct vu_session *s, struct vu_msg *m);
int vu_accept(struct vu_session *s, struct vu_msg *m);
int vu_get_queue_num(struct vu_session *s, struct vu_msg *m);
int vu_set_backend_req_fd(struct vu_session *s, struct vu_msg *m);
int vu_get_config(struct vu_session *s, struct vu_msg *m);
int vu_set_config(struct vu_session *s, struct vu_msg *m);
int vu_reset_device(struct vu_session *s, struct vu_msg *m);
int vu_set_status(struct vu_session *s, struct vu_msg *m);
int vu_get_status(struct vu_session *s, struct vu_msg *m);
/* vu_mem.c */
int vu_set_mem_table(struct vu_session *s, struct vu_msg *m);
int vu_get_max_mem_slots(struct vu_session *s, struct vu_msg *m);
int vu_add_mem_reg(struct vu_session *s, struct vu_msg *m);
int vu_rem_mem_reg(struct vu_session *s, struct vu_msg *m);
/* vu_log.c */
int vu_set_log_base(struct vu_session *s, struct vu_msg *m);
int vu_set_log_fd(struct vu_session *s, struct vu_msg *m);
/* vu_vring.c */
int vu_set_vring_num(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_addr(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_base(struct vu_session *s, struct vu_msg *m);
int vu_get_vring_base(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_kick(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_call(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_err(struct vu_session *s, struct vu_msg *m);
int vu_set_vring_enable(struct vu_session *s, struct vu_msg *m);
/* vu_inflight.c */
int vu_get_inflight_fd(struct vu_session *s, struct vu_msg *m);
int vu_set_inflight_fd(struct vu_session *s, struct vu_msg *m);
/* vu_state.c */
int vu_set_device_state_fd(struct vu_session *s, struct vu_msg *m);
int vu_check_device_state(struct vu_session *s, struct vu_msg *m);

#endif
