/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening and connecting on a path. */
#include "tools/ssd/ssd_sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 8

static int address_set(struct sockaddr_un *sa, const char *path)
{
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return 0;
}

int ssd_sock_connect(const char *path, int *ret_fd)
{
	struct sockaddr_un sa;
	int fd, err = address_set(&sa, path);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* Removes a socket that nobody listens on. Anything else at @path stays. */
static int make_way(const char *path, struct errbuf *eb)
{
	struct stat st;
	int fd, err;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return errbuf_set(
			eb, -EEXIST,
			"%.200s: there is something that is not a socket; choose another path",
			path);
	err = ssd_sock_connect(path, &fd);
	if (!err)
		close(fd);
	if (!err)
		return errbuf_set(eb, -EADDRINUSE, "%.200s: another process listens there", path);
	(void)unlink(path); /* bind tells when it is still there */
	return 0;
}

int ssd_sock_listen(const char *path, int *ret_fd, struct errbuf *eb)
{
	struct sockaddr_un sa;
	mode_t before;
	int fd, err;

	if (address_set(&sa, path))
		return errbuf_set(eb, -ENAMETOOLONG,
				  "%.200s: longer than the %zu characters a socket path may have",
				  path, sizeof(sa.sun_path) - 1);
	err = make_way(path, eb);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errbuf_set(eb, -errno, "socket: %s", strerror(errno));
	before = umask(0177);
	err = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ? -errno : 0;
	umask(before);
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	if (err) {
		close(fd);
		return errbuf_set(eb, err, "%.200s: %s", path, strerror(-err));
	}
	*ret_fd = fd;
	return 0;
}
