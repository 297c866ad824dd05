/* SPDX-License-Identifier: BSD-3-Clause */
/* Whoever kills this process, the rings of its ublk devices go last. */
#ifndef VDPA_UBLK_KEEPER_H
#define VDPA_UBLK_KEEPER_H

/* From now on until this process has ended. Again: nothing. Any thread. 0 or -errno. */
int ublk_keeper_start(void);

#endif
