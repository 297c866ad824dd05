/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device and its session.
 *
 *   local_connect ─► session_begin ─► [session lives] ─ socket closed, drained ─► session_ended
 *                    (control thread)                                             (control thread)
 */
#include "vdpa/vdpa_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vdpa/vdpa_disk.h"
#include "vdpa/vdpa_host.h"
#include "vhost/blk/vblk.h"
#include "vhost/user/vu_server.h"
#include "vhost/user/vu_session.h"

#define LOG_TAG "vdpa"
#include "core/base/log.h"

#define NAP_NS (500 * MONO_NS_PER_US) /* between two looks at what ends soon */

struct vdpa_local {
	struct vdpa_source source;
	char *name;
	uint64_t stop_ms;
	bool no_packed;
	struct vdpa_threads threads;
	struct vdpa_disk *disk;
	struct vblk *blk;
	struct vu_session *session; /* control thread */
	bool has_session;	    /* atomic: the same for everybody */
};

/*
 * On the control thread
 */
struct local_call {
	struct vdpa_local *l;
	const struct vdpa_args *a;
	struct vu_session_info *info;
	struct errbuf *eb;
	int sock, err;
};

static void blk_create(void *arg)
{
	struct local_call *c = arg;
	const struct vblk_opts opts = {
		.read_only = c->a->read_only,
		.nqueues = (unsigned)c->a->queues,
		.serial = c->a->serial[0] ? c->a->serial : NULL,
	};

	c->err = vblk_create(vdpa_disk_bdev(c->l->disk), &opts, &c->l->blk, c->eb);
}

static void blk_destroy(void *arg)
{
	struct vdpa_local *l = arg;

	vblk_destroy(l->blk);
}

static void session_ended(void *arg, bool held_up)
{
	struct vdpa_local *l = arg;

	(void)held_up; /* said already, and nobody can come again at once: the application decides */
	l->session = NULL;
	__atomic_store_n(&l->has_session, false, __ATOMIC_RELEASE);
}

static void session_begin(void *arg)
{
	struct local_call *c = arg;
	struct vdpa_local *l = c->l;
	const struct vu_session_conf conf = {
		.name = l->name,
		.dev = vblk_vdev(l->blk),
		.control = l->threads.control,
		.reactors = l->threads.data,
		.nreactors = l->threads.ndata,
		.nnear = l->threads.ndata,
		.no_packed = l->no_packed,
		.on_end = session_ended,
		.on_end_arg = l,
	};

	c->err = vu_session_create(&conf, c->sock, &l->session, c->eb);
	__atomic_store_n(&l->has_session, !c->err, __ATOMIC_RELEASE);
}

static void info_get(void *arg)
{
	struct local_call *c = arg;

	c->err = c->l->session ? vu_session_get_info(c->l->session, c->info) : 0;
}

static void drain_begin(void *arg)
{
	struct vdpa_local *l = arg;

	bdev_drain_begin(vdpa_disk_bdev(l->disk));
}

static void drain_end(void *arg)
{
	struct vdpa_local *l = arg;

	bdev_drain_end(vdpa_disk_bdev(l->disk));
}

/*
 * From outside
 */
static struct vdpa_local *local_of(struct vdpa_source *s)
{
	return container_of(s, struct vdpa_local, source);
}

static bool local_wait_end(struct vdpa_source *s)
{
	struct vdpa_local *l = local_of(s);
	const struct timespec nap = { .tv_nsec = NAP_NS };
	uint64_t end = mono_ns() + l->stop_ms * MONO_NS_PER_MS;

	while (__atomic_load_n(&l->has_session, __ATOMIC_ACQUIRE)) {
		if (mono_ns() >= end)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

/* What uses the device of a disk that does not answer goes on doing so: memory and threads must stay. */
static void local_destroy(struct vdpa_source *s)
{
	struct vdpa_local *l = local_of(s);
	bool is_ended;

	reactor_call(l->threads.control, drain_begin, l);
	is_ended = local_wait_end(s);
	if (is_ended) {
		reactor_call(l->threads.control, drain_end, l);
		reactor_call(l->threads.control, blk_destroy, l);
		is_ended = vdpa_disk_close(l->disk, l->stop_ms);
	}
	if (!is_ended) {
		log_error("%s: I/O has not ended within %llu ms: its memory and its threads stay", l->name,
			  (unsigned long long)l->stop_ms);
		return;
	}
	vdpa_host_put(&l->threads);
	free(l->name);
	free(l);
}

static int local_connect(struct vdpa_source *s, int *ret_sock, struct errbuf *eb)
{
	struct vdpa_local *l = local_of(s);
	struct local_call c = { .l = l, .eb = eb };
	int pair[2];

	if (!local_wait_end(s))
		return errbuf_set(eb, -EBUSY, "I/O of the front-end before has not ended yet");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return errbuf_set(eb, -errno, "socketpair: %s", strerror(errno));
	c.sock = pair[1];
	reactor_call(l->threads.control, session_begin, &c);
	if (c.err) {
		close(pair[0]);
		return c.err;
	}
	*ret_sock = pair[0];
	return 0;
}

static int local_get_info(struct vdpa_source *s, struct vu_session_info *ret)
{
	struct vdpa_local *l = local_of(s);
	struct local_call c = { .l = l, .info = ret };

	memset(ret, 0, sizeof(*ret));
	reactor_call(l->threads.control, info_get, &c);
	return c.err;
}

static const struct vdpa_source_ops local_ops = {
	.connect = local_connect,
	.wait_end = local_wait_end,
	.get_info = local_get_info,
	.destroy = local_destroy,
};

int vdpa_local_create(const char *name, const struct vdpa_args *a, struct vdpa_source **ret_s,
		      struct errbuf *eb)
{
	struct vdpa_local *l = calloc(1, sizeof(*l));
	struct local_call c = { .l = l, .a = a, .eb = eb };
	int err = -ENOMEM;

	if (l)
		l->name = strdup(name);
	if (!l || !l->name) {
		errbuf_set(eb, err, "out of memory");
		goto out_free;
	}
	l->stop_ms = a->stop_ms;
	l->no_packed = !a->packed;
	err = vdpa_host_get(a->has_cpus ? &a->cpus : NULL, a->mode, &l->threads, eb);
	if (err)
		goto out_free;
	err = vdpa_disk_open(name, a, l->threads.control, &l->disk, eb);
	if (err)
		goto out_put;
	reactor_call(l->threads.control, blk_create, &c);
	err = c.err;
	if (err)
		goto out_close;
	l->source.ops = &local_ops;
	*ret_s = &l->source;
	return 0;

out_close:
	(void)vdpa_disk_close(l->disk, l->stop_ms); /* nothing is in flight */
out_put:
	vdpa_host_put(&l->threads);
out_free:
	if (l)
		free(l->name);
	free(l);
	return err;
}
