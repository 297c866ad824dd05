/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/base/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int unixsock_address(const char *path, struct sockaddr_un *ret, struct errbuf *eb)
{
	size_t len = strlen(path);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (len == 0)
		return errbuf_set(eb, -EINVAL, "the socket path is empty");
	if (len >= sizeof(ret->sun_path))
		return errbuf_set(eb, -ENAMETOOLONG,
				  "socket path %.200s has %zu bytes; UNIX sockets allow %zu: use a shorter directory", path,
				  len, sizeof(ret->sun_path) - 1);
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
		return errbuf_set(eb, err, "%s: another process listens on this socket", path);
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
static int bind_and_listen(const char *path, const struct sockaddr_un *a, mode_t mode, int backlog, struct unixsock *s,
			   struct errbuf *eb)
{
	struct stat st;

	if (fchmod(s->fd, mode))
		return errbuf_set(eb, -errno, "%s: cannot set the socket's mode: %s", path, strerror(errno));
	if (bind(s->fd, (const struct sockaddr *)a, sizeof(*a)))
		return bind_error(path, -errno, eb);
	if (chmod(path, mode) || stat(path, &st) || listen(s->fd, backlog)) {
		int err = errbuf_set(eb, -errno, "%s: %s", path, strerror(errno));

		unlink(path);
		return err;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

int unixsock_listen(const char *path, mode_t mode, int backlog, struct unixsock *ret, struct errbuf *eb)
{
	struct unixsock s = { .fd = -1 };
	struct sockaddr_un a;
	int err = unixsock_address(path, &a, eb);

	if (!err)
		err = path_clear(path, &a, eb);
	if (err)
		return err;
	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s.fd < 0)
		return errbuf_set(eb, -errno, "%s: socket: %s", path, strerror(errno));
	err = bind_and_listen(path, &a, mode, backlog, &s, eb);
	if (err) {
		close(s.fd);
		return err;
	}
	*ret = s;
	return 0;
}

void unixsock_remove(const struct unixsock *s, const char *path)
{
	struct stat st;

	if (s->ino && lstat(path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(path);
}

void unixsock_close(const struct unixsock *s, const char *path)
{
	if (s->fd >= 0)
		close(s->fd);
	unixsock_remove(s, path);
}

int unixsock_adopt(int fd, bool *ret_listens, struct errbuf *eb)
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
