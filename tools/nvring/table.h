/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned columns. */
#ifndef TOOLS_NVRING_TABLE_H
#define TOOLS_NVRING_TABLE_H

#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table;

/* @heads: titles separated by '|'; one that begins with '>' is aligned to the right. NULL: out of memory. */
struct table *table_create(const char *heads);

/* As many texts as there are columns; NULL shows as "-". Copied. */
void table_row(struct table *t, ...);

/* The same, from an array. */
void table_row_of(struct table *t, const char *const *texts);

/* Everything, columns two spaces apart, then frees the table; table_print: on standard output. */
void table_write(struct table *t, FILE *to);
void table_print(struct table *t);

#endif
