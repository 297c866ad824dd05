/* SPDX-License-Identifier: BSD-3-Clause */
/* The public library's face: stable names and structures over the front-end half. */
#include "vhost/client/nvring_client.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cc.h"
#include "core/base/errbuf.h"
#include "core/base/mono.h"
#include "vhost/client/virtio_user.h"

#define SECTOR	      512u
#define FLAGS	      (NVRC_PACKED | NVRC_SLEEP | NVRC_NO_INFLIGHT)
#define OPTS_BYTES_V0  (offsetof(struct nvrc_opts, arg) + sizeof(void *))
#define OPTS_BYTES_MAX 4096 /* more is no structure of any version */

/* struct nvrc is struct virtio_user, and so are the queues: no call in between costs anything. */
static_assert(sizeof(struct nvrc_result) == sizeof(struct virtio_user_done) &&
		      offsetof(struct nvrc_result, cookie) == offsetof(struct virtio_user_done, cookie) &&
		      offsetof(struct nvrc_result, status) == offsetof(struct virtio_user_done, status),
	      "one is handed on as the other");
static_assert((int)NVRC_READ == (int)VIRTIO_USER_READ && (int)NVRC_WRITE == (int)VIRTIO_USER_WRITE &&
		      (int)NVRC_FLUSH == (int)VIRTIO_USER_FLUSH && (int)NVRC_DISCARD == (int)VIRTIO_USER_DISCARD &&
		      (int)NVRC_WRITE_ZEROES == (int)VIRTIO_USER_WRITE_ZEROES &&
		      (int)NVRC_GET_ID == (int)VIRTIO_USER_GET_ID,
	      "the same codes");
static_assert(NVRC_FOREVER == UINT_MAX, "the same for ever");

static pthread_once_t clock_ready = PTHREAD_ONCE_INIT;

static struct virtio_user *inner(struct nvrc *disk)
{
	return (struct virtio_user *)disk;
}

static struct virtio_user_queue *inner_queue(struct nvrc_queue *q)
{
	return (struct virtio_user_queue *)q;
}

const char *nvrc_version(void)
{
	return NVRING_VERSION;
}

/* What an older program does not know is 0; what a newer one wants of us beyond what we know must be 0. */
static int opts_take(const struct nvrc_opts *from, struct nvrc_opts *to, struct errbuf *eb)
{
	const unsigned char *bytes = (const unsigned char *)from;

	if (from->size < OPTS_BYTES_V0 || from->size > OPTS_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "opts.size is %zu: set it to sizeof(struct nvrc_opts)", from->size);
	for (size_t i = sizeof(*to); i < from->size; i++) {
		if (bytes[i])
			return errbuf_set(eb, -EINVAL, "an option that version %s does not know", NVRING_VERSION);
	}
	*to = (struct nvrc_opts){ 0 };
	memcpy(to, from, CC_MIN(from->size, sizeof(*to)));
	if (to->flags & ~(uint32_t)FLAGS)
		return errbuf_set(eb, -EINVAL, "flags %#x: not known to version %s", to->flags, NVRING_VERSION);
	if (!to->path || !to->path[0])
		return errbuf_set(eb, -EINVAL, "no socket was named");
	if (to->ring > UINT16_MAX || to->depth > UINT16_MAX)
		return errbuf_set(eb, -EINVAL, "ring %u, depth %u: at most 1024", to->ring, to->depth);
	return 0;
}

int nvrc_open(const struct nvrc_opts *opts, struct nvrc **ret, char *why, size_t why_bytes)
{
	struct errbuf eb = { "" };
	struct virtio_user *vu;
	struct nvrc_opts o;
	int err = opts_take(opts, &o, &eb);

	(void)pthread_once(&clock_ready, mono_init);
	if (!err)
		err = virtio_user_open(
			&(struct virtio_user_opts){
				.path = o.path,
				.nqueues = o.queues,
				.queue_size = (uint16_t)o.ring,
				.depth = (uint16_t)o.depth,
				.packed = o.flags & NVRC_PACKED,
				.eventfd = o.flags & NVRC_SLEEP,
				.no_inflight = o.flags & NVRC_NO_INFLIGHT,
				.memory_bytes = o.memory_bytes,
				.connect_ms = o.connect_ms,
				.reconnect_ms = o.reconnect_ms,
				.resized = o.resized,
				.arg = o.arg,
			},
			&vu, &eb);
	if (!err)
		*ret = (struct nvrc *)vu;
	else if (why && why_bytes)
		(void)snprintf(why, why_bytes, "%s", eb.text);
	return err;
}

void nvrc_close(struct nvrc *disk)
{
	virtio_user_close(inner(disk));
}

int nvrc_get_info(struct nvrc *disk, struct nvrc_info *info)
{
	struct virtio_user_info i;
	struct nvrc_info n;
	size_t size = info->size;

	if (size < sizeof(size) || size > OPTS_BYTES_MAX)
		return -EINVAL;
	virtio_user_get_info(inner(disk), &i);
	n = (struct nvrc_info){
		.size = size,
		.bytes = i.capacity_bytes,
		.block_bytes = i.block_bytes,
		.segments_max = i.seg_max,
		.queues_max = i.nqueues_max,
		.read_only = i.read_only,
		.can_flush = i.writeback,
		.can_discard = i.max_discard_sectors != 0,
		.can_write_zeroes = i.max_write_zeroes_sectors != 0,
		.discard_bytes_max = (uint64_t)i.max_discard_sectors * SECTOR,
		.write_zeroes_bytes_max = (uint64_t)i.max_write_zeroes_sectors * SECTOR,
		.features = i.features,
		.protocol_features = i.protocol_features,
	};
	if (size > sizeof(n))
		memset((char *)info + sizeof(n), 0, size - sizeof(n));
	memcpy(info, &n, CC_MIN(size, sizeof(n)));
	return 0;
}

void nvrc_get_trouble(struct nvrc *disk, char *why, size_t why_bytes)
{
	struct errbuf eb;

	virtio_user_get_trouble(inner(disk), &eb);
	(void)snprintf(why, why_bytes, "%s", eb.text);
}

void *nvrc_alloc(struct nvrc *disk, size_t len)
{
	return virtio_user_alloc(inner(disk), len);
}

int nvrc_share(struct nvrc *disk, void *va, size_t len, int fd, off_t off)
{
	return virtio_user_add_memory(inner(disk), va, len, fd, off);
}

int nvrc_unshare(struct nvrc *disk, void *va, size_t len)
{
	return virtio_user_del_memory(inner(disk), va, len);
}

struct nvrc_queue *nvrc_queue(struct nvrc *disk, unsigned index)
{
	return (struct nvrc_queue *)virtio_user_queue(inner(disk), index);
}

int nvrc_submit(struct nvrc_queue *q, enum nvrc_op op, uint64_t off, uint64_t len, const struct iovec *iov,
		unsigned iovcnt, void *cookie)
{
	return virtio_user_submit(inner_queue(q), (enum virtio_user_op)op, off, len, iov, iovcnt, cookie);
}

void nvrc_push(struct nvrc_queue *q)
{
	virtio_user_flush(inner_queue(q));
}

unsigned nvrc_inflight(const struct nvrc_queue *q)
{
	return virtio_user_inflight((const struct virtio_user_queue *)q);
}

int nvrc_poll(struct nvrc_queue *q, struct nvrc_result *results, unsigned max)
{
	return virtio_user_poll(inner_queue(q), (struct virtio_user_done *)results, max);
}

int nvrc_wait(struct nvrc_queue *q, int timeout_ms)
{
	return virtio_user_wait(inner_queue(q), timeout_ms);
}

int nvrc_fd(const struct nvrc_queue *q)
{
	return virtio_user_fd((const struct virtio_user_queue *)q);
}

int nvrc_arm(struct nvrc_queue *q)
{
	return virtio_user_arm(inner_queue(q));
}

void nvrc_disarm(struct nvrc_queue *q)
{
	virtio_user_disarm(inner_queue(q));
}
