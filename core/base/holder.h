/* SPDX-License-Identifier: BSD-3-Clause */
/* Who on this host has a file open: processes by /proc, as far as this one may look, and loop devices by /sys. These block. */
#ifndef CORE_BASE_HOLDER_H
#define CORE_BASE_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#define HOLDER_PROGRAM_MAX 32
#define HOLDER_NODE_MAX	   64

/* Is the open file @fd, a name in @dir (/proc/PID/fd of process @pid), the one? */
typedef bool (*holder_file_fn)(void *arg, pid_t pid, int dir, const char *fd);
/* The first process that has such a file open; 0: none that can be seen. */
pid_t holder_process(holder_file_fn is_it, void *arg);
/* The same for a file that is mounted at @path. Nobody is asked for the file itself, which may be the caller's to serve. */
pid_t holder_process_of_mount(const char *path);

/* What the kernel lists as the program of @pid; "?" for one that has gone. Returns @buf. */
const char *holder_program(pid_t pid, char buf[HOLDER_PROGRAM_MAX]);

/* Is @path, the file behind a loop device, the one? */
typedef bool (*holder_path_fn)(void *arg, const char *path);
/* The kernel opens that file itself: no process has it. True with the node of the first such device. */
bool holder_loop(holder_path_fn is_it, void *arg, char ret_node[HOLDER_NODE_MAX]);

#endif
