/* SPDX-License-Identifier: BSD-3-Clause */
/* UNIX stream sockets (unix(7)): listening ones with the right mode from their first moment, and inherited ones. Any thread. */
#ifndef CORE_BASE_UNIXSOCK_H
#define CORE_BASE_UNIXSOCK_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/base/errbuf.h"

/* A listening socket. */
struct unixsock {
	int fd;
	dev_t dev; /* of its file */
	ino_t ino; /* 0: it has none of ours */
};

/* The address of @path. 0, or with eb -EINVAL (it is empty), -ENAMETOOLONG. */
int unixsock_address(const char *path, struct sockaddr_un *ret, struct errbuf *eb);

/*
 * Listens at @path without blocking, with a file of @mode whatever the umask. A socket file that nobody listens on is
 * replaced. 0 or -errno with eb: -EADDRINUSE, -EEXIST (something else is there), and what bind(2) says.
 */
int unixsock_listen(const char *path, mode_t mode, int backlog, struct unixsock *ret, struct errbuf *eb);

/* Removes @path if that is still the file of @s: somebody may have put another there. The fd stays as it is. */
void unixsock_remove(const struct unixsock *s, const char *path);
/* Closes the fd, if there is one (-1), and removes the file as above. */
void unixsock_close(const struct unixsock *s, const char *path);

/* Is @fd a UNIX stream socket, and a listening one? 0 or -errno with eb. Made non-blocking. */
int unixsock_adopt(int fd, bool *ret_listens, struct errbuf *eb);

#endif
