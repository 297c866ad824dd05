/* SPDX-License-Identifier: BSD-3-Clause */
/* Who uses an image: loop devices by /sys/block, processes by /proc. */
#include "tools/pool/pool_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *pool_holder_program(int pid, char buf[32])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(buf, 32, f))
		snprintf(buf, 32, "?");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The kernel opens the file of a loop device itself: no process has it. */
static int loop_holds(const char *name, const struct stat *image, struct errbuf *eb)
{
	char path[PATH_MAX], file[PATH_MAX] = "";
	struct stat st;
	FILE *f;

	if (strncmp(name, "loop", 4) != 0)
		return 0;
	snprintf(path, sizeof(path), "/sys/block/%.200s/loop/backing_file", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(file, sizeof(file), f))
		file[0] = '\0';
	fclose(f);
	file[strcspn(file, "\n")] = '\0';
	if (!file[0] || stat(file, &st) || !is_same(&st, image))
		return 0;
	return errbuf_set(eb, -EBUSY, "in use by the loop device /dev/%.200s", name);
}

static int process_holds(const char *name, const struct stat *image, int own_fd, struct errbuf *eb)
{
	char path[PATH_MAX], program[32];
	long pid = strtol(name, NULL, 10);
	struct dirent *e;
	struct stat st;
	int err = 0;
	DIR *dir;

	if (!isdigit((unsigned char)name[0]))
		return 0;
	snprintf(path, sizeof(path), "/proc/%.20s/fd", name);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (!err && (e = readdir(dir))) {
		if (pid == getpid() && strtol(e->d_name, NULL, 10) == own_fd)
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, 0) || !S_ISREG(st.st_mode) || !is_same(&st, image))
			continue;
		err = errbuf_set(eb, -EBUSY, "in use by process %.20s (%s)", name,
				 pool_holder_program((int)pid, program));
	}
	closedir(dir);
	return err;
}

int pool_holder_find(int fd, struct errbuf *eb)
{
	struct stat image;
	struct dirent *e;
	int err = 0;
	DIR *dir;

	if (fstat(fd, &image))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	dir = opendir("/sys/block");
	while (dir && !err && (e = readdir(dir)))
		err = loop_holds(e->d_name, &image, eb);
	if (dir)
		closedir(dir);
	dir = err ? NULL : opendir("/proc");
	while (dir && !err && (e = readdir(dir)))
		err = process_holds(e->d_name, &image, fd, eb);
	if (dir)
		closedir(dir);
	return err;
}
