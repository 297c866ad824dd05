/* SPDX-License-Identifier: BSD-3-Clause */
/* The listening UNIX socket: a path with the right mode from its first moment, or an inherited fd.
 * Folder-internal. */
#ifndef VHOST_USER_VU_SOCKET_H
#define VHOST_USER_VU_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/errbuf.h"

/* A non-blocking listener at @path with @mode. A stale socket file is replaced. 0 or -errno with
 * eb. */
int vu_socket_listen(const char *path, mode_t mode, int *ret_fd, struct errbuf *eb);

/* Is @fd a UNIX stream socket, and a listening one? 0 or -errno with eb. Made non-blocking. */
int vu_socket_adopt(int fd, bool *ret_listens, struct errbuf *eb);

/* Remove @path if it is still the socket file that @st describes (somebody may have put another
 * there). */
void vu_socket_remove(const char *path, dev_t dev, ino_t ino);

#endif
