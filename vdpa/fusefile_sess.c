/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   /dev/fuse ─► read into a free slot ─► libfuse ─► an operation below ─► fusefile_io ─► bdev
 *             ◄────────────── fuse_reply_* ◄── the slot's own request ◄── done ◄─────────┘
 *
 * Choices, and why:
 * - No splice: a pipe between us and /dev/fuse costs two system calls more for each request, and ends in memory that has to be
 *   copied again for DMA. Instead the data of a write is read to where it is aligned.
 * - direct_io: the kernel keeps no pages of the file. A loop device has its own; two users of the disk see each other's writes.
 *   So nobody can map the file shared.
 * - Attributes are asked for each time: a disk that has grown is seen by the next stat.
 * - O_TRUNC is ignored, as block devices do; ftruncate to another size is refused.
 * libfuse allocates for each request, under its own lock, which nobody else takes.
 */
#define FUSE_USE_VERSION 312
#include "vdpa/fusefile_sess.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/counter.h"

#define LOG_TAG "fuse"
#include "core/base/log.h"

#define POLL_MAX 64 /* requests in one poll: others want their turn too */

static struct fusefile_sess *sess_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/*
 * I/O
 */
static void put_slot(struct fusefile_sess *s, struct fusefile_slot *slot)
{
	slot->next = s->free;
	s->free = slot;
}

/* The slot that the request at hand came in is now taken by it. */
static struct fusefile_slot *take_slot(struct fusefile_sess *s, fuse_req_t req)
{
	struct fusefile_slot *slot = s->cur;

	assert(slot);
	s->cur = NULL;
	slot->req = req;
	return slot;
}

static void submit(struct fusefile_sess *s, struct fusefile_slot *slot)
{
	counter_add(s->ios, 1);
	fusefile_io_submit(&s->io, slot);
}

static void io_done(struct fusefile_slot *slot, int status)
{
	struct fusefile_sess *s = container_of(slot->io, struct fusefile_sess, io);
	fuse_req_t req = slot->req;

	/* A reply that fails has nobody who waits for it. */
	if (cc_unlikely(status)) {
		counter_add(s->errors, 1);
		(void)fuse_reply_err(req, -status);
	} else if (slot->op == FUSEFILE_READ) {
		(void)fuse_reply_buf(req, (const char *)fusefile_slot_bytes(slot), slot->len);
	} else if (slot->op == FUSEFILE_WRITE) {
		(void)fuse_reply_write(req, slot->len);
	} else {
		(void)fuse_reply_err(req, 0);
	}
	put_slot(s, slot);
	poller_wake(&s->poller); /* something may wait for a slot */
	poller_mark_dirty(&s->poller);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);
	uint64_t bytes = bdev_bytes(s->bdev), at = (uint64_t)off;
	struct fusefile_slot *slot;

	if (off < 0 || at >= bytes || !size) {
		(void)fuse_reply_buf(req, NULL, 0);
		return;
	}
	slot = take_slot(s, req);
	slot->op = FUSEFILE_READ;
	slot->bio_flags = 0;
	slot->off = at;
	slot->len = CC_MIN(CC_MIN((uint64_t)size, (uint64_t)s->io_bytes_max), bytes - at);
	submit(s, slot);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);
	uint64_t bytes = bdev_bytes(s->bdev), at = (uint64_t)off;
	struct fusefile_slot *slot;
	int err = 0;

	if (s->read_only)
		err = EROFS;
	else if (off < 0 || size > s->io_bytes_max)
		err = EINVAL;
	else if (size && at >= bytes)
		err = ENOSPC;
	if (err || !size) {
		(void)(err ? fuse_reply_err(req, err) : fuse_reply_write(req, 0));
		return;
	}
	slot = take_slot(s, req);
	slot->op = FUSEFILE_WRITE;
	slot->bio_flags = fi->flags & O_DSYNC ? BIO_FUA : 0;
	slot->off = at;
	slot->len = CC_MIN((uint64_t)size, bytes - at);
	if (cc_unlikely((const uint8_t *)buf != slot->data))
		memmove(slot->data, buf, slot->len);
	submit(s, slot);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);
	struct fusefile_slot *slot = take_slot(s, req);

	slot->op = FUSEFILE_FLUSH;
	slot->off = 0;
	slot->len = 0;
	submit(s, slot);
}

/* A hole must read as zeroes, which what is discarded need not: so WRITE_ZEROES, which frees blocks where it may. */
static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);
	uint64_t bytes = bdev_bytes(s->bdev), at = (uint64_t)off;
	struct fusefile_slot *slot;
	int kind = mode & ~FALLOC_FL_KEEP_SIZE;

	if (s->read_only || off < 0 || len <= 0) {
		(void)fuse_reply_err(req, s->read_only ? EROFS : EINVAL);
		return;
	}
	if (kind != FALLOC_FL_PUNCH_HOLE && kind != FALLOC_FL_ZERO_RANGE) {
		/* blocks are there already; more there are not */
		(void)fuse_reply_err(req, kind ? EOPNOTSUPP : (uint64_t)len > bytes || at > bytes - (uint64_t)len ? ENOSPC : 0);
		return;
	}
	if (at >= bytes) {
		(void)fuse_reply_err(req, 0);
		return;
	}
	slot = take_slot(s, req);
	slot->op = FUSEFILE_ZERO;
	slot->bio_flags = kind == FALLOC_FL_ZERO_RANGE ? BIO_NOUNMAP : 0;
	slot->off = at;
	slot->len = CC_MIN((uint64_t)len, bytes - at);
	submit(s, slot);
}

/*
 * The file as such
 */
static void reply_attr(fuse_req_t req)
{
	const struct fusefile_sess *s = sess_of(req);
	uint64_t bytes = bdev_bytes(s->bdev);
	struct stat st = {
		.st_ino = FUSE_ROOT_ID,
		.st_mode = S_IFREG | s->mode,
		.st_nlink = 1,
		.st_uid = s->uid,
		.st_gid = s->gid,
		.st_size = (off_t)bytes,
		.st_blocks = (blkcnt_t)(bytes / 512),
		.st_blksize = CC_MAX(s->bdev->lim.block_bytes, 4096u),
	};

	(void)fuse_reply_attr(req, &st, 0);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	reply_attr(req);
}

/* @fi: of ftruncate; without it a size is O_TRUNC's, or truncate()'s. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);

	if (to_set & FUSE_SET_ATTR_SIZE && (fi || attr->st_size) &&
	    (uint64_t)attr->st_size != bdev_bytes(s->bdev)) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	if (to_set & FUSE_SET_ATTR_MODE)
		s->mode = attr->st_mode & 0777;
	if (to_set & FUSE_SET_ATTR_UID)
		s->uid = attr->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		s->gid = attr->st_gid;
	reply_attr(req);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);

	if (s->read_only && (fi->flags & O_ACCMODE) != O_RDONLY) {
		(void)fuse_reply_err(req, EROFS);
		return;
	}
	fi->direct_io = 1;
	fi->keep_cache = 0;
	fi->noflush = 1;
	if (!fuse_reply_open(req, fi)) /* else whoever opened it has gone */
		counter_add(s->nopen, 1);
}

static void on_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fusefile_sess *s = sess_of(req);

	assert(s->nopen);
	counter_set(s->nopen, s->nopen - 1);
	(void)fuse_reply_err(req, 0);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fusefile_sess *s = userdata;

	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	conn->max_write = s->io_bytes_max;
	conn->max_read = s->io_bytes_max;
	conn->max_readahead = 0;
	conn->max_background = s->nslots;
	conn->congestion_threshold = s->nslots;
	s->is_ready = true;
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
};

/*
 * The reactor's part
 */
static void over(struct reactor_msg *msg)
{
	struct fusefile_sess *s = container_of(msg, struct fusefile_sess, over_msg);

	s->over(s);
}

static void end_if_last(struct fusefile_sess *s)
{
	if (!s->leaves || s->io.nheld)
		return;
	poller_detach(&s->poller);
	reactor_send(s->control, &s->over_msg, over);
}

/* Nobody reaches the file any more. */
static void shut(struct fusefile_sess *s, const char *why)
{
	s->is_gone = true;
	poller_set_fd(&s->poller, -1);
	if (!s->leaves)
		log_error("%s: the file is gone: %s", s->name, why);
}

/* The first message comes into memory of libfuse's choice: it is as long as libfuse can take, others as long as we said. */
static int receive(struct fusefile_sess *s, struct fuse_buf *buf)
{
	buf->mem = s->is_ready ? s->cur->mem : NULL;
	return fuse_session_receive_buf(s->fuse, buf);
}

/* True: a request was taken. */
static bool take_request(struct fusefile_sess *s)
{
	struct fuse_buf buf = { .size = 0 };
	bool is_first = !s->is_ready;
	int n;

	if (!s->cur) {
		s->cur = s->free;
		s->free = s->cur->next;
	}
	n = receive(s, &buf);
	if (n > 0)
		fuse_session_process_buf(s->fuse, &buf);
	else if (n == 0)
		shut(s, "somebody has unmounted it");
	else if (n != -EAGAIN && n != -EINTR)
		shut(s, strerror(-n));
	if (is_first)
		free(buf.mem);
	return n > 0;
}

static bool may_receive(const struct fusefile_sess *s)
{
	return !s->leaves && !s->is_gone && (s->cur || s->free);
}

static unsigned sess_poll(struct poller *p)
{
	struct fusefile_sess *s = container_of(p, struct fusefile_sess, poller);
	unsigned n = 0;

	while (n < POLL_MAX && may_receive(s) && take_request(s))
		n++;
	return n;
}

static void sess_flush(struct poller *p)
{
	end_if_last(container_of(p, struct fusefile_sess, poller));
}

static bool sess_arm(struct poller *p)
{
	struct fusefile_sess *s = container_of(p, struct fusefile_sess, poller);
	struct pollfd pfd = { .fd = fuse_session_fd(s->fuse), .events = POLLIN };

	return may_receive(s) && poll(&pfd, 1, 0) > 0;
}

static const struct poller_ops sess_ops = {
	.name = "fuse",
	.poll = sess_poll,
	.flush = sess_flush,
	.arm = sess_arm,
};

static void start_here(struct reactor_msg *msg)
{
	struct fusefile_sess *s = container_of(msg, struct fusefile_sess, start_msg);

	for (unsigned i = 0; i < s->nslots; i++)
		put_slot(s, &s->slots[i]);
	poller_attach(s->reactor, &s->poller, &sess_ops, fuse_session_fd(s->fuse));
}

void fusefile_sess_start(struct fusefile_sess *s, struct bdev_chan *chan)
{
	fusefile_io_init(&s->io, chan, io_done);
	reactor_send(s->reactor, &s->start_msg, start_here);
}

static void leave_here(struct reactor_msg *msg)
{
	struct fusefile_sess *s = container_of(msg, struct fusefile_sess, leave_msg);

	s->leaves = true;
	poller_mark_dirty(&s->poller);
}

void fusefile_sess_leave(struct fusefile_sess *s)
{
	reactor_send(s->reactor, &s->leave_msg, leave_here);
}

/*
 * Set-up
 */
__attribute__((format(printf, 2, 0))) static void log_line(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[256];

	(void)level;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_warn("%s", text);
}

int fusefile_sess_check(struct errbuf *eb)
{
	(void)eb;
	return 0;
}

int fusefile_sess_open(struct fusefile_sess *s, int fd, struct errbuf *eb)
{
	char max_read[32], place[32];
	char *argv[] = { (char *)"nvringd", (char *)"-o", max_read, NULL };
	struct fuse_args args = { .argc = 3, .argv = argv };

	fuse_set_log_func(log_line);
	s->mode = s->read_only ? 0400 : 0600;
	s->uid = geteuid();
	s->gid = getegid();
	/* it compares this with what on_init() says */
	snprintf(max_read, sizeof(max_read), "max_read=%u", s->io_bytes_max);
	snprintf(place, sizeof(place), "/dev/fd/%d", fd);
	s->fuse = fuse_session_new(&args, &ops, sizeof(ops), s);
	fuse_opt_free_args(&args);
	if (!s->fuse)
		return errbuf_set(eb, -ENOMEM, "libfuse makes no session: out of memory");
	if (fuse_session_mount(s->fuse, place)) {
		fuse_session_destroy(s->fuse);
		s->fuse = NULL;
		return errbuf_set(eb, -EIO, "libfuse does not take %s", place);
	}
	return 0;
}

void fusefile_sess_close(struct fusefile_sess *s)
{
	if (s->fuse)
		fuse_session_destroy(s->fuse);
	s->fuse = NULL;
}
