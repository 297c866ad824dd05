/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the front-end's messages, and what every message must keep to. */
#include "vhost/user/vu_wire.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define U64	  8, 8
#define STATE	  8, 8
#define NONE	  0, 0
#define CONFIG	  VU_CONFIG_HDR_BYTES, VU_PAYLOAD_BYTES_MAX
#define INFLIGHT  VU_INFLIGHT_BYTES_MIN, sizeof(struct vu_inflight)
#define FDS(a, b) a, b

/*
 * A message that is not here is answered as an unknown one. ADD_MEM_REG and REM_MEM_REG have a
 * reply of their own only in postcopy mode, which is not offered.
 */
static const struct vu_shape shapes[VU_REQUEST_COUNT] = {
	[VU_GET_FEATURES] = { "GET_FEATURES", NONE, FDS(0, 0), true },
	[VU_SET_FEATURES] = { "SET_FEATURES", U64, FDS(0, 0), false },
	[VU_SET_OWNER] = { "SET_OWNER", NONE, FDS(0, 0), false },
	[VU_RESET_OWNER] = { "RESET_OWNER", NONE, FDS(0, 0), false },
	[VU_SET_MEM_TABLE] = { "SET_MEM_TABLE", 8, sizeof(struct vu_mem_table), FDS(0, VU_FDS_MAX),
			       false },
	[VU_SET_LOG_BASE] = { "SET_LOG_BASE", 16, 16, FDS(1, 1), true },
	[VU_SET_LOG_FD] = { "SET_LOG_FD", 0, 8, FDS(0, 1), false },
	[VU_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, FDS(0, 0), false },
	[VU_SET_VRING_ADDR] = { "SET_VRING_ADDR", sizeof(struct vu_vring_addr),
				sizeof(struct vu_vring_addr), FDS(0, 0), false },
	[VU_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, FDS(0, 0), false },
	[VU_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, FDS(0, 0), true },
	[VU_SET_VRING_KICK] = { "SET_VRING_KICK", U64, FDS(0, 1), false },
	[VU_SET_VRING_CALL] = { "SET_VRING_CALL", U64, FDS(0, 1), false },
	[VU_SET_VRING_ERR] = { "SET_VRING_ERR", U64, FDS(0, 1), false },
	[VU_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", NONE, FDS(0, 0), true },
	[VU_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, FDS(0, 0), false },
	[VU_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", NONE, FDS(0, 0), true },
	[VU_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, FDS(0, 0), false },
	[VU_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", NONE, FDS(1, 1), false },
	[VU_GET_CONFIG] = { "GET_CONFIG", CONFIG, FDS(0, 0), true },
	[VU_SET_CONFIG] = { "SET_CONFIG", CONFIG, FDS(0, 0), false },
	[VU_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", INFLIGHT, FDS(0, 0), true },
	[VU_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", INFLIGHT, FDS(1, 1), false },
	[VU_RESET_DEVICE] = { "RESET_DEVICE", NONE, FDS(0, 0), false },
	[VU_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", NONE, FDS(0, 0), true },
	[VU_ADD_MEM_REG] = { "ADD_MEM_REG", sizeof(struct vu_mem_reg), sizeof(struct vu_mem_reg),
			     FDS(1, 1), false },
	[VU_REM_MEM_REG] = { "REM_MEM_REG", sizeof(struct vu_mem_reg), sizeof(struct vu_mem_reg),
			     FDS(0, 1), false },
	[VU_SET_STATUS] = { "SET_STATUS", U64, FDS(0, 0), false },
	[VU_GET_STATUS] = { "GET_STATUS", NONE, FDS(0, 0), true },
	[VU_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD", sizeof(struct vu_transfer_params),
				     sizeof(struct vu_transfer_params), FDS(1, 1), true },
	[VU_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE", NONE, FDS(0, 0), true },
};

void vu_msg_init(struct vu_msg *m, uint32_t request, uint32_t flags, uint32_t size)
{
	memset(m, 0, sizeof(*m));
	m->h.request = request;
	m->h.flags = VU_FLAG_VERSION | flags;
	m->h.size = size;
}

int vu_msg_take_fd(struct vu_msg *m, unsigned i)
{
	int fd;

	if (i >= m->nfds)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}

void vu_msg_close_fds(struct vu_msg *m)
{
	for (unsigned i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	m->nfds = 0;
}

const struct vu_shape *vu_shape_find(uint32_t request)
{
	if (request >= VU_REQUEST_COUNT || !shapes[request].name)
		return NULL;
	return &shapes[request];
}

const char *vu_request_name(uint32_t request)
{
	const struct vu_shape *shape = vu_shape_find(request);

	return shape ? shape->name : "request";
}

int vu_msg_check(const struct vu_msg *m, struct errbuf *eb)
{
	const struct vu_shape *shape = vu_shape_find(m->h.request);

	if ((m->h.flags & VU_FLAG_VERSION_MASK) != VU_FLAG_VERSION)
		return errbuf_set(eb, -EPROTO, "protocol version %u instead of %u",
				  m->h.flags & VU_FLAG_VERSION_MASK, VU_FLAG_VERSION);
	if (m->h.flags & VU_FLAG_REPLY)
		return errbuf_set(eb, -EPROTO, "a reply to a question that was not asked");
	if (!shape)
		return 0;
	if (m->h.size < shape->size_min || m->h.size > shape->size_max)
		return errbuf_set(eb, -EPROTO, "payload of %u bytes instead of %u to %u", m->h.size,
				  shape->size_min, shape->size_max);
	if (m->nfds < shape->fds_min || m->nfds > shape->fds_max)
		return errbuf_set(eb, -EPROTO, "%u file descriptors instead of %u to %u", m->nfds,
				  shape->fds_min, shape->fds_max);
	return 0;
}
