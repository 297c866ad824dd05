/* SPDX-License-Identifier: BSD-3-Clause */
/* Another program, with a limit on its time. */
#ifndef TOOLS_VOLUME_VPLUG_RUN_H
#define TOOLS_VOLUME_VPLUG_RUN_H

#include <stddef.h>

#include "core/base/errbuf.h"

#define VPLUG_RUN_TIMEOUT_S 300 /* mkfs on a slow disk */

/* Runs @argv; @out (may be NULL) gets the first line it prints. 0, or -errno with the last line it complains with in eb. */
int vplug_run(char *const argv[], char *out, size_t len, struct errbuf *eb);

#endif
