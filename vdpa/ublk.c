/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a ublk device, on the control thread; the drawing is in ublk.h. */
#include "vdpa/ublk.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "vdpa/ublk_priv.h"

#define LOG_TAG "ublk"
#include "core/base/log.h"

/* The kernel has their memory until this process ends. Control thread. */
static struct ublk *left;

static struct ublk *ublk_of(const struct door *d)
{
	return container_of(d, struct ublk, door);
}

static void set_state(struct ublk *u, enum ublk_state state)
{
	static const char *const names[] = { "new",  "adding",	 "starting", "live",
					     "stopping", "going", "ended" };

	assert(state == u->state + 1 || (state == UBLK_STOPPING && u->state == UBLK_STARTING) ||
	       (state == UBLK_ENDED && (u->state == UBLK_ADDING || u->state == UBLK_STOPPING)));
	log_debug("%s: %s -> %s", u->name, names[u->state], names[state]);
	u->state = state;
}

/* Whoever waits; he may destroy us. */
static void answer(struct ublk *u, int err)
{
	door_done_fn done = u->done;
	struct errbuf why = u->why;

	u->done = NULL;
	done(u->done_arg, err, err ? why.text : "");
}

static int reactors_copy(struct ublk *u, const struct door_opts *opts)
{
	u->reactors = calloc(opts->nreactors, sizeof(*u->reactors));
	if (!u->reactors)
		return -ENOMEM;
	memcpy(u->reactors, opts->reactors, opts->nreactors * sizeof(*u->reactors));
	u->nreactors = opts->nreactors;
	return 0;
}

static int check(const struct door_opts *o, struct errbuf *eb)
{
	if (o->bdev->lim.block_bytes > 4096)
		return errbuf_set(eb, -EINVAL,
				  "a block of the disk has %u bytes, a block device of the kernel at most 4096",
				  o->bdev->lim.block_bytes);
	if (o->id < DOOR_ID_NONE || o->id > UBLK_ID_MAX)
		return errbuf_set(eb, -EINVAL, "ublk devices have numbers from 0 to %d", UBLK_ID_MAX);
	if (o->queues > UBLK_QUEUES_LIMIT)
		return errbuf_set(eb, -EINVAL, "at most %d queues", UBLK_QUEUES_LIMIT);
	if (o->depth > UBLK_DEPTH_LIMIT)
		return errbuf_set(eb, -EINVAL, "a queue has a depth of at most %d", UBLK_DEPTH_LIMIT);
	return 0;
}

static int ublk_create(const struct door_opts *opts, struct door **ret, struct errbuf *eb)
{
	int err = check(opts, eb);
	struct ublk *u;

	if (err)
		return err;
	u = calloc(1, sizeof(*u));
	if (!u || reactors_copy(u, opts)) {
		free(u);
		return errbuf_set(eb, -ENOMEM, "out of memory");
	}
	u->door.ops = &ublk_door;
	snprintf(u->name, sizeof(u->name), "%s", opts->name);
	u->bdev = opts->bdev;
	u->control = opts->control;
	u->want_id = opts->id;
	u->adopt = opts->adopt;
	u->fd = -1;
	u->mem.fd = -1;
	u->nqueues = opts->queues ? opts->queues : CC_MIN(opts->nreactors, (unsigned)UBLK_QUEUES_LIMIT);
	u->depth = opts->depth ? opts->depth : UBLK_DEPTH_DEFAULT;
	u->read_only = opts->read_only || opts->bdev->lim.read_only;
	u->bytes = bdev_bytes(opts->bdev);
	*ret = &u->door;
	return 0;
}

static void ublk_destroy(struct door *d)
{
	struct ublk *u = ublk_of(d);

	assert(u->state == UBLK_NEW || u->state == UBLK_ENDED);
	if (u->queues) {
		u->next_left = left;
		left = u;
		return;
	}
	free(u->reactors);
	free(u);
}

/* Of queues that have one. */
static void put_chans(struct ublk *u)
{
	for (unsigned i = 0; i < u->nqueues; i++) {
		if (u->queues[i].chan)
			bdev_chan_put(u->queues[i].chan);
		u->queues[i].chan = NULL;
	}
}

/*
 * The end
 */

static int going_work(struct worker *w)
{
	return ublk_setup_remove(container_of(w, struct ublk, worker));
}

static void going_done(struct worker *w, int err)
{
	struct ublk *u = container_of(w, struct ublk, worker);

	set_state(u, UBLK_ENDED);
	answer(u, u->err ? u->err : err);
}

/* All queues are over. */
static void go(struct ublk *u)
{
	put_chans(u);
	if (u->how == DOOR_END_LEAVE) {
		set_state(u, UBLK_ENDED);
		answer(u, u->err);
		return;
	}
	set_state(u, UBLK_GOING);
	if (worker_start(&u->worker, going_work, going_done))
		going_done(&u->worker, ublk_setup_remove(u)); /* no thread: then here */
}

void ublk_queue_is_over(struct ublk_queue *q)
{
	struct ublk *u = q->u;

	if (++u->nover == u->nqueues && u->state == UBLK_STOPPING)
		go(u);
}

static int stopping_work(struct worker *w)
{
	return ublk_setup_stop(container_of(w, struct ublk, worker));
}

static void stopping_done(struct worker *w, int err)
{
	struct ublk *u = container_of(w, struct ublk, worker);

	if (err)
		log_error("%s: %s", u->name, u->why.text);
	/* Nothing comes any more, and the kernel has answered all commands, or will not. */
	for (unsigned i = 0; i < u->nqueues; i++)
		ublk_queue_leave(&u->queues[i]);
}

static void stop(struct ublk *u)
{
	set_state(u, UBLK_STOPPING);
	if (u->how == DOOR_END_LEAVE) {
		for (unsigned i = 0; i < u->nqueues; i++)
			ublk_queue_leave(&u->queues[i]);
	} else if (worker_start(&u->worker, stopping_work, stopping_done)) {
		log_error("%s: no thread to stop it", u->name);
		u->how = DOOR_END_LEAVE;
		for (unsigned i = 0; i < u->nqueues; i++)
			ublk_queue_leave(&u->queues[i]);
	}
}

/*
 * Size
 */

static void resize(struct ublk *u);

static int resizing_work(struct worker *w)
{
	return ublk_setup_resize(container_of(w, struct ublk, worker));
}

static void resizing_done(struct worker *w, int err)
{
	struct ublk *u = container_of(w, struct ublk, worker);

	u->resizing = false;
	if (err)
		log_error("%s: %s", u->name, u->why.text);
	else
		log_notice("%s: /dev/ublkb%u has %" PRIu64 " bytes now", u->name, u->id, u->bytes);
	if (u->done)
		stop(u); /* it was asked for meanwhile */
	else if (u->resize_again)
		resize(u);
}

static void resize(struct ublk *u)
{
	u->resize_again = u->resizing;
	if (u->resizing || u->state != UBLK_LIVE)
		return;
	u->bytes = bdev_bytes(u->bdev);
	u->resizing = !worker_start(&u->worker, resizing_work, resizing_done);
}

static void disk_resized(struct bdev_listener *l)
{
	struct ublk *u = container_of(l, struct ublk, listener);

	if (u->has_update_size)
		resize(u);
	else
		log_warn("%s: /dev/ublkb%u keeps its %" PRIu64 " bytes until it is attached anew: this kernel "
			 "cannot change the size of a ublk device (6.16 can)",
			 u->name, u->id, u->bytes);
}

/*
 * The beginning
 */

/* It was begun and does not come to live. One that was to be taken over waits on: for a better server. */
static void fail(struct ublk *u, int err)
{
	u->err = err;
	u->how = u->adopted ? DOOR_END_LEAVE : DOOR_END_REMOVE;
	stop(u);
}

static int starting_work(struct worker *w)
{
	return ublk_setup_start(container_of(w, struct ublk, worker));
}

static void starting_done(struct worker *w, int err)
{
	struct ublk *u = container_of(w, struct ublk, worker);

	if (err) {
		fail(u, err);
		return;
	}
	set_state(u, UBLK_LIVE);
	bdev_listener_add(u->bdev, &u->listener, disk_resized);
	if (bdev_bytes(u->bdev) != u->bytes)
		disk_resized(&u->listener);
	log_info("%s: /dev/ublkb%u, %u queue%s of %u%s", u->name, u->id, u->nqueues,
		 u->nqueues == 1 ? "" : "s", u->depth, u->adopted ? ", taken over" : "");
	answer(u, 0);
}

static int get_chans(struct ublk *u)
{
	for (unsigned i = 0; i < u->nqueues; i++) {
		struct ublk_queue *q = &u->queues[i];
		int err = bdev_chan_get(u->bdev, q->reactor, &q->chan);

		if (err) {
			q->chan = NULL;
			return errbuf_set(&u->why, err, "no channel to the disk for queue %u: %s", i,
					  strerror(-err));
		}
	}
	return 0;
}

static void adding_done(struct worker *w, int err)
{
	struct ublk *u = container_of(w, struct ublk, worker);
	bool has_device = !err;
	struct errbuf why;

	if (!err)
		err = get_chans(u);
	if (!err) {
		set_state(u, UBLK_STARTING);
		for (unsigned i = 0; i < u->nqueues; i++)
			ublk_queue_start(&u->queues[i]);
		err = worker_start(&u->worker, starting_work, starting_done);
		if (!err)
			return;
		errbuf_write(&u->why, "no thread to start it: %s", strerror(-err));
		fail(u, err);
		return;
	}
	if (has_device) {
		why = u->why;
		put_chans(u);
		(void)ublk_setup_remove(u);
		u->why = why;
	}
	set_state(u, UBLK_ENDED);
	answer(u, err);
}

static int adding_work(struct worker *w)
{
	return ublk_setup_add(container_of(w, struct ublk, worker));
}

static void ublk_start(struct door *d, door_done_fn done, void *arg)
{
	struct ublk *u = ublk_of(d);
	int err;

	set_state(u, UBLK_ADDING);
	u->done = done;
	u->done_arg = arg;
	err = worker_start(&u->worker, adding_work, adding_done);
	if (!err)
		return;
	errbuf_write(&u->why, "no thread to start it: %s", strerror(-err));
	set_state(u, UBLK_ENDED);
	answer(u, err);
}

static void ublk_stop(struct door *d, enum door_end how, door_done_fn done, void *arg)
{
	struct ublk *u = ublk_of(d);

	assert(u->state == UBLK_LIVE && !u->done);
	bdev_listener_del(&u->listener);
	u->how = how;
	u->done = done;
	u->done_arg = arg;
	if (!u->resizing)
		stop(u);
}

static void ublk_get_info(const struct door *d, struct door_info *ret)
{
	const struct ublk *u = ublk_of(d);

	*ret = (struct door_info){
		.id = u->id,
		.queues = u->nqueues,
		.depth = u->depth,
		.live = u->state == UBLK_LIVE,
		.read_only = u->read_only,
		.adopted = u->adopted,
	};
	snprintf(ret->node, sizeof(ret->node), "/dev/ublkb%u", u->id);
	for (unsigned i = 0; u->queues && i < u->nqueues; i++) {
		ret->ios += counter_get(u->queues[i].ios);
		ret->errors += counter_get(u->queues[i].errors);
	}
}

static bool ublk_is_claimed(const struct door *d)
{
	return ublk_ctl_is_claimed(ublk_of(d)->id);
}

const struct door_ops ublk_door = {
	.as = "ublk",
	.create = ublk_create,
	.start = ublk_start,
	.stop = ublk_stop,
	.destroy = ublk_destroy,
	.get_info = ublk_get_info,
	.is_claimed = ublk_is_claimed,
};
