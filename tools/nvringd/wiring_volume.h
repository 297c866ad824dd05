/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Volumes of the daemon's pools: made, resized, removed, and served as disks. A volume that is served is a disk of its
 * name on its image; nothing else is remembered, so that what the directory says holds after a restart.
 *
 *   wiring_volume_start ─► worker: which pool has it ─► control: is it a disk now? ─► worker: in the directory
 *                                                              └─► disk and exports ─┴─► done
 *
 * One job at a time for a name: whoever comes second is refused. Control thread.
 */
#ifndef TOOLS_NVRINGD_WIRING_VOLUME_H
#define TOOLS_NVRINGD_WIRING_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/nvringd/config.h"
#include "tools/pool/pool.h"

struct wiring;
struct wiring_disk;
struct wiring_pool;
struct wiring_volume_job;

enum wiring_volume_op {
	WIRING_VOLUME_CREATE,
	WIRING_VOLUME_RESIZE,
	WIRING_VOLUME_REMOVE,
	WIRING_VOLUME_EXPORT,
	WIRING_VOLUME_UNEXPORT,
};

/* What is asked for; the parameters of the control interface are read into it. */
struct wiring_volume_ask {
	char name[POOL_NAME_MAX];
	char pool[POOL_NAME_MAX]; /* empty: the one that has it; to create: the only one */
	uint64_t bytes;		  /* CREATE, RESIZE */
	bool may_shrink;	  /* RESIZE */
	bool force;		  /* UNEXPORT: also while a front-end is connected */
	struct config_export conf; /* EXPORT; without a socket: one in a folder of its own, beside the control socket */
};

/* The end. err 0: @text is the socket (EXPORT), else the pool's name; or -errno with the reason. */
typedef void (*wiring_volume_done_fn)(void *arg, int err, const char *text);

/* Exactly one done(), possibly from inside. @ask is copied. */
void wiring_volume_start(struct wiring *w, enum wiring_volume_op op, const struct wiring_volume_ask *ask,
			 wiring_volume_done_fn done, void *arg);

#endif
