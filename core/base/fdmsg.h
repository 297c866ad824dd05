/* SPDX-License-Identifier: BSD-3-Clause */
/* File descriptors that travel with the bytes of a UNIX socket's messages (SCM_RIGHTS, unix(7)). */
#ifndef CORE_BASE_FDMSG_H
#define CORE_BASE_FDMSG_H

#include <stdbool.h>
#include <sys/socket.h>

#define FDMSG_MAX 128 /* in one message */

/* What sendmsg and recvmsg carry them in; uninitialised until one of the first two calls below. */
struct fdmsg {
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDMSG_MAX * sizeof(int))];
	} control;
};

/* Sends @nfds (0: none; at most FDMSG_MAX) of @fds with the bytes of @mh. They stay the caller's. */
void fdmsg_put(struct msghdr *mh, struct fdmsg *f, const int *fds, unsigned nfds);

/* Lets the recvmsg of @mh take up to @max fds; the kernel closes what is more. */
void fdmsg_room(struct msghdr *mh, struct fdmsg *f, unsigned max);

/*
 * Puts the fds that came with @mh behind the *@nfds that @fds has; they are the caller's then.
 * False: there were more than @max in all, and those beyond are closed.
 */
bool fdmsg_take(struct msghdr *mh, int *fds, unsigned *nfds, unsigned max);

#endif
