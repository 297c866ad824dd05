/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of JSON of which a reader, also after a crash, sees either the old or the new one, whole. */
#ifndef TOOLS_SHARED_JSONFILE_H
#define TOOLS_SHARED_JSONFILE_H

#include <sys/types.h>

#include "core/base/errbuf.h"

struct json_object;

/* @json (stays the caller's) as the file @path, durable. A file that is there keeps its mode, a new one gets @mode. 0 or
 * -errno with eb, and then all is as it was. Blocks. */
int jsonfile_save(const char *path, struct json_object *json, mode_t mode, struct errbuf *eb);

/* Takes the file away, durably. -ENOENT: there is none. 0 or -errno with eb. */
int jsonfile_remove(const char *path, struct errbuf *eb);

#endif
