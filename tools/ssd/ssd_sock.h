/* SPDX-License-Identifier: BSD-3-Clause */
/* UNIX sockets with a path: made, and reached. */
#ifndef TOOLS_SSD_SSD_SOCK_H
#define TOOLS_SSD_SSD_SOCK_H

#include "core/base/errbuf.h"

/* Listens on @path, mode 0600. One left behind by somebody dead is replaced. 0 or -errno with eb.
 */
int ssd_sock_listen(const char *path, int *ret_fd, struct errbuf *eb);
/* 0 or -errno. */
int ssd_sock_connect(const char *path, int *ret_fd);

#endif
