/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon put together: reactors, disks, exports, the control interface; and taken apart again.
 *
 *   start:  reactors ─► disks (bdev_open) ─► exports: device (vblk), then socket (vu_server) ─► control socket
 *   stop:   control socket ─► exports: session ends, device goes ─► disks closed ─► reactors joined
 *
 * Everything here runs on the control thread (main).
 */
#ifndef TOOLS_NVRINGD_WIRING_H
#define TOOLS_NVRINGD_WIRING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"
#include "core/deadline.h"
#include "core/placement.h"
#include "core/reactor.h"
#include "tools/nvringd/config.h"

struct rpc_server;
struct vblk;
struct vduse;
struct vu_server;
struct wiring;
struct wiring_balance;

/* The end of something asynchronous: err 0 or -errno with the reason. Control thread, exactly once; possibly from inside. */
typedef void (*wiring_done_fn)(void *arg, int err, const char *why);

/*
 *            wiring_disk_open                        wiring_disk_delete, wiring_disks_close
 *   (none) ─────────────────────► READY ─────────────────────────────────► CLOSING ─► (gone)
 *      │ wiring_disk_create         ▲ │ wiring_disk_resize
 *      └──► OPENING ─ done ok ──────┘ └─► RESIZING ─ done ─► READY
 */
enum wiring_disk_state {
	WIRING_DISK_OPENING, /* the name is taken, bdev is NULL */
	WIRING_DISK_READY,
	WIRING_DISK_RESIZING,
	WIRING_DISK_CLOSING, /* bdev is NULL again */
};

struct wiring_disk {
	struct list link;
	struct wiring *w;
	struct config_disk conf;
	struct bdev *bdev;
	enum wiring_disk_state state;
	wiring_done_fn done;
	void *done_arg;
	bool frozen;	     /* as an operator wants it; perhaps not complete yet: */
	wiring_done_fn froze; /* who waits for that; NULL: nobody */
	void *froze_arg;
	struct deadline froze_limit; /* how long */
	bool froze_late;	     /* it was longer */
};

/* Disks that share a limit. */
struct wiring_group {
	struct list link;
	struct wiring *w;
	struct qos_group *group;
};

struct wiring_export {
	struct list link;
	struct wiring *w;
	struct config_export conf;
	struct wiring_disk *disk;
	struct vblk *dev;
	struct vu_server *server;
	struct place_set may, near; /* reactors of its queues; where they go by themselves */
	bool ending;
	wiring_done_fn done;
	void *done_arg;
};

/* A device for the kernel's vDPA bus. */
struct wiring_vduse {
	struct list link;
	struct wiring *w;
	struct config_vduse conf;
	struct wiring_disk *disk;
	struct vblk *dev;
	struct vduse *door;
	struct place_set may, near;
	bool ending;
	wiring_done_fn done;
	void *done_arg;
};

struct wiring {
	struct config conf; /* scalars only; disks, exports and groups are the lists below */
	struct reactor *control;
	struct reactor **reactors;
	unsigned nreactors;
	int nodes[REACTOR_MAX]; /* NUMA, of their CPUs */
	unsigned nstarted; /* reactors with a running thread */
	struct list disks, exports, groups, vduses, attachs, pools;
	struct list volume_jobs; /* under way, wiring_volume.c */
	unsigned ndisks, nexports, ngroups, nvduses, nattachs, npools;
	unsigned busy; /* workers, freezes, groups under way that come back here */
	struct wiring_balance *balance;
	struct rpc_server *rpc;
	char rpc_path[CONFIG_SOCKET_MAX];
	bool stopping, stepping, step_again;
};

/**
 * wiring_start - all that @c asks for, or nothing. Disks are open before the first socket is made.
 * The calling thread becomes the control reactor's. 0 or -errno with eb; wiring_run() and wiring_fini() follow either way.
 */
int wiring_start(struct wiring *w, const struct config *c, struct errbuf *eb);

/* Serve until wiring_stop() has taken everything apart. */
void wiring_run(struct wiring *w);

/* Begin to take apart; harmless twice. I/O under way is waited for. */
void wiring_stop(struct wiring *w);

void wiring_fini(struct wiring *w);

/* By name; NULL: no such. */
struct wiring_disk *wiring_find_disk(struct wiring *w, const char *name);
struct wiring_export *wiring_find_export(struct wiring *w, const char *name);
struct wiring_vduse *wiring_find_vduse(struct wiring *w, const char *name);
/* How many exports, VDUSE devices and block devices of this host are on it. */
unsigned wiring_disk_exports(const struct wiring_disk *d);

/* What could be loaded to come here again. The caller's to config_fini(). 0 or -ENOMEM. */
int wiring_get_config(struct wiring *w, struct config *ret);

/*
 * Disks, wiring_disk.c
 */

/* Opens @conf on this thread, before the reactors run. */
int wiring_disk_open(struct wiring *w, const struct config_disk *conf, struct errbuf *eb);
/* Opens @conf on a worker thread. Errors: -EEXIST, -EBUSY (shutting down), the driver's. */
void wiring_disk_create(struct wiring *w, const struct config_disk *conf, wiring_done_fn done,
			void *arg);
/* -EBUSY while exported or busy. */
void wiring_disk_delete(struct wiring_disk *d, wiring_done_fn done, void *arg);
/* 0 bytes: look again. */
void wiring_disk_resize(struct wiring_disk *d, uint64_t bytes, wiring_done_fn done, void *arg);
/* No I/O of it goes to the device, and done comes when the device has none any more. Once: -EBUSY. -ETIMEDOUT: not within
 * @timeout_ms, and it is thawed again; 0: any time. */
void wiring_disk_freeze(struct wiring_disk *d, unsigned timeout_ms, wiring_done_fn done, void *arg);
/* 0, or -EINVAL with eb: it is not frozen. A freeze that is not complete ends with -ECANCELED. */
int wiring_disk_thaw(struct wiring_disk *d, struct errbuf *eb);
/* Whoever waits for its I/O to end must not wait for an operator: @why is logged when it was frozen. */
void wiring_disk_force_thaw(struct wiring_disk *d, const char *why);
/* NULL: at rest. Else why nothing can be changed now. */
const char *wiring_disk_busy(const struct wiring_disk *d);
/* Begin to close all disks that are not closing yet. */
void wiring_disks_close(struct wiring *w);

/*
 * Limits and groups, wiring_qos.c
 */

/* What is in force. The disk is open and not closing. */
void wiring_disk_get_qos(const struct wiring_disk *d, struct config_qos *ret);
/* Changes what @named names, at once; or nothing: -EINVAL, -ENOENT (no such group), -ENOMEM with eb. */
int wiring_disk_set_qos(struct wiring_disk *d, const struct config_qos *named, struct errbuf *eb);
/* The same with what the configuration says of the disk, which has just been opened. */
int wiring_disk_grant(struct wiring_disk *d, struct errbuf *eb);

struct wiring_group *wiring_find_group(struct wiring *w, const char *name);
/* -EEXIST, -ENOSPC, -EINVAL, -ENOMEM with eb. */
int wiring_group_create(struct wiring *w, const struct config_group *conf, struct errbuf *eb);
/* As wiring_disk_set_qos(). */
int wiring_group_set(struct wiring_group *g, const struct qos_limits *named, struct errbuf *eb);
/* -EBUSY with eb while disks are in it. */
int wiring_group_delete(struct wiring_group *g, struct errbuf *eb);
/* All of them; the disks have gone. */
void wiring_groups_delete(struct wiring *w);

/*
 * Exports, wiring_export.c
 */

/* Device and socket. 0 or -errno with eb; nothing is left behind. */
int wiring_export_create(struct wiring *w, const struct config_export *conf, struct errbuf *eb);
/* The session ends first. -EBUSY: it is ending already. */
void wiring_export_delete(struct wiring_export *e, wiring_done_fn done, void *arg);
void wiring_exports_end(struct wiring *w);
/* The running queue @index goes on on reactor @to: as vu_server_move_queue(); -EINVAL also where it may not run. */
int wiring_export_move(struct wiring_export *e, unsigned index, unsigned to, wiring_done_fn done,
		       void *arg, struct errbuf *eb);
/* The CPUs of @set as a list. Returns @buf. */
const char *wiring_cpus_format(const struct wiring *w, const struct place_set *set, char *buf,
			       size_t len);

/* Which reactors the CPUs of the list @cpus are; "": all, which cannot fail. 0 or -EINVAL with eb. */
int wiring_cpus_choose(const struct wiring *w, const char *cpus, struct place_set *ret,
		       struct errbuf *eb);
/* Those of @may into @ret (REACTOR_MAX), those of @near first. Returns how many. */
unsigned wiring_reactors_sort(const struct wiring *w, const struct place_set *may,
			      const struct place_set *near, struct reactor **ret);

/*
 * VDUSE devices, wiring_vduse.c
 */

/* 0 or -errno with eb; nothing is left behind. */
int wiring_vduse_create(struct wiring *w, const struct config_vduse *conf, struct errbuf *eb);
/* -EBUSY while it is on the vDPA bus, or ends already. */
void wiring_vduse_delete(struct wiring_vduse *v, wiring_done_fn done, void *arg);
/* All of them; those that are on the vDPA bus stay there, for the next nvringd. */
void wiring_vduses_end(struct wiring *w);

/* Something has gone: go on taking apart, when that is what we do. */
void wiring_step(struct wiring *w);

#endif
