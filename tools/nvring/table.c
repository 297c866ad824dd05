/* SPDX-License-Identifier: BSD-3-Clause */
/* A table is a list of texts, row by row; widths are known when it is printed. */
#include "tools/nvring/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvring/columns.h"

struct table {
	unsigned ncols;
	size_t ncells, room;
	char **cells;
	bool right[TABLE_COLUMNS_MAX];
};

static void add_cell(struct table *t, const char *text, size_t len)
{
	if (t->ncells == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **cells = realloc(t->cells, room * sizeof(*cells));

		if (!cells)
			return; /* a cell less: better than no table */
		t->cells = cells;
		t->room = room;
	}
	t->cells[t->ncells] = strndup(text, len);
	if (t->cells[t->ncells]) /* of the daemon or of a peer: who knows what is in it */
		columns_clean(t->cells[t->ncells++]);
}

struct table *table_create(const char *heads)
{
	struct table *t = calloc(1, sizeof(*t));

	while (t && heads && t->ncols < TABLE_COLUMNS_MAX) {
		const char *end = strchr(heads, '|');

		if (*heads == '>') {
			t->right[t->ncols] = true;
			heads++;
		}
		add_cell(t, heads, end ? (size_t)(end - heads) : strlen(heads));
		t->ncols++;
		heads = end ? end + 1 : NULL;
	}
	return t;
}

static void add_text(struct table *t, const char *text)
{
	if (!text || !*text)
		text = "-";
	add_cell(t, text, strlen(text));
}

void table_row(struct table *t, ...)
{
	va_list ap;

	if (!t)
		return;
	va_start(ap, t);
	for (unsigned i = 0; i < t->ncols; i++)
		add_text(t, va_arg(ap, const char *));
	va_end(ap);
}

void table_row_of(struct table *t, const char *const *texts)
{
	for (unsigned i = 0; t && i < t->ncols; i++)
		add_text(t, texts[i]);
}

static int cell_columns(const char *cell)
{
	return (int)columns_of(cell, strlen(cell));
}

void table_write(struct table *t, FILE *to)
{
	int width[TABLE_COLUMNS_MAX] = { 0 };

	if (!t)
		return;
	for (size_t i = 0; i < t->ncells; i++) {
		int n = cell_columns(t->cells[i]);

		if (n > width[i % t->ncols])
			width[i % t->ncols] = n;
	}
	for (size_t i = 0; i < t->ncells; i++) {
		unsigned col = (unsigned)(i % t->ncols);
		bool last = col + 1 == t->ncols;
		int pad = width[col] - cell_columns(t->cells[i]);

		if (t->right[col])
			fprintf(to, "%*s%s", pad, "", t->cells[i]);
		else
			fprintf(to, "%s%*s", t->cells[i], last ? 0 : pad, "");
		fputs(last ? "\n" : "  ", to);
		free(t->cells[i]);
	}
	free(t->cells);
	free(t);
}

void table_print(struct table *t)
{
	table_write(t, stdout);
}
