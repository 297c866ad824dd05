/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection.
 *
 *   CONNECTED ──SET_FEATURES──► NEGOTIATED ──memory──► MEMORY ──ring_start──► RUNNING
 *       │     (what is there already is skipped over)     ▲                      │ ▲
 *       │                                                 │     vu_wait_end: answers outstanding
 *       │                                                 │                      ▼ │
 *       │                                                 └──── last ring ─── QUIESCING
 *       │                                                      vu_wait_done: the last answer is in
 *       └───────── vu_session_end, from every state ─────────► STOPPED ──session_drained──►
 * session_free, on_end
 *
 * session_settle moves between the first four by what is there; while QUIESCING the socket is not
 * watched.
 */
#include "vhost/user/vu_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/user/vu_dispatch.h"
#include "vhost/user/vu_mem.h"
#include "vhost/user/vu_ring.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

#define VU_MESSAGES_PER_WAKE 16 /* a flood of messages leaves room for the other connections */

static const char *const state_names[VU_STATE_COUNT] = {
	[VU_STATE_CONNECTED] = "CONNECTED", [VU_STATE_NEGOTIATED] = "NEGOTIATED",
	[VU_STATE_MEMORY] = "MEMORY",	    [VU_STATE_RUNNING] = "RUNNING",
	[VU_STATE_QUIESCING] = "QUIESCING", [VU_STATE_STOPPED] = "STOPPED",
};

#define TO(state) (1u << VU_STATE_##state)
static const unsigned legal_moves[VU_STATE_COUNT] = {
	[VU_STATE_CONNECTED] = TO(NEGOTIATED) | TO(MEMORY) | TO(RUNNING) | TO(STOPPED),
	[VU_STATE_NEGOTIATED] = TO(MEMORY) | TO(RUNNING) | TO(STOPPED),
	[VU_STATE_MEMORY] = TO(NEGOTIATED) | TO(RUNNING) | TO(STOPPED),
	[VU_STATE_RUNNING] = TO(QUIESCING) | TO(STOPPED),
	[VU_STATE_QUIESCING] = TO(NEGOTIATED) | TO(MEMORY) | TO(RUNNING) | TO(STOPPED),
};

const char *vu_state_name(enum vu_state state)
{
	return state_names[state];
}

static void session_set_state(struct vu_session *s, enum vu_state to)
{
	const bool is_legal = legal_moves[s->state] & 1u << to;

	if (s->state == to)
		return;
	assert(is_legal);
	(void)is_legal; /* release builds */
	log_debug("%s: %s -> %s", s->conf.name, vu_state_name(s->state), vu_state_name(to));
	s->state = to;
}

bool vu_session_is_running(const struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].q)
			return true;
	}
	return false;
}

static void session_settle(struct vu_session *s)
{
	if (vu_session_is_running(s))
		session_set_state(s, VU_STATE_RUNNING);
	else if (!s->features_set)
		session_set_state(s, VU_STATE_CONNECTED);
	else
		session_set_state(s, s->mem.gmem->n ? VU_STATE_MEMORY : VU_STATE_NEGOTIATED);
}

/*
 * The end
 */
static void session_free(struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++)
		vu_ring_fini(&s->rings[i]);
	free(s->rings);
	vu_inflight_unmap(&s->inflight);
	vu_transfer_fini(&s->transfer);
	dlog_put(s->log);
	vu_mem_fini(&s->mem);
	sigbus_owner_fini(&s->lost);
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	vu_conn_fini(&s->conn);
	free(s);
}

static void session_ended(struct reactor_msg *msg)
{
	struct vu_session *s = container_of(msg, struct vu_session, end_msg);
	void (*on_end)(void *arg, bool held_up) = s->conf.on_end;
	void *arg = s->conf.on_end_arg;
	bool held_up = __atomic_load_n(&s->held_up, __ATOMIC_RELAXED);

	session_free(s);
	on_end(arg, held_up);
}

/* By message: whoever is on the stack above may still look at the session. */
static int session_drained(struct vu_session *s)
{
	reactor_send(s->conf.control, &s->end_msg, session_ended);
	return VU_PENDING;
}

static void session_drain(struct vu_session *s)
{
	vu_wait_begin(s, session_drained);
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].q)
			vu_ring_stop(&s->rings[i]);
	}
	(void)vu_wait_end(s);
}

void vu_session_end(struct vu_session *s)
{
	if (s->ending)
		return;
	s->ending = true;
	vdev_listener_del(&s->listener);
	reactor_fd_detach(&s->rfd);
	reactor_fd_detach(&s->lost_rfd);
	vu_transfer_fini(&s->transfer);
	vu_conn_fini(&s->conn);
	if (s->resume)
		return; /* the pending message first: wait_finish goes on */
	session_set_state(s, VU_STATE_STOPPED);
	session_drain(s);
}

/*
 * Messages
 */
static void session_watch(struct vu_session *s, uint32_t events);

static void session_fail(struct vu_session *s, const char *what, int err)
{
	log_error("%s: %s: %s; connection closed", s->conf.name, what,
		  s->eb.text[0] ? s->eb.text : strerror(-err));
	vu_session_end(s);
}

/*
 * What it shares with us, the front-end uses against us. Where it has cut its file, our threads read zeroes; nothing of
 * that leads anywhere.
 */
static void session_attacked(struct reactor_fd *rfd, uint32_t events)
{
	struct vu_session *s = container_of(rfd, struct vu_session, lost_rfd);
	const char *what = __atomic_load_n(&s->lost.what, __ATOMIC_ACQUIRE);

	(void)events;
	if (what) {
		errbuf_set(&s->eb, -EFAULT, "the front-end shrank its %s under us", what);
	} else {
		what = "notification";
		errbuf_set(&s->eb, -EWOULDBLOCK,
			   "the front-end cleared O_NONBLOCK of a call or err fd and let it fill up");
	}
	session_fail(s, what, -EFAULT);
}

/* All of the reply is out. */
static void session_sent(struct vu_session *s)
{
	if (s->answered)
		vu_ring_forget(s->answered);
	s->answered = NULL;
}

/* By the event: a message may be worked on right now. */
void vu_session_held_up(struct vu_session *s)
{
	const uint64_t one = 1;

	__atomic_store_n(&s->held_up, true, __ATOMIC_RELAXED);
	(void)!write(s->lost.fd, &one, sizeof(one)); /* full: it is told already */
}

/* The message in conn.in is done: answer it, go on or close. */
static void session_finish(struct vu_session *s, int err)
{
	struct vu_msg *m = &s->conn.in;
	const char *name = vu_request_name(m->h.request);
	bool soft = !err || vu_dispatch_is_soft(s, m, err);
	int rc = 0;

	if (err && soft)
		log_info("%s: %s: %s", s->conf.name, name, s->eb.text);
	session_settle(s);
	if (vu_dispatch_answer(s, m, err))
		rc = vu_conn_send(&s->conn, m);
	if (rc == 0)
		session_sent(s);
	vu_conn_next(&s->conn);
	if (!soft) {
		session_fail(s, name, err);
		return;
	}
	if (rc < 0) {
		errbuf_set(&s->eb, rc, "cannot send the reply: %s", strerror(-rc));
		session_fail(s, name, rc);
		return;
	}
	session_watch(s, s->conn.sending ? EPOLLOUT : EPOLLIN);
}

/* No message is read until vu_wait_begin()'s resume has run. */
static void session_pause(struct vu_session *s)
{
	session_set_state(s, VU_STATE_QUIESCING);
	reactor_fd_detach(&s->rfd);
}

/* One message, if it is all there. False: nothing more to do now. */
static bool session_turn(struct vu_session *s)
{
	int rc = vu_conn_read(&s->conn, &s->eb);

	if (rc == 0)
		return false;
	if (rc == -EPIPE) {
		log_info("%s: closed by the front-end (pid %d)", s->conf.name, (int)s->peer_pid);
		vu_session_end(s);
		return false;
	}
	if (rc < 0) {
		session_fail(s, "message", rc);
		return false;
	}
	log_debug("%s: %s", s->conf.name, vu_request_name(s->conn.in.h.request));
	rc = vu_dispatch(s);
	if (rc == VU_PENDING) {
		session_pause(s);
		return false;
	}
	session_finish(s, rc);
	return !s->ending && !s->conn.sending;
}

static void session_readable(struct reactor_fd *rfd, uint32_t events)
{
	struct vu_session *s = container_of(rfd, struct vu_session, rfd);

	(void)events; /* an error or a hang-up shows in the next read or write */
	if (s->conn.sending) {
		int rc = vu_conn_flush(&s->conn);

		if (rc < 0) {
			errbuf_set(&s->eb, rc, "%s", strerror(-rc));
			session_fail(s, "reply", rc);
			return;
		}
		if (rc > 0)
			return;
		session_sent(s);
		session_watch(s, EPOLLIN);
	}
	for (unsigned i = 0; i < VU_MESSAGES_PER_WAKE; i++) {
		if (!session_turn(s))
			return;
	}
}

static void session_watch(struct vu_session *s, uint32_t events)
{
	int rc = 0;

	if (s->ending)
		return;
	if (!s->rfd.reactor)
		rc = reactor_fd_attach(s->conf.control, &s->rfd, s->conn.fd, events,
				       session_readable);
	else if (s->rfd.events != events)
		rc = reactor_fd_modify(&s->rfd, events);
	if (rc) {
		errbuf_set(&s->eb, rc, "cannot watch the socket: %s", strerror(-rc));
		session_fail(s, "connection", rc);
	}
}

/*
 * Waiting
 */
void vu_wait_begin(struct vu_session *s, int (*resume)(struct vu_session *s))
{
	assert(s->waits == 0 && !s->resume);
	s->resume = resume;
	s->waits = 1; /* the caller's own, until vu_wait_end */
}

void vu_wait_add(struct vu_session *s)
{
	assert(s->resume);
	s->waits++;
}

static int wait_resume(struct vu_session *s)
{
	int (*resume)(struct vu_session * s) = s->resume;

	s->resume = NULL;
	return resume(s);
}

int vu_wait_end(struct vu_session *s)
{
	assert(s->waits);
	return --s->waits ? VU_PENDING : wait_resume(s);
}

/* All answers are in, and resume has returned @rc. */
static void wait_finish(struct vu_session *s, int rc)
{
	void (*then)(struct vu_session *s) = rc == VU_NO_MESSAGE ? s->then : NULL;

	if (rc == VU_PENDING)
		return;
	if (s->ending) {
		session_set_state(s, VU_STATE_STOPPED);
		session_drain(s);
	} else if (rc == VU_NO_MESSAGE) {
		session_settle(s);
		session_watch(s, s->conn.sending ? EPOLLOUT : EPOLLIN);
	} else {
		session_finish(s, rc);
	}
	if (then)
		then(s);
}

/* An answer came. After the last one the message ends, and a session that was to end meanwhile. */
void vu_wait_done(struct vu_session *s)
{
	assert(s->waits);
	if (--s->waits)
		return;
	wait_finish(s, wait_resume(s));
}

void vu_session_hold(struct vu_session *s, int (*resume)(struct vu_session *s),
		     void (*then)(struct vu_session *s))
{
	vu_wait_begin(s, resume);
	s->then = then;
	session_pause(s);
}

void vu_session_unhold(struct vu_session *s)
{
	wait_finish(s, vu_wait_end(s));
}

/*
 * The configuration space changed: tell the front-end, or leave it to its next GET_CONFIG.
 */
static void session_config_changed(struct vdev_listener *l)
{
	struct vu_session *s = container_of(l, struct vu_session, listener);
	const struct vu_header h = { VU_BACKEND_CONFIG_CHANGE_MSG, VU_FLAG_VERSION, 0 };

	if (s->backend_fd < 0 || !vu_session_has(s, VU_PROTOCOL_F_BACKEND_REQ) ||
	    !vu_session_has(s, VU_PROTOCOL_F_CONFIG))
		return;
	if (send(s->backend_fd, &h, sizeof(h), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof(h))
		log_warn("%s: the front-end was not told of the new configuration: %s",
			 s->conf.name, strerror(errno));
}

/*
 * The beginning
 */
static pid_t peer_pid(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? 0 : cred.pid;
}

static int session_attach(struct vu_session *s)
{
	struct reactor *control = s->conf.control;
	int err = sigbus_owner_init(&s->lost);

	if (!err)
		err = reactor_fd_attach(control, &s->lost_rfd, s->lost.fd, EPOLLIN,
					session_attacked);
	if (!err) {
		err = reactor_fd_attach(control, &s->rfd, s->conn.fd, EPOLLIN, session_readable);
		if (err)
			reactor_fd_detach(&s->lost_rfd);
	}
	return err;
}

int vu_session_create(const struct vu_session_conf *conf, int fd, struct vu_session **ret_s,
		      struct errbuf *eb)
{
	struct vu_session *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		close(fd);
		return errbuf_set(eb, -ENOMEM, "out of memory for a connection");
	}
	s->conf = *conf;
	vu_conn_init(&s->conn, fd);
	vu_transfer_init(&s->transfer);
	s->backend_fd = -1;
	s->inflight.owner = &s->lost;
	s->lost.fd = -1;
	s->peer_pid = peer_pid(fd);
	s->reset_due = true;
	s->rings = calloc(conf->dev->nqueues_max, sizeof(*s->rings));
	if (!s->rings || vu_mem_init(&s->mem)) {
		err = errbuf_set(eb, -ENOMEM, "out of memory for a connection");
		goto out;
	}
	s->nrings = conf->dev->nqueues_max;
	for (unsigned i = 0; i < s->nrings; i++)
		vu_ring_init(&s->rings[i], s, i);
	s->offered = vu_features_offered(s);
	err = session_attach(s);
	if (err) {
		errbuf_set(eb, err, "cannot watch the connection: %s", strerror(-err));
		goto out;
	}
	vdev_listener_add(conf->dev, &s->listener, session_config_changed);
	log_info("%s: front-end connected (pid %d)", conf->name, (int)s->peer_pid);
	*ret_s = s;
	return 0;
out:
	session_free(s);
	return err;
}

/* The counters of the running queue belong to its reactor, which goes on counting. */
static cc_looks_on void queue_info(const struct vu_session *s, const struct vu_ring *ring,
				   struct vu_queue_info *ret)
{
	ret->index = ring->index;
	ret->enabled = ring->enabled;
	ret->broken = ring->broken;
	memcpy(ret->why, ring->why, sizeof(ret->why));
	ret->size = (uint16_t)ring->size;
	ret->packed = vu_session_is_packed(s);
	ret->avail_idx = (uint16_t)ring->base;
	ret->reactor_cpu = -1;
	ret->cnt = ring->before;
	if (!ring->q)
		return;
	ret->started = true;
	ret->avail_idx = cc_read_once(ring->q->vq.avail_idx);
	ret->used_idx = cc_read_once(ring->q->vq.used_idx);
	ret->inflight = cc_read_once(ring->q->vq.ninflight);
	ret->reactor_cpu = ring->q->reactor->cpu;
	ret->reactor_id = ring->q->reactor->id;
	ret->window_ns = poller_window_ns(&ring->q->poller);
	ret->cnt.chains += cc_read_once(ring->q->vq.cnt.chains);
	ret->cnt.polls += cc_read_once(ring->q->vq.cnt.polls);
	ret->cnt.empty_polls += cc_read_once(ring->q->vq.cnt.empty_polls);
	ret->cnt.kicks += cc_read_once(ring->q->vq.cnt.kicks);
	ret->cnt.calls += cc_read_once(ring->q->vq.cnt.calls);
}

int vu_session_get_info(const struct vu_session *s, struct vu_session_info *ret)
{
	ret->connected = s->state != VU_STATE_STOPPED;
	ret->state = vu_state_name(s->state);
	ret->peer_pid = s->peer_pid;
	ret->features = s->features;
	ret->protocol_features = s->protocol_features;
	ret->status = s->status;
	ret->regions = calloc(s->mem.gmem->n + 1, sizeof(*ret->regions));
	ret->queues = calloc(s->nrings, sizeof(*ret->queues));
	if (!ret->regions || !ret->queues) {
		vu_session_info_fini(ret);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < s->mem.gmem->n; i++) {
		const struct gmem_region *r = &s->mem.gmem->r[i];

		ret->regions[ret->nregions++] = (struct vu_region_info){ r->gpa, r->uva, r->len };
	}
	for (unsigned i = 0; i < s->nrings; i++) {
		if (s->rings[i].addr_set)
			queue_info(s, &s->rings[i], &ret->queues[ret->nqueues++]);
	}
	return 0;
}

/* As above, of the running queue's counters. */
static cc_looks_on uint64_t requests_of(const struct vu_ring *ring)
{
	return ring->before.chains + cc_read_once(ring->q->vq.cnt.chains);
}

void vu_session_for_each_load(struct vu_session *s,
			      void (*fn)(const struct vu_queue_load *load, void *arg), void *arg)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		struct vu_ring *ring = &s->rings[i];
		struct vu_queue_load load = { .index = i,
					      .since_ns = ring->since_ns,
					      .note = &ring->note };

		if (!ring->q || ring->broken)
			continue;
		load.reactor_id = ring->q->reactor->id;
		load.requests = requests_of(ring);
		fn(&load, arg);
	}
}
