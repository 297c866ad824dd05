/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads sysfs: cpuN/nodeM is a link, numa_node a file of the device that sits on a bus. */
#include "core/numa.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* A decimal number and nothing else, save for one newline. */
static int parse_node(const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (end == text || (*end != '\0' && strcmp(end, "\n") != 0) || v < 0 || v > NUMA_NODE_MAX)
		return NUMA_NODE_NONE;
	return (int)v;
}

int numa_node_of_cpu(const char *sysfs, int cpu)
{
	int node = NUMA_NODE_NONE;
	char path[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/devices/system/cpu/cpu%d", sysfs, cpu);
	dir = opendir(path);
	if (!dir)
		return NUMA_NODE_NONE;
	while (node == NUMA_NODE_NONE && (e = readdir(dir))) {
		if (strncmp(e->d_name, "node", 4) == 0)
			node = parse_node(e->d_name + 4);
	}
	closedir(dir);
	return node;
}

/* The numa_node of @dir. False: it has none. */
static bool read_node(const char *dir, int *ret_node)
{
	char path[PATH_MAX], text[32] = "";
	bool is_read;
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/numa_node", dir) >= sizeof(path))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	is_read = fgets(text, sizeof(text), f) != NULL;
	fclose(f);
	*ret_node = is_read ? parse_node(text) : NUMA_NODE_NONE;
	return true;
}

/* Of @path, or of the next device above it that has one. */
static int node_above(const char *path)
{
	char dir[PATH_MAX];
	int node;

	if (!realpath(path, dir))
		return NUMA_NODE_NONE;
	while (!read_node(dir, &node)) {
		char *slash = strrchr(dir, '/');

		if (!slash || slash == dir)
			return NUMA_NODE_NONE;
		*slash = '\0';
	}
	return node;
}

int numa_node_of_pci(const char *sysfs, const char *bdf)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", sysfs, bdf);
	return node_above(path);
}

int numa_node_of_block(const char *sysfs, dev_t dev)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/dev/block/%u:%u", sysfs, major(dev), minor(dev));
	return node_above(path);
}
