/* SPDX-License-Identifier: BSD-3-Clause */
/* Mounts on files of our own. */
#include "vdpa/fusefile_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/holder.h"

#define DYING_TRIES 3

int fusefile_place_make(struct fusefile_place *p, const char *path, struct errbuf *eb)
{
	struct stat st;
	int fd;

	if (path[0] != '/' || strlen(path) >= sizeof(p->path))
		return errbuf_set(eb, -EINVAL, "%.300s: the path of a file must be absolute, and shorter than %zu bytes",
				  path, sizeof(p->path));
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST && fusefile_place_clear(path))
		fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EEXIST)
		return errbuf_set(eb, -EEXIST, "%s is there already: another path, or remove it", path);
	if (fd < 0)
		return errbuf_set(eb, -errno, "%s cannot be made: %s", path, strerror(errno));
	if (fstat(fd, &st)) {
		int err = -errno;

		(void)close(fd);
		(void)unlink(path);
		return errbuf_set(eb, err, "%s: %s", path, strerror(-err));
	}
	(void)close(fd);
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	return 0;
}

static int make_folder(const char *folder, struct errbuf *eb)
{
	char up[FUSEFILE_PATH_MAX], *slash;

	snprintf(up, sizeof(up), "%s", folder);
	slash = strrchr(up, '/');
	if (slash && slash != up) {
		*slash = '\0';
		(void)mkdir(up, 0755);
	}
	if (mkdir(folder, 0755) && errno != EEXIST)
		return errbuf_set(eb, -errno, "%s: %s", folder, strerror(errno));
	return 0;
}

int fusefile_place_choose(struct fusefile_place *p, const char *folder, int id, unsigned *ret_id, struct errbuf *eb)
{
	int first = id < 0 ? 0 : id, last = id < 0 ? FUSEFILE_ID_MAX : id;
	char path[FUSEFILE_PATH_MAX];
	int err = make_folder(folder, eb);

	if (err)
		return err;
	for (int i = first; i <= last; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/disk%d", folder, i) >= sizeof(path))
			return errbuf_set(eb, -ENAMETOOLONG, "%s: the path is too long", folder);
		err = fusefile_place_make(p, path, eb);
		if (!err)
			*ret_id = (unsigned)i;
		if (err != -EEXIST)
			return err;
	}
	return err;
}

static int explain_mount(int err, const char *path, struct errbuf *eb)
{
	if (err == -EPERM || err == -EACCES)
		return errbuf_set(eb, err, "%s cannot be mounted: %s; that takes root (CAP_SYS_ADMIN)", path,
				  strerror(-err));
	if (err == -ENODEV)
		return errbuf_set(eb, err, "this kernel has no FUSE: modprobe fuse");
	return errbuf_set(eb, err, "%s cannot be mounted: %s", path, strerror(-err));
}

int fusefile_place_mount(const struct fusefile_place *p, const char *what, uint32_t io_bytes_max, struct errbuf *eb)
{
	char options[160];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return errbuf_set(eb, -errno, "there is no /dev/fuse: modprobe fuse");
	if (fd < 0)
		return errbuf_set(eb, -errno, "/dev/fuse: %s", strerror(errno));
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=%o,user_id=%u,group_id=%u,default_permissions,allow_other,max_read=%u", fd, S_IFREG,
		 (unsigned)geteuid(), (unsigned)getegid(), io_bytes_max);
	if (mount(what, p->path, "fuse.nvring", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, options)) {
		err = -errno;
		(void)close(fd);
		return explain_mount(err, p->path, eb);
	}
	return fd;
}

void fusefile_place_remove(const struct fusefile_place *p)
{
	struct stat st;

	(void)umount2(p->path, MNT_DETACH | UMOUNT_NOFOLLOW);
	if (!lstat(p->path, &st) && st.st_dev == p->dev && st.st_ino == p->ino)
		(void)unlink(p->path);
}

bool fusefile_place_is_dead(const char *path)
{
	struct stat st;

	/* a server that ends just now takes the question with it */
	for (unsigned i = 0; i < DYING_TRIES; i++) {
		if (!lstat(path, &st))
			return false;
		if (errno != ECONNABORTED)
			return errno == ENOTCONN;
	}
	return false;
}

bool fusefile_place_clear(const char *path)
{
	struct stat st;

	if (!fusefile_place_is_dead(path) || umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
		return false;
	if (!lstat(path, &st) && S_ISREG(st.st_mode) && !st.st_size)
		(void)unlink(path);
	return true;
}

/*
 * Users
 */

static bool is_backing(void *arg, const char *path)
{
	return strcmp(path, arg) == 0;
}

void fusefile_place_users(const char *path, char *buf, size_t len)
{
	char node[HOLDER_NODE_MAX], program[HOLDER_PROGRAM_MAX];
	pid_t pid;

	buf[0] = '\0';
	if (holder_loop(is_backing, (void *)(uintptr_t)path, node)) {
		snprintf(buf, len, "%s", node);
		return;
	}
	pid = holder_process_of_mount(path);
	if (pid)
		snprintf(buf, len, "process %d (%s)", pid, holder_program(pid, program));
}
