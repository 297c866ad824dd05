/* SPDX-License-Identifier: BSD-3-Clause */
/* Characters by the locale's encoding, and their width. */
#include "tools/nvring/columns.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* The character at @s, @len > 0: its bytes, and its columns. False: it is none that can be printed, and a byte. */
static bool char_at(const char *s, size_t len, size_t *ret_bytes, size_t *ret_columns)
{
	mbstate_t state = { 0 };
	wchar_t wc;
	size_t n = mbrtowc(&wc, s, len, &state);
	int width;

	*ret_bytes = *ret_columns = 1;
	if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
		return false;
	*ret_bytes = n;
	width = wcwidth(wc);
	if (width >= 0)
		*ret_columns = (size_t)width;
	return width >= 0 && iswprint((wint_t)wc);
}

size_t columns_fit(const char *s, size_t len, size_t max, size_t *ret_columns)
{
	size_t at = 0, columns = 0, bytes, wide;

	for (; at < len; at += bytes) {
		(void)char_at(s + at, len - at, &bytes, &wide);
		if (columns + wide > max)
			break;
		columns += wide;
	}
	*ret_columns = columns;
	return at;
}

size_t columns_of(const char *s, size_t len)
{
	size_t columns;

	(void)columns_fit(s, len, (size_t)-1, &columns);
	return columns;
}

void columns_clean(char *s)
{
	size_t len = strlen(s), bytes, wide, to = 0;

	for (size_t at = 0; at < len; at += bytes) {
		bool is_fine = char_at(s + at, len - at, &bytes, &wide);

		if (is_fine) {
			memmove(s + to, s + at, bytes);
			to += bytes;
		} else {
			s[to++] = '?';
		}
	}
	s[to] = '\0';
}
