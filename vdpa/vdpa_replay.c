/* SPDX-License-Identifier: BSD-3-Clause */
/* The last word of each kind. */
#include "vdpa/vdpa_replay.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "vhost/virtq/virtio_spec.h"

struct vdpa_said {
	struct vu_header h;
	unsigned nfds;
	int fds[VU_FDS_MAX]; /* ours */
	uint8_t payload[];
};

/*
 * In the order in which a session is told. Protocol features come first, for the session answers only then; the
 * inflight region and the memory come before the rings. Status is last: "DRIVER_OK".
 */
enum device_kind {
	SAID_PROTOCOL,
	SAID_OWNER,
	SAID_FEATURES,
	SAID_LOG,
	SAID_BACKEND,
	SAID_REGION,
	SAID_MEMORY,
	SAID_STATUS,
};

static const uint8_t device_requests[VDPA_REPLAY_DEVICE_KINDS] = {
	[SAID_PROTOCOL] = VU_SET_PROTOCOL_FEATURES,
	[SAID_OWNER] = VU_SET_OWNER,
	[SAID_FEATURES] = VU_SET_FEATURES,
	[SAID_LOG] = VU_SET_LOG_BASE,
	[SAID_BACKEND] = VU_SET_BACKEND_REQ_FD,
	[SAID_REGION] = VU_SET_INFLIGHT_FD,
	[SAID_MEMORY] = VU_SET_MEM_TABLE,
	[SAID_STATUS] = VU_SET_STATUS,
};

enum ring_kind {
	SAID_NUM,
	SAID_BASE,
	SAID_ADDR,
	SAID_CALL,
	SAID_ERR,
	SAID_KICK,
};

static const uint8_t ring_requests[VDPA_REPLAY_RING_KINDS] = {
	[SAID_NUM] = VU_SET_VRING_NUM,	 [SAID_BASE] = VU_SET_VRING_BASE, [SAID_ADDR] = VU_SET_VRING_ADDR,
	[SAID_CALL] = VU_SET_VRING_CALL, [SAID_ERR] = VU_SET_VRING_ERR,	  [SAID_KICK] = VU_SET_VRING_KICK,
};

/*
 * One message
 */
static void said_drop(struct vdpa_said **s)
{
	if (!*s)
		return;
	for (unsigned i = 0; i < (*s)->nfds; i++)
		close((*s)->fds[i]);
	free(*s);
	*s = NULL;
}

static int fds_dup(const int *from, unsigned n, int *ret)
{
	for (unsigned i = 0; i < n; i++) {
		ret[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 0);
		if (ret[i] < 0) {
			int err = -errno;

			while (i)
				close(ret[--i]);
			return err;
		}
	}
	return 0;
}

static int said_replace(struct vdpa_said **s, const struct vu_msg *m)
{
	struct vdpa_said *made;
	int err;

	assert(m->h.size <= sizeof(m->p) && m->nfds <= VU_FDS_MAX);
	made = malloc(sizeof(*made) + m->h.size);
	if (!made)
		return -ENOMEM;
	made->h = m->h;
	made->h.flags = VU_FLAG_VERSION;
	made->nfds = m->nfds;
	memcpy(made->payload, &m->p, m->h.size);
	err = fds_dup(m->fds, m->nfds, made->fds);
	if (err) {
		free(made);
		return err;
	}
	said_drop(s);
	*s = made;
	return 0;
}

/* Its fds stay @s's. */
static void said_lend(const struct vdpa_said *s, struct vu_msg *ret)
{
	vu_msg_init(ret, s->h.request, 0, s->h.size);
	memcpy(&ret->p, s->payload, s->h.size);
	ret->nfds = s->nfds;
	memcpy(ret->fds, s->fds, s->nfds * sizeof(*s->fds));
}

static uint64_t said_u64(const struct vdpa_said *s)
{
	uint64_t v = 0;

	if (s)
		memcpy(&v, s->payload, CC_MIN(sizeof(v), (size_t)s->h.size));
	return v;
}

static uint32_t said_base(const struct vdpa_said *s)
{
	struct vu_vring_state v = { 0, 0 };

	if (s)
		memcpy(&v, s->payload, CC_MIN(sizeof(v), (size_t)s->h.size));
	return v.num;
}

void vdpa_replay_init(struct vdpa_replay *r)
{
	memset(r, 0, sizeof(*r));
}

void vdpa_replay_fini(struct vdpa_replay *r)
{
	for (unsigned k = 0; k < VDPA_REPLAY_DEVICE_KINDS; k++)
		said_drop(&r->said[k]);
	for (unsigned i = 0; i < VDPA_QUEUES_MAX; i++)
		for (unsigned k = 0; k < VDPA_REPLAY_RING_KINDS; k++)
			said_drop(&r->rings[i].said[k]);
	vdpa_replay_init(r);
}

/*
 * Which kind, and of which ring?
 */
static bool find_kind(const uint8_t *requests, unsigned n, uint32_t request, unsigned *ret)
{
	for (*ret = 0; *ret < n; (*ret)++) {
		if (requests[*ret] == request)
			return true;
	}
	return false;
}

static bool is_of_ring(uint32_t request, unsigned *ret_kind)
{
	return find_kind(ring_requests, VDPA_REPLAY_RING_KINDS, request, ret_kind);
}

static uint64_t ring_index(const struct vu_msg *m)
{
	switch (m->h.request) {
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		return m->p.u64 & ~VU_VRING_NOFD;
	case VU_SET_VRING_ADDR:
		return m->p.addr.index;
	default:
		return m->p.state.index;
	}
}

static bool is_packed(const struct vdpa_replay *r)
{
	return said_u64(r->said[SAID_FEATURES]) & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

bool vdpa_replay_any_runs(const struct vdpa_replay *r)
{
	for (unsigned i = 0; i < VDPA_QUEUES_MAX; i++) {
		if (r->rings[i].runs)
			return true;
	}
	return false;
}

bool vdpa_replay_wants_region(const struct vdpa_replay *r)
{
	return r->said[SAID_FEATURES] && !r->said[SAID_REGION];
}

/*
 * In
 */

/* As the session: where all rings start from the beginning, a driver does, and the device type was reset. */
static void config_forget_if_due(struct vdpa_replay *r)
{
	uint32_t start = is_packed(r) ? 0x80008000u : 0;

	if (!r->reset_due)
		return;
	r->reset_due = false;
	for (unsigned i = 0; i < VDPA_QUEUES_MAX; i++) {
		uint32_t base = said_base(r->rings[i].said[SAID_BASE]);

		if (base != start && base != 0)
			return;
	}
	memset(r->config_set, 0, sizeof(r->config_set));
}

static int note_enable(struct vdpa_replay *r, const struct vu_msg *m)
{
	struct vdpa_replay_ring *ring;

	if (m->p.state.index >= VDPA_QUEUES_MAX)
		return -EINVAL;
	ring = &r->rings[m->p.state.index];
	ring->runs = m->p.state.num == 1;
	if (ring->runs) {
		ring->kick_due = false;
		config_forget_if_due(r);
	}
	return 0;
}

static void note_config(struct vdpa_replay *r, const struct vu_config *c)
{
	if (c->off > VU_CONFIG_BYTES_MAX || c->size > VU_CONFIG_BYTES_MAX - c->off)
		return; /* no session takes it */
	memcpy(r->config + c->off, c->data, c->size);
	memset(r->config_set + c->off, true, c->size);
}

/* The session stops all rings, and forgets their kick fds. */
static void note_reset(struct vdpa_replay *r)
{
	for (unsigned i = 0; i < VDPA_QUEUES_MAX; i++) {
		said_drop(&r->rings[i].said[SAID_KICK]);
		r->rings[i].runs = r->rings[i].kick_due = false;
	}
	said_drop(&r->said[SAID_STATUS]);
	r->reset_due = true;
}

static int note_ring(struct vdpa_replay *r, unsigned kind, const struct vu_msg *m)
{
	uint64_t index = ring_index(m);
	int err;

	if (index >= VDPA_QUEUES_MAX)
		return -EINVAL;
	err = said_replace(&r->rings[index].said[kind], m);
	if (!err && kind == SAID_KICK)
		r->rings[index].kick_due = false;
	return err;
}

static int note_device(struct vdpa_replay *r, unsigned kind, const struct vu_msg *m)
{
	bool was_packed = is_packed(r);
	int err = said_replace(&r->said[kind], m);

	if (err)
		return err;
	if (kind == SAID_REGION)
		r->region_is_ours = false;
	/* a region is laid out for one kind of ring */
	if (is_packed(r) != was_packed && r->region_is_ours)
		said_drop(&r->said[SAID_REGION]);
	return 0;
}

int vdpa_replay_note(struct vdpa_replay *r, const struct vu_msg *m)
{
	unsigned kind;

	switch (m->h.request) {
	case VU_SET_VRING_ENABLE:
		return note_enable(r, m);
	case VU_SET_CONFIG:
		note_config(r, &m->p.config);
		return 0;
	case VU_SET_STATUS:
		if (m->p.u64 == 0) {
			note_reset(r);
			return 0;
		}
		break;
	default:
		break;
	}
	if (is_of_ring(m->h.request, &kind))
		return note_ring(r, kind, m);
	if (find_kind(device_requests, VDPA_REPLAY_DEVICE_KINDS, m->h.request, &kind))
		return note_device(r, kind, m);
	return 0;
}

int vdpa_replay_note_region(struct vdpa_replay *r, const struct vu_msg *m)
{
	int err = vdpa_replay_note(r, m);

	if (!err)
		r->region_is_ours = true;
	return err;
}

static int base_set(struct vdpa_replay *r, unsigned index, uint32_t base)
{
	struct vu_msg m;

	if (index >= VDPA_QUEUES_MAX)
		return -EINVAL;
	vu_msg_init(&m, VU_SET_VRING_BASE, 0, sizeof(m.p.state));
	m.p.state = (struct vu_vring_state){ index, base };
	return said_replace(&r->rings[index].said[SAID_BASE], &m);
}

int vdpa_replay_stopped(struct vdpa_replay *r, unsigned index, uint32_t base)
{
	int err = base_set(r, index, base);

	if (err)
		return err;
	said_drop(&r->rings[index].said[SAID_KICK]);
	r->rings[index].runs = r->rings[index].kick_due = false;
	return 0;
}

int vdpa_replay_paused(struct vdpa_replay *r, unsigned index, uint32_t base)
{
	int err = base_set(r, index, base);

	if (err)
		return err;
	r->rings[index].runs = false;
	r->rings[index].kick_due = r->rings[index].said[SAID_KICK] != NULL;
	return 0;
}

/* A session that lives refuses these by itself. */
static int check_ring(const struct vdpa_replay *r, const struct vu_msg *m, struct errbuf *eb)
{
	uint64_t index = ring_index(m);

	if (index >= VDPA_QUEUES_MAX)
		return errbuf_set(eb, -EINVAL, "%s: queue %llu", vu_request_name(m->h.request),
				  (unsigned long long)index);
	if ((m->h.request == VU_SET_VRING_NUM || m->h.request == VU_SET_VRING_BASE) && r->rings[index].runs)
		return errbuf_set(eb, -EINVAL, "%s: queue %llu runs", vu_request_name(m->h.request),
				  (unsigned long long)index);
	return 0;
}

int vdpa_replay_check(const struct vdpa_replay *r, const struct vu_msg *m, struct errbuf *eb)
{
	unsigned kind;

	switch (m->h.request) {
	case VU_SET_CONFIG: /* the device type may refuse it */
		return -EBUSY;
	case VU_SET_STATUS:
		return m->p.u64 == 0 && vdpa_replay_any_runs(r) ? -EBUSY : 0;
	case VU_SET_INFLIGHT_FD:
		return vdpa_replay_any_runs(r) ? errbuf_set(eb, -EINVAL, "SET_INFLIGHT_FD: rings run") : 0;
	case VU_SET_VRING_ENABLE:
		if (m->p.state.num > 1)
			return errbuf_set(eb, -EINVAL, "SET_VRING_ENABLE: %u", m->p.state.num);
		if (!check_ring(r, m, NULL) && !m->p.state.num && r->rings[m->p.state.index].runs)
			return -EBUSY; /* what is in flight must end first */
		return check_ring(r, m, eb);
	default:
		return is_of_ring(m->h.request, &kind) ? check_ring(r, m, eb) : 0;
	}
}

int vdpa_replay_find_uncovered(const struct vdpa_replay *r)
{
	const struct vdpa_said *s = r->said[SAID_REGION];
	struct vu_inflight d = { .nqueues = 0 };

	if (s)
		memcpy(&d, s->payload, CC_MIN(sizeof(d), (size_t)s->h.size));
	for (unsigned i = d.nqueues; s && i < VDPA_QUEUES_MAX; i++) {
		if (r->rings[i].runs)
			return (int)i;
	}
	return -1;
}

bool vdpa_replay_kick(const struct vdpa_replay *r, unsigned index, struct vu_msg *ret)
{
	const struct vdpa_said *s = index < VDPA_QUEUES_MAX ? r->rings[index].said[SAID_KICK] : NULL;

	if (s)
		said_lend(s, ret);
	return s != NULL;
}

/*
 * Out
 */
static const struct vdpa_said *device_next(const struct vdpa_replay *r, unsigned end, unsigned *at)
{
	while (*at < end) {
		const struct vdpa_said *s = r->said[(*at)++];

		if (s)
			return s;
	}
	return NULL;
}

/* Runs of bytes that were written, each as one message. */
static bool config_next(const struct vdpa_replay *r, unsigned *at, struct vu_msg *ret)
{
	uint32_t off, size;

	while (*at < VU_CONFIG_BYTES_MAX && !r->config_set[*at])
		(*at)++;
	off = *at;
	while (*at < VU_CONFIG_BYTES_MAX && r->config_set[*at])
		(*at)++;
	size = *at - off;
	if (!size)
		return false;
	vu_msg_init(ret, VU_SET_CONFIG, 0, VU_CONFIG_HDR_BYTES + size);
	ret->p.config.off = off;
	ret->p.config.size = size;
	memcpy(ret->p.config.data, r->config + off, size);
	return true;
}

/* A ring that does not run gets its kick fd later: without PROTOCOL_FEATURES it would start the ring. */
static const struct vdpa_said *ring_next(const struct vdpa_replay *r, unsigned *at)
{
	while (*at < VDPA_QUEUES_MAX * VDPA_REPLAY_RING_KINDS) {
		const struct vdpa_replay_ring *ring = &r->rings[*at / VDPA_REPLAY_RING_KINDS];
		unsigned kind = (*at)++ % VDPA_REPLAY_RING_KINDS;

		if (ring->said[kind] && (kind != SAID_KICK || ring->runs))
			return ring->said[kind];
	}
	return NULL;
}

static bool enable_next(const struct vdpa_replay *r, unsigned *at, struct vu_msg *ret)
{
	while (*at < VDPA_QUEUES_MAX && !r->rings[*at].runs)
		(*at)++;
	if (*at == VDPA_QUEUES_MAX)
		return false;
	vu_msg_init(ret, VU_SET_VRING_ENABLE, 0, sizeof(ret->p.state));
	ret->p.state = (struct vu_vring_state){ (*at)++, 1 };
	return true;
}

/* In stage @stage; *ret has no fds, or lent ones. */
static bool stage_next(const struct vdpa_replay *r, unsigned stage, unsigned *at, struct vu_msg *ret)
{
	const struct vdpa_said *s = NULL;

	switch (stage) {
	case 0:
		s = device_next(r, SAID_REGION, at);
		break;
	case 1:
		return config_next(r, at, ret);
	case VDPA_REPLAY_RINGS:
		*at = CC_MAX(*at, (unsigned)SAID_REGION);
		s = device_next(r, SAID_STATUS, at);
		break;
	case 3:
		s = ring_next(r, at);
		break;
	case 4:
		return enable_next(r, at, ret);
	default:
		s = *at ? NULL : r->said[SAID_STATUS];
		*at = 1;
		break;
	}
	if (s)
		said_lend(s, ret);
	return s != NULL;
}

#define STAGES 6

int vdpa_replay_next(const struct vdpa_replay *r, struct vdpa_replay_pos *pos, struct vu_msg *ret)
{
	struct vu_msg lent;
	int err;

	while (pos->stage < STAGES) {
		if (!stage_next(r, pos->stage, &pos->at, &lent)) {
			*pos = (struct vdpa_replay_pos){ pos->stage + 1, 0 };
			continue;
		}
		*ret = lent;
		err = fds_dup(lent.fds, lent.nfds, ret->fds);
		return err ? err : 1;
	}
	return 0;
}

void vdpa_replay_done(struct vdpa_replay *r)
{
	for (unsigned i = 0; i < VDPA_QUEUES_MAX; i++) {
		struct vdpa_replay_ring *ring = &r->rings[i];

		ring->kick_due = !ring->runs && ring->said[SAID_KICK];
	}
}
