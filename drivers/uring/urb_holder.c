/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has a file open. OFD locks do not tell their process, and the open files of others are read from /proc. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/uring/urb_lock_priv.h"

static bool has_open(const char *pid, const struct stat *file)
{
	char path[300];
	struct dirent *de;
	struct stat st;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (de = readdir(dir)))
		found = !fstatat(dirfd(dir), de->d_name, &st, 0) && st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino;
	if (dir)
		closedir(dir);
	return found;
}

static void read_name(long pid, char name[URB_HOLDER_MAX])
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(name, URB_HOLDER_MAX, f))
		name[0] = '\0';
	if (f)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
}

void urb_lock_holder(int fd, char ret[URB_HOLDER_MAX])
{
	char name[URB_HOLDER_MAX];
	struct dirent *de;
	struct stat file;
	DIR *dir;

	snprintf(ret, URB_HOLDER_MAX, "another process");
	if (fstat(fd, &file))
		return;
	dir = opendir("/proc");
	while (dir && (de = readdir(dir))) {
		long pid = strtol(de->d_name, NULL, 10);

		if (pid <= 0 || pid == getpid() || !has_open(de->d_name, &file))
			continue;
		read_name(pid, name);
		snprintf(ret, URB_HOLDER_MAX, "process %ld, %.16s", pid, name);
		break;
	}
	if (dir)
		closedir(dir);
}
