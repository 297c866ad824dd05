/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the driver share.
 *
 *   vub.c         open, close, size
 *   vub_chan.c    the data path: one queue of the front-end half for each channel
 *   vub_dma.c     which memory the server can reach; the rest is copied
 *   vub_keeper.c  the thread that looks after the connection
 */
#ifndef DRIVERS_VIRTIO_VUB_PRIV_H
#define DRIVERS_VIRTIO_VUB_PRIV_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/bdev.h"
#include "core/dma.h"
#include "vhost/client/virtio_user.h"

#define VUB_QUEUES_MAX 64
#define VUB_DEPTH_MAX  512
#define VUB_BYTES_MAX  (128u * 1024) /* one READ or WRITE: what a request's buffer can hold */

struct vub;

enum vub_state {
	VUB_RUNS,
	VUB_WAITS, /* for a server: I/O is held back */
	VUB_FAILS, /* nobody waits any more */
};

/* One request: its buffer in shared memory, for what the server cannot reach. */
struct vub_io {
	struct bio *bio;
	char *buf;
	bool is_copied;
};

/* On its reactor. */
struct vub_chan {
	struct vub *dev;
	struct bdev_chan *chan;
	struct virtio_user_queue *q;
	struct poller poller;
	unsigned index;
	enum vub_state state;
	uint32_t nfree;
	struct vub_io **free; /* depth */
	struct vub_io *ios;
	struct bio_queue held; /* while it waits */
	struct list link;      /* in dev->chans, once started */
};

struct vub {
	struct bdev bdev;
	struct virtio_user *vu;
	char path[PATH_MAX];
	char *bufs; /* queues * depth * VUB_BYTES_MAX */
	uint64_t queues, depth, patience_ms;
	bool domain_attached, has_resized; /* has_resized: atomic, the message is on its way */
	struct dma_domain domain;
	struct reactor *control;
	struct reactor_msg resized_msg;
	pthread_mutex_t lock; /* chans, used, state */
	struct list chans;
	enum vub_state state;
	bool used[VUB_QUEUES_MAX];
	/* the keeper */
	pthread_t keeper;
	bool has_keeper;
	bool stop; /* atomic */
	int wake_fd;
};

/*
 * vub.c
 */

/* The server may have another size than before: pass it on. Any thread. */
void vub_size_look(struct vub *dev);

/*
 * vub_chan.c
 */
int vub_chan_create(struct bdev *bdev, struct bdev_chan *chan);
void vub_chan_destroy(struct bdev *bdev, struct bdev_chan *chan);
void vub_chan_start(struct bdev_chan *chan);
void vub_chan_stop(struct bdev_chan *chan);
void vub_chan_submit(struct bdev_chan *chan, struct bio *bio);

/* From now on: what is new waits, or everything that has no result fails (virtio_user_drop() came before), or both go on.
 * On the channel's reactor. */
void vub_chan_set(struct vub_chan *vc, enum vub_state state);

/*
 * vub_dma.c
 */
int vub_dma_attach(struct vub *dev);
void vub_dma_detach(struct vub *dev);
/* Can the server reach all buffers of @bio as they are? */
bool vub_dma_reaches(const struct vub *dev, const struct bio *bio);

/*
 * vub_keeper.c
 */
int vub_keeper_start(struct vub *dev);
void vub_keeper_stop(struct vub *dev);
/* Look at the state of things. Any thread. */
void vub_keeper_wake(struct vub *dev);

#endif
