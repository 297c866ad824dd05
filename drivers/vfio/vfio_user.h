/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user transport in more detail than vfio_user_open(): for what already has a connection.
 */
#ifndef DRIVERS_VFIO_VFIO_USER_H
#define DRIVERS_VFIO_VFIO_USER_H

#include "drivers/vfio/vfio_dev.h"

/* A server that answers later than this is given up: at the beginning, when it may be none at all;
 * and afterwards, as late as I/O may end. */
#define VFIO_USER_HELLO_MS 10000
#define VFIO_USER_REPLY_MS 30000

struct vfio_user_opts {
	const char *name;  /* for messages */
	unsigned reply_ms; /* how long a server may take to answer; 0: VFIO_USER_HELLO_MS, then VFIO_USER_REPLY_MS */
};

/* As vfio_user_open(), on the connected stream socket @fd, which is the device's from now on, even
 * on failure. */
int vfio_user_open_fd(int fd, const struct vfio_user_opts *opts, struct vfio_dev **ret_dev,
		      struct errbuf *eb);

#endif
