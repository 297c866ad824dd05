/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits of the daemon's disks, and the groups that share some. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/nvringd/wiring.h"

#define LOG_TAG "qos"
#include "core/base/log.h"

struct wiring_group *wiring_find_group(struct wiring *w, const char *name)
{
	struct list *pos;

	list_for_each(pos, &w->groups) {
		struct wiring_group *g = list_entry(pos, struct wiring_group, link);

		if (strcmp(qos_group_name(g->group), name) == 0)
			return g;
	}
	return NULL;
}

int wiring_group_create(struct wiring *w, const struct config_group *conf, struct errbuf *eb)
{
	struct wiring_group *g;
	int err;

	if (wiring_find_group(w, conf->name))
		return errbuf_set(eb, -EEXIST, "there is another group named \"%s\"", conf->name);
	if (w->ngroups >= CONFIG_GROUPS_MAX)
		return errbuf_set(eb, -ENOSPC, "too many groups");
	g = calloc(1, sizeof(*g));
	if (!g)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	g->w = w;
	err = qos_group_create(w->control, conf->name, &conf->limits, &g->group, eb);
	if (err) {
		free(g);
		return err;
	}
	list_add_tail(&w->groups, &g->link);
	w->ngroups++;
	return 0;
}

int wiring_group_set(struct wiring_group *g, const struct qos_limits *named, struct errbuf *eb)
{
	struct qos_limits lim = *qos_group_limits(g->group);

	config_limits_merge(&lim, named);
	return qos_group_set(g->group, &lim, eb);
}

static void group_gone(void *arg)
{
	struct wiring *w = arg;

	w->busy--;
	wiring_step(w);
}

int wiring_group_delete(struct wiring_group *g, struct errbuf *eb)
{
	struct wiring *w = g->w;
	int err;

	w->busy++;
	err = qos_group_delete(g->group, group_gone, w, eb);
	if (err) {
		w->busy--;
		return err;
	}
	list_del(&g->link);
	w->ngroups--;
	free(g);
	return 0;
}

void wiring_groups_delete(struct wiring *w)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &w->groups)
		(void)wiring_group_delete(list_entry(pos, struct wiring_group, link),
					  NULL); /* its disks have gone */
}

void wiring_disk_get_qos(const struct wiring_disk *d, struct config_qos *ret)
{
	struct qos_conf conf;

	qos_get(d->bdev, &conf);
	config_qos_from_core(&conf, ret);
	ret->read_deadline_us = d->bdev->patience_ns[QOS_CLASS_READ] / 1000;
	ret->write_deadline_us = d->bdev->patience_ns[QOS_CLASS_WRITE] / 1000;
	ret->path_timeout_ms = d->bdev->path_timeout_ns / MONO_NS_PER_MS;
}

static bool deadlines_differ(const struct config_qos *a, const struct config_qos *b)
{
	return a->read_deadline_us != b->read_deadline_us ||
	       a->write_deadline_us != b->write_deadline_us;
}

int wiring_disk_set_qos(struct wiring_disk *d, const struct config_qos *named, struct errbuf *eb)
{
	struct wiring_group *g = NULL;
	struct config_qos was, q;
	struct qos_conf conf;
	int err;

	wiring_disk_get_qos(d, &was);
	q = was;
	config_qos_merge(&q, named);
	if (q.group[0]) {
		g = wiring_find_group(d->w, q.group);
		if (!g)
			return errbuf_set(eb, -ENOENT, "no group named \"%s\"", q.group);
	}
	config_qos_to_core(&q, g ? g->group : NULL, &conf);
	err = qos_set(d->bdev, &conf, eb);
	if (err)
		return err;
	if (deadlines_differ(&q, &was))
		bdev_set_deadlines(d->bdev, q.read_deadline_us * 1000, q.write_deadline_us * 1000);
	if (q.path_timeout_ms != was.path_timeout_ms)
		bdev_set_path_timeout(d->bdev, q.path_timeout_ms * MONO_NS_PER_MS);
	return 0;
}

int wiring_disk_grant(struct wiring_disk *d, struct errbuf *eb)
{
	static const struct config_qos nothing = CONFIG_QOS_DEFAULT;

	if (memcmp(&d->conf.qos, &nothing, sizeof(nothing)) == 0)
		return 0;
	return wiring_disk_set_qos(d, &d->conf.qos, eb);
}
