/* SPDX-License-Identifier: BSD-3-Clause */
/* What a person writes for a disk, a plain path or a URI, as the URI that the catalogue of drivers opens. */
#ifndef TOOLS_SHARED_DISKURI_H
#define TOOLS_SHARED_DISKURI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does @text begin with a scheme of the catalogue? */
bool diskuri_is_uri(const char *text);

/* "file:" and @path, with what a URI reserves percent-encoded. 0 or -ENAMETOOLONG. Pure. */
int diskuri_from_path(const char *path, char *buf, size_t len);

/* A URI as it is, else as a path. 0 or -ENAMETOOLONG. Pure. */
int diskuri_from_text(const char *text, char *buf, size_t len);

/* The same disk from any folder: the path of a file: URI made absolute. As it was, cut, where it gets too long. */
void diskuri_absolute(const char *uri, char *buf, size_t len);

/**
 * diskuri_nvme - the controller's address ("0000:01:00.0", "vfio-user:SOCKET") and the namespace of a disk on NVMe,
 * also below fault: disks. In the driver's own spelling, so that an address written in another way is the same one.
 * 0, -ENOTSUP (another kind of disk), -ENAMETOOLONG. Pure.
 */
int diskuri_nvme(const char *uri, char *ret_address, size_t len, uint32_t *ret_nsid);

#endif
