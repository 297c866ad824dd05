/* SPDX-License-Identifier: BSD-3-Clause */
/* The inflight log: one page of head, then a region for each queue, mapped and written in place. */
#include "vdpa/vduse_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "vhost/virtq/vqi.h"

#define LOG_MAGIC	"nvrvduse"
#define LOG_VERSION	1
#define LOG_HEAD_BYTES	4096

struct vduse_log_head {
	char magic[8];
	uint32_t version;
	uint32_t status;
	struct vduse_shape shape;
};
static_assert(sizeof(struct vduse_log_head) == 40, "no holes: it is compared as bytes");

/* A packed ring's is the larger one; which it will be is not known when the file is made. */
static size_t region_bytes(const struct vduse_shape *shape)
{
	return vqi_bytes(true, (uint16_t)shape->queue_size);
}

static size_t log_bytes(const struct vduse_shape *shape)
{
	return LOG_HEAD_BYTES + shape->nqueues * region_bytes(shape);
}

static int log_lock(struct vduse_log *log, struct stat *ret_st, struct errbuf *eb)
{
	log->fd = open(log->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (log->fd < 0)
		return errbuf_set(eb, -errno, "inflight log %.300s: %s", log->path, strerror(errno));
	if (flock(log->fd, LOCK_EX | LOCK_NB))
		return errbuf_set(eb, errno == EWOULDBLOCK ? -EBUSY : -errno,
				  "inflight log %.300s: %s", log->path,
				  errno == EWOULDBLOCK ? "another nvringd serves this device" :
							 strerror(errno));
	if (fstat(log->fd, ret_st))
		return errbuf_set(eb, -errno, "inflight log %.300s: %s", log->path, strerror(errno));
	if (!S_ISREG(ret_st->st_mode) || ret_st->st_uid != geteuid() || (ret_st->st_mode & 022))
		return errbuf_set(eb, -EPERM,
				  "inflight log %.300s: not a file that is ours alone: remove it",
				  log->path);
	return 0;
}

static int log_map(struct vduse_log *log, struct errbuf *eb)
{
	void *va = mmap(NULL, log->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);

	if (va == MAP_FAILED)
		return errbuf_set(eb, -errno, "inflight log %.300s: mmap: %s", log->path,
				  strerror(errno));
	log->head = va;
	return 0;
}

static bool log_fits(const struct vduse_log *log)
{
	return memcmp(log->head->magic, LOG_MAGIC, sizeof(log->head->magic)) == 0 &&
	       log->head->version == LOG_VERSION &&
	       memcmp(&log->head->shape, &log->shape, sizeof(log->shape)) == 0;
}

int vduse_log_open(struct vduse_log *log, const char *path, const struct vduse_shape *shape,
		   struct errbuf *eb)
{
	struct stat st;
	int err;

	*log = (struct vduse_log){ .fd = -1, .shape = *shape, .bytes = log_bytes(shape) };
	log->path = strdup(path);
	if (!log->path)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = log_lock(log, &st, eb);
	if (!err && (size_t)st.st_size == log->bytes) {
		err = log_map(log, eb);
		log->fits = !err && log_fits(log);
	}
	if (err) {
		vduse_log_close(log, false);
		return err;
	}
	log->is_new = st.st_size == 0;
	return 0;
}

/* All of it is there afterwards: a full file system is told here, and not by a signal later. */
int vduse_log_format(struct vduse_log *log, struct errbuf *eb)
{
	int err;

	if (!log->head) {
		err = ftruncate(log->fd, 0) ? errno : posix_fallocate(log->fd, 0, (off_t)log->bytes);
		if (err)
			return errbuf_set(eb, -err, "inflight log %.300s, %zu bytes: %s", log->path,
					  log->bytes, strerror(err));
		err = log_map(log, eb);
		if (err)
			return err;
	}
	memset(log->head, 0, log->bytes);
	log->head->version = LOG_VERSION;
	log->head->shape = log->shape;
	memcpy(log->head->magic, LOG_MAGIC, sizeof(log->head->magic));
	log->fits = true;
	return 0;
}

void vduse_log_close(struct vduse_log *log, bool remove)
{
	if (log->head)
		munmap(log->head, log->bytes);
	if (remove && log->fd >= 0)
		(void)unlink(log->path); /* a stale one does no harm: it is checked */
	if (log->fd >= 0)
		close(log->fd);
	free(log->path);
	*log = (struct vduse_log){ .fd = -1 };
}

uint8_t vduse_log_status(const struct vduse_log *log)
{
	return (uint8_t)log->head->status;
}

void vduse_log_set_status(struct vduse_log *log, uint8_t status)
{
	cc_write_once(log->head->status, status);
}

void *vduse_log_region(const struct vduse_log *log, unsigned index)
{
	return (char *)log->head + LOG_HEAD_BYTES + index * region_bytes(&log->shape);
}
