/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool: a directory that holds volumes, each a sparse image file in a directory of its own.
 *
 *   POOL/NAME/disk.img         the volume; whoever opens it takes image locks (drivers/uring)
 *   POOL/NAME/.nvring-volume   says that nvring made it: nothing without this mark is a volume, or is ever deleted
 *   POOL/.new-NAME             being made: becomes NAME by one rename
 *   POOL/.old-NAME             being removed: no volume any more
 *
 * What the directory says is all there is: no list elsewhere. Whatever a crash left behind goes when the pool is opened.
 * All functions block (but pool_name_check and pool_image_path): worker threads, or before the reactors run. Calls for
 * different volumes may run at the same time; those for one volume are the caller's to put one after the other.
 */
#ifndef TOOLS_POOL_POOL_H
#define TOOLS_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define POOL_NAME_MAX	 64  /* of a pool, and of a volume: a disk's name */
#define POOL_DIR_MAX	 512 /* its path; a URI has room for it and for what follows */
#define POOL_VOLUMES_MAX 65536
#define POOL_BLOCK_BYTES 4096 /* sizes are multiples: whole sectors and whole pages, for any guest */

struct pool;

struct pool_volume {
	char name[POOL_NAME_MAX];
	uint64_t bytes, used_bytes; /* as the user of it sees it; as the file system does */
};

struct pool_space {
	uint64_t bytes, free_bytes; /* of the file system */
};

/* Names become files, sockets, devices of containers: letters, digits and . _ - between letters or digits. 0 or -EINVAL
 * with eb. Pure. */
int pool_name_check(const char *name, struct errbuf *eb);

/* A size as a volume may have it. 0 or -EINVAL with eb. Pure. */
int pool_size_check(uint64_t bytes, struct errbuf *eb);

/* The directory @path, which is there, is this process's alone from now on. 0; -EBUSY (another nvringd has it); -errno with
 * eb. */
int pool_open(const char *name, const char *path, struct pool **ret, struct errbuf *eb);
void pool_close(struct pool *p);

const char *pool_name(const struct pool *p);
const char *pool_dir(const struct pool *p); /* absolute, without links */

/* Where the image of volume @name is. 0 or -ENAMETOOLONG. Pure. */
int pool_image_path(const struct pool *p, const char *name, char *buf, size_t len);

int pool_space(const struct pool *p, struct pool_space *ret, struct errbuf *eb);

/* All volumes, by name; *ret is the caller's to free(). 0 or -errno with eb. */
int pool_list(const struct pool *p, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb);

/* 0; -ENOENT: no such volume; -EINVAL: something of that name that is none. With eb. */
int pool_find(const struct pool *p, const char *name, struct pool_volume *ret, struct errbuf *eb);

/* 0; -EEXIST: something of that name is there; -errno with eb. Nothing is left behind on error. */
int pool_create(struct pool *p, const char *name, uint64_t bytes, struct errbuf *eb);

/* Of a volume that nobody has open. 0; -EBUSY: somebody has; -ERANGE: it would lose its end and not @may_shrink. */
int pool_resize(struct pool *p, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb);

/* 0; -EBUSY: in use, and eb says by whom; -ENOTEMPTY: something that nvring did not make lies in it; -errno with eb. */
int pool_remove(struct pool *p, const char *name, struct errbuf *eb);

/* 0: nobody has the volume open, or a loop device on it; else -EBUSY and eb says who. */
int pool_in_use(const struct pool *p, const char *name, struct errbuf *eb);

#endif
