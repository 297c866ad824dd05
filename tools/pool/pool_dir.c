/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of volumes: directories, and what survives a crash in them. */
#include "tools/pool/pool_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tools/pool/pool_holder.h"

#define LOG_TAG "pool"
#include "core/base/log.h"

#define IMAGE_NAME "disk.img"
#define MARK_NAME  ".nvring-volume"
#define MARK_TEXT  "nvring volume 1\n"
#define NEW_PREFIX ".new-"
#define OLD_PREFIX ".old-"
#define PREFIX_LEN 5
#define ENTRY_MAX  (PREFIX_LEN + POOL_NAME_MAX)

/* QEMU's image locks lie on these bytes (drivers/uring/urb_lock_priv.h); all of them, exclusively: nobody else. */
#define LOCK_FIRST 100
#define LOCK_BYTES 200

struct pool_dir {
	struct pool pool; /* where: absolute, without links */
	int fd; /* of the directory; its flock says whose the pool is */
};

static struct pool_dir *to_dir(struct pool *pool)
{
	return container_of(pool, struct pool_dir, pool);
}

int pool_dir_image_path(const struct pool *pool, const char *name, char *buf, size_t len)
{
	int n = snprintf(buf, len, "%s/%s/" IMAGE_NAME, pool->where, name);

	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

/*
 * Volume directories
 */

static int open_dir(const struct pool_dir *p, const char *entry)
{
	int fd = openat(p->fd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool has_mark(int dir_fd)
{
	char text[sizeof(MARK_TEXT)];
	ssize_t n;
	int fd = openat(dir_fd, MARK_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n == (ssize_t)strlen(MARK_TEXT) && memcmp(text, MARK_TEXT, strlen(MARK_TEXT)) == 0;
}

/* The image of a directory with the mark, if it is one. 0 or -errno. */
static int stat_image(int dir_fd, struct stat *ret)
{
	if (fstatat(dir_fd, IMAGE_NAME, ret, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return S_ISREG(ret->st_mode) ? 0 : -EINVAL;
}

/* *ret_fd: the directory of volume @name. */
static int open_volume(const struct pool_dir *p, const char *name, int *ret_fd, struct errbuf *eb)
{
	struct stat st;
	int fd = open_dir(p, name);

	if (fd == -ENOENT)
		return errbuf_set(eb, -ENOENT, "no volume named \"%s\" in pool %s", name, p->pool.name);
	if (fd == -ENOTDIR || fd == -ELOOP || (fd >= 0 && (!has_mark(fd) || stat_image(fd, &st)))) {
		if (fd >= 0)
			close(fd);
		return errbuf_set(eb, -EINVAL, "%s/%s is no volume: nvring did not make it", p->pool.where, name);
	}
	if (fd < 0)
		return errbuf_set(eb, fd, "%s/%s: %s", p->pool.where, name, strerror(-fd));
	*ret_fd = fd;
	return 0;
}

/* Is there nothing in the directory but what we make? 0, -ENOTEMPTY with eb, -errno. */
static int check_content(int dir_fd, struct errbuf *eb)
{
	int err = 0, fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		err = errbuf_set(eb, -errno, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, IMAGE_NAME) != 0 && strcmp(e->d_name, MARK_NAME) != 0)
			err = errbuf_set(eb, -ENOTEMPTY, "%.100s lies in it, which nvring did not make", e->d_name);
	}
	closedir(dir);
	return err;
}

/* A directory that is no volume, or no longer: what we make goes, and the directory if that was all. 0 or -errno. */
static int clear_dir(const struct pool_dir *p, const char *entry)
{
	struct errbuf why;
	int fd = open_dir(p, entry), err;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = check_content(fd, &why);
	/* The mark last: until then it says whose the rest is. */
	if (!err && unlinkat(fd, IMAGE_NAME, 0) && errno != ENOENT)
		err = -errno;
	if (!err && unlinkat(fd, MARK_NAME, 0) && errno != ENOENT)
		err = -errno;
	close(fd);
	if (!err && unlinkat(p->fd, entry, AT_REMOVEDIR))
		err = -errno;
	return err;
}

/*
 * The pool
 */

static bool is_leftover(const char *entry)
{
	return (strncmp(entry, NEW_PREFIX, PREFIX_LEN) == 0 || strncmp(entry, OLD_PREFIX, PREFIX_LEN) == 0) &&
	       pool_name_check(entry + PREFIX_LEN, NULL) == 0;
}

/* A stream of its own over the pool's entries; NULL with errno. */
static DIR *open_entries(const struct pool_dir *p)
{
	int fd = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* What a crash left of volumes being made or removed. */
static int sweep(const struct pool_dir *p, struct errbuf *eb)
{
	DIR *dir = open_entries(p);
	struct dirent *e;

	if (!dir)
		return errbuf_set(eb, -errno, "%s: %s", p->pool.where, strerror(errno));
	while ((e = readdir(dir))) {
		int err = is_leftover(e->d_name) ? clear_dir(p, e->d_name) : 1;

		if (err == 0)
			log_notice("%s: removed %s, left behind by a crash", p->pool.where, e->d_name);
		else if (err < 0)
			log_warn("%s: left %s as it is: %s", p->pool.where, e->d_name, strerror(-err));
	}
	closedir(dir);
	return 0;
}

static int take_dir(struct pool_dir *p, const char *path, struct errbuf *eb)
{
	char real[PATH_MAX];

	if (!realpath(path, real))
		return errbuf_set(eb, -errno, "%.300s: %s", path, strerror(errno));
	if (strlen(real) >= sizeof(p->pool.where))
		return errbuf_set(eb, -ENAMETOOLONG, "%.300s: longer than %d characters", path, POOL_DIR_MAX - 1);
	snprintf(p->pool.where, sizeof(p->pool.where), "%.511s", real);
	p->fd = open(p->pool.where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0)
		return errbuf_set(eb, -errno, "%s: %s", p->pool.where, strerror(errno));
	if (faccessat(p->fd, ".", W_OK | X_OK, AT_EACCESS))
		return errbuf_set(eb, -errno, "%s: cannot be written to: %s", p->pool.where, strerror(errno));
	if (flock(p->fd, LOCK_EX | LOCK_NB))
		return errbuf_set(eb, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s: %s", p->pool.where,
				  errno == EWOULDBLOCK ? "another nvringd has this pool" : strerror(errno));
	return 0;
}

static void dir_close(struct pool *pool)
{
	struct pool_dir *p = to_dir(pool);

	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

int pool_open(const char *name, const char *path, struct pool **ret, struct errbuf *eb)
{
	struct pool_dir *p;
	int err = pool_name_check(name, eb);

	if (err)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	p->pool.ops = &pool_dir_ops;
	p->fd = -1;
	snprintf(p->pool.name, sizeof(p->pool.name), "%s", name);
	err = take_dir(p, path, eb);
	if (!err)
		err = sweep(p, eb);
	if (err)
		dir_close(&p->pool);
	else
		*ret = &p->pool;
	return err;
}

static int dir_space(struct pool *pool, struct pool_space *ret, struct errbuf *eb)
{
	const struct pool_dir *p = to_dir(pool);
	struct statvfs st;

	if (fstatvfs(p->fd, &st))
		return errbuf_set(eb, -errno, "%s: %s", p->pool.where, strerror(errno));
	ret->bytes = (uint64_t)st.f_blocks * st.f_frsize;
	ret->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

/*
 * Look
 */

static int find_entry(const struct pool_dir *p, const char *name, struct pool_volume *ret, struct errbuf *eb)
{
	struct stat st;
	int fd, err = open_volume(p, name, &fd, eb);

	if (err)
		return err;
	err = stat_image(fd, &st);
	close(fd);
	if (err)
		return errbuf_set(eb, err, "%s/%s: %s", p->pool.where, name, strerror(-err));
	snprintf(ret->name, sizeof(ret->name), "%.63s", name);
	ret->bytes = (uint64_t)st.st_size;
	ret->used_bytes = (uint64_t)st.st_blocks * 512;
	return 0;
}

static int dir_find(struct pool *pool, const char *name, struct pool_volume *ret, struct errbuf *eb)
{
	return find_entry(to_dir(pool), name, ret, eb);
}

/* Makes room for one more. NULL: memory is out. */
static struct pool_volume *grow(struct pool_volume *arr, size_t n)
{
	if (n & (n - 1) || (n && n < 16))
		return arr;
	return realloc(arr, (n ? 2 * n : 16) * sizeof(*arr));
}

static int dir_list(struct pool *pool, struct pool_volume **ret, size_t *ret_n, struct errbuf *eb)
{
	const struct pool_dir *p = to_dir(pool);
	struct pool_volume *arr = NULL, *more;
	DIR *dir = open_entries(p);
	struct dirent *e;
	size_t n = 0;
	int err = 0;

	if (!dir)
		return errbuf_set(eb, -errno, "%s: %s", p->pool.where, strerror(errno));
	while (!err && n < POOL_VOLUMES_MAX && (e = readdir(dir))) {
		more = grow(arr, n);
		if (!more) {
			err = errbuf_set(eb, -ENOMEM, "out of memory");
			break;
		}
		arr = more;
		if (pool_name_check(e->d_name, NULL) == 0 && find_entry(p, e->d_name, &arr[n], NULL) == 0)
			n++;
	}
	closedir(dir);
	if (err) {
		free(arr);
		return err;
	}
	if (n)
		qsort(arr, n, sizeof(*arr), pool_volume_compare);
	*ret = arr;
	*ret_n = n;
	return 0;
}

/*
 * Create
 */

/* One file with its content on the disk: @text, or @bytes of holes. */
static int make_file(int dir_fd, const char *name, const char *text, uint64_t bytes)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), err = 0;
	size_t len = text ? strlen(text) : 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, len);
	if (n != (ssize_t)len)
		err = n < 0 ? -errno : -ENOSPC;
	if (!err && !text && ftruncate(fd, (off_t)bytes))
		err = -errno;
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

static int fill_dir(const struct pool_dir *p, const char *entry, uint64_t bytes)
{
	int fd = open_dir(p, entry), err;

	if (fd < 0)
		return fd;
	err = make_file(fd, MARK_NAME, MARK_TEXT, 0);
	if (!err)
		err = make_file(fd, IMAGE_NAME, NULL, bytes);
	if (!err && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* Never onto something that is there. */
static int rename_new(const struct pool_dir *p, const char *from, const char *to)
{
	struct stat st;

	if (renameat2(p->fd, from, p->fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without it; the pool is ours alone. */
	if (fstatat(p->fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(p->fd, from, p->fd, to) ? -errno : 0;
}

static int dir_create(struct pool *pool, const char *name, uint64_t bytes, struct errbuf *eb)
{
	struct pool_dir *p = to_dir(pool);
	char entry[ENTRY_MAX];
	struct stat st;
	int err;

	if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return errbuf_set(eb, -EEXIST, "%s/%s is there already", p->pool.where, name);
	snprintf(entry, sizeof(entry), NEW_PREFIX "%s", name);
	err = clear_dir(p, entry); /* of an attempt that failed */
	if (!err && mkdirat(p->fd, entry, 0700))
		err = -errno;
	if (err)
		return errbuf_set(eb, err, "%s/%s: cannot be made: %s", p->pool.where, name, strerror(-err));
	err = fill_dir(p, entry, bytes);
	if (!err)
		err = rename_new(p, entry, name);
	if (err) {
		(void)clear_dir(p, entry); /* in vain: it goes when the pool is opened */
		return errbuf_set(eb, err, "%s/%s: cannot be made: %s", p->pool.where, name, strerror(-err));
	}
	if (fsync(p->fd)) {
		err = -errno;
		return errbuf_set(eb, err, "%s: cannot be written: %s", p->pool.where, strerror(-err));
	}
	return 0;
}

/*
 * Change
 */

/* The image of a volume, for us alone until it is closed. *ret_fd; -EBUSY with who has it. */
static int claim_image(int dir_fd, const char *name, int *ret_fd, struct errbuf *eb)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_FIRST, .l_len = LOCK_BYTES };
	int fd = openat(dir_fd, IMAGE_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC), err = 0;
	struct errbuf who = { "in use: another process has locked it" };

	if (fd < 0)
		return errbuf_set(eb, -errno, "%s: %s", name, strerror(errno));
	/* Any other error: no locks on this file system, and what can be seen must do. */
	if (fcntl(fd, F_OFD_SETLK, &fl) && (errno == EAGAIN || errno == EACCES))
		err = -EBUSY;
	if (pool_holder_find(fd, &who)) /* also says who has the lock */
		err = -EBUSY;
	if (err) {
		close(fd);
		return errbuf_set(eb, err, "%s is %.400s", name, who.text);
	}
	*ret_fd = fd;
	return 0;
}

static int dir_in_use(struct pool *pool, const char *name, struct errbuf *eb)
{
	int dir_fd, fd, err = open_volume(to_dir(pool), name, &dir_fd, eb);

	if (err)
		return err;
	err = claim_image(dir_fd, name, &fd, eb);
	close(dir_fd);
	if (!err)
		close(fd);
	return err;
}

static int resize_image(int fd, uint64_t bytes, bool may_shrink, struct errbuf *eb)
{
	struct stat st;

	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	if (bytes < (uint64_t)st.st_size && !may_shrink)
		return errbuf_set(eb, -ERANGE,
				  "it has %" PRIu64 " bytes and would lose what is behind %" PRIu64 ": ask for it (shrink)",
				  (uint64_t)st.st_size, bytes);
	if (ftruncate(fd, (off_t)bytes) || fsync(fd))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	return 0;
}

static int dir_resize(struct pool *pool, const char *name, uint64_t bytes, bool may_shrink, struct errbuf *eb)
{
	int dir_fd, fd, err = open_volume(to_dir(pool), name, &dir_fd, eb);
	struct errbuf why;

	if (err)
		return err;
	err = claim_image(dir_fd, name, &fd, eb);
	close(dir_fd);
	if (err)
		return err;
	err = resize_image(fd, bytes, may_shrink, &why);
	close(fd);
	return err ? errbuf_set(eb, err, "%s: %.400s", name, why.text) : 0;
}

/* The volume @name has stopped to be one by a rename; what is left of it goes now, or with the next pool_open(). */
static int bury(const struct pool_dir *p, const char *name, struct errbuf *eb)
{
	char entry[ENTRY_MAX];
	int err;

	snprintf(entry, sizeof(entry), OLD_PREFIX "%s", name);
	err = clear_dir(p, entry);
	if (!err)
		err = rename_new(p, name, entry);
	if (!err && fsync(p->fd))
		err = -errno;
	if (err)
		return errbuf_set(eb, err, "%s/%s: cannot be removed: %s", p->pool.where, name, strerror(-err));
	err = clear_dir(p, entry);
	if (err)
		log_warn("%s: %s is removed, but not yet deleted: %s", p->pool.where, name, strerror(-err));
	return 0;
}

static int dir_remove(struct pool *pool, const char *name, struct errbuf *eb)
{
	struct pool_dir *p = to_dir(pool);
	int dir_fd, fd, err = open_volume(p, name, &dir_fd, eb);
	struct errbuf why;

	if (err)
		return err;
	err = check_content(dir_fd, &why);
	if (err)
		err = errbuf_set(eb, err, "%s/%s: %.300s", p->pool.where, name, why.text);
	if (!err)
		err = claim_image(dir_fd, name, &fd, eb);
	close(dir_fd);
	if (err)
		return err;
	err = bury(p, name, eb);
	close(fd);
	return err;
}

const struct pool_ops pool_dir_ops = {
	.close = dir_close,
	.space = dir_space,
	.list = dir_list,
	.find = dir_find,
	.create = dir_create,
	.resize = dir_resize,
	.remove = dir_remove,
	.in_use = dir_in_use,
};
