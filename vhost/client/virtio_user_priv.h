/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the front-end half share: the device, its queues, its shared memory.
 *
 *   virtio_user.c        open, close, reconnect: the order of things
 *   virtio_user_neg.c    the handshake and the control messages
 *   virtio_user_again.c  back to a server while the queues are in use
 *   virtio_user_mem.c    the shared memory and what lies where in it
 *   virtio_user_queue.c  submit, flush, poll, wait: the data path
 *
 * One memfd holds everything the device must see, and a device address is our virtual address:
 *
 *   | queue 0: rings · tables of indirect descriptors · request lines | queue 1 … |
 * virtio_user_alloc() |
 */
#ifndef VHOST_CLIENT_VIRTIO_USER_PRIV_H
#define VHOST_CLIENT_VIRTIO_USER_PRIV_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/cc.h"
#include "core/base/endian.h"
#include "core/hugemem.h"
#include "vhost/client/virtio_user.h"
#include "vhost/user/vu_wire.h"
#include "vhost/virtq/vqd.h"

#define VIRTIO_USER_QUEUES_MAX 64
#define VIRTIO_USER_SIZE_MAX   1024 /* of a ring: QEMU's limit, and every peer's */
#define VIRTIO_USER_SEGS_MAX \
	126 /* buffers of one request: with header and status what a ring of 128 takes */
#define VIRTIO_USER_REGIONS_MAX 64 /* a memory table says fewer: the peer's limit is asked for */
#define VIRTIO_USER_BATCH	32 /* results looked at together in virtio_user_poll */
#define VIRTIO_USER_SECTOR	512u

/* Virtio 1.2, 5.2.3 and 5.2.6: the bits and codes of virtio-blk that a driver needs. */
#define VIRTIO_USER_BLK_F_SIZE_MAX     1
#define VIRTIO_USER_BLK_F_SEG_MAX      2
#define VIRTIO_USER_BLK_F_RO	       5
#define VIRTIO_USER_BLK_F_BLK_SIZE     6
#define VIRTIO_USER_BLK_F_FLUSH	       9
#define VIRTIO_USER_BLK_F_TOPOLOGY     10
#define VIRTIO_USER_BLK_F_CONFIG_WCE   11
#define VIRTIO_USER_BLK_F_MQ	       12
#define VIRTIO_USER_BLK_F_DISCARD      13
#define VIRTIO_USER_BLK_F_WRITE_ZEROES 14

/* 5.2.4: the config space as far as we read it. */
struct virtio_user_config {
	le64 capacity; /* sectors */
	le32 size_max, seg_max;
	uint8_t geometry[4];
	le32 blk_size;
	uint8_t topology[8];
	uint8_t writeback, unused0;
	le16 num_queues;
	le32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	le32 max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} cc_packed;
static_assert(sizeof(struct virtio_user_config) == 60, "5.2.4 up to WRITE_ZEROES");

/*
 * The device's view of one request, a cache line of its own: it reads the head and writes the
 * status, and the line travels once each way.
 */
struct virtio_user_line {
	le32 type, reserved; /* 5.2.6 */
	le64 sector;
	struct {
		le64 sector;
		le32 num_sectors, flags;
	} seg; /* DISCARD, WRITE_ZEROES */
	uint8_t status;
	uint8_t pad[31];
};
static_assert(sizeof(struct virtio_user_line) == CACHELINE_BYTES, "one line");

/* Our view of it: enough to submit it a second time to a device that knows nothing of the first. */
struct virtio_user_slot {
	void *cookie;
	uint16_t nbufs; /* 0: free */
	uint16_t index;
	uint32_t pad;
	struct vqd_buf bufs[3]; /* header, data, status; longer chains: q->more */
};
static_assert(sizeof(struct virtio_user_slot) == CACHELINE_BYTES, "one line");

/* Lives on the thread that uses it. */
struct virtio_user_queue {
	struct vqd vqd;
	struct virtio_user *vu;
	struct virtio_user_slot *slots;
	struct virtio_user_line *lines; /* shared */
	uint16_t *free;			/* stack of slots: [0, nfree) */
	uint16_t *sent; /* slots in the order of submission; by sent_seq & sent_mask */
	uint16_t sent_seq, got_seq, sent_mask;
	uint16_t nslots, nfree, nstash;
	uint16_t index, segs_max;
	bool indirect, dead_seen;
	bool guess_right;	/* answers have come in that order lately */
	int broken;		/* -errno once the device lied */
	uint32_t epoch;		/* the connection that knows the ring */
	unsigned service_in;	/* polls until the clock is looked at */
	uint64_t service_ticks; /* when the socket was looked at last */
	struct vqd_buf *more;	/* nslots rows of segs_max + 2, for chains of more than three */
	struct virtio_user_done
		*stash; /* collected before a reconnect, not yet given to the caller */
	int kick_fd, call_fd, err_fd;
	struct vqd_conf conf;
	size_t ring_bytes; /* from conf.desc: cleared when the ring starts anew */
};

struct virtio_user_region {
	void *va;
	size_t len;
	int fd; /* ours */
	uint64_t off;
};

struct virtio_user {
	struct virtio_user_opts opts;
	char *path;
	int sock, backend_fd; /* -1: none */
	bool dead;	      /* the peer is gone; any thread sets it */
	uint32_t epoch;	      /* counts connections; written under the lock */
	int lost;	      /* -errno: no way back. This and the next three under the lock */
	uint64_t away_ns, again_ns; /* dead since; the next attempt; 0: not yet */
	struct errbuf trouble;
	bool fresh_rings; /* this connection's device knows nothing of what was in flight before */
	bool news;	  /* the size changed, nobody was told yet */
	pthread_mutex_t lock; /* the socket and config, once the queues run */
	uint64_t offered, features, protocol_features;
	struct virtio_user_config config;
	struct vu_msg heard; /* from backend_fd, heard_bytes of it so far; under the lock */
	size_t heard_bytes;
	uint64_t capacity_bytes; /* changes at run time */
	uint16_t nqueues, nqueues_max, queue_size, depth;
	unsigned segs_max;
	/* kept for the next connection; fd -1: none */
	int inflight_fd;
	uint64_t inflight_bytes, inflight_off;
	struct hugemem mem;
	size_t alloc_at; /* bytes of mem given out */
	struct virtio_user_region regions[VIRTIO_USER_REGIONS_MAX];
	unsigned nregions, regions_max; /* max: of the peer */
	struct virtio_user_queue queues[VIRTIO_USER_QUEUES_MAX];
};

/*
 * virtio_user_mem.c
 */

/* One memfd for nqueues queues and opts.memory_bytes; needs segs_max. 0 or -errno with eb. */
int virtio_user_mem_create(struct virtio_user *vu, struct errbuf *eb);
void virtio_user_mem_destroy(struct virtio_user *vu);

/*
 * virtio_user_queue.c
 */

/* Slots and ring of queue @index at @mem (virtio_user_queue_bytes() of shared memory). 0 or -errno.
 */
int virtio_user_queue_init(struct virtio_user *vu, unsigned index, char *mem);
void virtio_user_queue_fini(struct virtio_user_queue *q);
size_t virtio_user_queue_bytes(uint16_t size, unsigned segs_max);

/* Take every result out of the ring into the stash: before the ring is handed to another device. */
void virtio_user_queue_drain(struct virtio_user_queue *q);

/* All slots free, the ring empty. 0 or -errno. */
int virtio_user_queue_drop(struct virtio_user_queue *q);

/* An empty ring, and everything unanswered submitted into it again. 0 or -errno. */
int virtio_user_queue_restart(struct virtio_user_queue *q);

/* Where the next device begins, as SET_VRING_BASE says it: all before is answered. */
uint32_t virtio_user_queue_base(const struct virtio_user_queue *q);

/* From here on the ring is this connection's. */
void virtio_user_queue_adopt(struct virtio_user_queue *q);

/* The device shall look at the ring, whatever it asked for. */
void virtio_user_queue_kick(struct virtio_user_queue *q);

/*
 * virtio_user_neg.c
 */

/* Connect and agree: features, protocol features, number of queues, config space. @first: choose;
 * else insist on the features chosen before. 0 or -errno with eb. */
int virtio_user_negotiate(struct virtio_user *vu, bool first, unsigned connect_ms,
			  struct errbuf *eb);

/* Memory table, inflight region, rings, enable. 0 or -errno with eb. */
int virtio_user_start(struct virtio_user *vu, struct errbuf *eb);

/* The same in two parts: all but the rings, and one ring. 0 or -errno with eb. */
int virtio_user_start_device(struct virtio_user *vu, struct errbuf *eb);
int virtio_user_start_ring(struct virtio_user_queue *q, struct errbuf *eb);

/* Disable and drain every ring. A dead peer is no error. */
void virtio_user_stop(struct virtio_user *vu);

void virtio_user_disconnect(struct virtio_user *vu);

/* Tell a running device of region @i, the last one; that region @i is about to go. Under the lock. 0 or -errno. */
int virtio_user_send_region(struct virtio_user *vu, unsigned i);
int virtio_user_drop_region(struct virtio_user *vu, unsigned i);

/* Look at the socket, without waiting: messages of the device, its end. Any queue's thread. */
void virtio_user_service(struct virtio_user *vu);

/*
 * virtio_user_again.c
 */

/* The ring is kept for the new device, or to be filled anew; to be known before the rings are started. */
void virtio_user_choose_rings(struct virtio_user *vu);

/* The queue's server is gone, or there is a new one: an attempt, now and then. 0, or -errno when all is over. */
int virtio_user_queue_again(struct virtio_user_queue *q);

#endif
