/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes as people like to read them: "1.5 GiB". (The way back is uri_size_parse().) */
#ifndef TOOLS_SHARED_SIZE_H
#define TOOLS_SHARED_SIZE_H

#include <stdint.h>

#define SIZE_TEXT_MAX 24

/* Powers of 1024, at most one decimal: "512 B", "1.5 GiB". Returns @buf. Pure. */
const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX]);

#endif
