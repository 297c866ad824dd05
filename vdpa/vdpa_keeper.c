/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *             begin                mend: connected, all was told
 *   IDLE ───────────────► AWAY ───────────────────────────────────► UP
 *    ▲ ▲                   ▲ ▲ └─ in vain: later, again              │
 *    │ │                   │ └── lost: the daemon has ended ◄────────┤
 *    │ └──── end ──────────┴─────────────────────────────────────────┤
 *    └────── end ──── FAILED ◄── fail: over a message, or too slow ◄─┘
 *
 * Two threads: the caller's speaks to a session that is UP, the keeper's own begins one. It does so on a socket that
 * nobody else uses, and without the lock: what the front-end says meanwhile is remembered, and it begins again.
 */
#include "vdpa/vdpa_keeper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "vdpa/vdpa_link.h"
#include "vdpa/vdpa_replay.h"
#include "vhost/virtq/vq.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

#define AGAIN_MS_MIN 20	  /* between two attempts: doubled each time */
#define AGAIN_MS_MAX 1000 /* a daemon that is back is found within a second */
#define REFUSALS_TOLD 3	  /* at so many it is no accident */
#define TRIES	      3	  /* of a message over which sessions end */

enum keeper_state {
	KEEPER_IDLE,
	KEEPER_AWAY,
	KEEPER_UP,
	KEEPER_FAILED,
	KEEPER_STATES,
};

struct vdpa_keeper {
	char *name;
	struct vdpa_source *source; /* connect: by our thread only */
	unsigned wait_ms, nqueues;
	uint64_t protocol;
	pthread_t thread;
	int wake; /* eventfd: our thread has to look at the state */

	pthread_mutex_t lock;	/* guards the rest */
	pthread_cond_t changed; /* state, mending, attempts */
	enum keeper_state state;
	bool quit, mending;
	struct vdpa_link link;	/* UP: the session */
	int trying;		/* socket of the session that is being begun; -1 */
	uint64_t front_ends, sessions, attempts;
	uint64_t said; /* while AWAY: how often something was remembered */
	struct vdpa_replay replay;
	bool is_lost_told;
	unsigned refusals; /* since it was lost */
	uint64_t lost_ns;
	struct errbuf why; /* the last attempt failed */
};

#define TO(state) (1u << KEEPER_##state)
static const unsigned legal_moves[KEEPER_STATES] = {
	[KEEPER_IDLE] = TO(AWAY),
	[KEEPER_AWAY] = TO(UP) | TO(IDLE) | TO(FAILED),
	[KEEPER_UP] = TO(AWAY) | TO(IDLE) | TO(FAILED),
	[KEEPER_FAILED] = TO(IDLE),
};

static void set_state(struct vdpa_keeper *k, enum keeper_state to)
{
	const bool is_legal = legal_moves[k->state] & 1u << to;
	const uint64_t one = 1;

	assert(is_legal);
	(void)is_legal; /* release builds */
	k->state = to;
	pthread_cond_broadcast(&k->changed);
	(void)!write(k->wake, &one, sizeof(one)); /* full: awake already */
}

/* Our thread has its own fd of the socket: closing alone would not end the session. */
static void hang_up(struct vdpa_link *l)
{
	if (l->sock >= 0)
		(void)shutdown(l->sock, SHUT_RDWR); /* the peer may have gone */
	vdpa_link_close(l);
}

static uint64_t deadline_in(const struct vdpa_keeper *k)
{
	return mono_ns() + k->wait_ms * MONO_NS_PER_MS;
}

static unsigned left_ms(uint64_t end)
{
	uint64_t now = mono_ns();

	return now < end ? (unsigned)((end - now) / MONO_NS_PER_MS) + 1 : 1;
}

/* False: too late. */
static bool wait_changed(struct vdpa_keeper *k, uint64_t end)
{
	const struct timespec ts = mono_timespec(end);

	return pthread_cond_timedwait(&k->changed, &k->lock, &ts) != ETIMEDOUT;
}

static void lost(struct vdpa_keeper *k)
{
	hang_up(&k->link);
	set_state(k, KEEPER_AWAY);
	k->is_lost_told = true;
	k->refusals = 0;
	k->lost_ns = mono_ns();
	log_warn("%s: nvringd has ended the session: I/O waits until it is back", k->name);
}

static int fail(struct vdpa_keeper *k, int err)
{
	hang_up(&k->link);
	set_state(k, KEEPER_FAILED);
	return err;
}

/*
 * On a session that is there
 */

/* An inflight region of our own for a front-end that has none: without it nobody would know what was in flight. *ret has
 * the fd, the caller's. */
static int region_make(struct vdpa_link *l, unsigned nqueues, struct vu_msg *ret, struct errbuf *eb)
{
	int err;

	vu_msg_init(ret, VU_GET_INFLIGHT_FD, 0, sizeof(ret->p.inflight));
	ret->p.inflight.nqueues = (uint16_t)nqueues;
	ret->p.inflight.queue_size = VQ_SIZE_MAX;
	err = vdpa_link_ask(l, ret, eb);
	if (err)
		return err;
	ret->h.request = VU_SET_INFLIGHT_FD;
	ret->h.flags = VU_FLAG_VERSION;
	err = vdpa_link_tell(l, ret, eb);
	if (err)
		vu_msg_close_fds(ret);
	return err;
}

/* What a ring needs before it may start. */
static int start_prepare(struct vdpa_keeper *k, const struct vu_msg *m, struct errbuf *eb)
{
	bool is_start = m->h.request == VU_SET_VRING_ENABLE && m->p.state.num == 1;
	unsigned index = m->p.state.index;
	struct vu_msg out;
	int err = 0;

	if (!is_start && m->h.request != VU_SET_VRING_KICK)
		return 0;
	if (vdpa_replay_wants_region(&k->replay) && !vdpa_replay_any_runs(&k->replay)) {
		err = region_make(&k->link, k->nqueues, &out, eb);
		if (err)
			return err;
		err = vdpa_replay_note_region(&k->replay, &out);
		vu_msg_close_fds(&out);
	}
	if (!err && is_start && index < VDPA_QUEUES_MAX && k->replay.rings[index].kick_due &&
	    vdpa_replay_kick(&k->replay, index, &out))
		err = vdpa_link_tell(&k->link, &out, eb);
	return err;
}

/* A ring has stopped: where? */
static int pause_note(struct vdpa_keeper *k, unsigned index, struct errbuf *eb)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, VU_GET_VRING_BASE, 0, sizeof(m.p.state));
	m.p.state.index = index;
	err = vdpa_link_ask(&k->link, &m, eb);
	if (err)
		return err;
	vu_msg_close_fds(&m);
	return vdpa_replay_paused(&k->replay, index, m.p.state.num);
}

static int stop_note(struct vdpa_keeper *k, const struct vu_msg *m, struct errbuf *eb)
{
	bool is_reset = m->h.request == VU_SET_STATUS && m->p.u64 == 0;
	bool is_stop = m->h.request == VU_SET_VRING_ENABLE && m->p.state.num == 0;
	int err = 0;

	if (!is_reset && !is_stop)
		return 0;
	for (unsigned i = 0; i < VDPA_QUEUES_MAX && !err; i++) {
		if (k->replay.rings[i].runs && (is_reset || m->p.state.index == i))
			err = pause_note(k, i, eb);
	}
	return err;
}

static int note_failed(struct vdpa_keeper *k, const struct vu_msg *m, int err, struct errbuf *eb)
{
	return errbuf_set(eb, err, "%s: %s: cannot be remembered: %s", k->name, vu_request_name(m->h.request),
			  strerror(-err));
}

static int live_tell(struct vdpa_keeper *k, struct vu_msg *m, struct errbuf *eb)
{
	int err = start_prepare(k, m, eb);

	if (!err)
		err = vdpa_link_tell(&k->link, m, eb);
	if (!err)
		err = stop_note(k, m, eb);
	if (err)
		return err;
	err = vdpa_replay_note(&k->replay, m);
	return err ? note_failed(k, m, err, eb) : 0;
}

static int live_ask(struct vdpa_keeper *k, struct vu_msg *m, struct errbuf *eb)
{
	uint32_t request = m->h.request;
	unsigned index = m->p.state.index;
	int err = vdpa_link_ask(&k->link, m, eb);

	if (err || request != VU_GET_VRING_BASE)
		return err;
	err = vdpa_replay_stopped(&k->replay, index, m->p.state.num);
	return err ? note_failed(k, m, err, eb) : 0;
}

/*
 * With a session or without
 */
static int remember(struct vdpa_keeper *k, const struct vu_msg *m, struct errbuf *eb)
{
	int err = vdpa_replay_note(&k->replay, m);

	k->said++;
	return err ? note_failed(k, m, err, eb) : 0;
}

typedef int (*live_fn)(struct vdpa_keeper *k, struct vu_msg *m, struct errbuf *eb);

/*
 * Where the session ends while it is told something, the daemon has ended, or the message was not to its liking: the
 * next session knows. *ret_done: the answer is final.
 */
static int live_try(struct vdpa_keeper *k, struct vu_msg *m, live_fn fn, unsigned tries, bool *ret_done,
		    struct errbuf *eb)
{
	int err = fn(k, m, eb);

	*ret_done = true;
	if (k->link.sock >= 0)
		return err;
	if (tries == TRIES || err != -EPIPE)
		return fail(k, err);
	*ret_done = false;
	lost(k);
	return err;
}

static int carry(struct vdpa_keeper *k, struct vu_msg *m, live_fn fn, struct errbuf *eb)
{
	uint64_t end = deadline_in(k);
	unsigned tries = 0;
	bool is_done;
	int may = fn == live_tell ? 0 : -EBUSY, err;

	k->link.wait_ms = k->wait_ms;
	for (;;) {
		if (k->state == KEEPER_UP) {
			err = live_try(k, m, fn, ++tries, &is_done, eb);
			if (is_done)
				return err;
		}
		if (k->state != KEEPER_AWAY)
			return errbuf_set(eb, -EPIPE, "the session has failed: the front-end must connect again");
		if (!may)
			may = vdpa_replay_check(&k->replay, m, eb);
		if (may == -EINVAL)
			return may;
		/* one that a session may have ended over is remembered only if no other one comes to judge it */
		if (!may && !tries)
			return remember(k, m, eb);
		if (!wait_changed(k, end) && k->state == KEEPER_AWAY)
			break;
		k->link.wait_ms = left_ms(end);
	}
	if (!may)
		return remember(k, m, eb);
	return errbuf_set(eb, -ETIMEDOUT, "%s: nvringd is away, and was not back within %u ms (stop_ms)",
			  vu_request_name(m->h.request), k->wait_ms);
}

int vdpa_keeper_tell(struct vdpa_keeper *k, const struct vu_msg *m, struct errbuf *eb)
{
	struct vu_msg copy = *m;
	int err;

	pthread_mutex_lock(&k->lock);
	err = carry(k, &copy, live_tell, eb);
	pthread_mutex_unlock(&k->lock);
	return err;
}

int vdpa_keeper_ask(struct vdpa_keeper *k, struct vu_msg *m, struct errbuf *eb)
{
	int err;

	pthread_mutex_lock(&k->lock);
	err = carry(k, m, live_ask, eb);
	pthread_mutex_unlock(&k->lock);
	return err;
}

int vdpa_keeper_check(struct vdpa_keeper *k, struct errbuf *eb)
{
	int err;

	pthread_mutex_lock(&k->lock);
	err = k->state == KEEPER_UP ? 0 : errbuf_set(eb, -EPIPE, "%s", k->why.text[0] ? k->why.text : "no session");
	pthread_mutex_unlock(&k->lock);
	return err;
}

bool vdpa_keeper_has_failed(struct vdpa_keeper *k)
{
	bool has_failed;

	pthread_mutex_lock(&k->lock);
	has_failed = k->state == KEEPER_FAILED;
	pthread_mutex_unlock(&k->lock);
	return has_failed;
}

/* The first attempt is waited for, so that a daemon that is there is so from the first message on. */
static int begin(struct vdpa_keeper *k, struct errbuf *eb)
{
	uint64_t end = deadline_in(k), attempts;
	struct vu_msg m;

	while (k->mending) {
		if (!wait_changed(k, end) && k->mending)
			return errbuf_set(eb, -EBUSY, "nvringd has not answered the front-end before yet");
	}
	vu_msg_init(&m, VU_SET_PROTOCOL_FEATURES, 0, sizeof(m.p.u64));
	m.p.u64 = k->protocol;
	if (vdpa_replay_note(&k->replay, &m))
		return errbuf_set(eb, -ENOMEM, "out of memory");
	k->is_lost_told = false;
	k->refusals = 0;
	k->why.text[0] = '\0';
	k->lost_ns = mono_ns();
	k->front_ends++;
	attempts = k->attempts;
	set_state(k, KEEPER_AWAY);
	while (k->state == KEEPER_AWAY && k->attempts == attempts && wait_changed(k, end))
		;
	return 0;
}

int vdpa_keeper_begin(struct vdpa_keeper *k, struct errbuf *eb)
{
	int err;

	pthread_mutex_lock(&k->lock);
	assert(k->state == KEEPER_IDLE);
	err = begin(k, eb);
	pthread_mutex_unlock(&k->lock);
	return err;
}

void vdpa_keeper_end(struct vdpa_keeper *k)
{
	pthread_mutex_lock(&k->lock);
	hang_up(&k->link);
	if (k->trying >= 0)
		(void)shutdown(k->trying, SHUT_RDWR); /* whoever waits there has his answer */
	vdpa_replay_fini(&k->replay);
	if (k->state != KEEPER_IDLE)
		set_state(k, KEEPER_IDLE);
	pthread_mutex_unlock(&k->lock);
}

/*
 * Our thread
 */

/* What an attempt was begun with. */
struct mending {
	uint64_t front_ends, said;
	struct vdpa_link link;
	struct vdpa_replay_pos pos;
};

static bool is_still_wanted(const struct vdpa_keeper *k, const struct mending *at)
{
	return !k->quit && k->state == KEEPER_AWAY && k->front_ends == at->front_ends && k->said == at->said;
}

/* Everything but the rings was told. */
static int mend_region(struct vdpa_keeper *k, struct mending *at, struct errbuf *eb)
{
	struct vu_msg m;
	int err;

	pthread_mutex_unlock(&k->lock);
	err = region_make(&at->link, k->nqueues, &m, eb);
	pthread_mutex_lock(&k->lock);
	if (err)
		return err;
	if (is_still_wanted(k, at))
		err = vdpa_replay_note_region(&k->replay, &m);
	vu_msg_close_fds(&m);
	return err;
}

/* One message. 1; 0: that was all; -errno. With the lock, which is free while the session is told. */
static int mend_step(struct vdpa_keeper *k, struct mending *at, struct errbuf *eb)
{
	struct vu_msg m;
	int err, n;

	if (!is_still_wanted(k, at))
		return errbuf_set(eb, -ECANCELED, "the front-end goes on");
	n = vdpa_replay_next(&k->replay, &at->pos, &m);
	if (n < 0)
		return errbuf_set(eb, n, "%s", strerror(-n));
	if (n == 0)
		return 0;
	err = 0;
	if (at->pos.stage >= VDPA_REPLAY_RINGS && vdpa_replay_any_runs(&k->replay) &&
	    vdpa_replay_wants_region(&k->replay))
		err = mend_region(k, at, eb);
	if (!err) {
		pthread_mutex_unlock(&k->lock);
		err = vdpa_link_tell(&at->link, &m, eb);
		pthread_mutex_lock(&k->lock);
	}
	vu_msg_close_fds(&m);
	return err ? err : 1;
}

static void mended(struct vdpa_keeper *k, struct mending *at)
{
	k->link = at->link;
	at->link.sock = -1;
	k->sessions++;
	vdpa_replay_done(&k->replay);
	set_state(k, KEEPER_UP);
	if (k->is_lost_told)
		log_notice("%s: nvringd is back after %llu ms, and goes on where it was", k->name,
			   (unsigned long long)((mono_ns() - k->lost_ns) / MONO_NS_PER_MS));
	k->is_lost_told = false;
}

/* One line when it is not there; one when it is and does not want us: not at once, for it may just be going down. */
static void mend_tell(struct vdpa_keeper *k, bool is_refusal, const char *why)
{
	if (!k->is_lost_told)
		log_warn("%s: nvringd is away: %s", k->name, why);
	else if (is_refusal && ++k->refusals == REFUSALS_TOLD)
		log_warn("%s: nvringd does not take over, further attempts follow: %s", k->name, why);
	k->is_lost_told = true;
}

/* Somebody has answered. */
static bool is_refusal(int err)
{
	return err == 0 || err == -EREMOTEIO || err == -EEXIST || err == -EBADMSG;
}

/* A session from its beginning to where the last one was. With the lock. 0 or -errno. */
static int mend(struct vdpa_keeper *k)
{
	struct mending at = { k->front_ends, k->said, { .sock = -1, .wait_ms = k->wait_ms }, { 0, 0 } };
	struct errbuf eb = { "" };
	bool was_refused;
	int err;

	k->mending = true;
	pthread_mutex_unlock(&k->lock);
	err = k->source->ops->connect(k->source, &at.link.sock, &eb);
	pthread_mutex_lock(&k->lock);
	was_refused = is_refusal(err);
	k->trying = at.link.sock;
	if (!err) {
		do {
			err = mend_step(k, &at, &eb);
		} while (err > 0);
	}
	k->trying = -1;
	if (!err && is_still_wanted(k, &at))
		mended(k, &at);
	else if (err && err != -ECANCELED && is_still_wanted(k, &at))
		mend_tell(k, was_refused, eb.text);
	hang_up(&at.link);
	k->mending = false;
	k->attempts++;
	if (err)
		k->why = eb;
	pthread_cond_broadcast(&k->changed);
	return err;
}

/* Until @ms have passed, somebody wants something, or @sock is hung up: then true. Without the lock. */
static bool doze(struct vdpa_keeper *k, int sock, int ms)
{
	struct pollfd p[2] = { { .fd = k->wake, .events = POLLIN }, { .fd = sock, .events = POLLRDHUP } };
	uint64_t drop;

	if (poll(p, 2, ms) <= 0)
		return false;
	if (p[0].revents)
		(void)!read(k->wake, &drop, sizeof(drop)); /* only to empty it */
	return p[1].revents != 0;
}

/* With the lock. Without an fd to watch with, the next message finds out. */
static void watch(struct vdpa_keeper *k)
{
	uint64_t session = k->sessions;
	int sock = fcntl(k->link.sock, F_DUPFD_CLOEXEC, 0);
	bool is_hung_up;

	pthread_mutex_unlock(&k->lock);
	is_hung_up = doze(k, sock, sock >= 0 ? -1 : AGAIN_MS_MAX);
	if (sock >= 0)
		close(sock);
	pthread_mutex_lock(&k->lock);
	if (is_hung_up && k->state == KEEPER_UP && k->sessions == session)
		lost(k);
}

/* Rings that nobody can place are no reason to try: what was in flight there is lost, or would be done twice. */
static bool can_mend(struct vdpa_keeper *k)
{
	int index = vdpa_replay_find_uncovered(&k->replay);

	if (index < 0)
		return true;
	log_error("%s: queue %d is outside of the front-end's inflight region: it must connect again", k->name, index);
	(void)fail(k, -EPIPE);
	return false;
}

static void nap(struct vdpa_keeper *k, int ms)
{
	pthread_mutex_unlock(&k->lock);
	(void)doze(k, -1, ms);
	pthread_mutex_lock(&k->lock);
}

static void *keeper_main(void *arg)
{
	struct vdpa_keeper *k = arg;
	int again_ms = AGAIN_MS_MIN, err;

	pthread_mutex_lock(&k->lock);
	while (!k->quit) {
		switch (k->state) {
		case KEEPER_UP:
			again_ms = AGAIN_MS_MIN;
			watch(k);
			break;
		case KEEPER_AWAY:
			if (!can_mend(k))
				break;
			err = mend(k);
			if (!err || err == -ECANCELED)
				break;
			nap(k, again_ms);
			again_ms = CC_MIN(2 * again_ms, AGAIN_MS_MAX);
			break;
		default:
			again_ms = AGAIN_MS_MIN;
			nap(k, -1);
			break;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* Without the application's signals. */
static int thread_start(struct vdpa_keeper *k)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	err = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (err)
		return -err;
	err = pthread_create(&k->thread, NULL, keeper_main, k);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* as it was: it cannot fail */
	return -err;
}

static void locks_init(struct vdpa_keeper *k)
{
	pthread_condattr_t attr;

	/* none of these can fail */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&k->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&k->lock, NULL);
}

static void keeper_free(struct vdpa_keeper *k)
{
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	if (k->wake >= 0)
		close(k->wake);
	free(k->name);
	free(k);
}

int vdpa_keeper_create(const struct vdpa_keeper_opts *opts, struct vdpa_keeper **ret_k, struct errbuf *eb)
{
	struct vdpa_keeper *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	locks_init(k);
	k->source = opts->source;
	k->wait_ms = opts->wait_ms;
	k->nqueues = opts->nqueues;
	k->protocol = opts->protocol;
	k->link = (struct vdpa_link){ .sock = -1, .wait_ms = k->wait_ms };
	k->trying = -1;
	vdpa_replay_init(&k->replay);
	k->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = k->wake < 0 ? -errno : 0;
	k->name = strdup(opts->name);
	if (!err)
		err = k->name ? thread_start(k) : -ENOMEM;
	if (err) {
		keeper_free(k);
		return errbuf_set(eb, err, "cannot watch over nvringd: %s", strerror(-err));
	}
	*ret_k = k;
	return 0;
}

void vdpa_keeper_destroy(struct vdpa_keeper *k)
{
	const uint64_t one = 1;

	if (!k)
		return;
	vdpa_keeper_end(k);
	pthread_mutex_lock(&k->lock);
	k->quit = true;
	pthread_mutex_unlock(&k->lock);
	(void)!write(k->wake, &one, sizeof(one)); /* full: awake already */
	pthread_join(k->thread, NULL);
	keeper_free(k);
}
