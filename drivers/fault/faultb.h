/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault device: stands on another one and lets its I/O go wrong by rules.
 *
 *   RULES = RULE[;RULE…]          the first rule that fires decides; none: the I/O passes untouched
 *   RULE  = PART[,PART…]          every PART at most once, at least one effect
 *
 *   which I/O
 *     op=read|write|flush|discard|zeroes|any   several joined by '+': op=read+write        (any)
 *     range=FROM-TO                 touches bytes FROM to TO (excluded); TO may be left out.
 *                                   Never a flush.
 *   how often; counted over the I/Os that match, on all channels of the device together
 *     after=N                       not the first N
 *     first=N                       only N of them (behind after), then never again
 *     every=N                       only each Nth
 *     p=0.1 | p=10%                 by chance, drawn after the counts
 *     seed=N                        of that chance: the same seed gives the same sequence  (0)
 *     for=1s                        only so long from the first one on that is counted; units as delay
 *   effect
 *     delay=5ms                     held back that long (ns, us, ms, s; 1 h at most), then as below
 *     error=EIO                     fails and does not reach the device (see faultb_error_names())
 *     path                          fails on its way: with EIO, or what error= says, unless it gets to
 *                                   the device in time (bdev_path_failed())
 *     drop                          never answered, until the rules are replaced: then fails with EIO
 *     torn=4K                       WRITE: only so many bytes, rounded down to blocks, are written;
 *                                   reported as a success, or with error= as that error.
 *                                   torn=0 loses the write. Sizes take K, M, G, T.
 * Example: op=write,range=1M-2M,p=0.1,seed=7,error=EIO;op=read,delay=5ms
 *
 * An I/O above the lower device's limits is cut before it comes here: rules see the pieces. A
 * channel is as deep as the lower device's, FAULTB_DEPTH at most. A dropped I/O keeps its place in
 * it: so many of them and the channel is stuck, as with a dead disk. While somebody waits for I/O to
 * end (bdev_drain_begin(): the device is closed, an export deleted) nothing is held back: delays are
 * over, a drop is an EIO.
 */
#ifndef DRIVERS_FAULT_FAULTB_H
#define DRIVERS_FAULT_FAULTB_H

#include "core/bdev.h"

#define FAULTB_DEPTH	 1024 /* I/Os under way, held back or dropped, per channel */
#define FAULTB_RULES_MAX 32

/* Are these rules well-formed? 0, or -EINVAL with the reason in @eb. Pure. */
int faultb_check(const char *rules, struct errbuf *eb);

/**
 * faultb_open - a fault device on @lower, with @rules ("" for none) to begin with.
 * Owns @lower from then on, and closes it; on error it stays the caller's. Set-up thread.
 * 0, -EINVAL, -ENOMEM with the reason in @eb.
 */
int faultb_open(const char *rules, struct bdev *lower, struct bdev **ret_bdev, struct errbuf *eb);

/**
 * faultb_set_rules - replace the rules from now on; counts start again, dropped I/O fails with
 * -EIO. Each channel changes over on its own reactor, shortly after. Control thread. 0; -EINVAL
 * (rules), -ENOTSUP (not a fault device), -ENOMEM with the reason in @eb: nothing changed.
 */
int faultb_set_rules(struct bdev *bdev, const char *rules, struct errbuf *eb);

/* "EIO, ENOSPC, …" for error lines and help. */
const char *faultb_error_names(void);

#endif
