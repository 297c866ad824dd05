/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes CPU lists. */
#include "core/base/cpulist.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Digits at *s; moves on. -1 when there are none or the number is no CPU. */
static long take_cpu(const char **s)
{
	char *end;
	long v;

	if (!isdigit((unsigned char)**s))
		return -1;
	v = strtol(*s, &end, 10);
	*s = end;
	return v < CPU_SETSIZE ? v : -1;
}

int cpulist_parse(const char *text, cpu_set_t *ret_set, struct errbuf *eb)
{
	const char *s = text;
	cpu_set_t set;

	CPU_ZERO(&set);
	for (;;) {
		long first = take_cpu(&s), last = first;

		if (first >= 0 && *s == '-') {
			s++;
			last = take_cpu(&s);
		}
		if (first < 0 || last < first || (*s && *s != ','))
			return errbuf_set(eb, -EINVAL,
					  "\"%.100s\" is no list of CPUs such as 0-3,8", text);
		for (long cpu = first; cpu <= last; cpu++)
			CPU_SET((size_t)cpu, &set);
		if (!*s)
			break;
		s++;
	}
	*ret_set = set;
	return 0;
}

const char *cpulist_format(const cpu_set_t *set, char *buf, size_t len)
{
	size_t n = 0;

	buf[0] = '\0';
	for (size_t cpu = 0; cpu < CPU_SETSIZE && n < len; cpu++) {
		size_t last = cpu;

		if (!CPU_ISSET(cpu, set))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
			last++;
		n += (size_t)snprintf(buf + n, len - n, last > cpu ? "%s%zu-%zu" : "%s%zu",
				      n ? "," : "", cpu, last);
		cpu = last;
	}
	return buf;
}
