/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the plugin must remember of a volume: one small file each, replaced in one step.
 *
 * Users are those of this boot of the host: none of their mounts has outlived the last one.
 */
#ifndef TOOLS_VOLUME_VPLUG_STATE_H
#define TOOLS_VOLUME_VPLUG_STATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "tools/volume/vplug_api.h"

#define VPLUG_USERS_MAX 256
#define VPLUG_NODE_MAX	64

struct vplug_state {
	char name[POOL_NAME_MAX];
	char fstype[VPLUG_FSTYPE_MAX];
	bool is_ready;		    /* it carries its file system */
	char node[VPLUG_NODE_MAX];  /* to be detached; empty: nothing is, or it goes by itself */
	uint64_t seq;		    /* the kernel's number of the disk there; 0: unknown */
	unsigned nusers;
	char users[VPLUG_USERS_MAX][VPLUG_ID_MAX];
};

/* 0; -ENOENT without eb: not known; -errno with eb. */
int vplug_state_load(const char *dir, const char *name, struct vplug_state *ret, struct errbuf *eb);
int vplug_state_save(const char *dir, const struct vplug_state *st, struct errbuf *eb);
int vplug_state_delete(const char *dir, const char *name, struct errbuf *eb);

/* fn for the name of each; it may delete that one. 0 or -errno with eb. */
int vplug_state_for_each(const char *dir, void (*fn)(void *arg, const char *name), void *arg, struct errbuf *eb);

bool vplug_state_has_user(const struct vplug_state *st, const char *id);
/* 0 or -ENOSPC. */
int vplug_state_add_user(struct vplug_state *st, const char *id);
void vplug_state_drop_user(struct vplug_state *st, const char *id);

#endif
