/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of volumes: a directory, or a disk that is cut into partitions.
 *
 * In a directory each volume is a sparse image file in a directory of its own:
 *
 *   POOL/NAME/disk.img         the volume; whoever opens it takes image locks (drivers/uring)
 *   POOL/NAME/.nvring-volume   says that nvring made it: nothing without this mark is a volume, or is ever deleted
 *   POOL/.new-NAME             being made: becomes NAME by one rename
 *   POOL/.old-NAME             being removed: no volume any more
 *
 * On a disk each is a partition of a GPT that nvring made (tools/pool/pool_gpt.h), and has the type that says so.
 *
 * What the directory or the table says is all there is: no list elsewhere. Whatever a crash left behind goes when the pool
 * is opened, of a disk when it is next looked at.
 * All functions block (but those that are pure): worker threads, or before the reactors run. Calls for
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
	uint64_t bytes, used_bytes; /* as the user of it sees it; as the file system or the disk does */
	uint64_t off;		    /* on the disk */
};

struct pool_space {
	uint64_t bytes, free_bytes; /* of the file system, or the disk */
};

/* What a pool asks of its disk; off and len are multiples of block_bytes. Each blocks and returns 0 or -errno. */
struct pool_disk {
	int (*read)(void *arg, uint64_t off, void *buf, size_t len);
	int (*write)(void *arg, uint64_t off, const void *buf, size_t len);
	int (*flush)(void *arg);
	int (*zero)(void *arg, uint64_t off, uint64_t len);    /* reads as zeroes from now on */
	int (*discard)(void *arg, uint64_t off, uint64_t len); /* no longer needed; 0 also where nothing comes of it */
	void (*get_size)(void *arg, uint32_t *ret_block_bytes, uint64_t *ret_blocks); /* now */
	void *arg;
};

/* Names become files, sockets, devices of containers: letters, digits and . _ - between letters or digits. 0 or -EINVAL
 * with eb. Pure. */
int pool_name_check(const char *name, struct errbuf *eb);

/* A size as a volume may have it. 0 or -EINVAL with eb. Pure. */
int pool_size_check(uint64_t bytes, struct errbuf *eb);

/* The directory @path, which is there, is this process's alone from now on. 0; -EBUSY (another nvringd has it); -errno with
 * eb. */
int pool_open(const char *name, const char *path, struct pool **ret, struct errbuf *eb);

/* On a disk that is the caller's alone, and stays until pool_close(); @where in error lines. Reads nothing yet. 0 or
 * -errno with eb. */
int pool_open_disk(const char *name, const char *where, const struct pool_disk *disk, struct pool **ret,
		   struct errbuf *eb);
void pool_close(struct pool *p);

const char *pool_name(const struct pool *p);
const char *pool_where(const struct pool *p); /* a directory: absolute, without links; or as pool_open_disk() was told */
bool pool_is_disk(const struct pool *p);

/**
 * pool_init - makes a disk a pool: writes an empty partition table. 0; -EEXIST: it is one; -EMEDIUMTYPE: there is
 * something on it, and not @force; -ENOTSUP: a directory is one as it is.
 */
int pool_init(struct pool *p, bool force, struct errbuf *eb);

/* Where the image of volume @name is. 0, -ENAMETOOLONG, -ENOTSUP (on a disk). Pure. */
int pool_image_path(const struct pool *p, const char *name, char *buf, size_t len);

int pool_space(struct pool *p, struct pool_space *ret, struct errbuf *eb);

/* All volumes, by name; *ret is the caller's to free(). 0 or -errno with eb. */
int pool_list(struct pool *p, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb);

/* 0; -ENOENT: no such volume; -EINVAL: something of that name that is none. With eb. */
int pool_find(struct pool *p, const char *name, struct pool_volume *ret, struct errbuf *eb);

/* 0; -EEXIST: something of that name is there; -ENOSPC; -errno with eb. It reads as zeroes. Nothing is left behind on error. */
int pool_create(struct pool *p, const char *name, uint64_t bytes, struct errbuf *eb);

/* Of a volume that nobody has open. 0; -EBUSY: somebody has; -ERANGE: it would lose its end and not @may_shrink; -ENOSPC:
 * on a disk, not enough is free right behind it. */
int pool_resize(struct pool *p, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb);

/* 0; -EBUSY: in use, and eb says by whom; -ENOTEMPTY: something that nvring did not make lies in it; -errno with eb. */
int pool_remove(struct pool *p, const char *name, struct errbuf *eb);

/* 0: nobody has the volume open, or a loop device on it; else -EBUSY and eb says who. Who has volumes of a disk open, its
 * owner knows. */
int pool_in_use(struct pool *p, const char *name, struct errbuf *eb);

#endif
