/* SPDX-License-Identifier: BSD-3-Clause */
/* Disk URIs from plain paths. */
#include "tools/shared/diskuri.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/errbuf.h"
#include "drivers/pcie/pcie.h"
#include "drivers/uri.h"

#define NVME_PATH_MAX 512 /* more than any address and namespace have, each character encoded */

bool diskuri_is_uri(const char *text)
{
	static const char *const schemes[] = { "file:", "ram:", "null:", "fault:", "nvme:", "nvme+vfio-user:",
						"virtio-user:" };

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

/* Behind every "fault:RULES@", as the catalogue takes them off. */
static const char *lowest_uri(const char *uri)
{
	while (strncmp(uri, "fault:", 6) == 0 && strchr(uri, '@'))
		uri = strchr(uri, '@') + 1;
	return uri;
}

/* "PATH/NSID" without its options and decoded, cut at the last slash. 0 or -ENOTSUP. */
static int split_nsid(const char *text, char *path, size_t len, uint32_t *ret_nsid)
{
	char plain[NVME_PATH_MAX];
	unsigned long nsid;
	struct errbuf eb;
	char *slash, *end;

	if ((size_t)snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(text, "?"), text) >= sizeof(plain) ||
	    uri_parse(plain, path, len, NULL, 0, &eb))
		return -ENOTSUP;
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOTSUP;
	nsid = strtoul(slash + 1, &end, 10);
	if (*end || nsid == 0 || nsid > UINT32_MAX)
		return -ENOTSUP;
	*slash = '\0';
	*ret_nsid = (uint32_t)nsid;
	return 0;
}

int diskuri_nvme(const char *uri, char *ret_address, size_t len, uint32_t *ret_nsid)
{
	static const char pci[] = "nvme:", user[] = "nvme+vfio-user:";
	const char *at = lowest_uri(uri);
	bool is_user = strncmp(at, user, strlen(user)) == 0;
	char path[NVME_PATH_MAX], bdf[PCIE_BDF_MAX];
	int err;

	if (!is_user && strncmp(at, pci, strlen(pci)) != 0)
		return -ENOTSUP;
	err = split_nsid(at + strlen(is_user ? user : pci), path, sizeof(path), ret_nsid);
	if (err || (!is_user && pcie_bdf_parse(path, bdf)))
		return -ENOTSUP;
	return (size_t)snprintf(ret_address, len, "%s%s", is_user ? "vfio-user:" : "", is_user ? path : bdf) < len ?
		       0 :
		       -ENAMETOOLONG;
}

/* How long the scheme is behind which @uri has a path of a file or socket; 0 if it has none. */
static size_t path_scheme(const char *uri)
{
	static const char *const schemes[] = { "file:", "virtio-user:", "nvme+vfio-user:" };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncmp(uri, schemes[i], strlen(schemes[i])) == 0)
			return strlen(schemes[i]);
	}
	return 0;
}

/* @path as it is from anywhere, links followed; what is not there only gets the folder in front. */
static void resolve(const char *path, char ret[PATH_MAX])
{
	char cwd[PATH_MAX];

	if (realpath(path, ret))
		return;
	if (path[0] == '/' || !getcwd(cwd, sizeof(cwd)) ||
	    snprintf(ret, PATH_MAX, "%s/%s", cwd[1] ? cwd : "", path) >= PATH_MAX)
		snprintf(ret, PATH_MAX, "%s", path);
}

void diskuri_absolute(const char *uri, char *buf, size_t len)
{
	const char *at = lowest_uri(uri);
	size_t scheme = path_scheme(at), n = strcspn(at + scheme, "?");
	char coded[PATH_MAX], path[PATH_MAX], whole[PATH_MAX], named[PATH_MAX * 3];
	struct errbuf eb;

	if (scheme && (size_t)snprintf(coded, sizeof(coded), "%.*s", (int)n, at + scheme) < sizeof(coded) &&
	    !uri_parse(coded, path, sizeof(path), NULL, 0, &eb)) {
		resolve(path, whole);
		if (!diskuri_from_path(whole, named, sizeof(named)) &&
		    (size_t)snprintf(buf, len, "%.*s%s%s", (int)((size_t)(at - uri) + scheme), uri,
				     named + strlen("file:"), at + scheme + n) < len)
			return;
	}
	snprintf(buf, len, "%s", uri);
}
