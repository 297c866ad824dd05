/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes as people like to read them: "1.5 GiB" (the way back is uri_size_parse()), and counts as they like to write them. */
#ifndef TOOLS_SHARED_SIZE_H
#define TOOLS_SHARED_SIZE_H

#include <stdint.h>

#define SIZE_TEXT_MAX 24

/* Powers of 1024, at most one decimal: "512 B", "1.5 GiB". Returns @buf. Pure. */
const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX]);

/* A count: digits, then k, M, G (powers of 1000: it is no size) or nothing. 0, or -EINVAL, also above INT64_MAX. Pure. */
int size_count_parse(const char *text, uint64_t *ret);

#endif
