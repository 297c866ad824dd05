/* SPDX-License-Identifier: BSD-3-Clause */
/* A look at the counters of a running daemon. */
#ifndef TOOLS_NVRING_TOP_TAKE_H
#define TOOLS_NVRING_TOP_TAKE_H

#include "core/base/errbuf.h"

struct cli;
struct top_snap;

/* *ret is the caller's, for top_snap_fini(). CLI_OK, or CLI_FAILED or CLI_UNREACHABLE with eb. */
int top_take(struct cli *cli, struct top_snap *ret, struct errbuf *eb);

#endif
