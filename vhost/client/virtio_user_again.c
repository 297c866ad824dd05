/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Back to a server by itself, while each queue is in the hands of its own thread.
 *
 *   whichever thread polls first:   connect, agree, memory ──► epoch + 1
 *   each queue's thread, when it
 *   polls and its epoch is old:     results out of the ring ──► the ring to the new device (inflight region), or a
 *                                                               fresh ring with all that is unanswered
 *
 * No thread waits for another; a queue that nobody polls stays behind until somebody does.
 */
#include "vhost/client/virtio_user_priv.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/mono.h"
#include "vhost/user/vu_wire.h"

#define RETRY_NS (20 * MONO_NS_PER_MS)

void virtio_user_choose_rings(struct virtio_user *vu)
{
	vu->fresh_rings = vu->inflight_fd < 0 ||
			  !(vu->protocol_features & VU_BIT(VU_PROTOCOL_F_INFLIGHT_SHMFD));
	if (!vu->fresh_rings || vu->inflight_fd < 0)
		return;
	close(vu->inflight_fd);
	vu->inflight_fd = -1;
}

/* A server that is not there, or going, may be back soon; one that says no will say no again. */
static bool is_passing(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET || err == -EAGAIN ||
	       err == -EPIPE || err == -ETIMEDOUT;
}

static bool is_too_long(const struct virtio_user *vu, uint64_t now)
{
	return vu->opts.reconnect_ms != UINT_MAX &&
	       now - vu->away_ns >= vu->opts.reconnect_ms * MONO_NS_PER_MS;
}

static int failed(struct virtio_user *vu, int err)
{
	uint64_t now = mono_ns();

	vu->again_ns = now + RETRY_NS;
	if (is_passing(err) && !is_too_long(vu, now))
		return 0;
	vu->lost = is_passing(err) ? -EPIPE : err;
	return vu->lost;
}

/* One attempt, if it is time for one. 0 (also when it failed for now), or -errno: lost. */
static int device_again(struct virtio_user *vu)
{
	uint64_t now = mono_ns();
	int err;

	if (!vu->away_ns)
		vu->away_ns = now;
	if (now < vu->again_ns)
		return 0;
	err = virtio_user_negotiate(vu, false, 0, &vu->trouble);
	if (!err) {
		virtio_user_choose_rings(vu);
		err = virtio_user_start_device(vu, &vu->trouble);
	}
	if (err) {
		(void)shutdown(vu->sock, SHUT_RDWR); /* half agreed is not agreed; it may be gone */
		return failed(vu, err);
	}
	vu->away_ns = vu->again_ns = 0;
	vu->trouble.text[0] = '\0';
	__atomic_store_n(&vu->epoch, vu->epoch + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&vu->dead, false, __ATOMIC_RELEASE);
	return 0;
}

static int ring_again(struct virtio_user_queue *q)
{
	struct virtio_user *vu = q->vu;
	int err = 0;

	virtio_user_queue_drain(q);
	if (vu->fresh_rings)
		err = virtio_user_queue_restart(q);
	if (!err)
		err = virtio_user_start_ring(q, &vu->trouble);
	if (!err) {
		virtio_user_queue_adopt(q);
		return 0;
	}
	(void)shutdown(vu->sock, SHUT_RDWR); /* the same */
	__atomic_store_n(&vu->dead, true, __ATOMIC_RELEASE);
	if (!vu->away_ns)
		vu->away_ns = mono_ns();
	return failed(vu, err);
}

int virtio_user_queue_again(struct virtio_user_queue *q)
{
	struct virtio_user *vu = q->vu;
	int err;

	if (pthread_mutex_trylock(&vu->lock))
		return 0; /* somebody is at it */
	err = vu->lost;
	if (!err && vu->dead)
		err = device_again(vu);
	if (!err && !vu->dead && q->epoch != vu->epoch)
		err = ring_again(q);
	pthread_mutex_unlock(&vu->lock);
	virtio_user_service(vu); /* the new one may have another size */
	return err;
}
