/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The do-nothing device: takes chains and gives them back, without a look at the request. What a
 * generator reaches against it is its own limit and that of the rings.
 */
#include "tools/bench/bench_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/reactor.h"
#include "vhost/blk/vblk_spec.h"
#include "vhost/user/vu_server.h"
#include "vhost/vdev.h"

#define NULL_BYTES   (1ull << 40)
#define NULL_SEG_MAX 126
#define NAP_NS	     MONO_NS_PER_MS

struct bench_null {
	struct vdev dev;
	struct reactor *control, *data;
	struct vu_server *server;
	unsigned nqueues;
	char dir[64], path[80];
	bool control_runs, data_runs, is_gone;
	int err;
	struct errbuf *eb;
};

static uint64_t null_features(const struct vdev *dev)
{
	(void)dev;
	return 1ull << VBLK_F_SEG_MAX | 1ull << VBLK_F_BLK_SIZE | 1ull << VBLK_F_FLUSH |
	       1ull << VBLK_F_MQ;
}

static uint32_t null_config_get(const struct vdev *dev, uint8_t config[VDEV_CONFIG_MAX])
{
	const struct bench_null *n = container_of(dev, struct bench_null, dev);
	struct vblk_config c = {
		.capacity = le64_make(NULL_BYTES >> VBLK_SECTOR_SHIFT),
		.seg_max = le32_make(NULL_SEG_MAX),
		.blk_size = le32_make(VBLK_SECTOR_BYTES),
		.num_queues = le16_make((uint16_t)n->nqueues),
	};

	memcpy(config, &c, sizeof(c));
	return sizeof(c);
}

static int null_config_set(struct vdev *dev, uint32_t off, const void *buf, uint32_t len)
{
	(void)dev, (void)off, (void)buf, (void)len;
	return -EROFS;
}

static int null_queue_open(struct vdev_queue *q, struct errbuf *eb)
{
	(void)q, (void)eb;
	return 0;
}

static void null_queue_close(struct vdev_queue *q)
{
	(void)q;
}

static void null_process(struct vdev_queue *q, struct vq_elem **elems, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vq_elem *e = elems[i];

		if (e->nin) {
			const struct iovec *last = &e->iov[e->nout + e->nin - 1];

			((uint8_t *)last->iov_base)[last->iov_len - 1] = VBLK_S_OK;
		}
		vdev_queue_done(q, e, e->in_bytes);
	}
}

static void null_reset(struct vdev *dev)
{
	(void)dev;
}

static const struct vdev_ops null_ops = {
	.name = "bench-null",
	.virtio_id = 2,
	.slot_bytes = sizeof(struct vq_elem),
	.features = null_features,
	.config_get = null_config_get,
	.config_set = null_config_set,
	.queue_open = null_queue_open,
	.queue_close = null_queue_close,
	.process = null_process,
	.reset = null_reset,
};

/* On the control reactor. */
static void serve(void *arg)
{
	struct bench_null *n = arg;
	struct vu_server_opts o = {
		.name = "null-responder",
		.path = n->path,
		.fd = -1,
		.dev = &n->dev,
		.control = n->control,
		.reactors = &n->data,
		.nreactors = 1,
	};

	vdev_init(&n->dev, &null_ops, n->nqueues);
	n->err = vu_server_create(&o, &n->server, n->eb);
}

static void served(void *arg)
{
	struct bench_null *n = arg;

	__atomic_store_n(&n->is_gone, true, __ATOMIC_RELEASE);
}

static void unserve(void *arg)
{
	struct bench_null *n = arg;

	vu_server_destroy(n->server, served, n);
}

static int start_reactors(struct bench_null *n, int cpu, struct errbuf *eb)
{
	struct reactor_opts co = { .name = "null-ctl", .cpu = -1, .mode = REACTOR_INTERRUPT };
	struct reactor_opts dop = { .name = "null-dev", .cpu = cpu, .mode = REACTOR_POLL };
	int err = reactor_create(&co, &n->control);

	if (!err)
		err = reactor_create(&dop, &n->data);
	if (!err)
		err = reactor_start(n->control);
	n->control_runs = !err;
	if (!err)
		err = reactor_start(n->data);
	n->data_runs = !err;
	return err ? errbuf_set(eb, err, "cannot run the do-nothing device: %s", strerror(-err))
		   : 0;
}

int bench_null_create(int cpu, unsigned nqueues, struct bench_null **ret_null,
		      const char **ret_path, struct errbuf *eb)
{
	struct bench_null *n = calloc(1, sizeof(*n));
	const char *tmp = getenv("TMPDIR");
	int err;

	if (!n)
		return errbuf_set(eb, -ENOMEM, "no memory");
	n->nqueues = nqueues;
	n->eb = eb;
	snprintf(n->dir, sizeof(n->dir), "%.40s/nvring-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(n->dir)) {
		n->dir[0] = '\0';
		err = errbuf_set(eb, -errno, "no place for a socket: %s", strerror(errno));
		goto fail;
	}
	snprintf(n->path, sizeof(n->path), "%s/null", n->dir);
	err = start_reactors(n, cpu, eb);
	if (err)
		goto fail;
	reactor_call(n->control, serve, n);
	err = n->err;
	if (err)
		goto fail;
	*ret_null = n;
	*ret_path = n->path;
	return 0;
fail:
	bench_null_destroy(n);
	return err;
}

void bench_null_destroy(struct bench_null *n)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };

	if (!n)
		return;
	if (n->server) {
		reactor_call(n->control, unserve, n);
		while (!__atomic_load_n(&n->is_gone, __ATOMIC_ACQUIRE))
			nanosleep(&nap, NULL);
	}
	if (n->data_runs) {
		reactor_stop(n->data);
		reactor_join(n->data);
	}
	if (n->control_runs) {
		reactor_stop(n->control);
		reactor_join(n->control);
	}
	reactor_destroy(n->data);
	reactor_destroy(n->control);
	if (n->dir[0])
		rmdir(n->dir);
	free(n);
}
