/* SPDX-License-Identifier: BSD-3-Clause */
/* Aligned columns on standard output. */
#ifndef TOOLS_NVRING_TABLE_H
#define TOOLS_NVRING_TABLE_H

#define TABLE_COLUMNS_MAX 16

struct table;

/* @heads: titles separated by '|'; one that begins with '>' is aligned to the right. NULL: out of memory. */
struct table *table_create(const char *heads);

/* As many texts as there are columns; NULL shows as "-". Copied. */
void table_row(struct table *t, ...);

/* Everything, columns two spaces apart, then frees the table. */
void table_print(struct table *t);

#endif
