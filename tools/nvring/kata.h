/* SPDX-License-Identifier: BSD-3-Clause */
/* Direct volumes of Kata Containers (its Rust runtime): mountInfo.json in a folder that is named after a path of the host. */
#ifndef TOOLS_NVRING_KATA_H
#define TOOLS_NVRING_KATA_H

#include <limits.h>

#include "core/base/errbuf.h"

struct json_object;

#define KATA_DIR_DEFAULT "/run/kata-containers/shared/direct-volumes"

/* DIR/<base64url of @volume>: 0, -EINVAL (@volume is no absolute path), -ENAMETOOLONG with eb. Pure. */
int kata_folder(const char *dir, const char *volume, char ret[PATH_MAX], struct errbuf *eb);

/* What the runtime reads: the vhost-user socket as a volume of type spdkvol. A new object. Pure. */
struct json_object *kata_build(const char *socket, const char *fstype);

/* 0 or -errno with eb: either the old or the new file is there. */
int kata_write(const char *dir, const char *volume, struct json_object *obj, struct errbuf *eb);
/* 0; -ENOENT: not known; -EEXIST: of another type, and left alone. With eb. */
int kata_remove(const char *dir, const char *volume, struct errbuf *eb);

#endif
