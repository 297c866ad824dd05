/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the daemon listens and its clients look when nobody says otherwise. */
#ifndef TOOLS_SHARED_RUNDIR_H
#define TOOLS_SHARED_RUNDIR_H

#include <stddef.h>

/**
 * rundir_rpc_path - the default socket of the control interface: /run/nvring/nvring.sock for root,
 * else $XDG_RUNTIME_DIR/nvring.sock. 0, -ENOENT (no such variable), -ENAMETOOLONG.
 */
int rundir_rpc_path(char *buf, size_t len);

#endif
