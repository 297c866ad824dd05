/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes as text for JSON: base64url of RFC 4648, section 5, as SPDK's bdev_nvme_send_cmd has them. */
#ifndef TOOLS_SHARED_B64_H
#define TOOLS_SHARED_B64_H

#include <stddef.h>

/* With the final zero. */
#define B64_CHARS(bytes) (((bytes) + 2) / 3 * 4 + 1)

/* @buf: B64_CHARS(@len). */
void b64_encode(const void *data, size_t len, char *buf);

/**
 * b64_decode - at most @room bytes of @text (@len characters) into @buf. Padding may be missing; '+' and '/' of the
 * common alphabet pass as well. 0 with *ret_len; -EINVAL (not base64), -ENOSPC (more than @room). Pure.
 */
int b64_decode(const char *text, size_t len, void *buf, size_t room, size_t *ret_len);

#endif
