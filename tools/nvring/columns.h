/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of the locale as columns of a terminal: a character takes none, one or two of them. Pure. */
#ifndef TOOLS_NVRING_COLUMNS_H
#define TOOLS_NVRING_COLUMNS_H

#include <stddef.h>

/* Columns that the @len bytes at @s take. What is no character takes one a byte. */
size_t columns_of(const char *s, size_t len);

/* How many bytes of @s (of @len) fit into @max columns, whole characters only; what they take. */
size_t columns_fit(const char *s, size_t len, size_t max, size_t *ret_columns);

/* Everything that is no printable character becomes '?', in place: nothing steers the terminal. */
void columns_clean(char *s);

#endif
