/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of the device on its way to another host ("Migrating back-end state"): one small blob
 * through a pipe or a socket of the front-end's.
 *
 *   SET_DEVICE_STATE_FD ─► SAVING: blob ─► channel, closed ─┐
 *           │                                               ├─► DONE, err ─ CHECK_DEVICE_STATE ─► IDLE
 *           └────────────► LOADING: channel, to its end ────┘
 *
 * The front-end sets the pace; nobody waits for it, and the size is bounded.
 */
#ifndef VHOST_USER_VU_STATE_H
#define VHOST_USER_VU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "core/reactor.h"
#include "vhost/vdev.h"

#define VU_STATE_HDR_BYTES 24
#define VU_STATE_BYTES_MAX (VU_STATE_HDR_BYTES + VDEV_STATE_MAX)

enum vu_transfer_phase {
	VU_TRANSFER_IDLE,
	VU_TRANSFER_SAVING,
	VU_TRANSFER_LOADING,
	VU_TRANSFER_DONE,
};

/* The transfer of a session. Zeroed, with fds of -1: idle. Control thread. */
struct vu_transfer {
	enum vu_transfer_phase phase;
	int err;       /* DONE: 0 or -errno */
	struct errbuf eb; /* why it failed; the session's is the current message's */
	unsigned loud; /* failures so far */
	int fd;	       /* of the channel; -1: closed */
	bool is_socket;
	/* ours alone, on the way to or from a pipe of the front-end's: see vu_state.c */
	int pipe_out, pipe_in;
	struct reactor_fd rfd;
	unsigned len; /* bytes in buf: loading, so far */
	unsigned at;  /* saving: of these, sent */
	uint8_t buf[VU_STATE_BYTES_MAX + 1];
};

void vu_transfer_init(struct vu_transfer *t);
/* Closes the channel, whatever is on its way. Harmless twice. */
void vu_transfer_fini(struct vu_transfer *t);

/* The blob of @dev; returns its size. */
unsigned vu_state_build(const struct vdev *dev, uint8_t buf[VU_STATE_BYTES_MAX]);
/* Check a blob from outside and put @dev into the state it tells. 0, or -EINVAL with eb: nothing has
 * changed. */
int vu_state_load(struct vdev *dev, const uint8_t *buf, unsigned len, struct errbuf *eb);

#endif
