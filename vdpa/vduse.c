/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a VDUSE device.
 *
 *   vduse_create:   log ─► CREATE_DEV ─► open ─► rings ─► the log says that a driver is ready: go on
 *                             │ is there already: DESTROY_DEV (nobody has attached it), CREATE_DEV again,
 *                             └ or go on with it, if the log knows it
 *   vduse_destroy:  rings stop ─► close ─► DESTROY_DEV ─► attached: it stays, and the log with it
 */
#include "vdpa/vduse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vdpa/vduse_priv.h"
#include "vhost/blk/vblk_spec.h"

#define LOG_TAG "vduse"
#include "core/base/log.h"

#define VDUSE_VENDOR_ID 0x6e76u /* "nv": for people who look at it */
#define VDUSE_VQ_ALIGN	4096u

/*
 * Waiting
 */
static void dev_readable(struct reactor_fd *rfd, uint32_t events);

static void dev_watch(struct vduse *v)
{
	int err;

	if (v->deaf || v->rfd.reactor)
		return;
	err = reactor_fd_attach(v->control, &v->rfd, v->fd, EPOLLIN, dev_readable);
	if (err)
		log_error("%s: no more messages are read: %s", v->name, strerror(-err));
}

void vduse_wait_begin(struct vduse *v, void (*resume)(struct vduse *v))
{
	assert(!v->resume);
	v->resume = resume;
	v->waits = 1; /* of whoever asks */
	reactor_fd_detach(&v->rfd);
}

void vduse_wait_add(struct vduse *v)
{
	v->waits++;
}

static void dev_end(struct vduse *v);
static void dev_quiesce(struct vduse *v);

void vduse_wait_done(struct vduse *v)
{
	void (*resume)(struct vduse *v) = v->resume;

	assert(v->waits > 0);
	if (--v->waits)
		return;
	v->resume = NULL;
	resume(v);
	if (v->resume)
		return;
	if (v->ending)
		dev_end(v);
	else
		dev_watch(v);
	if (v->failed && !v->ending)
		dev_quiesce(v);
}

void vduse_wait_end(struct vduse *v)
{
	vduse_wait_done(v);
}

static void dev_failed(struct vduse *v)
{
	(void)v; /* it waits to be detached */
}

static void dev_quiesce(struct vduse *v)
{
	if (!vduse_rings_run(v))
		return;
	vduse_wait_begin(v, dev_failed);
	vduse_rings_stop(v);
	vduse_wait_end(v);
}

void vduse_fail(struct vduse *v, const char *why)
{
	if (v->failed || v->ending)
		return;
	v->failed = true;
	log_error("%s: %s; it serves no more until it is detached and attached again (nvring vduse)",
		  v->name, why);
	reactor_fd_detach(&v->lost_rfd);
	vduse_rings_rest(v);
	if (!v->resume)
		dev_quiesce(v); /* else behind what is under way: vduse_wait_done */
}

void vduse_give_up(struct vduse *v, const char *why)
{
	v->deaf = true;
	reactor_fd_detach(&v->rfd);
	vduse_fail(v, why);
}

static void dev_lost(struct reactor_fd *rfd, uint32_t events)
{
	(void)events;
	vduse_fail(container_of(rfd, struct vduse, lost_rfd), "its memory was taken away under us");
}

static int lost_watch(struct vduse *v)
{
	return reactor_fd_attach(v->control, &v->lost_rfd, v->lost.fd, EPOLLIN, dev_lost);
}

void vduse_recover(struct vduse *v)
{
	uint64_t n;

	if (!v->failed || v->ending)
		return;
	v->failed = false;
	(void)!read(v->lost.fd, &n, sizeof(n)); /* of memory that is mapped no more */
	__atomic_store_n(&v->lost.what, NULL, __ATOMIC_RELEASE);
	if (lost_watch(v))
		log_warn("%s: out of memory: it is not told when its memory goes", v->name);
}

static void dev_readable(struct reactor_fd *rfd, uint32_t events)
{
	struct vduse *v = container_of(rfd, struct vduse, rfd);

	if (events & (EPOLLERR | EPOLLHUP))
		vduse_give_up(v, "the kernel waited for an answer in vain and gave the device up");
	else
		vduse_msg_take(v);
}

/*
 * The kernel's device
 */
static uint64_t features_offered(const struct vduse *v)
{
	uint64_t f = v->dev->ops->features(v->dev);

	/* The kernel keeps the configuration space and tells nobody what a driver writes there. */
	f &= ~VIRTIO_BIT(VBLK_F_CONFIG_WCE);
	f |= VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
	     VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) |
	     VIRTIO_BIT(VIRTIO_F_IN_ORDER);
	return v->no_packed ? f : f | VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}

static int control_open(const struct vduse *v, int *ret_fd, struct errbuf *eb)
{
	__u64 version = 0;
	int err, fd = v->sys->open(VDUSE_CONTROL);

	if (fd == -ENOENT || fd == -ENXIO || fd == -ENODEV)
		return errbuf_set(eb, -ENOENT,
				  "/dev/vduse/control is missing: load the kernel module vduse (modprobe "
				  "vduse; Linux 5.15 or newer with CONFIG_VDPA_USER, Debian's from 6.12)");
	if (fd == -EACCES || fd == -EPERM)
		return errbuf_set(eb, -EACCES,
				  "/dev/vduse/control: no permission: run nvringd as root, or give its "
				  "user /dev/vduse by a udev rule");
	if (fd < 0)
		return errbuf_set(eb, fd, "/dev/vduse/control: %s", strerror(-fd));
	err = v->sys->ioctl(fd, VDUSE_SET_API_VERSION, &version);
	if (err < 0) {
		close(fd);
		return errbuf_set(eb, err, "/dev/vduse/control: the kernel knows no version 0 of its "
					   "interface: %s",
				  strerror(-err));
	}
	*ret_fd = fd;
	return 0;
}

static int kernel_create(const struct vduse *v, int control, struct errbuf *eb)
{
	struct vduse_dev_config *c = calloc(1, sizeof(*c) + VDEV_CONFIG_MAX);
	int err;

	if (!c)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	snprintf(c->name, sizeof(c->name), "%s", v->name);
	c->vendor_id = VDUSE_VENDOR_ID;
	c->device_id = v->dev->ops->virtio_id;
	c->features = v->offered;
	c->vq_num = v->nrings;
	c->vq_align = VDUSE_VQ_ALIGN;
	c->config_size = v->dev->ops->config_get(v->dev, c->config);
	err = v->sys->ioctl(control, VDUSE_CREATE_DEV, c);
	free(c);
	if (err == -EPERM || err == -EACCES)
		return errbuf_set(eb, -EACCES, "/dev/vduse/%s cannot be made: no permission: run nvringd "
					       "as root",
				  v->name);
	return err < 0 ? errbuf_set(eb, err, "/dev/vduse/%s cannot be made: %s", v->name,
				    strerror(-err)) :
			 0;
}

static int kernel_destroy(const struct vduse *v, int control)
{
	char name[VDUSE_NAME_MAX] = "";

	snprintf(name, sizeof(name), "%s", v->name);
	return v->sys->ioctl(control, VDUSE_DESTROY_DEV, name);
}

static int kernel_open(struct vduse *v, struct errbuf *eb)
{
	v->fd = v->sys->open(v->name);
	if (v->fd == -EBUSY)
		return errbuf_set(eb, -EBUSY, "/dev/vduse/%s is taken: another process serves it",
				  v->name);
	return v->fd < 0 ? errbuf_set(eb, v->fd, "/dev/vduse/%s: %s", v->name, strerror(-v->fd)) : 0;
}

/* Somebody has attached it. Is it the one that our log is about? */
static int kernel_adopt(struct vduse *v, struct errbuf *eb)
{
	struct vduse_vq_info last = { .index = v->nrings - 1 }, none = { .index = v->nrings };
	int err = kernel_open(v, eb);

	if (err)
		return err;
	if (v->log.fits && v->sys->ioctl(v->fd, VDUSE_VQ_GET_INFO, &last) >= 0 &&
	    v->sys->ioctl(v->fd, VDUSE_VQ_GET_INFO, &none) < 0)
		return 0;
	return errbuf_set(eb, -EEXIST,
			  "/dev/vduse/%s is attached, and was made with other settings or by somebody "
			  "else: detach it first (nvring vduse detach %s, or vdpa dev del %s)",
			  v->name, v->name, v->name);
}

/* What is there and nobody has attached is nothing: it is made anew. */
static int kernel_make(struct vduse *v, int control, struct errbuf *eb)
{
	int err = kernel_create(v, control, eb);

	if (err == -EEXIST) {
		if (kernel_destroy(v, control) < 0)
			return kernel_adopt(v, eb);
		err = kernel_create(v, control, eb);
	}
	if (err)
		return err;
	err = vduse_log_format(&v->log, eb);
	if (!err)
		err = kernel_open(v, eb);
	if (err)
		(void)kernel_destroy(v, control);
	return err;
}

/*
 * Begin and end
 */
static void config_changed(struct vdev_listener *l)
{
	struct vduse *v = container_of(l, struct vduse, listener);
	_Alignas(struct vduse_config_data) uint8_t raw[sizeof(struct vduse_config_data) + VDEV_CONFIG_MAX];
	struct vduse_config_data *c = (struct vduse_config_data *)raw;
	uint32_t bytes = v->dev->ops->config_get(v->dev, c->buffer);
	int err;

	*c = (struct vduse_config_data){ .length = bytes };
	err = v->sys->ioctl(v->fd, VDUSE_DEV_SET_CONFIG, c);
	if (err < 0)
		log_error("%s: its driver is not told of a change: %s", v->name, strerror(-err));
	else /* -EINVAL: there is no driver that wants to know */
		(void)v->sys->ioctl(v->fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL);
}

/* As far as it was made. */
static void dev_free(struct vduse *v)
{
	for (unsigned i = 0; v->rings && i < v->nrings; i++)
		vduse_ring_fini(&v->rings[i]);
	free(v->rings);
	reactor_fd_detach(&v->rfd);
	reactor_fd_detach(&v->lost_rfd);
	vduse_mem_fini(&v->mem);
	sigbus_owner_fini(&v->lost);
	if (v->fd >= 0)
		close(v->fd);
	free(v->reactors);
	free(v->name);
	free(v);
}

static int dev_init(struct vduse *v, const struct vduse_opts *opts, struct errbuf *eb)
{
	static unsigned next_reactor; /* devices begin on different ones */

	v->fd = v->log.fd = -1;
	v->lost.fd = -1;
	v->sys = opts->sys ? opts->sys : &vduse_sys_kernel;
	v->dev = opts->dev;
	v->control = opts->control;
	v->no_packed = opts->no_packed;
	v->nnear = opts->nnear ? opts->nnear : opts->nreactors;
	v->first_reactor = next_reactor;
	v->nrings = opts->dev->nqueues_max;
	next_reactor += v->nrings;
	v->name = strdup(opts->name);
	v->rings = calloc(v->nrings, sizeof(*v->rings));
	v->reactors = malloc(opts->nreactors * sizeof(*v->reactors));
	if (vduse_mem_init(&v->mem) || sigbus_owner_init(&v->lost) || !v->name || !v->rings ||
	    !v->reactors)
		return errbuf_set(eb, -ENOMEM, "out of memory for the VDUSE device %s", opts->name);
	memcpy(v->reactors, opts->reactors, opts->nreactors * sizeof(*v->reactors));
	for (unsigned i = 0; i < v->nrings; i++)
		vduse_ring_init(&v->rings[i], v, i);
	v->offered = features_offered(v);
	return 0;
}

/* Device and log, the log first: whoever finds the device after a crash finds the log. */
static int dev_open(struct vduse *v, const char *log, struct errbuf *eb)
{
	uint8_t space[VDEV_CONFIG_MAX];
	const struct vduse_shape shape = {
		.features = v->offered,
		.nqueues = v->nrings,
		.queue_size = VDUSE_QUEUE_SIZE,
		.config_bytes = v->dev->ops->config_get(v->dev, space),
	};
	int control, err = control_open(v, &control, eb);

	if (err)
		return err;
	err = vduse_log_open(&v->log, log, &shape, eb);
	if (!err)
		err = kernel_make(v, control, eb);
	close(control);
	return err;
}

/* A driver that was ready when the process before us ended has waited since, perhaps for a call that was not made. */
static void dev_resume(struct vduse *v)
{
	struct errbuf eb;

	v->status = vduse_log_status(&v->log);
	config_changed(&v->listener);
	if (!(v->status & VDUSE_STATUS_DRIVER_OK))
		return;
	if (vduse_msg_go(v, &eb)) {
		vduse_fail(v, eb.text);
		return;
	}
	log_notice("%s: goes on with a driver that was there before", v->name);
	for (unsigned i = 0; i < v->nrings; i++)
		vduse_ring_call(&v->rings[i]);
}

static int dev_start(struct vduse *v, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < v->nrings && !err; i++)
		err = vduse_ring_setup(&v->rings[i], eb);
	if (err)
		return err;
	err = lost_watch(v);
	if (!err)
		err = reactor_fd_attach(v->control, &v->rfd, v->fd, EPOLLIN, dev_readable);
	return err ? errbuf_set(eb, err, "cannot watch /dev/vduse/%s: %s", v->name, strerror(-err)) :
		     0;
}

/* The kernel pins the memory that we give it, within this limit. */
static void memlock_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &limit); /* umem_try explains what fails for it */
}

/* Closed, and the kernel's device with it unless somebody holds it. */
static bool dev_close(struct vduse *v)
{
	struct errbuf eb;
	int control;
	bool stays = true;

	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	if (!control_open(v, &control, &eb)) {
		stays = kernel_destroy(v, control) < 0;
		close(control);
	}
	vduse_log_close(&v->log, !stays);
	return stays;
}

int vduse_create(const struct vduse_opts *opts, struct vduse **ret_v, struct errbuf *eb)
{
	struct vduse *v;
	int err;

	if (opts->nreactors == 0)
		return errbuf_set(eb, -EINVAL, "no data reactor for %s", opts->name);
	v = calloc(1, sizeof(*v));
	if (!v)
		return errbuf_set(eb, -ENOMEM, "out of memory for the VDUSE device %s", opts->name);
	memlock_raise();
	err = dev_init(v, opts, eb);
	if (!err)
		err = dev_open(v, opts->log, eb);
	if (!err) {
		err = dev_start(v, eb);
		if (err)
			(void)dev_close(v);
	}
	if (err) {
		vduse_log_close(&v->log, v->log.is_new);
		dev_free(v);
		return err;
	}
	vdev_listener_add(v->dev, &v->listener, config_changed);
	dev_resume(v);
	*ret_v = v;
	return 0;
}

static void dev_gone(struct reactor_msg *msg)
{
	struct vduse *v = container_of(msg, struct vduse, end_msg);
	vduse_gone_fn gone = v->gone;
	void *arg = v->gone_arg;
	bool stays = v->stays;

	dev_free(v);
	gone(arg, stays);
}

static void dev_ended(struct vduse *v)
{
	v->ending = false; /* what had to be waited for is over */
	v->stays = dev_close(v);
	if (v->stays)
		log_notice("%s: stays attached; its I/O waits until nvringd serves it again", v->name);
	v->deaf = true; /* nothing is watched any more */
	reactor_send(v->control, &v->end_msg, dev_gone);
}

static void dev_end(struct vduse *v)
{
	vduse_wait_begin(v, dev_ended);
	vduse_rings_rest(v);
	vduse_rings_stop(v);
	vduse_wait_end(v);
}

void vduse_destroy(struct vduse *v, vduse_gone_fn done, void *arg)
{
	assert(!v->ending);
	v->ending = true;
	v->gone = done;
	v->gone_arg = arg;
	vdev_listener_del(&v->listener);
	reactor_fd_detach(&v->rfd);
	reactor_fd_detach(&v->lost_rfd);
	if (!v->resume)
		dev_end(v); /* else behind what is under way: vduse_wait_done */
}

bool vduse_is_attached(const struct vduse *v)
{
	return v->sys->is_attached(v->name);
}

bool vduse_has_umem(const struct vduse *v)
{
	return v->mem.umem_fd >= 0;
}

/*
 * A picture
 */
static const char *state_name(const struct vduse *v)
{
	if (v->failed)
		return "FAILED";
	if (v->ending || v->resume)
		return "QUIESCING";
	if (vduse_rings_run(v))
		return "RUNNING";
	return v->status & VDUSE_STATUS_DRIVER_OK ? "READY" : "IDLE";
}

/* The counters of the running queue belong to its reactor, which goes on counting. */
static cc_looks_on void queue_info(const struct vduse_ring *ring, struct vu_queue_info *ret)
{
	const struct vdev_queue *q = ring->q;

	ret->index = ring->index;
	ret->enabled = ring->ready;
	ret->broken = ring->broken;
	memcpy(ret->why, ring->why, sizeof(ret->why));
	ret->size = ring->size;
	ret->packed = vduse_is_packed(ring->v);
	ret->avail_idx = (uint16_t)ring->base;
	ret->reactor_cpu = -1;
	ret->cnt = ring->before;
	if (!q)
		return;
	ret->started = true;
	ret->avail_idx = cc_read_once(q->vq.avail_idx);
	ret->used_idx = cc_read_once(q->vq.used_idx);
	ret->inflight = cc_read_once(q->vq.ninflight);
	ret->reactor_cpu = q->reactor->cpu;
	ret->reactor_id = q->reactor->id;
	ret->window_ns = poller_window_ns(&q->poller);
	ret->cnt.chains += cc_read_once(q->vq.cnt.chains);
	ret->cnt.polls += cc_read_once(q->vq.cnt.polls);
	ret->cnt.empty_polls += cc_read_once(q->vq.cnt.empty_polls);
	ret->cnt.kicks += cc_read_once(q->vq.cnt.kicks);
	ret->cnt.calls += cc_read_once(q->vq.cnt.calls);
}

int vduse_get_info(const struct vduse *v, struct vu_session_info *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->connected = vduse_is_attached(v);
	ret->state = state_name(v);
	ret->features = v->features;
	ret->status = v->status;
	ret->regions = calloc(v->mem.gmem->n + 1, sizeof(*ret->regions));
	ret->queues = calloc(v->nrings, sizeof(*ret->queues));
	if (!ret->regions || !ret->queues) {
		vu_session_info_fini(ret);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < v->mem.gmem->n; i++) {
		const struct gmem_region *r = &v->mem.gmem->r[i];

		ret->regions[ret->nregions++] = (struct vu_region_info){ r->gpa, r->uva, r->len };
	}
	for (unsigned i = 0; i < v->nrings; i++) {
		if (v->rings[i].ready)
			queue_info(&v->rings[i], &ret->queues[ret->nqueues++]);
	}
	return 0;
}
