/* SPDX-License-Identifier: BSD-3-Clause */
/* Names, file descriptors and the connection to `nvring exec`. System calls only: nothing here is interposed. */
#include "tools/shim/shim_dev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define DEV_PREFIX   "/dev/nvme"
#define MEMFD_NAME   "nvring-nvme"
#define MEMFD_PREFIX "/memfd:" MEMFD_NAME
/* Majors that Linux gives to the real ones, more or less: nvme, and block devices with extended numbers. */
#define CTRLR_MAJOR 240
#define NS_MAJOR    259

/* "0", "12n3" and an @end of "" or " (deleted)". */
static bool parse_numbers(const char *text, const char *end, struct shim_dev *ret)
{
	char *rest;
	unsigned long ctrlr, ns = 0;

	if (*text < '0' || *text > '9')
		return false;
	ctrlr = strtoul(text, &rest, 10);
	if (*rest == 'n') {
		if (rest[1] < '1' || rest[1] > '9')
			return false;
		ns = strtoul(rest + 1, &rest, 10);
	}
	if (strcmp(rest, end) != 0 || ctrlr > UINT16_MAX || ns >= UINT32_MAX)
		return false;
	*ret = (struct shim_dev){ .ctrlr = (uint32_t)ctrlr, .ns = (uint32_t)ns };
	return true;
}

bool shim_dev_of_fd(int fd, struct shim_dev *ret)
{
	char link[64], name[128];
	ssize_t n;
	int saved = errno;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof(name) - 1);
	errno = saved;
	if (n < 0)
		return false;
	name[n] = '\0';
	if (strncmp(name, MEMFD_PREFIX, strlen(MEMFD_PREFIX)) != 0)
		return false;
	return parse_numbers(name + strlen(MEMFD_PREFIX), " (deleted)", ret);
}

bool shim_dev_of_path(const char *path, struct shim_dev *ret)
{
	if (!path || !getenv(SHIM_ENV))
		return false;
	if (strncmp(path, DEV_PREFIX, strlen(DEV_PREFIX)) == 0)
		return parse_numbers(path + strlen(DEV_PREFIX), "", ret);
	return false;
}

int shim_dev_open(const struct shim_dev *dev, bool cloexec)
{
	struct shim_answer look;
	char name[64], ns[16] = "";
	int fd, writable, err = shim_dev_look(dev, &look);

	if (err) {
		errno = -err;
		return -1;
	}
	if (dev->ns)
		snprintf(ns, sizeof(ns), "n%u", dev->ns);
	snprintf(name, sizeof(name), MEMFD_NAME "%u%s", dev->ctrlr, ns);
	writable = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (writable < 0)
		return -1;
	/* The size is for lseek(); without it nothing worse happens than a size of 0. */
	(void)!ftruncate(writable, look.bytes <= INT64_MAX ? (off_t)look.bytes : 0);
	(void)fcntl(writable, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	/* Opened anew for writing alone: read() fails instead of telling of zeroes, write() meets the seal. */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", writable);
	fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | (cloexec ? O_CLOEXEC : 0));
	close(writable);
	return fd;
}

dev_t shim_dev_number(const struct shim_dev *dev)
{
	return dev->ns ? makedev(NS_MAJOR, dev->ctrlr << 10 | (dev->ns & 0x3ff)) :
			 makedev(CTRLR_MAJOR, dev->ctrlr);
}

/*
 * The connection
 */

static int connect_to_nvring(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const char *folder = getenv(SHIM_ENV);
	int fd, err;

	if (!folder || snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket", folder) >=
			       (int)sizeof(sa.sun_path))
		return -ENODEV;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	err = errno == ENOENT || errno == ECONNREFUSED ? -ENODEV : -errno;
	close(fd);
	return err;
}

static int send_all(int fd, const void *data, size_t len)
{
	for (const char *at = data; len;) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int recv_all(int fd, void *data, size_t len)
{
	for (char *at = data; len;) {
		ssize_t n = recv(fd, at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int shim_dev_ask(const struct shim_dev *dev, struct shim_request *req, void *data,
		 struct shim_answer *ret)
{
	int fd, err;

	req->magic = SHIM_MAGIC;
	req->ctrlr = dev->ctrlr;
	req->ns = dev->ns;
	if (req->data_bytes > SHIM_DATA_BYTES_MAX)
		return -EINVAL;
	fd = connect_to_nvring();
	if (fd < 0)
		return fd;
	err = send_all(fd, req, sizeof(*req));
	if (!err && req->op == SHIM_ADMIN && req->opc & 1)
		err = send_all(fd, data, req->data_bytes);
	if (!err)
		err = recv_all(fd, ret, sizeof(*ret));
	if (!err && ret->data_bytes > req->data_bytes)
		err = -EIO;
	if (!err)
		err = recv_all(fd, data, ret->data_bytes);
	close(fd);
	return err;
}

int shim_dev_look(const struct shim_dev *dev, struct shim_answer *ret)
{
	struct shim_request req = { .op = SHIM_LOOK };
	int saved = errno, err = shim_dev_ask(dev, &req, NULL, ret);

	errno = saved;
	return err ? err : ret->err;
}

const char *shim_path(const char *path, char *buf, size_t len)
{
	static const char *const ours[] = { "/sys/class/nvme", "/sys/block/nvme" };
	const char *folder = getenv(SHIM_ENV);

	for (unsigned i = 0; path && folder && i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strncmp(path, ours[i], strlen(ours[i])) != 0)
			continue;
		if ((size_t)snprintf(buf, len, "%s%s", folder, path) < len)
			return buf;
	}
	return path;
}
