/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said to the control device in a ublk device's life: blocking, linear, on worker threads. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/linemem.h"
#include "core/base/mono.h"
#include "vdpa/ublk_priv.h"

#define CALL_MS	  30000 /* the kernel answers at once, or when its own work is done */
#define START_MS  60000 /* it reads the partition table meanwhile */
#define ORPHAN_MS 15000 /* a server that was killed: until the kernel has noticed */
#define RETRY_NS  20000000

static int call(struct ublk_ctl *ctl, uint32_t op, unsigned id, uint64_t data)
{
	struct ublk_ctl_cmd cmd = { .dev_id = id, .queue_id = UINT16_MAX, .data = data };

	return ublk_ctl_call(ctl, op, &cmd, op == UBLK_CTL_STOP || op == UBLK_CTL_DEL ? 0 : START_MS);
}

static int call_buf(struct ublk_ctl *ctl, uint32_t op, unsigned id, void *buf, size_t len)
{
	struct ublk_ctl_cmd cmd = {
		.dev_id = id, .queue_id = UINT16_MAX, .addr = (uintptr_t)buf, .len = (uint16_t)len
	};

	return ublk_ctl_call(ctl, op, &cmd, CALL_MS);
}

static int get_features(struct ublk *u)
{
	uint64_t features = 0;
	int err = call_buf(u->ctl, UBLK_CTL_GET_FEATURES, 0, &features, sizeof(features));

	if (err == -EOPNOTSUPP || err == -EINVAL)
		return errbuf_set(&u->why, -ENOTSUP, "the kernel's ublk is too old: 6.5 or newer is needed");
	if (err)
		return errbuf_set(&u->why, err, UBLK_CONTROL_PATH ": %s", strerror(-err));
	if (!(features & UBLK_FEAT_RECOVERY))
		return errbuf_set(&u->why, -ENOTSUP, "the kernel's ublk cannot outlive its server");
	u->has_update_size = features & UBLK_FEAT_UPDATE_SIZE;
	return 0;
}

static uint8_t shift_of(uint32_t bytes)
{
	return (uint8_t)__builtin_ctz(bytes);
}

static uint32_t to_sectors(uint64_t bytes)
{
	uint64_t n = bytes >> UBLK_SECTOR_SHIFT;

	return n > UINT32_MAX ? UINT32_MAX & ~7u : (uint32_t)n;
}

static void fill_params(const struct ublk *u, struct ublk_params *p)
{
	const struct bdev_limits *lim = &u->bdev->lim;

	*p = (struct ublk_params){ .len = offsetof(struct ublk_params, pad), .types = UBLK_PARAMS_BASIC };
	p->basic.logical_shift = shift_of(lim->block_bytes);
	p->basic.physical_shift = shift_of(CC_MAX(lim->phys_bytes, lim->block_bytes));
	p->basic.io_min_shift = p->basic.physical_shift;
	p->basic.io_opt_shift = CC_IS_POW2(lim->opt_io_bytes) ? shift_of(lim->opt_io_bytes)
							       : p->basic.physical_shift;
	p->basic.max_sectors = UBLK_BUF_BYTES >> UBLK_SECTOR_SHIFT;
	p->basic.sectors = u->bytes >> UBLK_SECTOR_SHIFT;
	if (u->read_only)
		p->basic.attrs |= UBLK_ATTR_READ_ONLY;
	if (lim->rotational)
		p->basic.attrs |= UBLK_ATTR_ROTATIONAL;
	if (lim->has_flush)
		p->basic.attrs |= UBLK_ATTR_CACHE | UBLK_ATTR_FUA; /* core makes FUA where the disk has none */
	if (u->read_only || (!lim->discard_max && !lim->zeroes_max))
		return;
	p->types |= UBLK_PARAMS_DISCARD;
	p->discard.granularity = CC_MAX(lim->discard_align, lim->block_bytes);
	p->discard.max_sectors = to_sectors(lim->discard_max);
	p->discard.zeroes_max_sectors = to_sectors(lim->zeroes_max);
	p->discard.segments_max = 1;
}

static int add_new(struct ublk *u)
{
	struct ublk_dev_info info = {
		.nqueues = (uint16_t)u->nqueues,
		.depth = (uint16_t)u->depth,
		.buf_bytes_max = UBLK_BUF_BYTES,
		.dev_id = u->want_id == DOOR_ID_NONE ? UINT32_MAX : (uint32_t)u->want_id,
		.server_pid = getpid(),
		.flags = UBLK_FEAT_RECOVERY | UBLK_FEAT_REISSUE | UBLK_FEAT_IOCTL_ENCODE,
	};
	struct ublk_params params;
	int err = call_buf(u->ctl, UBLK_CTL_ADD, info.dev_id, &info, sizeof(info));

	if (err == -EEXIST)
		return errbuf_set(&u->why, err,
				  "/dev/ublkb%d is taken: name another number, or none", u->want_id);
	if (err == -EPERM || err == -EACCES)
		return errbuf_set(&u->why, err, "no permission to make ublk devices: this takes root "
						"(CAP_SYS_ADMIN)");
	if (err)
		return errbuf_set(&u->why, err, "the kernel makes no ublk device: %s", strerror(-err));
	u->added = true;
	u->id = info.dev_id;
	u->nqueues = info.nqueues;
	u->depth = info.depth;
	fill_params(u, &params);
	err = call_buf(u->ctl, UBLK_CTL_SET_PARAMS, u->id, &params, sizeof(params));
	if (err)
		return errbuf_set(&u->why, err, "the kernel does not take the disk as ublk device: %s",
				  strerror(-err));
	return 0;
}

/* The device has other ideas of the disk than the disk itself? */
static int compare(struct ublk *u, const struct ublk_dev_info *info)
{
	struct ublk_params p = { .len = offsetof(struct ublk_params, pad) };
	int err = call_buf(u->ctl, UBLK_CTL_GET_PARAMS, u->id, &p, sizeof(p));
	uint64_t bytes = p.basic.sectors << UBLK_SECTOR_SHIFT;
	bool read_only = p.basic.attrs & UBLK_ATTR_READ_ONLY;

	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u: parameters: %s", u->id, strerror(-err));
	if (p.basic.logical_shift != shift_of(u->bdev->lim.block_bytes) || bytes > u->bytes ||
	    (u->read_only && !read_only) || info->buf_bytes_max > UBLK_BUF_BYTES ||
	    info->depth > UBLK_DEPTH_MAX || !info->nqueues)
		return errbuf_set(&u->why, -EINVAL,
				  "/dev/ublkb%u waits for a disk of %" PRIu64
				  " bytes that this one cannot be: nvring detach --force /dev/ublkb%u",
				  u->id, bytes, u->id);
	u->read_only = read_only;
	u->bytes = bytes;
	return 0;
}

static void pause_a_little(void)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };

	(void)nanosleep(&pause, NULL);
}

/* Its server has gone; the last of it may still be on its way. */
static int take_over(struct ublk *u, const struct ublk_dev_info *info, uint64_t limit)
{
	int err = compare(u, info);

	if (err)
		return err;
	while ((err = call(u->ctl, UBLK_CTL_RECOVER_BEGIN, u->id, 0)) == -EBUSY && mono_ns() < limit)
		pause_a_little();
	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u cannot be taken over: %s", u->id, strerror(-err));
	u->adopted = true;
	u->nqueues = info->nqueues;
	u->depth = info->depth;
	return 0;
}

/* -ENODEV: there is none any more, make a new one. */
static int adopt(struct ublk *u)
{
	uint64_t limit = mono_ns() + ORPHAN_MS * MONO_NS_PER_MS;
	struct ublk_dev_info info;
	int err;

	u->id = (unsigned)u->adopt;
	do {
		err = call_buf(u->ctl, UBLK_CTL_GET_INFO, u->id, &info, sizeof(info));
		if (err == -ENODEV || (!err && info.state == UBLK_STATE_DEAD))
			return -ENODEV;
		if (!err && info.state == UBLK_STATE_QUIESCED)
			return take_over(u, &info, limit);
		if (!err)
			err = -EBUSY;
		if (err == -EBUSY)
			pause_a_little();
	} while (err == -EBUSY && mono_ns() < limit);
	if (err == -EBUSY)
		return errbuf_set(&u->why, err, "/dev/ublkb%u is still served by process %d", u->id,
				  info.server_pid);
	return errbuf_set(&u->why, err, "/dev/ublkb%u: %s", u->id, strerror(-err));
}

static int make_queues(struct ublk *u)
{
	size_t bytes = (size_t)u->depth * UBLK_BUF_BYTES;
	int err = hugemem_alloc(&u->mem, bytes * u->nqueues, "nvring-ublk");

	if (!err)
		err = hugemem_dma_add(&u->mem);
	if (err) {
		hugemem_free(&u->mem);
		return errbuf_set(&u->why, err, "no memory for the buffers of %u queues with %u I/Os each: %s",
				  u->nqueues, u->depth, strerror(-err));
	}
	u->queues = linemem_calloc(u->nqueues, sizeof(*u->queues));
	if (!u->queues)
		return errbuf_set(&u->why, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < u->nqueues && !err; i++) {
		struct ublk_queue *q = &u->queues[i];

		q->u = u;
		q->index = i;
		q->depth = u->depth;
		q->reactor = u->reactors[i % u->nreactors];
		q->bufs = (uint8_t *)u->mem.va + i * bytes;
		q->slots = linemem_calloc(u->depth, sizeof(*q->slots));
		err = q->slots ? ublk_ring_open(u->fd, i, u->depth, &q->ring) : -ENOMEM;
	}
	if (err)
		return errbuf_set(&u->why, err, "no io_uring for another queue: %s", strerror(-err));
	return 0;
}

static void free_queues(struct ublk *u)
{
	for (unsigned i = 0; u->queues && i < u->nqueues; i++) {
		ublk_ring_close(u->queues[i].ring);
		free(u->queues[i].slots);
	}
	free(u->queues);
	u->queues = NULL;
	if (u->mem.va)
		hugemem_dma_del(&u->mem);
	hugemem_free(&u->mem);
	if (u->fd >= 0)
		(void)close(u->fd);
	u->fd = -1;
}

int ublk_setup_remove(struct ublk *u)
{
	int err = 0;

	free_queues(u);
	/* An adopted one that did not come to live waits on: perhaps for a better server. */
	if (u->added)
		err = call(u->ctl, UBLK_CTL_DEL, u->id, 0);
	ublk_ctl_close(u->ctl);
	u->ctl = NULL;
	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u does not go: %s", u->id, strerror(-err));
	return 0;
}

static int add(struct ublk *u)
{
	int err = u->adopt == DOOR_ID_NONE ? -ENODEV : adopt(u);

	if (err == -ENODEV)
		err = add_new(u);
	if (err)
		return err;
	u->fd = ublk_ctl_open_server(u->id);
	if (u->fd < 0)
		return errbuf_set(&u->why, u->fd, "/dev/ublkc%u: %s", u->id, strerror(-u->fd));
	return make_queues(u);
}

int ublk_setup_add(struct ublk *u)
{
	struct errbuf why;
	int err = ublk_ctl_open(&u->ctl, &u->why);

	if (err)
		return err;
	err = get_features(u);
	if (!err)
		err = add(u);
	if (err) {
		why = u->why;
		(void)ublk_setup_remove(u);
		u->why = why;
	}
	return err;
}

/*
 * A device of one queue gets mq-deadline, which costs as much as our own code does, and knows nothing of the disk; so the
 * choice is that of loop and NVMe. One that was adopted keeps what its operator gave it. A wish: all works without.
 */
static void choose_scheduler(const struct ublk *u)
{
	if (!u->adopted && !u->bdev->lim.rotational)
		(void)ublk_ctl_no_scheduler(u->id);
}

int ublk_setup_start(struct ublk *u)
{
	uint32_t op = u->adopted ? UBLK_CTL_RECOVER_END : UBLK_CTL_START;
	int err = call(u->ctl, op, u->id, (uint64_t)getpid());

	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u does not start: %s", u->id, strerror(-err));
	u->added = true; /* from now on ours to remove */
	choose_scheduler(u);
	return 0;
}

int ublk_setup_stop(struct ublk *u)
{
	int err;

	if (u->state == UBLK_STOPPING && !u->err)
		(void)ublk_ctl_sync(u->id); /* what cannot be written is its users' loss, and told to them */
	err = call(u->ctl, UBLK_CTL_STOP, u->id, 0);
	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u does not stop: %s", u->id, strerror(-err));
	return 0;
}

int ublk_setup_resize(struct ublk *u)
{
	int err = call(u->ctl, UBLK_CTL_UPDATE_SIZE, u->id, u->bytes >> UBLK_SECTOR_SHIFT);

	if (err)
		return errbuf_set(&u->why, err, "/dev/ublkb%u keeps its size: %s", u->id, strerror(-err));
	return 0;
}

/*
 * Devices of anybody
 */

static int look(struct ublk_ctl *ctl, unsigned id, struct ublk_peek *ret, struct errbuf *eb)
{
	struct ublk_params p = { .len = offsetof(struct ublk_params, pad) };
	struct ublk_dev_info info;
	int err = call_buf(ctl, UBLK_CTL_GET_INFO, id, &info, sizeof(info));

	if (err == -ENODEV)
		return errbuf_set(eb, err, "/dev/ublkb%u: there is no such ublk device", id);
	if (!err)
		err = call_buf(ctl, UBLK_CTL_GET_PARAMS, id, &p, sizeof(p));
	if (err)
		return errbuf_set(eb, err, "/dev/ublkb%u: %s", id, strerror(-err));
	*ret = (struct ublk_peek){
		.server = info.server_pid,
		.live = info.state == UBLK_STATE_LIVE,
		.waits = info.state == UBLK_STATE_QUIESCED,
		.queues = info.nqueues,
		.depth = info.depth,
		.bytes = p.basic.sectors << UBLK_SECTOR_SHIFT,
		.read_only = p.basic.attrs & UBLK_ATTR_READ_ONLY,
	};
	return 0;
}

int ublk_look(unsigned id, struct ublk_peek *ret, struct errbuf *eb)
{
	struct ublk_ctl *ctl;
	int err = ublk_ctl_open(&ctl, eb);

	if (err)
		return err;
	err = look(ctl, id, ret, eb);
	ublk_ctl_close(ctl);
	return err;
}

static bool has_died(pid_t server)
{
	return kill(server, 0) && errno == ESRCH;
}

int ublk_remove(unsigned id, struct errbuf *eb)
{
	uint64_t limit = mono_ns() + ORPHAN_MS * MONO_NS_PER_MS;
	struct ublk_peek peek;
	struct ublk_ctl *ctl;
	int err = ublk_ctl_open(&ctl, eb);

	if (err)
		return err;
	while (!(err = look(ctl, id, &peek, eb)) && peek.live && has_died(peek.server) && mono_ns() < limit)
		pause_a_little(); /* the kernel has not noticed yet */
	if (!err && peek.live)
		err = errbuf_set(eb, -EBUSY, "/dev/ublkb%u is served by process %d", id, peek.server);
	if (err)
		goto out;
	err = call(ctl, UBLK_CTL_STOP, id, 0);
	if (!err) {
		err = call(ctl, UBLK_CTL_DEL_ASYNC, id, 0);
		if (err && err != -ENODEV) /* an older kernel: until it is unmounted */
			err = call(ctl, UBLK_CTL_DEL, id, 0);
	}
	if (err)
		errbuf_write(eb, "/dev/ublkb%u does not go: %s", id, strerror(-err));
out:
	ublk_ctl_close(ctl);
	return err;
}
