/* SPDX-License-Identifier: BSD-3-Clause */
/* Disks of the daemon: opened, resized and closed without the control thread ever waiting. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mono.h"
#include "core/worker.h"
#include "drivers/catalogue.h"
#include "tools/nvringd/wiring.h"

#define LOG_TAG "disk"
#include "core/base/log.h"

/* An open under way on a worker thread. */
struct disk_opening {
	struct worker worker;
	struct wiring_disk *disk;
	struct bdev *bdev; /* the worker's until it is done */
	struct errbuf eb;
};

static struct wiring_disk *disk_attach(struct wiring *w, const struct config_disk *conf)
{
	struct wiring_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->w = w;
	d->conf = *conf;
	d->state = WIRING_DISK_OPENING;
	list_add_tail(&w->disks, &d->link);
	w->ndisks++;
	return d;
}

static void disk_detach(struct wiring_disk *d)
{
	list_del(&d->link);
	d->w->ndisks--;
	free(d);
}

/* Blocks; touches nothing but the new device. */
static int disk_open(const struct wiring_disk *d, struct bdev **ret_bdev, struct errbuf *eb)
{
	struct bdev_open_opts opts = {
		.name = d->conf.name,
		.read_only = d->conf.read_only,
		.lock_wait_ms = d->w->conf.lock_wait_ms,
		.control = d->w->control,
	};

	return bdev_open(d->conf.uri, &opts, ret_bdev, eb);
}

static void disk_ready(struct wiring_disk *d, struct bdev *bdev)
{
	d->bdev = bdev;
	d->state = WIRING_DISK_READY;
	log_info("%s: %s, %" PRIu64 " bytes", d->conf.name, d->conf.uri, bdev_bytes(d->bdev));
}

int wiring_disk_open(struct wiring *w, const struct config_disk *conf, struct errbuf *eb)
{
	struct wiring_disk *d = disk_attach(w, conf);
	char full[JREAD_WHERE_MAX];
	struct bdev *bdev;
	struct errbuf why;
	int err;

	if (!d)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	err = disk_open(d, &bdev, &why);
	if (err) {
		disk_detach(d);
		return errbuf_set(eb, err, "%s: %.300s", jread_join(conf->where, "uri", full),
				  why.text);
	}
	disk_ready(d, bdev);
	err = wiring_disk_grant(d, &why); /* in vain: it closes as all do when the start fails */
	if (err)
		return errbuf_set(eb, err, "%.200s: %.280s", conf->where, why.text);
	return 0;
}

static void close_done(void *arg)
{
	struct wiring_disk *d = arg;
	struct wiring *w = d->w;
	wiring_done_fn done = d->done;
	void *done_arg = d->done_arg;

	log_info("%s: closed", d->conf.name);
	disk_detach(d);
	if (done)
		done(done_arg, 0, "");
	wiring_step(w);
}

static void disk_close(struct wiring_disk *d, wiring_done_fn done, void *arg)
{
	struct bdev *bdev = d->bdev;

	wiring_disk_force_thaw(d, "it is closed");
	d->state = WIRING_DISK_CLOSING;
	d->done = done;
	d->done_arg = arg;
	d->bdev = NULL; /* its driver may free it on a worker thread */
	bdev_close(bdev, close_done, d);
}

static int opening_work(struct worker *worker)
{
	struct disk_opening *o = container_of(worker, struct disk_opening, worker);

	return disk_open(o->disk, &o->bdev, &o->eb);
}

static void opening_done(struct worker *worker, int err)
{
	struct disk_opening *o = container_of(worker, struct disk_opening, worker);
	struct wiring_disk *d = o->disk;
	struct wiring *w = d->w;

	w->busy--;
	if (!err) {
		disk_ready(d, o->bdev);
		err = wiring_disk_grant(d, &o->eb);
	}
	d->done(d->done_arg, err, err ? o->eb.text : "");
	if (err && d->bdev)
		disk_close(d, NULL, NULL);
	else if (err)
		disk_detach(d);
	free(o);
	wiring_step(w);
}

void wiring_disk_create(struct wiring *w, const struct config_disk *conf, wiring_done_fn done,
			void *arg)
{
	struct disk_opening *o = NULL;
	struct wiring_disk *d;
	int err;

	if (wiring_find_disk(w, conf->name) || w->ndisks >= CONFIG_DISKS_MAX) {
		done(arg, -EEXIST,
		     w->ndisks >= CONFIG_DISKS_MAX ? "too many disks" : "the name is taken");
		return;
	}
	d = disk_attach(w, conf);
	if (d)
		o = calloc(1, sizeof(*o));
	err = o ? 0 : -ENOMEM;
	if (!err) {
		o->disk = d;
		d->done = done;
		d->done_arg = arg;
		err = worker_start(&o->worker, opening_work, opening_done);
	}
	if (err) {
		free(o);
		if (d)
			disk_detach(d);
		done(arg, err, strerror(-err));
		return;
	}
	w->busy++;
}

const char *wiring_disk_busy(const struct wiring_disk *d)
{
	switch (d->state) {
	case WIRING_DISK_OPENING:
		return "the disk is still being opened";
	case WIRING_DISK_RESIZING:
		return "the disk is being resized";
	case WIRING_DISK_CLOSING:
		return "the disk is being deleted";
	case WIRING_DISK_READY:
		break;
	}
	return NULL;
}

void wiring_disk_delete(struct wiring_disk *d, wiring_done_fn done, void *arg)
{
	if (wiring_disk_busy(d))
		done(arg, -EBUSY, wiring_disk_busy(d));
	else if (wiring_disk_exports(d))
		done(arg, -EBUSY, "the disk is exported: delete its exports first");
	else
		disk_close(d, done, arg);
}

void wiring_disks_close(struct wiring *w)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);

		if (d->state == WIRING_DISK_READY)
			disk_close(d, NULL, NULL);
	}
}

static void resize_done(void *arg, int err, const char *why)
{
	struct wiring_disk *d = arg;
	struct wiring *w = d->w;

	d->state = WIRING_DISK_READY;
	w->busy--;
	d->done(d->done_arg, err, err ? why : "");
	wiring_step(w);
}

void wiring_disk_resize(struct wiring_disk *d, uint64_t bytes, wiring_done_fn done, void *arg)
{
	if (wiring_disk_busy(d)) {
		done(arg, -EBUSY, wiring_disk_busy(d));
		return;
	}
	d->state = WIRING_DISK_RESIZING;
	d->done = done;
	d->done_arg = arg;
	d->w->busy++;
	bdev_resize(d->bdev, bytes, resize_done, d);
}

static void disk_froze(void *arg)
{
	struct wiring_disk *d = arg;
	struct wiring *w = d->w;
	wiring_done_fn done = d->froze;

	d->froze = NULL;
	w->busy--;
	deadline_cancel(&d->froze_limit);
	if (d->frozen)
		done(d->froze_arg, 0, "");
	else if (d->froze_late)
		done(d->froze_arg, -ETIMEDOUT,
		     "I/O of the disk did not end in time: it is thawed again");
	else
		done(d->froze_arg, -ECANCELED, "the disk was thawed before its I/O had ended");
	wiring_step(w);
}

static void disk_thaw(struct wiring_disk *d)
{
	d->frozen = false;
	deadline_cancel(&d->froze_limit);
	bdev_thaw(d->bdev);
}

static void freeze_is_late(struct deadline *limit)
{
	struct wiring_disk *d = container_of(limit, struct wiring_disk, froze_limit);

	log_notice("%s: thawed, since its I/O did not end in time", d->conf.name);
	d->froze_late = true;
	disk_thaw(d);
}

/* NULL: it can be frozen. */
static const char *why_not_freeze(const struct wiring_disk *d)
{
	struct list *pos;

	if (wiring_disk_busy(d))
		return wiring_disk_busy(d);
	if (d->froze)
		return "a freeze of the disk is under way";
	if (d->frozen)
		return "the disk is frozen already: thaw it first";
	list_for_each(pos, &d->w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (e->disk == d && e->ending)
			return "an export of the disk is being deleted";
	}
	return NULL;
}

void wiring_disk_freeze(struct wiring_disk *d, unsigned timeout_ms, wiring_done_fn done, void *arg)
{
	const char *why = why_not_freeze(d);

	if (why) {
		done(arg, -EBUSY, why);
		return;
	}
	if (bdev_freeze(d->bdev, disk_froze, d)) {
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	d->frozen = true;
	d->froze = done;
	d->froze_arg = arg;
	d->froze_late = false;
	d->w->busy++;
	deadline_init(&d->froze_limit, freeze_is_late);
	if (timeout_ms)
		deadline_arm(d->w->control, &d->froze_limit,
			     mono_ns() + timeout_ms * UINT64_C(1000000));
}

int wiring_disk_thaw(struct wiring_disk *d, struct errbuf *eb)
{
	if (!d->frozen)
		return errbuf_set(eb, -EINVAL, "the disk is not frozen");
	disk_thaw(d);
	return 0;
}

void wiring_disk_force_thaw(struct wiring_disk *d, const char *why)
{
	if (!d->frozen)
		return;
	log_notice("%s: thawed, since %s", d->conf.name, why);
	disk_thaw(d);
}
