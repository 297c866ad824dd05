/* SPDX-License-Identifier: BSD-3-Clause */
/* The RAM disk: memory of this process, gone with it. */
#ifndef DRIVERS_RAM_RAMB_H
#define DRIVERS_RAM_RAMB_H

#include "core/bdev.h"

/**
 * ramb_open - SIZE[?block=512…65536&depth=1…4096]
 * The memory is a memfd, touched page by page as it is written; discarded pages go back to the
 * system. Reads what was never written, or was discarded, as zeroes. 0, or -EINVAL, -ENOMEM,
 * -EMFILE with the reason in @eb. Set-up thread. bdev_close() frees it.
 */
int ramb_open(const char *text, struct bdev **ret_bdev, struct errbuf *eb);

#endif
