/* SPDX-License-Identifier: BSD-3-Clause */
/* Pools of the daemon: opened, made on a disk, closed. */
#include "tools/nvringd/wiring_pool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/worker.h"
#include "tools/shared/diskuri.h"

#define PART_OPTION "?part=name:"

struct pool_making {
	struct worker worker;
	struct wiring *w;
	struct wiring_pool *pool;
	bool force;
	wiring_done_fn done;
	void *arg;
	struct errbuf eb;
};

static int open_one(struct wiring *w, struct wiring_pool *p, struct errbuf *eb)
{
	struct pool_disk port;
	int err;

	if (!config_pool_is_disk(&p->conf)) {
		err = pool_open(p->conf.name, config_pool_path(&p->conf), &p->pool, eb);
		if (!err)
			snprintf(p->conf.uri, sizeof(p->conf.uri), "dir:%s", pool_where(p->pool));
		return err;
	}
	err = wiring_pool_disk_open(w, &p->conf, &p->disk, eb);
	if (err)
		return err;
	port = wiring_pool_disk_port(p->disk);
	return pool_open_disk(p->conf.name, p->conf.uri, &port, &p->pool, eb);
}

int wiring_pools_open(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	char full[JREAD_WHERE_MAX];
	struct errbuf why;

	for (unsigned i = 0; i < c->npools; i++) {
		struct wiring_pool *p = calloc(1, sizeof(*p));
		int err;

		if (!p)
			return errbuf_set(eb, -ENOMEM, "out of memory");
		p->conf = c->pools[i];
		list_add_tail(&w->pools, &p->link); /* also when it fails: what is open of it is closed as ever */
		w->npools++;
		err = open_one(w, p, &why);
		if (err)
			return errbuf_set(eb, err, "%s: %.300s", jread_join(c->pools[i].where, "uri", full), why.text);
	}
	return 0;
}

void wiring_pools_end(struct wiring *w)
{
	struct list *pos;

	list_for_each(pos, &w->pools) {
		struct wiring_pool *p = list_entry(pos, struct wiring_pool, link);
		struct wiring_pool_disk *disk = p->disk;

		p->disk = NULL;
		if (disk)
			wiring_pool_disk_close(disk);
	}
}

void wiring_pools_close(struct wiring *w)
{
	struct list *node;

	while (w->npools && (node = list_pop(&w->pools))) {
		struct wiring_pool *p = list_entry(node, struct wiring_pool, link);

		pool_close(p->pool);
		free(p);
		w->npools--;
	}
}

struct wiring_pool *wiring_find_pool(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->pools) {
		struct wiring_pool *p = list_entry(pos, struct wiring_pool, link);

		if (strcmp(p->conf.name, name) == 0)
			return p;
	}
	return NULL;
}

int wiring_pool_volume_uri(const struct wiring_pool *p, const char *name, char uri[BDEV_URI_MAX])
{
	char path[PATH_MAX];
	int n;

	if (config_pool_is_disk(&p->conf)) {
		n = snprintf(uri, BDEV_URI_MAX, "%s" PART_OPTION "%s", p->conf.uri, name);
		return n < 0 || n >= BDEV_URI_MAX ? -ENAMETOOLONG : 0;
	}
	if (pool_image_path(p->pool, name, path, sizeof(path)))
		return -ENAMETOOLONG;
	return diskuri_from_path(path, uri, BDEV_URI_MAX);
}

/* Is @uri on the namespace of @p, however its address is written? */
static bool is_on(const struct wiring_pool *p, const char *uri)
{
	char ours[BDEV_URI_MAX], other[BDEV_URI_MAX];
	uint32_t our_nsid, other_nsid;

	return config_pool_is_disk(&p->conf) && !diskuri_nvme(p->conf.uri, ours, sizeof(ours), &our_nsid) &&
	       !diskuri_nvme(uri, other, sizeof(other), &other_nsid) && strcmp(ours, other) == 0 && our_nsid == other_nsid;
}

struct wiring_disk *wiring_pool_stranger(struct wiring *w, const struct wiring_pool *p)
{
	struct list *pos;

	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);

		if (is_on(p, d->conf.uri) && !strstr(d->conf.uri, PART_OPTION))
			return d;
	}
	return NULL;
}

struct wiring_disk *wiring_pool_volume_disk(struct wiring *w, const struct wiring_pool *p, const char *name)
{
	char uri[BDEV_URI_MAX];
	struct list *pos;

	if (wiring_pool_volume_uri(p, name, uri))
		return NULL;
	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);
		const char *at = d->conf.uri, *wanted = uri;
		size_t n;

		if (is_on(p, at)) { /* by its name there */
			at = strstr(at, PART_OPTION);
			wanted = strstr(uri, PART_OPTION);
		}
		n = strlen(wanted);
		if (at && strncmp(at, wanted, n) == 0 && (!at[n] || strchr("?&", at[n])))
			return d;
	}
	return NULL;
}

/*
 * Make one
 */

static int making_work(struct worker *worker)
{
	struct pool_making *m = container_of(worker, struct pool_making, worker);

	return pool_init(m->pool->pool, m->force, &m->eb);
}

static void making_done(struct worker *worker, int err)
{
	struct pool_making *m = container_of(worker, struct pool_making, worker);
	struct wiring *w = m->w;

	m->done(m->arg, err, err ? m->eb.text : "");
	free(m);
	w->busy--;
	wiring_step(w);
}

void wiring_pool_init(struct wiring_pool *p, struct wiring *w, bool force, wiring_done_fn done, void *arg)
{
	const struct wiring_disk *d = wiring_pool_stranger(w, p);
	struct pool_making *m;
	struct errbuf eb;
	int err;

	if (d) {
		err = errbuf_set(&eb, -EBUSY, "disk %s is open on it: delete that first", d->conf.name);
		done(arg, err, eb.text);
		return;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	*m = (struct pool_making){ .w = w, .pool = p, .force = force, .done = done, .arg = arg };
	err = worker_start(&m->worker, making_work, making_done);
	if (err) {
		done(arg, err, strerror(-err));
		free(m);
		return;
	}
	w->busy++;
}
