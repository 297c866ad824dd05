/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a device.
 *
 *           first message: dev_connect        vdpa_dev_ring_start
 *   IDLE ─────────────────────────► CONFIGURED ─────────────────► RUNNING
 *    ▲ ▲                                                         ▲      │ the last ring stops: ENABLE(0), ring_stop,
 *    │ │                                     vdpa_dev_ring_start │      ▼ SET_STATUS(0), pause
 *    │ └──────────────── vdpa_dev_disconnect ◄────────────────── STOPPED
 *    └── vdpa_dev_disconnect ◄── FAILED ◄── the session refused for good, ended, or did not answer in time
 *
 * The session's own view of the rings decides; what is kept here says only which ones were asked to run.
 */
#include "vdpa/vdpa_dev.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vdpa/vdpa_keeper.h"
#include "vdpa/vdpa_link.h"
#include "vdpa/vdpa_local.h"
#include "vdpa/vdpa_relay.h"
#include "vhost/user/vu_server.h"
#include "vhost/virtq/virtio_spec.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

/* What we need of the session whatever the front-end wants: that each message is answered, and the configuration space. */
#define PROTOCOL_OURS (VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_CONFIG))
/* Of a daemon, which may be killed: that what was in flight is known. */
#define PROTOCOL_RELAY (PROTOCOL_OURS | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD))

struct vdpa_dev {
	char *name;
	struct vdpa_source *source;
	struct vdpa_keeper *keeper; /* of a daemon's disk; NULL: */
	struct vdpa_link link;	    /* the session in this process */
	unsigned wait_ms;
	enum vdpa_dev_state state;
	uint64_t protocol_ours;
	uint64_t features, protocol_features; /* offered */
	uint64_t negotiated;
	unsigned nqueues;
	bool runs[VDPA_QUEUES_MAX]; /* was asked to */
	pthread_mutex_t stats_lock; /* guards since */
	uint64_t since[VDPA_QUEUES_MAX][VDPA_STATS];
};

static const char *const state_names[VDPA_DEV_STATES] = {
	[VDPA_DEV_IDLE] = "IDLE",	[VDPA_DEV_CONFIGURED] = "CONFIGURED",
	[VDPA_DEV_RUNNING] = "RUNNING", [VDPA_DEV_STOPPED] = "STOPPED",
	[VDPA_DEV_FAILED] = "FAILED",
};

#define TO(state) (1u << VDPA_DEV_##state)
static const unsigned legal_moves[VDPA_DEV_STATES] = {
	[VDPA_DEV_IDLE] = TO(CONFIGURED) | TO(FAILED),
	[VDPA_DEV_CONFIGURED] = TO(IDLE) | TO(RUNNING) | TO(FAILED),
	[VDPA_DEV_RUNNING] = TO(IDLE) | TO(STOPPED) | TO(FAILED),
	[VDPA_DEV_STOPPED] = TO(IDLE) | TO(RUNNING) | TO(FAILED),
	[VDPA_DEV_FAILED] = TO(IDLE),
};

static void set_state(struct vdpa_dev *dev, enum vdpa_dev_state to)
{
	const bool is_legal = legal_moves[dev->state] & 1u << to;

	if (dev->state == to)
		return;
	assert(is_legal);
	(void)is_legal; /* release builds */
	log_debug("%s: %s -> %s", dev->name, state_names[dev->state], state_names[to]);
	dev->state = to;
}

enum vdpa_dev_state vdpa_dev_get_state(const struct vdpa_dev *dev)
{
	return dev->state;
}

static bool session_has_failed(const struct vdpa_dev *dev)
{
	return dev->keeper ? vdpa_keeper_has_failed(dev->keeper) : dev->link.sock < 0;
}

/* After a call on the session: is it still there, does a ring run? Hands @err through. */
static int settle(struct vdpa_dev *dev, int err)
{
	bool runs = false;

	for (unsigned i = 0; i < dev->nqueues; i++)
		runs |= dev->runs[i];
	if (session_has_failed(dev))
		set_state(dev, VDPA_DEV_FAILED);
	else if (runs)
		set_state(dev, VDPA_DEV_RUNNING);
	else if (dev->state == VDPA_DEV_RUNNING)
		set_state(dev, VDPA_DEV_STOPPED);
	return err;
}

/*
 * The session
 */
static int session_tell(struct vdpa_dev *dev, const struct vu_msg *m, struct errbuf *eb)
{
	return dev->keeper ? vdpa_keeper_tell(dev->keeper, m, eb) : vdpa_link_tell(&dev->link, m, eb);
}

static int session_ask(struct vdpa_dev *dev, struct vu_msg *m, struct errbuf *eb)
{
	return dev->keeper ? vdpa_keeper_ask(dev->keeper, m, eb) : vdpa_link_ask(&dev->link, m, eb);
}

static int tell_u64(struct vdpa_dev *dev, uint32_t request, uint64_t v, struct errbuf *eb)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.u64));
	m.p.u64 = v;
	return session_tell(dev, &m, eb);
}

static int tell_ring(struct vdpa_dev *dev, uint32_t request, unsigned index, uint32_t num,
		     struct errbuf *eb)
{
	struct vu_msg m;

	vu_msg_init(&m, request, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, num };
	return session_tell(dev, &m, eb);
}

/* A kept one has said by itself what we need. */
static int session_begin(struct vdpa_dev *dev, struct errbuf *eb)
{
	return dev->keeper ? vdpa_keeper_begin(dev->keeper, eb)
			   : dev->source->ops->connect(dev->source, &dev->link.sock, eb);
}

static int dev_connect(struct vdpa_dev *dev, struct errbuf *eb)
{
	int err;

	if (dev->state == VDPA_DEV_FAILED)
		return errbuf_set(eb, -EPIPE, "the session has failed: the front-end must connect again");
	if (dev->state != VDPA_DEV_IDLE)
		return 0;
	err = session_begin(dev, eb);
	if (err)
		return err; /* still IDLE: the next message tries again */
	dev->negotiated = 0;
	pthread_mutex_lock(&dev->stats_lock);
	memset(dev->since, 0, sizeof(dev->since));
	pthread_mutex_unlock(&dev->stats_lock);
	if (!dev->keeper)
		err = tell_u64(dev, VU_SET_PROTOCOL_FEATURES, dev->protocol_ours, eb);
	set_state(dev, VDPA_DEV_CONFIGURED);
	return settle(dev, err);
}

void vdpa_dev_disconnect(struct vdpa_dev *dev)
{
	if (dev->state == VDPA_DEV_IDLE)
		return;
	if (dev->keeper)
		vdpa_keeper_end(dev->keeper);
	vdpa_link_close(&dev->link);
	memset(dev->runs, 0, sizeof(dev->runs));
	set_state(dev, VDPA_DEV_IDLE);
	if (!dev->source->ops->wait_end(dev->source))
		log_warn("%s: I/O in flight has not ended within %u ms: it goes on, in memory of its own mapping",
			 dev->name, dev->wait_ms);
}

/*
 * Messages
 */
enum way {
	WAY_LEAVE, /* the application's business alone */
	WAY_TELL,  /* both */
	WAY_ASK,   /* ours alone: the reply is the session's */
	WAY_TAKE,  /* ours alone, without a reply of its own */
};

/*
 * The inflight region is ours alone: rte_vhost's own recovery knows batches of one request only, and would take the
 * rest of a batch, done and published, for requests to be done again. The configuration space, because the
 * application hands on no offset.
 */
static const uint8_t ways[VU_REQUEST_COUNT] = {
	[VU_SET_FEATURES] = WAY_TELL,	   [VU_SET_OWNER] = WAY_TELL,
	[VU_SET_MEM_TABLE] = WAY_TELL,	   [VU_SET_LOG_BASE] = WAY_TELL,
	[VU_SET_VRING_NUM] = WAY_TELL,	   [VU_SET_VRING_ADDR] = WAY_TELL,
	[VU_SET_VRING_BASE] = WAY_TELL,	   [VU_SET_VRING_KICK] = WAY_TELL,
	[VU_SET_VRING_CALL] = WAY_TELL,	   [VU_SET_VRING_ERR] = WAY_TELL,
	[VU_SET_VRING_ENABLE] = WAY_TELL,  [VU_SET_PROTOCOL_FEATURES] = WAY_TELL,
	[VU_SET_BACKEND_REQ_FD] = WAY_TELL, [VU_SET_STATUS] = WAY_TELL,
	[VU_SET_CONFIG] = WAY_TELL,	   [VU_GET_CONFIG] = WAY_ASK,
	[VU_GET_INFLIGHT_FD] = WAY_ASK,	   [VU_SET_INFLIGHT_FD] = WAY_TAKE,
};

static const int results[] = {
	[WAY_TELL] = 0,
	[WAY_ASK] = VDPA_DEV_REPLY,
	[WAY_TAKE] = VDPA_DEV_TAKEN,
};

static bool is_packed(const struct vdpa_dev *dev)
{
	return dev->negotiated & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

/*
 * rte_vhost answers GET_VRING_BASE of a packed ring with the driver's half only, and so the front-end comes back with
 * an empty upper half: it was drained, both halves are the same.
 */
static void complete_base(const struct vdpa_dev *dev, struct vu_vring_state *s)
{
	if (is_packed(dev) && s->num >> 16 == 0)
		s->num |= s->num << 16;
}

static void note_stop(struct vdpa_dev *dev, const struct vu_msg *m)
{
	if (m->h.request == VU_SET_STATUS && m->p.u64 == 0)
		memset(dev->runs, 0, sizeof(dev->runs));
	else if (m->h.request == VU_SET_VRING_ENABLE && m->p.state.index < dev->nqueues)
		dev->runs[m->p.state.index] = false;
}

static int tell(struct vdpa_dev *dev, const struct vu_msg *m, struct errbuf *eb)
{
	struct vu_msg out = *m;
	int err;

	switch (m->h.request) {
	case VU_SET_VRING_ENABLE:
		if (m->p.state.num == 1)
			return 0; /* vdpa_dev_ring_start() */
		break;
	case VU_SET_PROTOCOL_FEATURES:
		out.p.u64 |= dev->protocol_ours;
		break;
	case VU_SET_VRING_BASE:
		complete_base(dev, &out.p.state);
		break;
	default:
		break;
	}
	err = session_tell(dev, &out, eb);
	if (err)
		return err;
	if (m->h.request == VU_SET_FEATURES)
		dev->negotiated = m->p.u64;
	note_stop(dev, m);
	return 0;
}

int vdpa_dev_message(struct vdpa_dev *dev, struct vu_msg *m, struct errbuf *eb)
{
	enum way way = m->h.request < VU_REQUEST_COUNT ? ways[m->h.request] : WAY_LEAVE;
	int err;

	if (way == WAY_LEAVE)
		return 0;
	/* what has the wrong shape is refused here: it would be the end of the session */
	err = vu_msg_check(m, eb);
	if (!err)
		err = dev_connect(dev, eb);
	if (err)
		return err;
	err = way == WAY_ASK ? session_ask(dev, m, eb) : tell(dev, m, eb);
	(void)settle(dev, err);
	return err ? err : results[way];
}

/*
 * Rings
 */
static int index_check(const struct vdpa_dev *dev, unsigned index, struct errbuf *eb)
{
	if (index < dev->nqueues)
		return 0;
	return errbuf_set(eb, -EINVAL, "queue %u, the device has %u", index, dev->nqueues);
}

int vdpa_dev_ring_start(struct vdpa_dev *dev, unsigned index, struct errbuf *eb)
{
	int err = index_check(dev, index, eb);

	if (!err)
		err = dev_connect(dev, eb);
	if (err || dev->runs[index])
		return err;
	err = tell_ring(dev, VU_SET_VRING_ENABLE, index, 1, eb);
	dev->runs[index] = !err;
	return settle(dev, err);
}

/* GET_VRING_BASE leaves a ring enabled: the next kick fd would start it before the application says so. */
int vdpa_dev_ring_stop(struct vdpa_dev *dev, unsigned index, uint32_t *ret_base, struct errbuf *eb)
{
	struct vu_msg m;
	int err = index_check(dev, index, eb);

	if (!err)
		err = dev_connect(dev, eb);
	if (err)
		return err;
	vu_msg_init(&m, VU_GET_VRING_BASE, 0, sizeof(m.p.state));
	m.p.state.index = index;
	err = session_ask(dev, &m, eb);
	if (!err) {
		vu_msg_close_fds(&m);
		err = tell_ring(dev, VU_SET_VRING_ENABLE, index, 0, eb);
	}
	dev->runs[index] = false;
	(void)settle(dev, err);
	if (err)
		return err;
	*ret_base = m.p.state.num;
	return 0;
}

int vdpa_dev_pause(struct vdpa_dev *dev, struct errbuf *eb)
{
	int err = 0;

	/* of a daemon that is away: nothing runs, and the front-end most likely goes */
	if (dev->keeper && dev->state == VDPA_DEV_RUNNING)
		err = vdpa_keeper_check(dev->keeper, eb);
	for (unsigned i = 0; i < dev->nqueues && !err; i++) {
		if (!dev->runs[i])
			continue;
		err = tell_ring(dev, VU_SET_VRING_ENABLE, i, 0, eb);
		dev->runs[i] = false;
	}
	return dev->state == VDPA_DEV_IDLE ? 0 : settle(dev, err);
}

int vdpa_dev_config_get(struct vdpa_dev *dev, void *buf, uint32_t len, struct errbuf *eb)
{
	struct vu_msg m;
	int err = len <= VU_CONFIG_BYTES_MAX ? dev_connect(dev, eb)
					     : errbuf_set(eb, -EINVAL, "%u bytes of configuration", len);

	if (err)
		return err;
	vu_msg_init(&m, VU_GET_CONFIG, 0, VU_CONFIG_HDR_BYTES + len);
	m.p.config.size = len;
	err = settle(dev, session_ask(dev, &m, eb));
	if (err)
		return err;
	vu_msg_close_fds(&m);
	if (m.h.size < VU_CONFIG_HDR_BYTES + len)
		return errbuf_set(eb, -EPROTO, "configuration of %u bytes, not %u", m.h.size, len);
	memcpy(buf, m.p.config.data, len);
	return 0;
}

/*
 * Statistics
 */
static const char *const stat_names[VDPA_STATS] = {
	[VDPA_STAT_REQUESTS] = "requests",
	[VDPA_STAT_INFLIGHT] = "requests in flight",
	[VDPA_STAT_KICKS] = "notifications by the driver",
	[VDPA_STAT_CALLS] = "interrupts to the driver",
	[VDPA_STAT_POLLS] = "polls",
	[VDPA_STAT_EMPTY_POLLS] = "polls in vain",
	[VDPA_STAT_BROKEN] = "broken",
};

const char *vdpa_dev_stat_name(enum vdpa_dev_stat stat)
{
	return stat_names[stat];
}

/* Not counters, but what is now: a reset leaves them. */
static bool is_level(unsigned stat)
{
	return stat == VDPA_STAT_INFLIGHT || stat == VDPA_STAT_BROKEN;
}

static int stats_read(struct vdpa_dev *dev, unsigned index, uint64_t ret[VDPA_STATS])
{
	struct vu_session_info info;
	int err = index < dev->nqueues ? dev->source->ops->get_info(dev->source, &info) : -EINVAL;

	if (err)
		return err;
	memset(ret, 0, VDPA_STATS * sizeof(*ret));
	for (unsigned i = 0; i < info.nqueues; i++) {
		const struct vu_queue_info *q = &info.queues[i];

		if (q->index != index)
			continue;
		ret[VDPA_STAT_REQUESTS] = q->cnt.chains;
		ret[VDPA_STAT_INFLIGHT] = q->inflight;
		ret[VDPA_STAT_KICKS] = q->cnt.kicks;
		ret[VDPA_STAT_CALLS] = q->cnt.calls;
		ret[VDPA_STAT_POLLS] = q->cnt.polls;
		ret[VDPA_STAT_EMPTY_POLLS] = q->cnt.empty_polls;
		ret[VDPA_STAT_BROKEN] = q->broken;
	}
	vu_session_info_fini(&info);
	return 0;
}

int vdpa_dev_get_stats(struct vdpa_dev *dev, unsigned index, uint64_t ret[VDPA_STATS])
{
	int err = stats_read(dev, index, ret);

	if (err)
		return err;
	pthread_mutex_lock(&dev->stats_lock);
	for (unsigned i = 0; i < VDPA_STATS; i++) {
		if (!is_level(i)) /* a new session may have begun in between */
			ret[i] -= CC_MIN(ret[i], dev->since[index][i]);
	}
	pthread_mutex_unlock(&dev->stats_lock);
	return 0;
}

int vdpa_dev_reset_stats(struct vdpa_dev *dev, unsigned index)
{
	uint64_t now[VDPA_STATS];
	int err = stats_read(dev, index, now);

	if (err)
		return err;
	pthread_mutex_lock(&dev->stats_lock);
	memcpy(dev->since[index], now, sizeof(now));
	pthread_mutex_unlock(&dev->stats_lock);
	return 0;
}

/*
 * The beginning and the end
 */
uint64_t vdpa_dev_features(const struct vdpa_dev *dev)
{
	return dev->features;
}

uint64_t vdpa_dev_protocol_features(const struct vdpa_dev *dev)
{
	return dev->protocol_features;
}

unsigned vdpa_dev_nqueues(const struct vdpa_dev *dev)
{
	return dev->nqueues;
}

static int ask_u64(struct vdpa_dev *dev, uint32_t request, uint64_t *ret, struct errbuf *eb)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, request, 0, 0);
	err = session_ask(dev, &m, eb);
	if (err)
		return err;
	vu_msg_close_fds(&m);
	if (m.h.size < sizeof(m.p.u64))
		return errbuf_set(eb, -EPROTO, "%s: an answer of %u bytes", vu_request_name(request), m.h.size);
	*ret = m.p.u64;
	return 0;
}

/* As a front-end would. */
static int dev_learn(struct vdpa_dev *dev, struct errbuf *eb)
{
	uint64_t n = 0;
	int err = dev_connect(dev, eb);

	if (!err && dev->keeper)
		err = vdpa_keeper_check(dev->keeper, eb);
	if (!err)
		err = ask_u64(dev, VU_GET_FEATURES, &dev->features, eb);
	if (!err)
		err = ask_u64(dev, VU_GET_PROTOCOL_FEATURES, &dev->protocol_features, eb);
	if (!err)
		err = ask_u64(dev, VU_GET_QUEUE_NUM, &n, eb);
	dev->nqueues = (unsigned)CC_MIN(n, (uint64_t)VDPA_QUEUES_MAX);
	vdpa_dev_disconnect(dev);
	return err;
}

/* A session of this process ends with it; one of a daemon's does not. */
static int relay_begin(struct vdpa_dev *dev, const struct vdpa_args *args, struct errbuf *eb)
{
	struct vdpa_keeper_opts opts = {
		.name = dev->name,
		.wait_ms = dev->wait_ms,
		.nqueues = (unsigned)args->queues,
		.protocol = PROTOCOL_RELAY,
	};
	int err = vdpa_relay_create(dev->name, args, &dev->source, eb);

	if (err)
		return err;
	dev->protocol_ours = opts.protocol;
	opts.source = dev->source;
	return vdpa_keeper_create(&opts, &dev->keeper, eb);
}

int vdpa_dev_create(const char *name, const struct vdpa_args *args, struct vdpa_dev **ret_dev,
		    struct errbuf *eb)
{
	struct vdpa_dev *dev = calloc(1, sizeof(*dev));
	int err;

	if (!dev)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	dev->wait_ms = (unsigned)args->stop_ms;
	dev->link = (struct vdpa_link){ .sock = -1, .wait_ms = dev->wait_ms };
	dev->protocol_ours = PROTOCOL_OURS;
	(void)pthread_mutex_init(&dev->stats_lock, NULL); /* the default kind: it cannot fail */
	dev->name = strdup(name);
	if (!dev->name)
		err = errbuf_set(eb, -ENOMEM, "out of memory");
	else if (vdpa_relay_is_meant(args->backend))
		err = relay_begin(dev, args, eb);
	else
		err = vdpa_local_create(name, args, &dev->source, eb);
	if (!err)
		err = dev_learn(dev, eb);
	if (err) {
		vdpa_dev_destroy(dev);
		return err;
	}
	*ret_dev = dev;
	return 0;
}

void vdpa_dev_destroy(struct vdpa_dev *dev)
{
	if (!dev)
		return;
	if (dev->source) {
		vdpa_dev_disconnect(dev);
		vdpa_keeper_destroy(dev->keeper);
		dev->source->ops->destroy(dev->source);
	}
	pthread_mutex_destroy(&dev->stats_lock);
	free(dev->name);
	free(dev);
}
