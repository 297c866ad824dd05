/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's messages: read, do, answer, one at a time. The kernel waits for the answer; after 30 s
 * (/sys/class/vduse/NAME/msg_timeout) it gives the device up.
 *
 *   SET_STATUS     0: the rings stop, all is forgotten; DRIVER_OK: vduse_msg_go
 *   UPDATE_IOTLB   the rings stop, the memory is mapped anew, they go on
 *   GET_VQ_STATE   the ring stops, its position is told, it goes on
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vdpa/vduse_priv.h"

#define LOG_TAG "vduse"
#include "core/base/log.h"

/* The driver's features, when it has decided on them. */
static int features_learn(struct vduse *v, struct errbuf *eb)
{
	const uint64_t must = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM);
	__u64 f = 0;
	int err = v->sys->ioctl(v->fd, VDUSE_DEV_GET_FEATURES, &f);

	if (err < 0)
		return errbuf_set(eb, err, "features: %s", strerror(-err));
	if ((f & ~v->offered) || (f & must) != must)
		return errbuf_set(eb, -EINVAL, "features %#llx, of %#llx that were offered",
				  (unsigned long long)f, (unsigned long long)v->offered);
	v->features = f;
	return 0;
}

int vduse_msg_go(struct vduse *v, struct errbuf *eb)
{
	int err = v->failed ? errbuf_set(eb, -EIO, "it has failed, and its driver has not reset it") :
			      features_learn(v, eb);

	if (!err)
		err = vduse_mem_learn(v, eb);
	for (unsigned i = 0; i < v->nrings && !err; i++)
		err = vduse_ring_learn(&v->rings[i], eb);
	if (err)
		return err;
	v->status |= VDUSE_STATUS_DRIVER_OK;
	vduse_rings_start(v);
	return 0;
}

/*
 * Answers
 */
static void msg_answer(struct vduse *v, int err, struct vduse_dev_response *resp)
{
	resp->request_id = v->req.request_id;
	resp->result = err ? VDUSE_REQ_RESULT_FAILED : VDUSE_REQ_RESULT_OK;
	if (write(v->fd, resp, sizeof(*resp)) != sizeof(*resp))
		log_warn("%s: the kernel did not wait for the answer to message %u of type %u: %s",
			 v->name, v->req.request_id, v->req.type, strerror(errno));
}

static void msg_done(struct vduse *v, int err, const struct errbuf *eb)
{
	struct vduse_dev_response resp = { 0 };

	if (err)
		log_error("%s: message %u of type %u: %s", v->name, v->req.request_id, v->req.type,
			  eb->text);
	msg_answer(v, err, &resp);
}

/*
 * SET_STATUS
 */
static void status_is_zero(struct vduse *v)
{
	for (unsigned i = 0; i < v->nrings; i++)
		vduse_ring_forget(&v->rings[i]);
	vduse_mem_forget(v);
	v->status = 0;
	v->features = 0;
	vduse_recover(v);
	vduse_log_set_status(&v->log, 0); /* behind the regions: whoever comes next finds them blank */
	v->dev->ops->reset(v->dev);
	log_info("%s: reset by its driver", v->name);
	msg_done(v, 0, NULL);
}

static void msg_set_status(struct vduse *v)
{
	uint8_t status = v->req.s.status, new = status & (uint8_t)~v->status;
	struct errbuf eb;
	int err = 0;

	if (status == 0) {
		vduse_wait_begin(v, status_is_zero);
		vduse_rings_rest(v);
		vduse_rings_stop(v);
		vduse_wait_end(v);
		return;
	}
	if (new & VDUSE_STATUS_DRIVER_OK)
		err = vduse_msg_go(v, &eb);
	else if (new & VDUSE_STATUS_FEATURES_OK)
		err = features_learn(v, &eb);
	if (!err) {
		v->status = status;
		vduse_log_set_status(&v->log, status);
		if (new & VDUSE_STATUS_DRIVER_OK)
			log_info("%s: its driver is ready", v->name);
	}
	msg_done(v, err, &eb);
}

/*
 * UPDATE_IOTLB
 */
static void iotlb_update(struct vduse *v)
{
	struct errbuf eb;
	int err = v->status & VDUSE_STATUS_DRIVER_OK ? vduse_mem_learn(v, &eb) : 0;

	if (!err)
		vduse_rings_start(v);
	msg_done(v, err, &eb);
}

static void msg_update_iotlb(struct vduse *v)
{
	vduse_wait_begin(v, iotlb_update);
	vduse_rings_stop(v);
	vduse_wait_end(v);
}

/*
 * GET_VQ_STATE
 */
static void state_tell(struct vduse *v)
{
	const struct vduse_ring *ring = &v->rings[v->req.vq_state.index];
	struct vduse_dev_response resp = { .vq_state.index = ring->index };

	if (vduse_is_packed(v)) {
		resp.vq_state.packed.last_avail_idx = ring->base & 0x7fff;
		resp.vq_state.packed.last_avail_counter = ring->base >> 15 & 1;
		resp.vq_state.packed.last_used_idx = ring->base >> 16 & 0x7fff;
		resp.vq_state.packed.last_used_counter = (uint16_t)(ring->base >> 31);
	} else {
		resp.vq_state.split.avail_index = (uint16_t)ring->base;
	}
	msg_answer(v, 0, &resp);
	vduse_rings_start(v);
}

static void msg_get_vq_state(struct vduse *v)
{
	struct errbuf eb;

	if (v->req.vq_state.index >= v->nrings) {
		msg_done(v, errbuf_set(&eb, -EINVAL, "queue %u, the device has %u",
				       v->req.vq_state.index, v->nrings),
			 &eb);
		return;
	}
	vduse_wait_begin(v, state_tell);
	vduse_ring_stop(&v->rings[v->req.vq_state.index]);
	vduse_wait_end(v);
}

void vduse_msg_take(struct vduse *v)
{
	ssize_t n = read(v->fd, &v->req, sizeof(v->req));
	struct errbuf eb;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(v->req)) {
		vduse_give_up(v, n < 0 ? strerror(errno) : "the kernel sent half a message");
		return;
	}
	log_debug("%s: message %u of type %u", v->name, v->req.request_id, v->req.type);
	switch (v->req.type) {
	case VDUSE_SET_STATUS:
		msg_set_status(v);
		return;
	case VDUSE_UPDATE_IOTLB:
		msg_update_iotlb(v);
		return;
	case VDUSE_GET_VQ_STATE:
		msg_get_vq_state(v);
		return;
	default:
		msg_done(v, errbuf_set(&eb, -ENOTSUP, "nothing that is known here"), &eb);
	}
}
