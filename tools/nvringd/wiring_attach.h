/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks of the daemon that are block devices of this host. */
#ifndef TOOLS_NVRINGD_WIRING_ATTACH_H
#define TOOLS_NVRINGD_WIRING_ATTACH_H

#include "tools/nvringd/wiring.h"
#include "tools/shared/attachrec.h"

struct wiring_attach;

/* What is told about one. */
struct wiring_attach_info {
	char node[ATTACHREC_PATH_MAX];
	unsigned id, queues, depth;
	bool live, read_only, adopted;
	uint64_t ios, errors;
};

/* What the control thread asks of a way to attach; one file each. Calls as of vdpa/ublk.h. */
struct wiring_door_ops {
	const char *as;
	bool ends_with_us; /* nothing of it stays for another server */
	int (*create)(const struct wiring_attach *a, int adopt, void **ret_door, struct errbuf *eb);
	void (*start)(void *door, wiring_done_fn done, void *arg);
	void (*stop)(void *door, bool leave, wiring_done_fn done, void *arg);
	void (*destroy)(void *door);
	void (*get_info)(const void *door, struct wiring_attach_info *ret);
	bool (*is_claimed)(const void *door);
	void (*tell_user)(const void *door, char *buf, size_t len); /* who claims it, or ""; NULL: not known */
};

struct wiring_attach {
	struct list link;
	struct wiring *w;
	struct config_attach conf;
	struct wiring_disk *disk;
	struct reactor *reactors[REACTOR_MAX]; /* the near ones first */
	unsigned nreactors;
	const struct wiring_door_ops *ops;
	void *door;
	struct attachrec rec;
	bool live, ending, leaves;
	wiring_done_fn done;
	void *done_arg;
};

extern const struct wiring_door_ops wiring_door_ublk, wiring_door_nbd, wiring_door_fuse;

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
void wiring_attach_get_info(const struct wiring_attach *a, struct wiring_attach_info *ret);

#endif
