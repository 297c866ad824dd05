/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pidfd for each server, on the main thread, which has nothing else to do. What is mounted is read anew whenever something
 * has happened: a request was answered (v->changed), a server has died, a pause is over.
 *
 *                    dies                    at once, or after a pause
 *   served (pidfd) ────────► dead (no pidfd) ──────────────────────────► served, or dead with a longer pause
 */
#include "tools/volume/vplug_watch.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cc.h"
#include "core/base/mono.h"
#include "tools/volume/vplug.h"

#define LOG_TAG "volume"
#include "core/base/log.h"

#define WATCHED_MAX   256 /* a file descriptor each; others' deaths are seen at the next request */
#define PAUSE_S_MAX   60  /* between two starts of a server that dies again and again */
#define CALM_NS	      (10 * PAUSE_S_MAX * MONO_NS_PER_SEC) /* without a start: it was mended */
#define FDS_BEFORE    2	  /* signals, changes */

struct watched {
	char name[POOL_NAME_MAX];
	int fd;		     /* its server's; -ESRCH: that has died; else none, or not asked for yet */
	unsigned starts;     /* in a row */
	uint64_t started_ns; /* the last of them */
	bool is_mounted;
};

/* The main thread's. */
static struct {
	struct vplug *v;
	struct watched of[WATCHED_MAX];
	unsigned n;
} watch;

static struct watched *find(const char *name)
{
	for (unsigned i = 0; i < watch.n; i++) {
		if (strcmp(watch.of[i].name, name) == 0)
			return &watch.of[i];
	}
	if (watch.n == WATCHED_MAX)
		return NULL;
	watch.of[watch.n] = (struct watched){ .fd = -1 };
	snprintf(watch.of[watch.n].name, POOL_NAME_MAX, "%s", name);
	return &watch.of[watch.n++];
}

/* 1, 2, 4, … seconds. */
static unsigned pause_s(unsigned starts)
{
	return starts > 6 ? PAUSE_S_MAX : CC_MIN(1u << (starts - 1), (unsigned)PAUSE_S_MAX);
}

/* No other start before. */
static uint64_t next_ns(const struct watched *w)
{
	return w->starts ? w->started_ns + pause_s(w->starts) * MONO_NS_PER_SEC : 0;
}

static void start_server(struct watched *w, const struct vplug_state *st)
{
	struct vplug *v = watch.v;
	struct errbuf eb;
	int err;

	if (mono_ns() - w->started_ns > CALM_NS)
		w->starts = 0;
	err = v->backend->revive(v->program, st->node, &eb);
	w->started_ns = mono_ns();
	w->starts++;
	if (err) {
		log_warn("%s: the server of %s has died, and no other starts, tried again in %u s: %s", st->name, st->node,
			 pause_s(w->starts), eb.text);
		return;
	}
	log_warn("%s: the server of %s has died, another goes on", st->name, st->node);
	w->fd = v->backend->watch(st->node);
}

/*
 * With v->lock, which a request that waits for this very server has not. What it is about to detach has no record any more, or
 * a server.
 */
static void look_at(void *arg, const char *name)
{
	struct vplug_state st;
	struct watched *w;
	struct errbuf eb;

	(void)arg;
	if (vplug_state_load(watch.v->state_dir, name, &st, &eb) || !st.node[0] || vplug_node_has_gone(&st))
		return;
	w = find(name);
	if (!w)
		return;
	w->is_mounted = true;
	if (w->fd < 0)
		w->fd = watch.v->backend->watch(st.node);
	if (w->fd == -ESRCH && mono_ns() >= next_ns(w))
		start_server(w, &st);
}

static void look(void)
{
	struct vplug *v = watch.v;
	struct errbuf eb;

	for (unsigned i = 0; i < watch.n; i++)
		watch.of[i].is_mounted = false;
	pthread_mutex_lock(&v->lock);
	if (vplug_state_for_each(v->state_dir, look_at, NULL, &eb))
		log_warn("%s", eb.text);
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = watch.n; i-- > 0;) {
		if (watch.of[i].is_mounted)
			continue;
		if (watch.of[i].fd >= 0)
			close(watch.of[i].fd);
		watch.of[i] = watch.of[--watch.n];
	}
}

/* In milliseconds, until a pause is over; -1: none is. */
static int patience(void)
{
	uint64_t now = mono_ns(), next = UINT64_MAX;

	for (unsigned i = 0; i < watch.n; i++) {
		if (watch.of[i].fd == -ESRCH)
			next = CC_MIN(next, next_ns(&watch.of[i]));
	}
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)((next - now) / MONO_NS_PER_MS) + 1 : 0;
}

/* False: the end. */
static bool wait_for_more(int signal_fd)
{
	struct pollfd p[FDS_BEFORE + WATCHED_MAX] = { { .fd = signal_fd, .events = POLLIN },
						      { .fd = watch.v->changed, .events = POLLIN } };
	uint64_t drained;

	for (unsigned i = 0; i < watch.n; i++)
		p[FDS_BEFORE + i] = (struct pollfd){ .fd = watch.of[i].fd, .events = POLLIN };
	if (poll(p, FDS_BEFORE + watch.n, patience()) < 0)
		return errno == EINTR;
	if (p[1].revents && read(watch.v->changed, &drained, sizeof(drained)) < 0)
		log_debug("nothing has changed: %s", strerror(errno));
	for (unsigned i = 0; i < watch.n; i++) {
		if (!p[FDS_BEFORE + i].revents || watch.of[i].fd < 0)
			continue;
		close(watch.of[i].fd);
		watch.of[i].fd = -1;
	}
	return !p[0].revents;
}

void vplug_watch_run(struct vplug *v, int signal_fd)
{
	struct pollfd end = { .fd = signal_fd, .events = POLLIN };

	watch.v = v;
	if (!v->backend->watch) {
		while (poll(&end, 1, -1) < 0 && errno == EINTR)
			;
		return;
	}
	do
		look();
	while (wait_for_more(signal_fd));
	for (unsigned i = 0; i < watch.n; i++) {
		if (watch.of[i].fd >= 0)
			close(watch.of[i].fd);
	}
	watch.n = 0;
}
