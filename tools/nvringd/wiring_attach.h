/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks of the daemon that are block devices of this host. */
#ifndef TOOLS_NVRINGD_WIRING_ATTACH_H
#define TOOLS_NVRINGD_WIRING_ATTACH_H

#include "tools/nvringd/wiring.h"
#include "tools/shared/attachrec.h"
#include "vdpa/door.h"

struct wiring_attach {
	struct list link;
	struct wiring *w;
	struct config_attach conf;
	struct wiring_disk *disk;
	struct reactor *reactors[REACTOR_MAX]; /* the near ones first */
	unsigned nreactors;
	struct door *door;
	struct attachrec rec;
	bool live, ending, leaves;
	wiring_done_fn done;
	void *done_arg;
};

/* The device is there, or it is not and nothing of it: then. -ENODEV (no such disk), -ENOSPC, the door's. */
void wiring_attach_create(struct wiring *w, const struct config_attach *conf, wiring_done_fn done,
			  void *arg);
/* All that @c names, before anybody is served. 0 or -errno with eb. */
int wiring_attach_all(struct wiring *w, const struct config *c, struct errbuf *eb);
/* Its users no longer see it as theirs: a mount namespace of our own, where @c attaches anything. Before threads start. */
void wiring_attach_seclude(const struct config *c);
/* -EBUSY: mounted or held otherwise, and no @force; or it ends already. */
void wiring_attach_delete(struct wiring_attach *a, bool force, wiring_done_fn done, void *arg);
/* All of them; what is mounted or held stays, for the next nvringd. */
void wiring_attachs_end(struct wiring *w);

/* By kind and number of the node; NULL: no such. */
struct wiring_attach *wiring_find_attach(struct wiring *w, const char *as, unsigned id);

#endif
