/* SPDX-License-Identifier: BSD-3-Clause */
/* What Docker and Podman say to a volume plugin: a path and a JSON text, checked into a struct; and the answers. Pure. */
#ifndef TOOLS_VOLUME_VPLUG_API_H
#define TOOLS_VOLUME_VPLUG_API_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "tools/pool/pool.h"

struct json_object;

#define VPLUG_BODY_BYTES_MAX (64 * 1024)
#define VPLUG_DEPTH_MAX	     8
#define VPLUG_ID_MAX	     256
#define VPLUG_FSTYPE_MAX     16
#define VPLUG_FSTYPE_DEFAULT "ext4"

enum vplug_method {
	VPLUG_ACTIVATE,
	VPLUG_CAPABILITIES,
	VPLUG_CREATE,
	VPLUG_REMOVE,
	VPLUG_MOUNT,
	VPLUG_UNMOUNT,
	VPLUG_PATH,
	VPLUG_GET,
	VPLUG_LIST,
};

struct vplug_request {
	enum vplug_method method;
	char name[POOL_NAME_MAX]; /* empty for those that have none */
	char id[VPLUG_ID_MAX];	  /* MOUNT, UNMOUNT */
	char pool[POOL_NAME_MAX]; /* CREATE; empty: the only one */
	char fstype[VPLUG_FSTYPE_MAX];
	uint64_t bytes; /* CREATE; 0: not said */
};

/* 0; -ENOENT: no such path; -EINVAL: the text makes no sense. With eb. */
int vplug_request_parse(const char *path, const char *body, size_t len, struct vplug_request *ret,
			struct errbuf *eb);

/* New objects: {"Err": ""} with more members for the caller to add, and {"Err": why}. */
struct json_object *vplug_answer(void);
struct json_object *vplug_error(const char *why);

#endif
