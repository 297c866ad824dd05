/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of an option, between commas. */
#include "tools/shared/commalist.h"

bool commalist_next(const char **s, char *buf, size_t len)
{
	size_t n = 0;

	if (!*s)
		return false;
	for (; **s; (*s)++) {
		if (**s == ',' && (*s)[1] != ',')
			break;
		if (**s == ',')
			(*s)++;
		if (n + 1 < len)
			buf[n++] = **s;
	}
	buf[n] = '\0';
	*s = **s ? *s + 1 : NULL;
	return true;
}
