/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached as NBD. */
#include <stdio.h>

#include "tools/nvringd/wiring_attach.h"
#include "vdpa/nbd.h"

static int create(const struct wiring_attach *a, int adopt, void **ret_door, struct errbuf *eb)
{
	struct nbd_opts opts = {
		.name = a->conf.disk,
		.backend = a->rec.uri,
		.bdev = a->disk->bdev,
		.control = a->w->control,
		.reactors = a->reactors,
		.nreactors = a->nreactors,
		.id = a->conf.id == CONFIG_ATTACH_ANY ? NBD_ID_NONE : (int)a->conf.id,
		.adopt = adopt < 0 ? NBD_ID_NONE : adopt,
		.conns = a->conf.queues,
		.read_only = a->conf.read_only,
	};
	struct nbd *n;
	int err = nbd_create(&opts, &n, eb);

	if (!err)
		*ret_door = n;
	return err;
}

static void start(void *door, wiring_done_fn done, void *arg)
{
	nbd_start(door, done, arg);
}

static void stop(void *door, bool leave, wiring_done_fn done, void *arg)
{
	nbd_stop(door, leave, done, arg);
}

static void destroy(void *door)
{
	nbd_destroy(door);
}

static void get_info(const void *door, struct wiring_attach_info *ret)
{
	struct nbd_info info;

	nbd_get_info(door, &info);
	*ret = (struct wiring_attach_info){
		.id = info.id,
		.queues = info.conns,
		.depth = NBD_DEPTH,
		.live = info.live,
		.read_only = info.read_only,
		.adopted = info.adopted,
		.ios = info.ios,
		.errors = info.errors,
	};
	snprintf(ret->node, sizeof(ret->node), "/dev/nbd%u", info.id);
}

static bool is_claimed(const void *door)
{
	return nbd_is_claimed(door);
}

const struct wiring_door_ops wiring_door_nbd = {
	.as = "nbd",
	.create = create,
	.start = start,
	.stop = stop,
	.destroy = destroy,
	.get_info = get_info,
	.is_claimed = is_claimed,
};
