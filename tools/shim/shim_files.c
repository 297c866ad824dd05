/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded by `nvring exec`: the C library's functions that take a path or ask about a file. What is not about NVMe
 * goes on to the C library unchanged.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tools/shim/shim_dev.h"

#define EXPORTED __attribute__((visibility("default")))

/* The C library's own. Looked up each time that none is known: several threads find the same. */
#define REAL(name)                                                        \
	__extension__({                                                   \
		static __typeof__(&name) real_;                           \
		if (!real_)                                               \
			real_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
		real_;                                                    \
	})

/*
 * open. The headers' own declarations of these carry asm names and attributes: ours follow them.
 */

static int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	char buf[PATH_MAX];
	struct shim_dev dev;

	if (shim_dev_of_path(path, &dev))
		return shim_dev_open(&dev, flags & O_CLOEXEC);
	return REAL(openat)(dirfd, shim_path(path, buf, sizeof(buf)), flags, mode);
}

/* The mode is there when a file may be made. */
#define MODE_OF(flags)                                              \
	__extension__({                                             \
		mode_t mode_ = 0;                                   \
		if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
			va_list ap_;                                \
			va_start(ap_, flags);                       \
			mode_ = va_arg(ap_, mode_t);                \
			va_end(ap_);                                \
		}                                                   \
		mode_;                                              \
	})

EXPORTED int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, MODE_OF(flags));
}

EXPORTED int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, MODE_OF(flags));
}

EXPORTED int openat(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags, MODE_OF(flags));
}

EXPORTED int openat64(int dirfd, const char *path, int flags, ...)
{
	return open_at(dirfd, path, flags | O_LARGEFILE, MODE_OF(flags));
}

/* What -D_FORTIFY_SOURCE makes of an open without a mode. */
int __open_2(const char *path, int flags);
EXPORTED int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags);
EXPORTED int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

int __openat_2(int dirfd, const char *path, int flags);
EXPORTED int __openat_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags, 0);
}

int __openat64_2(int dirfd, const char *path, int flags);
EXPORTED int __openat64_2(int dirfd, const char *path, int flags)
{
	return open_at(dirfd, path, flags | O_LARGEFILE, 0);
}

/*
 * Folders and streams: sysfs
 */

EXPORTED FILE *fopen(const char *path, const char *mode)
{
	char buf[PATH_MAX];

	return REAL(fopen)(shim_path(path, buf, sizeof(buf)), mode);
}

EXPORTED FILE *fopen64(const char *path, const char *mode)
{
	char buf[PATH_MAX];

	return REAL(fopen64)(shim_path(path, buf, sizeof(buf)), mode);
}

EXPORTED DIR *opendir(const char *path)
{
	char buf[PATH_MAX];

	return REAL(opendir)(shim_path(path, buf, sizeof(buf)));
}

EXPORTED int scandir(const char *path, struct dirent ***ret, int (*filter)(const struct dirent *),
		     int (*compare)(const struct dirent **, const struct dirent **))
{
	char buf[PATH_MAX];

	return REAL(scandir)(shim_path(path, buf, sizeof(buf)), ret, filter, compare);
}

EXPORTED int scandir64(const char *path, struct dirent64 ***ret,
		       int (*filter)(const struct dirent64 *),
		       int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	char buf[PATH_MAX];

	return REAL(scandir64)(shim_path(path, buf, sizeof(buf)), ret, filter, compare);
}

EXPORTED ssize_t readlink(const char *path, char *to, size_t len)
{
	char buf[PATH_MAX];
	struct shim_answer look;
	struct shim_dev dev;

	if (shim_dev_of_path(path, &dev) && shim_dev_look(&dev, &look) == 0) {
		errno = EINVAL; /* it is there, and no link */
		return -1;
	}
	return REAL(readlink)(shim_path(path, buf, sizeof(buf)), to, len);
}

EXPORTED char *realpath(const char *path, char *to)
{
	char buf[PATH_MAX];
	struct shim_answer look;
	struct shim_dev dev;

	if (!shim_dev_of_path(path, &dev) || shim_dev_look(&dev, &look))
		return REAL(realpath)(shim_path(path, buf, sizeof(buf)), to);
	if (!to)
		return strdup(path);
	snprintf(to, PATH_MAX, "%s", path);
	return to;
}

static int access_at(int dirfd, const char *path, int how, int flags)
{
	char buf[PATH_MAX];
	struct shim_answer look;
	struct shim_dev dev;
	int err;

	if (!shim_dev_of_path(path, &dev))
		return REAL(faccessat)(dirfd, shim_path(path, buf, sizeof(buf)), how, flags);
	err = how & X_OK ? -EACCES : shim_dev_look(&dev, &look);
	if (!err)
		return 0;
	errno = -err;
	return -1;
}

EXPORTED int access(const char *path, int how)
{
	return access_at(AT_FDCWD, path, how, 0);
}

EXPORTED int faccessat(int dirfd, const char *path, int how, int flags)
{
	return access_at(dirfd, path, how, flags);
}

/*
 * stat. struct stat64 is struct stat wherever this library is built.
 */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "64-bit machines only");

static void fill_stat(const struct shim_dev *dev, struct stat *st)
{
	*st = (struct stat){
		.st_dev = makedev(0, 5), /* devtmpfs, more or less */
		.st_ino = 0x6e760000u + (dev->ctrlr << 10) + dev->ns,
		.st_mode = dev->ns ? S_IFBLK | 0660 : S_IFCHR | 0600,
		.st_nlink = 1,
		.st_rdev = shim_dev_number(dev),
		.st_blksize = 4096,
		.st_uid = geteuid(),
		.st_gid = getegid(),
	};
}

static int stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
	char buf[PATH_MAX];
	struct shim_answer look;
	struct shim_dev dev;
	int err;

	if (shim_dev_of_path(path, &dev)) {
		err = shim_dev_look(&dev, &look);
		if (!err)
			fill_stat(&dev, st);
		errno = err ? -err : errno;
		return err ? -1 : 0;
	}
	err = REAL(fstatat)(dirfd, shim_path(path, buf, sizeof(buf)), st, flags);
	/* Of a file descriptor: those of ours are nameless regular files. */
	if (!err && S_ISREG(st->st_mode) && st->st_nlink == 0 && flags & AT_EMPTY_PATH && path &&
	    !*path && shim_dev_of_fd(dirfd, &dev))
		fill_stat(&dev, st);
	return err;
}

EXPORTED int stat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

EXPORTED int stat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

EXPORTED int lstat(const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

EXPORTED int lstat64(const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

EXPORTED int fstat(int fd, struct stat *st)
{
	return stat_at(fd, "", st, AT_EMPTY_PATH);
}

EXPORTED int fstat64(int fd, struct stat64 *st)
{
	return stat_at(fd, "", (struct stat *)st, AT_EMPTY_PATH);
}

EXPORTED int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	return stat_at(dirfd, path, st, flags);
}

EXPORTED int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return stat_at(dirfd, path, (struct stat *)st, flags);
}

/* Programs built against a C library before 2.33 come by these. */
int __xstat(int version, const char *path, struct stat *st);
EXPORTED int __xstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, 0);
}

int __xstat64(int version, const char *path, struct stat64 *st);
EXPORTED int __xstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, 0);
}

int __lxstat(int version, const char *path, struct stat *st);
EXPORTED int __lxstat(int version, const char *path, struct stat *st)
{
	return stat_at(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int __lxstat64(int version, const char *path, struct stat64 *st);
EXPORTED int __lxstat64(int version, const char *path, struct stat64 *st)
{
	return stat_at(AT_FDCWD, path, (struct stat *)st, AT_SYMLINK_NOFOLLOW);
}

int __fxstat(int version, int fd, struct stat *st);
EXPORTED int __fxstat(int version, int fd, struct stat *st)
{
	return stat_at(fd, "", st, AT_EMPTY_PATH);
}

int __fxstat64(int version, int fd, struct stat64 *st);
EXPORTED int __fxstat64(int version, int fd, struct stat64 *st)
{
	return stat_at(fd, "", (struct stat *)st, AT_EMPTY_PATH);
}

/* GNU test, ls and stat ask this way. */
EXPORTED int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	char buf[PATH_MAX];
	struct shim_dev dev;
	struct stat st;
	int err;

	if (!shim_dev_of_path(path, &dev))
		return REAL(statx)(dirfd, shim_path(path, buf, sizeof(buf)), flags, mask, stx);
	err = stat_at(dirfd, path, &st, 0);
	if (err)
		return err;
	*stx = (struct statx){
		.stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO,
		.stx_mode = (uint16_t)st.st_mode,
		.stx_nlink = 1,
		.stx_uid = st.st_uid,
		.stx_gid = st.st_gid,
		.stx_ino = st.st_ino,
		.stx_blksize = 4096,
		.stx_rdev_major = major(st.st_rdev),
		.stx_rdev_minor = minor(st.st_rdev),
	};
	return 0;
}
