/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes, adopts and removes the server's socket. */
#include "vhost/user/vu_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define VU_BACKLOG 8 /* a front-end that comes back waits here until the old session has drained \
		      */

static int address_make(const char *path, struct sockaddr_un *ret, struct errbuf *eb)
{
	size_t len = strlen(path);

	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (len == 0)
		return errbuf_set(eb, -EINVAL, "the socket path is empty");
	if (len >= sizeof(ret->sun_path))
		return errbuf_set(eb, -ENAMETOOLONG,
				  "socket path %s has %zu bytes; UNIX sockets allow %zu: use a "
				  "shorter directory",
				  path, len, sizeof(ret->sun_path) - 1);
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* Does a process listen at @a? 0: nobody (any more), -EADDRINUSE: yes. */
static int probe(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = -EADDRINUSE;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED)
		rc = 0;
	close(fd);
	return rc;
}

/* Make room at @path: only for a socket file that nobody listens on. */
static int path_clear(const char *path, const struct sockaddr_un *a, struct errbuf *eb)
{
	struct stat st;
	int err;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return errbuf_set(eb, -EEXIST,
				  "%s exists and is not a socket: remove it or choose another path",
				  path);
	err = probe(a);
	if (err)
		return errbuf_set(eb, err, "%s: another process serves this socket", path);
	if (unlink(path) && errno != ENOENT)
		return errbuf_set(eb, -errno, "%s: cannot replace the stale socket: %s", path,
				  strerror(errno));
	return 0;
}

static int bind_error(const char *path, int err, struct errbuf *eb)
{
	const char *slash = strrchr(path, '/');
	int n = slash ? (int)(slash - path) : 0;

	switch (err) {
	case -ENOENT:
		return errbuf_set(eb, err, "%s: directory %.*s does not exist: mkdir -p %.*s", path,
				  n, path, n, path);
	case -EACCES:
	case -EROFS:
	case -EPERM:
		return errbuf_set(eb, err, "%s: cannot write to directory %.*s: %s", path,
				  slash ? n : 1, slash ? path : ".", strerror(-err));
	default:
		return errbuf_set(eb, err, "%s: %s", path, strerror(-err));
	}
}

/*
 * The file gets its permissions from the socket's own inode, less the umask: fchmod first, so that
 * it is never more open than asked for; chmod afterwards gives back what the umask took.
 */
static int bind_and_listen(int fd, const char *path, const struct sockaddr_un *a, mode_t mode,
			   struct errbuf *eb)
{
	if (fchmod(fd, mode))
		return errbuf_set(eb, -errno, "%s: cannot set the socket's mode: %s", path,
				  strerror(errno));
	if (bind(fd, (const struct sockaddr *)a, sizeof(*a)))
		return bind_error(path, -errno, eb);
	if (chmod(path, mode) || listen(fd, VU_BACKLOG)) {
		int err = errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));

		unlink(path);
		return err;
	}
	return 0;
}

int vu_socket_listen(const char *path, mode_t mode, int *ret_fd, struct errbuf *eb)
{
	struct sockaddr_un a;
	int fd, err = address_make(path, &a, eb);

	if (!err)
		err = path_clear(path, &a, eb);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(eb, -errno, "%s: socket: %s", path, strerror(errno));
	err = bind_and_listen(fd, path, &a, mode, eb);
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int vu_socket_adopt(int fd, bool *ret_listens, struct errbuf *eb)
{
	int domain = 0, type = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len))
		return errbuf_set(eb, -errno, "fd %d is not a socket: %s", fd, strerror(errno));
	if (domain != AF_UNIX || type != SOCK_STREAM)
		return errbuf_set(eb, -EINVAL, "fd %d is not a UNIX stream socket", fd);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return errbuf_set(eb, -errno, "fd %d: %s", fd, strerror(errno));
	*ret_listens = listens != 0;
	return 0;
}

void vu_socket_remove(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		unlink(path);
}
