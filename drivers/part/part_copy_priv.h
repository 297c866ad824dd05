/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of a disk that can hold partition tables, as a file. */
#ifndef DRIVERS_PART_PART_COPY_PRIV_H
#define DRIVERS_PART_PART_COPY_PRIV_H

#include "core/base/errbuf.h"

struct part_source;

/* A memfd as large as @src. 0 and *ret_fd, the caller's to close; or -errno with eb. */
int part_copy_open(const struct part_source *src, int *ret_fd, struct errbuf *eb);

#endif
