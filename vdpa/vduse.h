/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device of ours as a vDPA device of the host's kernel, through /dev/vduse: after `vdpa dev add` it is
 * /dev/vdX of any process (virtio-vdpa), or /dev/vhost-vdpa-N for QEMU.
 *
 *   virtio-blk (kernel) ── rings, pages ──► vduse.ko ── /dev/vduse/NAME: messages ──► control thread
 *                              │                                                      rings start and stop
 *                              └── files behind I/O addresses, mapped (gmem) ◄──────── data reactors, kick eventfds
 *
 * The kernel's device outlives the process: who opens it next goes on, by what the inflight log says.
 */
#ifndef VDPA_VDUSE_H
#define VDPA_VDUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/reactor.h"
#include "vhost/user/vu_server.h"
#include "vhost/vdev.h"

#define VDUSE_NAME_BYTES_MAX 64	 /* of ours, with the NUL; the kernel's limit is higher */
#define VDUSE_QUEUE_SIZE     256 /* entries offered; the driver takes what it is offered */

struct vduse;
struct vduse_sys;

struct vduse_opts {
	const char *name; /* /dev/vduse/NAME, and the name for `vdpa dev add` */
	const char *log;  /* path of the inflight log; it stays while the kernel's device stays */
	struct vdev *dev;
	struct reactor *control;
	struct reactor **reactors; /* data reactors for its queues; copied */
	unsigned nreactors;
	unsigned nnear; /* queues go to one of the first so many; 0: to any */
	bool no_packed; /* do not offer RING_PACKED */
	const struct vduse_sys *sys; /* NULL: the kernel */
};

/**
 * vduse_create - make the kernel's device, or go on with one that a process before us has left. Control thread.
 * 0 or -errno with eb, nothing is left behind: -ENOENT no VDUSE here, -EACCES, -EBUSY somebody else has it,
 * -EEXIST it is attached, and nothing is known of it here.
 */
int vduse_create(const struct vduse_opts *opts, struct vduse **ret_v, struct errbuf *eb);

/* Ends its rings (I/O in flight is waited for), then done(arg, stays) on the control thread. stays: the kernel's
 * device is attached to the vDPA bus, so it and the log are left for the next process; else both are gone. */
typedef void (*vduse_gone_fn)(void *arg, bool stays);
void vduse_destroy(struct vduse *v, vduse_gone_fn done, void *arg);

/* Is it on the vDPA bus (`vdpa dev add`)? Then the kernel does not let go of it. */
bool vduse_is_attached(const struct vduse *v);

/* A picture of it, in the words of a session: vu_session_info_fini(). Control thread. 0, -ENOMEM. */
int vduse_get_info(const struct vduse *v, struct vu_session_info *ret);
/* Is the memory of its requests ours, so that devices reach it without another copy? */
bool vduse_has_umem(const struct vduse *v);

#endif
