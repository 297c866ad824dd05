/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of volumes as the configuration knows them. */
#ifndef TOOLS_NVRINGD_CONFIG_POOL_H
#define TOOLS_NVRINGD_CONFIG_POOL_H

#include <stdbool.h>

#include "core/base/errbuf.h"
#include "tools/nvringd/jread.h"
#include "tools/pool/pool.h"

struct config;
struct json_object;

#define CONFIG_POOLS_MAX 64

struct config_pool {
	char name[POOL_NAME_MAX];
	char uri[POOL_DIR_MAX + 8]; /* "dir:PATH", or of a namespace */
	char where[JREAD_WHERE_MAX];
};

#define CONFIG_POOL_NFIELDS 2
extern const struct jread_field config_pool_fields[CONFIG_POOL_NFIELDS];

/* A namespace that is cut into partitions, not a directory. Pure. */
bool config_pool_is_disk(const struct config_pool *p);

/* Behind "dir:". */
const char *config_pool_path(const struct config_pool *p);

/* Copies @p into @c, checked. 0, -EINVAL, -ENOMEM. */
int config_add_pool(struct config *c, const struct config_pool *p, struct errbuf *eb);

/* Of config_build(): nothing when there are none. */
void config_pools_build(const struct config *c, struct json_object *top);

#endif
