/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to the kernel's NBD client, over generic netlink; they block. Tests bring a kernel of their own. */
#ifndef VDPA_NBD_CTL_H
#define VDPA_NBD_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"

#define NBD_CTL_FDS_MAX 16

struct nbd_ctl_conf {
	int id; /* N of /dev/nbdN; -1: the kernel's choice */
	uint64_t bytes;
	uint32_t block_bytes;
	uint32_t io_bytes_max; /* the longest READ or WRITE */
	uint64_t flags;	 /* NBD_FLAG_* */
	uint64_t wait_s; /* I/O waits so long for a new server */
	const char *backend; /* what stands behind it: only who names it likewise takes it over */
	const int *fds;
	unsigned nfds;
};

/* 0 with the number, or -errno with eb. */
int nbd_ctl_connect(const struct nbd_ctl_conf *conf, unsigned *ret_id, struct errbuf *eb);
/* The sockets for a device whose own are dead. -EAGAIN: they are not yet. */
int nbd_ctl_take_over(const struct nbd_ctl_conf *conf, struct errbuf *eb);
int nbd_ctl_disconnect(unsigned id, struct errbuf *eb);

/* As of ublk, for /dev/nbd@id. */
int nbd_ctl_sync(unsigned id);
bool nbd_ctl_is_claimed(unsigned id);

#endif
