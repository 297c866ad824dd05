/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an NBD device, on the control thread; workers speak to the kernel.
 *
 *   NEW ─ door_start ─► CONNECTING ─ ok ─► LIVE ─ door_stop ─► STOPPING ─► LEAVING ─► ENDED
 *                           │ fails                                           ▲
 *                           └─────────────────────────────────────────────────┘
 */
#include "vdpa/nbd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/linemem.h"
#include "core/base/mono.h"
#include "core/hugemem.h"
#include "core/worker.h"
#include "vdpa/nbd_conn.h"
#include "vdpa/nbd_ctl.h"

#define LOG_TAG "nbd"
#include "core/base/log.h"

#define NAME_MAX_BYTES 64
#define BACKEND_MAX    1024
#define ORPHAN_MS      15000 /* until the kernel has noticed that the last server died */
#define RETRY_NS       20000000

static_assert(NBD_CONNS_LIMIT <= NBD_CTL_FDS_MAX, "all sockets at once");

enum nbd_state { NBD_NEW, NBD_CONNECTING, NBD_LIVE, NBD_STOPPING, NBD_LEAVING, NBD_ENDED };

/* Control thread's, but for what the worker works on. */
struct nbd {
	struct door door;
	char name[NAME_MAX_BYTES], backend[BACKEND_MAX];
	struct bdev *bdev;
	struct reactor *control;
	enum nbd_state state;
	int want_id, adopt;
	unsigned id, nconns, nover;
	bool read_only, adopted, leaves;
	int err;
	int kernel_fds[NBD_CONNS_LIMIT]; /* until the kernel has them */
	struct nbd_conn *conns;
	struct hugemem mem;
	struct worker worker;
	struct bdev_listener listener;
	struct errbuf why;
	door_done_fn done;
	void *done_arg;
};

static struct nbd *nbd_of(const struct door *d)
{
	return container_of(d, struct nbd, door);
}

static void set_state(struct nbd *n, enum nbd_state state)
{
	assert(state == n->state + 1 || (n->state == NBD_CONNECTING && state == NBD_LEAVING));
	n->state = state;
}

static int check(const struct door_opts *o, struct errbuf *eb)
{
	if (o->bdev->lim.block_bytes > 4096)
		return errbuf_set(eb, -EINVAL,
				  "a block of the disk has %u bytes, a block device of the kernel at most 4096",
				  o->bdev->lim.block_bytes);
	if (o->id < DOOR_ID_NONE || o->id > NBD_ID_MAX)
		return errbuf_set(eb, -EINVAL, "NBD devices have numbers from 0 to %d", NBD_ID_MAX);
	if (o->queues > NBD_CONNS_LIMIT)
		return errbuf_set(eb, -EINVAL, "at most %d connections", NBD_CONNS_LIMIT);
	return 0;
}

static void conn_over(struct nbd_conn *c);

static int make_conn(struct nbd *n, unsigned i, struct reactor *r)
{
	struct nbd_conn *c = &n->conns[i];
	int fds[2];

	c->slots = linemem_calloc(NBD_DEPTH, sizeof(*c->slots));
	if (!c->slots)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	n->kernel_fds[i] = fds[0];
	c->fd = fds[1];
	c->name = n->name;
	c->owner = n;
	c->over = conn_over;
	c->reactor = r;
	c->control = n->control;
	c->nslots = NBD_DEPTH;
	c->buf_bytes = NBD_BUF_BYTES;
	for (unsigned s = 0; s < NBD_DEPTH; s++)
		c->slots[s].buf = (uint8_t *)n->mem.va + ((size_t)i * NBD_DEPTH + s) * NBD_BUF_BYTES;
	return fcntl(c->fd, F_SETFL, O_NONBLOCK) ? -errno : 0;
}

static int make_conns(struct nbd *n, const struct door_opts *opts)
{
	int err = hugemem_alloc(&n->mem, (size_t)n->nconns * NBD_DEPTH * NBD_BUF_BYTES, "nvring-nbd");

	if (!err) {
		err = hugemem_dma_add(&n->mem);
		if (err)
			hugemem_free(&n->mem);
	}
	if (err)
		return err;
	n->conns = linemem_calloc(n->nconns, sizeof(*n->conns));
	if (!n->conns)
		return -ENOMEM;
	for (unsigned i = 0; i < n->nconns; i++)
		n->conns[i].fd = -1;
	for (unsigned i = 0; i < n->nconns && !err; i++)
		err = make_conn(n, i, opts->reactors[i % opts->nreactors]);
	return err;
}

static void close_kernel_fds(struct nbd *n)
{
	for (unsigned i = 0; i < n->nconns; i++) {
		if (n->kernel_fds[i] >= 0)
			(void)close(n->kernel_fds[i]);
		n->kernel_fds[i] = -1;
	}
}

static void nbd_destroy(struct door *d)
{
	struct nbd *n = nbd_of(d);

	assert(n->state == NBD_NEW || n->state == NBD_ENDED);
	close_kernel_fds(n);
	for (unsigned i = 0; n->conns && i < n->nconns; i++) {
		if (n->conns[i].fd >= 0)
			(void)close(n->conns[i].fd);
		free(n->conns[i].slots);
	}
	free(n->conns);
	if (n->mem.va)
		hugemem_dma_del(&n->mem);
	hugemem_free(&n->mem);
	free(n);
}

static int nbd_create(const struct door_opts *opts, struct door **ret, struct errbuf *eb)
{
	int err = check(opts, eb);
	struct nbd *n;

	if (err)
		return err;
	n = calloc(1, sizeof(*n));
	if (!n)
		return errbuf_set(eb, -ENOMEM, "out of memory");
	n->door.ops = &nbd_door;
	snprintf(n->name, sizeof(n->name), "%s", opts->name);
	snprintf(n->backend, sizeof(n->backend), "nvring %s", opts->backend);
	n->bdev = opts->bdev;
	n->control = opts->control;
	n->want_id = opts->id;
	n->adopt = opts->adopt;
	n->nconns = opts->queues ? opts->queues : 1;
	n->read_only = opts->read_only || opts->bdev->lim.read_only;
	n->mem.fd = -1;
	for (unsigned i = 0; i < NBD_CONNS_LIMIT; i++)
		n->kernel_fds[i] = -1;
	err = make_conns(n, opts);
	if (err) {
		nbd_destroy(&n->door);
		return errbuf_set(eb, err, "no memory or sockets for %u NBD connections: %s",
				  opts->queues ? opts->queues : 1, strerror(-err));
	}
	*ret = &n->door;
	return 0;
}

static void answer(struct nbd *n, int err)
{
	door_done_fn done = n->done;
	struct errbuf why = n->why;

	n->done = NULL;
	done(n->done_arg, err, err ? why.text : "");
}

/*
 * The end
 */
static void leave(struct nbd *n)
{
	set_state(n, NBD_LEAVING);
	for (unsigned i = 0; i < n->nconns; i++)
		nbd_conn_leave(&n->conns[i]);
}

static void put_chans(struct nbd *n)
{
	for (unsigned i = 0; i < n->nconns; i++) {
		if (n->conns[i].chan)
			bdev_chan_put(n->conns[i].chan);
		n->conns[i].chan = NULL;
	}
}

static void conn_over(struct nbd_conn *c)
{
	struct nbd *n = c->owner;

	assert(n->state == NBD_LEAVING);
	if (++n->nover < n->nconns)
		return;
	put_chans(n);
	set_state(n, NBD_ENDED);
	answer(n, n->err);
}

static int stopping_work(struct worker *w)
{
	struct nbd *n = container_of(w, struct nbd, worker);

	(void)nbd_ctl_sync(n->id); /* what cannot be written is its users' loss, and told to them */
	return nbd_ctl_disconnect(n->id, &n->why);
}

static void stopping_done(struct worker *w, int err)
{
	struct nbd *n = container_of(w, struct nbd, worker);

	n->err = err;
	leave(n);
}

static void nbd_stop(struct door *d, enum door_end how, door_done_fn done, void *arg)
{
	struct nbd *n = nbd_of(d);

	assert(n->state == NBD_LIVE && !n->done);
	bdev_listener_del(&n->listener);
	n->leaves = how == DOOR_END_LEAVE;
	n->done = done;
	n->done_arg = arg;
	set_state(n, NBD_STOPPING);
	if (n->leaves || worker_start(&n->worker, stopping_work, stopping_done))
		leave(n);
}

/*
 * The beginning
 */
static void disk_resized(struct bdev_listener *l)
{
	struct nbd *n = container_of(l, struct nbd, listener);

	log_warn("%s: /dev/nbd%u keeps its size until it is attached anew", n->name, n->id);
}

static void pause_a_little(void)
{
	const struct timespec pause = { .tv_nsec = RETRY_NS };

	(void)nanosleep(&pause, NULL);
}

static uint64_t flags_of(const struct nbd *n)
{
	const struct bdev_limits *lim = &n->bdev->lim;
	uint64_t flags = NBD_FLAG_BASE | NBD_FLAG_MULTI_CONN;

	if (n->read_only)
		flags |= NBD_FLAG_RO;
	if (lim->has_flush)
		flags |= NBD_FLAG_FLUSH | NBD_FLAG_FUA;
	if (lim->rotational)
		flags |= NBD_FLAG_ROTATES;
	if (lim->discard_max && !n->read_only)
		flags |= NBD_FLAG_TRIM;
	if (lim->zeroes_max && !n->read_only)
		flags |= NBD_FLAG_ZEROES;
	return flags;
}

static int connect_work(struct worker *w)
{
	struct nbd *n = container_of(w, struct nbd, worker);
	uint64_t limit = mono_ns() + ORPHAN_MS * MONO_NS_PER_MS;
	struct nbd_ctl_conf conf = {
		.id = n->adopt,
		.bytes = bdev_bytes(n->bdev),
		.block_bytes = n->bdev->lim.block_bytes,
		.io_bytes_max = NBD_BUF_BYTES,
		.flags = flags_of(n),
		.wait_s = NBD_WAIT_S,
		.backend = n->backend,
		.fds = n->kernel_fds,
		.nfds = n->nconns,
	};
	int err = -ENODEV;

	if (n->adopt != DOOR_ID_NONE) {
		while ((err = nbd_ctl_take_over(&conf, &n->why)) == -EAGAIN && mono_ns() < limit)
			pause_a_little();
		n->id = (unsigned)n->adopt;
		n->adopted = !err;
	}
	if (err != -ENODEV)
		return err;
	conf.id = n->want_id;
	return nbd_ctl_connect(&conf, &n->id, &n->why);
}

static void connect_done(struct worker *w, int err)
{
	struct nbd *n = container_of(w, struct nbd, worker);

	close_kernel_fds(n);
	if (err) {
		n->err = err;
		leave(n);
		return;
	}
	set_state(n, NBD_LIVE);
	bdev_listener_add(n->bdev, &n->listener, disk_resized);
	log_info("%s: /dev/nbd%u, %u connection%s%s", n->name, n->id, n->nconns, n->nconns == 1 ? "" : "s",
		 n->adopted ? ", taken over" : "");
	answer(n, 0);
}

static void nbd_start(struct door *d, door_done_fn done, void *arg)
{
	struct nbd *n = nbd_of(d);
	int err = 0;

	set_state(n, NBD_CONNECTING);
	n->done = done;
	n->done_arg = arg;
	for (unsigned i = 0; i < n->nconns && !err; i++)
		err = bdev_chan_get(n->bdev, n->conns[i].reactor, &n->conns[i].chan);
	if (err) {
		errbuf_write(&n->why, "no channel to the disk: %s", strerror(-err));
		put_chans(n);
		n->state = NBD_ENDED; /* nothing has begun */
		answer(n, err);
		return;
	}
	for (unsigned i = 0; i < n->nconns; i++)
		nbd_conn_start(&n->conns[i]);
	err = worker_start(&n->worker, connect_work, connect_done);
	if (err) {
		errbuf_write(&n->why, "no thread to connect it: %s", strerror(-err));
		connect_done(&n->worker, err);
	}
}

static void nbd_get_info(const struct door *d, struct door_info *ret)
{
	const struct nbd *n = nbd_of(d);

	*ret = (struct door_info){
		.id = n->id,
		.queues = n->nconns,
		.depth = NBD_DEPTH,
		.live = n->state == NBD_LIVE,
		.read_only = n->read_only,
		.adopted = n->adopted,
	};
	snprintf(ret->node, sizeof(ret->node), "/dev/nbd%u", n->id);
	for (unsigned i = 0; i < n->nconns; i++) {
		ret->ios += counter_get(n->conns[i].ios);
		ret->errors += counter_get(n->conns[i].errors);
	}
}

static bool nbd_is_claimed(const struct door *d)
{
	return nbd_ctl_is_claimed(nbd_of(d)->id);
}

const struct door_ops nbd_door = {
	.as = "nbd",
	.create = nbd_create,
	.start = nbd_start,
	.stop = nbd_stop,
	.destroy = nbd_destroy,
	.get_info = nbd_get_info,
	.is_claimed = nbd_is_claimed,
};

int nbd_remove(unsigned id, struct errbuf *eb)
{
	return nbd_ctl_disconnect(id, eb);
}
