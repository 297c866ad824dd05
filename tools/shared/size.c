/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes with binary suffixes, counts with decimal ones. */
#include "tools/shared/size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

int size_count_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "kMG";
	const char *s = text, *unit;
	uint64_t v = 0, times = 1;

	for (; *s >= '0' && *s <= '9'; s++) {
		unsigned digit = (unsigned)(*s - '0');

		if (v > ((uint64_t)INT64_MAX - digit) / 10)
			return -EINVAL;
		v = v * 10 + digit;
	}
	if (s == text)
		return -EINVAL;
	if (*s) {
		unit = strchr(units, *s);
		if (!unit || s[1])
			return -EINVAL;
		for (const char *u = units; u <= unit; u++)
			times *= 1000;
	}
	if (v > (uint64_t)INT64_MAX / times)
		return -EINVAL;
	*ret = v * times;
	return 0;
}
