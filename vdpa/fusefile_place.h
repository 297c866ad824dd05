/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the file is seen: a mount on an empty file of our own, which comes and goes with it. Knows the kernel's mounts, not
 * FUSE's messages. All of it blocks shortly; none of it looks into a file that its own process serves.
 */
#ifndef VDPA_FUSEFILE_PLACE_H
#define VDPA_FUSEFILE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"

#define FUSEFILE_ID_MAX 1023 /* of files in the folder */
#define FUSEFILE_PATH_MAX 256

struct fusefile_place {
	char path[FUSEFILE_PATH_MAX];
	dev_t dev; /* of the file below */
	ino_t ino;
};

/* The empty file @path, which must not be there. 0 or -errno with eb. */
int fusefile_place_make(struct fusefile_place *p, const char *path, struct errbuf *eb);
/* The file disk@id in @folder, which is made when it is missing; @id -1: the lowest free number. */
int fusefile_place_choose(struct fusefile_place *p, const char *folder, int id, unsigned *ret_id, struct errbuf *eb);

/* A mount on it: the fd to serve it by, or -errno with eb. No READ will be longer than @io_bytes_max. */
int fusefile_place_mount(const struct fusefile_place *p, const char *what, uint32_t io_bytes_max, struct errbuf *eb);

/* Mount and file go, whoever uses them. What is not ours is left alone. */
void fusefile_place_remove(const struct fusefile_place *p);

/* Is this a mount whose server is no more? Not of one that may be stuck: it is asked. */
bool fusefile_place_is_dead(const char *path);
/* If so: mount and file go. */
bool fusefile_place_clear(const char *path);

/* Who has it open, as far as that can be told: "loop0", "process 4711 (fio)", "" */
void fusefile_place_users(const char *path, char *buf, size_t len);

#endif
