/* SPDX-License-Identifier: BSD-3-Clause */
/* Packs and unpacks the control messages that carry file descriptors. */
#include "core/base/fdmsg.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

void fdmsg_put(struct msghdr *mh, struct fdmsg *f, const int *fds, unsigned nfds)
{
	size_t bytes = nfds * sizeof(int);
	struct cmsghdr *cm = &f->control.align;

	assert(nfds <= FDMSG_MAX);
	mh->msg_control = nfds ? &f->control : NULL;
	mh->msg_controllen = nfds ? CMSG_SPACE(bytes) : 0;
	if (!nfds)
		return;
	memset(&f->control, 0, CMSG_SPACE(bytes));
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(cm), fds, bytes);
}

void fdmsg_room(struct msghdr *mh, struct fdmsg *f, unsigned max)
{
	assert(max <= FDMSG_MAX);
	mh->msg_control = &f->control;
	mh->msg_controllen = CMSG_SPACE(max * sizeof(int));
}

bool fdmsg_take(struct msghdr *mh, int *fds, unsigned *nfds, unsigned max)
{
	bool fit = !(mh->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (*nfds < max) {
				fds[(*nfds)++] = fd;
			} else {
				close(fd);
				fit = false;
			}
		}
	}
	return fit;
}
