/* SPDX-License-Identifier: BSD-3-Clause */
/* "PATH,ro,size=1G": the parts of a command-line value between single commas. */
#ifndef TOOLS_SHARED_COMMALIST_H
#define TOOLS_SHARED_COMMALIST_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the text up to the next single comma out of *s into @buf, cut to @len bytes with the NUL; a comma written twice
 * is one of the text. *s is NULL behind the last part. False at the end. Pure. */
bool commalist_next(const char **s, char *buf, size_t len);

#endif
