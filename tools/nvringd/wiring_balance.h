/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The balancer: once a second it looks at what the data threads did, and moves a queue from one
 * that has too much to do to one that has time (core/rebalance.h decides). Control thread; no data
 * thread is woken or asked for it, and nobody is looked at while there is nothing to spread.
 */
#ifndef TOOLS_NVRINGD_WIRING_BALANCE_H
#define TOOLS_NVRINGD_WIRING_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

struct wiring;
struct wiring_balance;

/* The data reactors are there. 0 or -ENOMEM with eb. */
int wiring_balance_create(struct wiring *w, struct errbuf *eb);
/* No export is left. NULL is fine. */
void wiring_balance_destroy(struct wiring_balance *b);

/* It, or what it depends on, has changed: w->conf.rebalance, the exports, the end. NULL is fine. */
void wiring_balance_update(struct wiring_balance *b);

/* Queues it has moved. */
uint64_t wiring_balance_moves(const struct wiring_balance *b);

#endif
