/* SPDX-License-Identifier: BSD-3-Clause */
/* A vhost-user-blk socket as a disk: open, size, close. */
#include "drivers/virtio/vub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>

#define LOG_TAG "virtio-user"
#include "core/base/log.h"
#include "drivers/uri.h"
#include "drivers/virtio/vub_priv.h"

#define DEPTH_DEFAULT	 64
#define PATIENCE_DEFAULT 30000 /* ms: longer than a server takes to restart, shorter than a guest's patience */
#define WAIT_MS_MAX	 3600000
#define RING_MAX	 1024
#define SECTOR		 512u

struct vub_conf {
	char path[PATH_MAX];
	uint64_t queues, depth, packed, ro, connect_ms, patience_ms;
};

static int conf_parse(const char *text, struct vub_conf *c, struct errbuf *eb)
{
	const struct uri_opt table[] = {
		{ "queues", URI_NUMBER, 1, VUB_QUEUES_MAX, NULL, &c->queues },
		{ "depth", URI_NUMBER, 1, VUB_DEPTH_MAX, NULL, &c->depth },
		{ "packed", URI_FLAG, 0, 1, NULL, &c->packed },
		{ "ro", URI_FLAG, 0, 1, NULL, &c->ro },
		{ "connect", URI_NUMBER, 0, WAIT_MS_MAX, NULL, &c->connect_ms },
		{ "patience", URI_NUMBER, 0, WAIT_MS_MAX, NULL, &c->patience_ms },
	};
	int err;

	*c = (struct vub_conf){ .depth = DEPTH_DEFAULT, .patience_ms = PATIENCE_DEFAULT };
	err = uri_parse(text, c->path, sizeof(c->path), table, ARRAY_SIZE(table), eb);
	if (!err && !c->path[0])
		err = errbuf_set(eb, -EINVAL, "the socket is missing (virtio-user:SOCKET)");
	return err;
}

/* A ring with room for three descriptors a request needs no tables. */
static uint16_t ring_size(uint64_t depth)
{
	unsigned size = 4;

	while (size < 3 * depth && size < RING_MAX)
		size *= 2;
	return (uint16_t)size;
}

/*
 * The size
 */

static int vub_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	struct vub *dev = container_of(bdev, struct vub, bdev);
	struct virtio_user_info i;

	if (bytes)
		return errbuf_set(eb, -EOPNOTSUPP, "is resized where it is served; the new size is passed on");
	virtio_user_get_info(dev->vu, &i);
	*ret_bytes = CC_ALIGN_DOWN(i.capacity_bytes, (uint64_t)bdev->lim.block_bytes);
	return 0;
}

static void resize_done(void *arg, int err, const char *why)
{
	struct vub *dev = arg;

	if (err)
		log_warn("%s: the new size is not passed on: %s", dev->path, why);
	else
		log_notice("%s: has %llu bytes now", dev->path, (unsigned long long)bdev_bytes(&dev->bdev));
}

/* On the control thread. */
static void resized_take(struct reactor_msg *msg)
{
	struct vub *dev = container_of(msg, struct vub, resized_msg);

	__atomic_store_n(&dev->has_resized, false, __ATOMIC_RELEASE);
	if (!dev->bdev.closing && !dev->bdev.resizing)
		bdev_resize(&dev->bdev, 0, resize_done, dev);
}

/* On whichever thread heard of it. */
static void resized(void *arg, uint64_t bytes)
{
	struct vub *dev = arg;

	(void)bytes; /* looked up again */
	if (!__atomic_exchange_n(&dev->has_resized, true, __ATOMIC_ACQ_REL))
		reactor_send(dev->control, &dev->resized_msg, resized_take);
}

void vub_size_look(struct vub *dev)
{
	struct virtio_user_info i;

	virtio_user_get_info(dev->vu, &i);
	if (CC_ALIGN_DOWN(i.capacity_bytes, (uint64_t)dev->bdev.lim.block_bytes) != bdev_bytes(&dev->bdev))
		resized(dev, i.capacity_bytes);
}

/*
 * Open and close
 */

static void nothing(void *arg)
{
	(void)arg;
}

/* Accepts a half-built one. */
static void vub_destroy(struct vub *dev)
{
	if (!dev)
		return;
	vub_keeper_stop(dev);
	vub_dma_detach(dev);
	virtio_user_close(dev->vu);
	/* a message of ours may be on its way to the control thread still: it comes before this one */
	if (__atomic_load_n(&dev->has_resized, __ATOMIC_ACQUIRE) && reactor_self() != dev->control)
		reactor_call(dev->control, nothing, NULL);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

static void vub_close(struct bdev *bdev)
{
	vub_destroy(container_of(bdev, struct vub, bdev));
}

static void vub_drain(struct bdev *bdev)
{
	vub_keeper_wake(container_of(bdev, struct vub, bdev));
}

static const struct bdev_ops vub_ops = {
	.name = "virtio-user",
	.close = vub_close,
	.chan_create = vub_chan_create,
	.chan_destroy = vub_chan_destroy,
	.chan_start = vub_chan_start,
	.chan_stop = vub_chan_stop,
	.submit = vub_chan_submit,
	.resize = vub_resize,
	.drain = vub_drain,
};

static int connect_with(struct vub *dev, const struct vub_conf *c, unsigned queues, struct errbuf *eb)
{
	const struct virtio_user_opts o = {
		.path = c->path,
		.nqueues = queues,
		.queue_size = ring_size(c->depth),
		.depth = (uint16_t)c->depth,
		.packed = c->packed != 0,
		.eventfd = true,
		.watched = true, /* by the keeper: a reactor never waits for the socket */
		.memory_bytes = queues * c->depth * VUB_BYTES_MAX,
		.connect_ms = (unsigned)c->connect_ms,
		.resized = resized,
		.arg = dev,
	};

	return virtio_user_open(&o, &dev->vu, eb);
}

/* As many queues as were asked for; else one for each CPU, or what the server has. */
static int vub_connect(struct vub *dev, const struct vub_conf *c, struct errbuf *eb)
{
	unsigned queues = (unsigned)c->queues, cpus;
	struct virtio_user_info i;
	cpu_set_t set;
	int err;

	if (!queues) {
		cpus = sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
		err = connect_with(dev, c, 1, eb);
		if (err)
			return err;
		virtio_user_get_info(dev->vu, &i);
		queues = CC_MIN(CC_MIN((unsigned)i.nqueues_max, cpus + 1), VUB_QUEUES_MAX);
		dev->queues = 1;
		if (queues <= 1)
			return 0;
		virtio_user_close(dev->vu);
		dev->vu = NULL;
	}
	dev->queues = queues;
	return connect_with(dev, c, queues, eb);
}

static int dev_init(struct vub *dev, const struct vub_conf *c, const struct vub_opts *opts, struct errbuf *eb)
{
	struct virtio_user_info i;
	int err;

	virtio_user_get_info(dev->vu, &i);
	if (!CC_IS_POW2(i.block_bytes) || i.block_bytes < SECTOR || i.block_bytes > BDEV_BLOCK_MAX)
		return errbuf_set(eb, -EPROTO, "the server names a block of %u bytes", i.block_bytes);
	if (i.capacity_bytes < i.block_bytes)
		return errbuf_set(eb, -EINVAL, "the server's disk is empty");
	err = bdev_init(&dev->bdev, &vub_ops, CC_ALIGN_DOWN(i.capacity_bytes, (uint64_t)i.block_bytes),
			&(struct bdev_limits){
				.block_bytes = i.block_bytes,
				.phys_bytes = CC_MAX(i.block_bytes, 4096u),
				.buf_align = 1,
				.depth = (uint32_t)c->depth,
				.iovs_max = i.seg_max,
				.bytes_max = CC_MIN(VUB_BYTES_MAX, CC_ALIGN_DOWN(i.size_max, i.block_bytes)),
				.discard_max = (uint64_t)i.max_discard_sectors * SECTOR,
				.zeroes_max = (uint64_t)i.max_write_zeroes_sectors * SECTOR,
				.read_only = i.read_only || c->ro || opts->read_only,
				.has_flush = i.features & 1u << 9, /* VIRTIO_BLK_F_FLUSH: a cache, or a switch for it */
			});
	return err ? errbuf_set(eb, err, "the server's limits are impossible") : 0;
}

int vub_open(const char *text, const struct vub_opts *opts, struct bdev **ret_bdev, struct errbuf *eb)
{
	struct vub_conf conf;
	struct vub *dev;
	int err = conf_parse(text, &conf, eb);

	if (err)
		return err;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	dev->wake_fd = -1;
	dev->depth = conf.depth;
	dev->patience_ms = conf.patience_ms;
	dev->control = opts->control;
	memcpy(dev->path, conf.path, strlen(conf.path) + 1);
	pthread_mutex_init(&dev->lock, NULL);
	list_init(&dev->chans);
	err = vub_connect(dev, &conf, eb);
	if (!err)
		err = dev_init(dev, &conf, opts, eb);
	if (!err) {
		dev->bdev.close_blocks = true;
		dev->bufs = virtio_user_alloc(dev->vu, dev->queues * dev->depth * VUB_BYTES_MAX);
		err = dev->bufs ? vub_dma_attach(dev) : -ENOMEM;
		if (!err)
			err = vub_keeper_start(dev);
		if (err)
			(void)errbuf_set(eb, err, "%s", strerror(-err)); /* it is what is returned */
	}
	if (err) {
		vub_destroy(dev);
		return err;
	}
	*ret_bdev = &dev->bdev;
	return 0;
}
