/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of the driver side. */
#ifndef VHOST_VIRTQ_VQD_PRIV_H
#define VHOST_VIRTQ_VQD_PRIV_H

#include <errno.h>

#include "core/base/barrier.h"
#include "core/base/cc.h"
#include "vhost/virtq/vqd.h"

struct vqd_slot {
	void *cookie;
	uint32_t in_bytes; /* the device may write so much */
	uint16_t next;	   /* free list; split: also the chain, which keeps its links */
	uint16_t last;	   /* split: of the chain */
	uint16_t ndesc;	   /* ring places it takes; 0: not with the device */
};

static cc_always_inline void vqd_sent(struct vqd *q, uint16_t id)
{
	q->nchains++;
	if (cc_unlikely(q->in_order))
		q->order[q->order_tail++ & q->order_mask] = id;
}

/*
 * Which chain does a used entry (@id, @written) end? Without IN_ORDER itself; with it the oldest
 * one, and the entry stays open until its own chain has its turn. NULL: the device lies.
 */
static cc_always_inline struct vqd_slot *vqd_match(struct vqd *q, uint16_t *id, uint32_t *written)
{
	struct vqd_slot *s = &q->slots[*id];

	if (cc_unlikely(*id >= q->c.size || s->ndesc == 0 || *written > s->in_bytes))
		return NULL;
	if (cc_unlikely(q->in_order)) {
		uint16_t oldest = q->order[q->order_head++ & q->order_mask];

		q->run_open = oldest != *id;
		q->run_id = *id;
		q->run_written = *written;
		if (q->run_open) {
			s = &q->slots[oldest];
			*id = oldest;
			*written = s->in_bytes; /* 2.7.9: passed over means written in full */
		}
	}
	return s;
}

int vqd_split_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect,
		  void *cookie);
bool vqd_split_publish(struct vqd *q);
bool vqd_split_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err);
bool vqd_split_call_enable(struct vqd *q);
void vqd_split_call_disable(struct vqd *q);

int vqd_packed_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect,
		   void *cookie);
bool vqd_packed_publish(struct vqd *q);
bool vqd_packed_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err);
bool vqd_packed_call_enable(struct vqd *q);
void vqd_packed_call_disable(struct vqd *q);

/* One write to the kick eventfd. */
bool vqd_kick(struct vqd *q);

#endif
