/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A software vDPA device: what an application that owns a vhost-user socket (DPDK's rte_vhost) drives instead of
 * hardware. It is a front-end of one of nvring's own sessions (ADR 0036): the messages of the real front-end go on
 * to it, and so rings, memory, inflight region and dirty log are in the same hands, and data move by the same code,
 * as on a socket of nvringd.
 *
 *   guest ─ vhost-user ─► the application ─ vdpa_dev_message, _ring_start, … ─► session ─► vdev, vq, bdev
 *
 * Whatever waits, waits for a bounded time (stop_ms). A daemon's session that ends is begun again (vdpa_keeper). Calls
 * for one device come from one thread at a time; vdpa_dev_get_stats() and _reset_stats() from any.
 */
#ifndef VDPA_VDPA_DEV_H
#define VDPA_VDPA_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/errbuf.h"
#include "vdpa/vdpa_args.h"
#include "vhost/user/vu_wire.h"

struct vdpa_dev;

/* Drawn at the head of vdpa_dev.c. */
enum vdpa_dev_state {
	VDPA_DEV_IDLE,	     /* no front-end */
	VDPA_DEV_CONFIGURED, /* a front-end describes its memory and rings */
	VDPA_DEV_RUNNING,    /* at least one ring runs */
	VDPA_DEV_STOPPED,    /* rings have run, none does; their positions are known */
	VDPA_DEV_FAILED,     /* the session is lost: nothing but vdpa_dev_disconnect() */
	VDPA_DEV_STATES,
};

/* Threads, disk, device; asks it what it can do. May block. 0 or -errno with eb. */
int vdpa_dev_create(const char *name, const struct vdpa_args *args, struct vdpa_dev **ret_dev,
		    struct errbuf *eb);
/* Disconnects first. NULL is fine. */
void vdpa_dev_destroy(struct vdpa_dev *dev);

enum vdpa_dev_state vdpa_dev_get_state(const struct vdpa_dev *dev);

/* What it offers. */
uint64_t vdpa_dev_features(const struct vdpa_dev *dev);
uint64_t vdpa_dev_protocol_features(const struct vdpa_dev *dev);
unsigned vdpa_dev_nqueues(const struct vdpa_dev *dev);

#define VDPA_DEV_REPLY 1
#define VDPA_DEV_TAKEN 2

/**
 * vdpa_dev_message - what the front-end has sent, before the application works on it. The first one begins the session.
 * 0: the device has what concerns it, the application goes on. VDPA_DEV_REPLY: @m is the answer now, to be sent
 * instead. VDPA_DEV_TAKEN: done, without the application. -errno with eb: the message must fail. Fds in @m are the
 * caller's before and after.
 *
 * Not by this way: ENABLE(1) (it is taken note of only: vdpa_dev_ring_start()) and GET_VRING_BASE
 * (vdpa_dev_ring_stop()).
 */
int vdpa_dev_message(struct vdpa_dev *dev, struct vu_msg *m, struct errbuf *eb);

/* The application says that ring @index is complete and enabled: it runs when this returns 0. Harmless twice. */
int vdpa_dev_ring_start(struct vdpa_dev *dev, unsigned index, struct errbuf *eb);

/* Drain ring @index; its position as GET_VRING_BASE gives it: for a packed ring that of the device's half, too. */
int vdpa_dev_ring_stop(struct vdpa_dev *dev, unsigned index, uint32_t *ret_base, struct errbuf *eb);

/* Drain all rings. Positions are kept; each starts again with vdpa_dev_ring_start(). */
int vdpa_dev_pause(struct vdpa_dev *dev, struct errbuf *eb);

/* The front-end has gone: waits for what is in flight, within the bound; then it goes on ending by itself. */
void vdpa_dev_disconnect(struct vdpa_dev *dev);

/* The configuration space from its start; @len <= VU_CONFIG_BYTES_MAX. */
int vdpa_dev_config_get(struct vdpa_dev *dev, void *buf, uint32_t len, struct errbuf *eb);

/* What is counted of each ring, since the front-end came or since the last reset. */
enum vdpa_dev_stat {
	VDPA_STAT_REQUESTS,
	VDPA_STAT_INFLIGHT,
	VDPA_STAT_KICKS,
	VDPA_STAT_CALLS,
	VDPA_STAT_POLLS,
	VDPA_STAT_EMPTY_POLLS,
	VDPA_STAT_BROKEN,
	VDPA_STATS,
};

const char *vdpa_dev_stat_name(enum vdpa_dev_stat stat);
/* A ring that nobody has described: zeroes. 0, -EINVAL, -ENOMEM. */
int vdpa_dev_get_stats(struct vdpa_dev *dev, unsigned index, uint64_t ret[VDPA_STATS]);
int vdpa_dev_reset_stats(struct vdpa_dev *dev, unsigned index);

#endif
