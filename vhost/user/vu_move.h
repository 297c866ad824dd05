/* SPDX-License-Identifier: BSD-3-Clause */
/* A running ring moves to another data reactor. Folder-internal; control thread. */
#ifndef VHOST_USER_VU_MOVE_H
#define VHOST_USER_VU_MOVE_H

#include "vhost/user/vu_session.h"

/**
 * vu_session_move - vu_server_move_queue() of the session. 0: done(arg, …) follows, once, also when the
 * connection ends meanwhile; -errno with eb: nothing has begun.
 */
int vu_session_move(struct vu_session *s, unsigned index, unsigned reactor_at, vu_moved_fn done,
		    void *arg, struct errbuf *eb);

#endif
