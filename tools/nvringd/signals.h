/* SPDX-License-Identifier: BSD-3-Clause */
/* SIGTERM, SIGINT and SIGHUP as events of the control reactor: the first asks to end, the second insists. */
#ifndef TOOLS_NVRINGD_SIGNALS_H
#define TOOLS_NVRINGD_SIGNALS_H

#include "core/base/errbuf.h"
#include "core/reactor.h"

/* Before any thread is started: they inherit the mask, so that only signals_open() hears. */
void signals_block(void);

/* Every signal calls @fn(arg, signo) on the control thread. One at a time in a process. 0 or -errno with eb. */
int signals_open(struct reactor *control, void (*fn)(void *arg, int signo), void *arg,
		 struct errbuf *eb);
void signals_close(void);

#endif
