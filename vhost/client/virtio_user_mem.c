/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory a front-end shares with its device: queues first, then what virtio_user_alloc gives
 * out. */
#include "vhost/client/virtio_user_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MEMORY_BYTES_DEFAULT (64ull << 20)
#define MEMORY_BYTES_MAX     (1ull << 40)
#define ALLOC_ALIGN	     4096u

static int queues_init(struct virtio_user *vu)
{
	size_t each = virtio_user_queue_bytes(vu->queue_size, vu->segs_max);
	int err = 0;

	for (unsigned i = 0; i < vu->nqueues && !err; i++) {
		err = virtio_user_queue_init(vu, i, (char *)vu->mem.va + vu->alloc_at);
		vu->alloc_at += each;
	}
	return err;
}

int virtio_user_mem_create(struct virtio_user *vu, struct errbuf *eb)
{
	size_t data = vu->opts.memory_bytes ? vu->opts.memory_bytes : MEMORY_BYTES_DEFAULT;
	size_t rings = virtio_user_queue_bytes(vu->queue_size, vu->segs_max) * vu->nqueues;
	int err;

	if (data > MEMORY_BYTES_MAX)
		return errbuf_set(eb, -EINVAL, "memory_bytes is more than 1 TiB");
	err = hugemem_alloc(&vu->mem, rings + CC_ALIGN_UP(data, ALLOC_ALIGN), "virtio-user");
	if (err)
		return errbuf_set(eb, err, "no %zu bytes of shared memory", rings + data);
	vu->regions[0] = (struct virtio_user_region){ vu->mem.va, vu->mem.len, vu->mem.fd, 0 };
	vu->nregions = 1;
	err = queues_init(vu);
	return err ? errbuf_set(eb, err, "cannot set up the queues") : 0;
}

void virtio_user_mem_destroy(struct virtio_user *vu)
{
	for (unsigned i = 0; i < vu->nqueues; i++)
		virtio_user_queue_fini(&vu->queues[i]);
	for (unsigned i = 1; i < vu->nregions; i++)
		close(vu->regions[i].fd);
	hugemem_free(&vu->mem);
}

void *virtio_user_alloc(struct virtio_user *vu, size_t len)
{
	void *p;

	if (len == 0 || len > vu->mem.len - vu->alloc_at)
		return NULL;
	p = (char *)vu->mem.va + vu->alloc_at;
	vu->alloc_at += CC_MIN(CC_ALIGN_UP(len, ALLOC_ALIGN), vu->mem.len - vu->alloc_at);
	return p;
}

int virtio_user_add_memory(struct virtio_user *vu, void *va, size_t len, int fd, off_t off)
{
	int own, err;

	if (len == 0 || off < 0 || (((uintptr_t)va | len | (uint64_t)off) & (ALLOC_ALIGN - 1)))
		return -EINVAL;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	pthread_mutex_lock(&vu->lock);
	if (vu->nregions == vu->regions_max) {
		err = -ENOSPC;
	} else {
		vu->regions[vu->nregions] = (struct virtio_user_region){ va, len, own, (uint64_t)off };
		err = virtio_user_send_region(vu, vu->nregions);
	}
	if (!err)
		vu->nregions++;
	pthread_mutex_unlock(&vu->lock);
	if (err)
		close(own);
	return err;
}

int virtio_user_del_memory(struct virtio_user *vu, void *va, size_t len)
{
	int err = -ENOENT;

	pthread_mutex_lock(&vu->lock);
	for (unsigned i = 1; i < vu->nregions && err == -ENOENT; i++) {
		if (vu->regions[i].va != va || vu->regions[i].len != len)
			continue;
		err = virtio_user_drop_region(vu, i);
		close(vu->regions[i].fd);
		vu->regions[i] = vu->regions[--vu->nregions];
	}
	pthread_mutex_unlock(&vu->lock);
	return err;
}
