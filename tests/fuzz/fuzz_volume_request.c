/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes what Docker and Podman send to the volume plugin: the first byte chooses the path, the rest is the body. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "tools/volume/vplug_api.h"

#define check(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static const char *const paths[] = {
	"/VolumeDriver.Create", "/VolumeDriver.Mount", "/VolumeDriver.Unmount", "/VolumeDriver.Remove",
	"/VolumeDriver.Path",	"/VolumeDriver.Get",   "/VolumeDriver.List",	"/Plugin.Activate",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct errbuf eb = { "" };
	struct vplug_request r;
	const char *path;

	if (!size)
		return 0;
	path = paths[data[0] % ARRAY_SIZE(paths)];
	if (vplug_request_parse(path, (const char *)data + 1, size - 1, &r, &eb)) {
		check(eb.text[0]);
		return 0;
	}
	/* what was taken is safe as a file's name, and the file system as a part of a program's */
	check(!r.name[0] || pool_name_check(r.name, NULL) == 0);
	check(!r.pool[0] || pool_name_check(r.pool, NULL) == 0);
	check(!r.bytes || pool_size_check(r.bytes, NULL) == 0);
	check(r.method == VPLUG_LIST || r.method == VPLUG_ACTIVATE || r.name[0]);
	for (const char *s = r.fstype; *s; s++)
		check(islower((unsigned char)*s) || isdigit((unsigned char)*s));
	return 0;
}
