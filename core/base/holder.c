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

#define DEV_MAX 24 /* of "major:minor" */

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

/* Spaces and the like are \ooo in the kernel's tables. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; to++) {
		unsigned byte;

		if (sscanf(at, "\\%3o", &byte) == 1) {
			*to = (char)byte;
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* "Major:minor" of a mount as @pid sees mounts: the last one at @path, or, without that, number @id. */
static bool mount_dev(pid_t pid, int id, const char *path, char ret_dev[DEV_MAX])
{
	char name[64], point[PATH_MAX], dev[DEV_MAX], *line = NULL;
	size_t size = 0;
	bool found = false;
	int number;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/mountinfo", pid);
	f = fopen(name, "re");
	while (f && getline(&line, &size, f) > 0) {
		if (sscanf(line, "%d %*d %23s %*s %4095s", &number, dev, point) != 3)
			continue;
		unescape(point);
		if (path ? strcmp(point, path) == 0 : number == id) {
			memcpy(ret_dev, dev, sizeof(dev));
			found = true;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Is @fd of @pid on that device? Another mount namespace may have another file of the same path. */
static bool is_on(const char *dev, pid_t pid, const char *fd)
{
	char name[64], line[64], its[DEV_MAX];
	int id = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%.20s", pid, fd);
	f = fopen(name, "re");
	while (f && id < 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "mnt_id: %d", &id);
	if (f)
		fclose(f);
	return id < 0 || !mount_dev(pid, id, NULL, its) || strcmp(its, dev) == 0;
}

struct mounted {
	const char *path;
	char dev[DEV_MAX]; /* "": not known */
};

static bool is_mounted(void *arg, pid_t pid, int dir, const char *fd)
{
	const struct mounted *m = arg;
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, fd, target, sizeof(target) - 1);

	target[n > 0 ? n : 0] = '\0';
	return strcmp(target, m->path) == 0 && (!m->dev[0] || is_on(m->dev, pid, fd));
}

pid_t holder_process_of_mount(const char *path)
{
	struct mounted m = { .path = path };

	(void)mount_dev(getpid(), 0, path, m.dev);
	return holder_process(is_mounted, &m);
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
