/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table, one way in, one way out. The shape of a message (payload, fds) is the wire's
 * (vu_wire.c); here stands who handles it, which protocol feature must have been negotiated for it,
 * and in which states it may come.
 */
#include "vhost/user/vu_dispatch.h"

#include <errno.h>

struct handler {
	int (*fn)(struct vu_session *s, struct vu_msg *m);
	uint64_t needs;	 /* protocol feature */
	uint32_t states; /* bits of enum vu_state */
};

#define IN(state) (1u << VU_STATE_##state)
/* Front-ends differ in their order of messages, and a ring is only started when all has come:
 * nearly all may come any time. */
#define ANY	 (IN(CONNECTED) | IN(NEGOTIATED) | IN(MEMORY) | IN(RUNNING))
#define NOT_RUN	 (ANY & ~IN(RUNNING))
#define NEEDS(f) VU_BIT(VU_PROTOCOL_F_##f)

static const struct handler handlers[VU_REQUEST_COUNT] = {
	[VU_GET_FEATURES] = { vu_get_features, 0, ANY },
	[VU_SET_FEATURES] = { vu_set_features, 0, ANY },
	[VU_SET_OWNER] = { vu_accept, 0, ANY },
	[VU_RESET_OWNER] = { vu_accept, 0,
			     ANY }, /* "either ignore this message": discarding state led to bugs */
	[VU_SET_MEM_TABLE] = { vu_set_mem_table, 0, ANY },
	[VU_SET_LOG_BASE] = { vu_set_log_base, NEEDS(LOG_SHMFD), ANY },
	[VU_SET_LOG_FD] = { vu_set_log_fd, 0, ANY },
	[VU_SET_VRING_NUM] = { vu_set_vring_num, 0, ANY },
	[VU_SET_VRING_ADDR] = { vu_set_vring_addr, 0, ANY },
	[VU_SET_VRING_BASE] = { vu_set_vring_base, 0, ANY },
	[VU_GET_VRING_BASE] = { vu_get_vring_base, 0, ANY },
	[VU_SET_VRING_KICK] = { vu_set_vring_kick, 0, ANY },
	[VU_SET_VRING_CALL] = { vu_set_vring_call, 0, ANY },
	[VU_SET_VRING_ERR] = { vu_set_vring_err, 0, ANY },
	[VU_GET_PROTOCOL_FEATURES] = { vu_get_protocol_features, 0, ANY },
	[VU_SET_PROTOCOL_FEATURES] = { vu_set_protocol_features, 0, NOT_RUN },
	[VU_GET_QUEUE_NUM] = { vu_get_queue_num, 0, ANY },
	[VU_SET_VRING_ENABLE] = { vu_set_vring_enable, 0, ANY },
	[VU_SET_BACKEND_REQ_FD] = { vu_set_backend_req_fd, 0, ANY },
	[VU_GET_CONFIG] = { vu_get_config, NEEDS(CONFIG), ANY },
	[VU_SET_CONFIG] = { vu_set_config, NEEDS(CONFIG), ANY },
	[VU_GET_INFLIGHT_FD] = { vu_get_inflight_fd, NEEDS(INFLIGHT_SHMFD), ANY },
	[VU_SET_INFLIGHT_FD] = { vu_set_inflight_fd, NEEDS(INFLIGHT_SHMFD), NOT_RUN },
	[VU_RESET_DEVICE] = { vu_reset_device, 0, ANY },
	[VU_GET_MAX_MEM_SLOTS] = { vu_get_max_mem_slots, NEEDS(CONFIGURE_MEM_SLOTS), ANY },
	[VU_ADD_MEM_REG] = { vu_add_mem_reg, NEEDS(CONFIGURE_MEM_SLOTS), ANY },
	[VU_REM_MEM_REG] = { vu_rem_mem_reg, NEEDS(CONFIGURE_MEM_SLOTS), ANY },
	[VU_SET_STATUS] = { vu_set_status, NEEDS(STATUS), ANY },
	[VU_GET_STATUS] = { vu_get_status, NEEDS(STATUS), ANY },
	[VU_SET_DEVICE_STATE_FD] = { vu_set_device_state_fd, NEEDS(DEVICE_STATE), ANY },
	[VU_CHECK_DEVICE_STATE] = { vu_check_device_state, NEEDS(DEVICE_STATE), ANY },
};

int vu_dispatch(struct vu_session *s)
{
	struct vu_msg *m = &s->conn.in;
	const struct handler *h;
	int err;

	s->eb.text[0] = '\0';
	err = vu_msg_check(m, &s->eb);
	if (err)
		return err;
	if (m->h.request >= VU_REQUEST_COUNT || !handlers[m->h.request].fn)
		return errbuf_set(&s->eb, -EOPNOTSUPP, "unknown request %u", m->h.request);
	h = &handlers[m->h.request];
	if (h->needs & ~s->protocol_features)
		return errbuf_set(&s->eb, -EPROTO, "its protocol feature (%#llx) is not negotiated",
				  (unsigned long long)h->needs);
	if (!(h->states & 1u << s->state))
		return errbuf_set(&s->eb, -EPROTO, "not in state %s", vu_state_name(s->state));
	return h->fn(s, m);
}

static bool wants_ack(const struct vu_session *s, const struct vu_msg *m)
{
	return (m->h.flags & VU_FLAG_NEED_REPLY) && vu_session_has(s, VU_PROTOCOL_F_REPLY_ACK);
}

/*
 * Unknown requests and a want of resources are answered, where an answer was asked for, and the
 * session goes on. Without one the front-end might wait for ever: the connection ends. What the
 * guest's driver can cause (a write to a read-only configuration field, -EROFS) never ends it.
 * Everything else is a broken front-end.
 */
bool vu_dispatch_is_soft(const struct vu_session *s, const struct vu_msg *m, int err)
{
	const struct vu_shape *shape = vu_shape_find(m->h.request);

	switch (err) {
	case -EROFS:
		return true;
	case -EOPNOTSUPP:
	case -ENOMEM:
	case -ENOSPC:
	case -EMFILE:
	case -ENFILE:
		return wants_ack(s, m) && !(shape && shape->replies);
	default:
		return false;
	}
}

bool vu_dispatch_answer(const struct vu_session *s, struct vu_msg *m, int err)
{
	const struct vu_shape *shape = vu_shape_find(m->h.request);
	bool ack = wants_ack(s, m);

	m->h.flags = VU_FLAG_VERSION | VU_FLAG_REPLY;
	if (shape && shape->replies)
		return err == 0;
	if (!ack)
		return false;
	vu_msg_close_fds(m);
	m->p.u64 = err ? 1 : 0;
	m->h.size = sizeof(m->p.u64);
	return true;
}
