/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a file open. OFD locks do not tell their process. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/holder.h"
#include "drivers/uring/urb_lock_priv.h"

static bool is_file_of_another(void *arg, pid_t pid, int dir, const char *fd)
{
	const struct stat *file = arg;
	struct stat st;

	return pid != getpid() && !fstatat(dir, fd, &st, 0) && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

void urb_lock_holder(int fd, char ret[URB_HOLDER_MAX])
{
	char program[HOLDER_PROGRAM_MAX];
	struct stat file;
	pid_t pid = fstat(fd, &file) ? 0 : holder_process(is_file_of_another, &file);

	if (pid)
		snprintf(ret, URB_HOLDER_MAX, "process %d, %s", pid, holder_program(pid, program));
	else
		snprintf(ret, URB_HOLDER_MAX, "another process");
}
