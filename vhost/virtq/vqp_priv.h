/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the two files of the packed layout: its flags and its ring arithmetic. */
#ifndef VHOST_VIRTQ_VQP_PRIV_H
#define VHOST_VIRTQ_VQP_PRIV_H

#include "vhost/virtq/vq_priv.h"

#define VQP_WRITE    ((uint64_t)VIRTQ_DESC_F_WRITE << 48)
#define VQP_NEXT     ((uint64_t)VIRTQ_DESC_F_NEXT << 48)
#define VQP_INDIRECT ((uint64_t)VIRTQ_DESC_F_INDIRECT << 48)
#define VQP_STATE    (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

/* One step of @n descriptors along the ring. */
static cc_always_inline void vqp_advance(const struct vq *vq, uint16_t *idx, bool *wrap, unsigned n)
{
	unsigned next = *idx + n;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*idx = (uint16_t)next;
}

static cc_always_inline bool vqp_is_avail(const struct vq *vq, uint64_t hi)
{
	return (VQP_HI_FLAGS(hi) & VQP_STATE) ==
	       (vq->avail_wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED);
}

#endif
