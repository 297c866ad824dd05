/* SPDX-License-Identifier: BSD-3-Clause */
/* The null device: every I/O succeeds at once and moves nothing; for measuring the path above it.
 */
#ifndef DRIVERS_NULL_NULLB_H
#define DRIVERS_NULL_NULLB_H

#include "core/bdev.h"

/**
 * nullb_open - SIZE[?block=512…65536&depth=1…4096&zero=0|1]
 * A READ leaves the buffer as it is, which is what measures the path and nothing else; with zero=1
 * it gives zeroes, for whoever shows the disk to a program that must not see what its buffers held
 * before. 0, or -EINVAL, -ENOMEM with the reason in @eb. Set-up thread. bdev_close() frees it.
 */
int nullb_open(const char *text, struct bdev **ret_bdev, struct errbuf *eb);

#endif
