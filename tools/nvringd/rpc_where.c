/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The I/Os in flight: a walk over the queues of each reactor, by message, one reactor after the other. It costs the
 * data path nothing, and a reactor one look at its slots.
 *
 *   control ─ walk_next ─msg─► reactor: walk ─msg─► control ─ walk_next … ─► answer
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nvme/nvme_bdev.h"
#include "tools/nvringd/jsonrpc.h"
#include "tools/nvringd/rpc_methods.h"
#include "tools/nvringd/rpc_server.h"
#include "tools/nvringd/wiring.h"
#include "vhost/blk/vblk.h"

#define WHERE_IOS_MAX 4096 /* told of; the others are counted */

/* One I/O, copied on its reactor. */
struct where_io {
	const struct vdev *dev; /* to be compared only: the export may have gone */
	uint64_t age_ns, off, len;
	uint16_t queue, slot;
	uint16_t nvme_qid, nvme_cid; /* qid 0: no command of an NVMe queue */
	uint8_t op, holder;
	uint8_t reactor;
	const char *driver; /* a constant */
};

struct where {
	struct reactor_msg msg;
	struct rpc_call *call;
	struct wiring *w;
	unsigned at; /* reactor under way */
	unsigned n;
	uint64_t total;
	struct where_io ios[WHERE_IOS_MAX];
};

/*
 * On a reactor
 */

static void note(struct where *wh, const struct vdev_queue *q, unsigned slot, const struct bio *bio)
{
	const struct bdev_chan *chan = bio->chan;
	uint64_t now = mono_ticks();

	if (!chan || wh->total++ >= WHERE_IOS_MAX)
		return;
	wh->ios[wh->n++] = (struct where_io){
		.dev = q->dev,
		.age_ns = now > bio->submit_ticks ? mono_ticks_to_ns(now - bio->submit_ticks) : 0,
		.off = bio->off,
		.len = bio->op == BIO_FLUSH ? 0 : bio->len,
		.queue = q->vq.index,
		.slot = (uint16_t)slot,
		.op = bio->op,
		.holder = (uint8_t)bdev_chan_holder(chan, bio),
		.reactor = (uint8_t)wh->at,
		.driver = chan->bdev->ops->name,
	};
	(void)nvme_bdev_where(chan, bio, &wh->ios[wh->n - 1].nvme_qid, &wh->ios[wh->n - 1].nvme_cid);
}

static void walk_queue(struct vdev_queue *q, void *arg)
{
	unsigned left = q->vq.ninflight;

	for (unsigned i = 0; i < q->vq.size && left; i++) {
		const struct bio *bio = vblk_queue_inflight(q, i);

		if (!bio)
			continue;
		note(arg, q, i, bio);
		left--;
	}
}

static void walk_next(struct reactor_msg *msg);

static void walk(struct reactor_msg *msg)
{
	struct where *wh = container_of(msg, struct where, msg);

	vdev_queue_for_each(wh->w->reactors[wh->at], walk_queue, wh);
	wh->at++;
	reactor_send(wh->w->control, &wh->msg, walk_next);
}

/*
 * On the control thread
 */

/* Who serves it, by which name. */
struct where_door {
	const char *name, *disk;
};

static struct where_door door_of(struct wiring *w, const struct vdev *dev)
{
	struct list *pos;

	list_for_each(pos, &w->exports) {
		struct wiring_export *e = list_entry(pos, struct wiring_export, link);

		if (e->dev && vblk_vdev(e->dev) == dev)
			return (struct where_door){ e->conf.name, e->disk->conf.name };
	}
	list_for_each(pos, &w->vduses) {
		struct wiring_vduse *v = list_entry(pos, struct wiring_vduse, link);

		if (v->dev && vblk_vdev(v->dev) == dev)
			return (struct where_door){ v->conf.name, v->disk->conf.name };
	}
	return (struct where_door){ "", "" };
}

static struct json_object *io_json(struct wiring *w, const struct where_io *io)
{
	static const char *const ops[BIO_OP_COUNT] = { "read", "write", "flush", "discard", "write_zeroes" };
	static const char *const holders[] = {
		[BDEV_HOLDER_SCHED] = "scheduler", [BDEV_HOLDER_SPLIT] = "split",
		[BDEV_HOLDER_DRIVER] = "driver", [BDEV_HOLDER_CORE] = "core",
	};
	const struct where_door door = door_of(w, io->dev);
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "age_ns", rpc_number(io->age_ns));
	json_object_object_add(obj, "disk", json_object_new_string(door.disk));
	json_object_object_add(obj, "export", json_object_new_string(door.name));
	json_object_object_add(obj, "queue", json_object_new_int(io->queue));
	json_object_object_add(obj, "slot", json_object_new_int(io->slot));
	json_object_object_add(obj, "op", json_object_new_string(ops[io->op]));
	json_object_object_add(obj, "offset", rpc_number(io->off));
	json_object_object_add(obj, "bytes", rpc_number(io->len));
	json_object_object_add(obj, "layer", json_object_new_string(holders[io->holder]));
	json_object_object_add(obj, "driver", json_object_new_string(io->driver));
	if (io->nvme_qid) {
		json_object_object_add(obj, "nvme_qid", json_object_new_int(io->nvme_qid));
		json_object_object_add(obj, "nvme_cid", json_object_new_int(io->nvme_cid));
	}
	json_object_object_add(obj, "reactor", json_object_new_int(io->reactor));
	return obj;
}

static int compare_age(const void *a, const void *b)
{
	const struct where_io *x = a, *y = b;

	return (x->age_ns < y->age_ns) - (x->age_ns > y->age_ns);
}

static void walk_answer(struct where *wh)
{
	struct json_object *obj = json_object_new_object(), *arr = json_object_new_array();
	struct wiring *w = wh->w;

	qsort(wh->ios, wh->n, sizeof(wh->ios[0]), compare_age);
	for (unsigned i = 0; i < wh->n; i++)
		json_object_array_add(arr, io_json(w, &wh->ios[i]));
	json_object_object_add(obj, "total", rpc_number(wh->total));
	json_object_object_add(obj, "ios", arr);
	rpc_answer(wh->call, obj);
	free(wh);
	w->busy--;
	wiring_step(w);
}

static void walk_next(struct reactor_msg *msg)
{
	struct where *wh = container_of(msg, struct where, msg);

	if (wh->at < wh->w->nreactors)
		reactor_send(wh->w->reactors[wh->at], &wh->msg, walk);
	else
		walk_answer(wh);
}

static void get_inflight(struct rpc_call *call, const void *params)
{
	struct where *wh = calloc(1, sizeof(*wh));

	if (!wh) {
		rpc_fail(call, JSONRPC_INTERNAL, "out of memory");
		return;
	}
	wh->call = call;
	wh->w = rpc_wiring(call);
	wh->w->busy++; /* the reactors stay until we are back */
	walk_next(&wh->msg);
}

static const struct rpc_method methods[] = {
	{ .name = "nvring_get_inflight", .fn = get_inflight },
};

const struct rpc_group rpc_where_group = { methods, ARRAY_SIZE(methods) };
