/* SPDX-License-Identifier: BSD-3-Clause */
/* Volumes: directories on worker threads, disks and exports on the control thread. */
#include "tools/nvringd/wiring_volume.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/holder.h"
#include "core/worker.h"
#include "tools/nvringd/wiring.h"
#include "tools/nvringd/wiring_pool.h"
#include "vhost/user/vu_server.h"

#define LOG_TAG "volume"
#include "core/base/log.h"

struct wiring_volume_job {
	struct list link;
	struct worker worker;
	struct wiring *w;
	enum wiring_volume_op op;
	struct wiring_volume_ask ask;
	wiring_volume_done_fn done;
	void *arg;
	struct wiring_pool *pool; /* known once it is located */
	struct wiring_disk *disk; /* EXPORT: the one to serve */
	bool is_opened;		  /* for this */
	struct errbuf eb;	  /* the worker's while it runs */
};

/*
 * The end of a job
 */

static void job_end(struct wiring_volume_job *j, int err, const char *text)
{
	struct wiring *w = j->w;
	char copy[ERRBUF_BYTES_MAX];

	snprintf(copy, sizeof(copy), "%s", text);
	list_del(&j->link);
	w->busy--;
	j->done(j->arg, err, copy);
	free(j);
	wiring_step(w);
}

cc_printf(3, 4) static void job_fail(struct wiring_volume_job *j, int err, const char *fmt, ...)
{
	char text[ERRBUF_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	job_end(j, err, text);
}

/* wiring_done_fn: the last step was @err. */
static void job_done(void *arg, int err, const char *why)
{
	struct wiring_volume_job *j = arg;

	job_end(j, err, err ? why : j->pool->conf.name);
}

/*
 * In the directory, on a worker thread
 */

static int act(struct worker *worker)
{
	struct wiring_volume_job *j = container_of(worker, struct wiring_volume_job, worker);
	struct pool *p = j->pool->pool;

	switch (j->op) {
	case WIRING_VOLUME_CREATE:
		return pool_create(p, j->ask.name, j->ask.bytes, &j->eb);
	case WIRING_VOLUME_RESIZE:
		return pool_resize(p, j->ask.name, j->ask.bytes, j->ask.may_shrink, &j->eb);
	case WIRING_VOLUME_REMOVE:
		return pool_remove(p, j->ask.name, &j->eb);
	case WIRING_VOLUME_EXPORT: /* two writers would destroy it, and a loop device takes no lock */
		return pool_in_use(p, j->ask.name, &j->eb);
	case WIRING_VOLUME_UNEXPORT:
		break;
	}
	return -EINVAL;
}

static void export_open(struct wiring_volume_job *j);

static void act_done(struct worker *worker, int err)
{
	struct wiring_volume_job *j = container_of(worker, struct wiring_volume_job, worker);

	if (err || j->op != WIRING_VOLUME_EXPORT) {
		static const char *const words[] = { "made", "resized", "removed" };

		if (!err)
			log_notice("%s of pool %s: %s", j->ask.name, j->pool->conf.name, words[j->op]);
		job_end(j, err, err ? j->eb.text : j->pool->conf.name);
		return;
	}
	export_open(j);
}

static void start_act(struct wiring_volume_job *j)
{
	int err = worker_start(&j->worker, act, act_done);

	if (err)
		job_end(j, err, strerror(-err));
}

/*
 * Served: a disk with an export
 */

/* RUNDIR/volumes/NAME/vhost.sock: a folder that holds nothing else can be given to a container as a whole, and then the
 * socket of the next nvringd appears in it, too. */
#define VOLUMES_DIR "volumes"
#define SOCKET_NAME "vhost.sock"

static int default_socket(struct wiring *w, struct config_export *e, struct errbuf *eb)
{
	char rpc[CONFIG_SOCKET_MAX], dir[CONFIG_SOCKET_MAX + 16], path[2 * CONFIG_SOCKET_MAX];

	memcpy(rpc, w->rpc_path, sizeof(rpc));
	snprintf(dir, sizeof(dir), "%s/" VOLUMES_DIR, dirname(rpc));
	snprintf(path, sizeof(path), "%s/%s/" SOCKET_NAME, dir, e->name);
	if (strlen(path) >= sizeof(e->socket))
		return errbuf_set(eb, -ENAMETOOLONG, "%.200s: too long for a socket, name a shorter one", path);
	snprintf(e->socket, sizeof(e->socket), "%.107s", path);
	*strrchr(path, '/') = '\0';
	if ((mkdir(dir, 0755) && errno != EEXIST) || (mkdir(path, 0755) && errno != EEXIST))
		return errbuf_set(eb, -errno, "%s: cannot be made: %s", path, strerror(errno));
	return 0;
}

/* The folder of default_socket(), when that is where it lay and it is empty. */
static void remove_folder(const char *socket)
{
	char dir[CONFIG_SOCKET_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", socket);
	slash = strrchr(dir, '/');
	if (!slash || strcmp(slash, "/" SOCKET_NAME) != 0 || !strstr(dir, "/" VOLUMES_DIR "/"))
		return;
	*slash = '\0';
	(void)rmdir(dir); /* not empty: it is somebody else's, too */
}

/* wiring_done_fn: nobody waits. */
static void closed(void *arg, int err, const char *why)
{
}

static void export_create(struct wiring_volume_job *j)
{
	struct config_export e = j->ask.conf;
	struct errbuf eb;
	int err = 0;

	snprintf(e.name, sizeof(e.name), "%s", j->ask.name);
	snprintf(e.disk, sizeof(e.disk), "%s", j->disk->conf.name);
	if (wiring_find_export(j->w, e.name))
		err = errbuf_set(&eb, -EEXIST, "there is an export named \"%s\" already", e.name);
	if (!err && !e.socket[0])
		err = default_socket(j->w, &e, &eb);
	if (!err) {
		err = wiring_export_create(j->w, &e, &eb);
		if (err)
			remove_folder(e.socket);
	}
	if (!err) {
		job_end(j, 0, e.socket);
		return;
	}
	if (j->is_opened)
		wiring_disk_delete(j->disk, closed, NULL);
	job_end(j, err, eb.text);
}

static void opened(void *arg, int err, const char *why)
{
	struct wiring_volume_job *j = arg;

	if (err) {
		job_end(j, err, why);
		return;
	}
	j->disk = wiring_find_disk(j->w, j->ask.name);
	j->is_opened = true;
	if (j->w->stopping)
		job_fail(j, -ECANCELED, "nvringd ends");
	else
		export_create(j);
}

static void export_open(struct wiring_volume_job *j)
{
	struct config_disk conf;

	config_disk_init(&conf);
	snprintf(conf.name, sizeof(conf.name), "%s", j->ask.name);
	conf.read_only = j->ask.conf.read_only;
	if (j->w->stopping)
		job_fail(j, -ECANCELED, "nvringd ends");
	else if (wiring_find_disk(j->w, conf.name))
		job_fail(j, -EEXIST, "there is another disk named \"%s\"", conf.name);
	else if (wiring_pool_volume_uri(j->pool, j->ask.name, conf.uri))
		job_fail(j, -ENAMETOOLONG, "the path of the volume is too long");
	else
		wiring_disk_create(j->w, &conf, opened, j);
}

/* Any of @d; NULL: none. */
static struct wiring_export *export_of(const struct wiring_disk *d)
{
	struct list *pos;

	list_for_each(pos, &d->w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (e->disk == d)
			return e;
	}
	return NULL;
}

/* Whoever is connected to an export of @d, as one line. 0, or -EBUSY with eb. */
static int check_peers(const struct wiring_disk *d, struct errbuf *eb)
{
	struct list *pos;
	int err = 0;

	list_for_each(pos, &d->w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);
		struct vu_session_info info;
		char program[HOLDER_PROGRAM_MAX];

		if (e->disk != d || err || vu_server_get_info(e->server, &info))
			continue;
		if (info.connected)
			err = errbuf_set(eb, -EBUSY, "%s is in use by process %d (%s), connected to %s", d->conf.name,
					 info.peer_pid, holder_program(info.peer_pid, program),
					 e->conf.socket[0] ? e->conf.socket : "an inherited socket");
		vu_session_info_fini(&info);
	}
	return err;
}

static void unexport_next(struct wiring_volume_job *j);

static void unexported(void *arg, int err, const char *why)
{
	struct wiring_volume_job *j = arg;

	remove_folder(j->ask.conf.socket);
	if (err)
		job_end(j, err, why);
	else
		unexport_next(j);
}

static void unexport_next(struct wiring_volume_job *j)
{
	struct wiring_disk *d = wiring_pool_volume_disk(j->w, j->pool, j->ask.name);
	struct wiring_export *e = d ? export_of(d) : NULL;

	if (e) {
		memcpy(j->ask.conf.socket, e->conf.socket, sizeof(j->ask.conf.socket));
		wiring_export_delete(e, unexported, j);
	} else if (d && !wiring_disk_exports(d)) { /* else it goes on as a device of this host */
		wiring_disk_delete(d, job_done, j);
	} else {
		job_end(j, 0, j->pool->conf.name);
	}
}

/*
 * What is open
 */

static void on_open(struct wiring_volume_job *j, struct wiring_disk *d)
{
	const struct wiring_export *e = export_of(d);
	struct errbuf eb;

	switch (j->op) {
	case WIRING_VOLUME_RESIZE:
		if (j->pool->disk)
			job_fail(j, -EBUSY, "%s is served as disk %s, and a partition is resized only while it is not",
				 j->ask.name, d->conf.name);
		else if (d->bdev && j->ask.bytes < bdev_bytes(d->bdev) && !j->ask.may_shrink)
			job_fail(j, -ERANGE,
				 "%s: it has %" PRIu64 " bytes and would lose what is behind %" PRIu64
				 ": ask for it (shrink)",
				 j->ask.name, bdev_bytes(d->bdev), j->ask.bytes);
		else
			wiring_disk_resize(d, j->ask.bytes, job_done, j);
		break;
	case WIRING_VOLUME_EXPORT:
		j->disk = d;
		if (wiring_disk_busy(d) || e)
			job_fail(j, -EEXIST, "%s: %s%s", j->ask.name,
				 e ? "is served already, on " : wiring_disk_busy(d), e ? e->conf.socket : "");
		else
			export_create(j);
		break;
	case WIRING_VOLUME_UNEXPORT:
		if (!e && wiring_disk_exports(d))
			job_fail(j, -EBUSY, "%s has no socket: it is a device of this host, end that first", j->ask.name);
		else if (!j->ask.force && check_peers(d, &eb))
			job_end(j, -EBUSY, eb.text);
		else
			unexport_next(j);
		break;
	case WIRING_VOLUME_REMOVE:
		if (check_peers(d, &eb))
			job_end(j, -EBUSY, eb.text);
		else
			job_fail(j, -EBUSY, "%s is served as disk %s%s%s: end that first (volume unexport)", j->ask.name,
				 d->conf.name, e ? " on " : "", e ? e->conf.socket : "");
		break;
	case WIRING_VOLUME_CREATE:
		job_fail(j, -EEXIST, "%s is there already", j->ask.name);
		break;
	}
}

static void on_closed(struct wiring_volume_job *j)
{
	const struct wiring_disk *stranger = j->pool ? wiring_pool_stranger(j->w, j->pool) : NULL;

	if (j->op == WIRING_VOLUME_UNEXPORT)
		job_fail(j, -ENOENT, "%s is not served", j->ask.name);
	else if (stranger && j->op != WIRING_VOLUME_CREATE)
		job_fail(j, -EBUSY, "disk %s is open on %s and may reach into %s: delete that first", stranger->conf.name,
			 j->pool->conf.uri, j->ask.name);
	else
		start_act(j);
}

/*
 * Which pool
 */

static int locate(struct worker *worker)
{
	struct wiring_volume_job *j = container_of(worker, struct wiring_volume_job, worker);
	struct wiring_pool *found = NULL;
	struct pool_volume v;
	struct list *pos;
	int err;

	if (j->pool && j->op != WIRING_VOLUME_CREATE)
		return pool_find(j->pool->pool, j->ask.name, &v, &j->eb);
	list_for_each(pos, &j->w->pools) { /* constant since the start */
		struct wiring_pool *p = list_entry(pos, struct wiring_pool, link);

		err = pool_find(p->pool, j->ask.name, &v, &j->eb);
		if (err == -ENOENT || (err && p != j->pool && j->w->npools > 1))
			continue;
		if (err && (j->op != WIRING_VOLUME_CREATE || p->disk))
			return err;
		if (j->op == WIRING_VOLUME_CREATE)
			return errbuf_set(&j->eb, -EEXIST, "%s/%s is there already", pool_where(p->pool), j->ask.name);
		if (found)
			return errbuf_set(&j->eb, -EINVAL, "%s is in pool %s and in pool %s: name one", j->ask.name,
					  found->conf.name, p->conf.name);
		found = p;
	}
	if (j->op == WIRING_VOLUME_CREATE)
		return 0;
	j->pool = found;
	return found ? 0 : errbuf_set(&j->eb, -ENOENT, "no volume named \"%s\"", j->ask.name);
}

static void located(struct worker *worker, int err)
{
	struct wiring_volume_job *j = container_of(worker, struct wiring_volume_job, worker);
	struct wiring_disk *d;

	if (err || j->w->stopping) {
		job_end(j, err ? err : -ECANCELED, err ? j->eb.text : "nvringd ends");
		return;
	}
	d = wiring_pool_volume_disk(j->w, j->pool, j->ask.name);
	if (d)
		on_open(j, d);
	else
		on_closed(j);
}

/* NULL: *ret is the pool meant, or NULL for any. */
static const char *choose_pool(struct wiring *w, enum wiring_volume_op op, const char *name, struct wiring_pool **ret)
{
	*ret = NULL;
	if (!w->npools)
		return "nvringd has no pool: start it with --pool NAME=dir:PATH or NAME=nvme:…";
	if (name[0]) {
		*ret = wiring_find_pool(w, name);
		return *ret ? NULL : "no such pool";
	}
	if (op == WIRING_VOLUME_CREATE && w->npools > 1)
		return "there are several pools: name one";
	if (w->npools == 1)
		*ret = list_entry(w->pools.next, struct wiring_pool, link);
	return NULL;
}

static bool is_under_way(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->volume_jobs) {
		if (strcmp(list_entry(pos, struct wiring_volume_job, link)->ask.name, name) == 0)
			return true;
	}
	return false;
}

void wiring_volume_start(struct wiring *w, enum wiring_volume_op op, const struct wiring_volume_ask *ask,
			 wiring_volume_done_fn done, void *arg)
{
	struct wiring_volume_job *j;
	struct wiring_pool *pool;
	const char *why = choose_pool(w, op, ask->pool, &pool);
	int err;

	if (!why && is_under_way(w, ask->name))
		why = "another command for this volume is under way";
	if (why) {
		done(arg, -EBUSY, why);
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		done(arg, -ENOMEM, "out of memory");
		return;
	}
	j->w = w;
	j->op = op;
	j->ask = *ask;
	j->done = done;
	j->arg = arg;
	j->pool = pool;
	list_add_tail(&w->volume_jobs, &j->link);
	w->busy++;
	err = worker_start(&j->worker, locate, located);
	if (err)
		job_end(j, err, strerror(-err));
}
