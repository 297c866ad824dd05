/* SPDX-License-Identifier: BSD-3-Clause */
/* SET_LOG_BASE, and the switch of the dirty log in running queues. */
#include "vhost/user/vu_log.h"

#include "vhost/user/vu_ring.h"

void vu_log_of(const struct vu_ring *ring, struct dlog **ret_log, uint64_t *ret_used_gpa)
{
	const struct vu_session *s = ring->s;

	*ret_log = s->features & VIRTIO_BIT(VHOST_F_LOG_ALL) ? s->log : NULL;
	*ret_used_gpa = UINT64_MAX;
	if (!(ring->addr.flags & VU_VRING_F_LOG))
		return;
	/* The packed ring's used descriptors are written into the descriptor ring itself. */
	*ret_used_gpa =
		vu_session_is_packed(s) ? gmem_va_to_gpa(s->mem.gmem, ring->desc) : ring->addr.log;
}

static void queue_set_log(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	vq_set_log(&q->vq, ring->log, ring->log_gpa);
}

void vu_log_switch(struct vu_ring *ring)
{
	if (!ring->q)
		return;
	vu_log_of(ring, &ring->log, &ring->log_gpa);
	vu_ring_call(ring, queue_set_log);
}

static int log_switched(struct vu_session *s)
{
	dlog_put(s->log_old);
	s->log_old = NULL;
	vu_msg_close_fds(&s->conn.in); /* the log's: not for the reply */
	s->conn.in.p.u64 = 0;
	s->conn.in.h.size = sizeof(uint64_t);
	return 0;
}

int vu_set_log_base(struct vu_session *s, struct vu_msg *m)
{
	const struct dlog_desc d = {
		.off = m->p.log.off, .size = m->p.log.size, .fd = m->fds[0], .owner = &s->lost
	};
	struct dlog *log;
	int err = dlog_create(&d, &log, &s->eb);

	if (err)
		return err;
	s->log_old = s->log;
	s->log = log;
	vu_wait_begin(s, log_switched);
	for (unsigned i = 0; i < s->nrings; i++)
		vu_log_switch(&s->rings[i]);
	return vu_wait_end(s);
}

/* Optional in the specification ("may be used to inform the front-end"): front-ends read the log,
 * nobody waits on it. */
int vu_set_log_fd(struct vu_session *s, struct vu_msg *m)
{
	(void)s;
	(void)m; /* its fd is closed with the message */
	return 0;
}
