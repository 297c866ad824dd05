/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to /dev/ublk-control, one by one; they block, so never on a data reactor. Tests bring a kernel of their own. */
#ifndef VDPA_UBLK_CTL_H
#define VDPA_UBLK_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "vdpa/ublk_spec.h"

struct ublk_ctl;

/* 0, or -errno with eb: no such module, no permission. */
int ublk_ctl_open(struct ublk_ctl **ret, struct errbuf *eb);
/* NULL is fine. */
void ublk_ctl_close(struct ublk_ctl *ctl);

/* Command @op with @cmd. 0 or the kernel's -errno; -ETIMEDOUT: no answer within @limit_ms (0: any time). */
int ublk_ctl_call(struct ublk_ctl *ctl, uint32_t op, const struct ublk_ctl_cmd *cmd, unsigned limit_ms);

/* /dev/ublkc@id, the server's end. The fd or -errno. */
int ublk_ctl_open_server(unsigned id);

/* What the page cache holds of /dev/ublkb@id becomes I/O. 0 or -errno. */
int ublk_ctl_sync(unsigned id);

/* The kernel no longer sorts I/O of /dev/ublkb@id before it comes to us. 0 or -errno. */
int ublk_ctl_no_scheduler(unsigned id);

/* Is /dev/ublkb@id mounted, or held in another way? */
bool ublk_ctl_is_claimed(unsigned id);

#endif
