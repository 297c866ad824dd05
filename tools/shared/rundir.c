/* SPDX-License-Identifier: BSD-3-Clause */
/* The default place of the control socket. */
#include "tools/shared/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int rundir_rpc_path(char *buf, size_t len)
{
	const char *dir = geteuid() == 0 ? "/run/nvring" : getenv("XDG_RUNTIME_DIR");
	int n;

	if (!dir || !dir[0])
		return -ENOENT;
	n = snprintf(buf, len, "%s/nvring.sock", dir);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}
