/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds and opens an IOMMU group; explains what stands in the way. */
#include "drivers/vfio/vfio_group_priv.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICES	      "/sys/bus/pci/devices"
#define LINK_NAME_MAX 64
#define PROCESSES_MAX 65536 /* looked at for who holds a group */

static const char bind_hint[] = "nvring setup bind";

int vfio_group_address_check(const char *bdf, struct errbuf *eb)
{
	static const char shape[] = "xxxx:xx:xx.x";

	for (unsigned i = 0; i < sizeof(shape); i++) {
		bool fits = shape[i] == 'x' ? isxdigit((unsigned char)bdf[i]) : bdf[i] == shape[i];

		if (!fits)
			return errbuf_set(eb, -EINVAL,
					  "'%.32s' is no PCI address: one looks like 0000:01:00.0",
					  bdf);
	}
	return 0;
}

/* The last part of what the link @link of the function points to. False: there is no such link. */
static bool link_name(const char *bdf, const char *link, char ret[LINK_NAME_MAX])
{
	char path[128], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%.12s/%s", bdf, link);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(ret, LINK_NAME_MAX, "%.*s", LINK_NAME_MAX - 1, slash ? slash + 1 : target);
	return true;
}

/* Drivers that do no DMA of their own behind our back; a function without any driver does none
 * either. */
static bool driver_is_harmless(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "pci-stub") == 0 ||
	       strcmp(driver, "pcieport") == 0;
}

int vfio_group_blocked(const char *bdf, struct errbuf *eb)
{
	char path[128], driver[LINK_NAME_MAX], group[LINK_NAME_MAX] = "?";
	struct dirent *entry;
	DIR *dir;

	(void)link_name(bdf, "iommu_group", group); /* "?" does as well */
	snprintf(path, sizeof(path), DEVICES "/%.12s/iommu_group/devices", bdf);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (vfio_group_address_check(entry->d_name, NULL) ||
		    strcmp(entry->d_name, bdf) == 0)
			continue;
		if (!link_name(entry->d_name, "driver", driver) || driver_is_harmless(driver))
			continue;
		errbuf_write(eb,
			     "%s: IOMMU group %s holds %s, too, which the driver %s uses: bind "
			     "that one to vfio-pci as well, or "
			     "put the device into another slot",
			     bdf, group, entry->d_name, driver);
		closedir(dir);
		return -EBUSY;
	}
	if (dir)
		closedir(dir);
	return errbuf_set(eb, -EBUSY,
			  "%s: another user than vfio-pci has taken a device of IOMMU group %s",
			  bdf, group);
}

/* Whether the process @pid has @path open. */
static bool process_holds(const char *pid, const char *path)
{
	char name[64], target[64];
	struct dirent *entry;
	bool holds = false;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%.16s/fd", pid);
	dir = opendir(name);
	while (dir && !holds && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		holds = n > 0 && (size_t)n == strlen(path) && memcmp(target, path, (size_t)n) == 0;
	}
	if (dir)
		closedir(dir);
	return holds;
}

/* "process 123 (qemu)", as far as we may look. */
static void holder_find(const char *path, char *ret, size_t len)
{
	char name[64], comm[32] = "";
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	FILE *f;

	snprintf(ret, len, "another process");
	for (unsigned i = 0; dir && i < PROCESSES_MAX && (entry = readdir(dir)); i++) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !process_holds(entry->d_name, path))
			continue;
		snprintf(name, sizeof(name), "/proc/%.16s/comm", entry->d_name);
		f = fopen(name, "re");
		if (f && fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		if (f)
			fclose(f);
		if (strtol(entry->d_name, NULL, 10) == getpid())
			snprintf(ret, len, "this process, for another function of the group,");
		else
			snprintf(ret, len, "process %.16s (%s)", entry->d_name, comm);
		break;
	}
	if (dir)
		closedir(dir);
}

static int open_explain(const char *bdf, const char *path, int err, struct errbuf *eb)
{
	char holder[96];

	switch (err) {
	case EBUSY:
		holder_find(path, holder, sizeof(holder));
		return errbuf_set(eb, -EBUSY, "%s: %s is held by %s: end that first", bdf, path,
				  holder);
	case EACCES:
	case EPERM:
		return errbuf_set(eb, -EPERM,
				  "%s: no permission to open %s: run as root, or give the file to "
				  "the user (a udev rule makes it last)",
				  bdf, path);
	case ENOENT:
		return errbuf_set(eb, -ENOTSUP,
				  "%s: there is no %s: is the module vfio_iommu_type1 loaded "
				  "(modprobe vfio-pci)?",
				  bdf, path);
	default:
		return errbuf_set(eb, -err, "%s: %s: %s", bdf, path, strerror(err));
	}
}

int vfio_group_open(const char *bdf, int *ret_fd, struct errbuf *eb)
{
	char path[128], driver[LINK_NAME_MAX], group[LINK_NAME_MAX];
	int err = vfio_group_address_check(bdf, eb), fd;

	if (err)
		return err;
	snprintf(path, sizeof(path), DEVICES "/%s", bdf);
	if (access(path, F_OK))
		return errbuf_set(eb, -ENODEV,
				  "%s: there is no such PCI function (lspci -D lists them)", bdf);
	if (!link_name(bdf, "iommu_group", group))
		return errbuf_set(eb, -ENOTSUP,
				  "%s: no IOMMU group: switch the IOMMU on in the firmware (VT-d, "
				  "AMD-Vi) and on the kernel's command "
				  "line (intel_iommu=on)",
				  bdf);
	if (!link_name(bdf, "driver", driver))
		return errbuf_set(eb, -ENOTSUP,
				  "%s: not bound to vfio-pci but to no driver at all: %s %s", bdf,
				  bind_hint, bdf);
	if (strcmp(driver, "vfio-pci"))
		return errbuf_set(eb, -ENOTSUP,
				  "%s: not bound to vfio-pci but to the driver %s: %s %s", bdf,
				  driver, bind_hint, bdf);
	snprintf(path, sizeof(path), "/dev/vfio/%s", group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_explain(bdf, path, errno, eb);
	*ret_fd = fd;
	return 0;
}
