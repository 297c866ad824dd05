/* SPDX-License-Identifier: BSD-3-Clause */
/* CPU lists as the kernel writes them: "0-3,8". */
#ifndef CORE_BASE_CPULIST_H
#define CORE_BASE_CPULIST_H

#include <sched.h>
#include <stddef.h>

#include "core/base/errbuf.h"

/* 0, or -EINVAL with eb: syntax, or a CPU beyond CPU_SETSIZE. Pure. */
int cpulist_parse(const char *text, cpu_set_t *ret_set, struct errbuf *eb);

/* The inverse; cut at @len. Returns @buf. */
const char *cpulist_format(const cpu_set_t *set, char *buf, size_t len);

#endif
