/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's end of a session: each message is answered, within a bounded time, before the next one goes. After
 * any failure but a refusal the link is closed: what came late would be taken for the answer to something else.
 */
#ifndef VDPA_VDPA_LINK_H
#define VDPA_VDPA_LINK_H

#include "core/base/errbuf.h"
#include "vhost/user/vu_wire.h"

struct vdpa_link {
	int sock; /* -1: closed */
	unsigned wait_ms;
};

/* Harmless twice. */
void vdpa_link_close(struct vdpa_link *l);

/* Send @m, whose reply of its own, if it has one, says nothing, and hear that it was done. Its fds stay the caller's. 0;
 * -EREMOTEIO: refused; -EPIPE: the session has ended, perhaps over this; -ETIMEDOUT, -EPROTO; with eb. */
int vdpa_link_tell(struct vdpa_link *l, const struct vu_msg *m, struct errbuf *eb);

/* Send @m and put the reply into it; its old fds stay the caller's, the new ones are. Errors as above. */
int vdpa_link_ask(struct vdpa_link *l, struct vu_msg *m, struct errbuf *eb);

#endif
