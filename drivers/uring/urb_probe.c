/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file or block device is and wants: size, blocks, alignment, discard. */
#include "drivers/uring/urb_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/numa.h"

#define ALIGN_GUESS 4096 /* direct I/O of this alignment works everywhere */

/* BLOCK_URING_CMD_DISCARD of <linux/blkdev.h>, which Debian 12's headers do not have yet. */
#define DISCARD_COMMAND _IO(0x12, 0)

void urb_prep_discard(struct io_uring_sqe *sqe, int fd, uint64_t off, uint64_t len)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = DISCARD_COMMAND;
	sqe->addr = off;
	sqe->addr3 = len;
}

int urb_probe_bytes(int fd, bool is_blk, uint64_t *ret_bytes)
{
	struct stat st;

	if (is_blk)
		return ioctl(fd, BLKGETSIZE64, ret_bytes) ? -errno : 0;
	if (fstat(fd, &st))
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

/* A number from /sys/dev/block/MAJOR:MINOR/queue/ (of the disk, when it is a partition); 0 when
 * there is none. */
static uint64_t queue_limit(dev_t dev, const char *name)
{
	unsigned long long v = 0;
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/%s", major(dev), minor(dev),
		       name);
	f = fopen(path, "re");
	if (!f) {
		(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/%s", major(dev),
			       minor(dev), name);
		f = fopen(path, "re");
	}
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &v) != 1)
		v = 0;
	(void)fclose(f);
	return v;
}

/* Does a direct read of 512 bytes work? Older kernels do not tell the alignment, so it is tried. */
static uint32_t align_by_trial(int fd)
{
	void *buf;
	ssize_t n;

	if (posix_memalign(&buf, ALIGN_GUESS, ALIGN_GUESS))
		return ALIGN_GUESS;
	n = pread(fd, (char *)buf + 512, 512, 512);
	free(buf);
	return n < 0 ? ALIGN_GUESS : 512;
}

/* Alignment of buffers, offsets and lengths for direct I/O; 0: there is none. */
static uint32_t direct_align(int fd)
{
	struct statx sx = { 0 };

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) && sx.stx_mask & STATX_DIOALIGN) {
		if (!sx.stx_dio_offset_align)
			return 0;
		/*
		 * The memory may be aligned less, but the length of each piece may not, and
		 * buf_align speaks of both.
		 */
		return CC_MAX(sx.stx_dio_mem_align, sx.stx_dio_offset_align);
	}
	return align_by_trial(fd);
}

/* 0 or -ENOTSUP. */
static int make_direct(int fd, struct urb_shape *shape)
{
	int flags = fcntl(fd, F_GETFL);
	uint32_t align;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT))
		return -ENOTSUP;
	align = direct_align(fd);
	if (!CC_IS_POW2(align) || align > BDEV_BLOCK_MAX) {
		(void)fcntl(fd, F_SETFL, flags);
		return -ENOTSUP;
	}
	shape->is_direct = true;
	shape->io_align = align;
	shape->block_bytes = CC_MAX(shape->block_bytes, align);
	return 0;
}

/*
 * Does the kernel take a discard through the ring? One of no bytes is refused in any case: as
 * invalid where the command is known, as not supported where it is not.
 */
static bool has_discard_command(int fd)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	bool has = false;

	if (io_uring_queue_init(1, &ring, 0))
		return false;
	sqe = io_uring_get_sqe(&ring);
	urb_prep_discard(sqe, fd, 0, 0);
	if (io_uring_submit(&ring) == 1 && !io_uring_wait_cqe(&ring, &cqe)) {
		has = cqe->res == -EINVAL;
		io_uring_cqe_seen(&ring, cqe);
	}
	io_uring_queue_exit(&ring);
	return has;
}

/* Punching a hole into a block device is "write zeroes, unmapping", and not emulated where the
 * device has no such thing. */
static enum urb_discard blk_discard(int fd, dev_t dev)
{
	if (!queue_limit(dev, "discard_max_bytes"))
		return URB_DISCARD_OFF;
	if (has_discard_command(fd))
		return URB_DISCARD_COMMAND;
	return queue_limit(dev, "write_zeroes_max_bytes") ? URB_DISCARD_PUNCH : URB_DISCARD_IOCTL;
}

static int probe_blk(int fd, const struct stat *st, struct urb_shape *shape)
{
	unsigned phys = 0, opt = 0;
	int lba = 0;

	if (ioctl(fd, BLKSSZGET, &lba) || lba <= 0)
		return -errno;
	(void)ioctl(fd, BLKPBSZGET, &phys); /* hints: 0 where they are missing */
	(void)ioctl(fd, BLKIOOPT, &opt);
	shape->block_bytes = CC_MAX((uint32_t)lba, 512u);
	shape->phys_bytes = phys;
	shape->opt_io_bytes = opt;
	shape->discard = blk_discard(fd, st->st_rdev);
	shape->rotational = queue_limit(st->st_rdev, "rotational") > 0;
	return 0;
}

static void probe_file(int fd, const struct stat *st, bool read_only, struct urb_shape *shape)
{
	shape->block_bytes = 512;
	shape->phys_bytes =
		st->st_blksize > 0 ? (uint32_t)CC_MIN(st->st_blksize, BDEV_BLOCK_MAX) : 0;
	/* Behind the end there is nothing to lose: this asks only whether the file system can. */
	if (!read_only &&
	    !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, st->st_size, 4096))
		shape->discard = URB_DISCARD_PUNCH;
}

int urb_probe(int fd, unsigned direct, bool read_only, struct urb_shape *ret, struct errbuf *eb)
{
	struct urb_shape shape = { .io_align = 1 };
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return errbuf_set(eb, -errno, "%s", strerror(errno));
	shape.is_blk = S_ISBLK(st.st_mode);
	shape.numa_node = numa_node_of_block("/sys", shape.is_blk ? st.st_rdev : st.st_dev);
	if (shape.is_blk) {
		err = probe_blk(fd, &st, &shape);
		if (err)
			return errbuf_set(eb, err, "block size unknown: %s", strerror(-err));
	} else {
		probe_file(fd, &st, read_only, &shape);
	}
	err = urb_probe_bytes(fd, shape.is_blk, &shape.bytes);
	if (err)
		return errbuf_set(eb, err, "size unknown: %s", strerror(-err));
	if (direct) {
		err = make_direct(fd, &shape);
		if (err && direct == 1)
			return errbuf_set(eb, err, "no direct I/O here; use direct=0");
	}
	if (!CC_IS_POW2(shape.phys_bytes) || shape.phys_bytes < shape.block_bytes)
		shape.phys_bytes = shape.block_bytes;
	*ret = shape;
	return 0;
}

int urb_probe_ring(struct errbuf *eb)
{
	struct io_uring ring;
	int err = io_uring_queue_init(1, &ring, 0);

	if (err == -EPERM)
		return errbuf_set(eb, err,
				  "io_uring is forbidden here (sysctl kernel.io_uring_disabled, "
				  "or a seccomp filter)");
	if (err == -ENOSYS)
		return errbuf_set(eb, err, "this kernel has no io_uring");
	if (err)
		return errbuf_set(eb, err, "io_uring: %s", strerror(-err));
	io_uring_queue_exit(&ring);
	return 0;
}

/* The disk that @dev is a partition of, or itself. */
static dev_t whole_disk(dev_t dev)
{
	unsigned maj, min;
	char path[128];
	int n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev),
		       minor(dev));
	if (access(path, F_OK))
		return dev;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	f = fopen(path, "re");
	if (!f)
		return dev;
	n = fscanf(f, "%u:%u", &maj, &min);
	(void)fclose(f);
	return n == 2 ? makedev(maj, min) : dev;
}

void urb_probe_shares(int fd, char ret_shares[BDEV_SHARES_MAX])
{
	struct stat st;
	dev_t dev = 0;

	if (!fstat(fd, &st))
		dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	ret_shares[0] = '\0';
	if (!major(dev))
		return;
	dev = whole_disk(dev);
	(void)snprintf(ret_shares, BDEV_SHARES_MAX, "dev %u:%u", major(dev), minor(dev));
}
