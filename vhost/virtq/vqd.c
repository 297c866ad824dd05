/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a virtqueue: what both layouts share. */
#include "vhost/virtq/vqd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/virtq/vqd_priv.h"

int vqd_init(struct vqd *q, const struct vqd_conf *conf)
{
	unsigned norder = 1;

	memset(q, 0, sizeof(*q));
	if (conf->size == 0 || conf->size > 32768 || (!conf->packed && !CC_IS_POW2(conf->size)))
		return -EINVAL;
	if (conf->indirect && conf->indirect_max == 0)
		return -EINVAL;
	q->c = *conf;
	q->mask = (uint16_t)(conf->size - 1);
	q->nfree = conf->size;
	q->avail_wrap = q->used_wrap = true;
	q->event_idx = conf->features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	q->in_order = conf->features & VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	while (norder < conf->size)
		norder *= 2;
	q->order_mask = (uint16_t)(norder - 1);
	q->slots = calloc(conf->size, sizeof(*q->slots));
	q->order = calloc(norder, sizeof(*q->order));
	if (!q->slots || !q->order) {
		vqd_fini(q);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < conf->size; i++)
		q->slots[i].next = (uint16_t)(i + 1);
	return 0;
}

void vqd_fini(struct vqd *q)
{
	free(q->order);
	free(q->slots);
	q->order = NULL;
	q->slots = NULL;
}

int vqd_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect, void *cookie)
{
	assert(n > 0);
	return q->c.packed ? vqd_packed_add(q, bufs, n, indirect, cookie)
			   : vqd_split_add(q, bufs, n, indirect, cookie);
}

bool vqd_publish(struct vqd *q)
{
	return q->c.packed ? vqd_packed_publish(q) : vqd_split_publish(q);
}

bool vqd_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err)
{
	*ret_err = 0;
	return q->c.packed ? vqd_packed_get(q, ret_cookie, ret_written, ret_err)
			   : vqd_split_get(q, ret_cookie, ret_written, ret_err);
}

bool vqd_call_enable(struct vqd *q)
{
	bool more = q->c.packed ? vqd_packed_call_enable(q) : vqd_split_call_enable(q);

	q->calls_off = false;
	return more || q->run_open;
}

void vqd_call_disable(struct vqd *q)
{
	if (q->calls_off)
		return;
	if (q->c.packed)
		vqd_packed_call_disable(q);
	else
		vqd_split_call_disable(q);
	q->calls_off = true;
}

bool vqd_kick(struct vqd *q)
{
	const uint64_t one = 1;

	q->kicks++;
	/* EAGAIN: the counter is full, so the device has been told; a dead device shows elsewhere
	 */
	return write(q->c.kick_fd, &one, sizeof(one)) == sizeof(one);
}
