/* SPDX-License-Identifier: BSD-3-Clause */
/* Live migration: which rings mark dirty pages where. Folder-internal. */
#ifndef VHOST_USER_VU_LOG_H
#define VHOST_USER_VU_LOG_H

#include "vhost/user/vu_session.h"

/* What @ring has to log to by the features, SET_LOG_BASE and SET_VRING_ADDR: *ret_log NULL =
 * nothing. */
void vu_log_of(const struct vu_ring *ring, struct dlog **ret_log, uint64_t *ret_used_gpa);

/* Tell @ring's running queue (between vu_wait_begin and vu_wait_end). Nothing for a ring that does
 * not run. */
void vu_log_switch(struct vu_ring *ring);

#endif
