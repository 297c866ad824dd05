/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's side of a ublk queue: an io_uring full of commands, and the I/Os that they bring. Tests have another. */
#ifndef VDPA_UBLK_RING_H
#define VDPA_UBLK_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "vdpa/ublk_spec.h"

struct ublk_ring;

/* A command has come back: 0: with an I/O; -ENODEV: the device stops, and wants the tag no more; -errno. */
struct ublk_event {
	uint16_t tag;
	int32_t result;
};

/* Queue @queue of the device whose server's end is @fd. Any thread; the ring belongs to the one that enables it. 0 or -errno. */
int ublk_ring_open(int fd, unsigned queue, unsigned depth, struct ublk_ring **ret);
void ublk_ring_close(struct ublk_ring *ring);

/*
 * On the queue's reactor
 */
void ublk_ring_enable(struct ublk_ring *ring);
/* The reactor has nothing more to do with it. Else it would keep the device from going until its thread ends. */
void ublk_ring_disable(struct ublk_ring *ring);

/* Command @op for @tag: goes with the next flush. There is room for one each. */
void ublk_ring_post(struct ublk_ring *ring, uint32_t op, const struct ublk_io_cmd *cmd);
void ublk_ring_flush(struct ublk_ring *ring);

/* At most @max of what has come back. How many. */
unsigned ublk_ring_reap(struct ublk_ring *ring, struct ublk_event *ret, unsigned max);

/* What a flush could not hand over. */
bool ublk_ring_is_behind(const struct ublk_ring *ring);

/* The I/O of @tag, after its event. */
struct ublk_io_desc ublk_ring_io(const struct ublk_ring *ring, unsigned tag);

/* As poller_ops.arm and disarm, with this fd. */
int ublk_ring_fd(const struct ublk_ring *ring);
bool ublk_ring_arm(struct ublk_ring *ring);
void ublk_ring_disarm(struct ublk_ring *ring);

#endif
