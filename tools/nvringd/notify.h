/* SPDX-License-Identifier: BSD-3-Clause */
/* What a service manager wants to hear (sd_notify(3)); silence without one. */
#ifndef TOOLS_NVRINGD_NOTIFY_H
#define TOOLS_NVRINGD_NOTIFY_H

/* Lines such as "READY=1\nSTATUS=serving 3 disks". Control thread; never blocks, never fails loudly. */
void notify_send(const char *lines);

#endif
