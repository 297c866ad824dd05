/* SPDX-License-Identifier: BSD-3-Clause */
/* Formats the explanation of a failed call. */
#include "core/base/errbuf.h"

#include <stdarg.h>
#include <stdio.h>

void errbuf_write(struct errbuf *eb, const char *fmt, ...)
{
	va_list ap;

	if (!eb)
		return;
	va_start(ap, fmt);
	vsnprintf(eb->text, sizeof(eb->text), fmt, ap);
	va_end(ap);
}
