/* SPDX-License-Identifier: BSD-3-Clause */
/* Image locks, as QEMU's file driver takes them. */
#include "drivers/uring/urb_lock_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"

#define USED_BASE     100 /* byte of permission 0 in use */
#define UNSHARED_BASE 200 /* byte of permission 0 not shared with others */
#define RETRY_NS      (5 * MONO_NS_PER_MS)

enum perm {
	PERM_CONSISTENT_READ,
	PERM_WRITE,
	PERM_WRITE_UNCHANGED,
	PERM_RESIZE,
};

static int byte_set(int fd, off_t byte, short type)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	while (fcntl(fd, F_OFD_SETLK, &fl)) {
		if (errno != EINTR)
			return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	}
	return 0;
}

/* Does another open file hold @byte? 0, -EBUSY, or -errno. */
static int byte_test(int fd, off_t byte)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &fl))
		return -errno;
	return fl.l_type == F_UNLCK ? 0 : -EBUSY;
}

/* Own bytes first, then the look at the others': two that come at once both see each other. */
static int lock_try(int fd, bool read_only)
{
	static const struct {
		off_t own, opposite;
		bool write; /* only of a disk that writes */
	} rows[] = {
		{ USED_BASE + PERM_CONSISTENT_READ, UNSHARED_BASE + PERM_CONSISTENT_READ, false },
		{ USED_BASE + PERM_WRITE, UNSHARED_BASE + PERM_WRITE, true },
		{ UNSHARED_BASE + PERM_WRITE, USED_BASE + PERM_WRITE, false },
	};
	int err = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !err; i++) {
		if (!rows[i].write || !read_only)
			err = byte_set(fd, rows[i].own, F_RDLCK);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !err; i++) {
		if (!rows[i].write || !read_only)
			err = byte_test(fd, rows[i].opposite);
	}
	if (err)
		urb_lock_release(fd);
	return err;
}

int urb_lock_take(int fd, bool read_only, unsigned wait_ms)
{
	uint64_t end_ns = mono_ns() + wait_ms * MONO_NS_PER_MS;
	/* Two that met and both gave way must not meet again and again. */
	struct timespec pause = { .tv_nsec = (long)(RETRY_NS + (uint64_t)getpid() % 1000 * 1000) };
	int err;

	for (;;) {
		err = lock_try(fd, read_only);
		if (err != -EBUSY || mono_ns() >= end_ns)
			return err;
		(void)nanosleep(&pause, NULL);
	}
}

void urb_lock_release(int fd)
{
	/* The file is about to be closed, which does the same. */
	(void)byte_set(fd, USED_BASE + PERM_CONSISTENT_READ, F_UNLCK);
	(void)byte_set(fd, USED_BASE + PERM_WRITE, F_UNLCK);
	(void)byte_set(fd, UNSHARED_BASE + PERM_WRITE, F_UNLCK);
}

int urb_lock_resize_begin(int fd)
{
	int err = byte_set(fd, USED_BASE + PERM_RESIZE, F_RDLCK);

	if (err)
		return err;
	err = byte_test(fd, UNSHARED_BASE + PERM_RESIZE);
	if (err)
		urb_lock_resize_end(fd);
	return err;
}

void urb_lock_resize_end(int fd)
{
	(void)byte_set(fd, USED_BASE + PERM_RESIZE, F_UNLCK);
}
