/* SPDX-License-Identifier: BSD-3-Clause */
/* Other programs, run to their end. */
#ifndef TOOLS_NVRING_PROGRAM_H
#define TOOLS_NVRING_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Standard output of @argv into @buf, cut at @len; standard error is dropped. Its exit status, or
 * -1: it did not run. */
int program_output(char *const argv[], char *buf, size_t len);

/* Is @name in $PATH? */
bool program_is_there(const char *name);

#endif
