/* SPDX-License-Identifier: BSD-3-Clause */
/* One of two texts on the whole terminal, replaced now and then; keys scroll it, and show the other one. */
#ifndef TOOLS_NVRING_TOP_SCREEN_H
#define TOOLS_NVRING_TOP_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define TOP_SCREEN_PAGES 2

/**
 * top_screen_open - takes the terminal (standard input and output), once at a time, and shows @page until a key says
 * otherwise. The locale is set. SIGINT, SIGTERM and SIGHUP end the view. 0 or -ENOTTY with eb.
 */
int top_screen_open(unsigned page, struct errbuf *eb);

/* Gives it back as it was. A signal that has ended the view is raised again, and ends the program as if nobody had caught it. */
void top_screen_close(void);

/* Shows one of @pages from now on, lines ended by newlines; NULL, all of them or one: out of memory. Copied. */
void top_screen_set(const char *const pages[TOP_SCREEN_PAGES]);

/* Draws, and heeds keys until the time @until_ns. False: the user, a signal or the terminal's end wants the view to end. */
bool top_screen_wait(uint64_t until_ns);

/* Between both, a signal that ends the view interrupts what waits; else it is heeded in top_screen_wait() only. */
void top_screen_let_signals(bool on);

#endif
