/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes with binary suffixes. */
#include "tools/shared/size.h"

#include <stdio.h>

const char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	if (u == 0 || v == (double)(uint64_t)v)
		snprintf(buf, SIZE_TEXT_MAX, "%.0f %s", v, units[u]);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%.1f %s", v, units[u]);
	return buf;
}
