/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts and ends the shared threads, by count of their users. */
#include "vdpa/vdpa_host.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cpulist.h"
#include "core/sigbus.h"

/* Guards all of this file. Held while a thread starts or ends: for milliseconds, by whoever probes or removes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct shared {
	struct reactor *r; /* NULL: not there */
	unsigned users;
};

static struct shared control, data[CPU_SETSIZE];

static int shared_get(struct shared *s, const struct reactor_opts *opts)
{
	int err;

	if (s->users++)
		return 0;
	err = reactor_create(opts, &s->r);
	if (!err) {
		err = reactor_start(s->r);
		if (err)
			reactor_destroy(s->r);
	}
	if (err)
		*s = (struct shared){ .r = NULL };
	return err;
}

static void shared_put(struct shared *s)
{
	if (--s->users)
		return;
	reactor_stop(s->r);
	reactor_join(s->r);
	reactor_destroy(s->r);
	s->r = NULL;
}

static int data_get(size_t cpu, enum reactor_mode mode, struct vdpa_threads *ret, struct errbuf *eb)
{
	char name[REACTOR_NAME_MAX], have[200];
	const struct reactor_opts opts = { .name = name, .cpu = (int)cpu, .mode = mode };
	cpu_set_t usable;
	int err;

	if (ret->ndata == VDPA_REACTORS_MAX)
		return errbuf_set(eb, -EINVAL, "cpus: more than %d", VDPA_REACTORS_MAX);
	if (data[cpu].r && reactor_get_mode(data[cpu].r) != mode)
		return errbuf_set(eb, -EINVAL, "mode: the thread on CPU %zu runs in mode %s already", cpu,
				  reactor_mode_name(reactor_get_mode(data[cpu].r)));
	snprintf(name, sizeof(name), "nvring-%zu", cpu);
	err = shared_get(&data[cpu], &opts);
	if (err == -EINVAL && !sched_getaffinity(0, sizeof(usable), &usable))
		return errbuf_set(eb, err, "cpus: CPU %zu is not available (usable: %s)", cpu,
				  cpulist_format(&usable, have, sizeof(have)));
	if (err)
		return errbuf_set(eb, err, "cannot start a thread on CPU %zu: %s", cpu, strerror(-err));
	ret->data[ret->ndata++] = data[cpu].r;
	return 0;
}

static int all_get(const cpu_set_t *cpus, enum reactor_mode mode, struct vdpa_threads *ret, struct errbuf *eb)
{
	const struct reactor_opts opts = { .name = "nvring-control", .cpu = -1, .mode = REACTOR_INTERRUPT };
	int err = sigbus_guard_start();

	if (!err)
		err = shared_get(&control, &opts);
	if (err)
		return errbuf_set(eb, err, "cannot start nvring's control thread: %s", strerror(-err));
	ret->control = control.r;
	for (size_t cpu = 0; cpu < CPU_SETSIZE && !err; cpu++) {
		if (CPU_ISSET(cpu, cpus))
			err = data_get(cpu, mode, ret, eb);
	}
	return err;
}

static void all_put(struct vdpa_threads *t)
{
	for (unsigned i = 0; i < t->ndata; i++)
		shared_put(&data[t->data[i]->cpu]);
	if (t->control)
		shared_put(&control);
	memset(t, 0, sizeof(*t));
}

int vdpa_host_get(const cpu_set_t *cpus, enum reactor_mode mode, struct vdpa_threads *ret, struct errbuf *eb)
{
	struct vdpa_threads t = { .control = NULL };
	cpu_set_t before, every;
	int err;

	if (sched_getaffinity(0, sizeof(before), &before))
		return errbuf_set(eb, -errno, "cannot read the CPUs allowed: %s", strerror(errno));
	/* whom we start may use what the process may, not what this thread was pinned to */
	memset(&every, 0xff, sizeof(every));
	(void)sched_setaffinity(0, sizeof(every), &every); /* in vain: what there is, is enough or refused */
	pthread_mutex_lock(&lock);
	err = all_get(cpus ? cpus : &before, mode, &t, eb);
	if (err)
		all_put(&t);
	pthread_mutex_unlock(&lock);
	(void)sched_setaffinity(0, sizeof(before), &before); /* as it was: it cannot fail */
	if (!err)
		*ret = t;
	return err;
}

void vdpa_host_put(struct vdpa_threads *t)
{
	pthread_mutex_lock(&lock);
	all_put(t);
	pthread_mutex_unlock(&lock);
}
