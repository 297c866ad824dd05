/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end half from outside: open, close, and on to the next server.
 *
 *   open ──► negotiate ─ memory, queues ─ start ──► RUNNING ─ the socket ends ─► dead ──► (-EPIPE)
 * ──► reconnect ▲                                                │ └── start ─ rings kept (inflight
 * region) or refilled
 */
#include "vhost/client/virtio_user_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "vhost/user/vu_wire.h"

#define QUEUE_SIZE_DEFAULT 128
#define RETRY_NS	   (20 * MONO_NS_PER_MS) /* after a handshake that failed */

static int opts_check(struct virtio_user *vu, struct errbuf *eb)
{
	struct virtio_user_opts *o = &vu->opts;

	if (o->nqueues > VIRTIO_USER_QUEUES_MAX)
		return errbuf_set(eb, -EINVAL, "%u queues are more than %u", o->nqueues,
				  VIRTIO_USER_QUEUES_MAX);
	vu->nqueues = (uint16_t)(o->nqueues ? o->nqueues : 1); /* what close looks at: never more */
	vu->queue_size = o->queue_size ? o->queue_size : QUEUE_SIZE_DEFAULT;
	vu->depth = o->depth ? o->depth : vu->queue_size;
	if (!CC_IS_POW2(vu->queue_size) || vu->queue_size < 4 ||
	    vu->queue_size > VIRTIO_USER_SIZE_MAX)
		return errbuf_set(eb, -EINVAL, "a ring has 4 to %u entries, a power of two, not %u",
				  VIRTIO_USER_SIZE_MAX, vu->queue_size);
	if (vu->depth > vu->queue_size)
		return errbuf_set(eb, -EINVAL, "depth %u is more than the ring's %u", vu->depth,
				  vu->queue_size);
	return 0;
}

int virtio_user_open(const struct virtio_user_opts *opts, struct virtio_user **ret_vu,
		     struct errbuf *eb)
{
	struct virtio_user *vu = calloc(1, sizeof(*vu));
	int err;

	if (!vu)
		return errbuf_set(eb, -ENOMEM, "no memory");
	vu->opts = *opts;
	vu->sock = vu->backend_fd = vu->inflight_fd = vu->mem.fd = -1;
	pthread_mutex_init(&vu->lock, NULL);
	for (unsigned i = 0; i < VIRTIO_USER_QUEUES_MAX; i++)
		vu->queues[i].kick_fd = vu->queues[i].call_fd = vu->queues[i].err_fd = -1;
	vu->path = strdup(opts->path);
	err = vu->path ? opts_check(vu, eb) : errbuf_set(eb, -ENOMEM, "no memory");
	if (!err)
		err = virtio_user_negotiate(vu, true, opts->connect_ms, eb);
	if (!err)
		err = virtio_user_mem_create(vu, eb);
	if (!err)
		err = virtio_user_start(vu, eb);
	if (err) {
		virtio_user_disconnect(vu);
		virtio_user_close(vu);
		return err;
	}
	*ret_vu = vu;
	return 0;
}

void virtio_user_close(struct virtio_user *vu)
{
	if (!vu)
		return;
	virtio_user_stop(vu);
	virtio_user_disconnect(vu);
	virtio_user_mem_destroy(vu);
	if (vu->inflight_fd >= 0)
		close(vu->inflight_fd);
	pthread_mutex_destroy(&vu->lock);
	free(vu->path);
	free(vu);
}

static int rings_prepare(struct virtio_user *vu, struct errbuf *eb)
{
	int err = 0;

	virtio_user_choose_rings(vu);
	for (unsigned i = 0; i < vu->nqueues && !err && vu->fresh_rings; i++)
		err = virtio_user_queue_restart(&vu->queues[i]);
	return err ? errbuf_set(eb, err, "%s: cannot fill the rings again", vu->path) : 0;
}

static int reconnect_once(struct virtio_user *vu, unsigned timeout_ms, struct errbuf *eb)
{
	int err;

	pthread_mutex_lock(&vu->lock);
	err = virtio_user_negotiate(vu, false, timeout_ms, eb);
	if (!err)
		err = rings_prepare(vu, eb);
	if (!err)
		err = virtio_user_start(vu, eb);
	if (err)
		virtio_user_disconnect(vu);
	else
		__atomic_store_n(&vu->dead, false, __ATOMIC_RELEASE); /* memory that comes from now on is told */
	pthread_mutex_unlock(&vu->lock);
	return err;
}

int virtio_user_reconnect(struct virtio_user *vu, unsigned timeout_ms, struct errbuf *eb)
{
	const struct timespec nap = { .tv_nsec = RETRY_NS };
	uint64_t now = mono_ns(), end = now + timeout_ms * MONO_NS_PER_MS;
	int err;

	/* The old device writes no more: it is gone, or it has closed its end. Who has memory to tell of may be at the socket. */
	pthread_mutex_lock(&vu->lock);
	__atomic_store_n(&vu->dead, true, __ATOMIC_RELEASE);
	virtio_user_disconnect(vu);
	pthread_mutex_unlock(&vu->lock);
	for (unsigned i = 0; i < vu->nqueues; i++)
		virtio_user_queue_drain(&vu->queues[i]);
	for (;;) {
		err = reconnect_once(vu, (unsigned)((end - now) / MONO_NS_PER_MS), eb);
		now = mono_ns();
		/* A server that is just going down may have taken us; one that says no will say no
		 * again. */
		if ((err != -EPIPE && err != -ETIMEDOUT) || now >= end)
			break;
		nanosleep(&nap, NULL);
	}
	if (err)
		return err;
	for (unsigned i = 0; i < vu->nqueues; i++)
		virtio_user_queue_adopt(&vu->queues[i]);
	return 0;
}

int virtio_user_drop(struct virtio_user *vu)
{
	int err = 0;

	for (unsigned i = 0; i < vu->nqueues && !err; i++)
		err = virtio_user_queue_drop(&vu->queues[i]);
	/* a server that found the record would carry it out: fresh rings, fresh record */
	if (vu->inflight_fd >= 0)
		close(vu->inflight_fd);
	vu->inflight_fd = -1;
	return err;
}

void virtio_user_give_up(struct virtio_user *vu)
{
	__atomic_store_n(&vu->dead, true, __ATOMIC_RELEASE);
}

void virtio_user_get_info(struct virtio_user *vu, struct virtio_user_info *ret)
{
	const struct virtio_user_config *c = &vu->config;

	pthread_mutex_lock(&vu->lock);
	*ret = (struct virtio_user_info){
		.features = vu->features,
		.protocol_features = vu->protocol_features,
		.capacity_bytes = __atomic_load_n(&vu->capacity_bytes, __ATOMIC_RELAXED),
		.block_bytes = VIRTIO_USER_SECTOR,
		.seg_max = vu->segs_max,
		.size_max = UINT32_MAX,
		.nqueues_max = vu->nqueues_max,
		.read_only = vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_RO),
		.writeback = vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_FLUSH),
	};
	if (vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_BLK_SIZE))
		ret->block_bytes = le32_get(c->blk_size);
	if (vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_SIZE_MAX))
		ret->size_max = le32_get(c->size_max);
	if (vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_CONFIG_WCE))
		ret->writeback = c->writeback != 0;
	if (vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_DISCARD))
		ret->max_discard_sectors = le32_get(c->max_discard_sectors);
	if (vu->features & VIRTIO_BIT(VIRTIO_USER_BLK_F_WRITE_ZEROES))
		ret->max_write_zeroes_sectors = le32_get(c->max_write_zeroes_sectors);
	pthread_mutex_unlock(&vu->lock);
}

void virtio_user_get_trouble(struct virtio_user *vu, struct errbuf *ret)
{
	pthread_mutex_lock(&vu->lock);
	*ret = vu->trouble;
	pthread_mutex_unlock(&vu->lock);
}

struct virtio_user_queue *virtio_user_queue(struct virtio_user *vu, unsigned index)
{
	return index < vu->nqueues ? &vu->queues[index] : NULL;
}
