/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volume as a block device of this host, the seam between the plugin and whoever makes one:
 *
 *   attach  `nvring attach IMAGE` prints the node and `nvring detach NODE` ends it (ublk or NBD)
 *   loop    the kernel's loop device, which goes by itself with its last user
 */
#ifndef TOOLS_VOLUME_VPLUG_NODE_H
#define TOOLS_VOLUME_VPLUG_NODE_H

#include <stdbool.h>

#include "core/base/errbuf.h"
#include "tools/volume/vplug_state.h"

struct vplug_backend {
	const char *name;
	/* What this host lacks for it; NULL: nothing. */
	const char *(*lacks)(void);
	/* The node of @image into @node; *ret_fd: what keeps it alive until it is mounted, or -1. 0 or -errno with eb. */
	int (*open)(const char *program, const char *image, char node[VPLUG_NODE_MAX], int *ret_fd, struct errbuf *eb);
	/*
	 * A server of @node again, if the last one has died: until then its I/O waits. NULL: it has none.
	 * 0; -ENODEV: the device is gone; -errno. With eb.
	 */
	int (*revive)(const char *program, const char *node, struct errbuf *eb);
	/* With .revive. A pidfd of that server, the caller's; -ESRCH: it has died; -errno: nobody is to be started again. */
	int (*watch)(const char *node);
	/* NULL: it goes by itself. */
	int (*detach)(const char *program, const char *node, struct errbuf *eb);
};

/* "attach", "loop"; "auto": the first that this host can do. NULL with eb. */
const struct vplug_backend *vplug_backend_choose(const char *name, struct errbuf *eb);

/* The file system on @node into @fstype: "" for none, and for a blank device. 0; -EIO: it carries something else. With eb. */
int vplug_node_probe(const char *node, char fstype[VPLUG_FSTYPE_MAX], struct errbuf *eb);

/* It was detached behind our back, and the node may be another disk's now. */
bool vplug_node_has_gone(const struct vplug_state *st);

/* Is something mounted on @path? */
bool vplug_is_mounted(const char *path);

#endif
