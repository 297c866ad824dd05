/* SPDX-License-Identifier: BSD-3-Clause */
/* Loop devices first: the kernel has their files open, and no process. */
#include "tools/pool/pool_holder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/holder.h"

struct image {
	struct stat st;
	int own_fd;
};

static bool is_same(const struct image *image, const struct stat *st)
{
	return st->st_dev == image->st.st_dev && st->st_ino == image->st.st_ino;
}

static bool is_backing(void *arg, const char *path)
{
	struct stat st;

	return !stat(path, &st) && is_same(arg, &st);
}

static bool is_open_file(void *arg, pid_t pid, int dir, const char *fd)
{
	const struct image *image = arg;
	struct stat st;

	if (pid == getpid() && strtol(fd, NULL, 10) == image->own_fd)
		return false;
	return !fstatat(dir, fd, &st, 0) && S_ISREG(st.st_mode) && is_same(image, &st);
}

int pool_holder_find(int fd, struct errbuf *eb)
{
	char node[HOLDER_NODE_MAX], program[HOLDER_PROGRAM_MAX];
	struct image image = { .own_fd = fd };
	pid_t pid;

	if (fstat(fd, &image.st))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	if (holder_loop(is_backing, &image, node))
		return errbuf_set(eb, -EBUSY, "in use by the loop device %s", node);
	pid = holder_process(is_open_file, &image);
	if (pid)
		return errbuf_set(eb, -EBUSY, "in use by process %d (%s)", pid, holder_program(pid, program));
	return 0;
}
