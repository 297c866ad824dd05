/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a disk as a file, on the control thread; workers mount and unmount.
 *
 *   NEW ─ door_start ─► MOUNTING ─ ok ─► LIVE ─ door_stop ─► UNMOUNTING ─► LEAVING ─► ENDED
 *                          │ fails                                                    ▲
 *                          └──────────────────────────────────────────────────────────┘
 */
#include "vdpa/fusefile.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/linemem.h"
#include "core/hugemem.h"
#include "core/worker.h"
#include "vdpa/fusefile_sess.h"

#define LOG_TAG "fuse"
#include "core/base/log.h"

#define NAME_MAX_BYTES 64
#define PAGE_BYTES     4096u
#define RELEASE_TRIES  50 /* a millisecond each: until the kernel has told of a close */
#define RELEASE_NS     1000000

enum fusefile_state {
	FUSEFILE_NEW,
	FUSEFILE_MOUNTING,
	FUSEFILE_LIVE,
	FUSEFILE_UNMOUNTING,
	FUSEFILE_LEAVING,
	FUSEFILE_ENDED,
};

/* Control thread's, but for what the worker works on. */
struct fusefile {
	struct door door;
	char name[NAME_MAX_BYTES], folder[FUSEFILE_PATH_MAX], path[FUSEFILE_PATH_MAX];
	struct bdev *bdev;
	enum fusefile_state state;
	int want_id;
	unsigned id;
	struct fusefile_place place;
	struct fusefile_sess sess;
	struct bdev_chan *chan;
	struct hugemem mem;
	struct worker worker;
	struct errbuf why;
	door_done_fn done;
	void *done_arg;
};

static struct fusefile *fusefile_of(const struct door *d)
{
	return container_of(d, struct fusefile, door);
}

static void set_state(struct fusefile *f, enum fusefile_state state)
{
	assert(state == f->state + 1 || (f->state == FUSEFILE_MOUNTING && state == FUSEFILE_ENDED));
	f->state = state;
}

static int check(const struct door_opts *o, struct errbuf *eb)
{
	if (o->id > FUSEFILE_ID_MAX)
		return errbuf_set(eb, -EINVAL, "files have numbers from 0 to %d", FUSEFILE_ID_MAX);
	if (o->depth > FUSEFILE_DEPTH_LIMIT)
		return errbuf_set(eb, -EINVAL, "at most %d I/Os at once", FUSEFILE_DEPTH_LIMIT);
	if (strlen(o->folder) >= FUSEFILE_PATH_MAX || (o->path && strlen(o->path) >= FUSEFILE_PATH_MAX))
		return errbuf_set(eb, -ENAMETOOLONG, "the path of a file has at most %d bytes", FUSEFILE_PATH_MAX - 1);
	return fusefile_sess_check(eb);
}

/*
 *   a slot:  page │ data, and two blocks │ a block for edges
 *              mem ^ headers, so that data is aligned
 */
static int make_slots(struct fusefile *f)
{
	struct fusefile_sess *s = &f->sess;
	size_t block = CC_MAX(f->bdev->lim.block_bytes, PAGE_BYTES);
	size_t stride = PAGE_BYTES + s->io_bytes_max + 3 * block;
	int err = hugemem_alloc(&f->mem, s->nslots * stride, "nvring-fuse");

	if (!err) {
		err = hugemem_dma_add(&f->mem);
		if (err)
			hugemem_free(&f->mem);
	}
	if (err)
		return err;
	s->slots = linemem_calloc(s->nslots, sizeof(*s->slots));
	if (!s->slots)
		return -ENOMEM;
	for (unsigned i = 0; i < s->nslots; i++) {
		struct fusefile_slot *slot = &s->slots[i];

		slot->data = (uint8_t *)f->mem.va + i * stride + PAGE_BYTES;
		slot->mem = slot->data - FUSEFILE_HEAD_BYTES;
		slot->edge = slot->data + s->io_bytes_max + 2 * block;
	}
	return 0;
}
static_assert(FUSEFILE_HEAD_BYTES <= PAGE_BYTES && FUSEFILE_SPARE_BYTES <= 2 * PAGE_BYTES, "the room of a slot");

static void fusefile_destroy(struct door *d)
{
	struct fusefile *f = fusefile_of(d);

	assert(f->state == FUSEFILE_NEW || f->state == FUSEFILE_ENDED);
	free(f->sess.slots);
	if (f->mem.va)
		hugemem_dma_del(&f->mem);
	hugemem_free(&f->mem);
	free(f);
}

static void sess_over(struct fusefile_sess *s);

static int fusefile_create(const struct door_opts *opts, struct door **ret, struct errbuf *eb)
{
	int err = check(opts, eb);
	struct fusefile *f;

	if (err)
		return err;
	f = calloc(1, sizeof(*f));
	if (!f)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	f->door.ops = &fusefile_door;
	snprintf(f->name, sizeof(f->name), "%s", opts->name);
	snprintf(f->folder, sizeof(f->folder), "%s", opts->folder);
	snprintf(f->path, sizeof(f->path), "%s", opts->path ? opts->path : "");
	f->bdev = opts->bdev;
	f->want_id = opts->id;
	f->mem.fd = -1;
	f->sess = (struct fusefile_sess){
		.name = f->name,
		.reactor = opts->reactors[0],
		.control = opts->control,
		.bdev = opts->bdev,
		.nslots = opts->depth ? opts->depth : FUSEFILE_DEPTH_DEFAULT,
		.io_bytes_max = FUSEFILE_BUF_BYTES,
		.read_only = opts->read_only || opts->bdev->lim.read_only,
		.over = sess_over,
		.owner = f,
	};
	err = make_slots(f);
	if (err) {
		fusefile_destroy(&f->door);
		return errbuf_set(eb, err, "no memory for the I/O of a file: %s", strerror(-err));
	}
	*ret = &f->door;
	return 0;
}

static void answer(struct fusefile *f, int err)
{
	door_done_fn done = f->done;
	struct errbuf why = f->why;

	f->done = NULL;
	done(f->done_arg, err, err ? why.text : "");
}

/*
 * The end
 */
static void sess_over(struct fusefile_sess *s)
{
	struct fusefile *f = s->owner;

	fusefile_sess_close(s);
	bdev_chan_put(f->chan);
	set_state(f, FUSEFILE_ENDED);
	answer(f, 0);
}

static int unmount_work(struct worker *w)
{
	fusefile_place_remove(&container_of(w, struct fusefile, worker)->place);
	return 0;
}

static void unmount_done(struct worker *w, int err)
{
	struct fusefile *f = container_of(w, struct fusefile, worker);

	(void)err; /* always 0 */
	set_state(f, FUSEFILE_LEAVING);
	fusefile_sess_leave(&f->sess);
}

static void fusefile_stop(struct door *d, enum door_end how, door_done_fn done, void *arg)
{
	struct fusefile *f = fusefile_of(d);

	(void)how; /* nothing outlives its server */
	set_state(f, FUSEFILE_UNMOUNTING);
	f->done = done;
	f->done_arg = arg;
	if (worker_start(&f->worker, unmount_work, unmount_done))
		unmount_done(&f->worker, unmount_work(&f->worker)); /* no thread: then here */
}

/*
 * The beginning
 */
static int mount_work(struct worker *w)
{
	static unsigned nothers; /* files at paths of their own */
	struct fusefile *f = container_of(w, struct fusefile, worker);
	int err, fd;

	if (f->path[0]) {
		f->id = FUSEFILE_ID_MAX + 1 + __atomic_fetch_add(&nothers, 1, __ATOMIC_RELAXED);
		err = fusefile_place_make(&f->place, f->path, &f->why);
	} else {
		err = fusefile_place_choose(&f->place, f->folder, f->want_id, &f->id, &f->why);
	}
	if (err)
		return err;
	fd = fusefile_place_mount(&f->place, "nvring", f->sess.io_bytes_max, &f->why);
	err = fd < 0 ? fd : fusefile_sess_open(&f->sess, fd, &f->why);
	if (!err)
		return 0;
	if (fd >= 0)
		(void)close(fd); /* first: who looks at it now is not left waiting */
	fusefile_place_remove(&f->place);
	return err;
}

static void mount_done(struct worker *w, int err)
{
	struct fusefile *f = container_of(w, struct fusefile, worker);

	if (!err) {
		err = bdev_chan_get(f->bdev, f->sess.reactor, &f->chan);
		if (err) {
			errbuf_write(&f->why, "no channel to the disk: %s", strerror(-err));
			fusefile_sess_close(&f->sess); /* first: who looks at it now is not left waiting */
			fusefile_place_remove(&f->place);
		}
	}
	if (err) {
		set_state(f, FUSEFILE_ENDED);
		answer(f, err);
		return;
	}
	set_state(f, FUSEFILE_LIVE);
	fusefile_sess_start(&f->sess, f->chan);
	log_info("%s: %s, %u I/Os at once", f->name, f->place.path, f->sess.nslots);
	answer(f, 0);
}

static void fusefile_start(struct door *d, door_done_fn done, void *arg)
{
	struct fusefile *f = fusefile_of(d);
	int err;

	set_state(f, FUSEFILE_MOUNTING);
	f->done = done;
	f->done_arg = arg;
	err = worker_start(&f->worker, mount_work, mount_done);
	if (!err)
		return;
	errbuf_write(&f->why, "no thread to mount it: %s", strerror(-err));
	mount_done(&f->worker, err);
}

static void fusefile_get_info(const struct door *d, struct door_info *ret)
{
	const struct fusefile *f = fusefile_of(d);

	*ret = (struct door_info){
		.id = f->id,
		.queues = 1,
		.depth = f->sess.nslots,
		.live = f->state == FUSEFILE_LIVE,
		.read_only = f->sess.read_only,
		.ios = counter_get(f->sess.ios),
		.errors = counter_get(f->sess.errors),
	};
	snprintf(ret->node, sizeof(ret->node), "%s", f->place.path);
}

static bool fusefile_is_open(const struct door *d)
{
	const struct fusefile *f = fusefile_of(d);
	const struct timespec pause = { .tv_nsec = RELEASE_NS };

	for (unsigned i = 0; i < RELEASE_TRIES && counter_get(f->sess.nopen); i++)
		(void)nanosleep(&pause, NULL);
	return counter_get(f->sess.nopen);
}

static void fusefile_tell_user(const struct door *d, char *buf, size_t len)
{
	fusefile_place_users(fusefile_of(d)->place.path, buf, len);
}

const struct door_ops fusefile_door = {
	.as = "fuse",
	.ends_with_us = true,
	.create = fusefile_create,
	.start = fusefile_start,
	.stop = fusefile_stop,
	.destroy = fusefile_destroy,
	.get_info = fusefile_get_info,
	.is_claimed = fusefile_is_open,
	.tell_user = fusefile_tell_user,
};
