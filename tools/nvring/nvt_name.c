/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of controllers. */
#include "tools/nvring/nvt_name.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define USER_SCHEME "vfio-user:"

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* "…/7" -> 7, cut off; else 0. */
static uint32_t cut_nsid(char *text)
{
	char *slash = strrchr(text, '/'), *end;
	unsigned long nsid;

	if (!slash || slash[1] < '1' || slash[1] > '9')
		return 0;
	nsid = strtoul(slash + 1, &end, 10);
	if (*end || nsid >= NVME_NSID_ALL)
		return 0;
	*slash = '\0';
	return (uint32_t)nsid;
}

static int socket_name(const char *path, struct nvt_name *ret)
{
	char text[PATH_MAX], full[PATH_MAX];

	if ((size_t)snprintf(text, sizeof(text), "%s", path) >= sizeof(text))
		return -ENAMETOOLONG;
	if (!is_socket(text))
		ret->nsid = cut_nsid(text);
	if (!realpath(text, full))
		snprintf(full, sizeof(full), "%s", text);
	ret->kind = NVT_NAME_ADDRESS;
	if ((size_t)snprintf(ret->address, sizeof(ret->address), USER_SCHEME "%s", full) >=
	    sizeof(ret->address))
		return -ENAMETOOLONG;
	return 0;
}

/* "0000:01:00.0" or "01:00.0", with or without "/NSID". */
static bool pci_name(const char *text, struct nvt_name *ret)
{
	unsigned domain = 0, bus, dev, fn;
	char copy[64];
	int n = 0;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy))
		return false;
	ret->nsid = cut_nsid(copy);
	if ((sscanf(copy, "%4x:%2x:%2x.%1u%n", &domain, &bus, &dev, &fn, &n) != 4 || copy[n]) &&
	    (domain = 0, sscanf(copy, "%2x:%2x.%1u%n", &bus, &dev, &fn, &n) != 3 || copy[n]))
		return false;
	ret->kind = NVT_NAME_ADDRESS;
	snprintf(ret->address, sizeof(ret->address), "%04x:%02x:%02x.%u", domain, bus, dev, fn);
	return true;
}

static bool number_name(const char *text, struct nvt_name *ret)
{
	int n = 0, m = 0;

	if (strncmp(text, "/dev/", 5) == 0)
		text += 5;
	if (sscanf(text, "nvme%4u%n", &ret->number, &n) != 1)
		return false;
	if (text[n] && (sscanf(text + n, "n%9u%n", &ret->nsid, &m) != 1 || text[n + m]))
		return false;
	ret->kind = NVT_NAME_NUMBER;
	return true;
}

int nvt_name_parse(const char *text, struct nvt_name *ret)
{
	*ret = (struct nvt_name){ .kind = NVT_NAME_DISK };
	if (strncmp(text, "nvme+" USER_SCHEME, 5 + strlen(USER_SCHEME)) == 0)
		text += 5;
	else if (strncmp(text, "nvme:", 5) == 0)
		text += 5;
	if (strncmp(text, USER_SCHEME, strlen(USER_SCHEME)) == 0)
		return socket_name(text + strlen(USER_SCHEME), ret);
	if (pci_name(text, ret) || number_name(text, ret))
		return 0;
	*ret = (struct nvt_name){ .kind = NVT_NAME_DISK };
	return strchr(text, '/') ? socket_name(text, ret) : 0;
}
