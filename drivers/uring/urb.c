/* SPDX-License-Identifier: BSD-3-Clause */
/* A file or block device as a disk: open, resize, close. */
#include "drivers/uring/urb.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_TAG "file"
#include "core/base/log.h"
#include "drivers/uri.h"
#include "drivers/uring/urb_lock_priv.h"
#include "drivers/uring/urb_pin_priv.h"
#include "drivers/uring/urb_priv.h"

#define URB_DEPTH	128
#define URB_CREATE_MODE 0600 /* a disk's content is nobody else's business */

enum {
	LOCKING_AUTO,
	LOCKING_ON,
	LOCKING_OFF,
};

enum {
	DIRECT_OFF,
	DIRECT_MUST,
	DIRECT_TRY,
};

struct urb_conf {
	char path[PATH_MAX];
	uint64_t direct, fixed, ro, locking, depth, block, size, create, discard;
	unsigned lock_wait_ms;
	bool created; /* by us, just now */
};

static int conf_parse(const char *text, const struct urb_opts *opts, struct urb_conf *conf,
		      struct errbuf *eb)
{
	static const char *const locking[] = { "auto", "on", "off", NULL };
	/* In the order of enum urb_discard. */
	static const char *const discard[] = { "off", "punch", "command", "ioctl", "auto", NULL };
	const struct uri_opt table[] = {
		{ "direct", URI_FLAG, 0, 1, NULL, &conf->direct },
		{ "fixed", URI_FLAG, 0, 1, NULL, &conf->fixed },
		{ "ro", URI_FLAG, 0, 1, NULL, &conf->ro },
		{ "locking", URI_CHOICE, 0, 0, locking, &conf->locking },
		{ "depth", URI_NUMBER, 1, BDEV_DEPTH_MAX, NULL, &conf->depth },
		{ "block", URI_SIZE, 512, BDEV_BLOCK_MAX, NULL, &conf->block },
		{ "size", URI_SIZE, 512, INT64_MAX, NULL, &conf->size },
		{ "create", URI_FLAG, 0, 1, NULL, &conf->create },
		{ "discard", URI_CHOICE, 0, 0, discard, &conf->discard },
	};
	int err;

	*conf = (struct urb_conf){ .direct = DIRECT_TRY,
				   .depth = URB_DEPTH,
				   .discard = URB_DISCARD_AUTO };
	err = uri_parse(text, conf->path, sizeof(conf->path), table, ARRAY_SIZE(table), eb);
	if (err)
		return err;
	conf->ro |= opts->read_only;
	conf->lock_wait_ms = opts->lock_wait_ms;
	if (!conf->path[0])
		return errbuf_set(eb, -EINVAL, "the path is missing (file:PATH)");
	if (conf->fixed && conf->direct == DIRECT_OFF)
		return errbuf_set(eb, -EINVAL, "option fixed=1 does not go with direct=0");
	if (conf->block && !CC_IS_POW2(conf->block))
		return errbuf_set(eb, -EINVAL, "option block: a power of two is expected");
	if (conf->create != (conf->size != 0))
		return errbuf_set(eb, -EINVAL, "options create=1 and size= go together");
	if (conf->create && conf->ro)
		return errbuf_set(eb, -EINVAL, "option create=1 does not go with read-only");
	if (conf->size % CC_MAX(conf->block, 512))
		return errbuf_set(eb, -EINVAL, "option size: a multiple of the block is expected");
	return 0;
}

/* Before open(), which would wait for the other end of a FIFO. */
static int kind_check(const struct stat *st, struct errbuf *eb)
{
	if (S_ISDIR(st->st_mode))
		return errbuf_set(eb, -EISDIR, "is a directory");
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return errbuf_set(eb, -EINVAL, "is neither a regular file nor a block device");
	return 0;
}

static int fd_open(struct urb_conf *conf, int *ret_fd, struct errbuf *eb)
{
	int flags = (conf->ro ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY;
	int err, fd = -1;
	struct stat st;

	if (conf->create) {
		fd = open(conf->path, flags | O_CREAT | O_EXCL, URB_CREATE_MODE);
		if (fd < 0 && errno != EEXIST)
			return errbuf_set(eb, -errno, "cannot be created: %s", strerror(errno));
		conf->created = fd >= 0;
	}
	if (fd < 0) {
		if (stat(conf->path, &st))
			return errbuf_set(eb, -errno, "%s", strerror(errno));
		err = kind_check(&st, eb);
		if (err)
			return err;
		fd = open(conf->path, flags);
		if (fd < 0 && !conf->ro && (errno == EACCES || errno == EROFS || errno == EPERM))
			return errbuf_set(eb, -errno,
					  "%s for writing; use ro=1, or mend the permissions",
					  strerror(errno));
		if (fd < 0)
			return errbuf_set(eb, -errno, "%s", strerror(errno));
	}
	*ret_fd = fd;
	return 0;
}

static int fd_lock(int fd, const struct urb_conf *conf, bool *ret_locked, struct errbuf *eb)
{
	char holder[URB_HOLDER_MAX];
	int err;

	*ret_locked = false;
	if (conf->locking == LOCKING_OFF)
		return 0;
	err = urb_lock_take(fd, conf->ro, conf->lock_wait_ms);
	if (err == -EBUSY) {
		urb_lock_holder(fd, holder);
		return errbuf_set(eb, err, "is in use by %s (image lock); stop it or use locking=off", holder);
	}
	if (err && conf->locking == LOCKING_ON)
		return errbuf_set(eb, err, "image locks do not work here (%s); use locking=off",
				  strerror(-err));
	if (err)
		log_notice("%s: no image locks here (%s), going on without", conf->path,
			   strerror(-err));
	*ret_locked = !err;
	return 0;
}

/* Under the lock: a new file gets its size, an old one must have it. */
static int fd_size(int fd, const struct urb_conf *conf, struct errbuf *eb)
{
	uint64_t bytes;
	struct stat st;
	int err;

	if (!conf->create)
		return 0;
	if (conf->created && ftruncate(fd, (off_t)conf->size))
		return errbuf_set(eb, -errno, "cannot get %llu bytes: %s",
				  (unsigned long long)conf->size, strerror(errno));
	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	err = urb_probe_bytes(fd, S_ISBLK(st.st_mode), &bytes);
	if (err)
		return errbuf_set(eb, err, "size unknown: %s", strerror(-err));
	if (bytes != conf->size)
		return errbuf_set(eb, -EEXIST, "exists already, with %llu bytes instead of %llu",
				  (unsigned long long)bytes, (unsigned long long)conf->size);
	return 0;
}

/* The whole blocks of @bytes. */
static uint64_t whole_blocks(const char *what, uint64_t bytes, uint32_t block)
{
	uint64_t whole = CC_ALIGN_DOWN(bytes, (uint64_t)block);

	if (whole != bytes)
		log_notice("%s: the last %llu bytes are less than a block of %u and not part of "
			   "the disk",
			   what, (unsigned long long)(bytes - whole), block);
	return whole;
}

static int block_choose(const struct urb_conf *conf, const struct urb_shape *shape, uint32_t *ret,
			struct errbuf *eb)
{
	if (conf->block && conf->block < shape->block_bytes)
		return errbuf_set(eb, -EINVAL, "option block: at least %u is needed here%s",
				  shape->block_bytes, shape->is_blk ? "" : ", or direct=0");
	*ret = conf->block ? (uint32_t)conf->block : shape->block_bytes;
	if (!conf->block && !shape->is_blk && *ret > 512)
		log_notice("%s: logical blocks of %u bytes, as direct I/O wants it here; "
			   "direct=0 gives 512",
			   conf->path, *ret);
	return 0;
}

static int urb_resize(struct bdev *bdev, uint64_t bytes, uint64_t *ret_bytes, struct errbuf *eb)
{
	struct urb *dev = container_of(bdev, struct urb, bdev);
	uint64_t now;
	int err = 0;

	if (bytes && dev->is_blk)
		return errbuf_set(eb, -EOPNOTSUPP,
				  "a block device is resized by its own tools; "
				  "afterwards ask for a new look at it");
	if (bytes && bdev->lim.read_only)
		return errbuf_set(eb, -EROFS, "is open read-only");
	if (bytes % bdev->lim.block_bytes || bytes > INT64_MAX)
		return errbuf_set(eb, -EINVAL, "the size must be a multiple of %u bytes",
				  bdev->lim.block_bytes);
	if (bytes) {
		if (dev->is_locked)
			err = urb_lock_resize_begin(dev->fd);
		if (err)
			return errbuf_set(eb, err,
					  "another process relies on the size (image lock)");
		if (ftruncate(dev->fd, (off_t)bytes))
			err = -errno;
		if (dev->is_locked)
			urb_lock_resize_end(dev->fd);
		if (err)
			return errbuf_set(eb, err, "%s", strerror(-err));
	}
	err = urb_probe_bytes(dev->fd, dev->is_blk, &now);
	if (err)
		return errbuf_set(eb, err, "size unknown: %s", strerror(-err));
	*ret_bytes = whole_blocks(bdev->name, now, bdev->lim.block_bytes);
	return 0;
}

/* Accepts a half-built one. */
static void urb_destroy(struct urb *dev)
{
	if (!dev)
		return;
	urb_discard_thread_destroy(dev->discard_thread);
	if (dev->is_fixed)
		urb_pin_put();
	if (dev->zeroes)
		(void)munmap((void *)(uintptr_t)dev->zeroes, URB_ZEROES_BYTES);
	if (dev->is_locked)
		urb_lock_release(dev->fd);
	if (dev->fd >= 0)
		(void)close(dev->fd); /* what was to be durable was flushed */
	free(dev);
}

static void urb_close(struct bdev *bdev)
{
	urb_destroy(container_of(bdev, struct urb, bdev));
}

static const struct bdev_ops urb_ops = {
	.name = "file",
	.close = urb_close,
	.chan_create = urb_chan_create,
	.chan_destroy = urb_chan_destroy,
	.chan_start = urb_chan_start,
	.chan_stop = urb_chan_stop,
	.submit = urb_chan_submit,
	.resize = urb_resize,
};

static int discard_choose(struct urb *dev, const struct urb_conf *conf,
			  const struct urb_shape *shape, struct errbuf *eb)
{
	int err;

	dev->discard = conf->discard == URB_DISCARD_AUTO ? shape->discard
							 : (enum urb_discard)conf->discard;
	if (dev->discard > URB_DISCARD_PUNCH && !shape->is_blk)
		return errbuf_set(eb, -EINVAL, "option discard: this one is for block devices");
	if (dev->discard != URB_DISCARD_IOCTL || conf->ro)
		return 0;
	err = urb_discard_thread_create(dev->fd, &dev->discard_thread);
	return err ? errbuf_set(eb, err, "no thread for discards: %s", strerror(-err)) : 0;
}

/* Registered buffers are for speed alone: without them the disk works as well. */
static void fixed_choose(struct urb *dev, const struct urb_conf *conf)
{
	struct errbuf eb = { "no direct I/O here" };

	if (!conf->fixed)
		return;
	dev->is_fixed = dev->is_direct && !urb_pin_get(&eb);
	if (!dev->is_fixed)
		log_notice("%s: fixed=1: %s; going on without", conf->path, eb.text);
}

/* The open and locked file becomes a device. */
static int dev_init(struct urb *dev, const struct urb_conf *conf, struct errbuf *eb)
{
	struct urb_shape shape;
	uint32_t block = 0;
	void *zeroes;
	int err = urb_probe(dev->fd, (unsigned)conf->direct, conf->ro, &shape, eb);

	if (!err)
		err = block_choose(conf, &shape, &block, eb);
	if (!err)
		err = discard_choose(dev, conf, &shape, eb);
	if (err)
		return err;
	if (conf->direct == DIRECT_TRY && !shape.is_direct)
		log_notice("%s: no direct I/O here, going through the page cache", conf->path);
	dev->is_blk = shape.is_blk;
	dev->is_direct = shape.is_direct;
	dev->io_align = shape.io_align;
	fixed_choose(dev, conf);
	shape.bytes = whole_blocks(conf->path, shape.bytes, block);
	if (!shape.bytes)
		return errbuf_set(eb, -EINVAL, "is empty; give it a size (truncate -s 1G FILE)");
	zeroes = mmap(NULL, URB_ZEROES_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (zeroes == MAP_FAILED)
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	dev->zeroes = zeroes;
	err = bdev_init(&dev->bdev, &urb_ops, shape.bytes,
			&(struct bdev_limits){
				.block_bytes = block,
				.phys_bytes = CC_MAX(block, shape.phys_bytes),
				.opt_io_bytes = shape.opt_io_bytes,
				.buf_align = shape.io_align,
				.depth = (uint32_t)conf->depth,
				.iovs_max = BDEV_IOVS_MAX,
				.bytes_max = URB_BYTES_MAX,
				.discard_max = dev->discard ? URB_RANGE_MAX : 0,
				.discard_align = CC_MAX(block, shape.phys_bytes),
				.zeroes_max = URB_RANGE_MAX, /* by writing them, at worst */
				.read_only = conf->ro,
				.has_flush = true,
				.has_fua = true,
				.rotational = shape.rotational,
			});
	if (err)
		return errbuf_set(eb, err, "impossible limits");
	dev->bdev.numa_node = shape.numa_node;
	urb_probe_shares(dev->fd, dev->bdev.shares);
	return 0;
}

int urb_open(const char *text, const struct urb_opts *opts, struct bdev **ret_bdev,
	     struct errbuf *eb)
{
	struct urb_conf conf;
	struct urb *dev;
	int err = conf_parse(text, opts, &conf, eb);

	if (!err)
		err = urb_probe_ring(eb);
	if (err)
		return err;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	dev->fd = -1;
	err = fd_open(&conf, &dev->fd, eb);
	if (!err)
		err = fd_lock(dev->fd, &conf, &dev->is_locked, eb);
	if (!err)
		err = fd_size(dev->fd, &conf, eb);
	if (!err)
		err = dev_init(dev, &conf, eb);
	if (err) {
		if (conf.created)
			(void)unlink(conf.path);
		urb_destroy(dev);
		return err;
	}
	*ret_bdev = &dev->bdev;
	return 0;
}
