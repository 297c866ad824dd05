/* SPDX-License-Identifier: BSD-3-Clause */
/* From a configuration to a serving daemon, top to bottom, and the same way back. */
#include "tools/nvringd/wiring.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/numa.h"
#include "drivers/nvme/nvme_probe.h"
#include "core/base/cpulist.h"
#include "tools/nvringd/notify.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/signals.h"
#include "tools/nvringd/wiring_attach.h"
#include "tools/nvringd/wiring_balance.h"
#include "tools/nvringd/wiring_pool.h"
#include "tools/shared/rundir.h"

#define LOG_TAG "nvringd"
#include "core/base/log.h"

static int choose_cpus(const struct config *c, cpu_set_t *ret_set, struct errbuf *eb)
{
	cpu_set_t allowed, wanted;
	char have[256];

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return errbuf_set(eb, -errno, "cannot read the CPUs allowed: %s", strerror(errno));
	if (!c->cpus[0]) {
		unsigned n = 0;

		for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (CPU_ISSET(cpu, &allowed) && n++ >= CONFIG_CPUS_DEFAULT)
				CPU_CLR(cpu, &allowed);
		}
		*ret_set = allowed;
		return 0;
	}
	if (cpulist_parse(c->cpus, &wanted, eb))
		return -EINVAL;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &wanted) && !CPU_ISSET(cpu, &allowed))
			return errbuf_set(eb, -EINVAL, "cpus: CPU %zu is not available (allowed: %s)",
					  cpu, cpulist_format(&allowed, have, sizeof(have)));
	}
	if (CPU_COUNT(&wanted) >= REACTOR_MAX)
		return errbuf_set(eb, -EINVAL, "cpus: more than %d", REACTOR_MAX - 1);
	*ret_set = wanted;
	return 0;
}

/* Data reactors first, so that their ids count from 0; they do not run yet. */
static int create_reactors(struct wiring *w, struct errbuf *eb)
{
	struct reactor_opts opts = { .mode = w->conf.mode };
	cpu_set_t cpus;
	char name[REACTOR_NAME_MAX];
	int err = choose_cpus(&w->conf, &cpus, eb);

	if (!err)
		err = config_idle(&w->conf, &opts.idle, eb);
	if (err)
		return err;
	w->reactors = calloc((size_t)CPU_COUNT(&cpus), sizeof(*w->reactors));
	if (!w->reactors)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	for (int cpu = 0; cpu < CPU_SETSIZE && !err; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &cpus))
			continue;
		snprintf(name, sizeof(name), "nvring-%d", cpu);
		opts.name = name;
		opts.cpu = cpu;
		err = reactor_create(&opts, &w->reactors[w->nreactors]);
		if (!err)
			w->nodes[w->nreactors++] = numa_node_of_cpu("/sys", cpu);
	}
	if (!err) {
		opts = (struct reactor_opts){ .name = "nvringd", .cpu = -1, .mode = REACTOR_INTERRUPT };
		err = reactor_create(&opts, &w->control);
	}
	if (err)
		return errbuf_set(eb, err, "cannot make a reactor: %s", strerror(-err));
	reactor_adopt(w->control);
	return 0;
}

static int start_reactors(struct wiring *w, struct errbuf *eb)
{
	for (; w->nstarted < w->nreactors; w->nstarted++) {
		int err = reactor_start(w->reactors[w->nstarted]);

		if (err)
			return errbuf_set(eb, err, "cannot start a thread: %s", strerror(-err));
	}
	return 0;
}

static int create_groups(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < c->ngroups && !err; i++)
		err = wiring_group_create(w, &c->groups[i], eb);
	return err;
}

static int open_disks(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < c->ndisks && !err; i++)
		err = wiring_disk_open(w, &c->disks[i], eb);
	return err;
}

static int create_exports(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < c->nexports && !err; i++)
		err = wiring_export_create(w, &c->exports[i], eb);
	return err;
}

static int create_vduses(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	int err = 0;

	for (unsigned i = 0; i < c->nvduses && !err; i++)
		err = wiring_vduse_create(w, &c->vduses[i], eb);
	return err;
}

/* Known before anything stands beside the socket. */
static int name_rpc(struct wiring *w, struct errbuf *eb)
{
	if (!w->conf.rpc_on)
		return 0;
	if (w->conf.rpc[0])
		memcpy(w->rpc_path, w->conf.rpc, sizeof(w->rpc_path));
	else if (rundir_rpc_path(w->rpc_path, sizeof(w->rpc_path)))
		return errbuf_set(eb, -EINVAL,
				  "XDG_RUNTIME_DIR is not set: give --rpc SOCKET or --no-rpc");
	return 0;
}

static int listen_rpc(struct wiring *w, struct errbuf *eb)
{
	return w->conf.rpc_on ? rpc_server_create(w, w->rpc_path, &w->rpc, eb) : 0;
}

static void take_scalars(struct config *to, const struct config *from)
{
	*to = *from;
	to->disks = NULL;
	to->exports = NULL;
	to->groups = NULL;
	to->vduses = NULL;
	to->attachs = NULL;
	to->pools = NULL;
	to->ndisks = 0;
	to->nexports = 0;
	to->ngroups = 0;
	to->nvduses = 0;
	to->nattachs = 0;
	to->npools = 0;
}

int wiring_start(struct wiring *w, const struct config *c, struct errbuf *eb)
{
	int err;

	*w = (struct wiring){ .control = NULL };
	take_scalars(&w->conf, c);
	list_init(&w->disks);
	list_init(&w->exports);
	list_init(&w->groups);
	list_init(&w->vduses);
	list_init(&w->attachs);
	list_init(&w->pools);
	list_init(&w->volume_jobs);

	err = name_rpc(w, eb);
	if (!err)
		err = create_reactors(w, eb);
	if (!err)
		err = wiring_balance_create(w, eb);
	if (!err)
		err = create_groups(w, c, eb);
	if (!err)
		err = wiring_pools_open(w, c, eb);
	if (!err)
		err = open_disks(w, c, eb); /* may wait for a lock; until here a signal just kills us */
	wiring_attach_seclude(c);
	signals_block();
	if (!err)
		err = start_reactors(w, eb);
	if (!err)
		err = create_exports(w, c, eb);
	if (!err)
		err = listen_rpc(w, eb);
	if (!err)
		err = create_vduses(w, c, eb); /* their logs lie in the control socket's folder */
	if (!err)
		err = wiring_attach_all(w, c, eb);
	if (!err && w->rpc) /* whoever is answered finds all of it there */
		err = rpc_server_start(w->rpc, eb);
	return err;
}

void wiring_run(struct wiring *w)
{
	if (!w->control)
		return;
	reactor_run(w->control);
}

static bool hurry(struct nvme_ctrlr *ctrlr, void *arg)
{
	nvme_ctrlr_hurry(ctrlr);
	return true;
}

static void thaw_all(struct wiring *w)
{
	struct list *pos;

	list_for_each(pos, &w->disks)
		wiring_disk_force_thaw(list_entry(pos, struct wiring_disk, link), "nvringd ends");
}

void wiring_stop(struct wiring *w)
{
	if (w->stopping)
		return;
	w->stopping = true;
	wiring_balance_update(w->balance);
	notify_send("STOPPING=1\nSTATUS=waiting for I/O to end");
	rpc_server_destroy(w->rpc);
	w->rpc = NULL;
	thaw_all(w);
	nvme_probe_for_each(hurry, NULL); /* who sent a command that takes an hour has gone */
	wiring_step(w);
}

/* What stands above must be gone before the next goes. True: all is gone. */
static bool take_apart(struct wiring *w)
{
	wiring_exports_end(w);
	wiring_vduses_end(w);
	wiring_attachs_end(w);
	if (!list_is_empty(&w->exports) || !list_is_empty(&w->vduses) || !list_is_empty(&w->attachs) || w->busy)
		return false;
	wiring_disks_close(w);
	if (!list_is_empty(&w->disks))
		return false;
	wiring_groups_delete(w);
	if (w->busy)
		return false;
	wiring_pools_end(w);
	return !w->busy;
}

/* Each end of something asynchronous comes by here, perhaps from inside itself. */
void wiring_step(struct wiring *w)
{
	if (!w->stopping)
		return;
	w->step_again = true;
	if (w->stepping)
		return;
	w->stepping = true;
	while (w->step_again) {
		w->step_again = false;
		if (take_apart(w) && w->control)
			reactor_stop(w->control);
	}
	w->stepping = false;
}

void wiring_fini(struct wiring *w)
{
	wiring_balance_destroy(w->balance);
	for (unsigned i = 0; i < w->nstarted; i++) {
		reactor_stop(w->reactors[i]);
		reactor_join(w->reactors[i]);
	}
	for (unsigned i = 0; i < w->nreactors; i++)
		reactor_destroy(w->reactors[i]);
	free(w->reactors);
	reactor_destroy(w->control);
	wiring_pools_close(w);
}

struct wiring_disk *wiring_find_disk(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->disks) {
		struct wiring_disk *d = list_entry(pos, struct wiring_disk, link);

		if (strcmp(d->conf.name, name) == 0)
			return d;
	}
	return NULL;
}

struct wiring_export *wiring_find_export(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (strcmp(e->conf.name, name) == 0)
			return e;
	}
	return NULL;
}

struct wiring_vduse *wiring_find_vduse(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->vduses) {
		struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (strcmp(v->conf.name, name) == 0)
			return v;
	}
	return NULL;
}

unsigned wiring_disk_exports(const struct wiring_disk *d)
{
	struct list *pos;
	unsigned n = 0;

	list_for_each(pos, &d->w->exports)
		n += list_entry(pos, struct wiring_export, link)->disk == d;
	list_for_each(pos, &d->w->vduses)
		n += list_entry(pos, struct wiring_vduse, link)->disk == d;
	list_for_each(pos, &d->w->attachs)
		n += list_entry(pos, struct wiring_attach, link)->disk == d;
	return n;
}

static int add_disk(struct config *c, const struct wiring_disk *d)
{
	struct config_disk conf = d->conf;

	if (d->state == WIRING_DISK_OPENING || d->state == WIRING_DISK_CLOSING)
		return 0;
	wiring_disk_get_qos(d, &conf.qos);
	return config_add_disk(c, &conf, NULL);
}

static int add_group(struct config *c, const struct wiring_group *g)
{
	struct config_group conf = { .limits = *qos_group_limits(g->group) };

	snprintf(conf.name, sizeof(conf.name), "%s", qos_group_name(g->group));
	return config_add_group(c, &conf, NULL);
}

int wiring_get_config(struct wiring *w, struct config *ret)
{
	struct list *pos;
	int err = 0;

	take_scalars(ret, &w->conf);
	ret->log_level = log_get_level();
	list_for_each(pos, &w->groups) {
		if (!err)
			err = add_group(ret, list_entry(pos, struct wiring_group, link));
	}
	list_for_each(pos, &w->pools) {
		if (!err)
			err = config_add_pool(ret, &list_entry(pos, struct wiring_pool, link)->conf, NULL);
	}
	list_for_each(pos, &w->disks) {
		if (!err)
			err = add_disk(ret, list_entry(pos, struct wiring_disk, link));
	}
	list_for_each(pos, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (!err && !e->ending)
			err = config_add_export(ret, &e->conf, NULL);
	}
	list_for_each(pos, &w->vduses) {
		struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (!err && !v->ending)
			err = config_add_vduse(ret, &v->conf, NULL);
	}
	list_for_each(pos, &w->attachs) {
		struct wiring_attach *a = list_entry(pos, struct wiring_attach, link);

		if (!err && a->live && !a->ending)
			err = config_add_attach(ret, &a->conf, NULL);
	}
	if (err)
		config_fini(ret);
	return err;
}
