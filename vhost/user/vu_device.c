/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages about the device as a whole: features, configuration space, status, reset, the
 * back-end channel. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vhost/user/vu_dispatch.h"
#include "vhost/user/vu_log.h"
#include "vhost/user/vu_ring.h"

#define VU_STATUS_FEATURES_OK 8u /* Virtio 1.2, 2.1 */

static void reply_u64(struct vu_msg *m, uint64_t v)
{
	m->p.u64 = v;
	m->h.size = sizeof(v);
}

/* The ring's and the transport's bits are ours, the rest is the device type's. */
uint64_t vu_features_offered(const struct vu_session *s)
{
	uint64_t f = s->conf.dev->ops->features(s->conf.dev);

	f |= VIRTIO_BIT(VHOST_F_LOG_ALL) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT) |
	     VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
	     VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
	     VIRTIO_BIT(VIRTIO_F_IN_ORDER) | VIRTIO_BIT(VIRTIO_F_RING_RESET);
	if (!s->conf.no_packed)
		f |= VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	return f;
}

int vu_get_features(struct vu_session *s, struct vu_msg *m)
{
	reply_u64(m, s->offered);
	return 0;
}

static int features_set(struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		int err;

		if (!(s->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
			s->rings[i].enabled = true; /* "must enable all rings immediately" */
		err = vu_ring_try_start(&s->rings[i]);
		if (err)
			return err;
	}
	return 0;
}

/* While rings run only the dirty log may be switched. */
int vu_set_features(struct vu_session *s, struct vu_msg *m)
{
	const uint64_t at_run_time =
		VIRTIO_BIT(VHOST_F_LOG_ALL) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	uint64_t f = m->p.u64;

	if (vu_session_is_running(s) && ((f ^ s->features) & ~at_run_time))
		return errbuf_set(&s->eb, -EBUSY, "rings run with %#llx, new features %#llx",
				  (unsigned long long)s->features, (unsigned long long)f);
	/* With STATUS the front-end learns it from FEATURES_OK. */
	s->features_bad = (f & ~s->offered) != 0;
	if (s->features_bad && !vu_session_has(s, VU_PROTOCOL_F_STATUS))
		return errbuf_set(&s->eb, -EINVAL, "features %#llx were not offered",
				  (unsigned long long)(f & ~s->offered));
	s->features = f;
	s->features_set = true;
	vu_wait_begin(s, features_set);
	for (unsigned i = 0; i < s->nrings; i++)
		vu_log_switch(&s->rings[i]);
	return vu_wait_end(s);
}

int vu_get_protocol_features(struct vu_session *s, struct vu_msg *m)
{
	(void)s;
	reply_u64(m, VU_PROTOCOL_FEATURES);
	return 0;
}

int vu_set_protocol_features(struct vu_session *s, struct vu_msg *m)
{
	if (m->p.u64 & ~VU_PROTOCOL_FEATURES)
		return errbuf_set(&s->eb, -EINVAL, "protocol features %#llx were not offered",
				  (unsigned long long)(m->p.u64 & ~VU_PROTOCOL_FEATURES));
	if ((m->p.u64 & VU_BIT(VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT)) &&
	    !(m->p.u64 & VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD)))
		return errbuf_set(&s->eb, -EINVAL,
				  "GET_VRING_BASE_INFLIGHT (bit %d) without INFLIGHT_SHMFD (bit %d)",
				  VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT,
				  VU_PROTOCOL_F_INFLIGHT_SHMFD);
	s->protocol_features = m->p.u64;
	return 0;
}

/* SET_OWNER and RESET_OWNER: a connection is its own owner. */
int vu_accept(struct vu_session *s, struct vu_msg *m)
{
	(void)s;
	(void)m;
	return 0;
}

int vu_get_queue_num(struct vu_session *s, struct vu_msg *m)
{
	reply_u64(m, s->nrings);
	return 0;
}

int vu_set_backend_req_fd(struct vu_session *s, struct vu_msg *m)
{
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = vu_msg_take_fd(m, 0);
	return 0;
}

/*
 * Any piece of the configuration space, also beyond what this device type has: that reads as zero,
 * since front-ends are built against longer structs than ours. More than the protocol's 256 bytes:
 * an empty reply, the error.
 */
int vu_get_config(struct vu_session *s, struct vu_msg *m)
{
	struct vu_config *c = &m->p.config;
	uint8_t space[VDEV_CONFIG_MAX] = { 0 };

	static_assert(VDEV_CONFIG_MAX == VU_CONFIG_BYTES_MAX, "the protocol's limit is the port's");
	if (c->off > VU_CONFIG_BYTES_MAX || c->size > VU_CONFIG_BYTES_MAX - c->off ||
	    m->h.size < VU_CONFIG_HDR_BYTES + c->size) {
		m->h.size = 0;
		return 0;
	}
	(void)s->conf.dev->ops->config_get(s->conf.dev, space); /* the rest of space stays zero */
	memcpy(c->data, space + c->off, c->size);
	m->h.size = VU_CONFIG_HDR_BYTES + c->size;
	return 0;
}

static void device_reset(struct vu_session *s)
{
	s->reset_due = false;
	s->conf.dev->ops->reset(s->conf.dev);
}

/*
 * The guest's driver writes, or a migration restores. What the device type does not take (-EROFS)
 * is told where a reply was asked for, and never ends the connection: the guest may not cut itself
 * off.
 */
int vu_set_config(struct vu_session *s, struct vu_msg *m)
{
	struct vu_config *c = &m->p.config;

	if (c->flags > VU_CONFIG_F_MIGRATION || c->off > VU_CONFIG_BYTES_MAX ||
	    c->size > VU_CONFIG_BYTES_MAX - c->off || m->h.size < VU_CONFIG_HDR_BYTES + c->size)
		return errbuf_set(&s->eb, -EINVAL, "%u bytes at %u, flags %u, payload %u", c->size,
				  c->off, c->flags, m->h.size);
	/* A driver that writes before its rings start must not lose it to a reset that is due. */
	if (s->reset_due && c->flags == VU_CONFIG_F_WRITABLE && !vu_session_is_running(s))
		device_reset(s);
	if (s->conf.dev->ops->config_set(s->conf.dev, c->off, c->data, c->size))
		return errbuf_set(&s->eb, -EROFS, "%u bytes at %u cannot be written", c->size,
				  c->off);
	return 0;
}

/* All rings, positions kept (between vu_wait_begin and vu_wait_end). */
static void stop_all(struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		s->rings[i].kicked = false;
		if (s->rings[i].q)
			vu_ring_stop(&s->rings[i]);
	}
}

static int device_is_reset(struct vu_session *s)
{
	for (unsigned i = 0; i < s->nrings; i++) {
		vu_ring_forget(&s->rings[i]);
		s->rings[i].enabled = false;
		s->rings[i].base = 0;
		s->rings[i].size = 0;
		s->rings[i].addr_set = false;
	}
	s->status = 0;
	device_reset(s);
	return 0;
}

int vu_reset_device(struct vu_session *s, struct vu_msg *m)
{
	(void)m;
	vu_wait_begin(s, device_is_reset);
	stop_all(s);
	return vu_wait_end(s);
}

/*
 * Status 0. Front-ends also send it when a guest only pauses (QEMU 7.2 before every
 * GET_VRING_BASE): positions are kept, and the device type is reset when the next start shows a
 * driver that begins anew (reset_if_due).
 */
static int status_is_zero(struct vu_session *s)
{
	s->status = 0;
	s->reset_due = true;
	return 0;
}

int vu_set_status(struct vu_session *s, struct vu_msg *m)
{
	if (m->p.u64 > UINT8_MAX)
		return errbuf_set(&s->eb, -EINVAL, "device status %#llx",
				  (unsigned long long)m->p.u64);
	if (m->p.u64 == 0) {
		vu_wait_begin(s, status_is_zero);
		stop_all(s);
		return vu_wait_end(s);
	}
	s->status = (uint8_t)m->p.u64;
	if (s->features_bad)
		s->status &= (uint8_t)~VU_STATUS_FEATURES_OK;
	return 0;
}

int vu_get_status(struct vu_session *s, struct vu_msg *m)
{
	reply_u64(m, s->status);
	return 0;
}
