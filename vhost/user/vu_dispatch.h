/* SPDX-License-Identifier: BSD-3-Clause */
/* From a message to its handler: the table of what this back-end answers, and when.
 * Folder-internal; control thread. */
#ifndef VHOST_USER_VU_DISPATCH_H
#define VHOST_USER_VU_DISPATCH_H

#include "vhost/user/vu_session.h"

#define VU_PROTOCOL_FEATURES                                                              \
	(VU_BIT(VU_PROTOCOL_F_MQ) | VU_BIT(VU_PROTOCOL_F_LOG_SHMFD) |                     \
	 VU_BIT(VU_PROTOCOL_F_REPLY_ACK) | VU_BIT(VU_PROTOCOL_F_BACKEND_REQ) |            \
	 VU_BIT(VU_PROTOCOL_F_CONFIG) | VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD) |            \
	 VU_BIT(VU_PROTOCOL_F_RESET_DEVICE) | VU_BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | \
	 VU_BIT(VU_PROTOCOL_F_STATUS) | VU_BIT(VU_PROTOCOL_F_DEVICE_STATE) |              \
	 VU_BIT(VU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT) |                                  \
	 VU_BIT(VU_PROTOCOL_F_GPA_ADDRESSES))

/**
 * vu_dispatch - check the complete message in s->conn.in and hand it to its handler.
 * Returns the handler's result; -EPROTO for a misshapen message or one in the wrong state,
 * -EOPNOTSUPP for an unknown one.
 */
int vu_dispatch(struct vu_session *s);

/* Does the failure @err of message @m leave the connection usable (nothing has changed, and the
 * front-end is told)? */
bool vu_dispatch_is_soft(const struct vu_session *s, const struct vu_msg *m, int err);

/* Turn the handled message @m into its answer. False: it gets none. */
bool vu_dispatch_answer(const struct vu_session *s, struct vu_msg *m, int err);

#endif
