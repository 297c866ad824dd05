/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of the daemon: directories, and namespaces that are cut into partitions. Control thread. */
#ifndef TOOLS_NVRINGD_WIRING_POOL_H
#define TOOLS_NVRINGD_WIRING_POOL_H

#include <stdbool.h>

#include "core/base/list.h"
#include "core/bdev.h"
#include "tools/nvringd/config.h"
#include "tools/nvringd/wiring.h"
#include "tools/pool/pool.h"

struct wiring_pool_disk;

struct wiring_pool {
	struct list link;
	struct config_pool conf;
	struct pool *pool;
	struct wiring_pool_disk *disk; /* NULL: a directory */
};

/* Before the reactors run. 0 or -errno with eb. */
int wiring_pools_open(struct wiring *w, const struct config *c, struct errbuf *eb);
/* Begin to close their disks: no volume is open any more, and nothing else is asked of them. */
void wiring_pools_end(struct wiring *w);
/* What is left of them. */
void wiring_pools_close(struct wiring *w);
struct wiring_pool *wiring_find_pool(struct wiring *w, const char *name);

/* Makes the pool's disk one: as pool_init(), on a worker thread. */
void wiring_pool_init(struct wiring_pool *p, struct wiring *w, bool force, wiring_done_fn done, void *arg);

/* The URI under which volume @name is opened, and known again. 0 or -ENAMETOOLONG. */
int wiring_pool_volume_uri(const struct wiring_pool *p, const char *name, char uri[BDEV_URI_MAX]);
/* A disk of the daemon on the namespace of @p that is none of its volumes; NULL: there is none. */
struct wiring_disk *wiring_pool_stranger(struct wiring *w, const struct wiring_pool *p);
/* The disk that serves volume @name of @p; NULL: it is not open. */
struct wiring_disk *wiring_pool_volume_disk(struct wiring *w, const struct wiring_pool *p, const char *name);

/*
 * The disk under a pool, wiring_pool_disk.c: its I/O runs on the control reactor, worker threads wait for it
 */

int wiring_pool_disk_open(struct wiring *w, const struct config_pool *conf, struct wiring_pool_disk **ret,
			  struct errbuf *eb);
/* For pool_open_disk(), which is to have one user at a time. */
struct pool_disk wiring_pool_disk_port(struct wiring_pool_disk *d);
/* Asynchronous: counts as busy until it is gone. */
void wiring_pool_disk_close(struct wiring_pool_disk *d);

#endif
