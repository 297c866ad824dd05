/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libnvring-client: a disk behind a vhost-user-blk socket (nvringd's or any other server's), for a program of its own,
 * a container's for example. No system call and no copy per request. C99 and C++; see nvring-client(3).
 *
 *   nvrc_open ──► nvrc_alloc, nvrc_queue ──► nvrc_submit …, nvrc_push ──► nvrc_poll or nvrc_wait ──► nvrc_close
 *
 * Threads: a queue belongs to one thread at a time; different queues need no locks. Functions of the device may be
 * called by any thread. Errors are negative errno values.
 */
#ifndef NVRING_CLIENT_H
#define NVRING_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvrc;
struct nvrc_queue;

#define NVRC_FOREVER 0xffffffffu /* of connect_ms, reconnect_ms */

enum nvrc_flags {
	NVRC_PACKED = 1 << 0,	   /* packed rings; -ENOTSUP when the server has none */
	NVRC_SLEEP = 1 << 1,	   /* nvrc_wait, or nvrc_arm and nvrc_fd, will be used; else the server is never asked to call */
	NVRC_NO_INFLIGHT = 1 << 2 /* let no server keep a record of what is in flight */
};

struct nvrc_info {
	size_t size; /* as in nvrc_opts */
	uint64_t bytes; /* of the disk; changes */
	uint32_t block_bytes;
	uint32_t segments_max; /* buffers of one request */
	uint32_t queues_max;   /* that the server has */
	uint32_t read_only, can_flush, can_discard, can_write_zeroes; /* 0 or 1 */
	uint64_t discard_bytes_max, write_zeroes_bytes_max;	      /* of one request */
	uint64_t features, protocol_features;			      /* as agreed: virtio, vhost-user */
};

/* Zero what is not needed: 0 is the default. */
struct nvrc_opts {
	size_t size;	       /* sizeof(struct nvrc_opts): what a later version adds is 0 for an older program */
	const char *path;      /* the socket */
	uint32_t flags;	       /* enum nvrc_flags */
	uint32_t queues;       /* 1 */
	uint32_t ring;	       /* entries of each ring, a power of two up to 1024; 128 */
	uint32_t depth;	       /* requests at a time of each queue, at most ring; ring. A third of ring is fastest */
	uint32_t connect_ms;   /* while nobody listens, try again for so long; 0 */
	uint32_t reconnect_ms; /* when the server goes away, wait so long for another; 0: requests end with it */
	size_t memory_bytes;   /* what nvrc_alloc can give out; 64 MiB */
	/* The size is another one. Called in nvrc_poll or nvrc_wait, of whichever queue; must not close the disk. */
	void (*resized)(void *arg, uint64_t bytes);
	void *arg;
};

enum nvrc_op {
	NVRC_READ,
	NVRC_WRITE,
	NVRC_FLUSH,	   /* all writes that had ended are durable; no buffers, off and len 0 */
	NVRC_DISCARD,	   /* no buffers */
	NVRC_WRITE_ZEROES, /* no buffers */
	NVRC_GET_ID	   /* one buffer of 20 bytes: the disk's name */
};

struct nvrc_result {
	void *cookie; /* of nvrc_submit */
	int status;   /* 0, -EIO, -EOPNOTSUPP */
};

/* "1.2.3", of the library that runs. */
const char *nvrc_version(void);

/**
 * nvrc_open - connect, agree, share memory. Blocks. 0 with *ret, or -errno with one line for people in @why (NULL is
 * fine): -ENOENT, -ECONNREFUSED (no server), -EPROTO, -EPIPE (no vhost-user server), -ENOTSUP (not what was asked for),
 * -EINVAL (an option), -ENOMEM.
 */
int nvrc_open(const struct nvrc_opts *opts, struct nvrc **ret, char *why, size_t why_bytes);

/* Requests in flight end first (their results are lost). Nobody uses a queue any more. NULL is fine. */
void nvrc_close(struct nvrc *disk);

/* Set info->size to sizeof(*info) before. 0 or -EINVAL. */
int nvrc_get_info(struct nvrc *disk, struct nvrc_info *info);

/* Why the last attempt to come back to a server failed; empty when none has. */
void nvrc_get_trouble(struct nvrc *disk, char *why, size_t why_bytes);

/* Buffers for requests are in shared memory: @len bytes aligned to 4 KiB, freed with the disk; NULL when it is used up.
 * By one thread at a time. */
void *nvrc_alloc(struct nvrc *disk, size_t len);

/* Or in the caller's own: mapped shared from @fd (a memfd, say) at @off, all three multiples of 4 KiB, which does not
 * move. 0, -EINVAL, -ENOSPC (the server takes no more), -EREMOTEIO (it refuses); another: it is given up, as if it had gone. */
int nvrc_share(struct nvrc *disk, void *va, size_t len, int fd, off_t off);
/* Exactly what was shared, when no request uses it. 0, -ENOENT or -errno; the server lets go of it in any case. */
int nvrc_unshare(struct nvrc *disk, void *va, size_t len);

/* NULL: there are not so many. */
struct nvrc_queue *nvrc_queue(struct nvrc *disk, unsigned index);

/**
 * nvrc_submit - put a request into the queue; the server sees it with the next nvrc_push. @off and @len: bytes, multiples
 * of 512, @len the sum of @iov. The iov itself may go at once, the buffers stay until the result is here.
 * 0, -ENOSPC (queue full: poll first), -EINVAL.
 */
int nvrc_submit(struct nvrc_queue *q, enum nvrc_op op, uint64_t off, uint64_t len, const struct iovec *iov,
		unsigned iovcnt, void *cookie);
void nvrc_push(struct nvrc_queue *q);

/* Without results yet. */
unsigned nvrc_inflight(const struct nvrc_queue *q);

/**
 * nvrc_poll - up to @max results; 0: none now. Never sleeps, but when the server has gone and another is there, the call
 * that finds it takes as long as the handshake, and one that hears of a new size as long as asking for it (who does not
 * answer for 10 s is given up). -EPIPE: the server is gone (for longer than reconnect_ms); -EPROTO: it does not speak the
 * protocol; -ENOTSUP: the next one lacks what was agreed.
 */
int nvrc_poll(struct nvrc_queue *q, struct nvrc_result *results, unsigned max);

/* Sleep until nvrc_poll may have something, at most @timeout_ms (-1: no limit). 0, -ETIMEDOUT, or as nvrc_poll. */
int nvrc_wait(struct nvrc_queue *q, int timeout_ms);

/*
 * For an event loop: nvrc_arm; if it says 0, watch nvrc_fd for reading, a second or so at most (a server that dies does
 * not write to it); then nvrc_disarm and nvrc_poll. 1: there is something already, only nvrc_disarm and nvrc_poll.
 */
int nvrc_fd(const struct nvrc_queue *q);
int nvrc_arm(struct nvrc_queue *q);
void nvrc_disarm(struct nvrc_queue *q);

#ifdef __cplusplus
}
#endif

#endif
