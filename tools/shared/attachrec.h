/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which block devices of this host are whose: a small file for each, that outlives the server and ends with the host's
 * uptime, as the devices do. By it the next server of a disk finds the device that the last one left.
 */
#ifndef TOOLS_SHARED_ATTACHREC_H
#define TOOLS_SHARED_ATTACHREC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/errbuf.h"

#define ATTACHREC_URI_MAX  1024
#define ATTACHREC_PATH_MAX 256

struct attachrec {
	char node[ATTACHREC_PATH_MAX]; /* "/dev/ublkb0"; a file's path with FUSE */
	char type[8];		       /* "ublk", "nbd", "fuse" */
	char disk[64];		       /* its name at the server */
	char uri[ATTACHREC_URI_MAX];   /* what is opened, with an absolute path */
	char rpc[ATTACHREC_PATH_MAX];  /* the server's control socket; "": none */
	unsigned id;		       /* N of the node */
	uint64_t seq; /* the kernel's number of the disk, no other has it until the next boot; 0: unknown */
	pid_t pid;    /* the server */
	uint64_t start; /* when it began, by attachrec_start_of(); 0: not known, as in records of older nvringds */
};

/* The folder of these files, /run/nvring/attach for root. 0 or -errno. */
int attachrec_folder(char *buf, size_t len);
/* It is there afterwards, ours alone. 0 or -errno. */
int attachrec_make_folder(void);

/* 0 or -errno with eb. */
int attachrec_write(const struct attachrec *r, struct errbuf *eb);
void attachrec_remove(const struct attachrec *r);

/* fn for each, until it returns other than 0, which is returned. Damaged ones are none. */
typedef int (*attachrec_fn)(void *arg, const struct attachrec *r);
int attachrec_for_each(attachrec_fn fn, void *arg);

/* That of @node. 0 or -ENOENT. */
int attachrec_find_node(const char *node, struct attachrec *ret);
/* Does its server still run? Not another process with its number, whatever the program. */
bool attachrec_is_served(const struct attachrec *r);
/* A pidfd of that server, the caller's to close; -ESRCH: it is no more, -errno. */
int attachrec_open_server(const struct attachrec *r);
/* When process @pid began, in the kernel's ticks since its boot; 0: there is none. */
uint64_t attachrec_start_of(pid_t pid);
/* One of @type and @uri whose server is no more, and whose device is. 0 or -ENOENT. */
int attachrec_find_left(const char *type, const char *uri, struct attachrec *ret);

/* The text of a record back into one. 0 or -EINVAL. Pure. */
int attachrec_parse(const char *text, struct attachrec *ret);

/* attachrec.seq of a block device's node as it is now, or 0. */
uint64_t attachrec_seq(const char *node);

#endif
