/* SPDX-License-Identifier: BSD-3-Clause */
/* The ring messages: SET_VRING_*, GET_VRING_BASE. When a ring runs is vu_ring.c's business. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost/user/vu_log.h"
#include "vhost/user/vu_ring.h"

#define LOG_TAG "vhost-user"
#include "core/base/log.h"

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int ring_find(struct vu_session *s, uint64_t index, struct vu_ring **ret)
{
	if (index >= s->nrings)
		return errbuf_set(&s->eb, -EINVAL, "queue %llu, the device has %u",
				  (unsigned long long)index, s->nrings);
	*ret = &s->rings[index];
	return 0;
}

static int ring_find_stopped(struct vu_session *s, uint64_t index, struct vu_ring **ret)
{
	int err = ring_find(s, index, ret);

	if (!err && (*ret)->q)
		return errbuf_set(&s->eb, -EBUSY, "queue %u runs", (*ret)->index);
	return err;
}

int vu_set_vring_num(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	uint32_t num = m->p.state.num;
	int err = ring_find_stopped(s, m->p.state.index, &ring);

	if (err)
		return err;
	if (num == 0 || num > VQ_SIZE_MAX ||
	    (s->features_set && !vu_session_is_packed(s) && !CC_IS_POW2(num)))
		return errbuf_set(&s->eb, -EINVAL, "queue %u: size %u", ring->index, num);
	ring->size = num;
	return 0;
}

static bool addr_is_same(const struct vu_vring_addr *a, const struct vu_vring_addr *b)
{
	return a->desc == b->desc && a->avail == b->avail && a->used == b->used;
}

static int log_set(struct vu_session *s)
{
	(void)s;
	return 0;
}

/* A running ring keeps its addresses; its logging may change. */
int vu_set_vring_addr(struct vu_session *s, struct vu_msg *m)
{
	const struct vu_vring_addr *a = &m->p.addr;
	struct vu_ring *ring = NULL;
	int err = ring_find(s, a->index, &ring);

	if (err)
		return err;
	if (a->flags & ~VU_VRING_F_LOG)
		return errbuf_set(&s->eb, -EINVAL, "queue %u: flags %#x", ring->index, a->flags);
	if (ring->q && !addr_is_same(a, &ring->addr))
		return errbuf_set(&s->eb, -EBUSY, "queue %u runs at other addresses", ring->index);
	ring->addr = *a;
	ring->addr_set = true;
	vu_wait_begin(s, log_set);
	vu_log_switch(ring);
	return vu_wait_end(s);
}

int vu_set_vring_base(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	int err = ring_find_stopped(s, m->p.state.index, &ring);

	if (err)
		return err;
	if (s->features_set && !vu_session_is_packed(s) && m->p.state.num > UINT16_MAX)
		return errbuf_set(&s->eb, -EINVAL, "queue %u: split ring position %u", ring->index,
				  m->p.state.num);
	if (ring->kept && m->p.state.num != ring->base)
		vu_ring_forget(ring);
	ring->base = m->p.state.num;
	return 0;
}

static int base_reply(struct vu_session *s)
{
	struct vu_ring *ring = s->current;

	ring->kicked = false;
	close_fd(&ring->kick_fd);
	if (ring->kept && !ring->left)
		s->answered = ring;
	if (ring->left)
		log_info("%s: queue %u is stopped, with requests left in its inflight region",
			 s->conf.name, ring->index);
	s->conn.in.p.state = (struct vu_vring_state){ ring->index, ring->base };
	s->conn.in.h.size = sizeof(struct vu_vring_state);
	return 0;
}

int vu_get_vring_base(struct vu_session *s, struct vu_msg *m)
{
	int err = ring_find(s, m->p.state.index, &s->current);

	if (err)
		return err;
	vu_wait_begin(s, base_reply);
	if (s->current->q)
		vu_ring_stop(s->current);
	return vu_wait_end(s);
}

/*
 * The ring and the fd of SET_VRING_{KICK,CALL,ERR}; *ret_fd = -1 when none comes. Notification fds
 * are eventfds, pipes or sockets; a file, a directory or a device would never block a poll, or
 * always.
 */
static int ring_take_fd(struct vu_session *s, struct vu_msg *m, struct vu_ring **ret_ring,
			int *ret_fd)
{
	bool nofd = m->p.u64 & VU_VRING_NOFD;
	struct stat st;
	int err;

	if (m->p.u64 & ~(VU_VRING_INDEX_MASK | VU_VRING_NOFD))
		return errbuf_set(&s->eb, -EINVAL, "queue and flags %#llx",
				  (unsigned long long)m->p.u64);
	err = ring_find(s, m->p.u64 & VU_VRING_INDEX_MASK, ret_ring);
	if (err)
		return err;
	if (nofd != (m->nfds == 0))
		return errbuf_set(&s->eb, -EPROTO, "%u file descriptors, flag \"none\" is %d",
				  m->nfds, nofd);
	*ret_fd = -1;
	if (nofd)
		return 0;
	if (fstat(m->fds[0], &st))
		return errbuf_set(&s->eb, -errno, "fstat: %s", strerror(errno));
	if ((st.st_mode & S_IFMT) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
		return errbuf_set(&s->eb, -EINVAL, "queue %u: not an eventfd, a pipe or a socket",
				  (*ret_ring)->index);
	/* No notification may block a reactor. */
	if (fcntl(m->fds[0], F_SETFL, O_NONBLOCK))
		return errbuf_set(&s->eb, -errno, "O_NONBLOCK: %s", strerror(errno));
	*ret_fd = vu_msg_take_fd(m, 0);
	return 0;
}

static void queue_set_kick(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	q->vq.kick_fd = ring->new_fd;
	if (q->poller.state != POLLER_DETACHED)
		poller_set_fd(&q->poller, ring->new_fd);
}

static void queue_set_call(struct vdev_queue *q, void *arg)
{
	struct vu_ring *ring = arg;

	q->vq.call_fd = ring->new_fd;
}

static int kick_set(struct vu_session *s)
{
	struct vu_ring *ring = s->current;

	close_fd(&ring->kick_fd);
	ring->kick_fd = ring->new_fd;
	ring->new_fd = -1;
	ring->kicked = true;
	return vu_ring_try_start(ring);
}

int vu_set_vring_kick(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	int fd, err = ring_take_fd(s, m, &ring, &fd);

	if (err)
		return err;
	s->current = ring;
	ring->new_fd = fd;
	if (s->features_set && !(s->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		ring->enabled = true;
	vu_wait_begin(s, kick_set);
	if (ring->q)
		vu_ring_call(ring, queue_set_kick);
	return vu_wait_end(s);
}

static int call_set(struct vu_session *s)
{
	struct vu_ring *ring = s->current;

	close_fd(&ring->call_fd);
	ring->call_fd = ring->new_fd;
	ring->new_fd = -1;
	return 0;
}

int vu_set_vring_call(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	int fd, err = ring_take_fd(s, m, &ring, &fd);

	if (err)
		return err;
	s->current = ring;
	ring->new_fd = fd;
	vu_wait_begin(s, call_set);
	if (ring->q)
		vu_ring_call(ring, queue_set_call);
	return vu_wait_end(s);
}

int vu_set_vring_err(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	int fd, err = ring_take_fd(s, m, &ring, &fd);

	if (err)
		return err;
	close_fd(&ring->err_fd);
	ring->err_fd = fd;
	return 0;
}

static int ring_paused(struct vu_session *s)
{
	(void)s; /* ring_stopped kept its position */
	return 0;
}

int vu_set_vring_enable(struct vu_session *s, struct vu_msg *m)
{
	struct vu_ring *ring = NULL;
	int err = ring_find(s, m->p.state.index, &ring);

	if (err)
		return err;
	if (m->p.state.num > 1)
		return errbuf_set(&s->eb, -EINVAL, "queue %u: enable %u", ring->index,
				  m->p.state.num);
	ring->enabled = m->p.state.num == 1;
	if (ring->enabled)
		return vu_ring_try_start(ring);
	vu_wait_begin(s, ring_paused);
	if (ring->q)
		vu_ring_stop(ring);
	return vu_wait_end(s);
}
