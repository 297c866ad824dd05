/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end's end of the socket: blocking, each wait with a deadline. */
#ifndef VHOST_USER_VIRTIO_USER_SOCK_H
#define VHOST_USER_VIRTIO_USER_SOCK_H

#include "core/base/errbuf.h"
#include "vhost/user/vu_wire.h"

/* Connects to @path; while nobody listens there, tries again for @ms. 0 or -errno with eb. */
int virtio_user_sock_connect(const char *path, unsigned ms, int *ret_sock, struct errbuf *eb);

/* The whole of @m; its fds are sent and stay the caller's. 0, -EPIPE, -ETIMEDOUT, -errno. */
int virtio_user_sock_send(int sock, const struct vu_msg *m);

/* One message; its fds are the caller's. 0, -EPIPE (the end), -EPROTO (malformed), -ETIMEDOUT. */
int virtio_user_sock_recv(int sock, struct vu_msg *m, int timeout_ms);

/* What is there of a message, without waiting: *@got bytes of @m were taken before (0: a new one). Fds with it are
 * dropped. 1: it is whole, and *got is 0 again; 0: more is to come; -EPIPE, -EPROTO, -errno. */
int virtio_user_sock_take(int sock, struct vu_msg *m, size_t *got);

#endif
