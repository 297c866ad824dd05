/* SPDX-License-Identifier: BSD-3-Clause */
/* HTTP on a UNIX socket, through libmicrohttpd. */
#ifndef TOOLS_VOLUME_VPLUG_HTTP_H
#define TOOLS_VOLUME_VPLUG_HTTP_H

#include "core/base/errbuf.h"

struct vplug;
struct vplug_http;

/* Binds @path (0600; a stale socket of a dead process is replaced) and serves on a thread. 0 or -errno with eb. */
int vplug_http_start(struct vplug *v, const char *path, struct vplug_http **ret, struct errbuf *eb);

/* The request under way is answered first. NULL is fine. */
void vplug_http_stop(struct vplug_http *h);

#endif
