/* SPDX-License-Identifier: BSD-3-Clause */
/* Attached as ublk. */
#include <stdio.h>

#include "tools/nvringd/wiring_attach.h"
#include "vdpa/ublk.h"

static int create(const struct wiring_attach *a, int adopt, void **ret_door, struct errbuf *eb)
{
	struct ublk_opts opts = {
		.name = a->conf.disk,
		.bdev = a->disk->bdev,
		.control = a->w->control,
		.reactors = a->reactors,
		.nreactors = a->nreactors,
		.id = a->conf.id == CONFIG_ATTACH_ANY ? UBLK_ID_NONE : (int)a->conf.id,
		.adopt = adopt < 0 ? UBLK_ID_NONE : adopt,
		.queues = a->conf.queues,
		.depth = a->conf.depth,
		.read_only = a->conf.read_only,
	};
	struct ublk *u;
	int err = ublk_create(&opts, &u, eb);

	if (!err)
		*ret_door = u;
	return err;
}

static void start(void *door, wiring_done_fn done, void *arg)
{
	ublk_start(door, done, arg);
}

static void stop(void *door, bool leave, wiring_done_fn done, void *arg)
{
	ublk_stop(door, leave ? UBLK_END_LEAVE : UBLK_END_REMOVE, done, arg);
}

static void destroy(void *door)
{
	ublk_destroy(door);
}

static void get_info(const void *door, struct wiring_attach_info *ret)
{
	struct ublk_info info;

	ublk_get_info(door, &info);
	*ret = (struct wiring_attach_info){
		.id = info.id,
		.queues = info.queues,
		.depth = info.depth,
		.live = info.live,
		.read_only = info.read_only,
		.adopted = info.adopted,
		.ios = info.ios,
		.errors = info.errors,
	};
	snprintf(ret->node, sizeof(ret->node), "/dev/ublkb%u", info.id);
}

static bool is_claimed(const void *door)
{
	return ublk_is_claimed(door);
}

const struct wiring_door_ops wiring_door_ublk = {
	.as = "ublk",
	.create = create,
	.start = start,
	.stop = stop,
	.destroy = destroy,
	.get_info = get_info,
	.is_claimed = is_claimed,
};
