/* SPDX-License-Identifier: BSD-3-Clause */
/* sysfs and procfs, a value at a time. */
#include "drivers/pcie/pcie_sysfs_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "drivers/pcie/pcie.h"

static void path_of(const struct pcie_sys *sys, char *buf, const char *fmt, va_list ap)
	cc_printf(3, 0);

static void path_of(const struct pcie_sys *sys, char *buf, const char *fmt, va_list ap)
{
	size_t n = 0;

	if (sys->root) {
		n = strnlen(sys->root, PCIE_PATH_MAX - 1);
		memcpy(buf, sys->root, n);
	}
	(void)vsnprintf(buf + n, PCIE_PATH_MAX - n, fmt, ap);
}

#define PATH_OF(sys, buf, fmt)                   \
	do {                                     \
		va_list ap_;                     \
		va_start(ap_, fmt);              \
		path_of((sys), (buf), fmt, ap_); \
		va_end(ap_);                     \
	} while (0)

const char *pcie_sysfs_path(const struct pcie_sys *sys, char *buf, const char *fmt, ...)
{
	PATH_OF(sys, buf, fmt);
	return buf;
}

int pcie_sysfs_text(const struct pcie_sys *sys, char *buf, size_t len, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX];
	ssize_t n;
	int fd, err = 0;

	PATH_OF(sys, path, fmt);
	buf[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, len - 1);
	if (n < 0)
		err = -errno;
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	close(fd);
	return err;
}

int pcie_sysfs_link(const struct pcie_sys *sys, char *buf, size_t len, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX], to[PCIE_PATH_MAX];
	const char *name;
	ssize_t n;

	PATH_OF(sys, path, fmt);
	buf[0] = '\0';
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	name = strrchr(to, '/');
	name = name ? name + 1 : to;
	if (strlen(name) >= len)
		return -ENAMETOOLONG;
	memcpy(buf, name, strlen(name) + 1);
	return 0;
}

bool pcie_sysfs_has(const struct pcie_sys *sys, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX];

	PATH_OF(sys, path, fmt);
	return access(path, F_OK) == 0;
}

DIR *pcie_sysfs_dir(const struct pcie_sys *sys, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX];

	PATH_OF(sys, path, fmt);
	return opendir(path);
}

FILE *pcie_sysfs_file(const struct pcie_sys *sys, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX];

	PATH_OF(sys, path, fmt);
	return fopen(path, "re");
}

const char *pcie_sysfs_next(DIR *dir)
{
	struct dirent *e;

	while ((e = readdir(dir))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return e->d_name;
	}
	return NULL;
}

int pcie_sysfs_write(const struct pcie_sys *sys, const char *text, const char *fmt, ...)
{
	char path[PCIE_PATH_MAX];
	int fd, err = 0;

	PATH_OF(sys, path, fmt);
	if (sys->write)
		return sys->write(sys->arg, path, text);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}
