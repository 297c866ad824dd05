/* SPDX-License-Identifier: BSD-3-Clause */
/* Disk URIs from plain paths. */
#include "tools/shared/diskuri.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"

bool diskuri_is_uri(const char *text)
{
	static const char *const schemes[] = { "file:", "ram:", "null:", "fault:", "nvme:", "nvme+vfio-user:" };

	for (unsigned i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
			return true;
	}
	return false;
}

int diskuri_from_path(const char *path, char *buf, size_t len)
{
	size_t n = (size_t)snprintf(buf, len, "file:");

	for (; *path && n < len; path++) {
		/* '?' begins the options, '%' an encoding. */
		if (*path == '?' || *path == '%')
			n += (size_t)snprintf(buf + n, len - n, "%%%02X", (unsigned)*path);
		else
			n += (size_t)snprintf(buf + n, len - n, "%c", *path);
	}
	return n < len ? 0 : -ENAMETOOLONG;
}

int diskuri_from_text(const char *text, char *buf, size_t len)
{
	if (!diskuri_is_uri(text))
		return diskuri_from_path(text, buf, len);
	return (size_t)snprintf(buf, len, "%s", text) < len ? 0 : -ENAMETOOLONG;
}

int diskuri_nvme(const char *uri, char *ret_address, size_t len, uint32_t *ret_nsid)
{
	const char *at = uri, *end, *slash;
	unsigned long nsid;

	if (strncmp(uri, "fault:", 6) == 0 && strchr(uri, '@'))
		at = strchr(uri, '@') + 1;
	if (strncmp(at, "nvme+vfio-user:", 15) == 0 || strncmp(at, "nvme:", 5) == 0)
		at += 5;
	else
		return -ENOTSUP;
	end = at + strcspn(at, "?");
	slash = memrchr(at, '/', (size_t)(end - at));
	nsid = slash ? strtoul(slash + 1, NULL, 10) : 0;
	if (nsid == 0 || nsid > UINT32_MAX)
		return -ENOTSUP;
	if ((size_t)(slash - at) >= len)
		return -ENAMETOOLONG;
	memcpy(ret_address, at, (size_t)(slash - at));
	ret_address[slash - at] = '\0';
	*ret_nsid = (uint32_t)nsid;
	return 0;
}
