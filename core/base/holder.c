/* SPDX-License-Identifier: BSD-3-Clause */
/* One walk over /proc, one over /sys/block. */
#include "core/base/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has_open(pid_t pid, holder_file_fn is_it, void *arg)
{
	struct dirent *entry;
	bool found = false;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = is_it(arg, pid, dirfd(dir), entry->d_name);
	if (dir)
		closedir(dir);
	return found;
}

pid_t holder_process(holder_file_fn is_it, void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (isdigit((unsigned char)entry->d_name[0]) && has_open(pid, is_it, arg))
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_path(void *arg, pid_t pid, int dir, const char *fd)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, fd, target, sizeof(target) - 1);

	(void)pid;
	target[n > 0 ? n : 0] = '\0';
	return strcmp(target, arg) == 0;
}

pid_t holder_process_of(const char *path)
{
	return holder_process(is_path, (void *)(uintptr_t)path);
}

/* Its first line, without the end. */
static bool read_line(const char *path, char *buf, int len)
{
	FILE *f = fopen(path, "re");
	bool has_line = f && fgets(buf, len, f);

	if (f)
		fclose(f);
	if (has_line)
		buf[strcspn(buf, "\n")] = '\0';
	return has_line;
}

const char *holder_program(pid_t pid, char buf[HOLDER_PROGRAM_MAX])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (!read_line(path, buf, HOLDER_PROGRAM_MAX))
		snprintf(buf, HOLDER_PROGRAM_MAX, "?");
	return buf;
}

bool holder_loop(holder_path_fn is_it, void *arg, char ret_node[HOLDER_NODE_MAX])
{
	char path[PATH_MAX], file[PATH_MAX];
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", entry->d_name);
		found = read_line(path, file, sizeof(file)) && is_it(arg, file);
		if (found)
			snprintf(ret_node, HOLDER_NODE_MAX, "/dev/%.48s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}
