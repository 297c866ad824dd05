/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvring-volume: volumes of nvringd's pools as file systems for the containers of Docker and Podman.
 *
 *   HTTP on a socket (vplug_http) ─► vplug_request_parse ─► vplug_do ─► nvringd (volume_create, …: rpcclient)
 *                                                             ├─► state files (vplug_state)
 *                                                             └─► block device (vplug_node), mkfs, mount
 *
 * One thread, one request at a time; another (vplug_watch) sees to servers that die. Whatever is done is done so that a crash
 * anywhere can be gone on from: the state says what was intended, the host says what is mounted.
 */
#ifndef TOOLS_VOLUME_VPLUG_H
#define TOOLS_VOLUME_VPLUG_H

#include <limits.h>
#include <pthread.h>

#include "core/base/errbuf.h"
#include "tools/volume/vplug_api.h"
#include "tools/volume/vplug_node.h"

struct json_object;

struct vplug {
	char rpc[108];		  /* nvringd's control socket */
	char state_dir[PATH_MAX]; /* survives the host's restart */
	char mount_dir[PATH_MAX / 2];
	char program[PATH_MAX]; /* of `attach` */
	const struct vplug_backend *backend;
	pthread_mutex_t lock; /* attaching and detaching: not what may itself wait for a server, such as umount(2) */
	int changed;	      /* eventfd: a request was answered */
};

/* *ret: the answer, the caller's. 0, or -errno with eb. */
int vplug_do(struct vplug *v, const struct vplug_request *r, struct json_object **ret, struct errbuf *eb);

/* After a start: what the last life left half done. 0 or -errno with eb. */
int vplug_recover(struct vplug *v, struct errbuf *eb);

#endif
