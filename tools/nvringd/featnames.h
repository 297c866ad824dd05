/* SPDX-License-Identifier: BSD-3-Clause */
/* Feature bits in the words of their specifications. */
#ifndef TOOLS_NVRINGD_FEATNAMES_H
#define TOOLS_NVRINGD_FEATNAMES_H

/* Name of bit @bit of a virtio-blk device's features / of the vhost-user protocol features; NULL: unknown. */
const char *featnames_virtio_blk(unsigned bit);
const char *featnames_vhost_user(unsigned bit);

#endif
