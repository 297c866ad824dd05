/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk as a block device of this host: which way, a server for it of its own, and its end. */
#ifndef TOOLS_NVRING_ATTACH_H
#define TOOLS_NVRING_ATTACH_H

#include "tools/nvring/cli.h"
#include "tools/shared/attachrec.h"

/* What is asked of the server. */
struct attach_wish {
	const char *as, *uri;
	const char *number, *queues, *depth, *cpus; /* NULL: not given */
	const char *path; /* with fuse: absolute */
	const char *log_level;
	bool read_only;
};

/* The best way that this machine has; *ret_why is NULL where it is the best at all. NULL: it has none. */
const char *attach_best(const char **ret_why);

/* Starts a server and waits until the device is there; its node goes to @node. enum cli_exit, after one line on an error. */
int attach_serve(struct cli *cli, const struct attach_wish *wish, char node[ATTACHREC_PATH_MAX]);

/* Is @r served by a process that was started for it alone? Then: that process ends, and all its files go. */
bool attach_is_own(const struct attachrec *r);
void attach_end_server(const struct attachrec *r);

/* Files (FUSE) whose server was killed, and what else it has left: cleared away, one line for each. */
void attach_clear_left(void);

#endif
