/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks as files whose server was killed: a dead mount, of no use to anybody, that the next of our programs clears away. */
#ifndef TOOLS_SHARED_FUSELEFT_H
#define TOOLS_SHARED_FUSELEFT_H

#include <stddef.h>

/* Where files are that nobody has given a path: /run/nvring/fuse for root. 0 or -errno. */
int fuseleft_folder(char *buf, size_t len);

/* Mounts, files and records of those that are dead; told() for each. Blocks shortly. */
void fuseleft_clear(void (*told)(void *arg, const char *path), void *arg);

#endif
