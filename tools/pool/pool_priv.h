/* SPDX-License-Identifier: BSD-3-Clause */
/* What pools of both kinds have in common, and what each does its way. Calls as of pool.h, with names that are checked. */
#ifndef TOOLS_POOL_POOL_PRIV_H
#define TOOLS_POOL_POOL_PRIV_H

#include "core/base/cc.h"
#include "tools/pool/pool.h"

struct pool_ops {
	void (*close)(struct pool *pool);
	int (*space)(struct pool *pool, struct pool_space *ret, struct errbuf *eb);
	int (*list)(struct pool *pool, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb);
	int (*find)(struct pool *pool, const char *name, struct pool_volume *ret, struct errbuf *eb);
	int (*create)(struct pool *pool, const char *name, uint64_t bytes, struct errbuf *eb);
	int (*resize)(struct pool *pool, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb);
	int (*remove)(struct pool *pool, const char *name, struct errbuf *eb);
	int (*in_use)(struct pool *pool, const char *name, struct errbuf *eb);
};

/* Embedded in those of each kind. */
struct pool {
	const struct pool_ops *ops;
	char name[POOL_NAME_MAX];
	char where[POOL_DIR_MAX];
};

extern const struct pool_ops pool_part_ops;

/* For qsort(). */
int pool_volume_compare(const void *a, const void *b);

int pool_dir_image_path(const struct pool *pool, const char *name, char *buf, size_t len);
extern const struct pool_ops pool_dir_ops;

/* As pool_init(), of a disk. */
int pool_part_init(struct pool *pool, bool force, struct errbuf *eb);

#endif
