/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of the Container Device Interface: one for each volume, nvring.io-volume-NAME.json, of kind nvring.io/volume. */
#ifndef TOOLS_NVRING_CDI_H
#define TOOLS_NVRING_CDI_H

#include <limits.h>

#include "core/base/errbuf.h"

struct json_object;

#define CDI_VERSION	"0.5.0"
#define CDI_KIND	"nvring.io/volume"
#define CDI_DIR_DEFAULT "/etc/cdi"
#define CDI_NAME_MAX	64

/* What a container gets. */
struct cdi_device {
	char name[CDI_NAME_MAX];
	char host[PATH_MAX];	  /* a socket, the folder of one, or a device node */
	char container[PATH_MAX]; /* where it appears */
	char told[PATH_MAX];	  /* what the environment says: a path within the container */
	enum { CDI_NODE, CDI_SOCKET, CDI_FOLDER } what;
};

/* Letters, digits and . _ - :, a letter or digit first and last. 0 or -EINVAL with eb. Pure. */
int cdi_name_check(const char *name, struct errbuf *eb);

/**
 * cdi_socket - the device for the socket at @path: its folder if that holds nothing else, so that the socket of the next
 * nvringd is seen in the container, too; else the socket alone. 0 or -errno with eb: no socket there.
 */
int cdi_socket(const char *name, const char *path, struct cdi_device *ret, struct errbuf *eb);

/* The device for the block device @path. 0 or -errno with eb: no block device there. */
int cdi_node(const char *name, const char *path, struct cdi_device *ret, struct errbuf *eb);

/* The file's content. A new object, the caller's. Pure. */
struct json_object *cdi_build(const struct cdi_device *d);

/* Either the old or the new file is there, always; a file that is not of our kind stays. 0 or -errno with eb. */
int cdi_write(const char *dir, const struct cdi_device *d, char ret_path[PATH_MAX], struct errbuf *eb);
int cdi_remove(const char *dir, const char *name, struct errbuf *eb);

#endif
