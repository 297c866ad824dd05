/* SPDX-License-Identifier: BSD-3-Clause */
/* The block device type on the control thread: features, config space, queues, reset, resize. */
#include "vhost/blk/vblk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/linemem.h"
#include "vhost/blk/vblk_priv.h"

#define VBLK_SEG_MAX_DEFAULT \
	126 /* with header and status 128 buffers, what a vq chain may have at most */
#define VBLK_SIZE_MAX_BYTES \
	(1u << 20) /* one buffer; crosses at most one border of guest memory regions */
/* One DISCARD or WRITE_ZEROES segment: 2 GiB, so that a command ends in bounded time. */
#define VBLK_RANGE_SECTORS_MAX (1u << 22)

/* A plausible disk geometry for firmware that asks: 63 sectors, 16 heads, as many cylinders as ATA
 * could say. */
#define VBLK_CHS_SECTORS       63
#define VBLK_CHS_HEADS	       16
#define VBLK_CHS_CYLINDERS_MAX 16383

static struct vblk *vblk_of(const struct vdev *vdev)
{
	return container_of(vdev, struct vblk, vdev);
}

/* Only a volatile cache makes the difference between write-back and write-through. */
static void fua_update(struct vblk *dev)
{
	uint8_t fua = dev->bdev->lim.has_flush && !dev->writeback ? BIO_FUA : 0;

	cc_write_once(dev->fua, fua);
}

static uint64_t vblk_features(const struct vdev *vdev)
{
	return vblk_of(vdev)->features;
}

static void config_geometry(struct vblk_config *c, uint64_t sectors)
{
	uint64_t cylinders = sectors / (VBLK_CHS_SECTORS * VBLK_CHS_HEADS);

	cylinders = CC_MIN(CC_MAX(cylinders, 1ull), (uint64_t)VBLK_CHS_CYLINDERS_MAX);
	c->geometry.cylinders = le16_make((uint16_t)cylinders);
	c->geometry.heads = VBLK_CHS_HEADS;
	c->geometry.sectors = VBLK_CHS_SECTORS;
}

static void config_topology(struct vblk_config *c, const struct bdev_limits *lim)
{
	uint32_t phys = CC_MAX(lim->phys_bytes, lim->block_bytes) / lim->block_bytes;
	uint8_t exp = 0;

	while (2u << exp <= phys)
		exp++;
	c->blk_size = le32_make(lim->block_bytes);
	c->topology.physical_block_exp = exp;
	c->topology.min_io_size = le16_make((uint16_t)(1u << exp));
	c->topology.opt_io_size = le32_make(lim->opt_io_bytes / lim->block_bytes);
}

static void config_ranges(struct vblk_config *c, const struct vblk *dev)
{
	const struct bdev_limits *lim = &dev->bdev->lim;

	if (dev->features & VIRTIO_BIT(VBLK_F_DISCARD)) {
		uint32_t align = CC_MAX(lim->discard_align, lim->block_bytes);

		c->max_discard_sectors = le32_make(dev->discard_sectors_max);
		c->max_discard_seg = le32_make(VBLK_SEGS_MAX);
		c->discard_sector_alignment = le32_make(align >> VBLK_SECTOR_SHIFT);
	}
	if (dev->features & VIRTIO_BIT(VBLK_F_WRITE_ZEROES)) {
		c->max_write_zeroes_sectors = le32_make(dev->zeroes_sectors_max);
		c->max_write_zeroes_seg = le32_make(VBLK_SEGS_MAX);
		c->write_zeroes_may_unmap = lim->discard_max != 0;
	}
}

static uint32_t vblk_config_get(const struct vdev *vdev, uint8_t config[VDEV_CONFIG_MAX])
{
	const struct vblk *dev = vblk_of(vdev);
	uint64_t sectors = bdev_bytes(dev->bdev) >> VBLK_SECTOR_SHIFT;
	struct vblk_config c = {
		.capacity = le64_make(sectors),
		.size_max = le32_make(VBLK_SIZE_MAX_BYTES),
		.seg_max = le32_make(dev->seg_max),
		.writeback = dev->writeback,
		.num_queues = le16_make((uint16_t)vdev->nqueues_max),
	};

	config_geometry(&c, sectors);
	config_topology(&c, &dev->bdev->lim);
	config_ranges(&c, dev);
	memset(config, 0, VDEV_CONFIG_MAX);
	memcpy(config, &c, sizeof(c));
	return sizeof(c);
}

/* Of the whole space only `writeback` may change; a front-end that writes more around it must leave
 * it as it is. */
static int vblk_config_set(struct vdev *vdev, uint32_t off, const void *buf, uint32_t len)
{
	const uint32_t at = offsetof(struct vblk_config, writeback);
	struct vblk *dev = vblk_of(vdev);
	uint8_t now[VDEV_CONFIG_MAX], new[VDEV_CONFIG_MAX];
	uint32_t size = vblk_config_get(vdev, now);

	if (off > size || len > size - off)
		return -EINVAL;
	memcpy(new, now, size);
	memcpy(new + off, buf, len);
	if (memcmp(new, now, at) || memcmp(new + at + 1, now + at + 1, size - at - 1))
		return -EROFS;
	if (new[at] > 1)
		return -EINVAL;
	dev->writeback = new[at];
	fua_update(dev);
	return 0;
}

static void vblk_reset(struct vdev *vdev)
{
	struct vblk *dev = vblk_of(vdev);

	dev->writeback = dev->writeback_initial;
	fua_update(dev);
}

/* The writable part of the configuration, and what must be true of the disk over there. */
struct vblk_state {
	le64 sectors;
	le32 block_bytes;
	uint8_t writeback;
	uint8_t reserved[3]; /* 0 */
};
static_assert(sizeof(struct vblk_state) == 16, "part of the format");

static uint32_t vblk_save(const struct vdev *vdev, uint8_t state[VDEV_STATE_MAX])
{
	const struct vblk *dev = vblk_of(vdev);
	const struct vblk_state st = {
		.sectors = le64_make(bdev_bytes(dev->bdev) >> VBLK_SECTOR_SHIFT),
		.block_bytes = le32_make(dev->bdev->lim.block_bytes),
		.writeback = dev->writeback,
	};

	memcpy(state, &st, sizeof(st));
	return sizeof(st);
}

static int vblk_load(struct vdev *vdev, const uint8_t *state, uint32_t len, struct errbuf *eb)
{
	static const uint8_t zero[3];
	struct vblk *dev = vblk_of(vdev);
	uint64_t sectors = bdev_bytes(dev->bdev) >> VBLK_SECTOR_SHIFT;
	struct vblk_state st;

	if (len != sizeof(st))
		return errbuf_set(eb, -EINVAL, "the state of a disk has %zu bytes, not %u",
				  sizeof(st), len);
	memcpy(&st, state, sizeof(st));
	if (st.writeback > 1 || memcmp(st.reserved, zero, sizeof(zero)) != 0)
		return errbuf_set(eb, -EINVAL, "the state of a disk with unknown bits");
	if (le32_get(st.block_bytes) != dev->bdev->lim.block_bytes)
		return errbuf_set(eb, -EINVAL, "the driver's disk has blocks of %u bytes, disk %s of %u",
				  le32_get(st.block_bytes), dev->bdev->name,
				  dev->bdev->lim.block_bytes);
	if (le64_get(st.sectors) > sectors)
		return errbuf_set(eb, -EINVAL,
				  "the driver's disk has %llu sectors, disk %s only %llu: resize it",
				  (unsigned long long)le64_get(st.sectors), dev->bdev->name,
				  (unsigned long long)sectors);
	dev->writeback = st.writeback;
	fua_update(dev);
	return 0;
}

static const struct vdev_state_ops vblk_state_ops = {
	.save = vblk_save,
	.load = vblk_load,
};

static void vblk_resized(struct bdev_listener *l)
{
	vdev_config_changed(&container_of(l, struct vblk, listener)->vdev);
}

/* Rows for the ranges of DISCARD and WRITE_ZEROES: resident only where such a command ran. */
static int ranges_map(struct vblk_queue *vbq, uint16_t size)
{
	size_t bytes = (size_t)size * sizeof(*vbq->ranges);
	void *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (va == MAP_FAILED)
		return -ENOMEM;
	vbq->ranges = va;
	vbq->ranges_bytes = bytes;
	return 0;
}

static int vblk_queue_open(struct vdev_queue *q, struct errbuf *eb)
{
	const uint64_t ranged = VIRTIO_BIT(VBLK_F_DISCARD) | VIRTIO_BIT(VBLK_F_WRITE_ZEROES);
	struct vblk *dev = vblk_of(q->dev);
	struct vblk_queue *vbq = linemem_calloc(1, sizeof(*vbq));
	int err;

	if (!vbq)
		return errbuf_set(eb, -ENOMEM, "out of memory for queue %u", q->vq.index);
	vbq->dev = dev;
	vbq->read_only = dev->read_only;
	if (dev->bdev->lim.has_flush && !(q->features & VIRTIO_BIT(VBLK_F_FLUSH)))
		vbq->fua = BIO_FUA;
	vbq->rules = (struct vblk_rules){
		.features = q->features & dev->features,
		.block_sectors = dev->bdev->lim.block_bytes >> VBLK_SECTOR_SHIFT,
		.discard_sectors_max = dev->discard_sectors_max,
		.zeroes_sectors_max = dev->zeroes_sectors_max,
		.read_only = dev->read_only,
	};
	if ((vbq->rules.features & ranged) && ranges_map(vbq, q->vq.size)) {
		err = errbuf_set(eb, -ENOMEM, "out of memory for queue %u", q->vq.index);
		goto out_free;
	}
	err = bdev_chan_get(dev->bdev, q->reactor, &vbq->chan);
	if (err) {
		errbuf_set(eb, err, "disk %s: no channel for queue %u: %s", dev->bdev->name,
			   q->vq.index, strerror(-err));
		goto out_unmap;
	}
	q->priv = vbq;
	q->told.how[VQ_FLUSHED_QUIET] = vbq->chan->stats->notify[BDEV_NOTIFY_QUIET];
	q->told.how[VQ_FLUSHED_CALLED] = vbq->chan->stats->notify[BDEV_NOTIFY_CALLED];
	for (unsigned i = 0; i < q->vq.size; i++)
		((struct vblk_req *)q->slots)[i].q = q;
	return 0;

out_unmap:
	if (vbq->ranges)
		munmap(vbq->ranges, vbq->ranges_bytes);
out_free:
	free(vbq);
	return err;
}

static void vblk_queue_close(struct vdev_queue *q)
{
	struct vblk_queue *vbq = q->priv;

	bdev_chan_put(vbq->chan);
	if (vbq->ranges)
		munmap(vbq->ranges, vbq->ranges_bytes);
	free(vbq);
}

static const struct vdev_ops vblk_ops = {
	.name = "virtio-blk",
	.virtio_id = 2,
	.slot_bytes = sizeof(struct vblk_req),
	.features = vblk_features,
	.config_get = vblk_config_get,
	.config_set = vblk_config_set,
	.queue_open = vblk_queue_open,
	.queue_close = vblk_queue_close,
	.process = vblk_process,
	.cancel = vblk_cancel,
	.reset = vblk_reset,
	.state = &vblk_state_ops,
};

static uint64_t features_make(const struct vblk *dev, const struct vblk_opts *opts)
{
	const struct bdev_limits *lim = &dev->bdev->lim;
	uint64_t f = VIRTIO_BIT(VBLK_F_SIZE_MAX) | VIRTIO_BIT(VBLK_F_SEG_MAX) |
		     VIRTIO_BIT(VBLK_F_GEOMETRY) | VIRTIO_BIT(VBLK_F_BLK_SIZE) |
		     VIRTIO_BIT(VBLK_F_FLUSH) | VIRTIO_BIT(VBLK_F_TOPOLOGY) |
		     VIRTIO_BIT(VBLK_F_CONFIG_WCE) | VIRTIO_BIT(VBLK_F_MQ);

	if (dev->read_only)
		return f | VIRTIO_BIT(VBLK_F_RO);
	if (lim->discard_max && !opts->no_discard)
		f |= VIRTIO_BIT(VBLK_F_DISCARD);
	if (lim->zeroes_max && !opts->no_write_zeroes)
		f |= VIRTIO_BIT(VBLK_F_WRITE_ZEROES);
	return f;
}

/* Sectors of one segment: what the bdev takes at once, in whole blocks. */
static uint32_t range_sectors_max(const struct bdev_limits *lim, uint64_t bytes)
{
	uint64_t sectors = CC_ALIGN_DOWN(bytes, lim->block_bytes) >> VBLK_SECTOR_SHIFT;

	return (uint32_t)CC_MIN(sectors, (uint64_t)VBLK_RANGE_SECTORS_MAX);
}

static int opts_check(const struct vblk_opts *opts, struct errbuf *eb)
{
	if (opts->nqueues < 1 || opts->nqueues > VDEV_QUEUES_MAX)
		return errbuf_set(eb, -EINVAL, "%u queues: 1 to %u are possible", opts->nqueues,
				  VDEV_QUEUES_MAX);
	if (opts->seg_max > VBLK_SEG_MAX_DEFAULT)
		return errbuf_set(eb, -EINVAL, "seg_max %u: at most %u are possible", opts->seg_max,
				  VBLK_SEG_MAX_DEFAULT);
	if (opts->serial && strlen(opts->serial) > VBLK_ID_BYTES)
		return errbuf_set(eb, -EINVAL, "serial \"%s\": longer than %u bytes", opts->serial,
				  VBLK_ID_BYTES);
	return 0;
}

int vblk_create(struct bdev *bdev, const struct vblk_opts *opts, struct vblk **ret_dev,
		struct errbuf *eb)
{
	const char *id = opts->serial ? opts->serial : bdev->id;
	struct vblk *dev;
	int err;

	err = opts_check(opts, eb);
	if (err)
		return err;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return errbuf_set(eb, -ENOMEM, "out of memory for disk %s", bdev->name);
	vdev_init(&dev->vdev, &vblk_ops, opts->nqueues);
	dev->bdev = bdev;
	dev->read_only = opts->read_only || bdev->lim.read_only;
	dev->seg_max = opts->seg_max ? opts->seg_max : VBLK_SEG_MAX_DEFAULT;
	dev->discard_sectors_max = range_sectors_max(&bdev->lim, bdev->lim.discard_max);
	dev->zeroes_sectors_max = range_sectors_max(&bdev->lim, bdev->lim.zeroes_max);
	dev->features = features_make(dev, opts);
	dev->writeback_initial = bdev->lim.has_flush && !opts->write_through;
	memcpy(dev->id, id, strnlen(id, VBLK_ID_BYTES));
	vblk_reset(&dev->vdev);
	bdev_listener_add(bdev, &dev->listener, vblk_resized);
	*ret_dev = dev;
	return 0;
}

void vblk_destroy(struct vblk *dev)
{
	if (!dev)
		return;
	bdev_listener_del(&dev->listener);
	free(dev);
}

struct vdev *vblk_vdev(struct vblk *dev)
{
	return &dev->vdev;
}

const struct bio *vblk_queue_inflight(const struct vdev_queue *q, unsigned i)
{
	const struct vblk_req *req;

	if (q->dev->ops != &vblk_ops || i >= q->vq.size)
		return NULL;
	req = &((const struct vblk_req *)q->slots)[i];
	/* what was pushed in order and waits for its turn has no I/O any more */
	return req->elem.inflight && !req->elem.done ? &req->bio : NULL;
}
