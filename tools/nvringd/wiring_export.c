/* SPDX-License-Identifier: BSD-3-Clause */
/* Exports of the daemon: a virtio-blk device on a disk, behind a vhost-user socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvringd/wiring.h"
#include "tools/nvringd/wiring_balance.h"
#include "vhost/blk/vblk.h"
#include "vhost/user/vu_server.h"

#define LOG_TAG "export"
#include "core/base/log.h"

static int create_device(struct wiring_export *e, struct errbuf *eb)
{
	struct vblk_opts opts = {
		.read_only = e->conf.read_only,
		.nqueues = e->conf.queues,
		.write_through = !e->conf.write_cache,
		.serial = e->conf.serial[0] ? e->conf.serial : NULL,
	};

	return vblk_create(e->disk->bdev, &opts, &e->dev, eb);
}

/* An inherited, connected socket came to its end: there is nobody left to serve. */
static void inherited_ended(void *arg)
{
	struct wiring_export *e = arg;

	log_notice("%s: the front-end has left, ending", e->conf.name);
	wiring_stop(e->w);
}

static int create_server(struct wiring_export *e, struct errbuf *eb)
{
	struct vu_server_opts opts = {
		.name = e->conf.name,
		.path = e->conf.socket[0] ? e->conf.socket : NULL,
		.fd = e->conf.fd,
		.mode = (mode_t)e->conf.mode,
		.dev = vblk_vdev(e->dev),
		.control = e->w->control,
		.reactors = e->w->reactors,
		.nreactors = e->w->nreactors,
		.no_packed = !e->conf.packed,
		.on_end = inherited_ended,
		.on_end_arg = e,
	};

	return vu_server_create(&opts, &e->server, eb);
}

static void export_free(struct wiring_export *e)
{
	vblk_destroy(e->dev);
	free(e);
}

int wiring_export_create(struct wiring *w, const struct config_export *conf, struct errbuf *eb)
{
	struct wiring_disk *disk = wiring_find_disk(w, conf->disk);
	char full[JREAD_WHERE_MAX];
	struct wiring_export *e;
	struct errbuf why;
	int err;

	if (!disk || (disk->state != WIRING_DISK_READY && disk->state != WIRING_DISK_RESIZING))
		return errbuf_set(eb, -ENODEV, "%s: no disk named \"%s\"",
				  jread_join(conf->where, "disk", full), conf->disk);
	if (w->nexports >= CONFIG_EXPORTS_MAX)
		return errbuf_set(eb, -ENOSPC, "%s: too many exports", conf->where);
	e = calloc(1, sizeof(*e));
	if (!e)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	e->w = w;
	e->conf = *conf;
	e->disk = disk;
	err = create_device(e, &why);
	if (!err)
		err = create_server(e, &why);
	if (err) {
		export_free(e);
		return errbuf_set(eb, err, "%s: %.300s",
				  jread_join(conf->where, conf->socket[0] ? "socket" : "fd", full),
				  why.text);
	}
	list_add_tail(&w->exports, &e->link);
	w->nexports++;
	wiring_balance_update(w->balance);
	log_info("%s: disk %s on %s", e->conf.name, e->conf.disk,
		 e->conf.socket[0] ? e->conf.socket : "an inherited socket");
	return 0;
}

static void server_gone(void *arg)
{
	struct wiring_export *e = arg;
	struct wiring *w = e->w;
	wiring_done_fn done = e->done;
	void *done_arg = e->done_arg;

	log_info("%s: ended", e->conf.name);
	list_del(&e->link);
	w->nexports--;
	wiring_balance_update(w->balance);
	bdev_drain_end(e->disk->bdev);
	export_free(e);
	if (done)
		done(done_arg, 0, "");
	wiring_step(w);
}

static void export_end(struct wiring_export *e, wiring_done_fn done, void *arg)
{
	e->ending = true;
	e->done = done;
	e->done_arg = arg;
	bdev_drain_begin(e->disk->bdev); /* the session ends with its last I/O */
	vu_server_destroy(e->server, server_gone, e);
}

void wiring_export_delete(struct wiring_export *e, wiring_done_fn done, void *arg)
{
	if (e->ending)
		done(arg, -EBUSY, "the export is being deleted");
	else
		export_end(e, done, arg);
}

void wiring_exports_end(struct wiring *w)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (!e->ending)
			export_end(e, NULL, NULL);
	}
}
