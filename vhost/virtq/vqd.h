/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver side of a virtqueue, split and packed: for virtio-user clients, the load generator and the fuzzers. */
#ifndef VHOST_VIRTQ_VQD_H
#define VHOST_VIRTQ_VQD_H

#include <stdbool.h>
#include <stdint.h>

#include "vhost/virtq/virtio_spec.h"

struct vqd_buf {
	uint64_t addr; /* as the device shall see it (gpa) */
	uint32_t len;
	bool device_writes;
};

struct vqd_conf {
	uint16_t size;
	bool packed;
	uint64_t features;
	void *desc, *avail, *used; /* zeroed memory of the driver; packed: ring, driver event, device event */
	/* indirect tables: size rows of indirect_max descriptors, ours and as the device sees them; NULL: direct only */
	void *indirect;
	uint64_t indirect_gpa;
	uint16_t indirect_max;
	int kick_fd; /* written when the device wants it; -1: never */
};

struct vqd {
	struct vqd_conf c;
	uint16_t mask, nfree, free_head; /* free descriptors; packed: ring places, free_head is an id */
	uint16_t nchains;		 /* in the device's hands */
	uint16_t avail_idx, avail_pub; /* next to fill; published */
	uint16_t used_idx;	       /* next to look at */
	uint16_t used_seen;	       /* split: the device's index as last read */
	bool avail_wrap, used_wrap, event_idx, in_order, calls_off;
	uint16_t first_flags, first_at; /* packed: held back until publish */
	bool batch_open;
	/* in order: ring of heads / ids as added; a used entry may stand for all up to run_id */
	bool run_open;
	uint16_t run_id;
	uint32_t run_written;
	uint16_t *order, order_head, order_tail, order_mask;
	struct vqd_slot *slots; /* per head / id: next free, descriptors taken, cookie */
	uint64_t kicks;
};

/* 0, -EINVAL, -ENOMEM. The device starts at index 0 (packed: wrap counters 1). */
int vqd_init(struct vqd *q, const struct vqd_conf *conf);
void vqd_fini(struct vqd *q);

/**
 * vqd_add - put one chain of @n buffers (readable ones first) into the ring, not yet visible. @cookie comes back from vqd_get.
 * @indirect: through this head's table (n <= indirect_max). 0, or -ENOSPC when the ring is full.
 */
int vqd_add(struct vqd *q, const struct vqd_buf *bufs, unsigned n, bool indirect, void *cookie);

/* Make everything added visible, and kick when the device asked for it. Returns true when it kicked. */
bool vqd_publish(struct vqd *q);

/* One used chain: its cookie and the bytes the device wrote. false: none. A device that lies gives -EPROTO in *ret_err. */
bool vqd_get(struct vqd *q, void **ret_cookie, uint32_t *ret_written, int *ret_err);

/* Has the device given something back? A hint, without ordering: for prefetching before vqd_get. */
static inline bool vqd_has_used(const struct vqd *q)
{
	if (q->c.packed) {
		const volatile struct virtq_pdesc *d = (const struct virtq_pdesc *)q->c.desc + q->used_idx;
		const uint16_t both = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;

		return q->nchains && (le16_get(d->flags) & both) == (q->used_wrap ? both : 0);
	}
	return q->used_idx != q->used_seen ||
	       le16_get(((const volatile struct virtq_used *)q->c.used)->idx) != q->used_idx;
}

/* Ask for calls and look once more: true = something is there already. / No calls please. */
bool vqd_call_enable(struct vqd *q);
void vqd_call_disable(struct vqd *q);

#endif
