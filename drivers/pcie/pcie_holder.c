/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who holds a function. For each disk of it and each partition, in this order:
 *
 *   mounts      /proc/self/mountinfo, by device number, and by source, as btrfs gives its mounts
 * numbers of their own btrfs       /sys/fs/btrfs/ * /devices: the further devices of a mounted file
 * system, which no mount names swap        /proc/swaps holders     dm and md, by the links that
 * they make loop        a loop device backed by a block device does not claim it processes   /proc/
 * * /fd: who has the node open, claimed or not
 *
 * and, when all these know nobody, an exclusive open, which also fails for mounts of other mount
 * namespaces, ZFS and whatever else claims a device. A function that VFIO has is held by who has
 * its group open.
 */
#include "drivers/pcie/pcie_holder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers/pcie/pcie.h"
#include "drivers/pcie/pcie_sysfs_priv.h"

#define NUMBER_MAX 32 /* "259:12" */

/* One question; the answer is in eb. */
struct inquiry {
	const struct pcie_sys *sys;
	const struct pcie_func *f;
	struct errbuf *eb;
};

/* The question about one block device. */
typedef int (*holder_fn)(const struct inquiry *q, const char *name);

/* Is @path, of a table of the kernel, the node of @name, perhaps by a link such as
 * /dev/disk/by-id/…? */
static bool is_node(const struct pcie_sys *sys, const char *path, const char *name)
{
	char want[PCIE_PATH_MAX], full[PCIE_PATH_MAX], got[PATH_MAX], real[PATH_MAX];

	if (strncmp(path, "/dev/", 5) != 0)
		return false;
	if (strcmp(path + 5, name) == 0)
		return true;
	(void)pcie_sysfs_path(sys, want, "/dev/%s", name);
	(void)pcie_sysfs_path(sys, full, "%s", path);
	return realpath(full, got) && realpath(want, real) && strcmp(got, real) == 0;
}

/*
 * File systems and swap
 */

/* proc(5), mountinfo: "36 35 98:0 /root /where options tags… - type source options". */
struct mount {
	char *number, *where, *source;
};

static bool parse_mount(char *line, struct mount *ret_mount)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save);
	unsigned at = 0, tail = 0;

	*ret_mount = (struct mount){ NULL };
	for (; word; word = strtok_r(NULL, " \n", &save), at++) {
		if (at == 2)
			ret_mount->number = word;
		else if (at == 4)
			ret_mount->where = word;
		else if (at > 5 && !tail && strcmp(word, "-") == 0)
			tail = at;
		else if (tail && at == tail + 2)
			ret_mount->source = word;
	}
	return ret_mount->number && ret_mount->where && ret_mount->source;
}

static int find_mount(const struct inquiry *q, const char *name)
{
	char number[NUMBER_MAX], *line = NULL;
	struct mount m;
	size_t room = 0;
	int err = 0;
	FILE *f;

	(void)pcie_sysfs_text(q->sys, number, sizeof(number), "/sys/class/block/%s/dev", name);
	f = pcie_sysfs_file(q->sys, "/proc/self/mountinfo");
	if (!f)
		return errbuf_set(q->eb, -EIO, "%s: cannot tell whether /dev/%s is mounted: no %s",
				  q->f->bdf, name, "/proc/self/mountinfo");
	while (!err && getline(&line, &room, f) > 0) {
		if (!parse_mount(line, &m))
			continue;
		/* Spaces and the like stay as the kernel escapes them: \040. */
		if (strcmp(m.number, number) == 0 || is_node(q->sys, m.source, name))
			err = errbuf_set(q->eb, -EBUSY,
					 "%s: /dev/%s is mounted on %s; mend: umount %s", q->f->bdf,
					 name, m.where, m.where);
	}
	free(line);
	fclose(f);
	return err;
}

static int find_btrfs(const struct inquiry *q, const char *name)
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/sys/fs/btrfs");
	const char *uuid;
	int err = 0;

	while (dir && !err && (uuid = pcie_sysfs_next(dir))) {
		if (pcie_sysfs_has(q->sys, "/sys/fs/btrfs/%s/devices/%s", uuid, name))
			err = errbuf_set(
				q->eb, -EBUSY,
				"%s: /dev/%s is part of the mounted btrfs %s; mend: unmount it",
				q->f->bdf, name, uuid);
	}
	if (dir)
		closedir(dir);
	return err;
}

static int find_swap(const struct inquiry *q, const char *name)
{
	FILE *f = pcie_sysfs_file(q->sys, "/proc/swaps");
	char *line = NULL;
	size_t room = 0;
	int err = 0;

	while (f && !err && getline(&line, &room, f) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		if (is_node(q->sys, line, name))
			err = errbuf_set(q->eb, -EBUSY,
					 "%s: the system swaps on /dev/%s; mend: swapoff /dev/%s",
					 q->f->bdf, name, name);
	}
	free(line);
	if (f)
		fclose(f);
	return err;
}

/*
 * Block devices on top
 */

static int find_claimed(const struct inquiry *q, const char *name)
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/sys/class/block/%s/holders", name);
	char mapped[PCIE_NAME_MAX], label[PCIE_LABEL_MAX];
	const char *holder = dir ? pcie_sysfs_next(dir) : NULL;
	int err = 0;

	if (!holder) {
		/* nobody */
	} else if (!pcie_sysfs_text(q->sys, mapped, sizeof(mapped), "/sys/class/block/%s/dm/name",
				    holder)) {
		(void)snprintf(label, sizeof(label), "%.32s (%.48s)", holder, mapped);
		err = errbuf_set(q->eb, -EBUSY,
				 "%s: /dev/%s is held by %s; mend: dmsetup remove %s", q->f->bdf,
				 name, label, mapped);
	} else {
		err = errbuf_set(q->eb, -EBUSY, "%s: /dev/%s is held by %.60s; mend: %s%.60s",
				 q->f->bdf, name, holder,
				 strncmp(holder, "md", 2) == 0 ? "mdadm --stop /dev/" : "remove ",
				 holder);
	}
	if (dir)
		closedir(dir);
	return err;
}

static int find_loop(const struct inquiry *q, const char *name)
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/sys/block");
	char file[PCIE_PATH_MAX];
	const char *loop;
	int err = 0;

	while (dir && !err && (loop = pcie_sysfs_next(dir))) {
		if (strncmp(loop, "loop", 4) != 0 ||
		    pcie_sysfs_text(q->sys, file, sizeof(file), "/sys/block/%s/loop/backing_file",
				    loop) ||
		    !is_node(q->sys, file, name))
			continue;
		err = errbuf_set(q->eb, -EBUSY,
				 "%s: /dev/%s is behind /dev/%.32s; mend: losetup -d /dev/%.32s",
				 q->f->bdf, name, loop, loop);
	}
	if (dir)
		closedir(dir);
	return err;
}

/*
 * Processes
 */

/* Is the node /dev/@name one of the function's: a disk, a partition, the controller, the IOMMU
 * group? */
static bool is_ours(const struct inquiry *q, const char *name)
{
	const struct pcie_func *f = q->f;
	char group[PCIE_NAME_MAX];

	(void)snprintf(group, sizeof(group), "vfio/%d", f->iommu_group);
	if (pcie_func_is_vfio(f) && strcmp(name, group) == 0)
		return true;
	if (f->ctrl[0] && strcmp(name, f->ctrl) == 0)
		return true;
	for (unsigned i = 0; i < f->nblocks; i++) {
		size_t n = strlen(f->blocks[i]);

		if (strncmp(name, f->blocks[i], n) != 0)
			continue;
		if (!name[n] ||
		    pcie_sysfs_has(q->sys, "/sys/class/block/%s/%s/partition", f->blocks[i], name))
			return true;
	}
	return false;
}

/* Has process @pid a node of the function open? Then it is in @node. */
static bool has_open(const struct inquiry *q, const char *pid, char node[PCIE_PATH_MAX])
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/proc/%s/fd", pid);
	char path[PCIE_PATH_MAX];
	bool found = false;
	const char *fd;

	while (dir && !found && (fd = pcie_sysfs_next(dir))) {
		ssize_t n = readlink(pcie_sysfs_path(q->sys, path, "/proc/%s/fd/%s", pid, fd), node,
				     PCIE_PATH_MAX - 1);

		node[n > 0 ? n : 0] = '\0';
		found = strncmp(node, "/dev/", 5) == 0 && is_ours(q, node + 5);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* udev opens every new disk for a moment to see what is on it. */
static bool is_udev(const char *comm)
{
	return strcmp(comm, "systemd-udevd") == 0 || strcmp(comm, "(udev-worker)") == 0;
}

/* Processes of others are seen by root only; who is not root cannot bind either. */
static int find_process(const struct inquiry *q)
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/proc");
	char comm[PCIE_NAME_MAX], node[PCIE_PATH_MAX];
	const char *pid;
	int err = 0;

	while (dir && !err && (pid = pcie_sysfs_next(dir))) {
		if (!isdigit((unsigned char)pid[0]) || !has_open(q, pid, node))
			continue;
		(void)pcie_sysfs_text(q->sys, comm, sizeof(comm), "/proc/%s/comm", pid);
		if (!is_udev(comm))
			err = errbuf_set(q->eb, -EBUSY,
					 "%s: %.80s is open in %s (pid %.16s); end it first",
					 q->f->bdf, node, comm[0] ? comm : "a process", pid);
	}
	if (dir)
		closedir(dir);
	return err;
}

/* An open(2) of @node that fails when somebody has it for himself. The descriptor, or -errno. */
static int open_node(const struct inquiry *q, const char *node, int flags)
{
	char path[PCIE_PATH_MAX];
	int fd = open(pcie_sysfs_path(q->sys, path, "%s", node), flags | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EBUSY)
		return errbuf_set(q->eb, -EBUSY,
				  "%s: %s is in use (a mount elsewhere, ZFS, another process …)",
				  q->f->bdf, node);
	return errbuf_set(q->eb, -errno, "%s: cannot tell whether %s is in use: %s", q->f->bdf,
			  node, strerror(errno));
}

static int try_open(const struct inquiry *q, const char *node, int flags)
{
	int fd = open_node(q, node, flags);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int find_exclusive(const struct inquiry *q, const char *name)
{
	char node[PCIE_NAME_MAX + 8];

	(void)snprintf(node, sizeof(node), "/dev/%s", name);
	return try_open(q, node, O_RDONLY | O_EXCL);
}

/*
 * All of it
 */

/* @fn for the disk @name and each of its partitions, until one is held. */
static int each_part(const struct inquiry *q, const char *name, holder_fn fn)
{
	DIR *dir = pcie_sysfs_dir(q->sys, "/sys/class/block/%s/", name);
	const char *part;
	int err = fn(q, name);

	while (dir && !err && (part = pcie_sysfs_next(dir))) {
		if (strlen(part) < PCIE_NAME_MAX &&
		    pcie_sysfs_has(q->sys, "/sys/class/block/%s/%s/partition", name, part))
			err = fn(q, part);
	}
	if (dir)
		closedir(dir);
	return err;
}

static int each_block(const struct inquiry *q, holder_fn fn)
{
	int err = 0;

	for (unsigned i = 0; i < q->f->nblocks && !err; i++)
		err = each_part(q, q->f->blocks[i], fn);
	return err;
}

/* A group is open once at most; opening it does nothing yet. */
static int try_group(const struct inquiry *q)
{
	char node[PCIE_NAME_MAX];

	(void)snprintf(node, sizeof(node), "/dev/vfio/%d", q->f->iommu_group);
	if (!pcie_func_is_vfio(q->f) || !pcie_sysfs_has(q->sys, "%s", node))
		return 0;
	return try_open(q, node, O_RDWR);
}

int pcie_holder_find(const struct pcie_sys *sys, const struct pcie_func *f, struct errbuf *eb)
{
	static const holder_fn rows[] = { find_mount, find_btrfs, find_swap, find_claimed,
					  find_loop };
	struct inquiry q = { .sys = sys, .f = f, .eb = eb };
	int err = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows) && !err; i++)
		err = each_block(&q, rows[i]);
	if (!err)
		err = find_process(&q);
	if (!err)
		err = each_block(&q, find_exclusive);
	return err ? err : try_group(&q);
}

int pcie_holder_claim(const struct pcie_sys *sys, const struct pcie_func *f, int *fds,
		      struct errbuf *eb)
{
	struct inquiry q = { .sys = sys, .f = f, .eb = eb };
	char node[PCIE_NAME_MAX + 8];

	/* A claim of the whole disk keeps others from claiming its partitions. */
	for (unsigned i = 0; i < f->nblocks; i++) {
		(void)snprintf(node, sizeof(node), "/dev/%s", f->blocks[i]);
		fds[i] = open_node(&q, node, O_RDONLY | O_EXCL);
		if (fds[i] < 0) {
			int err = fds[i];

			pcie_holder_release(fds, i);
			return err;
		}
	}
	return 0;
}

void pcie_holder_release(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}
