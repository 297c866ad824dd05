/* SPDX-License-Identifier: BSD-3-Clause */
/* One message, one answer. */
#include "vdpa/vdpa_link.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vhost/client/virtio_user_sock.h"

void vdpa_link_close(struct vdpa_link *l)
{
	if (l->sock >= 0)
		close(l->sock);
	l->sock = -1;
}

static int link_fail(struct vdpa_link *l, uint32_t request, int err, struct errbuf *eb)
{
	const char *name = vu_request_name(request);

	vdpa_link_close(l);
	switch (err) {
	case -EPIPE:
		return errbuf_set(eb, err, "%s: refused, the session has ended", name);
	case -ETIMEDOUT:
		return errbuf_set(eb, err, "%s: not done within %u ms (stop_ms)", name, l->wait_ms);
	default:
		return errbuf_set(eb, err, "%s: %s", name, strerror(-err));
	}
}

/* @m goes out, what comes back is in @ret. */
static int link_exchange(struct vdpa_link *l, const struct vu_msg *m, struct vu_msg *ret,
			 struct errbuf *eb)
{
	uint32_t request = m->h.request;
	int err = l->sock >= 0 ? virtio_user_sock_send(l->sock, m) : -EPIPE;

	if (!err)
		err = virtio_user_sock_recv(l->sock, ret, (int)l->wait_ms);
	if (err)
		return link_fail(l, request, err, eb);
	if (ret->h.request == request && (ret->h.flags & VU_FLAG_REPLY))
		return 0;
	vu_msg_close_fds(ret);
	return link_fail(l, request, -EPROTO, eb);
}

/* Some refusals are the end of the session, others are not: whoever still answers, lives. */
static int link_refused(struct vdpa_link *l, uint32_t request, struct errbuf *eb)
{
	struct vu_msg m;
	int err;

	vu_msg_init(&m, VU_GET_FEATURES, 0, 0);
	err = vdpa_link_ask(l, &m, NULL);
	if (!err)
		vu_msg_close_fds(&m);
	if (err || m.h.size < sizeof(m.p.u64))
		return link_fail(l, request, -EPIPE, eb);
	return errbuf_set(eb, -EREMOTEIO, "%s: refused", vu_request_name(request));
}

int vdpa_link_tell(struct vdpa_link *l, const struct vu_msg *m, struct errbuf *eb)
{
	const struct vu_shape *shape = vu_shape_find(m->h.request);
	struct vu_msg out = *m, in;
	int err;

	if (shape && shape->replies) { /* although nothing is in it for us: SET_LOG_BASE */
		err = vdpa_link_ask(l, &out, eb);
		if (!err)
			vu_msg_close_fds(&out);
		return err;
	}
	out.h.flags |= VU_FLAG_NEED_REPLY;
	err = link_exchange(l, &out, &in, eb);
	if (err)
		return err;
	vu_msg_close_fds(&in);
	if (in.h.size < sizeof(in.p.u64))
		return link_fail(l, m->h.request, -EPROTO, eb);
	return in.p.u64 ? link_refused(l, m->h.request, eb) : 0;
}

int vdpa_link_ask(struct vdpa_link *l, struct vu_msg *m, struct errbuf *eb)
{
	struct vu_msg in;
	int err = link_exchange(l, m, &in, eb);

	if (!err)
		*m = in;
	return err;
}
