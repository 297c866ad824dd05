/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end half: drive a vhost-user-blk socket (ours or a peer's) from a process of one's own,
 * as a container does.
 *
 *   open ─ negotiate, share memory ─► queues ─ submit, flush, poll ─► done(cookie, status) ─► close
 */
#ifndef VHOST_USER_VIRTIO_USER_H
#define VHOST_USER_VIRTIO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/base/errbuf.h"

struct virtio_user;
struct virtio_user_queue;

struct virtio_user_opts {
	const char *path;
	unsigned nqueues;    /* 0: 1 */
	uint16_t queue_size; /* entries of each ring; 0: 128; power of two */
	uint16_t depth; /* requests at a time and queue, <= queue_size; 0: queue_size. A ring of 3 *
			   depth needs no tables */
	bool packed;	/* ask for RING_PACKED; -ENOTSUP when the device does not offer it */
	bool no_event_idx, no_indirect, in_order;
	bool eventfd;	  /* sleep on calls (virtio_user_wait); else calls are never asked for */
	bool minimal;	  /* negotiate as little as MQ + CONFIG, as the oldest front-ends do */
	bool no_inflight; /* do not ask for an inflight region */
	bool watched;	  /* a thread calls virtio_user_watch: poll and disarm leave the socket to it */
	uint64_t features_mask; /* 0: all bits we know; else offered bits are masked with it */
	size_t memory_bytes;	/* shared memory for virtio_user_alloc; 0: 64 MiB */
	unsigned connect_ms;	/* keep trying to connect for so long */
	/* When the server goes away: 0: poll and wait say -EPIPE, see virtio_user_reconnect(). Else they try for so
	 * long to come back, and say 0 until then; UINT_MAX: for ever. */
	unsigned reconnect_ms;
	/* The size is another one. In virtio_user_poll or _wait of any queue; closes nothing. May be NULL. */
	void (*resized)(void *arg, uint64_t capacity_bytes);
	void *arg;
};

/* What the device said. */
struct virtio_user_info {
	uint64_t features, protocol_features; /* negotiated */
	uint64_t capacity_bytes;
	uint32_t block_bytes, seg_max, size_max;
	uint16_t nqueues_max;
	bool read_only, writeback;
	uint32_t max_discard_sectors, max_write_zeroes_sectors;
};

/* Blocks for the handshake. 0 or -errno with eb. One thread per queue afterwards. */
int virtio_user_open(const struct virtio_user_opts *opts, struct virtio_user **ret_vu,
		     struct errbuf *eb);
/* Stops the queues (what is in flight comes back first, or is lost with a dead peer), disconnects.
 * NULL is fine. */
void virtio_user_close(struct virtio_user *vu);

/* Any thread; while it comes back to a server this waits for the handshake. */
void virtio_user_get_info(struct virtio_user *vu, struct virtio_user_info *ret);

/* Buffers for I/O live in shared memory: aligned to 4 KiB, freed with the device. NULL when it is
 * used up. */
void *virtio_user_alloc(struct virtio_user *vu, size_t len);

/* Share more memory of the caller's (memfd-backed, page aligned) with the device: ADD_MEM_REG or a
 * new table; one that is away hears of it when it is back. */
int virtio_user_add_memory(struct virtio_user *vu, void *va, size_t len, int fd, off_t off);
/* The inverse, of exactly what was added, when no request uses it. 0, -ENOENT, or -errno. */
int virtio_user_del_memory(struct virtio_user *vu, void *va, size_t len);

struct virtio_user_queue *virtio_user_queue(struct virtio_user *vu, unsigned index);

enum virtio_user_op {
	VIRTIO_USER_READ,
	VIRTIO_USER_WRITE,
	VIRTIO_USER_FLUSH,
	VIRTIO_USER_DISCARD,
	VIRTIO_USER_WRITE_ZEROES,
	VIRTIO_USER_GET_ID, /* iov: 20 bytes */
};

/**
 * virtio_user_submit - one request into the ring, visible after virtio_user_flush. iov in shared
 * memory. off and len in bytes (DISCARD, WRITE_ZEROES: no iov). 0, -ENOSPC (ring full), -EINVAL.
 */
int virtio_user_submit(struct virtio_user_queue *q, enum virtio_user_op op, uint64_t off,
		       uint64_t len, const struct iovec *iov, unsigned iovcnt, void *cookie);

/* Publish, and kick if the device wants it. */
void virtio_user_flush(struct virtio_user_queue *q);

struct virtio_user_done {
	void *cookie;
	int status; /* 0, -EIO, -EOPNOTSUPP */
};

/* Up to @max results. 0: none yet. -EPIPE: the peer is gone; -EPROTO: it lied. Never blocks. */
int virtio_user_poll(struct virtio_user_queue *q, struct virtio_user_done *done, unsigned max);

/* Sleep until a result is likely, or @timeout_ms. 0, -ETIMEDOUT, -EPIPE. Needs opts.eventfd. */
int virtio_user_wait(struct virtio_user_queue *q, int timeout_ms);

/*
 * The same for who sleeps in a loop of its own, on virtio_user_fd(). Arm asks for calls and looks once more: true =
 * there is something already. Disarm empties the fd, asks for no more calls, and looks whether the server is still
 * there: to be called now and then even if the fd was not readable.
 */
int virtio_user_fd(const struct virtio_user_queue *q);
bool virtio_user_arm(struct virtio_user_queue *q);
void virtio_user_disarm(struct virtio_user_queue *q);

/* Requests that have no result yet. On the queue's thread. */
unsigned virtio_user_inflight(const struct virtio_user_queue *q);

/**
 * virtio_user_reconnect - after -EPIPE: connect again (for up to @timeout_ms), hand over the
 * inflight region, go on. What was in flight is answered by the new device. 0 or -errno with eb.
 */
int virtio_user_reconnect(struct virtio_user *vu, unsigned timeout_ms, struct errbuf *eb);

/* Between -EPIPE and a reconnect, when the queues are in nobody's hands: what has no result yet is forgotten, neither
 * answered nor carried out by the next server. */
int virtio_user_drop(struct virtio_user *vu); /* 0 or -ENOMEM */

/* The server is as good as gone: it lies. Poll says -EPIPE from now on, if it does not say what is wrong. Any thread. */
void virtio_user_give_up(struct virtio_user *vu);

/* For a thread that looks after the connection alone, where the queues' threads may sleep for long: until the server
 * speaks or goes, or @wake_fd is readable. 0, or -EPIPE: gone. */
int virtio_user_watch(struct virtio_user *vu, int wake_fd);

/* Why the last attempt to come back failed; empty when it did not. Any thread. */
void virtio_user_get_trouble(struct virtio_user *vu, struct errbuf *ret);

#endif
