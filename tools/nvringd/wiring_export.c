/* SPDX-License-Identifier: BSD-3-Clause */
/* Exports of the daemon: a virtio-blk device on a disk, behind a vhost-user socket. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cpulist.h"
#include "tools/nvringd/wiring.h"
#include "tools/nvringd/wiring_balance.h"
#include "vhost/blk/vblk.h"
#include "vhost/user/vu_server.h"

#define LOG_TAG "export"
#include "core/base/log.h"

static bool is_online(size_t cpu)
{
	cpu_set_t set;
	char text[256] = "";
	struct errbuf eb;
	FILE *f = fopen("/sys/devices/system/cpu/online", "re");

	if (!f || !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = '\0';
	return cpulist_parse(text, &set, &eb) || CPU_ISSET(cpu, &set); /* unknown: it is not that */
}

int wiring_cpus_choose(const struct wiring *w, const char *cpus, struct place_set *ret,
		       struct errbuf *eb)
{
	struct place_set all = { { 0 } }, may = { { 0 } };
	char have[256];
	cpu_set_t set;

	for (unsigned i = 0; i < w->nreactors; i++)
		place_set_add(&all, i);
	if (!cpus[0]) {
		*ret = all;
		return 0;
	}
	if (cpulist_parse(cpus, &set, eb))
		return -EINVAL;
	for (unsigned i = 0; i < w->nreactors; i++) {
		if (CPU_ISSET((size_t)w->reactors[i]->cpu, &set))
			place_set_add(&may, i);
		CPU_CLR((size_t)w->reactors[i]->cpu, &set);
	}
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (!is_online(cpu))
			return errbuf_set(eb, -EINVAL, "CPU %zu is not online", cpu);
		return errbuf_set(eb, -EINVAL,
				  "no data thread runs on CPU %zu (they run on %s; see --cpus)",
				  cpu, wiring_cpus_format(w, &all, have, sizeof(have)));
	}
	*ret = may;
	return 0;
}

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

unsigned wiring_reactors_sort(const struct wiring *w, const struct place_set *may,
			      const struct place_set *near, struct reactor **ret)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->nreactors; i++) {
		if (place_set_has(near, i))
			ret[n++] = w->reactors[i];
	}
	for (unsigned i = 0; i < w->nreactors; i++) {
		if (place_set_has(may, i) && !place_set_has(near, i))
			ret[n++] = w->reactors[i];
	}
	return n;
}

static int create_server(struct wiring_export *e, struct errbuf *eb)
{
	struct reactor *reactors[REACTOR_MAX];
	struct vu_server_opts opts = {
		.name = e->conf.name,
		.path = e->conf.socket[0] ? e->conf.socket : NULL,
		.fd = e->conf.fd,
		.mode = (mode_t)e->conf.mode,
		.dev = vblk_vdev(e->dev),
		.control = e->w->control,
		.reactors = reactors,
		.nreactors = wiring_reactors_sort(e->w, &e->may, &e->near, reactors),
		.nnear = place_set_count(&e->near),
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
	const char *key = conf->socket[0] ? "socket" : "fd";
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
	err = wiring_cpus_choose(w, conf->cpus, &e->may, &why);
	if (err)
		key = "cpus";
	e->near = place_near(&e->may, w->nodes, w->nreactors, disk->bdev->numa_node);
	if (!err)
		err = create_device(e, &why);
	if (!err)
		err = create_server(e, &why);
	if (err) {
		export_free(e);
		return errbuf_set(eb, err, "%s: %.300s", jread_join(conf->where, key, full),
				  why.text);
	}
	list_add_tail(&w->exports, &e->link);
	w->nexports++;
	wiring_balance_update(w->balance);
	log_info("%s: disk %s on %s", e->conf.name, e->conf.disk,
		 e->conf.socket[0] ? e->conf.socket : "an inherited socket");
	return 0;
}

const char *wiring_cpus_format(const struct wiring *w, const struct place_set *set, char *buf,
			       size_t len)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (unsigned i = 0; i < w->nreactors; i++) {
		if (place_set_has(set, i))
			CPU_SET((size_t)w->reactors[i]->cpu, &cpus);
	}
	return cpulist_format(&cpus, buf, len);
}

int wiring_export_move(struct wiring_export *e, unsigned index, unsigned to, wiring_done_fn done,
		       void *arg, struct errbuf *eb)
{
	struct reactor *reactors[REACTOR_MAX];
	const struct wiring *w = e->w;
	unsigned at = 0;
	char cpus[256];

	if (to >= w->nreactors)
		return errbuf_set(eb, -EINVAL, "no reactor %u (0 to %u)", to, w->nreactors - 1);
	if (!place_set_has(&e->may, to))
		return errbuf_set(eb, -EINVAL,
				  "%s: may not run on reactor %u (CPU %d): its CPUs are %s",
				  e->conf.name, to, w->reactors[to]->cpu,
				  wiring_cpus_format(w, &e->may, cpus, sizeof(cpus)));
	if (e->disk->frozen) /* its I/O would have to end first */
		return errbuf_set(eb, -EBUSY, "%s: disk %s is frozen: thaw it first", e->conf.name,
				  e->disk->bdev->name);
	(void)wiring_reactors_sort(w, &e->may, &e->near, reactors);
	while (reactors[at] != w->reactors[to])
		at++;
	return vu_server_move_queue(e->server, index, at, done, arg, eb);
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
	wiring_disk_force_thaw(e->disk, "an export of it is deleted");
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
